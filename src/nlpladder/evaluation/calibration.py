"""Calibration: does a confidence of 80 % mean right in 80 % of the cases, and the repair by one or two numbers.

The repairs must be fitted on validation data: fitted on the test set they only flatter the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.classification import (
    CALIBRATION_BINS,
    calibration_gaps,
    equal_mass_bins,
    equal_width_bins,
)
from nlpladder.evaluation.inputs import check_predictions

Float = npt.NDArray[np.float64]

#: Logits of a probability of 0 are cut here: the smallest normal single-precision number.
_SMALLEST = 1e-38


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram.

    Attributes:
        low: Lower end of the bin: its edge for equal-width bins, the smallest confidence in it for equal-mass bins.
        high: Upper end.
        count: Number of examples.
        confidence: Mean confidence of them; None for an empty bin.
        accuracy: Share of them that is right; None for an empty bin.
        accuracy_low: Lower end of the 95 % Wilson interval of the accuracy.
        accuracy_high: Upper end.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None


def reliability_bins(
    labels: Any,
    probabilities: Any,
    *,
    bins: int = CALIBRATION_BINS,
    scheme: Literal["equal_width", "equal_mass"] = "equal_width",
) -> list[ReliabilityBin]:
    """Return the bins of a reliability diagram (Guo et al. 2017, section 2, equations 1 and 2).

    Args:
        labels: Class numbers, (examples,).
        probabilities: (examples, classes).
        bins: How many bins.
        scheme: ``equal_width`` returns all `bins`, empty ones too; ``equal_mass`` may return fewer where many
            confidences are equal.

    Raises:
        DataError: If the arrays do not fit.
        ConfigError: If `bins` is below 1 or the scheme is unknown.
    """
    if bins < 1:
        raise ConfigError(f"bins is {bins}: at least one is needed; 15 is usual.")
    if scheme not in ("equal_width", "equal_mass"):
        raise ConfigError(f"scheme is {scheme!r}: it is 'equal_width' or 'equal_mass'.")
    truth, scores = check_predictions(labels, probabilities)
    confidences, gaps = calibration_gaps(truth, scores)
    right = confidences - gaps
    members = (equal_width_bins if scheme == "equal_width" else equal_mass_bins)(confidences, bins)
    result = []
    for index in range(bins):
        inside = members == index
        count = int(inside.sum())
        if count == 0:
            if scheme == "equal_width":
                result.append(ReliabilityBin(index / bins, (index + 1) / bins, 0, None, None, None, None))
            continue
        low, high = index / bins, (index + 1) / bins
        if scheme == "equal_mass":
            low, high = float(confidences[inside].min()), float(confidences[inside].max())
        accuracy = float(right[inside].mean())
        interval = wilson_interval(round(accuracy * count), count)
        result.append(ReliabilityBin(low, high, count, float(confidences[inside].mean()), accuracy, *interval))
    return result


def wilson_interval(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share by Wilson (1927), which holds for small counts and shares near 0 or 1.

    Args:
        successes: Such as the number of right answers.
        trials: Such as the number of answers; an effective number of trials may be a fraction.
        confidence: Level.

    Raises:
        DataError: If there is less than one trial.
    """
    from statistics import NormalDist

    if trials < 1:
        raise DataError("A share of no examples has no interval.")
    quantile = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    share, square = successes / trials, quantile * quantile / trials
    middle = (share + square / 2.0) / (1.0 + square)
    half = quantile / (1.0 + square) * (share * (1.0 - share) / trials + square / (4.0 * trials)) ** 0.5
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def apply_temperature(probabilities: Any, temperature: float) -> Float:
    """Divide the logits by `temperature`: softmax(log p / T) (Guo et al. 2017, equation 9); classes keep their order.

    Args:
        probabilities: (examples, classes); logits are their logarithms, up to a constant that softmax ignores.
        temperature: Above 1 makes the model less confident.

    Raises:
        ConfigError: If the temperature is not positive.
    """
    if not temperature > 0.0:
        raise ConfigError(f"temperature is {temperature}: it must be above 0.")
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def fit_temperature(labels: Any, probabilities: Any) -> float:
    """Return the temperature with the smallest log loss (Guo et al. 2017, section 4.2). Use validation data.

    Args:
        labels: Class numbers of the validation set, (examples,).
        probabilities: Its probabilities, (examples, classes).

    Returns:
        The temperature, between 0.01 and 100. Where every example is right the data do not bound it from below, and it
        says only that the model may be more confident.

    Raises:
        DataError: If the arrays do not fit.
    """
    from scipy.optimize import minimize_scalar

    truth, scores = check_predictions(labels, probabilities)
    logits = np.log(np.maximum(scores, _SMALLEST))  # (examples, classes)
    logits -= logits.max(axis=1, keepdims=True)
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[rows, truth]))

    bound = float(np.log(100.0))
    # The loss is convex in 1/T, hence has one valley in log T.
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


@dataclass(frozen=True)
class PlattScaling:
    """A sigmoid that turns margins into probabilities: p(positive) = 1 / (1 + exp(slope * margin + intercept)).

    Attributes:
        slope: A in Platt (1999), equation 5; negative where a larger margin means positive.
        intercept: B there.
    """

    slope: float
    intercept: float

    def probabilities(self, margins: Sequence[float] | Float) -> Float:
        """Return the probabilities of both classes, (examples, 2)."""
        from scipy.special import expit

        positive = expit(-(self.slope * np.asarray(margins, dtype=np.float64) + self.intercept))
        return np.column_stack([1.0 - positive, positive])


def fit_platt(labels: Any, margins: Sequence[float] | Float) -> PlattScaling:
    """Fit a sigmoid to the margins of a classifier without probabilities, such as a linear SVM. Use validation data.

    The targets are smoothed as Platt (1999, section 2.2) does, (N+ + 1) / (N+ + 2) and 1 / (N- + 2), and the likelihood
    is maximised by Newton's method (Lin, Lin and Weng 2007).

    Args:
        labels: 0 or 1, (examples,).
        margins: Signed distances, (examples,).

    Raises:
        DataError: If shapes differ, a margin is not finite, or one class is missing.
    """
    from scipy.special import expit

    truth, values = np.asarray(labels), np.asarray(margins, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise DataError(f"labels has shape {truth.shape} and margins {values.shape}: both must be (examples,).")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(f"margins, row {bad[0]}: {values[bad[0]]} is not finite.")
    if not np.isin(truth, (0, 1)).all() or len(np.unique(truth)) < 2:
        raise DataError("Platt scaling needs labels 0 and 1, both of which occur.")
    positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
    targets = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    center, spread = float(values.mean()), float(values.std()) or 1.0
    design = np.column_stack([(values - center) / spread, np.ones(len(values))])  # (examples, 2)

    def loss(at: Float) -> float:
        linear = design @ at
        return float(np.sum(np.logaddexp(0.0, linear) - targets * linear))

    weights = np.asarray([0.0, np.log((positives + 1) / (negatives + 1))])
    for _ in range(100):
        probabilities = expit(design @ weights)
        gradient = design.T @ (probabilities - targets)
        if np.abs(gradient).max() < 1e-9 * len(values):
            break
        curvature = design.T @ (design * (probabilities * (1 - probabilities))[:, None]) + 1e-12 * np.eye(2)
        step, size = np.linalg.solve(curvature, gradient), 1.0
        while loss(weights - size * step) > loss(weights) and size > 1e-10:
            size /= 2.0
        weights = weights - size * step
    slope = weights[0] / spread
    return PlattScaling(slope=float(-slope), intercept=float(slope * center - weights[1]))
