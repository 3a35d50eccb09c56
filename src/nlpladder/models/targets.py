"""Labels as the classic rungs learn them: class ids, multi-hot rows or numbers, checked once at the border."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nlpladder.errors import DataError, ModelError
from nlpladder.protocols import Task


def check_targets(labels: Sequence[Any] | np.ndarray, *, task: Task, num_labels: int, num_texts: int) -> np.ndarray:
    """Return labels as int64 ids (texts,) or, for multi-label, int64 multi-hot rows (texts, labels).

    Raises:
        DataError: when the shape or a value does not fit `task` and `num_labels`.
    """
    targets = np.asarray(labels)
    if len(targets) != num_texts:
        raise DataError(f"There are {num_texts} texts but {len(targets)} labels; each text needs one.")
    if task == "multi_label":
        if targets.ndim != 2 or targets.shape[1] != num_labels or not np.isin(targets, (0, 1)).all():
            raise DataError(f"Multi-label targets must be 0/1 rows of {num_labels} labels; got shape {targets.shape}.")
        return targets.astype(np.int64)
    if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
        raise DataError(
            f"Class labels must be whole numbers, one a text; got {targets.dtype} of shape {targets.shape}."
        )
    if len(targets) and (targets.min() < 0 or targets.max() >= num_labels):
        raise DataError(f"Class labels must lie in 0..{num_labels - 1}; got {targets.min()}..{targets.max()}.")
    return targets.astype(np.int64)


def check_texts(texts: Sequence[str]) -> list[str]:
    """Return `texts` as a list.

    Raises:
        DataError: for one bare string, which would be taken letter by letter, or an entry that is no string.
    """
    if isinstance(texts, (str, bytes)):
        raise DataError("One text was given where a list of texts is expected; write [text].")
    listed = list(texts)
    for position, text in enumerate(listed):
        if not isinstance(text, str):
            raise DataError(f"Text {position} (counted from 0) is {text!r}, a {type(text).__name__}, not a string.")
    return listed


def check_grid(values: float | Sequence[float], name: str) -> tuple[float, ...]:
    """Return one number, or several, as a tuple of positive numbers.

    Raises:
        ModelError: for anything else.
    """
    several = [values] if isinstance(values, (int, float)) else values
    if isinstance(several, str) or not all(isinstance(value, (int, float)) and value > 0 for value in several):
        raise ModelError(f"{name} must be numbers above 0, written [0.5, 1]; got {values!r}.")
    if not len(several):
        raise ModelError(f"{name} must hold at least one number above 0.")
    return tuple(float(value) for value in several)


def refuse_regression(task: Task, rung: str) -> None:
    """Raise ModelError for a rung that has no regression form."""
    if task == "regression":
        raise ModelError(
            f"The rung {rung!r} predicts classes, not numbers. For a numeric label use text_cnn, bilstm, transformer, "
            "bert or bert_lora, or pass --task single_label if the numbers are class names."
        )
