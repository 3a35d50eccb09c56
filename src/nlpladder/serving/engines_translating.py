"""Models that write a text for a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nlpladder.models.translation import Translator
from nlpladder.models.translation_encoding import source_ids
from nlpladder.serving.engines import answer_fitting, check_parameters
from nlpladder.serving.jobs import Item, ItemResult


class Translating:
    """``translate``: a text for a text.

    A text that is longer than the model reads at once is translated in pieces, none of it lost. Only a model that was
    trained on cut texts (summaries) reads the beginning alone: it refuses longer ones unless that was allowed.

    Args:
        model: A translator.
    """

    def __init__(self, model: Translator) -> None:
        self.model = model
        format_ = model.text_format
        self.limit = format_.max_source_length if format_.cut_long_sources else None

    def answer(self, items: Sequence[Item], parameters: Mapping[str, Any], *, truncate: bool) -> list[ItemResult]:
        """Return ``translation`` and its ``score``, see `nlpladder.models.translation_result.Translation`."""
        check_parameters(parameters, ("num_beams", "length_penalty", "max_new_tokens"), "translate")
        texts = [item.text for item in items]
        given = {name: value for name, value in parameters.items() if value is not None}

        def answer(numbers: list[int]) -> list[ItemResult]:
            found = self.model.translate([texts[number] for number in numbers], alignments=False, **given)
            return [
                ItemResult({"translation": one.text, "score": float(one.score)}, tokens=len(one.target_tokens))
                for one in found
            ]

        counts = [len(ids) for ids in source_ids(self.model.tokenizer, texts, self.model.text_format)]
        return answer_fitting(counts, self.limit, answer, truncate=truncate)
