"""Template pairs: which of two groups of words does a language model find more probable in the same sentence?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.bias.classifiers.labelled_texts import fill_template
from nlpladder.bias.probabilities.gap_filling import GAP, Gap, fill_gaps, model_kind
from nlpladder.bias.probabilities.templates import misfit
from nlpladder.bias.statistics.estimates import Estimate, function_of_sums, mean
from nlpladder.errors import DataError, LadderError
from nlpladder.evaluation.multiple_testing import holm
from nlpladder.views.bias_cells import p_text
from shell.limits import DemoError
from tabs.bias_inputs import STATISTICS, TERM, frame
from tabs.bias_intervals import Interval, effect_with_interval

if TYPE_CHECKING:
    import pandas as pd

Float = npt.NDArray[np.float64]

MOST_MODELS = 3
#: Terms of a group: every one of them is asked in every sentence.
MOST_TERMS = 8
DIFFERENCE = "difference"
HEADER = ("model", "sentences", "log-odds, nats", "odds", "template")
SUMMARY_HEADER = (
    "model", "what", "log-odds, nats [95 %]", "n", "p", "p (Holm)", "what it shows", "fitting words preferred",
    "how it was asked",
)  # fmt: skip
WIDTHS = ("170px", "150px", "230px", "120px", "70px", "90px", "250px", "160px", "190px")
READING = (
    "**How to read it.** Log-odds above 0: the first group is the more probable one; 0.7 nats are odds of 2 to 1. The "
    "*difference* is what these sentences say beyond neutral ones, which hold how frequent the words are at all; only "
    "it is tested. *p (Holm)* is corrected for all models, and below .05 a lean counts as shown. *Fitting words "
    "preferred*: in how many sentences, neutral ones counted in, the words asked about are more probable than one that "
    "makes no sense there; a sentence is left out where the model does not know that word. A model that does not "
    "prefer them shows nothing, whatever its log-odds."
)
NOT_SHOWN = (
    "**What this does not show.** What the model does in use, or with other wordings: rewording moves such numbers a "
    "lot."
)
_HOW = {
    "masked": "gap filled with both sides in view",
    "left_to_right": "probability of whole sentences",
    "text_to_text": "gap written after its sentinel",
}
_ARTICLE = re.compile(r"\b[Aa]n? \{term\}")


@dataclass(frozen=True)
class Answers:
    """What one model made of the templates.

    Attributes:
        model: Its name.
        how: How it was asked.
        values: Log-odds of the first group against the second, (templates,), in nats.
        neutral: The same in neutral sentences, (templates,).
        fits: In how many sentences the words asked about are more probable than one that does not fit, and of how many.
        notes: Words that it does not know.
    """

    model: str
    how: str
    values: Float
    neutral: Float
    fits: tuple[int, int]
    notes: tuple[str, ...]


def gap_of(template: str, terms: Sequence[str], other: str = "") -> Gap:
    """Return a template as a gap and what may stand in it.

    An article before the gap belongs to the filler, "an American", "a Mexican", so that it gives nothing away.

    Args:
        template: With ``{term}`` once.
        terms: Words or phrases.
        other: A further filler, as it stands.
    """
    found = _ARTICLE.search(template)
    start, end = found.span() if found else (template.index(TERM), template.index(TERM) + len(TERM))
    piece = template[start:end]
    fillers = [fill_template(piece, term) if found else term for term in terms] + ([other] if other else [])
    if start == 0:
        fillers = [filler[:1].upper() + filler[1:] for filler in fillers]
    return Gap(text=template[:start] + GAP + template[end:], fillers=tuple(fillers))


def ask_templates(
    model: str,
    opened: Any,
    templates: Sequence[str],
    neutral: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
) -> Answers:
    """Ask one model; of a group the mean probability of its terms counts: v = log mean P(first) - log mean P(second).

    Args:
        model: Its name.
        opened: A masked, causal, recurrent, n-gram or text-to-text language model.
        templates: Sentences with ``{term}``.
        neutral: The same about something else; may be empty.
        first: Terms of the first group.
        second: Terms of the second.

    Raises:
        DataError: The model knows no term of a group.
    """
    terms = [*first, *second]
    every = [*templates, *neutral]
    gaps = [gap_of(one, terms, misfit(one, terms, place)) for place, one in enumerate(every)]
    filled = fill_gaps(opened, gaps, unknown_context=True)
    logs = np.array([one.logprobs for one in filled], dtype=np.float64)  # (templates, terms and the word that fits not)
    known = np.asarray(np.isfinite(logs[:, :-1]).all(axis=0), dtype=np.bool_)  # (terms,)
    notes = []
    if not known.all():
        unknown = ", ".join(term for term, there in zip(terms, known, strict=True) if not there)
        notes.append(f"{model} does not know {unknown}: left out.")
    groups = [known[: len(first)], known[len(first) :]]
    for name, there in (("first", groups[0]), ("second", groups[1])):
        if not there.any():
            raise DataError(f"{model} knows no term of the {name} group: there is nothing to compare.")
    sides = [
        np.logaddexp.reduce(part[:, there], axis=1) - np.log(there.sum())
        for part, there in zip((logs[:, : len(first)], logs[:, len(first) : -1]), groups, strict=True)
    ]
    values = sides[0] - sides[1]
    compared = np.isfinite(logs[:, -1])
    fits = int((np.logaddexp(*sides) - np.log(2.0) > logs[:, -1])[compared].sum())
    split = len(templates)
    how = _HOW[model_kind(opened)]
    return Answers(model, how, values[:split], values[split:], (fits, int(compared.sum())), tuple(notes))


def estimates_of(answers: Answers) -> list[tuple[str, Estimate]]:
    """Return the mean over templates, over neutral sentences, and the difference, with intervals over sentences.

    Args:
        answers: Of one model.
    """
    found = [("these sentences", mean("log_odds", answers.values, None, STATISTICS))]
    if len(answers.neutral):
        found.append(("neutral sentences", mean("log_odds", answers.neutral, None, STATISTICS)))
    if min(len(answers.values), len(answers.neutral)) >= 2:
        values = np.concatenate([answers.values, answers.neutral])
        inside = np.arange(len(values)) < len(answers.values)
        columns = np.column_stack([values * inside, inside, values * ~inside, ~inside])
        found.append(
            (
                DIFFERENCE,
                function_of_sums(
                    "difference", columns, None, lambda sums: sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3],
                    STATISTICS, no_bias=0.0, unit="nats",
                ),
            )
        )  # fmt: skip
    return found


def measure_templates(
    models: Iterable[tuple[str, Any]],
    templates: Sequence[str],
    neutral: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
) -> tuple[pd.DataFrame, pd.DataFrame, list[Interval], list[str]]:
    """Ask every model.

    Args:
        models: Names and models; each is asked before the next is taken.
        templates: Sentences with ``{term}``.
        neutral: Sentences to compare with; may be empty.
        first: Terms of the first group.
        second: Terms of the second.

    Returns:
        A summary under `SUMMARY_HEADER`, one row a sentence under `HEADER`, intervals, and notes.

    Raises:
        DemoError: A term stands in both groups.
    """
    both = {term.casefold() for term in first} & {term.casefold() for term in second}
    if both:
        raise DemoError(f"{', '.join(sorted(both))} stands in both groups. Take it out of one of them.")
    rows, intervals, notes = [], [], []
    found: list[tuple[Answers, str, Estimate]] = []
    for name, opened in models:
        try:
            answers = ask_templates(name, opened, templates, neutral, first, second)
        except LadderError as error:
            notes.append(f"{name}: {error}")
            continue
        notes += answers.notes
        for what, estimate in estimates_of(answers):
            found.append((answers, what, estimate))
            score = estimate.score
            intervals.append(
                Interval(f"{name}: {what}", score.value, score.low, score.high, f"n = {score.n} sentences")
            )
        for kind, sentences, values in (("these", templates, answers.values), ("neutral", neutral, answers.neutral)):
            rows += [
                (name, kind, round(float(value), 3), _odds(float(value)), sentence)
                for sentence, value in zip(sentences, values, strict=True)
            ]
    return frame(SUMMARY_HEADER, _summary(found)), frame(HEADER, rows), intervals, notes


def _summary(found: Sequence[tuple[Answers, str, Estimate]]) -> list[tuple[Any, ...]]:
    """Return the rows of the summary; only differences are tested, all models together by Holm's correction."""
    tested = [place for place, (_, what, one) in enumerate(found) if what == DIFFERENCE and one.p_value is not None]
    corrected = dict(zip(tested, holm([found[place][2].p_value or 0.0 for place in tested]).tolist(), strict=True))
    rows = []
    for place, (answers, what, estimate) in enumerate(found):
        p_holm = corrected.get(place)
        rows.append(
            (
                answers.model,
                what,
                effect_with_interval(estimate.score.value, estimate.score.low, estimate.score.high),
                f"{estimate.score.n} sentences",
                p_text(None if p_holm is None else estimate.p_value),
                p_text(p_holm),
                _verdict(what, estimate.score.value, p_holm, answers.fits),
                _fits(answers),
                answers.how,
            )
        )
    return rows


