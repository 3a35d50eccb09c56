r"""Kernels that cut UTF-8 documents into units: words, characters, or the characters of each word.

A scan writes the units one after the other into `buffer`, lower-cased, and their first positions into `starts`, so that
every n-gram is one contiguous window of bytes: of characters ``starts[i] : starts[i + n]``, of words
``starts[i] : starts[i + n] - 1``, because each word is followed by one space.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from nlpladder.models.counts.unicode_tables import NEEDS_DECODING, NOT_A_WORD

SPACE = ord(" ")


@nb.njit(cache=True, nogil=True)
def decode_character(data: Any, position: int) -> tuple[Any, int]:
    """Decode the UTF-8 sequence at `position` (lone surrogates included): its code point and number of bytes."""
    lead = np.int64(data[position])
    if lead < 0x80:
        return lead, 1
    second = np.int64(data[position + 1]) & 0x3F
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | second, 2
    third = np.int64(data[position + 2]) & 0x3F
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | second << 6 | third, 3
    fourth = np.int64(data[position + 3]) & 0x3F
    return (lead & 0x07) << 18 | second << 12 | third << 6 | fourth, 4


@nb.njit(cache=True, nogil=True)
def scan_words(
    data: Any, offsets: Any, fold: Any, is_word: Any, shortest: int, buffer: Any, starts: Any, units: Any
) -> int:
    r"""Find the maximal runs of at least `shortest` word characters: ``\w\w+`` for 2, ``\w+`` for 1.

    Args:
        data: Documents in UTF-8, one after the other; shape (bytes,).
        offsets: Where each document begins in `data`, and the end; shape (documents + 1,).
        fold: See `folded_word_bytes`; shape (256,).
        is_word: See `word_characters`; shape (code points,).
        shortest: Fewest characters of a word.
        buffer: Receives the words, each followed by a space; shape (bytes + documents,) or more.
        starts: Receives the beginning of each word in `buffer`, and the end; shape (words + 1,) or more.
        units: Receives the number of the first word of each document, and of the end; shape (documents + 1,).

    Returns:
        The number of words.
    """
    used = 0
    n_words = 0
    units[0] = 0
    for document in range(offsets.size - 1):
        position = offsets[document]
        end = offsets[document + 1]
        while position < end:
            begin = used
            characters = 0
            while position < end:
                folded = fold[data[position]]
                if folded == NOT_A_WORD:
                    position += 1
                    break
                if folded == NEEDS_DECODING:
                    code_point, size = decode_character(data, position)
                    if not is_word[code_point]:
                        position += size
                        break
                    for _ in range(size):
                        buffer[used] = data[position]
                        used += 1
                        position += 1
                else:
                    buffer[used] = folded
                    used += 1
                    position += 1
                characters += 1
            if characters >= shortest:
                starts[n_words] = begin
                n_words += 1
                buffer[used] = SPACE
                used += 1
            else:
                used = begin
        units[document + 1] = n_words
    starts[n_words] = used
    return n_words


@nb.njit(cache=True, nogil=True)
def scan_characters(data: Any, offsets: Any, fold: Any, is_space: Any, buffer: Any, starts: Any, units: Any) -> int:
    """Split documents into characters; two or more white-space characters in a row become one space.

    Args:
        data: Documents in UTF-8, one after the other; shape (bytes,).
        offsets: Where each document begins in `data`, and the end; shape (documents + 1,).
        fold: See `folded_bytes`; shape (256,).
        is_space: See `white_space`; shape (code points,).
        buffer: Receives the text; shape (bytes,) or more.
        starts: Receives the beginning of each character in `buffer`, and the end; shape (bytes + 1,) or more.
        units: Receives the number of the first character of each document, and of the end; shape (documents + 1,).

    Returns:
        The number of characters.
    """
    used = 0
    n_characters = 0
    units[0] = 0
    for document in range(offsets.size - 1):
        position = offsets[document]
        end = offsets[document + 1]
        while position < end:
            starts[n_characters] = used
            n_characters += 1
            code_point, size = decode_character(data, position)
            following = position + size
            if is_space[code_point]:
                while following < end:
                    next_code_point, next_size = decode_character(data, following)
                    if not is_space[next_code_point]:
                        break
                    following += next_size
            if following > position + size:
                buffer[used] = SPACE
                used += 1
            else:
                for place in range(position, following):
                    buffer[used] = fold[data[place]]
                    used += 1
            position = following
        units[document + 1] = n_characters
    starts[n_characters] = used
    return n_characters


@nb.njit(cache=True, nogil=True)
def scan_word_characters(
    data: Any, offsets: Any, fold: Any, is_space: Any, buffer: Any, starts: Any, spans: Any, documents: Any
) -> int:
    """Split documents at white space, put a space around each word, and split the words into characters.

    Args:
        data: Documents in UTF-8, one after the other; shape (bytes,).
        offsets: Where each document begins in `data`, and the end; shape (documents + 1,).
        fold: See `folded_bytes`; shape (256,).
        is_space: See `white_space`; shape (code points,).
        buffer: Receives the words; shape (2 bytes + documents + 1,) or more.
        starts: Receives the beginning of each character in `buffer`, and the end; shape as `buffer`.
        spans: Receives the number of the first character of each word, and of the end; shape (words + 1,) or more.
        documents: Receives the number of the first word of each document, and of the end; shape (documents + 1,).

    Returns:
        The number of words.
    """
    used = 0
    n_characters = 0
    n_words = 0
    spans[0] = 0
    documents[0] = 0
    for document in range(offsets.size - 1):
        position = offsets[document]
        end = offsets[document + 1]
        inside = False
        while position < end:
            code_point, size = decode_character(data, position)
            blank = is_space[code_point]
            if inside == blank:  # a word begins or ends here: write the space before or after it
                starts[n_characters] = used
                n_characters += 1
                buffer[used] = SPACE
                used += 1
                if blank:
                    n_words += 1
                    spans[n_words] = n_characters
                inside = not inside
            if not blank:
                starts[n_characters] = used
                n_characters += 1
                for place in range(position, position + size):
                    buffer[used] = fold[data[place]]
                    used += 1
            position += size
        if inside:
            starts[n_characters] = used
            n_characters += 1
            buffer[used] = SPACE
            used += 1
            n_words += 1
            spans[n_words] = n_characters
        documents[document + 1] = n_words
    starts[n_characters] = used
    return n_words
