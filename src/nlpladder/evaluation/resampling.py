"""Resampling engine: bootstrap and sign-swap replicates of weighted sums, exact in any order of summation.

Almost every metric is a function of sums over examples (how many of class 2 were found, the sum of the losses). A
bootstrap resample gives example i the weight w_i, so that all replicates of all sums are one matrix product of the
weights, (resamples, examples), with the summands, (examples, columns). The summands are put on a fixed-point grid on
which every partial sum is an integer below 2^53: the product is then exact, hence the same on any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

Float = npt.NDArray[np.float64]
Groups = Sequence[object] | npt.NDArray[np.generic]

#: Rank statistics walk the sorted examples once a resample; beyond this many steps they get fewer resamples.
RANK_STEPS = 4_000_000_000
#: Floating-point numbers in one block of weights (16 MiB).
_BLOCK_NUMBERS = 2_000_000
_MOST_THREADS = 8
#: Fewer weights than these are drawn sooner than a thread is started.
_THREAD_NUMBERS = 250_000


@dataclass(frozen=True)
class RocAucProblem:
    """One area under a ROC curve: `scores` against a 0/1 `positive`, both (examples,)."""

    scores: Float
    positive: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SpearmanProblem:
    """One rank correlation between two variables of shape (examples,)."""

    first: Float
    second: Float


RankProblem = RocAucProblem | SpearmanProblem


@dataclass(frozen=True)
class Replicates:
    """What the bootstrap returns.

    Attributes:
        sums: Weighted sums, (resamples, columns).
        totals: Sum of the weights, (resamples,); the number of examples unless there are groups.
        ranks: Rank statistics, (resamples, problems); NaN where undefined, and beyond `rank_resamples`.
        rank_resamples: How many resamples the rank statistics were computed on.
    """

    sums: Float
    totals: Float
    ranks: Float
    rank_resamples: int


def fixed_point(columns: Float, units: int) -> tuple[Float, Float]:
    """Scale columns to integers so that any sum of `units` of them is exact in double precision.

    Args:
        columns: Summands, (units, columns).
        units: The largest total weight.

    Returns:
        The integers as floats, (units, columns), and the scale to divide sums by, (columns,).
    """
    largest = np.abs(columns).max(axis=0, initial=0.0)  # (columns,)
    _, exponent = np.frexp(np.maximum(largest, np.finfo(np.float64).tiny) * max(units, 1))
    scale = np.ldexp(1.0, np.clip(52 - exponent, -1000, 1000))
    whole = (columns == np.rint(columns)).all(axis=0) & (largest * units < 2.0**52)
    scale = np.where(whole, 1.0, scale)
    return np.rint(columns * scale), scale


def group_indices(groups: Groups, examples: int) -> tuple[npt.NDArray[np.int32], int]:
    """Number the groups: returns the group of each example, (examples,), and how many there are.

    Raises:
        DataError: If there is not one group per example, or fewer than two groups.
    """
    names = list(groups)
    if len(names) != examples:
        raise DataError(f"groups has {len(names)} entries for {examples} examples: give one group per example.")
    number: dict[object, int] = {}
    indices = np.asarray([number.setdefault(name, len(number)) for name in names], np.int32)
    if len(number) < 2:
        raise DataError(f"All {examples} examples are in one group: a clustered bootstrap needs at least two groups.")
    return indices, len(number)


def bootstrap(
    columns: Float,
    *,
    resamples: int,
    seed: int,
    groups: Groups | None = None,
    rank_problems: Sequence[RankProblem] = (),
) -> Replicates:
    """Draw bootstrap replicates of sums and rank statistics (Efron 1979), all on the same resamples.

    Args:
        columns: Summands, (examples, columns).
        resamples: How many resamples.
        seed: Fixes every number, whatever the number of threads.
        groups: A group per example; whole groups are drawn with replacement (the clustered bootstrap, Field and
            Welsh 2007). None draws examples.
        rank_problems: Statistics that are not functions of sums.

    Raises:
        ConfigError: If `resamples` is below 1 or `seed` is negative.
        DataError: If the groups do not fit.
    """
    from nlpladder.evaluation.resampling_kernels import BLOCK, draw_counts

    check_resampling(resamples, seed)
    examples = columns.shape[0]
    if groups is None:
        unit_of, units = np.arange(examples, dtype=np.int32), examples
        summands = np.column_stack([columns, np.ones(examples)])
    else:
        unit_of, units = group_indices(groups, examples)
        summands = np.zeros((units, columns.shape[1] + 1))
        np.add.at(summands, unit_of, np.column_stack([columns, np.ones(examples)]))
    grid, scale = fixed_point(summands, units)
    kernels = [_rank_kernel(problem, unit_of) for problem in rank_problems]
    rank_resamples = min(resamples, max(1000, RANK_STEPS // max(1, len(kernels) * examples))) if kernels else 0

    generator = np.random.Generator(np.random.PCG64(seed))
    block_sizes = np.full(-(-units // BLOCK), BLOCK)
    block_sizes[-1] = units - BLOCK * (len(block_sizes) - 1)
    rows = max(1, min(resamples, _BLOCK_NUMBERS // units))
    weights = np.empty((rows, units))
    sums = np.empty((resamples, grid.shape[1]))
    ranks = np.full((resamples, len(kernels)), np.nan)

    def fill(start: int, block_counts: npt.NDArray[np.int64], states: Any, first: int, last: int) -> None:
        part = weights[first:last]
        draw_counts(block_counts[first:last], states[first:last], part)
        if start + first < rank_resamples:
            for column, kernel in enumerate(kernels):
                values = np.empty(last - first)
                kernel(part, values)
                ranks[start + first : start + last, column] = values
        np.matmul(part, grid, out=sums[start + first : start + last])

    with _threads(rows, max(units, examples * len(kernels))) as run:
        for start in range(0, resamples, rows):
            size = min(rows, resamples - start)
            block_counts = generator.multinomial(units, block_sizes / units, size=size)
            states = generator.integers(0, 2**64, size=size, dtype=np.uint64)
            run(size, partial(fill, start, block_counts, states))
    ranks[rank_resamples:] = np.nan
    sums /= scale
    return Replicates(sums[:, :-1], sums[:, -1], ranks, rank_resamples)


def swap_replicates(differences: Float, *, resamples: int, seed: int) -> Float:
    """Sum each column over a random half of the examples: the replicates of a sign-swap (randomisation) test.

    Args:
        differences: What an example adds to the sums of system A when it is swapped in, (examples, columns).
        resamples: How many assignments.
        seed: Fixes every number.

    Returns:
        Sums over the examples that were swapped, (resamples, columns).
    """
    check_resampling(resamples, seed)
    examples = differences.shape[0]
    grid, scale = fixed_point(differences, examples)
    generator = np.random.Generator(np.random.PCG64(seed))
    rows = max(1, min(resamples, _BLOCK_NUMBERS // examples))
    octets = -(-examples // 8)
    sums = np.empty((resamples, grid.shape[1]))

    def fill(start: int, random: npt.NDArray[np.uint8], first: int, last: int) -> None:
        swapped = np.unpackbits(random[first:last], axis=1, count=examples).astype(np.float64)  # (rows, examples)
        np.matmul(swapped, grid, out=sums[start + first : start + last])

    with _threads(rows, examples) as run:
        for start in range(0, resamples, rows):
            random = generator.integers(0, 256, size=(min(rows, resamples - start), octets), dtype=np.uint8)
            run(len(random), partial(fill, start, random))
    return sums / scale


@contextmanager
def _threads(rows: int, units: int) -> Iterator[Callable[[int, Callable[[int, int], None]], None]]:
    """Start threads; yields what shares out the rows of a block, (rows, units), and waits for all of them.

    The threads of a matrix library wait for each other many times in each product, which takes minutes on a busy
    machine: each thread here multiplies its own rows alone.
    """
    number = max(1, min(_MOST_THREADS, _available_cores(), rows, rows * units // _THREAD_NUMBERS))
    with _matrix_libraries().limit(limits=1, user_api="blas"), ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(number)) if number > 1 else None

        def share_out(size: int, fill: Callable[[int, int], None]) -> None:
            if pool is None:
                fill(0, size)
                return
            edges = np.linspace(0, size, number + 1).astype(int).tolist()
            for work in [pool.submit(fill, first, last) for first, last in pairwise(edges)]:
                work.result()

        yield share_out


@cache
def _matrix_libraries() -> ThreadpoolController:
    """Return what sets their threads. To find them takes milliseconds; numpy's, which multiplies here, is there."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def check_resampling(resamples: int, seed: int) -> None:
    """Refuse numbers of resamples and seeds that mean nothing.

    Raises:
        ConfigError: If `resamples` is below 1 or `seed` is negative.
    """
    if resamples < 1:
        raise ConfigError(f"resamples is {resamples}: at least 1 is needed, and 1,000 or more for an interval.")
    if seed < 0:
        raise ConfigError(f"seed is {seed}: give a whole number from 0 up.")


def _rank_kernel(problem: RankProblem, unit_of: npt.NDArray[np.int32]) -> Callable[[Float, Float], None]:
    """Sort once, and return a function that fills one statistic for a block of weights."""
    from nlpladder.evaluation.resampling_kernels import weighted_roc_auc, weighted_spearman

    if isinstance(problem, RocAucProblem):
        order, ends = _sorted_ties(problem.scores)
        units, positive = unit_of[order], problem.positive[order].astype(np.float64)
        return lambda weights, areas: weighted_roc_auc(weights, units, positive, ends, areas)
    first, first_ends = _sorted_ties(problem.first)
    second, second_ends = _sorted_ties(problem.second)
    return lambda weights, out: weighted_spearman(weights, unit_of, first, first_ends, second, second_ends, out)


def _sorted_ties(values: Float) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    order = np.argsort(values, kind="stable").astype(np.int32)
    ordered = values[order]
    return order, np.append(ordered[1:] > ordered[:-1], True)


def _available_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system has affinities
        return os.cpu_count() or 1
