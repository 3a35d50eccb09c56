"""A table of systems compared pair by pair on the same examples, corrected for the number of pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Literal

import numpy as np

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.intervals import check_confidence
from nlpladder.evaluation.metrics import metric_spec
from nlpladder.evaluation.multiple_testing import holm
from nlpladder.evaluation.paired_tests import (
    build_pair,
    difference_replicates,
    mcnemar_exact,
    randomization_test,
)
from nlpladder.evaluation.resampling import Groups
from nlpladder.evaluation.seeds import combined_interval


@dataclass(frozen=True)
class Comparison:
    """System A against system B.

    Attributes:
        system_a: Name of A.
        system_b: Name of B.
        metric: Name of the metric.
        difference: A minus B; with several seeds, mean minus mean.
        low: Lower end of the interval of the difference; None where all resamples are alike and it has none.
        high: Upper end.
        confidence: Level of the interval (of this pair alone, not corrected for the number of pairs).
        n: Number of examples.
        seeds: Number of seeds of A and of B.
        p_values: Two-sided p by test; None where a test does not apply.
        test: The test whose p counts: exact or approximate randomisation for one seed each, the bootstrap where
            examples come in groups, and ``seeds_and_examples`` for several seeds.
        p_value: Its p.
        p_holm: Its p after Holm's correction over the table.
        higher_is_better: Whether a positive difference speaks for A.
        unit: As in ``Score``.
        note: What a reader must know besides.
    """

    system_a: str
    system_b: str
    metric: str
    difference: float
    low: float | None
    high: float | None
    confidence: float
    n: int
    seeds: tuple[int, int]
    p_values: Mapping[str, float | None]
    test: str
    p_value: float
    p_holm: float
    higher_is_better: bool
    unit: str
    note: str

    def better(self, level: float = 0.05) -> str | None:
        """Return the name of the system that is better after the correction, or None if neither is shown to be."""
        if self.p_holm > level or self.difference == 0.0:
            return None
        return self.system_a if (self.difference > 0) == self.higher_is_better else self.system_b

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return dataclasses.asdict(self) | {"seeds": list(self.seeds), "p_values": dict(self.p_values)}


def compare_systems(
    labels: Any,
    systems: Mapping[str, Any],
    *,
    pairs: Literal["adjacent", "all"] = "adjacent",
    metric: str | None = None,
    task: str = "single_label",
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
    groups: Groups | None = None,
) -> list[Comparison]:
    """Compare systems pair by pair, with Holm's correction over all pairs.

    For one seed each, the interval is that of the paired bootstrap. For several, it covers seeds and examples: the
    variances s_A^2 / S_A and s_B^2 / S_B are added to the bootstrap variance of the difference, with a t quantile, as
    in ``nlpladder.evaluation.seeds``; the p called ``seeds_and_examples`` belongs to it.

    Args:
        labels: True labels, as in ``check_predictions``.
        systems: Probabilities by name: (examples, labels) or (seeds, examples, labels), in the order of the ladder.
        pairs: ``"adjacent"`` compares each system with the one before it, ``"all"`` each with each. A is the later one.
        metric: Default: accuracy, F1 micro or RMSE, by the task.
        task: What the labels are.
        resamples: How many resamples.
        seed: Fixes every number.
        confidence: Level of the intervals.
        groups: A group per example; the tests that take examples as independent are then left out.

    Raises:
        DataError: If there are fewer than two systems, or arrays do not fit; the message names the system.
        ConfigError: If an option makes no sense.
    """
    check_confidence(confidence)
    if len(systems) < 2:
        raise DataError(f"There is {len(systems)} system: a comparison needs at least two.")
    if pairs not in ("adjacent", "all"):
        raise ConfigError(f"pairs is {pairs!r}: it is 'adjacent' or 'all'.")
    defaults = {"multi_label": "f1_micro", "regression": "root_mean_squared_error"}
    name = metric or defaults.get(task, "accuracy")
    spec, _ = metric_spec(name, task)
    chosen = pairwise(systems) if pairs == "adjacent" else combinations(systems, 2)
    found = []
    for before, after in chosen:
        try:
            pair = build_pair(systems[after], systems[before], labels=labels, metric=name, task=task)
        except DataError as error:
            raise DataError(f"{after} against {before}: {error}") from error
        replicates = difference_replicates(pair, resamples=resamples, seed=seed, groups=groups)
        low, high, p_bootstrap = pair.bootstrap_test(replicates, confidence, groups)
        p_values: dict[str, float | None] = {
            "approximate_randomization": None,
            "mcnemar_exact": None,
            "paired_bootstrap": p_bootstrap,
            "seeds_and_examples": None,
        }
        seeds = len(pair.values[0]), len(pair.values[1])
        test, note = "paired_bootstrap", "One seed each: the test is about these two trained models."
        if groups is None and seeds[0] == seeds[1]:
            p_values["approximate_randomization"] = randomization_test(pair, resamples=resamples, seed=seed).p_value
            test = "approximate_randomization"
        if groups is None and seeds == (1, 1) and pair.hits is not None:
            p_values["mcnemar_exact"] = mcnemar_exact(*pair.hits).p_value
        if max(seeds) > 1:
            repeated = [values for values in pair.values if len(values) > 1]
            variance = float(np.var(replicates, ddof=1))
            # Without any variance, over seeds or examples, what the bootstrap said of the examples stands.
            combined = combined_interval(pair.difference, variance, repeated, confidence)
            low, high, p_values["seeds_and_examples"] = combined or (low, high, p_bootstrap)
            test = "seeds_and_examples"
            alone = after if seeds[0] == 1 else before
            note = f"{alone} has one seed: its variance over seeds is not covered." if min(seeds) == 1 else ""
        p_value = p_values[test]
        assert p_value is not None
        found.append(
            Comparison(
                after, before, name, pair.difference, low, high, confidence, pair.examples, seeds, p_values, test,
                p_value, p_value, spec.higher_is_better, spec.unit, note,
            )
        )  # fmt: skip
    corrected = holm([comparison.p_value for comparison in found])
    return [
        dataclasses.replace(comparison, p_holm=float(value)) for comparison, value in zip(found, corrected, strict=True)
    ]
