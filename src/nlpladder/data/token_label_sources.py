"""Finding and reading the columns of words and of tags: CoNLL files, tables, the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.data.conll import looks_like_conll, read_conll
from nlpladder.data.readers import format_of
from nlpladder.data.reading import is_saved_dataset, read_source
from nlpladder.data.source_split import PlacePart, RowPlaces
from nlpladder.data.sources import kind_of, split_files
from nlpladder.data.token_label_checks import TaggedRows
from nlpladder.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import datasets

_TOKEN_NAMES = ("tokens", "words", "token", "word", "forms", "form")
#: What tags are called, the ones that are looked for first standing first.
_TAG_NAMES = (
    "ner_tags", "tags", "labels", "ner", "ner_labels", "label", "tag", "entities", "upos", "pos_tags", "pos",
    "universal_tags", "xpos", "chunk_tags",
)  # fmt: skip


@dataclass(frozen=True)
class FoundTags:
    """All splits of a source as found, before any check.

    Attributes:
        splits: By canonical name.
        tag_column: Where the tags came from.
        tag_names: In the order of the source's own ids; None where the tags are strings.
        notes: How the source was understood.
    """

    splits: dict[str, TaggedRows]
    tag_column: str
    tag_names: tuple[str, ...] | None
    notes: tuple[str, ...]


def read_tagged_rows(
    source: str,
    *,
    config: str | None,
    revision: str | None,
    encoding: str,
    tokens_column: str | None,
    tag_column: str | None,
    conll_columns: Sequence[str] | None,
) -> FoundTags:
    """Read every split of a source of tagged sentences.

    Raises:
        DataError: The source is absent or broken, or a column cannot be found.
    """
    kind, path = kind_of(source), Path(source).expanduser()
    if kind == "world":
        raise DataError(
            f"{source}: the built-in worlds have no tags for words. Give a CoNLL file or folder, a json, jsonl or "
            "parquet file with lists of words and tags, or a Hub id."
        )
    files = _conll_files(path, encoding) if kind == "path" else {}
    notes: tuple[str, ...] = ()
    tables: dict[str, tuple[datasets.Dataset, RowPlaces]] = {}
    if files:
        for split, group in files.items():
            tables[split] = _read_conll_files(group, encoding, conll_columns)
        notes = (f"Files: {', '.join(f'{split} from {group[0].name}' for split, group in files.items())}.",)
    else:
        if path.is_file() and format_of(path) in ("csv", "tsv"):
            raise DataError(
                f"{path} is a table of cells, in which a list of words has no place. Give a CoNLL file (one word with "
                "its tags a line, a blank line after each sentence), or jsonl with lists of words and of tags."
            )
        read = read_source(source, config=config, revision=revision, encoding=encoding)
        tables = {split: (found.dataset, found.places) for split, found in read.splits.items() if split != "unlabeled"}
        notes = read.notes
    first = "train" if "train" in tables else next(iter(tables))
    words_name, tags_name, told = _find_columns(*tables[first], tokens_column, tag_column)
    names = _class_names(tables[first][0], tags_name)
    splits = {}
    for split, (table, places) in tables.items():
        for column in (words_name, tags_name):
            if column not in table.column_names:
                raise DataError(
                    f"{places.name} ({split}) has no column {column!r}, which {first} has. Its columns are: "
                    f"{', '.join(table.column_names)}."
                )
        splits[split] = TaggedRows(
            _column(table, words_name, None, places), _column(table, tags_name, names, places), places
        )
    return FoundTags(splits, tags_name, names, (*notes, told))


def _conll_files(path: Path, encoding: str) -> dict[str, list[Path]]:
    """Return the CoNLL files of each split, nothing for a source of tables."""
    if path.is_file():
        groups = {"train": [path]}
    elif is_saved_dataset(path):
        return {}
    else:
        groups = split_files(path)
    first = next((group[0] for group in groups.values()), None)
    if first is None or format_of(first) not in ("conll", "txt"):
        return {}
    if first.stat().st_size and not looks_like_conll(first, encoding):
        raise DataError(
            f"{first} is no CoNLL file: expected one word with its tags a line, separated by a tab or a space, and a "
            "blank line after each sentence."
        )
    return groups


def _read_conll_files(
    files: Sequence[Path], encoding: str, columns: Sequence[str] | None
) -> tuple[datasets.Dataset, RowPlaces]:
    import datasets

    if columns is not None and "tokens" not in columns:
        raise DataError(f"conll_columns names {', '.join(columns)}; one of them must be tokens, the words.")
    read = [read_conll(file, columns=columns, encoding=encoding) for file in files]
    parts = [
        PlacePart(str(file), "sentence", np.arange(1, len(rows) + 1, dtype=np.int64))
        for file, rows in zip(files, read, strict=True)
    ]
    return datasets.concatenate_datasets(read) if len(read) > 1 else read[0], RowPlaces(tuple(parts))


def _find_columns(
    table: datasets.Dataset, places: RowPlaces, tokens_column: str | None, tag_column: str | None
) -> tuple[str, str, str]:
    """Return the columns of words and of tags, and the sentence that says which were taken."""
    import pyarrow as pa

    schema = table.data.table.schema
    lists = [column.name for column in schema if pa.types.is_list(column.type) or pa.types.is_large_list(column.type)]
    for option, wanted in (("tokens_column", tokens_column), ("tag_column", tag_column)):
        if wanted is not None and wanted not in lists:
            what = "holds no lists" if wanted in table.column_names else "is not there"
            raise DataError(
                f"{places.name}: the column {wanted!r} of --{option} {what}.{did_you_mean(wanted, lists)} Columns of "
                f"lists: {', '.join(lists) or 'none'}; all columns: {', '.join(table.column_names)}."
            )
    words = tokens_column or next((name for name in _TOKEN_NAMES if name in lists and name != tag_column), None)
    if words is None:
        raise DataError(
            f"{places.name} has no column with lists of words (such as tokens or words). Its columns are: "
            f"{', '.join(table.column_names)}. Name it with --tokens_column."
        )
    others = [name for name in lists if name != words]
    tags = tag_column or next((name for name in _TAG_NAMES if name in others), None)
    if tags is None and len(others) == 1:
        tags = others[0]
    if tags is None:
        raise DataError(
            f"{places.name}: no column is known to hold the tags; columns of lists beside {words!r}: "
            f"{', '.join(others) or 'none'}. Name it with --tag_column."
        )
    more = [name for name in others if name != tags]
    beside = f" (there are also {', '.join(more)}: --tag_column)" if more and tag_column is None else ""
    return words, tags, f"Words are in {words!r} and tags in {tags!r}{beside}."


def _class_names(table: datasets.Dataset, column: str) -> tuple[str, ...] | None:
    """Return the names of a column of lists of class ids, in the order of the ids."""
    feature: Any = table.features[column]
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) else None)
    names = getattr(inner, "names", None)
    return tuple(names) if names else None


def _column(
    table: datasets.Dataset, name: str, class_names: tuple[str, ...] | None, places: RowPlaces
) -> list[list[str | None] | None]:
    """Return a column of lists as strings."""
    rows = table.data.table.column(name).to_pylist()
    if class_names is None:
        return [
            None if row is None else [cell if isinstance(cell, str) or cell is None else str(cell) for cell in row]
            for row in rows
        ]
    bad = [
        number
        for number, row in enumerate(rows)
        if row is not None and any(cell is not None and not 0 <= cell < len(class_names) for cell in row)
    ]
    if bad:
        raise DataError(
            f"{places.name}: a class id of {name!r} has no name; there are {len(class_names)} names. "
            f"{places.first(bad)}. Words without a label (such as -100) do not belong into data."
        )
    return [None if row is None else [None if cell is None else class_names[cell] for cell in row] for row in rows]
