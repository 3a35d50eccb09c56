"""What is measured of a text, and of a model's answer to it; a few numbers that mean something, no texts.

All shares are rounded to four decimals, here for the profile as well as for the traffic, so that equal texts are ties.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.drift.vocabulary import TEXT_CHARACTERS, Vocabulary, words_of
from nlpladder.text.tokenization import regex_tokenize

Float = npt.NDArray[np.float64]

#: Features of texts and what they are.
TEXT_FEATURES: dict[str, str] = {
    "words": "words and punctuation marks a text",
    "characters": "characters a text",
    "unknown_words": "share of a text's words that the training texts do not hold, upper and lower case alike",
    "letters": "share of a text's characters that are letters: markup, numbers and emoji lower it",
    "capitals": "share of a text's letters that are upper case",
}
#: Features of answers and what they are; a profile has those of its model.
ANSWER_FEATURES: dict[str, str] = {
    "predicted_class": "the class with the highest probability",
    "confidence": "the highest probability",
    "labels": "labels a text gets (probability of at least one half)",
    "value": "the predicted number",
    "bits_per_byte": "what the language model needs a byte of the text",
}
#: The only features that are names and no numbers.
CATEGORIES = ("predicted_class",)
#: Tasks whose training data are words: their texts are measured with a blank between all words.
SPACED_TASKS = ("tag",)
_DECIMALS = 4
_NOT_LETTERS = bytes(code for code in range(128) if chr(code) not in string.ascii_letters)
_UPPER = string.ascii_uppercase.encode()


def text_features(text: str, vocabulary: Vocabulary | None) -> tuple[float, float, float, float, float]:
    """Return the `TEXT_FEATURES` of one text, NaN where one is not defined, as the share of letters of an empty text.

    Args:
        text: Of any length; shares are those of its first 20,000 characters.
        vocabulary: None where the words of the training texts are not known.
    """
    words = words_of(text)
    unknown = math.nan
    if words and vocabulary is not None:
        unknown = round(vocabulary.unknown_share(words), _DECIMALS)
    read = text if len(text) <= TEXT_CHARACTERS else text[:TEXT_CHARACTERS]
    letters, capitals = _letters_and_capitals(read)
    return (
        float(len(words)),
        float(len(text)),
        unknown,
        round(letters / len(read), _DECIMALS) if read else math.nan,
        round(capitals / letters, _DECIMALS) if letters else math.nan,
    )


def spaced(text: str) -> str:
    """Return a text with one blank between its words and marks, as tagged sentences are written (``Paris .``)."""
    return " ".join(regex_tokenize(text))


def _letters_and_capitals(text: str) -> tuple[int, int]:
    if text.isascii():  # an order of magnitude faster than a call for each character
        letters = text.encode().translate(None, _NOT_LETTERS)
        return len(letters), len(letters) - len(letters.translate(None, _UPPER))
    return sum(map(str.isalpha, text)), sum(map(str.isupper, text))


def answer_features(names: Sequence[str], labels: Mapping[str, int], answer: Any) -> tuple[float, ...]:
    """Return features of one answer of the server, NaN where it has none: an item that was refused, another task.

    Args:
        names: Of `ANSWER_FEATURES`.
        labels: Number of each label.
        answer: The fields of an item's answer, an `nlpladder.serving.jobs.ItemResult`, or None.
    """
    fields = answer if isinstance(answer, Mapping) else getattr(answer, "value", None)
    if not isinstance(fields, Mapping):
        return (math.nan,) * len(names)
    return tuple(_finite(_READERS[name](fields, labels)) for name in names)


def classifier_columns(probabilities: npt.ArrayLike, task: str) -> dict[str, Float]:
    """Return features of a classifier's answers to held-out texts, as `answer_features` gives them for served ones.

    Args:
        probabilities: As `TextClassifier.predict_proba` gives them, (texts, labels).
        task: ``single_label``, ``multi_label`` or ``regression``.
    """
    found = np.asarray(probabilities, dtype=np.float64)
    if task == "regression":
        return {"value": _rounded(found[:, 0])}
    columns = {"predicted_class": found.argmax(axis=1).astype(np.float64), "confidence": _rounded(found.max(axis=1))}
    if task == "multi_label":
        columns["labels"] = (found >= 0.5).sum(axis=1).astype(np.float64)
    return columns


def bits_per_byte(log_probability: float, num_bytes: int) -> float:
    """Return what a language model needs a byte of a text, NaN for an empty text or an impossible one.

    Args:
        log_probability: Of the text, in nats.
        num_bytes: Of the text in UTF-8.
    """
    return _finite(-log_probability / math.log(2.0) / num_bytes) if num_bytes else math.nan


def _rounded(values: Float) -> Float:
    return np.array([_finite(value) for value in values.tolist()], dtype=np.float64)


def _finite(value: float) -> float:
    value = float(value)
    return round(value, _DECIMALS) if math.isfinite(value) else math.nan


def _predicted_class(fields: Mapping[str, Any], labels: Mapping[str, int]) -> float:
    label = fields.get("label")
    if label is None:
        probabilities = fields.get("probabilities")
        if not probabilities:
            return math.nan
        label = max(probabilities, key=probabilities.__getitem__)
    # A label that the profile does not know is a class of its own.
    return labels.get(label, len(labels))


def _confidence(fields: Mapping[str, Any], labels: Mapping[str, int]) -> float:
    probabilities = fields.get("probabilities")
    return max(probabilities.values()) if probabilities else math.nan


def _labels(fields: Mapping[str, Any], labels: Mapping[str, int]) -> float:
    given = fields.get("labels")
    return math.nan if given is None else len(given)


def _number(name: str) -> Callable[[Mapping[str, Any], Mapping[str, int]], float]:
    def read(fields: Mapping[str, Any], labels: Mapping[str, int]) -> float:
        value = fields.get(name)
        return math.nan if value is None else value

    return read


_READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, int]], float]] = {
    "predicted_class": _predicted_class,
    "confidence": _confidence,
    "labels": _labels,
    "value": _number("value"),
    "bits_per_byte": _number("bits_per_byte"),
}
