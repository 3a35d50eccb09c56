"""What is counted in each translated sentence, and the corpus scores that are functions of the sums of the counts.

BLEU (Papineni et al. 2002), chrF (Popović 2015) and TER (Snover et al. 2006) of a corpus are no means over sentences:
they are functions of counts summed over its sentences, such as matched 4-grams. With the counts kept sentence by
sentence, the score of any resample, swap or slice of the sentences is a sum and a formula away, and nothing is
tokenised twice. The counts are sacreBLEU's own (Post 2018), the formulas are written out here and give its scores.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.evaluation.example_statistics import ExampleStatistics, Measure, fingerprint_of, stack_columns

Float = npt.NDArray[np.float64]
References = Sequence[str] | Sequence[Sequence[str]]

_ORDER = 4  #: longest word n-gram of BLEU
_CHARACTER_ORDER = 6  #: longest character n-gram of chrF
_BETA = 2  #: chrF2: recall counts twice as much as precision
_BLEU_COUNTS = (
    "length",
    "reference_length",
    *(f"matched_{n}" for n in range(1, _ORDER + 1)),
    *(f"total_{n}" for n in range(1, _ORDER + 1)),
)
_CHRF_COUNTS = tuple(
    f"{kind}_{n}" for n in range(1, _CHARACTER_ORDER + 1) for kind in ("hypothesis", "reference", "matched")
)
#: What is kept of each sentence, in this order.
COLUMNS = (
    *(f"bleu_{name}" for name in _BLEU_COUNTS),
    *(f"bleu_lowercase_{name}" for name in _BLEU_COUNTS),
    *(f"chrf_{name}" for name in _CHRF_COUNTS),
    "ter_edits",
    "ter_reference_length",
    "exact_match",
    "sentences",
)
_BLEU = slice(0, 10)
_BLEU_LOWERCASE = slice(10, 20)
_CHRF = slice(20, 38)
_TER = slice(38, 40)
_EXACT, _SENTENCES = 40, 41
#: Edit distance with shifts takes sacreBLEU some 5 microseconds per pair of words, but 20 times as long for long
#: sentences that have little in common: beyond these, of one pair and of all, it could take minutes.
_MOST_WORD_PAIRS_OF_A_SENTENCE, _MOST_WORD_PAIRS = 200**2, 4_000_000


_NO_TER = "TER was not computed: it was not asked for, or the texts are so long that it could take minutes."
_EMPTY = "The references of these sentences are empty."
#: The scores by name.
MEASURES: Mapping[str, Measure] = {
    "bleu": Measure("points", high=100.0, undefined=_EMPTY),
    "bleu_lowercase": Measure("points", high=100.0, undefined=_EMPTY),
    "chrf": Measure("points", high=100.0, undefined=_EMPTY),
    "ter": Measure("points", higher_is_better=False, high=None, undefined=_NO_TER),
    "length_ratio": Measure(
        "", higher_is_better=None, high=None, undefined=_EMPTY,
        note="Best at 1, where translations are as long as the references.",
    ),
    "exact_match": Measure(kind="share"),
}  # fmt: skip


@dataclass(frozen=True)
class SentenceStatistics(ExampleStatistics):
    """The counts of each sentence of one system's translation of a test set.

    Attributes:
        columns: Shape (sentences, 42), see `COLUMNS`; NaN in the columns of TER where it was not computed.
        fingerprint: Of the references, so that only systems measured on the same ones are compared; empty if unknown.
    """

    verb: ClassVar[str] = "translated"
    unit_name: ClassVar[str] = "sentences"
    outputs: ClassVar[str] = "translations"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return COLUMNS

    @property
    def measures(self) -> Mapping[str, Measure]:
        """The scores by name."""
        return MEASURES

    def values(self, sums: Float) -> dict[str, Float]:
        """Return each score from sums of the columns, see `metric_values`."""
        return metric_values(sums)

    @classmethod
    def of(
        cls, hypotheses: Sequence[str], references: References, *, translation_edit_rate: bool | None = None
    ) -> SentenceStatistics:
        """Count with sacreBLEU: BLEU with the tokeniser 13a, cased and lower-cased, chrF2 and TER at their defaults.

        Args:
            hypotheses: The translations, detokenised and cased, one a sentence.
            references: The right translations, one a sentence, or a sequence of several for each sentence.
            translation_edit_rate: Whether to compute TER, which takes several times as long as the rest. None computes
                it unless that could take minutes: for whole documents, not for sentences.

        Raises:
            DataError: If there are no sentences, the lengths differ, a row is no text or all references are empty.
        """
        from sacrebleu.metrics import BLEU, CHRF, TER

        listed = check_translations(hypotheses, references)
        streams = _streams(listed)
        counts = np.full((len(hypotheses), len(COLUMNS)), np.nan)
        # The public calls of sacreBLEU return sums only; its own significance tests take the counts from here too.
        counts[:, _BLEU] = BLEU()._extract_corpus_statistics(hypotheses, streams)
        counts[:, _BLEU_LOWERCASE] = BLEU(lowercase=True, force=True)._extract_corpus_statistics(hypotheses, streams)
        counts[:, _CHRF] = CHRF()._extract_corpus_statistics(hypotheses, streams)
        if translation_edit_rate is None:
            sizes = [
                sum(min(len(text.split()), len(right.split())) ** 2 for right in rights)
                for text, rights in zip(hypotheses, listed, strict=True)
            ]
            translation_edit_rate = max(sizes) <= _MOST_WORD_PAIRS_OF_A_SENTENCE and sum(sizes) <= _MOST_WORD_PAIRS
        if translation_edit_rate:
            counts[:, _TER] = TER()._extract_corpus_statistics(hypotheses, streams)
        counts[:, _EXACT] = exact_matches(hypotheses, references)
        counts[:, _SENTENCES] = 1.0
        return cls(counts, fingerprint_of(listed))

    @classmethod
    def from_columns(cls, columns: Mapping[str, npt.ArrayLike], fingerprint: str = "") -> SentenceStatistics:
        """Return the statistics that `to_columns` described; other columns are left aside.

        Raises:
            DataError: If a column is missing.
        """
        return cls(stack_columns(columns, COLUMNS, what="sentence"), fingerprint)


def metric_values(sums: Float) -> dict[str, Float]:
    """Return each metric from sums of the columns, shape (…, 42); NaN where it was not computed.

    BLEU, chrF and TER run from 0 to 100 (TER can exceed it), the length ratio is 1 where translations are as long as
    the references (in tokens of 13a), exact match is a share.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "bleu": bleu_from_counts(sums[..., _BLEU]),
            "bleu_lowercase": bleu_from_counts(sums[..., _BLEU_LOWERCASE]),
            "chrf": chrf_from_counts(sums[..., _CHRF]),
            "ter": ter_from_counts(sums[..., _TER]),
            "length_ratio": np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan),
            "exact_match": sums[..., _EXACT] / sums[..., _SENTENCES],
        }


