"""Reading questions on texts: the nested json of SQuAD, and flat rows with answers in any of the usual columns."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlpladder.data.readers import format_of
from nlpladder.data.reading import is_saved_dataset, read_source
from nlpladder.data.source_split import PlacePart, RowPlaces, SourceSplit
from nlpladder.data.sources import kind_of, split_files
from nlpladder.data.text_files import read_lines
from nlpladder.errors import DataError, did_you_mean

_NAMES = {
    "context": ("context", "passage", "paragraph", "document", "text"),
    "question": ("question", "query"),
    "answers": ("answers", "answer", "answer_text"),
}
_STARTS = ("answer_start", "answer_starts", "start")


@dataclass(frozen=True)
class QuestionRow:
    """One question as found; what is missing is None.

    Attributes:
        identity: Its id in the source.
        question: What is asked.
        context: The text that is asked about.
        texts: The answers' words.
        starts: Where each begins in `context`, in characters.
        impossible: The source says that the text holds no answer.
        title: Of the article that the text is from.
    """

    identity: str | None
    question: str | None
    context: str | None
    texts: tuple[Any, ...]
    starts: tuple[Any, ...]
    impossible: bool = False
    title: str | None = None


@dataclass(frozen=True)
class QuestionRows:
    """The questions of one split, and where each came from."""

    rows: list[QuestionRow]
    places: RowPlaces


@dataclass(frozen=True)
class FoundQuestions:
    """All splits of a source as found, before any check."""

    splits: dict[str, QuestionRows]
    notes: tuple[str, ...]


def read_question_rows(
    source: str,
    *,
    config: str | None,
    revision: str | None,
    encoding: str,
    columns: Mapping[str, str | None],
) -> FoundQuestions:
    """Read every split of a source of questions.

    Args:
        source: As in `load_questions`.
        config: Of a Hub data set.
        revision: Of a Hub data set.
        encoding: Of text files.
        columns: ``context``, ``question`` and ``answers``, each the name of a column or None.

    Raises:
        DataError: The source is absent or broken, or a column cannot be found.
    """
    kind, path = kind_of(source), Path(source).expanduser()
    if kind == "world":
        raise DataError(f"{source}: the built-in worlds have no questions. Give a file, a folder or a Hub id.")
    nested = _nested_files(path, encoding) if kind == "path" else {}
    if nested:
        splits = {split: _read_nested(files, encoding) for split, files in nested.items()}
        listed = ", ".join(f"{split} from {files[0].name}" for split, files in nested.items())
        return FoundQuestions(splits, (f"Files: {listed}, in SQuAD's nested json.",))
    read = read_source(source, config=config, revision=revision, encoding=encoding)
    tables = {split: found for split, found in read.splits.items() if split != "unlabeled"}
    first = "train" if "train" in tables else next(iter(tables))
    chosen = _find_columns(tables[first], columns)
    splits = {split: _read_table(split, found, chosen) for split, found in tables.items()}
    told = f"Columns: question {chosen['question']!r}, context {chosen['context']!r}, answers {chosen['answers']!r}."
    return FoundQuestions(splits, (*read.notes, told))


def _nested_files(path: Path, encoding: str) -> dict[str, list[Path]]:
    """Return the files of each split where they are SQuAD's nested json, else nothing."""
    if path.is_file():
        groups = {"train": [path]}
    elif is_saved_dataset(path):
        return {}
    else:
        groups = split_files(path)
    files = [file for group in groups.values() for file in group]
    nested = [
        file for file in files if format_of(file) == "json" and file.stat().st_size and _is_nested(file, encoding)
    ]
    if nested and len(nested) < len(files):
        other = next(file for file in files if file not in nested)
        raise DataError(f"{nested[0]} is SQuAD's nested json and {other} is not: give all splits in one format.")
    return groups if nested else {}


def _is_nested(file: Path, encoding: str) -> bool:
    """Tell whether a json file is one object with ``data``: its first line is whole or not, so both are looked at."""
    head = ""
    for line in read_lines(file, encoding):
        head += line
        if len(head) > 4096:
            break
    if not head.lstrip().startswith("{"):
        return False
    try:
        first = json.loads(head.lstrip().split("\n", 1)[0])
    except json.JSONDecodeError:
        # Either a row cut at 4,096 characters, or one object over many lines; only the latter has paragraphs early.
        return '"paragraphs"' in head or ('"data"' in head and '"context"' not in head.split('"data"')[0])
    return isinstance(first, dict) and isinstance(first.get("data"), list)


