"""The metrics as functions of sums over examples, so that thousands of resamples cost one matrix product.

A `MetricPlan` holds what each example adds to each sum, and the function from sums to metrics. With the sums of all
examples it gives the metrics of ``nlpladder.evaluation.metrics``; with weighted sums, those of a resample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.evaluation import classification, multilabel, regression
from nlpladder.evaluation.resampling import RankProblem, RocAucProblem, SpearmanProblem
from nlpladder.protocols import Task

Float = npt.NDArray[np.float64]
#: From sums (resamples, columns), total weights (resamples,) and rank statistics (resamples, problems) to values.
Evaluate = Callable[[Float, Float, Float], dict[str, Float]]


@dataclass(frozen=True)
class MetricPlan:
    """Everything that is needed to compute the metrics of one system on any weighting of the examples.

    Attributes:
        columns: What each example adds to each sum, (examples, columns).
        rank_problems: Statistics that are not functions of sums.
        shared: How many leading columns mean the same for every system on these labels (the bins of the calibration
            errors do not), so that examples may be swapped between systems.
        evaluate: From sums, total weights and rank statistics to (resamples,) values by metric; NaN where undefined.
    """

    columns: Float
    rank_problems: tuple[RankProblem, ...]
    shared: int
    evaluate: Evaluate

    def without_ranks(self) -> MetricPlan:
        """Return the plan without its rank statistics, whose metrics are then NaN."""
        return replace(self, rank_problems=())


def metric_plan(labels: Any, probabilities: Float, task: Task) -> MetricPlan:
    """Build the plan of all metrics of a task from checked arrays."""
    if task == "single_label":
        return _single_label_plan(labels, probabilities)
    if task == "multi_label":
        return _multi_label_plan(labels, probabilities)
    return _regression_plan(labels, probabilities)


def seed_plans(labels: Any, probabilities: Sequence[Float], task: Task, *, ranks: bool = True) -> list[MetricPlan]:
    """Build one plan per seed, without the rank statistics if they are not wanted."""
    plans = [metric_plan(labels, scores, task) for scores in probabilities]
    return plans if ranks else [plan.without_ranks() for plan in plans]


def evaluate_seeds(plans: Sequence[MetricPlan], sums: Float, totals: Float, ranks: Float) -> dict[str, Float]:
    """Evaluate plans whose columns and rank problems stand side by side: (seeds, resamples) values by metric."""
    column_edges = np.cumsum([0] + [plan.columns.shape[1] for plan in plans])
    rank_edges = np.cumsum([0] + [len(plan.rank_problems) for plan in plans])
    values = [
        plan.evaluate(sums[:, first:last], totals, ranks[:, rank_first:rank_last])
        for plan, (first, last), (rank_first, rank_last) in zip(
            plans, pairwise(column_edges), pairwise(rank_edges), strict=True
        )
    ]
    return {name: np.stack([value[name] for value in values]) for name in values[0]}


def _ratio(numerator: Any, denominator: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def _nanmean(values: Float) -> Float:
    """Return the mean over the last axis of what is not NaN; NaN where nothing is."""
    valid = ~np.isnan(values)
    return _ratio(np.where(valid, values, 0.0).sum(axis=-1), valid.sum(axis=-1))


def _mean_rank(ranks: Float, totals: Float) -> Float:
    return ranks.mean(axis=1) if ranks.shape[1] else np.full(len(totals), np.nan)


def _single_label_plan(labels: Any, probabilities: Float) -> MetricPlan:
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    identity = np.eye(classes)
    true_hot, predicted_hot = identity[labels], identity[predicted]  # (examples, classes)
    confidences, gaps = classification.calibration_gaps(labels, probabilities)
    width_bins = np.unique(classification.equal_width_bins(confidences), return_inverse=True)[1]
    mass_bins = np.unique(classification.equal_mass_bins(confidences), return_inverse=True)[1]
    widths, masses = int(width_bins.max()) + 1, int(mass_bins.max()) + 1
    columns = np.column_stack(
        [
            true_hot * predicted_hot,
            predicted_hot,
            true_hot,
            classification.example_log_loss(labels, probabilities),
            classification.example_brier(labels, probabilities),
            np.eye(widths)[width_bins] * gaps[:, None],
            np.eye(masses)[mass_bins] * gaps[:, None],
        ]
    )
    places = np.cumsum([classes, classes, classes, 1, 1, widths])
    one_against_rest = [1] if classes == 2 else range(classes)
    problems = tuple(RocAucProblem(probabilities[:, index], labels == index) for index in one_against_rest)

    def evaluate(sums: Float, totals: Float, ranks: Float) -> dict[str, Float]:
        found, guessed, true, loss, brier, width_gaps, mass_gaps = np.split(sums, places, axis=1)
        f1 = _ratio(2 * found, guessed + true)  # (resamples, classes)
        correct = found.sum(axis=1)
        true_spread = totals**2 - (true**2).sum(axis=1)
        guessed_spread = totals**2 - (guessed**2).sum(axis=1)
        covariance = correct * totals - (true * guessed).sum(axis=1)
        matthews = np.where(guessed_spread > 0, _ratio(covariance, np.sqrt(true_spread * guessed_spread)), 0.0)
        return {
            "accuracy": correct / totals,
            "f1_macro": _nanmean(f1),
            "f1_micro": correct / totals,
            "f1_weighted": (np.nan_to_num(f1) * true).sum(axis=1) / totals,
            "balanced_accuracy": _nanmean(_ratio(found, true)),
            "matthews_correlation": np.where(true_spread > 0, matthews, np.nan),
            "roc_auc": _mean_rank(ranks, totals),
            "log_loss": loss[:, 0] / totals,
            "brier_score": brier[:, 0] / totals,
            "expected_calibration_error": np.abs(width_gaps).sum(axis=1) / totals,
            "adaptive_calibration_error": np.abs(mass_gaps).sum(axis=1) / totals,
        }

    return MetricPlan(columns, problems, 3 * classes + 2, evaluate)


def _multi_label_plan(labels: Any, probabilities: Float) -> MetricPlan:
    count = probabilities.shape[1]
    predicted = multilabel.predicted_labels(probabilities)
    columns = np.column_stack(
        [
            (labels & predicted).astype(np.float64),
            predicted.astype(np.float64) + labels,
            (predicted == labels).all(axis=1),
            (predicted != labels).sum(axis=1),
            multilabel.example_ranking_precision(labels, probabilities),
        ]
    )
    problems = tuple(RocAucProblem(probabilities[:, index], labels[:, index]) for index in range(count))

    def evaluate(sums: Float, totals: Float, ranks: Float) -> dict[str, Float]:
        found, occurring = sums[:, :count], sums[:, count : 2 * count]  # (resamples, labels)
        exact, wrong, precision = sums[:, 2 * count :].T
        return {
            "subset_accuracy": exact / totals,
            "f1_micro": _ratio(2 * found.sum(axis=1), occurring.sum(axis=1)),
            "f1_macro": _nanmean(_ratio(2 * found, occurring)),
            "hamming_loss": wrong / (totals * count),
            "label_ranking_average_precision": precision / totals,
            "roc_auc": _mean_rank(ranks, totals),
        }

    return MetricPlan(columns, problems, columns.shape[1], evaluate)


def _regression_plan(labels: Float, predictions: Float) -> MetricPlan:
    # Centred and scaled sums lose no digits when the mean is large against the spread. Only the labels set the centre
    # and the scale, so that the sums of two systems can be mixed.
    spread = float(np.std(labels)) or 1.0
    first = (labels - labels.mean()) / spread
    second = (predictions - labels.mean()) / spread
    error = predictions - labels
    columns = np.column_stack([error**2, np.abs(error), first, second, first**2, second**2, first * second])
    constant = regression.is_constant(labels), regression.is_constant(predictions)

    def evaluate(sums: Float, totals: Float, ranks: Float) -> dict[str, Float]:
        squared, absolute, x, y, xx, yy, xy = (sums / totals[:, None]).T
        x_spread, y_spread = _positive(xx - x**2, constant[0]), _positive(yy - y**2, constant[1])
        return {
            "mean_squared_error": squared,
            "root_mean_squared_error": np.sqrt(squared),
            "mean_absolute_error": absolute,
            "r_squared": 1.0 - squared / (x_spread * spread**2),
            "pearson": (xy - x * y) / np.sqrt(x_spread * y_spread),
            "spearman": _mean_rank(ranks, totals),
        }

    return MetricPlan(columns, (SpearmanProblem(labels, predictions),), columns.shape[1], evaluate)


def _positive(variances: Float, constant: bool) -> Float:
    """Return variances with NaN for those that are zero up to the rounding of the sums."""
    return np.where((variances > 1e-9) & (not constant), variances, np.nan)
