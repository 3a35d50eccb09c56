"""The options of GloVe. Light: recipes import this for ``--help``."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal

from nlpladder.config import option
from nlpladder.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class GloveOptions:
    """How co-occurrences are counted and GloVe vectors are trained (Pennington, Socher & Manning 2014).

    Raises:
        ConfigError: for a value that is out of range.
    """

    vector_size: int = option(100, help="numbers in a vector")
    window: int = option(10, help="words to each side that count as context (the paper: 10; the C program: 15)")
    min_count: int = option(5, help="words that occur less often are left out before windows are taken")
    max_vocabulary: int | None = option(None, help="keep only so many words, the most frequent ones")
    symmetric: bool = option(
        True, help="count context on both sides; otherwise a pair counts in the row of its earlier word only"
    )
    distance_weighting: bool = option(True, help="a pair d words apart counts 1/d instead of 1")
    x_max: float = option(
        10.0,
        help="counts from here on have weight 1; 10 suits corpora of millions of words (the C program's demo), 100 "
        "suits billions (the paper, the C program's default)",
    )
    alpha: float = option(0.75, help="power of the weighting function (x / x_max) ** alpha below x_max")
    epochs: int = option(15, help="passes over the co-occurrences (the paper: 50 below 300 dimensions, else 100)")
    learning_rate: float = option(0.05, help="initial learning rate of AdaGrad")
    optimizer: Literal["adagrad", "row_adagrad"] = option(
        "adagrad",
        help="adagrad: a step size for each number, as in the paper; row_adagrad: one for each vector, which is faster "
        "and takes half the memory, but is another optimiser",
    )
    gradient_clip: float = option(100.0, help="largest absolute value of each number of a gradient (C program: 100)")
    output: Literal["sum", "word", "both"] = option(
        "sum", help="final vectors: word + context vectors (the paper), word vectors only, or both side by side"
    )
    memory: float = option(
        4096.0, help="MiB that counting may use; beyond that, counts go to files in a folder and are read from there"
    )
    num_threads: int | None = option(
        None, help="threads (default: all cores that this process may use); the result is the same for any number"
    )
    seed: int = option(0, help="seed of the first vectors and of the order of the counts")

    @property
    def threads(self) -> int:
        """Threads to use."""
        if self.num_threads is not None:
            return self.num_threads
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    def __post_init__(self) -> None:
        whole = {"vector_size": 1, "window": 1, "min_count": 1, "epochs": 0, "seed": 0}
        for name, least in whole.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, but is {getattr(self, name)}.")
        for name in ("x_max", "learning_rate", "gradient_clip", "memory"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ConfigError(f"{name} must be a positive number, but is {getattr(self, name)}.")
        if not (math.isfinite(self.alpha) and self.alpha >= 0):
            raise ConfigError(f"alpha must be a number from 0 on, but is {self.alpha}.")
        if self.max_vocabulary is not None and self.max_vocabulary < 2:
            raise ConfigError(f"max_vocabulary must be at least 2, but is {self.max_vocabulary}.")
        if self.num_threads is not None and self.num_threads < 1:
            raise ConfigError(f"num_threads must be at least 1, but is {self.num_threads}.")
        choices = {"optimizer": ("adagrad", "row_adagrad"), "output": ("sum", "word", "both")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} must be one of {', '.join(allowed)}, but is {getattr(self, name)!r}.")
