"""Kernels that turn bytes into word ids through a hash table of the words met so far."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

FNV_OFFSET = np.uint64(14695981039346656037)
FNV_PRIME = np.uint64(1099511628211)
#: A second offset and multiplier, those of Knuth's MMIX generator.
MMIX_OFFSET = np.uint64(1442695040888963407)
MMIX_PRIME = np.uint64(6364136223846793005)
MIX = np.uint64(0xD6E8FEB86659FD93)
SHIFT = np.uint64(32)

#: The columns of `slots`. An empty slot has the entry 0; word i has i + 1.
FIRST_HASH, SECOND_HASH, ENTRY = range(3)
#: The entries of `state`, which carries the scan from block to block.
WORDS, SENTENCES, OPEN, UNKNOWN_TOKENS, ARENA = range(5)
SENTENCE_END_ID = np.int32(-1)
UNKNOWN_ID = np.int32(-2)
NEWLINE = np.uint8(10)


@nb.njit(inline="always")
def is_separator(byte: Any) -> bool:
    """Tell whether a byte separates tokens: NUL, tab, newline, carriage return, space."""
    return byte <= 32 and (byte == 32 or byte == 10 or byte == 9 or byte == 13 or byte == 0)


@nb.njit(inline="always")
def mixed(value: Any) -> Any:
    """Let every bit of a hash depend on every other."""
    value = (value ^ (value >> SHIFT)) * MIX
    return value ^ (value >> SHIFT)


@nb.njit(cache=True, nogil=True)
def find_slot(slots: Any, first: Any, second: Any) -> Any:
    """Return the slot of a word, or the empty slot where it belongs.

    Words are told apart by two hashes of 64 bits: among 10 million words the chance that any two share both is 1e-25.
    One slot is one access to memory, where a comparison of the words' letters would be three.

    Args:
        slots: Both hashes and the entry of each slot; uint64, shape (slots, 3), a power of two of them.
        first: The word's first hash.
        second: Its second hash.
    """
    mask = np.uint64(slots.shape[0] - 1)
    slot = first & mask
    while slots[slot, ENTRY] != 0 and (slots[slot, FIRST_HASH] != first or slots[slot, SECOND_HASH] != second):
        slot = (slot + np.uint64(1)) & mask
    return slot


@nb.njit(inline="always")
def fill_slot(slots: Any, slot: Any, first: Any, second: Any, word: Any) -> None:
    """Put word number `word` into an empty slot."""
    slots[slot, FIRST_HASH] = first
    slots[slot, SECOND_HASH] = second
    slots[slot, ENTRY] = np.uint64(word + 1)


@nb.njit(cache=True, nogil=True)
def encode_block(
    block: Any,
    position: int,
    ids: Any,
    written: int,
    slots: Any,
    arena: Any,
    starts: Any,
    counts: Any,
    grow: bool,
    state: Any,
) -> tuple[int, int]:
    """Write the word ids of `block` from `position` on, with `SENTENCE_END_ID` after each sentence that has words.

    Args:
        block: Tokens separated by blanks, sentences by newlines; UTF-8, whole tokens; shape (bytes,).
        position: Where to begin.
        ids: Receives the ids; shape (bytes + 1,) or more.
        written: How many ids it holds already.
        slots: See `find_slot`; receives new words.
        arena: The bytes of all words, one after the other; receives new ones.
        starts: Where each word begins in `arena`, and the end; shape (words + 1,) or more.
        counts: How often each word occurred; shape (words,) or more.
        grow: Whether new words join the table; otherwise they become `UNKNOWN_ID`.
        state: See the constants above; shape (5,).

    Returns:
        Where the scan stopped (before the end of `block` when a table is full: enlarge it and go on) and how many ids
        were written in all.
    """
    n_bytes = block.size
    most_words = min(counts.size, slots.shape[0] // 2)
    while position < n_bytes:
        byte = block[position]
        if is_separator(byte):
            if byte == NEWLINE and state[OPEN] > 0:
                ids[written] = SENTENCE_END_ID
                written += 1
                state[SENTENCES] += 1
                state[OPEN] = 0
            position += 1
            continue
        begin = position
        first, second = FNV_OFFSET, MMIX_OFFSET
        while position < n_bytes and not is_separator(block[position]):
            letter = np.uint64(block[position])
            first = (first ^ letter) * FNV_PRIME
            second = (second + letter) * MMIX_PRIME
            position += 1
        first, second = mixed(first), mixed(second)
        slot = find_slot(slots, first, second)
        word = np.int64(slots[slot, ENTRY]) - 1
        if word < 0 and grow:
            n_words = state[WORDS]
            size = position - begin
            if n_words >= most_words or state[ARENA] + size > arena.size:
                return begin, written
            for offset in range(size):
                arena[state[ARENA] + offset] = block[begin + offset]
            state[ARENA] += size
            state[WORDS] += 1
            starts[n_words + 1] = state[ARENA]
            fill_slot(slots, slot, first, second, n_words)
            word = n_words
        if word < 0:
            state[UNKNOWN_TOKENS] += 1
            ids[written] = UNKNOWN_ID
        else:
            counts[word] += 1
            ids[written] = word
        written += 1
        state[OPEN] = 1
    return position, written


@nb.njit(cache=True, nogil=True)
def insert_words(slots: Any, arena: Any, starts: Any, n_words: int) -> int:
    """Fill an empty table with the first `n_words` words of the arena.

    Returns:
        -1, or the number of the first word that occurs twice.
    """
    for word in range(n_words):
        first, second = FNV_OFFSET, MMIX_OFFSET
        for position in range(starts[word], starts[word + 1]):
            letter = np.uint64(arena[position])
            first = (first ^ letter) * FNV_PRIME
            second = (second + letter) * MMIX_PRIME
        first, second = mixed(first), mixed(second)
        slot = find_slot(slots, first, second)
        if slots[slot, ENTRY] != 0:
            return word
        fill_slot(slots, slot, first, second, word)
    return -1


@nb.njit(cache=True, nogil=True)
def rename_ids(ids: Any, new_ids: Any, drop: bool, renamed: Any) -> int:
    """Write `ids` with word i as ``new_ids[i]``; return how many there are.

    Args:
        ids: Word ids and marks; shape (ids,).
        new_ids: New id of each word, negative for words that go; shape (words,).
        drop: Leave such words out instead of writing `UNKNOWN_ID`.
        renamed: Receives the ids; shape (ids,).
    """
    written = 0
    for position in range(ids.size):
        word = ids[position]
        if word >= 0:
            word = new_ids[word]
            if word < 0:
                if drop:
                    continue
                word = UNKNOWN_ID
        elif word == UNKNOWN_ID and drop:
            continue
        renamed[written] = word
        written += 1
    return written
