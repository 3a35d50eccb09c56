"""What to say when a word is unknown."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from nlpladder.errors import ModelError

#: Only words that share a beginning or an end, and are about as long, are compared letter by letter.
_MOST_COMPARED = 5000


class UnknownWordError(ModelError, KeyError):
    """A word has no vector. It is a ``KeyError`` too, as gensim's users expect."""

    # KeyError would show the sentence in quotes.
    __str__ = Exception.__str__


def unknown_word(word: str, words: Sequence[str]) -> UnknownWordError:
    """Return the error for a word without a vector, with the nearest spellings."""
    near = nearest_spellings(word, words)
    hint = f" Did you mean {' or '.join(repr(other) for other in near)}?" if near else ""
    return UnknownWordError(f"{word!r} is not among the {len(words):,} words of these vectors.{hint}")


def nearest_spellings(word: str, words: Sequence[str], *, most: int = 3) -> list[str]:
    """Return the known words that are spelt most like `word`, the nearest first.

    Args:
        word: What was asked for.
        words: Known words; where two are as near, the earlier wins.
        most: How many to return.
    """
    lower = word.lower()
    same = [other for other in words if other.lower() == lower]
    if same or not word:
        return same[:most]
    start, end, length = lower[:2], lower[-2:], len(lower)
    shared = [
        other
        for other in words
        if abs(len(other) - length) <= 2 and (other[:2].lower() == start or other[-2:].lower() == end)
    ][:_MOST_COMPARED]
    by_lower = {other.lower(): other for other in reversed(shared)}
    return [by_lower[near] for near in difflib.get_close_matches(lower, list(by_lower), n=most, cutoff=0.6)]
