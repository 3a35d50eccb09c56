"""Kernels that count co-occurrences row by row and put the counts into the order in which GloVe reads them.

A row is counted in a dense accumulator by walking over the occurrences of its word, so that no hash table and no sort
is needed, any number of threads can count different rows, and the corpus is read in any number of chunks. Counts are
sums of integers, ``unit / distance`` each, so that they do not depend on the order of the additions.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def index_positions(ids: Any, begin: int, end: int, starts: Any, positions: Any) -> None:
    """List the places of each word in a stretch of the corpus, by counting sort.

    Args:
        ids: The corpus, negative at the end of a sentence; shape (tokens + sentences,).
        begin: Where the stretch begins.
        end: Where it ends.
        starts: Receives where the places of each word begin, and the end; int64, shape (words + 1,).
        positions: Receives the places, counted from `begin`; int32, shape (end - begin,).
    """
    starts[:] = 0
    for place in range(begin, end):
        if ids[place] >= 0:
            starts[ids[place] + 1] += 1
    for word in range(starts.size - 1):
        starts[word + 1] += starts[word]
    following = starts[:-1].copy()
    for place in range(begin, end):
        word = ids[place]
        if word >= 0:
            positions[following[word]] = place - begin
            following[word] += 1


@nb.njit(cache=True, nogil=True)
def write_row(
    row: int, sums: Any, touched: Any, n_touched: int, written: int, rows: Any, columns: Any, out: Any
) -> int:
    """Write the entries of a finished row, clear the accumulator, and return the number of entries written so far."""
    for number in range(n_touched):
        column = touched[number]
        rows[written] = row
        columns[written] = column
        out[written] = sums[column]
        sums[column] = 0
        written += 1
    return written


@nb.njit(cache=True, nogil=True)
def count_rows(
    ids: Any,
    begin: int,
    starts: Any,
    positions: Any,
    first_row: int,
    last_row: int,
    shares: Any,
    symmetric: bool,
    sums: Any,
    touched: Any,
    rows: Any,
    columns: Any,
    out: Any,
) -> int:
    r"""Count :math:`X_{ij} = \sum 1 / d` over the occurrences of word j at most a window after word i, or around it.

    Args:
        ids: The corpus, negative at the end of a sentence, which ends every window; shape (tokens + sentences,).
        begin: Where the stretch of `index_positions` begins. Windows may leave the stretch.
        starts: From `index_positions`.
        positions: From `index_positions`.
        first_row: The first row to count.
        last_row: The first row after those to count.
        shares: What a pair at each distance adds, the first for distance 0; int64, shape (window + 1,).
        symmetric: Count the words before the row's word too.
        sums: Zeros; int64, shape (words,).
        touched: Scratch; int32, shape (words,).
        rows: Receives the row of each entry, in ascending order; int32.
        columns: Receives the columns, in the order of their first appearance; int32.
        out: Receives the sums; int64.

    Returns:
        The number of entries.
    """
    window = shares.size - 1
    written = 0
    for row in range(first_row, last_row):
        n_touched = 0
        for number in range(starts[row], starts[row + 1]):
            centre = begin + positions[number]
            for distance in range(1, min(window, ids.size - 1 - centre) + 1):
                column = ids[centre + distance]
                if column < 0:
                    break
                if sums[column] == 0:
                    touched[n_touched] = column
                    n_touched += 1
                sums[column] += shares[distance]
            if symmetric:
                for distance in range(1, min(window, centre) + 1):
                    column = ids[centre - distance]
                    if column < 0:
                        break
                    if sums[column] == 0:
                        touched[n_touched] = column
                        n_touched += 1
                    sums[column] += shares[distance]
        written = write_row(row, sums, touched, n_touched, written, rows, columns, out)
    return written


@nb.njit(cache=True, nogil=True)
def merge_runs(
    run_rows: Any,
    run_columns: Any,
    run_sums: Any,
    run_starts: Any,
    sums: Any,
    touched: Any,
    rows: Any,
    columns: Any,
    out: Any,
) -> int:
    """Add up the entries of several runs of `count_rows`, each in ascending order of rows.

    Args:
        run_rows: Row of each entry, run after run; int32.
        run_columns: Its column; int32.
        run_sums: Its sum; int64.
        run_starts: Where each run begins, and the end; int64, shape (runs + 1,).
        sums: As for `count_rows`.
        touched: As for `count_rows`.
        rows: As for `count_rows`.
        columns: As for `count_rows`.
        out: As for `count_rows`.

    Returns:
        The number of entries.
    """
    following = run_starts[:-1].copy()
    written = 0
    while True:
        row = -1
        for run in range(following.size):
            if following[run] < run_starts[run + 1] and (row < 0 or run_rows[following[run]] < row):
                row = run_rows[following[run]]
        if row < 0:
            return written
        n_touched = 0
        for run in range(following.size):
            while following[run] < run_starts[run + 1] and run_rows[following[run]] == row:
                column = run_columns[following[run]]
                if sums[column] == 0:
                    touched[n_touched] = column
                    n_touched += 1
                sums[column] += run_sums[following[run]]
                following[run] += 1
        written = write_row(row, sums, touched, n_touched, written, rows, columns, out)


@nb.njit(cache=True, nogil=True)
def sort_by_column(
    rows: Any,
    columns: Any,
    sums: Any,
    unit: float,
    borders: Any,
    sorted_rows: Any,
    sorted_columns: Any,
    values: Any,
    block_starts: Any,
) -> None:
    """Sort entries by column, then row: one order, however they were counted.

    Args:
        rows: Row of each entry, in ascending order; int32, shape (entries,).
        columns: Its column; int32, shape (entries,).
        sums: Its count in units; int64, shape (entries,).
        unit: The sum that is a count of 1.
        borders: The first column of each block of columns, and the end; int64, shape (blocks + 1,).
        sorted_rows: Receives the rows; int32, shape (entries,).
        sorted_columns: Receives the columns; int32, shape (entries,).
        values: Receives the counts; float32, shape (entries,).
        block_starts: Receives where the entries of each block begin, and the end; int64, shape (blocks + 1,).
    """
    following = np.zeros(borders[-1] + 1, np.int64)
    for entry in range(columns.size):
        following[columns[entry] + 1] += 1
    for column in range(following.size - 1):
        following[column + 1] += following[column]
    for block in range(borders.size):
        block_starts[block] = following[borders[block]]
    for entry in range(columns.size):
        column = columns[entry]
        place = following[column]
        following[column] = place + 1
        sorted_rows[place] = rows[entry]
        sorted_columns[place] = column
        values[place] = sums[entry] / unit


@nb.njit(cache=True, nogil=True)
def shuffle_blocks(rows: Any, columns: Any, values: Any, block_starts: Any, seed: int) -> None:
    """Shuffle the entries of each block (Fisher and Yates), with random numbers from SplitMix64 (Steele et al. 2014).

    Args:
        rows: Row of each entry; int32, shape (entries,).
        columns: Its column; int32, shape (entries,).
        values: Its count; float32, shape (entries,).
        block_starts: Where each block begins, and the end; int64, shape (blocks + 1,).
        seed: The state of the random numbers.
    """
    state = np.uint64(seed)
    for block in range(block_starts.size - 1):
        begin = block_starts[block]
        for last in range(block_starts[block + 1] - 1, begin, -1):
            state += np.uint64(0x9E3779B97F4A7C15)
            mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
            other = begin + np.int64(mixed % np.uint64(last - begin + 1))
            rows[last], rows[other] = rows[other], rows[last]
            columns[last], columns[other] = columns[other], columns[last]
            values[last], values[other] = values[other], values[last]
