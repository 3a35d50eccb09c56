"""Scores of language models: arithmetic by hand, intervals, and tests that know the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nlpladder.errors import DataError
from nlpladder.evaluation.language_modeling import (
    TextLosses,
    compare_language_models,
    score_language_model,
    split_by_line,
)
from nlpladder.protocols import TokenScores


def scores(probabilities, known=None, words=2, size=8, unknown="<unk>"):
    count = len(probabilities)
    known = np.ones(count, bool) if known is None else np.array(known)
    return TokenScores(tuple("t" if one else unknown for one in known), np.log(probabilities), known, words, size)


def test_metrics_by_hand():
    losses = TextLosses.of([scores([0.5, 0.25, 0.5]), scores([0.125, 1.0], known=[False, True], words=1, size=4)])
    found = {name: score.mean.value for name, score in score_language_model([losses], resamples=200).items()}
    nats = math.log(2) * (1 + 2 + 1 + 3 + 0)
    assert found["bits_per_byte"] == pytest.approx(7 / 12)
    assert found["perplexity_per_word"] == pytest.approx(math.exp(nats / 3))
    assert found["perplexity"] == pytest.approx(math.exp(nats / 5))
    assert found["perplexity_of_known"] == pytest.approx(math.exp(math.log(2) * 4 / 4))
    assert found["unknown_rate"] == pytest.approx(0.2)


def test_letters_of_unknown_words_are_paid_for_so_that_vocabularies_compare():
    literal = TextLosses.of([scores([0.5, 0.5], known=[True, False]), scores([0.5])])
    spelled = TextLosses.of([scores([0.5, 0.5], known=[True, False], unknown="süß"), scores([0.5])])
    one, other = (score_language_model([losses], resamples=50) for losses in (literal, spelled))
    assert one["bits_per_byte"].mean.value == pytest.approx(3 / 16)
    assert other["bits_per_byte"].mean.value == pytest.approx((3 + 8 * 6) / 16)  # five bytes and an end mark
    assert other["perplexity"].mean.value == one["perplexity"].mean.value


def random_losses(rng, texts, shift=0.0):
    lengths = rng.integers(3, 30, texts)
    nats = lengths * (2.0 + shift) + rng.normal(0, 1, texts)
    zeros = np.zeros(texts)
    return np.column_stack([nats, lengths, lengths, 5.0 * lengths, nats, lengths, zeros])


def test_the_interval_covers_the_truth_in_most_samples():
    rng = np.random.default_rng(0)
    truth = 2.0 / (5 * math.log(2))
    inside = 0
    for _ in range(60):
        score = score_language_model([TextLosses(random_losses(rng, 80))], resamples=400)["bits_per_byte"].mean
        inside += score.low <= truth <= score.high
    assert inside >= 50


def test_a_real_difference_is_found_and_no_difference_is_not():
    rng = np.random.default_rng(1)
    base = random_losses(rng, 200)
    better, same = base.copy(), base.copy()
    better[:, 0] -= 0.05 * base[:, 1] + rng.normal(0, 0.1, 200)
    same[:, 0] += rng.normal(0, 0.5, 200)
    systems = {"base": [TextLosses(base)], "same": [TextLosses(same)], "better": [TextLosses(better)]}
    against_base, against_same = compare_language_models(systems, resamples=2000)
    assert against_base.better() is None
    assert against_same.better() == "better"
    assert against_same.high < 0
    everything = compare_language_models(systems, pairs="all", resamples=2000)
    assert [(pair.system_b, pair.system_a) for pair in everything] == [
        ("base", "same"), ("base", "better"), ("same", "better"),
    ]  # fmt: skip


def test_seeds_widen_the_interval():
    rng = np.random.default_rng(2)
    base = random_losses(rng, 100)
    seeds = []
    for shift in (-0.2, 0.0, 0.2):
        moved = base.copy()
        moved[:, 0] += shift * base[:, 1]
        seeds.append(TextLosses(moved))
    one, three = score_language_model(seeds[1:2])["bits_per_byte"], score_language_model(seeds)["bits_per_byte"]
    assert three.mean.value == pytest.approx(one.mean.value)
    assert three.mean.high - three.mean.low > 2 * (one.mean.high - one.mean.low)


def test_an_impossible_token_makes_the_loss_infinite_and_says_so():
    with np.errstate(divide="ignore"):
        losses = TextLosses.of([scores([0.5, 0.0]), scores([0.5])])
    score = score_language_model([losses], resamples=50)["perplexity"].mean
    assert score.value is None
    assert "probability 0" in score.note


def test_models_of_other_texts_are_refused():
    rng = np.random.default_rng(3)
    first, second = TextLosses(random_losses(rng, 10)), TextLosses(random_losses(rng, 10))
    with pytest.raises(DataError, match="other lengths"):
        compare_language_models({"a": [first], "b": [second]})
    with pytest.raises(DataError, match="at least two"):
        score_language_model([TextLosses(random_losses(rng, 1))])


def test_a_long_text_is_cut_into_lines_whose_losses_sum_to_the_whole():
    text = "\n\nab c\n\nd\n  \ne"
    starts = np.arange(len(text))
    logprobs = -np.arange(1.0, len(text) + 2)
    whole = TokenScores((*text, "</s>"), logprobs, np.ones(len(text) + 1, bool), len(text.split()), len(text.encode()))
    parts = split_by_line(whole, text, starts)
    assert ["".join(part.tokens) for part in parts] == ["\n\nab c\n\n", "d\n  \n", "e</s>"]
    assert np.array_equal(
        TextLosses.of(parts).columns.sum(axis=0)[:4], TextLosses.of([whole]).columns[0, :4]
    )  # nats, tokens, words, bytes


def test_tokens_that_reach_over_a_line_break_are_counted_once():
    text = "ab\ncd"
    score = TokenScores(("a", "b\nc", "d", "</s>"), np.array([-1.0, -2.0, -3.0, -4.0]), np.ones(4, bool), 2, 5)
    parts = split_by_line(score, text, np.array([0, 1, 4]))
    assert [part.tokens for part in parts] == [("a", "b\nc"), ("d", "</s>")]
    assert sum(part.num_bytes for part in parts) == 5
