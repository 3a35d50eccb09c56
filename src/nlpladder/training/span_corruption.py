"""Span corruption, the objective of T5 (Raffel et al. 2020, section 3.1.4 and figure 2).

    text     Thank you for inviting me to your party last week .
    input    Thank you <extra_id_0> me to your party <extra_id_1> week . </s>
    target   <extra_id_0> for inviting <extra_id_1> last <extra_id_2> </s>

Spans of the text are cut out, and each leaves a sentinel. The target is the spans, each after its sentinel, with one
more sentinel at the end, as the paper has it. (The released code leaves that last one out, since its masks always end
with a span.) 15 % of the tokens are cut out, in spans of three tokens on average, whose lengths are drawn as
``random_spans_noise_mask`` of the released code draws them: the noise tokens are divided at random into so many
non-empty spans, the others into as many, and the two kinds alternate, beginning with text that stays. How many tokens
and spans are cut out follows from the number of tokens alone, so that rows of one length stay rows of one length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError
from nlpladder.training.sequence_data import ParallelRows, TokenRows

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SpanNoise:
    """How text is corrupted.

    Attributes:
        sentinel_ids: Ids of <extra_id_0>, <extra_id_1>, … in this order.
        eos_id: Ends inputs and targets.
        density: Share of the tokens that are cut out.
        mean_length: Mean tokens of a span that is cut out.
    """

    sentinel_ids: tuple[int, ...]
    eos_id: int
    density: float = 0.15
    mean_length: float = 3.0

    def counts(self, num_tokens: int) -> tuple[int, int]:
        """Return how many of `num_tokens` tokens are cut out, and in how many spans."""
        noise = min(max(round(num_tokens * self.density), 1), num_tokens - 1)
        spans = max(round(noise / self.mean_length), 1)
        return noise, min(spans, noise, num_tokens - noise)

    def lengths(self, num_tokens: int) -> tuple[int, int]:
        """Return the length of input and target of `num_tokens` tokens: sentinels and end marks included."""
        noise, spans = self.counts(num_tokens)
        return num_tokens - noise + spans + 1, noise + spans + 2

    def tokens_for(self, input_length: int) -> int:
        """Return how many tokens make an input of at most `input_length`, as many as do.

        Raises:
            ConfigError: The input is too short for a span, or there are fewer sentinels than spans.
        """
        if input_length < 4:
            raise ConfigError(f"Span corruption needs inputs of at least 4 tokens; max_length is {input_length}.")
        tokens = 2
        while self.lengths(tokens + 1)[0] <= input_length:
            tokens += 1
        if self.counts(tokens)[1] >= len(self.sentinel_ids):
            raise ConfigError(
                f"An input of {input_length} tokens has {self.counts(tokens)[1]} spans, but there are only "
                f"{len(self.sentinel_ids)} sentinels, one of which ends the target. Lower max_length or noise_density, "
                "or raise mean_span_length."
            )
        return tokens


def random_segments(items: int, segments: int, rows: int, generator: np.random.Generator) -> Ids:
    """Divide `items` things into `segments` non-empty segments, all divisions alike probable, `rows` times.

    Returns:
        The lengths, shape (rows, segments); each row sums to `items`.
    """
    borders = np.zeros((rows, items), dtype=bool)  # whether a segment begins here, beside the first
    borders[:, 1:segments] = True
    borders[:, 1:] = generator.permuted(borders[:, 1:], axis=1)
    starts = np.nonzero(borders)[1].reshape(rows, segments - 1)
    edges = np.concatenate([np.zeros((rows, 1), np.int64), starts, np.full((rows, 1), items)], axis=1)
    return np.diff(edges, axis=1)


def random_spans_mask(num_tokens: int, rows: int, noise: SpanNoise, generator: np.random.Generator) -> Mask:
    """Return which tokens are cut out, shape (rows, tokens): text that stays and spans alternate, text first."""
    cut, spans = noise.counts(num_tokens)
    kept_lengths = random_segments(num_tokens - cut, spans, rows, generator)
    cut_lengths = random_segments(cut, spans, rows, generator)
    lengths = np.stack([kept_lengths, cut_lengths], axis=2).reshape(rows, 2 * spans)  # (rows, alternating segments)
    starts = np.cumsum(lengths, axis=1)[:, :-1]
    flips = np.zeros((rows, num_tokens), dtype=bool)
    np.put_along_axis(flips, starts, True, axis=1)
    return np.logical_xor.accumulate(flips, axis=1)


def corrupt(tokens: Ids, cut: Mask, noise: SpanNoise) -> tuple[Ids, Ids]:
    """Return inputs and targets of rows of equal length.

    Args:
        tokens: Shape (rows, tokens).
        cut: From `random_spans_mask`, the same shape: each row begins with text that stays, and has equally many
            tokens and spans that are cut out.
        noise: Gives the sentinels and the end mark.

    Returns:
        Inputs (rows, input length) and targets (rows, target length); see `SpanNoise.lengths`.
    """
    rows = len(tokens)
    sentinels = np.asarray(noise.sentinel_ids)
    end = np.full((rows, 1), noise.eos_id)
    spans = int((cut[:1, 1:] & ~cut[:1, :-1]).sum())
    inputs = _with_sentinels(tokens, cut, sentinels)
    # Seen from the target it is the text that stays of which each stretch leaves a sentinel: the one of the span after.
    targets = _with_sentinels(tokens, ~cut, sentinels)
    last = np.full((rows, int(cut[0, -1])), sentinels[spans])  # text after the last span has left it already
    return np.concatenate([inputs, end], axis=1), np.concatenate([targets, last, end], axis=1)


def _with_sentinels(tokens: Ids, dropped: Mask, sentinels: Ids) -> Ids:
    """Put a sentinel in the place of each stretch of dropped tokens; equally many tokens remain in each row."""
    first = dropped.copy()  # of a stretch
    first[:, 1:] &= ~dropped[:, :-1]
    numbers = np.cumsum(first, axis=1) - 1  # (rows, tokens): of the stretch begun last
    replaced = np.where(first, sentinels[np.maximum(numbers, 0)], tokens)
    return replaced[~dropped | first].reshape(len(tokens), -1)


def restore(inputs: Sequence[int], targets: Sequence[int], noise: SpanNoise) -> list[int]:
    """Return the text that `corrupt` made an input and a target of; the end marks are left out."""
    numbers = {sentinel: number for number, sentinel in enumerate(noise.sentinel_ids)}
    spans: list[list[int]] = []
    for token in targets[:-1]:
        if token in numbers:
            spans.append([])
        else:
            spans[-1].append(token)
    restored: list[int] = []
    for token in inputs[:-1]:
        restored.extend(spans[numbers[token]] if token in numbers else [token])
    return restored


class SpanCorruptedRows(ParallelRows):
    """Corrupted rows of text, corrupted anew in each epoch: pairs for an encoder-decoder.

    Spans depend on seed and epoch only, so that a resumed run sees those of the uninterrupted one; the lengths of the
    rows are the same in every epoch. A running text is also cut at other places in each epoch: it is a ring that
    begins elsewhere.

    Args:
        texts: Token ids, without end marks: either rows, or one running text, an array of shape (tokens,).
        noise: How rows are corrupted.
        input_length: Tokens an input has at most; a longer row becomes several.
        seed: See above.

    Raises:
        DataError: There are fewer than two tokens in any row.
        ConfigError: No span fits into an input, or there are too few sentinels.
    """

    def __init__(self, texts: Iterable[Sequence[int]] | Ids, *, noise: SpanNoise, input_length: int, seed: int) -> None:
        self.noise = noise
        self.seed = seed
        self.epoch = -1
        width = noise.tokens_for(input_length)
        self.is_running = isinstance(texts, np.ndarray) and texts.ndim == 1
        stretches = [np.asarray(row, dtype=np.int64) for row in ([texts] if self.is_running else texts)]
        pieces = [row[start : start + width] for row in stretches for start in range(0, len(row), width)]
        # A row of one token has nothing that could be cut out and leave text.
        pieces = [piece for piece in pieces if len(piece) >= 2]
        if not pieces:
            raise DataError("There is no text of at least two tokens to cut spans out of.")
        self.ids = np.concatenate(pieces)
        self.lengths = np.array([len(piece) for piece in pieces])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.set_epoch(0)

    @property
    def num_tokens(self) -> int:
        """Tokens of text in one epoch."""
        return len(self.ids)

    def set_epoch(self, epoch: int) -> None:
        """Draw the spans of an epoch."""
        if epoch == self.epoch:
            return
        self.epoch = epoch
        generator = np.random.default_rng((self.seed, epoch))
        ids = np.roll(self.ids, -int(generator.integers(len(self.ids)))) if self.is_running and epoch else self.ids
        inputs: list[Any] = [self.ids] * len(self.lengths)
        targets = list(inputs)
        for length in np.unique(self.lengths).tolist():
            rows = np.flatnonzero(self.lengths == length)
            tokens = ids[self.starts[rows][:, None] + np.arange(length)]  # (rows, tokens)
            cut = random_spans_mask(length, len(rows), self.noise, generator)
            for row, source, target in zip(rows.tolist(), *corrupt(tokens, cut, self.noise), strict=True):
                inputs[row], targets[row] = source, target
        self.source, self.target = TokenRows(inputs), TokenRows(targets)
