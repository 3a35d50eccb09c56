"""Readers of JSON lines and of JSON files that hold one array of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpladder.data.chunks import Chunk, object_chunks
from nlpladder.data.text_files import read_lines
from nlpladder.errors import DataError


def is_json_array(path: Path, encoding: str) -> bool:
    """Tell from the first character that is not white space whether a JSON file is one array."""
    for line in read_lines(path, encoding):
        if line.strip():
            return line.lstrip().startswith("[")
    raise DataError(f"{path} holds only blank lines. Expected one JSON object a line, or one array of objects.")


def read_json_lines(path: Path, encoding: str) -> Iterator[Chunk]:
    """Yield the rows of a file with one JSON object a line; blank lines are skipped.

    Raises:
        DataError: A line is not a JSON object, with line and column.
    """
    return object_chunks(_line_objects(path, encoding))


def read_json_array(path: Path, encoding: str) -> Iterator[Chunk]:
    """Yield the rows of a file that holds one array of JSON objects; rows are numbered from 1.

    Raises:
        DataError: The file is not JSON (with line and column), or an item is not an object.
    """
    text = "".join(read_lines(path, encoding))
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg}). "
            "Expected one array of objects, [{...}, {...}]."
        ) from None
    if not rows:
        raise DataError(f"{path} holds an empty array. Expected at least one object.")

    def objects() -> Iterator[tuple[int, dict[str, Any], int]]:
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise _not_an_object(f"{path}, row {number}", row)
            yield number, row, 200

    return object_chunks(objects())


def _line_objects(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, Any], int]]:
    loads = json.JSONDecoder().decode
    empty = True
    for number, line in enumerate(read_lines(path, encoding), 1):
        if not line.strip():
            continue
        try:
            row = loads(line)
        except json.JSONDecodeError as error:
            raise _broken_line(path, number, line, error) from None
        if not isinstance(row, dict):
            raise _not_an_object(f"{path}, line {number}", row)
        empty = False
        yield number, row, len(line)
    if empty:
        raise DataError(f"{path} holds only blank lines. Expected one JSON object a line.")


def _broken_line(path: Path, number: int, line: str, error: json.JSONDecodeError) -> DataError:
    start = line.strip()[:60]
    hint = "Expected one whole JSON object a line"
    if number == 1 and line.strip() in ("{", "["):
        hint = "The file looks like indented JSON: write one array of objects, or one whole object a line (jsonl)"
    return DataError(f"{path}, line {number}, column {error.colno}: not valid JSON ({error.msg}): {start!r}. {hint}.")


def _not_an_object(place: str, row: Any) -> DataError:
    names = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}
    kind = names.get(type(row), "null")
    return DataError(f'{place}: expected a JSON object such as {{"text": "...", "label": "..."}}, got {kind}.')
