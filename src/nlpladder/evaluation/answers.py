"""Answers to questions: exact match and F1 with the arithmetic of the official SQuAD scripts, with intervals.

Version 1.1 (Rajpurkar et al. 2016, section 6.1): every question has answers, and a prediction is held against the
one that suits it best. Version 2.0 (Rajpurkar et al. 2018): a question may have none; the empty prediction is then the
right one. Values are shares from 0 to 1; the scripts print them times 100. Intervals: bootstrap over questions.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.example_statistics import (
    ExampleStatistics,
    Measure,
    fingerprint_of,
    score_statistics,
    stack_columns,
)
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.evaluation.system_comparison import compare_systems

Float = npt.NDArray[np.float64]
Version = Literal["1.1", "2.0"]

COLUMNS = ("questions", "exact", "f1", "answerable", "answerable_exact", "answerable_f1")
_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Return a text as SQuAD compares it: lower case, no ASCII punctuation, no articles, single blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def exact_match(prediction: str, answer: str) -> bool:
    """Return whether two texts are the same once normalised."""
    return normalize_answer(prediction) == normalize_answer(answer)


def token_f1(prediction: str, answer: str, *, version: Version = "1.1") -> float:
    """Return the F1 of the words that two normalised texts share, counted with their multiplicity.

    Args:
        prediction: What was answered.
        answer: A right answer.
        version: In 2.0 two texts without words are equal, F1 is 1; in 1.1 it is 0.
    """
    ours, right = normalize_answer(prediction).split(), normalize_answer(answer).split()
    if not ours or not right:
        return float(version == "2.0" and ours == right)
    shared = sum((Counter(ours) & Counter(right)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(ours), shared / len(right)
    return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True)
class AnswerStatistics(ExampleStatistics):
    """The counts of each question of one system's answers.

    Attributes:
        columns: Shape (questions, 6), see `COLUMNS`.
        fingerprint: Of the right answers.
    """

    verb: ClassVar[str] = "answered"
    unit_name: ClassVar[str] = "questions"
    outputs: ClassVar[str] = "answers"

    @classmethod
    def of(
        cls, predictions: Sequence[str], answers: Sequence[Sequence[str]], *, version: Version | None = None
    ) -> Self:
        """Compare predictions with the right answers.

        Args:
            predictions: One text a question; the empty one says that there is no answer.
            answers: The right answers of each question; none for a question without an answer (version 2.0).
            version: Whose arithmetic; None takes 2.0 if any question is without an answer, else 1.1. They differ only
                where an answer or a prediction has no words but articles.

        Raises:
            DataError: If the lengths differ, or a row is no text.
            ConfigError: If the version is unknown.
        """
        listed = _check(predictions, answers)
        if version is None:
            version = "1.1" if all(listed) else "2.0"
        if version not in ("1.1", "2.0"):
            raise ConfigError(f"version is {version!r}: it is '1.1' or '2.0'.")
        columns = np.zeros((len(listed), len(COLUMNS)))
        for row, (ours, given) in enumerate(zip(predictions, listed, strict=True)):
            rights = given
            if version == "2.0":
                rights = [text for text in given if normalize_answer(text)] or [""]
            elif not given:
                raise DataError(f"Question number {row} has no right answer, which version 1.1 does not know.")
            exact = max(exact_match(ours, right) for right in rights)
            f1 = max(token_f1(ours, right, version=version) for right in rights)
            answerable = bool(given)
            columns[row] = 1, exact, f1, answerable, answerable and exact, f1 if answerable else 0.0
        return cls(columns, fingerprint_of(listed, version))

    @classmethod
    def from_columns(cls, columns: Mapping[str, npt.ArrayLike], fingerprint: str = "") -> Self:
        """Return the statistics that `to_columns` described; other columns are left aside.

        Raises:
            DataError: If a column is missing.
        """
        return cls(stack_columns(columns, COLUMNS, what="answer"), fingerprint)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return COLUMNS

    @property
    def measures(self) -> Mapping[str, Measure]:
        """The scores by name; those of the two kinds of question only where there are both."""
        found = {"exact_match": Measure(kind="share"), "f1": Measure(kind="mean")}
        if (self.columns[:, 0] > self.columns[:, 3]).any():
            none = "No question has an answer."
            found["has_answer_exact_match"] = Measure(undefined=none, kind="share")
            found["has_answer_f1"] = Measure(undefined=none, kind="mean")
            found["no_answer_accuracy"] = Measure(undefined="Every question has an answer.", kind="share")
        return found

    def trials(self, metric: str) -> float:
        """Return how many questions a score is about: all, those with an answer, or those without."""
        questions, answerable = self.columns[:, 0].sum(), self.columns[:, 3].sum()
        if metric.startswith("has_answer"):
            return float(answerable)
        return float(questions - answerable if metric == "no_answer_accuracy" else questions)

    def values(self, sums: Float) -> dict[str, Float]:
        """Return each score from sums of the columns, shape (…, 6); NaN where there are no such questions."""
        questions, exact, f1, answerable, answerable_exact, answerable_f1 = np.moveaxis(sums, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "exact_match": exact / questions,
                "f1": f1 / questions,
                "has_answer_exact_match": answerable_exact / answerable,
                "has_answer_f1": answerable_f1 / answerable,
                "no_answer_accuracy": (exact - answerable_exact) / (questions - answerable),
            }


def score_answers(
    seeds: Sequence[AnswerStatistics], *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> dict[str, SeedScore]:
    """Return exact_match and f1 with intervals, and of answerable and other questions where there are both.

    Args:
        seeds: The statistics of each seed, of the same test set.
        resamples: Bootstrap resamples of the questions.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Raises:
        DataError: for fewer than two questions, or seeds that answered other ones.
        ConfigError: If an option makes no sense.
    """
    return score_statistics(seeds, resamples=resamples, seed=seed, confidence=confidence)


def compare_answers(
    systems: Mapping[str, Sequence[AnswerStatistics]], *, metric: str = "f1", **options: object
) -> list[Comparison]:
    """Compare systems on the same questions: see `compare_systems`, which takes the same options."""
    return compare_systems(systems, metric=metric, **options)  # type: ignore[arg-type]


def _check(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> list[list[str]]:
    for name, given in (("predictions", predictions), ("answers", answers)):
        if isinstance(given, str):
            raise DataError(f"The {name} are one string: give a list with one entry per question.")
    if len(predictions) != len(answers):
        raise DataError(
            f"There are {len(predictions):,} predictions and the answers to {len(answers):,} questions: give both for "
            "each question, in the same order."
        )
    if not len(predictions):
        raise DataError("There are no answers to score: give at least one question.")
    listed = [[entry] if isinstance(entry, str) else list(entry) for entry in answers]
    for row, (ours, rights) in enumerate(zip(predictions, listed, strict=True)):
        for text in (ours, *rights):
            if not isinstance(text, str):
                raise DataError(f"Question number {row} has {text!r} as an answer: expected a text.")
    return listed
