"""Compiled loops of the bootstrap: drawing resamples, and rank statistics of a weighted sample.

The functions release the interpreter lock and each call writes only to its own rows, so that plain threads can share
the work; the numbers depend on the seed alone.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

#: Units of one block: a draw inside a block costs one random byte.
BLOCK = 256


@numba.njit(inline="always")
def _mix(state: np.uint64) -> np.uint64:  # pragma: no cover - compiled
    """Return the output function of SplitMix64 (Steele, Lea and Flood 2014, figure 14)."""
    mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@numba.njit(nogil=True, cache=True)
def draw_counts(
    block_counts: npt.NDArray[np.int64], states: npt.NDArray[np.uint64], counts: npt.NDArray[np.float64]
) -> None:  # pragma: no cover - compiled
    """Draw how often each unit occurs in each resample.

    The number of draws that fall into each block of `BLOCK` units is given (a multinomial); inside a block the draws
    are independent and uniform, so the counts follow the multinomial of a plain bootstrap.

    Args:
        block_counts: Draws in each block, (resamples, blocks).
        states: Start of the random stream of each resample, (resamples,).
        counts: Output, (resamples, units).
    """
    resamples, units = counts.shape
    gamma = np.uint64(0x9E3779B97F4A7C15)
    for resample in range(resamples):
        row = counts[resample]
        row[:] = 0.0
        state = states[resample]
        for block in range(block_counts.shape[1]):
            start = block * BLOCK
            size = min(BLOCK, units - start)
            draws = block_counts[resample, block]
            inside = row[start : start + size]
            if size == BLOCK:
                for _ in range(draws // 8):
                    state += gamma
                    bits = _mix(state)
                    for _byte in range(8):
                        inside[bits & np.uint64(255)] += 1.0
                        bits >>= np.uint64(8)
                state += gamma
                bits = _mix(state)
                for _ in range(draws % 8):
                    inside[bits & np.uint64(255)] += 1.0
                    bits >>= np.uint64(8)
            else:
                # The bias of multiply-and-shift is below size / 2^32 (Lemire 2019, section 3).
                for _ in range(draws):
                    state += gamma
                    high = _mix(state) >> np.uint64(32)
                    inside[(high * np.uint64(size)) >> np.uint64(32)] += 1.0


@numba.njit(nogil=True, cache=True)
def weighted_roc_auc(
    counts: npt.NDArray[np.float64],
    order: npt.NDArray[np.int32],
    positive: npt.NDArray[np.float64],
    ends_tie: npt.NDArray[np.bool_],
    areas: npt.NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """Write the area under the ROC curve of each weighted sample: the Mann-Whitney statistic with ties as one half.

    Args:
        counts: Weight of each unit, (resamples, units).
        order: Unit of each example, examples by rising score, (examples,).
        positive: 1.0 where that example is positive, (examples,).
        ends_tie: Whether the next example has a higher score, (examples,).
        areas: Output, (resamples,); NaN where a resample holds one class only.
    """
    for resample in range(counts.shape[0]):
        row = counts[resample]
        below = 0.0
        twice_wins = 0.0
        positives = 0.0
        tied_positive = 0.0
        tied_negative = 0.0
        for place in range(order.shape[0]):
            weight = row[order[place]]
            tied_positive += weight * positive[place]
            tied_negative += weight * (1.0 - positive[place])
            if ends_tie[place]:
                twice_wins += tied_positive * (2.0 * below + tied_negative)
                below += tied_negative
                positives += tied_positive
                tied_positive = 0.0
                tied_negative = 0.0
        pairs = positives * below
        areas[resample] = 0.5 * twice_wins / pairs if pairs > 0.0 else np.nan


@numba.njit(inline="always")
def _midranks(
    row: npt.NDArray[np.float64],
    unit_of: npt.NDArray[np.int32],
    order: npt.NDArray[np.int32],
    ends_tie: npt.NDArray[np.bool_],
    ranks: npt.NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    below = 0.0
    tied = 0.0
    first = 0
    for place in range(order.shape[0]):
        tied += row[unit_of[order[place]]]
        if ends_tie[place]:
            for inside in range(first, place + 1):
                ranks[order[inside]] = below + 0.5 * (tied + 1.0)
            below += tied
            tied = 0.0
            first = place + 1


@numba.njit(nogil=True, cache=True)
def weighted_spearman(
    counts: npt.NDArray[np.float64],
    unit_of: npt.NDArray[np.int32],
    first_order: npt.NDArray[np.int32],
    first_ends_tie: npt.NDArray[np.bool_],
    second_order: npt.NDArray[np.int32],
    second_ends_tie: npt.NDArray[np.bool_],
    correlations: npt.NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """Write Spearman's rank correlation of each weighted sample, with mid-ranks for ties.

    Args:
        counts: Weight of each unit, (resamples, units).
        unit_of: Unit of each example, (examples,).
        first_order: Examples by rising first variable, (examples,).
        first_ends_tie: Whether the next example in that order has a higher value, (examples,).
        second_order: Examples by rising second variable, (examples,).
        second_ends_tie: The same for the second variable, (examples,).
        correlations: Output, (resamples,); NaN where a variable is constant.
    """
    examples = first_order.shape[0]
    first_ranks = np.empty(examples)
    second_ranks = np.empty(examples)
    for resample in range(counts.shape[0]):
        row = counts[resample]
        _midranks(row, unit_of, first_order, first_ends_tie, first_ranks)
        _midranks(row, unit_of, second_order, second_ends_tie, second_ranks)
        total = 0.0
        for example in range(examples):
            total += row[unit_of[example]]
        middle = 0.5 * (total + 1.0)
        cross = 0.0
        first_square = 0.0
        second_square = 0.0
        for example in range(examples):
            weight = row[unit_of[example]]
            first = first_ranks[example] - middle
            second = second_ranks[example] - middle
            cross += weight * first * second
            first_square += weight * first * first
            second_square += weight * second * second
        scale = first_square * second_square
        correlations[resample] = cross / np.sqrt(scale) if scale > 0.0 else np.nan
