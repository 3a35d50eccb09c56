"""What a file of vectors holds, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nlpladder.errors import DataError

if TYPE_CHECKING:
    from nlpladder.models.vectors.unseen_words import SubwordVectors


@dataclass
class VectorTable:
    """Words and vectors as they were read, or as they are to be written.

    Attributes:
        words: Distinct words.
        vectors: Float32, shape (words, dimensions).
        counts: How often each word occurs, int64 of shape (words,); None where the format does not say.
        subwords: Vectors of character n-grams, from which unseen words get theirs; None where there are none.
        format: Name of the format.
        notes: Counted repairs, a sentence each.
    """

    words: list[str]
    vectors: np.ndarray
    counts: np.ndarray | None = None
    subwords: SubwordVectors | None = None
    format: str = ""
    notes: list[str] = field(default_factory=list)


def drop_duplicates(table: VectorTable) -> VectorTable:
    """Keep the first of equal words, and note how many others were left out."""
    index: dict[str, int] = {}
    for row, word in enumerate(table.words):
        index.setdefault(word, row)
    if len(index) == len(table.words):
        return table
    again = len(table.words) - len(index)
    first_again = next(word for row, word in enumerate(table.words) if index[word] != row)
    keep = np.fromiter(index.values(), np.int64, len(index))
    note = f"{again:,} words occur more than once (such as {first_again!r}); the first vector of each is kept."
    return VectorTable(
        list(index),
        table.vectors[keep],
        None if table.counts is None else table.counts[keep],
        table.subwords,
        table.format,
        [*table.notes, note],
    )


def decode_words(raw: bytes, count: int, path: object, notes: list[str]) -> list[str]:
    """Decode words that end in a newline each; bytes that are no UTF-8 become U+FFFD, and `notes` counts them.

    Args:
        raw: The words.
        count: How many there are.
        path: What messages name.
        notes: Gets the repair.

    Raises:
        DataError: If a word holds a newline itself, which only happens when a binary file is damaged.
    """
    pieces = raw.split(b"\n")[:-1]
    if len(pieces) != count:
        raise DataError(f"{path} is damaged: a word holds the end of a line. Download or copy it again.")
    try:
        return raw.decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError:
        pass
    words, broken = [], 0
    for piece in pieces:
        try:
            words.append(piece.decode("utf-8"))
        except UnicodeDecodeError:
            words.append(piece.decode("utf-8", "replace"))
            broken += 1
    notes.append(f"{broken:,} words held bytes that are no UTF-8; those bytes were replaced by U+FFFD.")
    return words


def all_finite(vectors: np.ndarray) -> bool:
    """Whether no number is NaN or infinite: either would survive the sum, which needs no second array."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(vectors.sum(dtype=np.float64)))


def check_finite(vectors: np.ndarray, path: object) -> None:
    """Refuse vectors that hold NaN or infinity.

    Args:
        vectors: Shape (rows, dimensions).
        path: What the message names.

    Raises:
        DataError: Naming the row.
    """
    if all_finite(vectors):
        return
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        row = int(bad[0])
        column = int(np.flatnonzero(~np.isfinite(vectors[row]))[0])
        raise DataError(
            f"{path}, vector {row + 1}: number {column + 1} is {vectors[row, column]}. Every number must be finite: "
            "the file is damaged, or the training that wrote it diverged."
        )


def check_words_writable(words: Sequence[str], forbidden: str, path: object, reason: str) -> None:
    """Refuse words that a format cannot hold.

    Args:
        words: The words.
        forbidden: Characters that no word may hold.
        path: What the message names.
        reason: Why, such as "the format ends words with a blank".

    Raises:
        DataError: Naming the first such word.
    """
    joined = "".join(words)
    for character in forbidden:
        if character in joined:
            row, word = next((row, word) for row, word in enumerate(words) if character in word)
            raise DataError(
                f"Cannot write {path}: word {row + 1}, {word!r}, holds {character!r}, and {reason}. Rename it, or save "
                "with save_pretrained, which holds any word."
            )
    if "" in words:
        raise DataError(f"Cannot write {path}: word {list(words).index('') + 1} is empty, and {reason}.")
