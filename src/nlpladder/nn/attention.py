"""Multi-head attention (Vaswani et al. 2017, section 3.2.2), with what decoders of today add to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlpladder.nn.dropout import drop_units
from nlpladder.nn.masks import additive_mask, causal_mask
from nlpladder.nn.normalization import RMSNorm
from nlpladder.nn.positions import rotate


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention in several heads.

    Attention(Q, K, V) = softmax(Q K^T / sqrt(head_width)) V                                        (eq. 1)

    The equation is computed as written (the explicit path) or by torch's fused kernel, whichever is faster where the
    model runs; `attend` tells the rule. Query, key and value keep a matrix each: one fused matrix was measured to bring
    mostly below 8 % to this layer on a CPU, and separate ones load from other checkpoints by renaming.

    Args:
        width: Model width D; divided over the heads.
        num_heads: Number of heads; divides `width`.
        dropout: On the attention weights, in training.
        num_key_value_heads: Heads of keys and values, each shared by a group of query heads (Ainslie et al. 2023,
            "GQA"); as many as `num_heads` when not given.
        bias: Give the four projections a bias.
        qk_norm: Normalise queries and keys per head with an `RMSNorm` (Henry et al. 2020), against exploding scores.
        layer_index: Where this layer's keys and values lie in a cache.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        dropout: float = 0.0,
        *,
        num_key_value_heads: int | None = None,
        bias: bool = True,
        qk_norm: bool = False,
        layer_index: int = 0,
    ) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"The width {width} is not divisible by the number of heads {num_heads}.")
        self.num_key_value_heads = num_key_value_heads or num_heads
        if num_heads % self.num_key_value_heads:
            raise ValueError(
                f"The number of heads {num_heads} is not divisible by that of keys and values, {num_key_value_heads}."
            )
        self.num_heads = num_heads
        self.head_width = width // num_heads
        self.dropout = dropout
        self.layer_index = layer_index
        key_width = self.num_key_value_heads * self.head_width
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, key_width, bias=bias)
        self.value = nn.Linear(width, key_width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)
        self.query_norm = RMSNorm(self.head_width) if qk_norm else None
        self.key_norm = RMSNorm(self.head_width) if qk_norm else None

    def forward(
        self,
        queries: Tensor,
        keys: Tensor | None = None,
        *,
        allowed: Tensor | None = None,
        bias: Tensor | None = None,
        is_causal: bool = False,
        rotation: tuple[Tensor, Tensor] | None = None,
        cache: Any | None = None,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Let each of `queries` read from `keys`.

        Args:
            queries: Shape (batch, target, width).
            keys: Shape (batch, source, width); also the values' source. Not given: the queries themselves, or, in a
                cross-attention whose cache is filled, what lies there.
            allowed: Boolean, broadcastable to (batch, heads, target, source); False hides a source position.
            bias: Added to the scaled scores; same shape as `allowed`. The faster form of a mask: a model builds it
                once (`nlpladder.nn.masks.additive_mask`) for all its layers.
            is_causal: Hide the positions after the query's own, without any mask in memory; no cache, no `bias`.
            rotation: Cosines and sines of `nlpladder.nn.positions.rotary_angles` for these queries and new keys.
            cache: A `Cache` of transformers for self-attention (new keys are appended to it), or an
                `EncoderDecoderCache`, whose cross-attention half is filled at the first step and read at all others.
            need_weights: Return the weights too, by the explicit path.

        Returns:
            The mixed values (batch, target, width) and the weights (batch, heads, target, source) or None.
        """
        query = self._split_heads(self.query(queries))  # (batch, heads, target, head_width)
        if self.query_norm is not None:
            query = self.query_norm(query)
        if rotation is not None:
            query = rotate(query, *rotation)
        key, value = self._keys_and_values(queries, keys, rotation, cache)
        if allowed is not None:
            hidden = additive_mask(allowed, query.dtype)
            bias = hidden if bias is None else bias + hidden
        mixed, weights = attend(
            query,
            key,
            value,
            bias=bias,
            is_causal=is_causal,
            dropout=self.dropout if self.training else 0.0,
            need_weights=need_weights,
        )
        return self.output(mixed.transpose(1, 2).flatten(-2)), weights  # (batch, target, width)

    def _keys_and_values(
        self, queries: Tensor, keys: Tensor | None, rotation: tuple[Tensor, Tensor] | None, cache: Any | None
    ) -> tuple[Tensor, Tensor]:
        """Return keys and values (batch, key-value heads, source, head_width), cached ones included."""
        is_cross = keys is not None
        halves = cache is not None and hasattr(cache, "cross_attention_cache")
        if is_cross and cache is not None and cache.is_updated.get(self.layer_index, False):
            layer = cache.cross_attention_cache.layers[self.layer_index]
            return layer.keys, layer.values
        source = queries if keys is None else keys
        key, value = self._split_heads(self.key(source)), self._split_heads(self.value(source))
        if self.key_norm is not None:
            key = self.key_norm(key)
        if rotation is not None:
            key = rotate(key, *rotation)
        if cache is None:
            return key, value
        if is_cross:
            cache.is_updated[self.layer_index] = True
            return cache.cross_attention_cache.update(key, value, self.layer_index)
        own = cache.self_attention_cache if halves else cache
        return own.update(key, value, self.layer_index)

    def _split_heads(self, states: Tensor) -> Tensor:
        """Turn (batch, length, heads * head_width) into (batch, heads, length, head_width)."""
        return states.unflatten(-1, (-1, self.head_width)).transpose(1, 2)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    bias: Tensor | None = None,
    is_causal: bool = False,
    dropout: float = 0.0,
    need_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Compute eq. 1 for all heads at once.

    The fused kernel is taken on accelerators, and on a CPU in float32 without dropout, where it wins nearly everywhere
    but in training on short texts (16 tokens). Elsewhere on a CPU the explicit path is taken: in bfloat16 training it
    is 1.3 to 10 times as fast (the fused backward pass is slow there), with dropout the two are about equal.

    Args:
        query: Shape (batch, heads, target, head_width).
        key: Shape (batch, key-value heads, source, head_width).
        value: Shape as `key`.
        bias: Added to the scaled scores, broadcastable to (batch, heads, target, source), in the queries' type.
        is_causal: Position t reads positions 0 ... t only; target and source are the same positions.
        dropout: Share of the weights set to zero.
        need_weights: Take the explicit path and return the weights (before dropout).

    Returns:
        The mixed values (batch, heads, target, head_width), and the weights (batch, heads, target, source) or None.
    """
    groups = query.shape[1] // key.shape[1]
    fused = query.device.type != "cpu" or (dropout == 0.0 and query.dtype == torch.float32)
    if fused and not need_weights:
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, dropout_p=dropout, is_causal=is_causal, enable_gqa=groups > 1
        )
        return mixed, None
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)  # (batch, heads, target, source)
    if is_causal:
        hidden = additive_mask(causal_mask(scores.shape[-2], scores.shape[-1], device=scores.device), scores.dtype)
        bias = hidden if bias is None else bias + hidden
    if bias is not None:
        scores = scores + bias
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    kept = drop_units(weights, dropout) if dropout else weights
    return kept @ value, weights if need_weights else None
