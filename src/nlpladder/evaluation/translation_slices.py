"""Translation quality by part of the test set: by length of the source sentence, or by any column.

On long sentences a decoder that sees only one vector of the source falls behind: that is what attention was invented
for (Bahdanau et al. 2015, figure 2). On sentences of a kind that training did not hold, such as new combinations of
known phrases, exact match shows whether a model composes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.evaluation.sentence_statistics import SentenceStatistics
from nlpladder.evaluation.translation import bare_score, check_metric, same_sentences, score_translations

Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True)
class LengthBin:
    """The score of the sentences whose source has a length within bounds.

    Attributes:
        shortest: Length of the shortest source sentence of the bin.
        longest: Length of the longest.
        mean_length: Mean length.
        sentences: How many sentences are in the bin.
        score: The metric over seeds; without an interval for a single sentence.
    """

    shortest: int
    longest: int
    mean_length: float
    sentences: int
    score: SeedScore

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return dataclasses.asdict(self) | {"score": self.score.to_dict()}


def bleu_by_length(
    seeds: Sequence[SentenceStatistics],
    source_lengths: Sequence[int],
    *,
    bins: int | Sequence[int] = 5,
    metric: str = "bleu",
    resamples: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[LengthBin]:
    """Return the score by length of the source sentence: where attention shows its worth (Bahdanau et al. 2015).

    Args:
        seeds: As in `score_translations`.
        source_lengths: Length of each source sentence, (sentences,), in words or tokens.
        bins: How many bins of about equally many sentences, or the longest length of each bin but the last.
        metric: One of `METRICS`.
        resamples: Bootstrap resamples within each bin.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Returns:
        The bins that hold sentences, from short to long.

    Raises:
        DataError: If there is not one length per sentence, or the seeds translated other sentences.
        ConfigError: If an option makes no sense.
    """
    check_metric(metric)
    lengths = np.asarray(source_lengths)
    sentences = same_sentences({f"seed {number}": [statistics] for number, statistics in enumerate(seeds)})
    if lengths.shape != (sentences,):
        raise DataError(f"Source lengths of shape {lengths.shape} for {sentences:,} sentences: give one for each.")
    if isinstance(bins, int):
        if bins < 1:
            raise ConfigError(f"bins is {bins}: give at least 1.")
        edges = np.unique(np.quantile(lengths, np.arange(1, bins) / bins, method="inverted_cdf"))
    else:
        edges = np.unique(np.asarray(bins))
    places = np.searchsorted(edges, lengths, side="left")  # a bin holds the lengths up to its edge, inclusive
    groups = score_by_group(
        seeds, places.tolist(), metric=metric, resamples=resamples, seed=seed, confidence=confidence
    )  # fmt: skip
    result = []
    for place in sorted(groups):
        inside = lengths[places == place]
        bounds = int(inside.min()), int(inside.max())
        result.append(LengthBin(*bounds, float(inside.mean()), len(inside), groups[place]))
    return result


def score_by_group(
    seeds: Sequence[SentenceStatistics],
    groups: Sequence[Group],
    *,
    metric: str = "bleu",
    resamples: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[Group, SeedScore]:
    """Return the score of each group of sentences, such as the splits of a compositional test.

    Args:
        seeds: As in ``score_translations``.
        groups: The group of each sentence, (sentences,).
        metric: One of ``nlpladder.evaluation.translation.METRICS``.
        resamples: Bootstrap resamples within each group.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Returns:
        Score by group, in the order of first appearance; a group of one sentence has no interval.

    Raises:
        DataError: If there is not one group per sentence, or the seeds translated other sentences.
        ConfigError: If an option makes no sense.
    """
    check_metric(metric)
    sentences = same_sentences({f"seed {number}": [statistics] for number, statistics in enumerate(seeds)})
    if len(groups) != sentences:
        raise DataError(f"There are {len(groups):,} groups for {sentences:,} sentences: give one for each.")
    rows: dict[Group, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    scores = {}
    for group, members in rows.items():
        parts = [statistics.select(members) for statistics in seeds]
        if len(members) == 1:
            scores[group] = bare_score(parts, metric, confidence=confidence)
        else:
            every = score_translations(parts, resamples=resamples, seed=seed, confidence=confidence)
            scores[group] = every[metric]
    return scores
