"""Calibration by group: does a confidence of 80 % mean right in 80 % of the cases, whomever the text is about?

Pleiss et al. 2017 ("On fairness and calibration") ask for equal calibration; Guo et al. 2017 (equation 3) give the
error. It is biased upward in small groups, so that each group's interval takes that off again (as everywhere in
`nlpladder.evaluation`), and the largest gap stands beside that of shuffled groups.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nlpladder.bias.classifiers.classifier_gaps import QUANTITY, about, score_items
from nlpladder.bias.classifiers.classifier_scores import LabelScores, label_scores
from nlpladder.bias.classifiers.group_design import group_design
from nlpladder.bias.classifiers.group_differences import GroupRate, group_findings, ratio
from nlpladder.bias.classifiers.labelled_texts import LabelledTexts
from nlpladder.bias.findings import Finding, Findings
from nlpladder.bias.statistics.estimates import DEFAULT, StatisticsOptions
from nlpladder.errors import DataError
from nlpladder.evaluation.classification import CALIBRATION_BINS, equal_mass_bins, equal_width_bins
from nlpladder.evaluation.intervals import Score, score_predictions
from nlpladder.protocols import TextClassifier

Float = npt.NDArray[np.float64]

_ECE, _BRIER, _OVER = "expected_calibration_error_gap", "brier_score_gap", "calibration_in_the_large_gap"
_SOURCES = {
    _ECE: "Guo et al. 2017, equation 3",
    _BRIER: "Brier 1950, equation 2",
    _OVER: "Cox 1958 (mean predicted minus observed share)",
}


def group_calibration(
    model: TextClassifier,
    data: LabelledTexts,
    *,
    labels: Sequence[str] | None = None,
    named: Mapping[str, str] | None = None,
    statistics: StatisticsOptions = DEFAULT,
) -> tuple[Findings, ...]:
    """Measure calibration error, Brier score, and mean probability minus true share of each label by group.

    Each label is looked at as a yes/no question: its probability against its truth. Findings of a group are its
    difference to all others, and their notes hold the group's own value with its interval.

    Args:
        model: A classifier.
        data: Texts with groups and labels.
        labels: Labels of the model; by default the second of two, or all.
        named: Model's label to data's label, where they differ.
        statistics: How intervals and p-values are computed.

    Returns:
        Findings of the expected calibration error, of the Brier score, and of calibration in the large.

    Raises:
        DataError: If there are fewer than two groups, or the texts have no labels.
    """
    members, names = data.members, list(data.groups)
    if len(names) < 2:
        raise DataError(f"{data.name} has {len(names)} groups: a gap needs at least two.")
    scored = label_scores(model, data, labels=labels, named=named)
    found: dict[str, list[Finding]] = {_ECE: [], _BRIER: [], _OVER: []}
    for one in scored:
        design = group_design(members, data.clusters)
        if not design.nested and (data.clusters is None or len(set(data.clusters)) == len(data.texts)):
            # Equal calibration says that truth does not depend on the group, given the probability.
            alike = equal_mass_bins(one.probabilities)
            design = group_design(members, None, alike, within="probability (fifteenths)")
        own = _own_values(one, data, statistics)
        for measure, rate in _rates(one, len(scored) > 1, data).items():
            for finding in group_findings(rate, members, names, design, data.clusters, statistics):
                name = finding.category.removeprefix(f"{one.label}: ")
                note = own.get((measure, name))
                found[measure].append(
                    finding if note is None else dataclasses.replace(finding, notes=(note, *finding.notes[1:]))
                )
    items = score_items(scored, data)
    return tuple(
        Findings(findings=tuple(findings), items=items, data=about(data), quantity=QUANTITY)
        for findings in found.values()
    )


def _rates(one: LabelScores, several: bool, data: LabelledTexts) -> dict[str, GroupRate]:
    """Return what each text adds to the three numbers."""
    probability, truth = one.probabilities, one.truth.astype(np.float64)
    label = one.label if several else ""
    ones = np.ones(len(truth))
    # For two classes the error of the more probable one equals that of the label in its mirrored bin.
    confidence = np.maximum(probability, 1.0 - probability)
    right = np.where(probability > 0.5, truth, 1.0 - truth)
    bins = np.zeros((len(truth), CALIBRATION_BINS))
    bins[np.arange(len(truth)), equal_width_bins(confidence)] = confidence - right

    def calibration_error(sums: Float) -> Float:
        return ratio(np.stack([np.abs(sums[..., :-1]).sum(axis=-1), sums[..., -1]], axis=-1))

    def rate(measure: str, columns: Float, **more: object) -> GroupRate:
        return GroupRate(
            measure=measure,
            columns=columns,
            unit="%" if measure == _ECE else "",
            source=_SOURCES[measure],
            label=label,
            about=one.label,
            notes=data.notes,
            **more,  # type: ignore[arg-type]
        )

    return {
        _ECE: rate(_ECE, np.column_stack([bins, ones]), function=calibration_error),
        _BRIER: rate(_BRIER, np.column_stack([(probability - truth) ** 2, ones])),
        _OVER: rate(_OVER, np.column_stack([probability - truth, ones]), largest=2.0),
    }


def _own_values(one: LabelScores, data: LabelledTexts, options: StatisticsOptions) -> dict[tuple[str, str], str]:
    """Return by measure and group a sentence with the group's own value and interval."""
    sentences = {}
    truth = one.truth.astype(np.int64)
    both = np.column_stack([1.0 - one.probabilities, one.probabilities])
    for name, inside in data.groups.items():
        rows = np.flatnonzero(inside)
        clusters = None if data.clusters is None else [data.clusters[row] for row in rows]
        if len(rows) < 2 or (clusters is not None and len(set(clusters)) < 2):
            continue
        scores = score_predictions(
            truth[rows],
            both[rows],
            resamples=options.resamples,
            seed=options.seed,
            confidence=options.confidence,
            groups=clusters,
        )
        for measure, key in ((_ECE, "expected_calibration_error"), (_BRIER, "brier_score")):
            score = scores[key]
            sentences[measure, name] = f"{name}: {_percent(score)} on {len(rows):,} texts. {score.note}".strip()
    return sentences


def _percent(score: Score) -> str:
    return f"{score.format()} %" if score.unit == "%" else score.format()
