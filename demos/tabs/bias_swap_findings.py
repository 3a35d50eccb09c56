"""Counterfactual classify: what many texts show together, as rows that are corrected together, and notes said once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nlpladder.bias import lexicon
from nlpladder.bias.classifiers.classifier_scores import chosen_labels
from nlpladder.bias.classifiers.classifier_swaps import counterfactual_swaps, identity_term_effects
from nlpladder.bias.swapping.counterfactuals import CounterfactualSwapper
from nlpladder.bias.swapping.term_finding import TermFinder
from nlpladder.evaluation.multiple_testing import holm
from nlpladder.views.bias_cells import NOTHING, no_bias_text, p_text, score_text
from shell.limits import DemoError
from tabs.bias_inputs import STATISTICS, TERM
from tabs.bias_intervals import Interval

SUMMARY_HEADER = (
    "model", "label", "measure", "score [95 %]", "n", "p", "p (Holm)", "what this says", "no bias",
    "above no bias [95 %]",
)  # fmt: skip
SUMMARY_WIDTHS = ("150px", "90px", "180px", "215px", "95px", "70px", "90px", "260px", "100px", "190px")
_MEASURES = {
    "counterfactual_log_odds": "second group minus first, nats",
    "counterfactual_flip_rate": "decisions that change",
    "counterfactual_change": "mean size of the change of the probability",
}
#: Measures that are compared with 0, or with shuffled terms; others with what control swaps do.
_SIGNED = ("counterfactual_log_odds", "identity_term_effect")
#: What the library says of the floor in a note, and the table in a column.
_FLOOR = re.compile(r"No bias is the floor of (?P<swaps>[\d,]+) control swaps; above it: (?P<above>.+)\.")


@dataclass(frozen=True)
class SwapFinding:
    """A finding over all texts, and how the page calls it.

    Attributes:
        model: Its name.
        label: What the probability is of.
        what: The measure, or the term, in words.
        finding: Of `nlpladder.bias`.
        n: How many texts, or sentences.
        drawn: Whether it has a line in the picture.
        above: How far it lies above the floor, with its interval; empty where there is no floor.
        notes: What a reader must know of it.
    """

    model: str
    label: str
    what: str
    finding: Any
    n: str
    drawn: bool
    above: str
    notes: tuple[str, ...]


def swap_findings(
    name: str, model: Any, texts: Sequence[str], *, axis: str = "", swapper: CounterfactualSwapper | None = None
) -> list[SwapFinding]:
    """Return the findings of a model over all texts.

    Args:
        name: Of the model.
        model: A classifier.
        texts: The originals.
        axis: Of `lexicon.IDENTITY_TERMS`, whose terms take each other's place.
        swapper: What is exchanged where there is no axis.

    Raises:
        DemoError: No text mentions exactly one term of the axis.
    """
    if axis:
        templates = templates_of(texts, axis)
        if not templates:
            raise DemoError("no text mentions exactly one term, so nothing is averaged.")
        terms = {axis: lexicon.IDENTITY_TERMS[axis]}
        findings = identity_term_effects(model, templates, terms=terms, statistics=STATISTICS).findings
    else:
        several = counterfactual_swaps(model, list(texts), swapper=swapper, statistics=STATISTICS)
        findings = tuple(one for group in several for one in group.findings)
    labels = chosen_labels(model, None)
    found = []
    for one in findings:
        label, what, drawn = _described(one, axis, labels)
        above, notes = "", []
        for note in (*one.notes, one.score.note):
            floor = _FLOOR.fullmatch(note)
            if floor:
                above = floor["above"]
                note = f"No bias is what {floor['swaps']} control swap{'' if floor['swaps'] == '1' else 's'} did."
            if note and "(feminine)" not in note:
                notes.append(note)
        n = f"{one.score.n} {'sentences' if axis else 'texts'}"
        found.append(SwapFinding(name, label, what, one, n, drawn, above, tuple(notes)))
    return found


def swap_notes(found: Sequence[SwapFinding]) -> list[str]:
    """Return what was said of the rows, each sentence once: of which models and measures, where not of all of them.

    Args:
        found: Of all models.
    """
    labels = len({one.label for one in found})
    spots = [(one.model, f"{one.label}, {one.what}" if labels > 1 else one.what) for one in found]
    said: dict[str, list[tuple[str, str]]] = {}
    for spot, one in zip(spots, found, strict=True):
        for note in one.notes:
            said.setdefault(note, []).append(spot)
    lines = []
    for note, where in said.items():
        models, measures = (list(dict.fromkeys(parts)) for parts in zip(*where, strict=True))
        if set(where) != {spot for spot in spots if spot[0] in models and spot[1] in measures}:
            names = [": ".join(spot) for spot in dict.fromkeys(where)]
        else:
            some_models = models if len(models) < len({model for model, _ in spots}) else []
            some_measures = measures if len(measures) < len({measure for _, measure in spots}) else []
            names = [", ".join(part) for part in (some_models, some_measures) if part]
        lines.append(f"{'; '.join(names)}: {note}" if names else note)
    return lines


def swap_intervals(found: Sequence[SwapFinding]) -> list[Interval]:
    """Return what is drawn: the findings in nats.

    Args:
        found: Of all models.
    """
    drawn = [(one, one.finding.effect) for one in found if one.drawn and one.finding.effect is not None]
    return [
        Interval(f"{one.model}, {one.label}: {one.what}", score.value, score.low, score.high, f"n = {one.n}")
        for one, score in drawn
    ]


def swap_summary(found: Sequence[SwapFinding]) -> list[tuple[Any, ...]]:
    """Return the rows of the summary, with Holm's correction over all that are tested.

    Args:
        found: Of all models.

    Returns:
        Rows under `SUMMARY_HEADER`.
    """
    tested = [one for one in found if one.finding.p_value is not None]
    corrected = dict(
        zip(map(id, tested), holm([one.finding.p_value for one in tested]).tolist() if tested else [], strict=True)
    )
    rows = []
    for one in found:
        row, p_holm = one.finding.to_dict(), corrected.get(id(one))
        rows.append(
            (
                one.model, one.label, one.what, score_text(row["score"]), one.n, p_text(one.finding.p_value),
                p_text(p_holm), _verdict(one, p_holm), no_bias_text(row), one.above or NOTHING,
            )
        )  # fmt: skip
    return rows


def _verdict(one: SwapFinding, p_holm: float | None) -> str:
    """Say what a row shows."""
    score = one.finding.score
    if score.value is not None and p_holm is None and one.finding.measure not in _SIGNED:
        return "nothing yet: too few of these texts hold an everyday word to compare with"
    if score.value is None or p_holm is None:
        return "nothing that can be tested"
    if p_holm > 0.05:
        return "no difference is shown, which is not the same as none"
    more = score.value > one.finding.no_bias
    if one.finding.measure == "counterfactual_log_odds":
        return f"{one.label}: more probable for the {'second' if more else 'first'} group"
    if one.finding.measure == "identity_term_effect":
        if not one.drawn:
            return "the terms of this axis are not treated alike"
        return f"{one.label}: {'more' if more else 'less'} probable than for the mean of all terms"
    return f"{'more' if more else 'less'} than exchanging everyday words does"


def _described(finding: Any, axis: str, labels: Sequence[str]) -> tuple[str, str, bool]:
    """Return the label that a finding is about, what it is, and whether it is drawn."""
    if not axis:
        label = labels[0] if finding.category == "all" else finding.category
        return label, _MEASURES[finding.measure], True
    label = next((one for one in labels if finding.category.startswith(f"{one}: {axis}")), labels[0])
    about = finding.category[finding.category.rindex(axis) + len(axis) :].removeprefix(": ")
    if not about:
        return label, f"{axis.replace('_', ' ')}: largest minus smallest, nats", False
    return label, f"{about} against the mean of all terms, nats", True


def templates_of(texts: Sequence[str], axis: str) -> list[str]:
    """Return the texts that mention exactly one term of an axis, with ``{term}`` in its place.

    Args:
        texts: The originals.
        axis: Of `lexicon.IDENTITY_TERMS`.
    """
    finder = TermFinder(lexicon.IDENTITY_TERMS[axis])
    templates = []
    for text in texts:
        spots = list(finder.find(text))
        if len(spots) == 1 and TERM not in text:
            templates.append(text[: spots[0].start] + TERM + text[spots[0].end :])
    return list(dict.fromkeys(templates))
