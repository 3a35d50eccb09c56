"""What the label column means: classes, sets of classes, or numbers; and its numbers for each row."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.protocols import Task

if TYPE_CHECKING:
    import pyarrow as pa

#: How a value of the label column becomes names.
Form = Literal["class_label", "integer", "number", "boolean", "string", "list", "multi_hot", "literal_list", "joined"]

_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_NUMBER = re.compile(r"[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_FEW_NUMBERS = 50
_SEPARATORS = ("|", ";", ",")
_MISSING = object()


@dataclass(frozen=True)
class EncodedLabels:
    """The labels of some rows.

    Attributes:
        values: (rows,) class ids or numbers, or (rows, labels) zeros and ones. Rows without a label hold 0.
        missing: (rows,) True where there is no label.
        unknown: Values that are no class of the training data (or no number), with the rows that hold them.
    """

    values: npt.NDArray[Any]
    missing: npt.NDArray[np.bool_]
    unknown: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelCodec:
    """The meaning of a label column.

    Attributes:
        task: What the labels are.
        names: Class names in the order of their ids; empty for regression.
        form: How source values are written.
        declared: Names that the source declares (ClassLabel), in its order.
        separator: What separates the names of one row, for the form ``joined``.
        notes: What was decided, in sentences.
    """

    task: Task
    names: tuple[str, ...]
    form: Form
    declared: tuple[str, ...] = ()
    separator: str | None = None
    notes: tuple[str, ...] = ()

    def read(self, value: Any) -> Any:
        """Return the names (single: one, multi: a tuple) or the number of one value; `_MISSING` without a label.

        Raises:
            ValueError: The value cannot be read.
        """
        if is_missing(value, self.form):
            return _MISSING
        if self.task == "regression":
            number = float(value)
            if not math.isfinite(number):
                raise ValueError(value)
            return number
        parts = _parts(value, self.form, self.declared, self.separator)
        return tuple(parts) if self.task == "multi_label" else parts[0]

    def encode(self, column: pa.ChunkedArray) -> EncodedLabels:
        """Return the labels of all rows of a column."""
        values, rows = distinct_values(column)
        width = len(self.names)
        ids = {name: position for position, name in enumerate(self.names)}
        shape = (len(values), width) if self.task == "multi_label" else (len(values),)
        kinds = {"single_label": np.int64, "multi_label": np.float32, "regression": np.float64}
        table = np.zeros(shape, dtype=kinds[self.task])
        missing = np.zeros(len(values), dtype=bool)
        unknown: dict[str, list[int]] = {}
        for position, value in enumerate(values):
            try:
                read = self.read(value)
            except (ValueError, TypeError, IndexError):
                unknown.setdefault(str(value), []).append(position)
                continue
            if read is _MISSING:
                missing[position] = True
            elif self.task == "regression":
                table[position] = read
            else:
                for name in read if self.task == "multi_label" else (read,):
                    if name not in ids:
                        unknown.setdefault(name, []).append(position)
                    elif self.task == "multi_label":
                        table[position, ids[name]] = 1.0
                    else:
                        table[position] = ids[name]
        found = {name: np.flatnonzero(np.isin(rows, positions)) for name, positions in unknown.items()}
        return EncodedLabels(table[rows], missing[rows], found)


def distinct_values(column: pa.ChunkedArray) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """Return the distinct Python values of a column and, for each row, the position of its value."""
    import pyarrow as pa

    if pa.types.is_nested(column.type) or pa.types.is_null(column.type):
        positions: dict[Any, int] = {}
        values = (tuple(v) if isinstance(v, list) else str(v) if isinstance(v, dict) else v for v in column.to_pylist())
        rows = [positions.setdefault(value, len(positions)) for value in values]
        return list(positions), np.asarray(rows, dtype=np.int64)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    values_list = encoded.dictionary.to_pylist()
    indices = encoded.indices.fill_null(len(values_list)).to_numpy(zero_copy_only=False).astype(np.int64)
    return ([*values_list, None] if encoded.null_count else values_list), indices


def is_missing(value: Any, form: Form | None = None) -> bool:
    """Tell whether a source value stands for no label: null, NaN, blank, or -1 of a ClassLabel."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if isinstance(value, str):
        blank = not value.strip() or (form in ("integer", "number") and value.strip().lower() == "nan")
        return blank and form != "joined"
    return form == "class_label" and value == -1


