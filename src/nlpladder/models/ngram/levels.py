"""`NGramLevel`: what a back-off model says about all n-grams of one order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

UNKNOWN_WORD, SENTENCE_START, SENTENCE_FINISH = range(3)
SPECIAL_WORDS = ("<unk>", "<s>", "</s>")
#: log10 of the probability of what is never predicted, as ARPA files write it.
NEVER = -99.0


@dataclass(frozen=True)
class NGramLevel:
    """All n-grams of one order, sorted by (prefix, word): the order is canonical, whatever made them.

    The n-grams that continue one context lie side by side. Entry i of the unigram level is word i; words 0, 1 and 2 are
    ``<unk>``, ``<s>`` and ``</s>``. The probability of a word w after a context h, with h' the context without its
    first word, is that of the n-gram hw where it exists, and else ``backoff(h) p(w | h')``.

    Attributes:
        prefix: int32 (int64 beyond 2**31 n-grams), shape (n-grams,): where the first n - 1 words stand in the level
            below; zeros for unigrams.
        word: int32, shape (n-grams,): the last word's id.
        log10_probability: float32, shape (n-grams,); -99 for what is never predicted (``<s>``).
        log10_backoff: float32, shape (n-grams,): the weight of shorter contexts after this one, 0 where nothing
            follows; shape (0,) at the highest order.
    """

    prefix: npt.NDArray[np.signedinteger[Any]]
    word: npt.NDArray[np.int32]
    log10_probability: npt.NDArray[np.float32]
    log10_backoff: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return self.word.size
