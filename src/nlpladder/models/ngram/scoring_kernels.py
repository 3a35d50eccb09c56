"""Kernels that turn texts into word ids and score them with query tables.

The look-ups of a token need the slots that the token before it ended in, so that one text alone waits for memory at
every token. `score_tokens` therefore walks many texts in turn: the memory that a token will need is asked for one round
before it is used.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from nlpladder.models.ngram.table_kernels import (
    BACKOFF,
    PROBABILITY,
    REGION_SIZE,
    find_from,
    first_slot,
    prefetch,
)
from nlpladder.models.ngram.vocabulary_kernels import FNV_OFFSET, add_byte, find_word, finish_hash, is_separator

UNKNOWN_ID, BEGIN_ID, END_ID = range(3)
NEWLINE = np.uint8(10)
ABSENT = -1
LANES = 16  # texts that are walked in turn


@nb.njit(cache=True, nogil=True)
def encode_texts(
    data: Any, hashes: Any, word_ids: Any, arena: Any, starts: Any, end_mark: bool, ids: Any, borders: Any
) -> int:
    """Write the word ids of texts.

    Args:
        data: Texts in UTF-8, each followed by a newline; shape (bytes,).
        hashes: See `find_word`.
        word_ids: Its `ids`.
        arena: Likewise.
        starts: Likewise.
        end_mark: Whether each text ends with ``</s>``.
        ids: Receives the ids, ``<unk>`` for words outside the vocabulary; shape (bytes + 1,) or more.
        borders: Receives where each text begins in `ids`, and the end; shape (texts + 1,).

    Returns:
        The number of ids.
    """
    written = 0
    texts = 0
    position = 0
    borders[0] = 0
    while position < data.size:
        byte = data[position]
        if is_separator(byte):
            if byte == NEWLINE:
                if end_mark:
                    ids[written] = END_ID
                    written += 1
                texts += 1
                borders[texts] = written
            position += 1
            continue
        begin = position
        hashed = FNV_OFFSET  # as `hash_word` does, on the way
        while not is_separator(byte):
            hashed = add_byte(hashed, byte)
            position += 1
            byte = data[position]
        hashed = finish_hash(hashed)
        word = word_ids[find_word(data, begin, position, hashed, hashes, word_ids, arena, starts)]
        ids[written] = word if word > END_ID else UNKNOWN_ID
        written += 1
    return written


@nb.njit(inline="always")
def ask_for_token(
    word: Any, contexts: Any, searches: Any, lane: Any, slots: Any, unigrams: Any, geometry: Any, word_bits: Any,
    order: Any,
) -> None:  # fmt: skip
    """Begin the look-ups of one token in the context of the n-grams that ended before it."""
    prefetch(unigrams, 2 * np.int64(word))
    for length in range(2, order + 1):
        context = contexts[lane, length - 1]
        search = np.int64(ABSENT)
        if context != ABSENT:
            search = first_slot(context << word_bits | np.int64(word), geometry, length - 2)
            prefetch(slots, 2 * search)
        searches[lane, length] = search


@nb.njit(cache=True, nogil=True)
def score_tokens(
    ids: Any,
    borders: Any,
    begin_mark: bool,
    unigrams: Any,
    slots: Any,
    values: Any,
    geometry: Any,
    word_bits: int,
    order: int,
    scores: Any,
    lengths: Any,
    totals: Any,
) -> None:
    r"""Score each token of many texts by the back-off recursion.

    .. math:: \log p(w \mid h_1 .. h_n) = \log p \text{ if } h_1 .. h_n w \text{ is listed, else }
              \log b(h_1 .. h_n) + \log p(w \mid h_2 .. h_n)

    Args:
        ids: Word ids of the texts, one after the other; shape (tokens,).
        borders: Where each text begins, and the end; shape (texts + 1,).
        begin_mark: Whether each text begins after ``<s>``; otherwise without any context.
        unigrams: See `QueryTables`.
        slots: See `QueryTables`.
        values: See `QueryTables`.
        geometry: See `QueryTables`.
        word_bits: See `QueryTables`.
        order: See `QueryTables`.
        scores: Receives log10 probabilities, float32 as the tables; shape (tokens,).
        lengths: Receives the length of the n-gram that answered; shape (tokens,).
        totals: Receives the sum of each text; shape (texts,).
    """
    n_texts = borders.size - 1
    texts = np.full(LANES, ABSENT, np.int64)  # the text of each lane
    positions = np.zeros(LANES, np.int64)
    sums = np.zeros(LANES, np.float64)
    contexts = np.full((LANES, order + 1), ABSENT, np.int64)  # slot of the n-gram of each length that ended last
    searches = np.full((LANES, order + 1), ABSENT, np.int64)  # where the look-up of each length begins
    backoffs = np.zeros((LANES, order + 1), np.float32)  # of `contexts`
    next_text = 0
    working = LANES
    while working > 0:
        working = 0
        for lane in range(LANES):
            text = texts[lane]
            if text != ABSENT:
                position = positions[lane]
                word = np.int64(ids[position])
                score = unigrams[word, 0]
                answered = 1
                for length in range(2, order + 1):
                    search = searches[lane, length]
                    if search != ABSENT:
                        key = contexts[lane, length - 1] << word_bits | word
                        search = find_from(slots, search, key, geometry[length - 2, REGION_SIZE])
                        searches[lane, length] = search
                        if search != ABSENT:
                            score = values[search, PROBABILITY]
                            answered = length
                for length in range(answered, order):
                    if contexts[lane, length] != ABSENT:
                        score += backoffs[lane, length]
                scores[position] = score
                lengths[position] = answered
                sums[lane] += score
                contexts[lane, 1] = word
                backoffs[lane, 1] = unigrams[word, 1]
                for length in range(2, order):
                    search = searches[lane, length]
                    contexts[lane, length] = search
                    if search != ABSENT:
                        backoffs[lane, length] = values[search, BACKOFF]
                positions[lane] = position + 1
                if position + 1 == borders[text + 1]:
                    totals[text] = sums[lane]
                    text = ABSENT
            if text == ABSENT:
                while next_text < n_texts and borders[next_text] == borders[next_text + 1]:
                    totals[next_text] = 0.0
                    next_text += 1
                texts[lane] = ABSENT
                if next_text == n_texts:
                    continue
                texts[lane] = next_text
                positions[lane] = borders[next_text]
                sums[lane] = 0.0
                next_text += 1
                for length in range(1, order + 1):
                    contexts[lane, length] = ABSENT
                if begin_mark and order > 1:
                    contexts[lane, 1] = BEGIN_ID
                    backoffs[lane, 1] = unigrams[BEGIN_ID, 1]
            working += 1
            ask_for_token(ids[positions[lane]], contexts, searches, lane, slots, unigrams, geometry, word_bits, order)


@nb.njit(cache=True, nogil=True)
def walk_context(
    ids: Any, begin_mark: bool, unigrams: Any, slots: Any, geometry: Any, word_bits: int, context: Any
) -> None:
    """Find the n-grams that end where a prefix ends.

    Args:
        ids: Word ids of the prefix; shape (tokens,).
        begin_mark: Whether it begins after ``<s>``.
        unigrams: See `QueryTables`.
        slots: See `QueryTables`.
        geometry: See `QueryTables`.
        word_bits: See `QueryTables`.
        context: Receives the slot of the n-gram of each length below the order, or -1; shape (order + 1,).
    """
    order = context.size - 1
    contexts = np.full((1, order + 1), ABSENT, np.int64)
    searches = np.full((1, order + 1), ABSENT, np.int64)
    if begin_mark and order > 1:
        contexts[0, 1] = BEGIN_ID
    for word in ids:
        ask_for_token(word, contexts, searches, 0, slots, unigrams, geometry, word_bits, order)
        for length in range(order - 1, 1, -1):
            search = searches[0, length]
            if search != ABSENT:
                key = contexts[0, length - 1] << word_bits | np.int64(word)
                search = find_from(slots, search, key, geometry[length - 2, REGION_SIZE])
            contexts[0, length] = search
        if order > 1:
            contexts[0, 1] = word
    context[:] = contexts[0]
