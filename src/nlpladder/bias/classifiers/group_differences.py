"""A rate that differs between groups: the largest gap, each group against the rest, and each pair of groups.

The order of the tests is the usual one: first the omnibus question whether groups differ at all (the largest gap, under
shuffling), then which ones do, corrected for their number (Holm 1979).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from nlpladder.bias.classifiers.group_design import (
    SHUFFLES,
    GroupDesign,
    at_floor,
    group_sums,
    most_shuffles,
    shuffle_p,
    shuffled_group_sums,
)
from nlpladder.bias.findings import Finding
from nlpladder.bias.statistics.estimates import DEFAULT, Estimate, StatisticsOptions, function_of_sums, share
from nlpladder.evaluation.intervals import Score
from nlpladder.evaluation.multiple_testing import holm
from nlpladder.evaluation.resampling import bootstrap

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

#: Up to so many groups every pair is compared: ten pairs.
MOST_PAIRED = 5
_LEVEL = 0.05


def ratio(sums: Float) -> Float:
    """Return the first sum over the second, NaN where that is 0: (..., 2) to (...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


@dataclass(frozen=True, kw_only=True)
class GroupRate:
    """A rate to be compared between groups.

    Attributes:
        measure: Name of the measure.
        columns: What each text adds, (texts, columns).
        function: From sums, (..., columns), to the rate, (...).
        unit: Of the rate: ``"%"`` for shares.
        largest: The largest gap that there can be; None where there is no bound.
        source: The paper and the equation.
        label: Of the classifier, where several are measured; categories then begin with it.
        about: The label that is measured, for the notes.
        log_odds: In nats, (texts,): the mean difference of each group to the rest is its effect. None for no effect.
        counted: Which texts the log-odds are averaged over, (texts,); None for all.
        graded: Whether the gap grows with the size of the bias.
        notes: What a reader must know.
    """

    measure: str
    columns: Float
    function: Callable[[Float], Float] = ratio
    unit: str = "%"
    largest: float | None = 1.0
    source: str = ""
    label: str = ""
    about: str = ""
    log_odds: Float | None = None
    counted: Bool | None = None
    graded: bool = True
    notes: tuple[str, ...] = ()


def group_findings(
    rate: GroupRate,
    members: Bool,
    names: Sequence[str],
    design: GroupDesign,
    clusters: Sequence[object] | None,
    options: StatisticsOptions = DEFAULT,
) -> tuple[Finding, ...]:
    """Return the largest gap first, then each group against the rest, then the pairs of few groups.

    Args:
        rate: What is compared.
        members: Which groups each text belongs to, (texts, groups).
        names: Of the groups.
        design: What may be shuffled.
        clusters: The cluster of each text; None: each stands for itself.
        options: How intervals are computed. There are 2,000 shuffles at most, and as many as resamples where a p is the
            smallest that 2,000 can give.
    """
    shuffles, most = min(options.resamples, SHUFFLES), most_shuffles(options.resamples, len(design.members))
    found = _group_findings(rate, members, names, design, clusters, options, shuffles)
    if shuffles < most and at_floor((finding.p_value for finding in found), shuffles):
        found = _group_findings(rate, members, names, design, clusters, options, most)
    return tuple(dataclasses.replace(finding, smallest_p=1.0 / (1 + most)) for finding in found)


def _group_findings(
    rate: GroupRate,
    members: Bool,
    names: Sequence[str],
    design: GroupDesign,
    clusters: Sequence[object] | None,
    options: StatisticsOptions,
    shuffles: int,
) -> tuple[Finding, ...]:
    sums = design.sums(rate.columns)
    total = rate.columns.sum(axis=0)
    observed = group_sums(members, rate.columns)  # (groups, columns)
    values = rate.function(observed)
    replicates = shuffled_group_sums(design.members, design.strata, sums, shuffles=shuffles, seed=options.seed)
    gap = _largest_gap(rate, members, names, values, replicates, design, clusters, options)
    against_rest = rate.function(replicates) - rate.function(total - replicates)  # (shuffles, groups)
    found = [gap]
    for index, name in enumerate(names):
        inside = members[:, index]
        if np.isnan(values[index]) or inside.all():
            continue
        finding = _difference(rate, inside, ~inside, name, clusters, options)
        if finding.score.value is None:
            continue
        p_value = shuffle_p(finding.score.value, against_rest[:, index], two_sided=True)
        rest = rate.function(total - observed[index])
        shown = f"{name}: {_shown(rate, values[index])}; all others: {_shown(rate, rest)}."
        found.append(dataclasses.replace(finding, p_value=p_value, notes=(shown, *finding.notes, design.note)))
    found += _pairs(rate, sums, members, names, values, design, clusters, options, shuffles)
    return tuple(found)


def _largest_gap(
    rate: GroupRate,
    members: Bool,
    names: Sequence[str],
    values: Float,
    replicates: Float,
    design: GroupDesign,
    clusters: Sequence[object] | None,
    options: StatisticsOptions,
) -> Finding:
    measure = rate.measure
    units = len(members) if clusters is None else len(set(clusters))
    lacking = [name for name, value in zip(names, values, strict=True) if np.isnan(value)]
    notes = [
        *rate.notes,
        *([f"The label is {rate.about!r}."] if rate.about else []),
        *([f"No value for {', '.join(lacking)}: left out."] if lacking else []),
    ]
    defined = np.flatnonzero(~np.isnan(values))
    category = rate.label or "all"
    if len(defined) < 2:
        why = f"{len(defined)} of {len(names)} groups have a value: a gap needs two."
        score = Score(measure, None, None, None, len(members), options.confidence, "", False, rate.unit, why)
        return Finding(
            measure=measure,
            category=category,
            score=score,
            no_bias=0.0,
            clusters=units,
            source=rate.source,
            notes=tuple(notes),
        )
    value = float(np.ptp(values[defined]))
    shuffled = _gap(rate.function(replicates[:, defined]))
    p_value = shuffle_p(value, shuffled, two_sided=False)
    lowest, highest = defined[values[defined].argmin()], defined[values[defined].argmax()]
    expected, limit = float(np.nanmean(shuffled)), float(np.nanquantile(shuffled, 1.0 - _LEVEL))
    extremes = [f"{names[index]} {_shown(rate, values[index])}" for index in (lowest, highest)]
    notes.insert(0, f"Lowest: {extremes[0]}; highest: {extremes[1]}.")
    notes.insert(
        1,
        f"Shuffled groups show a gap of {_shown(rate, expected)} on average, and above {_shown(rate, limit)} in 5 % of "
        f"{len(shuffled):,} shuffles: only what is beyond that is more than noise.",
    )
    low: float | None = None
    high: float | None = None
    method = "no interval: one cluster"
    if units > 1:
        count, width = len(members), rate.columns.shape[1]
        wide = (members[:, defined, None] * rate.columns[:, None, :]).reshape(count, -1)  # (texts, groups * columns)
        drawn = bootstrap(wide, resamples=options.resamples, seed=options.seed, groups=clusters)
        gaps = _gap(rate.function(drawn.sums.reshape(-1, len(defined), width)))
        tail = (1.0 - options.confidence) / 2.0
        lower, upper = np.nanquantile(gaps, [tail, 1.0 - tail])
        low, high = max(0.0, 2.0 * value - float(upper)), max(value, 2.0 * value - float(lower))
        # No gap is ruled out by data that shuffled groups would show as often.
        low = 0.0 if p_value is not None and p_value > _LEVEL else low
        high = high if rate.largest is None else min(rate.largest, high)
        what = "texts" if clusters is None else "clusters"
        method = f"basic bootstrap interval over {units:,} {what}, {options.resamples:,} resamples"
        method += f"; p from {len(shuffled):,} shuffles"
    score = Score(measure, value, low, high, len(members), options.confidence, method, False, rate.unit)
    effect = None
    if rate.log_odds is not None:
        effect = _log_odds_difference(rate, members[:, highest], members[:, lowest], clusters, options)
    return Finding(
        measure=measure,
        category=category,
        score=score,
        no_bias=0.0,
        expected=expected,
        effect=effect,
        clusters=units,
        p_value=p_value,
        ceiling=rate.largest,
        graded=rate.graded,
        source=rate.source,
        notes=(*notes, design.note),
    )


def _pairs(
    rate: GroupRate,
    sums: Float,
    members: Bool,
    names: Sequence[str],
    values: Float,
    design: GroupDesign,
    clusters: Sequence[object] | None,
    options: StatisticsOptions,
    shuffles: int,
) -> list[Finding]:
    """Compare each pair of groups on the units of one of them alone, with Holm's correction in the notes."""
    defined = [index for index in range(len(names)) if not np.isnan(values[index])]
    if not 3 <= len(defined) <= MOST_PAIRED:
        return []
    findings: list[Finding] = []
    for first, second in combinations(defined, 2):
        inside_first = members[:, first] & ~members[:, second]
        inside_second = members[:, second] & ~members[:, first]
        name = f"{names[first]} - {names[second]}"
        finding = _difference(rate, inside_first, inside_second, name, clusters, options)
        if finding.score.value is None:
            continue
        alone = design.members[:, first] ^ design.members[:, second]
        shuffled = shuffled_group_sums(
            design.members[alone][:, [first, second]],
            design.strata[alone],
            sums[alone],
            shuffles=shuffles,
            seed=options.seed,
        )
        rates = rate.function(shuffled)  # (shuffles, 2)
        p_value = shuffle_p(finding.score.value, rates[:, 0] - rates[:, 1], two_sided=True)
        findings.append(dataclasses.replace(finding, p_value=p_value))
    tested = [finding for finding in findings if finding.p_value is not None]
    adjusted = holm([finding.p_value for finding in tested if finding.p_value is not None])
    by_name = {finding.category: float(value) for finding, value in zip(tested, adjusted, strict=True)}
    return [
        dataclasses.replace(
            finding,
            notes=(
                *finding.notes,
                *(
                    [f"Holm over the {len(tested)} pairs: p = {by_name[finding.category]:.3g}."]
                    if finding.category in by_name
                    else []
                ),
            ),
        )
        for finding in findings
    ]


def _difference(
    rate: GroupRate,
    first: Bool,
    second: Bool,
    name: str,
    clusters: Sequence[object] | None,
    options: StatisticsOptions,
) -> Finding:
    """Return the rate of some texts minus that of others; its p, where it has one, is not yet that of shuffles."""
    width = rate.columns.shape[1]
    used = first | second
    columns = np.hstack([rate.columns * first[:, None], rate.columns * second[:, None]])[used]

    def function(sums: Float) -> Float:
        return rate.function(sums[..., :width]) - rate.function(sums[..., width:])

    some = None if clusters is None else [one for one, inside in zip(clusters, used, strict=True) if inside]
    if rate.function is ratio and np.isin(rate.columns, (0.0, 1.0)).all():
        estimate = _difference_of_shares(rate, first, second, clusters, options)
    else:
        bounds = None if rate.largest is None else (-rate.largest, rate.largest)
        estimate = function_of_sums(
            rate.measure, columns, some, function, options, no_bias=0.0, unit=rate.unit, bounds=bounds
        )
    effect = None if rate.log_odds is None else _log_odds_difference(rate, first, second, clusters, options)
    return Finding(
        measure=rate.measure,
        category=f"{rate.label}: {name}" if rate.label else name,
        score=estimate.score,
        no_bias=0.0,
        effect=effect,
        clusters=estimate.clusters,
        p_value=estimate.p_value,
        detectable=estimate.detectable,
        ceiling=rate.largest,
        graded=rate.graded,
        source=rate.source,
    )


def _difference_of_shares(
    rate: GroupRate, first: Bool, second: Bool, clusters: Sequence[object] | None, options: StatisticsOptions
) -> Estimate:
    """Return the difference of two shares with Newcombe's interval (1998, method 10), made of two of Wilson's.

    Where a small group has a share of 0 or 1 all its resamples agree, and a bootstrap interval would have no width.
    """
    sides = []
    for inside in (first, second):
        counted = inside & (rate.columns[:, 1] == 1.0)
        some = None if clusters is None else [one for one, keep in zip(clusters, counted, strict=True) if keep]
        sides.append(share(rate.measure, rate.columns[counted, 0], some, options, no_bias=None).score)
    counted = (first | second) & (rate.columns[:, 1] == 1.0)
    units = int(counted.sum())
    if clusters is not None:
        units = len({one for one, keep in zip(clusters, counted, strict=True) if keep})
    one, other = sides
    value = low = high = detectable = None
    if one.value is not None and other.value is not None:
        value = one.value - other.value
        if None not in (one.low, one.high, other.low, other.high):
            low = value - math.hypot(one.value - one.low, other.high - other.value)  # type: ignore[operator]
            high = value + math.hypot(one.high - one.value, other.value - other.low)  # type: ignore[operator]
            reach = NormalDist().inv_cdf((1.0 + options.confidence) / 2.0)
            needed = NormalDist().inv_cdf(1.0 - _LEVEL / 2.0) + NormalDist().inv_cdf(0.8)
            detectable = needed * (high - low) / (2.0 * reach)
    method = "Newcombe's interval of a difference of two shares, each by Wilson's"
    score = Score(rate.measure, value, low, high, int(counted.sum()), options.confidence, method, False, rate.unit, "")
    return Estimate(score, None, units, detectable)


def _log_odds_difference(
    rate: GroupRate, first: Bool, second: Bool, clusters: Sequence[object] | None, options: StatisticsOptions
) -> Score:
    assert rate.log_odds is not None
    counted = np.ones(len(first), dtype=np.bool_) if rate.counted is None else rate.counted
    used = (first | second) & counted
    inside = np.column_stack([first, second]).astype(np.float64)[used]
    columns = np.column_stack(
        [inside[:, 0] * rate.log_odds[used], inside[:, 0], inside[:, 1] * rate.log_odds[used], inside[:, 1]]
    )
    some = None if clusters is None else [one for one, keep in zip(clusters, used, strict=True) if keep]
    return function_of_sums(
        "log_odds_difference",
        columns,
        some,
        lambda sums: ratio(sums[..., :2]) - ratio(sums[..., 2:]),
        options,
        unit="nats",
    ).score


def _gap(values: Float) -> Float:
    """Return largest minus smallest, NaN where fewer than two are defined: (..., groups) to (...)."""
    with np.errstate(invalid="ignore"):
        top = np.where(np.isnan(values), -np.inf, values).max(axis=-1)
        bottom = np.where(np.isnan(values), np.inf, values).min(axis=-1)
        return np.where((~np.isnan(values)).sum(axis=-1) > 1, top - bottom, np.nan)


def _shown(rate: GroupRate, value: float | Float) -> str:
    number = float(value)
    return f"{100.0 * number:.1f} %" if rate.unit == "%" else f"{number:.3f}" + (f" {rate.unit}" if rate.unit else "")
