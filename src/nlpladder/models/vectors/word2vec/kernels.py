r"""The training loop of skip-gram and CBOW, with negative sampling or hierarchical softmax, with or without sub-words.

All eight are one algorithm. A hidden vector :math:`h` is the mean of some input rows; it meets output rows
:math:`u_k` with labels :math:`y_k`; and the step is, for each of them, with rate :math:`\alpha`

.. math:: g_k = \alpha (y_k - \sigma(u_k^\top h)), \qquad h \leftarrow h + \sum_k g_k u_k,
          \qquad u_k \leftarrow u_k + g_k h

* skip-gram: the input rows are the centre word's, and each neighbour in turn is the target (eq. 1; as fastText does.
  word2vec.c and gensim swap the two: the same pairs, as every word is a centre once, in another order);
* CBOW: the input rows are all neighbours', and the centre word is the target;
* negative sampling: the target's row has label 1, randomly drawn rows 0 (Mikolov et al. 2013b, eq. 4);
* hierarchical softmax: the rows are the inner nodes on the way to the target, the labels where it turns (eq. 3);
* sub-words: a word's rows are its own and those of its character n-grams (Bojanowski et al. 2017, eq. 1).

As in word2vec.c and fastText, every input row gets the whole sum, undivided. So while a centre word meets its
neighbours, its mean moves exactly as its rows do, and the rows need to be read and written only once per centre word.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from nlpladder.models.vectors.word2vec.row_kernels import (
    add_scaled,
    add_to_row,
    move_1_row,
    move_3_rows,
    move_6_rows,
    prefetch_row,
    score_1_row,
    score_3_rows,
    score_6_rows,
)

#: Beyond this score the logistic function counts as 0 or 1, as in word2vec.c.
LARGEST_SCORE = 6.0
SIGMOID_CELLS = 1024
HIDDEN, BEFORE, MOVED = range(3)  # the rows of `scratch`
_CELLS_PER_UNIT = np.float32(SIGMOID_CELLS / (2 * LARGEST_SCORE))
_SENTENCE_END = -1
_BUSY_NODES = 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_UPPER = np.uint64(32)
_LOWER = np.uint64(0xFFFFFFFF)


@nb.njit(cache=True, nogil=True)
def mix(state: Any) -> Any:
    """Return 64 random bits for a state that grows by `_GOLDEN` each time: SplitMix64 (Steele et al. 2014)."""
    value = (state ^ (state >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))


@nb.njit(cache=True, nogil=True)
def draw_word(table: Any, bits: Any) -> Any:
    """Draw from an alias table (Walker 1977): the upper bits choose a word, the lower ones it or its alias."""
    word = ((bits >> _UPPER) * np.uint64(table.size)) >> _UPPER
    entry = table[word]
    return np.int32(word) if (bits & _LOWER) < (entry & _LOWER) else np.int32(entry >> _UPPER)


@nb.njit(cache=True, nogil=True, fastmath=True)
def take_step(
    hidden: Any, moved: Any, outputs: Any, rows: Any, labels: Any, count: int, scores: Any, sigmoid: Any, rate: Any
) -> None:
    """Move `hidden` and the first `count` of the output rows `rows` by the gradient of their logistic losses.

    Args:
        hidden: The hidden vector; shape (width,).
        moved: Room for its new value; shape (width,).
        outputs: Output rows; shape (rows, width).
        rows: Which of them; int32.
        labels: 1 or 0 for each of them; float32.
        count: How many.
        scores: Room; float32, as long as `rows`.
        sigmoid: What `sigmoid_table` returned.
        rate: The learning rate.
    """
    done = 0
    while count - done >= 6:
        score_6_rows(hidden, outputs, rows, done, scores)
        done += 6
    while count - done >= 3:
        score_3_rows(hidden, outputs, rows, done, scores)
        done += 3
    while count > done:
        score_1_row(hidden, outputs, rows, done, scores)
        done += 1
    for k in range(count):
        place = min(max(scores[k], np.float32(-7)), np.float32(7))
        cell: Any = np.int64((place + np.float32(LARGEST_SCORE)) * _CELLS_PER_UNIT + np.float32(1))
        cell = min(max(cell, 0), SIGMOID_CELLS + 1)
        scores[k] = (labels[k] - sigmoid[cell]) * rate
    if count == 6:  # five negatives: the usual case needs no second vector
        move_6_rows(hidden, outputs, rows, 0, scores, hidden)
        return
    moved[:] = hidden
    done = 0
    while count - done >= 6:
        move_6_rows(hidden, outputs, rows, done, scores, moved)
        done += 6
    while count - done >= 3:
        move_3_rows(hidden, outputs, rows, done, scores, moved)
        done += 3
    while count > done:
        move_1_row(hidden, outputs, rows, done, scores, moved)
        done += 1
    hidden[:] = moved


@nb.njit(cache=True, nogil=True)
def prefetch_inputs(inputs: Any, row_starts: Any, rows: Any, word: int) -> None:
    """Ask for the input rows of a word."""
    for place in range(row_starts[word], row_starts[word + 1]):
        prefetch_row(inputs, np.int64(rows[place]))


@nb.njit(cache=True, nogil=True)
def prefetch_outputs(outputs: Any, path_starts: Any, path_nodes: Any, hierarchical: bool, word: int) -> None:
    """Ask for the output rows of a word: its own, or those of its path."""
    if hierarchical:
        # The first nodes are in use all the time; asking for them would take them away from the other threads.
        for place in range(path_starts[word] + _BUSY_NODES, path_starts[word + 1]):
            prefetch_row(outputs, np.int64(path_nodes[place]))
    else:
        prefetch_row(outputs, np.int64(word))


@nb.njit(cache=True, nogil=True, fastmath=True)
def train_chunk(
    ids: Any,
    numbers: Any,
    keep: Any,
    inputs: Any,
    row_starts: Any,
    rows: Any,
    outputs: Any,
    negative_table: Any,
    path_starts: Any,
    path_nodes: Any,
    path_labels: Any,
    sigmoid: Any,
    scratch: Any,
    skip_gram: bool,
    hierarchical: bool,
    window: int,
    negative: int,
    longest: int,
    most_rows: int,
    first_rate: float,
    last_rate: float,
    state: Any,
    done: Any,
) -> None:
    """Train on a piece of the corpus, sentence by sentence.

    Args:
        ids: Word ids of the corpus, `SENTENCE_END` after each sentence; int32.
        numbers: The vocabulary number of each word id, or -1; int32.
        keep: 2**32 times the probability that a word of the vocabulary is not skipped; uint64, shape (words,).
        inputs: Input rows of words and, behind them, of n-grams; float32, shape (rows, width).
        row_starts: Where the rows of each word begin in `rows`; int64, shape (words + 1,).
        rows: The input rows of all words, one word after the other; int32.
        outputs: Output rows of words or of inner nodes; float32, shape (rows, width).
        negative_table: What `alias_table` returned; uint64, shape (words,).
        path_starts: Where each word's path begins in `path_nodes`; int64, shape (words + 1,).
        path_nodes: The inner nodes from the root to each word; int32.
        path_labels: 1 where the path turns to the first child, else 0; float32, as `path_nodes`.
        sigmoid: What `sigmoid_table` returned.
        scratch: Room for three vectors; float32, shape (3, width).
        skip_gram: Skip-gram, else CBOW.
        hierarchical: Hierarchical softmax, else negative sampling.
        window: Most words between a word and its neighbour.
        negative: Number of negatives.
        longest: Words after which a sentence is cut.
        most_rows: Most output rows of one step.
        first_rate: Learning rate at the beginning of the piece.
        last_rate: Learning rate at its end.
        state: The state of the random numbers, moved on; uint64, shape (1,).
        done: The number of tokens read, added to as they are; int64, shape (1,).
    """
    random = state[0]
    sentence = np.empty(longest, np.int32)
    upcoming = np.empty(negative, np.int32)  # the next step's negatives, drawn early so that their rows are there
    targets = np.empty(most_rows, np.int32)
    labels = np.zeros(most_rows, np.float32)
    scores = np.empty(most_rows, np.float32)
    hidden, before, moved = scratch[HIDDEN], scratch[BEFORE], scratch[MOVED]
    if not hierarchical:
        labels[0] = 1
        for k in range(negative):
            random += _GOLDEN
            upcoming[k] = draw_word(negative_table, mix(random))
    position = 0
    while position < ids.size:
        rate = np.float32(first_rate + (last_rate - first_rate) * (position / ids.size))
        length = 0
        tokens = 0
        while position < ids.size and length < longest:
            token = ids[position]
            position += 1
            if token == _SENTENCE_END:
                break
            tokens += 1
            word = numbers[token] if token >= 0 else np.int32(-1)
            if word < 0:
                continue
            random += _GOLDEN
            if mix(random) >> _UPPER < keep[word]:
                sentence[length] = word
                length += 1
        for centre in range(length):
            word = np.int64(sentence[centre])
            random += _GOLDEN
            reach: Any = 1 + np.int64(((mix(random) >> _UPPER) * np.uint64(window)) >> _UPPER)
            first = max(centre - reach, 0)
            last = min(centre + reach, length - 1)
            if first == last:
                continue
            entering = centre + 1 + window
            if skip_gram:
                if centre + 1 < length:
                    prefetch_inputs(inputs, row_starts, rows, sentence[centre + 1])
                if entering < length:
                    prefetch_outputs(outputs, path_starts, path_nodes, hierarchical, sentence[entering])
            else:
                if centre + 1 < length:
                    prefetch_outputs(outputs, path_starts, path_nodes, hierarchical, sentence[centre + 1])
                if entering < length:
                    prefetch_inputs(inputs, row_starts, rows, sentence[entering])
            source_first, source_last = (centre, centre) if skip_gram else (first, last)
            target_first, target_last = (first, last) if skip_gram else (centre, centre)

            hidden[:] = 0
            num_rows = 0
            for source in range(source_first, source_last + 1):
                if source != centre or skip_gram:
                    num_rows += row_starts[sentence[source] + 1] - row_starts[sentence[source]]
            share = np.float32(1) / np.float32(num_rows)
            for source in range(source_first, source_last + 1):
                if source != centre or skip_gram:
                    for place in range(row_starts[sentence[source]], row_starts[sentence[source] + 1]):
                        add_scaled(inputs, np.int64(rows[place]), share, hidden)
            before[:] = hidden

            for target in range(target_first, target_last + 1):
                if target == centre and skip_gram:
                    continue
                word = np.int64(sentence[target])
                if hierarchical:
                    begin = path_starts[word]
                    count = path_starts[word + 1] - begin
                    for k in range(count):
                        targets[k] = path_nodes[begin + k]
                        labels[k] = path_labels[begin + k]
                else:
                    targets[0] = word
                    count = 1
                    for k in range(negative):
                        if upcoming[k] != word:
                            targets[count] = upcoming[k]
                            count += 1
                        random += _GOLDEN
                        drawn = draw_word(negative_table, mix(random))
                        upcoming[k] = drawn
                        prefetch_row(outputs, np.int64(drawn))
                take_step(hidden, moved, outputs, targets, labels, count, scores, sigmoid, rate)

            for d in range(hidden.size):
                before[d] = hidden[d] - before[d]
            for source in range(source_first, source_last + 1):
                if source != centre or skip_gram:
                    for place in range(row_starts[sentence[source]], row_starts[sentence[source] + 1]):
                        add_to_row(before, inputs, np.int64(rows[place]))
        done[0] += tokens
    state[0] = random


@nb.njit(cache=True, nogil=True)
def mean_input_rows(inputs: Any, row_starts: Any, rows: Any, vectors: Any) -> None:
    """Write the mean of each word's input rows to `vectors`, float32, shape (words, width), zeros before."""
    for word in range(vectors.shape[0]):
        vector = vectors[word]
        share = np.float32(1) / np.float32(row_starts[word + 1] - row_starts[word])
        for place in range(row_starts[word], row_starts[word + 1]):
            add_scaled(inputs, np.int64(rows[place]), share, vector)


@nb.njit(cache=True, nogil=True)
def first_broken_row(matrix: Any, num_rows: int) -> int:
    """Return the first of `num_rows` rows that holds a number that is not finite, or -1."""
    for row in range(num_rows):
        total = np.float32(0)
        vector = matrix[row]
        for d in range(vector.size):
            total += vector[d] * np.float32(0)  # nan for nan and for infinity
        if total != 0:
            return row
    return -1
