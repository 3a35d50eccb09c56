"""Filling rows of one length with texts of many lengths, and proof that the texts of a row do not see each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nlpladder.errors import ConfigError
from nlpladder.training.target_loss import TargetLoss, as_in_use, same_logits, uses_virtual_tokens


def first_fit_decreasing(lengths: np.ndarray, capacity: int) -> list[np.ndarray]:
    """Put texts, from long to short, each into the first row that has room for it.

    It needs at most 11/9 of the fewest possible rows, and 6/9 of a row (Dosa 2007); with many short texts the rows are
    nearly full. A tree over the rows keeps the largest room below each node, so that the first row with room is found
    in log2(rows) comparisons.

    Args:
        lengths: Tokens of each text, from long to short, shape (texts,), none above `capacity`.
        capacity: Tokens of a row.

    Returns:
        For each row the numbers of its texts.
    """
    leaves = 1 << max(len(lengths) - 1, 0).bit_length()
    room = [capacity] * (2 * leaves)  # node n stands above 2n and 2n + 1; row r is the leaf leaves + r
    rows: list[list[int]] = []
    for text, length in enumerate(lengths.tolist()):
        node = 1
        while node < leaves:
            node *= 2
            if room[node] < length:
                node += 1
        row = node - leaves
        if row == len(rows):
            rows.append([])
        rows[row].append(text)
        room[node] -= length
        node //= 2
        while node:
            left, right = room[2 * node], room[2 * node + 1]
            room[node] = left if left > right else right
            node //= 2
    return [np.array(row, dtype=np.int64) for row in rows]


def check_packing(model: Any, loss: TargetLoss) -> None:
    """Read two short texts packed in one row, and refuse a model whose texts see each other.

    Our Transformer takes ``document_ids``. The models of transformers are told by ``position_ids`` that start anew, as
    by its own ``DataCollatorWithFlattening``: those that hand them to ``create_causal_mask``, without an attention
    mask, get a block-diagonal one. A model that counts its positions itself, or keeps a recurrent state, does not.

    Args:
        model: A causal model, not yet wrapped for several processes.
        loss: Knows how the model is told where a text begins.

    Raises:
        ConfigError: if the second text's logits change with the first text, or are not those that it has alone.
    """
    name = type(loss.base).__name__
    if uses_virtual_tokens(model):
        raise ConfigError(
            "Prefix, prompt and P-tuning put learnt tokens before the first text of a packed row only: set pack to "
            "false, or train another adapter."
        )
    device, size = next(model.parameters()).device, int(loss.base.get_input_embeddings().weight.shape[0])
    first, second = torch.arange(5) % size, (torch.arange(5) + 5) % size
    positions = torch.arange(5).repeat(2)[None].to(device)
    documents = torch.arange(2).repeat_interleave(5)[None].to(device)
    arguments = {"use_cache": False} if loss.takes_cache else {}
    read = []
    try:
        with as_in_use(model):
            for before in (first, first.flip(0)):
                packed = torch.cat([before, second])[None].to(device)
                batch = {"input_ids": packed, "position_ids": positions, "document_ids": documents}
                read.append(model(**loss.inputs(batch), **arguments)["logits"][0, 5:].float())
            alone = model(input_ids=second[None].to(device), **arguments)["logits"][0].float()
    except (TypeError, KeyError) as error:
        raise ConfigError(
            f"{name} cannot be told where a text of a packed row begins ({error}): set pack to false."
        ) from error
    if not (torch.allclose(read[0], read[1], rtol=1e-6, atol=1e-7) and same_logits(read[0], alone)):
        raise ConfigError(
            f"{name} lets the texts of a packed row see each other, or counts their positions on: set pack to false."
        )
