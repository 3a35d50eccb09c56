"""`count_ngrams`: all n-grams of a corpus with their counts, level by level, in canonical order.

The positions of the text are sorted by the words that follow them, as a suffix array sorts them, but only `order` words
deep: first by their own word, then block by block, a word a round (`refinement`). Every round yields the n-grams of one
order, sorted, by counting runs. Blocks are independent: threads take them, a bound on memory makes them small, and the
result does not depend on either. No n-gram is ever hashed or moved as text: 12 bytes an n-gram and 8 bytes a token are
held, in memory or in files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import cpu_count
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError, RunError
from nlpladder.models.ngram.levels import SENTENCE_START, SPECIAL_WORDS, UNKNOWN_WORD
from nlpladder.models.ngram.options import NGramOptions
from nlpladder.models.ngram.refinement import plan_blocks, refined_blocks
from nlpladder.models.ngram.workspace import AnyArray, GrowingArray, Workspace
from nlpladder.text.encoding import EncodedCorpus

Progress = Callable[[str], None]
#: Ids that are read from the corpus at a time.
_CHUNK = 1 << 18
_LARGEST = (1 << 31) - 1


@dataclass(frozen=True)
class CountLevel:
    """All n-grams of one order with their counts, sorted by (prefix, word); see `NGramLevel`.

    Attributes:
        prefix: int32, shape (n-grams,): where the first n - 1 words stand in the level below; zeros for unigrams.
        word: int32, shape (n-grams,): the last word's id.
        count: int32 (int64 where a count needs it), shape (n-grams,): how often it occurs. Every word has an entry at
            the first level, also one that never occurs.
    """

    prefix: npt.NDArray[np.signedinteger[Any]]
    word: npt.NDArray[np.int32]
    count: npt.NDArray[np.signedinteger[Any]]

    def __len__(self) -> int:
        return self.word.size


@dataclass(frozen=True)
class NGramCounts:
    """The n-grams of a corpus.

    Attributes:
        words: The vocabulary: ``<unk>``, ``<s>``, ``</s>``, and the words in order of first appearance (or as given).
        levels: The n-grams of each order, from 1 on. Sentences begin with ``<s>``; they end with ``</s>`` only where
            `sentence_marks` is set.
        sentence_marks: Whether sentence borders are to be modelled.
        notes: What was left out or renamed, in sentences.
    """

    words: list[str]
    levels: list[CountLevel]
    sentence_marks: bool = True
    notes: tuple[str, ...] = ()


def count_ngrams(
    corpus: EncodedCorpus,
    options: NGramOptions,
    *,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> NGramCounts:
    """Count all n-grams of a corpus up to ``options.order``.

    An n-gram lies within one sentence. Before a sentence stands one ``<s>``, however high the order.

    Args:
        corpus: Word ids.
        options: Order, vocabulary, sentence marks, special words, memory, threads.
        workspace: Where large arrays go; by default one made from ``options.memory``.
        progress: Told what is being done.

    Raises:
        DataError: The corpus is empty, holds special words that are refused, or has more than 2**31 tokens (count such
            a corpus in shards).
    """
    workspace = workspace or Workspace(options.memory)
    words, new_ids, notes = number_vocabulary(corpus, options)
    if progress:
        progress(f"counting n-grams of {corpus.num_tokens:,} tokens up to order {options.order}")
    in_memory = 0 if isinstance(corpus.ids, np.memmap) else corpus.ids.nbytes
    with workspace.holding(in_memory):
        sequence = _sequence(corpus, new_ids, options.sentence_marks, workspace)
        num_threads = options.num_threads or cpu_count() or 1
        levels = _count_sequence(sequence, len(words), options.order, num_threads, workspace, progress)
    return NGramCounts(words, levels, options.sentence_marks, (*corpus.notes, *notes))


def number_vocabulary(
    corpus: EncodedCorpus, options: NGramOptions
) -> tuple[list[str], npt.NDArray[np.int32], list[str]]:
    """Return the vocabulary, the new id of each word of the corpus (-1: leave out), and notes.

    Raises:
        DataError: The corpus is empty, special words occur that are refused, or the closed vocabulary names a word
            twice.
    """
    if corpus.num_sentences == 0:
        raise DataError("The corpus has no words; expected text with a sentence on each line.")
    position = {word: number for number, word in enumerate(corpus.words)}
    special = {word: (position[word], int(corpus.counts[position[word]])) for word in SPECIAL_WORDS if word in position}
    notes = _check_special_words({word: count for word, (_, count) in special.items() if count}, options.special_words)
    new_ids = np.full(len(corpus.words), -1, dtype=np.int32)
    if options.vocabulary is None:
        kept = [number for number, word in enumerate(corpus.words) if word not in special]
        new_ids[kept] = np.arange(len(SPECIAL_WORDS), len(SPECIAL_WORDS) + len(kept), dtype=np.int32)
        words = [*SPECIAL_WORDS, *(corpus.words[number] for number in kept)]
    else:
        listed = [word for word in options.vocabulary if word not in SPECIAL_WORDS]
        if len(set(listed)) < len(listed):
            twice = next(word for number, word in enumerate(listed) if word in listed[:number])
            raise DataError(f"The vocabulary names {twice!r} twice. Name each word once.")
        new_ids[:] = UNKNOWN_WORD
        for number, word in enumerate(listed, start=len(SPECIAL_WORDS)):
            if word in position:
                new_ids[position[word]] = number
        words = [*SPECIAL_WORDS, *listed]
        unknown = int(corpus.counts[new_ids == UNKNOWN_WORD].sum()) + corpus.num_unknown
        notes.append(f"{unknown:,} of {corpus.num_tokens:,} tokens are outside the vocabulary and count as <unk>.")
    for number, _ in special.values():
        new_ids[number] = -1
    if "<unk>" in special and options.special_words == "unknown":
        new_ids[special["<unk>"][0]] = UNKNOWN_WORD
    return words, new_ids, notes


def _check_special_words(found: dict[str, int], meaning: str) -> list[str]:
    """Refuse or announce special words (with their counts) in the text."""
    refused = {"error": SPECIAL_WORDS, "unknown": SPECIAL_WORDS[1:], "skip": ()}[meaning]
    for word in refused:
        if word in found:
            raise DataError(
                f"The text holds {word} {found[word]:,} times, but that is the model's own mark. Set special_words to "
                "'skip' to leave such words out, or rename them in the text."
            )
    if meaning == "skip" and found:
        listed = ", ".join(f"{word} ({count:,} times)" for word, count in found.items())
        return [f"Special words in the text were left out: {listed}."]
    if found:
        return [f"<unk> in the text ({found['<unk>']:,} times) counts as the unknown word."]
    return []


def _sequence(corpus: EncodedCorpus, new_ids: AnyArray, marks: bool, workspace: Workspace) -> AnyArray:
    """Return the text as one array of new ids with sentence marks, closed by one ``<s>``."""
    from nlpladder.models.ngram.counting_kernels import number_words

    longest = corpus.ids.size + corpus.num_sentences + 1
    if longest > _LARGEST:
        raise DataError(
            f"The corpus has {corpus.num_tokens:,} tokens, more than one pass can count (2**31). Count it in shards: "
            "estimate_sharded, or --num_shards."
        )
    sequence = workspace.empty(longest, np.int32)
    used, inside = 0, False
    for start in range(0, corpus.ids.size, _CHUNK):
        chunk = np.array(corpus.ids[start : start + _CHUNK])  # a copy, for the corpus may be mapped read-only
        used, inside = number_words(chunk, new_ids, marks, inside, sequence, used)
    sequence[used] = SENTENCE_START
    return sequence[: used + 1]


def _count_sequence(
    sequence: AnyArray, num_words: int, order: int, num_threads: int, workspace: Workspace, progress: Progress | None
) -> list[CountLevel]:
    """Return the levels of a text that ends with one ``<s>`` too many."""
    from nlpladder.models.ngram.counting_kernels import count_words

    counts = np.zeros(num_words, np.int64)
    count_words(sequence[:-1], counts)
    unigrams = CountLevel(np.zeros(num_words, np.int32), np.arange(num_words, dtype=np.int32), counts.astype(np.int32))
    if order == 1:
        return [unigrams]
    return [unigrams, *_longer_ngrams(sequence, counts, order, num_threads, workspace, progress)]


def _longer_ngrams(
    sequence: AnyArray, counts: AnyArray, order: int, num_threads: int, workspace: Workspace, progress: Progress | None
) -> list[CountLevel]:
    """Return the levels from 2 on."""
    positions = _positions_by_word(sequence[:-1], counts, workspace)
    plan = plan_blocks(int(counts.max()), order, num_threads, workspace)
    sizes = [counts.size] + [0] * (order - 1)
    siblings = [0] * order  # where the n-grams begin that the next blocks continue
    writers = [[GrowingArray(workspace, np.int32) for _ in range(3)] for _ in range(order - 1)]
    with workspace.holding(plan.held):
        for block in refined_blocks(sequence, positions, counts, order, plan, workspace):
            offset = siblings[block.length - 1] + block.first
            siblings[block.length] = sizes[block.length]
            for level, (prefix, word, count) in enumerate(block.entries, start=block.length):
                if sizes[level] + word.size > _LARGEST:
                    raise RunError(
                        f"There are more than 2**31 {level + 1}-grams; use a lower order or a smaller corpus."
                    )
                prefix += np.int32(offset)
                offset = sizes[level]
                sizes[level] += word.size
                for writer, entries in zip(writers[level - 1], (prefix, word, count), strict=True):
                    writer.append(entries)
    del positions, sequence
    if progress:
        progress("counted " + ", ".join(f"{size:,} {level}-grams" for level, size in enumerate(sizes, start=1)))
    return [CountLevel(*(writer.finish() for writer in level)) for level in writers]


def _positions_by_word(sequence: AnyArray, counts: AnyArray, workspace: Workspace) -> AnyArray:
    """Return all positions of the text, grouped by their word."""
    from nlpladder.models.ngram.counting_kernels import group_positions

    positions = workspace.empty(sequence.size, np.int32)
    ends = np.cumsum(counts) - counts
    for start in range(0, sequence.size, _CHUNK):
        group_positions(sequence[start : start + _CHUNK], start, ends, positions)
    return positions