def _read_nested(files: Sequence[Path], encoding: str) -> QuestionRows:
    rows: list[QuestionRow] = []
    parts = []
    for file in files:
        try:
            content = json.loads("".join(read_lines(file, encoding)))
        except json.JSONDecodeError as error:
            raise DataError(
                f"{file}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg}). It was probably cut "
                "off while it was copied; fetch it again."
            ) from None
        found = list(_questions_of(content, file))
        if not found:
            raise DataError(f"{file} holds no questions (data > paragraphs > qas).")
        rows += found
        parts.append(PlacePart(str(file), "question", np.arange(1, len(found) + 1, dtype=np.int64)))
    return QuestionRows(rows, RowPlaces(tuple(parts)))


def _questions_of(content: Any, file: Path) -> Iterator[QuestionRow]:
    """Walk through articles, paragraphs and questions of SQuAD v1.1 or v2.0."""
    articles = content.get("data") if isinstance(content, dict) else None
    if not isinstance(articles, list):
        raise DataError(f"{file}: expected an object with a list 'data' of articles, as SQuAD has it.")
    for number, article in enumerate(articles, 1):
        try:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    answers = question.get("answers") or []
                    yield QuestionRow(
                        identity=question.get("id"),
                        question=question["question"],
                        context=paragraph["context"],
                        texts=tuple(answer.get("text") for answer in answers),
                        starts=tuple(answer.get("answer_start") for answer in answers),
                        impossible=bool(question.get("is_impossible", False)),
                        title=article.get("title"),
                    )
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{file}, article {number}: expected paragraphs with context and qas, each with question and answers "
                f"({error!r})."
            ) from None


def _find_columns(split: SourceSplit, columns: Mapping[str, str | None]) -> dict[str, str]:
    """Return the names of the columns for context, question and answers."""
    there, place = split.dataset.column_names, split.places.name
    chosen: dict[str, str] = {}
    for what, names in _NAMES.items():
        wanted = columns.get(what)
        if wanted is not None and wanted not in there:
            raise DataError(
                f"{place} has no column {wanted!r} (--{what}_column).{did_you_mean(wanted, there)} Its columns are: "
                f"{', '.join(there)}."
            )
        by_name = {name.lower(): name for name in reversed(there)}
        found = wanted or next((by_name[name] for name in names if name in by_name), None)
        if found is None:
            raise DataError(
                f"{place} has no column for the {what} (such as {', '.join(names[:2])}). Its columns are: "
                f"{', '.join(there)}. Name it with --{what}_column."
            )
        chosen[what] = found
    return chosen


def _read_table(split: str, found: SourceSplit, columns: Mapping[str, str]) -> QuestionRows:
    table, place = found.dataset.data.table, found.places.name
    for column in columns.values():
        if column not in table.column_names:
            raise DataError(
                f"{place} ({split}) has no column {column!r}, which train has. Its columns are: "
                f"{', '.join(table.column_names)}."
            )
    names = [
        *columns.values(),
        *(name for name in ("id", "title", "is_impossible", *_STARTS) if name in table.column_names),
    ]
    rows = []
    for row in table.select(list(dict.fromkeys(names))).to_pylist():
        texts, starts = _answers_of(row, row[columns["answers"]])
        identity = row.get("id")
        rows.append(
            QuestionRow(
                identity=None if identity is None else str(identity),
                question=row[columns["question"]],
                context=row[columns["context"]],
                texts=tuple(texts),
                starts=tuple(starts),
                impossible=str(row.get("is_impossible", "")).lower() in ("true", "1"),
                title=row.get("title"),
            )
        )
    return QuestionRows(rows, found.places)


def _answers_of(row: Mapping[str, Any], answers: Any) -> tuple[list[Any], list[Any]]:
    """Return the texts and starts of the answers, whichever way the row holds them.

    Seen in the wild: one object of two lists (the Hub's SQuAD), a list of objects (the nested json), either of them as
    json in a csv cell, and a plain text with a column of starts beside it.
    """
    if isinstance(answers, str) and answers.lstrip().startswith(("{", "[")):
        with contextlib.suppress(json.JSONDecodeError):  # a text that begins with a bracket
            answers = json.loads(answers)
    if answers is None:
        return [], []
    if isinstance(answers, dict):
        return _listed(answers.get("text")), _listed(_first(answers))
    if isinstance(answers, list) and all(isinstance(answer, dict) for answer in answers):
        return [answer.get("text") for answer in answers], [_first(answer) for answer in answers]
    return _listed(answers), [_number(start) for start in _listed(_first(row))]


def _first(answer: Mapping[str, Any]) -> Any:
    """Return what stands under one of the names for the start of an answer."""
    return next((answer[name] for name in _STARTS if answer.get(name) is not None), None)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _number(value: Any) -> Any:
    """Return a whole number for the digits of a csv cell, anything else as it is."""
    return int(value) if isinstance(value, str) and value.strip().isdigit() else value
