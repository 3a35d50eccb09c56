"""Kneser-Ney: lower orders count in how many contexts an n-gram occurs, not how often.

Kneser and Ney (1995); interpolated and with three discounts: Chen and Goodman (1999). `lmplz` of KenLM (Heafield et al.
2013) is the reference: the estimates are equal to its, entry by entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nlpladder.models.ngram.counting import CountLevel
from nlpladder.models.ngram.levels import SENTENCE_START
from nlpladder.models.ngram.workspace import AnyArray, Workspace

#: Entries that are looked through at a time.
_CHUNK = 1 << 18


def adjusted_counts(
    levels: Sequence[CountLevel], suffixes: Sequence[AnyArray], workspace: Workspace, num_threads: int
) -> list[AnyArray]:
    """Return the adjusted counts of each level.

    The highest order keeps its counts. Below it, an n-gram counts the distinct words that stand before it (the start
    of a sentence is one of them); one that begins with ``<s>`` can have none and keeps its count. ``<s>`` itself is
    never predicted: its count is zero.

    Args:
        levels: Counted n-grams.
        suffixes: For each level from 2 on, its n-grams without their first word, as places in the level below; the
            first entry (unigrams have none) is not read.
        workspace: Where the counts go.
        num_threads: Levels to do at a time.
    """
    from nlpladder.models.ngram.estimation_kernels import count_left_extensions

    starts = sentence_starts(levels)

    def adjust(number: int) -> AnyArray:
        level = levels[number]
        adjusted = workspace.full(len(level), 0, level.count.dtype)
        count_left_extensions(suffixes[number + 1], adjusted)
        begin, end = starts[number]
        adjusted[begin:end] = level.count[begin:end]
        return adjusted

    with ThreadPoolExecutor(num_threads) as threads:
        adjusted = [*threads.map(adjust, range(len(levels) - 1)), levels[-1].count]
    adjusted[0] = adjusted[0].copy()
    adjusted[0][SENTENCE_START] = 0
    return adjusted


def sentence_starts(levels: Sequence[CountLevel]) -> list[tuple[int, int]]:
    """Return where the n-grams that begin with ``<s>`` stand in each level: first place, and the one after the last.

    They stand together, for a level is sorted by first word before all else.
    """
    places = [(SENTENCE_START, SENTENCE_START + 1)]
    for level in levels[1:]:
        begin, end = np.searchsorted(level.prefix, np.array(places[-1], dtype=level.prefix.dtype))
        places.append((int(begin), int(end)))
    return places


def last_ngrams(levels: Sequence[CountLevel], suffixes: Sequence[AnyArray]) -> list[int | None]:
    """Return for each level the n-gram that `lmplz` takes into the discounts with its raw count.

    ``lmplz`` reads n-grams sorted from their last word backwards. When the text ends, the lower-order n-grams that are
    still open enter its statistics with their counts, where all others enter with their adjusted counts
    (adjust_counts.cc, "The above loop outputs n-grams when it observes changes").

    Args:
        levels: Counted n-grams.
        suffixes: As for `adjusted_counts`.

    Returns:
        A place for each level; None for the highest order, and where the n-gram begins with ``<s>``: its counts agree.
    """
    places: list[int | None] = [None] * len(levels)
    if len(levels) < 2:
        return places
    starts = sentence_starts(levels)
    place = int(np.flatnonzero(levels[0].count)[-1])
    for number in range(len(levels) - 1):
        begin, end = starts[number]
        if begin <= place < end:
            break
        places[number] = place
        longer = _last_place(suffixes[number + 1], place)
        if longer is None:  # an n-gram at the start of a text without sentence marks
            break
        place = longer
    return places


def _last_place(values: AnyArray, value: int) -> int | None:
    """Return where a value stands last, searched from the end piece by piece; None where it does not occur."""
    for start in reversed(range(0, values.size, _CHUNK)):
        found = np.flatnonzero(values[start : start + _CHUNK] == value)
        if found.size:
            return start + int(found[-1])
    return None
