"""Kernels that turn the counted n-grams of one order into probabilities and back-off weights.

The n-grams of a level are sorted by prefix, so that all that follows a context is one run, and sums over it are read in
sequence. A pruned n-gram's count is negative: it still belongs to its context's total, but gets no probability.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

#: Counts from here on share one discount.
MOST_DISCOUNTED = 3


@nb.njit(cache=True, nogil=True)
def first_children(prefix: Any, first: Any) -> None:
    """Find where the n-grams of each context begin.

    Args:
        prefix: Contexts of n-grams in ascending order, shape (n-grams,).
        first: Receives where the n-grams of each context begin, and the end; shape (contexts + 1,).
    """
    context = 0
    for place in range(prefix.size):
        while context <= prefix[place]:
            first[context] = place
            context += 1
    while context < first.size:
        first[context] = prefix.size
        context += 1


@nb.njit(cache=True, nogil=True)
def find_word(words: Any, word: int, start: int, stop: int) -> int:
    """Return the first place from `start` on whose word is not below `word`: steps that double, then halves."""
    step = 1
    low = start
    high = start
    while high < stop and words[high] < word:
        low = high + 1
        high += step
        step *= 2
    high = min(high, stop)
    while low < high:
        middle = (low + high) >> 1
        if words[middle] < word:
            low = middle + 1
        else:
            high = middle
    return low


@nb.njit(cache=True, nogil=True)
def link_suffixes(
    first: Any, word: Any, lower_suffix: Any, lower_first: Any, lower_word: Any, start: int, stop: int, suffix: Any
) -> int:
    """Find the n-gram without its first word, in the level below, for n-grams of three or more words.

    The children of a context h and those of its suffix h' are both sorted by word, and the first are among the second:
    both are read in step.

    Args:
        first: Where the children of each context begin in this level, shape (contexts + 1,).
        word: Last words of this level.
        lower_suffix: The suffix of each context (itself two levels below), shape (contexts,).
        lower_first: Where the children of each suffix begin in the level below.
        lower_word: Last words of the level below.
        start: First context to do.
        stop: The context to stop before.
        suffix: Receives the suffix of each n-gram, shape (n-grams,).

    Returns:
        How many n-grams have no suffix: zero for the counts of any text.
    """
    missing = 0
    for context in range(start, stop):
        if first[context] == first[context + 1]:
            continue
        place: Any = np.int64(lower_first[lower_suffix[context]])
        end: Any = np.int64(lower_first[lower_suffix[context] + 1])
        for child in range(first[context], first[context + 1]):
            place = find_word(lower_word, word[child], place, end)
            if place == end or lower_word[place] != word[child]:
                missing += 1
                suffix[child] = 0
            else:
                suffix[child] = place
    return missing


@nb.njit(cache=True, nogil=True)
def count_left_extensions(suffix: Any, extensions: Any) -> None:
    """Count the distinct words before each n-gram: the n-grams one longer whose suffix it is.

    Args:
        suffix: Suffixes of the level above.
        extensions: Receives the counts; zeros at the start; shape (n-grams,).
    """
    for place in range(suffix.size):
        extensions[suffix[place]] += 1


@nb.njit(cache=True, nogil=True)
def count_counts(count: Any, counts_of_counts: Any) -> None:
    """Count the n-grams that occur 1, 2, 3 and 4 times, pruned ones too.

    Args:
        count: Counts; negative where pruned.
        counts_of_counts: Receives n0 (zero counts) to n4, int64, shape (5,); added to.
    """
    for place in range(count.size):
        size = abs(count[place])
        if size < counts_of_counts.size:
            counts_of_counts[size] += 1


@nb.njit(cache=True, nogil=True)
def interpolate_level(
    prefix: Any,
    count: Any,
    suffix: Any,
    lower_probability: Any,
    discounts: Any,
    type_weight: float,
    pseudo_count: float,
    start: int,
    stop: int,
    probability: Any,
    backoff: Any,
) -> None:
    """Estimate the interpolated probabilities of whole contexts, and their back-off weights.

    For a context h with counts c(hw) over T words w, its total C = sum of c(hw) + t T + a, and h' the context without
    its first word:

        p(w | h)   = (c(hw) - D(c(hw))) / C + gamma(h) p(w | h')
        gamma(h)   = (sum over kept w of D(c(hw)) + sum over pruned w of c(hw) + t T + a) / C

    so that the probabilities of all words sum to one (Chen and Goodman 1999, section 2 and equation 26).

    Args:
        prefix: Contexts, ascending.
        count: Counts; negative where pruned.
        suffix: N-grams without their first word, in the level below.
        lower_probability: Probabilities of the level below, float32.
        discounts: D(0) = 0, D(1), D(2), D(3 and more), float64, shape (4,).
        type_weight: t, 1 for Witten-Bell, else 0.
        pseudo_count: a, k times the size of the vocabulary for add-k, else 0.
        start: First n-gram to do, the first of its context.
        stop: The n-gram to stop before, the first of its context.
        probability: Receives the probabilities, float32; 0 where pruned.
        backoff: Receives gamma of each context, float32, shape (contexts,).
    """
    place = start
    while place < stop:
        begin = place
        context = prefix[begin]
        total = 0.0
        left_over = 0.0
        while place < stop and prefix[place] == context:
            size = count[place]
            if size > 0:
                total += size
                left_over += discounts[min(size, MOST_DISCOUNTED)]
            else:
                total -= size
                left_over -= size
            place += 1
        extra = type_weight * (place - begin) + pseudo_count
        total += extra
        gamma = (left_over + extra) / total
        backoff[context] = gamma
        for child in range(begin, place):
            size = count[child]
            if size > 0:
                discounted = (size - discounts[min(size, MOST_DISCOUNTED)]) / total
                probability[child] = discounted + gamma * lower_probability[suffix[child]]
            else:
                probability[child] = 0.0


@nb.njit(cache=True, nogil=True)
def relative_frequencies(prefix: Any, count: Any, start: int, stop: int, probability: Any) -> None:
    """Estimate c(hw) / c(h) for whole contexts; arguments as `interpolate_level`."""
    place = start
    while place < stop:
        begin = place
        total = 0.0
        while place < stop and prefix[place] == prefix[begin]:
            total += abs(count[place])
            place += 1
        for child in range(begin, place):
            probability[child] = max(count[child], 0) / total
