"""Is the difference between two systems real? Tests on the same examples, and corrections for many tests.

Each test takes either the scores of the examples (1 for correct and 0 for wrong, or a loss), or labels and the
probabilities of both systems with the name of a metric. Several seeds stand in a leading axis; a system is then the
mean over its seeds, and the test is about these trained models on other test sets. The variance over seeds is added by
``nlpladder.evaluation.comparison``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.closed_intervals import difference_interval, effective_trials, group_sizes, has_no_spread
from nlpladder.evaluation.inputs import check_task
from nlpladder.evaluation.intervals import check_confidence, need_two
from nlpladder.evaluation.metrics import metric_spec
from nlpladder.evaluation.resampling import Groups, bootstrap, check_resampling, swap_replicates
from nlpladder.evaluation.seeds import check_seed_predictions
from nlpladder.evaluation.sums import MetricPlan, evaluate_seeds, seed_plans

Float = npt.NDArray[np.float64]

#: Metrics that are a mean over examples of 0 or 1, for which exact tests exist.
_MEANS_OF_HITS = {
    ("single_label", "accuracy"): lambda labels, scores: scores.argmax(axis=1) == labels,
    ("single_label", "f1_micro"): lambda labels, scores: scores.argmax(axis=1) == labels,
    ("multi_label", "subset_accuracy"): lambda labels, scores: ((scores > 0.5) == labels).all(axis=1),
}
#: Metrics that are no function of sums which two systems share: swapped examples are scored one assignment at a time.
_SCORED_LITERALLY = frozenset({"roc_auc", "spearman", "expected_calibration_error", "adaptive_calibration_error"})


@dataclass(frozen=True)
class PairedTest:
    """The result of one test.

    Attributes:
        test: Name of the test.
        difference: System A minus system B, in the unit of the metric.
        p_value: Two-sided.
        low: Lower end of the interval of the difference; None if the test gives none.
        high: Upper end.
        n: Number of examples.
        method: How it was computed, with the number of resamples.
    """

    test: str
    difference: float
    p_value: float
    low: float | None
    high: float | None
    n: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Pair:
    """Two systems on the same examples.

    Attributes:
        plans: The plans of the seeds of A, and of those of B.
        metric: Key of the metric in what the plans evaluate to.
        values: The metric of each seed of A, and of B.
        score: The literal metric of one array of predictions; None where examples have plain scores.
        arrays: Predictions of the seeds of A, and of B; empty where examples have plain scores.
        hits: Per-example scores of A and B, mean over seeds, where the metric is their mean; else None.
    """

    plans: tuple[Sequence[MetricPlan], Sequence[MetricPlan]]
    metric: str
    values: tuple[Float, Float]
    score: Callable[[Float], float] | None
    arrays: tuple[Sequence[Float], Sequence[Float]]
    hits: tuple[Float, Float] | None

    @property
    def examples(self) -> int:
        """Number of examples."""
        return self.plans[0][0].columns.shape[0]

    @property
    def difference(self) -> float:
        """Mean over the seeds of A minus mean over the seeds of B."""
        return float(self.values[0].mean() - self.values[1].mean())

    def bootstrap_test(
        self, replicates: Float, confidence: float, groups: Groups | None
    ) -> tuple[float | None, float | None, float]:
        """Return low, high and p of the difference from its replicates, see the function `bootstrap_test`."""
        sizes = group_sizes(groups, self.examples)
        shares = self.hits is not None and all(np.isin(hits, (0.0, 1.0)).all() for hits in self.hits)
        trials = effective_trials(sizes) if shares else None
        return bootstrap_test(self.difference, replicates, confidence, units=len(sizes), trials=trials)


def mcnemar_exact(correct_a: Any, correct_b: Any) -> PairedTest:
    """Run McNemar's test in its exact form: of the examples that one system alone gets right, half are A's.

    McNemar (1947); the exact two-sided p is the binomial one (Dietterich 1998, section 3.1, uses the approximation).

    Args:
        correct_a: Whether system A is right, (examples,).
        correct_b: The same for system B.

    Raises:
        DataError: If the arrays are not 0/1 of the same length, or hold several seeds.
    """
    from scipy import stats

    first, second = _score_rows(correct_a, "correct_a"), _score_rows(correct_b, "correct_b")
    _same_length(first, second)
    if len(first) > 1 or len(second) > 1:
        raise DataError("McNemar's test is about two trained models: give one seed each, or use paired_bootstrap.")
    for name, rows in (("correct_a", first), ("correct_b", second)):
        wrong = np.flatnonzero(~np.isin(rows[0], (0.0, 1.0)))
        if wrong.size:
            raise DataError(f"{name}, row {wrong[0]}: {rows[0, wrong[0]]:g} is neither 0 nor 1.")
    gained = int(((first == 1) & (second == 0)).sum())
    lost = int(((first == 0) & (second == 1)).sum())
    p_value = float(stats.binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0
    examples = first.shape[1]
    method = f"exact binomial: A alone is right on {gained}, B alone on {lost} of {examples} examples"
    return PairedTest("mcnemar_exact", (gained - lost) / examples, p_value, None, None, examples, method)


def build_pair(first: Any, second: Any, *, labels: Any = None, metric: str | None = None, task: str) -> Pair:
    """Check two systems and make their plans.

    Args:
        first: Scores of A, (examples,) or (seeds, examples); or, with `labels`, its probabilities, (examples, labels)
            or (seeds, examples, labels).
        second: The same for B.
        labels: True labels, if `first` and `second` are probabilities.
        metric: Name of the metric, needed with `labels`.
        task: What the labels are.

    Raises:
        DataError: If the arrays do not fit, or the metric is undefined for a seed.
        ConfigError: If only one of `labels` and `metric` is given, or the metric is unknown.
    """
    if (labels is None) != (metric is None):
        raise ConfigError(
            "Give labels and metric together with two arrays of probabilities, or neither of them with two arrays of "
            "scores per example."
        )
    if metric is None:
        rows = _score_rows(first, "the scores of A"), _score_rows(second, "the scores of B")
        _same_length(*rows)
        means = rows[0].mean(axis=0), rows[1].mean(axis=0)
        plans = [_mean_plan(means[0])], [_mean_plan(means[1])]
        return Pair(plans, "score", (rows[0].mean(axis=1), rows[1].mean(axis=1)), None, ([], []), means)
    known_task = check_task(task)
    spec, _ = metric_spec(metric, known_task)
    one_seed = 1 if known_task == "regression" and np.ndim(labels) == 1 else 2
    arrays = []
    for scores in (first, second):
        with_seeds = [scores] if np.ndim(scores) == one_seed else scores
        truth, checked = check_seed_predictions(labels, with_seeds, task=known_task)
        arrays.append(checked)
    need_two(len(truth))
    values = [np.asarray([spec.compute(truth, scores) for scores in system]) for system in arrays]
    if np.isnan(values[0]).any() or np.isnan(values[1]).any():
        raise DataError(f"{metric} is undefined on this data: choose another metric. (compute_metrics shows which.)")
    hit = _MEANS_OF_HITS.get((known_task, metric))
    hits = None
    if hit is not None:
        hits = tuple(np.mean([hit(truth, scores) for scores in system], axis=0) for system in arrays)
    ranks = metric in ("roc_auc", "spearman")
    systems = tuple(seed_plans(truth, system, known_task, ranks=ranks) for system in arrays)
    score = lambda scores: spec.compute(truth, scores)  # noqa: E731
    return Pair(systems, metric, (values[0], values[1]), score, (arrays[0], arrays[1]), hits)  # type: ignore[arg-type]


def difference_replicates(
    pair: Pair, *, resamples: int, seed: int, groups: Groups | None = None
) -> npt.NDArray[np.float64]:
    """Return bootstrap replicates of A minus B, both on the same resamples; undefined ones are left out."""
    if pair.hits is not None:
        drawn = bootstrap((pair.hits[0] - pair.hits[1])[:, None], resamples=resamples, seed=seed, groups=groups)
        return drawn.sums[:, 0] / drawn.totals
    plans = [*pair.plans[0], *pair.plans[1]]
    drawn = bootstrap(
        np.hstack([plan.columns for plan in plans]),
        resamples=resamples,
        seed=seed,
        groups=groups,
        rank_problems=[problem for plan in plans for problem in plan.rank_problems],
    )
    values = evaluate_seeds(plans, drawn.sums, drawn.totals, drawn.ranks)[pair.metric]  # (seeds of both, resamples)
    seeds = len(pair.plans[0])
    differences = values[:seeds].mean(axis=0) - values[seeds:].mean(axis=0)
    return differences[~np.isnan(differences)]


def paired_bootstrap(
    first: Any,
    second: Any,
    *,
    labels: Any = None,
    metric: str | None = None,
    task: str = "single_label",
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
    groups: Groups | None = None,
) -> PairedTest:
    """Run the paired bootstrap (Koehn 2004) with the two-sided p of the shifted distribution.

    Under the null hypothesis the difference varies around 0 as the replicates vary around the observed difference
    (Berg-Kirkpatrick et al. 2012, section 3, who test one side): p = (1 + #{|d* - d| >= |d|}) / (1 + resamples).

    Args:
        first: Scores or probabilities of system A, see `build_pair`.
        second: The same for system B.
        labels: True labels, if probabilities are given.
        metric: Name of the metric, with `labels`.
        task: What the labels are.
        resamples: How many resamples.
        seed: Fixes every number.
        confidence: Level of the percentile interval of the difference.
        groups: A group per example; whole groups are resampled.

    Raises:
        DataError: If the arrays do not fit, or no resample has a value.
        ConfigError: If an option makes no sense.
    """
    check_confidence(confidence)
    pair = build_pair(first, second, labels=labels, metric=metric, task=task)
    replicates = difference_replicates(pair, resamples=resamples, seed=seed, groups=groups)
    low, high, p_value = pair.bootstrap_test(replicates, confidence, groups)
    method = f"paired bootstrap, {len(replicates):,} resamples, seed {seed}"
    return PairedTest("paired_bootstrap", pair.difference, p_value, low, high, pair.examples, method)


def bootstrap_test(
    difference: float, replicates: Float, confidence: float, *, units: int, trials: float | None = None
) -> tuple[float | None, float | None, float]:
    """Return low, high and the two-sided p of a difference from its bootstrap replicates.

    Where all replicates are alike, the interval of a difference of shares is Tango's (see ``closed_intervals``), others
    have none, and p is at least 2^(1 - units): the chance that a coin gives all of the units to one system.

    Args:
        difference: A minus B.
        replicates: Of it; without NaN.
        confidence: Level of the interval.
        units: Number of examples, or groups, that are resampled.
        trials: The effective number of them if the difference is one of two shares; else None.

    Raises:
        DataError: If there is no replicate.
    """
    if not len(replicates):
        raise DataError("The metric was undefined in every resample: a class is too rare in this data for it.")
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(replicates, [tail, 1.0 - tail])
    beyond = int((np.abs(replicates - difference) >= abs(difference) - 1e-12).sum())
    p_value = (1 + beyond) / (1 + len(replicates))
    if has_no_spread(replicates):
        ends = None if trials is None else difference_interval(difference, trials, confidence)
        return *(ends or (None, None)), max(p_value, 0.5 ** (units - 1))
    return float(low), float(high), p_value


def approximate_randomization(
    first: Any,
    second: Any,
    *,
    labels: Any = None,
    metric: str | None = None,
    task: str = "single_label",
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedTest:
    """Run the paired randomisation test: under the null, the two outputs for an example may be swapped.

    p = (1 + #{|d*| >= |d|}) / (1 + resamples) (Noreen 1989; Yeh 2000). Where all non-zero
    differences have one size, as for the accuracy of two models, all assignments are enumerated by the binomial
    distribution. Several seeds are swapped together. ROC AUC, Spearman and the calibration errors are scored assignment
    by assignment, which takes resamples times the time of one evaluation.

    Args:
        first: Scores or probabilities of system A, see `build_pair`.
        second: The same for system B.
        labels: True labels, if probabilities are given.
        metric: Name of the metric, with `labels`.
        task: What the labels are.
        resamples: How many random assignments, where they are not enumerated.
        seed: Fixes every number.

    Raises:
        DataError: If the arrays do not fit, or the systems have different numbers of seeds and the metric is no mean.
        ConfigError: If an option makes no sense.
    """
    check_resampling(resamples, seed)
    return randomization_test(
        build_pair(first, second, labels=labels, metric=metric, task=task), resamples=resamples, seed=seed
    )


def randomization_test(pair: Pair, *, resamples: int, seed: int) -> PairedTest:
    """Run `approximate_randomization` on a pair that is already built."""
    from scipy import stats

    name, observed = "approximate_randomization", pair.difference
    if pair.hits is not None:
        differences = pair.hits[0] - pair.hits[1]
        moved = differences[np.abs(differences) > 1e-12]
        if not len(moved):
            return PairedTest(name, observed, 1.0, None, None, pair.examples, "exact: no example differs")
        if np.ptp(np.abs(moved)) <= 1e-12:
            p_value = float(stats.binomtest(int((moved > 0).sum()), len(moved), 0.5).pvalue)
            method = f"exact randomisation (binomial over the {len(moved):,} examples that differ)"
            return PairedTest(name, observed, p_value, None, None, pair.examples, method)
        swapped = swap_replicates(differences[:, None], resamples=resamples, seed=seed)[:, 0]
        replicates = (differences.sum() - 2.0 * swapped) / pair.examples
    else:
        if len(pair.plans[0]) != len(pair.plans[1]):
            raise DataError(
                f"A has {len(pair.plans[0])} seeds and B has {len(pair.plans[1])}: a swap needs as many. "
                "Leave the extra seeds out, or use paired_bootstrap."
            )
        literally = pair.metric in _SCORED_LITERALLY
        replicates = (_literal_swaps if literally else _swapped_sums)(pair, resamples, seed)
    beyond = int((np.abs(replicates) >= abs(observed) - 1e-12).sum())
    method = f"approximate randomisation, {resamples:,} assignments, seed {seed}"
    return PairedTest(name, observed, (1 + beyond) / (1 + resamples), None, None, pair.examples, method)


def _swapped_sums(pair: Pair, resamples: int, seed: int) -> Float:
    """Return the difference of a sum-based metric under random swaps, (resamples,)."""
    shared = pair.plans[0][0].shared
    stacks = [np.stack([plan.columns[:, :shared] for plan in plans], axis=1) for plans in pair.plans]
    examples, seeds, _ = stacks[0].shape  # (examples, seeds, shared)
    change = (stacks[1] - stacks[0]).reshape(examples, seeds * shared)
    swapped = swap_replicates(change, resamples=resamples, seed=seed).reshape(resamples, seeds, shared)
    totals, no_ranks = np.full(resamples, float(examples)), np.empty((resamples, 0))
    result = np.zeros(resamples)
    for index in range(seeds):
        for system, sign in ((0, 1.0), (1, -1.0)):
            plan = pair.plans[system][index]
            sums = np.zeros((resamples, plan.columns.shape[1]))
            sums[:, :shared] = stacks[system][:, index].sum(axis=0) + sign * swapped[:, index]
            result += sign * plan.evaluate(sums, totals, no_ranks)[pair.metric] / seeds
    return np.nan_to_num(result)


def _literal_swaps(pair: Pair, resamples: int, seed: int) -> Float:
    """Return the difference of any metric under random swaps, one evaluation per assignment and seed."""
    generator = np.random.default_rng(seed)
    first, second = np.stack(pair.arrays[0]), np.stack(pair.arrays[1])  # (seeds, examples, ...)
    assert pair.score is not None
    result = np.empty(resamples)
    for resample in range(resamples):
        swap = generator.integers(0, 2, size=pair.examples).astype(bool)
        swap = swap.reshape(1, -1, *[1] * (first.ndim - 2))
        mixed_a, mixed_b = np.where(swap, second, first), np.where(swap, first, second)
        result[resample] = np.mean([pair.score(a) - pair.score(b) for a, b in zip(mixed_a, mixed_b, strict=True)])
    return result


def _mean_plan(scores: Float) -> MetricPlan:
    return MetricPlan(scores[:, None], (), 1, lambda sums, totals, ranks: {"score": sums[:, 0] / totals})


def _score_rows(scores: Any, name: str) -> Float:
    """Return scores as (seeds, examples).

    Raises:
        DataError: If the array has another shape, fewer than two examples, or a number that is not finite.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim not in (1, 2) or array.size == 0:
        raise DataError(f"{name}: shape {array.shape}, expected (examples,) or (seeds, examples), with examples.")
    rows = np.atleast_2d(array)
    need_two(rows.shape[1])
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        raise DataError(f"{name}, row {bad[0][1]}: {rows[tuple(bad[0])]} is not finite.")
    return rows


def _same_length(first: Float, second: Float) -> None:
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"System A has {first.shape[1]} examples and system B {second.shape[1]}: a paired test needs both on the "
            "same examples, in the same order."
        )
