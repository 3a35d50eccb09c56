"""A labelled text data set, ready for training, with the story of how it was read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.protocols import Task

if TYPE_CHECKING:
    import datasets

_BATCH = 10_000
_SHOWN_LABELS = 30


@dataclass(frozen=True)
class TextDataset:
    """Splits of labelled text: column `text` (str) and `label` (class id, multi-hot list, or float) in each.

    Attributes:
        name: What the user asked for.
        splits: ``train``, ``validation`` and ``test``, and ``unlabeled`` (text only) where there is one. With
            `streaming`, ``train`` is an `IterableDataset`.
        task: What the labels are.
        label_names: Class names in the order of their ids; empty for regression.
        text_columns: The source columns that the text came from.
        label_column: The source column (or comma-joined 0/1 columns) of the label.
        notes: How columns were found and splits made, what was dropped, copies between splits; in sentences.
        fingerprint: SHA-256 of texts, labels and split names in order; the same over machines and file formats.
        ceilings: The best that models can reach, where it is known (worlds).
        streaming: Whether the training rows are read while training.
        streamed_label_counts: Training rows of each class, where they were counted while scanning a stream.
    """

    name: str
    splits: dict[str, datasets.Dataset]
    task: Task
    label_names: tuple[str, ...]
    text_columns: tuple[str, ...]
    label_column: str | None
    notes: tuple[str, ...]
    fingerprint: str
    ceilings: dict[str, float] = field(default_factory=dict)
    streaming: bool = False
    streamed_label_counts: tuple[int, ...] = ()

    @property
    def id2label(self) -> dict[int, str]:
        """Class names by id."""
        return dict(enumerate(self.label_names))

    @property
    def label2id(self) -> dict[str, int]:
        """Class ids by name."""
        return {name: position for position, name in enumerate(self.label_names)}

    def label_table(self) -> list[dict[str, Any]]:
        """Return one row a class: its label, id, and the number of rows that have it in each split.

        A count is None where the rows of a stream were not counted. Empty for regression.
        """
        counts: dict[str, Sequence[int | None]] = {}
        for split, rows in self.splits.items():
            if split == "unlabeled" or self.task == "regression":
                continue
            if self.streaming and split == "train":
                counts[split] = self.streamed_label_counts or [None] * len(self.label_names)
            else:
                counts[split] = self._counts(rows)
        return [
            {"label": name, "id": position, **{split: counts[split][position] for split in counts}}
            for position, name in enumerate(self.label_names)
        ]

    def describe(self) -> str:
        """Return the text that is printed before training: sizes, labels, notes and fingerprint."""
        lines = [f"{self.name}: {self.task.replace('_', '-')} text classification"]
        if self.task == "regression":
            lines = [f"{self.name}: regression on texts"]
        sizes = [f"{split} {self._size(split)}" for split in self.splits]
        lines.append(f"  rows: {', '.join(sizes)}")
        table = self.label_table()
        if table:
            lines += _aligned(table[:_SHOWN_LABELS])
            if len(table) > _SHOWN_LABELS:
                lines.append(f"  … and {len(table) - _SHOWN_LABELS} more labels")
        elif not self.streaming:
            values = np.concatenate([label_array(rows) for split, rows in self.splits.items() if split != "unlabeled"])
            lines.append(f"  labels: {values.min():g} to {values.max():g}, mean {values.mean():g}")
        lines += [f"  best possible {metric}: {value:.4f}" for metric, value in self.ceilings.items()]
        lines += [f"  - {note}" for note in self.notes]
        lines.append(f"  fingerprint: {self.fingerprint[:16]}")
        return "\n".join(lines)

    def _size(self, split: str) -> str:
        if self.streaming and split == "train":
            return "(streamed)"
        return f"{len(self.splits[split]):,}"

    def _counts(self, rows: datasets.Dataset) -> list[int]:
        values = label_array(rows)
        if self.task == "multi_label":
            return [int(count) for count in values.sum(axis=0)]
        return np.bincount(values.astype(np.int64), minlength=len(self.label_names)).tolist()


def label_array(rows: datasets.Dataset) -> np.ndarray[Any, Any]:
    """Return the labels of a split: (rows,) ids or numbers, or (rows, labels) zeros and ones."""
    parts = [
        np.asarray(batch.column("label").to_pylist())
        for batch in rows.select_columns(["label"]).with_format("arrow").iter(_BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def content_fingerprint(splits: Mapping[str, str]) -> str:
    """Return the SHA-256 over split names and the digests of their rows."""
    return hashlib.sha256("".join(f"{split}:{splits[split]}\n" for split in sorted(splits)).encode()).hexdigest()


def split_digests(splits: Mapping[str, datasets.Dataset], label_names: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of each split: text and label of each row, in order."""
    digests = {}
    for split, rows in splits.items():
        digest = SplitDigest(label_names)
        columns = [name for name in ("text", "label") if name in rows.column_names]
        for batch in rows.select_columns(columns).with_format("arrow").iter(_BATCH):
            texts = batch.column("text").to_pylist()
            labels = batch.column("label").to_pylist() if "label" in columns else [None] * len(texts)
            digest.update(texts, labels)
        digests[split] = digest.hexdigest()
    return digests


class SplitDigest:
    """A running SHA-256 over the rows of one split."""

    def __init__(self, label_names: Sequence[str]) -> None:
        self._names = tuple(label_names)
        self._digest = hashlib.sha256()

    def update(self, texts: Sequence[str], labels: Sequence[Any]) -> None:
        """Add rows; a label is a class id, a multi-hot list, a float, or None."""
        for text, label in zip(texts, labels, strict=True):
            encoded, written = text.encode(), self._written(label).encode()
            # Lengths first: no two different rows may write the same bytes.
            self._digest.update(b"%d,%d:" % (len(encoded), len(written)))
            self._digest.update(encoded)
            self._digest.update(written)

    def hexdigest(self) -> str:
        """Return the digest of the rows so far."""
        return self._digest.hexdigest()

    def _written(self, label: Any) -> str:
        if label is None:
            return ""
        if isinstance(label, int | np.integer):
            return self._names[label]
        if isinstance(label, float):
            return repr(float(label))
        return "\n".join(sorted(name for name, flag in zip(self._names, label, strict=True) if flag))


def _aligned(table: list[dict[str, Any]]) -> list[str]:
    header = list(table[0])
    cells = [header, *([("?" if row[name] is None else str(row[name])) for name in header] for row in table)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    return [
        "  " + "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in cells
    ]
