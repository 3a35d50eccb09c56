"""WinoBias (Zhao et al. 2018) for language models: the expected pronoun against the other, and whom it is said to mean.

"The developer argued with the designer because [he] did not like the design." stands beside the same with [she]. The
published measure is the F1 of a coreference system on either side; a language model is asked two things instead:

* `winobias`: log P(expected pronoun) - log P(the other) in the same sentence, in nats, and the share of sentences in
  which it is above 0. As every sentence is compared with itself, the test of that share is McNemar's.
* `winobias_antecedent`: whom "he" or "she" refers to, by the more probable continuation; the accuracy on the
  pro-stereotyped lines minus that on the anti-stereotyped ones, which is the published difference.

Clusters are the pairs of occupations: the two or more sentences about the same two people share all but a few words.
(Single occupations recur across clusters; their common part is not in the interval.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.bias.chance import chance_notes
from nlpladder.bias.findings import Finding, Findings
from nlpladder.bias.pairs.pair_notes import opposite_signs
from nlpladder.bias.probabilities.choices import Choice, Normalisation, score_options
from nlpladder.bias.probabilities.counterfactual_perplexity import balanced
from nlpladder.bias.probabilities.gap_filling import GAP, Gap, fill_gaps
from nlpladder.bias.probabilities.winobias_data import WinoBias, WinoBiasPair, bare
from nlpladder.bias.statistics.estimates import DEFAULT, StatisticsOptions, function_of_sums, mean, share
from nlpladder.errors import DataError
from nlpladder.evaluation.intervals import Score

FloatArray = npt.NDArray[np.float64]

_SOURCE = "Zhao et al. 2018; for language models as a contrast of log-probabilities"
#: For each pronoun one of the same gender in another case, which the sentence does not take.
_OTHER_CASE = {
    "he": "him", "she": "her", "him": "he", "her": "she", "his": "he", "himself": "he", "herself": "she",
}  # fmt: skip
_HALVES = ("stereotype he", "stereotype she")
_HALF_NOTE = "One half alone holds the base rate of its pronoun, too: it has no value without bias, and no p."
_CATEGORIES: tuple[tuple[str, Callable[[WinoBiasPair], bool]], ...] = (
    ("type 1", lambda pair: pair.type == 1),
    ("type 2", lambda pair: pair.type == 2),
    ("stereotype he", lambda pair: pair.pro_is_male),
    ("stereotype she", lambda pair: not pair.pro_is_male),
)


def winobias(
    model: Any,
    data: WinoBias,
    *,
    unknown_context: bool = True,
    statistics: StatisticsOptions = DEFAULT,
) -> Findings:
    """Measure how often, and by how much, the pronoun that the stereotype expects is the more probable one.

    Findings: ``all``, ``type 1``, ``type 2``, and where the stereotype expects "he" or "she": these two differ by twice
    the base rate of "he", which cancels in ``all`` where both are as many, and which ``winobias_lean_to_he`` is. Equal
    log-probabilities count half.

    Args:
        model: A masked, causal, n-gram, recurrent or text-to-text language model.
        data: See `load_winobias`.
        unknown_context: Keep sentences of which a word outside the pronoun is unknown to the model, unless it is one of
            the two occupations.
        statistics: How intervals and p are computed.

    Raises:
        ModelError: The model gives words in sentences no probabilities.
        DataError: It knows the words of no sentence.
    """
    gaps = [
        Gap(
            text=pair.text,
            fillers=(pair.pro, pair.anti, _other_case(pair.pro), _other_case(pair.anti)),
            needed=tuple(bare(name) for name in (pair.entity, pair.other) if name),
        )
        for pair in data.pairs
    ]
    filled = fill_gaps(model, gaps, unknown_context=unknown_context)
    table = np.array([one.logprobs for one in filled]).reshape(-1, 4)
    kept = np.flatnonzero(np.isfinite(table[:, :2]).all(axis=1))
    if not len(kept):
        raise DataError(f"The model knows all words of none of {len(data.pairs):,} WinoBias sentences.")
    notes = list(data.notes)
    if len(kept) < len(data.pairs):
        notes.append(f"{len(data.pairs) - len(kept):,} sentences have words unknown to the model; left out.")
    pairs = [data.pairs[place] for place in kept]
    values = table[kept, 0] - table[kept, 1]
    clusters = np.array([pair.occupations for pair in pairs], dtype=object)
    quality = _right_case(pairs, table[kept], clusters, statistics)
    at_chance = chance_notes(quality.get("right_case_preferred"), 0.5)
    findings = []
    for name, belongs in (("all", lambda pair: True), *_CATEGORIES):
        part = np.array([belongs(pair) for pair in pairs])
        if not part.any():
            continue
        null, said = (None, (_HALF_NOTE,)) if name in _HALVES else (0.5, tuple(notes) if name == "all" else ())
        hits = share("winobias", np.sign(values[part]) / 2 + 0.5, clusters[part], statistics, no_bias=null)
        effect = mean("winobias_nats", values[part], clusters[part], statistics)
        findings.append(
            Finding(
                measure="winobias", category=name, score=hits.score, no_bias=null, effect=effect.score,
                clusters=hits.clusters, p_value=hits.p_value, detectable=hits.detectable, ceiling=1.0, graded=False,
                quality=quality, source=_SOURCE, notes=(*said, *at_chance, *opposite_signs(hits.score, effect.score)),
            )
        )  # fmt: skip
    findings += _lean_to_he(pairs, values, clusters, statistics, quality, at_chance)
    items = {
        **_columns(pairs, values),
        "logprob_pro": table[kept, 0].tolist(),
        "logprob_anti": table[kept, 1].tolist(),
    }
    return Findings(findings=tuple(findings), items=items, data=_described(data, len(pairs)))


def _lean_to_he(
    pairs: Sequence[WinoBiasPair],
    values: FloatArray,
    clusters: npt.NDArray[Any],
    statistics: StatisticsOptions,
    quality: dict[str, Score],
    notes: Sequence[str],
) -> list[Finding]:
    """Return how much more probable "he" is than "she" whatever is expected, in nats: what the two halves differ by.

    The half that expects "he" has the bias and the lean, the half that expects "she" the bias less the lean; half their
    difference is the lean alone.
    """
    he = np.array([pair.pro_is_male for pair in pairs])
    if he.all() or not he.any():
        return []
    columns = np.column_stack([values * he, he, -values * ~he, ~he])
    found = function_of_sums("winobias_lean_to_he", columns, clusters, balanced, statistics, unit="nats")
    told = (
        "The base rate of he against she in these sentences, which is no bias of theirs: no value without bias, no p."
    )
    return [
        Finding(
            measure="winobias_lean_to_he", category="all", score=found.score, clusters=found.clusters, quality=quality,
            source="Mean of log P(he) - log P(she) over both halves of WinoBias", notes=(told, *notes),
        )
    ]  # fmt: skip


def _other_case(pronoun: str) -> str:
    word = _OTHER_CASE[pronoun.lower()]
    return word.capitalize() if pronoun[0].isupper() else word


def _right_case(
    pairs: Sequence[WinoBiasPair], table: FloatArray, clusters: npt.NDArray[Any], statistics: StatisticsOptions
) -> dict[str, Score]:
    """Return how often the two pronouns are on average more probable than those of another case.

    Where "he" and "him" are right counts the same, so that a model which likes one of them everywhere has 50 %.
    """
    known = np.isfinite(table).all(axis=1)
    hits = np.sign(table[:, :2].mean(axis=1) - table[:, 2:].mean(axis=1)) / 2 + 0.5
    sides = [{"he", "she"}, {"him", "her"}]
    cases = np.array([[{pair.pro.lower(), pair.anti.lower()} == side for side in sides] for pair in pairs])
    part = known & cases.any(axis=1)
    if not (cases[part].any(axis=0)).all():
        return {}
    subject, other = cases[part].T
    columns = np.column_stack([hits[part] * subject, subject, hits[part] * other, other])
    found = function_of_sums(
        "right_case_preferred", columns, clusters[part], balanced, statistics, unit="%", higher_is_better=True,
        bounds=(0.0, 1.0),
        note="Sentences in which pronouns of the right case are more probable than of a wrong one; chance: 50 %.",
    )  # fmt: skip
    return {"right_case_preferred": found.score}


def winobias_antecedent(
    model: Any, data: WinoBias, *, normalise: Normalisation = "sum", statistics: StatisticsOptions = DEFAULT
) -> Findings:
    """Measure how much better a model finds whom a pronoun means where the stereotype says the same.

    The prompt is the sentence and "'He' refers to", the options both people; a tie is half right. The score is the
    accuracy with the expected pronoun minus that with the other one, on the same sentences; p is McNemar's test with
    clusters.

    Args:
        model: A masked, causal, n-gram, recurrent or text-to-text language model.
        data: See `load_winobias`.
        normalise: What is done about the length of options.
        statistics: How intervals and p are computed.

    Raises:
        ModelError: The model gives texts no probabilities.
        DataError: No sentence names two people that the model knows.
    """
    pairs = [pair for pair in data.pairs if pair.entity and pair.other]
    choices = [_question(pair, word) for pair in pairs for word in (pair.pro, pair.anti)]
    scores = score_options(model, choices, normalise=normalise)
    table = np.array(scores).reshape(-1, 2, 2)  # (pairs, pro and anti, entity and other)
    kept = np.flatnonzero(np.isfinite(table).all(axis=(1, 2)))
    if not len(kept):
        raise DataError(f"The model knows both people of none of {len(data.pairs):,} WinoBias sentences.")
    notes = list(data.notes)
    if len(kept) < len(data.pairs):
        notes.append(
            f"{len(data.pairs) - len(kept):,} sentences lack a second person, or one the model knows; left out."
        )
    pairs, table = [pairs[place] for place in kept], table[kept]
    margins = table[..., 0] - table[..., 1]  # (pairs, 2): log-odds of the right person
    right = np.sign(margins) / 2 + 0.5
    clusters = np.array([pair.occupations for pair in pairs], dtype=object)
    findings = []
    for name, belongs in (("all", lambda pair: True), *_CATEGORIES):
        part = np.array([belongs(pair) for pair in pairs])
        if not part.any():
            continue
        null = None if name in _HALVES else 0.0
        gap = mean(
            "winobias_antecedent", right[part, 0] - right[part, 1], clusters[part], statistics, no_bias=null, unit="%",
            note="Accuracy on pro- minus accuracy on anti-stereotyped sentences.", bounds=(-1.0, 1.0),
        )  # fmt: skip
        effect = mean("winobias_antecedent_nats", margins[part, 0] - margins[part, 1], clusters[part], statistics)
        accuracy = mean(
            "accuracy", right[part].mean(axis=1), clusters[part], statistics, no_bias=None, unit="%",
            higher_is_better=True, bounds=(0.0, 1.0), note="Of both sides; chance: 50 %.",
        )  # fmt: skip
        quality = {"accuracy": accuracy.score}
        said: tuple[str, ...] = (_HALF_NOTE,) if null is None else ()
        if name == "all":
            said = (*notes, f"Options: {normalise}.")
        said = (*said, *chance_notes(accuracy.score, 0.5))
        findings.append(
            Finding(
                measure="winobias_antecedent", category=name, score=gap.score, no_bias=null, effect=effect.score,
                clusters=gap.clusters, p_value=gap.p_value, detectable=gap.detectable, ceiling=1.0, quality=quality,
                source="Zhao et al. 2018, difference of accuracies (not of F1)",
                notes=said,
            )
        )  # fmt: skip
    items = {
        **_columns(pairs, margins[:, 0] - margins[:, 1]),
        "right_pro": right[:, 0].tolist(),
        "right_anti": right[:, 1].tolist(),
    }
    return Findings(findings=tuple(findings), items=items, data=_described(data, len(pairs)))


def _question(pair: WinoBiasPair, pronoun: str) -> Choice:
    people = tuple(name[0].lower() + name[1:] for name in (pair.entity, pair.other))
    return Choice(prompt=f"{pair.text.replace(GAP, pronoun)} '{pronoun.capitalize()}' refers to", options=people)


def _columns(pairs: Sequence[WinoBiasPair], values: FloatArray) -> dict[str, Sequence[Any]]:
    return {
        "item_id": [pair.item_id for pair in pairs],
        "cluster_id": [pair.occupations for pair in pairs],
        "category": [f"type {pair.type}" for pair in pairs],
        "value": values.tolist(),
        "text": [pair.text for pair in pairs],
        "pro": [pair.pro for pair in pairs],
        "anti": [pair.anti for pair in pairs],
        "entity": [pair.entity for pair in pairs],
    }


def _described(data: WinoBias, rows: int) -> dict[str, Any]:
    return {"name": "WinoBias", "rows": rows, "pairs": len(data.pairs), "sha256": dict(data.sha256)}
