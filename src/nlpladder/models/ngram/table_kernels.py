"""Kernels of the query tables: open-addressing hash tables of 16-byte slots, four to a cache line.

A slot holds the key of an n-gram (its prefix and its last word), its log10 probability and its log10 back-off, so that
a look-up costs one access to memory. The number of the slot is the n-gram's identity: the key of a longer n-gram is
made of the slot of its first n - 1 words, hence all n-grams that end at the next word can be looked up at once.

Each order has its own stretch of slots, cut into regions. A collision stays within its region, so that threads which
own different regions never meet, and the bytes of the table do not depend on how many threads built it. The slot after
a region sends a search back to the region's beginning.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

EMPTY = -1
WRAP = -2  # the key of the slot after a region
KEY = 0  # the column of `slots` with the key
PROBABILITY, BACKOFF = 2, 3  # the columns of the same slots seen as float32
BEGIN, REGION_SIZE, REGION_MASK = range(3)  # the columns of `geometry`
LINE_SLOTS = 4
BATCH = 32  # look-ups under way at once


def _intrinsic(function: Any) -> Any:
    """Make a numba intrinsic; its first parameter is numba's and not the caller's."""
    return intrinsic(function)


@_intrinsic
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of the element at flat `index` of `array`, without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte_pointer = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [byte_pointer, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), byte_pointer)
        builder.call(function, [pointer, flag(0), flag(3), flag(1)])  # for reading, kept in all caches, data
        return context.get_dummy_value()

    return types.none(array, types.int64), generate


@nb.njit(inline="always")
def mix(value: Any) -> Any:
    """Spread the bits of a 64-bit integer (the finaliser of SplitMix64)."""
    value = np.uint64(value)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@nb.njit(inline="always")
def region_of(hashed: Any, geometry: Any, row: Any) -> Any:
    """Return the region that a hash belongs to; `row` of `geometry` describes the order."""
    return np.int64(hashed >> np.uint64(61)) & geometry[row, REGION_MASK]


@nb.njit(inline="always")
def slot_of(hashed: Any, geometry: Any, row: Any) -> Any:
    """Return where the search for a key with this hash begins."""
    region_size = geometry[row, REGION_SIZE]
    bits = (hashed >> np.uint64(29)) & np.uint64(0xFFFFFFFF)
    # A place in the region by multiplication rather than division (Lemire 2019), at the beginning of a cache line:
    # most searches, also for what is not there, end within that line.
    place = np.int64((bits * np.uint64(region_size)) >> np.uint64(32)) & ~(LINE_SLOTS - 1)
    return geometry[row, BEGIN] + region_of(hashed, geometry, row) * (region_size + 1) + place


@nb.njit(inline="always")
def first_slot(key: Any, geometry: Any, row: Any) -> Any:
    """Return where the search for `key` begins."""
    return slot_of(mix(key), geometry, row)


@nb.njit(inline="always")
def find_from(slots: Any, slot: Any, key: Any, region_size: Any) -> Any:
    """Return the slot of `key`, searching from `slot` on, or `EMPTY`."""
    while True:
        found = slots[slot, KEY]
        if found == key:
            return slot
        if found == EMPTY:
            return np.int64(EMPTY)
        slot = slot - region_size if found == WRAP else slot + 1


@nb.njit(cache=True, nogil=True)
def insert_level(
    slots: Any,
    values: Any,
    geometry: Any,
    row: int,
    first_region: int,
    end_region: int,
    prefix: Any,
    prefix_slots: Any,
    word: Any,
    word_bits: int,
    probability: Any,
    backoff: Any,
    own_slots: Any,
) -> None:
    """Insert the n-grams of one order whose keys belong to some regions, in the order in which they come.

    Args:
        slots: All tables; shape (slots, 2).
        values: The same memory as float32; shape (slots, 4).
        geometry: See `QueryTables`.
        row: The order's row of it.
        first_region: First region to fill.
        end_region: The region after the last one to fill.
        prefix: Index of each n-gram's prefix in the level below; shape (n,).
        prefix_slots: Slot of each n-gram of the level below; shape (n-grams below,).
        word: Last words; shape (n,).
        word_bits: Bits of a word id within a key.
        probability: log10; shape (n,).
        backoff: log10; shape (n,), or empty at the highest order.
        own_slots: Receives the slot of each n-gram; shape (n,), or empty where nobody asks.
    """
    region_size = geometry[row, REGION_SIZE]
    indices = np.empty(BATCH, np.int64)
    keys = np.empty(BATCH, np.int64)
    starts = np.empty(BATCH, np.int64)
    index = 0
    while index < word.size:
        waiting = 0
        while index < word.size and waiting < BATCH:
            key = np.int64(prefix_slots[prefix[index]]) << word_bits | np.int64(word[index])
            hashed = mix(key)
            if first_region <= region_of(hashed, geometry, row) < end_region:
                indices[waiting] = index
                keys[waiting] = key
                starts[waiting] = slot_of(hashed, geometry, row)
                prefetch(slots, 2 * starts[waiting])
                waiting += 1
            index += 1
        for number in range(waiting):
            slot = starts[number]
            while slots[slot, KEY] != EMPTY:
                slot = slot - region_size if slots[slot, KEY] == WRAP else slot + 1
            here = indices[number]
            slots[slot, KEY] = keys[number]
            values[slot, PROBABILITY] = probability[here]
            values[slot, BACKOFF] = backoff[here] if backoff.size else np.float32(0)
            if own_slots.size:
                own_slots[here] = slot


@nb.njit(cache=True, nogil=True)
def find_followers(
    slots: Any,
    values: Any,
    geometry: Any,
    row: int,
    context_slot: int,
    word_bits: int,
    candidates: Any,
    scores: Any,
) -> int:
    """Look up which words were seen after a context, and write their log10 probabilities.

    Args:
        slots: All tables; shape (slots, 2).
        values: The same memory as float32; shape (slots, 4).
        geometry: See `QueryTables`.
        row: The row of it of the n-grams that continue the context.
        context_slot: The context.
        word_bits: Bits of a word id within a key.
        candidates: Words to try; those that were seen are moved to the front, in their order; shape (candidates,).
        scores: Receives the probabilities of those that were seen; shape (words,).

    Returns:
        How many were seen.
    """
    region_size = geometry[row, REGION_SIZE]
    starts = np.empty(BATCH, np.int64)
    context_key = np.int64(context_slot) << word_bits
    seen = 0
    for begin in range(0, candidates.size, BATCH):
        end = min(begin + BATCH, candidates.size)
        for number in range(begin, end):
            starts[number - begin] = first_slot(context_key | np.int64(candidates[number]), geometry, row)
            prefetch(slots, 2 * starts[number - begin])
        for number in range(begin, end):
            word = candidates[number]
            slot = find_from(slots, starts[number - begin], context_key | np.int64(word), region_size)
            if slot != EMPTY:
                scores[word] = values[slot, PROBABILITY]
                candidates[seen] = word
                seen += 1
    return seen


@nb.njit(cache=True, nogil=True)
def find_ngrams(rows: Any, slots: Any, geometry: Any, word_bits: int, found: Any) -> None:
    """Find n-grams from their words.

    Args:
        rows: Word ids; shape (n, order), order 2 or more.
        slots: All tables; shape (slots, 2).
        geometry: See `QueryTables`.
        word_bits: Bits of a word id within a key.
        found: Receives their slots, or `EMPTY`; shape (n,).
    """
    starts = np.empty(BATCH, np.int64)
    for begin in range(0, len(rows), BATCH):
        end = min(begin + BATCH, len(rows))
        for number in range(begin, end):
            found[number] = rows[number, 0]
        for length in range(2, rows.shape[1] + 1):
            row = length - 2
            for number in range(begin, end):
                if found[number] != EMPTY:
                    key = found[number] << word_bits | np.int64(rows[number, length - 1])
                    starts[number - begin] = first_slot(key, geometry, row)
                    prefetch(slots, 2 * starts[number - begin])
            for number in range(begin, end):
                if found[number] != EMPTY:
                    key = found[number] << word_bits | np.int64(rows[number, length - 1])
                    found[number] = find_from(slots, starts[number - begin], key, geometry[row, REGION_SIZE])


@nb.njit(cache=True, nogil=True)
def used_slots(slots: Any, begin: int, keys: Any, numbers: Any) -> None:
    """List the `keys.size` slots in use that come first from slot `begin` on: their keys and their numbers."""
    written = 0
    slot = begin
    while written < keys.size:
        if slots[slot, KEY] >= 0:
            keys[written] = slots[slot, KEY]
            numbers[written] = slot
            written += 1
        slot += 1


@nb.njit(cache=True, nogil=True)
def sort_stably(keys: Any, num_keys: int, order: Any, sorted_order: Any) -> None:
    """Sort by counting: as fast as memory, where keys are small integers.

    Args:
        keys: Integers from 0 to `num_keys` - 1; shape (n,).
        num_keys: See `keys`.
        order: Indices into `keys`, in the order that equal keys keep; shape (n,).
        sorted_order: Receives the indices sorted by key; shape (n,).
    """
    places = np.zeros(num_keys + 1, np.int64)
    for index in range(keys.size):
        places[keys[index] + 1] += 1
    for key in range(num_keys):
        places[key + 1] += places[key]
    for number in range(order.size):
        index = order[number]
        key = keys[index]
        sorted_order[places[key]] = index
        places[key] += 1
