"""Word vectors on all benchmarks at once, in a form in which seeds and spaces can be compared.

What the vectors answer (a cosine for a pair, right or wrong for a question, None where a word has no vector) is kept,
so that intervals over seeds and paired tests need no vectors.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from nlpladder.errors import ConfigError
from nlpladder.evaluation.analogies import AnalogySet, answer_analogies, load_analogies
from nlpladder.evaluation.closed_intervals import has_no_spread, is_small_share, share_interval
from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.intervals import Score
from nlpladder.evaluation.multiple_testing import holm
from nlpladder.evaluation.paired_tests import build_pair, difference_replicates
from nlpladder.evaluation.resampling import bootstrap
from nlpladder.evaluation.seeds import SeedScore, combined_interval, score_seeds, summarise
from nlpladder.evaluation.word_pairs import WordPairs, load_word_pairs
from nlpladder.evaluation.word_similarity import FEWEST_PAIRS, pair_cosines

if TYPE_CHECKING:
    from nlpladder.protocols import WordEmbeddings

#: Answers by benchmark: one entry a pair or question.
Answers = Mapping[str, Sequence[float | None]]
ANALOGIES = "analogies"
_RESAMPLES = 10_000


@dataclass(frozen=True)
class EmbeddingBenchmarks:
    """What vectors are evaluated on.

    Attributes:
        pairs: Judgements of similarity by the name of their metric; the first leads tables.
        analogies: Questions by section.
    """

    pairs: Mapping[str, WordPairs]
    analogies: AnalogySet

    def names(self) -> tuple[str, ...]:
        """Return the names of the metrics."""
        return (*self.pairs, ANALOGIES)

    def size(self) -> int:
        """Return how many pairs and questions there are."""
        return sum(map(len, self.pairs.values())) + sum(len(questions) for _, questions in self.analogies)


def load_benchmarks(
    *, similarity: Sequence[str | os.PathLike[str]] = (), analogies: str | os.PathLike[str] | None = None
) -> EmbeddingBenchmarks:
    """Return WordSim-353, SimLex-999 and the Google analogies, which gensim ships, with more word pairs if wanted.

    Args:
        similarity: Files that `load_word_pairs` reads.
        analogies: A file that `load_analogies` reads instead of Google's.

    Raises:
        DataError: when a file cannot be read.
        ConfigError: when two benchmarks have the same name.
    """
    pairs: dict[str, WordPairs] = {}
    for source in ("wordsim353", "simlex999", *similarity):
        found = load_word_pairs(source)
        name = re.sub(r"\W+", "_", found.name.lower().replace("-", "")).strip("_")
        if name in pairs or name == ANALOGIES:
            raise ConfigError(f"Two benchmarks are called {name!r}; rename the file {source}.")
        pairs[name] = found
    return EmbeddingBenchmarks(pairs, load_analogies(analogies))


def answer_benchmarks(vectors: WordEmbeddings, benchmarks: EmbeddingBenchmarks) -> dict[str, list[float | None]]:
    """Return what the vectors answer; words without a vector of their own are not built from sub-words."""
    answers: dict[str, list[float | None]] = {}
    for name, pairs in benchmarks.pairs.items():
        cosines, covered, _ = pair_cosines(vectors, pairs)
        answers[name] = _listed(cosines, covered)
    correct, covered = answer_analogies(vectors, benchmarks.analogies)
    answers[ANALOGIES] = _listed(correct.astype(float), covered)
    return answers


def score_embedding_seeds(benchmarks: EmbeddingBenchmarks, seeds: Sequence[Answers]) -> dict[str, SeedScore]:
    """Return Spearman's correlation a set of pairs and the accuracy on analogies, with intervals.

    Args:
        benchmarks: What was asked.
        seeds: The answers of each training seed; what one of them does not cover is left out for all.
    """
    scores = {}
    for name in benchmarks.names():
        answers, covered = _shared(name, seeds)  # (seeds, covered), (items,)
        share = f"{covered.sum():,} of {covered.size:,} are covered."
        if answers.shape[1] < FEWEST_PAIRS:
            empty = Score(name, None, None, None, int(answers.shape[1]), note=f"{share} Too few for a score.")
            scores[name] = SeedScore(empty, (None,) * len(seeds), None, None, None)
            continue
        if name in benchmarks.pairs:
            judged = benchmarks.pairs[name].scores[covered]
            found = score_seeds(judged, answers, task="regression", resamples=_RESAMPLES)["spearman"]
        else:
            found = _accuracy(answers)
        mean = dataclasses.replace(found.mean, name=name, note=f"{share} {found.mean.note}".strip())
        scores[name] = dataclasses.replace(found, mean=mean)
    return scores


def compare_embeddings(
    benchmarks: EmbeddingBenchmarks,
    systems: Mapping[str, Sequence[Answers]],
    *,
    metric: str,
    pairs: Literal["adjacent", "all"] = "adjacent",
) -> list[Comparison]:
    """Compare spaces pair by pair in Spearman's correlation on the word pairs that both cover, with Holm's correction.

    Args:
        benchmarks: What was asked.
        systems: The answers of each seed by name, in the order of the ladder.
        metric: Which set of pairs.
        pairs: ``adjacent`` or ``all``.
    """
    found = []
    for before, after in pairwise(systems) if pairs == "adjacent" else combinations(systems, 2):
        answers, covered = _shared(metric, [*systems[before], *systems[after]])
        first, second = answers[: len(systems[before])], answers[len(systems[before]) :]
        if answers.shape[1] < FEWEST_PAIRS:
            found.append(_undecided(before, after, metric, int(covered.sum()), (len(second), len(first))))
            continue
        found.append(_compared(before, after, metric, benchmarks.pairs[metric].scores[covered], first, second))
    corrected = holm([comparison.p_value for comparison in found])
    return [dataclasses.replace(one, p_holm=float(value)) for one, value in zip(found, corrected, strict=True)]


def _compared(
    before: str, after: str, metric: str, judged: np.ndarray, first: np.ndarray, second: np.ndarray
) -> Comparison:
    """Compare by the paired bootstrap; with several seeds their variance is added (see `evaluation.comparison`).

    Args:
        before: Name of the lower rung.
        after: Name of the higher one.
        metric: The set of pairs.
        judged: What people said, (pairs,).
        first: Cosines of `before`, (seeds, pairs).
        second: Cosines of `after`, (seeds, pairs).
    """
    pair = build_pair(second, first, labels=judged, metric="spearman", task="regression")
    replicates = difference_replicates(pair, resamples=_RESAMPLES, seed=0, groups=None)
    low, high, p_value = pair.bootstrap_test(replicates, 0.95, None)
    p_values: dict[str, float | None] = {"paired_bootstrap": p_value}
    test, note = "paired_bootstrap", "One seed each: the test is about these two trained spaces."
    repeated = [values for values in pair.values if len(values) > 1]
    if repeated:
        variance = float(np.var(replicates, ddof=1))
        combined = combined_interval(pair.difference, variance, repeated, 0.95)
        low, high, p_value = combined or (low, high, p_value)
        p_values["seeds_and_examples"] = p_value
        test, note = "seeds_and_examples", ""
    return Comparison(
        after, before, metric, pair.difference, low, high, 0.95, len(judged), (len(second), len(first)), p_values, test,
        p_value, p_value, True, "", note,
    )  # fmt: skip


def _undecided(before: str, after: str, metric: str, n: int, seeds: tuple[int, int]) -> Comparison:
    note = f"The two spaces share {n} pairs of words: too few to compare."
    return Comparison(
        after, before, metric, 0.0, 0.0, 0.0, 0.95, n, seeds, {}, "none", 1.0, 1.0, True, "", note
    )  # fmt: skip


def _accuracy(answers: np.ndarray) -> SeedScore:
    """Return the share of right answers, (seeds, questions); questions share words, so the interval is optimistic."""
    questions = answers.shape[1]
    drawn = bootstrap(answers.T, resamples=_RESAMPLES, seed=0)  # (questions, seeds)
    replicates = drawn.sums.mean(axis=1) / questions
    low, high = np.quantile(replicates, [0.025, 0.975]).tolist()
    method = f"percentile bootstrap interval, {_RESAMPLES:,} resamples of questions, seed 0"
    values = answers.mean(axis=1)
    if has_no_spread(replicates) or (len(values) == 1 and is_small_share(float(values[0]), questions)):
        closed = share_interval(float(values[0]), questions, 0.95, unit_name="questions")
        low, high, method = closed.low, closed.high, closed.method
    base = Score(ANALOGIES, float(values[0]), low, high, questions, 0.95, method, True, "%")
    return summarise(base, values.tolist(), float(np.var(replicates, ddof=1)), (0.0, 1.0))


def _shared(name: str, seeds: Sequence[Answers]) -> tuple[np.ndarray, np.ndarray]:
    """Return the answers to what all seeds cover, (seeds, covered), and which that is, (items,)."""
    table = np.array([[np.nan if value is None else value for value in answers[name]] for answers in seeds], float)
    covered = ~np.isnan(table).any(axis=0)
    return table[:, covered], covered


def _listed(values: np.ndarray, covered: np.ndarray) -> list[float | None]:
    return [float(value) if known else None for value, known in zip(values, covered, strict=True)]
