"""Bins of a feature: quantiles of the reference with open ends, or one a category; too small ones are merged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nlpladder.drift.features import Float

Int = npt.NDArray[np.int64]
#: Quantiles of a number.
BINS = 10
#: What the smaller sample must be expected to have in a bin where nothing has changed, for chi-square to hold: the
#: rule of thumb of Cochran (1954).
EXPECTED = 5.0


@dataclass(frozen=True)
class Bins:
    """Where the bins of a feature end.

    Attributes:
        edges: Ascending, (bins - 1,): bin k holds the values above edge k-1 and up to edge k.
        ordered: Whether neighbours may be merged; categories go into a common rest instead.
    """

    edges: Float
    ordered: bool

    @classmethod
    def of_numbers(cls, reference: Float) -> Bins:
        """Cut at the deciles of the reference, which occur in it, so that ties stay together.

        Below the smallest and above the largest value of the reference lies one open bin each, which the reference
        leaves empty: so values that are new differ even from a reference whose values are all equal.

        Args:
            reference: Without NaN, (rows,), at least one.
        """
        inner = np.quantile(reference, np.arange(1, BINS) / BINS, method="inverted_cdf")
        ends = [np.nextafter(reference.min(), -np.inf), reference.max()]
        return cls(np.unique(np.concatenate([inner, ends])), ordered=True)

    @classmethod
    def of_categories(cls, count: int) -> Bins:
        """Give each of the categories 0 … count-1 a bin, and one to all others."""
        return cls(np.arange(count, dtype=np.float64) + 0.5, ordered=False)

    def counts(self, values: Float) -> Float:
        """Return how many of `values` (no NaN) lie in each bin, (bins,)."""
        places = np.searchsorted(self.edges, values, side="left")
        return np.bincount(places, minlength=len(self.edges) + 1).astype(np.float64)


def merge_small(reference: Float, window: Float, *, ordered: bool) -> tuple[Float, Float]:
    """Merge bins until each may be expected to hold five of the smaller sample, see `EXPECTED`.

    What is expected follows from both samples together, never from their difference: the test stays valid, and a bin
    that only the window fills stays a bin of its own where it holds enough.

    Args:
        reference: Counts, (bins,).
        window: Counts, (bins,); parts of ones where copies do not count in full.
        ordered: Merge a bin with the next; otherwise all small ones with each other.

    Returns:
        Counts of both, (merged bins,); one bin alone where there is too little.
    """
    together = np.asarray(reference + window, dtype=np.float64)
    smaller, total = min(reference.sum(), window.sum()), together.sum()
    if smaller == 0:
        return reference.sum(keepdims=True), window.sum(keepdims=True)
    least = EXPECTED * total / smaller
    groups = _neighbours(together, least) if ordered else _with_rest(together, least)
    bins = int(groups.max()) + 1
    first, second = (
        np.asarray(np.bincount(groups, weights=counts, minlength=bins), dtype=np.float64)
        for counts in (reference, window)
    )
    return first, second


def _neighbours(together: Float, least: float) -> Int:
    """Number the groups from the left; what is left over at the end joins the last group."""
    groups = np.zeros(len(together), dtype=np.int64)
    group, held = 0, 0.0
    for place, count in enumerate(together.tolist()):
        groups[place] = group
        held += count
        if held >= least:
            group, held = group + 1, 0.0
    if held < least and group > 0:
        groups[groups == group] = group - 1
    return groups


def _with_rest(together: Float, least: float) -> Int:
    """Number the categories that are large enough; the others are the rest, which a too small rest shares with one."""
    large = together >= least
    if large.all():
        return np.arange(len(together))
    if not large.any():
        return np.zeros(len(together), dtype=np.int64)
    rest = int(large.sum())
    groups = np.where(large, np.cumsum(large) - 1, rest)
    if together[~large].sum() < least:
        smallest = int(np.flatnonzero(large)[np.argmin(together[large])])
        groups[~large] = groups[smallest]
    return groups
