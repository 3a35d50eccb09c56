"""The two-sample distance of Kolmogorov and Smirnov, with its interval and p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import kolmogorov

from nlpladder.drift.features import Float
from nlpladder.drift.stability import LEVEL


@dataclass(frozen=True)
class Distance:
    """How far two distribution functions lie apart.

    Attributes:
        distance: The largest difference of the two.
        low: Lower end of the 95 % interval of the populations' distance.
        high: Upper end.
        p_value: Probability of such a distance or a larger one where nothing has changed, at most.
    """

    distance: float
    low: float
    high: float
    p_value: float


def kolmogorov_smirnov(reference: Float, window: Float, *, effective: float | None = None) -> Distance:
    r"""Compare two samples of numbers.

    The p-value is that of Kolmogorov's limit (Smirnov 1939), :math:`Q(\sqrt{nm/(n+m)}\, D)`. It is exact, in the
    limit, for numbers without ties. Counts of words have ties, and so have shares: for them the true p-value is
    smaller (Noether 1963), so that no difference is claimed too often; the test of the bins, which knows ties, is the
    sharper one there.

    The interval holds for every n, m and any ties: each distribution function lies within
    :math:`\sqrt{\ln(2/\delta)/(2n)}` of its sample's with probability :math:`1 - \delta` (Dvoretzky, Kiefer and
    Wolfowitz 1956; the constant by Massart 1990), so the distance of the two within the sum of both.

    Args:
        reference: Sorted, without NaN, (n,).
        window: Sorted, without NaN, (m,).
        effective: What stands for m in p-value and interval, where not all of the window are independent.
    """
    n, m = len(reference), len(window)
    if n == 0 or m == 0:
        return Distance(0.0, 0.0, 1.0, 1.0)
    values = np.concatenate([reference, window])
    differences = np.searchsorted(reference, values, side="right") / n
    differences -= np.searchsorted(window, values, side="right") / m
    distance = float(np.abs(differences).max())
    m_effective = m if effective is None else effective
    # Half of the error for each sample: delta = (1 - level) / 2.
    reach = math.sqrt(math.log(4.0 / (1.0 - LEVEL)) / 2.0) * (1.0 / math.sqrt(n) + 1.0 / math.sqrt(m_effective))
    return Distance(
        distance=distance,
        low=max(0.0, distance - reach),
        high=min(1.0, distance + reach),
        p_value=float(kolmogorov(math.sqrt(n * m_effective / (n + m_effective)) * distance)),
    )
