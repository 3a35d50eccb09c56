"""Cutting rows into splits and taking subsets: seeded, stratified, and with copies of one text kept together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError
from nlpladder.protocols import Task

IntArray = npt.NDArray[np.int64]

_REGRESSION_BINS = 10


def strata_of(values: npt.NDArray[np.generic], task: Task) -> IntArray:
    """Return the stratum of each row: its class, its set of labels, or the decile of its number.

    Args:
        values: (rows,) class ids or numbers, or (rows, labels) zeros and ones.
        task: What they are.
    """
    if task == "single_label":
        return values.astype(np.int64)
    if task == "regression":
        # Ranks, not edges: many equal numbers must not empty a bin.
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        return (ranks * _REGRESSION_BINS // max(1, len(values))).astype(np.int64)
    _, strata, counts = np.unique(values, axis=0, return_inverse=True, return_counts=True)
    strata = strata.reshape(-1).astype(np.int64)
    return np.where(counts[strata] < 5, -1, strata)  # rare sets of labels share one stratum


def cut(
    strata: IntArray, copies: IntArray, fractions: tuple[float, ...], seed: int, *, every_stratum: bool
) -> list[IntArray]:
    """Cut rows into parts, each stratum in the same proportion.

    Args:
        strata: (rows,) the stratum of each row.
        copies: (rows,) equal numbers for rows with the same text, which all go to one part.
        fractions: The share of each part but the first, which gets the rest.
        seed: The same seed gives the same cut.
        every_stratum: Whether each part gets a row of each stratum that has enough of them.

    Returns:
        For the first part and each fraction, its rows in ascending order.

    Raises:
        ConfigError: Fractions outside of (0, 1), or no rest.
    """
    if any(not 0 < fraction < 1 for fraction in fractions) or sum(fractions) >= 1:
        raise ConfigError(
            f"Split fractions must lie between 0 and 1 and sum to less than 1, got {', '.join(map(str, fractions))}."
        )
    _, first, group = np.unique(copies, return_index=True, return_inverse=True)
    order = np.argsort(first)  # groups by first appearance, so that the cut does not depend on the values in `copies`
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    group, group_strata = rank[group.reshape(-1)], strata[np.sort(first)]
    part_of_group = np.zeros(len(order), dtype=np.int64)
    generator = np.random.default_rng(seed)
    remaining = np.arange(len(order))
    for part, fraction in enumerate(fractions, 1):
        later = len(fractions) - part + 1
        size = max(1, min(round(fraction * len(order)), len(remaining) - later))
        minimum = (1, later) if every_stratum else (0, 0)
        chosen = remaining[_pick(group_strata[remaining], size, generator, at_least=minimum[0], leave=minimum[1])]
        part_of_group[chosen] = part
        remaining = np.setdiff1d(remaining, chosen, assume_unique=True)
    parts = part_of_group[group]
    return [np.flatnonzero(parts == part) for part in range(len(fractions) + 1)]


def subset(strata: IntArray, size: int, seed: int, *, at_least: int) -> IntArray:
    """Take `size` rows, each stratum in proportion, in ascending order.

    Args:
        strata: (rows,) the stratum of each row.
        size: How many rows; all of them when there are fewer.
        seed: The same seed gives the same rows.
        at_least: Rows to take of every stratum where it has them and `size` allows.
    """
    if size >= len(strata):
        return np.arange(len(strata))
    return np.sort(_pick(strata, size, np.random.default_rng(seed), at_least=at_least, leave=0))


def _pick(strata: IntArray, size: int, generator: np.random.Generator, *, at_least: int, leave: int) -> IntArray:
    """Draw `size` positions in proportion to the strata (largest remainder), leaving `leave` in each that can."""
    _, stratum, counts = np.unique(strata, return_inverse=True, return_counts=True)
    room = np.maximum(counts - leave, 0)
    size = min(size, int(room.sum()))
    quota = counts * size / len(strata)
    taken = np.minimum(np.maximum(np.floor(quota).astype(np.int64), at_least), room)
    while taken.sum() > size:  # the minimum of each stratum asked for more than there is
        spare = taken > at_least if (taken > at_least).any() else taken > 0
        taken[np.argmax(np.where(spare, taken - quota, -np.inf))] -= 1
    while taken.sum() < size:
        taken[np.argmax(np.where(taken < room, quota - taken, -np.inf))] += 1
    shuffled = generator.permutation(len(strata))
    stratum = stratum.reshape(-1)[shuffled]
    order = np.argsort(stratum, kind="stable")  # (rows,) positions in `shuffled`, stratum by stratum
    within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return shuffled[order[within < taken[stratum[order]]]]
