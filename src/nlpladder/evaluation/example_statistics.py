"""Counts per example, and the scores of a whole test set that are functions of the sums of the counts.

BLEU, the F1 of entities and most other scores of structured output are no means over examples: they are functions of
counts summed over the test set, such as matched 4-grams or correct entities. With the counts kept example by example,
the score of any resample, swap or slice is a sum and a formula away, and no text is read twice. A kind of output
(translations, generated texts, entities, answers) is a subclass of `ExampleStatistics`, which says what is counted and
how the sums become scores. Intervals and tests are the same for all kinds, here and in ``system_comparison``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.evaluation.closed_intervals import (
    ClosedInterval,
    end_interval,
    has_no_spread,
    is_small_share,
    no_interval,
    share_interval,
)
from nlpladder.evaluation.intervals import Score, check_confidence, need_two
from nlpladder.evaluation.resampling import bootstrap, check_resampling
from nlpladder.evaluation.seeds import SeedScore, summarise

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """What one score is.

    Attributes:
        unit: ``"%"`` for shares from 0 to 1, shown times 100; ``"points"`` for what runs to 100.
        higher_is_better: Whether a rise is an improvement; None where neither end is the better one.
        low: Smallest possible value, or None.
        high: Largest possible value, or None.
        note: What a reader must know.
        undefined: Why there may be no value.
        kind: ``"share"`` of the examples, ``"mean"`` over examples of values from 0 to 1 (which may be weighted), or
            neither. Both have an interval where all resamples are alike, see ``closed_intervals``.
    """

    unit: str = "%"
    higher_is_better: bool | None = True
    low: float | None = 0.0
    high: float | None = 1.0
    note: str = ""
    undefined: str = "It is undefined on these examples."
    kind: Literal["share", "mean", ""] = ""


@dataclass(frozen=True)
class ExampleStatistics:
    """The counts of each example of one system's output for a test set.

    Attributes:
        columns: Shape (examples, counts), in the order of `names`; NaN in columns that were not computed.
        fingerprint: Of the references, so that only systems measured on the same ones are compared; empty if unknown.
    """

    columns: Float
    fingerprint: str = ""

    #: How messages say what a system did to what, as in "seed 1 translated 3 sentences".
    verb: ClassVar[str] = "answered"
    unit_name: ClassVar[str] = "examples"
    #: What the outputs of all systems are called, as in "There are no translations".
    outputs: ClassVar[str] = "outputs"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        raise NotImplementedError

    @property
    def measures(self) -> Mapping[str, Measure]:
        """The scores by name."""
        raise NotImplementedError

    def values(self, sums: Float) -> dict[str, Float]:
        """Return each score, shape (…,), from sums of the columns, shape (…, counts); NaN where it is undefined."""
        raise NotImplementedError

    def trials(self, metric: str) -> float:
        """Return of how many examples, or effectively so many, a share or mean is one; `metric` names it."""
        return float(len(self))

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.columns)

    def corpus(self) -> dict[str, float]:
        """Return each score of the whole test set, without intervals; NaN where it is undefined."""
        return {name: float(value) for name, value in self.values(self.columns.sum(axis=0)).items()}

    def select(self, rows: Sequence[int] | npt.NDArray[Any]) -> Self:
        """Return the statistics of some examples: their numbers, or a mask of shape (examples,)."""
        indices = np.arange(len(self))[np.asarray(rows)]
        digest = hashlib.sha256(self.fingerprint.encode() + indices.tobytes()).hexdigest() if self.fingerprint else ""
        return dataclasses.replace(self, columns=self.columns[indices], fingerprint=digest)

    def to_columns(self) -> dict[str, Float]:
        """Return the columns by name, to be written as a table."""
        return {name: self.columns[:, place].copy() for place, name in enumerate(self.names)}

    def joined(self, others: Sequence[Self]) -> list[Self]:
        """Return `others` with the columns of all of them, where kinds of column depend on the data."""
        return list(others)


Statistics = TypeVar("Statistics", bound=ExampleStatistics)


def stack_columns(columns: Mapping[str, npt.ArrayLike], names: Sequence[str], *, what: str) -> Float:
    """Return the named columns of a table side by side, shape (examples, names).

    Args:
        columns: By name; others are left aside.
        names: In their order.
        what: Whose statistics, for the message.

    Raises:
        DataError: If a column is missing.
    """
    missing = [name for name in names if name not in columns]
    if missing:
        raise DataError(f"The table of {what} statistics lacks {', '.join(missing[:5])}: it has {len(columns)}.")
    return np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in names])


def fingerprint_of(references: Any, *settings: str) -> str:
    """Return a digest of references, plain JSON values, and of settings that change what is counted."""
    return hashlib.sha256(json.dumps([references, *settings] if settings else references).encode("ascii")).hexdigest()


def score_statistics(
    seeds: Sequence[Statistics], *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> dict[str, SeedScore]:
    """Return every score with its percentile bootstrap interval over examples and, for several, over training seeds.

    Args:
        seeds: The statistics of each seed, of the same test set.
        resamples: Bootstrap resamples of the examples (Koehn 2004, section 3).
        seed: Fixes every number.
        confidence: Level of the intervals.

    Raises:
        DataError: for fewer than two examples, or seeds that were measured on other ones.
        ConfigError: If an option makes no sense.
    """
    check_confidence(confidence)
    check_resampling(resamples, seed)
    examples = same_examples({f"seed {number}": [statistics] for number, statistics in enumerate(seeds)})
    need_two(examples)
    seeds = seeds[0].joined(seeds)
    kind = seeds[0]
    by_seed = replicates(seeds, resamples=resamples, seed=seed)
    tail = (1.0 - confidence) / 2.0
    method = f"percentile bootstrap interval, {resamples:,} resamples of {kind.unit_name}, seed {seed}"
    scores = {}
    for name, measure in kind.measures.items():
        values = values_of(seeds, name)
        drawn = np.mean([found[name] for found in by_seed], axis=0)  # (resamples,)
        drawn = drawn[~np.isnan(drawn)]
        low = high = variance = None
        if len(drawn) > 1:
            low, high = (float(end) for end in np.quantile(drawn, [tail, 1.0 - tail]))
            variance = float(np.var(drawn, ddof=1))
        said = method if len(seeds) == 1 else f"variance over {len(seeds)} seeds plus {method}"
        lost = resamples - len(drawn)
        left_out = f"; undefined, hence left out, in {lost:,} of them" if 0 < lost < resamples else ""
        said += left_out
        score = _score(name, measure, float(values[0]), low, high, examples, confidence, said)
        alike = has_no_spread(drawn) and (len(seeds) == 1 or has_no_spread(values))
        small = measure.kind == "share" and len(seeds) == 1 and is_small_share(float(values[0]), kind.trials(name))
        if score.value is not None and (alike or small):
            closed = _closed(measure, score.value, kind, name, confidence)
            note = " ".join(part for part in (score.note, closed.note) if part)
            score = dataclasses.replace(
                score, low=closed.low, high=closed.high, method=closed.method + left_out, note=note
            )
            variance = 0.0 if alike else variance
        scores[name] = summarise(score, values.tolist(), variance, (measure.low, measure.high))
    return scores


def bare_statistics_score(seeds: Sequence[Statistics], metric: str, *, confidence: float = 0.95) -> SeedScore:
    """Return a score without an interval, as for a single example.

    Args:
        seeds: As in `score_statistics`.
        metric: A name in their `measures`.
        confidence: Level that intervals beside it have.

    Raises:
        DataError: If the seeds were measured on other examples.
        ConfigError: If the metric is unknown.
    """
    examples = same_examples({f"seed {number}": [statistics] for number, statistics in enumerate(seeds)})
    seeds = seeds[0].joined(seeds)
    measure = known_measure(metric, seeds[0].measures)
    values = values_of(seeds, metric)
    score = _score(metric, measure, float(values[0]), None, None, examples, confidence, "")
    return summarise(score, values.tolist(), None, (measure.low, measure.high))


def same_examples(systems: Mapping[str, Sequence[ExampleStatistics]]) -> int:
    """Return the number of examples, which must be the same ones for all seeds of all systems.

    Raises:
        DataError: If a system has no seeds, or was measured on other examples.
    """
    names = list(systems)
    if not names or not all(len(seeds) for seeds in systems.values()):
        given = next((one for seeds in systems.values() for one in seeds), None)
        outputs = given.outputs if given is not None else "outputs"
        raise DataError(f"There are no {outputs}: give the statistics of at least one seed of each system.")
    reference = systems[names[0]][0]
    for name, seeds in systems.items():
        for statistics in seeds:
            if type(statistics) is not type(reference):
                raise DataError(
                    f"{name} has {type(statistics).__name__} and {names[0]} {type(reference).__name__}: systems are "
                    "compared by the same counts."
                )
            if len(statistics) != len(reference):
                raise DataError(
                    f"{name} {reference.verb} {len(statistics):,} {reference.unit_name} and {names[0]} "
                    f"{len(reference):,}: systems are compared on the same ones."
                )
            if statistics.fingerprint and reference.fingerprint and statistics.fingerprint != reference.fingerprint:
                raise DataError(
                    f"{name} was measured against other references than {names[0]}, or in another order: systems are "
                    "compared on the same ones."
                )
    return len(reference)


def known_measure(metric: str, measures: Mapping[str, Measure]) -> Measure:
    """Return a measure by name.

    Raises:
        ConfigError: naming the nearest one.
    """
    if metric not in measures:
        raise ConfigError(f"metric is {metric!r}: it is one of {', '.join(measures)}.{did_you_mean(metric, measures)}")
    return measures[metric]


def values_of(seeds: Sequence[ExampleStatistics], metric: str) -> Float:
    """Return the metric of each seed, (seeds,)."""
    return np.array([statistics.corpus()[metric] for statistics in seeds])


def replicates(seeds: Sequence[ExampleStatistics], *, resamples: int, seed: int) -> list[dict[str, Float]]:
    """Return the bootstrap replicates of each metric for each seed, all on the same resamples of the examples."""
    width = len(seeds[0].names)
    columns = np.hstack([statistics.columns for statistics in seeds])  # (examples, seeds * counts)
    missing = np.isnan(columns).any(axis=0)
    sums = bootstrap(np.where(missing, 0.0, columns), resamples=resamples, seed=seed).sums
    sums[:, missing] = np.nan
    return [one.values(sums[:, width * number : width * (number + 1)]) for number, one in enumerate(seeds)]


def _closed(
    measure: Measure, value: float, statistics: ExampleStatistics, name: str, confidence: float
) -> ClosedInterval:
    """Return the interval of a score whose resamples are all alike or too few, or the statement that it has none."""
    unit_name, trials = statistics.unit_name, statistics.trials(name) if measure.kind else 0.0
    found = None
    if measure.kind == "share" and trials:
        found = share_interval(value, trials, confidence, unit_name=unit_name)
    elif measure.kind == "mean":
        found = end_interval(value, trials, confidence, unit_name=unit_name, what="which bounds the mean of all")
    best = measure.high if measure.higher_is_better else measure.low if measure.higher_is_better is False else None
    return found or no_interval(value, best, len(statistics), unit_name=unit_name)


def _score(
    name: str,
    measure: Measure,
    value: float,
    low: float | None,
    high: float | None,
    examples: int,
    confidence: float,
    method: str,
) -> Score:
    note, known = measure.note, float(value) if np.isfinite(value) else None
    if known is None:
        note, low, high = measure.undefined, None, None
    higher = measure.higher_is_better is not False
    return Score(name, known, low, high, examples, confidence, method, higher, measure.unit, note)
