"""Estimates of bias scores: value, interval, p, and smallest detectable effect, all with clusters.

Items of one target term, occupation or template share words, so that a model tends to get them wrong together: they are
not independent, and an interval that takes them for it is too narrow. Every function here takes the cluster of each
item and treats clusters as the independent units:

* The interval of a mean or of any function of sums is a percentile bootstrap over clusters (Field and Welsh 2007), its
  levels widened as Hesterberg (2015, "What teachers should know about the bootstrap") does, so that it is as wide as
  Student's t would make it. With fewer than ten clusters there are too few different resamples: there it is the
  jackknife over clusters with quantiles of t.
* The interval of a share is Wilson's (1927): on the items themselves where each is its own cluster, otherwise on items
  divided by their design effect, with quantiles of t (Dean and Pagano 2015). It holds near 0 and 1, where the bootstrap
  has no width.
* p is that of the sign-flip test over clusters (`nlpladder.bias.statistics.sign_flips`), for functions of sums that of
  the jackknife with quantiles of t.
* The smallest detectable effect is Bloom's (1995), from the same standard error (`nlpladder.bias.statistics.power`).

Degrees of freedom are those of the effective number of clusters, (sum n)^2 / sum n^2 of the cluster sizes n, minus one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nlpladder.bias.statistics.cluster_intervals import (
    FEW_CLUSTERS,
    FunctionOfSums,
    cluster_interval,
    design_effect,
    jackknife_p,
    wilson,
)
from nlpladder.bias.statistics.cluster_sums import Clusters, ClusterSums, check_finite, finite_column, sum_by_cluster
from nlpladder.bias.statistics.power import LEVEL, detectable_effect, detectable_share, quantile
from nlpladder.bias.statistics.sign_flips import sign_flip_test, smallest_p
from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.closed_intervals import NO_INTERVAL
from nlpladder.evaluation.intervals import Score, check_confidence
from nlpladder.evaluation.resampling import check_resampling

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class StatisticsOptions:
    """How intervals and p-values are computed.

    Attributes:
        resamples: How many bootstrap resamples, and random sign flips where they are not all listed.
        confidence: Level of the intervals.
        seed: Fixes every number.

    Raises:
        ConfigError: If one of them makes no sense.
    """

    resamples: int = 10_000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        check_resampling(self.resamples, self.seed)
        check_confidence(self.confidence)


DEFAULT = StatisticsOptions()


class Estimate(NamedTuple):
    """A score and what is needed to weigh it.

    Attributes:
        score: The value with its interval.
        p_value: Two-sided, of "no bias"; None where there is no such value or fewer than two clusters.
        clusters: How many independent units there are.
        detectable: The smallest distance from no bias that is found at level .05 with a power of .8; None where there
            is no null value, or too few clusters for any p below .05.
    """

    score: Score
    p_value: float | None
    clusters: int
    detectable: float | None


def share(
    name: str,
    hits: Any,
    clusters: Clusters | None,
    options: StatisticsOptions = DEFAULT,
    *,
    no_bias: float | None = 0.5,
    note: str = "",
    higher_is_better: bool = False,
) -> Estimate:
    """Estimate a share of items, such as that of the pairs whose stereotyping sentence is the more probable one.

    Args:
        name: Name of the score.
        hits: 1 for a hit, 0 for none, 0.5 for a tie that counts half, (items,).
        clusters: The cluster of each item, (items,); None: each item is its own.
        options: How the interval and p are computed.
        no_bias: The share without bias; None gives no p.
        note: What a reader must know besides.
        higher_is_better: Whether a rise is an improvement (a quality, not a bias).

    Returns:
        The share from 0 to 1, with unit ``"%"``.

    Raises:
        DataError: If a hit is none of 0, 0.5 and 1, or there is not one cluster per item.
        ConfigError: If `no_bias` is not a share.
    """
    values = finite_column(name, hits)
    wrong = np.flatnonzero(~np.isin(values, (0.0, 0.5, 1.0)))
    if wrong.size:
        raise DataError(f"{name}, item {wrong[0]}: {values[wrong[0]]:g} is no hit: expected 0, 0.5 (a tie) or 1.")
    if no_bias is not None and not 0.0 <= no_bias <= 1.0:
        raise ConfigError(f"no_bias of {name} is {no_bias}: a share lies between 0 and 1.")
    items = len(values)
    grouped = sum_by_cluster(name, np.column_stack([values, np.ones(items)]), clusters)
    count = len(grouped.sizes)
    if items == 0:
        return _nothing(name, "%", note, options, higher_is_better)
    value = float(values.mean())
    independent = count == items
    effect = 1.0 if independent else design_effect(grouped, value)
    degrees = float("inf") if independent else grouped.degrees
    low, high = wilson(value, items / effect, quantile((1.0 + options.confidence) / 2.0, degrees))
    if independent:
        method = f"Wilson interval on {items:,} independent items"
    else:
        method = (
            f"Wilson interval on {items / effect:,.1f} effective items ({count:,} clusters, design effect {effect:.2f})"
        )
    p_value: float | None = None
    detectable: float | None = None
    if no_bias is not None and 0.0 < no_bias < 1.0 and count > 1:
        if independent and no_bias != 0.5 and not np.any(values == 0.5):
            from scipy import stats

            p_value, how = float(stats.binomtest(int(values.sum()), items, no_bias).pvalue), "exact binomial p"
        else:
            p_value, how = sign_flip_test(
                grouped.sums[:, 0] - no_bias * grouped.sums[:, 1], resamples=options.resamples, seed=options.seed
            )
        method += f"; {how}"
        if smallest_p(count) <= LEVEL:
            detectable = detectable_share(items, no_bias=no_bias, design_effect=effect, degrees=degrees)
    notes = _notes(note, count, tested=p_value is not None)
    limits: tuple[float | None, float | None] = (low, high) if count > 1 else (None, None)
    score = Score(name, value, *limits, items, options.confidence, method, higher_is_better, "%", notes)
    return Estimate(score, p_value, count, detectable)


def mean(
    name: str,
    values: Any,
    clusters: Clusters | None,
    options: StatisticsOptions = DEFAULT,
    *,
    no_bias: float | None = 0.0,
    unit: str = "nats",
    note: str = "",
    higher_is_better: bool = False,
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate the mean over items, such as the mean difference of two log-probabilities.

    Args:
        name: Name of the score.
        values: One per item, (items,).
        clusters: The cluster of each item, (items,); None: each item is its own.
        options: How the interval and p are computed.
        no_bias: The mean without bias; None gives no p.
        unit: Of the values.
        note: What a reader must know besides.
        higher_is_better: Whether a rise is an improvement.
        bounds: Smallest and largest possible value; the interval is cut there.

    Raises:
        DataError: If a value is not finite, or there is not one cluster per item.
    """
    column = finite_column(name, values)
    grouped = sum_by_cluster(name, np.column_stack([column, np.ones(len(column))]), clusters)
    deviations = None if no_bias is None else grouped.sums[:, 0] - no_bias * grouped.sums[:, 1]
    return _estimate(
        name, grouped, _ratio, deviations, options, len(column), no_bias, unit, note, higher_is_better, bounds
    )


