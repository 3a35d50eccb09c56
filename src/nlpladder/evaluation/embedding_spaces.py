"""Compare spaces of vectors by their neighbourhoods, and lay words out on a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from nlpladder.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from nlpladder.protocols import WordEmbeddings

ProjectionMethod = Literal["pca", "tsne"]
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class NeighbourOverlap:
    """How much two spaces agree about who is near whom.

    Attributes:
        value: Mean share of common words among the `k` nearest, 0 to 1.
        k: How many neighbours.
        num_words: Words whose neighbourhoods were compared.
        chance: What two unrelated spaces would share on average.
        per_word: The share of each compared word, float64 (words,).
        words: The compared words.
    """

    value: float
    k: int
    num_words: int
    chance: float
    per_word: np.ndarray
    words: tuple[str, ...]


@dataclass(frozen=True)
class Projection:
    """Words on a plane.

    Attributes:
        words: The words.
        points: Their places, float64 (words, 2).
        method: ``pca`` or ``tsne``.
        explained: Share of the variance that the plane shows, for PCA; None for t-SNE.
    """

    words: tuple[str, ...]
    points: np.ndarray
    method: str
    explained: float | None


def neighbour_overlap(
    first: WordEmbeddings,
    second: WordEmbeddings,
    *,
    k: int = 10,
    num_words: int | None = 1000,
    vocabulary: int | None = 50_000,
    seed: int = 0,
) -> NeighbourOverlap:
    """Return the mean overlap of the `k` nearest neighbours, by cosine, among the words that both spaces have.

    Wendlandt et al. (2018) use it to measure how stable vectors are from one training to the next.

    Args:
        first: A space.
        second: Another; its dimensions may differ.
        k: How many neighbours.
        num_words: Compare this many words, drawn at random; None compares all.
        vocabulary: Search among the first so many shared words of `first`; None searches all.
        seed: For the drawing.

    Raises:
        DataError: If the spaces share too few words.
        ConfigError: If `k` is below 1.
    """
    if k < 1:
        raise ConfigError(f"k is {k}: compare at least one neighbour.")
    known = set(second.words)
    shared = [word for word in first.words if word in known][:vocabulary]
    if len(shared) < k + 2:
        raise DataError(f"The spaces share {len(shared)} words; comparing {k} neighbours needs at least {k + 2}.")
    size = len(shared) if num_words is None else min(num_words, len(shared))
    rows = np.sort(np.random.default_rng(seed).choice(len(shared), size, replace=False))
    near_first, near_second = (
        _nearest(np.asarray(space.embed(shared), np.float32), rows, k) for space in (first, second)
    )
    overlaps = np.asarray(
        [len(np.intersect1d(a, b)) / k for a, b in zip(near_first, near_second, strict=True)], np.float64
    )
    words = tuple(shared[row] for row in rows)
    return NeighbourOverlap(float(overlaps.mean()), k, size, k / (len(shared) - 1), overlaps, words)


def project_2d(
    vectors: WordEmbeddings,
    words: Sequence[str],
    *,
    method: ProjectionMethod = "pca",
    perplexity: float = 30.0,
    seed: int = 0,
) -> Projection:
    """Lay words out on a plane: words that are near each other there tend to be near in the space.

    Args:
        vectors: Anything with ``embed``.
        words: At least three.
        method: ``pca`` (Pearson 1901; axes are the directions of most variance) or ``tsne`` (van der Maaten and Hinton
            2008; only who is near whom can be read off). Both on unit vectors.
        perplexity: Of t-SNE; lowered to a third of the words if there are few.
        seed: Of t-SNE.

    Raises:
        DataError: If there are fewer than three words.
        ConfigError: If the method is unknown.
    """
    if method not in get_args(ProjectionMethod):
        raise ConfigError(f"Unknown method {method!r}.{did_you_mean(method, get_args(ProjectionMethod))}")
    if len(words) < 3:
        raise DataError(f"{len(words)} words make no map; give at least three.")
    points = _unit(np.asarray(vectors.embed(list(words)), np.float64))
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(perplexity, (len(words) - 1) / 3)
        model = TSNE(2, perplexity=perplexity, init="pca" if points.shape[1] >= 2 else "random", random_state=seed)
        return Projection(tuple(words), model.fit_transform(points).astype(np.float64), method, None)
    centred = points - points.mean(axis=0)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    # A direction's sign is arbitrary: its largest part is made positive, so that every machine draws the same map.
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    flat = (left * values * signs)[:, :2]
    flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    total = float((values**2).sum())
    return Projection(tuple(words), flat, method, float((values[:2] ** 2).sum() / total) if total > 0 else 1.0)


def _nearest(space: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Return the `k` nearest other rows of each of `rows`, in no order."""
    space = _unit(space)
    found = []
    for start in range(0, len(rows), _BLOCK_ROWS):
        some = rows[start : start + _BLOCK_ROWS]
        cosines = space[some] @ space.T
        cosines[np.arange(len(some)), some] = -np.inf
        found.append(np.argpartition(cosines, -k, axis=1)[:, -k:])
    return np.concatenate(found)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