def bleu_from_counts(counts: Float) -> Float:
    """Return BLEU, 0 to 100, from counts of shape (…, 10): both lengths, matched 1- to 4-grams, all 1- to 4-grams.

    Papineni et al. (2002), section 2.3: BLEU = BP exp(sum_n log(p_n) / 4) with the brevity penalty
    BP = exp(1 - r / c) where the translation, c tokens, is shorter than the reference, r tokens. The k-th order
    without a match counts as 2^-k matches (smoothing method 3 of Chen and Cherry 2014, sacreBLEU's ``exp``).
    """
    length, reference_length = counts[..., 0], counts[..., 1]
    matched, total = counts[..., 2 : 2 + _ORDER], counts[..., 2 + _ORDER :]  # (…, order)
    with np.errstate(divide="ignore", invalid="ignore"):
        penalty = np.where(length < reference_length, np.exp(1.0 - reference_length / length), 1.0)
        smoothed = np.where(matched == 0, 0.5 ** np.cumsum(matched == 0, axis=-1), matched)
        logs = np.log(smoothed / total)  # (…, order)
        score = 100.0 * penalty * np.exp(logs.mean(axis=-1))
    # Without any match, or where all sentences are shorter than four tokens, BLEU is 0.
    defined = (matched > 0).any(axis=-1) & (total > 0).all(axis=-1)
    return np.where(np.isnan(counts).any(axis=-1), np.nan, np.where(defined, score, 0.0))


