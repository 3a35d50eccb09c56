"""Kernels of an exact hash table that numbers terms.

A term is two integers, so that most comparisons are one comparison of integers and none is left to the hash:

* up to eight bytes of text: the bytes packed into the first integer, and ``~length`` (negative) as the second;
* longer text: where its bytes lie, and ``~length``; the bytes are compared;
* a word n-gram: the number of its first n - 1 words, and the number of its last word (not negative). The n-grams form a
  trie, so equal pairs are equal n-grams.

`slots` holds, at the hashed place, the upper half of the hash and the term's number plus one; 0 is free. `records`
holds the two integers of each term; the bytes of long texts lie in `arena`.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

FIRST, SECOND = range(2)  # the columns of `records`
N_TERMS, ARENA_USED = range(2)  # the entries of `sizes`
ABSENT = -1
PACKED_BYTES = 8
LOWER_HALF = 0xFFFFFFFF


@nb.njit(cache=True, nogil=True)
def mix(value: Any) -> Any:
    """Spread the bits of a 64-bit integer (the finaliser of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@nb.njit(cache=True, nogil=True)
def hash_pair(first: Any, second: Any) -> Any:
    """Hash two integers."""
    return mix(np.uint64(first) ^ (np.uint64(second) * np.uint64(0x9E3779B97F4A7C15)))


@nb.njit(cache=True, nogil=True)
def pack_bytes(text: Any, begin: int, end: int) -> Any:
    """Pack at most eight bytes into an integer, the first byte uppermost."""
    packed = np.uint64(0)
    for position in range(begin, end):
        packed = packed << np.uint64(8) | np.uint64(text[position])
    return packed


@nb.njit(cache=True, nogil=True)
def hash_bytes(text: Any, begin: int, end: int) -> Any:
    """Hash a text of more than eight bytes, eight at a time."""
    value = np.uint64(end - begin)
    for position in range(begin, end, PACKED_BYTES):
        value = mix(value ^ pack_bytes(text, position, min(position + PACKED_BYTES, end)))
    return value


@nb.njit(cache=True, nogil=True)
def pack_windows(
    buffer: Any,
    starts: Any,
    spans: Any,
    order: int,
    gap: int,
    whole_spans: bool,
    firsts: Any,
    seconds: Any,
    hashes: Any,
) -> None:
    """Turn each n-gram that is a window of text into a pair of integers.

    Args:
        buffer: Text of the units; shape (bytes,).
        starts: Where each unit begins in `buffer`, and the end; shape (units + 1,).
        spans: The first unit of each span that an n-gram may lie in, and the end; shape (spans + 1,).
        order: Units of an n-gram.
        gap: Bytes after each unit that do not belong to it.
        whole_spans: Whether a shorter span is an n-gram too.
        firsts: Receives, for the n-gram that begins with each unit, the packed bytes, or where they begin in `buffer`;
            shape (units,).
        seconds: Receives ``~length``, or 0 where no n-gram begins; shape (units,).
        hashes: Receives the hash; shape (units,).
    """
    for span in range(spans.size - 1):
        end_of_span = spans[span + 1]
        for unit in range(spans[span], end_of_span):
            following = unit + order
            if following > end_of_span:
                if not (whole_spans and unit == spans[span]):
                    seconds[unit] = 0
                    continue
                following = end_of_span
            begin = starts[unit]
            end = starts[following] - gap
            seconds[unit] = ~(end - begin)
            if end - begin <= PACKED_BYTES:
                packed: Any = np.int64(pack_bytes(buffer, begin, end))
                firsts[unit] = packed
                hashes[unit] = hash_pair(packed, ~(end - begin))
            else:
                firsts[unit] = begin
                hashes[unit] = hash_bytes(buffer, begin, end)


@nb.njit(cache=True, nogil=True)
def pair_words(prefixes: Any, words: Any, spans: Any, order: int, firsts: Any, seconds: Any, hashes: Any) -> None:
    """Turn each n-gram of words into the pair of its prefix and its last word.

    Args:
        prefixes: Number of the (n - 1)-gram that begins with each word, or `ABSENT`; shape (words,).
        words: Number of each word, or `ABSENT`; shape (words,).
        spans: The first word of each document, and the end; shape (documents + 1,).
        order: Words of an n-gram.
        firsts: Receives the prefix of the n-gram that begins with each word, or `ABSENT` where none does or where it
            cannot be known; shape (words,).
        seconds: Receives its last word, or 0; shape (words,).
        hashes: Receives the hash; shape (words,).
    """
    for span in range(spans.size - 1):
        for word in range(spans[span], spans[span + 1]):
            firsts[word] = ABSENT
            seconds[word] = 0
            last = word + order - 1
            if last < spans[span + 1] and prefixes[word] >= 0 and words[last] >= 0:
                firsts[word] = prefixes[word]
                seconds[word] = words[last]
                hashes[word] = hash_pair(prefixes[word], words[last])


@nb.njit(cache=True, nogil=True)
def same_bytes(arena: Any, start: int, text: Any, begin: int, length: int) -> bool:
    """Whether two texts of the same length are equal."""
    same = 0
    while same < length and arena[start + same] == text[begin + same]:
        same += 1
    return same == length


@nb.njit(cache=True, nogil=True)
def number_terms(
    firsts: Any,
    seconds: Any,
    hashes: Any,
    texts: bool,
    text: Any,
    grow: bool,
    slots: Any,
    records: Any,
    arena: Any,
    sizes: Any,
    begin_at: int,
    numbers: Any,
) -> int:
    """Look up terms, and add those that are new.

    The search is written out in one loop: calls that pass the arrays on would count references for every term.

    Args:
        firsts: First integer of each term; for long texts, where they begin in `text`; shape (terms,).
        seconds: Second integer of each term; shape (terms,).
        hashes: Hash of each term; shape (terms,).
        texts: Whether the terms are texts; then a second integer that is not negative marks a gap.
            Otherwise they are pairs of words, and a first integer that is negative marks a gap.
        text: Where long texts are; shape (bytes,).
        grow: Whether new terms are added.
        slots: The table; shape (a power of two,).
        records: The table; shape (capacity, 2).
        arena: The table; shape (bytes,).
        sizes: Number of terms, and of bytes used of `arena`; shape (2,).
        begin_at: The first term to look up.
        numbers: Receives the numbers, `ABSENT` for gaps and for terms that are not in the table; shape (terms,).

    Returns:
        The first term for which there was no room (go on from there with a larger table), or the number of terms.
    """
    mask = np.uint64(slots.size - 1)
    for number in range(begin_at, numbers.size):
        first = firsts[number]
        second = seconds[number]
        if (second if texts else ~first) >= 0:
            numbers[number] = ABSENT
            continue
        length = ~second if second < 0 else 0
        long = length > PACKED_BYTES
        tag = hashes[number] >> np.uint64(32)
        place = hashes[number] & mask
        found = np.int64(ABSENT)
        slot = slots[place]
        while slot != 0:
            if slot >> np.uint64(32) == tag:
                term = (slot & np.uint64(LOWER_HALF)) - np.uint64(1)
                if records[term, SECOND] == second:
                    start = records[term, FIRST]
                    if same_bytes(arena, start, text, first, length) if long else start == first:
                        found = np.int64(term)
                        break
            place = (place + np.uint64(1)) & mask
            slot = slots[place]
        if grow and found == ABSENT:
            found = sizes[N_TERMS]
            used = sizes[ARENA_USED]
            if found == records.shape[0] or 2 * (found + 1) > slots.size or (long and used + length > arena.size):
                return number
            if long:
                for position in range(length):
                    arena[used + position] = text[first + position]
                first = used
                sizes[ARENA_USED] = used + length
            slots[place] = tag << np.uint64(32) | np.uint64(found + 1)
            records[found, FIRST] = first
            records[found, SECOND] = second
            sizes[N_TERMS] = found + 1
        numbers[number] = found
    return numbers.size


@nb.njit(cache=True, nogil=True)
def fill_slots(slots: Any, records: Any, arena: Any, n_terms: int) -> None:
    """Enter the first `n_terms` terms into `slots`, which are all free."""
    mask = np.uint64(slots.size - 1)
    for term in range(n_terms):
        first = records[term, FIRST]
        length = ~records[term, SECOND]
        if length > PACKED_BYTES:
            value = hash_bytes(arena, first, first + length)
        else:
            value = hash_pair(first, ~length)
        place = value & mask
        while slots[place] != 0:
            place = (place + np.uint64(1)) & mask
        slots[place] = value >> np.uint64(32) << np.uint64(32) | np.uint64(term + 1)


@nb.njit(cache=True, nogil=True)
def write_texts(records: Any, arena: Any, terms: Any, offsets: Any, out: Any) -> None:
    """Write the text of `terms`, which are texts, to `out`.

    Args:
        records: The table.
        arena: The table.
        terms: Numbers of terms; shape (wanted,).
        offsets: Where in `out` each text begins; shape (wanted,) or more.
        out: Receives the bytes.
    """
    for number in range(terms.size):
        first = records[terms[number], FIRST]
        length = ~records[terms[number], SECOND]
        for position in range(length):
            if length <= PACKED_BYTES:
                byte = first >> (8 * (length - 1 - position)) & 0xFF
            else:
                byte = np.int64(arena[first + position])
            out[offsets[number] + position] = byte


@nb.njit(cache=True, nogil=True)
def words_of_terms(records: Any, terms: Any, words: Any) -> None:
    """Write the numbers of each n-gram's words, from the last backwards through the trie.

    Args:
        records: The table.
        terms: Numbers of n-grams; shape (wanted,).
        words: Receives the words of each n-gram, then `ABSENT`; shape (wanted, largest order).
    """
    for number in range(terms.size):
        term = terms[number]
        n_words = 1
        while records[term, SECOND] >= 0:
            n_words += 1
            term = records[term, FIRST]
        words[number, n_words:] = ABSENT
        term = terms[number]
        for place in range(n_words - 1, 0, -1):
            words[number, place] = records[term, SECOND]
            term = records[term, FIRST]
        words[number, 0] = term
