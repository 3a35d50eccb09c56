"""Error analysis: a planted weakness is found, and no text can break the report."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import DataError
from nlpladder.evaluation.error_analysis import SHOWN_CHARACTERS, analyse, cut_text, escape_markdown
from nlpladder.evaluation.slices import NEGATION, slice_table, text_columns


def data(examples=400, seed=0):
    """A classifier that is right nine times of ten, but only four times of ten under negation."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, examples)
    negated = generator.random(examples) < 0.3
    right = generator.random(examples) < np.where(negated, 0.4, 0.9)
    confidence = generator.uniform(0.51, 1.0, examples)
    predicted = np.where(right, labels, 1 - labels)
    scores = np.empty((examples, 2))
    scores[np.arange(examples), predicted] = confidence
    scores[np.arange(examples), 1 - predicted] = 1 - confidence
    lengths = generator.integers(1, 30, examples)
    texts = [("not " if flag else "") + "word " * int(length) for flag, length in zip(negated, lengths, strict=True)]
    return texts, labels, scores, right


def test_the_planted_weakness_is_found():
    texts, labels, scores, right = data()
    genre = ["a", "b", "c", "d"] * 100
    report = analyse(texts, labels, scores, ["bad", "good"], {"genre": genre, "true": labels == 1})
    slices = {(part.column, part.value): part for part in report.slices}
    weak = slices["negation", "with negation"]
    assert weak.p_holm < 1e-6
    assert weak.difference < -0.3
    assert weak.low <= weak.accuracy <= weak.high
    assert slices["negation", "without negation"].p_holm == weak.p_holm
    assert slices["negation", "without negation"].difference == pytest.approx(-weak.difference)
    for column in ("length", "negation", "genre", "true"):
        assert sum(part.n for part in report.slices if part.column == column) == 400
    assert ("true", "yes") in slices
    assert report.errors == 400 - right.sum()
    json.dumps(report.to_dict())


def test_slices_without_a_weakness_rarely_raise_an_alarm():
    alarms = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        right = generator.random(200) < 0.8
        columns = {name: generator.integers(0, 4, 200).tolist() for name in ("a", "b", "c")}
        alarms += min(part.p_holm for part in slice_table(right, columns)) <= 0.05
    assert alarms <= 8  # 3 are expected at most; more than 8 would happen once in 200 times


def test_examples_are_ranked():
    texts, labels, scores, right = data()
    report = analyse(texts, labels, scores, ["bad", "good"], examples=5)
    predicted = scores.argmax(axis=1)
    wrong = [row for row in np.argsort(-scores.max(axis=1)) if not right[row]][:5]
    assert [example.row for example in report.worst] == wrong
    for example in report.worst:
        assert example.label != example.predicted
        assert example.predicted == ["bad", "good"][predicted[example.row]]
        assert example.confidence == scores[example.row].max()
        assert example.label_probability == pytest.approx(1 - example.confidence)
    margins = np.abs(scores[:, 0] - scores[:, 1])
    assert [example.row for example in report.uncertain] == np.argsort(margins)[:5].tolist()
    from sklearn.metrics import confusion_matrix

    assert np.array_equal(report.confusion, confusion_matrix(labels, predicted))


def test_slices_use_fishers_test_and_one_test_for_two_halves():
    from scipy.stats import fisher_exact

    from nlpladder.evaluation.multiple_testing import holm

    right = np.asarray([True] * 30 + [False] * 30)
    halves = ["a"] * 40 + ["b"] * 20
    thirds = (["2", "10", "x"] * 20)[:60]
    found = slice_table(right, {"halves": halves, "thirds": thirds, "constant": ["k"] * 60})
    assert [(part.column, part.value) for part in found] == [
        ("halves", "a"),
        ("halves", "b"),
        ("thirds", "2"),
        ("thirds", "10"),
        ("thirds", "x"),
    ]
    assert found[0].p_value == pytest.approx(fisher_exact([[30, 10], [0, 20]]).pvalue)
    tested = [found[index].p_value for index in (0, 2, 3, 4)]
    assert [found[index].p_holm for index in (0, 2, 3, 4)] == pytest.approx(holm(tested).tolist())
    assert found[1].p_holm == found[0].p_holm
    tiny = slice_table(right, {"c": ["rare"] * 2 + ["common"] * 58})
    assert [part.value for part in tiny] == ["common"]
    assert tiny[0].p_holm is not None


@pytest.mark.parametrize(
    "text, negated",
    [
        ("this is not good", True),
        ("I didn't like it", True),
        ("I didn’t like it", True),
        ("it does n't work", True),
        ("it wasnt bad", True),
        ("NEVER again", True),
        ("a film without a plot", True),
        ("a notable knot of notes in november", False),
        ("a cannon, an aunt and a front", False),
        ("", False),
    ],
)
def test_negation(text, negated):
    assert bool(NEGATION.search(text)) == negated


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=30))
def test_every_text_falls_into_one_length_and_the_parts_do_not_overlap(texts):
    columns = text_columns(texts)
    words = {}
    for text, part in zip(texts, columns["length"], strict=True):
        words.setdefault(part, []).append(len(text.split()))
    ranges = sorted((min(lengths), max(lengths)) for lengths in words.values())
    assert all(first[1] < second[0] for first, second in itertools.pairwise(ranges))
    assert len(ranges) <= 4
    assert len(columns["negation"]) == len(texts)


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=400))
def test_no_text_breaks_a_table_row(text):
    cut = cut_text(text)
    assert len(cut) <= SHOWN_CHARACTERS
    escaped = escape_markdown(text)
    assert "<" not in escaped
    assert ">" not in escaped.replace("\\>", "")
    assert "\n" not in escaped
    assert "|" not in escaped.replace("\\\\", "").replace("\\|", "")


def test_hostile_texts_stay_text():
    hostile = "<script>alert(1)</script> | [click](javascript:alert(1)) ![x](http://x/y.png) `code` &lt; " + "a" * 300
    scores = np.asarray([[0.9, 0.1]] * 10)
    page = analyse([hostile] * 10, [1] * 10, scores, ["a|b", "<b>"], {"<i>": ["x|"] * 5 + ["y"] * 5}).to_markdown()
    assert "<script" not in page
    assert "<b>" not in page
    assert "](" not in page
    assert "&lt;script&gt;alert\\(1\\)" in page
    assert "&amp;lt;" in page
    tables = [line.replace("\\|", "") for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {4, 5, 7}
    assert "10 of 10 examples are wrong (100.0 %)" in page


def test_a_perfect_classifier_has_a_report():
    labels = np.arange(40) % 2
    report = analyse(["text"] * 40, labels, np.eye(2)[labels], ["a", "b"])
    assert report.worst == ()
    assert report.slices == ()
    assert "0 of 40 examples are wrong" in report.to_markdown()


def test_what_does_not_fit_is_refused():
    labels, scores = [0, 1] * 15, np.eye(2)[[0, 1] * 15]
    with pytest.raises(DataError, match="29 texts and 30 labels"):
        analyse(["t"] * 29, labels, scores, ["a", "b"])
    with pytest.raises(DataError, match="'id' has 30 different values"):
        analyse(["t"] * 30, labels, scores, ["a", "b"], {"id": range(30)})
    with pytest.raises(DataError, match="'id' has 3 values for 30"):
        analyse(["t"] * 30, labels, scores, ["a", "b"], {"id": [1, 2, 3]})
    with pytest.raises(DataError, match="2 columns, but there are 3 label names"):
        analyse(["t"] * 30, labels, scores, ["a", "b", "c"])
