"""Intervals and p-values of what is summed by cluster: bootstrap, jackknife, and Wilson's with a design effect."""

from __future__ import annotations

from collections.abc import Callable
from math import erfc, sqrt

import numpy as np
import numpy.typing as npt

from nlpladder.bias.statistics.cluster_sums import ClusterSums
from nlpladder.bias.statistics.power import quantile
from nlpladder.bias.statistics.sign_flips import smallest_p
from nlpladder.evaluation.closed_intervals import NO_INTERVAL
from nlpladder.evaluation.resampling import bootstrap

Float = npt.NDArray[np.float64]
#: Maps sums, (..., columns), to values, (...).
FunctionOfSums = Callable[[Float], Float]

#: Below so many clusters the bootstrap gives way to the jackknife with quantiles of t, and notes say "rough".
FEW_CLUSTERS = 10
#: Sums of equal values are equal up to the last digits of double precision: of the value, or of 1 where it is about 0
#: (a difference of log-odds that are alike is some 1e-17, not 0).
_ROUNDING = 1e-12


def cluster_interval(
    grouped: ClusterSums,
    function: FunctionOfSums,
    value: float,
    error: float,
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float | None, float | None, str, str]:
    """Return low, high, how they were computed, and a remark that is empty if there is nothing to say.

    Where every resample has the same value there is no interval: one of no width would be certainty made of nothing.

    Args:
        grouped: The sums of each cluster.
        function: Maps sums to the value.
        value: On all clusters.
        error: Its jackknife standard error over clusters.
        confidence: Level of the interval.
        resamples: How many bootstrap resamples.
        seed: Fixes them.
    """
    count, degrees = len(grouped.sizes), grouped.degrees
    reach = quantile((1.0 + confidence) / 2.0, degrees)
    if count < FEW_CLUSTERS:
        if not np.isfinite(error):
            return None, None, NO_INTERVAL, "Without one of the clusters it divides by zero."
        if error <= _ROUNDING * max(1.0, abs(value)):
            return None, None, f"{NO_INTERVAL}: all {count} clusters have the same value", ""
        return value - reach * error, value + reach * error, f"jackknife over {count} clusters, quantiles of t", ""
    drawn = bootstrap(grouped.sums, resamples=resamples, seed=seed)
    with np.errstate(all="ignore"):
        replicates = np.asarray(function(drawn.sums), dtype=np.float64)
    valid = replicates[np.isfinite(replicates)]
    if not len(valid):
        return None, None, NO_INTERVAL, "No resample had a value."
    lost = len(replicates) - len(valid)
    remark = f"{lost:,} of {len(replicates):,} resamples divide by zero." if lost else ""
    tail = _tail(reach * (count / (count - 1)) ** 0.5)
    low, high = np.quantile(valid, [tail, 1.0 - tail])
    units = f"{count:,} clusters" if grouped.sizes.max() > 1 else f"{count:,} units"
    if high - low <= _ROUNDING * max(1.0, abs(value)):
        return None, None, f"{NO_INTERVAL}: all resamples of {units} have the same value", remark
    return float(low), float(high), f"percentile bootstrap over {units}, {resamples:,} resamples", remark


def jackknife_p(distance: float, error: float, grouped: ClusterSums) -> float:
    """Return the two-sided p of t = distance / standard error, not below that of sign flips of all clusters.

    Args:
        distance: Value minus null value.
        error: Jackknife standard error over clusters.
        grouped: The sums of each cluster.
    """
    from scipy import special

    if error == 0.0:
        p_value = 1.0 if distance == 0.0 else 0.0
    else:
        p_value = 2.0 * float(special.stdtr(grouped.degrees, -abs(distance) / error))
    return max(p_value, smallest_p(len(grouped.sizes)))


def wilson(value: float, trials: float, z: float) -> tuple[float, float]:
    """Return Wilson's interval (1927) for any number of effective trials.

    Args:
        value: The share.
        trials: Effective number of items.
        z: Quantile that the level asks for.
    """
    square = z * z / trials
    middle = (value + square / 2.0) / (1.0 + square)
    half = z / (1.0 + square) * (value * (1.0 - value) / trials + square / (4.0 * trials)) ** 0.5
    return max(0.0, min(value, middle - half)), min(1.0, max(value, middle + half))


def design_effect(grouped: ClusterSums, value: float) -> float:
    """Return the variance of a share over clusters / that of independent items, at least 1.

    Where all items agree no spread can be seen: each cluster then counts as one item.

    Args:
        grouped: Hits and items of each cluster.
        value: The share.
    """
    count, items = len(grouped.sizes), grouped.sizes.sum()
    single = items / (grouped.degrees + 1.0)
    if count < 2 or value in (0.0, 1.0):
        return float(single)
    residuals = grouped.sums[:, 0] - value * grouped.sums[:, 1]
    variance = count / (count - 1) * float((residuals**2).sum()) / items**2
    return max(1.0, float(variance / (value * (1.0 - value) / items)))


def _tail(z: float) -> float:
    """Return the upper tail of the normal distribution beyond `z`."""
    return 0.5 * erfc(z / sqrt(2.0))
