"""What one asks of word vectors: gensim's queries on an exact and fast search, and vectors for unseen words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gensim.models import KeyedVectors

from nlpladder.errors import ModelError
from nlpladder.models.vectors.neighbours import NeighbourIndex
from nlpladder.models.vectors.spelling import unknown_word
from nlpladder.models.vectors.unseen_words import SubwordVectors

#: A word, a row number, or a vector.
Query = str | int | np.ndarray


class VectorQueries(KeyedVectors):
    """gensim's ``KeyedVectors`` with our search; `WordVectors` fills it."""

    subwords: SubwordVectors | None = None
    _neighbours: NeighbourIndex | None = None

    @property
    def words(self) -> list[str]:
        """The words, in the order of the rows of `vectors`."""
        return self.index_to_key

    @property
    def counts(self) -> np.ndarray | None:
        """How often each word occurred in training, int64 (words,); None if unknown."""
        return self.expandos.get("count")

    def __contains__(self, key: object) -> bool:
        """Whether `key` has a vector: a known word, or one whose n-grams give it one."""
        if key in self.key_to_index:
            return True
        if isinstance(key, str):
            return self.subwords is not None and self.subwords.has_ngrams(key)
        return isinstance(key, (int, np.integer)) and bool(0 <= key < len(self.index_to_key))

    def embed(self, words: Sequence[str], *, unknown: Literal["error", "zeros"] = "error") -> np.ndarray:
        """Return the vectors of `words`, float32 (words, dimensions); unseen words are built from their n-grams.

        Args:
            words: Any words.
            unknown: What a word without a vector gives.

        Raises:
            UnknownWordError: If a word has no vector; the message names the nearest spellings.
        """
        if isinstance(words, str):
            raise ModelError(f"embed takes a list of words, not one string: write embed([{words!r}]).")
        rows = np.fromiter((self.key_to_index.get(word, -1) for word in words), np.int64, len(words))
        result = np.asarray(self.vectors[np.maximum(rows, 0)], np.float32)
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            result[missing] = 0.0
            buildable = [place for place in missing.tolist() if words[place] in self]
            if unknown == "error" and len(buildable) < len(missing):
                first = next(place for place in missing.tolist() if words[place] not in self)
                raise unknown_word(words[first], self.index_to_key)
            if buildable:
                assert self.subwords is not None
                result[buildable] = self.subwords.embed([words[place] for place in buildable])
        return result

    def get_index(self, key: Any, default: int | None = None) -> int:
        """Return the row of a word; an unknown one gives `default`, or an error with the nearest spellings."""
        if default is None and isinstance(key, str) and key not in self.key_to_index:
            raise unknown_word(key, self.index_to_key)
        return super().get_index(key, default)

    def get_vector(self, key: Any, norm: bool = False) -> np.ndarray:
        """Return the vector of a word or row, of length 1 if `norm`."""
        if isinstance(key, str) and key not in self.key_to_index:
            vector = self.embed([key])[0]
            return vector / max(float(np.linalg.norm(vector)), 1e-30) if norm else vector
        return super().get_vector(key, norm=norm)

    def add_vectors(self, keys: Any, weights: Any, extras: Any = None, replace: bool = False) -> None:
        """Add words, or replace their vectors; see gensim's ``KeyedVectors.add_vectors``."""
        super().add_vectors(keys, weights, extras=extras, replace=replace)
        self._neighbours = None

    def most_similar(
        self,
        positive: Any = None,
        negative: Any = None,
        topn: int | None = 10,
        clip_start: int = 0,
        clip_end: int | None = None,
        restrict_vocab: int | None = None,
        indexer: Any = None,
    ) -> Any:
        """Return the `topn` words nearest to the mean of unit vectors, as gensim does, but for those asked for.

        Args:
            positive: Words, rows or vectors, or pairs of one and its weight.
            negative: The same, with weight -1.
            topn: How many; None gives the cosine of every word.
            clip_start: First row to search; as for the next three, gensim then does the search.
            clip_end: Row after the last to search.
            restrict_vocab: Search this many rows.
            indexer: An approximate index of gensim.

        Returns:
            Pairs of word and cosine.
        """
        positive, negative = _as_list(positive), _as_list(negative)
        weighted = [item if isinstance(item, tuple) else (item, 1.0) for item in positive]
        weighted += [item if isinstance(item, tuple) else (item, -1.0) for item in negative]
        for key, _ in weighted:
            if isinstance(key, str) and key not in self:
                raise unknown_word(key, self.index_to_key)
        if topn is None or clip_start or clip_end or restrict_vocab or indexer is not None or not weighted:
            return super().most_similar(positive, negative, topn, clip_start, clip_end, restrict_vocab, indexer)
        if topn < 1:
            return []
        vectors = np.stack([self.get_vector(key) if not isinstance(key, np.ndarray) else key for key, _ in weighted])
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
        weights = np.asarray([weight for _, weight in weighted], np.float64)[:, None]
        mean = (weights * (vectors / lengths)).sum(axis=0)
        asked = {
            self.key_to_index.get(key, -1) if isinstance(key, str) else int(key)
            for key, _ in weighted
            if not isinstance(key, np.ndarray)
        }
        rows, cosines = self.neighbour_index().search(mean[None], topn + len(asked))
        return self._named(rows[0], cosines[0], asked, topn)

    def most_similar_batch(self, queries: Sequence[Query], topn: int = 10) -> list[list[tuple[str, float]]]:
        """Return the nearest words of many words or vectors at once, each left out of its own neighbours.

        Args:
            queries: Words, rows or vectors.
            topn: How many for each.
        """
        if not len(queries):
            return []
        vectors = np.stack([query if isinstance(query, np.ndarray) else self.get_vector(query) for query in queries])
        rows, cosines = self.neighbour_index().search(vectors, topn + 1)
        results = []
        for query, found, scores in zip(queries, rows, cosines, strict=True):
            own: set = (
                set()
                if isinstance(query, np.ndarray)
                else {self.key_to_index.get(query, -1) if isinstance(query, str) else query}
            )
            results.append(self._named(found, scores, own, topn))
        return results

    def wmdistance(self, document1: Sequence[str], document2: Sequence[str], norm: bool = True) -> float:
        """Return the Word Mover's Distance of two lists of words (Kusner et al. 2015); it needs the package POT."""
        try:
            return super().wmdistance(document1, document2, norm)
        except ImportError as error:
            raise ModelError("The Word Mover's Distance needs the package POT: pip install POT.") from error

    def neighbour_index(self) -> NeighbourIndex:
        """Return the search over all words, built at the first call."""
        if self._neighbours is None or self._neighbours.vectors is not self.vectors:
            self._neighbours = NeighbourIndex(self.vectors)
        return self._neighbours

    def _named(self, rows: np.ndarray, cosines: np.ndarray, without: set, topn: int) -> list[tuple[str, float]]:
        pairs = zip(rows.tolist(), cosines.tolist(), strict=True)
        return [(self.index_to_key[row], cosine) for row, cosine in pairs if row not in without][:topn]


def _as_list(items: Any) -> list:
    if items is None:
        return []
    if isinstance(items, (str, int, np.integer, tuple)):
        return [items]
    if isinstance(items, np.ndarray):
        return [items] if items.ndim == 1 else list(items)
    return list(items)
