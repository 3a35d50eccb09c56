"""Models that read a text and give numbers for it: classes, log-probabilities, vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nlpladder.evaluation.language_modeling import TextLosses, metric_values
from nlpladder.models.vectors.spelling import nearest_spellings
from nlpladder.protocols import LanguageModel, TextClassifier, TextEncoder, TokenScores, WordEmbeddings
from nlpladder.serving.engines import TokenCounter, answer_fitting, check_parameters
from nlpladder.serving.jobs import Item, ItemError, ItemResult


@runtime_checkable
class LimitedModel(Protocol):
    """A model that reads so many tokens of a text: what `max_length` says, marks included."""

    tokenizer: Any
    max_length: int


@runtime_checkable
class PoolingModel(Protocol):
    """A sentence encoder: its pooling says what it makes of a text first."""

    pooling: Any


class Classifying:
    """``classify``: the class, or classes, or value of each text.

    Args:
        model: Any classifier. One with a tokenizer and a `max_length` would cut longer texts silently: here they are
            counted first.
    """

    def __init__(self, model: TextClassifier) -> None:
        self.model = model
        limited = model if isinstance(model, LimitedModel) else None
        self.limit = None if limited is None else int(limited.max_length)
        self.count = TokenCounter(None if limited is None else limited.tokenizer)

    def answer(self, items: Sequence[Item], parameters: Mapping[str, Any], *, truncate: bool) -> list[ItemResult]:
        """Return ``label`` and ``probabilities``, or ``labels`` and ``probabilities``, or ``value``."""
        check_parameters(parameters, (), "classify")
        texts = [item.text for item in items]
        names = self.model.label_names

        def answer(numbers: list[int]) -> list[ItemResult]:
            rows = np.asarray(self.model.predict_proba([texts[number] for number in numbers])).tolist()
            return [ItemResult(self._value(names, row)) for row in rows]

        return answer_fitting(self.count(texts), self.limit, answer, truncate=truncate)

    def _value(self, names: Sequence[str], row: list[float]) -> dict[str, Any]:
        if self.model.task == "regression":
            return {"value": row[0]}
        probabilities = dict(zip(names, row, strict=True))
        if self.model.task == "multi_label":
            return {"labels": [name for name, p in probabilities.items() if p >= 0.5], "probabilities": probabilities}
        return {"label": names[max(range(len(row)), key=row.__getitem__)], "probabilities": probabilities}


class Scoring:
    """``score``: how probable each text is; texts of any length, see the model's ``score``.

    Args:
        model: Any language model.
    """

    limit = None

    def __init__(self, model: LanguageModel) -> None:
        self.model = model

    def answer(self, items: Sequence[Item], parameters: Mapping[str, Any], *, truncate: bool) -> list[ItemResult]:
        """Return log-probability, bits per byte and perplexities, as `nlpladder.evaluation.language_modeling` does.

        A number that is infinite or undefined, such as the perplexity a word of no words, is None.
        """
        check_parameters(parameters, ("tokens",), "score")
        scores = self.model.score([item.text for item in items])
        metrics = metric_values(TextLosses.of(scores).columns)
        results = []
        for row, score in enumerate(scores):
            value: dict[str, Any] = {
                "log_probability": _finite(float(np.sum(score.logprobs, dtype=np.float64))),
                "tokens_scored": len(score.tokens),
                "bits_per_byte": _finite(float(metrics["bits_per_byte"][row])),
                "perplexity_per_token": _finite(float(metrics["perplexity"][row])),
                "perplexity_per_word": _finite(float(metrics["perplexity_per_word"][row])),
            }
            if parameters.get("tokens"):
                value["tokens"] = _tokens(score)
            results.append(ItemResult(value, tokens=len(score.tokens)))
        return results


class EmbeddingTexts:
    """``embed`` with an encoder: one vector a text.

    Args:
        model: Any encoder; one with a tokenizer and a `max_length` refuses longer texts.
    """

    def __init__(self, model: TextEncoder) -> None:
        self.model = model
        self.tokenizer: Any = model.tokenizer if isinstance(model, LimitedModel) else None
        self.limit = int(model.max_length) if isinstance(model, LimitedModel) else None
        # Of a sentence encoder: it puts a prompt before every text, and cuts texts itself.
        self.pooling = model.pooling if isinstance(model, PoolingModel) else None
        self._count = TokenCounter(self.tokenizer)
        self.marks = 0 if self.tokenizer is None else int(self.tokenizer.num_special_tokens_to_add())

    def answer(self, items: Sequence[Item], parameters: Mapping[str, Any], *, truncate: bool) -> list[ItemResult]:
        """Return ``vector`` and ``size``."""
        check_parameters(parameters, (), "embed")
        texts = [item.text for item in items]
        counts = self.count(texts)

        def answer(numbers: list[int]) -> list[ItemResult]:
            filled = [number for number in numbers if counts[number] > self.marks or self.tokenizer is None]
            read = [self._shortened(texts[number], counts[number]) for number in filled]
            vectors = self.model.encode_texts(read) if read else ()
            found = {number: ItemResult(_vector(row)) for number, row in zip(filled, vectors, strict=True)}
            return [found.get(number, _NO_TOKENS) for number in numbers]

        return answer_fitting(counts, self.limit, answer, truncate=truncate)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, the model's marks and prompt included."""
        if self.pooling is None:
            return self._count(texts)
        written = [(self.pooling.prompt + text).strip() for text in texts]
        return self._count([text.lower() for text in written] if self.pooling.lower_case else written)

    def _shortened(self, text: str, count: int) -> str:
        """Return the longest beginning of a text that the model reads."""
        if self.limit is None or count <= self.limit or self.pooling is not None:
            return text
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ends = [end for _, end in encoded["offset_mapping"]]
        # The last word may be split into more tokens once it is cut.
        for pieces in range(self.limit - self.marks, 0, -1):
            beginning = text[: ends[pieces - 1]]
            if self.count([beginning])[0] <= self.limit:
                return beginning
        return ""


