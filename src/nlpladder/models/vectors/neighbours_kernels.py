"""Kernels of the nearest-neighbour search: keep the best of many scores, and screen 8-bit codes."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def insert_best(best: Any, rows: Any, score: Any, row: int) -> None:
    """Insert a score that beats the last of `best`, which is sorted downwards; equal scores keep their order."""
    place = len(best) - 1
    while place > 0 and best[place - 1] < score:
        best[place] = best[place - 1]
        rows[place] = rows[place - 1]
        place -= 1
    best[place] = score
    rows[place] = row


@nb.njit(cache=True, nogil=True)
def keep_best(scores: Any, first_row: int, best: Any, rows: Any) -> None:
    """Merge a block of scores into the best so far.

    Args:
        scores: Float32 (queries, block).
        first_row: Row of the first column of `scores`.
        best: Best scores so far, downwards, float32 (queries, k); minus infinity where there is none yet.
        rows: Their rows, int64 (queries, k).
    """
    for query in range(len(scores)):
        line = scores[query]
        top = best[query]
        top_rows = rows[query]
        last = top[-1]
        for column in range(len(line)):
            if line[column] > last:
                insert_best(top, top_rows, line[column], first_row + column)
                last = top[-1]


@nb.njit(cache=True, nogil=True)
def quantise_rows(vectors: Any, inverse_norms: Any, codes: Any, scales: Any, errors: Any) -> None:
    """Round each row, made a unit vector, to 8-bit codes with a scale of its own, and measure what that loses.

    Args:
        vectors: Float32 (rows, dimensions).
        inverse_norms: One over the length of each row, 0 for zero rows, float32 (rows,).
        codes: Filled, int8 (rows, dimensions): row / length = scale * code + rest.
        scales: Filled, float32 (rows,).
        errors: Filled with the length of the rest, float32 (rows,).
    """
    for row in range(len(vectors)):
        source = vectors[row]
        target = codes[row]
        largest = np.float32(0.0)
        for column in range(len(source)):
            largest = max(largest, abs(source[column]))
        scale = largest * inverse_norms[row] / np.float32(127.0)
        scales[row] = scale
        factor = inverse_norms[row] / scale if scale > 0 else np.float32(0.0)
        rest = 0.0
        for column in range(len(source)):
            code = np.rint(source[column] * factor)
            target[column] = np.int8(code)
            gap = np.float64(source[column]) * inverse_norms[row] - np.float64(scale) * code
            rest += gap * gap
        errors[row] = np.float32(np.sqrt(rest))


@nb.njit(cache=True, nogil=True)
def screen(
    codes: Any, scales: Any, errors: Any, query: Any, query_scale: Any, slack: Any, upper: Any, best: Any, rows: Any
) -> None:
    """Bound the cosine of each row with the query, by the inequality of Cauchy and Schwarz.

    The cosine is ``scale * code . query`` plus the rest times the query, which is at most the length of the rest.

    Args:
        codes: Int8 (rows, dimensions).
        scales: Float32 (rows,).
        errors: Length of each row's rest, float32 (rows,).
        query: The query's codes, int16 (dimensions,).
        query_scale: Their scale, float32.
        slack: What rounding the query loses at most.
        upper: Filled with upper bounds, float32 (rows,).
        best: Filled with the greatest lower bounds, downwards, float32 (k,).
        rows: Their rows, int64 (k,).
    """
    for row in range(len(codes)):
        code = codes[row]
        total = np.int32(0)
        for column in range(len(code)):
            total += np.int32(code[column]) * np.int32(query[column])
        score = np.float32(total) * (scales[row] * query_scale)
        bound = errors[row] + slack
        upper[row] = score + bound
        if score - bound > best[-1]:
            insert_best(best, rows, score - bound, row)


@nb.njit(cache=True, nogil=True)
def rows_above(upper: Any, border: Any, rows: Any) -> int:
    """Write the rows whose bound reaches `border`, and return how many there are."""
    found = 0
    for row in range(len(upper)):
        if upper[row] >= border:
            rows[found] = row
            found += 1
    return found
