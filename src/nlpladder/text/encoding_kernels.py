"""Kernels that turn bytes into word ids through a hash table of the words met so far."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

FNV_OFFSET = np.uint64(14695981039346656037)
FNV_PRIME = np.uint64(1099511628211)
MIX = np.uint64(0xD6E8FEB86659FD93)
SHIFT = np.uint64(32)

#: The entries of `state`, which carries the scan from block to block.
WORDS, SENTENCES, OPEN, UNKNOWN_TOKENS, ARENA = range(5)
SENTENCE_END_ID = np.int32(-1)
UNKNOWN_ID = np.int32(-2)
NEWLINE = np.uint8(10)


@nb.njit(inline="always")
def is_separator(byte: Any) -> bool:
    """Tell whether a byte separates tokens: NUL, tab, newline, carriage return, space."""
    return byte <= 32 and (byte == 32 or byte == 10 or byte == 9 or byte == 13 or byte == 0)


@nb.njit(cache=True, nogil=True)
def hash_word(text: Any, begin: int, end: int) -> Any:
    """Hash bytes: FNV-1a over 64 bits, mixed so that every bit of the result depends on every byte."""
    value = FNV_OFFSET
    for position in range(begin, end):
        value = (value ^ np.uint64(text[position])) * FNV_PRIME
    value = (value ^ (value >> SHIFT)) * MIX
    return value ^ (value >> SHIFT)


@nb.njit(cache=True, nogil=True)
def find_slot(text: Any, begin: int, end: int, hashed: Any, hashes: Any, slots: Any, arena: Any, starts: Any) -> Any:
    """Return the slot of a word, or the empty slot where it belongs.

    Args:
        text: Bytes that hold the word.
        begin: Where it begins.
        end: Where it ends.
        hashed: Its hash.
        hashes: Hash of the word in each slot; shape (slots,), a power of two.
        slots: Id of the word in each slot, or -1; shape (slots,).
        arena: The bytes of all words, one after the other.
        starts: Where each word begins in `arena`, and the end; shape (words + 1,) or more.
    """
    mask = np.uint64(slots.size - 1)
    slot = hashed & mask
    while slots[slot] >= 0:
        if hashes[slot] == hashed:
            first = starts[slots[slot]]
            size = end - begin
            if starts[slots[slot] + 1] - first == size:
                same = True
                for offset in range(size):
                    if arena[first + offset] != text[begin + offset]:
                        same = False
                        break
                if same:
                    return np.int64(slot)
        slot = (slot + np.uint64(1)) & mask
    return np.int64(slot)


@nb.njit(cache=True, nogil=True)
def encode_block(
    block: Any,
    position: int,
    ids: Any,
    written: int,
    hashes: Any,
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
        hashes: See `find_slot`.
        slots: See `find_slot`.
        arena: See `find_slot`; receives new words.
        starts: See `find_slot`; receives new words.
        counts: How often each word occurred; shape (words,) or more.
        grow: Whether new words join the table; otherwise they become `UNKNOWN_ID`.
        state: See the constants above; shape (5,).

    Returns:
        Where the scan stopped (before the end of `block` when a table is full: enlarge it and go on) and how many ids
        were written in all.
    """
    n_bytes = block.size
    most_words = min(counts.size, slots.size // 2)
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
        while position < n_bytes and not is_separator(block[position]):
            position += 1
        hashed = hash_word(block, begin, position)
        slot = find_slot(block, begin, position, hashed, hashes, slots, arena, starts)
        word = slots[slot]
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
            hashes[slot] = hashed
            slots[slot] = n_words
            word = np.int32(n_words)
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
def insert_words(hashes: Any, slots: Any, arena: Any, starts: Any, n_words: int) -> int:
    """Fill an empty table with the first `n_words` words of the arena.

    Returns:
        -1, or the number of the first word that occurs twice.
    """
    for word in range(n_words):
        hashed = hash_word(arena, starts[word], starts[word + 1])
        slot = find_slot(arena, starts[word], starts[word + 1], hashed, hashes, slots, arena, starts)
        if slots[slot] >= 0:
            return word
        hashes[slot] = hashed
        slots[slot] = word
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
