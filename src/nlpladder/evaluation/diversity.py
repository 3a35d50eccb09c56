"""How varied generated texts are: distinct n-grams and repetition, words being what white space separates.

Neither needs a reference: they tell a model that always says the same, or goes round in circles, from one that does
not. Both depend on how long and how many the texts are: compare only systems that answered the same prompts.
"""

from __future__ import annotations

from collections.abc import Sequence

from nlpladder.errors import DataError

_REPEATED = 4  #: the n of rep-n


def diversity(texts: Sequence[str]) -> dict[str, float]:
    """Return distinct-n, repetition and the mean length of generated texts.

    Args:
        texts: One a prompt; an empty one has no words.

    Returns:
        ``distinct_1``, ``distinct_2``, ``distinct_3``: different n-grams of all texts over all their n-grams (Li et al.
        2016, section 5.1), 0 to 1. ``repetition``: the mean over texts of 1 - different 4-grams / 4-grams (seq-rep-4 of
        Welleck et al. 2020, equation 9), 0 to 1; texts shorter than four words have no such mean and are left aside.
        ``mean_length``: words per text. NaN where nothing can be counted.

    Raises:
        DataError: If there are no texts, or a row is none.
    """
    rows = _words(texts)
    found = {f"distinct_{n}": distinct(rows, n) for n in (1, 2, 3)}
    shares = [1.0 - len(set(grams)) / len(grams) for words in rows if (grams := _ngrams(words, _REPEATED))]
    found["repetition"] = sum(shares) / len(shares) if shares else float("nan")
    found["mean_length"] = sum(map(len, rows)) / len(rows)
    return found


def distinct(rows: Sequence[Sequence[str]], n: int) -> float:
    """Return the share of different n-grams among all n-grams of tokenised texts; NaN without any (Li et al. 2016)."""
    grams = [gram for words in rows for gram in _ngrams(words, n)]
    return len(set(grams)) / len(grams) if grams else float("nan")


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def _words(texts: Sequence[str]) -> list[list[str]]:
    if isinstance(texts, str):
        raise DataError("The texts are one string: give a list with one entry per text.")
    if not len(texts):
        raise DataError("There are no texts to measure: give at least one.")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"Text number {row} is {text!r}: expected a text (an empty one counts as no words).")
    return [text.split() for text in texts]
