"""A small probabilistic grammar whose n-gram ceilings can be computed.

Rules are lines of plain text. ``[name]`` is a rule, ``<name>`` a slot filled with a word of that class, ``!name`` a
mark that is noted and not written, anything else a function word. Grammars have no recursion.

The words of the slots of one class are drawn together: independent draws, thrown away and repeated until all differ.
So, given the sequence of classes, the words are exchangeable within a class and independent of the label, and no class
word occurs twice in a text. Two facts follow.

*Classes suffice for bags of n-grams.* An (n-1)-gram with a class word in it occurs once in its text, so the bag of word
n-grams (padded at both ends) says what stands before and after it. Only the (n-1)-grams made of function words alone
can be confused. The bag of n-grams is therefore the same thing as the bag of *stretches*: the text cut at each
(n-1)-gram of function words, the cut kept on both sides. Given the bag of stretches with words replaced by their
classes, the words in it are exchangeable and say nothing about the label. Hence the best function of the bag of word
n-grams is the best function of the bag of class stretches, here the *signature*. For n = 1 every token is a stretch:
the bag of classes.

*Ceilings are sums.* P(signature, label) is summed over all derivations, left to right, piece by piece; derivations
with the same stretches so far and the same open stretch are merged. A bag is kept as the sum of 120-bit hashes of its
stretches, so sums of different bags could in principle collide, with a chance below 1e-20.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Symbols = tuple[str, ...]

#: Rules: a name and its alternatives, each a weight and a line of text.
Rules = Mapping[str, Sequence[tuple[float, str]]]


@dataclass(frozen=True)
class Variant:
    """One complete expansion of a rule.

    Attributes:
        symbols: Function words, ``<class>`` slots, and ``[piece]`` names if pieces were kept closed.
        marks: The names of the marks met on the way.
        probability: Chance of this expansion given the rule.
    """

    symbols: Symbols
    marks: frozenset[str]
    probability: float


def is_slot(symbol: str) -> bool:
    """Tell whether the symbol is a word class; `symbol` is never a bare ``<``."""
    return symbol.startswith("<")


def is_rule(symbol: str) -> bool:
    """Tell whether the symbol is the name of a rule."""
    return symbol.startswith("[")


class WordClass:
    """Words with a Zipf distribution: the word of rank r has weight 1 / r."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        # Divisions and sums round the same way on every platform; a power function need not.
        self._cumulative = list(itertools.accumulate(1.0 / rank for rank in range(1, len(self.words) + 1)))

    def draw_distinct(self, count: int, generator: random.Random) -> list[str]:
        """Draw `count` different words: independent draws, all repeated until no two are equal."""
        total = self._cumulative[-1]
        while True:
            ranks = [bisect.bisect_right(self._cumulative, generator.random() * total) for _ in range(count)]
            if count == 1 or len(set(ranks)) == count:
                return [self.words[rank] for rank in ranks]


