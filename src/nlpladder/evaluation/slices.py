"""Slices of a test set: how well a classifier does on short or long texts, under negation, or by any column.

Each slice has its size, its accuracy with an interval, and a test against the rest, corrected over the table.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.evaluation.calibration import wilson_interval
from nlpladder.evaluation.multiple_testing import holm

Bool = npt.NDArray[np.bool_]

#: English negation: not, never, no, n't with either apostrophe or none, and the words that negate a clause.
NEGATION = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|nowhere|neither|nor|cannot|without|hardly|scarcely|barely)\b"
    r"|n['’]t\b"
    r"|\b(?:is|are|was|were|do|does|did|has|have|had|could|would|should|must|need|ca|wo)n[ ]?t\b",
    re.IGNORECASE,
)

#: A column with more distinct values than this is an identifier or a number, not a category.
MOST_VALUES = 20


@dataclass(frozen=True)
class Slice:
    """One part of the test set.

    Attributes:
        column: What it was cut by, such as ``length``.
        value: Which part, such as ``"1 to 7 words"``.
        n: Its number of examples.
        accuracy: Share of them that is right.
        low: Lower end of the Wilson interval.
        high: Upper end.
        difference: Accuracy minus that of the rest; None if there is no rest.
        p_value: Fisher's exact test (1935) of slice against rest; None if there is no rest.
        p_holm: The same after Holm's correction over the table.
    """

    column: str
    value: str
    n: int
    accuracy: float
    low: float
    high: float
    difference: float | None
    p_value: float | None
    p_holm: float | None


def text_columns(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns that every text has: ``length`` in quartiles of words, and ``negation``.

    Args:
        texts: The texts, (examples,).
    """
    lengths = np.asarray([len(text.split()) for text in texts])
    edges = np.unique(np.quantile(lengths, [0.25, 0.5, 0.75], method="lower"))
    parts = np.searchsorted(edges, lengths, side="left")  # a text as long as an edge belongs below it
    names = {}
    for part in np.unique(parts):
        low, high = int(lengths[parts == part].min()), int(lengths[parts == part].max())
        names[part] = f"{low} word{'' if low == 1 else 's'}" if low == high else f"{low} to {high} words"
    return {
        "length": [names[part] for part in parts],
        "negation": ["with negation" if NEGATION.search(text) else "without negation" for text in texts],
    }


def slice_table(
    correct: Bool, columns: Mapping[str, Sequence[Any]], *, confidence: float = 0.95, smallest: int = 5
) -> list[Slice]:
    """Cut the examples by each column, and test each part against the rest.

    Args:
        correct: Whether each example is right, (examples,).
        columns: Boolean or categorical values by column name, each (examples,). A column with more than 20 values is
            refused; one with a single value is left out.
        confidence: Level of the intervals.
        smallest: Parts with fewer examples are left out.

    Returns:
        Slices by column, in natural order (2 before 10); for a column of two values both, with one test.

    Raises:
        DataError: If a column has the wrong length or too many values.
    """
    found: list[Slice] = []
    tested: list[int] = []
    for name, values in columns.items():
        texts = [_shown(value) for value in values]
        if len(texts) != len(correct):
            raise DataError(f"Column {name!r} has {len(texts)} values for {len(correct)} examples.")
        parts = sorted(set(texts), key=_natural)
        if len(parts) > MOST_VALUES:
            raise DataError(
                f"Column {name!r} has {len(parts)} different values, such as {parts[0]!r}: slices need at most "
                f"{MOST_VALUES}. Group the values first (numbers into ranges), or leave the column out."
            )
        if len(parts) < 2:
            continue
        array = np.asarray(texts, dtype=object)
        for index, part in enumerate(parts):
            inside = array == part
            if int(inside.sum()) < smallest:
                continue
            found.append(_slice(name, part, correct[inside], correct[~inside], confidence))
            # The second part of two is the rest of the first: one question, asked once.
            if len(parts) > 2 or index == 0 or not any(other.column == name for other in found[:-1]):
                tested.append(len(found) - 1)
    corrected = holm([found[index].p_value or 0.0 for index in tested])
    by_index = dict(zip(tested, corrected.tolist(), strict=True))
    result: list[Slice] = []
    for index, entry in enumerate(found):
        # A slice that was not tested is the second of two and shares the p of the one before.
        p_holm = by_index[index] if index in by_index else result[-1].p_holm
        result.append(dataclasses.replace(entry, p_holm=p_holm))
    return result


def _slice(column: str, value: str, inside: Bool, rest: Bool, confidence: float) -> Slice:
    from scipy import stats

    right, n = int(inside.sum()), len(inside)
    rest_right = int(rest.sum())
    low, high = wilson_interval(right, n, confidence)
    p_value = float(stats.fisher_exact([[right, n - right], [rest_right, len(rest) - rest_right]]).pvalue)
    difference = right / n - rest_right / len(rest)
    return Slice(column, value, n, right / n, low, high, difference, min(1.0, p_value), None)


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key in which numbers inside a text count as numbers."""
    pieces = re.findall(r"\d+|\D+", text)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


def _shown(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "(missing)"
    return str(value)
