"""Kernels of the word index: an open-addressing hash table over the bytes of words.

The index is saved with a model. What is here decides which slot a word is in, and must therefore stay as it is.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

FNV_OFFSET = np.uint64(14695981039346656037)
FNV_PRIME = np.uint64(1099511628211)
MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
HALF = np.uint64(32)


@nb.njit(inline="always")
def is_separator(byte: Any) -> bool:
    """Tell whether a byte separates tokens: NUL, tab, newline, carriage return, space."""
    return byte <= 32 and (byte == 32 or byte == 10 or byte == 9 or byte == 13 or byte == 0)


@nb.njit(inline="always")
def add_byte(value: Any, byte: Any) -> Any:
    """Return the FNV-1a hash of one byte more."""
    return (value ^ np.uint64(byte)) * FNV_PRIME


@nb.njit(inline="always")
def finish_hash(value: Any) -> Any:
    """Mix a hash so that every bit depends on every byte."""
    value = (value ^ (value >> HALF)) * MULTIPLIER
    return value ^ (value >> HALF)


@nb.njit(cache=True, nogil=True)
def hash_word(text: Any, begin: int, end: int) -> Any:
    """Hash the bytes of a word: FNV-1a over 64 bits, mixed."""
    value = FNV_OFFSET
    for position in range(begin, end):
        value = add_byte(value, text[position])
    return finish_hash(value)


@nb.njit(cache=True, nogil=True)
def find_word(text: Any, begin: int, end: int, hashed: Any, hashes: Any, ids: Any, arena: Any, starts: Any) -> Any:
    """Return the slot of a word, or the empty slot where it belongs.

    Args:
        text: Bytes that hold the word.
        begin: Where it begins.
        end: Where it ends.
        hashed: Its hash.
        hashes: Hash of the word in each slot; shape (slots,), a power of two.
        ids: Id of the word in each slot, or -1; shape (slots,).
        arena: The bytes of all words, one after the other.
        starts: Where each word begins in `arena`, and the end; shape (words + 1,).
    """
    mask = np.uint64(ids.size - 1)
    slot = hashed & mask
    size = end - begin
    while ids[slot] >= 0:
        if hashes[slot] == hashed:
            first = starts[ids[slot]]
            if starts[ids[slot] + 1] - first == size:
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
def insert_words(hashes: Any, ids: Any, arena: Any, starts: Any) -> int:
    """Fill an empty index with all words of the arena.

    Returns:
        -1, or the number of the first word that occurs twice.
    """
    for word in range(starts.size - 1):
        hashed = hash_word(arena, starts[word], starts[word + 1])
        slot = find_word(arena, starts[word], starts[word + 1], hashed, hashes, ids, arena, starts)
        if ids[slot] >= 0:
            return word
        hashes[slot] = hashed
        ids[slot] = word
    return -1
