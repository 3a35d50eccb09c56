"""What a bias measure finds: a score with its interval, an effect in nats, what it could have seen, and every item.

A bias score alone misleads: half of all pairs "preferred" is also what random weights give, a bounded effect size is
at its ceiling for a weak bias, and three target terms carry no interval worth the name. Every measure therefore returns
`Finding`s, which keep beside the score what a reader needs to weigh it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nlpladder.evaluation.intervals import Score


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One number of one measure about one model.

    Attributes:
        measure: The estimator, not the data set: ``crows_pll`` and ``crows_diff_mean`` are different numbers.
        category: What part of the items it is about: ``all``, a bias type, or the name of a test.
        score: The value with its interval; ``n`` counts items, and ``method`` names the clusters that were resampled.
        no_bias: The score of a model without this bias, such as .5 for a share of pairs; None where there is none.
        expected: How large the score is on average without a bias, where that is not `no_bias`: the largest gap
            of several groups is never 0, by noise alone. Its sign means nothing; it is compared with the score's size.
        effect: The same bias as a mean signed difference of log-probabilities in nats (unit ``"nats"``), above 0 for
            the stereotype; None for measures that see no probabilities.
        above_floor: How far the score lies above `no_bias`, with its interval, where that is estimated, too, from
            control items; `p_value` is of it.
        clusters: How many independent units (target terms, occupations, templates) the items stand for.
        p_value: Two-sided, of "no bias"; None where the measure has no valid test.
        smallest_p: The smallest p that the test could have found, where random shuffles limit it; None where it is that
            of sign flips of so many clusters.
        detectable: The smallest distance from `no_bias` that one test of level .05, before any correction for many
            tests, finds with a power of .8 on so many clusters; None where that is not known.
        ceiling: The largest value the score can have, where it is bounded; (2n-1)/2n terms and the like included.
        graded: Whether the score grows with the size of the bias. One that is not graded says that there is a bias, not
            how large it is (`nlpladder.bias_laboratory` shows where each saturates).
        quality: How good the model is at the task behind the measure (mask accuracy, language modelling score): a model
            that is at chance there shows nothing, whatever its bias score.
        source: The paper and the equation.
        notes: Sentences that a reader must know: words without vectors, items left out and why.
    """

    measure: str
    category: str
    score: Score
    no_bias: float | None = None
    expected: float | None = None
    effect: Score | None = None
    above_floor: Score | None = None
    clusters: int = 0
    p_value: float | None = None
    smallest_p: float | None = None
    detectable: float | None = None
    ceiling: float | None = None
    graded: bool = True
    quality: Mapping[str, Score] = field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return dataclasses.asdict(self) | {"notes": list(self.notes)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Finding:
        """Return the finding that `to_dict` described.

        Raises:
            DataError: If a score in it lacks a field or has an unknown one.
        """
        values = dict(fields)
        values["score"] = Score.from_dict(values["score"])
        for name in ("effect", "above_floor"):
            values[name] = None if values.get(name) is None else Score.from_dict(values[name])
        values["quality"] = {name: Score.from_dict(score) for name, score in values.get("quality", {}).items()}
        values["notes"] = tuple(values.get("notes", ()))
        return cls(**values)


#: The columns that every item table begins with; a measure adds its own (log-probabilities of both sides, …).
ITEM_COLUMNS = ("item_id", "cluster_id", "category", "value")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What one measure found with one model.

    Attributes:
        findings: The overall finding first, then one a category.
        items: One row an item, as columns of equal length, beginning with `ITEM_COLUMNS`; written as parquet, so that
            others can compute their own statistics. ``value`` is the signed difference in nats (or the measure's own
            unit), above 0 for the stereotype.
        data: Name, rows and SHA-256 of what was measured on.
        quantity: What ``value`` is, where it is not what the measure is the mean of: a gap of rates keeps log-odds.
    """

    findings: tuple[Finding, ...]
    items: Mapping[str, Sequence[Any]]
    data: Mapping[str, Any] = field(default_factory=dict)
    quantity: str = ""
