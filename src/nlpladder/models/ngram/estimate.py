"""`estimate`: an n-gram language model from a corpus, and what was learnt on the way."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path

import numpy as np

from nlpladder.errors import DataError, ModelError
from nlpladder.models.ngram.counting import CountLevel, NGramCounts, Progress, count_ngrams
from nlpladder.models.ngram.discounts import Discounts
from nlpladder.models.ngram.kneser_ney import adjusted_counts, last_ngrams, sentence_starts
from nlpladder.models.ngram.levels import NEVER, SENTENCE_FINISH, SENTENCE_START, NGramLevel
from nlpladder.models.ngram.options import NGramOptions
from nlpladder.models.ngram.pruning import KeptEntries, chosen, kept_entries, looked_up, mark_pruned, without
from nlpladder.models.ngram.smoothing import (
    READS_ADJUSTED_COUNTS,
    FloatArray,
    Interpolation,
    LevelEntries,
    interpolations,
    level_probabilities,
    set_outside,
    unigram_probabilities,
)
from nlpladder.models.ngram.workspace import AnyArray, Workspace
from nlpladder.text.encoding import EncodedCorpus

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Estimate:
    """An estimated model.

    Attributes:
        levels: The n-grams of each order, from 1 on.
        words: The vocabulary; word i is entry i of the unigrams.
        discounts: The discounts of counts 1, 2, and 3 or more, of each order; zeros for methods without.
        counts: How many n-grams of each order the corpus has, before pruning.
        notes: What was left out, replaced or renamed, in sentences.
    """

    levels: list[NGramLevel]
    words: list[str]
    discounts: list[Discounts]
    counts: list[int]
    notes: list[str]


def estimate(
    corpus: EncodedCorpus,
    options: NGramOptions | None = None,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate an n-gram model.

    With modified Kneser-Ney the result is that of KenLM's ``lmplz``, entry by entry. (One thing differs before: an
    empty line is no sentence here; ``lmplz`` takes it for one without words.)

    ``options.memory`` bounds what is allocated here, whatever the size of the corpus, beside three things: the
    interpreter; the vocabulary (its words are Python strings, in two lists and for a while a dictionary, and some
    arrays have an entry a word); and pages of files that the system caches. Bounds below some 4 MiB are overshot, for
    less does not keep a thread at work. The corpus itself counts unless its ids are mapped from a file (``spool``). The
    levels of the result may be mapped as well.

    Args:
        corpus: Word ids, from `nlpladder.text.encoding.encode_corpus`.
        options: Order, smoothing, pruning, memory and the rest; the defaults give an unpruned 5-gram model.
        folder: Where arrays go that exceed ``options.memory``; by default the system's folder for temporary files.
            Nothing stays behind in it, but for an empty folder ``.ngrams-…`` when the program is killed.
        progress: Told what is being done.

    Raises:
        DataError: The corpus is empty, holds special words that are refused, or is too large for one pass.
        RunError: The folder has no room.
    """
    options = options or NGramOptions()
    with contextlib.closing(Workspace(options.memory, folder)) as workspace:
        # The counts are handed over without a name of their own here, so that they can be given back early.
        return _estimate(
            count_ngrams(corpus, options, workspace=workspace, progress=progress), options, workspace, progress
        )


