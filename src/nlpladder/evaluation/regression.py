"""Metrics of regression: labels and predictions, both float (examples,)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]


def mean_squared_error(labels: Float, predictions: Float) -> float:
    """Return the mean squared error."""
    return float(np.mean((predictions - labels) ** 2))


def root_mean_squared_error(labels: Float, predictions: Float) -> float:
    """Return the square root of the mean squared error, in the unit of the labels."""
    return float(np.sqrt(mean_squared_error(labels, predictions)))


def mean_absolute_error(labels: Float, predictions: Float) -> float:
    """Return the mean absolute error, in the unit of the labels."""
    return float(np.mean(np.abs(predictions - labels)))


def is_constant(values: Float) -> bool:
    """Say whether all values are the same up to rounding."""
    return bool(np.ptp(values) <= 1e-12 * max(1e-300, float(np.abs(values).max())))


def r_squared(labels: Float, predictions: Float) -> float:
    """Return the coefficient of determination, 1 - SS_residual / SS_total; undefined for constant labels."""
    if is_constant(labels):
        return float("nan")
    return float(1.0 - np.sum((predictions - labels) ** 2) / np.sum((labels - labels.mean()) ** 2))


def pearson(labels: Float, predictions: Float) -> float:
    """Return the linear correlation; undefined if either side is constant."""
    if is_constant(labels) or is_constant(predictions):
        return float("nan")
    first, second = labels - labels.mean(), predictions - predictions.mean()
    return float(first @ second / np.sqrt((first @ first) * (second @ second)))


def midranks(values: Float) -> Float:
    """Return ranks from 1, ties sharing their mean rank, (examples,)."""
    _, place, tied = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(tied) - 0.5 * (tied - 1))[place]


def spearman(labels: Float, predictions: Float) -> float:
    """Return Spearman's rank correlation: Pearson's of the mid-ranks; undefined if either side is constant."""
    return pearson(midranks(labels), midranks(predictions))
