"""From one vector a token to one vector a text, with padding left out."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average over tokens. Shapes: hidden (batch, tokens, width), mask (batch, tokens) -> (batch, width)."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def masked_max(hidden: Tensor, mask: Tensor) -> Tensor:
    """Maximum over tokens; 0 for an empty text. Shapes as `masked_mean`."""
    lowest = torch.finfo(hidden.dtype).min
    pooled = hidden.masked_fill(~mask.bool().unsqueeze(-1), lowest).amax(dim=1)
    return pooled.masked_fill(pooled == lowest, 0.0)


class AttentionPooling(nn.Module):
    """A learnt weighted mean over tokens (Yang et al. 2016, "Hierarchical attention networks", eq. 5-7).

    u_t = tanh(W h_t + b),  a_t = softmax_t(u_t . u_w),  s = sum_t a_t h_t

    Args:
        width: Size of a token's vector.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(width, width)
        self.context = nn.Linear(width, 1, bias=False)

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Pool `hidden` (batch, tokens, width) under `mask` (batch, tokens).

        Returns:
            The pooled vectors (batch, width) and the weights (batch, tokens), which sum to 1 over the tokens.
        """
        scores = self.context(torch.tanh(self.projection(hidden))).squeeze(-1).float()  # (batch, tokens)
        weights = torch.softmax(scores.masked_fill(~mask.bool(), torch.finfo(scores.dtype).min), dim=1)
        return torch.einsum("bt,btd->bd", weights.to(hidden.dtype), hidden), weights
