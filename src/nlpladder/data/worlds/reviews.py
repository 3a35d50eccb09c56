"""The world ``reviews``: short film reviews whose sentiment needs word order, with exact ceilings.

A review has a clean sentiment, drawn evenly, and a label that differs from it with probability `label_noise`. Its text
comes from the rules below. What each step of the ladder needs:

* negation next to its word ("is not good"), with a word between ("was never really good"), and from afar ("nobody could
  call the ending clever");
* contrast, where order decides: the clause after "but", "still" or "even so", the main clause of "although";
* many rare words of opinion, whose polarity the unlabelled text gives away: "and" joins adjectives of one polarity
  (Hatzivassiloglou and McKeown 1997), and a few adverbs and verbs choose theirs ("painfully slow").

Every text belongs to one clean sentiment: commas and full stops occur only between clauses, the word after them names
the role of the clause, and no clause can be read as both sentiments (the tests go through all of them). So the best
accuracy of any model is ``1 - label_noise``.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

from nlpladder.data.worlds import reviews_lexicon as lexicon
from nlpladder.data.worlds.grammar import Grammar
from nlpladder.errors import ConfigError, did_you_mean

LABELS = ("negative", "positive")

#: Accuracy of the best function of the bag of n-grams about the clean sentiment, by n. `best_ngram_accuracy` goes
#: through all derivations for it, which takes seconds; a test holds these to what it gives.
CLEAN_NGRAM_ACCURACY = {1: 0.8120148, 2: 0.918493504, 3: 0.99933564}

#: The splits and whether they show labels.
SPLITS = {"train": True, "validation": True, "test": True, "unlabeled": False}

LEXICON = {
    "adjective+": lexicon.POSITIVE_ADJECTIVES,
    "adjective-": lexicon.NEGATIVE_ADJECTIVES,
    "adverb+": lexicon.POSITIVE_ADVERBS,
    "adverb-": lexicon.NEGATIVE_ADVERBS,
    "liked+": lexicon.POSITIVE_LIKING_VERBS,
    "liked-": lexicon.NEGATIVE_LIKING_VERBS,
    "affected+": lexicon.POSITIVE_EFFECT_VERBS,
    "affected-": lexicon.NEGATIVE_EFFECT_VERBS,
    "aspect": lexicon.SINGULAR_ASPECTS,
    "aspects": lexicon.PLURAL_ASPECTS,
    "intensifier": lexicon.INTENSIFIERS,
    "neutral": lexicon.NEUTRAL_ADJECTIVES,
    "companion": lexicon.COMPANIONS,
    "day": lexicon.DAYS,
    "weather": lexicon.WEATHERS,
    "place": lexicon.PLACES,
    "decade": lexicon.DECADES,
    "craft": lexicon.CRAFTS,
}

#: Rules of one sentiment: ``{s}`` is its sign, ``{o}`` the opposite one.
SENTIMENT_RULES: dict[str, list[tuple[float, str]]] = {
    "review{s}": [(6, "[body{s}]"), (2, "[filler] . [body{s}]"), (2, "[body{s}] [filler] .")],
    "body{s}": [(8, "[clause{s}] ."), (68, "[agreement{s}]"), (24, "!contrast [contrast{s}]")],
    "agreement{s}": [
        (5, "[clause{s}] . [clause{s}] ."),
        (4, "[clause{s}] , and [clause{s}] ."),
        (1, "[clause{s}] . besides , [clause{s}] ."),
    ],
    "contrast{s}": [
        (5, "[clause{o}] . but [clause{s}] ."),
        (3, "granted , [clause{o}] . still , [clause{s}] ."),
        (2, "true , [clause{o}] . even so , [clause{s}] ."),
        (2, "although [clause{o}] , [clause{s}] , all in all ."),
        (2, "[clause{s}] , although [clause{o}] , all in all ."),
        (1, "despite <adjective{o}> <aspects> , [clause{s}] ."),
    ],
    "clause{s}": [(78, "[plain{s}]"), (18, "!negated [near{s}]"), (4, "!negated [far{s}]")],
    "plain{s}": [
        (6, "the <aspect> is [opinion{s}]"),
        (4, "the <aspect> was [opinion{s}]"),
        (5, "the <aspects> are [opinion{s}]"),
        (2, "i found the [noun] [opinion{s}]"),
        (1, "it has [opinion{s}] <aspects>"),
        (1, "i <liked{s}> the [noun]"),
        (4, "i <liked{s}> the <adjective{s}> [noun]"),
        (2, "the [noun] <affected{s}> me"),
        (1, "i would say that the <aspect> is [opinion{s}]"),
    ],
    "near{s}": [
        (6, "the <aspect> is [not] [opinion{o}]"),
        (4, "the <aspect> was [not] [opinion{o}]"),
        (5, "the <aspects> are [not] [opinion{o}]"),
        (2, "i never <liked{o}> the [noun]"),
        (3, "the [noun] never <affected{o}> me"),
    ],
    "far{s}": [
        (2, "i would not say that the <aspect> is [opinion{o}]"),
        (1, "i do not think that the <aspects> are [opinion{o}]"),
        (2, "nobody could call the [noun] [opinion{o}]"),
        (1, "nothing about the [noun] is [opinion{o}]"),
    ],
    "opinion{s}": [
        (36, "<adjective{s}>"),
        (14, "!intensified <intensifier> <adjective{s}>"),
        (18, "!intensified <adverb{s}> <adjective{s}>"),
        (24, "<adjective{s}> and <adjective{s}>"),
        (8, "!intensified <adjective{s}> and <adverb{s}> <adjective{s}>"),
    ],
}

NEUTRAL_RULES: dict[str, list[tuple[float, str]]] = {
    "not": [(6, "not"), (2, "never"), (1, "hardly"), (1, "far from")],
    "noun": [(3, "<aspect>"), (2, "<aspects>")],
    "filler": [
        (2, "we saw this on [when]"),
        (2, "we watched with my <companion>"),
        (1, "my <companion> chose this for <day>"),
        (2, "a <neutral> production of those <decade>"),
        (1, "made by people who once did <craft>"),
        (1, "seen near <place> before midnight"),
    ],
    "when": [(1, "a <weather> <day>"), (1, "<day>")],
}


def _rules() -> dict[str, list[tuple[float, str]]]:
    signed = {
        name.format(s=sign, o=other): [(weight, line.format(s=sign, o=other)) for weight, line in lines]
        for sign, other in ("+-", "-+")
        for name, lines in SENTIMENT_RULES.items()
    }
    return signed | NEUTRAL_RULES


class ReviewsWorld:
    """Film reviews with a known truth.

    Args:
        label_noise: Chance that the label is not the sentiment of the text, from 0 to 0.5.

    Raises:
        ConfigError: If `label_noise` is out of range.
    """

    def __init__(self, label_noise: float = 0.03) -> None:
        if not 0.0 <= label_noise <= 0.5:
            raise ConfigError(f"label_noise is {label_noise}; expected a probability from 0 to 0.5.")
        self.label_noise = label_noise
        self.grammar = Grammar(_rules(), LEXICON, pieces=("clause+", "clause-"), asides=("filler",))

    def generate(self, split: str, size: int, seed: int) -> dict[str, list[Any]]:
        """Write reviews.

        Args:
            split: "train", "validation", "test" or "unlabeled"; each has its own random stream.
            size: Number of reviews; the first ones are the same whatever the size.
            seed: Any integer.

        Returns:
            Columns: `text`; but for "unlabeled" also `label` ("negative" or "positive"), `negated` (a clause holds a
            negation), `contrast` (clauses of opposite sentiment), `intensified`, and `aspects` (how many are judged).

        Raises:
            ConfigError: If the split is unknown or the size negative.
        """
        if split not in SPLITS:
            raise ConfigError(
                f"The world 'reviews' has no split {split!r}.{did_you_mean(split, SPLITS)} It has: {', '.join(SPLITS)}."
            )
        if size < 0:
            raise ConfigError(f"The size of a split is {size}; expected zero or more.")
        digest = hashlib.sha256(f"reviews/{split}/{seed}".encode()).digest()
        generator = random.Random(int.from_bytes(digest, "big"))
        names = ("text", "label", "negated", "contrast", "intensified", "aspects") if SPLITS[split] else ("text",)
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for _ in range(size):
            sentiment = int(generator.random() < 0.5)
            words, symbols, marks = self.grammar.sample(("review-", "review+")[sentiment], generator)
            flipped = int(generator.random() < self.label_noise)
            columns["text"].append(" ".join(words))
            if SPLITS[split]:
                columns["label"].append(LABELS[sentiment ^ flipped])
                for mark in ("negated", "contrast", "intensified"):
                    columns[mark].append(mark in marks)
                columns["aspects"].append(sum(symbol in ("<aspect>", "<aspects>") for symbol in symbols))
        return columns

    def best_ngram_accuracy(self, order: int) -> float:
        """Return the accuracy of the best function of the bag of word n-grams, padded at both ends.

        Args:
            order: n; 1 for the bag of words. A bag of n-grams holds the shorter ones too.
        """
        negative, positive = (self.grammar.signature_probabilities(name, order) for name in ("review-", "review+"))
        clean = (
            sum(max(negative.get(bag, 0.0), positive.get(bag, 0.0)) for bag in negative.keys() | positive.keys()) / 2
        )
        return self.label_noise + (1 - 2 * self.label_noise) * clean

    def ceilings(self) -> dict[str, float]:
        """Return the best accuracies: of any model, and of any function of the bag of uni-, bi- and trigrams."""
        noise = self.label_noise
        names = {1: "unigram", 2: "bigram", 3: "trigram"}
        bags = {
            f"best_{names[order]}_accuracy": noise + (1 - 2 * noise) * clean
            for order, clean in CLEAN_NGRAM_ACCURACY.items()
        }
        return {"bayes_accuracy": 1 - noise, **bags}
