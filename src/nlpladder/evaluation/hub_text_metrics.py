"""The metrics of texts, entities and answers as subclasses of ``evaluate.Metric``, without a network.

Inputs and results are named as those of the metrics of the same name on the Hub, so that one stands in for the other.
The values are those of the plain functions of this package, which are what intervals are made from; the tests hold the
two equal. Imported on demand only, by ``nlpladder.evaluation.metrics.load_metric``: ``evaluate`` takes seconds.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from nlpladder.errors import DataError
from nlpladder.evaluation import language_modeling
from nlpladder.evaluation.answers import AnswerStatistics, token_f1
from nlpladder.evaluation.entities import EntityStatistics
from nlpladder.evaluation.metrics import TEXT_METRICS
from nlpladder.evaluation.rouge import ROUGE_TYPES, rouge_scores
from nlpladder.evaluation.sentence_statistics import (
    COLUMNS,
    SentenceStatistics,
    check_translations,
    exact_matches,
)

_TEXT = datasets.Value("string")
_TEXTS = datasets.Sequence(_TEXT)


class TextMetric(evaluate.Metric):
    """An ``evaluate.Metric`` of texts: predictions are texts, references texts or lists of several for each."""

    metric_name: str
    #: What a row of predictions and references may be, in the order in which it is tried.
    alternatives: tuple[dict[str, Any], ...] = (
        {"predictions": _TEXT, "references": _TEXTS},
        {"predictions": _TEXT, "references": _TEXT},
    )

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=TEXT_METRICS[self.metric_name],
            citation="",
            inputs_description="Args: predictions and references, gathered from all processes.",
            features=[datasets.Features(one) for one in self.alternatives],
        )


class Rouge(TextMetric):
    """``compute(predictions=, references=, use_stemmer=False, words="english")``: mean F-measures, 0 to 1."""

    metric_name = "rouge"

    def _compute(
        self, *, predictions: Any, references: Any, use_stemmer: bool = False, words: Any = "english"
    ) -> dict[str, float]:
        listed = check_translations(predictions, references, what="generated text", unit="row")
        means = rouge_scores(predictions, listed, stemmer=use_stemmer, words=words).mean(axis=0)
        return dict(zip(ROUGE_TYPES, means.tolist(), strict=True))


class SacreBleu(TextMetric):
    """``compute(predictions=, references=, lowercase=False)``: BLEU as ``score``, and what it was made from."""

    metric_name = "sacrebleu"

    def _compute(self, *, predictions: Any, references: Any, lowercase: bool = False) -> dict[str, Any]:
        statistics = SentenceStatistics.of(predictions, references, translation_edit_rate=False)
        name = "bleu_lowercase" if lowercase else "bleu"
        sums = dict(zip(COLUMNS, statistics.columns.sum(axis=0).tolist(), strict=True))
        counts = [int(sums[f"{name}_matched_{n}"]) for n in range(1, 5)]
        totals = [int(sums[f"{name}_total_{n}"]) for n in range(1, 5)]
        return {
            "score": statistics.corpus()[name],
            "counts": counts,
            "totals": totals,
            "sys_len": int(sums[f"{name}_length"]),
            "ref_len": int(sums[f"{name}_reference_length"]),
        }


class ChrF(TextMetric):
    """``compute(predictions=, references=)``: chrF2 as ``score``, 0 to 100."""

    metric_name = "chrf"

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
        return {"score": SentenceStatistics.of(predictions, references, translation_edit_rate=False).corpus()["chrf"]}


class Ter(TextMetric):
    """``compute(predictions=, references=)``: TER as ``score``, 0 upwards."""

    metric_name = "ter"

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
        return {"score": SentenceStatistics.of(predictions, references, translation_edit_rate=True).corpus()["ter"]}


class ExactMatch(TextMetric):
    """``compute(predictions=, references=)``: the share of texts that equal a reference, but for spacing."""

    metric_name = "exact_match"

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
        return {"exact_match": float(exact_matches(predictions, references).mean())}


class TokenF1(TextMetric):
    """``compute(predictions=, references=)``: mean F1 of the words shared with the best reference, 0 to 1."""

    metric_name = "token_f1"

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
        listed = check_translations(predictions, references, what="generated text", unit="row")
        best = [
            max(token_f1(text, right, version="2.0") for right in rights)
            for text, rights in zip(predictions, listed, strict=True)
        ]
        return {"token_f1": sum(best) / len(best)}


class Squad(TextMetric):
    """``compute(predictions=, references=)``: ``exact_match`` and ``f1``, 0 to 100, arithmetic of version 1.1.

    Rows are ``{"id": …, "prediction_text": …}`` and ``{"id": …, "answers": {"text": […], "answer_start": […]}}`` as
    for the metric of the Hub, in any order; or a text and the list of its right answers.
    """

    metric_name = "squad"
    alternatives = (
        {
            "predictions": {"id": _TEXT, "prediction_text": _TEXT},
            "references": {
                "id": _TEXT,
                "answers": {"text": _TEXTS, "answer_start": datasets.Sequence(datasets.Value("int32"))},
            },
        },
        *TextMetric.alternatives,
    )

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
        if isinstance(predictions[0], dict):
            texts = {row["id"]: row["prediction_text"] for row in predictions}
            missing = [row["id"] for row in references if row["id"] not in texts]
            if missing:
                raise DataError(f"Question {missing[0]!r} has no prediction: give one for each, the empty text if so.")
            predictions = [texts[row["id"]] for row in references]
            references = [row["answers"]["text"] for row in references]
        found = AnswerStatistics.of(predictions, references, version="1.1").corpus()
        return {"exact_match": 100.0 * found["exact_match"], "f1": 100.0 * found["f1"]}


class SeqEval(TextMetric):
    """``compute(predictions=, references=)`` on lists of tags: F1 over all types and by type, 0 to 1."""

    metric_name = "seqeval"
    alternatives = ({"predictions": _TEXTS, "references": _TEXTS},)

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, Any]:
        statistics = EntityStatistics.of(predictions, references)
        found, sums = statistics.corpus(), statistics.columns.sum(axis=0)
        result: dict[str, Any] = {}
        for place, kind in enumerate(statistics.kinds):
            gold, predicted, correct = sums[2 + 3 * place : 5 + 3 * place].tolist()
            result[kind] = {
                "precision": correct / predicted if predicted else 0.0,
                "recall": correct / gold if gold else 0.0,
                "f1": found[f"entity_f1_{kind}"],
                "number": int(gold),
            }
        for name in ("precision", "recall", "f1"):
            # Without any entity seqeval warns and says 0.
            result[f"overall_{name}"] = found[f"entity_{name}"] if statistics.kinds else 0.0
        return {**result, "overall_accuracy": found["token_accuracy"]}


class EntityF1(SeqEval):
    """``compute(predictions=, references=)`` on lists of tags: the F1 over all types, 0 to 1."""

    metric_name = "entity_f1"

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, Any]:
        statistics = EntityStatistics.of(predictions, references)
        return {"entity_f1": statistics.corpus()["entity_f1"] if statistics.kinds else 0.0}


class Perplexity(TextMetric):
    """``compute(predictions=texts, model=a language model)``: perplexity per token and word, and bits per byte."""

    metric_name = "perplexity"
    alternatives = ({"predictions": _TEXT},)

    def _compute(self, *, predictions: Any, model: Any = None) -> dict[str, float]:
        if not callable(getattr(model, "score", None)):
            raise DataError(
                f"model is {model!r}: give a language model, such as nlpladder.load('outputs/gpt') returns, which "
                "scores the texts."
            )
        losses = language_modeling.TextLosses.of(model.score(predictions))
        found = language_modeling.metric_values(losses.columns.sum(axis=0))
        return {name: float(found[name]) for name in ("perplexity", "perplexity_per_word", "bits_per_byte")}


_CLASSES: tuple[type[TextMetric], ...] = (
    Rouge, SacreBleu, ChrF, Ter, ExactMatch, TokenF1, Squad, SeqEval, EntityF1, Perplexity,
)  # fmt: skip


def build_text_metric(name: str) -> evaluate.Metric:
    """Return an instance of a metric's class that keeps its data in memory; the names are those of TEXT_METRICS."""
    return {one.metric_name: one for one in _CLASSES}[name](keep_in_memory=True)
