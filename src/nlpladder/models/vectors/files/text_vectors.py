"""Vectors as text: word2vec's format with a header line, GloVe's without, fastText's ``.vec``.

A line is a word and its numbers, divided by single blanks or tabs. Blocks of whole lines are parsed by compiled code,
several at a time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nlpladder.errors import DataError
from nlpladder.models.vectors.vector_table import (
    VectorTable,
    all_finite,
    check_finite,
    check_words_writable,
    decode_words,
    drop_duplicates,
)

_BLOCK_BYTES = 1 << 23
_ROWS_PER_WRITE = 4096


@dataclass(frozen=True)
class _Block:
    """What one block of lines held."""

    vectors: np.ndarray
    raw_words: bytes
    lines: int
    blank_words: int


def read_text_vectors(stream: BinaryIO, path: Path, *, limit: int | None = None) -> VectorTable:
    """Read vectors from text; the first line may say how many words and dimensions follow.

    Args:
        stream: At its beginning, decompressed.
        path: What messages name.
        limit: Read this many words only.

    Raises:
        DataError: Naming the line, if a line has too few or too many numbers, or one that is no number or not finite,
            or if the file ends before the header's number of words.
    """
    blocks = _whole_lines(stream)
    first = next(blocks, b"")
    announced, dimensions, body = _read_header(first, path)
    capacity = announced if announced is not None else 1 << 14
    if announced is not None:
        capacity = min(announced, max(1 << 14, os.path.getsize(path)))  # a wrong header must not take all memory
    capacity = min(capacity, limit) if limit is not None else capacity
    vectors = np.empty((capacity, dimensions), np.float32)
    notes: list[str] = []
    raw_words: list[bytes] = []
    rows, lines, blank_words = 0, 0 if announced is None else 1, 0

    def store(block: _Block) -> None:
        nonlocal vectors, rows, lines, blank_words
        needed = rows + len(block.vectors)
        if needed > len(vectors):
            # Grown in place: a second copy of several gigabytes may not fit.
            vectors.resize((max(needed, len(vectors) * 3 // 2), dimensions), refcheck=False)
        vectors[rows:needed] = block.vectors
        raw_words.append(block.raw_words)
        rows, lines, blank_words = needed, lines + block.lines, blank_words + block.blank_words

    # At most as many blocks as threads are in flight, and they are stored in order.
    threads = min(8, _available_cores())
    pending: deque[Future[_Block | tuple[int, int, str]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for text in _chain(body, blocks):
            pending.append(pool.submit(_parse_block, text, dimensions))
            if len(pending) >= threads + 1:
                _store_next(pending, store, path, lines)
            if limit is not None and rows >= limit:
                pending.clear()
                break
        while pending:
            _store_next(pending, store, path, lines)
    if limit is not None and rows > limit:
        rows = limit
    if announced is not None and rows < announced and (limit is None or rows < limit):
        raise DataError(
            f"{path} announces {announced:,} words in line 1 but ends after {rows:,}: it was cut short, or the header "
            "is wrong. Download it again, or correct line 1."
        )
    if announced is not None and rows > announced:
        raise DataError(
            f"{path}, line {announced + 2}: the header announces {announced:,} words, but more lines follow. "
            "Correct line 1."
        )
    vectors.resize((rows, dimensions), refcheck=False)
    if blank_words:
        notes.append(f"{blank_words:,} words hold blanks; everything before the last {dimensions} columns is the word.")
    joined = b"".join(raw_words)
    words = decode_words(joined, joined.count(b"\n"), path, notes)[:rows]
    kind = "GloVe text" if announced is None else "word2vec text"
    return drop_duplicates(VectorTable(words, vectors, format=kind, notes=notes))


def write_text_vectors(table: VectorTable, stream: BinaryIO, path: Path, *, header: bool = True) -> None:
    """Write vectors as text that reads back bit for bit: as many digits a number as that takes, nine at most.

    Args:
        table: What to write.
        stream: Opened for writing.
        path: What messages name.
        header: Whether the first line says the number of words and dimensions (word2vec) or not (GloVe).

    Raises:
        DataError: If a word holds a blank or a line's end.
    """
    from nlpladder.models.vectors.files.text_vector_kernels import powers_of_ten, write_rows

    check_words_writable(table.words, " \t\n\r", path, "text formats end a word with a blank")
    check_finite(table.vectors, path)
    powers = powers_of_ten()

    def render(start: int) -> np.ndarray:
        words = table.words[start : start + _ROWS_PER_WRITE]
        raw = np.frombuffer("".join(f"{word}\n" for word in words).encode("utf-8"), np.uint8)
        vectors = np.ascontiguousarray(table.vectors[start : start + _ROWS_PER_WRITE], np.float32)
        out = np.empty(len(raw) + 17 * vectors.size + 16, np.uint8)
        return out[: write_rows(raw, vectors, out, powers)]

    if header:
        stream.write(f"{len(table.words)} {table.vectors.shape[1]}\n".encode())
    threads = min(8, _available_cores())
    pending: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(table.words), _ROWS_PER_WRITE):
            pending.append(pool.submit(render, start))
            if len(pending) > threads:
                stream.write(pending.popleft().result().data)
        while pending:
            stream.write(pending.popleft().result().data)


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(_BLOCK_BYTES):
        cut = block.rfind(b"\n") + 1
        if cut == 0:
            rest += block
            continue
        yield rest + block[:cut]
        rest = block[cut:]
    if rest:
        yield rest


def _chain(first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from blocks


def _read_header(block: bytes, path: Path) -> tuple[int | None, int, bytes]:
    """Return the announced number of words (None without a header), the dimensions, and what follows the header."""
    start = 0
    line, fields = b"", []
    while start < len(block):
        stop = block.find(b"\n", start)
        stop = len(block) if stop < 0 else stop
        line, start = block[start:stop], stop + 1
        fields = line.split()
        if fields:
            break
    if not fields:
        raise DataError(f"{path} is empty: it holds no word vectors.")
    second = block[start : block.find(b"\n", start) if block.find(b"\n", start) >= 0 else len(block)].split()
    whole_numbers = len(fields) == 2 and all(field.isdigit() for field in fields)
    if whole_numbers and (len(second) != 2 or int(fields[1]) == 1):
        announced, dimensions = int(fields[0]), int(fields[1])
        if dimensions == 0:
            raise DataError(f"{path}, line 1: the header announces vectors of 0 dimensions.")
        if announced == 0:
            raise DataError(f"{path}, line 1: the header announces 0 words.")
        if second and len(second) - 1 < dimensions:
            raise DataError(
                f"{path}, line 2: {len(second) - 1} numbers where the header announces {dimensions}. The header is "
                "wrong, the file is damaged, or it is no file of word vectors."
            )
        return announced, dimensions, block[start:]
    # Without a header: as many dimensions as there are numbers at the end of the first line.
    dimensions = 0
    for text in reversed(line.rstrip(b"\r").replace(b"\t", b" ").split(b" ")[1:]):
        if text and not _is_number(text):
            break
        dimensions += bool(text)
    if dimensions == 0:
        raise DataError(
            f"{path}, line 1: expected a word and its numbers, or the header `words dimensions`, found "
            f"{line[:60].decode('utf-8', 'replace')!r}."
        )
    return None, dimensions, block


def _parse_block(text: bytes, dimensions: int) -> _Block | tuple[int, int, str]:
    """Parse whole lines; returns the block, or the line of an error, its kind and its text."""
    from nlpladder.models.vectors.files import text_vector_kernels as kernels

    array = np.frombuffer(text, np.uint8)
    most_rows = text.count(b"\n") + 1
    vectors = np.empty((most_rows, dimensions), np.float32)
    spans = np.empty((most_rows, 2), np.int64)
    counts = np.zeros(5, np.int64)
    powers = kernels.powers_of_ten()
    room = 1024
    while True:
        leftovers = np.empty((room, kernels.LEFTOVER_FIELDS), np.int64)
        found = kernels.parse_rows(array, dimensions, vectors, spans, leftovers, counts, powers)
        if found != kernels.NO_ROOM:
            break
        room = min(room * 16, most_rows * dimensions)
    rows, left, lines, blank_words, bad = counts.tolist()
    first_row_line = _line_numbers(text) if left else None
    for row, column, start, stop in leftovers[:left].tolist():
        try:
            with np.errstate(over="ignore"):  # infinity is reported below
                vectors[row, column] = float(text[start:stop])
        except ValueError:
            shown = text[start:stop][:40].decode("utf-8", "replace")
            assert first_row_line is not None
            return first_row_line[row], kernels.NOT_A_NUMBER, f"number {column + 1} is {shown!r}, which is no number"
    if not all_finite(vectors[:rows]):
        row = int(np.flatnonzero(~np.isfinite(vectors[:rows]).all(axis=1))[0])
        column = int(np.flatnonzero(~np.isfinite(vectors[row]))[0])
        shown = f"number {column + 1} is {vectors[row, column]}, and every number must be finite"
        return _line_numbers(text)[row], kernels.NOT_A_NUMBER, shown
    if found != kernels.LINE_READ:
        stop = text.find(b"\n", bad)
        fields = len(text[bad : stop if stop >= 0 else len(text)].split()) - 1
        return lines, int(found), f"{fields} numbers where {dimensions} are expected"
    size = int((spans[:rows, 1] - spans[:rows, 0]).sum()) + rows
    raw = np.empty(size, np.uint8)
    kernels.join_spans(array, spans[:rows], raw)
    return _Block(vectors[:rows], raw.tobytes(), lines, blank_words)


def _line_numbers(text: bytes) -> list[int]:
    """Return the line (from 0) of each row: lines without text are no rows."""
    return [number for number, line in enumerate(text.split(b"\n")) if line.strip()]


def _store_next(pending: deque, store: object, path: Path, lines: int) -> None:
    found = pending.popleft().result()
    if isinstance(found, _Block):
        store(found)  # type: ignore[operator]
        return
    line, _, reason = found
    for future in pending:
        future.cancel()
    raise DataError(f"{path}, line {lines + line + 1}: {reason}. Correct the line, or download the file again.")


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _available_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system has affinities
        return os.cpu_count() or 1
