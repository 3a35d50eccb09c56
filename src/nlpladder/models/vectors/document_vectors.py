"""Vectors of whole texts from the vectors of their words: the mean, the idf-weighted mean, and SIF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self, get_args

import numpy as np

from nlpladder.errors import ConfigError, ModelError, did_you_mean
from nlpladder.models.vectors.word_vectors import WordVectors
from nlpladder.text.text_tokenizer import TextTokenizer

DocumentMethod = Literal["mean", "idf", "sif"]


class DocumentVectorizer:
    """Turns texts into vectors.

    ``mean`` averages the vectors of the known words; ``idf`` weights them with log((1 + n) / (1 + df)) + 1; ``sif``
    weights word w with a / (a + p(w)) and then takes away each vector's share in the direction that the fitted texts
    have in common (Arora et al. 2017, algorithm 1), which stays the same for new texts.

    Args:
        vectors: The word vectors.
        method: One of the three.
        tokenizer: Cuts a text into words; by default the regex tokenizer, with lower-casing if no word of the vectors
            has an upper-case letter.
        sif_a: The a of SIF.
    """

    def __init__(
        self,
        vectors: WordVectors,
        *,
        method: DocumentMethod = "mean",
        tokenizer: TextTokenizer | None = None,
        sif_a: float = 1e-3,
    ) -> None:
        if method not in get_args(DocumentMethod):
            known = get_args(DocumentMethod)
            raise ConfigError(f"Unknown method {method!r} for document vectors.{did_you_mean(method, known)}")
        if not sif_a > 0:
            raise ConfigError(f"sif_a is {sif_a}: give a small positive number, such as 0.001.")
        self.vectors, self.method, self.sif_a = vectors, method, sif_a
        if tokenizer is None:
            tokenizer = TextTokenizer("regex", lowercase=all(word == word.lower() for word in vectors.words[:100_000]))
        self.tokenizer = tokenizer
        self.weights_: np.ndarray | None = None
        self.component_: np.ndarray | None = None

    def fit(self, texts: Sequence[str]) -> Self:
        """Learn the weights and, for SIF, the common direction.

        Args:
            texts: Shape (n,).

        Raises:
            ModelError: If no text holds a known word.
        """
        documents, columns = self._count(texts)
        rows = self._rows(columns)
        if documents.nnz == 0:
            raise ModelError(
                "None of the texts holds a word that has a vector. Are both lower-cased, and of one language?"
            )
        if self.method == "idf":
            frequency = np.bincount(documents.indices, minlength=len(columns))
            self.weights_ = self._spread(columns, rows, np.log((1 + len(texts)) / (1 + frequency)) + 1)
            self._default = float(np.log(1 + len(texts)) + 1)
        elif self.method == "sif":
            counts = self.vectors.counts
            if counts is None:  # a file of vectors without counts: the texts must tell how frequent words are
                counts = self._spread(columns, rows, np.asarray(documents.sum(axis=0)).ravel(), default=0.0)
            probabilities = counts / max(float(counts.sum()), 1.0)
            self.weights_ = self.sif_a / (self.sif_a + probabilities)
            self._default = 1.0
            averaged = self._average(documents, columns)
            # The first right singular vector, from the small matrix of products.
            _, directions = np.linalg.eigh(averaged.T @ averaged)
            self.component_ = directions[:, -1]
        return self

    def transform(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (texts, dimensions); a text without known words is the zero vector.

        Raises:
            ModelError: If the method needs fitting, and was not.
        """
        if self.method != "mean" and self.weights_ is None:
            raise ModelError(f"The method {self.method!r} learns from texts: call fit first.")
        documents, columns = self._count(texts)
        averaged = self._average(documents, columns)
        if self.component_ is not None:
            averaged = averaged - np.outer(averaged @ self.component_, self.component_)
        return averaged.astype(np.float32)

    def fit_transform(self, texts: Sequence[str]) -> np.ndarray:
        """Fit on texts and return their vectors."""
        return self.fit(texts).transform(texts)

    def _count(self, texts: Sequence[str]) -> tuple:
        """Return how often each text holds each word with a vector, sparse (texts, words met), and those words."""
        from scipy.sparse import csr_matrix

        numbers: dict[str, int] = {}
        unusable: set[str] = set()
        indices: list[int] = []
        ends = [0]
        for tokens in self.tokenizer.tokenize_batch(list(texts)):
            for token in tokens:
                number = numbers.get(token)
                if number is None:
                    if token in unusable or token not in self.vectors:
                        unusable.add(token)
                        continue
                    number = numbers[token] = len(numbers)
                indices.append(number)
            ends.append(len(indices))
        shape = (len(ends) - 1, len(numbers))
        matrix = csr_matrix((np.ones(len(indices)), indices, ends), shape=shape)
        matrix.sum_duplicates()
        return matrix, list(numbers)

    def _average(self, documents: object, columns: list[str]) -> np.ndarray:
        """Return weighted means, float64 (texts, dimensions): one sparse matrix product."""
        matrix = documents.copy()  # type: ignore[attr-defined]
        lengths = np.asarray(matrix.sum(axis=1))  # (texts, 1)
        if self.weights_ is not None:
            rows = self._rows(columns)
            weights = np.where(rows >= 0, self.weights_[np.maximum(rows, 0)], self._default)
            matrix.data *= weights[matrix.indices]
        if self.method == "idf":  # a mean whose weights sum to 1; SIF divides by the number of words
            lengths = np.asarray(matrix.sum(axis=1))
        vectors = self.vectors.embed(columns).astype(np.float64) if columns else np.empty((0, self.vectors.vector_size))
        return np.asarray(matrix @ vectors) / np.maximum(lengths, 1e-12)

    def _rows(self, words: list[str]) -> np.ndarray:
        return np.asarray([self.vectors.key_to_index.get(word, -1) for word in words], np.int64)

    def _spread(
        self, columns: list[str], rows: np.ndarray, values: np.ndarray, *, default: float | None = None
    ) -> np.ndarray:
        """Put values of the words met into an array over all words."""
        spread = np.full(len(self.vectors.words), values.max() if default is None else default, np.float64)
        spread[rows[rows >= 0]] = values[rows >= 0]
        return spread


def document_vectors(
    vectors: WordVectors,
    texts: Sequence[str],
    *,
    method: DocumentMethod = "mean",
    tokenizer: TextTokenizer | None = None,
    sif_a: float = 1e-3,
) -> np.ndarray:
    """Return vectors of texts, float32 (texts, dimensions), with weights learnt on these texts themselves."""
    return DocumentVectorizer(vectors, method=method, tokenizer=tokenizer, sif_a=sif_a).fit_transform(texts)
