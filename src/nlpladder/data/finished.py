"""The rows that a model sees: `text` and `label` first, the other source columns behind."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.data.checks import without_text
from nlpladder.data.columns import TextColumns, joined_texts, typed_columns
from nlpladder.data.labels import LabelCodec
from nlpladder.data.source_split import SourceSplit
from nlpladder.errors import DataError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


def label_feature(codec: LabelCodec) -> Any:
    """Return the `datasets` feature of the label column."""
    import datasets

    if codec.task == "single_label":
        return datasets.ClassLabel(names=list(codec.names))
    return datasets.List(datasets.Value("float32")) if codec.task == "multi_label" else datasets.Value("float64")


def label_column(values: npt.NDArray[Any]) -> pa.Array:
    """Turn (rows,) or (rows, labels) labels into an Arrow array, lists for the latter."""
    import pyarrow as pa

    if values.ndim == 1:
        return pa.array(values)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(-1)))  # (rows * labels,)


def finished_rows(
    split: SourceSplit, texts: pa.ChunkedArray, values: npt.NDArray[Any], rows: npt.NDArray[np.int64],
    columns: TextColumns, codec: LabelCodec,
) -> datasets.Dataset:  # fmt: skip
    """Return the given rows with `text` and `label`, and every other source column.

    A source column that is called text or label and is neither is kept under another name (``source_text``).
    """
    dataset = split.dataset
    in_memory = not dataset.cache_files
    fingerprint = _derived(dataset, columns, codec, values)
    if split.untyped and in_memory:
        dataset = _from_table(typed_columns(dataset.data.table, (*columns.text, *columns.label)), fingerprint)
    if len(columns.label) == 1:
        dataset = dataset.remove_columns(list(columns.label))
    own_text = len(columns.text) == 1 and dataset.data.schema.field(columns.text[0]).type == "string"
    taken = {name: f"source_{name}" for name in ("text", "label") if name in dataset.column_names}
    if own_text and columns.text[0] == "text":
        taken.pop("text", None)
    elif len(columns.text) == 1 and not own_text:
        dataset = dataset.remove_columns(list(columns.text))
        taken = {name: new for name, new in taken.items() if name in dataset.column_names}
    dataset = dataset.rename_columns(taken) if taken else dataset
    if own_text and columns.text[0] != "text":
        dataset = dataset.rename_column(columns.text[0], "text")
    elif not own_text:
        dataset = dataset.add_column("text", texts, new_fingerprint=fingerprint)
    dataset = dataset.add_column(
        "label", label_column(values), new_fingerprint=fingerprint, feature=label_feature(codec)
    )
    others = [name for name in dataset.column_names if name not in ("text", "label")]
    return take_rows(dataset.select_columns(["text", "label", *others]), rows, in_memory=in_memory)


def take_rows(dataset: datasets.Dataset, rows: npt.NDArray[np.int64], *, in_memory: bool) -> datasets.Dataset:
    """Return some rows: copied when the table is in memory, through an index when it is a mapped file."""
    if len(rows) == len(dataset):
        return dataset
    if not in_memory:
        return dataset.select(rows)
    identity = hashlib.sha256(dataset._fingerprint.encode() + rows.tobytes()).hexdigest()[:16]
    return _from_table(dataset.data.table.take(rows), identity, features=dataset.features)


def text_only(split: SourceSplit, text_columns: tuple[str, ...]) -> tuple[datasets.Dataset, list[str]]:
    """Return the texts of an unlabelled split as the column `text`, empty ones dropped, and notes on those.

    Raises:
        DataError: A text column is absent, or no text is left.
    """
    table = split.dataset.data.table
    absent = [name for name in text_columns if name not in table.column_names]
    if absent:
        raise DataError(
            f"{split.places.name}: the unlabelled rows have no column {absent[0]!r} "
            f"(columns: {', '.join(table.column_names)})."
        )
    texts = joined_texts(table, text_columns, split.places.name)
    return texts_dataset(texts, split)


def texts_dataset(texts: pa.ChunkedArray, split: SourceSplit) -> tuple[datasets.Dataset, list[str]]:
    """Make a data set of one column `text`, without the empty texts; return it with a note on how many those were."""
    import pyarrow as pa

    empty = without_text(texts)
    if empty.all():
        raise DataError(f"{split.places.name} has no text that is not empty.")
    kept = texts.filter(pa.array(~empty)) if empty.any() else texts
    fingerprint = hashlib.sha256(f"{split.dataset._fingerprint} text only".encode()).hexdigest()[:16]
    notes = [f"Left out {int(empty.sum())} empty texts of {split.places.name}."] if empty.any() else []
    return _from_table(pa.table({"text": kept}), fingerprint), notes


def _from_table(table: pa.Table, fingerprint: str, features: Any = None) -> datasets.Dataset:
    import datasets

    info = datasets.DatasetInfo(features=features.copy()) if features is not None else None
    return datasets.Dataset(table, info=info, fingerprint=fingerprint)


def _derived(dataset: datasets.Dataset, columns: TextColumns, codec: LabelCodec, values: npt.NDArray[Any]) -> str:
    """Name the result after what it is made from, so that the cache of `Dataset.map` works over runs."""
    what = f"{dataset._fingerprint} {columns.text} {columns.label} {codec.task} {codec.names}"
    return hashlib.sha256(what.encode() + values.tobytes()).hexdigest()[:16]
