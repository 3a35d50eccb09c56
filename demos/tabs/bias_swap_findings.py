"""Counterfactual classify: what many texts show together, as rows that are corrected together, and notes said once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nlpladder.bias import lexicon
from nlpladder.bias.classifiers.classifier_scores import chosen_labels
from nlpladder.bias.classifiers.classifier_swaps import counterfactual_swaps, identity_term_effects
from nlpladder.bias.findings import Finding
from nlpladder.bias.swapping.counterfactuals import CounterfactualSwapper
from nlpladder.bias.swapping.term_finding import TermFinder
from nlpladder.evaluation.multiple_testing import holm
from nlpladder.views.bias_cells import NOTHING, no_bias_text, p_text
from shell.limits import DemoError
from tabs.bias_inputs import STATISTICS, TERM
from tabs.bias_intervals import Interval, effect_with_interval, score_with_interval

SUMMARY_HEADER = (
    "model", "label", "measure", "score [95 %]", "n", "p", "p (Holm)", "what this says", "no bias",
    "above no bias [95 %]",
)  # fmt: skip
SUMMARY_WIDTHS = ("150px", "90px", "180px", "215px", "95px", "70px", "90px", "260px", "100px", "190px")
_MEASURES = {
    "counterfactual_flip_rate": "decisions that change",
    "counterfactual_change": "mean size of the change of the probability",
}
#: Measures that are compared with 0, or with shuffled terms; others with what control swaps do.
_SIGNED = ("counterfactual_log_odds", "identity_term_effect")
_SIDES = ("first", "second")
#: How the line on controls begins, which holds of all models: they read the same texts.
_CONTROLS = "Everyday words (tea, coffee) were exchanged as a control in "


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
        sides: What the two sides are called that take each other's place.
        one_of_two: Whether its model has one other label, which is not shown.
    """

    model: str
    label: str
    what: str
    finding: Any
    n: str
    drawn: bool
    above: str
    notes: tuple[str, ...]
    sides: tuple[str, str] = _SIDES
    one_of_two: bool = False


def swap_findings(
    name: str,
    model: Any,
    texts: Sequence[str],
    *,
    axis: str = "",
    swapper: CounterfactualSwapper | None = None,
    sides: tuple[str, str] = _SIDES,
) -> list[SwapFinding]:
    """Return the findings of a model over all texts.

    Args:
        name: Of the model.
        model: A classifier.
        texts: The originals.
        axis: Of `lexicon.IDENTITY_TERMS`, whose terms take each other's place.
        swapper: What is exchanged where there is no axis.
        sides: What the two sides are called that take each other's place.

    Raises:
        DemoError: No text mentions exactly one term of the axis.
    """
    labels, found = chosen_labels(model, None), []
    one_of_two = len(labels) < len(model.label_names)
    for one, more in _measured(model, texts, axis, swapper):
        label, what, drawn = _described(one, axis, labels, sides)
        unit = "sentence" if axis else "text"
        notes = [note.replace("cluster", unit).replace("p-value", "p") for note in (*more, one.score.note) if note]
        n = f"{one.score.n} {unit}{'' if one.score.n == 1 else 's'}"
        above = "" if one.above_floor is None else score_with_interval(one.above_floor.to_dict())
        found.append(SwapFinding(name, label, what, one, n, drawn, above, tuple(notes), sides, one_of_two))
    return found


def _measured(
    model: Any, texts: Sequence[str], axis: str, swapper: CounterfactualSwapper | None
) -> Iterator[tuple[Finding, tuple[str, ...]]]:
    """Yield each finding, and what the page says of it besides the note of its score."""
    if not axis:
        groups = counterfactual_swaps(model, list(texts), swapper=swapper, statistics=STATISTICS)
        items = groups[-1].items  # of the changes: swaps and control swaps, once a label
        arms = [arm for arm, label in zip(items["arm"], items["label"], strict=True) if label == items["label"][0]]
        for one in (one for group in groups for one in group.findings):
            yield one, (_controls(arms.count("control"), len(texts)),)
        return
    templates = templates_of(texts, axis)
    if not templates:
        raise DemoError("no text mentions exactly one term, so nothing is averaged.")
    terms = {axis: lexicon.IDENTITY_TERMS[axis]}
    for one in identity_term_effects(model, templates, terms=terms, statistics=STATISTICS).findings:
        yield one, one.notes


