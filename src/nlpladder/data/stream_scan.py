"""What is done with each chunk of a training stream: once to check it, and in every epoch to feed it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.data import checks
from nlpladder.data.chunks import Chunk
from nlpladder.data.columns import TextColumns, joined_texts
from nlpladder.data.labelled_split import label_values
from nlpladder.data.labels import EncodedLabels, LabelCodec, distinct_values
from nlpladder.data.readers import RowReader
from nlpladder.data.source_split import PlacePart, RowPlaces, SourceSplit, conform, place_part, unified_schema
from nlpladder.data.text_dataset import SplitDigest

if TYPE_CHECKING:
    import pyarrow as pa

IntArray = npt.NDArray[np.int64]
_MANY_DISTINCT = 100_000


@dataclass(frozen=True)
class HubRows:
    """Rows of one split that is streamed from the Hub."""

    rows: Any
    name: str
    unit: str = "row"
    notes: tuple[str, ...] = ()

    def chunks(self) -> Iterator[Chunk]:
        """Yield all rows."""
        start = 0
        for table in self.rows.with_format("arrow").iter(batch_size=1000):
            yield Chunk(table, np.arange(start + 1, start + 1 + table.num_rows, dtype=np.int64))
            start += table.num_rows


@dataclass(frozen=True)
class StreamRecipe:
    """How source rows become training rows.

    Attributes:
        columns: Where text and label are.
        codec: What the label means.
        cut: Splits that are cut out of the training rows by a hash of the text, with their shares.
        seed: Seed of that hash.
        kept: For each reader by name, the numbers of the rows to keep; None keeps all.
    """

    columns: TextColumns
    codec: LabelCodec
    cut: tuple[tuple[str, float], ...] = ()
    seed: int = 42
    kept: dict[str, IntArray] | None = None

    def read(self, table: pa.Table, place: str) -> tuple[pa.ChunkedArray, EncodedLabels, IntArray]:
        """Return texts, labels, and the part of each row: 0 is training, i the i-th split of `cut`."""
        table = with_columns(table, self.columns)
        texts = joined_texts(table, self.columns.text, place)
        labels = self.codec.encode(label_values(table, self.columns, place))
        if not self.cut:
            return texts, labels, np.zeros(len(texts), dtype=np.int64)
        share = checks.text_digests(texts, self.seed).astype(np.uint64) / 2**64
        edges = np.cumsum([fraction for _, fraction in self.cut])
        part = (np.searchsorted(edges, share, side="right") + 1) % (len(self.cut) + 1)
        return texts, labels, part

    def training_rows(self, chunk: Chunk, reader_name: str) -> tuple[list[str], list[Any]]:
        """Return texts and labels of the good training rows of a chunk."""
        texts, labels, part = self.read(chunk.table, reader_name)
        good = ~(checks.without_text(texts) | labels.missing) & (part == 0)
        if self.kept is not None:
            good &= np.isin(chunk.numbers, self.kept[reader_name])
        rows = np.flatnonzero(good)
        return texts.take(rows).to_pylist(), labels.values[rows].tolist()


@dataclass
class Scan:
    """What one pass over the training rows found.

    Attributes:
        digest: Hash of the training rows, in order.
        parts: Tables and places of the rows of each cut split.
        counts: (labels,) training rows of each class.
        rows: How many training rows there are.
        seen: Hashes of evaluation texts that occur in training.
        values: Labels of the training rows, chunk by chunk, where they are needed for a subset.
        numbers: Reader name and row numbers of these.
        notes: Sentences on dropped rows.
    """

    digest: SplitDigest
    counts: IntArray
    parts: dict[str, list[tuple[pa.Table, PlacePart]]] = field(default_factory=dict)
    rows: int = 0
    seen: list[IntArray] = field(default_factory=list)
    values: list[npt.NDArray[Any]] = field(default_factory=list)
    numbers: list[tuple[str, IntArray]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def evaluation(self) -> dict[str, SourceSplit]:
        """Return the cut splits as source splits."""
        import datasets
        import pyarrow as pa

        found = {}
        for split, pieces in self.parts.items():
            schema = unified_schema([table.schema for table, _ in pieces])
            table = pa.concat_tables([conform(table, schema) for table, _ in pieces])
            places = RowPlaces(tuple(part for _, part in pieces))
            found[split] = SourceSplit(datasets.Dataset(table, fingerprint=f"cut-{split}"), places)
        return found


def with_columns(table: pa.Table, columns: TextColumns) -> pa.Table:
    """Add the text and label columns that no row of a chunk of JSON has, as nulls."""
    import pyarrow as pa

    for name in (*columns.text, *columns.label):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows))
    return table


def distinct_labels(readers: Sequence[RowReader], columns: TextColumns) -> list[Any]:
    """Return the distinct label values of a stream, or the first 100,000 of them (then they are numbers)."""
    found: dict[Any, None] = {}
    for reader in readers:
        for chunk in reader.chunks():
            values = label_values(with_columns(chunk.table, columns), columns, reader.name)
            found.update(dict.fromkeys(distinct_values(values)[0]))
            if len(found) > _MANY_DISTINCT:
                return list(found)
    return list(found)


def scan_stream(
    readers: Sequence[RowReader], recipe: StreamRecipe, *, drop_bad_rows: bool, keep_labels: bool, evaluation: IntArray
) -> Scan:
    """Read all training rows once: check them, count and hash them, and take out the rows of cut splits.

    Args:
        readers: The training files.
        recipe: How rows are read.
        drop_bad_rows: Whether rows without text or label are left out instead of refused.
        keep_labels: Whether the labels are remembered, for a subset.
        evaluation: Hashes of the evaluation texts, to find copies.

    Raises:
        DataError: Broken rows, rows without text or label, or unknown numbers.
    """
    scan = Scan(SplitDigest(recipe.codec.names), np.zeros(len(recipe.codec.names), dtype=np.int64))
    bad: dict[bool, list[PlacePart]] = {True: [], False: []}
    for reader in readers:
        for chunk in reader.chunks():
            texts, labels, part = recipe.read(chunk.table, reader.name)
            everywhere = place_part(reader, chunk.numbers)
            checks.check_known_labels("train", RowPlaces((everywhere,)), labels, recipe.codec)
            no_text = checks.without_text(texts)
            for is_text, mask in ((True, no_text), (False, labels.missing & ~no_text)):
                bad[is_text].append(place_part(reader, chunk.numbers[mask]))
            good = ~(no_text | labels.missing)
            for position, (split, _) in enumerate(recipe.cut, 1):
                rows = np.flatnonzero(good & (part == position))
                piece = (chunk.table.take(rows), place_part(reader, chunk.numbers[rows]))
                scan.parts.setdefault(split, []).append(piece)
            rows = np.flatnonzero(good & (part == 0))
            _remember(scan, recipe, texts.take(rows), labels.values[rows], evaluation)
            if keep_labels:
                scan.values.append(labels.values[rows])
                scan.numbers.append((reader.name, chunk.numbers[rows]))
    parts = [*bad[True], *bad[False]]
    empty = sum(len(part.numbers) for part in bad[True])
    total = sum(len(part.numbers) for part in parts)
    problems = checks.bad_row_sentences(
        RowPlaces(_merged(parts)), np.arange(empty), np.arange(empty, total), ",".join(recipe.columns.label)
    )
    names = ", ".join(reader.name for reader in readers)
    checks.refuse_bad_rows(f"{names} (train)", problems, scan.rows, drop=drop_bad_rows)
    scan.notes += [f"Dropped from train: {problem}." for problem in problems]
    return scan


def _remember(
    scan: Scan, recipe: StreamRecipe, texts: pa.ChunkedArray, values: npt.NDArray[Any], evaluation: IntArray
) -> None:
    scan.digest.update(texts.to_pylist(), values.tolist())
    scan.rows += len(texts)
    if recipe.codec.task != "regression":
        scan.counts += checks.class_counts(values, recipe.codec)
    digests = checks.text_digests(texts)
    scan.seen.append(np.unique(digests[np.isin(digests, evaluation)]))


def _merged(parts: list[PlacePart]) -> tuple[PlacePart, ...]:
    """Join the pieces of one file, so that an error names it once."""
    if len({part.name for part in parts}) != 1 or not parts:
        return tuple(part for part in parts if len(part.numbers)) or tuple(parts[:1])
    numbers = np.concatenate([part.numbers for part in parts])
    return (PlacePart(parts[0].name, parts[0].unit, numbers, parts[0].files),)