def choose_codec(
    training: Iterable[Any], others: Iterable[Any], *, place: str, task: Task | None, separator: str | None,
    declared: Sequence[str] = (), multi_hot_names: Sequence[str] = (),
) -> LabelCodec:  # fmt: skip
    """Decide what the labels are from their distinct values.

    Class order: that of ClassLabel, else numerical for integers, else alphabetical.

    Args:
        training: Distinct values of the training rows; these are the classes.
        others: Distinct values of the other splits, to which the form must fit too.
        place: The source and its label column, for errors.
        task: What the labels are, or None to decide.
        separator: Separates several labels in a string; makes the task multi-label.
        declared: Class names that the source declares.
        multi_hot_names: Names of 0/1 columns that were made into lists of names.

    Raises:
        DataError: The labels do not fit the task, or cannot be classes or numbers.
    """
    seen = [value for value in training if not is_missing(value)]
    values = [*seen, *(value for value in others if not is_missing(value))]
    if not seen:
        raise DataError(f"{place} holds no labels at all. Choose another with --label_column.")
    notes: list[str] = []
    form = _form(values, tuple(declared), notes)
    if task == "regression":
        if form in ("list", "multi_hot", "literal_list"):
            raise DataError(f"{place} holds lists, which are no numbers to predict. Use --task multi_label.")
        numeric: Form = "class_label" if form == "class_label" else "number"
        return LabelCodec("regression", (), numeric, notes=tuple(notes))
    if form == "number":
        finite = {float(value) for value in values if not is_missing(value, form)}
        whole = all(number.is_integer() for number in finite)
        if task is None and not (whole and len(finite) <= _FEW_NUMBERS):
            notes.append("The labels are numbers: regression (give --task single_label to make each value a class).")
            return LabelCodec("regression", (), form, notes=tuple(notes))
        if whole:
            form = "integer"
            notes.append("The labels are floats that are all integers, so they are read as classes.")
    if form == "string" and (separator is not None or task == "multi_label"):
        form, separator = "joined", separator or _find_separator(values)
        notes.append(f"Several labels of one row are separated by {separator!r}.")
    multi = form in ("list", "multi_hot", "literal_list", "joined")
    decided: Task = task or ("multi_label" if multi else "single_label")
    several = multi and any(len(_parts(value, form, tuple(declared), separator)) != 1 for value in values)
    if decided == "single_label" and several:
        raise DataError(f"{place} holds lists of labels. Use --task multi_label, or choose another column.")
    names = tuple(declared) or tuple(multi_hot_names) or _ordered_names(seen, form, separator)
    if form == "multi_hot" and not declared:
        names = tuple(f"label_{position}" for position in range(len(seen[0])))
    if not names:
        raise DataError(f"{place} holds no label in any row. Choose another with --label_column.")
    lowered = [name.casefold() for name in names]
    if len(set(lowered)) < len(lowered):
        alike = sorted(name for name in names if lowered.count(name.casefold()) > 1)
        notes.append(f"Some classes differ only in capital letters: {', '.join(alike)}.")
    return LabelCodec(decided, names, form, tuple(declared), separator, tuple(notes))


def _form(values: Sequence[Any], declared: tuple[str, ...], notes: list[str]) -> Form:
    kinds = {type(value) for value in values}
    if kinds <= {tuple, list}:
        return "list" if declared else _list_form(values, notes)
    if declared:
        return "class_label"
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "integer"
    if kinds <= {int, float}:
        return "number"
    if kinds != {str}:
        return "string"
    texts = [value.strip() for value in values]
    if all(text.lower() in ("true", "false") for text in texts):
        return "boolean"
    # Missing values make pandas write the integers of a column as 1.0: those are classes all the same.
    numbers = [text for text in texts if text.lower() != "nan"]
    if numbers and all(_INTEGER.fullmatch(text) for text in numbers):
        return "integer"
    if numbers and all(_NUMBER.fullmatch(text) for text in numbers):
        return "number"
    if all(text.startswith("[") and text.endswith("]") for text in texts):
        notes.append("The labels are lists written as text.")
        return "literal_list"
    return "string"


def _list_form(values: Sequence[Any], notes: list[str]) -> Form:
    widths = {len(value) for value in values}
    width = widths.pop()
    if not widths and width > 2 and all(item in (0, 1) for value in values for item in value):
        notes.append("The labels are rows of zeros and ones, so their names are label_0, label_1, ….")
        return "multi_hot"
    return "list"


def _parts(value: Any, form: Form, declared: tuple[str, ...], separator: str | None) -> list[str]:
    """Return the names in one value."""
    if form == "list":
        items = value if isinstance(value, tuple | list) else [value]
        return [declared[item] if declared and isinstance(item, int) else _name(item) for item in items]
    if form == "multi_hot":
        return [declared[i] if declared else f"label_{i}" for i, flag in enumerate(value) if flag]
    if form == "literal_list":
        return [_name(item) for item in _literal(str(value))]
    if form == "joined":
        return [part.strip() for part in str(value).split(separator) if part.strip()]
    if form == "class_label":
        if isinstance(value, str):
            return [value]
        if not 0 <= value < len(declared):
            raise ValueError(value)
        return [declared[value]]
    if form == "integer":
        number = float(value)
        return [str(int(value)) if not isinstance(value, float) and _INTEGER.fullmatch(str(value).strip()) else
                str(int(number)) if number.is_integer() else str(value)]  # fmt: skip
    if form == "number":
        return [repr(float(value))]
    return [_name(value).lower() if form == "boolean" else _name(value)]


def _name(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.strip() if isinstance(value, str) else str(value)


def _literal(text: str) -> list[Any]:
    for parse in (json.loads, ast.literal_eval):
        try:
            parsed = parse(text)
        except (ValueError, SyntaxError):
            continue
        if isinstance(parsed, list):
            return parsed
    return [part.strip(" '\"") for part in text.strip()[1:-1].split(",") if part.strip(" '\"")]


def _find_separator(values: Sequence[str]) -> str:
    return next((separator for separator in _SEPARATORS if any(separator in value for value in values)), ",")


def _ordered_names(values: Sequence[Any], form: Form, separator: str | None) -> tuple[str, ...]:
    names = {name for value in values if not is_missing(value, form) for name in _parts(value, form, (), separator)}
    numeric = all(_INTEGER.fullmatch(name) for name in names) or form == "number"
    key: Callable[[str], Any] = float if numeric else str
    return tuple(sorted(names, key=key))
