"""Two systems on the same examples: is the difference of their scores more than chance?

For any `ExampleStatistics`: translations, generated texts, entities, answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.example_statistics import (
    ExampleStatistics,
    Statistics,
    known_measure,
    replicates,
    same_examples,
    values_of,
)
from nlpladder.evaluation.intervals import check_confidence, need_two
from nlpladder.evaluation.multiple_testing import holm
from nlpladder.evaluation.paired_tests import bootstrap_test
from nlpladder.evaluation.resampling import check_resampling, swap_replicates
from nlpladder.evaluation.seeds import combined_interval

Float = npt.NDArray[np.float64]


def compare_systems(
    systems: Mapping[str, Sequence[Statistics]],
    *,
    metric: str,
    pairs: Literal["adjacent", "all"] = "adjacent",
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Comparison]:
    """Compare systems pair by pair on the same examples, with Holm's correction.

    For as many seeds of both, an approximate randomisation test swaps the two systems' statistics of an example, in
    all seeds at once: p = (1 + #{|d*| >= |d|}) / (1 + resamples) (Riezler and Maxwell 2005, section 4). Beside it the
    paired bootstrap (Koehn 2004), which also gives the interval. With several seeds the variance over seeds is added,
    as in ``nlpladder.evaluation.comparison``, and the p called ``seeds_and_examples`` counts.

    Args:
        systems: The statistics of each seed by name, in the order of the ladder; A is the later one of a pair.
        metric: A name in their `measures` that has a better direction.
        pairs: ``adjacent`` or ``all``.
        resamples: How many.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Raises:
        DataError: for fewer than two systems, systems that were measured on other examples, or a metric that has no
            value for one of them.
        ConfigError: If an option makes no sense.
    """
    check_confidence(confidence)
    check_resampling(resamples, seed)
    if len(systems) < 2:
        raise DataError(f"There is {len(systems)} system: a comparison needs at least two.")
    if pairs not in ("adjacent", "all"):
        raise ConfigError(f"pairs is {pairs!r}: it is 'adjacent' or 'all'.")
    examples = same_examples(systems)
    systems = _joined(systems)
    measure = known_measure(metric, next(iter(systems.values()))[0].measures)
    if measure.higher_is_better is None:
        better = [name for name, one in next(iter(systems.values()))[0].measures.items() if one.higher_is_better]
        raise ConfigError(
            f"{metric} is best at 1, so neither system is the better one: compare {', '.join(better[:3])} or another "
            "metric with a direction."
        )
    need_two(examples)
    values = {name: values_of(seeds, metric) for name, seeds in systems.items()}
    for name, found in values.items():
        if np.isnan(found).any():
            raise DataError(f"{name}: {metric} is undefined. {measure.undefined}".strip())
    comparisons = []
    for before, after in pairwise(systems) if pairs == "adjacent" else combinations(systems, 2):
        first, second = list(systems[after]), list(systems[before])
        difference = float(values[after].mean() - values[before].mean())
        drawn = [found[metric] for found in replicates(first + second, resamples=resamples, seed=seed)]
        differences = np.mean(drawn[: len(first)], axis=0) - np.mean(drawn[len(first) :], axis=0)  # (resamples,)
        differences = differences[~np.isnan(differences)]
        trials = first[0].trials(metric) if measure.kind == "share" else None
        low, high, p_bootstrap = bootstrap_test(difference, differences, confidence, units=examples, trials=trials)
        p_values: dict[str, float | None] = {
            "approximate_randomization": None,
            "paired_bootstrap": p_bootstrap,
            "seeds_and_examples": None,
        }
        test, note = "paired_bootstrap", "One seed each: the test is about these two trained models."
        if len(first) == len(second):
            swapped = _swapped_differences(first, second, metric, resamples=resamples, seed=seed)
            # An assignment that leaves the metric undefined counts as one that is as far apart: p is never too small.
            within = int((np.abs(swapped) < abs(difference) - 1e-9).sum())
            p_values["approximate_randomization"] = (1 + resamples - within) / (1 + resamples)
            test = "approximate_randomization"
        repeated = [found for found in (values[after], values[before]) if len(found) > 1]
        if repeated:
            variance = float(np.var(differences, ddof=1))
            combined = combined_interval(difference, variance, repeated, confidence)
            low, high, p_values["seeds_and_examples"] = combined or (low, high, p_bootstrap)
            test = "seeds_and_examples"
            alone = after if len(first) == 1 else before
            one_alone = min(len(first), len(second)) == 1
            note = f"{alone} has one seed: its variance over seeds is not covered." if one_alone else ""
        p_value = p_values[test]
        assert p_value is not None
        comparisons.append(
            Comparison(
                after, before, metric, difference, low, high, confidence, examples, (len(first), len(second)),
                p_values, test, p_value, p_value, measure.higher_is_better, measure.unit, note,
            )
        )  # fmt: skip
    corrected = holm([comparison.p_value for comparison in comparisons])
    return [dataclasses.replace(one, p_holm=float(value)) for one, value in zip(comparisons, corrected, strict=True)]


def _joined(systems: Mapping[str, Sequence[Statistics]]) -> dict[str, list[Statistics]]:
    """Give all seeds of all systems the same columns."""
    every = [one for seeds in systems.values() for one in seeds]
    remaining = iter(every[0].joined(every))
    return {name: [next(remaining) for _ in seeds] for name, seeds in systems.items()}


def _swapped_differences(
    first: Sequence[ExampleStatistics],
    second: Sequence[ExampleStatistics],
    metric: str,
    *,
    resamples: int,
    seed: int,
) -> Float:
    """Return A minus B, mean over seeds, where each example's statistics are swapped by a coin, (resamples,)."""
    here, there = (np.stack([one.columns for one in seeds], axis=1) for seeds in (first, second))
    examples, seeds, width = here.shape  # (examples, seeds, columns)
    change = np.nan_to_num(there - here).reshape(examples, seeds * width)
    moved = swap_replicates(change, resamples=resamples, seed=seed).reshape(resamples, seeds, width)
    swapped_here = first[0].values(here.sum(axis=0) + moved)[metric]  # (resamples, seeds)
    swapped_there = first[0].values(there.sum(axis=0) - moved)[metric]
    return (swapped_here - swapped_there).mean(axis=-1)
