"""Noun phrases of the ``phrasebook`` world: one meaning, written in English and in French at the same time."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from nlpladder.data.worlds.phrasebook_french import DE, LA, LE, LES
from nlpladder.data.worlds.phrasebook_lexicon import ADJECTIVES, NAMES, NOUNS, PLACES_FOR_AT, Adjective, Noun

Item = TypeVar("Item")
#: Persons of French verbs: je, il or elle, nous, ils or elles.
FIRST, THIRD, WE, THEY = range(4)


class Lottery(Generic[Item]):
    """Items of which the first are drawn more often: rank r has weight 1 / (r + 4)."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = tuple(items)
        self._cumulative = list(itertools.accumulate(1.0 / (rank + 4) for rank in range(1, len(self.items) + 1)))

    def draw(self, generator: random.Random) -> Item:
        """Draw one item."""
        return self.items[bisect.bisect_right(self._cumulative, generator.random() * self._cumulative[-1])]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase or a pronoun.

    Attributes:
        english: Its words.
        french: Its tokens; see `phrasebook_french`.
        person: Of the verb: `FIRST`, `THIRD`, `WE` or `THEY`.
        gender: ``m`` or ``f``; empty for I and we, whose gender the English does not tell.
        kind: What it stands for; see `KINDS`.
        noun: The English head noun, or nothing for names and pronouns.
        pairs: The combinations of adjective and noun in it.
        pronoun: Whether it is a pronoun, which French questions put behind the verb.
    """

    english: str
    french: tuple[str, ...]
    person: int
    gender: str
    kind: str
    noun: str = ""
    pairs: frozenset[str] = frozenset()
    pronoun: bool = False

    @property
    def plural(self) -> bool:
        """Whether there are several."""
        return self.person in (WE, THEY)

    @property
    def french_pronoun(self) -> str:
        """The subject pronoun that stands for it."""
        if self.person in (FIRST, WE):
            return ("je|j'", "nous")[self.person == WE]
        return ("il", "elle")[self.gender == "f"] + ("s" if self.plural else "")

    def as_pronoun(self) -> Phrase:
        """Return the subject pronoun that takes this phrase up again."""
        alone = ("it", "it") if self.kind != "person" else ("he", "she")
        english = "they" if self.plural else alone[self.gender == "f"]
        return Phrase(english, (self.french_pronoun,), self.person, self.gender, self.kind, self.noun, pronoun=True)


NOUNS_OF = {kind: Lottery([noun for noun in NOUNS if noun.kind == kind]) for kind in {noun.kind for noun in NOUNS}}
#: Adjectives that go with a kind and stand before (True) or after (False) the French noun.
ADJECTIVES_OF = {
    (kind, before): Lottery([a for a in ADJECTIVES if kind in a.kinds and a.before == before])
    for kind in NOUNS_OF
    for before in (True, False)
}
ALL_NAMES = Lottery(NAMES)
_DETERMINERS = {
    "any": Lottery(("the", "a", "my", "this", "his", "her", "number", "our")),
    "definite": Lottery(("the", "my", "this", "his", "her", "our")),
    "subject": Lottery(("the", "a", "my", "this", "his", "her", "number", "our", "every")),
    "place": Lottery(("the", "this", "our")),
}
_NUMBERS = (("two", "deux"), ("three", "trois"), ("four", "quatre"), ("five", "cinq"))
_PREPOSITIONS = (
    ("in", ("dans",)), ("at", ("à",)), ("behind", ("derrière",)), ("in front of", ("devant",)), ("near", ("près", DE)),
    ("next to", ("à côté", DE)),
)  # fmt: skip
_SOUND_LIKE_YOU = ("university", "useful")


def noun_phrase(kind: str, generator: random.Random, *, determiners: str = "any", negated: bool = False) -> Phrase:
    """Draw a noun with its determiner and adjectives.

    Args:
        kind: What it stands for.
        generator: Source of chance.
        determiners: Which ones are allowed: ``any``, ``subject`` (also "every"), ``definite``, ``place``.
        negated: Whether it is the direct object of a negated verb: "not … a dog" is « pas … de chien ».
    """
    noun = NOUNS_OF[kind].draw(generator)
    determiner = _DETERMINERS[determiners].draw(generator)
    plural = determiner == "number" or (determiner != "every" and generator.random() < 0.35)
    before = ADJECTIVES_OF[kind, True].draw(generator) if generator.random() < 0.25 else None
    after = ADJECTIVES_OF[kind, False].draw(generator) if generator.random() < 0.25 else None
    adjectives = [adjective for adjective in (before, after) if adjective is not None]
    english = " ".join([*(a.english for a in adjectives), noun.english_plural if plural else noun.english])
    french = _french_core(noun, plural, before, after)
    pairs = frozenset(pair_of(adjective, noun.english) for adjective in adjectives)
    person = THEY if plural else THIRD
    if determiner == "the" and kind in ("thing", "animal", "text") and generator.random() < 0.15:
        owner = possessor(generator)
        mark = "'" if owner.plural and owner.english.endswith("s") else "'s"
        article = LES if plural else (LE, LA)[noun.gender == "f"]
        return Phrase(
            f"{owner.english}{mark} {english}", (article, *french, DE, *owner.french), person, noun.gender, kind,
            noun.english, pairs | owner.pairs,
        )  # fmt: skip
    number = generator.choice(_NUMBERS) if determiner == "number" else ("", "")
    words, tokens = _determiner(determiner, number, noun, plural, english, before is not None, negated)
    return Phrase(f"{words} {english}", (tokens, *french), person, noun.gender, kind, noun.english, pairs)


def possessor(generator: random.Random) -> Phrase:
    """Draw who something belongs to: a name, or "the" with a person."""
    if generator.random() < 0.5:
        return name(generator)
    noun = NOUNS_OF["person"].draw(generator)
    plural = generator.random() < 0.3
    article = LES if plural else (LE, LA)[noun.gender == "f"]
    words = noun.english_plural if plural else noun.english
    core = _french_core(noun, plural, None, None)
    return Phrase(f"the {words}", (article, *core), THEY if plural else THIRD, noun.gender, "person", noun.english)


def name(generator: random.Random) -> Phrase:
    """Draw a first name."""
    gender, word = ALL_NAMES.draw(generator)
    return Phrase(word, (word,), THIRD, gender, "person")


def two_names(generator: random.Random) -> Phrase:
    """Draw two different first names; together they are feminine only if both are."""
    one = other = name(generator)
    while other == one:
        other = name(generator)
    gender = "f" if one.gender == other.gender == "f" else "m"
    return Phrase(f"{one.english} and {other.english}", (*one.french, "et", *other.french), THEY, gender, "person")


def place(generator: random.Random) -> Phrase:
    """Draw where something happens."""
    english, french = generator.choice(_PREPOSITIONS)
    where = noun_phrase("place", generator, determiners="place")
    while english == "at" and where.noun not in PLACES_FOR_AT:
        where = noun_phrase("place", generator, determiners="place")
    return Phrase(
        f"{english} {where.english}", (*french, *where.french), THIRD, where.gender, "place", where.noun, where.pairs
    )


def pair_of(adjective: Adjective, noun: str) -> str:
    """Name a combination of adjective and noun, which the compositional split may keep for itself."""
    return f"{adjective.english} {noun}"


def _french_core(noun: Noun, plural: bool, before: Adjective | None, after: Adjective | None) -> list[str]:
    """Return the French noun between its adjectives, all agreeing."""
    core = [noun.french_plural if plural else noun.french]
    if before is not None:
        form = before.form(noun.gender, plural)
        irregular = before.before_vowel and noun.gender == "m" and not plural
        core.insert(0, f"{form}|{before.before_vowel}" if irregular else form)
    if after is not None:
        core.append(after.form(noun.gender, plural))
    return core


def _determiner(
    determiner: str,
    number: tuple[str, str],
    noun: Noun,
    plural: bool,
    english: str,
    adjective_first: bool,
    negated: bool,
) -> tuple[str, str]:  # fmt: skip
    """Return a determiner in English and its French token."""
    feminine = noun.gender == "f"
    if determiner == "number":
        return number
    if determiner == "every":
        return "every", "chaque"
    if determiner == "the":
        return "the", LES if plural else (LE, LA)[feminine]
    if determiner == "this":
        return ("these", "ces") if plural else ("this", ("ce|cet", "cette")[feminine])
    if determiner == "our":
        return "our", "nos" if plural else "notre"
    if determiner in ("my", "his", "her"):
        letter = "m" if determiner == "my" else "s"
        return determiner, f"{letter}es" if plural else (f"{letter}on", f"{letter}a|{letter}on")[feminine]
    if negated:
        return ("any", DE) if plural else (_a(english), DE)
    if plural:
        # Before an adjective, des becomes de: « de belles maisons ».
        return "some", DE if adjective_first else "des"
    return _a(english), ("un", "une")[feminine]


def _a(following: str) -> str:
    return "an" if following[0].lower() in "aeiou" and not following.startswith(_SOUND_LIKE_YOU) else "a"
