"""What is counted of a tagged sentence, kind by kind: shared by tags of words and by entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from nlpladder.evaluation.closed_intervals import effective_trials
from nlpladder.evaluation.example_statistics import ExampleStatistics, stack_columns

Float = npt.NDArray[np.float64]
#: Columns of the whole sentence, and for each kind.
WHOLE = ("tokens", "correct_tokens")
COUNTS = ("gold", "predicted", "correct")


@dataclass(frozen=True)
class TaggedStatistics(ExampleStatistics):
    """The counts of each sentence of one tagger's output.

    Attributes:
        columns: Shape (sentences, 2 + 3 kinds): words, rightly tagged words, and for each kind how many there are, were
            predicted and are right.
        fingerprint: Of the gold tags.
        kinds: Tags of words, or types of entities, in the order of the columns.
    """

    kinds: tuple[str, ...] = ()

    verb: ClassVar[str] = "tagged"
    unit_name: ClassVar[str] = "sentences"
    outputs: ClassVar[str] = "tagged sentences"

    @classmethod
    def from_columns(cls, columns: Mapping[str, npt.ArrayLike], fingerprint: str = "") -> Self:
        """Return the statistics that `to_columns` described; other columns are left aside.

        Raises:
            DataError: If a column is missing.
        """
        kinds = tuple(name.removeprefix("gold:") for name in columns if name.startswith("gold:"))
        return cls(stack_columns(columns, _column_names(kinds), what="tag"), fingerprint, kinds)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return _column_names(self.kinds)

    def trials(self, metric: str) -> float:
        """Return the effective number of sentences of a share of words, each sentence being right as a whole."""
        return effective_trials(self.columns[:, 0])

    def by_kind(self, sums: Float) -> tuple[Float, Float, Float]:
        """Return how many there are, were predicted and are right, each (…, kinds), from sums (…, 2 + 3 kinds)."""
        counts = sums[..., len(WHOLE) :].reshape(*sums.shape[:-1], len(self.kinds), len(COUNTS))
        gold, predicted, correct = np.moveaxis(counts, -1, 0)
        return gold, predicted, correct

    def joined(self, others: Sequence[Self]) -> list[Self]:
        """Return `others` with the kinds of all of them: a tagger may predict one that another never does."""
        kinds = tuple(sorted({kind for one in others for kind in one.kinds}))
        names = _column_names(kinds)
        joined = []
        for one in others:
            columns = np.zeros((len(one), len(names)))
            columns[:, [names.index(name) for name in one.names]] = one.columns
            joined.append(type(one)(columns, one.fingerprint, kinds))
        return joined


def _column_names(kinds: Sequence[str]) -> tuple[str, ...]:
    return (*WHOLE, *(f"{count}:{kind}" for kind in kinds for count in COUNTS))
