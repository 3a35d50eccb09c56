"""What a finding shows and does not show, in a few words."""

from __future__ import annotations

from nlpladder.bias.chance import AT_CHANCE
from nlpladder.bias.findings import Finding
from nlpladder.bias.statistics.power import LEVEL
from nlpladder.bias.statistics.sign_flips import smallest_p


def verdict(finding: Finding, p_holm: float | None) -> str:
    """Say in a few words what a finding shows; the corrected p decides.

    What is detectable is so by one test, before the correction: the words tell the two apart where they differ.

    Args:
        finding: What was found.
        p_holm: Its corrected p; None where it has none.
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
    if finding.p_value is not None and finding.p_value <= LEVEL:
        return f"not shown: its own p is below {LEVEL:g}, but no longer after the correction for many tests"
    if finding.detectable is None:
        if smallest_p(finding.clusters) > LEVEL:
            return "not shown; too few clusters to show anything"
        return "not shown; how small a bias would have been found is not known"
    if abs(value - no_bias) >= finding.detectable:
        return "not shown, although the value is beyond the detectable one: its clusters disagree"
    return "not shown; smaller effects than the detectable one would often be missed"