def estimate_from_counts(
    counts: NGramCounts,
    options: NGramOptions | None = None,
    *,
    folder: Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate an n-gram model from counts, for example those merged from shards.

    Args:
        counts: N-grams up to ``options.order`` or higher; longer ones are not read.
        options: As for `estimate`; vocabulary, special words and sentence marks were decided when counting.
        folder: As for `estimate`.
        workspace: Where large arrays go, in place of one made from ``options.memory`` and `folder`.
        progress: As for `estimate`.

    Raises:
        ModelError: The counts do not reach the order, or contradict each other.
        RunError: The folder has no room.
    """
    options = options or NGramOptions()
    if len(counts.levels) < options.order:
        raise ModelError(
            f"The counts reach order {len(counts.levels)}, but order {options.order} was asked for. Count again, or "
            "lower the order."
        )
    if workspace is not None:
        return _estimate(counts, options, workspace, progress)
    with contextlib.closing(Workspace(options.memory, folder)) as own:
        return _estimate(counts, options, own, progress)


@dataclass
class _Level:
    """One order on its way from counts to probabilities.

    Attributes:
        prefix: As in `NGramLevel`.
        word: As in `NGramLevel`.
        raw: How often each n-gram occurs.
        count: The counts that the smoothing reads.
        suffix: Each n-gram without its first word, as a place in the level below; not read for unigrams.
        starts: Where the n-grams that begin with ``<s>`` stand: first, and one after the last.
        entries: Which n-grams stay; None for all.
    """

    prefix: AnyArray
    word: AnyArray
    raw: AnyArray
    count: AnyArray
    suffix: AnyArray
    starts: tuple[int, int]
    entries: KeptEntries | None = None


def _estimate(counts: NGramCounts, options: NGramOptions, workspace: Workspace, progress: Progress | None) -> Estimate:
    num_threads = options.num_threads or cpu_count() or 1
    words, marks, notes = counts.words, counts.sentence_marks, list(counts.notes)
    sizes = [len(level) for level in counts.levels[: options.order]]
    if progress:
        progress(f"estimating probabilities with {options.smoothing.replace('_', ' ')}")
    levels, counts_of_counts = _levels(list(counts.levels[: options.order]), marks, options, workspace, num_threads)
    del counts
    if not levels[0].count.any():
        raise DataError("No words are left to count: the text holds special words only, and they are left out.")
    for number, (level, threshold) in enumerate(zip(levels, options.prune_thresholds, strict=True)):
        if threshold:
            level.entries = kept_entries(level.raw, threshold, unigrams=number == 0, workspace=workspace)
            if number > 0:
                level.count = mark_pruned(level.count, level.entries.kept, workspace)
        level.raw = level.raw[:0].copy()
    kept_words = np.ones(len(words), bool) if levels[0].entries is None else levels[0].entries.kept
    vocabulary_size = int(np.count_nonzero(kept_words)) - (1 if marks else 2)
    constants, fallback_notes = interpolations(options, counts_of_counts, vocabulary_size)
    unigrams = unigram_probabilities(levels[0].count, kept_words, constants[0], marks)
    results = _interpolate(levels, unigrams, constants, options.smoothing, workspace, num_threads)
    never = [SENTENCE_START] if marks else [SENTENCE_START, SENTENCE_FINISH]
    results[0].log10_probability[never] = NEVER
    return Estimate(
        levels=results,
        words=[words[place] for place in np.flatnonzero(kept_words).tolist()],
        discounts=[entry.discounts for entry in constants],
        counts=sizes,
        notes=notes + fallback_notes,
    )


def _levels(
    counted: list[CountLevel], marks: bool, options: NGramOptions, workspace: Workspace, num_threads: int
) -> tuple[list[_Level], list[list[int]]]:
    """Return the levels with the counts that the smoothing reads, and their counts of counts."""
    suffixes = link_levels(counted, workspace, num_threads)
    starts = sentence_starts(counted)
    last: list[int | None] = [None] * len(counted)
    if options.smoothing in READS_ADJUSTED_COUNTS:
        read = adjusted_counts(counted, suffixes, workspace, num_threads)
        if options.smoothing == "modified_kneser_ney" and options.lmplz_discounts and marks:
            last = last_ngrams(counted, suffixes)
    else:
        read = [level.count for level in counted]
        read[0] = read[0].copy()
        read[0][SENTENCE_START] = 0
    levels, counts_of_counts = [], []
    for number, (level, count, suffix, place) in enumerate(zip(counted, read, suffixes, last, strict=True)):
        begin, end = (0, 0) if marks or number == 0 else starts[number]  # what is not modelled is not counted
        tally = _counts_of_counts(count[:begin], count[end:])
        if place is not None:
            for size, change in ((int(count[place]), -1), (int(level.count[place]), 1)):
                if size < len(tally):
                    tally[size] += change
        counts_of_counts.append(tally)
        levels.append(_Level(level.prefix, level.word, level.count, count, suffix, starts[number]))
    return levels if marks else _without_starts(levels, workspace), counts_of_counts


def link_levels(levels: Sequence[CountLevel], workspace: Workspace, num_threads: int) -> list[AnyArray]:
    """Return for each level the place of each n-gram without its first word, in the level below.

    Args:
        levels: Counted n-grams, from order 1 on.
        workspace: Where the places go.
        num_threads: Threads to use.

    Returns:
        int32 arrays of shape (n-grams,); empty for unigrams, the words themselves for bigrams.

    Raises:
        ModelError: Some n-gram's end is not among the shorter n-grams: the counts contradict each other.
    """
    from nlpladder.models.ngram.estimation_kernels import first_children, link_suffixes

    suffixes = [np.empty(0, np.int32)]
    lower_first = np.empty(0, np.int32)
    with ThreadPoolExecutor(num_threads) as threads:
        for number, level in enumerate(levels[1:], start=1):
            lower = levels[number - 1]
            first = workspace.empty(len(lower) + 1, np.int32)
            first_children(level.prefix, first)
            if number == 1:
                suffixes.append(level.word)
            else:
                suffix = workspace.empty(len(level), np.int32)
                cuts = np.unique(level.prefix[np.arange(_CHUNK, len(level), _CHUNK)]).tolist()
                jobs = [
                    threads.submit(
                        link_suffixes, first, level.word, suffixes[-1], lower_first, lower.word, start, stop, suffix
                    )
                    for start, stop in itertools.pairwise([0, *cuts, len(lower)])
                ]
                missing = sum(job.result() for job in jobs)
                if missing:
                    raise ModelError(
                        f"{missing:,} {number + 1}-grams end in {number}-grams that were not counted: the counts "
                        "contradict each other. Count the text again."
                    )
                suffixes.append(suffix)
            lower_first = first
    return suffixes


def _without_starts(levels: list[_Level], workspace: Workspace) -> list[_Level]:
    """Return the levels without the n-grams that begin with ``<s>``; the word itself stays, with nothing after it."""
    results = [levels[0]]
    for number, level in enumerate(levels[1:], start=1):
        begin, end = levels[number - 1].starts
        prefix, suffix, word, raw, count = (
            without(entries, *level.starts, workspace)
            for entries in (level.prefix, level.suffix, level.word, level.raw, level.count)
        )
        if number > 1:  # all words stay, but bigrams and longer n-grams move up
            for places in (prefix, suffix):
                for start in range(0, places.size, _CHUNK):
                    piece = places[start : start + _CHUNK]
                    piece[piece >= end] -= end - begin
        results.append(_Level(prefix, word, raw, count, suffix, starts=(0, 0)))
    return results


def _counts_of_counts(*parts: AnyArray) -> list[int]:
    from nlpladder.models.ngram.estimation_kernels import count_counts

    tally = np.zeros(5, np.int64)
    for count in parts:
        count_counts(count, tally)
    return tally.tolist()


def _interpolate(
    levels: list[_Level],
    unigrams: FloatArray,
    constants: Sequence[Interpolation],
    method: str,
    workspace: Workspace,
    num_threads: int,
) -> list[NGramLevel]:
    """Return the finished levels; what the estimate reads is given back as soon as it is no longer needed."""
    results = []
    last = len(levels) - 1
    uniform = 1.0 / np.count_nonzero(unigrams)
    probability = unigrams
    if method == "add_k" and last > 0:
        set_outside(probability, levels[0].starts, uniform)
    for number in range(1, last + 1):
        level, lower = levels[number], levels[number - 1]
        higher, backoff = level_probabilities(
            LevelEntries(level.prefix, level.count, level.suffix),
            probability, constants[number], method, workspace, num_threads,
        )  # fmt: skip
        if method == "add_k" and number < last:
            set_outside(higher, level.starts, uniform)
            set_outside(backoff, lower.starts, 1.0)
        level.count = level.suffix = level.count[:0].copy()
        results.append(_finished(levels, number - 1, probability, backoff, workspace, num_threads))
        probability = higher
    results.append(_finished(levels, last, probability, np.empty(0, np.float32), workspace, num_threads))
    return results


def _finished(
    levels: list[_Level],
    number: int,
    probability: FloatArray,
    backoff: FloatArray,
    workspace: Workspace,
    num_threads: int,
) -> NGramLevel:
    """Return a level of the model: pruned n-grams left out, probabilities as logarithms."""
    level, entries = levels[number], levels[number].entries
    prefix, word = level.prefix, level.word
    if entries is not None:
        size = int(np.count_nonzero(entries.kept))
        prefix, word, probability = (
            chosen(values, entries.kept, size, workspace) for values in (prefix, word, probability)
        )
        backoff = chosen(backoff, entries.kept, size, workspace) if backoff.size else backoff
    below = levels[number - 1].entries if number else None
    words = levels[0].entries
    if below is not None:
        prefix = looked_up(below.place, prefix, workspace)
    if words is not None:
        word = looked_up(words.place, word, workspace)
    with ThreadPoolExecutor(num_threads) as threads:
        for values in (probability, backoff):
            list(threads.map(_to_log10, (values[start : start + _CHUNK] for start in range(0, values.size, _CHUNK))))
    return NGramLevel(prefix, word, probability, backoff)


def _to_log10(values: FloatArray) -> None:
    """Replace probabilities or weights by their logarithms, which rounding must not lift above 0."""
    with np.errstate(divide="ignore"):
        np.log10(values, out=values)
    np.clip(values, NEVER, 0.0, out=values)
