"""`Vocabulary`: the words of an n-gram model as arrays, so that a saved model opens without reading them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ModelError
from nlpladder.models.ngram.levels import SPECIAL_WORDS

#: The ids of ``<unk>``, ``<s>`` and ``</s>``.
UNKNOWN_ID, BEGIN_ID, END_ID = range(3)
_SEPARATORS = frozenset("\0\t\n\r ")


@dataclass(frozen=True, eq=False)
class Vocabulary(Sequence[str]):
    """Words by id and ids by word. Strings are made only where one is asked for.

    Attributes:
        arena: uint8: the bytes of all words in UTF-8, one after the other.
        starts: int64, shape (words + 1,): where each word begins in `arena`, and the end.
        hashes: uint64, shape (slots,), a power of two: the hash of the word in each slot.
        ids: int32, shape (slots,): the id of the word in each slot, or -1.
    """

    arena: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    ids: npt.NDArray[np.int32]

    @classmethod
    def from_words(cls, words: Sequence[str]) -> Vocabulary:
        """Index words; the first three must be ``<unk>``, ``<s>`` and ``</s>``.

        Raises:
            ModelError: for other first words, a word that occurs twice, is empty or holds a separator.
        """
        if tuple(words[:3]) != SPECIAL_WORDS:
            raise ModelError(f"The first words must be {', '.join(SPECIAL_WORDS)}; found {', '.join(words[:3])}.")
        for number, word in enumerate(words):
            if not word or not _SEPARATORS.isdisjoint(word):
                raise ModelError(f"Word {number} is {word!r}: words must not be empty or hold white space.")
        encoded = [word.encode("utf-8", "surrogatepass") for word in words]
        starts = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(word) for word in encoded], out=starts[1:])
        # Writable, like every array that kernels get: a read-only one would be compiled for anew.
        return cls.from_bytes(np.frombuffer(bytearray(b"".join(encoded)), np.uint8), starts)

    @classmethod
    def from_bytes(cls, arena: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]) -> Vocabulary:
        """Index words that are bytes already.

        Raises:
            ModelError: when a word occurs twice.
        """
        from nlpladder.models.ngram.vocabulary_kernels import insert_words

        num_words = starts.size - 1
        size = 1 << (2 * num_words).bit_length()
        hashes = np.zeros(size, np.uint64)
        ids = np.full(size, -1, np.int32)
        twice = int(insert_words(hashes, ids, arena, starts))
        vocabulary = cls(arena, starts, hashes, ids)
        if twice >= 0:
            raise ModelError(f"The vocabulary names {vocabulary[twice]!r} twice (again as word {twice}).")
        return vocabulary

    def __len__(self) -> int:
        return self.starts.size - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"There is no word {index}; the vocabulary has {len(self):,}.")
        spelled = self.arena[self.starts[number] : self.starts[number + 1]].tobytes()
        return spelled.decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        spelled = self.arena.tobytes()
        for begin, end in itertools.pairwise(self.starts.tolist()):
            yield spelled[begin:end].decode("utf-8", "surrogatepass")

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and (word in SPECIAL_WORDS or self.id_of(word) != UNKNOWN_ID)

    def id_of(self, word: str) -> int:
        """Return a word's id; that of ``<unk>`` for words outside the vocabulary, and for the marks within a text."""
        from nlpladder.models.ngram.vocabulary_kernels import find_word, hash_word

        spelled = np.frombuffer(word.encode("utf-8", "surrogatepass"), np.uint8)
        if not spelled.size:
            return UNKNOWN_ID
        hashed: Any = np.uint64(hash_word(spelled, 0, spelled.size))
        slot = find_word(spelled, 0, spelled.size, hashed, self.hashes, self.ids, self.arena, self.starts)
        number = int(self.ids[slot])
        return number if number > END_ID else UNKNOWN_ID
