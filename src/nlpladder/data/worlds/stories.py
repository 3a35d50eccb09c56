"""The world ``stories``: short English stories whose exact entropy is the floor of every perplexity.

A story names a man or a woman and a pet, tells some things, and ends. What a model must carry over a distance:

* within a sentence, the number of the subject: "The keys near the old door are lost", over a prepositional phrase or a
  relative clause whose own noun has a number of its own, drawn at random;
* over sentences, the gender of the person: he or she, his or her, himself or herself; some sentences say nothing of it;
* over sentences, the kind of the pet, which does what its kind does: a dog barks, a parrot whistles.

The first is out of reach of a trigram model much of the time and the others of any n-gram model; a recurrent network
can learn all three.

**Floors.** The rules are compiled into a deterministic automaton (see ``automaton.py``), which gives the probability of
any text, the entropy of a story, and the least loss of any n-gram model, all exactly. A story is one line. Its tokens
are its words and its marks (``.`` and ``,``) and an end mark; its words are what white space separates; its bytes are
those of the line without a line end.
"""

from __future__ import annotations

import functools
import hashlib
import math
import random
import re
from collections.abc import Sequence
from typing import Any

from nlpladder.data.worlds import stories_lexicon as lexicon
from nlpladder.data.worlds.automaton import END, Automaton
from nlpladder.errors import ConfigError, did_you_mean

SPLITS = ("train", "validation", "test", "unlabeled")
#: Orders of the n-gram floors that `ceilings` gives.
ORDERS = {1: "unigram", 2: "bigram", 3: "trigram", 5: "five_gram"}
_TOKEN = re.compile(r"\w+|[^\w\s]")

LEXICON: dict[str, tuple[str, ...]] = {
    "man": lexicon.MEN,
    "woman": lexicon.WOMEN,
    "pet_adjective": lexicon.PET_ADJECTIVES,
    "home": lexicon.HOMES,
    "home_adjective": lexicon.HOME_ADJECTIVES,
    "job": lexicon.JOBS,
    "noun_singular": lexicon.SINGULAR_NOUNS,
    "noun_plural": lexicon.PLURAL_NOUNS,
    "noun_adjective": lexicon.NOUN_ADJECTIVES,
    "preposition": lexicon.PREPOSITIONS,
    "state_singular": lexicon.SINGULAR_STATES,
    "state_plural": lexicon.PLURAL_STATES,
    "state_adjective": lexicon.STATE_ADJECTIVES,
    "relates_singular": lexicon.SINGULAR_RELATION_VERBS,
    "relates_plural": lexicon.PLURAL_RELATION_VERBS,
    "seen": lexicon.SEEN,
    "object": lexicon.OBJECTS,
    "feeling": lexicon.FEELINGS,
    "time": lexicon.TIMES,
    "friend": lexicon.FRIENDS,
    "shiny": lexicon.SHINY,
    "place": lexicon.PLACES,
    **{f"{pet}_does": verbs for pet, verbs in lexicon.PET_VERBS.items()},
}

#: Rules of one story: {g} is "man" or "woman", {he}, {He}, {his}, {himself} its pronouns, {pet} the pet.
STORY_RULES: dict[str, list[tuple[float, str]]] = {
    "story_{g}_{pet}": [(1, "<{g}> [opening_{pet}] [rest_{g}_{pet}]")],
    "rest_{g}_{pet}": [(4, "[sentence_{g}_{pet}] [rest_{g}_{pet}]"), (1, "[ending_{g}_{pet}]")],
    "sentence_{g}_{pet}": [
        (4, "{He} [action] ."),
        (2, "In the morning {he} [action] ."),
        (2, "One day {he} [action] ."),
        (2, "{His} <friend> [action] ."),
        (1, "{He} looked at {himself} in the <shiny> ."),
        (8, "The [subject] ."),
        (3, "The {pet} <{pet}_does> ."),
    ],
    "ending_{g}_{pet}": [
        (2, "At night the {pet} <{pet}_does> and {he} is <feeling> ."),
        (1, "Now {he} lives alone and the {pet} <{pet}_does> no more ."),
    ],
}
#: Rules that depend on the pet alone.
PET_RULES: dict[str, list[tuple[float, str]]] = {
    "opening_{pet}": [
        (2, "lives in a <home_adjective> <home> with a <pet_adjective> {pet} ."),
        (1, "works as a <job> and has a <pet_adjective> {pet} ."),
    ],
}
#: Rules of the subject that the verb agrees with: {n} is its number, {be} is or are.
NUMBER_RULES: dict[str, list[tuple[float, str]]] = {
    "subject_{n}": [
        (3, "[noun_{n}] [state_{n}]"),
        (3, "[noun_{n}] <preposition> the [between] [state_{n}]"),
        (2, "[noun_{n}] that <relates_{n}> the [between] [state_{n}]"),
        (1, "[noun_{n}] that the [noun_singular] <relates_singular> [state_{n}]"),
        (1, "[noun_{n}] that the [noun_plural] <relates_plural> [state_{n}]"),
    ],
    "noun_{n}": [(3, "<noun_{n}>"), (1, "<noun_adjective> <noun_{n}>")],
    "state_{n}": [(1, "{be} <state_adjective>"), (1, "<state_{n}> <state_adjective>")],
}
SHARED_RULES: dict[str, list[tuple[float, str]]] = {
    "subject": [(1, "[subject_singular]"), (1, "[subject_plural]")],
    "between": [(1, "[noun_singular]"), (1, "[noun_plural]")],
    "action": [
        (3, "<seen> a <object>"),
        (2, "<seen> a <object> in the <place>"),
        (1, "went to the <place> , and <time> to the <place>"),
        (2, "felt <feeling>"),
    ],
}
_PRONOUNS = {
    "man": {"he": "he", "He": "He", "His": "His", "himself": "himself"},
    "woman": {"he": "she", "He": "She", "His": "Her", "himself": "herself"},
}


