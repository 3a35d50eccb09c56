"""Multi-head attention (Vaswani et al. 2017, section 3.2.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention in several heads.

    Attention(Q, K, V) = softmax(Q K^T / sqrt(head_width)) V                                        (eq. 1)

    The fused kernel of torch does the work on a GPU. When the weights are asked for, and on a CPU, the equation is
    computed as written: there the fused kernel is slower once a mask and bfloat16 come in.

    Args:
        width: Model width D; divided over the heads.
        num_heads: Number of heads; divides `width`.
        dropout: On the attention weights, in training.
    """

    def __init__(self, width: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"The width {width} is not divisible by the number of heads {num_heads}.")
        self.num_heads = num_heads
        self.head_width = width // num_heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(
        self, queries: Tensor, keys: Tensor, *, allowed: Tensor | None = None, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Let each of `queries` read from `keys`.

        Args:
            queries: Shape (batch, target, width).
            keys: Shape (batch, source, width); also the values' source.
            allowed: Boolean, broadcastable to (batch, heads, target, source); False hides a source position.
            need_weights: Compute and return the weights explicitly.

        Returns:
            The mixed values (batch, target, width) and the weights (batch, heads, target, source) or None.
        """
        query, key, value = (  # each (batch, heads, length, head_width)
            projection(states).unflatten(-1, (self.num_heads, self.head_width)).transpose(1, 2)
            for projection, states in ((self.query, queries), (self.key, keys), (self.value, keys))
        )
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights or query.device.type == "cpu":
            scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_width)  # (batch, heads, target, source)
            if allowed is not None:
                scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
            weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
            mixed = F.dropout(weights, dropout) @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=dropout)
        return self.output(mixed.transpose(1, 2).flatten(-2)), weights if need_weights else None
