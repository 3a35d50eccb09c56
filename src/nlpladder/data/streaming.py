"""Labelled text that is read while training: the training rows stay in their files or on the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.data import checks
from nlpladder.data.chunks import Chunk
from nlpladder.data.columns import find_columns
from nlpladder.data.finished import finished_rows, label_feature, text_only
from nlpladder.data.hub import load_hub_splits
from nlpladder.data.labelled_split import codec_of, declared_names, evaluation_sources, read_labelled
from nlpladder.data.loading import LoadOptions, shrink, split_fractions
from nlpladder.data.readers import RowReader
from nlpladder.data.source_split import SourceSplit, collect
from nlpladder.data.sources import canonical_splits, find_splits, kind_of
from nlpladder.data.splits import strata_of, subset
from nlpladder.data.stream_scan import HubRows, Scan, StreamRecipe, distinct_labels, scan_stream
from nlpladder.data.text_dataset import TextDataset, content_fingerprint, split_digests
from nlpladder.errors import DataError

if TYPE_CHECKING:
    import datasets


def stream_text_dataset(source: str, options: LoadOptions) -> TextDataset:
    """Load a data set whose training rows are read anew in each epoch; see `load_text_dataset`.

    Files are scanned before training, once for the label names and once for all checks, so that a broken row is an
    error here. A Hub data set that has evaluation splits and declares its classes is not scanned.
    """
    hub = kind_of(source) == "hub"
    readers, found_notes = _hub_readers(source, options) if hub else _file_readers(source, options)
    if "train" not in readers:
        raise DataError(f"{source} has no training split, only {', '.join(readers)}.")
    train = readers.pop("train")
    place = train[0].name
    head = next(train[0].chunks(), None)
    if head is None:
        raise DataError(f"{place} holds no rows.")
    columns = find_columns(head.table, place=place, text_column=options.text_column, label_column=options.label_column)
    declared = declared_names(_features(train[0], head), columns)
    training_labels = list(range(len(declared))) if declared and hub else distinct_labels(train, columns)
    others = {split: collect(group) for split, group in readers.items()}
    notes = [*found_notes, *columns.notes]
    evaluation = evaluation_sources(others, training_labels, columns, notes)
    codec = codec_of(
        training_labels, evaluation, columns, place, declared, task=options.task, separator=options.label_separator
    )
    cut, split_notes = split_fractions({"train", *evaluation}, options)
    notes += [*codec.notes, *split_notes]
    if "test" not in evaluation and "validation" in evaluation:
        evaluation["test"] = evaluation.pop("validation")
    recipe = StreamRecipe(columns, codec, tuple(cut.items()), options.split_seed)
    finished, digests, more = _evaluate(evaluation, recipe, options)
    notes += more
    scan = None
    if cut or not (hub and declared):
        limited = bool(options.max_train_samples) and not hub
        known = np.concatenate([np.zeros(0, dtype=np.int64), *digests.values()])
        scan = scan_stream(train, recipe, drop_bad_rows=options.drop_bad_rows, keep_labels=limited, evaluation=known)
        cut_rows, cut_digests, more = _evaluate(scan.evaluation(), recipe, options)
        finished.update(cut_rows)
        notes += [*scan.notes, *_scan_notes(scan, recipe, {**digests, **cut_digests}, place), *more]
        if limited:
            recipe, more = _limited(scan, recipe, options)
            notes += more
    finished = {split: finished[split] for split in ("validation", "test")}
    if "unlabeled" in others:
        finished["unlabeled"], more = text_only(others["unlabeled"], columns.text)
        notes += more
    stream = _hub_stream(train[0], recipe) if hub else _file_stream(train, recipe)
    if hub and options.max_train_samples:
        stream = stream.take(options.max_train_samples)
        notes.append(f"train is the first {options.max_train_samples} rows of the stream.")
    if scan is None:
        notes.append("The training rows were not scanned: the fingerprint covers their name, not their content.")
    return TextDataset(
        name=source, splits={"train": stream, **finished}, task=codec.task, label_names=codec.names,
        text_columns=columns.text, label_column=",".join(columns.label), notes=tuple(dict.fromkeys(notes)),
        fingerprint=_fingerprint(source, scan, finished, recipe, options), streaming=True,
        streamed_label_counts=() if scan is None else tuple(scan.counts.tolist()),
    )  # fmt: skip


def _file_readers(source: str, options: LoadOptions) -> tuple[dict[str, list[RowReader]], tuple[str, ...]]:
    found = find_splits(Path(source).expanduser(), options.encoding)
    return dict(found.readers), found.notes


def _hub_readers(source: str, options: LoadOptions) -> tuple[dict[str, list[RowReader]], tuple[str, ...]]:
    repo_id = source.removeprefix("hub:")
    found = load_hub_splits(repo_id, config=options.config, revision=options.revision, streaming=True)
    chosen, notes = canonical_splits(found)
    return {split: [HubRows(found[name], f"{repo_id} ({name})")] for split, name in chosen.items()}, notes


def _features(reader: RowReader, head: Chunk) -> Any:
    import datasets

    features = reader.rows.features if isinstance(reader, HubRows) else None
    return features or datasets.Features.from_arrow_schema(head.table.schema)


def _evaluate(
    evaluation: dict[str, SourceSplit], recipe: StreamRecipe, options: LoadOptions
) -> tuple[dict[str, datasets.Dataset], dict[str, npt.NDArray[np.int64]], list[str]]:
    """Return the finished evaluation splits, the hashes of their texts, and notes."""
    splits, notes = {}, []
    for split, found in evaluation.items():
        splits[split], dropped = read_labelled(
            split, found, recipe.columns, recipe.codec, drop_bad_rows=options.drop_bad_rows
        )
        notes += dropped
    planned = {split: (split, labelled.rows) for split, labelled in splits.items()}
    notes += shrink(splits, planned, recipe.codec, options)
    finished = {
        split: finished_rows(found.source, found.texts, found.values, planned[split][1], recipe.columns, recipe.codec)
        for split, found in splits.items()
    }
    return finished, {split: found.digests[planned[split][1]] for split, found in splits.items()}, notes


def _scan_notes(scan: Scan, recipe: StreamRecipe, digests: dict[str, npt.NDArray[np.int64]], place: str) -> list[str]:
    notes = []
    if recipe.cut:
        notes.append(
            "A stream is cut by a hash of each text: the shares are near the given ones, copies stay together."
        )
    if recipe.codec.task != "regression":
        checks.check_class_counts(place, scan.counts, scan.rows, recipe.codec, parts=1)
        notes += checks.class_notes(scan.counts, recipe.codec)
    seen = np.concatenate(scan.seen) if scan.seen else np.zeros(0, dtype=np.int64)
    return notes + checks.duplicate_notes({"train": np.unique(seen), **digests})


def _limited(scan: Scan, recipe: StreamRecipe, options: LoadOptions) -> tuple[StreamRecipe, list[str]]:
    """Keep a stratified subset of the training rows: the numbers of its rows are remembered."""
    limit = options.max_train_samples or scan.rows
    if limit >= scan.rows:
        return recipe, []
    values = np.concatenate(scan.values)
    chosen = subset(strata_of(values, recipe.codec.task), limit, options.split_seed, at_least=1)
    mask = np.zeros(scan.rows, dtype=bool)
    mask[chosen] = True
    kept: dict[str, npt.NDArray[np.int64]] = {}
    start = 0
    for name, numbers in scan.numbers:
        taken = numbers[mask[start : start + len(numbers)]]
        kept[name] = np.concatenate([kept.get(name, np.zeros(0, dtype=np.int64)), taken])
        start += len(numbers)
    if recipe.codec.task != "regression":
        scan.counts = checks.class_counts(values[chosen], recipe.codec)
    note = f"train is a stratified subset of {limit} of its {scan.rows} rows (seed {options.split_seed})."
    return replace(recipe, kept=kept), [note]


def _fingerprint(
    source: str, scan: Scan | None, finished: dict[str, datasets.Dataset], recipe: StreamRecipe, options: LoadOptions
) -> str:
    digests = split_digests(finished, recipe.codec.names)
    if scan is None:
        digests["train"] = hashlib.sha256(f"{source} {options.config} {options.revision}".encode()).hexdigest()
    else:
        digests["train"] = scan.digest.hexdigest()
        if recipe.kept is not None:
            digests["train subset"] = f"{options.max_train_samples} {options.split_seed}"
    return content_fingerprint(digests)


def _file_stream(readers: list[RowReader], recipe: StreamRecipe) -> datasets.IterableDataset:
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": label_feature(recipe.codec)})
    arguments = {"readers": readers, "recipe": recipe}
    return datasets.IterableDataset.from_generator(training_examples, features=features, gen_kwargs=arguments)


def training_examples(readers: list[RowReader], recipe: StreamRecipe) -> Iterator[dict[str, Any]]:
    """Yield the training rows of some files; `datasets` shards the list of files over workers."""
    for reader in readers:
        for chunk in reader.chunks():
            for text, label in zip(*recipe.training_rows(chunk, reader.name), strict=True):
                yield {"text": text, "label": label}


def _hub_stream(reader: RowReader, recipe: StreamRecipe) -> datasets.IterableDataset:
    import datasets
    import pyarrow as pa

    if not isinstance(reader, HubRows):
        raise TypeError(f"expected rows of the Hub, got {type(reader).__name__}")

    def prepare(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        table = pa.table({name: pa.array(values) for name, values in batch.items()})
        texts, labels = recipe.training_rows(Chunk(table, np.arange(table.num_rows)), reader.name)
        return {"text": texts, "label": labels}

    features = datasets.Features({"text": datasets.Value("string"), "label": label_feature(recipe.codec)})
    names = reader.rows.column_names or list(next(iter(reader.rows)))
    return reader.rows.map(prepare, batched=True, remove_columns=names, features=features)
