"""Latent semantic analysis: word vectors from a truncated SVD of the TF-IDF weighted line-by-word matrix.

With X of shape (lines, words), X[l, w] = (1 + log tf) log((1 + L) / (1 + df)), scaled to unit rows, and its best
rank-k approximation U S V^T, the vector of word w is row w of V S^p. Deerwester et al. (1990) take p = 1; smaller
powers keep the first, most general dimensions from drowning the others (Levy et al. 2015, section 3.3). The randomised
SVD is Halko et al. 2011, algorithm 4.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nlpladder.config import option
from nlpladder.errors import ConfigError, DataError
from nlpladder.text.encoding import SENTENCE_END, EncodedCorpus


@dataclass(frozen=True, kw_only=True)
class LSAOptions:
    """Options of `train_lsa`."""

    vector_size: int = option(100, help="numbers in a vector: the singular values that are kept")
    min_count: int = option(5, help="words that occur less often are left out")
    max_vocabulary: int | None = option(None, help="keep only so many words, the most frequent ones")
    singular_power: float = option(
        0.0, help="power of the singular values that weighs each dimension; 1 as in the paper, 0 for equal weights"
    )
    power_iterations: int = option(4, help="passes that sharpen the randomised SVD")
    seed: int = option(0, help="seed of the randomised SVD")

    def __post_init__(self) -> None:
        for name in ("vector_size", "min_count"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, but is {getattr(self, name)}.")


@dataclass(frozen=True)
class LSAVectors:
    """What `train_lsa` returns.

    Attributes:
        words: By falling frequency.
        counts: int64, shape (words,).
        vectors: float32, shape (words, vector_size).
    """

    words: list[str]
    counts: np.ndarray
    vectors: np.ndarray


def train_lsa(corpus: EncodedCorpus, options: LSAOptions) -> LSAVectors:
    """Return the word vectors of a corpus; each sentence counts as one document.

    Raises:
        DataError: when fewer words or sentences are left than there are dimensions.
    """
    from sklearn.utils.extmath import randomized_svd

    order = np.argsort(-corpus.counts, kind="stable")
    order = order[corpus.counts[order] >= options.min_count][: options.max_vocabulary]
    lines = line_word_matrix(corpus, order)
    if min(lines.shape) <= options.vector_size:
        raise DataError(
            f"{lines.shape[0]:,} lines and {lines.shape[1]:,} words that occur {options.min_count} times are too few "
            f"for {options.vector_size} dimensions. Lower vector_size or min_count, or give more text."
        )
    _, singular, right = randomized_svd(
        lines, options.vector_size, n_iter=options.power_iterations, random_state=options.seed, flip_sign=True
    )
    vectors = (right * singular[:, None] ** options.singular_power).T  # (words, vector_size)
    words = [corpus.words[word] for word in order.tolist()]
    return LSAVectors(words, corpus.counts[order], np.ascontiguousarray(vectors, dtype=np.float32))


def line_word_matrix(corpus: EncodedCorpus, order: np.ndarray) -> Any:
    """Return the weighted matrix, CSR of shape (lines, words).

    Args:
        corpus: Word ids.
        order: The words that are kept, in column order.
    """
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfTransformer

    columns = np.full(len(corpus.words), -1, dtype=np.int32)
    columns[order] = np.arange(order.size, dtype=np.int32)
    ids = corpus.remapped(columns)
    ends = ids == SENTENCE_END
    indptr = np.concatenate([[0], np.cumsum(~ends)[ends]])
    indices = ids[~ends]
    counts = sparse.csr_matrix(
        (np.ones(indices.size, dtype=np.float32), indices, indptr), shape=(indptr.size - 1, order.size)
    )
    counts.sum_duplicates()
    counts = counts[np.diff(counts.indptr) > 0]
    if counts.shape[0] == 0:
        return counts
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts)
