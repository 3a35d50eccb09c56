"""`load_text_dataset`: one call for every labelled text data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nlpladder.data import checks
from nlpladder.data.columns import find_columns
from nlpladder.data.finished import finished_rows, text_only
from nlpladder.data.labelled_split import (
    LabelledSplit,
    codec_of,
    declared_names,
    evaluation_sources,
    label_values,
    read_all_labelled,
    refuse_all,
    table_of,
)
from nlpladder.data.labels import LabelCodec, distinct_values
from nlpladder.data.reading import ReadSource, is_saved_dataset, read_source
from nlpladder.data.sources import kind_of
from nlpladder.data.splits import cut, strata_of, subset
from nlpladder.data.text_dataset import TextDataset, content_fingerprint, split_digests
from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.protocols import Task

IntArray = npt.NDArray[np.int64]
_EVALUATION = ("validation", "test")


@dataclass(frozen=True)
class LoadOptions:
    """The arguments of `load_text_dataset`, which documents them."""

    config: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    label_separator: str | None = None
    task: Task | None = None
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    split_seed: int = 42
    max_train_samples: int | None = None
    max_eval_samples: int | None = None
    drop_bad_rows: bool = False
    encoding: str = "utf-8"
    revision: str | None = None

    def __post_init__(self) -> None:
        tasks = ("single_label", "multi_label", "regression")
        if self.task is not None and self.task not in tasks:
            raise ConfigError(f"Unknown task {self.task!r}.{did_you_mean(self.task, tasks)} Known: {', '.join(tasks)}.")
        for name in ("validation_fraction", "test_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} must lie between 0 and 1, got {getattr(self, name)}.")
        for name in ("max_train_samples", "max_eval_samples"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}.")
        if self.label_separator == "":
            raise ConfigError("label_separator must not be empty.")


def load_text_dataset(
    source: str, *, config: str | None = None, text_column: str | None = None, label_column: str | None = None,
    label_separator: str | None = None, task: Task | None = None, validation_fraction: float = 0.1,
    test_fraction: float = 0.2, split_seed: int = 42, max_train_samples: int | None = None,
    max_eval_samples: int | None = None, drop_bad_rows: bool = False, streaming: bool = False,
    encoding: str = "utf-8", revision: str | None = None,
) -> TextDataset:  # fmt: skip
    """Load a labelled text data set from a file, a folder, the Hugging Face Hub or a built-in world.

    Args:
        source: A csv, tsv, json, jsonl, parquet or fastText file, plain or gzip; a folder of files named by split, of
            class folders with one text a file, or written by `save_to_disk`; a Hub id such as ``stanfordnlp/sst2``
            (``hub:name`` where a path has the same name); or ``world:reviews?train=2000&seed=1``.
        config: The configuration of a Hub data set, for example ``"sst2"`` of ``nyu-mll/glue``.
        text_column: The text column, or several separated by commas, which are joined by a newline. By default found
            by name, then by type.
        label_column: The label column, or several 0/1 columns separated by commas (multi-label).
        label_separator: What separates several labels in one string; makes the task multi-label.
        task: What the labels are; by default decided from their type.
        validation_fraction: The share of rows for validation where the source has none.
        test_fraction: The share of rows for test where the source has neither validation nor test.
        split_seed: Seed of the cut and of the subsets.
        max_train_samples: At most so many training rows: a stratified subset.
        max_eval_samples: At most so many rows of validation and of test: stratified subsets.
        drop_bad_rows: Whether rows without text or label are dropped (and noted) instead of refused.
        streaming: Whether the training rows are read anew in each epoch instead of being loaded.
        encoding: The encoding of text files.
        revision: A branch, tag or commit of a Hub data set.

    Returns:
        The data set; its notes say how columns and splits were found.

    Raises:
        DataError: The data cannot be used as it is; names the file, the row and what to do.
        ConfigError: An argument makes no sense.
    """
    options = LoadOptions(
        config, text_column, label_column, label_separator, task, validation_fraction, test_fraction, split_seed,
        max_train_samples, max_eval_samples, drop_bad_rows, encoding, revision,
    )  # fmt: skip
    if streaming and kind_of(source) != "world" and not is_saved_dataset(Path(source).expanduser()):
        from nlpladder.data.streaming import stream_text_dataset

        return stream_text_dataset(source, options)
    loaded = build_dataset(source, read_source(source, config=config, revision=revision, encoding=encoding), options)
    if not streaming:
        return loaded
    counts = tuple(row["train"] for row in loaded.label_table())
    splits = {**loaded.splits, "train": loaded.splits["train"].to_iterable_dataset()}
    return replace(loaded, splits=splits, streaming=True, streamed_label_counts=counts)


def build_dataset(source: str, read: ReadSource, options: LoadOptions) -> TextDataset:
    """Turn the splits of a source into a `TextDataset`: columns, labels, checks, splits, subsets."""
    if "train" not in read.splits:
        raise DataError(
            f"{source} has no training split, only {', '.join(read.splits)}. Name the training file train, or give one "
            "file, which is then cut into splits."
        )
    train = read.splits["train"]
    columns = find_columns(
        table_of(train), place=train.places.name, text_column=options.text_column, label_column=options.label_column
    )
    notes = [*read.notes, *columns.notes]
    training_labels = distinct_values(label_values(table_of(train), columns, train.places.name))[0]
    evaluation = evaluation_sources(read.splits, training_labels, columns, notes)
    codec = codec_of(
        training_labels, evaluation, columns, train.places.name, declared_names(train.dataset.features, columns),
        task=options.task, separator=options.label_separator,
    )  # fmt: skip
    notes += codec.notes
    splits, dropped, complaints = read_all_labelled(
        {"train": train, **evaluation}, columns, codec, drop_bad_rows=options.drop_bad_rows
    )
    notes += dropped
    if complaints and "train" not in splits:
        refuse_all(complaints)
    try:
        rows_of, split_notes = plan_splits(splits, codec, options)
    except DataError as error:
        if not complaints:
            raise
        refuse_all([*complaints, str(error)])
    refuse_all(complaints)
    notes += split_notes
    notes += shrink(splits, rows_of, codec, options)
    finished = {
        split: finished_rows(splits[origin].source, splits[origin].texts, splits[origin].values, rows, columns, codec)
        for split, (origin, rows) in rows_of.items()
    }
    digests = {split: splits[origin].digests[rows] for split, (origin, rows) in rows_of.items()}
    notes += checks.duplicate_notes(digests)
    if "unlabeled" in read.splits:
        finished["unlabeled"], dropped = text_only(read.splits["unlabeled"], columns.text)
        notes += dropped
    return TextDataset(
        name=source, splits=finished, task=codec.task, label_names=codec.names, text_columns=columns.text,
        label_column=",".join(columns.label), notes=tuple(dict.fromkeys(notes)),
        fingerprint=content_fingerprint(split_digests(finished, codec.names)), ceilings=read.ceilings,
    )  # fmt: skip


def plan_splits(
    splits: dict[str, LabelledSplit], codec: LabelCodec, options: LoadOptions
) -> tuple[dict[str, tuple[str, IntArray]], list[str]]:
    """Say for train, validation and test from which source split and from which of its rows they come."""
    train = splits["train"]
    planned = {split: (split, found.rows) for split, found in splits.items()}
    missing, notes = split_fractions(set(splits), options)
    if "test" not in splits and "validation" in splits:
        planned["test"] = planned.pop("validation")
    values = train.values[train.rows]
    place = train.source.places.name
    places = train.source.places

    def where(label: int) -> str:
        return places.first(train.rows[values == label])

    if not missing:
        return planned, [*notes, *checks.check_classes(place, values, codec, parts=1, where=where)]
    copies = train.digests[train.rows]
    _, first = np.unique(copies, return_index=True)
    notes += checks.check_classes(place, values[np.sort(first)], codec, parts=len(missing) + 1, where=where)
    strata = strata_of(values, codec.task)
    parts = cut(strata, copies, tuple(missing.values()), options.split_seed, every_stratum=codec.task == "single_label")
    for split, rows in zip(("train", *missing), parts, strict=True):
        planned[split] = ("train", train.rows[rows])
    if len(first) < len(copies):
        notes.append(f"{len(copies) - len(first)} copies of a text were kept in the same split as the text.")
    return {split: planned[split] for split in ("train", *_EVALUATION)}, notes


def split_fractions(found: set[str], options: LoadOptions) -> tuple[dict[str, float], list[str]]:
    """Return the splits to cut from the training rows, with their shares, and the notes that say so."""
    validation, test, seed = options.validation_fraction, options.test_fraction, options.split_seed
    if {"validation", "test"} <= found:
        return {}, []
    if "test" in found:
        how = f"validation is {validation:.0%} of the training rows, cut with seed {seed}."
        return {"validation": validation}, [f"The source has no validation split: {how}"]
    if "validation" in found:
        how = f"its validation split serves as test; validation is {validation:.0%} of the training rows, seed {seed}."
        return {"validation": validation}, [f"The source has no labelled test split: {how}"]
    if validation + test >= 1:
        raise ConfigError(f"validation_fraction {validation} and test_fraction {test} leave no training rows.")
    how = f"{validation:.0%} of the rows are validation and {test:.0%} test, cut with seed {seed}."
    return {"validation": validation, "test": test}, [f"The source has no splits: {how}"]


def shrink(
    splits: dict[str, LabelledSplit], planned: dict[str, tuple[str, IntArray]], codec: LabelCodec, options: LoadOptions
) -> list[str]:
    """Replace the planned rows by stratified subsets where fewer are asked for; return the notes."""
    notes = []
    for split, (origin, rows) in planned.items():
        limit = options.max_train_samples if split == "train" else options.max_eval_samples
        if limit is None or limit >= len(rows):
            continue
        if split == "train" and codec.task == "single_label" and limit < len(codec.names):
            raise DataError(
                f"max_train_samples={limit} is less than the {len(codec.names)} classes: give at least one row a class."
            )
        strata = strata_of(splits[origin].values[rows], codec.task)
        at_least = int(split == "train" and codec.task == "single_label")
        planned[split] = (origin, rows[subset(strata, limit, options.split_seed, at_least=at_least)])
        notes.append(f"{split} is a stratified subset of {limit} of its {len(rows)} rows (seed {options.split_seed}).")
    return notes
