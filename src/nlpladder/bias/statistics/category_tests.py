"""Whether the categories of measures differ, each question asked once.

Gaps of rates and areas under curves are no means of values over items. What is compared there is what they keep of each
item, the log-odds of the label: one test, whatever the number of measures on the same items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from nlpladder.bias.findings import Findings
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.bias.statistics.multiplicity import Heterogeneity, heterogeneity

#: How many measures on the same items are named.
_NAMED = 3


class Measured(Protocol):
    """A model and what measures found on it (`nlpladder.bias.evaluate.MeasuredModel`)."""

    @property
    def name(self) -> str:
        """As the report shows it."""

    @property
    def findings(self) -> Mapping[str, Sequence[Findings]]:
        """What each measure found."""


def category_tests(
    models: Sequence[Measured], statistics: StatisticsOptions
) -> tuple[tuple[str, str, Heterogeneity], ...]:
    """Return model, what is compared, and the test, once for measures of a model with the same items.

    Args:
        models: What was measured.
        statistics: How p-values are computed.
    """
    found = []
    for model in models:
        tests: dict[Any, Heterogeneity | None] = {}
        measures: dict[Any, list[str]] = {}
        quantities: dict[Any, str] = {}
        for findings in (one for several in model.findings.values() for one in several):
            values, clusters, kinds = _compared(findings)
            if len(set(kinds)) < 2:
                continue
            same = (values.tobytes(), tuple(clusters), tuple(kinds), findings.quantity)
            if same not in tests:
                tests[same] = heterogeneity(
                    values, clusters, kinds, resamples=min(2_000, statistics.resamples), seed=statistics.seed
                )
            measures.setdefault(same, []).append(findings.findings[0].measure)
            quantities[same] = findings.quantity
        found += [
            (model.name, _about(quantities[same], measures[same]), test)
            for same, test in tests.items()
            if test is not None
        ]
    return tuple(found)


def _compared(findings: Findings) -> tuple[Any, list[Any], list[str]]:
    """Return the values, clusters and categories of the items in a category that the measure names."""
    items = findings.items
    named = {finding.category for finding in findings.findings[1:]}
    if not {"value", "cluster_id", "category"} <= set(items):
        return np.zeros(0), [], []
    values = np.asarray([np.nan if one is None else one for one in items["value"]], dtype=np.float64)
    kept = [i for i in np.flatnonzero(np.isfinite(values)).tolist() if str(items["category"][i]) in named]
    return values[kept], [items["cluster_id"][i] for i in kept], [str(items["category"][i]) for i in kept]


def _about(quantity: str, measures: Sequence[str]) -> str:
    """Return what a test is of: the measure, or what the measures keep of their items."""
    names = list(dict.fromkeys(measures))
    if not quantity and len(names) == 1:
        return names[0]
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    items = f"the items of {', '.join(names[:_NAMED])}{rest}"
    return f"{quantity}, {items}" if quantity else items
