"""Turn one space of vectors into another: orthogonal Procrustes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlpladder.errors import ModelError
from nlpladder.models.vectors.spelling import unknown_word
from nlpladder.models.vectors.unseen_words import SubwordVectors
from nlpladder.models.vectors.word_vectors import WordVectors


@dataclass(frozen=True)
class Alignment:
    """A rotated space.

    Attributes:
        vectors: The source space, rotated onto the target.
        rotation: Orthogonal matrix, float64 (dimensions, dimensions); rotated = vectors @ rotation.
        residual: Root mean square distance between the unit vectors of the anchors after the rotation, 0 (the spaces
            are rotations of each other) to 2.
        mean_cosine: Mean cosine of the anchors after the rotation.
        anchors: Words that the rotation was fitted on.
    """

    vectors: WordVectors
    rotation: np.ndarray
    residual: float
    mean_cosine: float
    anchors: list[str]


def align(source: WordVectors, target: WordVectors, anchors: Sequence[str] | None = None) -> Alignment:
    """Rotate `source` onto `target`: the orthogonal matrix with the smallest squared distance between anchors.

    With A and B the unit vectors of the anchors, U S V' = A'B and R = U V' minimise ||A R - B|| (Schönemann 1966).
    Hamilton et al. (2016) compare the spaces of two decades in this way, Xing et al. (2015) those of two languages.
    Cosines within the source space do not change.

    Args:
        source: The space to rotate.
        target: The space that stays.
        anchors: Words that should mean the same in both; by default all that both have.

    Raises:
        ModelError: If the dimensions differ, an anchor is unknown, or there are fewer anchors than dimensions.
    """
    if source.vector_size != target.vector_size:
        raise ModelError(
            f"The spaces have {source.vector_size} and {target.vector_size} dimensions: only equal ones can be rotated "
            "onto each other."
        )
    if anchors is None:
        chosen = [word for word in source.words if word in target.key_to_index]
    else:
        chosen = list(dict.fromkeys(anchors))
        for space in (source, target):
            missing = next((word for word in chosen if word not in space.key_to_index), None)
            if missing is not None:
                raise unknown_word(missing, space.words)
    if len(chosen) < source.vector_size:
        raise ModelError(
            f"{len(chosen)} shared words cannot fix a rotation of {source.vector_size} dimensions; at least as many "
            "words as dimensions are needed, and many more are better."
        )
    first, second = (_unit(space.embed(chosen)) for space in (source, target))  # (anchors, dimensions)
    left, _, right = np.linalg.svd(first.T @ second)
    rotation = left @ right
    rotated = first @ rotation
    cosines = np.einsum("ad,ad->a", rotated, second)
    subwords = source.subwords
    if subwords is not None:
        ngrams = (subwords.vectors @ rotation).astype(np.float32)
        subwords = SubwordVectors(ngrams, subwords.min_n, subwords.max_n, subwords.num_buckets, subwords.buckets)
    vectors = WordVectors(
        source.words,
        (source.vectors @ rotation).astype(np.float32),
        counts=source.counts,
        subwords=subwords,
        notes=source.notes,
    )
    residual = float(np.sqrt(((rotated - second) ** 2).sum(axis=1).mean()))
    return Alignment(vectors, rotation, residual, float(cosines.mean()), chosen)


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
