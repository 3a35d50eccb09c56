"""Kernels that count the n-grams of scanned documents, or hash them, row by row of the matrix.

Each row is collected as packed integers ``column << 32 | value``: sorting them sorts the columns.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from nlpladder.models.counts.terms import ABSENT, LOWER_HALF

COLUMN, LAST_ENTRY = range(2)  # the columns of `tallies`
INSERTION_SORT_LIMIT = 64


@nb.njit(cache=True, nogil=True)
def sort_row(row: Any, n_entries: int) -> None:
    """Sort the first entries of `row` in place; rows are short and begin nearly sorted, so insertion wins."""
    if n_entries > INSERTION_SORT_LIMIT:
        row[:n_entries].sort()
        return
    for number in range(1, n_entries):
        entry = row[number]
        place = number
        while place > 0 and row[place - 1] > entry:
            row[place] = row[place - 1]
            place -= 1
        row[place] = entry


@nb.njit(cache=True, nogil=True)
def count_rows(
    numbers: Any,
    spans: Any,
    documents: Any,
    smallest: int,
    whole_spans: bool,
    n_columns: int,
    tallies: Any,
    entries_before: int,
    indices: Any,
    values: Any,
    row_ends: Any,
) -> int:
    """Count terms document by document.

    Terms that have no column yet get the next one, in scikit-learn's order: span by span, shorter n-grams first.

    Args:
        numbers: The term of the n-gram of each order that begins with each unit, or `ABSENT`; shape (orders, units).
        spans: The first unit of each span, and the end; shape (spans + 1,).
        documents: The first span of each document, and the end; shape (documents + 1,).
        smallest: Units of the n-grams in the first row of `numbers`.
        whole_spans: Whether a span shorter than `smallest` is one n-gram.
        n_columns: Number of columns so far, or -1: terms without a column are not counted.
        tallies: Column of each term (or -1), and the entry of the matrix that it was counted in last; shape (terms, 2).
        entries_before: Number of entries of the matrix that earlier calls wrote.
        indices: Receives the column of each entry; as long as there are n-grams.
        values: Receives the counts; as `indices`.
        row_ends: Receives the end of each row in `indices`; shape (documents,).

    Returns:
        The number of columns.
    """
    row = np.empty(indices.size, np.int64)
    written = 0
    for document in range(row_ends.size):
        n_entries = 0
        row_begin = entries_before + written
        for span in range(documents[document], documents[document + 1]):
            first = spans[span]
            n_units = spans[span + 1] - first
            for shorter in range(numbers.shape[0]):
                order = smallest + shorter
                if order > n_units and not (whole_spans and shorter == 0):
                    break
                for unit in range(first, first + max(n_units - order, 0) + 1):
                    term = numbers[shorter, unit]
                    if term < 0:
                        continue
                    column = tallies[term, COLUMN]
                    if column < 0:
                        if n_columns < 0:
                            continue
                        column = n_columns
                        tallies[term, COLUMN] = column
                        n_columns += 1
                    place = tallies[term, LAST_ENTRY] - row_begin
                    if place >= 0:
                        row[place] += 1
                    else:
                        tallies[term, LAST_ENTRY] = row_begin + n_entries
                        row[n_entries] = column << 32 | 1
                        n_entries += 1
        sort_row(row, n_entries)
        for number in range(n_entries):
            indices[written] = row[number] >> 32
            values[written] = row[number] & LOWER_HALF
            written += 1
        row_ends[document] = written
    return n_columns


@nb.njit(cache=True, nogil=True)
def drop_units(buffer: Any, starts: Any, spans: Any, numbers: Any) -> None:
    """Remove, in place, the units that have a number.

    Args:
        buffer: Text of the units; shape (bytes,).
        starts: Where each unit begins in `buffer`, and the end; shape (units + 1,).
        spans: The first unit of each span, and the end; shape (spans + 1,).
        numbers: `ABSENT` for the units to keep; shape (units,).
    """
    used = 0
    kept = 0
    unit = 0
    begin = starts[0]
    for span in range(spans.size - 1):
        while unit < spans[span + 1]:
            end = starts[unit + 1]
            if numbers[unit] == ABSENT:
                starts[kept] = used
                kept += 1
                for position in range(begin, end):
                    buffer[used] = buffer[position]
                    used += 1
            begin = end
            unit += 1
        spans[span + 1] = kept
    starts[kept] = used


@nb.njit(cache=True, nogil=True)
def murmur_hash(text: Any, begin: int, end: int) -> Any:
    """MurmurHash3 (Appleby 2011), 32 bits, x86 variant, seed 0, as a signed integer: the hash of feature hashing."""
    value = np.uint32(0)
    n_blocks = (end - begin) // 4
    for block in range(n_blocks):
        position = begin + 4 * block
        part = (
            np.uint32(text[position])
            | np.uint32(text[position + 1]) << np.uint32(8)
            | np.uint32(text[position + 2]) << np.uint32(16)
            | np.uint32(text[position + 3]) << np.uint32(24)
        )
        part = np.uint32(part * np.uint32(0xCC9E2D51))
        part = np.uint32(part << np.uint32(15)) | np.uint32(part >> np.uint32(17))
        value ^= np.uint32(part * np.uint32(0x1B873593))
        value = np.uint32(value << np.uint32(13)) | np.uint32(value >> np.uint32(19))
        value = np.uint32(value * np.uint32(5) + np.uint32(0xE6546B64))
    part = np.uint32(0)
    for position in range(end - 1, begin + 4 * n_blocks - 1, -1):
        part = np.uint32(part << np.uint32(8)) | np.uint32(text[position])
    part = np.uint32(part * np.uint32(0xCC9E2D51))
    part = np.uint32(part << np.uint32(15)) | np.uint32(part >> np.uint32(17))
    value ^= np.uint32(part * np.uint32(0x1B873593))
    value ^= np.uint32(end - begin)
    value = np.uint32((value ^ np.uint32(value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    value = np.uint32((value ^ np.uint32(value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    value = np.uint32(value ^ np.uint32(value >> np.uint32(16)))
    return np.int64(np.int32(value))


@nb.njit(cache=True, nogil=True)
def hash_windows(
    buffer: Any,
    starts: Any,
    spans: Any,
    documents: Any,
    smallest: int,
    largest: int,
    whole_spans: bool,
    gap: int,
    n_features: int,
    entries: Any,
    row_ends: Any,
) -> None:
    """Hash n-grams, of words or of characters, to columns and signs.

    Args:
        buffer: The units of a scan; shape (bytes,).
        starts: Where each unit begins in `buffer`, and the end; shape (units + 1,).
        spans: The first unit of each span, and the end; shape (spans + 1,).
        documents: The first span of each document, and the end; shape (documents + 1,).
        smallest: Fewest units of an n-gram.
        largest: Most units of an n-gram.
        whole_spans: See `count_windows`.
        gap: Bytes between two units that are no part of an n-gram's end: 1 for words, 0 for characters.
        n_features: Number of columns.
        entries: Receives ``column << 32 | sign + 1``, one for each n-gram.
        row_ends: Receives the end of each row in `entries`; shape (documents,).
    """
    written = 0
    for document in range(row_ends.size):
        for span in range(documents[document], documents[document + 1]):
            n_units = spans[span + 1] - spans[span]
            for order in range(smallest, largest + 1):
                if order > n_units and not whole_spans:
                    break
                width = min(order, n_units)
                for first in range(spans[span], spans[span + 1] - width + 1):
                    value = murmur_hash(buffer, starts[first], starts[first + width] - gap)
                    entries[written] = abs(value) % n_features << 32 | (2 if value >= 0 else 0)
                    written += 1
                if order >= n_units:
                    break
        row_ends[document] = written


@nb.njit(cache=True, nogil=True)
def merge_entries(entries: Any, row_ends: Any, indices: Any, values: Any) -> None:
    """Sort each row's entries by column and add up those of one column.

    Args:
        entries: ``column << 32 | value + 1`` with values -1, 0 or 1, in any order; shape (entries,).
        row_ends: The end of each row in `entries`; receives the end of each row in `indices`; shape (documents,).
        indices: Receives the columns; shape (entries,).
        values: Receives the sums; shape (entries,).
    """
    written = 0
    begin = 0
    for document in range(row_ends.size):
        row = entries[begin : row_ends[document]]
        begin = row_ends[document]
        sort_row(row, row.size)
        for number in range(row.size):
            column = row[number] >> 32
            value = (row[number] & LOWER_HALF) - 1
            if number > 0 and column == row[number - 1] >> 32:
                values[written - 1] += value
            else:
                indices[written] = column
                values[written] = value
                written += 1
        row_ends[document] = written


@nb.njit(cache=True, nogil=True)
def rename_columns(indptr: Any, indices: Any, values: Any, new_columns: Any) -> None:
    """Rename or drop the columns of a CSR matrix in place; entries keep their order.

    Args:
        indptr: Row borders; shape (rows + 1,).
        indices: Columns; shape (entries,).
        values: Counts; shape (entries,).
        new_columns: The new number of each column, or -1 to drop it; shape (columns,).
    """
    written = 0
    begin = indptr[0]
    for row in range(indptr.size - 1):
        for entry in range(begin, indptr[row + 1]):
            column = new_columns[indices[entry]]
            if column >= 0:
                indices[written] = column
                values[written] = values[entry]
                written += 1
        begin = indptr[row + 1]
        indptr[row + 1] = written
