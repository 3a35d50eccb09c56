"""GloVe: global vectors for word representation (Pennington, Socher & Manning 2014), from counted co-occurrences.

The records are a grid of blocks. Threads work at the same time on blocks that share neither rows nor columns (Gemulla
et al. 2011, "Large-scale matrix factorization with distributed stochastic gradient descent"): a round is a diagonal of
the grid. So no two threads ever write the same vector, and the result is the same, to the byte, for any number of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ModelError
from nlpladder.models.vectors.glove.cooccurrence_records import Cooccurrences
from nlpladder.models.vectors.glove.options import GloveOptions
from nlpladder.models.vectors.glove.training_state import ARRAYS, Float32Array, GloveState

#: Rows are padded to whole cache lines, which are also whole vector registers.
LINE_FLOATS = 16


@dataclass(frozen=True)
class GloveProgress:
    """What is told after each epoch; as a string it is the line of the Stanford program.

    Attributes:
        epoch: Passes finished.
        num_epochs: Passes to do.
        cost: Of this pass, a mean over the records.
        seconds: That this pass took.
        records_per_second: Speed of this pass.
        remaining_seconds: For the other passes, at this speed.
        num_skipped: Records that this pass left out because their error was no finite number.
    """

    epoch: int
    num_epochs: int
    cost: float
    seconds: float
    records_per_second: float
    remaining_seconds: float
    num_skipped: int

    def __str__(self) -> str:
        return f"iter {self.epoch:03d}, cost {self.cost:.6f}"


def train_glove(
    cooccurrences: Cooccurrences,
    options: GloveOptions,
    *,
    state: GloveState | None = None,
    checkpoint: Callable[[GloveState], None] | None = None,
    progress: Callable[[GloveProgress], None] | None = None,
) -> GloveState:
    """Train word vectors on co-occurrences, up to ``options.epochs`` passes in all.

    Equal options and co-occurrences give equal bytes on one machine, whatever the number of threads, and whether the
    training was stopped between epochs and resumed or not.

    Args:
        cooccurrences: From `count_cooccurrences`.
        options: Size of the vectors, optimiser, epochs, threads.
        state: Resume from here: a state of the same co-occurrences, or one from `extend_state`.
        checkpoint: Called with the state after each epoch.
        progress: Called after each epoch.

    Raises:
        ModelError: when the state does not fit the co-occurrences or the options, or when the training diverges.
    """
    state = initial_state(cooccurrences, options) if state is None else _checked_state(state, cooccurrences, options)
    state = replace(state, options=options, num_records=cooccurrences.num_records)
    limit = 10 * max(1.0, _cost_of_zeros(cooccurrences))
    tables = _Tables(state, cooccurrences)
    moved: dict[str, Any] = {name: getattr(state, name)[:0].copy() for name in ARRAYS}
    state = replace(state, **moved)  # the numbers are in the tables now; nobody needs them twice
    with ThreadPoolExecutor(options.threads) as pool:
        for epoch in range(state.finished_epochs, options.epochs):
            begin = time.perf_counter()
            cost, skipped = tables.train_epoch(epoch, pool)
            seconds = time.perf_counter() - begin
            if not cost < limit or 2 * skipped > cooccurrences.num_records:
                raise ModelError(
                    f"The training diverges: in epoch {epoch + 1} the cost is {cost:.3g}, and {skipped:,} of "
                    f"{cooccurrences.num_records:,} records had no finite error. Use a smaller learning_rate than "
                    f"{options.learning_rate}, or the default gradient_clip."
                )
            state = replace(
                state,
                finished_epochs=epoch + 1,
                costs=(*state.costs, cost),
                num_skipped=state.num_skipped + skipped,
            )
            if progress is not None:
                speed = cooccurrences.num_records / max(seconds, 1e-9)
                remaining = (options.epochs - epoch - 1) * seconds
                progress(GloveProgress(epoch + 1, options.epochs, cost, seconds, speed, remaining, skipped))
            if checkpoint is not None:
                checkpoint(tables.state(state))
    return tables.state(state)


def initial_state(cooccurrences: Cooccurrences, options: GloveOptions) -> GloveState:
    """Return a state before training: numbers drawn evenly from ±0.5 / vector_size, sums of squares of 1."""
    num_words = len(cooccurrences.words)
    drawn = _random_rows(num_words, options, [options.seed])
    return GloveState(cooccurrences.words, cooccurrences.counts, options, **drawn)


def extend_state(state: GloveState, cooccurrences: Cooccurrences, options: GloveOptions) -> GloveState:
    """Return a state with which training goes on, on co-occurrences of new text.

    Words keep their vectors, biases and sums of squares; new words start as those of a new model. Epochs count from 0.

    Args:
        state: Trained.
        cooccurrences: Of the new text, counted with ``first_words=state.words``.
        options: For the new training; vector size and optimiser must be those of the state.

    Raises:
        ModelError: when vocabularies or options do not fit.
    """
    known = len(state.words)
    if cooccurrences.words[:known] != state.words:
        raise ModelError(
            "The vocabulary of the new co-occurrences does not begin with the words of the model. Count them with "
            "first_words=state.words."
        )
    _check_options(state, options)
    drawn = _random_rows(len(cooccurrences.words) - known, options, [options.seed, known])
    joined: dict[str, Any] = {name: np.concatenate([getattr(state, name), drawn[name]]) for name in ARRAYS}
    counts = cooccurrences.counts.copy()
    counts[:known] += state.counts
    return GloveState(cooccurrences.words, counts, options, **joined)


def rounds_of_epoch(num_blocks: int, seed: int, epoch: int) -> list[list[tuple[int, int]]]:
    """Return the blocks, as (row, column), of each round of an epoch: diagonals of the shuffled grid.

    Blocks of a round share no row and no column of the grid: their order, and who works on them, makes no difference.
    """
    generator = np.random.default_rng([seed, epoch])
    rows, columns, shifts = (generator.permutation(num_blocks).tolist() for _ in range(3))
    return [[(rows[place], columns[(place + shift) % num_blocks]) for place in range(num_blocks)] for shift in shifts]


def _random_rows(num_words: int, options: GloveOptions, seed: Sequence[int]) -> dict[str, Any]:
    """Draw the arrays of new words."""
    generator = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    for side in ("word", "context"):
        numbers = (generator.random((num_words, options.vector_size + 1), np.float32) - 0.5) / options.vector_size
        arrays[f"{side}_vectors"] = np.ascontiguousarray(numbers[:, :-1], np.float32)
        arrays[f"{side}_biases"] = np.stack([numbers[:, -1], np.ones(num_words)], axis=1).astype(np.float32)
        columns = options.vector_size if options.optimizer == "adagrad" else 1
        arrays[f"{side}_squares"] = np.ones((num_words, columns), np.float32)
    return arrays


def _check_options(state: GloveState, options: GloveOptions) -> None:
    for name in ("vector_size", "optimizer"):
        old, new = getattr(state.options, name), getattr(options, name)
        if old != new:
            raise ModelError(f"The state was trained with {name}={old!r}; it cannot go on with {name}={new!r}.")


def _checked_state(state: GloveState, cooccurrences: Cooccurrences, options: GloveOptions) -> GloveState:
    _check_options(state, options)
    if state.words != cooccurrences.words or state.num_records not in (0, cooccurrences.num_records):
        raise ModelError(
            f"The state belongs to other co-occurrences: {len(state.words):,} words and {state.num_records:,} records, "
            f"these have {len(cooccurrences.words):,} and {cooccurrences.num_records:,}. To train on new text, use "
            "extend_state."
        )
    return state


def _cost_of_zeros(cooccurrences: Cooccurrences) -> float:
    """Return the largest cost that a record can have for a model of zeros; a trained one never comes near."""
    parts = [segment.values for segment in cooccurrences.segments if segment.values.size]
    low, high = min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)
    return 0.5 * max(math.log(low) ** 2, math.log(high) ** 2)


class _Tables:
    """A state as the kernels want it: rows in the order of the slots, padded, aligned to cache lines."""

    def __init__(self, state: GloveState, cooccurrences: Cooccurrences) -> None:
        self._options = state.options
        self._records = cooccurrences
        size = state.options.vector_size
        width = -(-size // LINE_FLOATS) * LINE_FLOATS
        self._arrays = {}
        for name in ARRAYS:
            source: Float32Array = getattr(state, name)
            padded = name.endswith("vectors") or (name.endswith("squares") and state.options.optimizer == "adagrad")
            columns = width if padded else source.shape[1]
            table = _aligned_table(len(state.words), columns, float(name.endswith("squares")))
            table[:, : source.shape[1]] = source[cooccurrences.order]
            self._arrays[name] = table
        self._kernel = _kernel(state.options, width)

    def state(self, state: GloveState) -> GloveState:
        """Return `state` with the numbers of the tables."""
        arrays: dict[str, Any] = {}
        for name, table in self._arrays.items():
            arrays[name] = np.empty((len(table), getattr(state, name).shape[1]), np.float32)
            arrays[name][self._records.order] = table[:, : arrays[name].shape[1]]
        return replace(state, **arrays)

    def train_epoch(self, epoch: int, pool: ThreadPoolExecutor) -> tuple[float, int]:
        """Go through all records once; return the mean cost and the number of records skipped."""
        segments = self._records.segments
        num_blocks = len(segments)
        costs = np.zeros((num_blocks, num_blocks))
        skipped = np.zeros((num_blocks, num_blocks), np.int64)
        scalars = [
            np.float32(getattr(self._options, name)) for name in ("learning_rate", "x_max", "alpha", "gradient_clip")
        ]
        tables = [self._arrays[name] for name in ARRAYS]

        def work(tasks: Iterable[tuple[int, int]]) -> None:
            for row, column in tasks:
                part = segments[row]
                begin, end = int(part.block_starts[column]), int(part.block_starts[column + 1])
                if begin < end:
                    costs[row, column], skipped[row, column] = self._kernel(
                        part.rows, part.columns, part.values, begin, end, *tables, *scalars
                    )

        for blocks in rounds_of_epoch(num_blocks, self._options.seed, epoch):
            # Pulled by whoever is free; an iterator over a list hands out each entry once, also to several threads.
            tasks = iter(blocks)
            for future in [pool.submit(work, tasks) for _ in range(self._options.threads)]:
                future.result()
        return float(costs.sum()) / max(self._records.num_records, 1), int(skipped.sum())


def _kernel(options: GloveOptions, width: int) -> Callable[..., tuple[float, int]]:
    from nlpladder.models.vectors.glove import kernels

    if options.optimizer == "adagrad":
        return kernels.adagrad_kernel(width)
    return kernels.row_adagrad_kernel(width, options.vector_size)


def _aligned_table(rows: int, columns: int, fill: float) -> npt.NDArray[np.float32]:
    """Return an array that begins where a cache line does."""
    memory = np.empty(rows * columns + LINE_FLOATS, np.float32)
    first = -memory.ctypes.data % (4 * LINE_FLOATS) // 4
    table = memory[first : first + rows * columns].reshape(rows, columns)
    table[:] = fill
    return table
