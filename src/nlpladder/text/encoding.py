"""`encode_corpus`: a stream of sentences as word ids, in one pass: the input of the counting and vector rungs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.text.sentence_stream import SentenceStream

Int32Array = npt.NDArray[np.int32]
SENTENCE_END = -1
UNKNOWN = -2
#: Ids renamed at a time, so that a corpus on disk is never held whole.
_CHUNK = 1 << 22
_FIRST_WORDS = 1 << 16
_FIRST_BYTES = 1 << 20


@dataclass(frozen=True)
class EncodedCorpus:
    """A corpus as numbers.

    Attributes:
        ids: int32, shape (tokens + sentences,): word ids, `SENTENCE_END` after each sentence, `UNKNOWN` for tokens
            outside a given vocabulary; memory-mapped where a spool file was given.
        words: In order of first appearance, or as given.
        counts: int64, shape (words,): how often each occurs.
        num_tokens: Tokens, unknown ones included.
        num_sentences: Sentences with at least one token.
        num_unknown: Tokens outside the given vocabulary.
        notes: What was repaired on the way, in sentences.
    """

    ids: Int32Array
    words: list[str]
    counts: npt.NDArray[np.int64]
    num_tokens: int
    num_sentences: int
    num_unknown: int = 0
    notes: tuple[str, ...] = ()

    def remapped(self, new_ids: npt.ArrayLike, *, drop: bool = True) -> Int32Array:
        """Return the ids with word i renamed ``new_ids[i]``.

        Args:
            new_ids: Shape (words,); negative for words that are to go.
            drop: Leave such words (and unknown ones) out; otherwise they become `UNKNOWN`.
        """
        from nlpladder.text.encoding_kernels import rename_ids

        table = np.ascontiguousarray(new_ids, dtype=np.int32)
        renamed = np.empty(self.ids.size, dtype=np.int32)
        written = 0
        for start in range(0, self.ids.size, _CHUNK):
            chunk = np.ascontiguousarray(self.ids[start : start + _CHUNK])
            written += rename_ids(chunk, table, drop, renamed[written:])
        return renamed[:written]

    def sentences(self) -> Iterator[list[str]]:
        """Yield each sentence as words; unknown tokens as ``<unk>``."""
        ends = np.flatnonzero(self.ids == SENTENCE_END)
        start = 0
        for end in ends.tolist():
            yield [self.words[word] if word >= 0 else "<unk>" for word in self.ids[start:end].tolist()]
            start = end + 1


def encode_corpus(
    stream: SentenceStream | Iterable[Sequence[str]],
    *,
    words: Sequence[str] | None = None,
    spool: str | Path | None = None,
) -> EncodedCorpus:
    """Read a corpus once and return its word ids.

    Args:
        stream: Sentences, or lists of tokens.
        words: A closed vocabulary; other tokens become `UNKNOWN`. Without it every word joins.
        spool: A new file for the ids, for corpora larger than memory; the result maps it.

    Raises:
        DataError: The stream cannot be read, the vocabulary names a word twice, or the spool file exists.
    """
    source = stream if isinstance(stream, SentenceStream) else SentenceStream.from_tokens(stream, readings=1)
    table = WordTable(words)
    sink = _Spool(Path(spool)) if spool is not None else _Memory()
    with sink:
        for block in source.blocks():
            sink.add(table.encode(np.frombuffer(block, dtype=np.uint8)))
        sink.add(table.close())
    ids = sink.ids()
    return EncodedCorpus(
        ids=ids,
        words=table.words(),
        counts=table.counts(),
        num_tokens=int(ids.size) - table.num_sentences,
        num_sentences=table.num_sentences,
        num_unknown=table.num_unknown,
        notes=tuple(source.notes),
    )


class WordTable:
    """Words and their ids: an open-addressing hash table.

    Args:
        words: A closed vocabulary, or None for one that grows.

    Raises:
        DataError: when a word occurs twice in a closed vocabulary.
    """

    def __init__(self, words: Sequence[str] | None = None) -> None:
        self._grow = words is None
        encoded = [word.encode("utf-8", "surrogatepass") for word in words or ()]
        self._arena = (
            np.array(bytearray(b"".join(encoded)), dtype=np.uint8) if encoded else np.empty(_FIRST_BYTES, np.uint8)
        )
        most = max(len(encoded), 1) if words is not None else _FIRST_WORDS
        self._starts = np.zeros(most + 1, dtype=np.int64)
        self._starts[1 : len(encoded) + 1] = np.cumsum([len(word) for word in encoded])
        self._counts = np.zeros(most, dtype=np.int64)
        self._state = np.zeros(5, dtype=np.int64)
        self._state[0] = len(encoded)
        self._state[4] = self._starts[len(encoded)]
        twice = self._index()
        if twice >= 0:
            assert words is not None
            raise DataError(
                f"The vocabulary names {words[twice]!r} twice (again as word {twice}). Name each word once."
            )

    @property
    def num_sentences(self) -> int:
        """Sentences that have ended so far."""
        return int(self._state[1])

    @property
    def num_unknown(self) -> int:
        """Tokens outside a closed vocabulary so far."""
        return int(self._state[3])

    def encode(self, block: npt.NDArray[np.uint8]) -> Int32Array:
        """Return the ids of a block, with `SENTENCE_END` after each sentence that ends in it."""
        from nlpladder.text.encoding_kernels import encode_block

        ids = np.empty(block.size + 1, dtype=np.int32)
        position = written = 0
        while True:
            position, written = encode_block(
                block, position, ids, written, self._slots, self._arena, self._starts, self._counts,
                self._grow, self._state,
            )  # fmt: skip
            if position >= block.size:
                return ids[:written].copy()
            self._enlarge(block.size)

    def close(self) -> Int32Array:
        """End the last sentence, if one is open."""
        open_sentence = bool(self._state[2])
        self._state[1] += open_sentence
        self._state[2] = 0
        return np.full(int(open_sentence), SENTENCE_END, dtype=np.int32)

    def words(self) -> list[str]:
        """Return the words in id order."""
        spelled = self._arena[: self._state[4]].tobytes()
        starts = self._starts[: self._state[0] + 1].tolist()
        return [spelled[begin:end].decode("utf-8", "surrogatepass") for begin, end in itertools.pairwise(starts)]

    def counts(self) -> npt.NDArray[np.int64]:
        """Return how often each word occurred, shape (words,)."""
        return self._counts[: self._state[0]].copy()

    def _enlarge(self, needed_bytes: int) -> None:
        """Double the number of words and of bytes, and index again."""
        self._arena = np.concatenate([self._arena, np.empty(max(self._arena.size, needed_bytes), np.uint8)])
        self._starts = np.concatenate([self._starts, np.zeros(self._counts.size, np.int64)])
        self._counts = np.concatenate([self._counts, np.zeros(self._counts.size, np.int64)])
        self._index()

    def _index(self) -> int:
        from nlpladder.text.encoding_kernels import insert_words

        size = 1 << int(4 * self._counts.size - 1).bit_length()
        self._slots: Any = np.zeros((size, 3), dtype=np.uint64)
        return int(insert_words(self._slots, self._arena, self._starts, int(self._state[0])))


class _Memory:
    """Collects ids in memory."""

    def __init__(self) -> None:
        self._parts: list[Int32Array] = []

    def __enter__(self) -> _Memory:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def add(self, ids: Int32Array) -> None:
        self._parts.append(ids)

    def ids(self) -> Int32Array:
        joined = np.empty(sum(part.size for part in self._parts), dtype=np.int32)
        written = 0
        for number, part in enumerate(self._parts):
            joined[written : written + part.size] = part
            written += part.size
            self._parts[number] = joined[:0]  # gives the part's memory back while the rest is copied
        return joined


class _Spool:
    """Writes ids to a file under a temporary name, which becomes the file when all went well."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise DataError(f"The spool file {path} exists already. Remove it or name another one.")
        self._path = path
        self._temporary = path.with_name(path.name + ".part")

    def __enter__(self) -> _Spool:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._temporary.open("wb")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if kind is None:
            self._temporary.rename(self._path)
        else:
            self._temporary.unlink(missing_ok=True)

    def add(self, ids: Int32Array) -> None:
        ids.tofile(self._file)

    def ids(self) -> Int32Array:
        if self._path.stat().st_size == 0:
            return np.empty(0, dtype=np.int32)
        return np.memmap(self._path, dtype=np.int32, mode="r")
