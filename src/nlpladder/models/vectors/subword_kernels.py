"""Kernels that cut words into character n-grams and hash them as fastText does."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def starts_character(byte: Any) -> bool:
    """Whether a byte of UTF-8 begins a character."""
    return (byte & 0xC0) != 0x80


@nb.njit(cache=True, nogil=True)
def count_ngrams(text: Any, borders: Any, min_n: int, max_n: int, starts: Any) -> None:
    """Write where each word's n-grams begin; `text` holds the words one after the other, `borders` where they begin."""
    starts[0] = 0
    for word in range(borders.size - 1):
        length = 0
        for place in range(borders[word], borders[word + 1]):
            if starts_character(text[place]):
                length += 1
        total = 0
        for order in range(min_n, min(max_n, length) + 1):
            total += length - order + 1 - (2 if order == 1 else 0)
        starts[word + 1] = starts[word] + total


@nb.njit(cache=True, nogil=True)
def write_ngram_buckets(text: Any, borders: Any, min_n: int, max_n: int, num_buckets: int, buckets: Any) -> None:
    """Write the bucket of each n-gram: FNV-1a (Fowler, Noll, Vo) over bytes as fastText reads them, signed."""
    written = 0
    for word in range(borders.size - 1):
        end = borders[word + 1]
        for first in range(borders[word], end):
            if not starts_character(text[first]):
                continue
            hashed = np.uint32(2166136261)
            place = first
            order = 0
            while place < end and order < max_n:
                is_start = True
                while is_start or (place < end and not starts_character(text[place])):
                    is_start = False
                    hashed = np.uint32(
                        (hashed ^ np.uint32(np.int64(np.int8(text[place])) & 0xFFFFFFFF)) * np.uint32(16777619)
                    )
                    place += 1
                order += 1
                if order >= min_n and not (order == 1 and (first == borders[word] or place == end)):
                    buckets[written] = np.int32(np.int64(hashed) % num_buckets)
                    written += 1
