"""Kneser-Ney: by hand, against a literal transcription of the equations, and against KenLM's lmplz."""

from __future__ import annotations

import math
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ngram.literal_kneser_ney import LiteralModel, as_table, assert_same_model, back_off_probability
from models.ngram.test_counting import CORPORA, zipf_sentences
from nlpladder.models.ngram.discounts import DegenerateDiscountsError, modified_discounts, single_discount
from nlpladder.models.ngram.estimate import estimate
from nlpladder.models.ngram.options import NGramOptions
from nlpladder.text.encoding import encode_corpus


def estimated(sentences, order, **options):
    options = {"lmplz_discounts": False, **options}
    return estimate(encode_corpus(sentences), NGramOptions(order=order, **options))


def test_five_words_by_hand():
    """<s> a b a b c </s>: D = (0.5, 1, 1.5), for no count is 3; five words can be predicted."""
    found = estimated([["a", "b", "a", "b", "c"]], 2)
    probabilities = {
        # adjusted counts a 2 (after <s> and b), b 1, c 1, </s> 1, of 5; (3 * 0.5 + 1) / 5 is left for the uniform 1/5
        ("<unk>",): 0.1, ("</s>",): 0.2, ("a",): 0.3, ("b",): 0.2, ("c",): 0.2,
        ("<s>", "a"): 0.65, ("a", "b"): 0.6, ("b", "a"): 0.4, ("b", "c"): 0.35, ("c", "</s>"): 0.6,
    }  # fmt: skip
    table = as_table(found)
    assert set(table) == {*probabilities, ("<s>",)}
    for ngram, probability in probabilities.items():
        assert math.isclose(10 ** table[ngram][0], probability, rel_tol=1e-6), ngram
    for context in ("<s>", "a", "b", "c"):
        assert math.isclose(10 ** table[(context,)][1], 0.5, rel_tol=1e-6)
    assert table[("</s>",)][1] == table[("<unk>",)][1] == 0
    assert table[("<s>",)][0] == -99
    assert found.discounts == [(0.5, 1.0, 1.5)] * 2
    assert found.counts == [6, 5]
    assert len(found.notes) == 2
    assert "1-grams have no discounts of their own, for no n-gram occurs 3 times; 0.5, 1, 1.5" in found.notes[0]


@settings(max_examples=80, deadline=None)
@given(CORPORA, st.integers(1, 6), st.booleans(), st.sampled_from(["modified_kneser_ney", "kneser_ney"]))
def test_every_entry_is_the_literal_one(sentences, order, marks, smoothing):
    found = estimated(sentences, order, sentence_marks=marks, smoothing=smoothing)
    assert_same_model(found, LiteralModel(sentences, order, method=smoothing, marks=marks))


@pytest.mark.parametrize("marks", [True, False])
@pytest.mark.parametrize("prune", [(), (0, 1), (0, 1, 2), (1, 1, 2)])
def test_discounts_of_their_own_and_pruning(prune, marks):
    sentences = zipf_sentences(400, types=300)
    found = estimated(sentences, 3, prune=prune, sentence_marks=marks)
    assert len(set(found.discounts)) == 3
    assert found.notes == []
    thresholds = [*prune, *[prune[-1] if prune else 0] * (3 - len(prune))]
    assert_same_model(found, LiteralModel(sentences, 3, marks=marks, prune=thresholds))


def test_a_closed_vocabulary_with_unknown_words():
    sentences = zipf_sentences(100, types=40)
    vocabulary = (*(f"w{number}" for number in range(12)), "unheard")
    found = estimated(sentences, 3, vocabulary=vocabulary)
    literal = LiteralModel(sentences, 3, vocabulary=vocabulary)
    assert_same_model(found, literal)
    table = as_table(found)
    rng = np.random.default_rng(1)
    for _ in range(30):
        context = [str(word) for word in rng.choice([*found.words[3:], "<unk>"], 2)]
        word = str(rng.choice(found.words[2:]))
        expected = literal.probability(word, context)
        assert math.isclose(back_off_probability(table, word, context, 3), expected, rel_tol=1e-5)


def test_one_sentence_of_one_word():
    table = as_table(estimated([["a"]], 3))
    assert set(table) == {
        ("<unk>",), ("<s>",), ("</s>",), ("a",), ("<s>", "a"), ("a", "</s>"), ("<s>", "a", "</s>")
    }  # fmt: skip


def test_lmplz_takes_one_n_gram_of_each_order_raw():
    """The last n-grams, read from the end, are e and d e: e stands after one word, twice; that is its raw count."""
    sentences = [["a", "b", "d", "e"], ["c", "a", "d", "e"], *zipf_sentences(40, types=8)]
    letter = estimated(sentences, 3)
    as_lmplz = estimated(sentences, 3, lmplz_discounts=True)
    assert letter.counts == as_lmplz.counts
    assert letter.discounts != as_lmplz.discounts


def test_discounts():
    assert modified_discounts([9, 8, 4, 2, 1]) == pytest.approx((0.5, 1.25, 2.0))
    assert single_discount([9, 8, 4, 2, 1]) == (0.5, 0.5, 0.5)
    for counts in ([0, 0, 1, 1, 1], [0, 1, 0, 1, 1], [0, 1, 1, 0, 1], [0, 9, 1, 90, 1], [0, 9, 9, 1, 9]):
        with pytest.raises(DegenerateDiscountsError):
            modified_discounts(counts)


def read_arpa(path):
    found, order = {}, 0
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.endswith("-grams:"):
            order = int(line[1 : -len("-grams:")])
        elif order and line and line != "\\end\\":
            probability, words, *backoff = line.split("\t")
            found[tuple(words.split(" "))] = (float(probability), float(backoff[0]) if backoff else 0.0)
    return found


@pytest.mark.skipif(shutil.which("lmplz") is None, reason="KenLM's lmplz is not on PATH")
@pytest.mark.parametrize("seed", range(12))
def test_every_entry_is_lmplzs(tmp_path, seed):
    rng = np.random.default_rng(seed)
    order = 1 + seed % 6
    sentences = zipf_sentences(int(rng.choice([3, 40, 400])), seed=seed, types=int(rng.choice([3, 30, 300])))
    prune = tuple(sorted(rng.integers(0, 3, order).tolist())) if seed % 3 == 2 else ()
    text = "".join(" ".join(line) + "\n" for line in sentences)
    command = ["lmplz", "-o", str(order), "--arpa", str(tmp_path / "model.arpa"), "-S", "500M", "-T", str(tmp_path)]
    command += ["--discount_fallback", *(["--prune", *map(str, prune)] if prune else [])]
    subprocess.run(command, input=text.encode(), check=True, capture_output=True)
    wanted = read_arpa(tmp_path / "model.arpa")
    found = as_table(estimated(sentences, order, prune=prune, lmplz_discounts=True))
    assert set(found) == set(wanted)
    del found[("<s>",)]  # nobody predicts it: -99 here, 0 there
    for ngram, entry in found.items():
        assert entry == pytest.approx(wanted[ngram], abs=1e-5), ngram
