"""Climbing on a labelled data set: classification, multi-label classification, regression."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from nlpladder.data.text_dataset import TextDataset
from nlpladder.errors import LadderError
from nlpladder.evaluation.comparison import Comparison, compare_systems
from nlpladder.evaluation.seeds import SeedScore, score_seeds
from nlpladder.ladder import Rung
from nlpladder.tasks.base import RungRun, RungSettings
from nlpladder.train_rung import run_identity, train_rung

#: The metric that the table leads with, and those beside it, by task.
COLUMNS: dict[str, tuple[str, ...]] = {
    "single_label": ("accuracy", "f1_macro", "expected_calibration_error"),
    "multi_label": ("f1_micro", "f1_macro", "subset_accuracy"),
    "regression": ("root_mean_squared_error", "r_squared", "spearman"),
}


class ClassificationTask:
    """See `ClimbTask`.

    Args:
        data: With splits train, validation and test.
    """

    def __init__(self, data: TextDataset) -> None:
        self.data = data
        self.columns = COLUMNS[data.task]

    def identity(self, rung: Rung, settings: RungSettings, seed: int) -> dict[str, Any]:
        """See ClimbTask."""
        return run_identity(rung, self.data, settings, seed)

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
        return train_rung(
            rung, self.data, settings, output_dir=output_dir, seed=seed, time_limit=time_limit, overwrite=overwrite
        )

    def score(self, runs: Sequence[RungRun]) -> dict[str, SeedScore]:
        """See ClimbTask."""
        names = self.data.label_names or None
        return score_seeds(self._test_labels(runs), self._predictions(runs), task=self.data.task, label_names=names)

    def compare(self, runs: Mapping[str, Sequence[RungRun]], pairs: Literal["adjacent", "all"]) -> list[Comparison]:
        """See ClimbTask."""
        systems = {name: self._predictions(found) for name, found in runs.items()}
        labels = self._test_labels(next(iter(runs.values())))
        return compare_systems(labels, systems, pairs=pairs, task=self.data.task)

    def unlabeled_texts(self) -> Sequence[str]:
        """See ClimbTask."""
        if self.data.streaming:
            raise LadderError("a stream cannot be pretrained on here; name a pretrained encoder with --encoder")
        splits = [self.data.splits[name] for name in ("unlabeled", "train") if name in self.data.splits]
        return [text for split in splits for text in split["text"]]

    def describe(self) -> dict[str, Any]:
        """See ClimbTask."""
        data = self.data
        return {
            "dataset": data.name,
            "fingerprint": data.fingerprint,
            "task": data.task,
            "labels": list(data.label_names),
            "test_size": len(data.splits["test"]),
            "test_unit": "test texts",
            "speed_unit": "texts",
            "train_size": len(data.splits["train"]) if hasattr(data.splits["train"], "__len__") else None,
            "notes": list(data.notes),
            "ceilings": dict(data.ceilings),
        }

    def _predictions(self, runs: Sequence[RungRun]) -> np.ndarray:
        """Return the test predictions of each seed, (seeds, texts, labels), or (seeds, texts) for regression."""
        stacked = np.stack([run.folder.read_predictions()[0] for run in runs])
        return stacked[..., 0] if self.data.task == "regression" else stacked

    def _test_labels(self, runs: Sequence[RungRun]) -> Any:
        return runs[0].folder.read_predictions()[1]
