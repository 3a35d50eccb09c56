"""Perplexity of texts: with and without unknown words, per token and per word, and bits per byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts texts (Jelinek et al. 1977).

    Attributes:
        including_unknown: ``10 ** (-mean log10 p)`` over all tokens; unknown words with the probability of ``<unk>``.
        excluding_unknown: The same over known tokens only; nan where there is none.
        per_word: ``p ** (-1 / words)`` of all texts, words split at white space.
        bits_per_byte: ``-log2 p / bytes`` of all texts in UTF-8. Both compare models of any tokens where no word is
            unknown; ``nlpladder.evaluation.language_modeling`` also charges for the letters of unknown words.
        num_tokens: Tokens that were predicted, ``</s>`` included where the model has it.
        num_unknown: Unknown ones among them.
        num_words: White-space words.
        num_bytes: UTF-8 bytes.
    """

    including_unknown: float
    excluding_unknown: float
    per_word: float
    bits_per_byte: float
    num_tokens: int
    num_unknown: int
    num_words: int
    num_bytes: int

    @classmethod
    def of(cls, log10: npt.NDArray[np.floating[Any]], unknown: npt.NDArray[np.bool_], texts: Sequence[str]) -> Self:
        """Compute all of them.

        Args:
            log10: log10 probabilities of the tokens of all texts; shape (tokens,).
            unknown: Which tokens are unknown; shape (tokens,).
            texts: The texts.

        Raises:
            DataError: when there is no token.
        """
        if not log10.size:
            raise DataError("The texts hold nothing to predict, so they have no perplexity. Give texts with words.")
        total = float(log10.sum(dtype=np.float64))
        of_known = float(log10[~unknown].sum(dtype=np.float64))
        num_unknown = int(np.count_nonzero(unknown))
        num_known = log10.size - num_unknown
        num_words = sum(len(text.split()) for text in texts)
        num_bytes = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        return cls(
            including_unknown=_power(-total / log10.size),
            excluding_unknown=_power(-of_known / num_known) if num_known else math.nan,
            per_word=_power(-total / num_words) if num_words else math.nan,
            bits_per_byte=-total * math.log2(10) / num_bytes if num_bytes else math.nan,
            num_tokens=log10.size,
            num_unknown=num_unknown,
            num_words=num_words,
            num_bytes=num_bytes,
        )


def _power(exponent: float) -> float:
    """Return 10 to a power, or infinity beyond the largest float."""
    return 10.0**exponent if exponent < 308 else math.inf
