"""How each smoothing method turns counts into an interpolated back-off model, in one form for all of them.

With c the counts that the method reads, C(h) their sum after a context h, T(h) the number of words after h, and h' the
context without its first word:

    p(w | h) = (c(hw) - D(c(hw))) / (C(h) + t T(h) + a)  +  gamma(h) p(w | h')

where gamma(h) makes the sum one. Below the unigrams stands the uniform distribution over the vocabulary without
``<s>`` (and without ``</s>`` where sentences have no marks).

    modified Kneser-Ney    adjusted counts, D(1), D(2), D(3+) of each order      Chen and Goodman (1999)
    Kneser-Ney             adjusted counts, one D for each order                 Kneser and Ney (1995), interpolated
    absolute discounting   raw counts, one D for each order                      Ney, Essen and Kneser (1994)
    Witten-Bell            raw counts, no D, t = 1                               Witten and Bell (1991), method C
    add-k                  raw counts, no D, a = k V; shorter contexts uniform   Lidstone (1920)
    stupid back-off        c(hw) / C(h), else 0.4 times the shorter context's    Brants et al. (2007)

*Add-k* gives every word after a full context (c(hw) + k) / (C(h) + k V). That is the form above when p(w | h') is
uniform, 1 / V; therefore n-grams of lower orders get 1 / V, except those that begin with ``<s>``, whose context is
complete. A context shorter than the order that does not begin with ``<s>`` is thus answered with 1 / V.

*Stupid back-off* gives scores, which do not sum to one, and nothing to unknown words (-99). Brants et al. multiply by
0.4 for every word that is dropped from the context; a back-off table does so only for contexts that it holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nlpladder.models.ngram.discounts import (
    DegenerateDiscountsError,
    Discounts,
    modified_discounts,
    single_discount,
)
from nlpladder.models.ngram.levels import SENTENCE_FINISH, SENTENCE_START
from nlpladder.models.ngram.options import NGramOptions
from nlpladder.models.ngram.workspace import AnyArray, Workspace

STUPID_BACKOFF = 0.4
READS_ADJUSTED_COUNTS = ("modified_kneser_ney", "kneser_ney")
#: N-grams that one thread does at a time.
_CHUNK = 1 << 18

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Interpolation:
    """The constants of the equation at the top, for one order.

    Attributes:
        discounts: D of counts 1, 2, and 3 or more.
        type_weight: t.
        pseudo_count: a.
    """

    discounts: Discounts = (0.0, 0.0, 0.0)
    type_weight: float = 0.0
    pseudo_count: float = 0.0


def interpolations(
    options: NGramOptions, counts_of_counts: Sequence[Sequence[int]], vocabulary_size: int
) -> tuple[list[Interpolation], list[str]]:
    """Return the constants of each order, and a note for each order whose discounts are replaced.

    Args:
        options: Method, discounts, k.
        counts_of_counts: For each order, how many n-grams occur 0 to 4 times in the counts that the method reads.
        vocabulary_size: V, the words that can be predicted.
    """
    if options.smoothing == "witten_bell":
        return [Interpolation(type_weight=1.0)] * options.order, []
    if options.smoothing == "add_k":
        return [Interpolation(pseudo_count=options.k * vocabulary_size)] * options.order, []
    if options.smoothing == "stupid_backoff":
        return [Interpolation()] * options.order, []
    if options.smoothing == "absolute_discounting" and options.discount is not None:
        return [Interpolation((options.discount,) * 3)] * options.order, []
    estimate = modified_discounts if options.smoothing == "modified_kneser_ney" else single_discount
    fallback = options.discount_fallback
    if estimate is single_discount:
        fallback = (options.discount_fallback[0],) * 3
    results, notes = [], []
    for order, counts in enumerate(counts_of_counts, start=1):
        try:
            discounts = estimate(counts)
        except DegenerateDiscountsError as problem:
            discounts = (fallback[0], fallback[1], fallback[2])
            if sum(counts):
                listed = ", ".join(f"{discount:g}" for discount in dict.fromkeys(discounts))
                notes.append(
                    f"The {order}-grams have no discounts of their own, for {problem}; {listed} stood in. This is "
                    "usual with little, repeated or artificial text."
                )
        results.append(Interpolation(discounts))
    return results, notes


def unigram_probabilities(
    count: AnyArray, kept: npt.NDArray[np.bool_], constants: Interpolation, sentence_marks: bool
) -> FloatArray:
    """Return the probability of each word, float32, shape (words,); 0 for what is never predicted or pruned.

    Args:
        count: Counts that the method reads, shape (words,); that of ``<s>`` is zero.
        kept: Which words stay.
        constants: Of order 1.
        sentence_marks: Whether ``</s>`` is predicted.
    """
    never = [SENTENCE_START] if sentence_marks else [SENTENCE_START, SENTENCE_FINISH]
    predicted = kept.copy()
    predicted[never] = False
    sizes = count.astype(np.float64)
    discounts = np.array([0.0, *constants.discounts])[np.minimum(count, len(constants.discounts))]
    extra = constants.type_weight * np.count_nonzero(sizes) + constants.pseudo_count
    total = sizes.sum() + extra
    gamma = (discounts[kept].sum() + sizes[~kept].sum() + extra) / total
    probability = (sizes - discounts) / total + gamma / np.count_nonzero(predicted)
    probability[~predicted] = 0.0
    return probability.astype(np.float32)


@dataclass(frozen=True)
class LevelEntries:
    """What the estimate of one level reads.

    Attributes:
        prefix: Contexts, ascending, shape (n-grams,).
        count: Counts that the method reads, negative where pruned.
        suffix: N-grams without their first word, in the level below.
    """

    prefix: AnyArray
    count: AnyArray
    suffix: AnyArray


def level_probabilities(
    entries: LevelEntries,
    lower_probability: FloatArray,
    constants: Interpolation,
    method: str,
    workspace: Workspace,
    num_threads: int,
) -> tuple[FloatArray, FloatArray]:
    """Return the probabilities of a level and the back-off weights of the level below, float32.

    Args:
        entries: The level.
        lower_probability: Probabilities of the level below.
        constants: Of this order.
        method: The smoothing.
        workspace: Where the results go.
        num_threads: Threads to use.
    """
    from nlpladder.models.ngram.estimation_kernels import interpolate_level, relative_frequencies

    probability = workspace.empty(entries.prefix.size, np.float32)
    default = STUPID_BACKOFF if method == "stupid_backoff" else 1.0
    backoff = workspace.full(lower_probability.size, default, np.float32)
    discounts = np.array([0.0, *constants.discounts])

    def estimate(borders: tuple[int, int]) -> None:
        if method == "stupid_backoff":
            relative_frequencies(entries.prefix, entries.count, *borders, probability)
            return
        interpolate_level(
            entries.prefix, entries.count, entries.suffix, lower_probability, discounts, constants.type_weight,
            constants.pseudo_count, *borders, probability, backoff,
        )  # fmt: skip

    with ThreadPoolExecutor(num_threads) as threads:
        list(threads.map(estimate, itertools.pairwise(_context_borders(entries.prefix))))
    return probability, backoff


def _context_borders(prefix: AnyArray) -> list[int]:
    """Return where to cut a level into chunks of whole contexts."""
    cuts = np.arange(_CHUNK, prefix.size, _CHUNK)
    borders = np.searchsorted(prefix, prefix[cuts])
    return [0, *np.unique(borders[borders > 0]).tolist(), prefix.size]


def set_outside(values: FloatArray, starts: tuple[int, int], value: float) -> None:
    """Set the values of n-grams that do not begin with ``<s>``, for add-k; zeros (never predicted, pruned) stay.

    Args:
        values: Probabilities or back-off weights of a level; changed.
        starts: Where the n-grams that begin with ``<s>`` stand: first, and one after the last.
        value: What they get.
    """
    for outside in (values[: starts[0]], values[starts[1] :]):
        for start in range(0, outside.size, _CHUNK):
            piece = outside[start : start + _CHUNK]
            piece[piece > 0] = value
