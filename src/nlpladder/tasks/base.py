"""The interface between the climb, which knows rungs, seeds and budgets, and the task that the rungs are for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from nlpladder.evaluation.comparison import Comparison
    from nlpladder.evaluation.seeds import SeedScore
    from nlpladder.ladder import Rung
    from nlpladder.training.run_folder import RunFolder


@dataclass(frozen=True)
class RungSettings:
    """What differs from the rung's defaults in `nlpladder.ladder`.

    Attributes:
        model: Settings of the model.
        training: Settings of `TrainingOptions`.
        tokenizer: Settings of `train_subword_tokenizer`, for rungs trained from random weights.
        encoder: Hub id or folder of the pretrained encoder, for rungs of kind ``pretrained``.
        preprocessor: Config of a `Preprocessor` applied to every text first, for the counting rungs.
    """

    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    encoder: str | None = None
    preprocessor: Sequence[Any] | None = None


@dataclass(frozen=True)
class RungRun:
    """A finished run.

    Attributes:
        folder: The run folder.
        record: ``run.json``.
        metrics: ``metrics.json``.
        was_there: It had been finished before; nothing was trained this time.
    """

    folder: RunFolder
    record: Mapping[str, Any]
    metrics: Mapping[str, Any]
    was_there: bool = False


class ClimbTask(Protocol):
    """A task and its data.

    Attributes:
        columns: The metrics of the table, the leading one first.
    """

    columns: tuple[str, ...]

    def identity(self, rung: Rung, settings: RungSettings, seed: int) -> dict[str, Any]:
        """Return everything that decides the result of a run, by which its folder is known again."""
        ...

    def train(
        self,
        rung: Rung,
        settings: RungSettings,
        *,
        output_dir: str | os.PathLike[str],
        seed: int,
        time_limit: float | None,
        overwrite: bool,
    ) -> RungRun:
        """Train and evaluate one rung; a finished folder of the same identity is read instead."""
        ...

    def score(self, runs: Sequence[RungRun]) -> dict[str, SeedScore]:
        """Score the runs of one rung, one a seed."""
        ...

    def compare(self, runs: Mapping[str, Sequence[RungRun]], pairs: Literal["adjacent", "all"]) -> list[Comparison]:
        """Compare rungs pair by pair on the same test data, corrected for the number of pairs."""
        ...

    def unlabeled_texts(self) -> Sequence[str]:
        """Return all text without test labels, for pretraining.

        Raises:
            LadderError: when there is none.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return what ``ladder.json`` says of the data: see `nlpladder.views.ladder_table`."""
        ...
