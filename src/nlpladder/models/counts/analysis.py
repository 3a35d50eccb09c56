"""How a vectoriser reads documents: which settings the kernels understand, and documents as chunks of units.

Settings that the kernels do not understand (a tokeniser or analyser of the user's own, an unusual token pattern, an
overridden method) are left to scikit-learn's analyser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

import numpy as np
from sklearn.feature_extraction import text as sklearn_text

from nlpladder.models.counts import kernels, scanning
from nlpladder.models.counts.term_table import Chunk, NgramRange, TermTable, encode_text, join_encoded
from nlpladder.models.counts.unicode_tables import folded_bytes, folded_word_bytes, white_space, word_characters

#: Token patterns that mean "runs of at least so many word characters".
SHORTEST_WORD = {
    rf"{flag}{pattern}": shortest
    for flag in ("", "(?u)")
    for pattern, shortest in ((r"\b\w\w+\b", 2), (r"\w\w+", 2), (r"\w{2,}", 2), (r"\b\w+\b", 1), (r"\w+", 1))
}

#: Characters that are read before the kernels run: small enough for the processor's cache.
CHUNK_CHARACTERS = 1 << 16

_ANALYSIS_METHODS = (
    "build_analyzer",
    "build_preprocessor",
    "build_tokenizer",
    "decode",
    "get_stop_words",
    "_word_ngrams",
    "_char_ngrams",
    "_char_wb_ngrams",
)


@dataclass(frozen=True)
class FastAnalysis:
    """Settings that the kernels understand.

    Attributes:
        unit: What n-grams consist of.
        shortest: Fewest characters of a word.
        ngrams: Which n-grams are terms.
        fold: Whether the kernels turn ASCII to lower case. Otherwise `preprocess` reads every document.
        preprocess: From a document to the text that is scanned.
        given_as_content: Whether documents are given as they are, not as files to read.
        decode: From what the user gave (bytes, a file name, a file) to a document.
        stop_words: Words that are dropped before n-grams are formed.
        strict_ngrams: From a text to its n-grams, none of which may hold a lone surrogate. None: they may.
    """

    unit: Literal["word", "char", "char_wb"]
    shortest: int
    ngrams: NgramRange
    fold: bool
    preprocess: Callable[[Any], Any]
    given_as_content: bool
    decode: Callable[[Any], Any]
    stop_words: TermTable | None
    strict_ngrams: Callable[[str], Iterable[str]] | None

    def chunks(self, documents: Iterable[Any]) -> Iterator[Chunk]:
        """Read documents, decode and preprocess them, and scan them chunk by chunk."""
        pieces: list[bytes] = []
        waiting = 0
        for number, document in enumerate(documents):
            pieces.append(self._encode(document, number))
            waiting += len(pieces[-1])
            if waiting >= CHUNK_CHARACTERS or len(pieces) >= CHUNK_CHARACTERS:
                yield self._scan(pieces)
                pieces = []
                waiting = 0
        if pieces:
            yield self._scan(pieces)

    def _encode(self, document: Any, number: int) -> bytes:
        """Return the text of one document in UTF-8."""
        if not (self.given_as_content and isinstance(document, str)):
            document = self.decode(document)
        text = document
        if not (self.fold and isinstance(document, str) and document.isascii()):
            text = self._preprocessed(document, number)
        try:
            return text.encode("utf-8")
        except UnicodeEncodeError:
            if self.strict_ngrams is not None:
                for term in self.strict_ngrams(text):
                    term.encode("utf-8")
            return encode_text(text)

    def _preprocessed(self, document: Any, number: int) -> str:
        """Return the text that is scanned; what is not a text fails as in scikit-learn, with its place added."""
        try:
            text = self.preprocess(document)
        except (AttributeError, TypeError) as error:
            if isinstance(document, str):
                raise
            kind = AttributeError if isinstance(error, AttributeError) else TypeError
            place = f"Document {number} is of type {type(document).__name__}"
            raise kind(f"{place}; expected str or bytes ({error}).") from error
        if not isinstance(text, str):
            raise TypeError(f"Document {number} is of type {type(text).__name__} after preprocessing; expected str.")
        return text

    def _scan(self, pieces: list[bytes]) -> Chunk:
        """Cut encoded documents into units."""
        data, offsets = join_encoded(pieces)
        documents = np.zeros(offsets.size, np.int64)
        if self.unit == "word":
            buffer = np.empty(data.size + offsets.size, np.uint8)
            starts = np.empty(buffer.size // (self.shortest + 1) + 2, np.int64)
            fold = folded_word_bytes(self.fold)
            scanning.scan_words(data, offsets, fold, word_characters(), self.shortest, buffer, starts, documents)
            chunk = Chunk(buffer, starts, documents, np.arange(offsets.size))
            if self.stop_words is not None:
                kernels.drop_units(buffer, starts, documents, self.stop_words.number_units(chunk))
            return chunk
        fold = folded_bytes(self.fold)
        if self.unit == "char":
            buffer = np.empty(data.size, np.uint8)
            starts = np.empty(data.size + 1, np.int64)
            scanning.scan_characters(data, offsets, fold, white_space(), buffer, starts, documents)
            return Chunk(buffer, starts, documents, np.arange(offsets.size))
        buffer = np.empty(2 * (data.size + offsets.size), np.uint8)
        starts = np.empty(buffer.size + 1, np.int64)
        spans = np.zeros(data.size // 2 + offsets.size + 1, np.int64)
        n_words = scanning.scan_word_characters(data, offsets, fold, white_space(), buffer, starts, spans, documents)
        return Chunk(buffer, starts, spans[: n_words + 1], documents)


def plan_analysis(vectorizer: Any, strict: bool = False) -> FastAnalysis | None:
    """Return how the kernels read documents for the settings of `vectorizer`, or None where they cannot.

    Args:
        vectorizer: A vectoriser of scikit-learn or of ours.
        strict: Whether an n-gram with a lone surrogate is an error, as it is where n-grams are hashed.
    """
    reference = sklearn_text.HashingVectorizer  # inherits every method of analysis unchanged
    overridden = any(getattr(type(vectorizer), name) is not getattr(reference, name) for name in _ANALYSIS_METHODS)
    unit = vectorizer.analyzer
    if overridden or unit not in ("word", "char", "char_wb"):
        return None
    smallest, largest = vectorizer.ngram_range
    if not isinstance(smallest, Integral) or not isinstance(largest, Integral) or smallest < 1:
        return None
    shortest = 0
    stop_words = None
    if unit == "word":
        if vectorizer.tokenizer is not None or vectorizer.token_pattern not in SHORTEST_WORD:
            return None
        shortest = SHORTEST_WORD[vectorizer.token_pattern]
        stop_words = _stop_word_table(vectorizer.get_stop_words())
    strict_ngrams = None
    if strict and unit != "word":  # a surrogate is not part of a word
        strict_ngrams = vectorizer._char_ngrams if unit == "char" else vectorizer._char_wb_ngrams
    return FastAnalysis(
        unit=unit,
        shortest=shortest,
        ngrams=NgramRange(unit == "word", int(smallest), min(int(largest), 2**31 - 1), whole_spans=unit == "char_wb"),
        fold=bool(vectorizer.lowercase) and not vectorizer.strip_accents and vectorizer.preprocessor is None,
        preprocess=vectorizer.build_preprocessor(),
        given_as_content=vectorizer.input == "content",
        decode=vectorizer.decode,
        stop_words=stop_words,
        strict_ngrams=strict_ngrams,
    )


def _stop_word_table(stop_words: Iterable[Any] | None) -> TermTable | None:
    """Return the stop words as a table of single words; with a space in it, none can be met."""
    words = [word for word in stop_words or () if isinstance(word, str) and " " not in word]
    if not words:
        return None
    table = TermTable(NgramRange(words=True, smallest=1, largest=1))
    table.insert(words, np.zeros(len(words), np.int64))
    return table
