"""Exact nearest neighbours by cosine among a million vectors, in milliseconds.

A single query is screened against 8-bit codes, a quarter of the bytes: each code comes with the length of what rounding
lost, so that the cosine is bounded from both sides, and only rows whose upper bound reaches the k-th best lower bound
are compared in full. Many queries at once are matrix products. Both give the same, exact result.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from nlpladder.errors import ConfigError

#: Below this many numbers a matrix product with all vectors takes less than building codes.
_SMALL = 4_000_000
#: More queries than this are multiplied rather than screened.
_FEW_QUERIES = 4
_BLOCK_ROWS = 4096
_MOST_THREADS = 8


class NeighbourIndex:
    """Finds the vectors with the greatest cosine.

    Args:
        vectors: Float32, shape (rows, dimensions); kept by reference. A zero vector has the cosine 0 with everything.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors
        self.inverse_norms = _inverse_norms(vectors)  # (rows,)
        self._codes: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the `k` nearest vectors of each query, best first, and their cosines.

        Args:
            queries: Shape (queries, dimensions); of any length.
            k: How many; at most the number of rows.

        Returns:
            Rows, int64 (queries, k), and cosines, float32 (queries, k). Equal cosines stand in the order of rows.

        Raises:
            ConfigError: If `k` is below 1.
        """
        if k < 1:
            raise ConfigError(f"k is {k}: ask for at least one neighbour.")
        k = min(k, len(self.vectors))
        queries = np.ascontiguousarray(queries, np.float32)
        queries = queries * _inverse_norms(queries)[:, None]
        if len(queries) <= _FEW_QUERIES and self.vectors.size > _SMALL:
            found = [self._screen(query, k) for query in queries]
            if not found:
                return np.empty((0, k), np.int64), np.empty((0, k), np.float32)
            return np.stack([rows for rows, _ in found]), np.stack([cosines for _, cosines in found])
        return self._multiply(queries, k)

    def _multiply(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Search by matrix products, block by block; threads share out the queries."""
        from threadpoolctl import threadpool_limits

        from nlpladder.models.vectors.neighbours_kernels import keep_best

        best = np.full((len(queries), k), -np.inf, np.float32)
        rows = np.zeros((len(queries), k), np.int64)

        def fill(first: int, last: int) -> None:
            some = queries[first:last]
            for start in range(0, len(self.vectors), _BLOCK_ROWS):
                stop = start + _BLOCK_ROWS
                scores = some @ np.asarray(self.vectors[start:stop]).T  # (queries, block)
                scores *= self.inverse_norms[start:stop]
                keep_best(scores, start, best[first:last], rows[first:last])

        with threadpool_limits(1, user_api="blas"):
            _share_out(fill, len(queries))
        return rows, best

    def _screen(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Search by bounds on 8-bit codes, then exactly among what the bounds leave."""
        from nlpladder.models.vectors.neighbours_kernels import rows_above, screen

        codes, scales, errors = self._build_codes()
        dimensions = len(query)
        # As fine as int16 allows, and so that no sum of products leaves int32.
        fineness = min(32767.0, (2.0**31 - 1) / (127.0 * np.sqrt(dimensions)) - np.sqrt(dimensions))
        query_codes = np.rint(query * fineness).astype(np.int16)
        lost = float(np.linalg.norm(query - query_codes / fineness))
        slack = np.float32(1.02 * lost + 2e-6)  # a row of codes is at most that much longer than 1; float32 rounding
        query_scale = np.float32(1.0 / fineness)
        upper = np.empty(len(codes), np.float32)
        chunks: list[np.ndarray] = []

        def fill(first: int, last: int) -> None:
            best = np.full(k, -np.inf, np.float32)
            part = slice(first, last)
            screen(
                codes[part],
                scales[part],
                errors[part],
                query_codes,
                query_scale,
                slack,
                upper[part],
                best,
                np.empty(k, np.int64),
            )
            chunks.append(best)

        _share_out(fill, len(codes))
        border = np.sort(np.concatenate(chunks))[-k]
        candidates = np.empty(len(codes), np.int64)
        candidates = candidates[: rows_above(upper, border, candidates)]
        exact = (np.asarray(self.vectors[candidates], np.float64) @ query.astype(np.float64)).astype(np.float32)
        exact *= self.inverse_norms[candidates]
        order = np.lexsort((candidates, -exact))[:k]
        return candidates[order], exact[order]

    def _build_codes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._codes is None:
            from nlpladder.models.vectors.neighbours_kernels import quantise_rows

            codes = np.empty(self.vectors.shape, np.int8)
            scales = np.empty(len(codes), np.float32)
            errors = np.empty(len(codes), np.float32)

            def fill(first: int, last: int) -> None:
                part = slice(first, last)
                rows = np.ascontiguousarray(self.vectors[part], np.float32)
                quantise_rows(rows, self.inverse_norms[part], codes[part], scales[part], errors[part])

            _share_out(fill, len(codes))
            self._codes = codes, scales, errors
        return self._codes


def _share_out(work: Callable[[int, int], Any], size: int) -> None:
    """Call ``work(first, last)`` for as many equal parts as there are cores."""
    threads = max(1, min(_MOST_THREADS, _available_cores(), size))
    edges = np.linspace(0, size, threads + 1).astype(int).tolist()
    if threads == 1:
        work(0, size)
        return
    with ThreadPoolExecutor(threads) as pool:
        for part in [pool.submit(work, first, last) for first, last in pairwise(edges)]:
            part.result()


def _inverse_norms(vectors: np.ndarray) -> np.ndarray:
    norms = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), 1 << 16):
        some = np.asarray(vectors[start : start + (1 << 16)], np.float32)
        norms[start : start + len(some)] = np.sqrt(np.einsum("rd,rd->r", some, some))
    return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)


def _available_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system has affinities
        return os.cpu_count() or 1
