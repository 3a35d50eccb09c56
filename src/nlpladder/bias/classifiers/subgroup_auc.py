"""Subgroup, BPSN and BNSP area under the ROC curve, and average equality gaps (Borkan et al. 2019, sections 3 and 4).

With D+ and D- the texts that have the label and those that have not, and g those of the group:

* subgroup AUC: D+ of g over D- of g. Low: the scores do not tell them apart inside the group.
* BPSN (background positive, subgroup negative): D+ of the others over D- of g. Low: harmless texts about the group
  score as high as harmful ones about others.
* BNSP (background negative, subgroup positive): D+ of g over D- of the others. Low: harmful texts about the group score
  as low as harmless ones about others.
* average equality gap (AEG): the chance that a text of g scores higher than another text of the same label (ties one
  half) minus one half, for D+ and for D-. Above 0: the group is scored too high. The sign is that of the authors' code.

Thresholds play no part in any of them. "Pinned AUC" is not here: its authors withdrew it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nlpladder.bias.classifiers.classifier_gaps import QUANTITY, about, score_items
from nlpladder.bias.classifiers.classifier_scores import LabelScores, label_scores
from nlpladder.bias.classifiers.group_design import (
    SHUFFLES,
    GroupDesign,
    at_floor,
    group_design,
    most_shuffles,
    shuffle_p,
    shuffled_units,
)
from nlpladder.bias.classifiers.labelled_texts import LabelledTexts
from nlpladder.bias.findings import Finding, Findings
from nlpladder.bias.statistics.estimates import DEFAULT, StatisticsOptions
from nlpladder.errors import DataError
from nlpladder.evaluation.calibration import wilson_interval
from nlpladder.evaluation.intervals import Score
from nlpladder.protocols import TextClassifier

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

#: Measure -> column of the areas, what is taken off, and what a low or high value means.
MEASURES = {
    "subgroup_auc": (0, 0.0, "AUC inside the group"),
    "bpsn_auc": (1, 0.0, "other texts with the label over texts of the group without it"),
    "bnsp_auc": (2, 0.0, "texts of the group with the label over other texts without it"),
    "positive_average_equality_gap": (
        3,
        0.5,
        "above 0: texts of the group with the label score higher than others with it",
    ),
    "negative_average_equality_gap": (4, 0.5, "above 0: texts of the group without the label score higher than others"),
}
#: Steps of all resamples together; beyond them there are fewer resamples, at least 1,000.
_STEPS = 4_000_000_000
_BLOCK_NUMBERS = 2_000_000


@dataclass(frozen=True)
class GroupAreas:
    """The areas of all groups on one data set, ready to be computed on many weighted or shuffled copies of it.

    Args:
        scores: Of the label, (texts,).
        positive: Whether the label is true, (texts,).
        members: Which groups each text belongs to, (texts, groups).
    """

    scores: Float
    positive: Bool
    members: Bool

    def values(self) -> tuple[Float, float]:
        """Return the areas, (groups, 5) in the order of `auc_kernels.AREAS`, and the area on all texts."""
        texts = len(self.scores)
        areas, overall = self._compute(np.ones((1, texts)), np.arange(texts), None, 1)
        return areas[0], float(overall[0])

    def resampled(self, clusters: Sequence[object] | None, *, resamples: int, seed: int) -> tuple[Float, Float]:
        """Return the areas of bootstrap resamples, (resamples, groups, 5), and on all texts, (resamples,).

        Args:
            clusters: Whole clusters are drawn; None draws texts.
            resamples: How many; fewer, at least 1,000, where that would take more than 4 billion steps.
            seed: Fixes them.
        """
        from nlpladder.evaluation.resampling_kernels import BLOCK, draw_counts

        texts = len(self.scores)
        number: dict[object, int] = {}
        unit_of = np.arange(texts)
        if clusters is not None:
            unit_of = np.array([number.setdefault(one, len(number)) for one in clusters], dtype=np.intp)
        units = int(unit_of.max()) + 1
        resamples = min(resamples, max(1000, _STEPS // max(1, texts + int(self.members.sum()))))
        generator = np.random.Generator(np.random.PCG64(seed))
        sizes = np.full(-(-units // BLOCK), BLOCK)
        sizes[-1] = units - BLOCK * (len(sizes) - 1)
        rows = max(1, _BLOCK_NUMBERS // units)
        parts = []
        for start in range(0, resamples, rows):
            size = min(rows, resamples - start)
            weights = np.empty((size, units))
            block_counts = generator.multinomial(units, sizes / units, size=size)
            draw_counts(block_counts, generator.integers(0, 2**64, size=size, dtype=np.uint64), weights)
            parts.append(self._compute(weights, unit_of, None, size))
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def shuffled(self, design: GroupDesign, *, shuffles: int, seed: int) -> Float:
        """Return the areas with shuffled memberships, (shuffles, groups, 5)."""
        texts = len(self.scores)
        first = np.zeros(len(design.members), dtype=np.intp)
        first[design.unit_of[::-1]] = np.arange(texts)[::-1]
        parts = []
        for block in shuffled_units(design.strata, shuffles=shuffles, seed=seed):
            holders = first[block[:, design.unit_of]]  # (rows, texts): whose memberships each text receives
            parts.append(self._compute(np.ones((1, texts)), np.arange(texts), holders, len(block))[0])
        return np.concatenate(parts)

    def _compute(self, weights: Float, unit_of: Int, holders: Int | None, rows: int) -> tuple[Float, Float]:
        from nlpladder.bias.classifiers.auc_kernels import AREAS, group_areas

        order = np.argsort(self.scores, kind="stable")
        ordered = self.scores[order]
        ends = np.append(ordered[1:] > ordered[:-1], True)
        counts = self.members.sum(axis=1)
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        group = np.nonzero(self.members)[1].astype(np.int64)
        groups = self.members.shape[1]
        holder = order[None, :] if holders is None else holders[:, order]
        areas, overall = np.empty((rows, groups, len(AREAS))), np.empty(rows)
        positive = self.positive[order].astype(np.float64)
        units = unit_of[order].astype(np.int64)

        def fill(first: int, last: int) -> None:
            some = weights if len(weights) == 1 else weights[first:last]
            held = holder if len(holder) == 1 else np.ascontiguousarray(holder[first:last])
            group_areas(
                some,
                units,
                positive,
                ends,
                held.astype(np.int64),
                start,
                group,
                groups,
                areas[first:last],
                overall[first:last],
            )

        threads = max(1, min(8, os.cpu_count() or 1, rows))
        edges = np.linspace(0, rows, threads + 1).astype(int).tolist()
        with ThreadPoolExecutor(threads) as pool:
            for work in [pool.submit(fill, a, b) for a, b in pairwise(edges)]:
                work.result()
        return areas, overall


def subgroup_auc(
    model: TextClassifier,
    data: LabelledTexts,
    *,
    labels: Sequence[str] | None = None,
    named: Mapping[str, str] | None = None,
    statistics: StatisticsOptions = DEFAULT,
) -> tuple[Findings, ...]:
    """Measure the five numbers of Borkan et al. 2019 for every group and label.

    Of each measure the first finding is its worst group: the smallest AUC, or the largest gap in size. The worst of
    many groups is bad by noise alone: the `no_bias` of an AUC is therefore its mean over shuffled groups, that of a gap
    is 0 with the mean size over shuffled groups as `expected`.

    Args:
        model: A classifier.
        data: Texts with groups and labels.
        labels: Labels of the model; by default the second of two, or all.
        named: Model's label to data's label, where they differ.
        statistics: How intervals and p-values are computed.

    Raises:
        DataError: If the texts have no labels or no groups, or all have the same label.
    """
    if not data.groups:
        raise DataError(f"{data.name} has no groups: name a column, or the terms that the texts mention.")
    scored = label_scores(model, data, labels=labels, named=named)
    found: dict[str, list[Finding]] = {name: [] for name in MEASURES}
    for one in scored:
        for name, findings in _label_findings(one, data, len(scored) > 1, statistics).items():
            found[name] += findings
    items = score_items(scored, data)
    return tuple(
        Findings(findings=tuple(found[name]), items=items, data=about(data), quantity=QUANTITY) for name in MEASURES
    )


def _label_findings(
    one: LabelScores, data: LabelledTexts, several: bool, options: StatisticsOptions
) -> dict[str, list[Finding]]:
    positive, members, names = one.truth, data.members, list(data.groups)
    if positive.all() or not positive.any():
        have = "all" if positive.any() else "none"
        raise DataError(f"{data.name}: {have} of the texts have the label {one.label!r}; an AUC needs both kinds.")
    problem = GroupAreas(one.probabilities, positive, members)
    values, overall = problem.values()
    units = len(data.texts) if data.clusters is None else len(set(data.clusters))
    replicates = np.full((1, len(names), 5), np.nan)
    everything = np.full(1, np.nan)
    if units > 1:
        replicates, everything = problem.resampled(data.clusters, resamples=options.resamples, seed=options.seed)
    design = group_design(members, data.clusters, positive)
    most = most_shuffles(options.resamples, len(design.members))
    for count in dict.fromkeys((min(options.resamples, SHUFFLES), most)):
        shuffles = problem.shuffled(design, shuffles=count, seed=options.seed)
        if not at_floor(_p_values(values, shuffles), count):
            break
    kind = "texts" if data.clusters is None else "clusters"
    how = f"percentile bootstrap over {units:,} {kind}, {len(replicates):,} resamples"
    how += "; where all pairs are ordered one way, Wilson's on the texts of the rarer side"
    all_low, all_high = _limits(everything, options.confidence)
    quality = {"roc_auc": Score("roc_auc", overall, all_low, all_high, len(positive), options.confidence, how)}
    sizes = [
        f"{int((members[:, i] & positive).sum())}+{int((members[:, i] & ~positive).sum())}" for i in range(len(names))
    ]
    result: dict[str, list[Finding]] = {}
    for measure, (column, off, meaning) in MEASURES.items():
        area, shuffled, drawn = values[:, column] - off, shuffles[:, :, column] - off, replicates[:, :, column] - off
        source = "Borkan et al. 2019, section " + ("4" if off else "3")
        prefix = f"{one.label}: " if several else ""
        lacking = [name for name, value in zip(names, area, strict=True) if np.isnan(value)]
        missing = (f"No value for {', '.join(lacking)}: no text with, or none without the label.",) if lacking else ()
        worst, expected, p_value, which = _worst(area, shuffled, absolute=bool(off))
        bounds = (-off, 1.0 - off)
        pairs = _rarer(positive, members, column)
        low, high = (
            (None, None)
            if which is None
            else _limits(drawn[:, which], options.confidence, bounds=bounds, texts=pairs[which])
        )
        words = (
            "No group has a value."
            if which is None
            else f"The worst group is {names[which]!r}; the interval is that group's."
        )
        score = Score(measure, worst, low, high, len(positive), options.confidence, how, not off, "", words)
        findings = [
            Finding(
                measure=measure,
                category=one.label if several else "all",
                score=score,
                no_bias=0.0 if off else expected,
                expected=expected if off else None,
                clusters=units,
                p_value=p_value,
                smallest_p=1.0 / (1 + most),
                ceiling=0.5 if off else 1.0,
                graded=False,
                quality=quality,
                source=source,
                notes=(*data.notes, *missing, f"{meaning[0].upper()}{meaning[1:]}.", design.note),
            )
        ]
        for index, name in enumerate(names):
            if np.isnan(area[index]):
                continue
            low, high = _limits(drawn[:, index], options.confidence, bounds=bounds, texts=pairs[index])
            inside = int(members[:, index].sum())
            note = f"{sizes[index]} texts with and without the label."
            noise = shuffled[:, index]
            findings.append(
                Finding(
                    measure=measure,
                    category=f"{prefix}{name}",
                    score=Score(
                        measure, float(area[index]), low, high, inside, options.confidence, how, not off, "", note
                    ),
                    no_bias=0.0 if off else (float(np.nanmean(noise)) if not np.isnan(noise).all() else None),
                    clusters=units,
                    p_value=shuffle_p(float(area[index]), noise, two_sided=True),
                    smallest_p=1.0 / (1 + most),
                    ceiling=0.5 if off else 1.0,
                    graded=False,
                    source=source,
                )
            )
        result[measure] = findings
    return result


def _p_values(values: Float, shuffles: Float) -> Iterator[float | None]:
    """Yield p of each area and group, and of the worst group of each area."""
    for column, off, _ in MEASURES.values():
        area, shuffled = values[:, column] - off, shuffles[:, :, column] - off
        yield _worst(area, shuffled, absolute=bool(off))[2]
        for index in np.flatnonzero(~np.isnan(area)):
            yield shuffle_p(float(area[index]), shuffled[:, index], two_sided=True)


def _worst(
    area: Float, shuffled: Float, *, absolute: bool
) -> tuple[float | None, float | None, float | None, int | None]:
    """Return the worst value, its mean over shuffles, its p, and which group it is."""
    badness = np.abs(area) if absolute else -area
    if np.isnan(badness).all():
        return None, None, None, None
    which = int(np.nanargmax(badness))
    noise = np.abs(shuffled) if absolute else -shuffled
    noise = np.where(np.isnan(noise), -np.inf, noise).max(axis=1)
    noise = np.where(np.isinf(noise), np.nan, noise)
    expected = float(np.nanmean(noise))
    p_value = shuffle_p(float(badness[which]), noise, two_sided=False)
    return float(area[which]), expected if absolute else -expected, p_value, which


def _rarer(positive: Bool, members: Bool, column: int) -> list[int]:
    """Return the texts on the rarer side of one area, by group."""
    inside, others = members.T, ~members.T
    high = (inside & positive, others & positive, inside & positive, inside & positive, inside & ~positive)[column]
    low = (inside & ~positive, inside & ~positive, others & ~positive, others & positive, others & ~positive)[column]
    return np.minimum(high.sum(axis=1), low.sum(axis=1)).tolist()


def _limits(
    replicates: Float, confidence: float, *, bounds: tuple[float, float] = (0.0, 1.0), texts: int = 0
) -> tuple[float | None, float | None]:
    """Return the percentile interval; where all pairs are ordered one way, Wilson's of a share of 0 or 1.

    Args:
        replicates: (resamples,); NaN where undefined.
        confidence: Level.
        bounds: Smallest and largest possible value: there all resamples agree, and the bootstrap has no width.
        texts: On the rarer side; they are the trials of Wilson's interval.
    """
    valid = replicates[~np.isnan(replicates)]
    if len(valid) < 2:
        return None, None
    tail = (1.0 - confidence) / 2.0
    low, high = (float(limit) for limit in np.quantile(valid, [tail, 1.0 - tail]))
    if low == high and low in bounds and texts:
        width = 1.0 - wilson_interval(texts, texts, confidence)[0]
        return (low, low + width) if low == bounds[0] else (high - width, high)
    return low, high
