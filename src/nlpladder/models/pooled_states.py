"""One vector a text from the last layer's states of an encoder, pooled as sentence-transformers pools them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from nlpladder.models.masked_scoring import length_batches, padded
from nlpladder.models.sentence_pooling import Pooling


def pool(states: Tensor, mask: Tensor, modes: Sequence[str]) -> Tensor:
    """Return the pooled states of a batch (Reimers and Gurevych 2019, "Sentence-BERT", section 3, and their code).

    Args:
        states: Of the last layer, shape (batch, tokens, width); padding stands on the right.
        mask: 1 for tokens, 0 for padding, shape (batch, tokens).
        modes: Keys of `nlpladder.models.sentence_pooling.POOLING_KEYS`.

    Returns:
        Shape (batch, width times the number of modes).
    """
    kept = mask.unsqueeze(-1).to(states.dtype)  # (batch, tokens, 1)
    lengths = kept.sum(1).clamp(min=1e-9)  # (batch, 1)
    found = []
    for mode in modes:
        if mode == "cls":
            found.append(states[:, 0])
        elif mode == "max":
            found.append(states.masked_fill(kept == 0, -1e9).max(1).values)
        elif mode == "mean":
            found.append((states * kept).sum(1) / lengths)
        elif mode == "mean_sqrt_len_tokens":
            found.append((states * kept).sum(1) / lengths.sqrt())
        elif mode == "weightedmean":  # token t counts t times (Muennighoff 2022, "SGPT", section 3)
            weights = kept * torch.arange(1, states.shape[1] + 1, device=states.device, dtype=states.dtype)[:, None]
            found.append((states * weights).sum(1) / weights.sum(1).clamp(min=1e-9))
        else:
            last = mask.sum(1).long().sub(1).clamp(min=0)
            found.append(states[torch.arange(len(states), device=states.device), last])
    return torch.cat(found, dim=-1)


def pooled_states(
    model: Any, inputs: Sequence[Sequence[int]], pooling: Pooling, *, pad_id: int, tokens_per_batch: int
) -> npt.NDArray[np.float32]:
    """Return one vector an input, (inputs, width times the number of modes), in their order.

    Args:
        model: An encoder of transformers without a head, in evaluation mode.
        inputs: Token ids with special tokens, each (tokens,), at least one token.
        pooling: How states become a vector.
        pad_id: What shorter inputs are filled with.
        tokens_per_batch: Padded tokens of one forward pass.
    """
    device = next(model.parameters()).device
    width = model.config.hidden_size * len(pooling.modes)
    found = np.zeros((len(inputs), width), dtype=np.float32)
    for batch in length_batches([len(ids) for ids in inputs], tokens_per_batch):
        tensors = padded([inputs[number] for number in batch], pad_id, device)
        states = model(**tensors).last_hidden_state.float()  # (batch, tokens, width)
        mask = tensors.get("attention_mask", torch.ones(states.shape[:2], device=device))
        vectors = pool(states, mask, pooling.modes)
        if pooling.normalise:
            vectors = F.normalize(vectors, dim=-1)
        found[batch] = vectors.cpu().numpy()
    return found
