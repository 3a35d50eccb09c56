"""Tags of words that mark no entities (parts of speech): accuracy and macro F1, with intervals over sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.evaluation.example_statistics import (
    Measure,
    fingerprint_of,
    score_statistics,
)
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.evaluation.tagged_statistics import TaggedStatistics

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TagStatistics(TaggedStatistics):
    """The counts of each sentence of one tagger's output; `kinds` are the tags."""

    @classmethod
    def of(cls, predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> Self:
        """Count the tags of sentences.

        Args:
            predicted: The tags of each sentence, one a word.
            gold: The right tags of the same words.

        Raises:
            DataError: If sentences or words do not match; the message says where.
        """
        if len(predicted) != len(gold) or not len(gold):
            raise DataError(f"There are {len(predicted):,} tagged sentences and {len(gold):,} gold ones: give both.")
        tags = tuple(sorted({tag for rows in (predicted, gold) for row in rows for tag in row}))
        place = {tag: 2 + 3 * number for number, tag in enumerate(tags)}
        columns = np.zeros((len(gold), 2 + 3 * len(tags)))
        for row, (ours, right) in enumerate(zip(predicted, gold, strict=True)):
            if len(ours) != len(right):
                raise DataError(f"Sentence number {row} has {len(right)} gold tags and {len(ours)} predicted ones.")
            same = [one for one, other in zip(ours, right, strict=True) if one == other]
            columns[row, :2] = len(right), len(same)
            for kind, those in enumerate((right, ours, same)):
                for tag, count in Counter(those).items():
                    columns[row, place[tag] + kind] = count
        return cls(columns, fingerprint_of([list(row) for row in gold]), tags)

    @property
    def measures(self) -> Mapping[str, Measure]:
        """The scores by name; ``f1_NOUN`` is the F1 of the tag NOUN."""
        rare = Measure(undefined="No word has this tag, and none was given it.")
        empty = Measure(undefined="The sentences have no words.")
        words = Measure(undefined=empty.undefined, kind="mean")
        return {"accuracy": words, "f1_macro": empty, **{f"f1_{tag}": rare for tag in self.kinds}}

    def values(self, sums: Float) -> dict[str, Float]:
        """Return each score from sums of the columns, shape (…, 2 + 3 tags).

        The macro F1 is the mean over the tags that a word has or was given, as scikit-learn's.
        """
        gold, predicted, correct = self.by_kind(sums)  # each (…, tags)
        with np.errstate(divide="ignore", invalid="ignore"):
            accuracy = sums[..., 1] / sums[..., 0]
            f1 = 2 * correct / (gold + predicted)
            macro = np.nansum(f1, axis=-1) / (gold + predicted > 0).sum(axis=-1)
        return {
            "accuracy": accuracy,
            "f1_macro": macro,
            **{f"f1_{tag}": f1[..., number] for number, tag in enumerate(self.kinds)},
        }


def score_tags(
    seeds: Sequence[TagStatistics], *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> dict[str, SeedScore]:
    """Return accuracy, f1_macro and the F1 of each tag with intervals over sentences.

    Args:
        seeds: The statistics of each seed, of the same test set.
        resamples: Bootstrap resamples of the sentences.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Raises:
        DataError: for fewer than two sentences, or seeds that tagged other sentences.
        ConfigError: If an option makes no sense.
    """
    return score_statistics(seeds, resamples=resamples, seed=seed, confidence=confidence)