def swap_notes(found: Sequence[SwapFinding]) -> list[str]:
    """Return what was said of the rows, each sentence once, and which rows it is of where it is not of all of them.

    Args:
        found: Of all models.
    """
    said: dict[str, list[SwapFinding]] = {}
    for one in found:
        for note in one.notes:
            said.setdefault(note, []).append(one)
    lines = []
    shown = dict.fromkeys(one.label for one in found if one.one_of_two)
    if shown:
        lines.append(f"Of two labels the second is shown ({', '.join(shown)}): what it gains, the other loses.")
    for note, rows in said.items():
        of = "" if note.startswith(_CONTROLS) else _rows_in_words(rows, found)
        lines.append(f"{note} This is said of {of}." if of else note)
    return lines


def _rows_in_words(rows: Sequence[SwapFinding], found: Sequence[SwapFinding]) -> str:
    """Return which rows of a table these are, as short as it can be said; empty where it is all of them."""
    spots = {(one.what, one.label, one.model) for one in rows}
    named = [list(dict.fromkeys(names)) for names in zip(*_spots(rows), strict=True)]
    every = _spots(found)
    if spots != {spot for spot in every if all(part in some for part, some in zip(spot, named, strict=True))}:
        return "; ".join(f"“{what}” of {model}, label {label}" for what, label, model in dict.fromkeys(_spots(rows)))
    parts = []
    for place, (kind, some) in enumerate(zip(("", "label", "model"), named, strict=True)):
        others = [name for name in dict.fromkeys(spot[place] for spot in every) if name not in some]
        if len(some) > 3 and len(others) == 1:
            parts.append(f"all but “{others[0]}”")
        elif others:
            quoted = [f"“{name}”" for name in some]
            parts.append(f"the {kind}{'s' if len(some) > 1 else ''} {_listed(some)}" if kind else _listed(quoted))
    return ", ".join(parts)


def _spots(found: Sequence[SwapFinding]) -> list[tuple[str, str, str]]:
    """Return measure, label and model of each row."""
    return [(one.what, one.label, one.model) for one in found]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _controls(swapped: int, texts: int) -> str:
    """Say how many control swaps there were, and what they are for."""
    if swapped == 0:
        return f"{_CONTROLS}none of the {texts} texts, so nothing says how much any exchange of a word changes."
    return (
        f"{_CONTROLS}{swapped} of the {texts} texts. What that changed is what “no bias” says of decisions and "
        "probabilities; their p is of what lies above it."
    )


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
                one.model, one.label, one.what, _score(one, row["score"]), one.n, p_text(one.finding.p_value),
                p_text(p_holm), _verdict(one, p_holm), no_bias_text(row), one.above or NOTHING,
            )
        )  # fmt: skip
    return rows


def _score(one: SwapFinding, score: dict[str, Any]) -> str:
    """Return the score of a row, signed where it is a difference that can have either sign, as in the picture."""
    if one.finding.measure in _SIGNED and one.drawn and score["value"] is not None:
        return effect_with_interval(score["value"], score["low"], score["high"])
    return score_with_interval(score)


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
        return f"{one.label}: more probable in the {one.sides[more]} version"
    if one.finding.measure == "identity_term_effect":
        if not one.drawn:
            return "the terms of this axis are not treated alike"
        return f"{one.label}: {'more' if more else 'less'} probable than for the mean of all terms"
    return f"{'more' if more else 'less'} than exchanging everyday words does"


def _described(finding: Any, axis: str, labels: Sequence[str], sides: tuple[str, str]) -> tuple[str, str, bool]:
    """Return the label that a finding is about, what it is, and whether it is drawn."""
    if not axis:
        label = labels[0] if finding.category == "all" else finding.category
        return label, _MEASURES.get(finding.measure, f"{sides[1]} minus {sides[0]}, nats"), True
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
