"""The world ``phrasebook``: English sentences with their one French translation, by a synchronous grammar.

Each sentence is drawn as a meaning and written in both languages at once. To translate, a model must learn:

* agreement in gender and number, of determiners, adjectives, participles and, across clauses, pronouns: "The car is
  old, but it is clean." is « La voiture est vieille, mais elle est propre. »;
* order: adjectives before or after the noun, pronouns before the verb, ne … pas around it, inversion in questions, the
  owner behind what is owned;
* spelling that depends on neighbours: elision (l'homme, but le hibou), du and au, ce and cet, bel and vieil, -t-;
* frames that differ: "waits for her" is « l'attend », "calls her" is « lui téléphone ».

**One reference.** Whatever French needs and English does not say is left out of the grammar (see the lexicon) or
said elsewhere in the sentence, so the French is a function of the English: exact match can reach 1.

**Splits.** The English sentence decides by a hash whether it may stand in train, validation or test, so that no test
sentence is ever trained on, whatever the seeds. One in ten combinations of adjective and noun, and of verb and object,
is kept out of these three; every sentence of the split ``compositional`` has at least one of them, though each of its
words occurs in train.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import random
from collections.abc import Callable
from typing import Any

from nlpladder.data.worlds import phrasebook_clauses as clauses
from nlpladder.data.worlds.phrasebook_french import conjugated, spell
from nlpladder.data.worlds.phrasebook_lexicon import VERBS, Verb
from nlpladder.data.worlds.phrasebook_phrases import (
    ADJECTIVES_OF,
    FIRST,
    THIRD,
    WE,
    Lottery,
    Phrase,
    name,
    noun_phrase,
    pair_of,
    place,
    two_names,
)
from nlpladder.errors import ConfigError, did_you_mean

SPLITS = ("train", "validation", "test", "compositional")
#: One in so many combinations is kept for the split ``compositional``.
HELD_OUT = 10

#: A sentence in the making: English without its capital, French tokens, combinations of words in it.
Draft = tuple[str, list[str], frozenset[str]]

_TIMES = {
    "present": (("today", "aujourd'hui"), ("every day", "tous les jours"), ("often", "souvent")),
    "past": (("yesterday", "hier"), ("last week", "la semaine dernière"), ("this morning", "ce matin")),
    "progressive": (("yesterday", "hier"), ("this morning", "ce matin")),
    "future": (("tomorrow", "demain"), ("next week", "la semaine prochaine"), ("tonight", "ce soir")),
}
_ANIMALS_CAN = frozenset(
    ("see", "eat", "follow", "find", "sleep", "run", "swim", "arrive", "leave", "fall", "stay", "walk", "cry", "hide",
     "wait", "rest")
)  # fmt: skip
_PRONOUNS = Lottery(
    (
        Phrase("he", ("il",), THIRD, "m", "person", pronoun=True),
        Phrase("she", ("elle",), THIRD, "f", "person", pronoun=True),
        Phrase("I", ("je|j'",), FIRST, "", "person", pronoun=True),
        Phrase("we", ("nous",), WE, "", "person", pronoun=True),
    )
)
_DIRECT = Lottery([verb for verb in VERBS if verb.frame == "direct"])
_ACTIONS = Lottery(VERBS)
_CONJUNCTIONS = (("but", (",", "mais")), ("because", ("parce", "que|qu'")))
_MODALS = (("present", "want to", "vouloir"), ("present", "can", "pouvoir"), ("present", "must", "devoir"),
           ("past", "want to", "vouloir"), ("past", "can", "pouvoir"))  # fmt: skip


class PhrasebookWorld:
    """English sentences and their French translations."""

    def __init__(self) -> None:
        weighted: tuple[tuple[float, Callable[[random.Random], Draft]], ...] = (
            (34, self._statement), (13, self._predicate), (15, self._question), (9, self._two_predicates),
            (9, self._two_actions), (9, self._modal), (6, self._subject_relative), (5, self._object_relative),
        )  # fmt: skip
        self._constructions = tuple(construction for _, construction in weighted)
        self._cumulative = tuple(itertools.accumulate(weight for weight, _ in weighted))

    def generate(self, split: str, size: int, seed: int) -> dict[str, list[Any]]:
        """Write sentences.

        Args:
            split: "train", "validation", "test" or "compositional".
            size: Number of pairs; the first ones are the same whatever the size.
            seed: Any integer.

        Returns:
            Columns `en` and `fr`.

        Raises:
            ConfigError: If the split is unknown or the size negative.
        """
        if split not in SPLITS:
            hint = did_you_mean(split, SPLITS)
            raise ConfigError(f"The world 'phrasebook' has no split {split!r}.{hint} It has: {', '.join(SPLITS)}.")
        if size < 0:
            raise ConfigError(f"The size of a split is {size}; expected zero or more.")
        digest = hashlib.sha256(f"phrasebook/{split}/{seed}".encode()).digest()
        generator = random.Random(int.from_bytes(digest, "big"))
        columns: dict[str, list[Any]] = {"en": [], "fr": []}
        while len(columns["en"]) < size:
            english, french, pairs = self.draw(generator)
            if split_of(english, pairs) == split:
                columns["en"].append(english)
                columns["fr"].append(french)
        return columns

    def ceilings(self) -> dict[str, float]:
        """Return the best exact match: 1, as every English sentence has one translation."""
        return {"bayes_exact_match": 1.0}

    def draw(self, generator: random.Random) -> tuple[str, str, frozenset[str]]:
        """Draw one sentence.

        Returns:
            The English, the French, and the combinations of adjective and noun and of verb and object in it.
        """
        [construction] = generator.choices(self._constructions, cum_weights=self._cumulative)
        english, french, pairs = construction(generator)
        mark = "?" if construction == self._question else "."
        text = spell([*french, mark])
        return english[0].upper() + english[1:] + mark, text[0].upper() + text[1:], pairs

    # ---- the constructions

    def _statement(self, generator: random.Random) -> Draft:
        """Write "The girl ate the apple in the garden.", with pronouns, negation, time and place."""
        verb, subject, tense = self._action(generator)
        polarity = _polarity(generator)
        objects, pairs = _objects(verb, subject, tense, bool(polarity), generator)
        english = clauses.english_clause(subject, verb, tense, polarity, objects, question=False)
        french = clauses.french_clause(subject, verb, tense, polarity, objects, question=False)
        pairs |= subject.pairs
        if generator.random() < 0.3:
            where = place(generator)
            english, french, pairs = f"{english} {where.english}", [*french, *where.french], pairs | where.pairs
        if generator.random() < 0.35:
            english, french = _timed(english, french, tense, generator)
        return english, french, pairs

    def _question(self, generator: random.Random) -> Draft:
        """Write "Did the girl eat the apple?" or "Is the house old?"."""
        if generator.random() < 0.25:
            return self._predicate(generator, question=True)
        verb, subject, tense = self._action(generator)
        while subject.person == FIRST:
            verb, subject, tense = self._action(generator)
        polarity = "not" if generator.random() < 0.2 else ""
        objects, pairs = _objects(verb, subject, tense, bool(polarity), generator)
        english = clauses.english_clause(subject, verb, tense, polarity, objects, question=True)
        french = clauses.french_clause(subject, verb, tense, polarity, objects, question=True)
        return english, french, pairs | subject.pairs

    def _predicate(self, generator: random.Random, *, question: bool = False) -> Draft:
        """Write "The houses are not old."."""
        subject = _described(generator)
        tense = generator.choice(("present", "present", "past", "future"))
        polarity = "not" if generator.random() < 0.25 else ""
        return _be(subject, tense, polarity, generator, question=question)

    def _two_predicates(self, generator: random.Random) -> Draft:
        """Write "The car is old, but it is clean.": the pronoun agrees with a noun of the clause before."""
        subject = _described(generator)
        tense = generator.choice(("present", "past"))
        english, french, pairs = _be(subject, tense, "", generator)
        polarity = "not" if generator.random() < 0.3 else ""
        pronoun = subject.as_pronoun()
        after, behind, more = _be(pronoun, tense, polarity, generator)
        while english.endswith(" " + after.split(" ")[-1]):
            after, behind, more = _be(pronoun, tense, polarity, generator)
        word, tokens = generator.choice(_CONJUNCTIONS)
        comma = "," if word == "but" else ""
        return f"{english}{comma} {word} {after}", [*french, *tokens, *behind], pairs | more

    def _two_actions(self, generator: random.Random) -> Draft:
        """Write "Paul bought the apples and ate them.": the participle agrees with the pronoun before it."""
        first = _DIRECT.draw(generator)
        kind = generator.choice(first.kinds)
        second = _DIRECT.draw(generator)
        while second is first or kind not in second.kinds:
            second = _DIRECT.draw(generator)
        subject = _person(generator)
        tense = generator.choice(("present", "past", "future"))
        noun = noun_phrase(kind, generator, determiners="definite")
        objects = clauses.Objects(_after(first, noun.english), noun.french)
        english = clauses.english_clause(subject, first, tense, "", objects, question=False)
        french = clauses.french_clause(subject, first, tense, "", objects, question=False)
        pronoun, clitic = clauses.taken_up(noun)
        again = clauses.Objects(_after(second, pronoun), (), (clitic,), (noun.gender, noun.plural))
        nobody = Phrase("", (), subject.person, subject.gender, "person")
        after = clauses.english_clause(nobody, second, tense, "", again, question=False)
        behind = clauses.french_clause(nobody, second, tense, "", again, question=False)
        pairs = subject.pairs | noun.pairs | _object_pair(first, noun) | _object_pair(second, noun)
        return f"{english} and {after.strip()}", [*french, "et", *behind], pairs

    def _modal(self, generator: random.Random) -> Draft:
        """Write "The girl wants to eat the apple.", "He cannot see them."."""
        verb, subject, _ = self._action(generator)
        tense, modal, french_modal = generator.choice(_MODALS)
        polarity = "not" if generator.random() < 0.3 else ""
        objects, pairs = _objects(verb, subject, "infinitive", bool(polarity), generator)
        rest = f"{verb.base} {objects.english}".strip()
        if modal == "want to":
            auxiliary = "did" if tense == "past" else ("do", "does")[subject.person == THIRD]
            plain = "wanted" if tense == "past" else ("want", "wants")[subject.person == THIRD]
            words = f"{auxiliary} not want to" if polarity else f"{plain} to"
        else:
            words = {"can": "could" if tense == "past" else "can"}.get(modal, modal) + (" not" if polarity else "")
            words = words.replace("can not", "cannot")
        reflexive = clauses.REFLEXIVE[subject.person : subject.person + 1] if verb.frame == "reflexive" else ()
        finite = conjugated(french_modal, clauses.french_tense(tense), subject.person)
        behind = [*reflexive, *objects.clitics, verb.french, *objects.french]
        french = clauses.french_order(subject, (), finite, polarity, behind, question=False)
        return f"{subject.english} {words} {rest}", french, pairs | subject.pairs

    def _subject_relative(self, generator: random.Random) -> Draft:
        """Write "The girl who ate the apple is happy."."""
        verb, _, tense = self._action(generator)
        subject = noun_phrase("person", generator, determiners="definite")
        objects, pairs = _objects(verb, subject, tense, False, generator)
        nobody = Phrase("who", ("qui",), subject.person, subject.gender, "person")
        english = clauses.english_clause(nobody, verb, tense, "", objects, question=False)
        french = clauses.french_clause(nobody, verb, tense, "", objects, question=False)
        return _be(_extended(subject, english, french, pairs), "present", "", generator)

    def _object_relative(self, generator: random.Random) -> Draft:
        """Write "The apples that Paul bought are red.": the participle agrees with the apples."""
        verb = _DIRECT.draw(generator)
        noun = noun_phrase(generator.choice(verb.kinds), generator, determiners="definite")
        subject = _person(generator)
        tense = generator.choice(("present", "past", "past", "future"))
        objects = clauses.Objects(_after(verb, ""), (), (), (noun.gender, noun.plural))
        english = "that " + clauses.english_clause(subject, verb, tense, "", objects, question=False).strip()
        french = ["que|qu'", *clauses.french_clause(subject, verb, tense, "", objects, question=False)]
        pairs = subject.pairs | _object_pair(verb, noun)
        return _be(_extended(noun, english, french, pairs), "present", "", generator)

    def _action(self, generator: random.Random) -> tuple[Verb, Phrase, str]:
        """Draw a verb, a subject that can do it, and a tense; I and we do not stand where French needs their gender."""
        verb = _ACTIONS.draw(generator)
        tenses = ("present", "past", "past", "future", "progressive")
        tense = generator.choice(tenses if len(verb.progressive) > 1 else tenses[:-1])
        if verb.base in _ANIMALS_CAN and verb.frame != "both" and generator.random() < 0.35:
            return verb, noun_phrase("animal", generator, determiners="subject"), tense
        subject = _person(generator)
        while not subject.gender and verb.frame in ("etre", "reflexive") and tense == "past":
            subject = _person(generator)
        return verb, subject, tense


@functools.cache
def is_held_out(pair: str) -> bool:
    """Tell whether a combination never occurs in train, validation and test; the same for every seed.

    Args:
        pair: "<adjective> <noun>", or "<verb> + <noun>" for a verb and its object.
    """
    return int.from_bytes(hashlib.sha256(f"phrasebook: {pair}".encode()).digest()[:8], "big") % HELD_OUT == 0


def split_of(english: str, pairs: frozenset[str]) -> str:
    """Return the one split that a sentence may stand in."""
    if any(is_held_out(pair) for pair in pairs):
        return "compositional"
    share = int.from_bytes(hashlib.sha256(english.encode()).digest()[:8], "big") % 8
    return {0: "validation", 1: "test"}.get(share, "train")


def _object_pair(verb: Verb, what: Phrase) -> frozenset[str]:
    """Name the combination of a verb and its object; a name or a pronoun is none."""
    return frozenset({f"{verb.base} {verb.particle}".strip() + f" + {what.noun}"} if what.noun else ())


def _polarity(generator: random.Random) -> str:
    chance = generator.random()
    return "not" if chance < 0.18 else "never" if chance < 0.25 else ""


def _person(generator: random.Random) -> Phrase:
    """Draw somebody who does something."""
    chance = generator.random()
    if chance < 0.22:
        return _PRONOUNS.draw(generator)
    if chance < 0.4:
        return name(generator)
    if chance < 0.46:
        return two_names(generator)
    return noun_phrase("person", generator, determiners="subject")


def _described(generator: random.Random) -> Phrase:
    """Draw somebody or something that has a property."""
    kind = generator.choice(("person", "person", "animal", "thing", "thing", "food", "text", "place"))
    if kind == "person" and generator.random() < 0.3:
        return name(generator)
    return noun_phrase(kind, generator, determiners="definite")


def _be(subject: Phrase, tense: str, polarity: str, generator: random.Random, *, question: bool = False) -> Draft:
    """Say that the subject has a property."""
    adjective = ADJECTIVES_OF[subject.kind, generator.random() < 0.25].draw(generator)
    form = adjective.form(subject.gender, subject.plural)
    english, french = clauses.be(subject, tense, polarity, adjective.english, form, question=question)
    pair = {pair_of(adjective, subject.noun)} if subject.noun else set()
    return english, french, subject.pairs | pair


def _extended(noun: Phrase, english: str, french: list[str], pairs: frozenset[str]) -> Phrase:
    """Put a relative clause behind a noun."""
    return Phrase(
        f"{noun.english} {english}", (*noun.french, *french), noun.person, noun.gender, noun.kind, noun.noun,
        noun.pairs | pairs,
    )  # fmt: skip


def _after(verb: Verb, words: str) -> str:
    """Return what stands behind an English verb: its particle and its object."""
    return f"{verb.particle} {words}".strip()


def _timed(english: str, french: list[str], tense: str, generator: random.Random) -> tuple[str, list[str]]:
    """Add when it happens, at the beginning or at the end."""
    word, token = generator.choice(_TIMES[tense])
    if word == "often" or generator.random() < 0.5:
        return f"{word}, {english}", [token, ",", *french]
    return f"{english} {word}", [*french, token]


def _objects(
    verb: Verb, subject: Phrase, tense: str, negated: bool, generator: random.Random
) -> tuple[clauses.Objects, frozenset[str]]:
    """Draw what a verb asks for."""
    if verb.frame in ("none", "etre", "reflexive"):
        return clauses.Objects(verb.particle), frozenset()
    if verb.frame == "indirect":
        pronoun = _object_pronoun(verb, subject, tense, generator)
        if pronoun:
            return clauses.Objects(_after(verb, pronoun), (), (clauses.INDIRECT_PRONOUNS[pronoun],)), frozenset()
        whom = _recipient(generator)
        return clauses.Objects(_after(verb, whom.english), ("à", *whom.french)), whom.pairs
    if verb.frame == "both":
        what = noun_phrase(generator.choice(verb.kinds), generator, negated=negated)
        pairs = what.pairs | _object_pair(verb, what)
        pronoun = _object_pronoun(verb, subject, tense, generator)
        if pronoun:
            clitic = clauses.INDIRECT_PRONOUNS[pronoun]
            return clauses.Objects(f"{pronoun} {what.english}", what.french, (clitic,)), pairs
        whom = _recipient(generator)
        english, french = f"{what.english} {verb.particle} {whom.english}", (*what.french, "à", *whom.french)
        return clauses.Objects(english, french), pairs | whom.pairs
    kind = generator.choice(verb.kinds)
    pronoun = _object_pronoun(verb, subject, tense, generator) if kind == "person" else ""
    if pronoun:
        clitic, agreement = clauses.DIRECT_PRONOUNS[pronoun]
        return clauses.Objects(_after(verb, pronoun), (), (clitic,), agreement or ("m", False)), frozenset()
    what = (
        name(generator)
        if kind == "person" and generator.random() < 0.25
        else noun_phrase(kind, generator, negated=negated)
    )
    return clauses.Objects(_after(verb, what.english), what.french), what.pairs | _object_pair(verb, what)


def _recipient(generator: random.Random) -> Phrase:
    return name(generator) if generator.random() < 0.35 else noun_phrase("person", generator, determiners="definite")


def _object_pronoun(verb: Verb, subject: Phrase, tense: str, generator: random.Random) -> str:
    """Draw a pronoun as the object, or nothing: only one whose gender English tells where a participle agrees."""
    if generator.random() < 0.65:
        return ""
    direct = verb.frame == "direct"
    known = [
        pronoun
        for pronoun, (_, agreement) in clauses.DIRECT_PRONOUNS.items()
        if pronoun not in clauses.SAME_PERSON.get(subject.person, ())
        and not (direct and agreement is None and tense != "infinitive" and clauses.is_compound(verb, tense))
    ]
    return generator.choice(known)
