"""Normalisation of a token's vector: layer normalisation and root-mean-square normalisation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

NormKind = Literal["layer", "rms"]


class RMSNorm(nn.Module):
    """Root-mean-square normalisation (Zhang & Sennrich 2019, eq. 4): no mean is taken away and there is no bias.

    y_i = a_i / RMS(a) * g_i,  RMS(a) = sqrt(mean_j a_j^2 + epsilon)

    The root is taken in float32 whatever the input's type.

    Args:
        width: Size of the last dimension.
        epsilon: Keeps the root of a zero vector away from zero.
    """

    def __init__(self, width: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, hidden: Tensor) -> Tensor:
        """Normalise `hidden` (..., width)."""
        states = hidden.float()
        scale = torch.rsqrt(states.square().mean(dim=-1, keepdim=True) + self.epsilon)
        return self.weight * (states * scale).to(hidden.dtype)

    def extra_repr(self) -> str:
        """Show the size in the model's printout."""
        return f"{self.weight.shape[0]}, epsilon={self.epsilon}"


def build_norm(kind: NormKind, width: int, epsilon: float = 1e-5) -> nn.Module:
    """Return a LayerNorm (Ba et al. 2016, eq. 4, with gain and bias) or an `RMSNorm`."""
    return nn.LayerNorm(width, eps=epsilon) if kind == "layer" else RMSNorm(width, epsilon)
