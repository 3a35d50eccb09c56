"""The population stability index of two samples in bins, with its interval and p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc, gammaln, ndtri

#: Added to every count, so that an empty bin has a logarithm (Jeffreys' prior of a proportion).
SMOOTHING = 0.5
#: Of the interval.
LEVEL = 0.95


@dataclass(frozen=True)
class Stability:
    """How far two samples lie apart.

    Attributes:
        psi: The index as everybody computes it.
        expected: What it is on average where nothing has changed; the smaller the samples the more.
        low: Lower end of the 95 % interval of the index of the populations; 0 where no difference is seen.
        high: Upper end.
        p_value: Probability of such an index or a larger one where nothing has changed.
        bins: Bins that were compared; with fewer than two nothing was.
    """

    psi: float
    expected: float
    low: float
    high: float
    p_value: float
    bins: int


def population_stability(reference: npt.ArrayLike, window: npt.ArrayLike) -> Stability:
    r"""Compare two samples in bins.

    The index is :math:`\sum_b (p_b - q_b) \ln(p_b / q_b)`, the symmetric divergence of Jeffreys (1946) and Kullback
    and Leibler (1951), known in credit scoring as PSI (Siddiqi 2006).

    The p-value: where both samples are drawn from one population, the index is distributed as
    :math:`(1/n + 1/m) \chi^2_{B-1}` for B bins (Yurdakul 2018, *Statistical properties of population stability index*).

    The interval: the index less its bias, more and less normal quantiles of the delta method,

    .. math:: V = \frac1n Var_p\left(\ln\frac{p}{q} + 1 - \frac{q}{p}\right)
        + \frac1m Var_q\left(\ln\frac{q}{p} + 1 - \frac{p}{q}\right) + 2 (B - 1) \left(\frac1n + \frac1m\right)^2

    where the last term is the variance under no change, of second order: without it the interval were too narrow
    there. The upper end is not below that of the interval of the index's square root, whose variance depends less on
    the index: at few bins the other is too low. The bias is
    :math:`\frac12 \sum_b (1 + q_b/p_b)(1 - p_b)/n + (1 + p_b/q_b)(1 - q_b)/m`, which is
    :math:`(B-1)(1/n+1/m)` under no change.

    Args:
        reference: Counts, (bins,), of n rows together.
        window: Counts, (bins,), of m rows together. Bins should hold enough, see `nlpladder.drift.bins.merge_small`.
    """
    counts = [np.asarray(sample, dtype=np.float64) for sample in (reference, window)]
    bins = len(counts[0])
    if bins < 2 or min(sample.sum() for sample in counts) == 0:
        return Stability(0.0, 0.0, 0.0, 0.0, 1.0, bins)
    n, m = (float(sample.sum()) for sample in counts)
    p, q = ((sample + SMOOTHING) / (sample.sum() + SMOOTHING * bins) for sample in counts)
    scale, ratio = 1.0 / n + 1.0 / m, np.log(p / q)
    psi = float(((p - q) * ratio).sum())
    bias = 0.5 * float(((1 + q / p) * (1 - p)).sum() / n + ((1 + p / q) * (1 - q)).sum() / m)
    first_order = _variance(ratio + 1 - q / p, p) / n + _variance(-ratio + 1 - p / q, q) / m
    normal = float(ndtri(0.5 + LEVEL / 2))
    reach = normal * math.sqrt(first_order + 2 * (bins - 1) * scale**2)
    # The variance of the root, V / (4 PSI), tends to 1/n + 1/m as the index tends to 0.
    reach_of_root = normal * math.sqrt(first_order / (4 * psi) if psi > 0 else scale)
    # Of the root, one degree of freedom brings no bias worth correcting.
    estimate = max(0.0, psi - bias + scale)
    return Stability(
        psi=psi,
        expected=(bins - 1) * scale,
        low=max(0.0, psi - bias - reach),
        high=max(0.0, psi - bias + reach, (math.sqrt(estimate) + reach_of_root) ** 2),
        p_value=float(gammaincc((bins - 1) / 2, psi / scale / 2)),
        bins=bins,
    )


def commonest_against_rest(reference: npt.ArrayLike, window: npt.ArrayLike) -> Stability:
    """Compare how much of two samples lies in the bin that is the commonest of both together, and how much elsewhere.

    For samples of which nearly all has one value, as the share of capitals in lower-case texts: bins that were merged
    until chi-square holds would leave one. The p-value is Fisher's exact one (Fisher 1934), which holds for any counts;
    parts of texts do not count in it.

    Args:
        reference: Counts, (bins,).
        window: Counts, (bins,).
    """
    counts = [np.asarray(sample, dtype=np.float64) for sample in (reference, window)]
    together = counts[0] + counts[1]
    place = int(np.argmax(together))
    if min(sample.sum() for sample in counts) == 0 or together.sum() == together[place]:
        return population_stability(counts[0].sum(keepdims=True), counts[1].sum(keepdims=True))
    pairs = [np.array([sample[place], sample.sum() - sample[place]]) for sample in counts]
    return replace(population_stability(*pairs), p_value=_exact(*(np.floor(pair + 1e-9) for pair in pairs)))


def _exact(reference: npt.NDArray[np.float64], window: npt.NDArray[np.float64]) -> float:
    """Return Fisher's two-sided p-value of a table of two rows: all tables with its margins that are no likelier."""
    rest, n, m = reference[1] + window[1], reference.sum(), window.sum()
    given = np.arange(max(0.0, rest - n), min(rest, m) + 1)
    logs = _log_choose(m, given) + _log_choose(n, rest - given) - _log_choose(n + m, rest)
    observed = logs[int(window[1] - given[0])]
    return float(min(1.0, np.exp(logs[logs <= observed + 1e-7]).sum()))


def _log_choose(of: float, chosen: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    return np.asarray(gammaln(of + 1) - gammaln(np.asarray(chosen) + 1) - gammaln(of - np.asarray(chosen) + 1))


def _variance(values: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]) -> float:
    mean = float((shares * values).sum())
    return float((shares * (values - mean) ** 2).sum())
