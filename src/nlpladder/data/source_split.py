"""One split as it was found: its rows as a `datasets.Dataset`, and where each row came from."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.data.chunks import scalar_text
from nlpladder.data.readers import ClassFolderRows, CsvRows, RowReader

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

#: Tables beyond this many bytes go to memory-mapped files in the cache of `datasets`.
MEMORY_LIMIT = 256 * 2**20


@dataclass(frozen=True)
class PlacePart:
    """Consecutive rows of one file: their line or row numbers, or the names of one file a row."""

    name: str
    unit: str
    numbers: npt.NDArray[np.int64]
    files: tuple[str, ...] = ()

    def place(self, row: int) -> str:
        """Name the place of one row, for example ``"train.csv, line 7"``."""
        number = int(self.numbers[row])
        return self.files[number - 1] if self.files else f"{self.name}, {self.unit} {number}"


@dataclass(frozen=True)
class RowPlaces:
    """Where the rows of a split came from."""

    parts: tuple[PlacePart, ...]

    def place(self, row: int) -> str:
        """Name the place of one row."""
        starts = np.cumsum([0, *(len(part.numbers) for part in self.parts)])
        part = min(bisect_right(starts.tolist(), row) - 1, len(self.parts) - 1)
        return self.parts[part].place(int(row - starts[part]))

    def first(self, rows: Iterable[int], limit: int = 5) -> str:
        """Name the first few of some rows, for example ``"lines 3, 9 and 4 more"`` of one file."""
        chosen = [int(row) for row in rows]
        more = f" and {len(chosen) - limit} more" if len(chosen) > limit else ""
        if len(self.parts) > 1 or self.parts[0].files:
            return ", ".join(self.place(row) for row in chosen[:limit]) + more
        part = self.parts[0]
        unit = part.unit if len(chosen) == 1 else f"{part.unit}s"
        return f"{unit} {', '.join(str(part.numbers[row]) for row in chosen[:limit])}{more}"

    @property
    def name(self) -> str:
        """The file or files."""
        return ", ".join(part.name for part in self.parts[:3]) + (", …" if len(self.parts) > 3 else "")


@dataclass(frozen=True)
class SourceSplit:
    """The rows of one split as found in the source.

    Attributes:
        dataset: The rows, without an indices mapping.
        places: Where each row came from.
        untyped: Whether every column was read as strings (csv).
    """

    dataset: datasets.Dataset
    places: RowPlaces
    untyped: bool = False


def collect(readers: Sequence[RowReader]) -> SourceSplit:
    """Read all rows of some readers, in memory up to `MEMORY_LIMIT` and memory-mapped beyond.

    Raises:
        DataError: A file is broken; see the readers.
    """
    spool = _Spool(readers)
    parts = []
    for reader in readers:
        numbers = []
        for chunk in reader.chunks():
            spool.add(chunk.table)
            numbers.append(chunk.numbers)
        parts.append(place_part(reader, np.concatenate(numbers) if numbers else np.empty(0, np.int64)))
    untyped = all(isinstance(reader, CsvRows) for reader in readers)
    return SourceSplit(spool.dataset(), RowPlaces(tuple(parts)), untyped)


def place_part(reader: RowReader, numbers: npt.NDArray[np.int64]) -> PlacePart:
    """Say where the rows of one reader came from."""
    files = tuple(str(file) for _, file in reader.files()) if isinstance(reader, ClassFolderRows) else ()
    return PlacePart(reader.name, reader.unit, numbers, files)


class _Spool:
    """Gathers tables whose column types may differ from chunk to chunk into one dataset."""

    def __init__(self, readers: Sequence[RowReader]) -> None:
        self._readers = readers
        self._tables: list[pa.Table] = []
        self._bytes = 0
        self._files: list[Path] = []

    def add(self, table: pa.Table) -> None:
        """Take one more table; write what is held to a file when it has grown too large."""
        self._tables.append(table)
        self._bytes += table.nbytes
        if self._bytes > MEMORY_LIMIT:
            self._spill()

    def dataset(self) -> datasets.Dataset:
        """Return all rows under one schema."""
        import datasets
        import pyarrow as pa

        if not self._files:
            schema = unified_schema([table.schema for table in self._tables])
            table = pa.concat_tables([conform(table, schema) for table in self._tables])
            return datasets.Dataset(table, fingerprint=self._key()[:16])
        if self._tables:
            self._spill()
        schema = unified_schema([_mapped(part).schema for part in self._files])
        # Every process that reads this source writes the same bytes to the same names, so they may meet.
        files = [part.with_name(f"{self._key()}-{number:05d}.arrow") for number, part in enumerate(self._files)]
        for part, file in zip(self._files, files, strict=True):
            if _mapped(part).schema != schema:
                _write(part.with_suffix(".cast"), conform(_mapped(part), schema))
                part.with_suffix(".cast").replace(part)
            part.replace(file)
        return datasets.concatenate_datasets([datasets.Dataset.from_file(str(file)) for file in files])

    def _key(self) -> str:
        return hashlib.sha256("\n".join(_identity(reader) for reader in self._readers).encode()).hexdigest()[:32]

    def _spill(self) -> None:
        import pyarrow as pa
        from datasets import config

        folder = Path(config.HF_DATASETS_CACHE) / "nlpladder"
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{self._key()}-{len(self._files):05d}.{os.getpid()}.part"
        schema = unified_schema([table.schema for table in self._tables])
        _write(part, pa.concat_tables([conform(table, schema) for table in self._tables]))
        self._files.append(part)
        self._tables, self._bytes = [], 0


def _identity(reader: RowReader) -> str:
    path = Path(reader.name)
    status = path.stat() if path.exists() else None
    return f"{reader!r} {path.absolute()} {status.st_size} {status.st_mtime_ns}" if status else repr(reader)


def _write(file: Path, table: pa.Table) -> None:
    import pyarrow as pa

    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _mapped(file: Path) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_stream(pa.memory_map(str(file))).read_all()


def unified_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return a schema that can hold all columns of all schemas; a column of types that do not mix is a string."""
    import pyarrow as pa

    first = schemas[0]
    if all(schema == first for schema in schemas):
        return first
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for column in schema:
            if column.name not in fields:
                fields[column.name] = column
                continue
            pair = [pa.schema([fields[column.name]]), pa.schema([column])]
            try:
                fields[column.name] = pa.unify_schemas(pair, promote_options="permissive").field(0)
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                fields[column.name] = pa.field(column.name, pa.string())
    return pa.schema(list(fields.values()), metadata=first.metadata)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Cast `table` to `schema`; absent columns become null, values that do not cast become their text."""
    import pyarrow as pa

    if table.schema == schema:
        return table
    columns: list[Any] = []
    for column in schema:
        if column.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, column.type))
            continue
        values = table.column(column.name)
        if pa.types.is_string(column.type) and not pa.types.is_string(values.type):
            texts = [None if value is None else scalar_text(value) for value in values.to_pylist()]
            columns.append(pa.array(texts, pa.string()))
        else:
            columns.append(values.cast(column.type))
    return pa.Table.from_arrays(columns, schema=schema)
