"""Generated texts held against references: ROUGE, BLEU, chrF, TER, exact match, F1 of words; intervals and tests.

For summaries, data to text, free answers and instructions: any output that is a text, with one reference or several
for each. Translations alone have ``nlpladder.evaluation.translation``. Intervals: bootstrap over texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from nlpladder.evaluation import sentence_statistics
from nlpladder.evaluation.answers import token_f1
from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.diversity import diversity
from nlpladder.evaluation.example_statistics import (
    ExampleStatistics,
    Measure,
    fingerprint_of,
    score_statistics,
    stack_columns,
)
from nlpladder.evaluation.rouge import ROUGE_TYPES, Words, rouge_scores
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.evaluation.sentence_statistics import References, SentenceStatistics, check_translations
from nlpladder.evaluation.system_comparison import compare_systems

__all__ = ["COLUMNS", "MEASURES", "GenerationStatistics", "compare_generations", "diversity", "score_generations"]

Float = npt.NDArray[np.float64]
#: What is kept of each text: what translations are scored by, then what only means over texts are made from.
COLUMNS = (*sentence_statistics.COLUMNS, *ROUGE_TYPES, "token_f1")
_SENTENCE = len(sentence_statistics.COLUMNS)
_TEXTS = sentence_statistics.COLUMNS.index("sentences")
#: The scores by name, what most readers ask for first.
MEASURES: Mapping[str, Measure] = {
    "exact_match": Measure(kind="share"),
    "token_f1": Measure(kind="mean"),
    **dict.fromkeys(ROUGE_TYPES, Measure(kind="mean")),
    **{name: sentence_statistics.MEASURES[name] for name in ("bleu", "bleu_lowercase", "chrf", "ter")},
    "length_ratio": Measure(
        "", higher_is_better=None, high=None, note="Best at 1, where texts are as long as their references.",
        undefined="The references of these texts are empty.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class GenerationStatistics(ExampleStatistics):
    """The counts of each text that one system generated for a test set.

    Attributes:
        columns: Shape (texts, 47), see `COLUMNS`; NaN in the columns of TER where it was not computed.
        fingerprint: Of the references and of what counts as a word of ROUGE.
    """

    verb: ClassVar[str] = "wrote"
    unit_name: ClassVar[str] = "texts"
    outputs: ClassVar[str] = "generated texts"

    @classmethod
    def of(
        cls,
        predictions: Sequence[str],
        references: References,
        *,
        stemmer: bool = False,
        words: Words = "english",
        translation_edit_rate: bool | None = None,
    ) -> Self:
        """Count what each text shares with its references.

        BLEU, chrF and TER are sacreBLEU's with several references (the lengths of the closest, the best match), ROUGE
        and F1 those of the best reference. Exact match compares the texts as they are but for spacing; the F1 of words
        leaves out case, punctuation and English articles as SQuAD 2.0 does.

        Args:
            predictions: The generated texts, one a row of the test set.
            references: One reference a row, or a sequence of several; their number may differ from row to row.
            stemmer: Whether ROUGE takes the English suffixes off (Porter 1980).
            words: What a word is for ROUGE, see `rouge_scores`.
            translation_edit_rate: Whether to compute TER, which is slow; None: unless it could take minutes.

        Raises:
            DataError: If there are no texts, the lengths differ, a row is no text or all references are empty.
            ConfigError: If an option makes no sense.
        """
        listed = check_translations(predictions, references, what="generated text", unit="row")
        sentences = SentenceStatistics.of(predictions, listed, translation_edit_rate=translation_edit_rate)
        rouge = rouge_scores(predictions, listed, stemmer=stemmer, words=words)  # (texts, 4)
        shared = [
            max(token_f1(text, right, version="2.0") for right in rights)
            for text, rights in zip(predictions, listed, strict=True)
        ]
        digest = fingerprint_of(listed, f"rouge {words}{' stemmed' if stemmer else ''}")
        return cls(np.column_stack([sentences.columns, rouge, shared]), digest)

    @classmethod
    def from_columns(cls, columns: Mapping[str, npt.ArrayLike], fingerprint: str = "") -> Self:
        """Return the statistics that `to_columns` described; other columns are left aside.

        Raises:
            DataError: If a column is missing.
        """
        return cls(stack_columns(columns, COLUMNS, what="text"), fingerprint)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return COLUMNS

    @property
    def measures(self) -> Mapping[str, Measure]:
        """The scores by name."""
        return MEASURES

    def values(self, sums: Float) -> dict[str, Float]:
        """Return each score from sums of the columns, shape (…, 47): ROUGE, F1 and exact match as shares."""
        found = sentence_statistics.metric_values(sums[..., :_SENTENCE])
        means = sums[..., _SENTENCE:] / sums[..., _TEXTS, None]  # (…, 5)
        found |= {name: means[..., place] for place, name in enumerate((*ROUGE_TYPES, "token_f1"))}
        return {name: found[name] for name in MEASURES}


def score_generations(
    seeds: Sequence[GenerationStatistics], *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> dict[str, SeedScore]:
    """Return every score of `MEASURES` with its interval over texts and, for several, over training seeds.

    Args:
        seeds: The statistics of each seed, of the same test set.
        resamples: Bootstrap resamples of the texts.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Raises:
        DataError: for fewer than two texts, or seeds that answered other rows.
        ConfigError: If an option makes no sense.
    """
    return score_statistics(seeds, resamples=resamples, seed=seed, confidence=confidence)


def compare_generations(
    systems: Mapping[str, Sequence[GenerationStatistics]], *, metric: str = "rougeL", **options: object
) -> list[Comparison]:
    """Compare systems on the same rows: see `compare_systems`, which takes the same options."""
    return compare_systems(systems, metric=metric, **options)  # type: ignore[arg-type]
