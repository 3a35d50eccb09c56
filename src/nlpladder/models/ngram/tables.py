"""`QueryTables`: a back-off model laid out for look-ups; built from `NGramLevel`s and turned back into them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ModelError
from nlpladder.models.ngram.levels import NGramLevel

#: Orders with fewer n-grams than this have one region: a few entries could fill a small one by chance.
SMALL = 1 << 16
REGIONS = 8
CACHE_LINE = 64
#: Share of the slots in use. Higher saves memory and costs probes.
LOAD = 0.72


@dataclass(frozen=True)
class QueryTables:
    """A back-off model as hash tables; see `table_kernels` for the layout.

    Attributes:
        unigrams: float32, shape (words, 2): log10 probability and log10 back-off of each word.
        slots: int64, shape (slots, 2): the n-grams of order 2 and more; may be a read-only memory map.
        counts: Number of n-grams of each order, from 1 on.
    """

    unigrams: npt.NDArray[np.float32]
    slots: npt.NDArray[np.int64]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.unigrams.shape != (self.counts[0], 2) or self.slots.shape != (_total_slots(self.counts), 2):
            raise ModelError(
                f"The tables do not fit the counts {self.counts}: unigrams {self.unigrams.shape}, n-grams "
                f"{self.slots.shape}. Build or save the model again."
            )

    @property
    def order(self) -> int:
        """The longest n-grams."""
        return len(self.counts)

    @property
    def word_bits(self) -> int:
        """Bits of a word id within a key."""
        return max(self.counts[0] - 1, 1).bit_length()

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """The slots seen as float32, shape (slots, 4): probability and back-off are the last two columns."""
        return self.slots.view(np.float32)

    @property
    def geometry(self) -> npt.NDArray[np.int64]:
        """Where the slots of each order lie, shape (max(order - 1, 1), 3)."""
        return geometry_of(self.counts)

    @classmethod
    def from_levels(cls, levels: Sequence[NGramLevel], *, num_threads: int | None = None) -> QueryTables:
        """Build the tables; the bytes are the same for any number of threads.

        Args:
            levels: One entry an order, from unigrams on.
            num_threads: By default one a processor, at most 8.

        Raises:
            ModelError: when levels do not fit together or hold numbers that are not finite.
        """
        check_levels(levels)
        builder = TableBuilder([level.word.size for level in levels], num_threads=num_threads)
        for level in levels:
            builder.add(level)
        return builder.tables

    def bigrams(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the bigrams by first word.

        Returns:
            Where the bigrams of each first word begin, and the end, shape (words + 1,); the second words, in id order;
            the slots.
        """
        from nlpladder.models.ngram.table_kernels import used_slots

        keys = np.empty(self.counts[1], np.int64)
        slots = np.empty(self.counts[1], np.int64)
        used_slots(self.slots, 0, keys, slots)
        first = (keys >> self.word_bits).astype(np.int32)
        second = (keys & ((1 << self.word_bits) - 1)).astype(np.int32)
        order = canonical_order(first, second, self.counts[0], self.counts[0])
        starts = np.zeros(self.counts[0] + 1, np.int64)
        np.cumsum(np.bincount(first, minlength=self.counts[0]), out=starts[1:])
        return starts, second[order], slots[order]

    def to_levels(self) -> list[NGramLevel]:
        """Return the levels, in canonical order."""
        from nlpladder.models.ngram.table_kernels import used_slots

        highest = self.order == 1
        ids = np.arange(self.counts[0], dtype=np.int32)
        empty = np.empty(0, np.float32)
        unigrams = np.ascontiguousarray(self.unigrams.T)
        levels = [NGramLevel(np.zeros_like(ids), ids, unigrams[0], empty if highest else unigrams[1])]
        rank_of_slot = ids
        first_slot = 0
        for place, count in zip(self.geometry, self.counts[1:], strict=False):
            keys = np.empty(count, np.int64)
            numbers = np.empty(count, np.int64)
            used_slots(self.slots, int(place[0]), keys, numbers)
            prefix = rank_of_slot[(keys >> self.word_bits) - first_slot]
            word = (keys & ((1 << self.word_bits) - 1)).astype(np.int32)
            order = canonical_order(prefix, word, levels[-1].word.size, self.counts[0])
            numbers = numbers[order]
            highest = len(levels) == self.order - 1
            levels.append(
                NGramLevel(
                    prefix[order],
                    word[order],
                    self.values[numbers, 2],
                    empty if highest else self.values[numbers, 3],
                )
            )
            if not highest:
                first_slot = int(place[0])
                rank_of_slot = np.empty((int(place[1]) + 1) * (int(place[2]) + 1), np.int32)
                rank_of_slot[numbers - first_slot] = np.arange(count, dtype=np.int32)
        return levels


