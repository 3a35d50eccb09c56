r"""Lookup tables over all of Unicode that agree with Python's ``re`` and ``str`` methods.

The kernels read UTF-8; these tables answer "is this code point a word character (``\w``)?" and "is it white space
(``\s``, ``str.split``)?" with one array access, and fold ASCII bytes without leaving the scan.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

N_CODE_POINTS = 0x110000

#: Entries of the word folding table that are not a folded byte. Neither value is itself a word character.
NOT_A_WORD = 0
NEEDS_DECODING = 1


def _every_code_point() -> npt.NDArray[np.str_]:
    """Return all code points as an array of one-character strings (NUL becomes the empty string)."""
    return np.arange(N_CODE_POINTS, dtype=np.uint32).view("U1")


@functools.cache
def word_characters() -> npt.NDArray[np.bool_]:
    r"""Return a table of shape (code points,): whether ``re`` matches the code point with ``\w``."""
    table = np.strings.isalnum(_every_code_point())
    table[ord("_")] = True
    table.setflags(write=False)
    return table


@functools.cache
def white_space() -> npt.NDArray[np.bool_]:
    r"""Return a table of shape (code points,): whether ``re`` matches the code point with ``\s``."""
    table = np.strings.isspace(_every_code_point())
    table.setflags(write=False)
    return table


@functools.cache
def folded_bytes(lower: bool) -> npt.NDArray[np.uint8]:
    """Return the table of shape (256,) that maps ASCII upper case to lower case if `lower`, and else nothing."""
    table = np.arange(256, dtype=np.uint8)
    if lower:
        table[ord("A") : ord("Z") + 1] += ord("a") - ord("A")
    table.setflags(write=False)
    return table


@functools.cache
def folded_word_bytes(lower: bool) -> npt.NDArray[np.uint8]:
    """Return `folded_bytes` with `NOT_A_WORD` for ASCII bytes that end a word and `NEEDS_DECODING` from 0x80 on."""
    table = folded_bytes(lower).copy()
    table[:0x80][~word_characters()[:0x80]] = NOT_A_WORD
    table[0x80:] = NEEDS_DECODING
    table.setflags(write=False)
    return table
