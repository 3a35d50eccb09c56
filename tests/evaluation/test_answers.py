"""Answers: the arithmetic of the official SQuAD scripts, written here from its definition."""

from __future__ import annotations

import collections
import re
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.answers import (
    AnswerStatistics,
    compare_answers,
    exact_match,
    normalize_answer,
    score_answers,
    token_f1,
)

WORDS = ("the", "The", "a", "an", "cat", "Cat!", "cats", "U.S.", "1,000", "theory", "—", "  ", "Ünï", "'s", "")
TEXTS = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


def official_normalize(text):
    """Lower text and remove punctuation, articles and extra whitespace, step by step."""
    text = text.lower()
    text = "".join(character for character in text if character not in set(string.punctuation))
    text = re.sub(r"\b(a|an|the)\b", " ", text)
    return " ".join(text.split())


def official_f1(prediction, truth, version):
    ours, right = official_normalize(prediction).split(), official_normalize(truth).split()
    if version == "2.0" and (len(ours) == 0 or len(right) == 0):
        return float(ours == right)
    common = collections.Counter(ours) & collections.Counter(right)
    same = sum(common.values())
    if same == 0:
        return 0.0
    precision, recall = 1.0 * same / len(ours), 1.0 * same / len(right)
    return (2 * precision * recall) / (precision + recall)


def official(predictions, answers, version):
    exact = f1 = 0.0
    for prediction, rights in zip(predictions, answers, strict=True):
        if version == "2.0":
            rights = [right for right in rights if official_normalize(right)] or [""]
        exact += max(official_normalize(prediction) == official_normalize(right) for right in rights)
        f1 += max(official_f1(prediction, right, version) for right in rights)
    return {"exact_match": 100.0 * exact / len(answers), "f1": 100.0 * f1 / len(answers)}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=1, max_size=3)), min_size=1, max_size=6))
def test_version_1_1_is_that_of_the_script(rows):
    predictions, answers = [row[0] for row in rows], [row[1] for row in rows]
    found = AnswerStatistics.of(predictions, answers, version="1.1").corpus()
    for name, value in official(predictions, answers, "1.1").items():
        assert 100 * found[name] == pytest.approx(value, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, max_size=3)), min_size=1, max_size=6))
def test_version_2_0_is_that_of_the_script(rows):
    predictions, answers = [row[0] for row in rows], [row[1] for row in rows]
    found = AnswerStatistics.of(predictions, answers, version="2.0").corpus()
    for name, value in official(predictions, answers, "2.0").items():
        assert 100 * found[name] == pytest.approx(value, abs=1e-9)
    for keep, names in (
        (True, {"exact_match": "has_answer_exact_match", "f1": "has_answer_f1"}),
        (False, {"exact_match": "no_answer_accuracy"}),
    ):
        kept = [row for row in rows if bool(row[1]) is keep]
        if kept:
            part = official([row[0] for row in kept], [row[1] for row in kept], "2.0")
            for name, ours in names.items():
                assert 100 * found[ours] == pytest.approx(part[name], abs=1e-9)
        else:
            assert all(np.isnan(found[ours]) for ours in names.values())


def test_normalisation_by_hand():
    assert normalize_answer(" The  U.S. Theory, of an Ant! ") == "us theory of ant"
    assert normalize_answer("“the” — A-B") == "“ ” — ab"  # punctuation is ASCII's only
    assert exact_match("the Cat.", "cat")
    assert token_f1("a cat and a dog", "the dog and cats") == pytest.approx(2 * (2 / 3) * (2 / 3) / (4 / 3))
    assert token_f1("the", "a") == 0.0
    assert token_f1("the", "a", version="2.0") == 1.0


def test_the_version_is_that_of_the_data():
    assert "has_answer_f1" not in AnswerStatistics.of(["x", "y"], [["x"], ["z"]]).measures
    two = AnswerStatistics.of(["x", "", "y"], [["x"], [], []])
    scores = score_answers([two], resamples=200)
    assert {name: round(100 * score.mean.value, 1) for name, score in scores.items()} == {
        "exact_match": 66.7, "f1": 66.7, "has_answer_exact_match": 100.0, "has_answer_f1": 100.0,
        "no_answer_accuracy": 50.0,
    }  # fmt: skip
    assert scores["f1"].mean.unit == "%"
    with pytest.raises(DataError, match="Question number 1 has no right answer"):
        AnswerStatistics.of(["x", "y"], [["x"], []], version="1.1")
    with pytest.raises(ConfigError, match="version is '3'"):
        AnswerStatistics.of(["x"], [["x"]], version="3")


def test_intervals_tables_and_tests():
    rng = np.random.default_rng(0)
    answers = [[f"answer {number} x", f"answer {number}"] for number in range(150)]
    good, bad = (
        AnswerStatistics.of([rights[0] if rng.random() < share else "wrong x" for rights in answers], answers)
        for share in (0.8, 0.6)
    )
    scores = score_answers([good], resamples=500)
    for name, value in good.corpus().items():
        if name in scores:
            assert scores[name].mean.low <= value == scores[name].mean.value <= scores[name].mean.high
    # The interval of a share is nearly that of the binomial.
    share = good.corpus()["exact_match"]
    half = 1.96 * (share * (1 - share) / 150) ** 0.5
    assert scores["exact_match"].mean.low == pytest.approx(share - half, abs=0.02)
    again = AnswerStatistics.from_columns(good.to_columns(), good.fingerprint)
    assert score_answers([again], resamples=500) == scores
    (found,) = compare_answers({"bad": [bad], "good": [good]}, resamples=500)
    assert found.better() == "good"
    assert found.metric == "f1"


@pytest.mark.parametrize(
    "predictions, answers, message",
    [
        (["a"], [["a"], ["b"]], "1 predictions and the answers to 2"),
        ([], [], "no answers to score"),
        ("ab", [["a"], ["b"]], "predictions are one string"),
        (["a", None], [["a"], ["b"]], "Question number 1 has None"),
        (["a", "b"], [["a"], [3]], "Question number 1 has 3"),
    ],
)
def test_what_cannot_be_scored_is_named(predictions, answers, message):
    with pytest.raises(DataError, match=message):
        AnswerStatistics.of(predictions, answers)
