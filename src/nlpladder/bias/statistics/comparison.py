"""Before and after, or one model and another: the same measure on the same items, compared item by item.

Two intervals that overlap say little about a difference: what both models find hard cancels when each item is compared
with itself. A mean that fell also says little by itself: a model that was broken is nearer to "no bias" too, so the
quality of both stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.bias.findings import Findings
from nlpladder.bias.statistics.cluster_sums import sum_by_cluster
from nlpladder.bias.statistics.estimates import DEFAULT, Estimate, StatisticsOptions, function_of_sums, mean
from nlpladder.bias.statistics.power import LEVEL
from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.intervals import Score

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One measure before and after, on the items that both have.

    Attributes:
        measure: Its name.
        category: ``all`` or the category.
        before: Mean value of the items before.
        after: Mean value after.
        difference: After minus before, with its interval.
        p_value: Two-sided, of "no difference" (sign flips of whole clusters); None with one cluster.
        distance: Change of the distance from no bias, |after| - |before|: below 0, the bias shrank.
        margin: The margin of the equivalence test; None if there is none.
        p_no_worse: Of "the distance grew by the margin or more": small means no worse than before.
        p_equivalent: Of "the means differ by the margin or more" (two one-sided tests): small means equivalent.
        items: How many items were compared.
        only_before: How many items the second lacks.
        only_after: How many items the first lacks.
        quality: What each model is worth at the task behind the measure, before and after, by name.
    """

    measure: str
    category: str
    before: float
    after: float
    difference: Score
    p_value: float | None
    distance: Score
    margin: float | None
    p_no_worse: float | None
    p_equivalent: float | None
    items: int
    only_before: int
    only_after: int
    quality: Mapping[str, tuple[Score | None, Score | None]]

    @property
    def verdict(self) -> str:
        """Say in a sentence what was shown."""
        if self.p_value is None:
            return "One cluster shows no difference and no equality."
        parts = []
        # Without an interval all clusters moved by the same distance: what p says of one it says of the other.
        lowest, highest = (
            self.distance.value if end is None else end for end in (self.distance.low, self.distance.high)
        )
        if self.p_value <= LEVEL and highest is not None and highest < 0:
            parts.append("nearer to no bias")
        elif self.p_value <= LEVEL and lowest is not None and lowest > 0:
            parts.append("further from no bias")
        elif self.p_value <= LEVEL:
            parts.append("different, but not shown to be nearer to or further from no bias")
        else:
            parts.append("not shown to differ")
        if self.p_equivalent is not None and self.p_equivalent <= LEVEL:
            parts.append(f"equal within {self.margin:g}")
        elif self.p_no_worse is not None and self.p_no_worse <= LEVEL:
            parts.append(f"no worse by {self.margin:g} or more")
        elif self.margin is not None:
            parts.append(f"a change for the worse of {self.margin:g} is not excluded")
        text = "; ".join(parts)
        return f"{text[0].upper()}{text[1:]}."


def compare_findings(
    before: Findings,
    after: Findings,
    options: StatisticsOptions = DEFAULT,
    *,
    column: str = "value",
    no_bias: float = 0.0,
    margin: float | None = None,
    unit: str = "nats",
) -> list[Comparison]:
    """Compare two runs of one measure on the items that both have: over all first, then by category.

    Args:
        before: What the measure found first.
        after: What it found then.
        options: How intervals and p-values are computed.
        column: The column of the items that is compared.
        no_bias: Its value without bias.
        margin: What change is too small to matter, in the unit of the column; None: no test of equivalence.
        unit: Of the column.

    Raises:
        DataError: If the measures differ, an item stands twice, or no item is in both.
        ConfigError: If the margin is not above 0.
    """
    if margin is not None and not margin > 0.0:
        raise ConfigError(f"margin is {margin}: give the change that is too small to matter, above 0.")
    measure, other = before.findings[0].measure, after.findings[0].measure
    if measure != other:
        raise DataError(f"{measure} before and {other} after are two measures: compare one with itself.")
    rows, lost, new = _paired_rows(before, after, measure, column)
    first = np.asarray([before.items[column][i] for i, _ in rows], dtype=np.float64)
    second = np.asarray([after.items[column][j] for _, j in rows], dtype=np.float64)
    clusters = np.asarray([str(before.items["cluster_id"][i]) for i, _ in rows], dtype=object)
    kinds = np.asarray([str(before.items["category"][i]) for i, _ in rows], dtype=object)
    names = list(dict.fromkeys(kinds.tolist()))
    parts = [("all", np.ones(len(rows), dtype=bool))]
    if len(names) > 1:
        parts += [(name, kinds == name) for name in names]
    found = []
    for category, inside in parts:
        quality = _quality(before, after, category)
        a, b, owners = first[inside], second[inside], clusters[inside]
        change = mean(f"{measure}_change", b - a, owners, options, unit=unit)
        distance = distance_change(f"{measure}_distance", a - no_bias, b - no_bias, owners, options, unit=unit)
        p_equal, p_worse = None, None
        if margin is not None and change.clusters > 1:
            p_equal = equivalence_p(b - a, owners, margin)
            p_worse = _upper_p(distance, a - no_bias, b - no_bias, owners, margin)
        found.append(
            Comparison(
                measure=measure, category=category, before=float(a.mean()), after=float(b.mean()),
                difference=change.score, p_value=change.p_value, distance=distance.score, margin=margin,
                p_no_worse=p_worse, p_equivalent=p_equal, items=len(a),
                only_before=lost, only_after=new, quality=quality,
            )
        )  # fmt: skip
    return found


