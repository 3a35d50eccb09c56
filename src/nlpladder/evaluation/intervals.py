"""A score with its interval: every metric of a task under the bootstrap, in one pass over the same resamples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.evaluation.classification import calibrated_error_limit
from nlpladder.evaluation.closed_intervals import (
    NO_INTERVAL,
    ClosedInterval,
    area_interval,
    effective_trials,
    end_interval,
    group_sizes,
    has_no_spread,
    is_small_share,
    no_interval,
    recall_interval,
    share_interval,
)
from nlpladder.evaluation.inputs import check_predictions, check_task, default_label_names
from nlpladder.evaluation.metrics import METRICS, MetricSpec, absent_classes, name_list, undefined_reason
from nlpladder.evaluation.resampling import Groups, bootstrap, check_resampling, group_indices
from nlpladder.evaluation.sums import metric_plan
from nlpladder.protocols import Task

Float = npt.NDArray[np.float64]

#: Metrics whose plug-in estimate is biased upwards, and that use the basic interval.
BIASED_UPWARDS = frozenset({"expected_calibration_error", "adaptive_calibration_error"})
#: Metrics that are a share of the examples, by task.
SHARES = frozenset({("single_label", "accuracy"), ("single_label", "f1_micro"), ("multi_label", "subset_accuracy")})
#: Metrics that are a mean over the examples of values from 0 to 1.
_BOUNDED_MEANS = frozenset({("multi_label", "hamming_loss"), ("multi_label", "label_ranking_average_precision")})


@dataclass(frozen=True)
class Score:
    """A metric, its interval, and how they were computed.

    Attributes:
        name: Such as ``f1_macro``.
        value: The value on all examples; None if the metric is undefined on this data (`note` says why).
        low: Lower end of the interval; None if there is none.
        high: Upper end.
        n: Number of examples (or of whatever unit `note` names).
        confidence: Level of the interval, such as 0.95.
        method: How the interval was computed.
        higher_is_better: Whether a rise is an improvement.
        unit: ``"%"`` means that value, low and high are shares from 0 to 1, shown times 100.
        note: What a reader must know besides.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    confidence: float = 0.95
    method: str = ""
    higher_is_better: bool = True
    unit: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Score:
        """Return the score that `to_dict` described.

        Raises:
            DataError: If a field is missing or unknown; the message names the nearest.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise DataError(f"Unknown field {name!r} of a score.{did_you_mean(name, known)}")
        missing = {"name", "value", "low", "high", "n"} - set(fields)
        if missing:
            raise DataError(f"A score lacks {', '.join(sorted(missing))}: it has {', '.join(sorted(fields))}.")
        return cls(**fields)

    def format(self, decimals: int | None = None) -> str:
        """Return ``"82.1 [80.3, 83.8]"``: shares times 100 with one decimal, others with three.

        Where all resamples are alike there is none, and it says so: ``"100.0 (n = 12: no interval)"``.

        Args:
            decimals: Digits after the point; None chooses by the unit.
        """
        if self.value is None:
            return "undefined"
        factor = 100.0 if self.unit == "%" else 1.0
        digits = (1 if self.unit in ("%", "points") else 3) if decimals is None else decimals
        text = f"{self.value * factor:.{digits}f}"
        if self.low is None or self.high is None:
            return f"{text} (n = {self.n:,}: no interval)" if self.method.startswith(NO_INTERVAL) else text
        return f"{text} [{self.low * factor:.{digits}f}, {self.high * factor:.{digits}f}]"


def score_predictions(
    labels: Any,
    probabilities: Any,
    *,
    task: str = "single_label",
    label_names: Sequence[str] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
    groups: Groups | None = None,
) -> dict[str, Score]:
    """Return every metric of the task with a bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    Where all resamples have the same value, and for shares of few examples, the interval is one of
    ``nlpladder.evaluation.closed_intervals``, or there is none; `Score.method` says so.

    Args:
        labels: As in ``check_predictions``.
        probabilities: As in ``check_predictions``.
        task: What the labels are.
        label_names: Names of the columns of `probabilities`.
        resamples: How many resamples; metrics that need ranks (ROC AUC, Spearman) use fewer, at least 1,000, when
            classes times examples is very large, and `Score.method` says how many.
        seed: Fixes every number, whatever the number of threads.
        confidence: Level of the intervals.
        groups: A group per example, such as the document of a sentence; whole groups are resampled.

    Raises:
        DataError: If the arrays do not fit, or hold fewer than two examples or groups.
        ConfigError: If `confidence`, `resamples` or `seed` make no sense, or the task is unknown.
    """
    check_confidence(confidence)
    check_resampling(resamples, seed)
    known_task = check_task(task)
    truth, scores = check_predictions(labels, probabilities, task=known_task, label_names=label_names)
    examples = len(truth)
    need_two(examples)
    plan = metric_plan(truth, scores, known_task)
    drawn = bootstrap(plan.columns, resamples=resamples, seed=seed, groups=groups, rank_problems=plan.rank_problems)
    replicates = plan.evaluate(drawn.sums, drawn.totals, drawn.ranks)
    units = "examples" if groups is None else f"{group_indices(groups, examples)[1]} groups"
    note = _data_note(truth, known_task, label_names, scores)
    results = {}
    for name, spec in METRICS[known_task].items():
        used = drawn.rank_resamples if name in ("roc_auc", "spearman") else resamples
        value = spec.compute(truth, scores)
        if np.isnan(value):
            reason = undefined_reason(name, truth, scores, known_task, label_names)
            results[name] = _score(spec, None, None, None, examples, confidence, "", reason)
            continue
        drawn_values = replicates[name][:used]
        small = groups is None and (known_task, name) in SHARES and is_small_share(value, examples)
        if small or has_no_spread(drawn_values):
            closed = closed_interval(spec, value, truth, task=known_task, confidence=confidence, groups=groups)
            said = " ".join(part for part in (note, closed.note) if part)
            results[name] = _score(spec, value, closed.low, closed.high, examples, confidence, closed.method, said)
            continue
        low, high, kind, warning = replicate_interval(spec, value, drawn_values, confidence)
        if name in BIASED_UPWARDS and low is not None:
            adaptive, tail = name == "adaptive_calibration_error", (1.0 + confidence) / 2.0
            if value <= calibrated_error_limit(scores, adaptive=adaptive, quantile=tail, seed=seed):
                low, warning = 0.0, "A perfectly calibrated model would often show as much on this many examples."
        method = f"{kind} bootstrap interval, {used:,} resamples of {units}, seed {seed}"
        if low is not None and low == high:  # such as a calibration error that is 0 by chance
            low, high, method = None, None, f"{NO_INTERVAL}: the {kind} bootstrap has no width"
        results[name] = _score(
            spec, value, low, high, examples, confidence, method, " ".join(part for part in (note, warning) if part)
        )
    return results


def closed_interval(
    spec: MetricSpec, value: float, labels: Any, *, task: Task, confidence: float, groups: Groups | None = None
) -> ClosedInterval:
    """Return the interval of a metric that does not come from resamples, or the statement that there is none.

    Args:
        spec: The metric.
        value: Its value on all examples; for several seeds the one that they share.
        labels: Checked labels.
        task: What they are.
        confidence: Level.
        groups: A group per example.
    """
    examples, unit_name = len(labels), "examples" if groups is None else "groups"
    found = None
    if (task, spec.name) in SHARES | _BOUNDED_MEANS:
        trials = effective_trials(group_sizes(groups, examples))
        if groups is None and (task, spec.name) in SHARES:
            found = share_interval(value, trials, confidence)
        else:
            what = "which bounds the mean of all" if (task, spec.name) in _BOUNDED_MEANS else ""
            found = end_interval(value, trials, confidence, unit_name=unit_name, what=what)
    elif groups is None and spec.name == "balanced_accuracy":
        found = recall_interval(value, np.bincount(labels).tolist(), confidence)
    elif groups is None and spec.name == "roc_auc":
        positives = labels.sum(axis=0) if task == "multi_label" else np.bincount(labels)
        found = area_interval(value, positives.tolist(), examples, confidence)
    if found is not None:
        return found
    return no_interval(value, spec.high if spec.higher_is_better else spec.low, examples)


def replicate_interval(
    spec: MetricSpec, value: float, replicates: Float, confidence: float
) -> tuple[float | None, float | None, str, str]:
    """Turn bootstrap replicates of a metric into an interval.

    The percentile interval, except for calibration errors: each resample adds noise to every bin, so that replicates
    lie above the value by about as much as the value lies above the truth (Broecker 2012; Kumar et al. 2019). Their
    basic interval, 2 value - quantile (Davison and Hinkley 1997, equation 5.6), takes that off again.

    Returns:
        Low, high, the kind of interval, and a remark, empty if there is nothing to say.
    """
    valid = replicates[~np.isnan(replicates)]
    if not len(valid):
        return None, None, "no", "No resample had a value."
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(valid, [tail, 1.0 - tail])
    kind = "percentile"
    if spec.name in BIASED_UPWARDS:
        low, high, kind = max(0.0, 2 * value - high), max(value, 2 * value - low), "basic"
    lost = len(replicates) - len(valid)
    remark = f"{lost:,} of {len(replicates):,} resamples had no value (a class was missing)." if lost else ""
    return float(low), float(high), kind, remark


def check_confidence(confidence: float) -> None:
    """Refuse a level that is no probability.

    Raises:
        ConfigError: If `confidence` is not strictly between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence is {confidence}: give a number between 0 and 1, such as 0.95.")


def need_two(examples: int) -> None:
    """Refuse data that has no spread.

    Raises:
        DataError: If there are fewer than two examples.
    """
    if examples < 2:
        raise DataError(
            f"There is {examples} example: an interval or a test needs at least two, and means little below fifty. "
            "Use compute_metrics for the bare values."
        )


def _data_note(labels: Any, task: str, label_names: Sequence[str] | None, scores: Float) -> str:
    if task != "single_label":
        return ""
    missing = absent_classes(labels, label_names or default_label_names(scores.shape[1]))
    if not missing:
        return ""
    return f"No example of class {name_list(missing)}."


def _score(
    spec: MetricSpec,
    value: float | None,
    low: float | None,
    high: float | None,
    n: int,
    confidence: float,
    method: str,
    note: str,
) -> Score:
    return Score(spec.name, value, low, high, n, confidence, method, spec.higher_is_better, spec.unit, note)
