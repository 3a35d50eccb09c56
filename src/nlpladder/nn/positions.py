"""Where a token stands: sinusoidal positions (Vaswani et al. 2017, section 3.5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoidal_positions(length: int, width: int, *, device: torch.device | None = None) -> Tensor:
    """Return the table (length, width): PE(pos, 2i) = sin(pos / 10000^(2i/width)), PE(pos, 2i+1) = cos of the same.

    Computed when needed instead of kept as a buffer: it has no parameters, no length limit and nothing to save.
    """
    positions = torch.arange(length, device=device, dtype=torch.float32).unsqueeze(1)  # (length, 1)
    pairs = (width + 1) // 2
    frequencies = torch.exp(torch.arange(pairs, device=device, dtype=torch.float32) * (-2 * math.log(10_000.0) / width))
    angles = positions * frequencies  # (length, pairs)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]
