"""Find benchmark words among the words of a space: as they are written, else in lower case."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from nlpladder.errors import ModelError

if TYPE_CHECKING:
    from nlpladder.protocols import WordEmbeddings


class WordLookup:
    """Finds words in a space.

    Args:
        vectors: Anything with ``words``, ``vectors`` and ``embed``.
        unseen: Whether words outside ``words`` may be embedded, by sub-words.
    """

    def __init__(self, vectors: WordEmbeddings, *, unseen: bool = False) -> None:
        self.vectors = vectors
        self.unseen = unseen
        self.index = {word: row for row, word in enumerate(vectors.words)}

    def find(self, word: str) -> str | None:
        """Return the form of `word` that the space knows, or None."""
        if word in self.index:
            return word
        lower = word.lower()
        if lower in self.index:
            return lower
        if self.unseen:
            try:
                self.vectors.embed([lower])
            except ModelError:
                return None
            return lower
        return None

    def row(self, word: str) -> int:
        """Return the row of the form that the space knows, or -1."""
        return self.index.get(word, self.index.get(word.lower(), -1))

    def unit_vectors(self, words: Iterable[str]) -> np.ndarray:
        """Return unit vectors of found words, float64 (words, dimensions); zero vectors stay zero."""
        vectors = np.asarray(self.vectors.embed(list(words)), np.float64)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
