"""Kernels that count neighbouring words and join those that are phrases.

Pairs are kept in an open-addressed hash table: ``keys`` holds ``left << 32 | right`` or -1, ``values`` what belongs to
it.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

EMPTY = -1
_HASH = np.uint64(0x9E3779B97F4A7C15)


@nb.njit(cache=True, nogil=True)
def find_pair(keys: Any, key: Any) -> Any:
    """Return the slot of a pair, or the empty slot where it belongs; the table's size is a power of two."""
    mask = keys.size - 1
    hashed = np.uint64(key) * _HASH
    slot = np.int64((hashed ^ (hashed >> np.uint64(32))) & np.uint64(mask))
    while keys[slot] != key and keys[slot] != EMPTY:
        slot = (slot + 1) & mask
    return slot


@nb.njit(cache=True, nogil=True)
def count_pairs(ids: Any, begin: int, frequent: Any, keys: Any, values: Any, used: Any) -> int:
    """Count the pairs of neighbours that both are frequent, until the table is 70 % full.

    Args:
        ids: A piece of the corpus; int32.
        begin: Where to begin, or go on, in it.
        frequent: Whether each word may be part of a phrase; bool, shape (words,).
        keys: Keys of the table; int64.
        values: Counts of the pairs; int64.
        used: Number of slots in use, added to; int64, shape (1,).

    Returns:
        The position before which all is counted; the end of `ids` unless the table became too full.
    """
    limit = keys.size * 7 // 10
    for position in range(max(begin, 1), ids.size):
        left, right = np.int64(ids[position - 1]), np.int64(ids[position])
        if left < 0 or right < 0 or not frequent[left] or not frequent[right]:
            continue
        if used[0] >= limit:
            return position
        key = left << 32 | right
        slot = find_pair(keys, key)
        if keys[slot] == EMPTY:
            keys[slot] = key
            used[0] += 1
        values[slot] += 1
    return ids.size


@nb.njit(cache=True, nogil=True)
def insert_pairs(pairs: Any, numbers: Any, keys: Any, values: Any) -> None:
    """Put pairs and their values into an empty table that is large enough."""
    for number in range(pairs.size):
        slot = find_pair(keys, pairs[number])
        keys[slot] = pairs[number]
        values[slot] = numbers[number]


@nb.njit(cache=True, nogil=True)
def join_pairs(ids: Any, keys: Any, values: Any, joined: Any) -> int:
    """Copy ids with each phrase as one word, joining from the left; a word is part of one phrase at most.

    Args:
        ids: A piece of the corpus; int32.
        keys: Pairs that are phrases.
        values: The new word of each.
        joined: Receives the ids; at least as long as `ids`.

    Returns:
        The number of ids written.
    """
    written = 0
    position = 0
    while position < ids.size:
        word = ids[position]
        position += 1
        if word >= 0 and position < ids.size and ids[position] >= 0:
            slot = find_pair(keys, np.int64(word) << 32 | np.int64(ids[position]))
            if keys[slot] != EMPTY:
                word = np.int32(values[slot])
                position += 1
        joined[written] = word
        written += 1
    return written