class Grammar:
    """Expansion, sampling and signatures of a grammar without recursion.

    Args:
        rules: Alternatives of each rule, the name without brackets.
        lexicon: Words of each class, the name without angle brackets, most frequent first.
        pieces: Rules that stay closed inside others; they are the units that sampling and summation work with.
        asides: Pieces made of words that occur nowhere else, at most one in a text and no word in it twice. For the
            signature such a piece is one word of a class of its own.
    """

    def __init__(
        self, rules: Rules, lexicon: Mapping[str, Sequence[str]], pieces: Sequence[str], asides: Sequence[str] = ()
    ) -> None:
        self.rules = rules
        self.classes = {f"<{name}>": WordClass(words) for name, words in lexicon.items()}
        self.asides = frozenset(f"[{name}]" for name in asides)
        self.pieces = self.asides | {f"[{name}]" for name in pieces}
        self._variants: dict[str, tuple[Variant, ...]] = {}
        self.class_of_word = {word: slot for slot, words in self.classes.items() for word in words.words}
        for name in asides:
            self.class_of_word |= dict.fromkeys(self.words_of(name), f"<{name}>")

    def words_of(self, name: str) -> frozenset[str]:
        """Collect every word that can occur in a rule, pieces inside it not opened."""
        symbols = {symbol for variant in self.variants(name) for symbol in variant.symbols}
        slots = {symbol for symbol in symbols if is_slot(symbol)}
        return frozenset(symbols - slots).union(*(self.classes[slot].words for slot in slots))

    def variants(self, name: str) -> tuple[Variant, ...]:
        """Return all expansions of a rule, pieces inside it kept closed."""
        if name not in self._variants:
            alternatives = self.rules[name]
            total = sum(weight for weight, _ in alternatives)
            self._variants[name] = tuple(
                expanded for weight, line in alternatives for expanded in self._expand(line.split(), weight / total)
            )
        return self._variants[name]

    def _expand(self, symbols: Sequence[str], probability: float) -> list[Variant]:
        partial = [Variant((), frozenset(), probability)]
        for symbol in symbols:
            options: tuple[Variant, ...]
            if symbol.startswith("!"):
                options = (Variant((), frozenset({symbol[1:]}), 1.0),)
            elif is_rule(symbol) and symbol not in self.pieces:
                options = self.variants(symbol[1:-1])
            else:
                options = (Variant((symbol,), frozenset(), 1.0),)
            partial = [
                Variant(left.symbols + right.symbols, left.marks | right.marks, left.probability * right.probability)
                for left in partial
                for right in options
            ]
        return partial

    def function_words(self) -> frozenset[str]:
        """Collect every word that a rule writes itself."""
        symbols = {symbol for lines in self.rules.values() for _, line in lines for symbol in line.split()}
        return frozenset(symbol for symbol in symbols if symbol[0] not in "[<!")

    @functools.cached_property
    def _cumulative(self) -> dict[str, list[float]]:
        return {
            name: list(itertools.accumulate(variant.probability for variant in self.variants(name)))
            for name in self.rules
        }

    def _draw(self, name: str, generator: random.Random) -> Variant:
        cumulative = self._cumulative[name]
        return self.variants(name)[bisect.bisect_right(cumulative, generator.random() * cumulative[-1])]

    def sample(self, name: str, generator: random.Random) -> tuple[list[str], Symbols, set[str]]:
        """Draw one text of a rule.

        Returns:
            The words, the symbols (classes and function words) that they stand for, and the marks.
        """
        plan = self._draw(name, generator)
        marks = set(plan.marks)
        symbols: list[str] = []
        for symbol in plan.symbols:
            if is_rule(symbol):
                piece = self._draw(symbol[1:-1], generator)
                symbols.extend(piece.symbols)
                marks |= piece.marks
            else:
                symbols.append(symbol)
        counts = Counter(symbol for symbol in symbols if is_slot(symbol))
        words = {slot: iter(self.classes[slot].draw_distinct(count, generator)) for slot, count in counts.items()}
        return [next(words[symbol]) if symbol in words else symbol for symbol in symbols], tuple(symbols), marks

    def symbols_of(self, text: str) -> Symbols:
        """Replace the words of a text by their classes, and an aside by one class; function words stay."""
        symbols = [self.class_of_word.get(word, word) for word in text.split()]
        return tuple(
            symbol
            for before, symbol in itertools.pairwise(("", *symbols))
            if symbol != before or f"[{symbol[1:-1]}]" not in self.asides
        )

    def signature(self, symbols: Symbols, order: int) -> int:
        """Return the bag of stretches of a whole text as one number; equal bags give equal numbers."""
        bag, _ = _advance(_opening(order), (*symbols, *_opening(max(order, 2))), order)
        return bag

    def signature_probabilities(self, name: str, order: int) -> dict[int, float]:
        """Return P(signature | rule) for n-grams of the given order, summed over all derivations."""
        total: dict[int, float] = {}
        memory: dict[tuple[str, Symbols], list[tuple[int, Symbols, float]]] = {}
        for plan in self.variants(name):
            states: dict[tuple[Symbols, int], float] = {(_opening(order), 0): plan.probability}
            for symbol in (*plan.symbols, *_opening(max(order, 2))):
                merged: dict[tuple[Symbols, int], float] = {}
                for (stretch, bag), probability in states.items():
                    key = (symbol, stretch)
                    if key not in memory:
                        memory[key] = self._steps(symbol, stretch, order)
                    for added, following, chance in memory[key]:
                        state = (following, bag + added)
                        merged[state] = merged.get(state, 0.0) + probability * chance
                states = merged
            for (_, bag), probability in states.items():
                total[bag] = total.get(bag, 0.0) + probability
        return total

    def _steps(self, symbol: str, stretch: Symbols, order: int) -> list[tuple[int, Symbols, float]]:
        """Merge the ways to go on from an open stretch through one symbol or one piece."""
        if symbol in self.asides:
            symbol = f"<{symbol[1:-1]}>"
        if not is_rule(symbol):
            return [(*_advance(stretch, (symbol,), order), 1.0)]
        merged: dict[tuple[int, Symbols], float] = {}
        for variant in self.variants(symbol[1:-1]):
            step = _advance(stretch, variant.symbols, order)
            merged[step] = merged.get(step, 0.0) + variant.probability
        return [(bag, following, probability) for (bag, following), probability in merged.items()]


def _opening(order: int) -> Symbols:
    return ("|",) * (order - 1)


def _advance(stretch: Symbols, symbols: Symbols, order: int) -> tuple[int, Symbols]:
    """Go on from an open stretch; return the sum of the hashes of the stretches closed, and the one left open."""
    bag = 0
    for symbol in symbols:
        stretch = (*stretch, symbol)
        if order == 1:
            bag, stretch = bag + _hash(stretch), ()
        elif not any(is_slot(last) for last in stretch[1 - order :]):
            bag, stretch = bag + _hash(stretch), stretch[1 - order :]
    return bag, stretch


@functools.lru_cache(maxsize=1 << 16)
def _hash(stretch: Symbols) -> int:
    return int.from_bytes(hashlib.blake2b(" ".join(stretch).encode(), digest_size=15).digest(), "big")
