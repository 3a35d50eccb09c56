"""Rows of a shared matrix of which each worker has a copy of its own, averaged now and then.

Every step of hierarchical softmax moves the root and the nodes below it. Two threads that both write these rows spend
their time taking cache lines from each other: two were slower than one. So each worker has its own copy of the busiest
nodes, and gives its moves to the shared ones after each piece of text (local SGD, Stich 2019).
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

#: Rows of which workers have their own copies; the next ones are met in less than one step of a hundred.
BUSY_ROWS = 256


class PrivateRows:
    """Copies of the busiest rows of a matrix, behind its last row.

    Args:
        shared: The matrix; float32, shape (rows, width).
        traffic: How often each row is used; shape (rows,).
        num_workers: Number of workers.

    Attributes:
        rows: The matrix with the copies behind it, in memory of its own.
    """

    def __init__(self, shared: npt.NDArray[np.float32], traffic: npt.NDArray[Any], num_workers: int) -> None:
        from nlpladder.models.vectors.word2vec.row_kernels import padded_rows

        self.num_shared, self.num_workers = len(shared), num_workers
        self.busy = np.argsort(-traffic, kind="stable")[:BUSY_ROWS]
        self.rows = padded_rows(len(shared) + num_workers * len(self.busy), shared.shape[1])
        self.rows[: self.num_shared] = shared
        self._given = np.zeros((num_workers, len(self.busy), shared.shape[1]), dtype=np.float32)
        self._lock = threading.Lock()

    def renumbered(self, numbers: npt.NDArray[np.int32], worker: int) -> npt.NDArray[np.int32]:
        """Return row numbers with those of the worker's copies in place of busy rows."""
        table = np.arange(self.num_shared, dtype=np.int32)
        table[self.busy] = self.num_shared + worker * len(self.busy) + np.arange(len(self.busy))
        return table[numbers]

    def fetch(self, worker: int) -> None:
        """Copy the shared rows to a worker's."""
        with self._lock:
            self._copy(worker)[:] = self._given[worker] = self.rows[self.busy]

    def exchange(self, worker: int) -> None:
        """Add a worker's moves, divided by the number of workers, to the shared rows, and fetch these."""
        with self._lock:
            moves = self._copy(worker) - self._given[worker]
            self.rows[self.busy] += moves / np.float32(self.num_workers)
            self._copy(worker)[:] = self._given[worker] = self.rows[self.busy]

    def _copy(self, worker: int) -> npt.NDArray[np.float32]:
        """Return a worker's copies as a view."""
        begin = self.num_shared + worker * len(self.busy)
        return self.rows[begin : begin + len(self.busy)]
