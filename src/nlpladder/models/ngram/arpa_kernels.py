"""Kernels that read and write the lines of ARPA files, numbers included."""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from nlpladder.models.ngram.vocabulary_kernels import find_word, hash_word

NEWLINE, TAB, SPACE, RETURN, BACKSLASH = (np.uint8(ord(character)) for character in "\n\t \r\\")
MINUS, PLUS, POINT, ZERO, NINE = (np.uint8(ord(character)) for character in "-+.09")
LOWER_E, UPPER_E = (np.uint8(ord(character)) for character in "eE")
#: Exact up to 10**22, the nearest double beyond.
POWERS = np.array([float(f"1e{exponent}") for exponent in range(64)])
FEWEST_DIGITS, MOST_DIGITS = 7, 9  # nine significant digits tell any two float32 apart
LARGEST = float(np.finfo(np.float32).max)
MARGIN = 1e-13  # a shorter number must be the nearest one to its float32 beyond the rounding errors made here

#: What `parse_lines` found wrong with a line.
FINE, BAD_PROBABILITY, MISSING_WORD, UNKNOWN_WORD, BAD_BACKOFF, TOO_MUCH, POSITIVE = range(7)


@nb.njit(cache=True, nogil=True)
def parse_number(data: Any, begin: int, end: int) -> tuple[float, bool]:
    """Read a decimal number such as ``-1.25`` or ``3e-05``: its value, and whether it is one."""
    position = begin
    negative = position < end and data[position] == MINUS
    if position < end and (data[position] == MINUS or data[position] == PLUS):
        position += 1
    mantissa: Any = np.int64(0)
    exponent: Any = 0
    digits = 0
    after_point = False
    while position < end:
        byte = data[position]
        if ZERO <= byte <= NINE:
            if mantissa < 100_000_000_000_000:
                mantissa = mantissa * 10 + np.int64(byte - ZERO)
                exponent -= after_point
            else:
                exponent += not after_point
            digits += 1
        elif byte == POINT and not after_point:
            after_point = True
        else:
            break
        position += 1
    if digits == 0:
        return 0.0, False
    if position < end:
        if data[position] != LOWER_E and data[position] != UPPER_E:
            return 0.0, False
        position += 1
        below = position < end and data[position] == MINUS
        if position < end and (data[position] == MINUS or data[position] == PLUS):
            position += 1
        if position == end:
            return 0.0, False
        written: Any = 0
        while position < end:
            if not ZERO <= data[position] <= NINE or written > 1000:
                return 0.0, False
            written = written * 10 + np.int64(data[position] - ZERO)
            position += 1
        exponent += -written if below else written
    return scale_number(mantissa, exponent, negative)


@nb.njit(cache=True, nogil=True)
def scale_number(mantissa: Any, exponent: Any, negative: bool) -> tuple[float, bool]:
    """Return ``mantissa * 10**exponent``, exact to the last bit where both are small, and whether float32 holds it."""
    value = np.float64(mantissa)
    while exponent < 0 and value != 0:
        step = min(-exponent, 22)
        value /= POWERS[step]
        exponent += step
    while exponent > 0 and value != 0 and value < 1e300:
        step = min(exponent, 22)
        value *= POWERS[step]
        exponent -= step
    return float(-value if negative else value), bool(abs(np.float32(value)) <= LARGEST)


@nb.njit(inline="always")
def field_end(data: Any, position: Any) -> Any:
    """Return where the field that begins at `position` ends."""
    while data[position] != SPACE and data[position] != TAB and data[position] != NEWLINE and data[position] != RETURN:
        position += 1
    return position


@nb.njit(inline="always")
def skip_blanks(data: Any, position: Any) -> Any:
    """Return where the next field, or the end of the line, begins."""
    while data[position] == SPACE or data[position] == TAB or data[position] == RETURN:
        position += 1
    return position


@nb.njit(cache=True, nogil=True)
def parse_lines(
    data: Any, position: int, end: int, order: int, hashes: Any, ids: Any, arena: Any, starts: Any, rows: Any,
    spans: Any, probability: Any, backoff: Any,
) -> tuple[int, int, int]:  # fmt: skip
    """Read the n-grams of one order, up to an empty line, a line that begins with a backslash, or `end`.

    Args:
        data: Whole lines; shape (bytes,).
        position: Where the first line begins.
        end: Where the last line ends.
        order: Words of an n-gram.
        hashes: See `find_word`.
        ids: Likewise.
        arena: Likewise.
        starts: Likewise.
        rows: Receives word ids, shape (lines, order); empty for unigrams, whose words are not known yet.
        spans: Receives begin and end of each word, shape (lines, 2), for unigrams; else empty.
        probability: Receives log10 probabilities; shape (lines,).
        backoff: Receives log10 back-offs, 0 where there is none; shape (lines,), or empty where none may follow.

    Returns:
        What is wrong with a line (see the constants above), the number of good lines before it, and where the reading
        stopped.
    """
    line = 0
    while position < end:
        line_begin = position
        position = skip_blanks(data, position)
        if data[position] == NEWLINE or data[position] == BACKSLASH:
            return FINE, line, line_begin
        stop = field_end(data, position)
        value, good = parse_number(data, position, stop)
        if not good:
            return BAD_PROBABILITY, line, position
        if value > 0:
            return POSITIVE, line, position
        probability[line] = value
        for place in range(order):
            position = skip_blanks(data, stop)
            stop = field_end(data, position)
            if stop == position:
                return MISSING_WORD, line, position
            if spans.size:
                spans[line, 0] = position
                spans[line, 1] = stop
            else:
                hashed = hash_word(data, position, stop)
                word = ids[find_word(data, position, stop, hashed, hashes, ids, arena, starts)]
                if word < 0:
                    return UNKNOWN_WORD, line, position
                rows[line, place] = word
        position = skip_blanks(data, stop)
        stop = field_end(data, position)
        if backoff.size:
            backoff[line] = 0
        if stop > position:
            value, good = parse_number(data, position, stop)
            if not good:
                return BAD_BACKOFF, line, position
            if backoff.size:
                backoff[line] = value
            elif value != 0:
                return TOO_MUCH, line, position
            position = skip_blanks(data, stop)
        if data[position] != NEWLINE:
            return TOO_MUCH, line, position
        position += 1
        line += 1
    return FINE, line, position


