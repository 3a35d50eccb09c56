"""Kernels that count n-grams: positions of the text, sorted by the words that follow, one word a round.

A position and the word that follows its n-gram share one integer, ``word << 32 | position``: sorting these sorts the
words. After round k the positions are grouped by their first k words, groups in the order of their words.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from nlpladder.models.ngram.levels import SENTENCE_FINISH, SENTENCE_START, UNKNOWN_WORD

POSITION_BITS = 32
POSITION_MASK = (1 << POSITION_BITS) - 1
DIGIT_BITS = 8
DIGITS = 1 << DIGIT_BITS
#: Below this size insertion sort beats radix sort.
INSERTION_SORT_LIMIT = 48
CORPUS_SENTENCE_END = -1  # text.encoding.SENTENCE_END


@nb.njit(cache=True, nogil=True)
def number_words(ids: Any, new_ids: Any, marks: bool, inside: bool, sequence: Any, used: int) -> tuple[int, bool]:
    """Rename the words of a corpus and put ``<s>`` before (and ``</s>`` after, with `marks`) each sentence.

    Args:
        ids: Word ids of the corpus, int32; negative ones are sentence ends and unknown words.
        new_ids: The new id of each word, int32; negative for words to leave out; shape (words,).
        marks: Whether sentences get ``</s>``.
        inside: Whether the first id continues a sentence.
        sequence: Receives the new ids from `used` on, int32.
        used: How much of `sequence` is filled.

    Returns:
        How much of `sequence` is filled now, and whether a sentence is open.
    """
    for place in range(ids.size):
        if not inside:
            sequence[used] = SENTENCE_START
            used += 1
            inside = True
        word = ids[place]
        if word == CORPUS_SENTENCE_END:
            if marks:
                sequence[used] = SENTENCE_FINISH
                used += 1
            inside = False
        elif word < 0:
            sequence[used] = UNKNOWN_WORD
            used += 1
        elif new_ids[word] >= 0:
            sequence[used] = new_ids[word]
            used += 1
    return used, inside


@nb.njit(cache=True, nogil=True)
def group_positions(sequence: Any, first: int, ends: Any, positions: Any) -> None:
    """Group the positions of a piece of text by their word: a counting sort.

    Args:
        sequence: Words of the piece, int32.
        first: The position of its first word.
        ends: Where the next position of each word goes, int64, shape (words,); moved on.
        positions: Receives the positions, int32.
    """
    for place in range(sequence.size):
        word = sequence[place]
        positions[ends[word]] = first + place
        ends[word] += 1


@nb.njit(cache=True, nogil=True)
def count_words(words: Any, sizes: Any) -> None:
    """Count how often each word (or other number) occurs.

    Args:
        words: int32.
        sizes: Receives the counts, int64, shape (words,); added to.
    """
    for place in range(words.size):
        sizes[words[place]] += 1


@nb.njit(cache=True, nogil=True)
def count_next_words(sequence: Any, positions: Any, length: int, sizes: Any) -> None:
    """Count the words that follow an n-gram.

    Args:
        sequence: The text, int32.
        positions: Where the n-gram begins, int32.
        length: Its words.
        sizes: Receives the counts, int64, shape (words,); added to.
    """
    for place in range(positions.size):
        sizes[sequence[positions[place] + length]] += 1


@nb.njit(cache=True, nogil=True)
def group_by_next_word(sequence: Any, positions: Any, length: int, ends: Any, grouped: Any) -> None:
    """Group the positions of an n-gram by the word that follows: a counting sort.

    Args:
        sequence: The text, int32.
        positions: Where the n-gram begins, int32.
        length: Its words.
        ends: Where the next position of each word goes, int64, shape (words,); moved on.
        grouped: Receives the positions; shape as `positions`.
    """
    for place in range(positions.size):
        word = sequence[positions[place] + length]
        grouped[ends[word]] = positions[place]
        ends[word] += 1


@nb.njit(cache=True, nogil=True)
def read_next_words(sequence: Any, grouped: Any, borders: Any, length: int) -> int:
    """Read the word after each n-gram; an n-gram that ends its sentence, so that ``<s>`` follows, is left out.

    Args:
        sequence: The text, int32; it ends with ``<s>``.
        grouped: Where n-grams begin, grouped by n-gram, int64; bits above the position are ignored. Changed to
            ``word << 32 | position`` of those that have a word after them.
        borders: Where each group begins, and the end, int32, shape (groups + 1,); changed likewise.
        length: Words of the n-grams.

    Returns:
        The number of n-grams with a word after them.
    """
    used = 0
    begin = borders[0]
    for group in range(borders.size - 1):
        end = borders[group + 1]
        borders[group] = used
        for place in range(begin, end):
            position = grouped[place] & POSITION_MASK
            word = np.int64(sequence[position + length])
            if word != SENTENCE_START:
                grouped[used] = word << POSITION_BITS | position
                used += 1
        begin = end
    borders[borders.size - 1] = used
    return used


@nb.njit(cache=True, nogil=True)
def sort_words(group: Any, scratch: Any, word_bits: int, digit_ends: Any) -> None:
    """Sort one group by its words: insertion sort for few entries, else radix sort, eight bits a pass.

    Args:
        group: ``word << 32 | position``, int64; sorted in place.
        scratch: As large as `group` or larger.
        word_bits: Bits of the largest word id.
        digit_ends: Room for the radix sort, int64, shape (256,).
    """
    if group.size < INSERTION_SORT_LIMIT:
        for number in range(1, group.size):
            entry = group[number]
            place = number
            while place > 0 and group[place - 1] > entry:
                group[place] = group[place - 1]
                place -= 1
            group[place] = entry
        return
    source = group
    target = scratch[: group.size]
    passes = 0
    for shift in range(POSITION_BITS, POSITION_BITS + word_bits, DIGIT_BITS):
        digit_ends[:] = 0
        for entry in source:
            digit_ends[entry >> shift & (DIGITS - 1)] += 1
        total = 0
        for digit in range(DIGITS):
            size = digit_ends[digit]
            digit_ends[digit] = total
            total += size
        for entry in source:
            digit = entry >> shift & (DIGITS - 1)
            target[digit_ends[digit]] = entry
            digit_ends[digit] += 1
        source, target = target, source
        passes += 1
    if passes % 2:
        group[:] = source


@nb.njit(cache=True, nogil=True)
def collect_ngrams(
    extended: Any, borders: Any, word_bits: int, scratch: Any, prefix: Any, word: Any, count: Any, new_borders: Any
) -> int:
    """Sort each group by the next word and write one entry for each distinct n-gram.

    Args:
        extended: ``word << 32 | position``, int64, grouped by prefix.
        borders: Where each group begins, and the end, int32, shape (groups + 1,).
        word_bits: Bits of the largest word id.
        scratch: As large as `extended`.
        prefix: Receives the group of each n-gram, int32.
        word: Receives its last word, int32.
        count: Receives how often it occurs, int32.
        new_borders: Receives where its positions begin in `extended`, and the end.

    Returns:
        The number of distinct n-grams.
    """
    digit_ends = np.empty(DIGITS, np.int64)
    found = 0
    for group in range(borders.size - 1):
        start = borders[group]
        end = borders[group + 1]
        if end - start > 1:
            sort_words(extended[start:end], scratch, word_bits, digit_ends)
        place = start
        while place < end:
            begin = place
            last_word = extended[begin] >> POSITION_BITS
            while place < end and extended[place] >> POSITION_BITS == last_word:
                place += 1
            prefix[found] = group
            word[found] = last_word
            count[found] = place - begin
            new_borders[found] = begin
            found += 1
    new_borders[found] = borders[borders.size - 1]
    return found


@nb.njit(cache=True, nogil=True)
def group_entries(prefix: Any, word: Any, ends: Any, grouped: Any) -> None:
    """Group the n-grams of several shards by prefix: a counting sort.

    Args:
        prefix: The prefix of each n-gram, shape (n-grams,).
        word: Its last word, int32.
        ends: Where the next n-gram of each prefix goes, int64; moved on.
        grouped: Receives ``word << 32 | number of the n-gram``, int64, shape (n-grams,).
    """
    for number in range(prefix.size):
        context = prefix[number]
        grouped[ends[context]] = np.int64(word[number]) << POSITION_BITS | number
        ends[context] += 1


@nb.njit(cache=True, nogil=True)
def merge_entries(
    grouped: Any,
    borders: Any,
    word_bits: int,
    count: Any,
    merged_prefix: Any,
    merged_word: Any,
    merged_count: Any,
    place: Any,
) -> int:
    """Sort the n-grams of each prefix by word and add up the counts of equal ones.

    Args:
        grouped: ``word << 32 | number of the n-gram``, int64, grouped by prefix.
        borders: Where each group begins, and the end, int64, shape (prefixes + 1,).
        word_bits: Bits of the largest word id.
        count: The count of each n-gram.
        merged_prefix: Receives the prefix of each distinct n-gram, int32.
        merged_word: Receives its last word, int32.
        merged_count: Receives its count.
        place: Receives where each n-gram of the shards stands among the distinct ones, int32.

    Returns:
        The number of distinct n-grams.
    """
    digit_ends = np.empty(DIGITS, np.int64)
    largest = 0
    for group in range(borders.size - 1):
        largest = max(largest, borders[group + 1] - borders[group])
    scratch = np.empty(largest, np.int64)
    found = -1
    for group in range(borders.size - 1):
        start = borders[group]
        end = borders[group + 1]
        if end - start > 1:
            sort_words(grouped[start:end], scratch, word_bits, digit_ends)
        last_word = np.int64(-1)
        for entry in grouped[start:end]:
            if entry >> POSITION_BITS != last_word:
                last_word = entry >> POSITION_BITS
                found += 1
                merged_prefix[found] = group
                merged_word[found] = last_word
                merged_count[found] = 0
            merged_count[found] += count[entry & POSITION_MASK]
            place[entry & POSITION_MASK] = found
    return found + 1
