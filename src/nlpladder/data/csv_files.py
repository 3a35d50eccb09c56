"""A strict reader of csv and tsv files: a quoting mistake is an error with its line, never a swallowed row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from nlpladder.data.chunks import CHUNK_CHARACTERS, CHUNK_ROWS, Chunk, string_chunk
from nlpladder.data.text_files import read_lines
from nlpladder.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_SAMPLE_LINES = 200
_MANY_VALUES = 50


@dataclass(frozen=True)
class CsvFormat:
    """How one csv file is written.

    Attributes:
        delimiter: The character between cells.
        quoted: Whether a double quote at the start of a cell opens a quoted cell.
        notes: What was decided about the file, in sentences.
    """

    delimiter: str
    quoted: bool = True
    notes: tuple[str, ...] = field(default=())


def detect_format(path: Path, encoding: str, *, delimiter: str | None = None) -> CsvFormat:
    """Find the delimiter of a csv file and whether it uses quotes.

    A tab-separated file whose quotes do not fit (many are written without any quoting) is read with quotes as plain
    characters, when every one of its lines then has as many cells as the header; the notes say so.

    Raises:
        DataError: The file cannot be decoded.
    """
    found = delimiter or _sniff_delimiter(path, encoding)
    notes = () if delimiter or found == "," else (f"{path.name} is separated by a {_NAMES[found]}.",)
    if found == "\t" and _has_opening_quote(path, encoding):
        try:
            for _ in _records(path, encoding, CsvFormat(found)):
                pass
        except DataError as error:
            plain = CsvFormat(found, quoted=False, notes=(*notes, _plain_note(path, error)))
            try:
                for _ in _records(path, encoding, plain):
                    pass
            except DataError:
                raise error from None
            return plain
    return CsvFormat(found, notes=notes)


def read_csv(path: Path, encoding: str, csv_format: CsvFormat) -> Iterator[Chunk]:
    """Yield the rows of a csv file with a header line, every cell as a string, with their line numbers.

    Raises:
        DataError: Header only, duplicate column names, a row of another width, or a quoting mistake, with its line.
    """
    records = _records(path, encoding, csv_format)
    _, header = next(records)
    batch: list[list[str]] = []
    numbers: list[int] = []
    characters, rows = 0, 0
    for number, record in records:
        batch.append(record)
        numbers.append(number)
        rows += 1
        characters += sum(map(len, record))
        if len(batch) >= CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
            yield string_chunk(header, batch, numbers)
            batch, numbers, characters = [], [], 0
    if batch:
        yield string_chunk(header, batch, numbers)
    if not rows:
        raise DataError(
            f"{path} has a header ({', '.join(header)}) and no rows below it. Add rows or give another file."
        )


def _records(path: Path, encoding: str, csv_format: CsvFormat) -> Iterator[tuple[int, list[str]]]:
    """Yield ``(line, cells)``, the header first; blank lines are skipped."""
    physical: list[str] = []

    def remembered() -> Iterator[str]:
        for line in read_lines(path, encoding, newline=""):
            physical.append(line)
            yield line

    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if csv_format.quoted else csv.QUOTE_NONE
    header: list[str] | None = None
    swallowed = _SwallowedRows(csv_format.delimiter)
    with _any_field_size():
        reader = csv.reader(remembered(), delimiter=csv_format.delimiter, strict=True, quoting=quoting)
        while True:
            line = reader.line_num + 1
            physical.clear()
            try:
                record = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                raise _quoting_error(path, line, reader.line_num, str(error)) from None
            if not record or (header is None and not any(cell.strip() for cell in record)):
                continue
            if header is None:
                header = _header(path, line, record)
                yield line, header
                continue
            if len(record) != len(header):
                raise _ragged_error(path, line, reader.line_num, header, record, csv_format)
            swallowed.see(line, record, physical)
            yield line, record
    if header is None:
        raise DataError(f"{path} holds only blank lines. Expected a header line with column names and rows below it.")
    if (first := swallowed.first_suspect()) is not None:
        raise DataError(
            f"{path}, line {first}: a double quote opens here and is closed only in a later row, so several rows "
            "would be read as one. Write a quote inside a cell twice and put the cell in quotes, or save as jsonl."
        )


class _SwallowedRows:
    """Finds rows that a stray quote glued together without breaking the rules of csv.

    A record over several lines is suspect when each of its lines alone would be a whole row whose cell in some column
    of few values (such as the label) is one of that column's values.
    """

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._values: list[set[str] | None] = []
        self._suspects: list[tuple[int, list[list[str]]]] = []

    def see(self, line: int, record: list[str], physical: list[str]) -> None:
        """Look at one record and at the lines that it was read from."""
        if len(record) < 2:
            return
        if not self._values:
            self._values = [set() for _ in record]
        if len(physical) > 1:
            pieces = [piece.rstrip("\r\n").split(self._delimiter) for piece in physical]
            if all(len(piece) == len(record) for piece in pieces):
                self._suspects.append((line, pieces))
            return
        for column, cell in enumerate(record):
            values = self._values[column]
            if values is not None:
                values.add(cell)
                if len(values) > _MANY_VALUES:
                    self._values[column] = None

    def first_suspect(self) -> int | None:
        """Return the line of the first suspect record, or None."""
        for line, pieces in self._suspects:
            for column, values in enumerate(self._values):
                if values and all(piece[column] in values for piece in pieces):
                    return line
        return None


def _header(path: Path, line: int, record: list[str]) -> list[str]:
    names = [cell.strip().lstrip("\ufeff") or f"column_{position}" for position, cell in enumerate(record, 1)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(
            f"{path}, line {line}: the header names {', '.join(map(repr, repeated))} more than once "
            f"({', '.join(names)}). Give every column a name of its own."
        )
    return names


def _quoting_error(path: Path, first: int, last: int, reason: str) -> DataError:
    if "unexpected end of data" in reason:
        what = "a quoted cell that is opened in the row starting here is never closed"
    else:
        what = f"the quotes of the row starting here do not fit ({reason}, seen on line {last})"
    return DataError(
        f"{path}, line {first}: {what}. Put every cell that holds a quote, a delimiter or a line break in double "
        'quotes and write a quote inside it twice (""), or save the data as jsonl.'
    )


def _ragged_error(
    path: Path, first: int, last: int, header: list[str], record: list[str], csv_format: CsvFormat
) -> DataError:
    lines = f"line {first}" if last == first else f"lines {first} to {last}"
    likely = "an unquoted delimiter in a text is the usual cause" if len(record) > len(header) else "cells are missing"
    return DataError(
        f"{path}, {lines}: {len(record)} cells where the header has {len(header)} ({', '.join(header)}), separated by "
        f"a {_NAMES[csv_format.delimiter]}; {likely}. Put texts in double quotes, or save the data as jsonl."
    )


def _plain_note(path: Path, error: DataError) -> str:
    return f"{path.name} is tab-separated without quoting, so double quotes are plain characters (as quotes: {error})"


def _has_opening_quote(path: Path, encoding: str) -> bool:
    return any(line.startswith('"') or '\t"' in line for line in read_lines(path, encoding, newline=""))


def _sniff_delimiter(path: Path, encoding: str) -> str:
    """Choose the delimiter whose cell counts agree with the header most often, then the one with most columns."""
    lines = list(islice(read_lines(path, encoding, newline=""), _SAMPLE_LINES))
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        with _any_field_size():
            records = [record for record in csv.reader(lines, delimiter=delimiter) if record]
        if not records or len(records[0]) < 2:
            continue
        width = len(records[0])
        body = records[1:-1] or records[1:]  # the sample may end inside its last record
        agreeing = sum(len(record) == width for record in body) / len(body) if body else 1.0
        if (agreeing, width) > best_score:
            best, best_score = delimiter, (agreeing, width)
    return best


@contextmanager
def _any_field_size() -> Iterator[None]:
    """Lift Python's process-wide limit of 131072 characters a cell for as long as a file is read."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
