"""Pruning: n-grams that occur too rarely leave the model; their probability goes to shorter contexts.

As ``lmplz --prune``: thresholds look at raw counts, also where Kneser-Ney counts contexts; discounts and the totals of
contexts are those of all n-grams. The thresholds do not decrease with the order, so that the prefix and the suffix of
an n-gram that stays, stay too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nlpladder.models.ngram.levels import SPECIAL_WORDS
from nlpladder.models.ngram.workspace import AnyArray, Workspace


@dataclass(frozen=True)
class KeptEntries:
    """Which n-grams of a level stay.

    Attributes:
        kept: bool, shape (n-grams,).
        place: int32, shape (n-grams,): where an n-gram that stays stands among those that stay.
    """

    kept: npt.NDArray[np.bool_]
    place: npt.NDArray[np.int32]


def kept_entries(raw: AnyArray, threshold: int, unigrams: bool) -> KeptEntries:
    """Return which n-grams occur more often than a threshold.

    Args:
        raw: How often each n-gram occurs, shape (n-grams,).
        threshold: N-grams that occur at most so often go; 0 keeps all, and every word of a closed vocabulary.
        unigrams: Whether these are words: ``<unk>``, ``<s>`` and ``</s>`` always stay.
    """
    kept = raw > threshold if threshold else np.ones(raw.size, bool)
    if unigrams:
        kept[: len(SPECIAL_WORDS)] = True
    return KeptEntries(kept, np.cumsum(kept, dtype=np.int32) - np.int32(1))


def mark_pruned(count: AnyArray, kept: npt.NDArray[np.bool_], workspace: Workspace) -> AnyArray:
    """Return counts that are negative where an n-gram is pruned, as the kernels read them.

    Args:
        count: Counts that the estimate reads, shape (n-grams,).
        kept: Which n-grams stay.
        workspace: Where the counts go.
    """
    marked = workspace.empty(count.size, count.dtype)
    np.negative(count, out=marked)
    np.copyto(marked, count, where=kept)
    return marked
