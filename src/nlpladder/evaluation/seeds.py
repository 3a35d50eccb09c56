"""Scores over several training seeds, with an interval that covers both the seeds and the test set.

The mean over S seeds, all measured on the same n examples, is uncertain for two reasons. The test set: the variance of
the mean under a bootstrap of the examples, V_examples, drawn jointly for all seeds. The training: s^2 / S, with s^2 the
sample variance of the seeds' values. The two are added,

    V = V_examples + s^2 / S,

and the interval is mean +- t_{df} sqrt(V) with the degrees of freedom of Satterthwaite (1946, equation 17),
df = V^2 / ((s^2 / S)^2 / (S - 1)), the examples counting as known. Resampling the seeds as well (the two-level, or
pigeonhole, bootstrap of Owen 2007) would take only (S - 1) / S of s^2, a third too little at three seeds, and a normal
quantile. Where seeds and examples interact, s^2 / S holds the interaction that V_examples holds already: the interval
is then slightly too wide. In simulations 95 % intervals covered 93 to 96 % with three or more seeds, but only 87 %
with two seeds that vary much: two seeds say too little about their own variance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.evaluation.closed_intervals import has_no_spread, no_interval
from nlpladder.evaluation.inputs import check_predictions, check_task
from nlpladder.evaluation.intervals import Score, check_confidence, closed_interval, need_two, score_predictions
from nlpladder.evaluation.metrics import METRICS
from nlpladder.evaluation.resampling import Groups, bootstrap, group_indices
from nlpladder.evaluation.sums import evaluate_seeds, seed_plans

Float = npt.NDArray[np.float64]

#: Relative deviation of a value below which it counts as constant.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class SeedScore:
    """A metric over several seeds.

    Attributes:
        mean: The mean over seeds, with an interval that covers seeds and test set; with one seed, the plain score.
        values: The value of each seed; None where undefined.
        deviation: Sample standard deviation over seeds (divisor S - 1); None for one seed.
        minimum: Smallest value; None if undefined.
        maximum: Largest value; None if undefined.
    """

    mean: Score
    values: tuple[float | None, ...]
    deviation: float | None
    minimum: float | None
    maximum: float | None

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len(self.values)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return dataclasses.asdict(self) | {"values": list(self.values)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> SeedScore:
        """Return the score that `to_dict` described."""
        return cls(
            Score.from_dict(fields["mean"]),
            tuple(fields["values"]),
            fields["deviation"],
            fields["minimum"],
            fields["maximum"],
        )


def combined_interval(
    value: float, example_variance: float, seed_values: Sequence[Float], confidence: float
) -> tuple[float, float, float] | None:
    """Return low, high and the two-sided p of "the true value is 0" from the two variances (see the module).

    None where both variances are 0: all resamples and all seeds are alike, which says nothing of the precision.

    Args:
        value: The estimate, such as a mean over seeds or a difference of two such means.
        example_variance: Its variance over test sets.
        seed_values: One array of values per system with at least two seeds; each adds its s^2 / S.
        confidence: Level of the interval.
    """
    from scipy import stats

    parts = [(float(np.var(values, ddof=1)) / len(values), len(values) - 1) for values in seed_values]
    variance = example_variance + sum(part for part, _ in parts)
    if variance <= (_ROUNDING * value) ** 2:
        return None
    uncertainty = sum(part**2 / freedom for part, freedom in parts)
    quantity = stats.t(variance**2 / uncertainty) if uncertainty > 0.0 else stats.norm()
    half = float(quantity.ppf((1.0 + confidence) / 2.0)) * variance**0.5
    return value - half, value + half, float(2.0 * quantity.sf(abs(value) / variance**0.5))


def check_seed_predictions(
    labels: Any, probabilities: Any, *, task: str, label_names: Sequence[str] | None = None
) -> tuple[npt.NDArray[Any], list[Float]]:
    """Check the predictions of each seed.

    Args:
        labels: As in ``check_predictions``.
        probabilities: (seeds, examples, labels), or (seeds, examples) for regression, or a list of one array per seed.
        task: What the labels are.
        label_names: Names of the columns.

    Raises:
        DataError: If there is no seed, or a seed's array does not fit; the message names the seed.
    """
    if len(probabilities) == 0:
        raise DataError("There are no predictions: give at least one seed.")
    checked = []
    for seed, scores in enumerate(probabilities):
        try:
            truth, array = check_predictions(labels, scores, task=task, label_names=label_names)
        except DataError as error:
            hint = " (the first axis of probabilities is the seed)" if np.ndim(scores) < 2 else ""
            raise DataError(f"Seed number {seed}{hint}: {error}") from error
        checked.append(array)
    return truth, checked


def score_seeds(
    labels: Any,
    probabilities: Any,
    *,
    task: str = "single_label",
    label_names: Sequence[str] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
    groups: Groups | None = None,
) -> dict[str, SeedScore]:
    """Return every metric of the task over seeds; the interval covers seeds and test set (see the module).

    Args:
        labels: As in ``check_predictions``; the same examples for every seed.
        probabilities: (seeds, examples, labels), or (seeds, examples) for regression.
        task: What the labels are.
        label_names: Names of the columns of `probabilities`.
        resamples: How many resamples of the examples.
        seed: Fixes every number.
        confidence: Level of the intervals.
        groups: A group per example, for the clustered bootstrap.

    Raises:
        DataError: If the arrays do not fit.
    """
    check_confidence(confidence)
    known_task = check_task(task)
    truth, arrays = check_seed_predictions(labels, probabilities, task=known_task, label_names=label_names)
    need_two(len(truth))
    options: dict[str, Any] = {"task": task, "label_names": label_names, "confidence": confidence, "seed": seed}
    if len(arrays) == 1:
        plain = score_predictions(labels, arrays[0], resamples=resamples, groups=groups, **options)
        remark = "One seed: the interval covers the test set only."
        noted = {
            name: dataclasses.replace(score, note=f"{score.note} {remark}".strip()) for name, score in plain.items()
        }
        return {name: SeedScore(score, (score.value,), None, score.value, score.value) for name, score in noted.items()}
    plans = seed_plans(truth, arrays, known_task)
    drawn = bootstrap(
        np.hstack([plan.columns for plan in plans]),
        resamples=resamples,
        seed=seed,
        groups=groups,
        rank_problems=[problem for plan in plans for problem in plan.rank_problems],
    )
    replicates = evaluate_seeds(plans, drawn.sums, drawn.totals, drawn.ranks)
    units = "examples" if groups is None else f"{group_indices(groups, len(truth))[1]} groups"
    results = {}
    for name, spec in METRICS[known_task].items():
        values = np.asarray([spec.compute(truth, scores) for scores in arrays])
        means = replicates[name].mean(axis=0)
        means = means[~np.isnan(means)]
        example_variance = float(np.var(means, ddof=1)) if len(means) > 1 else None
        method = (
            f"variance over {len(values)} seeds plus variance over {len(means):,} bootstrap resamples of {units}, "
            f"t quantile (Satterthwaite), seed {seed}"
        )
        base = Score(name, None, None, None, len(truth), confidence, method, spec.higher_is_better, spec.unit, "")
        if has_no_spread(values) and has_no_spread(means):
            # The seeds share their value and every resample has it: what one seed gets, all get together.
            closed = closed_interval(spec, values[0], truth, task=known_task, confidence=confidence, groups=groups)
            base = dataclasses.replace(base, **dataclasses.asdict(closed))
            example_variance = 0.0
        results[name] = summarise(base, values.tolist(), example_variance, (spec.low, spec.high))
    return results


def aggregate_seeds(scores: Sequence[Mapping[str, Score]]) -> dict[str, SeedScore]:
    """Combine the finished scores of several seeds, where the predictions are no longer at hand.

    The test-set variance is taken from the width of the seeds' own intervals, averaged; since all seeds share the test
    set, it does not shrink with the number of seeds. `score_seeds` is sharper: use it where predictions exist.

    Args:
        scores: One ``{metric: Score}`` per seed, on the same test set.

    Returns:
        The metrics that every seed has.

    Raises:
        DataError: If there is no seed, or the seeds differ in their number of examples.
    """
    if not scores:
        raise DataError("There are no scores: give the scores of at least one seed.")
    results = {}
    for name, first in scores[0].items():
        if not all(name in other for other in scores):
            continue
        each = [other[name] for other in scores]
        sizes = sorted({score.n for score in each})
        if len(sizes) > 1:
            raise DataError(
                f"{name}: the seeds were measured on {' and '.join(map(str, sizes))} examples. "
                "Seeds can be averaged only on the same test set."
            )
        quantile = NormalDist().inv_cdf((1.0 + first.confidence) / 2.0)
        widths = [score.high - score.low for score in each if score.low is not None and score.high is not None]
        variance = float(np.mean([(width / 2.0 / quantile) ** 2 for width in widths])) if widths else None
        method = f"variance over {len(each)} seeds plus that of the seeds' own intervals, t quantile (Satterthwaite)"
        values = [float("nan") if score.value is None else score.value for score in each]
        limits = next(
            ((specs[name].low, specs[name].high) for specs in METRICS.values() if name in specs), (None, None)
        )
        base = dataclasses.replace(first, method=method) if len(each) > 1 else first
        ends = {(score.value, score.low, score.high) for score in each}
        if len(ends) == 1 and first.low is not None and first.value in (first.low, first.high):
            # All right, or all wrong, in every seed: the one-sided interval of one seed is that of all.
            base, variance = first, 0.0
            if first.low == first.high:
                better = limits[1] if first.higher_is_better else limits[0]
                base = dataclasses.replace(first, **dataclasses.asdict(no_interval(values[0], better, first.n)))
        elif len(ends) == 1 and first.low is None:
            base = first
        results[name] = summarise(base, values, variance, limits)
    return results


def summarise(
    base: Score,
    values: Sequence[float],
    example_variance: float | None,
    limits: tuple[float | None, float | None],
) -> SeedScore:
    """Combine the values of the seeds and the test-set variance of their mean into one score.

    Args:
        base: Carries name, unit and method; its value and interval are replaced unless there is one seed, or all
            seeds and examples are alike: the interval, which may be none, is then kept.
        values: Value per seed; NaN where undefined.
        example_variance: Variance of the mean over test sets; None if unknown.
        limits: Smallest and largest possible value of the metric.
    """
    if any(np.isnan(values)):
        known = [None if np.isnan(value) else value for value in values]
        note = base.note or f"{base.name} is undefined for {known.count(None)} of {len(known)} seeds."
        mean = dataclasses.replace(base, value=None, low=None, high=None, note=note)
        return SeedScore(mean, tuple(known), None, None, None)
    array = np.asarray(values, dtype=np.float64)
    if len(array) == 1:
        return SeedScore(base, (float(array[0]),), None, float(array[0]), float(array[0]))
    value = float(array.mean())
    low: float | None = None
    high: float | None = None
    if example_variance is not None:
        combined = combined_interval(value, example_variance, [array], base.confidence)
        if combined is None:
            low, high = base.low, base.high
        else:
            low = combined[0] if limits[0] is None else max(combined[0], limits[0])
            high = combined[1] if limits[1] is None else min(combined[1], limits[1])
    note = f"{base.note} Two seeds say little about their variance: take three or more.".strip()
    mean = dataclasses.replace(base, value=value, low=low, high=high, note=note if len(array) == 2 else base.note)
    return SeedScore(mean, tuple(array.tolist()), float(array.std(ddof=1)), float(array.min()), float(array.max()))
