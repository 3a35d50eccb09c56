"""Climbing on sentence pairs: translation by BLEU."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from nlpladder.data.parallel import ParallelText
from nlpladder.data.text_pairs import examples_of
from nlpladder.errors import LadderError
from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.evaluation.translation import compare_translations, score_translations
from nlpladder.ladder import Rung
from nlpladder.tasks.base import RungRun, RungSettings
from nlpladder.train_translation import NUM_BEAMS, read_statistics, train_translation, translation_identity


class TranslationTask:
    """See `ClimbTask`.

    Args:
        data: Sentence pairs with splits train, validation and test.
    """

    columns: tuple[str, ...] = ("bleu", "bleu_lowercase", "chrf", "exact_match")

    def __init__(self, data: ParallelText) -> None:
        self.data = data

    def identity(self, rung: Rung, settings: RungSettings, seed: int) -> dict[str, Any]:
        """See ClimbTask."""
        return translation_identity(rung, self.data, settings, seed)

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
        """See ClimbTask."""
        return train_translation(
            rung, self.data, settings, output_dir=output_dir, seed=seed, time_limit=time_limit, overwrite=overwrite
        )

    def score(self, runs: Sequence[RungRun]) -> dict[str, SeedScore]:
        """See ClimbTask."""
        return score_translations([read_statistics(run) for run in runs])

    def compare(self, runs: Mapping[str, Sequence[RungRun]], pairs: Literal["adjacent", "all"]) -> list[Comparison]:
        """See ClimbTask."""
        return compare_translations(
            {name: [read_statistics(run) for run in found] for name, found in runs.items()}, pairs=pairs
        )

    def unlabeled_texts(self) -> Sequence[str]:
        """See ClimbTask."""
        raise LadderError("no translation rung starts from a pretrained encoder")

    def describe(self) -> dict[str, Any]:
        """See ClimbTask."""
        source, target = self.data.languages
        count = len(examples_of(self.data.splits["test"]).source)
        return {
            "dataset": self.data.name,
            "fingerprint": self.data.fingerprint,
            "task": "translation",
            "labels": [],
            "test_size": count,
            "test_unit": "sentences",
            "tested": f"{count:,} test sentences of {self.data.name}, {source} to {target}, beam {NUM_BEAMS}",
            "speed_unit": "sentences",
            "train_size": len(self.data.splits["train"].source),
            "notes": list(self.data.notes),
            "ceilings": dict(self.data.ceilings),
        }