def mean_of_clusters(
    name: str,
    values: Any,
    clusters: Clusters,
    options: StatisticsOptions = DEFAULT,
    *,
    no_bias: float | None = None,
    unit: str = "",
    note: str = "",
    higher_is_better: bool = False,
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate the unweighted mean of the means of the clusters, as StereoSet does over its target terms.

    Args:
        name: Name of the score; its `n` counts the items.
        values: One per item, (items,).
        clusters: The cluster of each item, (items,).
        options: How the interval and p are computed.
        no_bias: The mean without bias; None gives no p.
        unit: Of the values.
        note: What a reader must know besides.
        higher_is_better: Whether a rise is an improvement.
        bounds: Smallest and largest possible value; the interval is cut there.

    Raises:
        DataError: If a value is not finite, or there is not one cluster per item.
    """
    column = finite_column(name, values)
    grouped = sum_by_cluster(name, np.column_stack([column, np.ones(len(column))]), clusters)
    means = grouped.sums[:, 0] / grouped.sums[:, 1]
    equal = ClusterSums(np.column_stack([means, np.ones(len(means))]), np.ones(len(means)))
    deviations = None if no_bias is None else means - no_bias
    return _estimate(
        name, equal, _ratio, deviations, options, len(column), no_bias, unit, note, higher_is_better, bounds
    )


def function_of_sums(
    name: str,
    columns: Any,
    clusters: Clusters | None,
    function: FunctionOfSums,
    options: StatisticsOptions = DEFAULT,
    *,
    no_bias: float | None = None,
    unit: str = "",
    note: str = "",
    higher_is_better: bool = False,
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate a function of sums over items: a ratio, a slope, a difference of shares.

    What a cluster adds is no sum here, so that signs cannot be flipped: p is that of Student's t with the jackknife's
    standard error over clusters (Tukey 1958), never below what sign flips of so many clusters could give.

    Args:
        name: Name of the score.
        columns: What each item adds to each sum, (items, columns).
        clusters: The cluster of each item, (items,); None: each item is its own.
        function: Maps sums, (..., columns), to values, (...), for many resamples at once; where it divides by zero it
            may return NaN.
        options: How the interval and p are computed.
        no_bias: The value without bias; None gives no p.
        unit: Of the value.
        note: What a reader must know besides.
        higher_is_better: Whether a rise is an improvement.
        bounds: Smallest and largest possible value; the interval is cut there.

    Raises:
        DataError: If a summand is not finite, or there is not one cluster per item.
    """
    table = np.asarray(columns, dtype=np.float64)
    if table.ndim != 2:
        raise DataError(f"{name}: columns have shape {table.shape}, expected (items, columns).")
    check_finite(name, table)
    grouped = sum_by_cluster(name, table, clusters)
    return _estimate(name, grouped, function, None, options, len(table), no_bias, unit, note, higher_is_better, bounds)


def _estimate(
    name: str,
    grouped: ClusterSums,
    function: FunctionOfSums,
    deviations: Float | None,
    options: StatisticsOptions,
    items: int,
    no_bias: float | None,
    unit: str,
    note: str,
    higher_is_better: bool,
    bounds: tuple[float, float] | None,
) -> Estimate:
    """Return the estimate of a function of the sums of the clusters; without `deviations`, p is the jackknife's."""
    count = len(grouped.sizes)
    if items == 0:
        return _nothing(name, unit, note, options, higher_is_better)
    with np.errstate(all="ignore"):
        total = grouped.sums.sum(axis=0)
        value = float(function(total))
        left_out = np.asarray(function(total - grouped.sums), dtype=np.float64)  # (clusters,)
    if not np.isfinite(value):
        words = " ".join(part for part in (note, "It divides by zero on these items.") if part)
        score = Score(name, None, None, None, items, options.confidence, "", higher_is_better, unit, words)
        return Estimate(score, None, count, None)
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    detectable: float | None = None
    method, remark = f"{NO_INTERVAL}: one cluster", ""
    if count > 1:
        error = float(np.sqrt((count - 1) / count * ((left_out - value) ** 2).sum()))
        low, high, method, remark = cluster_interval(
            grouped, function, value, error,
            confidence=options.confidence, resamples=options.resamples, seed=options.seed,
        )  # fmt: skip
        if bounds is not None and low is not None and high is not None:
            low, high = max(bounds[0], low), min(bounds[1], high)
        if deviations is not None:
            p_value, how = sign_flip_test(deviations, resamples=options.resamples, seed=options.seed)
        elif no_bias is not None and np.isfinite(error):
            p_value, how = jackknife_p(value - no_bias, error, grouped), "p of the jackknife over clusters, t"
        if p_value is not None:
            method += f"; {how}"
            if smallest_p(count) <= LEVEL and np.isfinite(error) and low is not None:
                detectable = detectable_effect(error, degrees=grouped.degrees)
    notes = _notes(" ".join(part for part in (note, remark) if part), count, tested=p_value is not None)
    score = Score(name, value, low, high, items, options.confidence, method, higher_is_better, unit, notes)
    return Estimate(score, p_value, count, detectable)


def _ratio(sums: Float) -> Float:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _nothing(name: str, unit: str, note: str, options: StatisticsOptions, higher_is_better: bool) -> Estimate:
    words = " ".join(part for part in (note, "There is no item.") if part)
    score = Score(name, None, None, None, 0, options.confidence, "", higher_is_better, unit, words)
    return Estimate(score, None, 0, None)


def _notes(note: str, count: int, *, tested: bool) -> str:
    """Return the note with what few clusters mean."""
    parts = [note] if note else []
    if count == 1:
        parts.append("There is one cluster: no interval, no p-value.")
    elif count < FEW_CLUSTERS:
        both = "Interval and p-value rest on {} clusters and are rough."
        words = (both if tested else "The interval rests on {} clusters and is rough.").format(count)
        if tested and smallest_p(count) > LEVEL:
            words += f" So few cannot give a p-value below {smallest_p(count):g}."
        parts.append(words)
    return " ".join(parts)
