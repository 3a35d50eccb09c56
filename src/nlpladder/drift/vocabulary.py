"""The words of the training texts, kept as hashes: small, and good for one question, whether a word is new."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlpladder.errors import DataError
from nlpladder.text.tokenization import regex_tokenize

#: Of the words that occurred, so many are kept, the commonest.
MAX_WORDS = 50_000
#: Of the training texts so many characters are read.
READ_CHARACTERS = 10_000_000
#: A longer text is read to here.
TEXT_CHARACTERS = 20_000
_PIECE = 2**18
HASH = "crc32 of the lower-case word in UTF-8"


@dataclass(frozen=True)
class Vocabulary:
    """Words that training has seen.

    A hash has 32 bits: with 50,000 words a new word is taken for a known one about once in 86,000 times (2^32 /
    50,000). The hashes keep the file small. They keep no secret: whoever tries all words of a dictionary finds which
    of them are here.

    Attributes:
        hashes: Of the words that are kept.
        words: Different words that were read, before the rare ones were left out.
        texts: Training texts that were read.
        complete: Whether these were all of them.
    """

    hashes: frozenset[int]
    words: int
    texts: int
    complete: bool

    @classmethod
    def of(cls, texts: Iterable[str], *, max_words: int = MAX_WORDS, characters: int = READ_CHARACTERS) -> Vocabulary:
        """Count the words of training texts and keep the commonest.

        Args:
            texts: Of the training split; reading ends after `characters`.
            max_words: Words that are kept at most; among equally common ones, those that came first.
            characters: Read at most; the last text is cut.
        """
        counts: Counter[str] = Counter()
        read, number, complete = 0, 0, True
        for text in texts:
            if read >= characters:
                complete = False
                break
            for piece in _pieces(text[: characters - read]):
                counts.update(regex_tokenize(piece.lower()))
            complete = len(text) <= characters - read
            read += len(text)
            number += 1
        kept = [word for word, _ in counts.most_common(max_words)]
        return cls(frozenset(_hashes(kept)), len(counts), number, complete)

    def unknown_share(self, words: list[str]) -> float:
        """Return the share of `words` (lower case, at least one) that training has not seen."""
        return 1.0 - sum(map(self.hashes.__contains__, _hashes(words))) / len(words)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads: the sorted hashes as little-endian 32-bit numbers in base64."""
        packed = np.array(sorted(self.hashes), dtype="<u4").tobytes()
        return {
            "kept": len(self.hashes), "words": self.words, "texts": self.texts, "complete": self.complete,
            "hash": HASH, "base64": base64.b64encode(packed).decode("ascii"),
        }  # fmt: skip

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Vocabulary:
        """Read what `to_json` wrote.

        Raises:
            DataError: It is damaged.
        """
        try:
            if content["hash"] != HASH:
                raise DataError(f"the words are hashed by {content['hash']!r}, expected {HASH!r}")
            hashes = np.frombuffer(base64.b64decode(content["base64"], validate=True), dtype="<u4")
            if len(hashes) != content["kept"]:
                raise DataError(f"it holds {len(hashes)} hashes instead of {content['kept']}")
            words, texts, complete = int(content["words"]), int(content["texts"]), bool(content["complete"])
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise DataError(f"the vocabulary is damaged ({error})") from error
        return cls(frozenset(hashes.tolist()), words, texts, complete)


def words_of(text: str) -> list[str]:
    """Return the words and punctuation marks of a text in lower case, see `regex_tokenize`; of a long one its begin."""
    return regex_tokenize(text[:TEXT_CHARACTERS].lower())


def _pieces(text: str) -> Iterator[str]:
    """Yield a long text, such as a whole corpus in one document, in pieces that end at a blank where there is one."""
    start = 0
    while len(text) - start > _PIECE:
        end = text.rfind(" ", start, start + _PIECE)
        end = end if end > start else start + _PIECE
        yield text[start:end]
        start = end
    yield text[start:]


def _hashes(words: list[str]) -> list[int]:
    # One call to encode for all words: no word holds a line break. JSON can bring half a surrogate pair.
    if not words:
        return []
    return [zlib.crc32(word) for word in "\n".join(words).encode("utf-8", "surrogatepass").split(b"\n")]
