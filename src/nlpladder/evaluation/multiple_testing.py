"""Corrections of the p-values of several tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError

Float = npt.NDArray[np.float64]


def holm(p_values: Sequence[float] | Float) -> Float:
    """Adjust p-values so that the chance of any false claim stays below the level (Holm 1979, step-down).

    The k-th smallest of m is multiplied by m - k + 1; the results are made monotone and cut at 1.

    Args:
        p_values: One per test, (tests,).

    Returns:
        Adjusted p-values in the order given, (tests,).

    Raises:
        DataError: If one is not between 0 and 1.
    """
    values = _check(p_values)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    return _in_order(np.minimum(np.maximum.accumulate(steps), 1.0), order)


def benjamini_hochberg(p_values: Sequence[float] | Float) -> Float:
    """Adjust p-values so that the expected share of false claims stays below the level (Benjamini and Hochberg 1995).

    The k-th smallest of m is multiplied by m / k; the results are made monotone from the largest down.

    Args:
        p_values: One per test, (tests,).

    Returns:
        Adjusted p-values in the order given, (tests,).

    Raises:
        DataError: If one is not between 0 and 1.
    """
    values = _check(p_values)
    order = np.argsort(values, kind="stable")
    steps = values[order] * len(values) / np.arange(1, len(values) + 1)
    return _in_order(np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0), order)


def _in_order(adjusted: Float, order: npt.NDArray[np.intp]) -> Float:
    result = np.empty_like(adjusted)
    result[order] = adjusted
    return result


def _check(p_values: Sequence[float] | Float) -> Float:
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1:
        raise DataError(f"p-values have shape {values.shape}: give a flat list, one per test.")
    wrong = np.flatnonzero(~((values >= 0.0) & (values <= 1.0)))
    if wrong.size:
        raise DataError(f"p-value number {wrong[0]} is {values[wrong[0]]}: it must be between 0 and 1.")
    return values
