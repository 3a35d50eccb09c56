r"""Co-occurrences of words: who stands near whom, how often; what GloVe is trained on.

.. math:: X_{ij} = \sum_{d = 1}^{\text{window}} \frac{1}{d} \, \#(\text{j stands d words before or after i})

Words are dealt to blocks, a word to each in turn; counting and training work block by block, so that what they touch
stays in the cache and threads never meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.models.vectors.glove.cooccurrence_files import RunFile, Workspace, append_records, ordered_results
from nlpladder.models.vectors.glove.cooccurrence_records import Cooccurrences, Segment
from nlpladder.models.vectors.glove.options import GloveOptions
from nlpladder.text.encoding import EncodedCorpus

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
#: Rows of one block and what belongs to them should stay in a core's cache.
BLOCK_BYTES = 1 << 20
RECORDS_A_FETCH = 8
FEWEST_BLOCKS, MOST_BLOCKS = 16, 512
#: Up to here the least common multiple of all distances fits into integers with room for sums.
LARGEST_EXACT_WINDOW = 20


def count_cooccurrences(
    corpus: EncodedCorpus,
    options: GloveOptions,
    *,
    folder: str | Path | None = None,
    first_words: Sequence[str] = (),
) -> Cooccurrences:
    """Count how often words occur near each other.

    The vocabulary is chosen by frequency; other words are left out before windows are taken, and a sentence's end ends
    every window, both as in the Stanford program. So is the meaning of ``symmetric=False``: the pair counts in the row
    of its earlier word. The result does not depend on the number of threads, nor on the memory.

    Args:
        corpus: The text.
        options: Window, vocabulary, weighting, memory and threads.
        folder: A new folder for what does not fit into ``options.memory``; small counts leave no files.
        first_words: Words that come first in the vocabulary, however rare: those of a model to be trained further.

    Raises:
        ConfigError: when the counts do not fit into ``options.memory`` and no folder is given.
        DataError: when the corpus is empty, fewer than two words remain, or none occur together.
        RunError: when the folder is in use or cannot be written; nothing is left in it.
    """
    words, counts, chosen = _choose_vocabulary(corpus, options, first_words)
    num_blocks = _number_of_blocks(len(words), corpus.num_tokens, options)
    order = np.concatenate([np.arange(block, len(words), num_blocks) for block in range(num_blocks)]).astype(np.int32)
    borders = np.zeros(num_blocks + 1, np.int64)
    borders[1:] = np.cumsum([len(range(block, len(words), num_blocks)) for block in range(num_blocks)])
    slots = np.full(len(corpus.words), -1, np.int32)
    slots[chosen[order[chosen[order] >= 0]]] = np.flatnonzero(chosen[order] >= 0)

    settings = {name: getattr(options, name) for name in ("window", "symmetric", "distance_weighting", "seed")}
    room = options.memory * 2**20 / 2
    segments: list[Segment] = []
    block_starts: list[Int64Array] = []
    spilled = False
    with Workspace(Path(folder) if folder is not None else None) as workspace:
        with ThreadPoolExecutor(options.threads) as pool:
            for segment in _counted_segments(corpus, slots, borders, options, workspace, pool):
                segments.append(segment)
                block_starts.append(segment.block_starts)
                room -= segment.rows.nbytes + segment.columns.nbytes + segment.values.nbytes
                spilled = spilled or room < 0
                if spilled:
                    for part in segments:
                        append_records(workspace.path, part.rows, part.columns, part.values)
                    segments.clear()
        if not sum(int(starts[-1]) for starts in block_starts):
            raise DataError(
                f"No two of the {len(words):,} words occur together within a sentence. GloVe needs sentences of two or "
                "more words: check how the text is cut into lines."
            )
        result = Cooccurrences(words, counts, order, borders, tuple(segments), settings)
        if not spilled:
            return result
        result.write_index(workspace.path, block_starts)
        return Cooccurrences.load(workspace.keep())


def _choose_vocabulary(
    corpus: EncodedCorpus, options: GloveOptions, first_words: Sequence[str]
) -> tuple[list[str], Int64Array, Int64Array]:
    """Return the words, their counts, and their numbers in the corpus (-1 where they do not occur)."""
    if not corpus.words or not corpus.num_tokens:
        raise DataError("The corpus holds no words. GloVe needs text: one sentence a line.")
    by_frequency = np.argsort(-corpus.counts, kind="stable")
    enough = by_frequency[corpus.counts[by_frequency] >= options.min_count]
    number_of = {word: number for number, word in enumerate(corpus.words)} if first_words else {}
    if len(set(first_words)) < len(first_words):
        raise DataError("first_words names a word twice. Name each word once.")
    first = [number_of.get(word, -1) for word in first_words]
    taken = set(first)
    chosen = np.array(first + [number for number in enough.tolist() if number not in taken], np.int64)
    if options.max_vocabulary is not None:
        chosen = chosen[: max(options.max_vocabulary, len(first))]
    if len(chosen) < 2:
        best, second = corpus.words[by_frequency[0]], np.sort(corpus.counts)[-2:][0]
        advice = f"min_count={second} would keep two." if len(corpus.words) > 1 else "The text has only this word."
        raise DataError(
            f"min_count={options.min_count} leaves {len(chosen)} of {len(corpus.words):,} words, but GloVe needs two. "
            f"The most frequent word, {best!r}, occurs {corpus.counts.max():,} times. {advice}"
        )
    known = chosen >= 0
    counts = np.where(known, corpus.counts[np.where(known, chosen, 0)], 0).astype(np.int64)
    words = [*first_words, *(corpus.words[number] for number in chosen[len(first) :].tolist())]
    return words, counts, chosen


def _number_of_blocks(num_words: int, num_tokens: int, options: GloveOptions) -> int:
    """Return how many blocks of rows to make; results depend on it, so it never depends on threads or memory."""
    row_bytes = 2 * 4 * (options.vector_size + 1)
    by_cache = math.ceil(num_words * row_bytes / BLOCK_BYTES)
    # In an epoch each row is fetched once for each block that it meets; that should be rare beside its records.
    likely_records = num_tokens * options.window / 5
    by_use = int(likely_records / num_words / RECORDS_A_FETCH)
    return max(1, min(max(min(by_cache, by_use), FEWEST_BLOCKS), MOST_BLOCKS, num_words // 4))


def _unit_and_shares(options: GloveOptions) -> tuple[float, Int64Array]:
    """Return the integer that stands for a count of 1, and what a pair at each distance adds; shape (window + 1,)."""
    distances = range(1, options.window + 1)
    if not options.distance_weighting:
        unit, shares = 1, [1 for _ in distances]
    elif options.window <= LARGEST_EXACT_WINDOW:
        unit = math.lcm(*distances)
        shares = [unit // distance for distance in distances]
    else:
        unit = 2**32
        shares = [round(unit / distance) for distance in distances]
    return float(unit), np.array([0, *shares], np.int64)


def _counted_segments(
    corpus: EncodedCorpus,
    slots: Int32Array,
    borders: Int64Array,
    options: GloveOptions,
    workspace: Workspace,
    pool: ThreadPoolExecutor,
) -> Iterator[Segment]:
    """Yield the segments in order; the corpus is counted at once where memory allows, else in stretches."""
    from nlpladder.models.vectors.glove import cooccurrence_kernels as kernels

    num_words, num_blocks = int(borders[-1]), borders.size - 1
    quarter = max(int(options.memory * 2**20 / 4), 64)
    ids = workspace.kept_ids(corpus, slots, in_memory=4 * corpus.ids.size <= quarter)
    unit, shares = _unit_and_shares(options)
    arrange = partial(_arrange, borders=borders, unit=unit, seed=options.seed)
    stretch = max(quarter // 4, 16)
    starts = np.empty(num_words + 1, np.int64)
    runs: list[RunFile] = []

    def count(block: int, begin: int, positions: Int32Array) -> tuple[Any, ...]:
        first, last = int(borders[block]), int(borders[block + 1])
        reach = (1 + options.symmetric) * options.window
        most = int(np.minimum(np.diff(starts[first : last + 1]) * reach, num_words).sum())
        entries = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int64)
        scratch = np.zeros(num_words, np.int64), np.empty(num_words, np.int32)
        size = kernels.count_rows(
            ids, begin, starts, positions, first, last, shares, options.symmetric, *scratch, *entries
        )
        return tuple(array[:size] for array in entries)

    def merge(block: int) -> tuple[Any, ...]:
        read = [run.read(block) for run in runs]
        run_starts = np.zeros(len(runs) + 1, np.int64)
        run_starts[1:] = np.cumsum([part[0].size for part in read])
        rows, columns, sums = (np.concatenate(arrays) for arrays in zip(*read, strict=True))
        del read
        entries = np.empty_like(rows), np.empty_like(columns), np.empty_like(sums)
        scratch = np.zeros(num_words, np.int64), np.empty(num_words, np.int32)
        size = kernels.merge_runs(rows, columns, sums, run_starts, *scratch, *entries)
        return tuple(array[:size] for array in entries)

    for begin in range(0, max(ids.size, 1), stretch):
        end = min(begin + stretch, ids.size)
        positions = np.empty(end - begin, np.int32)
        kernels.index_positions(ids, begin, end, starts, positions)
        if end - begin == ids.size:
            whole = partial(count, begin=0, positions=positions)
            yield from ordered_results(pool, partial(_arrange_counted, whole, arrange), num_blocks, options.threads)
            return
        run = RunFile(workspace.path / f"run-{len(runs):05d}.bin")
        part = partial(count, begin=begin, positions=positions)
        with run:
            for entries in ordered_results(pool, part, num_blocks, options.threads):
                run.add(*entries)
        runs.append(run)
    yield from ordered_results(pool, partial(_arrange_counted, merge, arrange), num_blocks, options.threads)


def _arrange_counted(count: Callable[[int], Any], arrange: Callable[..., Segment], block: int) -> Segment:
    return arrange(block, count(block))


def _arrange(block: int, entries: tuple[Any, ...], *, borders: Int64Array, unit: float, seed: int) -> Segment:
    """Turn the entries of a block of rows into a segment."""
    from nlpladder.models.vectors.glove import cooccurrence_kernels as kernels

    rows, columns, sums = entries
    segment = Segment(
        np.empty(rows.size, np.int32),
        np.empty(rows.size, np.int32),
        np.empty(rows.size, np.float32),
        np.zeros(borders.size, np.int64),
    )
    sorted_entries = segment.rows, segment.columns, segment.values, segment.block_starts
    kernels.sort_by_column(rows, columns, sums, unit, borders, *sorted_entries)
    state = int(np.random.SeedSequence([seed, block]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    kernels.shuffle_blocks(*sorted_entries, state)
    return segment
