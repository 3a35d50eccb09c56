"""The table of terms that a vectoriser counts with: its arrays, and its terms as strings in sorted order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nlpladder.models.counts import terms

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Chunk:
    """Some documents as units (words or characters) in a buffer; every n-gram is a window of it.

    Attributes:
        buffer: Bytes of the units.
        starts: Where each unit begins in `buffer`, and the end; shape (units + 1,) or more.
        spans: The first unit of each span that an n-gram may lie in, and the end; shape (spans + 1,).
        documents: The first span of each document, and the end; shape (documents + 1,).
    """

    buffer: npt.NDArray[np.uint8]
    starts: Int64Array
    spans: Int64Array
    documents: Int64Array

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return self.documents.size - 1

    @property
    def n_units(self) -> int:
        """Number of units."""
        return int(self.spans[-1])


@dataclass(frozen=True)
class NgramRange:
    """Which n-grams are terms.

    Attributes:
        words: Whether they consist of words, each followed by one byte in a chunk's buffer, or of characters.
        smallest: Fewest units of an n-gram.
        largest: Most units of an n-gram.
        whole_spans: Whether a span with fewer units than `smallest` is a term.
    """

    words: bool
    smallest: int
    largest: int
    whole_spans: bool = False

    @property
    def gap(self) -> int:
        """Bytes after each unit that do not belong to it."""
        return 1 if self.words else 0

    def count(self, chunk: Chunk) -> int:
        """Return how many n-grams a chunk holds."""
        lengths = np.diff(chunk.spans)  # units of each span
        largest = np.minimum(lengths, self.largest)
        orders = np.maximum(largest - self.smallest + 1, 0)
        ngrams = orders * (lengths + 1) - orders * (self.smallest + largest) // 2
        short = np.count_nonzero(lengths < self.smallest) if self.whole_spans else 0
        return int(ngrams.sum()) + int(short)


def encode_text(text: str) -> bytes:
    """Return UTF-8 in which lone surrogates are kept: bytes compare as code points do."""
    return text.encode("utf-8", "surrogatepass")


def join_encoded(pieces: Sequence[bytes], separator: bytes = b"") -> tuple[npt.NDArray[np.uint8], Int64Array]:
    """Return the pieces, each followed by `separator`, shape (bytes,), and their borders, shape (pieces + 1,)."""
    offsets = np.zeros(len(pieces) + 1, np.int64)
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    np.cumsum(lengths + len(separator), out=offsets[1:])
    return np.frombuffer(separator.join([*pieces, b""]), np.uint8), offsets


class TermTable:
    """Terms by number, found by their text or, for n-grams of words, by their parts; see ``terms.py``.

    Args:
        ngrams: Which n-grams are terms.

    Attributes:
        tallies: Each term's column (or -1) and the entry of the matrix it was counted in last; shape (capacity, 2).
    """

    def __init__(self, ngrams: NgramRange) -> None:
        self.ngrams = ngrams
        self.tallies = np.full((1024, 2), -1, np.int64)
        self._records = np.empty((1024, 2), np.int64)
        self._slots = np.zeros(2048, np.uint64)
        self._arena = np.empty(1024, np.uint8)
        self._sizes = np.zeros(2, np.int64)
        self._longest = 1  # words of the longest n-gram met

    def __len__(self) -> int:
        return int(self._sizes[terms.N_TERMS])

    def number_ngrams(self, chunk: Chunk, grow: bool) -> Int32Array:
        """Return the number of the n-gram of each order that begins with each unit.

        Args:
            chunk: Units of documents.
            grow: Whether new terms join the table. Otherwise their number is -1.

        Returns:
            Numbers of shape (orders from `smallest` on, units); -1 also where no n-gram of that order begins.
        """
        longest = int(np.diff(chunk.spans).max(initial=0))
        largest = min(self.ngrams.largest, max(longest, self.ngrams.smallest if self.ngrams.whole_spans else 0))
        rows = np.empty((max(largest - self.ngrams.smallest + 1, 0), chunk.n_units), np.int32)
        if not self.ngrams.words:
            for row in range(rows.shape[0]):
                self._number_windows(chunk, self.ngrams.smallest + row, grow, rows[row])
            return rows
        words = np.empty(chunk.n_units, np.int32)
        self._number_windows(chunk, 1, grow, words)
        numbers = words
        self._longest = max(self._longest, largest)
        for order in range(1, largest + 1):
            if order > 1:
                numbers = self._number_pairs(numbers, words, chunk, order, grow)
            if order >= self.ngrams.smallest:
                rows[order - self.ngrams.smallest] = numbers
        return rows

    def _number_windows(self, chunk: Chunk, order: int, grow: bool, numbers: Int32Array) -> None:
        """Number the n-grams of `order` units as texts."""
        firsts = np.empty(chunk.n_units, np.int64)
        seconds = np.empty(chunk.n_units, np.int64)
        hashes = np.empty(chunk.n_units, np.uint64)
        layout = (chunk.buffer, chunk.starts, chunk.spans, order)
        terms.pack_windows(*layout, self.ngrams.gap, self.ngrams.whole_spans, firsts, seconds, hashes)
        self._number(firsts, seconds, hashes, True, chunk.buffer, grow, numbers)

    def _number_pairs(
        self, prefixes: Int32Array, words: Int32Array, chunk: Chunk, order: int, grow: bool
    ) -> Int32Array:
        """Number the n-grams of `order` words by their prefixes and last words."""
        firsts = np.empty(chunk.n_units, np.int64)
        seconds = np.empty(chunk.n_units, np.int64)
        hashes = np.empty(chunk.n_units, np.uint64)
        terms.pair_words(prefixes, words, chunk.spans, order, firsts, seconds, hashes)
        numbers = np.empty(chunk.n_units, np.int32)
        self._number(firsts, seconds, hashes, False, chunk.buffer, grow, numbers)
        return numbers

    def _number(
        self,
        firsts: Int64Array,
        seconds: Int64Array,
        hashes: npt.NDArray[np.uint64],
        texts: bool,
        text: npt.NDArray[np.uint8],
        grow: bool,
        numbers: Int32Array,
    ) -> None:
        """Call `number_terms` until the table has room for all terms."""
        done = 0
        while True:
            table = (self._slots, self._records, self._arena, self._sizes)
            done = terms.number_terms(firsts, seconds, hashes, texts, text, grow, *table, done, numbers)
            if done == numbers.size:
                return
            self._enlarge(max(~int(seconds[done]), 0))

    def _enlarge(self, length: int) -> None:
        """Make room for one more term of `length` bytes, and for many."""
        n_terms = len(self)
        if n_terms == self._records.shape[0]:
            more = n_terms // 2
            self._records = np.concatenate([self._records, np.empty((more, 2), np.int64)])
            self.tallies = np.concatenate([self.tallies, np.full((more, 2), -1, np.int64)])
        used = int(self._sizes[terms.ARENA_USED])
        if used + length > self._arena.size:
            self._arena = np.concatenate([self._arena[:used], np.empty(used // 2 + length, np.uint8)])
        if 2 * (n_terms + 1) > self._slots.size:
            self._slots = np.zeros(2 * self._slots.size, np.uint64)
            terms.fill_slots(self._slots, self._records, self._arena, n_terms)

    def insert(self, texts: Sequence[str], columns: Int64Array) -> None:
        """Add terms as strings, where words are joined by single spaces, to be counted in `columns`."""
        if not self.ngrams.words:
            data, offsets = join_encoded([encode_text(text) for text in texts])
            spans = np.arange(offsets.size)
            chunk = Chunk(data, offsets, spans, spans)
            numbers = np.empty(chunk.n_units, np.int32)
            self._number_windows(chunk, 1, True, numbers)
            self.tallies[numbers, 0] = columns
            return
        data, offsets = join_encoded([encode_text(text) for text in texts], b" ")
        starts = np.concatenate([np.zeros(1, np.int64), np.flatnonzero(data == ord(" ")) + 1])
        spans = np.searchsorted(starts, offsets)
        chunk = Chunk(data, starts, spans, np.arange(spans.size))
        rows = self.number_ngrams(chunk, grow=True)
        orders = np.diff(spans) - self.ngrams.smallest
        possible = (orders >= 0) & (orders < rows.shape[0])  # other terms are never met
        numbers = rows[orders[possible], spans[:-1][possible]]
        self.tallies[numbers, 0] = columns[possible]

    def spell_and_sort(self, columns: Int64Array) -> tuple[list[str], Int64Array]:
        """Return the terms of `columns` as strings, and the rank of each among them in the order of ``sorted``."""
        numbers = self._terms_by_column()[columns]
        if self._longest == 1:
            return self._spell_texts(numbers)
        parts = np.empty((numbers.size, self._longest), np.int64)
        terms.words_of_terms(self._records, numbers, parts)
        used = np.unique(parts)
        used = used[used >= 0]
        words, ranks = self._spell_texts(used)
        # A space sorts before every word character, so n-grams sort as the tuples of their words' ranks do.
        rank_of_word = np.full(len(self) + 1, -1, np.int64)  # the last entry answers for "no word here"
        rank_of_word[used] = ranks
        keys = rank_of_word[parts]  # (terms, largest)
        ranks_of_terms = np.empty(numbers.size, np.int64)
        ranks_of_terms[np.lexsort(keys.T[::-1])] = np.arange(numbers.size)
        in_order = np.empty(used.size, object)
        in_order[ranks] = words
        spelled = in_order[keys[:, 0]]  # object arrays of str: `+` joins entry by entry
        for place in range(1, self._longest):
            present = np.flatnonzero(keys[:, place] >= 0)
            spelled[present] += " " + in_order[keys[present, place]]
        return spelled.tolist(), ranks_of_terms

    def _terms_by_column(self) -> Int64Array:
        """Return the number of the term of each column; shape (columns,)."""
        columns = self.tallies[: len(self), 0]
        counted = np.flatnonzero(columns >= 0)
        numbers = np.empty(counted.size, np.int64)
        numbers[columns[counted]] = counted
        return numbers

    def _spell_texts(self, numbers: Int64Array) -> tuple[list[str], Int64Array]:
        """Do the work of `spell_and_sort` for terms that are texts."""
        offsets = np.zeros(numbers.size + 1, np.int64)
        np.cumsum(~self._records[numbers, terms.SECOND], out=offsets[1:])
        written = np.empty(offsets[-1], np.uint8)
        terms.write_texts(self._records, self._arena, numbers, offsets, written)
        text = written.tobytes().decode("utf-8", "surrogatepass")
        if len(text) < written.size:  # from byte to character positions
            characters = np.zeros(written.size + 1, np.int64)
            np.cumsum(written & 0xC0 != 0x80, out=characters[1:])
            offsets = characters[offsets]
        borders = offsets.tolist()
        spelled = [text[begin:end] for begin, end in itertools.pairwise(borders)]
        rank_of_text = {term: rank for rank, term in enumerate(sorted(spelled))}
        return spelled, np.fromiter(map(rank_of_text.__getitem__, spelled), np.int64, len(spelled))

    def number_units(self, chunk: Chunk) -> Int32Array:
        """Return the number of each unit of `chunk`, or -1 where it is not in the table; shape (units,)."""
        numbers = np.empty(chunk.n_units, np.int32)
        self._number_windows(chunk, 1, False, numbers)
        return numbers
