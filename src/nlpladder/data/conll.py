"""CoNLL files: one token a line with its tags, sentences separated by blank lines (for token classification)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlpladder.data.text_files import read_lines
from nlpladder.errors import DataError

if TYPE_CHECKING:
    import datasets

_UNIVERSAL_COLUMNS = ("ids", "tokens", "lemmas", "upos", "xpos", "feats", "heads", "deprels", "deps", "misc")
_KNOWN_WIDTHS = {
    2: ("tokens", "ner_tags"),
    3: ("tokens", "pos_tags", "ner_tags"),
    4: ("tokens", "pos_tags", "chunk_tags", "ner_tags"),
    10: _UNIVERSAL_COLUMNS,
}
_DOCUMENT_START = "-DOCSTART-"


def read_conll(path: str | Path, *, columns: Sequence[str] | None = None, encoding: str = "utf-8") -> datasets.Dataset:
    """Read a CoNLL file into one row a sentence, with a list column `tokens` and a list column for each tag column.

    ``-DOCSTART-`` lines are skipped; in CoNLL-U files so are comments, and multi-word and empty tokens (``1-2``,
    ``1.1``). Cells are separated by a tab where the line holds one, else by white space.

    Args:
        path: A CoNLL-2003, IOB or CoNLL-U file, plain or gzip.
        columns: Names of the file's columns, ``"tokens"`` among them. By default by their number: 2 (tokens,
            ner_tags), 3 (tokens, pos_tags, ner_tags), 4 (CoNLL-2003) or 10 (CoNLL-U).
        encoding: The encoding of the file.

    Raises:
        DataError: Missing or empty file, a line of another width (with its line), or an unknown number of columns.
    """
    import datasets
    import pyarrow as pa

    file = Path(path)
    if not file.is_file():
        raise DataError(f"There is no file {file}.")
    names: tuple[str, ...] = tuple(columns or ())
    values: dict[str, list[list[str]]] = {}
    for number, rows in _sentences(file, encoding):
        width = len(rows[0])
        names = names or _KNOWN_WIDTHS.get(width, ())
        if len(names) != width:
            known = f"names {len(names)} columns" if names else "needs column names"
            raise DataError(
                f"{file}, line {number}: the file has {width} columns and read_conll {known}: pass columns=."
            )
        values = values or {name: [] for name in names}
        for position, name in enumerate(names):
            values[name].append([row[position] for row in rows])
    if not values:
        raise DataError(f"{file} holds no sentences. Expected one token a line and a blank line after each sentence.")
    ordered = sorted(values, key=lambda name: name != "tokens")
    table = pa.table({name: pa.array(values[name], pa.list_(pa.string())) for name in ordered})
    return datasets.Dataset(table)


def looks_like_conll(path: Path, encoding: str) -> bool:
    """Tell whether the first lines of a file are tokens with tags: equal widths from 2 to 10 and short cells."""
    if path.name.removesuffix(".gz").endswith((".conll", ".conllu", ".iob", ".iob2", ".bio")):
        return True
    lines = [line.rstrip("\r\n") for line in islice(read_lines(path, encoding), 400)]
    if any(line.startswith(_DOCUMENT_START) for line in lines):
        return True
    rows = [_cells(line) for line in lines if line.strip() and not line.startswith("#")]
    blank = sum(not line.strip() for line in lines)
    widths = {len(row) for row in rows}
    return bool(blank and len(rows) >= 8 and len(widths) == 1 and 2 <= min(widths) <= 10)


def _cells(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _sentences(path: Path, encoding: str) -> Iterator[tuple[int, list[list[str]]]]:
    """Yield ``(first line, rows)`` for each sentence; every row has the width of the file's first one."""
    rows: list[list[str]] = []
    first, width = 0, 0
    for number, line in enumerate(read_lines(path, encoding), 1):
        cells = _cells(line.rstrip("\r\n"))
        if not line.strip() or cells[0] == _DOCUMENT_START:
            if rows:
                yield first, rows
            rows = []
            continue
        if _is_skipped(cells, line, width):
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise DataError(
                f"{path}, line {number}: {len(cells)} columns where the lines above have {width}. "
                "Expected one token with its tags a line and a blank line between sentences."
            )
        first = number if not rows else first
        rows.append(cells)
    if rows:
        yield first, rows


def _is_skipped(cells: list[Any], line: str, width: int) -> bool:
    universal = len(cells) == 10 and width in (0, 10)
    # A comment of CoNLL-U may have as many words as the file has columns, but it has no tab.
    comment = line.startswith("#") and (len(cells) != width or (width == 10 and "\t" not in line))
    return comment or (universal and ("-" in cells[0] or "." in cells[0]))
