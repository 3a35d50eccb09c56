"""`NGramOptions`: how an n-gram language model is counted and smoothed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlpladder.config import option
from nlpladder.errors import ConfigError

Smoothing = Literal[
    "modified_kneser_ney", "kneser_ney", "witten_bell", "absolute_discounting", "add_k", "stupid_backoff"
]
MAX_ORDER = 16
#: Where each smoothing comes from, and the year.
SOURCES: dict[str, tuple[str, int]] = {
    "modified_kneser_ney": ("Chen & Goodman, An empirical study of smoothing techniques for language modeling", 1999),
    "kneser_ney": ("Kneser & Ney, Improved backing-off for m-gram language modeling", 1995),
    "witten_bell": ("Witten & Bell, The zero-frequency problem", 1991),
    "absolute_discounting": (
        "Ney et al., On structuring probabilistic dependences in stochastic language modelling",
        1994,
    ),
    "add_k": (
        "Lidstone, Note on the general case of the Bayes-Laplace formula for inductive or a posteriori probabilities",
        1920,
    ),
    "stupid_backoff": ("Brants et al., Large language models in machine translation", 2007),
}


@dataclass(frozen=True, kw_only=True)
class NGramOptions:
    """Options of `estimate`.

    Raises:
        ConfigError: for a value that makes no sense, or two that contradict each other.
    """

    order: int = option(5, help="Longest n-grams, in words.")
    smoothing: Smoothing = option("modified_kneser_ney", help="How probability is moved to what was not seen.")
    discount_fallback: tuple[float, ...] = option(
        (0.5, 1.0, 1.5),
        help="Discounts of counts 1, 2 and 3 or more for an order whose own cannot be estimated (Kneser-Ney).",
    )
    lmplz_discounts: bool = option(
        True,
        help="As lmplz does, let one n-gram of each lower order enter the discounts with its raw count: the models are "
        "then equal entry by entry. False follows Chen and Goodman to the letter.",
    )
    discount: float | None = option(
        None, help="The discount of absolute discounting, in (0, 1); by default n1 / (n1 + 2 n2) of each order."
    )
    k: float = option(0.1, help="What add-k adds to each count.")
    prune: tuple[int, ...] = option(
        (),
        help="Drop n-grams that occur at most so often; one threshold for each order from 1 on, not decreasing, the "
        "last one for the remaining orders: 0,0,1 drops what occurs once from trigrams on.",
    )
    vocabulary: tuple[str, ...] | None = option(
        None, help="A closed vocabulary: other words count as unknown. By default every word of the corpus belongs."
    )
    sentence_marks: bool = option(True, help="Model where sentences begin (<s>) and end (</s>).")
    special_words: Literal["unknown", "skip", "error"] = option(
        "unknown",
        help="What <unk>, <s> and </s> in the text mean: 'unknown' counts <unk> as the unknown word and refuses the "
        "other two; 'skip' leaves all three out; 'error' refuses all three.",
    )
    memory: int | None = option(
        None, help="MiB of memory to use at most; larger arrays go to files. By default what is free."
    )
    num_threads: int | None = option(None, help="Threads; by default one for each processor.")

    def __post_init__(self) -> None:
        """Check the values."""
        if not 1 <= self.order <= MAX_ORDER:
            raise ConfigError(f"order is {self.order}, expected 1 to {MAX_ORDER}.")
        if len(self.discount_fallback) != 3 or not all(
            0 <= discount <= count for count, discount in enumerate(self.discount_fallback, start=1)
        ):
            raise ConfigError(
                f"discount_fallback is {self.discount_fallback}, expected three: in [0, 1], [0, 2] and [0, 3]."
            )
        if self.discount is not None and not 0 < self.discount < 1:
            raise ConfigError(f"discount is {self.discount}, expected a number between 0 and 1.")
        if not self.k > 0:
            raise ConfigError(f"k is {self.k}, expected a number above 0.")
        if self.memory is not None and self.memory < 1:
            raise ConfigError(f"memory is {self.memory} MiB, expected at least 1.")
        if self.num_threads is not None and self.num_threads < 1:
            raise ConfigError(f"num_threads is {self.num_threads}, expected at least 1.")
        if len(self.prune) > self.order:
            raise ConfigError(f"prune has {len(self.prune)} thresholds, but the order is {self.order}.")
        if any(threshold < 0 for threshold in self.prune) or list(self.prune) != sorted(self.prune):
            raise ConfigError(
                f"prune is {self.prune}; thresholds must not be negative and must not decrease, for a longer n-gram "
                "cannot stay when a shorter one inside it goes."
            )

    @property
    def prune_thresholds(self) -> tuple[int, ...]:
        """The threshold of each order, from 1 on."""
        given = self.prune or (0,)
        return given + (given[-1],) * (self.order - len(given))
