"""The other smoothings: against their equations, and as distributions that sum to one."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ngram.literal_kneser_ney import LiteralModel, as_table, assert_same_model, back_off_probability
from models.ngram.test_counting import CORPORA, zipf_sentences
from nlpladder.models.ngram.estimate import estimate
from nlpladder.models.ngram.options import NGramOptions
from nlpladder.text.encoding import encode_corpus

PROBABILITIES = ["modified_kneser_ney", "kneser_ney", "witten_bell", "absolute_discounting", "add_k"]


def estimated(sentences, order, smoothing, **options):
    return estimate(encode_corpus(sentences), NGramOptions(order=order, smoothing=smoothing, **options))


@settings(max_examples=60, deadline=None)
@given(CORPORA, st.integers(1, 5), st.booleans(), st.sampled_from(["witten_bell", "absolute_discounting"]))
def test_every_entry_is_the_literal_one(sentences, order, marks, smoothing):
    found = estimated(sentences, order, smoothing, sentence_marks=marks)
    assert_same_model(found, LiteralModel(sentences, order, method=smoothing, marks=marks))


@pytest.mark.parametrize("smoothing", ["witten_bell", "absolute_discounting", "kneser_ney"])
def test_pruned_entries_are_the_literal_ones(smoothing):
    sentences = zipf_sentences(150, types=40)
    found = estimated(sentences, 3, smoothing, prune=(0, 1, 2))
    assert_same_model(found, LiteralModel(sentences, 3, method=smoothing, prune=(0, 1, 2)))


@settings(max_examples=30, deadline=None)
@given(CORPORA, st.integers(1, 5), st.booleans(), st.sampled_from(PROBABILITIES), st.booleans())
def test_probabilities_sum_to_one_after_any_context(sentences, order, marks, smoothing, pruned):
    prune = (0, 1) if pruned and order > 1 else ()
    found = estimated(sentences, order, smoothing, sentence_marks=marks, prune=prune)
    table = as_table(found)
    predicted = [word for word in found.words if word not in (("<s>",) if marks else ("<s>", "</s>"))]
    rng = np.random.default_rng(0)
    contexts = [tuple(rng.choice(predicted, rng.integers(0, order + 1)).tolist()) for _ in range(10)]
    contexts += [ngram for ngram in table if len(ngram) < order][:20]
    for context in contexts:
        total = sum(back_off_probability(table, word, context, order) for word in predicted)
        assert math.isclose(total, 1.0, rel_tol=1e-5), context


@pytest.mark.parametrize("marks", [True, False])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_add_k_is_lidstones_estimate(order, marks):
    sentences = zipf_sentences(60, types=12)
    found = estimated(sentences, order, "add_k", k=0.3, sentence_marks=marks)
    table = as_table(found)
    predicted = [word for word in found.words if word not in (("<s>",) if marks else ("<s>", "</s>"))]
    followers = Counter()
    totals = Counter()
    for sentence in sentences:
        words = ["<s>", *sentence, *["</s>"] * marks]
        for end in range(1, len(words)):
            context = tuple(words[max(0, end - order + 1) : end])
            if not marks and (len(context) < order - 1 or context[:1] == ("<s>",)):
                continue
            followers[(*context, words[end])] += 1
            totals[context] += 1
    for context in [*totals, ("w0",) * (order - 1)]:
        for word in predicted:
            expected = (followers[(*context, word)] + 0.3) / (totals[context] + 0.3 * len(predicted))
            assert math.isclose(back_off_probability(table, word, context, order), expected, rel_tol=1e-5)


def test_stupid_back_off_scores():
    found = estimated([["a", "b", "a", "b", "c"]], 3, "stupid_backoff")
    table = as_table(found)
    score = 10 ** table[("a", "b", "a")][0]
    assert math.isclose(score, 1 / 2, rel_tol=1e-6)
    assert math.isclose(10 ** table[("a", "b")][0], 1.0, rel_tol=1e-6)
    assert math.isclose(10 ** table[("c",)][0], 1 / 6, rel_tol=1e-6)  # </s> is a word of the text, <s> is not
    assert math.isclose(back_off_probability(table, "c", ("b", "a"), 3), 0.4 * 0.4 / 6, rel_tol=1e-6)
    assert table[("<unk>",)][0] == -99


def test_a_discount_given_by_hand():
    found = estimated([["a", "b", "a"]], 2, "absolute_discounting", discount=0.25)
    assert found.discounts == [(0.25, 0.25, 0.25)] * 2
    assert found.notes == []
    table = as_table(found)
    unigram_b = (1 - 0.25) / 4 + (3 * 0.25 / 4) / 4
    assert math.isclose(10 ** table[("b",)][0], unigram_b, rel_tol=1e-6)
    assert math.isclose(10 ** table[("a", "b")][0], (1 - 0.25) / 2 + 0.25 * unigram_b, rel_tol=1e-6)


def test_smoothings_learn_a_grammar_that_repeats():
    sentences = [["the", animal, verb, "."] for animal in ("cat", "dog") for verb in ("runs", "sleeps")] * 5
    for smoothing in PROBABILITIES:
        table = as_table(estimated(sentences, 3, smoothing))
        follows = back_off_probability(table, ".", ("cat", "runs"), 3)
        never = back_off_probability(table, "the", ("cat", "runs"), 3)
        assert follows > 0.5 > 10 * never, smoothing
