"""`refined_blocks`: the positions of a text, grouped by word, sorted further by the words that follow them.

Groups of positions are independent of each other, so that they are taken in blocks: threads take a block each, and sort
it to the full depth in memory that it keeps for the next block. A group that is too large for that is split by its next
word where it stands, and its parts are blocks, or are split again: no group is too large for a bound on memory.
"""

from __future__ import annotations

import functools
import queue
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nlpladder.models.ngram.levels import SENTENCE_START
from nlpladder.models.ngram.workspace import AnyArray, Workspace, paged

Entries = tuple[AnyArray, AnyArray, AnyArray]
_Job = Callable[[], "tuple[Block, AnyArray | None]"]
#: Positions that one thread sorts at a time: they and their words stay in a second-level cache.
_BLOCK = 1 << 16
#: Fewer positions than these are not worth a call: fewer threads work before blocks become smaller, and then no bound
#: makes them so.
_SMALLEST_BLOCK = 1 << 12
#: Of what is free within the bound, what the threads may take; n-grams found take the rest.
_SHARE = 0.5
#: What a thread keeps for each position of a block: `_Buffers`.
_BYTES_A_POSITION = 36
#: What `Block.entries` take for each n-gram, at most one a position and order.
_BYTES_AN_ENTRY = 12


@dataclass(frozen=True)
class Block:
    """N-grams that continue a range of siblings: prefix, word and count for each order from `length` + 1 on.

    Attributes:
        length: Words of the siblings.
        first: The first sibling's place. Words have their ids; longer siblings are numbered within the block that
            brought them, the last one before this whose length is one less.
        entries: Prefixes of the first order are numbered from `first` on, those of higher orders within this block.
            Valid, and free to be changed, until the next block is taken.
    """

    length: int
    first: int
    entries: list[Entries]


@dataclass(frozen=True)
class Plan:
    """How the work is cut.

    Attributes:
        num_threads: Threads that work.
        largest: Positions of the largest block.
        held: Bytes that all of it takes at most.
    """

    num_threads: int
    largest: int
    held: int


def plan_blocks(largest_group: int, order: int, num_threads: int, workspace: Workspace) -> Plan:
    """Return how to cut the work so that it stays within the bound.

    Args:
        largest_group: How often the most frequent word occurs.
        order: Longest n-grams.
        num_threads: Threads to use at most.
        workspace: Says what is free.
    """
    available = int(workspace.available() * _SHARE)

    def held(threads: int) -> int:
        return threads * _BYTES_A_POSITION + _outstanding(threads) * _BYTES_AN_ENTRY * (order - 1)

    while num_threads > 1 and available // held(num_threads) < _SMALLEST_BLOCK:
        num_threads -= 1
    largest = min(max(available // held(num_threads), _SMALLEST_BLOCK), max(largest_group, _BLOCK))
    return Plan(num_threads, largest, largest * held(num_threads))


def refined_blocks(
    sequence: AnyArray, positions: AnyArray, counts: AnyArray, order: int, plan: Plan, workspace: Workspace
) -> Iterator[Block]:
    """Yield all n-grams from order 2 on, those of each order sorted.

    Args:
        sequence: The text, int32, with one ``<s>`` before each sentence and one at the end.
        positions: All places but the last, grouped by word; groups that are split are sorted.
        counts: How often each word occurs.
        order: Longest n-grams.
        plan: From `plan_blocks`.
        workspace: Where large groups are split.
    """
    word_bits = int(counts.size - 1).bit_length()
    buffers: queue.SimpleQueue[_Buffers] = queue.SimpleQueue()
    for _ in range(plan.num_threads):
        buffers.put(_Buffers(plan.largest))
    results: queue.SimpleQueue[AnyArray] = queue.SimpleQueue()
    for _ in range(_outstanding(plan.num_threads)):
        results.put(paged(plan.largest * 3 * (order - 1), np.int32))

    def refine(length: int, first: int, chosen: AnyArray, borders: AnyArray) -> tuple[Block, AnyArray]:
        mine, result = buffers.get(), results.get_nowait()
        try:
            return Block(
                length, first, _refine(sequence, chosen, borders, length, order, word_bits, mine, result)
            ), result
        finally:
            buffers.put(mine)

    def jobs(length: int, grouped: AnyArray, borders: AnyArray) -> Iterator[_Job]:
        for first, stop in _cut_groups(borders, min(_BLOCK, plan.largest)):
            chosen = grouped[borders[first] : borders[stop]]
            if chosen.size <= plan.largest:
                within = (borders[first : stop + 1] - borders[first]).astype(np.int32)
                yield functools.partial(refine, length, first, chosen, within)
                continue
            words, parts = _split(sequence, chosen, length, counts.size, workspace)
            sizes = np.diff(parts).astype(np.int32)
            found = Block(length, first, [(np.zeros(words.size, np.int32), words, sizes)])
            yield functools.partial(_done, found)
            if length + 1 < order:
                yield from jobs(length + 1, chosen, parts)

    waiting: deque[Future[tuple[Block, AnyArray | None]]] = deque()

    def next_block() -> Iterator[Block]:
        block, result = waiting.popleft().result()
        yield block
        if result is not None:
            results.put(result)

    with ThreadPoolExecutor(plan.num_threads) as threads:
        for job in jobs(1, positions, np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])):
            waiting.append(threads.submit(job))
            if len(waiting) == _outstanding(plan.num_threads):
                yield from next_block()
        while waiting:
            yield from next_block()


