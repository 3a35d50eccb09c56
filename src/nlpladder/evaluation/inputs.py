"""Checks at the border of the room: labels and probabilities are looked at once, and then trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.protocols import Task

Float = npt.NDArray[np.float64]

#: How far a row of probabilities may be from a sum of 1 (half precision loses about 1e-3).
ROW_SUM_TOLERANCE = 1e-2


def check_task(task: str) -> Task:
    """Return `task` if it is one.

    Raises:
        ConfigError: If it is not; the message names the nearest.
    """
    tasks = get_args(Task)
    if task not in tasks:
        raise ConfigError(f"Unknown task {task!r}: it is one of {', '.join(tasks)}.{did_you_mean(task, tasks)}")
    return task  # type: ignore[return-value]


def default_label_names(count: int) -> tuple[str, ...]:
    """Name labels by their number."""
    return tuple(str(index) for index in range(count))


def check_predictions(
    labels: Any, probabilities: Any, *, task: str = "single_label", label_names: Sequence[str] | None = None
) -> tuple[npt.NDArray[Any], Float]:
    """Return labels and probabilities as arrays of the shapes that the task has.

    Args:
        labels: Class numbers, (examples,), for ``single_label``; 0/1, (examples, labels), for ``multi_label``;
            numbers, (examples,) or (examples, 1), for ``regression``.
        probabilities: (examples, labels); for ``regression`` the predicted value, (examples,) or (examples, 1).
            Several seeds are not accepted here.
        task: What the labels are.
        label_names: Names of the columns of `probabilities`.

    Returns:
        Labels: int64 (examples,), bool (examples, labels) or float64 (examples,); and float64 probabilities:
        (examples, labels), or (examples,) for regression.

    Raises:
        DataError: If shapes do not fit, there is no example, fewer than two classes, a number that is not finite, a
            row that is no distribution, or a label out of range; the message names the row.
        ConfigError: If the task is unknown.
    """
    task = check_task(task)
    scores = _as_float(probabilities, "probabilities")
    if task == "regression":
        return _check_regression(labels, scores)
    if scores.ndim != 2:
        raise DataError(
            f"probabilities has shape {scores.shape}: expected (examples, labels), one row per example and one "
            "column per label."
        )
    examples, classes = scores.shape
    if label_names is not None and len(label_names) != classes:
        raise DataError(
            f"probabilities has {classes} columns, but there are {len(label_names)} label names: "
            "give one name per column."
        )
    _check_finite(scores, "probabilities")
    outside = np.flatnonzero(((scores < -1e-6) | (scores > 1 + 1e-6)).any(axis=1))
    if outside.size:
        raise DataError(
            f"probabilities, row {outside[0]}: {_row(scores, outside[0])} is not between 0 and 1. "
            "Give probabilities, not logits: apply softmax (or a sigmoid for multi_label) first."
        )
    scores = np.clip(scores, 0.0, 1.0)
    if task == "multi_label":
        return _check_multi_label(labels, scores), scores
    if classes < 2:
        raise DataError("probabilities has one column: single_label needs at least two classes, one column for each.")
    sums = scores.sum(axis=1)
    off = np.flatnonzero(np.abs(sums - 1) > ROW_SUM_TOLERANCE)
    if off.size:
        raise DataError(
            f"probabilities, row {off[0]}: {_row(scores, off[0])} sums to {sums[off[0]]:.4g}, not to 1. "
            "Normalise the row, or say task='multi_label' if a text may have several labels."
        )
    return _check_classes(labels, examples, classes, label_names), scores


def _check_classes(
    labels: Any, examples: int, classes: int, label_names: Sequence[str] | None
) -> npt.NDArray[np.int64]:
    values = np.asarray(labels)
    _check_length(values, examples, dimensions=1)
    if values.dtype.kind not in "iub" and (values.dtype.kind != "f" or not (values == np.rint(values)).all()):
        raise DataError(
            f"labels holds {values.dtype} values such as {values[0].item()!r}: expected class numbers from 0 to "
            f"{classes - 1}. Map names to their column first."
        )
    numbers = values.astype(np.int64)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= classes))
    if wrong.size:
        names = "" if label_names is None else f" ({', '.join(label_names)})"
        raise DataError(
            f"labels, row {wrong[0]}: {numbers[wrong[0]]} is not a class number from 0 to {classes - 1}{names}. "
            "Rows without a label must be left out, and numbers must start at 0."
        )
    return numbers


def _check_multi_label(labels: Any, scores: Float) -> npt.NDArray[np.bool_]:
    values = np.asarray(labels)
    _check_length(values, scores.shape[0], dimensions=2)
    if values.shape != scores.shape:
        raise DataError(f"labels has shape {values.shape} and probabilities {scores.shape}: they must be the same.")
    wrong = np.flatnonzero(((values != 0) & (values != 1)).any(axis=1))
    if wrong.size:
        raise DataError(f"labels, row {wrong[0]}: {_row(values, wrong[0])} must hold only 0 and 1 (one per label).")
    return values.astype(bool)


def _check_regression(labels: Any, scores: Float) -> tuple[Float, Float]:
    values = _as_float(labels, "labels")
    arrays = []
    for name, array in (("labels", values), ("probabilities", scores)):
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise DataError(f"{name} has shape {array.shape}: regression needs (examples,) or (examples, 1).")
        _check_finite(array[:, None], name)
        arrays.append(array)
    _check_length(arrays[0], len(arrays[1]), dimensions=1)
    return arrays[0], arrays[1]


def _check_length(values: npt.NDArray[Any], examples: int, *, dimensions: int) -> None:
    if values.ndim != dimensions:
        shape = "(examples,)" if dimensions == 1 else "(examples, labels)"
        raise DataError(f"labels has shape {values.shape}: expected {shape}.")
    if len(values) != examples:
        raise DataError(f"There are {len(values)} labels and {examples} rows of probabilities: they must be as many.")
    if examples == 0:
        raise DataError("There is no example: at least one is needed to compute a metric.")


def _check_finite(array: Float, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise DataError(
            f"{name}, row {bad[0]}: {_row(array, bad[0])} is not finite ({bad.size} such row(s)). The model has "
            "diverged or overflowed: look at its loss, or compute it in float32 or bfloat16."
        )


def _as_float(values: Any, name: str) -> Float:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not a rectangular table of numbers: {error}.") from error


def _row(array: npt.NDArray[Any], row: int) -> str:
    text = ", ".join(f"{value:.4g}" for value in np.asarray(array[row], dtype=float)[:6])
    return f"[{text}{', …' if array.shape[1] > 6 else ''}]"
