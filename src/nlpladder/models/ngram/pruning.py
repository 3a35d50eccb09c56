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

#: Entries that are numbered or copied at a time, for that needs memory beside the result.
_CHUNK = 1 << 18


@dataclass(frozen=True)
class KeptEntries:
    """Which n-grams of a level stay.

    Attributes:
        kept: bool, shape (n-grams,).
        place: int32, shape (n-grams,): where an n-gram that stays stands among those that stay.
    """

    kept: npt.NDArray[np.bool_]
    place: npt.NDArray[np.int32]


def kept_entries(raw: AnyArray, threshold: int, unigrams: bool, workspace: Workspace) -> KeptEntries:
    """Return which n-grams occur more often than a threshold.

    Args:
        raw: How often each n-gram occurs, shape (n-grams,).
        threshold: N-grams that occur at most so often go; 0 keeps all, and every word of a closed vocabulary.
        unigrams: Whether these are words: ``<unk>``, ``<s>`` and ``</s>`` always stay.
        workspace: Where the result goes.
    """
    kept = workspace.empty(raw.size, np.bool_)
    if threshold:
        np.greater(raw, threshold, out=kept)
    else:
        kept[:] = True
    if unigrams:
        kept[: len(SPECIAL_WORDS)] = True
    place = workspace.empty(raw.size, np.int32)
    last = -1
    for start in range(0, raw.size, _CHUNK):
        place[start : start + _CHUNK] = np.cumsum(kept[start : start + _CHUNK]) + last
        last = int(place[min(start + _CHUNK, raw.size) - 1])
    return KeptEntries(kept, place)


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


def without(entries: AnyArray, start: int, stop: int, workspace: Workspace) -> AnyArray:
    """Return the entries before `start` and from `stop` on."""
    rest = workspace.empty(entries.size - (stop - start), entries.dtype)
    rest[:start] = entries[:start]
    rest[start:] = entries[stop:]
    return rest


def chosen(entries: AnyArray, kept: AnyArray, size: int, workspace: Workspace) -> AnyArray:
    """Return ``entries[kept]``, piece by piece.

    Args:
        entries: Shape (n,).
        kept: bool, shape (n,).
        size: How many are kept.
        workspace: Where the result goes.
    """
    result = workspace.empty(size, entries.dtype)
    used = 0
    for start in range(0, entries.size, _CHUNK):
        piece = entries[start : start + _CHUNK][kept[start : start + _CHUNK]]
        result[used : used + piece.size] = piece
        used += piece.size
    return result


def looked_up(table: AnyArray, places: AnyArray, workspace: Workspace) -> AnyArray:
    """Return ``table[places]``, piece by piece; shape and place as `chosen`."""
    result = workspace.empty(places.size, table.dtype)
    for start in range(0, places.size, _CHUNK):
        result[start : start + _CHUNK] = table[places[start : start + _CHUNK]]
    return result
