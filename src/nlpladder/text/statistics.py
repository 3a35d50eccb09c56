"""Corpus statistics: how many words, how many different ones, their distribution, and what a change did to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError

IntArray = npt.NDArray[np.int64]

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
COVERAGE_SIZES = (100, 1_000, 5_000, 10_000, 20_000, 30_000, 50_000)


@dataclass(frozen=True, eq=False)
class CorpusStatistics:
    """Statistics of a corpus of tokenised texts.

    Attributes:
        types: The different tokens, the most frequent first, ties in alphabetical order.
        frequencies: Their counts, shape (types,): the Zipf plot is `ranks` against these.
        lengths: Tokens per text, shape (texts,).
        moving_average_ttr: Mean type-token ratio of all windows of `window` tokens (MATTR; Covington & McFall 2010):
            unlike the plain ratio it does not fall with the size of the corpus. The texts are read as one stream.
        window: The window of `moving_average_ttr`, smaller than asked for when the corpus is.
    """

    types: tuple[str, ...]
    frequencies: IntArray
    lengths: IntArray
    moving_average_ttr: float
    window: int

    @classmethod
    def from_tokens(cls, documents: Sequence[Sequence[str]], *, window: int = 500) -> CorpusStatistics:
        """Count a corpus.

        Args:
            documents: One list of tokens per text.
            window: Tokens of a window of the moving-average type-token ratio.

        Raises:
            DataError: when a document is a string instead of a list of tokens.
        """
        counts: Counter[str] = Counter()
        for index, tokens in enumerate(documents):
            if isinstance(tokens, str):
                raise DataError(f"Document {index} is a string; expected a list of tokens.")
            counts.update(tokens)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ids = {token: rank for rank, (token, _) in enumerate(ranked)}
        total = sum(counts.values())
        stream = np.fromiter((ids[token] for tokens in documents for token in tokens), dtype=np.int64, count=total)
        window = min(window, total)
        return cls(
            types=tuple(token for token, _ in ranked),
            frequencies=np.array([count for _, count in ranked], dtype=np.int64),
            lengths=np.array([len(tokens) for tokens in documents], dtype=np.int64),
            moving_average_ttr=_moving_average_ttr(stream, window),
            window=window,
        )

    @property
    def num_tokens(self) -> int:
        """Tokens in all texts."""
        return int(self.frequencies.sum())

    @property
    def num_types(self) -> int:
        """Different tokens."""
        return len(self.types)

    @property
    def num_hapaxes(self) -> int:
        """Types that occur once (hapax legomena)."""
        return int(np.count_nonzero(self.frequencies == 1))

    @property
    def type_token_ratio(self) -> float:
        """Types per token; falls as a corpus grows, so compare only corpora of one size."""
        return self.num_types / self.num_tokens if self.num_tokens else 0.0

    @property
    def yules_k(self) -> float:
        """Yule's characteristic K = 10^4 (sum of squared frequencies - N) / N^2 (Yule 1944); robust to length."""
        total = float(self.num_tokens)
        return 1e4 * (float(np.square(self.frequencies.astype(float)).sum()) - total) / total**2 if total else 0.0

    @property
    def ranks(self) -> IntArray:
        """Zipf ranks 1, 2, ..., shape (types,)."""
        return np.arange(1, self.num_types + 1)

    def zipf_exponent(self) -> float:
        """Fit s in "frequency is proportional to rank^-s" by maximum likelihood (Clauset et al. 2009, arXiv:0706.1062).

        A line through the log-log plot would give each of the thousands of rare types the weight of "the".

        Returns:
            The exponent, or NaN for fewer than two types.
        """
        from scipy.optimize import minimize_scalar

        if self.num_types < 2:
            return float("nan")
        log_ranks = np.log(self.ranks)
        mean_log_rank = float(self.frequencies @ log_ranks) / self.num_tokens

        def negative_log_likelihood(exponent: float) -> float:
            return exponent * mean_log_rank + float(np.log(np.exp(-exponent * log_ranks).sum()))

        return float(minimize_scalar(negative_log_likelihood, bounds=(0.0, 10.0), method="bounded").x)

    def coverage(self, vocabulary_size: int) -> float:
        """Return the share of tokens that the `vocabulary_size` most frequent types cover."""
        return float(self.frequencies[:vocabulary_size].sum()) / self.num_tokens if self.num_tokens else 0.0

    def types_for_coverage(self, share: float) -> int:
        """Return how many of the most frequent types cover at least `share` of the tokens."""
        if not self.num_tokens:
            return 0
        covered = np.cumsum(self.frequencies) / self.num_tokens
        return min(int(np.searchsorted(covered, share - 1e-12)) + 1, self.num_types)

    def length_quantiles(self) -> dict[str, float]:
        """Return quantiles of the tokens per text, by name ("q50" is the median)."""
        if not self.lengths.size:
            return {}
        values = np.quantile(self.lengths, QUANTILES)
        return {f"q{round(100 * q):02d}": float(value) for q, value in zip(QUANTILES, values, strict=True)}

    def to_dict(self, most_frequent: int = 20) -> dict[str, Any]:
        """Return the statistics as plain data for json.

        Args:
            most_frequent: How many types to list.
        """
        top = zip(self.types[:most_frequent], self.frequencies[:most_frequent].tolist(), strict=True)
        sizes = [size for size in COVERAGE_SIZES if size < self.num_types]
        exponent = self.zipf_exponent()
        return {
            "texts": len(self.lengths),
            "empty_texts": int((self.lengths == 0).sum()),
            "tokens": self.num_tokens,
            "types": self.num_types,
            "type_token_ratio": self.type_token_ratio,
            "moving_average_ttr": self.moving_average_ttr,
            "moving_average_ttr_window": self.window,
            "yules_k": self.yules_k,
            "hapaxes": self.num_hapaxes,
            "zipf_exponent": None if np.isnan(exponent) else exponent,
            "coverage": {str(size): self.coverage(size) for size in sizes},
            "types_for_95_percent": self.types_for_coverage(0.95),
            "mean_length": float(self.lengths.mean()) if self.lengths.size else 0.0,
            "length_quantiles": self.length_quantiles(),
            "most_frequent": [[token, count] for token, count in top],
        }