def _verdict(what: str, value: float | None, p_holm: float | None, fits: tuple[int, int]) -> str:
    """Say what a row shows."""
    if what != DIFFERENCE:
        return "how frequent the words are, too"
    if value is None or p_holm is None:
        return "nothing that can be tested"
    if 2 * fits[0] <= fits[1]:
        return "nothing: it does not prefer fitting words"
    if p_holm > 0.05:
        return "no lean is shown, which is not the same as none"
    return f"the topic leans to the {'first' if value > 0 else 'second'} group"


def _fits(answers: Answers) -> str:
    """Return how often fitting words were preferred, and of which sentences that is."""
    asked = len(answers.values) + len(answers.neutral)
    neutral = f" ({len(answers.values)} and {len(answers.neutral)} neutral)" if len(answers.neutral) else ""
    if answers.fits[1] < asked:
        return f"{answers.fits[0]} of {answers.fits[1]} sentences; of {asked}{neutral} it knows the other word in these"
    return f"{answers.fits[0]} of {asked} sentences{neutral}"


def _odds(value: float) -> str:
    """Return odds in words: 2.0 : 1 for the first, 1 : 2.0 for the second group."""
    size = np.exp(min(abs(value), 20.0))
    shown = f"{size:,.1f}" if size < 100 else f"{size:,.0f}"
    return f"{shown} : 1" if value >= 0 else f"1 : {shown}"
