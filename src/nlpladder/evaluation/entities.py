"""Named entities found in text: F1, precision and recall as CoNLL's evaluation counts them, with intervals.

An entity is right if its type and both its ends are (Tjong Kim Sang and De Meulder 2003, section 2.3). The tags are
read as ``conlleval`` and seqeval's default do, which forgives what a tagger breaks: an ``I-`` without a beginning
begins an entity. So IOB1, IOB2 and IOBES need not be told apart. Intervals: bootstrap over sentences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.example_statistics import (
    Measure,
    fingerprint_of,
    score_statistics,
)
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.evaluation.system_comparison import compare_systems
from nlpladder.evaluation.tagged_statistics import COUNTS, TaggedStatistics

Float = npt.NDArray[np.float64]
#: (type, first word, behind the last word)
Span = tuple[str, int, int]

_NO_TYPE = "_"  #: the type of a bare "B" or "I", as in seqeval
#: BILOU's names for the last word of an entity and for the only one.
_SAME_MEANING = {"L": "E", "U": "S"}
_NONE = "No entity of this kind is in the references, and none was predicted."


def entity_spans(tags: Sequence[str]) -> set[Span]:
    """Return the entities of a tagged sentence as (type, first word, behind the last word).

    A word goes on with an entity if its tag is I or E, of the same type as the tag before it, and that one was B or I.
    Any other word ends what was open; unless it is O, it also begins an entity. This is how seqeval's default mode and
    ``conlleval`` read IOB1, IOB2 and IOBES, whole or broken. BILOU is read too: L is E and U is S.

    Args:
        tags: ``O``, or a prefix B, I, E, S, L or U with ``-TYPE``, one a word.

    Raises:
        DataError: If a tag is nothing of the kind.
    """
    spans: set[Span] = set()
    begin, before, kind = -1, "O", _NO_TYPE  # begin is -1 outside of entities
    for place, tag in enumerate([*tags, "O"]):
        prefix, found = _split_tag(tag, place)
        if prefix in ("I", "E") and before in ("B", "I") and found == kind:
            before = prefix
            continue
        if begin >= 0:
            spans.add((kind, begin, place))
        begin = -1 if prefix == "O" else place
        before, kind = prefix, found
    return spans


def _split_tag(tag: object, place: int) -> tuple[str, str]:
    if not isinstance(tag, str):
        raise DataError(f"Tag number {place} is {tag!r}: expected a text such as 'O' or 'B-PER'.")
    prefix, dash, kind = tag.partition("-")
    prefix = _SAME_MEANING.get(prefix, prefix)
    if prefix not in ("O", "B", "I", "E", "S") or (prefix == "O" and dash):
        raise DataError(
            f"Tag number {place} is {tag!r}: expected 'O', or B-, I-, E-, S-, L- or U- and a type, such as 'B-PER'. "
            "Tags without entities, such as parts of speech, are measured by their accuracy."
        )
    return prefix, kind or _NO_TYPE


@dataclass(frozen=True)
class EntityStatistics(TaggedStatistics):
    """The counts of each sentence of one tagger's output; `kinds` are the types of entities."""

    @classmethod
    def of(cls, predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> Self:
        """Count the entities of tagged sentences.

        Args:
            predicted: The tags of each sentence, one a word.
            gold: The right tags of the same words.

        Raises:
            DataError: If sentences or words do not match, or a tag is none; the message says where.
        """
        if len(predicted) != len(gold):
            raise DataError(
                f"There are {len(predicted):,} tagged sentences and {len(gold):,} gold ones: give both for each "
                "sentence, in the same order."
            )
        if not len(gold):
            raise DataError("There are no sentences to score: give at least one.")
        counted: list[dict[str, Counter[str]]] = []
        tokens = np.zeros((len(gold), 2))
        for row, (ours, right) in enumerate(zip(predicted, gold, strict=True)):
            if len(ours) != len(right):
                raise DataError(
                    f"Sentence number {row} has {len(right)} gold tags and {len(ours)} predicted ones: every word "
                    "needs one of both (words that the model's window cut off included)."
                )
            try:
                found, there = entity_spans(ours), entity_spans(right)
            except DataError as error:
                raise DataError(f"Sentence number {row}: {error}") from error
            spans = {"gold": there, "predicted": found, "correct": there & found}
            counted.append({name: Counter(kind for kind, _, _ in those) for name, those in spans.items()})
            tokens[row] = len(right), sum(one == other for one, other in zip(ours, right, strict=True))
        types = tuple(sorted({kind for row in counted for kind in (*row["gold"], *row["predicted"])}))
        entities = [[row[name][kind] for kind in types for name in COUNTS] for row in counted]
        columns = np.hstack([tokens, np.asarray(entities, dtype=np.float64).reshape(len(gold), -1)])
        return cls(columns, fingerprint_of([list(tags) for tags in gold]), types)

    @property
    def measures(self) -> Mapping[str, Measure]:
        """The scores by name; ``entity_f1_PER`` is the F1 of the type PER."""
        shared = ("entity_f1", "entity_precision", "entity_recall", *(f"entity_f1_{kind}" for kind in self.kinds))
        empty = Measure(undefined="The sentences have no words.", kind="mean")
        return {**dict.fromkeys(shared, Measure(undefined=_NONE)), "token_accuracy": empty}

    def values(self, sums: Float) -> dict[str, Float]:
        """Return each score from sums of the columns, shape (…, 2 + 3 types).

        As seqeval, precision without a prediction and recall without an entity are 0; but where there is neither, the
        score is undefined, not 0.
        """
        tokens, correct_tokens = sums[..., 0], sums[..., 1]
        by_type = self.by_kind(sums)  # each (…, types)
        gold, predicted, correct = (counts.sum(axis=-1) for counts in by_type)
        found = {
            "entity_f1": _share(2 * correct, gold + predicted, gold + predicted),
            "entity_precision": _share(correct, predicted, gold + predicted),
            "entity_recall": _share(correct, gold, gold + predicted),
        }
        for place, kind in enumerate(self.kinds):
            gold, predicted, correct = (counts[..., place] for counts in by_type)
            found[f"entity_f1_{kind}"] = _share(2 * correct, gold + predicted, gold + predicted)
        found["token_accuracy"] = _share(correct_tokens, tokens, tokens)
        return found


def score_entities(
    seeds: Sequence[EntityStatistics], *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> dict[str, SeedScore]:
    """Return entity_f1, entity_precision, entity_recall, entity_f1 of each type and token_accuracy with intervals.

    Args:
        seeds: The statistics of each seed, of the same test set.
        resamples: Bootstrap resamples of the sentences.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Raises:
        DataError: for fewer than two sentences, or seeds that tagged other sentences.
        ConfigError: If an option makes no sense.
    """
    return score_statistics(seeds, resamples=resamples, seed=seed, confidence=confidence)


def compare_entities(
    systems: Mapping[str, Sequence[EntityStatistics]], *, metric: str = "entity_f1", **options: object
) -> list[Comparison]:
    """Compare taggers on the same sentences: see `compare_systems`, which takes the same options."""
    return compare_systems(systems, metric=metric, **options)  # type: ignore[arg-type]


def _share(part: Float, whole: Float, defined: Float) -> Float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(defined > 0, np.where(whole > 0, part / whole, 0.0), np.nan)
