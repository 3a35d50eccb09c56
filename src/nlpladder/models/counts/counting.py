"""From documents to a count matrix: chunk by chunk through the kernels, or through scikit-learn's analyser."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.models.counts import kernels
from nlpladder.models.counts.analysis import CHUNK_CHARACTERS, FastAnalysis
from nlpladder.models.counts.term_table import TermTable

logger = logging.getLogger(__name__)

#: Entries that there is room for at first. Pages of memory that are never written to are never taken, whereas small
#: arrays that grow leave holes behind that are as large as the matrix.
ROOM = 1 << 24

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


@dataclass
class Counts:
    """A count matrix in CSR form.

    Attributes:
        indptr: Where each row begins, and the end; shape (documents + 1,).
        indices: Columns; shape (entries,).
        values: Counts; shape (entries,).
    """

    indptr: Int64Array
    indices: Int32Array
    values: Int32Array


class CountsCollector:
    """Collects the rows that kernels write for each chunk of documents."""

    def __init__(self) -> None:
        self.n_entries = 0
        self._row_ends = [np.zeros(1, np.int64)]
        self._indices = np.empty(ROOM, np.int32)
        self._values = np.empty(ROOM, np.int32)

    def add(self, row_ends: Int64Array, indices: Int32Array, values: Int32Array) -> None:
        """Add rows; `indices` and `values` may be longer than the last of `row_ends`."""
        written = int(row_ends[-1])
        self._row_ends.append(row_ends + self.n_entries)
        before, self.n_entries = self.n_entries, self.n_entries + written
        if self.n_entries > self._indices.size:
            self._indices = _with_room(self._indices[:before], 2 * self.n_entries)
            self._values = _with_room(self._values[:before], 2 * self.n_entries)
        self._indices[before : self.n_entries] = indices[:written]
        self._values[before : self.n_entries] = values[:written]

    def counts(self) -> Counts:
        """Return all rows; the collector is of no more use."""
        self._indices.resize(self.n_entries, refcheck=False)
        self._values.resize(self.n_entries, refcheck=False)
        return Counts(np.concatenate(self._row_ends), self._indices, self._values)


def _with_room(array: Int32Array, capacity: int) -> Int32Array:
    larger = np.empty(capacity, np.int32)
    larger[: array.size] = array
    return larger


def announce_compilation() -> None:
    """Log that the kernels are about to be compiled, if they are: the first time on a machine it takes seconds."""
    dispatcher = kernels.count_rows
    if getattr(dispatcher, "signatures", True):  # compiled or loaded already, or plain Python: NUMBA_DISABLE_JIT
        return
    cache = Path(dispatcher.stats.cache_path or ".")
    if not any(cache.glob("kernels.count_rows-*.nbi")):
        logger.info("Compiling the counting kernels: some seconds, once on this machine.")


def count_documents(analysis: FastAnalysis, documents: Iterable[Any], table: TermTable, grow: bool) -> Counts:
    """Count the n-grams of `documents`.

    Args:
        analysis: How documents are read.
        documents: Read once, and only one chunk of them is held.
        table: The terms to count; receives the new ones if `grow`.
        grow: Whether new terms are counted, in columns numbered in order of appearance.

    Returns:
        The counts; rows are sorted by column.
    """
    collector = CountsCollector()
    n_columns = 0 if grow else -1
    announce_compilation()
    for chunk in analysis.chunks(documents):
        n_ngrams = analysis.ngrams.count(chunk)
        indices = np.empty(n_ngrams, np.int32)
        values = np.empty(n_ngrams, np.int32)
        row_ends = np.empty(chunk.n_documents, np.int64)
        numbers = table.number_ngrams(chunk, grow)
        units = (numbers, chunk.spans, chunk.documents, analysis.ngrams.smallest, analysis.ngrams.whole_spans)
        counted = (n_columns, table.tallies, collector.n_entries)
        n_columns = kernels.count_rows(*units, *counted, indices, values, row_ends)
        collector.add(row_ends, indices, values)
    return collector.counts()


def hash_documents(analysis: FastAnalysis, documents: Iterable[Any], n_features: int, signed: bool) -> Counts:
    """Count the n-grams of `documents` in the columns that MurmurHash3 gives them.

    Args:
        analysis: How documents are read.
        documents: Read once, and only one chunk of them is held.
        n_features: Number of columns.
        signed: Whether an n-gram counts as -1 where its hash is negative.

    Returns:
        The sums; rows are sorted by column.
    """
    collector = CountsCollector()
    ngrams = analysis.ngrams
    announce_compilation()
    for chunk in analysis.chunks(documents):
        entries = np.empty(ngrams.count(chunk), np.int64)
        row_ends = np.empty(chunk.n_documents, np.int64)
        units = (chunk.buffer, chunk.starts, chunk.spans, chunk.documents)
        options = (ngrams.smallest, ngrams.largest, ngrams.whole_spans, ngrams.gap)
        kernels.hash_windows(*units, *options, n_features, entries, row_ends)
        if not signed:
            entries |= 2
        _merge_into(collector, entries, row_ends)
    return collector.counts()


def _merge_into(collector: CountsCollector, entries: Int64Array, row_ends: Int64Array) -> None:
    indices = np.empty(entries.size, np.int32)
    values = np.empty(entries.size, np.int32)
    kernels.merge_entries(entries, row_ends, indices, values)
    collector.add(row_ends, indices, values)


def count_features(
    analyze: Callable[[Any], Iterable[Any]], documents: Iterable[Any], vocabulary: Mapping[Any, int] | None
) -> tuple[Counts, dict[Any, int]]:
    """Count what any analyser yields, which is as slow as the analyser is.

    Args:
        analyze: From a document to its features, which may be anything hashable.
        documents: Read once, and only one chunk of them is held.
        vocabulary: The column of each feature; others are ignored. None: a column for each feature, in order of
            appearance.

    Returns:
        The counts, with rows sorted by column, and the vocabulary.
    """
    known: dict[Any, int]
    if vocabulary is None:
        growing: defaultdict[Any, int] = defaultdict()
        growing.default_factory = growing.__len__
        known = growing
    else:
        known = dict(vocabulary)
    collector = CountsCollector()
    columns: list[int] = []
    row_ends: list[int] = []

    def flush() -> None:
        entries = np.array(columns, np.int64) << 32 | 2
        _merge_into(collector, entries, np.array(row_ends, np.int64))
        columns.clear()
        row_ends.clear()

    for document in documents:
        if vocabulary is None:
            columns.extend(map(known.__getitem__, analyze(document)))
        else:
            columns.extend(column for column in map(known.get, analyze(document)) if column is not None)
        row_ends.append(len(columns))
        if len(columns) >= CHUNK_CHARACTERS or len(row_ends) >= CHUNK_CHARACTERS:
            flush()
    if row_ends:
        flush()
    return collector.counts(), dict(known)