class TableBuilder:
    """Builds tables level by level.

    Args:
        counts: Number of n-grams of each order.
        num_threads: By default one a processor, at most 8.

    Attributes:
        tables: What has been built so far; orders that are not added yet are empty.
    """

    def __init__(self, counts: Sequence[int], *, num_threads: int | None = None) -> None:
        slots = _aligned_slots(_total_slots(counts))
        self.tables = QueryTables(np.zeros((counts[0], 2), np.float32), slots, tuple(counts))
        self._threads = num_threads or available_threads()
        self._added = 0
        slot_type = np.int32 if len(slots) < 2**31 else np.int64
        self._prefix_slots: npt.NDArray[Any] = np.arange(counts[0], dtype=slot_type)

    def add(self, level: NGramLevel) -> None:
        """Add the next order."""
        level = _in_memory(level)
        self._added += 1
        if self._added == 1:
            self.tables.unigrams[:, 0] = level.log10_probability
            if level.log10_backoff.size:
                self.tables.unigrams[:, 1] = level.log10_backoff
            return
        place = self.tables.geometry[self._added - 2]
        is_highest = self._added == self.tables.order
        own_slots = np.empty(0 if is_highest else level.word.size, self._prefix_slots.dtype)
        regions = int(place[2]) + 1
        borders = np.linspace(0, regions, min(self._threads, regions) + 1).astype(int).tolist()
        with ThreadPoolExecutor(len(borders) - 1) as pool:
            jobs = [pool.submit(self._fill, level, first, end, own_slots) for first, end in itertools.pairwise(borders)]
        for job in jobs:
            job.result()
        self._prefix_slots = own_slots

    def _fill(self, level: NGramLevel, first: int, end: int, own_slots: Any) -> None:
        """Fill the regions from `first` to `end` of an order."""
        from nlpladder.models.ngram.table_kernels import insert_level

        tables, row = self.tables, self._added - 2
        geometry = tables.geometry
        _clear(tables.slots, geometry[row], first, end)
        insert_level(
            tables.slots, tables.values, geometry, row, first, end, level.prefix, self._prefix_slots, level.word,
            tables.word_bits, level.log10_probability, level.log10_backoff, own_slots,
        )  # fmt: skip

    def clear_next(self) -> None:
        """Make the tables of the next order empty, so that the orders below it can answer."""
        place = self.tables.geometry[self._added - 1]
        _clear(self.tables.slots, place, 0, int(place[2]) + 1)

    def ranks_of(self, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Find n-grams of the order that was added last, which must not be the highest.

        Args:
            rows: Word ids, shape (n, order).

        Returns:
            Their indices in the level, or -1; shape (n,).
        """
        from nlpladder.models.ngram.table_kernels import find_ngrams

        if rows.shape[1] == 1:
            return rows[:, 0]
        tables = self.tables
        found = np.empty(len(rows), np.int64)
        borders = np.linspace(0, len(rows), self._threads + 1).astype(int).tolist()
        with ThreadPoolExecutor(self._threads) as pool:
            jobs = [
                pool.submit(
                    find_ngrams, rows[begin:end], tables.slots, tables.geometry, tables.word_bits, found[begin:end]
                )
                for begin, end in itertools.pairwise(borders)
            ]
        for job in jobs:
            job.result()
        begin, region_size, mask = tables.geometry[self._added - 2].tolist()
        # One entry more, so that slot -1 has the rank -1.
        rank_of_slot = np.full((mask + 1) * (region_size + 1) + 1, -1, np.int32)
        rank_of_slot[self._prefix_slots - begin] = np.arange(self._prefix_slots.size, dtype=np.int32)
        return rank_of_slot[np.where(found < 0, -1, found - begin)]


def _aligned_slots(size: int) -> npt.NDArray[np.int64]:
    """Return slots that begin at a cache line; shape (size, 2)."""
    memory = np.empty(2 * size + CACHE_LINE // 8, np.int64)
    begin = -memory.ctypes.data % CACHE_LINE // 8
    return memory[begin : begin + 2 * size].reshape(size, 2)


def _in_memory(level: NGramLevel) -> NGramLevel:
    """Return a level without memory maps, which are another type to compiled kernels."""

    def plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.require(array.view(np.ndarray), requirements=("C", "W"))

    return NGramLevel(
        plain(level.prefix), plain(level.word), plain(level.log10_probability), plain(level.log10_backoff)
    )


def _clear(slots: npt.NDArray[np.int64], place: Any, first: int, end: int) -> None:
    """Make some regions of an order empty."""
    from nlpladder.models.ngram.table_kernels import EMPTY, WRAP

    begin, stride = int(place[0]), int(place[1]) + 1
    regions = slots[begin + first * stride : begin + end * stride]
    regions[:] = (EMPTY, 0)
    regions[stride - 1 :: stride, 0] = WRAP


def geometry_of(counts: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return begin, slots a region and region mask of each order from 2 on; shape (max(order - 1, 1), 3)."""
    rows = []
    begin = 0
    for count in counts[1:]:
        regions = REGIONS if count >= SMALL else 1
        # Whole cache lines; one slot after each region says that it ends, and at least one stays free.
        region_size = (int(count / regions / LOAD) + 2) | 3
        rows.append((begin, region_size, regions - 1))
        begin += regions * (region_size + 1)
    return np.array(rows or [(0, 1, 0)], dtype=np.int64)


def _total_slots(counts: Sequence[int]) -> int:
    if len(counts) == 1:
        return 0
    begin, region_size, mask = geometry_of(counts)[-1].tolist()
    return begin + (mask + 1) * (region_size + 1)


def canonical_order(
    prefix: npt.NDArray[np.int32], word: npt.NDArray[np.int32], num_prefixes: int, num_words: int
) -> npt.NDArray[np.int32]:
    """Return where the n-grams stand that come first, second and so on in canonical order; shape (n,)."""
    from nlpladder.models.ngram.table_kernels import sort_stably

    by_word = np.empty_like(prefix)
    sort_stably(word, num_words, np.arange(prefix.size, dtype=prefix.dtype), by_word)
    by_prefix = np.empty_like(prefix)
    sort_stably(prefix, num_prefixes, by_word, by_prefix)
    return by_prefix


def available_threads() -> int:
    """Return the number of processors that this process may use, at most 8."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(len(affinity(0)) if affinity else os.cpu_count() or 1, 8)


def check_levels(levels: Sequence[NGramLevel]) -> None:
    """Refuse levels that do not fit together.

    Raises:
        ModelError: says which order is wrong and how.
    """
    if not levels or levels[0].word.size < 3:
        raise ModelError("A model needs a level of unigrams with <unk>, <s> and </s> as words 0, 1 and 2.")
    num_words = levels[0].word.size
    if not np.array_equal(levels[0].word, np.arange(num_words)):
        raise ModelError("Entry i of the unigram level must be word i.")
    key_bits = sum(level.word.size for level in levels).bit_length() + 1 + num_words.bit_length()
    if key_bits > 62:
        raise ModelError(f"{num_words:,} words and that many n-grams need keys of {key_bits} bits; 62 are possible.")
    for order, level in enumerate(levels, start=1):
        highest = order == len(levels)
        shapes = {level.prefix.shape, level.word.shape, level.log10_probability.shape}
        if not (highest and level.log10_backoff.size == 0):
            shapes.add(level.log10_backoff.shape)
        if len(shapes) > 1:
            raise ModelError(f"The arrays of the {order}-grams differ in length: {sorted(shapes)}.")
        if not (np.isfinite(level.log10_probability).all() and np.isfinite(level.log10_backoff).all()):
            raise ModelError(f"Some {order}-grams have a probability or back-off that is not finite.")
        if order == 1 or not level.word.size:
            continue
        limits = ((level.word, num_words), (level.prefix, levels[order - 2].word.size))
        if any(numbers.min() < 0 or numbers.max() >= limit for numbers, limit in limits):
            raise ModelError(f"Some {order}-grams name a word or a prefix that does not exist.")
