"""What a finding shows and does not show, in a few words."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from nlpladder.bias.chance import AT_CHANCE
from nlpladder.bias.findings import Finding
from nlpladder.bias.statistics.power import LEVEL
from nlpladder.bias.statistics.sign_flips import smallest_p
from nlpladder.evaluation.closed_intervals import NO_INTERVAL


def verdict(finding: Finding, p_holm: float | None, p_values: Sequence[float] = ()) -> str:
    """Say in a few words what a finding shows; the corrected p decides.

    What is detectable is so by one test, before the correction: the words tell the two apart where they differ.

    Args:
        finding: What was found.
        p_holm: Its corrected p; None where it has none.
        p_values: Those of all tests of the report, in ascending order: where no p that it could have had would survive,
            the words say so.
    """
    value, no_bias = finding.score.value, finding.no_bias
    if value is None:
        return "no value"
    if any(AT_CHANCE in note for note in finding.notes):
        return f"the model is at chance here: {AT_CHANCE}"
    if p_holm is None:
        return "no test"
    if no_bias is None:  # a share that has no value without bias: what was tested is the effect beside it
        effect = None if finding.effect is None else finding.effect.value
        if effect is None:
            return "no test"
        if p_holm <= LEVEL:
            return f"the effect in nats differs from 0 ({'above' if effect > 0 else 'below'} it)"
        return "not shown: the effect in nats is not shown to differ from 0"
    if p_holm <= LEVEL:
        return f"differs from no bias ({'above' if value > no_bias else 'below'} it)"
    if same_everywhere(finding):
        return f"not shown: the same in all {finding.clusters:,} clusters: no interval"
    if finding.p_value is not None and finding.p_value <= LEVEL:
        if out_of_reach(finding, p_values):
            return (
                f"not shown: its own p is below {LEVEL:g}, but it cannot be shown among {len(p_values):,} tests: with "
                f"{_limit(finding)} p cannot be below {floor_of(finding):.2g}"
            )
        return f"not shown: its own p is below {LEVEL:g}, but no longer after the correction for many tests"
    if finding.detectable is None:
        if smallest_p(finding.clusters) > LEVEL:
            return "not shown; too few clusters to show anything"
        return "not shown; how small a bias would have been found is not known"
    if abs(value - no_bias) >= finding.detectable:
        return (
            "not shown: the value is as large as the detectable one, but it does not lie on the same side of no bias "
            "in enough of its clusters"
        )
    return "not shown; smaller effects than the detectable one would often be missed"


def same_everywhere(finding: Finding) -> bool:
    """Return whether all clusters of a finding have the same value, so that there is nothing to make an interval of.

    Args:
        finding: What was found.
    """
    score = finding.score
    return finding.clusters > 1 and score.low is None and score.method.startswith(f"{NO_INTERVAL}: all ")


def floor_of(finding: Finding) -> float:
    """Return the smallest p that the test of a finding could have given.

    Args:
        finding: What was found.
    """
    return smallest_p(finding.clusters) if finding.smallest_p is None else finding.smallest_p


def out_of_reach(finding: Finding, p_values: Sequence[float]) -> bool:
    """Return whether the smallest p of a finding's test would be above the level after Holm's correction.

    Args:
        finding: What was found.
        p_values: Those of all tests of the report, in ascending order.
    """
    floor = floor_of(finding)
    return (len(p_values) - bisect_left(p_values, floor * (1.0 - 1e-9))) * floor > LEVEL


def advice(findings: Sequence[Finding]) -> list[str]:
    """Return what to do where tests of a report cannot show anything because there are so many of them.

    Args:
        findings: All of the report.
    """
    p_values = sorted(one.p_value for one in findings if one.p_value is not None)
    lost = [one for one in findings if one.p_value is not None and one.p_value <= LEVEL and out_of_reach(one, p_values)]
    if not lost:
        return []
    sentence = (
        f"p (Holm) is corrected over all {len(p_values):,} tests of this report, one a row: {len(lost):,} with a p of "
        f"{LEVEL:g} or less cannot be shown among so many. Ask fewer questions, and choose them before you see the "
        "answers: --measures takes the names of those that you want, --labelled texts of your own with fewer groups"
    )
    if any(one.smallest_p is not None for one in lost):
        sentence += "; more --resamples make a smaller p possible where shuffles are what limits it"
    return [sentence + "."]


def _limit(finding: Finding) -> str:
    if finding.smallest_p is None:
        return f"{finding.clusters:,} clusters"
    return f"{round(1.0 / finding.smallest_p) - 1:,} shuffles"
