"""Which words of a list a space has, in which spelling, and what is left out: said, never silent.

A word without a vector shrinks a list, and with it the test: an effect on five of eight names is another number than
the published one. Names are capitalised in the lists and lower-cased in many vocabularies, so each word is looked up as
it is written, in lower case, and capitalised, in this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nlpladder.bias.words.association_data import AssociationTest, WordList
from nlpladder.errors import DataError, ModelError
from nlpladder.protocols import WordEmbeddings

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FoundWords:
    """The words of one list that a space has.

    Attributes:
        name: Of the list.
        words: As the list has them, those that were found, each once.
        forms: As the space has them, (words,).
        vectors: Not normalised, float64 (words, dimensions).
        asked: How many words the list has.
        notes: What was left out or spelled otherwise.
    """

    name: str
    words: tuple[str, ...]
    forms: tuple[str, ...]
    vectors: Float
    asked: int
    notes: tuple[str, ...]

    @property
    def units(self) -> Float:
        """Vectors of length 1, (words, dimensions)."""
        return self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)

    def coverage(self) -> str:
        """Return such as ``"male names 7 of 8"``."""
        return f"{self.name} {len(self.words)} of {self.asked}"


def find_words(model: WordEmbeddings, lists: Sequence[WordList], *, least: int = 1) -> list[FoundWords]:
    """Look up lists of words in a space.

    Args:
        model: Words and their vectors.
        lists: What to look up.
        least: How many words of each list must be found.

    Raises:
        DataError: If fewer are found, or one word (in any spelling) stands in two of the lists.
    """
    known = known_forms(model, [word for one in lists for word in one.words])
    found = [_find(model, known, one, least) for one in lists]
    owner: dict[str, str] = {}
    for one in found:
        for word in one.forms:
            if owner.setdefault(word, one.name) != one.name:
                raise DataError(
                    f"{word!r} stands in {owner[word]!r} and in {one.name!r}: its part in a comparison of the two is "
                    "nothing or counted twice. Take it out of one of them."
                )
    return found


def find_test(model: WordEmbeddings, test: AssociationTest) -> tuple[FoundWords, FoundWords, FoundWords, FoundWords]:
    """Look up the four lists of an association test: at least two words of each target, one of each attribute.

    Raises:
        DataError: If fewer are found, or a word stands in both targets or in both attributes.
    """
    if test.of_sentences:
        raise DataError(f"{test.name} is a test of sentences, which have no word vector: use seat.")
    try:
        x, y = find_words(model, test.targets, least=2)
        a, b = find_words(model, test.attributes)
    except DataError as error:
        raise DataError(f"Association test {test.name}: {error}") from error
    return x, y, a, b


def coverage_notes(found: Sequence[FoundWords]) -> tuple[str, ...]:
    """Return the coverage of all lists in one sentence, then what was left out of each."""
    covered = f"Words with a vector: {', '.join(one.coverage() for one in found)}."
    thin = [one.name for one in found if len(one.words) < 0.8 * one.asked]
    warning = (f"Under four in five words of {', '.join(thin)}: this is a test of the words that are left.",)
    return (covered, *(warning if thin else ()), *(note for one in found for note in one.notes))


def find_pairs(
    model: WordEmbeddings, pairs: Sequence[tuple[str, str]], *, least: int = 1
) -> tuple[list[tuple[str, str]], Float, Float, tuple[str, ...]]:
    """Look up pairs of words; a pair counts only whole.

    Args:
        model: Words and their vectors.
        pairs: Two different words each.
        least: How many pairs must be found.

    Returns:
        The pairs that were found, the vectors of their first and of their second words, (pairs, dimensions) in float64,
        and notes.

    Raises:
        DataError: If fewer are found.
    """
    known = known_forms(model, [word for pair in pairs for word in pair])
    whole = list(dict.fromkeys(pair for pair in pairs if pair[0] in known and pair[1] in known))
    forms = [(known[first], known[second]) for first, second in whole]
    kept = [place for place, (first, second) in enumerate(forms) if first != second]
    vectors = [_vectors(model, [forms[place][side] for place in kept]) for side in (0, 1)]
    apart = [row for row in range(len(kept)) if np.linalg.norm(vectors[0][row] - vectors[1][row]) > 0]
    if len(apart) < least:
        raise DataError(
            f"{len(apart)} of {len(pairs)} word pairs have two different vectors, the measure wants {least} or more: "
            f"the space lacks {some([word for pair in pairs for word in pair if word not in known])}."
        )
    missing = [f"{first}/{second}" for first, second in pairs if (first, second) not in whole]
    notes = [f"Word pairs with vectors: {len(apart)} of {len(pairs)}."]
    if missing:
        notes.append(f"Pairs left out: {some(missing)}.")
    return [whole[kept[row]] for row in apart], vectors[0][apart], vectors[1][apart], tuple(notes)


def known_forms(model: WordEmbeddings, words: Sequence[str]) -> dict[str, str]:
    """Map the words that the space has, in one spelling or another, to that spelling."""
    spellings = {word: tuple(dict.fromkeys((word, word.lower(), word.capitalize()))) for word in words}
    have = {form for forms in spellings.values() for form in forms}.intersection(model.words)
    return {
        word: next(form for form in forms if form in have)
        for word, forms in spellings.items()
        if not have.isdisjoint(forms)
    }


def _vectors(model: WordEmbeddings, words: Sequence[str]) -> Float:
    if not words:
        return np.zeros((0, 0))
    return np.asarray(model.embed(words), np.float64)


def _find(model: WordEmbeddings, known: dict[str, str], one: WordList, least: int) -> FoundWords:
    by_form: dict[str, str] = {}
    twice = []
    for word in one.words:
        if word not in known:
            continue
        if known[word] in by_form:
            twice.append(word)
        else:
            by_form[known[word]] = word
    forms = list(by_form)
    try:
        vectors = _vectors(model, forms)
    except ModelError as error:
        raise DataError(f"The vectors of {one.name!r} cannot be had: {error}") from error
    usable = np.isfinite(vectors).all(axis=1) & (np.abs(vectors).max(axis=1, initial=0.0) > 0)
    missing = [word for word in one.words if word not in known]
    empty = [form for form, good in zip(forms, usable, strict=True) if not good]
    respelled = [form for form, good in zip(forms, usable, strict=True) if good and by_form[form] != form]
    notes = []
    if missing:
        phrases = " (phrases have no vector of their own)" if any(" " in word for word in missing) else ""
        notes.append(f"No vector in {one.name}: {some(missing)}{phrases}.")
    if empty:
        notes.append(f"Left out of {one.name}, vectors that are zero or not finite: {some(empty)}.")
    if twice:
        notes.append(f"Twice in {one.name}, counted once: {some(twice)}.")
    if len(respelled) > 1 and all(form == form.lower() for form in respelled):
        notes.append(f"In lower case in the space: {len(respelled)} of {one.name}, such as {respelled[0]}.")
    elif respelled:
        notes.append(f"Spelled otherwise in {one.name}: {some(respelled)}.")
    kept = [form for form, good in zip(forms, usable, strict=True) if good]
    if len(kept) < least:
        raise DataError(
            f"{len(kept)} of the {len(one.words)} words of {one.name!r} have a vector; the measure wants {least} or "
            f"more. The space lacks {some(missing or empty)}."
        )
    return FoundWords(
        one.name, tuple(by_form[form] for form in kept), tuple(kept), vectors[usable], len(one.words), tuple(notes)
    )


def some(words: Sequence[str], most: int = 12) -> str:
    """Return the words as a list in a sentence, or the first of them and how many there are besides."""
    rest = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + rest if words else "nothing"
