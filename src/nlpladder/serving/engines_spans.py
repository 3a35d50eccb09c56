"""Models that find something in a text: tags and entities, answers to questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nlpladder.errors import DataError
from nlpladder.evaluation.entities import entity_spans
from nlpladder.models.question_answerer import QuestionAnswerer
from nlpladder.models.token_classifier import TaggedWords, TokenClassifier
from nlpladder.serving.engines import TokenCounter, answer_fitting, check_parameters
from nlpladder.serving.jobs import Item, ItemResult

#: Pieces of the context for which `QuestionAnswerer` leaves room beside a question: it cuts the question for them.
_LEAST_ROOM = 16


class Tagging:
    """``tag``: a tag for each word, and the entities; texts of any length are read in windows.

    Args:
        model: A tagger.
    """

    limit = None

    def __init__(self, model: TokenClassifier) -> None:
        self.model = model
        self.names = model.tag_names
        self.count = TokenCounter(model.tokenizer, special=False)
        try:
            entity_spans(self.names)
            self.marks_entities = True
        except DataError:  # such as parts of speech
            self.marks_entities = False

    def answer(self, items: Sequence[Item], parameters: Mapping[str, Any], *, truncate: bool) -> list[ItemResult]:
        """Return ``words``, ``tags`` and ``entities``; of tags that mark no entities the last is empty."""
        check_parameters(parameters, (), "tag")
        texts = [item.text for item in items]
        results = []
        for text, tagged, count in zip(texts, self.model.predict(texts), self.count(texts), strict=True):
            value = {"words": list(tagged.words), "tags": list(tagged.tags), "entities": self._entities(text, tagged)}
            results.append(ItemResult(value, tokens=count))
        return results

    def _entities(self, text: str, tagged: TaggedWords) -> list[dict[str, Any]]:
        if not self.marks_entities:
            return []
        columns = [self.names.index(tag) for tag in tagged.tags]
        best = tagged.probabilities[np.arange(len(columns)), columns] if columns else np.empty(0)
        found = []
        for label, first, behind in sorted(entity_spans(tagged.tags), key=lambda span: span[1]):
            start, end = tagged.starts[first], tagged.ends[behind - 1]
            mean = float(best[first:behind].mean())
            found.append({"text": text[start:end], "label": label, "start": start, "end": end, "probability": mean})
        return found


class Answering:
    """``answer``: the span of a context that answers a question.

    A context of any length is read in windows. A question that leaves too little room beside it would be cut by the
    model: it is refused unless that was allowed.

    Args:
        model: A reader.
    """

    def __init__(self, model: QuestionAnswerer) -> None:
        self.model = model
        self.limit = max(1, model.max_length - model.frame.size - model.doc_stride - _LEAST_ROOM)
        self.count = TokenCounter(model.tokenizer, special=False)

    def answer(self, items: Sequence[Item], parameters: Mapping[str, Any], *, truncate: bool) -> list[ItemResult]:
        """Return ``answer`` (empty for none), ``start`` and ``end`` in the context, and ``probability``."""
        check_parameters(parameters, (), "answer")

        def answer(numbers: list[int]) -> list[ItemResult]:
            contexts = [items[number].context for number in numbers]
            answers = self.model.answer([items[number].text for number in numbers], contexts)
            return [
                ItemResult(
                    {"answer": found.text, "start": found.start, "end": found.end, "probability": found.score},
                    tokens=count,
                )
                for found, count in zip(answers, self.count(contexts), strict=True)
            ]

        questions = self.count([item.text for item in items])
        return answer_fitting(questions, self.limit, answer, truncate=truncate, what="question")
