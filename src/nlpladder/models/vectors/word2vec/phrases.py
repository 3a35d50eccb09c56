"""Phrases: frequent neighbours become one word, ``new_york`` (Mikolov et al. 2013b, section 4; word2phrase.c)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.models.vectors.word2vec.options import Word2VecOptions
from nlpladder.models.vectors.word2vec.training_corpus import pieces
from nlpladder.text.encoding import EncodedCorpus

JOINT = "_"
_FIRST_SLOTS = 1 << 16
#: The largest table of pairs (2 GiB); when it is full, the rarest pairs are forgotten, as word2phrase.c does.
_MOST_SLOTS = 1 << 27


def join_phrases(corpus: EncodedCorpus, options: Word2VecOptions) -> EncodedCorpus:
    """Join pairs of neighbours that occur together more often than their words' frequencies explain.

    A pair is a phrase if ``(count(ab) - discount) / (count(a) count(b))`` times the number of tokens is above the
    threshold (eq. 6), with the discount `phrase_min_count`. Each further pass can join phrases with their neighbours.

    Args:
        corpus: The corpus; it is not changed. If its ids are memory-mapped, the new ones are too, in a temporary file
            beside them that vanishes with the array.
        options: `phrases` (number of passes), `phrase_threshold` and `phrase_min_count` are read.

    Returns:
        The corpus with joined words; the old words keep their ids.
    """
    for _ in range(options.phrases):
        pairs, pair_counts = _count_pairs(corpus, options.phrase_min_count)
        left, right = pairs >> 32, pairs & 0xFFFFFFFF
        expected = corpus.counts[left].astype(np.float64) * corpus.counts[right]
        scores = (pair_counts - options.phrase_min_count) * (corpus.num_tokens / expected)
        phrases = pairs[(scores > options.phrase_threshold) & (pair_counts >= options.phrase_min_count)]
        if phrases.size == 0:
            break
        corpus = _joined(corpus, np.sort(phrases))
    return corpus


def _table(slots: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return an empty table of pairs."""
    return np.full(slots, -1, dtype=np.int64), np.zeros(slots, dtype=np.int64)


def _count_pairs(corpus: EncodedCorpus, min_count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return all pairs of neighbours, ``left << 32 | right``, and how often each occurs."""
    from nlpladder.models.vectors.word2vec.phrase_kernels import count_pairs, insert_pairs

    frequent = corpus.counts >= max(min_count, 1)
    keys, values = _table(_FIRST_SLOTS)
    used = np.zeros(1, dtype=np.int64)
    forgotten = 0
    for _, piece in pieces(corpus.ids, 0, corpus.ids.size):
        position = 0
        while (position := count_pairs(piece, position, frequent, keys, values, used)) < piece.size:
            kept = values > forgotten
            if keys.size >= _MOST_SLOTS:
                forgotten += 1
                kept = values > forgotten
            pairs, counts = keys[kept], values[kept]
            keys, values = _table(min(2 * keys.size, _MOST_SLOTS))
            insert_pairs(pairs, counts, keys, values)
            used[0] = pairs.size
    return keys[keys >= 0], values[keys >= 0]


def _joined(corpus: EncodedCorpus, phrases: npt.NDArray[np.int64]) -> EncodedCorpus:
    """Return the corpus with these pairs joined."""
    from nlpladder.models.vectors.word2vec.phrase_kernels import insert_pairs, join_pairs

    words = list(corpus.words)
    known = {word: number for number, word in enumerate(words)}
    names = [f"{words[pair >> 32]}{JOINT}{words[pair & 0xFFFFFFFF]}" for pair in phrases.tolist()]
    for name in names:
        if known.setdefault(name, len(words)) == len(words):
            words.append(name)
    keys, values = _table(1 << int(2 * phrases.size).bit_length())
    insert_pairs(phrases, np.array([known[name] for name in names], dtype=np.int64), keys, values)

    counts = np.zeros(len(words), dtype=np.int64)
    ids = _room_like(corpus.ids)
    room = np.empty(0, dtype=np.int32)
    written = 0
    for _, piece in pieces(corpus.ids, 0, corpus.ids.size):
        if room.size < piece.size:
            room = np.empty(piece.size, dtype=np.int32)
        part = room[: join_pairs(piece, keys, values, room)]
        ids[written : written + part.size] = part
        written += part.size
        counts += np.bincount(part[part >= 0], minlength=len(words))
    ids = ids[:written]
    return EncodedCorpus(
        ids=ids,
        words=words,
        counts=counts,
        num_tokens=written - corpus.num_sentences,
        num_sentences=corpus.num_sentences,
        num_unknown=corpus.num_unknown,
    )


def _room_like(ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return an array as large, in memory or, for a memory-mapped one, in a file without a name."""
    mapped: Any = ids
    while mapped is not None and not isinstance(mapped, np.memmap):
        mapped = mapped.base
    if mapped is None:
        return np.empty(ids.size, dtype=np.int32)
    folder = Path(mapped.filename).parent if mapped.filename else None
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype=np.int32, mode="w+", shape=ids.shape)
