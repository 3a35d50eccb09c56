"""Climbing on a corpus: language models by bits per byte."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from nlpladder.data.corpora import Corpus
from nlpladder.data.reading import world_ceilings
from nlpladder.data.running_text import RunningText
from nlpladder.errors import LadderError
from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.language_modeling import compare_language_models, score_language_model
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.ladder import Rung
from nlpladder.tasks.base import RungRun, RungSettings
from nlpladder.text.encoding import EncodedCorpus, encode_corpus
from nlpladder.train_language_model import language_model_identity, read_losses, train_language_model
from nlpladder.train_neural_language_model import neural_identity, train_neural_language_model


class LanguageModelingTask:
    """See `ClimbTask`.

    Args:
        corpus: Train, validation and test; tokenised once for all counting rungs.
        running_text: Gives the same text for the neural rungs, line by line; called when the first of them starts.
            Without it only counting rungs can be climbed.
    """

    columns: tuple[str, ...] = ("bits_per_byte", "perplexity_per_word", "perplexity", "unknown_rate")

    def __init__(self, corpus: Corpus, running_text: Callable[[], RunningText] | None = None) -> None:
        self.corpus = corpus
        self._running_text = running_text
        self._text: RunningText | None = None
        self._encoded: EncodedCorpus | None = None
        self._ceilings = world_ceilings(corpus.name)

    @property
    def text(self) -> RunningText:
        """The text as the neural rungs read it; with the test lines of the corpus, or rungs could not be compared."""
        if self._text is None:
            if self._running_text is None:
                raise LadderError("The neural rungs need the text line by line: give running_text.")
            self._text = self._running_text()
            if list(self._text.test) != list(self.corpus.test):
                raise LadderError("The neural and the counting rungs were given different test lines.")
        return self._text

    def identity(self, rung: Rung, settings: RungSettings, seed: int) -> dict[str, Any]:
        """See ClimbTask."""
        if rung.kind == "neural":
            return neural_identity(rung, self.text, settings, seed)
        return language_model_identity(rung, self.corpus, settings)

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
        """See ClimbTask; counting has no use for a time limit."""
        if rung.kind == "neural":
            return train_neural_language_model(
                rung, self.text, settings, output_dir=output_dir, seed=seed, time_limit=time_limit, overwrite=overwrite
            )
        if self._encoded is None:
            self._encoded = encode_corpus(self.corpus.train)
        return train_language_model(
            rung, self.corpus, settings, output_dir=output_dir, overwrite=overwrite, encoded=self._encoded
        )

    def score(self, runs: Sequence[RungRun]) -> dict[str, SeedScore]:
        """See ClimbTask."""
        return score_language_model([read_losses(run) for run in runs])

    def compare(self, runs: Mapping[str, Sequence[RungRun]], pairs: Literal["adjacent", "all"]) -> list[Comparison]:
        """See ClimbTask."""
        return compare_language_models(
            {name: [read_losses(run) for run in found] for name, found in runs.items()}, pairs=pairs
        )

    def unlabeled_texts(self) -> Sequence[str]:
        """See ClimbTask."""
        raise LadderError("no language-model rung starts from a pretrained encoder")

    def describe(self) -> dict[str, Any]:
        """See ClimbTask."""
        return {
            "dataset": self.corpus.name,
            "fingerprint": self.corpus.fingerprint,
            "task": "language_modeling",
            "labels": [],
            "test_size": len(self.corpus.test),
            "test_unit": "test lines",
            "speed_unit": "tokens",
            "train_size": None if self._encoded is None else self._encoded.num_tokens,
            "notes": list(self.corpus.notes),
            "ceilings": {name: value for name, value in self._ceilings.items() if name.endswith("bits_per_byte")},
        }
