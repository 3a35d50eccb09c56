"""Log-probabilities of long and many token sequences under a causal language model, in bounded memory.

Two kinds of context:

- A model with a limited number of positions reads windows. A window of W tokens moves by S tokens, and only what it
  has not scored before is scored, so that every token is scored once, with at least W - S tokens before it where there
  are so many ("sliding window", as the documentation of transformers computes GPT-2's perplexity). S = W is the fast
  way that forgets everything at each border; S = 1 gives every token all the context the model can take.
- A recurrent model reads a sequence chunk by chunk and hands its state on: no token loses context.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nlpladder.models.target_scores import TargetScores
from nlpladder.nn.output_loss import IGNORED

Ids = npt.NDArray[np.int64]
#: Logits of one forward pass at most, where they must be held (see `TargetScores`). On a CPU, 32 MiB of them are read
#: again from its cache: an LSTM with 33,000 words scored 1,512 tokens a second so, and 837 with four times as many.
_CPU_LOGITS_AT_ONCE = 2**23
_ACCELERATOR_LOGITS_AT_ONCE = 2**27
_TOKENS_AT_ONCE = 8192


@dataclass(frozen=True)
class Window:
    """A piece of a sequence that is read at once.

    Attributes:
        sequence: Number of the sequence.
        begin: First input that is read.
        end: Behind the last input.
        scored: First input whose next token is scored; those before it are context.
    """

    sequence: int
    begin: int
    end: int
    scored: int


def sliding_windows(length: int, *, window: int, stride: int, sequence: int = 0) -> Iterator[Window]:
    """Cover `length` inputs with windows of at most `window` that move by `stride`; each input is scored once.

    Args:
        length: Inputs of the sequence.
        window: Inputs a window holds at most.
        stride: Inputs that a window scores, but the first, which scores all of its own; from 1 to `window`.
        sequence: Number of the sequence.
    """
    scored = 0
    while scored < length:
        end = min(length, scored + stride) if scored else min(length, window)
        yield Window(sequence, max(0, end - window), end, scored)
        scored = end


def score_in_windows(
    model: Any, inputs: Sequence[Ids], targets: Sequence[Ids], *, window: int, stride: int, pad_id: int
) -> list[npt.NDArray[np.float64]]:
    """Return the log-probability of each target, reading windows.

    Windows of one length are read together, whatever text they are of; shorter ones are padded on the right, where a
    causal model never looks.

    Args:
        model: Any causal language model of transformers, or ours.
        inputs: Token ids of each sequence, shape (tokens,).
        targets: What follows each input, shape (tokens,); -100 is not scored.
        window: See `sliding_windows`.
        stride: See `sliding_windows`.
        pad_id: What shorter windows are filled with.

    Returns:
        For each sequence natural logarithms, shape (tokens,), 0 where the target is -100.
    """
    found = [np.zeros(len(ids)) for ids in inputs]
    windows = [
        part
        for number, ids in enumerate(inputs)
        for part in sliding_windows(len(ids), window=window, stride=stride, sequence=number)
    ]
    windows.sort(key=lambda part: (part.end - part.begin, part.sequence, part.begin))
    score = TargetScores(model)
    device = next(model.parameters()).device
    for batch in _batches(windows, _tokens_at_once(model, score.chunked)):
        longest = max(part.end - part.begin for part in batch)
        ids = np.full((len(batch), longest), pad_id, dtype=np.int64)
        aims = np.full((len(batch), longest), IGNORED, dtype=np.int64)
        mask = np.zeros((len(batch), longest), dtype=np.int64)
        for row, part in enumerate(batch):
            size, context = part.end - part.begin, part.scored - part.begin
            ids[row, :size] = inputs[part.sequence][part.begin : part.end]
            aims[row, context:size] = targets[part.sequence][part.scored : part.end]
            mask[row, :size] = 1
        first = min(part.scored - part.begin for part in batch)
        arguments: dict[str, Any] = {"use_cache": False}
        if not mask.all():  # without a mask, attention takes its fastest path
            arguments["attention_mask"] = torch.from_numpy(mask).to(device)
        wanted = torch.from_numpy(aims[:, first:]).to(device)  # (rows, tokens - first)
        scored, _ = score(wanted, input_ids=torch.from_numpy(ids).to(device), **arguments)
        scores = scored.double().cpu().numpy()
        for row, part in enumerate(batch):
            begin, end = part.scored - part.begin - first, part.end - part.begin - first
            found[part.sequence][part.scored : part.end] = scores[row, begin:end]
    return found


def score_with_state(
    model: Any, inputs: Sequence[Ids], targets: Sequence[Ids], *, chunk: int, pad_id: int
) -> list[npt.NDArray[np.float64]]:
    """Return the log-probability of each target under a recurrent model, which carries its state to the very end.

    Sequences are read side by side, the longest first, `chunk` tokens at a time; a row leaves when it has ended. What
    a row reads behind its end changes nothing that is kept.

    Args:
        model: Returns its state as `past_key_values`, with `batch_select_indices`.
        inputs: Token ids of each sequence, shape (tokens,).
        targets: What follows each input, shape (tokens,); -100 is not scored.
        chunk: Tokens of a row that are read at once, at most; fewer where the vocabulary is large.
        pad_id: What shorter rows are filled with.

    Returns:
        For each sequence natural logarithms, shape (tokens,), 0 where the target is -100.
    """
    found = [np.zeros(len(ids)) for ids in inputs]
    order = sorted(range(len(inputs)), key=lambda number: (-len(inputs[number]), number))
    score = TargetScores(model)
    budget = _tokens_at_once(model, score.chunked)
    device = next(model.parameters()).device
    rows_at_once = max(1, budget // chunk)
    start = 0
    while start < len(order):
        # The shorter the texts, the more of them fit into one forward pass.
        longest = max(1, len(inputs[order[start]]))
        rows = order[start : start + max(rows_at_once, budget // min(longest, chunk))]
        start += len(rows)
        step, begin, state = max(1, min(chunk, budget // len(rows))), 0, None
        while rows:
            width = min(step, len(inputs[rows[0]]) - begin)
            ids = np.full((len(rows), width), pad_id, dtype=np.int64)
            aims = np.full((len(rows), width), IGNORED, dtype=np.int64)
            for row, number in enumerate(rows):
                part = inputs[number][begin : begin + width]
                ids[row, : len(part)] = part
                aims[row, : len(part)] = targets[number][begin : begin + width]
            scored, output = score(
                torch.from_numpy(aims).to(device), input_ids=torch.from_numpy(ids).to(device),
                past_key_values=state, use_cache=True,
            )  # fmt: skip
            scores = scored.double().cpu().numpy()  # (rows, width)
            for row, number in enumerate(rows):
                end = min(begin + width, len(inputs[number]))
                found[number][begin:end] = scores[row, : end - begin]
            begin += width
            state = output.past_key_values
            going_on = sum(len(inputs[number]) > begin for number in rows)  # rows are sorted: the first ones
            if 0 < going_on < len(rows):
                state.batch_select_indices(torch.arange(going_on, device=device))
            rows = rows[:going_on]
    return found


def _tokens_at_once(model: Any, chunked: bool) -> int:
    """Return how many tokens are read at once: a bound on memory, and on the logits where all must be held."""
    if chunked:
        return _TOKENS_AT_ONCE
    output = model.get_output_embeddings()
    vocabulary = 50_000 if output is None else int(output.weight.shape[0])
    on_cpu = next(model.parameters()).device.type == "cpu"
    logits = _CPU_LOGITS_AT_ONCE if on_cpu else _ACCELERATOR_LOGITS_AT_ONCE
    return max(64, min(_TOKENS_AT_ONCE, logits // vocabulary))


def _batches(windows: Sequence[Window], tokens_at_once: int) -> Iterator[list[Window]]:
    """Cut windows, sorted by length, into batches of at most so many padded tokens."""
    batch: list[Window] = []
    for part in windows:
        if batch and (len(batch) + 1) * (part.end - part.begin) > tokens_at_once:
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch
