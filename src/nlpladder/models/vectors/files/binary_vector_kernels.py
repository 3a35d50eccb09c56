"""Kernels for binary vector files: find each word, copy each vector."""

from __future__ import annotations

from typing import Any

import numba as nb

_NEWLINE, _SPACE = 10, 32
#: A "word" longer than this is no word: the number of dimensions is wrong, or the file is damaged.
LONGEST_WORD = 1 << 16


@nb.njit(cache=True, nogil=True)
def scan_records(buffer: Any, most_rows: int, row_bytes: int, rows: Any, word_spans: Any) -> tuple[int, int]:
    """Cut records ``word blank vector`` out of a buffer, with or without a newline between them.

    Args:
        buffer: Bytes, uint8.
        most_rows: How many records to read at most.
        row_bytes: Bytes of a vector.
        rows: Filled with the bytes of the vectors, uint8 (most_rows, row_bytes).
        word_spans: Filled with first byte and byte after each word, int64 (most_rows, 2).

    Returns:
        Whole records found, and the bytes they take; -1 records when a word has no end.
    """
    size = len(buffer)
    place = 0
    row = 0
    while row < most_rows:
        start = place
        while start < size and buffer[start] == _NEWLINE:
            start += 1
        stop = start
        while stop < size and buffer[stop] != _SPACE:
            stop += 1
        if stop - start > LONGEST_WORD:
            return -1, place
        if stop + 1 + row_bytes > size:
            break
        word_spans[row, 0] = start
        word_spans[row, 1] = stop
        target = rows[row]
        for byte in range(row_bytes):
            target[byte] = buffer[stop + 1 + byte]
        place = stop + 1 + row_bytes
        row += 1
    return row, place


@nb.njit(cache=True, nogil=True)
def scan_dictionary(buffer: Any, entries: int, word_spans: Any, counts: Any, kinds: Any) -> int:
    """Read the entries ``word NUL count kind`` of a fastText dictionary; return the bytes they take, -1 if cut short.

    Args:
        buffer: Bytes, uint8.
        entries: How many entries there are.
        word_spans: Filled, int64 (entries, 2).
        counts: Filled with little-endian counts, int64 (entries,).
        kinds: Filled with 0 for words and 1 for labels, int8 (entries,).
    """
    size = len(buffer)
    place = 0
    for entry in range(entries):
        word_spans[entry, 0] = place
        while place < size and buffer[place] != 0:
            place += 1
        word_spans[entry, 1] = place
        if place + 10 > size:
            return -1
        count = 0
        for byte in range(8):
            count |= buffer[place + 1 + byte] << (8 * byte)
        counts[entry] = count
        kinds[entry] = buffer[place + 9]
        place += 10
    return place
