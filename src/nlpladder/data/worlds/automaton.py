"""A grammar compiled into a deterministic automaton, so that entropies and n-gram floors are exact sums.

Rules are lines of plain text, as in ``grammar.py``: ``[name]`` is a rule, ``<name>`` a word class, anything else a
word. Every word belongs to one class only, or to none, and a class draws its words by Zipf's law, whatever surrounds
it.

*States.* Read from the left, a text leaves open what may follow: a distribution over the symbols still to be written,
the stack. That distribution is the state. A symbol leads from a state to one state, so the automaton is deterministic:
a text has one path, its probability is the product along it, and derivations that write the same text are added up.

*Entropy.* A path is a Markov chain, so the entropy of the text is the sum over states of the expected number of visits
times the entropy of the next word (Cover and Thomas, Elements of Information Theory, theorem 4.2.4, with an end that is
reached with probability 1). Visits solve v = start + v P.

*N-gram floors.* The best n-gram model predicts the next word from the last n - 1 with the true conditional
probabilities. As a class draws its words independently of everything else, the words of the history say no more than
their classes, and the floor is the class n-gram entropy, from expected counts, plus the entropy within the classes.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Mapping, Sequence

Symbols = tuple[str, ...]
#: The symbol that ends a text.
END = "</s>"
#: What stands before a text in the histories of n-grams; no rule can write it.
_BEGIN = ""
_DIGITS = 12


class Automaton:
    """The deterministic automaton of a grammar.

    Args:
        rules: Alternatives of each rule, a weight and a line of text each.
        lexicon: Words of each class, the most frequent first; the word of rank r has weight 1 / r.
        start: The rule of a whole text.

    Raises:
        ValueError: A word has two classes or is also a function word, a symbol has no rule, or a rule calls itself
            without writing a word first.
    """

    def __init__(
        self, rules: Mapping[str, Sequence[tuple[float, str]]], lexicon: Mapping[str, Sequence[str]], start: str
    ) -> None:
        self._rules = {
            f"[{name}]": [(weight / sum(w for w, _ in lines), tuple(line.split())) for weight, line in lines]
            for name, lines in rules.items()
        }
        self.words = {f"<{name}>": tuple(words) for name, words in lexicon.items()}
        self._cumulative = {
            slot: list(itertools.accumulate(1.0 / rank for rank in range(1, len(words) + 1)))
            for slot, words in self.words.items()
        }
        self.symbol_of = {word: slot for slot, words in self.words.items() for word in words}
        self.log_word = {
            word: -math.log(rank * self._cumulative[slot][-1])
            for slot, words in self.words.items()
            for rank, word in enumerate(words, 1)
        }
        self._check(start)
        #: For each state the next symbols: symbol -> (probability, next state); END leads to -1.
        self.states: list[dict[str, tuple[float, int]]] = []
        self._build(start)
        self._choices = [
            (list(state), list(itertools.accumulate(chance for chance, _ in state.values()))) for state in self.states
        ]

    def _check(self, start: str) -> None:
        if len(self.symbol_of) != sum(map(len, self.words.values())):
            raise ValueError("A word stands in two classes, or twice in one.")
        written = [(f"[{start}]", "the start")]
        written += [(symbol, name) for name, lines in self._rules.items() for _, line in lines for symbol in line]
        for symbol, name in written:
            if (symbol[0] == "[" and symbol not in self._rules) or (symbol[0] == "<" and symbol not in self.words):
                raise ValueError(f"{name} uses {symbol}, which is not defined.")
            if symbol in self.symbol_of:
                raise ValueError(f"{name} writes {symbol!r}, which is a word of {self.symbol_of[symbol]}.")

    def _build(self, start: str) -> None:
        """Number the beliefs that can be reached, breadth first."""
        numbers: dict[tuple[tuple[Symbols, float], ...], int] = {}
        queue = [self._numbered({(f"[{start}]",): 1.0}, numbers)[1]]
        for belief in queue:
            following: dict[str, dict[Symbols, float]] = {}
            for stack, chance in belief.items():
                symbol, rest = (stack[0], stack[1:]) if stack else (END, ())
                inner = following.setdefault(symbol, {})
                inner[rest] = inner.get(rest, 0.0) + chance
            state: dict[str, tuple[float, int]] = {}
            for symbol, rests in following.items():
                total = math.fsum(rests.values())
                if symbol == END:
                    state[END] = (total, -1)
                    continue
                number, opened = self._numbered({rest: p / total for rest, p in rests.items()}, numbers)
                if opened:
                    queue.append(opened)
                state[symbol] = (total, number)
            self.states.append(state)

    def _numbered(
        self, stacks: dict[Symbols, float], numbers: dict[tuple[tuple[Symbols, float], ...], int]
    ) -> tuple[int, dict[Symbols, float]]:
        """Return the number of a distribution over stacks, and the opened distribution if it is new."""
        key = tuple(sorted((stack, round(chance, _DIGITS)) for stack, chance in stacks.items()))
        if key in numbers:
            return numbers[key], {}
        numbers[key] = len(numbers)
        opened: dict[Symbols, float] = {}
        self._open(stacks, opened, 0)
        return numbers[key], opened

    def _open(self, stacks: Mapping[Symbols, float], opened: dict[Symbols, float], depth: int) -> None:
        """Expand the rules on top of the stacks until every stack begins with a word or a class, or is empty."""
        if depth > 50:
            raise ValueError(f"The rule {next(iter(stacks))[0]} calls itself without writing a word first.")
        for stack, chance in stacks.items():
            if stack and stack[0] in self._rules:
                self._open(
                    {(*line, *stack[1:]): chance * weight for weight, line in self._rules[stack[0]]}, opened, depth + 1
                )
            else:
                opened[stack] = opened.get(stack, 0.0) + chance

    # ---- texts

    def sample(self, generator: random.Random) -> list[str]:
        """Draw the words of one text."""
        written: list[str] = []
        state = 0
        while True:
            symbols, cumulative = self._choices[state]
            position = bisect.bisect_right(cumulative, generator.random() * cumulative[-1])
            symbol = symbols[position]
            if symbol == END:
                return written
            state = self.states[state][symbol][1]
            if symbol in self.words:
                heights = self._cumulative[symbol]
                written.append(self.words[symbol][bisect.bisect_right(heights, generator.random() * heights[-1])])
            else:
                written.append(symbol)

    def log_probabilities(self, words: Sequence[str]) -> list[float]:
        """Return the natural log-probability of each word given those before it, and of the end after the last one.

        From the first word on that cannot follow, all are minus infinity.
        """
        logs: list[float] = []
        state = 0
        for word in (*words, END):
            symbol = self.symbol_of.get(word, word)
            if state < 0 or symbol not in self.states[state] or (word == END and len(logs) < len(words)):
                return logs + [-math.inf] * (len(words) + 1 - len(logs))
            chance, state = self.states[state][symbol]
            logs.append(math.log(chance) + self.log_word.get(word, 0.0))
        return logs

    # ---- exact sums

    def visits(self) -> list[float]:
        """Return the expected number of visits of each state in one text."""
        import numpy as np
        from scipy.sparse import coo_matrix, identity
        from scipy.sparse.linalg import spsolve

        edges = [
            (target, source, chance)
            for source, state in enumerate(self.states)
            for chance, target in state.values()
            if target >= 0
        ]
        rows, columns, values = zip(*edges, strict=True)
        size = len(self.states)
        transposed = coo_matrix((values, (rows, columns)), shape=(size, size)).tocsr()
        begin = np.zeros(size)
        begin[0] = 1.0
        solved: list[float] = spsolve((identity(size, format="csr") - transposed).tocsc(), begin).tolist()
        return solved

    def expected_counts(self, visits: Sequence[float]) -> dict[str, float]:
        """Return how often each symbol, class or function word, is expected in one text; `END` once."""
        counts: dict[str, float] = {}
        for times, state in zip(visits, self.states, strict=True):
            for symbol, (chance, _) in state.items():
                counts[symbol] = counts.get(symbol, 0.0) + times * chance
        return counts

    def class_entropy(self, slot: str) -> float:
        """Return the entropy in nats of a word of a class; 0 for a function word."""
        return -sum(math.exp(self.log_word[word]) * self.log_word[word] for word in self.words.get(slot, ()))

    def entropy(self, visits: Sequence[float]) -> float:
        """Return the entropy of a text in nats, its end included."""
        choices = math.fsum(
            -times * chance * math.log(chance)
            for times, state in zip(visits, self.states, strict=True)
            for chance, _ in state.values()
        )
        return choices + self._within_classes(self.expected_counts(visits))

    def _within_classes(self, counts: Mapping[str, float]) -> float:
        return math.fsum(count * self.class_entropy(symbol) for symbol, count in counts.items())

    def ngram_entropy(self, order: int, visits: Sequence[float]) -> float:
        """Return the least expected loss of an n-gram model on a text, in nats, its end included.

        Args:
            order: n; the history is the last n - 1 words of the text, with the beginning known.
            visits: What `visits` returns.
        """
        # Expected visits by (state, last n - 1 symbols), from shorter to longer histories: h = n - 1 steps back.
        histories: dict[tuple[int, Symbols], float] = {(number, ()): times for number, times in enumerate(visits)}
        for length in range(1, order):
            longer: dict[tuple[int, Symbols], float] = {(0, (_BEGIN,) * length): 1.0}
            for (number, history), times in histories.items():
                for symbol, (chance, target) in self.states[number].items():
                    if target >= 0:
                        key = (target, (*history, symbol))
                        longer[key] = longer.get(key, 0.0) + times * chance
            histories = longer
        counts: dict[Symbols, dict[str, float]] = {}
        for (number, history), times in histories.items():
            inner = counts.setdefault(history, {})
            for symbol, (chance, _) in self.states[number].items():
                inner[symbol] = inner.get(symbol, 0.0) + times * chance
        loss = 0.0
        for inner in counts.values():
            total = math.fsum(inner.values())
            loss -= math.fsum(count * math.log(count / total) for count in inner.values() if count > 0)
        return loss + self._within_classes(self.expected_counts(visits))
