"""Vectors for words that were not in the training text, from their character n-grams (Bojanowski et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlpladder.errors import ModelError
from nlpladder.models.vectors.subwords import hash_ngrams

#: fastText gives the mark at the end of a line no n-grams.
END_OF_LINE = "</s>"


@dataclass(frozen=True)
class SubwordVectors:
    """Vectors of hashed character n-grams.

    Attributes:
        vectors: Float32, shape (rows, dimensions): a row for each bucket, or for each of `buckets` only.
        min_n: Shortest n-gram, in characters, of ``<word>``.
        max_n: Longest n-gram; 0 turns sub-words off.
        num_buckets: How many values the hash has.
        buckets: The buckets that have a row, ascending, int64; None when all have. Others count as zeros.
    """

    vectors: np.ndarray
    min_n: int
    max_n: int
    num_buckets: int
    buckets: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit.

        Raises:
            ModelError: If they do not.
        """
        if not 1 <= self.min_n <= self.max_n or self.num_buckets < 1:
            raise ModelError(
                f"Sub-words need 1 <= min_n <= max_n and num_buckets >= 1; got {self.min_n}, {self.max_n} and "
                f"{self.num_buckets}."
            )
        rows = self.num_buckets if self.buckets is None else len(self.buckets)
        if self.vectors.ndim != 2 or len(self.vectors) != rows:
            raise ModelError(f"Sub-word vectors have shape {self.vectors.shape}, but there are {rows:,} buckets.")

    def ngram_rows(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return where the n-grams of each word begin, (words + 1,), and the row of each n-gram (-1: none), int64."""
        starts, buckets = hash_ngrams(words, min_n=self.min_n, max_n=self.max_n, num_buckets=self.num_buckets)
        rows = buckets.astype(np.int64)
        if self.buckets is not None:
            place = np.minimum(np.searchsorted(self.buckets, rows), max(0, len(self.buckets) - 1))
            rows = np.where(self.buckets[place] == rows, place, -1) if len(self.buckets) else np.full(len(rows), -1)
        if END_OF_LINE in words:
            lengths = np.diff(starts)
            ends = np.asarray([word == END_OF_LINE for word in words])
            rows = rows[np.repeat(~ends, lengths)]
            starts = np.concatenate([[0], np.cumsum(np.where(ends, 0, lengths))])
        return starts, rows

    def sums(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the sum of each word's n-gram vectors, float32 (words, dimensions), and their number, (words,)."""
        sums = np.zeros((len(words), self.vectors.shape[1]), np.float32)
        return sums, self.add_to(sums, words)

    def add_to(self, vectors: np.ndarray, words: Sequence[str]) -> np.ndarray:
        """Add the n-gram vectors of `words` to their rows of `vectors`; return the number of n-grams of each."""
        from nlpladder.models.vectors.unseen_words_kernels import add_ngram_rows

        starts, rows = self.ngram_rows(words)
        add_ngram_rows(self.vectors, starts, rows, vectors)
        return np.diff(starts)

    def embed(self, words: Sequence[str]) -> np.ndarray:
        """Return the mean of the n-gram vectors of each word, float32 (words, dimensions), as fastText does.

        Raises:
            ModelError: If a word is too short to have an n-gram.
        """
        sums, numbers = self.sums(words)
        if (numbers == 0).any():
            word = words[int(np.flatnonzero(numbers == 0)[0])]
            raise ModelError(f"{word!r} is unknown, and too short to hold an n-gram of {self.min_n} characters.")
        return sums / numbers[:, None].astype(np.float32)

    def has_ngrams(self, word: str) -> bool:
        """Whether `word` holds an n-gram that has a vector: it may be too short, or none may have been trained."""
        return bool((self.ngram_rows([word])[1] >= 0).any())


def encode_word(word: str) -> bytes:
    """Return the word in UTF-8.

    Raises:
        ModelError: If it holds half a surrogate pair, which no file can.
    """
    try:
        return word.encode("utf-8")
    except UnicodeEncodeError:
        raise ModelError(
            f"{word!r} holds half of a surrogate pair, which UTF-8 cannot write. Clean the text before training "
            "(nlpladder.text.cleaning)."
        ) from None
