"""Counterfactual classify: the same text about somebody else, and what a classifier makes of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.bias import lexicon
from nlpladder.bias.classifiers.classifier_scores import chosen_labels, log_odds, predict
from nlpladder.bias.swapping.counterfactuals import (
    CounterfactualSwapper,
    Replacement,
    apply_replacements,
    gender_swapper,
    in_case_of,
)
from nlpladder.bias.swapping.term_finding import TermFinder
from nlpladder.errors import LadderError
from shell.limits import DemoError, check_choice
from tabs.bias_inputs import frame, read_pairs, told_once
from tabs.bias_intervals import Interval
from tabs.bias_swap_findings import (
    SUMMARY_HEADER,
    SwapFinding,
    swap_findings,
    swap_intervals,
    swap_notes,
    swap_summary,
)

if TYPE_CHECKING:
    import pandas as pd

MOST_MODELS = 4
GENDER, WORDS, OWN = "gender: words, pronouns, first names", "gender: words and pronouns", "my own pairs"
_AXES = {f"identity: {axis.replace('_', ' ')}": axis for axis in lexicon.IDENTITY_TERMS}
#: What may be exchanged, as people choose it.
KINDS = (GENDER, WORDS, *_AXES, OWN)
HEADER = (
    "model", "exchanged", "label", "before, %", "after, %", "change, points", "decision", "text after", "change, nats",
)  # fmt: skip
WIDTHS = ("150px", "190px", "90px", "90px", "90px", "95px", "95px", "340px", "90px")
READING = (
    "**How to read it.** *Exchanged* names every term that was replaced; all else in the text stays. *Feminine minus "
    "masculine*: above 0 the label is more probable in the feminine version, whichever of the two the text was; of "
    "pairs of your own it is what stands behind = minus what stands before it. The score of a label is its "
    "probability, or in nats its log-odds, log p / (1 − p): 0.7 nats more doubles the odds. *No bias* is the floor: "
    "what exchanging everyday words (tea, coffee) in the same texts does. *p* is how often chance alone gives as much; "
    "*p (Holm)* is corrected for all rows of the table, and below .05 a difference counts as shown."
)
NOT_SHOWN = (
    "**What this does not show.** Whether a model is fair. A change may be right where the words change the meaning, "
    "and no change in these texts says nothing about others."
)
#: What the sides of gendered pairs are called; as `gender_swapper` has them.
_GENDERS = ("masculine", "feminine")
#: So many terms of a side name it.
_MOST_NAMED = 3
#: Nouns of people that have a form for women of their own, written for this page. They are no part of the lists with
#: which the recipe measures: "actor" is said of everybody, too.
ROLE_PAIRS = (
    ("actor", "actress"), ("actors", "actresses"), ("waiter", "waitress"), ("waiters", "waitresses"),
    ("hero", "heroine"), ("heroes", "heroines"), ("groom", "bride"), ("widower", "widow"),
    ("policeman", "policewoman"), ("businessman", "businesswoman"), ("salesman", "saleswoman"),
    ("boyfriend", "girlfriend"), ("stepfather", "stepmother"), ("monk", "nun"), ("wizard", "witch"),
)  # fmt: skip


@dataclass(frozen=True)
class Version:
    """A text about somebody else.

    Attributes:
        row: Of the original.
        text: With the terms exchanged.
        changed: What became what, such as ``"he → she"``.
    """

    row: int
    text: str
    changed: str


def versions_of(texts: Sequence[str], kind: Any, pairs: Any = "") -> list[Version]:
    """Return every text with its terms exchanged; of an identity axis one version for each other term.

    Args:
        texts: The originals.
        kind: One of `KINDS`.
        pairs: Pairs of the visitor, one a line, ``he = she``: all that is exchanged for `OWN`, else further gendered
            words, the masculine one first; no part of an identity axis.

    Raises:
        DemoError: No text mentions a term, or the pairs are none.
        ConfigError: A term is no word.
    """
    kind = check_choice(kind, "What is exchanged", KINDS)
    found: list[Version] = []
    if kind in _AXES:
        terms = lexicon.IDENTITY_TERMS[_AXES[kind]]
        finder = TermFinder(terms)
        for row, text in enumerate(texts):
            spots = list(finder.find(text))
            for term in terms if spots else ():
                changes = [
                    Replacement(
                        spot.start,
                        spot.end,
                        text[spot.start : spot.end],
                        in_case_of(text[spot.start : spot.end], spot.term, term, text, spot.start),
                    )
                    for spot in spots
                    if spot.term.lower() != term.lower()
                ]
                if changes:
                    found.append(Version(row, apply_replacements(text, changes), _changed(changes)))
    else:
        swapper = _swapper(kind, pairs)
        for row, text in enumerate(texts):
            changes = swapper.replacements(text)
            if changes:
                found.append(Version(row, apply_replacements(text, changes), _changed(changes)))
    if not found:
        known = {GENDER: "he, mother, James", WORDS: "he, mother", OWN: "one of your terms"}.get(kind)
        hint = known or ", ".join(lexicon.IDENTITY_TERMS[_AXES[kind]][:4])
        raise DemoError(
            f"No text mentions a term that is exchanged here, such as {hint}. Change the text or the choice."
        )
    return found


def sides_of(kind: Any, pairs: Any = "") -> tuple[str, str]:
    """Return what the two sides are called that take each other's place, the first one first.

    Args:
        kind: One of `KINDS`, no identity axis.
        pairs: Pairs of the visitor.
    """
    if kind != OWN:
        return _GENDERS
    first, second = (list(dict.fromkeys(side)) for side in zip(*read_pairs(pairs, "Pairs"), strict=True))
    return _side(first), _side(second)


def _side(terms: Sequence[str]) -> str:
    return "/".join(terms[:_MOST_NAMED]) + ("/…" if len(terms) > _MOST_NAMED else "")


def directions_of(kind: Any, pairs: Any = "") -> dict[str, str]:
    """Return what the picture is of, and what lies below and above 0 in it, in words.

    Args:
        kind: One of `KINDS`.
        pairs: Pairs of the visitor.

    Returns:
        ``caption``, ``below`` and ``above``, as `tabs.bias_intervals.intervals_html` takes them.
    """
    if kind in _AXES:
        mean = f"the mean of all terms of {_AXES[kind].replace('_', ' ')} in the same sentences"
        return {
            "caption": f"Log-odds of the label with each term, minus {mean}",
            "below": "the label is less probable with this term than with all of them on average",
            "above": "more probable",
        }
    first, second = sides_of(kind, pairs)
    return {
        "caption": f"Log-odds of the label, {second} minus {first}",
        "below": f"the label is more probable in the {first} version",
        "above": f"the label is more probable in the {second} version",
    }


def _swapper(kind: str, pairs: Any) -> CounterfactualSwapper:
    if kind == OWN:
        return CounterfactualSwapper(read_pairs(pairs, "Pairs"))
    own = read_pairs(pairs, "Pairs") if isinstance(pairs, str) and pairs.strip() else []
    return gender_swapper(names=kind == GENDER, more=(*own, *ROLE_PAIRS))


def _changed(changes: Sequence[Replacement]) -> str:
    return ", ".join(dict.fromkeys(f"{one.old} → {one.new}" for one in changes))


def compare_versions(
    models: Iterable[tuple[str, Any]], texts: Sequence[str], kind: Any, pairs: Any = ""
) -> tuple[pd.DataFrame, pd.DataFrame, list[Interval], list[str]]:
    """Classify every text before and after, and estimate over all texts.

    Args:
        models: Names and classifiers; each is asked before the next is taken.
        texts: The originals.
        kind: One of `KINDS`.
        pairs: Pairs of the visitor.

    Returns:
        One row a version under `HEADER`, a summary under `SUMMARY_HEADER`, intervals in nats, and notes.

    Raises:
        DemoError: No text mentions a term.
    """
    versions = versions_of(texts, kind, pairs)
    axis = _AXES.get(str(kind), "")
    swapper = None if axis else _swapper(kind, pairs)
    sides = {} if axis else {"sides": sides_of(kind, pairs)}
    rows: list[tuple[Any, ...]] = []
    found: list[SwapFinding] = []
    told: list[tuple[str, str]] = []
    for name, model in models:
        try:
            rows += _version_rows(name, model, texts, versions)
            found += swap_findings(name, model, texts, axis=axis, swapper=swapper, **sides)
        except LadderError as error:
            told.append((name, str(error)))
    mention = (
        f"{len({one.row for one in versions})} of {len(texts)} texts mention a term; {len(versions)} "
        f"version{'' if len(versions) == 1 else 's'}."
    )
    notes = [mention, *swap_notes(found), *told_once(told)]
    return frame(HEADER, rows), frame(SUMMARY_HEADER, swap_summary(found)), swap_intervals(found), notes


def _version_rows(name: str, model: Any, texts: Sequence[str], versions: Sequence[Version]) -> list[tuple[Any, ...]]:
    labels = chosen_labels(model, None)
    names = list(model.label_names)
    before = predict(model, [texts[one.row] for one in versions])  # (versions, labels)
    after = predict(model, [one.text for one in versions])
    rows = []
    for place, version in enumerate(versions):
        for label in labels:
            column = names.index(label)
            first, second = float(before[place, column]), float(after[place, column])
            nats = float(log_odds(np.array(second)) - log_odds(np.array(first)))
            decided = _decided(model, before[place], column), _decided(model, after[place], column)
            rows.append(
                (
                    name, version.changed, label, round(100 * first, 1), round(100 * second, 1),
                    round(100 * (second - first), 1), "changes" if decided[0] != decided[1] else "stays",
                    version.text, round(nats, 3),
                )
            )  # fmt: skip
    return rows


def _decided(model: Any, probabilities: Any, column: int) -> bool:
    return bool(probabilities.argmax() == column if model.task == "single_label" else probabilities[column] > 0.5)