def rules(pets: Sequence[str] = lexicon.PETS) -> dict[str, list[tuple[float, str]]]:
    """Return all rules, written out for both genders, both numbers, and the given pets."""
    written = dict(SHARED_RULES)
    written["story"] = [(1, f"[story_{gender}_{pet}]") for gender in _PRONOUNS for pet in pets]
    for pet in pets:
        settings = [{"g": gender, "pet": pet, **pronouns} for gender, pronouns in _PRONOUNS.items()]
        for values in settings:
            written |= _filled(STORY_RULES, values)
        written |= _filled(PET_RULES, {"pet": pet})
    for number, be in (("singular", "is"), ("plural", "are")):
        written |= _filled(NUMBER_RULES, {"n": number, "be": be})
    return written


def _filled(
    templates: dict[str, list[tuple[float, str]]], values: dict[str, str]
) -> dict[str, list[tuple[float, str]]]:
    return {
        name.format(**values): [(weight, line.format(**values)) for weight, line in lines]
        for name, lines in templates.items()
    }


class StoriesWorld:
    """Short stories with a known entropy."""

    def __init__(self) -> None:
        self.automaton = Automaton(rules(), LEXICON, "story")

    def generate(self, split: str, size: int, seed: int) -> dict[str, list[Any]]:
        """Write stories.

        Args:
            split: "train", "validation", "test" or "unlabeled"; each has its own random stream.
            size: Number of stories; the first ones are the same whatever the size.
            seed: Any integer.

        Returns:
            The column `text`, a story of one line in each row.

        Raises:
            ConfigError: If the split is unknown or the size negative.
        """
        if split not in SPLITS:
            hint = did_you_mean(split, SPLITS)
            raise ConfigError(f"The world 'stories' has no split {split!r}.{hint} It has: {', '.join(SPLITS)}.")
        if size < 0:
            raise ConfigError(f"The size of a split is {size}; expected zero or more.")
        digest = hashlib.sha256(f"stories/{split}/{seed}".encode()).digest()
        generator = random.Random(int.from_bytes(digest, "big"))
        return {"text": [joined(self.automaton.sample(generator)) for _ in range(size)]}

    def log_probability(self, text: str) -> float:
        """Return the exact natural log-probability of a story; minus infinity for any other text."""
        return math.fsum(self.token_log_probabilities(text))

    def token_log_probabilities(self, text: str) -> list[float]:
        """Return the exact log-probability in nats of each token given those before it, and of the end mark, last.

        Args:
            text: A story; its tokens are its words and marks. From the first token on that no story can have there, or
                for a text with other spaces than a story has, all are minus infinity.
        """
        tokens = _TOKEN.findall(text)
        if joined(tokens) != text:
            return [-math.inf] * (len(tokens) + 1)
        return self.automaton.log_probabilities(tokens)

    @functools.cached_property
    def _visits(self) -> list[float]:
        return self.automaton.visits()

    @functools.cached_property
    def _sizes(self) -> dict[str, float]:
        """Expected tokens (with the end mark), white-space words, and bytes of a story."""
        counts = self.automaton.expected_counts(self._visits)
        marks = sum(count for symbol, count in counts.items() if symbol in ".,")
        words = sum(count for symbol, count in counts.items() if symbol not in (".", ",", END))
        letters = sum(count * self._mean_bytes(symbol) for symbol, count in counts.items() if symbol != END)
        return {"token": words + marks + 1, "word": words, "byte": letters + words - 1}

    def _mean_bytes(self, symbol: str) -> float:
        words = self.automaton.words.get(symbol)
        if words is None:
            return len(symbol.encode())
        return sum(math.exp(self.automaton.log_word[word]) * len(word.encode()) for word in words)

    def entropy(self, order: int | None = None) -> float:
        """Return the entropy of a story in nats, or the least loss of an n-gram model of the given order on it."""
        if order is None:
            return self.automaton.entropy(self._visits)
        return self.automaton.ngram_entropy(order, self._visits)

    def expected_size(self, unit: str) -> float:
        """Return how many tokens (with the end mark), words or bytes a story has on average.

        Args:
            unit: "token", "word" or "byte".
        """
        return self._sizes[unit]

    def ceilings(self) -> dict[str, float]:
        """Return the least values that any model can reach on many stories, and that n-gram models can.

        Bits per byte, perplexity per token (end marks counted) and per white-space word, and nats per story.
        """
        best = self._figures(self.entropy())
        floors = {
            f"best_{name}_{metric}": value
            for order, name in ORDERS.items()
            for metric, value in self._figures(self.entropy(order)).items()
            if metric in ("bits_per_byte", "perplexity_per_token")
        }
        return {**best, **floors}

    def _figures(self, nats: float) -> dict[str, float]:
        return {
            "bits_per_byte": nats / (math.log(2) * self._sizes["byte"]),
            "perplexity_per_token": math.exp(nats / self._sizes["token"]),
            "perplexity_per_word": math.exp(nats / self._sizes["word"]),
            "nats_per_story": nats,
        }


def joined(tokens: Sequence[str]) -> str:
    """Write tokens as a line of text: a space before every word but the first, none before a mark."""
    return "".join(
        token if token in (".", ",") or not position else f" {token}" for position, token in enumerate(tokens)
    )
