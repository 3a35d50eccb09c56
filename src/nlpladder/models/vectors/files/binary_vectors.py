"""Vectors in word2vec's binary format: a text header, then each word, a blank, and its numbers as float32."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nlpladder.errors import DataError
from nlpladder.models.vectors.vector_table import (
    VectorTable,
    check_finite,
    check_words_writable,
    decode_words,
    drop_duplicates,
)

_BLOCK_BYTES = 1 << 24


def read_binary_vectors(stream: BinaryIO, path: Path, *, limit: int | None = None) -> VectorTable:
    """Read word2vec's binary format, with or without a newline after each vector.

    Args:
        stream: At its beginning, decompressed.
        path: What messages name.
        limit: Read this many words only.

    Raises:
        DataError: If the header is wrong, the file ends before its number of words, or a number is not finite.
    """
    from nlpladder.models.vectors.files.binary_vector_kernels import scan_records
    from nlpladder.models.vectors.files.text_vector_kernels import join_spans

    header = stream.readline(200).split()
    if len(header) != 2 or not all(field.isdigit() for field in header) or int(header[1]) == 0:
        raise DataError(f"{path}: the first line must hold the number of words and of dimensions of binary vectors.")
    announced, dimensions = int(header[0]), int(header[1])
    if announced == 0:
        raise DataError(f"{path}, line 1: the header announces 0 words.")
    wanted = announced if limit is None else min(announced, limit)
    row_bytes = 4 * dimensions
    # A wrong header must not take all memory: no more rows than twenty times the (perhaps compressed) file could hold.
    size = os.path.getsize(path)
    if row_bytes > 2000 * size:
        raise DataError(f"{path} announces {dimensions:,} dimensions, more than it can hold: the header is wrong.")
    capacity = min(wanted, 20 * size // row_bytes + 1)
    vectors = np.empty((capacity, dimensions), np.dtype("<f4"))
    rows_as_bytes = vectors.view(np.uint8)
    spans = np.empty((_BLOCK_BYTES // (row_bytes + 1) + 2, 2), np.int64)
    raw_words: list[bytes] = []
    rows, rest = 0, b""
    while rows < wanted:
        block = stream.read(_BLOCK_BYTES)
        if not block:
            raise DataError(
                f"{path} announces {announced:,} words of {dimensions} dimensions but ends inside word {rows + 1:,}: "
                "it was cut short, or the header is wrong. Download it again."
            )
        buffer = np.frombuffer(rest + block, np.uint8)
        if rows == len(vectors):  # the file is compressed beyond the guess
            vectors.resize((min(wanted, len(vectors) * 2), dimensions), refcheck=False)
            rows_as_bytes = vectors.view(np.uint8)
        room = min(len(vectors) - rows, len(spans))
        found, used = scan_records(buffer, room, row_bytes, rows_as_bytes[rows : rows + room], spans)
        if found < 0:
            raise DataError(
                f"{path}: no word ends near word {rows + 1:,}. The header's {dimensions} dimensions must be wrong."
            )
        joined = np.empty(int((spans[:found, 1] - spans[:found, 0]).sum()) + found, np.uint8)
        join_spans(buffer, spans[:found], joined)
        raw_words.append(joined.tobytes())
        rest = buffer[used:].tobytes()
        rows += found
    del rows_as_bytes
    table = vectors[:rows].astype(np.float32, copy=False)
    check_finite(table, path)
    notes: list[str] = []
    words = decode_words(b"".join(raw_words), rows, path, notes)
    return drop_duplicates(VectorTable(words, table, format="word2vec binary", notes=notes))


def write_binary_vectors(table: VectorTable, stream: BinaryIO, path: Path) -> None:
    """Write word2vec's binary format, as word2vec.c does: a newline after each vector.

    Raises:
        DataError: If a word holds a blank or a line's end.
    """
    check_words_writable(table.words, " \n", path, "the format ends a word with a blank")
    check_finite(table.vectors, path)
    stream.write(f"{len(table.words)} {table.vectors.shape[1]}\n".encode())
    for start in range(0, len(table.words), 4096):
        rows = np.ascontiguousarray(table.vectors[start : start + 4096], "<f4")
        words = table.words[start : start + 4096]
        parts = (word.encode("utf-8") + b" " + row.tobytes() + b"\n" for word, row in zip(words, rows, strict=True))
        stream.write(b"".join(parts))
