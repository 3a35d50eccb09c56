"""Batched scoring: texts to word ids to log10 probabilities, in chunks that threads share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from nlpladder.models.ngram.tables import QueryTables, available_threads
from nlpladder.models.ngram.vocabulary import Vocabulary
from nlpladder.text.text_tokenizer import TextTokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Texts a task; small enough that its arrays stay in the cache.
CHUNK_TEXTS = 1024
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ScoredTexts:
    """The tokens of some texts and how they were predicted.

    Attributes:
        ids: int32, shape (tokens,): word ids, with ``</s>`` at the end of each text where it is predicted.
        borders: int64, shape (texts + 1,): where each text begins, and the end.
        scores: float32, shape (tokens,): log10 probabilities.
        lengths: uint8, shape (tokens,): length of the n-gram that answered.
        totals: float64, shape (texts,): sums of `scores`.
    """

    ids: npt.NDArray[np.int32]
    borders: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.uint8]
    totals: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scorer:
    """Scores texts with query tables.

    Attributes:
        tables: The model.
        vocabulary: Its words.
        tokenizer: What splits a text into them.
        sentence_marks: Whether a text begins after ``<s>`` and ends with ``</s>``.
    """

    tables: QueryTables
    vocabulary: Vocabulary
    tokenizer: TextTokenizer
    sentence_marks: bool = True

    def encode(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of some texts and where each text begins, and the end."""
        from nlpladder.models.ngram.scoring_kernels import encode_texts

        data = np.frombuffer(joined_lines(texts, self.tokenizer), np.uint8)
        words = self.vocabulary
        ids = np.empty(data.size // 2 + len(texts) + 1, np.int32)
        borders = np.empty(len(texts) + 1, np.int64)
        size = encode_texts(data, words.hashes, words.ids, words.arena, words.starts, self.sentence_marks, ids, borders)
        return ids[:size], borders

    def score(self, texts: Sequence[str]) -> ScoredTexts:
        """Score some texts in this thread."""
        ids, borders = self.encode(texts)
        return self.score_ids(ids, borders)

    def score_ids(self, ids: npt.NDArray[np.int32], borders: npt.NDArray[np.int64]) -> ScoredTexts:
        """Score texts that are word ids already; see `ScoredTexts` for the arguments."""
        from nlpladder.models.ngram.scoring_kernels import score_tokens

        scores = np.empty(ids.size, np.float32)
        lengths = np.empty(ids.size, np.uint8)
        totals = np.empty(borders.size - 1, np.float64)
        tables = self.tables
        score_tokens(
            ids, borders, self.sentence_marks, tables.unigrams, tables.slots, tables.values, tables.geometry,
            tables.word_bits, tables.order, scores, lengths, totals,
        )  # fmt: skip
        return ScoredTexts(ids, borders, scores, lengths, totals)

    def map_chunks(
        self, summary: Callable[[ScoredTexts], _Result], texts: Sequence[str], *, num_threads: int | None = None
    ) -> Iterable[_Result]:
        """Score chunks of texts in threads and yield what `summary` makes of each, in order.

        Args:
            summary: What to keep of a chunk.
            texts: The texts.
            num_threads: By default one a processor, at most 8.
        """
        chunks = [texts[start : start + CHUNK_TEXTS] for start in range(0, len(texts), CHUNK_TEXTS)]
        threads = min(num_threads or available_threads(), len(chunks))
        if threads < 2:
            yield from (summary(self.score(chunk)) for chunk in chunks)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(lambda chunk: summary(self.score(chunk)), chunks)


def joined_lines(texts: Sequence[str], tokenizer: TextTokenizer) -> bytes:
    """Return texts in UTF-8, one a line, tokens separated by blanks."""
    if tokenizer.method != "whitespace":
        lines: Sequence[str] = [" ".join(tokens) for tokens in tokenizer.tokenize_batch(texts)]
    elif tokenizer.lowercase:
        lines = [text.lower() for text in texts]
    else:
        lines = texts
    joined = "\n".join((*lines, ""))
    if joined.count("\n") != len(lines):  # a newline within a text separates words like any blank
        joined = "\n".join([*(line.replace("\n", " ") for line in lines), ""])
    return joined.encode("utf-8", "surrogatepass")
