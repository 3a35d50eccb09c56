"""How good translations are: BLEU, chrF, TER, length ratio and exact match, with intervals and tests.

Intervals: bootstrap over sentences (Koehn 2004). Tests between systems: approximate randomisation, which swaps the two
translations of a sentence (Riezler and Maxwell 2005), beside the paired bootstrap (Koehn 2004). Everything is computed
from `SentenceStatistics`, counts per sentence, so that no resample reads a text again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.intervals import Score, check_confidence, need_two
from nlpladder.evaluation.multiple_testing import holm
from nlpladder.evaluation.paired_tests import bootstrap_test
from nlpladder.evaluation.resampling import bootstrap, check_resampling, swap_replicates
from nlpladder.evaluation.seeds import SeedScore, combined_interval, summarise
from nlpladder.evaluation.sentence_statistics import (
    COLUMNS,
    SentenceStatistics,
    bleu,
    exact_matches,
    metric_values,
    signatures,
)

__all__ = [
    "COLUMNS",
    "METRICS",
    "SentenceStatistics",
    "bleu",
    "compare_translations",
    "exact_matches",
    "metric_values",
    "score_translations",
    "signatures",
]

Float = npt.NDArray[np.float64]
#: metric -> unit, whether a rise is an improvement
METRICS: Mapping[str, tuple[str, bool]] = {
    "bleu": ("points", True),
    "bleu_lowercase": ("points", True),
    "chrf": ("points", True),
    "ter": ("points", False),
    "length_ratio": ("", True),
    "exact_match": ("%", True),
}
_LIMITS = {
    "bleu": (0.0, 100.0),
    "bleu_lowercase": (0.0, 100.0),
    "chrf": (0.0, 100.0),
    "ter": (0.0, None),
    "length_ratio": (0.0, None),
    "exact_match": (0.0, 1.0),
}
_NO_TER = "TER was not computed: it was not asked for, or the texts are so long that it could take minutes."


def score_translations(
    seeds: Sequence[SentenceStatistics], *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> dict[str, SeedScore]:
    """Return every metric with its interval over sentences and, for several, over training seeds.

    Args:
        seeds: The statistics of the translations of each seed, of the same test set.
        resamples: Bootstrap resamples of the sentences.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Raises:
        DataError: for fewer than two sentences, or seeds that translated other sentences.
        ConfigError: If an option makes no sense.
    """
    check_confidence(confidence)
    check_resampling(resamples, seed)
    sentences = same_sentences({f"seed {number}": [statistics] for number, statistics in enumerate(seeds)})
    need_two(sentences)
    by_seed = _replicates(seeds, resamples=resamples, seed=seed)
    tail = (1.0 - confidence) / 2.0
    method = f"percentile bootstrap interval, {resamples:,} resamples of sentences, seed {seed}"
    scores = {}
    for name in METRICS:
        values = _values(seeds, name)
        replicates = np.mean([found[name] for found in by_seed], axis=0)  # (resamples,)
        low, high = (_finite(end) for end in np.quantile(replicates, [tail, 1.0 - tail]))
        score = _score(name, float(values[0]), low, high, sentences, confidence, method)
        if len(seeds) > 1:
            score = dataclasses.replace(score, method=f"variance over {len(seeds)} seeds plus {method}")
        variance = float(np.var(replicates, ddof=1))
        scores[name] = summarise(score, values.tolist(), variance, _LIMITS[name])
    return scores


def bare_score(seeds: Sequence[SentenceStatistics], metric: str, *, confidence: float = 0.95) -> SeedScore:
    """Return a metric without an interval, as for a single sentence.

    Args:
        seeds: As in `score_translations`.
        metric: One of `METRICS`.
        confidence: Level that intervals beside it have.

    Raises:
        DataError: If the seeds translated other sentences.
        ConfigError: If the metric is unknown.
    """
    check_metric(metric)
    sentences = same_sentences({f"seed {number}": [statistics] for number, statistics in enumerate(seeds)})
    values = _values(seeds, metric)
    score = _score(metric, float(values[0]), None, None, sentences, confidence, "")
    return summarise(score, values.tolist(), None, _LIMITS[metric])


def compare_translations(
    systems: Mapping[str, Sequence[SentenceStatistics]],
    *,
    pairs: Literal["adjacent", "all"] = "adjacent",
    metric: str = "bleu",
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Comparison]:
    """Compare systems pair by pair on the same sentences, with Holm's correction.

    For as many seeds of both, an approximate randomisation test swaps the two systems' statistics of a sentence, in
    all seeds at once: p = (1 + #{|d*| >= |d|}) / (1 + resamples) (Riezler and Maxwell 2005, section 4). Beside it the
    paired bootstrap (Koehn 2004), which also gives the interval. With several seeds the variance over seeds is added,
    as in ``nlpladder.evaluation.comparison``, and the p called ``seeds_and_examples`` counts.

    Args:
        systems: The statistics of each seed by name, in the order of the ladder; A is the later one of a pair.
        pairs: ``adjacent`` or ``all``.
        metric: One of `METRICS` that has a better direction.
        resamples: How many.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Raises:
        DataError: for fewer than two systems, systems that translated other sentences, or TER that was not computed.
        ConfigError: If an option makes no sense.
    """
    check_confidence(confidence)
    check_resampling(resamples, seed)
    check_metric(metric)
    if len(systems) < 2:
        raise DataError(f"There is {len(systems)} system: a comparison needs at least two.")
    if pairs not in ("adjacent", "all"):
        raise ConfigError(f"pairs is {pairs!r}: it is 'adjacent' or 'all'.")
    if metric == "length_ratio":
        raise ConfigError("length_ratio is best at 1, so neither system is the better one: compare bleu, chrf or ter.")
    sentences = same_sentences(systems)
    need_two(sentences)
    values = {name: _values(seeds, metric) for name, seeds in systems.items()}
    for name, found in values.items():
        if np.isnan(found).any():
            raise DataError(f"{name}: {metric} is undefined. {_NO_TER if metric == 'ter' else ''}".strip())
    comparisons = []
    for before, after in pairwise(systems) if pairs == "adjacent" else combinations(systems, 2):
        first, second = list(systems[after]), list(systems[before])
        difference = float(values[after].mean() - values[before].mean())
        drawn = [found[metric] for found in _replicates(first + second, resamples=resamples, seed=seed)]
        replicates = np.mean(drawn[: len(first)], axis=0) - np.mean(drawn[len(first) :], axis=0)  # (resamples,)
        low, high, p_bootstrap = bootstrap_test(difference, replicates, confidence)
        p_values: dict[str, float | None] = {
            "approximate_randomization": None,
            "paired_bootstrap": p_bootstrap,
            "seeds_and_examples": None,
        }
        test, note = "paired_bootstrap", "One seed each: the test is about these two trained models."
        if len(first) == len(second):
            swapped = _swapped_differences(first, second, metric, resamples=resamples, seed=seed)
            beyond = int((np.abs(swapped) >= abs(difference) - 1e-9).sum())
            p_values["approximate_randomization"] = (1 + beyond) / (1 + resamples)
            test = "approximate_randomization"
        repeated = [found for found in (values[after], values[before]) if len(found) > 1]
        if repeated:
            variance = float(np.var(replicates, ddof=1))
            low, high, p_total = combined_interval(difference, variance, repeated, confidence)
            p_values["seeds_and_examples"], test = p_total, "seeds_and_examples"
            alone = after if len(first) == 1 else before
            one_alone = min(len(first), len(second)) == 1
            note = f"{alone} has one seed: its variance over seeds is not covered." if one_alone else ""
        p_value = p_values[test]
        assert p_value is not None
        unit, higher = METRICS[metric]
        comparisons.append(
            Comparison(
                after, before, metric, difference, low, high, confidence, sentences, (len(first), len(second)),
                p_values, test, p_value, p_value, higher, unit, note,
            )
        )  # fmt: skip
    corrected = holm([comparison.p_value for comparison in comparisons])
    return [dataclasses.replace(one, p_holm=float(value)) for one, value in zip(comparisons, corrected, strict=True)]


def same_sentences(systems: Mapping[str, Sequence[SentenceStatistics]]) -> int:
    """Return the number of sentences, which must be the same sentences for all seeds of all systems.

    Raises:
        DataError: If a system has no seeds, or was measured on other sentences.
    """
    names = list(systems)
    if not names or not all(len(seeds) for seeds in systems.values()):
        raise DataError("There are no translations: give the statistics of at least one seed of each system.")
    reference = systems[names[0]][0]
    for name, seeds in systems.items():
        for statistics in seeds:
            if len(statistics) != len(reference):
                raise DataError(
                    f"{name} translated {len(statistics):,} sentences and {names[0]} {len(reference):,}: systems are "
                    "compared on the same ones."
                )
            if statistics.fingerprint and reference.fingerprint and statistics.fingerprint != reference.fingerprint:
                raise DataError(
                    f"{name} was measured against other references than {names[0]}, or in another order: systems are "
                    "compared on the same ones."
                )
    return len(reference)


def check_metric(metric: str) -> None:
    """Refuse an unknown metric.

    Raises:
        ConfigError: naming the nearest one.
    """
    if metric not in METRICS:
        raise ConfigError(f"metric is {metric!r}: it is one of {', '.join(METRICS)}.{did_you_mean(metric, METRICS)}")


def _values(seeds: Sequence[SentenceStatistics], metric: str) -> Float:
    """Return the metric of each seed, (seeds,)."""
    return np.array([float(metric_values(statistics.columns.sum(axis=0))[metric]) for statistics in seeds])


def _replicates(seeds: Sequence[SentenceStatistics], *, resamples: int, seed: int) -> list[dict[str, Float]]:
    """Return the bootstrap replicates of each metric for each seed, all on the same resamples of the sentences."""
    width = len(COLUMNS)
    columns = np.hstack([statistics.columns for statistics in seeds])  # (sentences, seeds * columns)
    missing = np.isnan(columns).any(axis=0)
    sums = bootstrap(np.where(missing, 0.0, columns), resamples=resamples, seed=seed).sums
    sums[:, missing] = np.nan
    return [metric_values(sums[:, width * number : width * (number + 1)]) for number in range(len(seeds))]


def _swapped_differences(
    first: Sequence[SentenceStatistics],
    second: Sequence[SentenceStatistics],
    metric: str,
    *,
    resamples: int,
    seed: int,
) -> Float:
    """Return A minus B, mean over seeds, where each sentence's statistics are swapped by a coin, (resamples,)."""
    here, there = (np.stack([one.columns for one in seeds], axis=1) for seeds in (first, second))
    sentences, seeds, width = here.shape  # (sentences, seeds, columns)
    change = np.nan_to_num(there - here).reshape(sentences, seeds * width)
    moved = swap_replicates(change, resamples=resamples, seed=seed).reshape(resamples, seeds, width)
    swapped_here = metric_values(here.sum(axis=0) + moved)[metric]  # (resamples, seeds)
    swapped_there = metric_values(there.sum(axis=0) - moved)[metric]
    return (swapped_here - swapped_there).mean(axis=-1)


def _score(
    name: str, value: float, low: float | None, high: float | None, sentences: int, confidence: float, method: str
) -> Score:
    unit, higher = METRICS[name]
    note = "Best at 1, where translations are as long as the references." if name == "length_ratio" else ""
    if np.isnan(value):
        note = _NO_TER if name == "ter" else "The references of these sentences are empty."
    return Score(name, _finite(value), low, high, sentences, confidence, method, higher, unit, note)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
