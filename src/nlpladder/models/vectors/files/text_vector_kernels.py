"""Kernels that read and write vectors as text, a word and its numbers on each line.

Reading: a decimal number is an integer of up to 19 digits times a power of ten. Both are exact (or within half a unit)
as doubles, so that their product or quotient lies within two units in the last place of the true value (Clinger 1990).
Unless the border between two float32 numbers lies as near, the float32 is therefore the right one. The rare others,
and everything unusual (``nan``, ``1e-40``, hexadecimal), are handed back to Python's ``float``.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

#: What `parse_rows` found in a line.
LINE_READ, TOO_FEW_COLUMNS, TOO_MANY_COLUMNS, NOT_A_NUMBER, NO_ROOM = range(5)
#: Columns of `leftovers`: row, column, first and last byte of a number for Python.
LEFTOVER_FIELDS = 4

_NEWLINE, _RETURN, _SPACE, _TAB = 10, 13, 32, 9
_PLUS, _MINUS, _POINT, _ZERO, _NINE = 43, 45, 46, 48, 57
_POWERS_OF_TEN = 10.0 ** np.arange(23)


@nb.njit(cache=True, nogil=True)
def parse_number(text: Any, start: int, stop: int, bits: Any, powers: Any) -> tuple[bool, float]:
    """Return whether the bytes ``start:stop`` are surely a certain float32, and its value.

    Args:
        text: Bytes, uint8.
        start: First byte of the number.
        stop: Byte after the number.
        bits: Scratch, int64 of shape (1,), that shares memory with a float64 of shape (1,).
        powers: 10 ** 0 to 10 ** 22, float64.
    """
    place = start
    negative = False
    if text[place] == _MINUS or text[place] == _PLUS:
        negative = text[place] == _MINUS
        place += 1
    mantissa = np.uint64(0)
    digits = 0
    exponent = 0
    seen = False
    while place < stop and _ZERO <= text[place] <= _NINE:
        mantissa = mantissa * np.uint64(10) + np.uint64(text[place] - _ZERO)
        digits += 1 if mantissa > 0 else 0
        seen = True
        place += 1
    if place < stop and text[place] == _POINT:
        place += 1
        while place < stop and _ZERO <= text[place] <= _NINE:
            mantissa = mantissa * np.uint64(10) + np.uint64(text[place] - _ZERO)
            digits += 1 if mantissa > 0 else 0
            exponent -= 1
            seen = True
            place += 1
    if not seen or digits > 19:
        return False, 0.0
    if place < stop and (text[place] == 101 or text[place] == 69):  # e, E
        place += 1
        below = False
        if place < stop and (text[place] == _MINUS or text[place] == _PLUS):
            below = text[place] == _MINUS
            place += 1
        written = 0
        if place == stop or stop - place > 4:
            return False, 0.0
        while place < stop and _ZERO <= text[place] <= _NINE:
            written = written * 10 + (text[place] - _ZERO)
            place += 1
        exponent += -written if below else written
    if place != stop:
        return False, 0.0
    if mantissa == 0:
        return True, -0.0 if negative else 0.0
    if exponent < -22 or exponent > 22:
        return False, 0.0
    value = np.float64(mantissa)
    value = value / powers[-exponent] if exponent < 0 else value * powers[exponent]
    if value < 1.2e-38 or value > 3.4e38:
        return False, 0.0
    double = bits.view(np.float64)
    double[0] = value
    tail = bits[0] & 0x1FFFFFFF  # what float32 drops of the mantissa; its border is the half, 0x10000000
    if -3 < tail - 0x10000000 < 3:
        return False, 0.0
    return True, -value if negative else value


@nb.njit(cache=True, nogil=True)
def parse_rows(
    text: Any, dimensions: int, vectors: Any, word_spans: Any, leftovers: Any, counts: Any, powers: Any
) -> int:
    """Read whole lines: everything before the last `dimensions` columns of a line is its word.

    Args:
        text: Bytes of whole lines, uint8; the last line may lack its end.
        dimensions: Numbers on each line.
        vectors: Filled, float32 (at least as many rows as lines, dimensions).
        word_spans: Filled with the first byte of each word and the byte after it, int64 (rows, 2).
        leftovers: Filled with the numbers that Python must read, int64 (room, 4): row, column, first byte, last byte.
        counts: Filled, int64 (5,): rows, leftovers, lines read, words that hold blanks, first byte of the bad line.
        powers: As in `parse_number`.

    Returns:
        `LINE_READ`, or what is wrong with the line after the ``counts[2]`` that were read.
    """
    scratch = np.zeros(1, np.int64)
    size = len(text)
    place = 0
    rows = 0
    left = 0
    lines = 0
    blank_words = 0
    result = LINE_READ
    while place < size:
        line = place
        while place < size and text[place] != _NEWLINE:
            place += 1
        end = place
        place += 1
        if end > line and text[end - 1] == _RETURN:
            end -= 1
        while end > line and (text[end - 1] == _SPACE or text[end - 1] == _TAB):
            end -= 1
        if end == line:
            lines += 1
            continue
        # From the right: the numbers, then what is left is the word.
        last = end
        column = dimensions - 1
        while column >= 0:
            first = last
            while first > line and text[first - 1] != _SPACE and text[first - 1] != _TAB:
                first -= 1
            if first == line:
                result = TOO_FEW_COLUMNS
                break
            good, value = parse_number(text, first, last, scratch, powers)
            if good:
                vectors[rows, column] = value
            else:
                if left == len(leftovers):
                    result = NO_ROOM
                    break
                leftovers[left, 0] = rows
                leftovers[left, 1] = column
                leftovers[left, 2] = first
                leftovers[left, 3] = last
                left += 1
            last = first - 1
            while last > line and (text[last - 1] == _SPACE or text[last - 1] == _TAB):
                last -= 1
            column -= 1
        if result != LINE_READ:
            counts[4] = line
            break
        word_stop = last
        blank = line
        while blank < word_stop and text[blank] != _SPACE and text[blank] != _TAB:
            blank += 1
        if blank < word_stop:
            # A word with blanks inside, or too many columns: the latter if its last part is a number.
            tail = word_stop
            while text[tail - 1] != _SPACE and text[tail - 1] != _TAB:
                tail -= 1
            good, value = parse_number(text, tail, word_stop, scratch, powers)
            if good:
                result = TOO_MANY_COLUMNS
                counts[4] = line
                break
            blank_words += 1
        word_spans[rows, 0] = line
        word_spans[rows, 1] = word_stop
        rows += 1
        lines += 1
    counts[0] = rows
    counts[1] = left
    counts[2] = lines
    counts[3] = blank_words
    return result


@nb.njit(cache=True, nogil=True)
def join_spans(text: Any, spans: Any, out: Any) -> int:
    """Copy the words to `out`, each followed by a newline, and return how many bytes that were."""
    place = 0
    for row in range(len(spans)):
        for byte in range(spans[row, 0], spans[row, 1]):
            out[place] = text[byte]
            place += 1
        out[place] = _NEWLINE
        place += 1
    return place


@nb.njit(cache=True, nogil=True)
def write_number(value: np.float32, out: Any, place: int, powers: Any) -> int:
    """Write the shortest of 6 to 9 significant digits that read back as the same float32; return the byte after it.

    Nine digits always do (Steele and White 1990); zeros at the end are left out.
    """
    if np.copysign(1.0, value) < 0:
        out[place] = _MINUS
        place += 1
    size = np.float64(abs(value))
    if size == 0.0:
        out[place] = _ZERO
        return place + 1
    exponent = int(np.floor(np.log10(size)))  # of the first digit
    whole = np.int64(0)
    for digits in range(6, 10):
        shift = digits - 1 - exponent
        # Two steps beyond 10 ** 22, which is the last power that is exact.
        if shift > 22:
            scaled = size * powers[22] * powers[min(shift - 22, 22)] * powers[max(0, shift - 44)]
        elif shift >= 0:
            scaled = size * powers[shift]
        else:
            scaled = size / powers[min(-shift, 22)] / powers[max(0, -shift - 22)]
        whole = np.int64(np.rint(scaled))
        if shift > 22:
            back = np.float64(whole) / powers[22] / powers[min(shift - 22, 22)] / powers[max(0, shift - 44)]
        elif shift >= 0:
            back = np.float64(whole) / powers[shift]
        else:
            back = np.float64(whole) * powers[min(-shift, 22)] * powers[max(0, -shift - 22)]
        if np.float32(back) == value or np.float32(back) == -value:
            break
    while whole % 10 == 0:
        whole //= 10
        shift -= 1
    # The number is whole / 10 ** shift.
    length = 0
    rest = whole
    while rest > 0:
        length += 1
        rest //= 10
    point = length - shift  # digits before the decimal point
    if -5 < point <= 12:
        if point <= 0:
            out[place] = _ZERO
            out[place + 1] = _POINT
            place += 2
            for _ in range(-point):
                out[place] = _ZERO
                place += 1
            for digit in range(length - 1, -1, -1):
                out[place + digit] = _ZERO + whole % 10
                whole //= 10
            return place + length
        zeros = max(0, point - length)
        written = length + (1 if point < length else 0)
        spot = place + written - 1
        for digit in range(length - 1, -1, -1):
            out[spot] = _ZERO + whole % 10
            whole //= 10
            spot -= 1
            if digit == point:
                out[spot] = _POINT
                spot -= 1
        place += written
        for _ in range(zeros):
            out[place] = _ZERO
            place += 1
        return place
    # Scientific: d.ddde-XX
    for digit in range(length - 1, -1, -1):
        out[place + digit + (1 if digit > 0 else 0)] = _ZERO + whole % 10
        whole //= 10
    if length > 1:
        out[place + 1] = _POINT
        place += 1
    place += length
    out[place] = 101
    place += 1
    power = point - 1
    if power < 0:
        out[place] = _MINUS
        place += 1
        power = -power
    if power >= 10:
        out[place] = _ZERO + power // 10
        place += 1
    out[place] = _ZERO + power % 10
    return place + 1


@nb.njit(cache=True, nogil=True)
def write_rows(words: Any, vectors: Any, out: Any, powers: Any) -> int:
    """Write lines ``word number number ...``; return how many bytes they take.

    Args:
        words: The words of the rows, each followed by a newline, uint8.
        vectors: Float32 (rows, dimensions), finite.
        out: Filled, uint8; at least the size of `words` plus 17 bytes a number.
        powers: As in `parse_number`.
    """
    place = 0
    letter = 0
    for row in range(len(vectors)):
        while words[letter] != _NEWLINE:
            out[place] = words[letter]
            place += 1
            letter += 1
        letter += 1
        values = vectors[row]
        for column in range(len(values)):
            out[place] = _SPACE
            place = write_number(values[column], out, place + 1, powers)
        out[place] = _NEWLINE
        place += 1
    return place


def powers_of_ten() -> Any:
    """Return 10 ** 0 to 10 ** 22, all of them exact as float64."""
    return _POWERS_OF_TEN.copy()
