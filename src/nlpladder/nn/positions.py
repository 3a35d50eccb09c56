"""Where a token stands: sinusoids, rotations and linear biases. (Learnt positions are an `nn.Embedding`.)

Nothing here is a buffer. A buffer that is not saved comes back from ``from_pretrained`` as uninitialised memory; these
tables cost some ten microseconds and are computed for the positions of the batch.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

PositionKind = Literal["sinusoidal", "sinusoidal_halves", "learned", "rotary", "alibi", "none"]


def sinusoidal_encoding(positions: Tensor, width: int, *, halves: bool = False) -> Tensor:
    """Return the sinusoids of `positions` (...) as (..., width) (Vaswani et al. 2017, section 3.5).

    PE(pos, 2i) = sin(pos / 10000^(2i/width)),  PE(pos, 2i+1) = cos(pos / 10000^(2i/width))

    Args:
        positions: Token positions, from 0.
        width: Model width D.
        halves: Put all sines before all cosines instead of in turn, as Marian does.
    """
    pairs = (width + 1) // 2
    steps = torch.arange(pairs, device=positions.device, dtype=torch.float32)
    frequencies = torch.exp(steps * (-2 * math.log(10_000.0) / width))
    angles = positions.unsqueeze(-1) * frequencies  # (..., pairs)
    if halves:
        return torch.cat([angles.sin(), angles.cos()], dim=-1)[..., :width]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)[..., :width]


def sinusoidal_positions(length: int, width: int, *, device: torch.device | None = None) -> Tensor:
    """Return the table (length, width) of `sinusoidal_encoding` for the positions 0 ... length - 1."""
    return sinusoidal_encoding(torch.arange(length, device=device), width)


def rotary_angles(positions: Tensor, head_width: int, *, theta: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Return cosines and sines for `rotate` (Su et al. 2021, "RoFormer", section 3.2.2).

    Args:
        positions: Shape (batch or 1, tokens).
        head_width: Width of one head; even.
        theta: Base of the frequencies, theta_i = theta^(-2i/head_width).

    Returns:
        Two tensors (batch or 1, 1, tokens, head_width / 2) in float32, ready to broadcast over the heads.
    """
    exponents = torch.arange(0, head_width, 2, device=positions.device, dtype=torch.float32) / head_width
    angles = positions.unsqueeze(-1) * (1.0 / theta**exponents)  # (batch, tokens, head_width / 2)
    angles = angles.unsqueeze(1)
    return angles.cos(), angles.sin()


def rotate(states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate each pair of `states` by its angle (Su et al. 2021, eq. 34), so that a dot product sees only distances.

    A pair is made of element i of the first half and element i of the second, the layout of Llama's checkpoints; the
    paper pairs neighbours, which is the same up to a permutation of the projections' rows.

    Args:
        states: Queries or keys, shape (batch, heads, tokens, head_width).
        cosines: From `rotary_angles`.
        sines: From `rotary_angles`.
    """
    first, second = states.chunk(2, dim=-1)
    cosines, sines = cosines.to(states.dtype), sines.to(states.dtype)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1)


def alibi_slopes(num_heads: int) -> list[float]:
    """Return one slope a head: 2^(-8/n), 2^(-16/n), ... (Press et al. 2022, "Train short, test long", section 3).

    For a number of heads that is no power of two the authors' code takes the slopes of the power below, then every
    other slope of the power above; so does this.
    """
    below = 2 ** math.floor(math.log2(num_heads))
    slopes = [2.0 ** (-8.0 * (head + 1) / below) for head in range(below)]
    if below < num_heads:
        slopes += [2.0 ** (-8.0 * (head + 1) / (2 * below)) for head in range(0, 2 * (num_heads - below), 2)]
    return slopes


def alibi_bias(num_heads: int, target: int, source: int, *, device: torch.device | None = None) -> Tensor:
    """Return what ALiBi adds to the scores: -slope * distance, shape (1, heads, target, source), float32.

    The targets are the last `target` of the `source` columns, as they are when earlier keys come from a cache. In an
    encoder, which also looks ahead, the distance is absolute.
    """
    columns = torch.arange(source, device=device)
    distance = (columns[source - target :, None] - columns[None, :]).abs()  # (target, source)
    slopes = torch.tensor(alibi_slopes(num_heads), device=device)
    return -(slopes[:, None, None] * distance).unsqueeze(0)
