"""How good translations are: BLEU, chrF, TER, length ratio and exact match, with intervals and tests.

Intervals: bootstrap over sentences (Koehn 2004). Tests between systems: approximate randomisation, which swaps the two
translations of a sentence (Riezler and Maxwell 2005), beside the paired bootstrap (Koehn 2004). Everything is computed
from `SentenceStatistics`, counts per sentence, so that no resample reads a text again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.example_statistics import (
    bare_statistics_score,
    known_measure,
    same_examples,
    score_statistics,
)
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.evaluation.sentence_statistics import (
    COLUMNS,
    MEASURES,
    SentenceStatistics,
    bleu,
    exact_matches,
    metric_values,
    signatures,
)
from nlpladder.evaluation.system_comparison import compare_systems

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

#: metric -> unit, whether a rise is an improvement
METRICS: Mapping[str, tuple[str, bool]] = {
    name: (measure.unit, measure.higher_is_better is not False) for name, measure in MEASURES.items()
}


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
    return score_statistics(seeds, resamples=resamples, seed=seed, confidence=confidence)


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
    return bare_statistics_score(seeds, metric, confidence=confidence)


def compare_translations(
    systems: Mapping[str, Sequence[SentenceStatistics]],
    *,
    pairs: Literal["adjacent", "all"] = "adjacent",
    metric: str = "bleu",
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Comparison]:
    """Compare systems pair by pair on the same sentences, with Holm's correction: see `compare_systems`.

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
    return compare_systems(systems, metric=metric, pairs=pairs, resamples=resamples, seed=seed, confidence=confidence)


def same_sentences(systems: Mapping[str, Sequence[SentenceStatistics]]) -> int:
    """Return the number of sentences, which must be the same sentences for all seeds of all systems.

    Raises:
        DataError: If a system has no seeds, or was measured on other sentences.
    """
    return same_examples(systems)


def check_metric(metric: str) -> None:
    """Refuse an unknown metric.

    Raises:
        ConfigError: naming the nearest one.
    """
    known_measure(metric, MEASURES)
