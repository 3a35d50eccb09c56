"""Dropout (Srivastava et al. 2014): what is dropped, and for how long the same mask is kept.

* `drop_units`, `Dropout`: single units, at each position anew.
* `LockedDropout`: one mask a text, the same at every time step (Gal & Ghahramani 2016, section 4).
* `embed_with_word_dropout`: whole words are dropped, everywhere in the batch (the same paper, section 4.2).
* `drop_weights`: single recurrent weights are dropped (DropConnect; Merity et al. 2018, section 2).

All of them scale what is kept by 1 / (1 - rate), so that nothing changes at test time.

On a CPU torch draws a whole random number for each unit, one after the other: in a small Transformer that is a fifth of
a training step. Here eight units share one 64-bit number, which is about five times as fast. On accelerators, whose
generators are parallel, torch's own kernel is used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlpladder.errors import ConfigError

_VALUES_OF_A_BYTE = 256


def drop_units(states: Tensor, rate: float) -> Tensor:
    """Set each unit to zero with probability `rate` and scale the others by 1 / (1 - rate).

    On a CPU the rate is rounded to a multiple of 1/256, and the scale is that of the rounded rate, so that the
    expectation is exact. Only for training; callers leave it out otherwise.

    Args:
        states: Any shape.
        rate: Share of the units that are dropped, from 0 to below 1.
    """
    if states.device.type != "cpu":
        return F.dropout(states, rate)
    dropped = min(round(rate * _VALUES_OF_A_BYTE), _VALUES_OF_A_BYTE - 1)
    if dropped == 0:
        return states
    return states * keep_mask(states, dropped).mul_(_VALUES_OF_A_BYTE / (_VALUES_OF_A_BYTE - dropped))


def keep_mask(states: Tensor, dropped: int) -> Tensor:
    """Return ones where a unit is kept and zeros where it is dropped, in the shape and type of `states`.

    Args:
        states: Gives shape and type.
        dropped: How many of the 256 values of a byte drop a unit.
    """
    count = states.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    random_bytes = words.view(torch.uint8)[:count].view(states.shape)
    return (random_bytes >= dropped).to(states.dtype)


def check_rate(name: str, rate: float) -> None:
    """Refuse a dropout rate outside [0, 1).

    Raises:
        ConfigError: The rate would drop a negative share, or everything.
    """
    if not 0.0 <= rate < 1.0:
        raise ConfigError(f"{name} is {rate}; a dropout rate is at least 0 and below 1.")


class Dropout(nn.Module):
    """`drop_units` as a layer, in training.

    Args:
        rate: Share of the units that are dropped.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        check_rate("rate", rate)
        self.rate = rate

    def forward(self, states: Tensor) -> Tensor:
        """Drop units of `states`, of any shape."""
        return drop_units(states, self.rate) if self.training and self.rate else states

    def extra_repr(self) -> str:
        """Show the rate where the model is printed."""
        return f"rate={self.rate}"


class LockedDropout(nn.Module):
    """Dropout whose mask is drawn once a text and used at every one of its time steps.

    Gal & Ghahramani 2016, section 4 ("variational" dropout): drawing a new mask at every step would make the noise
    average out over a long text, and the network would learn to ignore it.

    Args:
        rate: Share of the units that are dropped.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        check_rate("rate", rate)
        self.rate = rate

    def forward(self, states: Tensor) -> Tensor:
        """Drop the same units of `states` (batch, tokens, width) at all tokens of a text, in training."""
        if not self.training or self.rate == 0.0:
            return states
        return states * drop_units(states.new_ones(states.shape[0], 1, states.shape[2]), self.rate)  # over the tokens

    def extra_repr(self) -> str:
        """Show the rate where the model is printed."""
        return f"rate={self.rate}"


def make_dropout(rate: float, *, locked: bool) -> nn.Module:
    """Return the dropout layer for states (batch, tokens, width).

    Args:
        rate: Share of the units that are dropped.
        locked: Keep the mask over the tokens of a text; else draw one for each token.
    """
    check_rate("rate", rate)
    return LockedDropout(rate) if locked else Dropout(rate)


def embed_with_word_dropout(input_ids: Tensor, embeddings: nn.Embedding, rate: float, *, training: bool) -> Tensor:
    """Look words up in a table of which whole rows are dropped.

    A dropped word is missing wherever it stands in the batch. Only the words of the batch need a mask: one number for
    each row of the table is drawn, and the looked-up vectors are scaled with it, which equals to dropping rows of the
    table and costs nothing that grows with its width.

    Args:
        input_ids: Shape (batch, tokens).
        embeddings: The table (vocabulary, width).
        rate: Share of the words that are dropped.
        training: Outside training nothing is dropped.

    Returns:
        Vectors of shape (batch, tokens, width).
    """
    vectors = embeddings(input_ids)
    if not training or rate == 0.0:
        return vectors
    kept = drop_units(vectors.new_ones(embeddings.num_embeddings), rate)  # (vocabulary,)
    return vectors * F.embedding(input_ids, kept.unsqueeze(1))  # (batch, tokens, 1) over the width


def drop_weights(weight: Tensor, rate: float, *, training: bool) -> Tensor:
    """Return `weight` with a share of its entries dropped; the parameter itself is left alone.

    DropConnect on the hidden-to-hidden matrices (Merity et al. 2018, section 2). The matrix is dropped once for a
    whole block of text, so the fused kernels can be used, and the mask is the same at every time step.

    Args:
        weight: Any shape; for a recurrent layer (gates * hidden, hidden).
        rate: Share of the entries that are dropped.
        training: Outside training the parameter itself is returned.
    """
    if not training or rate == 0.0:
        return weight
    return drop_units(weight, rate)
