"""The unit in which every reader hands over rows: a small Arrow table with the place of each row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

#: A chunk is handed over when it holds this many rows or about this many characters.
CHUNK_ROWS = 10_000
CHUNK_CHARACTERS = 16_000_000


@dataclass(frozen=True)
class Chunk:
    """Some rows of one file.

    Attributes:
        table: The rows, one Arrow column for each source column.
        numbers: (rows,) the 1-based line (or row, where lines mean nothing) of each row in its file.
    """

    table: pa.Table
    numbers: npt.NDArray[np.int64]


def string_chunk(header: Sequence[str], records: list[list[str]], numbers: list[int]) -> Chunk:
    """Build a chunk of string columns from records that all have the width of `header`."""
    import pyarrow as pa

    columns = list(zip(*records, strict=True)) if records else [() for _ in header]
    arrays = [arrow_column(list(column)) if column else pa.array([], pa.string()) for column in columns]
    return Chunk(pa.table(arrays, names=list(header)), np.asarray(numbers, dtype=np.int64))


def object_chunks(rows: Iterator[tuple[int, dict[str, Any], int]]) -> Iterator[Chunk]:
    """Group ``(number, object, characters)`` triples into chunks; a missing key becomes null."""
    batch: list[dict[str, Any]] = []
    numbers: list[int] = []
    characters = 0
    for number, row, size in rows:
        batch.append(row)
        numbers.append(number)
        characters += size
        if len(batch) >= CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
            yield _object_chunk(batch, numbers)
            batch, numbers, characters = [], [], 0
    if batch:
        yield _object_chunk(batch, numbers)


def _object_chunk(rows: list[dict[str, Any]], numbers: list[int]) -> Chunk:
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    arrays = [arrow_column([row.get(name) for row in rows]) for name in names]
    return Chunk(pa.table(arrays, names=names), np.asarray(numbers, dtype=np.int64))


def arrow_column(values: list[Any]) -> pa.Array:
    """Turn Python values into an Arrow array; values of mixed types become strings, JSON where nested."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError):
        return pa.array([None if value is None else scalar_text(value) for value in values], pa.string())
    except UnicodeEncodeError:
        return arrow_column([_without_lone_surrogates(value) for value in values])


def scalar_text(value: Any) -> str:
    """Write one value as text: strings as they are, everything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return _without_lone_surrogates(text)


def _without_lone_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        # A lone half of a surrogate pair is no Unicode text; it becomes U+FFFD, a whole pair its character.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_lone_surrogates(item) for key, item in value.items()}
    return value
