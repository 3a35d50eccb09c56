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


def is_right_padded(mask: Tensor) -> bool:
    """Say whether in every row of `mask` (batch, tokens) all tokens come before all padding."""
    return bool((mask[:, 1:] <= mask[:, :-1]).all())


def positions_from_mask(mask: Tensor) -> Tensor:
    """Number the tokens of each row of `mask` (batch, tokens) from 0; padding on the left must not shift them."""
    return (mask.long().cumsum(dim=1) - 1).clamp(min=0)


def additive_mask(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a boolean mask into what is added to attention scores: 0 where allowed, the type's lowest number elsewhere.

    Not minus infinity: a row that may read nothing (padding) then gets a uniform mean instead of NaN.
    """
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, torch.finfo(dtype).min)


def causal_mask(target: int, source: int, *, device: torch.device | None = None) -> Tensor:
    """Return the boolean mask (target, source) that hides the future; the targets are the last columns."""
    return torch.ones(target, source, dtype=torch.bool, device=device).tril(source - target)


def document_mask(target_documents: Tensor, source_documents: Tensor) -> Tensor:
    """Allow attention within a document only: packed rows hold several texts that must not see each other.

    Args:
        target_documents: Number of each target token's document, shape (batch, target).
        source_documents: The same for the source, shape (batch, source).

    Returns:
        Boolean, shape (batch, 1, target, source): block-diagonal for one row's own tokens.
    """
    return (target_documents.unsqueeze(-1) == source_documents.unsqueeze(-2)).unsqueeze(1)


def positions_from_documents(documents: Tensor) -> Tensor:
    """Number the tokens of each document from 0. Shapes: (batch, tokens) -> (batch, tokens)."""
    index = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    is_start = torch.ones_like(documents, dtype=torch.bool)
    is_start[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return index - torch.where(is_start, index, 0).cummax(dim=1).values
