"""Vectors in half the space or a quarter of it, and what that loses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nlpladder.errors import ConfigError

Storage = Literal["float32", "float16", "int8"]
STORAGES = ("float32", "float16", "int8")
#: The largest float16.
_FLOAT16_MAX = 65504.0


@dataclass(frozen=True)
class StorageLoss:
    """How far stored vectors are from the original ones.

    Attributes:
        storage: ``float16`` or ``int8``.
        mean_cosine: Mean over words of the cosine between the stored vector and the original.
        smallest_cosine: The worst word's.
        neighbour_overlap: Mean share of a word's `k` nearest neighbours that stay among the `k` nearest.
        k: How many neighbours were compared.
        num_queries: How many words' neighbours were compared.
        megabytes: Size of the stored matrix, in units of 10**6 bytes.
        original_megabytes: Size in float32.
    """

    storage: str
    mean_cosine: float
    smallest_cosine: float
    neighbour_overlap: float
    k: int
    num_queries: int
    megabytes: float
    original_megabytes: float

    def describe(self) -> str:
        """Return a sentence for people."""
        return (
            f"{self.storage}: {self.megabytes:.1f} MB instead of {self.original_megabytes:.1f} MB; mean cosine to the "
            f"original {self.mean_cosine:.6f} (worst word {self.smallest_cosine:.4f}); {self.neighbour_overlap:.1%} of "
            f"the {self.k} nearest neighbours stay the same ({self.num_queries:,} words)."
        )


def check_storage(storage: str) -> None:
    """Refuse an unknown kind of storage.

    Raises:
        ConfigError: If it is not float32, float16 or int8.
    """
    if storage not in STORAGES:
        raise ConfigError(f"Unknown storage {storage!r}: choose one of {', '.join(STORAGES)}.")


def to_int8(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round each row to 8-bit codes with a scale of its own: row = scale * code, at most half a scale off.

    Args:
        vectors: Shape (rows, dimensions).

    Returns:
        Codes, int8 (rows, dimensions), and scales, float32 (rows,).
    """
    scales = (np.abs(vectors).max(axis=1, initial=0.0) / np.float32(127.0)).astype(np.float32)
    divisors = np.where(scales > 0, scales, np.float32(1.0))
    return np.rint(vectors / divisors[:, None]).astype(np.int8), scales


def from_int8(codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return float32 rows from 8-bit codes and scales."""
    return codes * scales.astype(np.float32)[:, None]


def restore(vectors: np.ndarray, storage: Storage) -> np.ndarray:
    """Return what float32 vectors come back as from a storage.

    Raises:
        ConfigError: If a number is too large for float16.
    """
    check_storage(storage)
    if storage == "int8":
        return from_int8(*to_int8(vectors))
    if storage == "float16":
        check_half(vectors)
        return vectors.astype(np.float16).astype(np.float32)
    return vectors


def check_half(vectors: np.ndarray) -> None:
    """Refuse numbers beyond float16.

    Raises:
        ConfigError: If there is one.
    """
    largest = float(np.abs(vectors).max(initial=0.0))
    if largest > _FLOAT16_MAX:
        raise ConfigError(
            f"float16 holds numbers up to {_FLOAT16_MAX:g}, and there is {largest:g}. Use int8 or float32."
        )


def measure_loss(
    vectors: np.ndarray, storage: Storage, *, k: int = 10, num_queries: int = 1000, seed: int = 0
) -> StorageLoss:
    """Measure what a storage loses.

    Args:
        vectors: The original ones, float32 (words, dimensions).
        storage: float16 or int8.
        k: How many nearest neighbours to compare.
        num_queries: Of how many words, drawn at random.
        seed: For the drawing.
    """
    from nlpladder.models.vectors.neighbours import NeighbourIndex

    stored = restore(vectors, storage)
    products = np.einsum("rd,rd->r", vectors, stored, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1).astype(np.float64) * np.linalg.norm(stored, axis=1)
    cosines = products[lengths > 0] / lengths[lengths > 0]
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.choice(len(vectors), min(num_queries, len(vectors)), replace=False))
    k = min(k, len(vectors) - 1)
    overlap = 1.0
    if k > 0:
        found = [NeighbourIndex(space).search(space[rows], k + 1)[0] for space in (vectors, stored)]
        shared = [
            len((set(first) & set(second)) - {row})
            for first, second, row in zip(found[0].tolist(), found[1].tolist(), rows.tolist(), strict=True)
        ]
        overlap = float(np.minimum(shared, k).mean()) / k
    width = {"float32": 4, "float16": 2, "int8": 1}[storage]
    size = vectors.size * width + (4 * len(vectors) if storage == "int8" else 0)
    return StorageLoss(
        storage,
        float(cosines.mean()) if len(cosines) else 1.0,
        float(cosines.min()) if len(cosines) else 1.0,
        overlap,
        k,
        len(rows),
        size / 1e6,
        4 * vectors.size / 1e6,
    )