@nb.njit(cache=True, nogil=True)
def gather_words(data: Any, begins: Any, ends: Any, gathered: Any, starts: Any) -> None:
    """Copy words one after the other.

    Args:
        data: Bytes that hold the words.
        begins: Where each word begins; shape (words,).
        ends: Where it ends; shape (words,).
        gathered: Receives their bytes; shape (sum of lengths,).
        starts: Receives where each begins in `gathered`, and the end; shape (words + 1,).
    """
    written = 0
    for word in range(begins.size):
        starts[word] = written
        for position in range(begins[word], ends[word]):
            gathered[written] = data[position]
            written += 1
    starts[begins.size] = written


@nb.njit(cache=True, nogil=True)
def write_digits(out: Any, position: int, value: Any, digits: int) -> int:
    """Write an integer with leading zeros to `digits` digits; return where it ends."""
    for place in range(position + digits - 1, position - 1, -1):
        out[place] = ZERO + np.uint8(value % 10)
        value //= 10
    return position + digits


@nb.njit(cache=True, nogil=True)
def write_number(out: Any, position: int, number: Any) -> int:
    """Write a float32 with the fewest digits, from seven on, that give it back; return where it ends."""
    exact = np.float64(number)
    if math.copysign(1.0, exact) < 0:
        out[position] = MINUS
        position += 1
        exact = -exact
    if exact == 0:
        out[position] = ZERO
        return position + 1
    magnitude = 0  # 10**magnitude <= exact < 10**(magnitude + 1)
    while exact >= POWERS[magnitude + 1]:
        magnitude += 1
    while magnitude <= 0 and exact * POWERS[-magnitude] < 1:
        magnitude -= 1
    digits = np.int64(0)
    decimals = 0
    for size in range(FEWEST_DIGITS, MOST_DIGITS + 1):
        decimals = size - 1 - magnitude
        scale = POWERS[abs(decimals)]
        digits = np.int64((exact * scale if decimals >= 0 else exact / scale) + 0.5)
        again = digits / scale if decimals >= 0 else digits * scale
        below, above = np.float32(again * (1 - MARGIN)), np.float32(again * (1 + MARGIN))
        if below == np.float32(exact) and above == np.float32(exact):
            break
    while digits % 10 == 0:
        digits //= 10
        decimals -= 1
    if -6 <= magnitude <= 14:
        if decimals <= 0:
            digits *= np.int64(POWERS[-decimals])
            decimals = 0
        divisor = np.int64(POWERS[decimals])
        whole = digits // divisor
        position = write_digits(out, position, whole, integer_digits(whole))
        if decimals:
            out[position] = POINT
            position = write_digits(out, position + 1, digits % divisor, decimals)
        return position
    size = integer_digits(digits)
    exponent = size - 1 - decimals
    divisor = np.int64(POWERS[size - 1])
    position = write_digits(out, position, digits // divisor, 1)
    if size > 1:
        out[position] = POINT
        position = write_digits(out, position + 1, digits % divisor, size - 1)
    out[position] = LOWER_E
    out[position + 1] = MINUS if exponent < 0 else PLUS
    return write_digits(out, position + 2, abs(exponent), 2)


@nb.njit(inline="always")
def integer_digits(value: Any) -> Any:
    """Return how many digits an integer has."""
    digits = 1
    while value >= 10:
        value //= 10
        digits += 1
    return digits


@nb.njit(cache=True, nogil=True)
def write_ngrams(
    prefix_rows: Any, prefix: Any, word: Any, probability: Any, backoff: Any, arena: Any, starts: Any, out: Any
) -> int:
    """Write lines of one order: log10 probability, tab, words, and tab and log10 back-off below the highest order.

    Args:
        prefix_rows: Word ids of the n-grams of the level below; shape (n-grams below, order - 1).
        prefix: Their index for each n-gram; shape (n,).
        word: Last words; shape (n,).
        probability: log10; shape (n,).
        backoff: log10; shape (n,), or empty.
        arena: Bytes of all words.
        starts: Where each word begins in `arena`, and the end; shape (words + 1,).
        out: Receives the lines; large enough.

    Returns:
        The number of bytes written.
    """
    position = 0
    for index in range(word.size):
        position = write_number(out, position, probability[index])
        out[position] = TAB
        position += 1
        words = prefix_rows[prefix[index]]
        for place in range(words.size + 1):
            number = words[place] if place < words.size else word[index]
            for byte in range(starts[number], starts[number + 1]):
                out[position] = arena[byte]
                position += 1
            out[position] = SPACE
            position += 1
        position -= 1
        if backoff.size:
            out[position] = TAB
            position = write_number(out, position + 1, backoff[index])
        out[position] = NEWLINE
        position += 1
    return position
