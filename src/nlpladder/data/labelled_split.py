"""A source split whose texts and labels have been read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.data import checks
from nlpladder.data.columns import TextColumns, indicator_labels, joined_texts, listing
from nlpladder.data.labels import LabelCodec, choose_codec, distinct_values, is_missing
from nlpladder.data.source_split import SourceSplit
from nlpladder.errors import DataError, did_you_mean
from nlpladder.protocols import Task

if TYPE_CHECKING:
    import pyarrow as pa

_EVALUATION = ("validation", "test")


@dataclass(frozen=True)
class LabelledSplit:
    """A source split with its texts and labels.

    Attributes:
        source: The split as found.
        texts: The text of each row.
        digests: (rows,) a hash of each text.
        values: (rows,) class ids or numbers, or (rows, labels) zeros and ones.
        rows: The rows that have both a text and a label.
    """

    source: SourceSplit
    texts: pa.ChunkedArray
    digests: npt.NDArray[np.int64]
    values: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]


def table_of(split: SourceSplit) -> pa.Table:
    """Return the rows of a split as an Arrow table."""
    return split.dataset.data.table


def label_values(table: pa.Table, columns: TextColumns, place: str) -> pa.ChunkedArray:
    """Return the source labels of a table; several 0/1 columns become lists of names."""
    if len(columns.label) > 1:
        return indicator_labels(table, columns.label, place)
    return table.column(columns.label[0])


def evaluation_sources(
    splits: Mapping[str, SourceSplit], training_labels: Sequence[Any], columns: TextColumns, notes: list[str]
) -> dict[str, SourceSplit]:
    """Return those of validation and test that have labels; `notes` gets a sentence on each that has none.

    Raises:
        DataError: A split lacks a text column that the training rows have.
    """
    found = {}
    for split in _EVALUATION:
        if split not in splits:
            continue
        candidate = splits[split]
        table, place = table_of(candidate), candidate.places.name
        for name in columns.text:
            if name not in table.column_names:
                hint = did_you_mean(name, table.column_names)
                raise DataError(
                    f"{place} ({split}) has no text column {name!r}, which train has.{hint} {listing(table)}"
                )
        if any(name not in table.column_names for name in columns.label):
            notes.append(f"The {split} split of the source has no label column and is not used.")
        elif _is_unlabelled(label_values(table, columns, place), training_labels):
            notes.append(f"The {split} split of the source has no labels (all null or -1) and is not used.")
        else:
            found[split] = candidate
    return found


def _is_unlabelled(values: pa.ChunkedArray, training_labels: Sequence[Any]) -> bool:
    marks = {str(value).strip() for value in distinct_values(values)[0] if not is_missing(value)}
    return marks <= {"-1", "-1.0"} and not marks & {str(value).strip() for value in training_labels}


def declared_names(features: Any, columns: TextColumns) -> tuple[str, ...]:
    """Return the class names that the label column's feature declares, or none."""
    import datasets

    feature = features.get(columns.label[0]) if features and len(columns.label) == 1 else None
    feature = getattr(feature, "feature", feature)  # of a list of classes
    return tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else ()


def codec_of(
    training_labels: Sequence[Any], evaluation: Mapping[str, SourceSplit], columns: TextColumns, place: str,
    declared: tuple[str, ...], *, task: Task | None, separator: str | None,
) -> LabelCodec:  # fmt: skip
    """Decide what the labels are from the distinct values of all splits; see `choose_codec`."""
    others = [
        value
        for split in evaluation.values()
        for value in distinct_values(label_values(table_of(split), columns, split.places.name))[0]
    ]
    return choose_codec(
        training_labels, others, place=f"{place}: column {', '.join(map(repr, columns.label))}", task=task,
        separator=separator, declared=declared, multi_hot_names=columns.label if len(columns.label) > 1 else (),
    )  # fmt: skip


def read_labelled(
    split: str, source: SourceSplit, columns: TextColumns, codec: LabelCodec, *, drop_bad_rows: bool
) -> tuple[LabelledSplit, list[str]]:
    """Read and check the texts and labels of a split; return them with notes on dropped rows.

    Raises:
        DataError: Rows without text or label that may not be dropped, or labels that training does not know.
    """
    table, place = table_of(source), source.places.name
    texts = joined_texts(table, columns.text, place)
    encoded = codec.encode(label_values(table, columns, place))
    no_text = checks.without_text(texts)
    no_label = encoded.missing & ~no_text
    problems = checks.bad_row_sentences(
        source.places, np.flatnonzero(no_text), np.flatnonzero(no_label), ",".join(columns.label)
    )
    rows = np.flatnonzero(~(no_text | no_label))
    checks.refuse_bad_rows(f"{place} ({split}, {len(no_text)} rows)", problems, len(rows), drop=drop_bad_rows)
    checks.check_known_labels(split, source.places, encoded, codec)
    notes = [f"Dropped from {split}: {problem}." for problem in problems]
    return LabelledSplit(source, texts, checks.text_digests(texts), encoded.values, rows), notes


def read_all_labelled(
    sources: Mapping[str, SourceSplit], columns: TextColumns, codec: LabelCodec, *, drop_bad_rows: bool
) -> tuple[dict[str, LabelledSplit], list[str], list[str]]:
    """Read all splits, and go on after a mistake, so that one message can tell of all.

    Returns:
        The splits that could be read; notes on dropped rows; and complaints. With complaints the splits are for
        further checks only: their bad rows are left out.
    """
    splits: dict[str, LabelledSplit] = {}
    notes: list[str] = []
    complaints: list[str] = []
    for split, source in sources.items():
        for drop in dict.fromkeys((drop_bad_rows, True)):
            try:
                splits[split], dropped = read_labelled(split, source, columns, codec, drop_bad_rows=drop)
            except DataError as error:
                complaints += [str(error)] if str(error) not in complaints else []
                continue
            notes += dropped
            break
    return splits, notes, complaints


def refuse_all(complaints: Sequence[str]) -> None:
    """Refuse a data set with all that is wrong with it in one message.

    Raises:
        DataError: If there is a complaint.
    """
    if complaints:
        raise DataError(" Also: ".join(complaints))
