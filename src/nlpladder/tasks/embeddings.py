"""Climbing on a corpus: word vectors by human judgements of similarity, and by analogies."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from nlpladder.errors import LadderError
from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.embeddings import EmbeddingBenchmarks, compare_embeddings, score_embedding_seeds
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.ladder import Rung
from nlpladder.tasks.base import RungRun, RungSettings
from nlpladder.train_embeddings import EmbeddingData, embedding_identity, read_answers, train_embeddings
from nlpladder.training.embedding_options import SavingOptions


class EmbeddingsTask:
    """See `ClimbTask`.

    Args:
        data: The corpus; read and encoded once for all rungs.
        benchmarks: Word pairs and analogies to evaluate on.
        say: Gets lines of progress.
    """

    def __init__(self, data: EmbeddingData, benchmarks: EmbeddingBenchmarks, say: Callable[[str], None]) -> None:
        self.data = data
        self.benchmarks = benchmarks
        self.columns: tuple[str, ...] = benchmarks.names()
        self._say = say

    def identity(self, rung: Rung, settings: RungSettings, seed: int) -> dict[str, Any]:
        """See ClimbTask."""
        return embedding_identity(rung, self.data, settings, seed, SavingOptions())

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
        """See ClimbTask; a training that has begun is not cut short."""
        return train_embeddings(
            rung, self.data, settings, benchmarks=self.benchmarks, output_dir=output_dir, seed=seed,
            overwrite=overwrite, say=lambda line: self._say(f"        {line}"),
        )  # fmt: skip

    def score(self, runs: Sequence[RungRun]) -> dict[str, SeedScore]:
        """See ClimbTask."""
        return score_embedding_seeds(self.benchmarks, [read_answers(run) for run in runs])

    def compare(self, runs: Mapping[str, Sequence[RungRun]], pairs: Literal["adjacent", "all"]) -> list[Comparison]:
        """See ClimbTask."""
        systems = {name: [read_answers(run) for run in found] for name, found in runs.items()}
        return compare_embeddings(self.benchmarks, systems, metric=self.columns[0], pairs=pairs)

    def unlabeled_texts(self) -> Sequence[str]:
        """See ClimbTask."""
        raise LadderError("no word-vector rung starts from a pretrained encoder")

    def describe(self) -> dict[str, Any]:
        """See ClimbTask."""
        corpus = self.data.encoded()
        return {
            "dataset": self.data.name,
            "fingerprint": self.data.fingerprint,
            "task": "embeddings",
            "labels": [],
            "test_size": self.benchmarks.size(),
            "test_unit": "word pairs and questions",
            "tested": f"{self.benchmarks.size():,} word pairs and questions (those whose words have vectors count; "
            f"metrics.json says how many), by vectors from {self.data.name}",
            "speed_unit": "words",
            "train_size": corpus.num_tokens,
            "notes": list(corpus.notes),
            "ceilings": {},
        }
