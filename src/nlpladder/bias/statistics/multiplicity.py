"""Many categories, measures and models are many tests: corrections over all of them, and one test across categories.

Thirteen axes tested at .05 show "a bias" in about every second unbiased model. Holm's correction keeps the chance of
any false claim below the level, Benjamini and Hochberg's the expected share of false claims; both stand beside each p.
Whether categories differ at all is one question with one test, `heterogeneity`. Categories of too few clusters are left
out of it: the variance of three target terms is itself hardly known, and a weight made of it is noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nlpladder.bias.findings import Finding
from nlpladder.bias.statistics.cluster_sums import Clusters, finite_column
from nlpladder.errors import DataError
from nlpladder.evaluation.multiple_testing import benjamini_hochberg, holm

Float = npt.NDArray[np.float64]

#: A category needs so many clusters to be compared: with fewer it can have no p below .05 of its own either.
FEWEST_CLUSTERS = 6


class AdjustedFinding(NamedTuple):
    """A finding among all of a report.

    Attributes:
        finding: What was found.
        p_holm: Its p after Holm's correction over the report; None where it has no p.
        p_benjamini_hochberg: The same by Benjamini and Hochberg.
    """

    finding: Finding
    p_holm: float | None
    p_benjamini_hochberg: float | None


class Heterogeneity(NamedTuple):
    """Whether categories differ.

    Attributes:
        statistic: Cochran's Q with the clusters' variances; None where fewer than two categories can be compared.
        degrees: Categories minus one; 0 where nothing is compared.
        p_value: Share of permutations of the clusters over the categories with a Q as large, the one seen counted; of
            the chi-square distribution where only some clusters reach over several categories; None as the statistic.
        i_squared: Share of the variation between categories that is not chance (Higgins and Thompson 2002), from 0.
        categories: Those that were compared.
        clusters: How many clusters each of them has.
        left_out: Those with fewer clusters than `fewest`, or without any spread, that no test can weigh.
        left_out_clusters: How many clusters each of those has.
        fewest: So many clusters a category needs.
        method: How p was computed.
    """

    statistic: float | None
    degrees: int
    p_value: float | None
    i_squared: float
    categories: tuple[str, ...]
    clusters: tuple[int, ...]
    left_out: tuple[str, ...]
    left_out_clusters: tuple[int, ...]
    fewest: int
    method: str


def adjust(findings: Sequence[Finding]) -> list[AdjustedFinding]:
    """Return the findings with their p-values corrected over all of them.

    Args:
        findings: Of all measures, categories and models of one report, in any order.
    """
    tested = [index for index, finding in enumerate(findings) if finding.p_value is not None]
    values = [findings[index].p_value or 0.0 for index in tested]
    by_holm = dict(zip(tested, holm(values).tolist(), strict=True))
    by_rate = dict(zip(tested, benjamini_hochberg(values).tolist(), strict=True))
    return [AdjustedFinding(one, by_holm.get(index), by_rate.get(index)) for index, one in enumerate(findings)]


def heterogeneity(
    values: Any,
    clusters: Clusters | None,
    categories: Sequence[str],
    *,
    fewest: int = FEWEST_CLUSTERS,
    resamples: int = 2_000,
    seed: int = 0,
) -> Heterogeneity | None:
    """Test whether the mean differs between categories (Cochran 1954): Q = sum w_k (m_k - m)^2, w_k = 1 / var(m_k).

    The variances are those over clusters. With few clusters Q does not follow its chi-square distribution (Welch 1951);
    where each cluster lies in one category, p therefore comes from permuting whole clusters, which holds for such a
    studentised statistic also where variances differ (Chung and Romano 2013). Where every cluster reaches over several
    categories, as a sentence into which all groups are put, its mean is taken from its values first, and they are
    permuted inside it (Pitman 1938: randomised blocks): what a cluster adds to all its categories alike would count as
    chance otherwise, and hide every difference. Where only some do, p is that of the chi-square distribution.

    Args:
        values: One per item, (items,).
        clusters: The cluster of each item, (items,); None: each item is its own.
        categories: The category of each item, (items,).
        fewest: A category with fewer clusters is left out, at least 2.
        resamples: How many permutations.
        seed: Fixes them.

    Returns:
        The test, without a statistic where fewer than two categories can be weighed; None where there are fewer than
        two at all.

    Raises:
        DataError: If the lengths differ or a value is not finite.
    """
    column = finite_column("heterogeneity", values)
    owners = list(range(len(column))) if clusters is None else list(clusters)
    kinds = list(categories)
    if len(owners) != len(column) or len(kinds) != len(column):
        raise DataError(
            f"heterogeneity: {len(column)} values, {len(owners)} clusters and {len(kinds)} categories: give one each."
        )
    cells: dict[tuple[str, object], int] = {}
    index = np.asarray([cells.setdefault(cell, len(cells)) for cell in zip(kinds, owners, strict=True)], dtype=np.intp)
    sums: Float = np.bincount(index, weights=column, minlength=len(cells)).astype(np.float64)
    sizes: Float = np.bincount(index, minlength=len(cells)).astype(np.float64)
    names = list(dict.fromkeys(kinds))
    members = {name: [number for (kind, _), number in cells.items() if kind == name] for name in names}
    if len(names) < 2:
        return None
    needed = max(2, fewest)
    weighed = [name for name in names if len(members[name]) >= needed and _variance(sums, sizes, members[name]) > 0.0]
    without = [name for name in names if name not in weighed]
    counted: dict[str, Any] = {
        "categories": tuple(weighed), "clusters": tuple(len(members[name]) for name in weighed),
        "left_out": tuple(without), "left_out_clusters": tuple(len(members[name]) for name in without),
        "fewest": needed,
    }  # fmt: skip
    if len(weighed) < 2:
        return Heterogeneity(statistic=None, degrees=0, p_value=None, i_squared=0.0, method="", **counted)
    order = np.asarray([number for name in weighed for number in members[name]], dtype=np.intp)
    starts = np.cumsum([0, *(len(members[name]) for name in weighed[:-1])])
    owners_of = [owner for _, owner in cells]
    number = {owner: place for place, owner in enumerate(dict.fromkeys(owners_of))}
    _, blocks, reach = np.unique(
        np.asarray([number[owners_of[index]] for index in order], dtype=np.intp),
        return_inverse=True,
        return_counts=True,
    )
    nested, crossed = bool((reach == 1).all()), bool((reach > 1).all())
    table = np.column_stack([sums, sizes])[order]  # (clusters, 2)
    if crossed:
        means = np.bincount(blocks, weights=table[:, 0]) / np.bincount(blocks, weights=table[:, 1])
        table[:, 0] -= means[blocks] * table[:, 1]
    statistic = float(_statistic(table[None], starts)[0])
    degrees = len(weighed) - 1
    if nested or crossed:
        generator = np.random.default_rng(seed)
        beyond, done = 0, 0
        home = np.argsort(blocks, kind="stable")
        block = max(1, 2_000_000 // len(table))
        while done < resamples:
            size = min(block, resamples - done)
            keys = generator.random((size, len(table)))
            shuffled = np.argsort(keys + blocks if crossed else keys, axis=1)
            if crossed:
                arranged = np.empty_like(shuffled)
                arranged[:, home] = shuffled
                shuffled = arranged
            beyond += int((_statistic(table[shuffled], starts) >= statistic * (1.0 - 1e-9)).sum())
            done += size
        p_value = (1 + beyond) / (1 + resamples)
        method = f"{resamples:,} permutations of {len(table):,} clusters over {len(weighed)} categories"
        if crossed:
            method = f"{resamples:,} permutations of the categories inside each of {len(reach):,} clusters"
    else:
        from scipy import special

        p_value = float(special.chdtrc(degrees, statistic))
        method = (
            f"by the chi-square distribution, a rough p: {int((reach > 1).sum()):,} of {len(reach):,} clusters have "
            "items in several categories, the others in one"
        )
    excess = max(0.0, 1.0 - degrees / statistic) if statistic > 0.0 else 0.0
    return Heterogeneity(
        statistic=statistic, degrees=degrees, p_value=p_value, i_squared=excess, method=method, **counted
    )


def _variance(sums: Float, sizes: Float, members: Sequence[int]) -> float:
    """Return the variance of the mean of one category over its clusters."""
    total, count = sizes[members].sum(), len(members)
    residuals = sums[members] - sums[members].sum() / total * sizes[members]
    spread = float((residuals**2).sum())
    rounding = 1e-24 * float(np.maximum(sums[members] ** 2, sizes[members] ** 2).sum())
    return count / (count - 1) * spread / total**2 if spread > rounding else 0.0


def _statistic(table: Float, starts: npt.NDArray[np.int64]) -> Float:
    """Return Q of each arrangement; `table` is (arrangements, clusters, 2), cut into categories at `starts`."""
    sums, sizes = table[..., 0], table[..., 1]
    counts = np.diff(np.append(starts, sums.shape[1]))

    def total(values: Float) -> Float:
        return np.asarray(np.add.reduceat(values, starts, axis=1))

    sum_k, size_k = total(sums), total(sizes)
    mean = sum_k / size_k
    spread = total(sums**2) - 2 * mean * total(sums * sizes) + mean**2 * total(sizes**2)
    # An arrangement that puts equal clusters together has no variance there: a tiny one makes its Q large, not NaN.
    spread = np.maximum(spread, 1e-12 * np.maximum(1e-12 * total(sizes**2), total(sums**2)))
    weight = size_k**2 * (counts - 1) / counts / spread
    middle = (weight * mean).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    return np.asarray((weight * (mean - middle) ** 2).sum(axis=1))
