"""Character n-grams of words, hashed as fastText does (Bojanowski et al. 2017, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: fastText gives the mark at the end of a line no n-grams.
END_OF_LINE = "</s>"


def hash_ngrams(
    words: Sequence[str], *, min_n: int, max_n: int, num_buckets: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return the buckets of all n-grams of each word.

    A word is put between ``<`` and ``>``; only ``</s>`` has no n-grams. They are counted in characters; those of one
    character leave out the two signs. The hash is fastText's FNV-1a, which takes bytes beyond 127 as negative, so the
    buckets are those of fastText's ``.bin`` files.

    Args:
        words: Words.
        min_n: Shortest n-gram.
        max_n: Longest n-gram.
        num_buckets: Number of hash values.

    Returns:
        Where each word's buckets begin, shape (words + 1,), and the buckets, in fastText's order, repeated ones too.
    """
    from nlpladder.models.vectors.subword_kernels import count_ngrams, write_ngram_buckets

    encoded = [b"" if word == END_OF_LINE else f"<{word}>".encode("utf-8", "surrogatepass") for word in words]
    text = np.frombuffer(b"".join(encoded) + b"\0", dtype=np.uint8).copy()
    borders = np.zeros(len(words) + 1, dtype=np.int64)
    np.cumsum([len(word) for word in encoded], out=borders[1:])
    starts = np.empty(len(words) + 1, dtype=np.int64)
    count_ngrams(text, borders, min_n, max_n, starts)
    buckets = np.empty(starts[-1], dtype=np.int32)
    write_ngram_buckets(text, borders, min_n, max_n, num_buckets, buckets)
    return starts, buckets


def input_rows(
    num_words: int,
    ngrams: tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]] | None,
    used_buckets: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return the rows of the input matrix that each word is the mean of: its own and those of its n-grams.

    Args:
        num_words: Number of words; word w has row w.
        ngrams: What `hash_ngrams` returned, or None without sub-words.
        used_buckets: The buckets that have a row, sorted; bucket ``used_buckets[k]`` has row ``num_words + k``.

    Returns:
        Where each word's rows begin, shape (words + 1,), and the rows.
    """
    if ngrams is None:
        return np.arange(num_words + 1, dtype=np.int64), np.arange(num_words, dtype=np.int32)
    ngram_starts, buckets = ngrams
    starts = ngram_starts + np.arange(num_words + 1)
    rows = np.empty(starts[-1], dtype=np.int32)
    own = np.zeros(starts[-1], dtype=bool)
    own[starts[:-1]] = True
    rows[own] = np.arange(num_words)
    rows[~own] = num_words + np.searchsorted(used_buckets, buckets)
    return starts, rows
