"""Demographic parity and equalised odds: how a classifier's decisions differ between groups of texts.

Hardt et al. 2016: demographic parity asks for equal rates of decisions P(decided | group); equalised odds (definition
2.1) for equal true-positive and false-positive rates. A gap is the largest rate minus the smallest over all groups.
Such a maximum is above 0 by noise alone: the gap of shuffled groups stands beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.bias.classifiers.classifier_scores import LabelScores, label_scores
from nlpladder.bias.classifiers.group_design import group_design
from nlpladder.bias.classifiers.group_differences import GroupRate, group_findings
from nlpladder.bias.classifiers.labelled_texts import LabelledTexts
from nlpladder.bias.findings import Finding, Findings
from nlpladder.bias.statistics.estimates import DEFAULT, StatisticsOptions, share
from nlpladder.errors import DataError
from nlpladder.evaluation.intervals import Score
from nlpladder.protocols import TextClassifier

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


def demographic_parity(
    model: TextClassifier,
    data: LabelledTexts,
    *,
    labels: Sequence[str] | None = None,
    named: Mapping[str, str] | None = None,
    statistics: StatisticsOptions = DEFAULT,
) -> Findings:
    """Measure how often each label is given to the texts of each group, and the largest gap.

    The groups may differ in what is true of them: a gap of the truth is a gap of every good classifier. Where the texts
    have labels, `equalised_odds` asks the fairer question.

    Args:
        model: A classifier.
        data: Texts with groups.
        labels: Labels of the model; by default the second of two, or all.
        named: Model's label to data's label, where they differ.
        statistics: How intervals and p-values are computed.

    Raises:
        DataError: If there are fewer than two groups.
    """
    members, names = _groups(data)
    design = group_design(members, data.clusters)
    findings: list[Finding] = []
    scored = label_scores(model, data, labels=labels, named=named, truth_needed=False)
    for one in scored:
        notes = list(data.notes)
        if one.positive is not None:
            base = [f"{name} {100.0 * one.positive[members[:, i]].mean():.1f} %" for i, name in enumerate(names)]
            notes.append(f"True shares of {one.label!r}: {', '.join(base)}." if len(base) <= 10 else "")
        rate = GroupRate(
            measure="demographic_parity_gap",
            columns=np.column_stack([one.decided, np.ones(len(one.decided))]).astype(np.float64),
            source="Hardt et al. 2016, section 2 (demographic parity)",
            label=one.label if len(scored) > 1 else "",
            about=one.label,
            graded=False,
            log_odds=one.log_odds,
            notes=tuple(note for note in notes if note),
        )
        findings += group_findings(rate, members, names, design, data.clusters, statistics)
    return Findings(
        findings=with_quality(findings, scored, data, statistics), items=score_items(scored, data), data=about(data),
        quantity=QUANTITY,
    )  # fmt: skip


def equalised_odds(
    model: TextClassifier,
    data: LabelledTexts,
    *,
    labels: Sequence[str] | None = None,
    named: Mapping[str, str] | None = None,
    statistics: StatisticsOptions = DEFAULT,
) -> tuple[Findings, ...]:
    """Measure true-positive and false-positive rates by group, and their largest gaps.

    Args:
        model: A classifier.
        data: Texts with groups and labels.
        labels: Labels of the model; by default the second of two, or all.
        named: Model's label to data's label, where they differ.
        statistics: How intervals and p-values are computed.

    Returns:
        Findings of the true-positive rate (equal opportunity), and of the false-positive rate.

    Raises:
        DataError: If there are fewer than two groups, or the texts have no labels.
    """
    members, names = _groups(data)
    scored = label_scores(model, data, labels=labels, named=named)
    results = []
    for measure, wanted in (("true_positive_rate_gap", True), ("false_positive_rate_gap", False)):
        findings: list[Finding] = []
        for one in scored:
            design = group_design(members, data.clusters, one.truth)
            inside = one.truth == wanted
            rate = GroupRate(
                measure=measure,
                columns=np.column_stack([one.decided & inside, inside]).astype(np.float64),
                source="Hardt et al. 2016, definition 2.1 (equalised odds)",
                label=one.label if len(scored) > 1 else "",
                about=one.label,
                graded=False,
                log_odds=one.log_odds,
                counted=inside,
                notes=data.notes,
            )
            findings += group_findings(rate, members, names, design, data.clusters, statistics)
        results.append(
            Findings(
                findings=with_quality(findings, scored, data, statistics),
                items=score_items(scored, data),
                data=about(data),
                quantity=QUANTITY,
            )
        )
    return tuple(results)


def with_quality(
    findings: Sequence[Finding], scored: Sequence[LabelScores], data: LabelledTexts, statistics: StatisticsOptions
) -> tuple[Finding, ...]:
    """Put the accuracy of the decisions beside each overall finding: a classifier at chance shows no gap either."""
    import dataclasses

    quality: dict[str, dict[str, Score]] = {}
    for one in scored:
        if one.positive is not None:
            hits = (one.decided == one.positive).astype(np.float64)
            estimate = share("accuracy", hits, data.clusters, statistics, no_bias=None, higher_is_better=True)
            quality[one.label if len(scored) > 1 else "all"] = {"accuracy": estimate.score}
    return tuple(dataclasses.replace(item, quality=quality.get(item.category, item.quality)) for item in findings)


#: What `score_items` has in column ``value``.
QUANTITY = "log-odds of the label"


def score_items(scored: Sequence[LabelScores], data: LabelledTexts) -> dict[str, list[Any]]:
    """Return one row a text and label: probability, decision, truth and groups; the value is the log-odds in nats.

    A gap is no mean of values over texts: two runs are compared by group, not over all.
    """
    members, names = data.members, list(data.groups)
    groups = ["|".join(name for name, inside in zip(names, row, strict=True) if inside) for row in members]
    items: dict[str, list[Any]] = {
        key: []
        for key in ("item_id", "cluster_id", "category", "value", "label", "probability", "decided", "true", "text")
    }
    for one in scored:
        for row, text in enumerate(data.texts):
            items["item_id"].append(f"{row}" if len(scored) == 1 else f"{row}/{one.label}")
            items["cluster_id"].append(str(row) if data.clusters is None else data.clusters[row])
            items["category"].append(groups[row])
            items["label"].append(one.label)
            items["text"].append(text)
        items["value"] += one.log_odds.tolist()
        items["probability"] += one.probabilities.tolist()
        items["decided"] += one.decided.tolist()
        items["true"] += [None] * len(data.texts) if one.positive is None else one.positive.tolist()
    return items


def about(data: LabelledTexts) -> dict[str, Any]:
    """Return name, rows and SHA-256 of the texts."""
    digest = hashlib.sha256("\x00".join(data.texts).encode("utf-8", "surrogatepass")).hexdigest()
    return {"name": data.name, "rows": len(data.texts), "sha256": digest}


def _groups(data: LabelledTexts) -> tuple[Bool, list[str]]:
    if len(data.groups) < 2:
        raise DataError(f"{data.name} has {len(data.groups)} groups: a gap needs at least two.")
    return data.members, list(data.groups)