class EmbeddingWords:
    """``embed`` with word vectors: the vector of a word, or the mean over the known words of a text.

    Each word is looked up as it stands, without the punctuation marks around it, and in lower case, in this order.

    Args:
        model: Words and their vectors.
    """

    limit = None

    def __init__(self, model: WordEmbeddings) -> None:
        self.model: Any = model
        # Ours know words that they build from sub-words, too; any other has those that it lists.
        self.known: Any = model if hasattr(type(model), "__contains__") else frozenset(model.words)

    def answer(self, items: Sequence[Item], parameters: Mapping[str, Any], *, truncate: bool) -> list[ItemResult]:
        """Return ``vector`` and ``size``, or the error ``unknown_word``."""
        check_parameters(parameters, (), "embed")
        results = []
        for item in items:
            words = item.text.split()
            forms = [form for form in map(self._form, words) if form is not None]
            if not forms:
                results.append(ItemResult(None, self._unknown(words)))
                continue
            vectors = np.asarray(self.model.embed(forms), dtype=np.float64)
            results.append(ItemResult(_vector(vectors.mean(axis=0)), tokens=len(words)))
        return results

    def _form(self, word: str) -> str | None:
        bare = word.strip(".,;:!?\"'()[]{}«»„“”‚‘’…–—-")
        forms = (word, bare, word.lower(), bare.lower())
        return next((form for form in forms if form and form in self.known), None)

    def _unknown(self, words: Sequence[str]) -> ItemError:
        size = f"{len(self.model.words):,}"
        if len(words) != 1:
            what = "This text has no words" if not words else f"None of the {len(words)} words of this text is known"
            return ItemError("unknown_word", f"{what}; the vectors are of {size} words.", value=len(words))
        near = nearest_spellings(words[0], self.model.words, most=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return ItemError("unknown_word", f"This word is not among the {size} words of these vectors.{hint}")


_NO_TOKENS = ItemResult(
    None, ItemError("unreadable", "The model reads no token of this text, so it has no vector. Leave empty texts out.")
)


def _vector(row: Any) -> dict[str, Any]:
    numbers = np.asarray(row).tolist()
    return {"vector": numbers, "size": len(numbers)}


def _tokens(score: TokenScores) -> list[dict[str, Any]]:
    return [
        {"token": token, "log_probability": _finite(log_probability), "known": known}
        for token, log_probability, known in zip(
            score.tokens, np.asarray(score.logprobs).tolist(), np.asarray(score.known).tolist(), strict=True
        )
    ]


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
