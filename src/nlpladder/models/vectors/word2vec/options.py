"""`Word2VecOptions`: what can be chosen when word vectors are trained; light, so that ``--help`` is fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlpladder.config import option
from nlpladder.errors import ConfigError

Architecture = Literal["skipgram", "cbow"]
Loss = Literal["negative_sampling", "hierarchical_softmax"]
DEFAULT_LEARNING_RATES = {"skipgram": 0.025, "cbow": 0.05}
#: Hash values and rows are int32.
_MOST_ROWS = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Word2VecOptions:
    """Settings of word2vec (Mikolov et al. 2013a, 2013b) and fastText (Bojanowski et al. 2017).

    The defaults are word2vec.c's, with gensim's five epochs. ``subwords=True`` gives fastText.
    """

    architecture: Architecture = option(
        "skipgram", help="skipgram (a word predicts its neighbours) or cbow (they predict it; faster)."
    )
    loss: Loss = option(
        "negative_sampling", help="negative_sampling or hierarchical_softmax (a Huffman tree, no negatives)."
    )
    vector_size: int = option(100, help="Dimensions of the vectors.")
    window: int = option(5, help="Most words between a word and its neighbour; drawn anew, from 1, for each word.")
    negative: int = option(5, help="Random words against each true one (negative sampling only).")
    min_count: int = option(5, help="Leave out words that occur less often.")
    max_vocabulary: int = option(0, help="Keep only this many of the most frequent words; 0 keeps all.")
    subsample: float = option(
        1e-3,
        help="Relative frequency above which words are skipped at random (Mikolov et al. 2013b, eq. 5); 0 for none.",
    )
    ns_exponent: float = option(0.75, help="Negatives are drawn by word counts to this power.")
    epochs: int = option(5, help="Passes over the corpus.")
    learning_rate: float | None = option(
        None, help="Step size at the start; 0.025 for skipgram and 0.05 for cbow when not given."
    )
    min_learning_rate: float = option(
        1e-4, help="Step size at the end, reached linearly over the words of all epochs (gensim's rule)."
    )
    max_sentence_length: int = option(
        1000, help="Longer sentences are cut after this many words that were not skipped (word2vec.c's rule)."
    )
    subwords: bool = option(False, help="Add vectors of character n-grams (fastText): unseen words get vectors too.")
    min_n: int = option(3, help="Shortest character n-gram, word borders included (sub-words only).")
    max_n: int = option(6, help="Longest character n-gram, word borders included (sub-words only).")
    num_buckets: int = option(
        2_000_000, help="Hash values for n-grams; only those that occur take memory (sub-words only)."
    )
    phrases: int = option(
        0, help="Passes that join frequent word pairs (new_york) before training; each can make phrases twice as long."
    )
    phrase_threshold: float = option(
        100.0,
        help="Score above which a pair is joined: eq. 6 of Mikolov et al. 2013b times the tokens, as in word2phrase.c.",
    )
    phrase_min_count: int = option(5, help="Pairs must occur more often than this; the discount of eq. 6.")
    num_threads: int | None = option(None, help="Threads; all cores that this process may use when not given.")
    deterministic: bool = option(
        False,
        help="Same seed, same bytes, whatever the number of threads: one worker goes through the corpus in order.",
    )
    seed: int = option(0, help="Seed of the first vectors and of every random choice.")

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: naming the option, what it was and what it may be.
        """
        for name, choices in (
            ("architecture", ("skipgram", "cbow")),
            ("loss", ("negative_sampling", "hierarchical_softmax")),
        ):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; it must be {' or '.join(choices)}.")
        for name in (
            "vector_size",
            "window",
            "min_count",
            "epochs",
            "max_sentence_length",
            "min_n",
            "max_n",
            "num_buckets",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in (
            "max_vocabulary",
            "subsample",
            "negative",
            "phrases",
            "phrase_min_count",
            "min_learning_rate",
            "seed",
        ):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must not be negative.")
        if self.loss == "negative_sampling" and self.negative < 1:
            raise ConfigError(
                f"negative is {self.negative}; negative sampling needs at least 1. "
                "Without negatives, choose loss hierarchical_softmax."
            )
        if self.max_n < self.min_n:
            raise ConfigError(f"max_n is {self.max_n} and min_n {self.min_n}; max_n must be at least min_n.")
        if self.num_buckets > _MOST_ROWS:
            raise ConfigError(f"num_buckets is {self.num_buckets}; it must be at most {_MOST_ROWS}.")
        if not 0 < self.first_learning_rate < float("inf"):
            raise ConfigError(f"learning_rate is {self.learning_rate}; it must be a positive number.")
        if self.min_learning_rate > self.first_learning_rate:
            raise ConfigError(
                f"min_learning_rate {self.min_learning_rate} is above learning_rate {self.first_learning_rate}; "
                "the rate falls from the second to the first."
            )
        if self.num_threads is not None and self.num_threads < 1:
            raise ConfigError(f"num_threads is {self.num_threads}; it must be at least 1, or not given for all cores.")

    @property
    def first_learning_rate(self) -> float:
        """The step size at the start, with the architecture's default where none was given."""
        return DEFAULT_LEARNING_RATES[self.architecture] if self.learning_rate is None else self.learning_rate
