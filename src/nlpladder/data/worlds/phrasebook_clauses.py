"""Verbs and clauses of the ``phrasebook`` world, written in English and in French at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nlpladder.data.worlds.phrasebook_french import NE, conjugated, inverted, participle
from nlpladder.data.worlds.phrasebook_lexicon import Verb
from nlpladder.data.worlds.phrasebook_phrases import FIRST, THIRD, WE, Phrase

#: English tenses: "eats", "ate", "will eat", "was eating".
TENSES = ("present", "past", "future", "progressive")
#: How a clause is denied: in English and in French; the first is not.
POLARITIES = {"": "", "not": "pas", "never": "jamais"}
REFLEXIVE = ("me|m'", "se|s'", "nous", "se|s'")


@dataclass(frozen=True, slots=True)
class Objects:
    """What follows the verb, in both languages.

    Attributes:
        english: The words after the verb.
        french: The tokens after the verb.
        clitics: French pronouns before the verb.
        agreement: Gender and plural of a direct object that stands before the verb; the participle agrees with it.
    """

    english: str = ""
    french: tuple[str, ...] = ()
    clitics: tuple[str, ...] = ()
    agreement: tuple[str, bool] = ("m", False)


def english_clause(subject: Phrase, verb: Verb, tense: str, polarity: str, objects: Objects, *, question: bool) -> str:
    """Write a clause in English; a question begins with its auxiliary and has no mark."""
    third = subject.person == THIRD
    rest = f" {objects.english}" if objects.english else ""
    if tense == "progressive":
        auxiliary, form = ("was", "were")[subject.plural], verb.progressive
    elif tense == "future":
        auxiliary, form = "will", verb.base
    else:
        auxiliary, form = "did" if tense == "past" else ("do", "does")[third], verb.base
    simple = tense in ("present", "past")
    if question:
        return " ".join(word for word in (auxiliary, subject.english, polarity, form) if word) + rest
    if simple and polarity != "not":
        finite = verb.past if tense == "past" else verb.third if third else verb.base
        return " ".join(word for word in (subject.english, polarity, finite) if word) + rest
    return " ".join(word for word in (subject.english, auxiliary, polarity, form) if word) + rest


def french_clause(
    subject: Phrase, verb: Verb, tense: str, polarity: str, objects: Objects, *, question: bool
) -> list[str]:
    """Write a clause in French: passé composé with its agreement, ne … pas, pronouns, inversion in questions."""
    etre = verb.frame in ("etre", "reflexive")
    clitics = ((REFLEXIVE[subject.person],) if verb.frame == "reflexive" else ()) + objects.clitics
    if is_compound(verb, tense):
        finite = conjugated("être" if etre else "avoir", "present", subject.person)
        gender, plural = (subject.gender, subject.plural) if etre else objects.agreement
        rest = [participle(verb.french, gender, plural)]
    else:
        finite = conjugated(verb.french, french_tense(tense), subject.person)
        rest = []
    return french_order(subject, clitics, finite, polarity, [*rest, *objects.french], question=question)


def french_order(
    subject: Phrase, clitics: Sequence[str], finite: str, polarity: str, rest: Sequence[str], *, question: bool
) -> list[str]:
    """Put the parts of a French clause in order: subject, ne, pronouns, verb, pas, the rest.

    In a question the subject pronoun goes behind the verb; a noun stays in front and a pronoun takes it up again:
    « La fille ne mange-t-elle pas ? »
    """
    denied = (NE,) if polarity else ()
    after = (POLARITIES[polarity],) if polarity else ()
    front = () if question and subject.pronoun else subject.french
    verb = inverted(finite, subject.french_pronoun) if question else finite
    return [*front, *denied, *clitics, verb, *after, *rest]


def is_compound(verb: Verb, tense: str) -> bool:
    """Tell whether French uses the passé composé: for the English simple past of an action."""
    return tense == "past" and verb.progressive != "="


def french_tense(tense: str) -> str:
    """Return the simple French tense of an English one."""
    return {"present": "present", "future": "futur"}.get(tense, "imparfait")


def be(
    subject: Phrase, tense: str, polarity: str, english: str, french: str, *, question: bool
) -> tuple[str, list[str]]:
    """Write that the subject is something, in both languages; the English past is an imparfait."""
    form = "will be" if tense == "future" else _BE[tense][min(subject.person, WE)]
    first, _, second = form.partition(" ")
    words = (first, subject.english, polarity, second) if question else (subject.english, first, polarity, second)
    finite = conjugated("être", french_tense(tense), subject.person)
    tokens = french_order(subject, (), finite, polarity, [french], question=question)
    return " ".join(word for word in (*words, english) if word), tokens


_BE = {"present": ("am", "is", "are"), "past": ("was", "was", "were")}

#: Pronouns as direct objects: English, French, and the agreement of a participle behind it (None: not known).
DIRECT_PRONOUNS = {
    "him": ("le|l'", ("m", False)), "her": ("la|l'", ("f", False)), "them": ("les", None), "me": ("me|m'", None),
    "us": ("nous", None),
}  # fmt: skip
#: Pronouns as indirect objects; no participle agrees with them.
INDIRECT_PRONOUNS = {"him": "lui", "her": "lui", "them": "leur", "me": "me|m'", "us": "nous"}
#: Subjects that a pronoun cannot be the object of, since it would be reflexive.
SAME_PERSON = {FIRST: ("me", "us"), WE: ("us", "me")}


def taken_up(antecedent: Phrase) -> tuple[str, str]:
    """Return the direct object pronoun for a phrase, in English and in French."""
    if antecedent.plural:
        return "them", "les"
    if antecedent.kind == "person":
        return ("her", "la|l'") if antecedent.gender == "f" else ("him", "le|l'")
    return "it", "la|l'" if antecedent.gender == "f" else "le|l'"
