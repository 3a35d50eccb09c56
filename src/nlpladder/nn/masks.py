"""Helpers for padded batches. A mask is 1 (or True) where there is a token and 0 where there is padding."""

from __future__ import annotations

import torch
from torch import Tensor


def token_mask(input_ids: Tensor, attention_mask: Tensor | None, pad_token_id: int | None) -> Tensor:
    """Return the boolean mask (batch, tokens); derived from `pad_token_id` when no `attention_mask` is given."""
    if attention_mask is not None:
        return attention_mask.bool()
    if pad_token_id is None:
        return torch.ones_like(input_ids, dtype=torch.bool)
    return input_ids.ne(pad_token_id)


def reverse_within_length(sequences: Tensor, mask: Tensor) -> Tensor:
    """Reverse each row's tokens and leave its right padding where it is.

    A recurrent layer that reads the result sees the text backwards and never a pad before a token; applying the
    function twice gives the input back.

    Args:
        sequences: Shape (batch, tokens, width), padded on the right.
        mask: Shape (batch, tokens).
    """
    lengths = mask.sum(dim=1, keepdim=True)  # (batch, 1)
    positions = torch.arange(sequences.shape[1], device=sequences.device).unsqueeze(0)  # (1, tokens)
    source = torch.where(positions < lengths, lengths - 1 - positions, positions)  # (batch, tokens)
    return sequences.gather(1, source.unsqueeze(-1).expand_as(sequences))


def move_padding_right(input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Reorder each row so that its tokens, in order, come first.

    Args:
        input_ids: Shape (batch, tokens), padded on either side.
        mask: Shape (batch, tokens).

    Returns:
        The reordered ids and mask, of the same shapes.
    """
    order = torch.sort((~mask).to(torch.uint8), dim=1, stable=True).indices
    return input_ids.gather(1, order), mask.gather(1, order)
