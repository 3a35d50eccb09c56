"""The small interfaces through which evaluation, bias measures and the demo see a rung.

A bag-of-words model and a fine-tuned BERT stand in one table because both are a ``TextClassifier``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from nlpladder.generation import GenerationOptions

#: What the label column holds: one class, any subset of classes, or a number.
Task = Literal["single_label", "multi_label", "regression"]

FloatArray = npt.NDArray[np.floating]


@runtime_checkable
class TextClassifier(Protocol):
    """Anything that turns texts into label probabilities."""

    @property
    def task(self) -> Task:
        """What the labels are."""
        ...

    @property
    def label_names(self) -> tuple[str, ...]:
        """Label names in the order of the columns of `predict_proba`."""
        ...

    def predict_proba(self, texts: Sequence[str]) -> FloatArray:
        """Return probabilities of shape (texts, labels).

        Rows sum to 1 for ``single_label``; each entry is its label's own probability for ``multi_label``; for
        ``regression`` the array is (texts, 1) and holds the predicted value.
        """
        ...

    def num_parameters(self) -> int:
        """Count the numbers that were learnt."""
        ...


@dataclass(frozen=True)
class TokenScores:
    """How a language model predicted one text.

    Attributes:
        tokens: What was predicted, in order, with the end-of-text mark where the model has one.
        logprobs: Natural logarithms of the probabilities, shape (tokens,).
        known: False where the token was outside the vocabulary, shape (tokens,).
        num_words: White-space words of the text.
        num_bytes: UTF-8 bytes of the text.
    """

    tokens: tuple[str, ...]
    logprobs: FloatArray
    known: npt.NDArray[np.bool_]
    num_words: int
    num_bytes: int


@runtime_checkable
class LanguageModel(Protocol):
    """Anything that gives a text a probability, token by token: an n-gram model as well as GPT-2."""

    def score(self, texts: Sequence[str]) -> list[TokenScores]:
        """Return how each text was predicted."""
        ...

    def next_token_distribution(self, prefix: str) -> tuple[list[str], FloatArray]:
        """Return all tokens and their probabilities after `prefix`, shape (vocabulary,), which sum to 1."""
        ...

    def generate(self, prompts: Sequence[str], options: GenerationOptions | None = None) -> list[str]:
        """Return a continuation of each prompt, without the prompt."""
        ...

    def num_parameters(self) -> int:
        """Count the numbers that were learnt."""
        ...


@runtime_checkable
class WordEmbeddings(Protocol):
    """Anything that has a vector for each of its words."""

    @property
    def words(self) -> Sequence[str]:
        """The words in the order of the rows of `vectors`."""
        ...

    @property
    def vectors(self) -> FloatArray:
        """Shape (words, vector_size)."""
        ...

    def embed(self, words: Sequence[str]) -> FloatArray:
        """Return the vectors of `words`, shape (len(words), vector_size)."""
        ...
