"""French morphology and spelling for the ``phrasebook`` world: conjugation, agreement, elision, contraction.

A phrase is a list of tokens. A token ``"le|l'"`` takes its second form before a vowel or a mute h; the definite
articles ``LE|l'`` and ``LES`` are written in capitals until they are spelled, because they melt into de and à before
them (du, des, au, aux), which the pronouns le and les never do.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence

from nlpladder.data.worlds.phrasebook_lexicon import ASPIRATED, IRREGULAR

#: Endings of futur and imparfait for je, il or elle, nous, ils or elles.
_FUTUR = ("ai", "a", "ons", "ont")
_IMPARFAIT = ("ais", "ait", "ions", "aient")

DE = "de|d'"
LE, LA, LES = "LE|l'", "LA|l'", "LES"
NE = "ne|n'"

_CONTRACTIONS = {
    ("de", "le article"): "du",
    ("de", "les article"): "des",
    ("à", "le article"): "au",
    ("à", "les article"): "aux",
}


def begins_with_vowel(word: str) -> bool:
    """Tell whether a word makes the word before it elide: a vowel or a mute h; y does not occur first."""
    first = unicodedata.normalize("NFD", word.lower())[0]
    if first == "h":
        return word.lower() not in ASPIRATED
    return first in "aeiouœ"


def spell(tokens: Sequence[str]) -> str:
    """Write tokens as French text, without the capital of a sentence: elisions, contractions, spaces.

    A comma or full stop joins the word before it; the question mark keeps its space.
    """
    words: list[str] = []
    for token in reversed(tokens):
        plain, _, elided = token.partition("|")
        following = words[-1] if words else ""
        word = elided if elided and following and begins_with_vowel(following) else plain
        if word in ("LE", "LES"):
            words.append(f"{word.lower()} article")
        elif (word, following) in _CONTRACTIONS:
            words[-1] = _CONTRACTIONS[word, following]
        else:
            words.append("la" if word == "LA" else word)
    text = " ".join(word.removesuffix(" article") for word in reversed(words))
    return text.replace("' ", "'").replace(" ,", ",").replace(" .", ".")


@functools.cache
def principal_parts(verb: str) -> tuple[str, ...]:
    """Return présent of je, il, nous, ils, the stems of imparfait and futur, and the past participle of a verb."""
    if verb in IRREGULAR:
        return IRREGULAR[verb]
    stem, ending = verb[:-2], verb[-2:]
    if ending == "er":
        soft = stem + "e" if stem.endswith("g") else stem  # nous mangeons: the g stays soft before o and a
        return (stem + "e", stem + "e", soft + "ons", stem + "ent", soft, verb, stem + "é")
    if ending == "ir":
        return (stem + "is", stem + "it", stem + "issons", stem + "issent", stem + "iss", verb, stem + "i")
    if ending == "re":
        return (stem + "s", stem, stem + "ons", stem + "ent", stem, verb[:-1], stem + "u")
    raise ValueError(f"{verb!r} ends neither in -er, -ir nor -re.")


def conjugated(verb: str, tense: str, person: int) -> str:
    """Return a simple tense of a verb.

    Args:
        verb: The infinitive.
        tense: ``present``, ``imparfait`` or ``futur``.
        person: 0 for je, 1 for il and elle, 2 for nous, 3 for ils and elles.
    """
    parts = principal_parts(verb)
    if tense == "present":
        return parts[person]
    if tense == "futur":
        return parts[5] + _FUTUR[person]
    stem, ending = parts[4], _IMPARFAIT[person]
    return (stem[:-1] if stem.endswith("ge") and ending[0] == "i" else stem) + ending


def participle(verb: str, gender: str = "m", plural: bool = False) -> str:
    """Return the past participle, which agrees with the subject after être and with an object before avoir."""
    form = principal_parts(verb)[6]
    form = {"dû": "du"}.get(form, form) + "e" if gender == "f" else form
    return form + "s" if plural and not form.endswith("s") else form


def inverted(verb: str, pronoun: str) -> str:
    """Join a verb and the subject pronoun behind it; -t- stands between two vowels: ``mange-t-elle``."""
    return f"{verb}-t-{pronoun}" if verb[-1] in "aeé" and pronoun[0] in "ieo" else f"{verb}-{pronoun}"
