"""Checks of labelled rows before any training: empty texts, lost labels, unknown classes, too few rows, copies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nlpladder.data.labels import EncodedLabels, LabelCodec
from nlpladder.data.source_split import RowPlaces
from nlpladder.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

BoolArray = npt.NDArray[np.bool_]
#: From the number of a class to the places of its rows, such as "lines 3 and 9".
Where = Callable[[int], str]
#: A class may be a misspelt other one if it has so many times fewer rows, and so much of its name is that one's.
_RARER, _NEARLY = 4, 0.85


def without_text(texts: pa.ChunkedArray) -> BoolArray:
    """Return (rows,) True where the text is null, empty, or only white space."""
    import pyarrow.compute as pc

    masks = [
        pc.fill_null(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(chunk)), 0), True).to_numpy(zero_copy_only=False)
        for chunk in texts.chunks
    ]
    return np.concatenate(masks).astype(bool) if masks else np.zeros(0, dtype=bool)


def bad_row_sentences(
    places: RowPlaces, no_text: npt.NDArray[np.int64], no_label: npt.NDArray[np.int64], label_name: str
) -> list[str]:
    """Say how many rows lack a text and a label, and where the first of them are."""
    kinds = ((no_text, "without text"), (no_label, f"without a label ({label_name})"))
    return [
        f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} {what}: {places.first(rows)}"
        for rows, what in kinds
        if len(rows)
    ]


def refuse_bad_rows(place: str, problems: list[str], good: int, *, drop: bool) -> None:
    """Refuse rows without text or label.

    Raises:
        DataError: There are such rows and `drop` is False, or there are no `good` ones.
    """
    if problems and not drop:
        raise DataError(
            f"{place} has {'; '.join(problems)}. "
            "Fill them in or remove them, or pass --drop_bad_rows true to leave them out."
        )
    if not good:
        raise DataError(f"{place} has no row with a text and a label.")


def check_known_labels(split: str, places: RowPlaces, labels: EncodedLabels, codec: LabelCodec) -> None:
    """Refuse labels that training has never seen, or that are no numbers.

    Raises:
        DataError: The first such label with its rows, and the nearest class.
    """
    if not labels.unknown:
        return
    value, rows = next(iter(sorted(labels.unknown.items(), key=lambda item: int(item[1][0]) if len(item[1]) else 0)))
    where = f"{places.name} ({split}), {places.first(rows)}"
    others = f" ({len(labels.unknown)} such labels in all)" if len(labels.unknown) > 1 else ""
    if codec.task == "regression":
        raise DataError(
            f"{where}: the label {value!r} is not a number{others}. Correct it, or use --task single_label for classes."
        )
    if codec.form == "class_label":
        raise DataError(f"{where}: the label {value!r} is none of the {len(codec.names)} declared classes{others}.")
    hint = did_you_mean(value, codec.names)
    raise DataError(
        f"{where}: the label {value!r} never occurs in the training rows{others}.{hint} "
        f"The training labels are: {', '.join(codec.names[:20])}{', …' if len(codec.names) > 20 else ''}. "
        "Correct it, add training rows with it, or remove these rows."
    )


def class_counts(values: npt.NDArray[np.generic], codec: LabelCodec) -> npt.NDArray[np.int64]:
    """Count the rows of each class: (labels,)."""
    if codec.task == "multi_label":
        return np.asarray(values, dtype=np.float64).sum(axis=0).astype(np.int64)
    return np.bincount(values.astype(np.int64), minlength=len(codec.names))


def check_classes(
    place: str, values: npt.NDArray[np.generic], codec: LabelCodec, *, parts: int, where: Where | None = None
) -> list[str]:
    """Check that there are classes to tell apart and enough rows of each for the splits to be cut.

    Args:
        place: The source, for the error.
        values: The training labels.
        codec: Their meaning.
        parts: Into how many splits the training rows will be cut.
        where: Where the rows of a class stand, so that a misspelt label is found in the file.

    Returns:
        Notes: on declared classes without rows, and on rare classes that may be misspelt.

    Raises:
        DataError: One class only, (nearly) a class a row, or a class with fewer rows than splits.
    """
    if codec.task == "regression":
        if len(values) < max(2, parts):
            raise DataError(f"{place} has {len(values)} training rows; at least {max(2, parts)} are needed.")
        if np.ptp(values.astype(np.float64)) == 0:
            raise DataError(
                f"{place}: every training label is the number {float(values[0])}: there is nothing to learn."
            )
        return []
    check_class_counts(place, class_counts(values, codec), len(values), codec, parts=parts, where=where)
    return class_notes(class_counts(values, codec), codec, where=where)


def class_notes(counts: npt.NDArray[np.int64], codec: LabelCodec, *, where: Where | None = None) -> list[str]:
    """Return what is odd about the classes, though they can be learnt; see `check_classes`."""
    return [*absent_classes(counts, codec), *misspelt_classes(counts, codec, where=where)]


def misspelt_classes(counts: npt.NDArray[np.int64], codec: LabelCodec, *, where: Where | None = None) -> list[str]:
    """Return a note on each rare class whose name is nearly that of a frequent one: 'negativ' beside 'negative'.

    Names with digits are left alone: 'level_1' is no 'level_2'.

    Args:
        counts: Training rows of each class.
        codec: Their names.
        where: Where the rows of a class stand; asked where a row has one class.
    """
    notes = []
    tell = where if codec.task == "single_label" else None
    rows = dict(zip(codec.names, counts.tolist(), strict=True))
    names = [name for name in codec.names if not any(character.isdigit() for character in name)]
    for name in names:
        near = [
            other for other in names if 0 < _RARER * rows[name] <= rows[other]
            and SequenceMatcher(None, name.lower(), other.lower()).ratio() >= _NEARLY
        ]  # fmt: skip
        if near:
            found = f" ({tell(codec.names.index(name))})" if tell else ""
            notes.append(
                f"The class {name!r} has {rows[name]} training rows{found}; is it {near[0]!r}, which has "
                f"{rows[near[0]]:,}, misspelt?"
            )
    return notes


def absent_classes(counts: npt.NDArray[np.int64], codec: LabelCodec) -> list[str]:
    """Return a note that names the declared classes without a training row, if there are any."""
    absent = [name for name, count in zip(codec.names, counts, strict=True) if count == 0]
    return [f"Declared classes without training rows: {', '.join(absent)}."] if absent else []


def check_class_counts(
    place: str,
    counts: npt.NDArray[np.int64],
    rows: int,
    codec: LabelCodec,
    *,
    parts: int,
    where: Where | None = None,
) -> None:
    """Check the number of training rows of each class; see `check_classes`."""
    present = int((counts > 0).sum())
    if codec.task == "multi_label":
        if rows < parts:
            raise DataError(f"{place} has {rows} training rows for {parts} splits. Add rows or give split files.")
        return
    if present < 2:
        name = codec.names[int(counts.argmax())]
        raise DataError(
            f"{place}: every training label is {name!r}. At least two classes are needed: check --label_column "
            "and that the file was not cut off while it was sorted by class."
        )
    if present > 2 and present * 2 > rows:
        raise DataError(
            f"{place}: {rows} training rows have {present} different labels, nearly one class a row "
            f"({', '.join(codec.names[:5])}, …). Is it the label column? For numbers give --task regression."
        )
    short = [(name, int(count)) for name, count in zip(codec.names, counts, strict=True) if 0 < count < parts]
    if short:
        frequent = [name for name, count in zip(codec.names, counts, strict=True) if count >= parts]
        listed = ", ".join(_short_class(name, count, codec, frequent, where) for name, count in short[:10])
        raise DataError(
            f"{place}: too few rows of the classes {listed}: cutting {parts} splits needs {parts} different texts of "
            "each class. Add rows, remove or merge these classes, or give train, validation and test files of your own."
        )


def _short_class(name: str, count: int, codec: LabelCodec, frequent: list[str], where: Where | None) -> str:
    """Return ``'godo' (1: line 7; did you mean 'good'?)``."""
    details = [f"{count}: {where(codec.names.index(name))}" if where else str(count)]
    hint = did_you_mean(name, frequent).strip()
    details += [hint[0].lower() + hint[1:]] if hint else []
    return f"{name!r} ({'; '.join(details)})"


def text_digests(texts: pa.ChunkedArray, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return (rows,) a 64-bit hash of each text, the same on every machine for the same seed."""
    salt = (seed % 2**64).to_bytes(8, "little")
    digests = (
        int.from_bytes(hashlib.blake2b((text or "").encode(), digest_size=8, salt=salt).digest(), "little", signed=True)
        for chunk in texts.chunks
        for text in chunk.to_pylist()
    )
    return np.fromiter(digests, dtype=np.int64, count=len(texts))


def duplicate_notes(digests: Mapping[str, npt.NDArray[np.int64]]) -> list[str]:
    """Count exact copies of texts between the training rows and the other splits, and within training."""
    train = digests["train"]
    notes = []
    for split in ("validation", "test"):
        if split in digests:
            copies = int(np.isin(digests[split], train).sum())
            notes.append(
                f"{copies} of {len(digests[split])} {split} texts are exact copies of training texts."
                if copies
                else f"No {split} text is an exact copy of a training text."
            )
    within = len(train) - len(np.unique(train))
    return [*notes, f"{within} training texts are copies of another one."] if within else notes
