"""The kernel that adds up the vectors of words' character n-grams."""

from __future__ import annotations

from typing import Any

import numba as nb


@nb.njit(cache=True, nogil=True)
def add_ngram_rows(ngram_vectors: Any, starts: Any, rows: Any, sums: Any) -> None:
    """Add the vectors of its n-grams to each word's sum, in the order of the n-grams.

    Args:
        ngram_vectors: Float32 (rows, dimensions).
        starts: Where the n-grams of each word begin in `rows`, and the end, int64 (words + 1,).
        rows: The row of each n-gram, -1 for none, int64.
        sums: Added to, float32 (words, dimensions).
    """
    for word in range(len(sums)):
        target = sums[word]
        for place in range(starts[word], starts[word + 1]):
            if rows[place] >= 0:
                source = ngram_vectors[rows[place]]
                for column in range(len(target)):
                    target[column] += source[column]
