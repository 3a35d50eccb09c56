"""What stands between a model's scores and the next token: filters, draws, and what ends a text.

The filters are those of transformers, in its order. The last of them draws: it leaves one token per row, so that
`generate` of transformers, run greedily, takes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    StoppingCriteria,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from nlpladder.generation import GenerationOptions

#: Turns the token ids of a continuation into its text, given the number of the prompt in the batch; -1 is no prompt.
Decode = Callable[[int, Sequence[int]], str]


def random_streams(seed: int | None, indices: Sequence[int]) -> list[torch.Generator]:
    """Return a stream of random numbers for each prompt, which its number and the seed give."""
    streams = [torch.Generator() for _ in indices]
    for stream, index in zip(streams, indices, strict=True):
        if seed is None:
            stream.seed()
        else:
            stream.manual_seed((seed * 1_000_003 + index) % 2**63)
    return streams


def logits_processors(
    options: GenerationOptions,
    *,
    marks: Sequence[int],
    never: Sequence[int],
    mask: Tensor,
    streams: Sequence[torch.Generator],
    earlier: Sequence[Sequence[int]] = (),
) -> LogitsProcessorList:
    """Return the filters and the draw, in the order of transformers.

    Args:
        options: What to apply.
        marks: Ids that the repetition penalty leaves alone.
        never: Ids that are never drawn.
        mask: 0 where a row is padded, shape (rows, prompt).
        streams: The random numbers of each row.
        earlier: Ids of each row that the model reads no more, for the repetition penalty.
    """
    found: list[LogitsProcessor] = []
    if never:
        found.append(SuppressTokensLogitsProcessor(list(never), device=str(mask.device)))
    if options.repetition_penalty != 1.0:
        found.append(RepetitionPenalty(options.repetition_penalty, marks, mask, earlier))
    if options.do_sample:
        if options.temperature != 1.0:
            found.append(TemperatureLogitsWarper(options.temperature))
        if options.top_k:
            found.append(TopKLogitsWarper(options.top_k))
        if options.top_p < 1.0:
            found.append(TopPLogitsWarper(options.top_p))
        if options.min_p:
            found.append(MinPLogitsWarper(options.min_p))
        found.append(Draw(streams))
    return LogitsProcessorList(found)


class RepetitionPenalty(LogitsProcessor):
    """Keskar et al. 2019, equation 2, as transformers reads it (negative scores are multiplied), marks left alone.

    The mark that every prompt begins after is often the end mark too: penalised, no text would end.

    Args:
        penalty: Above 1 makes what was said less probable.
        marks: Ids that are left alone.
        mask: 0 where a row is padded, shape (rows, prompt).
        earlier: Ids of each row that the model reads no more.
    """

    def __init__(
        self, penalty: float, marks: Sequence[int], mask: Tensor, earlier: Sequence[Sequence[int]] = ()
    ) -> None:
        self.penalty, self.marks, self.mask = penalty, torch.tensor(list(marks), device=mask.device), mask.bool()
        self.earlier = [torch.tensor(sorted(set(ids) - set(marks)), dtype=torch.long) for ids in earlier]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores, (rows, vocabulary), after what `input_ids` hold, (rows, tokens)."""
        beams = len(input_ids) // len(self.mask)
        counts = ~torch.isin(input_ids, self.marks)
        counts[:, : self.mask.shape[1]] &= self.mask.repeat_interleave(beams, dim=0)  # padding was never said
        seen = torch.zeros_like(scores)
        seen.scatter_add_(1, input_ids, counts.to(scores.dtype))  # (rows, vocabulary)
        for row, ids in enumerate(self.earlier):
            seen[row, ids.to(seen.device)] = 1.0
        return torch.where(seen > 0, torch.where(scores < 0, scores * self.penalty, scores / self.penalty), scores)


class Draw(LogitsProcessor):
    """Draws one token of each row and leaves no other; each row has its own stream of random numbers."""

    def __init__(self, streams: Sequence[torch.Generator]) -> None:
        self.streams = streams

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return 0 for the drawn token of each row and minus infinity for all others, (rows, vocabulary)."""
        points = torch.stack([torch.rand((), generator=one, dtype=torch.float64) for one in self.streams])
        mass = torch.softmax(scores.double(), dim=-1).cumsum(-1)  # (rows, vocabulary)
        # Scaled to each row's own total, a rounding error there cannot choose a token without mass.
        points = (points.to(mass.device) * mass[:, -1])[:, None]
        drawn = torch.searchsorted(mass, points, right=True).clamp(max=scores.shape[1] - 1)  # (rows, 1)
        return torch.full_like(scores, -torch.inf).scatter_(1, drawn, 0.0)


class StopAtText(StoppingCriteria):
    """Ends a row once its new text holds a stop string.

    Args:
        stop_strings: Any of them.
        decode: Turns new ids into text.
        prompt_length: Ids that the model read before the new ones.
        rows: The number that `decode` knows each row by.
        before: New ids of each row that were written in an earlier call.
    """

    def __init__(
        self,
        stop_strings: Sequence[str],
        decode: Decode,
        prompt_length: int,
        rows: Sequence[int],
        before: Sequence[Sequence[int]],
    ) -> None:
        self.stop_strings, self.decode, self.prompt_length = stop_strings, decode, prompt_length
        self.rows, self.before = rows, before
        # A token has at least a byte, a character at most four. Anything that ended earlier was seen earlier.
        self.tail = 4 * max(map(len, stop_strings)) + 8

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        """Return which rows have ended, (rows,)."""
        beams = len(input_ids) // len(self.rows)
        found = []
        for place, new in enumerate(input_ids[:, self.prompt_length :].tolist()):
            row, ids = self.rows[place // beams], [*self.before[place // beams][-self.tail :], *new]
            whole = len(self.before[place // beams]) + len(new) <= self.tail
            text = self.decode(row, ids) if whole else self.decode(-1, ids[-self.tail :])
            found.append(any(stop in text for stop in self.stop_strings))
        return torch.tensor(found, device=input_ids.device)


class StopWhenCancelled(StoppingCriteria):
    """Ends all rows once an event is set."""

    def __init__(self, cancelled: threading.Event) -> None:
        self.cancelled = cancelled

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        """Return the same for all rows, (rows,)."""
        return torch.full((len(input_ids),), self.cancelled.is_set(), device=input_ids.device)
