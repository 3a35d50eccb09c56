"""The smoothing equations over dictionaries of tuples, as the papers write them: slow, and sharing nothing with ours.

Also the back-off query over the levels that nlpladder estimates, so that the two can be compared.
"""

from __future__ import annotations

import math
from collections import Counter

START, END, UNKNOWN = "<s>", "</s>", "<unk>"


class LiteralModel:
    """Interpolated modified Kneser-Ney, Kneser-Ney, absolute discounting or Witten-Bell."""

    def __init__(
        self,
        sentences,
        order,
        *,
        method="modified_kneser_ney",
        vocabulary=None,
        marks=True,
        prune=None,
        fallback=(0.5, 1, 1.5),
    ):
        self.order, self.method, self.marks = order, method, marks
        known = set(vocabulary) if vocabulary is not None else {word for sentence in sentences for word in sentence}
        self.vocabulary = sorted(known - {UNKNOWN}) + [UNKNOWN] + [END] * marks
        self.raw = Counter()
        for sentence in sentences:
            words = [START, *(word if word in known else UNKNOWN for word in sentence), *[END] * marks]
            for length in range(1, order + 1):
                self.raw.update(tuple(words[i : i + length]) for i in range(len(words) - length + 1))
        self.left_words = Counter(
            ngram[1:] for ngram in self.raw
        )  # each distinct (v, w1 ... wn) is one v before w1 ... wn
        self.adjusted = {ngram: self._adjusted(ngram) for ngram in self.raw}
        if not marks:
            self.adjusted = {ngram: count for ngram, count in self.adjusted.items() if ngram[0] != START}
        self.adjusted.pop((START,), None)
        thresholds = prune or [0] * order
        self.kept = {
            ngram
            for ngram in self.adjusted
            if self.raw[ngram] > thresholds[len(ngram) - 1] or ngram in {(END,), (UNKNOWN,)}
        }
        self.vocabulary = [
            word for word in self.vocabulary if word in (UNKNOWN, END) or thresholds[0] == 0 or (word,) in self.kept
        ]
        self.discounts = [self._discounts(length, fallback) for length in range(1, order + 1)]
        self.followers = {}
        for ngram in self.adjusted:
            self.followers.setdefault(ngram[:-1], []).append(ngram)

    def _adjusted(self, ngram):
        raw_only = self.method in ("absolute_discounting", "witten_bell")
        if raw_only or len(ngram) == self.order or ngram[0] == START:
            return self.raw[ngram]
        return self.left_words[ngram]

    def _discounts(self, length, fallback):
        if self.method == "witten_bell":
            return (0.0, 0.0, 0.0)
        n = Counter(count for ngram, count in self.adjusted.items() if len(ngram) == length)
        if self.method == "modified_kneser_ney":
            if not (n[1] and n[2] and n[3]):
                return tuple(fallback)
            y = n[1] / (n[1] + 2 * n[2])
            d = (1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3])
            return d if all(0 <= d[i] <= i + 1 for i in range(3)) else tuple(fallback)
        if not (n[1] and n[2]):
            return (fallback[0],) * 3
        return (n[1] / (n[1] + 2 * n[2]),) * 3

    def _discount(self, length, count):
        return self.discounts[length - 1][min(count, 3) - 1]

    def backoff(self, context):
        """Gamma of a context: what its kept words leave over."""
        extra = len(self.followers[context]) if self.method == "witten_bell" else 0
        total = sum(self.adjusted[ngram] for ngram in self.followers[context]) + extra
        taken = sum(
            self.adjusted[ngram] - self._discount(len(ngram), self.adjusted[ngram])
            for ngram in self.followers[context]
            if ngram in self.kept
        )
        return 1 - taken / total

    def probability(self, word, context):
        """p(word | context)."""
        context = tuple(context)
        lower = self.probability(word, context[1:]) if context else 1 / len(self.vocabulary)
        if context not in self.followers or (context and context not in self.kept and context != (START,)):
            return lower
        extra = len(self.followers[context]) if self.method == "witten_bell" else 0
        total = sum(self.adjusted[ngram] for ngram in self.followers[context]) + extra
        ngram = (*context, word)
        own = 0.0
        if ngram in self.kept:
            own = (self.adjusted[ngram] - self._discount(len(ngram), self.adjusted[ngram])) / total
        return own + self.backoff(context) * lower


def as_table(estimate):
    """N-grams as tuples of words: (log10 probability, log10 back-off)."""
    table, previous = {}, []
    for number, level in enumerate(estimate.levels):
        words = [estimate.words[word] for word in level.word.tolist()]
        if number == 0:
            keys = [(word,) for word in words]
        else:
            keys = [(*previous[prefix], word) for prefix, word in zip(level.prefix.tolist(), words, strict=True)]
        assert keys == sorted(keys, key=lambda key: [estimate.words.index(word) for word in key])
        backoffs = level.log10_backoff.tolist() or [0.0] * len(keys)
        table.update(zip(keys, zip(level.log10_probability.tolist(), backoffs, strict=True), strict=True))
        previous = keys
    return table


def back_off_probability(table, word, context, order):
    """The probability of a word by the back-off rule."""
    context = tuple(context)[max(0, len(context) - order + 1) :]
    weight = 0.0
    while True:
        if (*context, word) in table:
            return 10 ** (weight + table[(*context, word)][0])
        weight += table[context][1] if context in table else 0.0
        context = context[1:]


def assert_same_model(estimate, literal):
    """Every entry of the estimate is the literal model's probability, and the n-grams are the same."""
    table = as_table(estimate)
    wanted = literal.kept | {(word,) for word in literal.vocabulary} | {(START,), (END,)}
    assert set(table) == wanted
    for ngram, (log_probability, log_backoff) in table.items():
        never = ngram == (START,) or (ngram == (END,) and not literal.marks)
        if never:
            assert log_probability == -99
        else:
            expected = literal.probability(ngram[-1], ngram[:-1])
            assert math.isclose(10**log_probability, expected, rel_tol=2e-6, abs_tol=1e-30), ngram
        if len(ngram) < literal.order:
            expected = literal.backoff(ngram) if ngram in literal.followers else 1.0
            assert math.isclose(10**log_backoff, expected, rel_tol=2e-6, abs_tol=1e-12), ngram