def distance_change(
    name: str,
    before: Float,
    after: Float,
    clusters: Any,
    options: StatisticsOptions = DEFAULT,
    *,
    unit: str = "nats",
) -> Estimate:
    """Estimate |mean after| - |mean before| of signed deviations from no bias; it has no p (`difference` has).

    Args:
        name: Name of the score.
        before: Deviations from no bias, (items,).
        after: The same items after, (items,).
        clusters: The cluster of each item, (items,).
        options: How the interval is computed.
        unit: Of the deviations.
    """
    columns = np.column_stack([before, after, np.ones(len(before))])
    return function_of_sums(name, columns, clusters, _distance, options, unit=unit)


def equivalence_p(differences: Float, clusters: Any, margin: float) -> float:
    """Return p of two one-sided t-tests (Schuirmann 1987) over clusters: small means that |mean| is below the margin.

    Args:
        differences: After minus before, (items,).
        clusters: The cluster of each item, (items,); None: each item is its own.
        margin: What is too small to matter.

    Raises:
        DataError: If there are fewer than two clusters.
    """
    from scipy import special

    grouped = sum_by_cluster("equivalence", np.column_stack([differences, np.ones(len(differences))]), clusters)
    count, items = len(grouped.sizes), grouped.sizes.sum()
    if count < 2:
        raise DataError("equivalence: one cluster has no spread; at least two are needed.")
    value = float(differences.mean())
    residuals = grouped.sums[:, 0] - value * grouped.sums[:, 1]
    error = float(np.sqrt(count / (count - 1) * (residuals**2).sum()) / items)
    if error == 0.0:
        return 0.0 if abs(value) < margin else 1.0
    return 1.0 - float(special.stdtr(grouped.degrees, (margin - abs(value)) / error))


def _upper_p(distance: Estimate, before: Float, after: Float, clusters: Any, margin: float) -> float | None:
    """Return p of "the distance grew by the margin or more", one-sided, from the jackknife over clusters."""
    from scipy import special

    value = distance.score.value
    grouped = sum_by_cluster("no worse", np.column_stack([before, after, np.ones(len(before))]), clusters)
    count = len(grouped.sizes)
    if value is None or count < 2:
        return None
    left_out = _distance(grouped.sums.sum(axis=0) - grouped.sums)
    error = float(np.sqrt((count - 1) / count * ((left_out - value) ** 2).sum()))
    if error == 0.0:
        return 0.0 if value < margin else 1.0
    return 1.0 - float(special.stdtr(grouped.degrees, (margin - value) / error))


def _distance(sums: Float) -> Float:
    return np.asarray((np.abs(sums[..., 1]) - np.abs(sums[..., 0])) / sums[..., 2])


def _paired_rows(
    before: Findings, after: Findings, measure: str, column: str
) -> tuple[list[tuple[int, int]], int, int]:
    """Return the rows of the items that both have, and how many only one has."""
    tables = []
    for when, findings in (("before", before), ("after", after)):
        for name in ("item_id", "cluster_id", "category", column):
            if name not in findings.items:
                raise DataError(f"{measure} {when}: the items have no column {name!r}: {', '.join(findings.items)}.")
        rows: dict[str, int] = {}
        for row, name in enumerate(findings.items["item_id"]):
            if str(name) in rows:
                raise DataError(f"{measure} {when}: item {name!r} stands in rows {rows[str(name)]} and {row}.")
            rows[str(name)] = row
        tables.append(rows)
    shared = [
        (row, tables[1][name])
        for name, row in tables[0].items()
        if name in tables[1] and _known(before.items[column][row]) and _known(after.items[column][tables[1][name]])
    ]
    if not shared:
        raise DataError(f"{measure}: no item of the one is in the other. Were both run on the same data?")
    return shared, len(tables[0]) - len(shared), len(tables[1]) - len(shared)


def _known(value: Any) -> bool:
    """Tell whether an item has a value: one that was left out has None or NaN."""
    return value is not None and bool(np.isfinite(value))


def _quality(before: Findings, after: Findings, category: str) -> dict[str, tuple[Score | None, Score | None]]:
    """Return the qualities of both, of this category where it has its own, else of all."""
    sides = []
    for findings in (before, after):
        found = next((one for one in findings.findings if one.category == category and one.quality), None)
        sides.append(dict((found or findings.findings[0]).quality))
    return {name: (sides[0].get(name), sides[1].get(name)) for name in dict.fromkeys([*sides[0], *sides[1]])}
