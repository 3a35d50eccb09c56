"""A corpus as the trainer sees it: which words count, how often they are skipped, and who reads what.

The encoded corpus may be a memory-mapped file larger than memory: it is read piece by piece and never copied whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.models.vectors.word2vec.options import Word2VecOptions
from nlpladder.text.encoding import SENTENCE_END, EncodedCorpus

#: Tokens handed to a kernel at a time; between two, the trainer can be stopped and looks for numbers that broke.
PIECE = 1 << 18
_SEARCH = 1 << 16


def choose_words(
    corpus: EncodedCorpus, options: Word2VecOptions, *, known: dict[str, int] | None = None
) -> npt.NDArray[np.int64]:
    """Return the ids of the words that join the vocabulary, the most frequent first, ties in order of appearance.

    Args:
        corpus: The corpus.
        options: `min_count` and `max_vocabulary` are read; the latter counts known words too.
        known: Words that are in the vocabulary already, with their numbers.

    Raises:
        DataError: if the corpus is empty or less than two words would be left.
    """
    known = known or {}
    if corpus.num_tokens == 0:
        raise DataError(
            "The corpus is empty: there is no word to learn a vector for. Check the files and their columns."
        )
    enough = corpus.counts >= options.min_count
    is_known = np.fromiter((word in known for word in corpus.words), dtype=bool, count=len(corpus.words))
    chosen = np.flatnonzero(enough & ~is_known)
    chosen = chosen[np.argsort(-corpus.counts[chosen], kind="stable")]
    if options.max_vocabulary:
        chosen = chosen[: max(options.max_vocabulary - len(known), 0)]
    if len(chosen) + len(known) >= 2:
        return chosen
    types = len(corpus.words)
    if types < 2:
        raise DataError(
            f"The corpus has {types} different word{'s' * (types != 1)} in {corpus.num_tokens} tokens; vectors are "
            "learnt from words beside other words, so at least two are needed. Is the text tokenised?"
        )
    if options.max_vocabulary == 1:
        raise DataError("max_vocabulary is 1, but vectors need at least two words. Choose a larger one, or 0 for all.")
    second, largest = (int(count) for count in np.sort(corpus.counts)[-2:])
    raise DataError(
        f"min_count {options.min_count} leaves {int(enough.sum())} of {types} words, and at least two are needed: the "
        f"most frequent word occurs {largest} times, the second {second} times. Choose min_count {second} or less, or "
        "more text."
    )


def keep_thresholds(counts: npt.NDArray[np.int64], subsample: float) -> npt.NDArray[np.uint64]:
    r"""Return 2**32 times the probability that an occurrence of each word is kept.

    word2vec.c's form of Mikolov et al. 2013b, eq. 5, with relative frequency :math:`f` and threshold :math:`t`:
    :math:`p = \sqrt{t / f} + t / f`.

    Args:
        counts: How often each word of the vocabulary occurs in the corpus; shape (words,).
        subsample: The threshold, or 0 to keep all.
    """
    if subsample == 0:
        return np.full(len(counts), 1 << 32, dtype=np.uint64)
    ratio = subsample * counts.sum() / np.maximum(counts, 1)
    return (np.minimum(np.sqrt(ratio) + ratio, 1) * 2.0**32).astype(np.uint64)


def slice_borders(ids: npt.NDArray[np.int32], num_slices: int) -> list[int]:
    """Cut a corpus into slices of about equal length that begin with a sentence.

    Args:
        ids: The ids of an `EncodedCorpus`.
        num_slices: Number of slices; some are empty if there are less sentences.

    Returns:
        The first position of each slice, and the end.
    """
    borders = [0]
    for number in range(1, num_slices):
        position = max(ids.size * number // num_slices, borders[-1])
        while position < ids.size:
            ends = np.flatnonzero(ids[position : position + _SEARCH] == SENTENCE_END)
            if ends.size:
                position += int(ends[0]) + 1
                break
            position += _SEARCH
        borders.append(min(position, ids.size))
    return [*borders, ids.size]


def pieces(
    ids: npt.NDArray[np.int32], begin: int, end: int, size: int = PIECE
) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
    """Yield the pieces of a slice, each with its first position; they end with a sentence where there is an end."""
    while begin < end:
        piece = np.array(ids[begin : min(begin + size, end)], dtype=np.int32)
        if begin + piece.size < end:
            ends = np.flatnonzero(piece == SENTENCE_END)
            if ends.size:
                piece = piece[: ends[-1] + 1]
        yield begin, piece
        begin += piece.size


def corpus_fingerprint(corpus: EncodedCorpus) -> str:
    """Return what tells corpora apart when training goes on: sizes and a checksum of the counts."""
    checksum = zlib.crc32(np.ascontiguousarray(corpus.counts, dtype=np.int64).tobytes())
    return f"{corpus.num_tokens} tokens, {corpus.num_sentences} sentences, {len(corpus.words)} words, {checksum:08x}"
