"""Tags of words that mark no entities (parts of speech): accuracy and macro F1, with intervals over sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.evaluation.example_statistics import (
    ExampleStatistics,
    Measure,
    fingerprint_of,
    score_statistics,
    stack_columns,
)
from nlpladder.evaluation.seeds import SeedScore

Float = npt.NDArray[np.float64]
_TOKENS = ("tokens", "correct_tokens")
_KINDS = ("gold", "predicted", "correct")


@dataclass(frozen=True)
class TagStatistics(ExampleStatistics):
    """The counts of each sentence of one tagger's output.

    Attributes:
        columns: Shape (sentences, 2 + 3 tags): words, rightly tagged words, and for each tag how many words have it,
            were given it, and both.
        fingerprint: Of the gold tags.
        tags: In the order of the columns.
    """

    tags: tuple[str, ...] = ()

    verb: ClassVar[str] = "tagged"
    unit_name: ClassVar[str] = "sentences"
    outputs: ClassVar[str] = "tagged sentences"

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

    @classmethod
    def from_columns(cls, columns: Mapping[str, npt.ArrayLike], fingerprint: str = "") -> Self:
        """Return the statistics that `to_columns` described; other columns are left aside.

        Raises:
            DataError: If a column is missing.
        """
        tags = tuple(name.removeprefix("gold:") for name in columns if name.startswith("gold:"))
        return cls(stack_columns(columns, _column_names(tags), what="tag"), fingerprint, tags)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return _column_names(self.tags)

    @property
    def measures(self) -> Mapping[str, Measure]:
        """The scores by name; ``f1_NOUN`` is the F1 of the tag NOUN."""
        rare = Measure(undefined="No word has this tag, and none was given it.")
        empty = Measure(undefined="The sentences have no words.")
        return {"accuracy": empty, "f1_macro": empty, **{f"f1_{tag}": rare for tag in self.tags}}

    def values(self, sums: Float) -> dict[str, Float]:
        """Return each score from sums of the columns, shape (…, 2 + 3 tags).

        The macro F1 is the mean over the tags that a word has or was given, as scikit-learn's.
        """
        by_tag = sums[..., 2:].reshape(*sums.shape[:-1], len(self.tags), 3)  # (…, tags, kinds)
        gold, predicted, correct = np.moveaxis(by_tag, -1, 0)  # each (…, tags)
        with np.errstate(divide="ignore", invalid="ignore"):
            accuracy = sums[..., 1] / sums[..., 0]
            f1 = 2 * correct / (gold + predicted)
            macro = np.nansum(f1, axis=-1) / (gold + predicted > 0).sum(axis=-1)
        return {
            "accuracy": accuracy,
            "f1_macro": macro,
            **{f"f1_{tag}": f1[..., number] for number, tag in enumerate(self.tags)},
        }

    def joined(self, others: Sequence[Self]) -> list[Self]:
        """Return `others` with the tags of all of them: a tagger may give a tag that another never does."""
        tags = tuple(sorted({tag for one in others for tag in one.tags}))
        joined = []
        for one in others:
            columns = np.zeros((len(one), 2 + 3 * len(tags)))
            columns[:, :2] = one.columns[:, :2]
            for number, tag in enumerate(one.tags):
                target = 2 + 3 * tags.index(tag)
                columns[:, target : target + 3] = one.columns[:, 2 + 3 * number : 5 + 3 * number]
            joined.append(type(one)(columns, one.fingerprint, tags))
        return joined


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


def _column_names(tags: Sequence[str]) -> tuple[str, ...]:
    return (*_TOKENS, *(f"{name}:{tag}" for tag in tags for name in _KINDS))