@dataclass(frozen=True)
class CorpusComparison:
    """What preprocessing did to a corpus.

    Attributes:
        before: Statistics of the texts as they came.
        after: Statistics of the texts as they left.
        vanished: Types that are gone, with how often they occurred, the most frequent first.
        appeared: Types that are new, likewise.
        change: Per text, the share of tokens that differ: 1 - the Dice coefficient of the two bags of tokens, from 0
            (the same tokens) to 1 (none in common). Shape (texts,).
    """

    before: CorpusStatistics
    after: CorpusStatistics
    vanished: tuple[tuple[str, int], ...]
    appeared: tuple[tuple[str, int], ...]
    change: npt.NDArray[np.float64]

    def most_changed(self, number: int = 5) -> list[int]:
        """Return the indices of the texts that changed most, ties by index."""
        return [int(index) for index in np.argsort(-self.change, kind="stable")[:number] if self.change[index] > 0]

    def to_dict(self, listed: int = 20) -> dict[str, Any]:
        """Return the comparison as plain data for json.

        Args:
            listed: How many vanished and new types to list.
        """
        return {
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "vanished_types": len(self.vanished),
            "vanished": [list(item) for item in self.vanished[:listed]],
            "appeared_types": len(self.appeared),
            "appeared": [list(item) for item in self.appeared[:listed]],
            "mean_change": float(self.change.mean()) if self.change.size else 0.0,
            "unchanged_texts": int((self.change == 0).sum()),
        }


def compare(before: Sequence[Sequence[str]], after: Sequence[Sequence[str]], *, window: int = 500) -> CorpusComparison:
    """Compare a corpus before and after preprocessing.

    Args:
        before: One list of tokens per text.
        after: The same texts, in the same order.
        window: As in `CorpusStatistics.from_tokens`.

    Raises:
        DataError: when the two have different numbers of texts.
    """
    if len(before) != len(after):
        raise DataError(f"There are {len(before)} texts before but {len(after)} after.")
    old, new = CorpusStatistics.from_tokens(before, window=window), CorpusStatistics.from_tokens(after, window=window)
    return CorpusComparison(
        before=old,
        after=new,
        vanished=_only_in(old, new),
        appeared=_only_in(new, old),
        change=np.array(
            [_dice_distance(one, other) for one, other in zip(before, after, strict=True)], dtype=np.float64
        ),
    )


def _only_in(one: CorpusStatistics, other: CorpusStatistics) -> tuple[tuple[str, int], ...]:
    known = set(other.types)
    return tuple(
        (token, count) for token, count in zip(one.types, one.frequencies.tolist(), strict=True) if token not in known
    )


def _dice_distance(one: Sequence[str], other: Sequence[str]) -> float:
    if not one and not other:
        return 0.0
    counts = Counter(one)
    shared = sum(min(counts[token], count) for token, count in Counter(other).items() if token in counts)
    return 1.0 - 2.0 * shared / (len(one) + len(other))


def _moving_average_ttr(stream: IntArray, window: int) -> float:
    """Average the type-token ratio over every window, in one pass without sliding.

    Position j holds a type that is new in the windows that start after the type's previous occurrence, so its share of
    the sum over windows is the number of starts s with previous(j) < s <= j, j - window < s and 0 <= s <= n - window.
    """
    total = len(stream)
    if not total:
        return 0.0
    order = np.argsort(stream, kind="stable")
    previous = np.full(total, -1, dtype=np.int64)
    same = stream[order][1:] == stream[order][:-1]
    previous[order[1:][same]] = order[:-1][same]
    position = np.arange(total)
    first = np.maximum(previous + 1, np.maximum(position - window + 1, 0))
    last = np.minimum(position, total - window)
    new_types = np.maximum(last - first + 1, 0).sum()
    return float(new_types) / (total - window + 1) / window