def _outstanding(num_threads: int) -> int:
    """Return how many blocks are waiting, at work, done or being written at once."""
    return 2 * num_threads + 1


def _done(block: Block) -> tuple[Block, AnyArray | None]:
    return block, None


class _Buffers:
    """What one thread works with, block after block; pages that no block reaches are never taken.

    Args:
        size: Positions of the largest block.
    """

    def __init__(self, size: int) -> None:
        self.grouped, self.scratch = paged(size, np.int64), paged(size, np.int64)
        self.borders = [paged(size + 1, np.int32) for _ in range(2)]
        self.prefix, self.word, self.count = (paged(size, np.int32) for _ in range(3))


def _cut_groups(borders: AnyArray, largest: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of groups with at most so many positions each, or of one group."""
    first = 0
    while first < borders.size - 1:
        stop = int(np.searchsorted(borders, borders[first] + largest, side="right")) - 1
        stop = max(stop, first + 1)
        yield first, stop
        first = stop


def _split(
    sequence: AnyArray, positions: AnyArray, length: int, num_words: int, workspace: Workspace
) -> tuple[AnyArray, AnyArray]:
    """Sort one group by its next word alone, in place.

    Args:
        sequence: The text.
        positions: Of one n-gram; those where its sentence ends come last afterwards.
        length: Words of the n-gram.
        num_words: Words of the vocabulary.
        workspace: Where a copy of the group goes meanwhile.

    Returns:
        The words that follow, int32, and where the positions of each begin, and the end.
    """
    from nlpladder.models.ngram.counting_kernels import count_next_words, group_by_next_word

    sizes = np.zeros(num_words, np.int64)
    count_next_words(sequence, positions, length, sizes)
    sizes[SENTENCE_START] = 0
    words = np.flatnonzero(sizes).astype(np.int32)
    borders = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[words])])
    ends = sizes  # where the next position of each word goes
    ends[words] = borders[:-1]
    ends[SENTENCE_START] = borders[-1]
    sorted_positions = workspace.empty(positions.size, np.int32)
    group_by_next_word(sequence, positions, length, ends, sorted_positions)
    positions[:] = sorted_positions
    return words, borders


def _refine(
    sequence: AnyArray,
    positions: AnyArray,
    borders: AnyArray,
    length: int,
    order: int,
    word_bits: int,
    buffers: _Buffers,
    result: AnyArray,
) -> list[Entries]:
    """Sort groups of positions by the words that follow; return the n-grams of each order above `length`.

    Args:
        sequence: The text.
        positions: Grouped by their first words.
        borders: Where each group begins, and the end, int32; changed.
        length: How many words the positions of a group share.
        order: Longest n-grams.
        word_bits: Bits of the largest word id.
        buffers: Room for as many positions or more.
        result: Receives the n-grams, int32; room for one a position and order or more.
    """
    from nlpladder.models.ngram.counting_kernels import collect_ngrams, read_next_words

    entries = []
    filled = 0
    grouped = buffers.grouped[: positions.size]
    grouped[:] = positions
    for shared in range(length, order):
        used = read_next_words(sequence, grouped, borders, shared)
        grouped = grouped[:used]
        new_borders = buffers.borders[shared % 2]
        found = collect_ngrams(
            grouped, borders, word_bits, buffers.scratch, buffers.prefix, buffers.word, buffers.count, new_borders
        )
        borders = new_borders[: found + 1]
        columns = result[filled : filled + 3 * found].reshape(3, found)
        for column, values in zip(columns, (buffers.prefix, buffers.word, buffers.count), strict=True):
            column[:] = values[:found]
        entries.append((columns[0], columns[1], columns[2]))
        filled += 3 * found
    return entries
