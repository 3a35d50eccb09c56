"""Labelled texts with groups from a file: csv, tsv or JSON lines."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nlpladder.bias.classifiers.labelled_texts import LabelledTexts, labelled_texts
from nlpladder.bias.published_files import read_text
from nlpladder.errors import DataError, did_you_mean

#: Identity columns (Civil Comments, Jigsaw) hold the share of annotators; from here on a text belongs to the group.
IDENTITY_THRESHOLD = 0.5


def load_labelled_texts(
    path: str | os.PathLike[str],
    *,
    text_column: str = "text",
    label_column: str = "label",
    group_column: str = "group",
    identity_columns: Sequence[str] = (),
    cluster_column: str = "",
    revision: str | None = None,
) -> LabelledTexts:
    """Read texts, labels and groups.

    Groups come from `identity_columns` where they are named (a number a group, as in Civil Comments), else from
    `group_column`, else from the identity terms of our lexicon that the texts mention. Several labels or groups of one
    text are a JSON list, or separated by ``|``.

    Args:
        path: ``.csv``, ``.tsv``, ``.jsonl`` or ``.json`` with one object a line; also .gz.
        text_column: Of the text.
        label_column: Of the label; a file without it can be measured only where no truth is needed.
        group_column: Of the group; may be absent.
        identity_columns: One a group; the text belongs to it from .5 on.
        cluster_column: Of what dependent texts share, such as their author; empty for independent texts.
        revision: Not used: files lie on disk.

    Raises:
        DataError: If the file cannot be read, lacks the text or a named column, or no text belongs to any group.
    """
    from nlpladder.bias.lexicon import IDENTITY_TERMS

    rows = _rows(path)
    columns = list(rows[0])
    for name in (text_column, *identity_columns, *([cluster_column] if cluster_column else [])):
        if name not in columns:
            raise DataError(f"{path} has no column {name!r}.{did_you_mean(name, columns)} It has {', '.join(columns)}.")
    texts = [str(row[text_column]) for row in rows]
    groups: list[Any] | None = None
    if identity_columns:
        groups = [
            [
                name
                for name in identity_columns
                if _number(row[name], f"{path}, row {index}, {name}") >= IDENTITY_THRESHOLD
            ]
            for index, row in enumerate(rows, 1)
        ]
    elif group_column in columns:
        groups = [_several(row[group_column]) for row in rows]
    return labelled_texts(
        texts,
        labels=[_several(row[label_column]) for row in rows] if label_column in columns else None,
        groups=groups,
        terms=None if groups is not None else {term: [term] for terms in IDENTITY_TERMS.values() for term in terms},
        clusters=[str(row[cluster_column]) for row in rows] if cluster_column else None,
        name=Path(path).name,
    )


def _rows(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    name = os.fspath(path).removesuffix(".gz")
    text = read_text(path)
    rows: list[dict[str, Any]] = []
    if name.endswith((".jsonl", ".json")):
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{path}, line {number}: not valid JSON ({error.msg}). Expected one object a line."
                ) from None
            if not isinstance(row, dict) or (rows and set(row) != set(rows[0])):
                raise DataError(f"{path}, line {number}: expected an object with the keys of the first line.")
            rows.append(row)
    elif name.endswith((".csv", ".tsv")):
        reader = csv.DictReader(
            io.StringIO(text, newline=""), delimiter="\t" if name.endswith(".tsv") else ",", strict=True
        )
        try:
            for row in reader:
                if None in row or None in row.values():
                    width = len(reader.fieldnames or [])
                    raise DataError(f"{path}, line {reader.line_num}: the row has not the {width} cells of the header.")
                rows.append(dict(row))
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}.") from None
    else:
        raise DataError(f"{path} is none of .csv, .tsv, .jsonl and .json.")
    if not rows:
        raise DataError(f"{path} holds no rows.")
    return rows


def _several(cell: Any) -> Any:
    if cell is None or cell == "":
        return []
    return [part.strip() for part in cell.split("|")] if isinstance(cell, str) else cell


def _number(cell: Any, where: str) -> float:
    if cell is None or cell == "":
        return 0.0  # Civil Comments leaves out what nobody annotated
    try:
        return float(cell)
    except (TypeError, ValueError):
        raise DataError(f"{where}: {cell!r} is no number. Identity columns hold the share of annotators.") from None