def chrf_from_counts(counts: Float) -> Float:
    """Return chrF2, 0 to 100, from counts of shape (…, 18): for each order of n-grams, those of the hypothesis, those
    of the reference and the matched ones; the orders are 1 to 6 characters.

    Popović (2015), equation 1: F_beta = (1 + beta^2) P R / (beta^2 P + R) with precision P and recall R averaged over
    the orders of n-grams that both sides have.
    """
    grouped = counts.reshape(*counts.shape[:-1], _CHARACTER_ORDER, 3)  # (…, order, kind)
    hypothesis, reference, matched = grouped[..., 0], grouped[..., 1], grouped[..., 2]
    present = (hypothesis > 0) & (reference > 0)
    orders = np.maximum(present.sum(axis=-1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(present, matched / hypothesis, 0.0).sum(axis=-1) / orders
        recall = np.where(present, matched / reference, 0.0).sum(axis=-1) / orders
        score = 100.0 * (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall)
    score = np.where(precision + recall > 0, score, 0.0)
    return np.where(np.isnan(counts).any(axis=-1), np.nan, score)


def ter_from_counts(counts: Float) -> Float:
    """Return TER, 0 upwards, from counts of shape (…, 2): edits, with shifts of phrases, and words of the reference.

    Snover et al. (2006), section 3: edits / words of the reference, averaged over several references.
    """
    edits, length = counts[..., 0], counts[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(length > 0, 100.0 * edits / length, np.where(edits > 0, 100.0, 0.0))
    return np.where(np.isnan(counts).any(axis=-1), np.nan, score)


def bleu(hypotheses: Sequence[str], references: References, *, lowercase: bool = False) -> float:
    """Return the BLEU of a corpus, 0 to 100, as sacreBLEU gives it with the tokeniser 13a: quick, for validation.

    Args:
        hypotheses: The translations, detokenised.
        references: As in `SentenceStatistics.of`.
        lowercase: Whether to ignore case.

    Raises:
        DataError: As `SentenceStatistics.of`.
    """
    from sacrebleu.metrics import BLEU

    listed = check_translations(hypotheses, references)
    counts = BLEU(lowercase=lowercase, force=True)._extract_corpus_statistics(hypotheses, _streams(listed))
    return float(bleu_from_counts(np.sum(counts, axis=0, dtype=np.float64)))


def exact_matches(hypotheses: Sequence[str], references: References) -> Float:
    """Return 1 for each sentence that equals one of its references, else 0, (sentences,).

    Runs of white space count as one space and Unicode is composed (NFC); case and punctuation matter.

    Raises:
        DataError: As `SentenceStatistics.of`.
    """
    listed = check_translations(hypotheses, references)
    same = [
        _composed(text) in {_composed(right) for right in rights}
        for text, rights in zip(hypotheses, listed, strict=True)
    ]
    return np.asarray(same, dtype=np.float64)


def signatures(*, num_references: int = 1) -> dict[str, str]:
    """Return sacreBLEU's signature of each metric, which a paper quotes beside the figure (Post 2018).

    Args:
        num_references: References per sentence.
    """
    from sacrebleu.metrics import BLEU, CHRF, TER

    metrics = {"bleu": BLEU(), "bleu_lowercase": BLEU(lowercase=True), "chrf": CHRF(), "ter": TER()}
    for metric in metrics.values():
        metric.num_refs = num_references  # known to sacreBLEU only after it has read references
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def check_translations(
    hypotheses: Sequence[str], references: References, *, what: str = "translation", unit: str = "sentence"
) -> list[list[str]]:
    """Refuse texts that cannot be scored; return the references as one list per sentence.

    Args:
        hypotheses: See `SentenceStatistics.of`.
        references: See `SentenceStatistics.of`.
        what: What messages call a hypothesis.
        unit: What messages call an example.

    Raises:
        DataError: See `SentenceStatistics.of`.
    """
    for name, given in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(given, str):
            raise DataError(f"The {name} are one string: give a list with one entry per {unit}.")
    if len(hypotheses) != len(references):
        raise DataError(
            f"There are {len(hypotheses):,} {what}s and {len(references):,} references: each {unit} needs one "
            "of both, in the same order."
        )
    if not len(hypotheses):
        raise DataError(f"There are no {what}s to score: give at least one {unit}.")
    listed = [[entry] if isinstance(entry, str) else _as_list(entry, row, unit) for row, entry in enumerate(references)]
    for row, (text, rights) in enumerate(zip(hypotheses, listed, strict=True)):
        if not isinstance(text, str):
            raise DataError(
                f"{what.capitalize()} number {row} is {text!r}: expected a text (an empty one counts as no words)."
            )
        if not rights:
            raise DataError(f"{unit.capitalize()} number {row} has no reference: give at least one.")
        for right in rights:
            if not isinstance(right, str):
                raise DataError(f"A reference of {unit} number {row} is {right!r}: expected a text.")
    if not any(right.strip() for rights in listed for right in rights):
        raise DataError(f"All references of the {len(listed):,} {unit}s are empty: there is nothing to score against.")
    return listed


def _as_list(entry: Any, row: int, unit: str) -> list[str]:
    if not isinstance(entry, (list, tuple, np.ndarray)):
        raise DataError(f"The reference of {unit} number {row} is {entry!r}: expected a text or a list of texts.")
    return list(entry)


def _streams(listed: Sequence[Sequence[str]]) -> Any:
    """Turn references by sentence into sacreBLEU's streams: the first of each sentence, the second, …"""
    most = max(len(rights) for rights in listed)
    return [[rights[place] if place < len(rights) else None for rights in listed] for place in range(most)]


def _composed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
