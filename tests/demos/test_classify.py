"""The tab Classify: what its functions return for fakes and for small real models, and what they refuse."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.fakes import FakeStore
from helpers import review_rows
from nlpladder.errors import LadderError, ModelError
from nlpladder.models.counts.linear import LinearTextClassifier
from nlpladder.models.counts.majority import MajorityClassifier
from nlpladder.models.counts.naive_bayes import NaiveBayesClassifier
from shell.limits import DemoError
from tabs.classify_answers import (
    Answer,
    agreement,
    features_table,
    file_predictions,
    file_summary,
    predictions,
)
from tabs.classify_view import account, cards_html, explanations_html, model_figures_html, quality_table

LABELS = ("negative", "positive")
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 30


def fitted(model):
    rows = review_rows(60)
    return model.fit([text for text, _ in rows], [label for _, label in rows])


@pytest.fixture(scope="module")
def linear():
    return fitted(LinearTextClassifier(label_names=LABELS))


@pytest.fixture
def store(linear, tmp_path):
    folder = tmp_path / "run"
    (folder / "figures").mkdir(parents=True)
    for name in ("confusion_matrix", "reliability", "learning_curves"):
        (folder / "figures" / f"{name}.png").write_bytes(PNG + name.encode())
    scores = {
        "accuracy": {"value": 0.875, "low": 0.8, "high": 0.925, "n": 1040, "unit": "%"},
        "expected_calibration_error": {"value": 0.05, "low": None, "high": None, "n": 40, "unit": ""},
    }
    (folder / "metrics.json").write_text(json.dumps({"scores": scores}))
    models = {
        "linear": (linear, {"classify"}),
        "bayes": (fitted(NaiveBayesClassifier(label_names=LABELS)), {"classify"}),
        "floor": (fitted(MajorityClassifier(label_names=LABELS)), {"classify"}),
        "vectors": (object(), {"vectors"}),
    }
    return FakeStore(models, folders={"linear": folder})


class Scripted:
    """A classifier that says what it is told."""

    def __init__(self, *rows, labels=LABELS, task="single_label"):
        self.rows, self.label_names, self.task = np.array(rows), labels, task

    def predict_proba(self, texts):
        return np.array([self.rows[place % len(self.rows)] for place in range(len(texts))])


def test_every_model_answers_and_is_explained(store):
    answers = predictions(store, "A good film, but boring", ["linear", "bayes", "floor"])
    assert store.used == ["linear", "bayes", "floor"]
    for answer in answers:
        assert answer.labels == LABELS
        assert sum(answer.probabilities) == pytest.approx(1.0)
        assert answer.attribution.label == answer.best
        assert answer.attribution.against == next(label for label in LABELS if label != answer.best)
    table = features_table(answers)
    assert set(table["model"]) == {"linear", "bayes"}, "the floor has no features"
    assert {"good", "boring"} <= set(table["word or n-gram"])


def test_another_class_can_be_explained(store):
    for answer in predictions(store, "good", ["linear"], explain=" negative "):
        assert answer.attribution.label == "negative"
        assert answer.attribution.score < 0
    with pytest.raises(DemoError, match="No chosen model has the class 'nice'"):
        predictions(store, "good", ["linear"], explain="nice")


def test_the_method_is_chosen_by_its_name(store):
    (found,) = predictions(store, "good", ["linear"], method="gradient × input")
    assert found.attribution.method == "exact", "what is a sum is taken apart as one"
    with pytest.raises(DemoError, match="Methods"):
        predictions(store, "good", ["linear"], method="magic")


def test_a_model_that_fails_leaves_the_others_their_answers(linear):
    class Broken(Scripted):
        def predict_proba(self, texts):
            raise ModelError("The <b>weights</b> are gone.")

    store = FakeStore({"linear": (linear, {"classify"}), "broken": (Broken(), {"classify"})})
    first, second = predictions(store, "good", ["broken", "linear"])
    assert (first.probabilities, second.best) == ((), "positive")
    shown = cards_html([first, second])
    assert "No answer: The &lt;b&gt;weights&lt;/b&gt; are gone." in shown
    assert explanations_html([first]) == ""


def test_what_has_no_attribution_says_why():
    store = FakeStore({"x": (Scripted([0.2, 0.8]), {"classify"})})
    (answer,) = predictions(store, "good", ["x"])
    assert answer.best == "positive"
    assert "cannot be taken apart" in explanations_html([answer])


@pytest.mark.parametrize(
    "text, models, wrong",
    [
        ("", ["linear"], "The text is empty"),
        ("x" * 5001, ["linear"], "5,001 characters"),
        (3, ["linear"], "expected a text"),
        ("good", [], "nothing is chosen"),
        ("good", None, "nothing is chosen"),
        ("good", ["vectors"], "There is no 'vectors'"),
        ("good", ["lineer"], "Did you mean 'linear'"),
        ("good", ["linear"] * 7, "at most 6"),
        ("good", [["linear"]], "expected a name"),
    ],
)
def test_wrong_inputs_are_sentences(store, text, models, wrong):
    with pytest.raises(DemoError, match=wrong):
        predictions(store, text, models)


def answer(name, *probabilities, labels=LABELS, task="single_label"):
    return Answer(name, "", task, labels, probabilities)


def test_agreement_counts_models_with_the_same_classes():
    alike = [answer("a", 0.1, 0.9), answer("b", 0.4, 0.6), answer("c", 0.8, 0.2)]
    assert agreement(alike[:2]) == "Both models say **positive**."
    assert agreement(alike) == "2 of 3 models say **positive**; the others: c: negative."
    other = answer("d", 1.0, 0.0, labels=("sport", "trade"))
    assert agreement([alike[0], other]) == (
        "Models with different classes cannot agree or disagree: only those with the same are counted."
    )
    assert agreement([alike[0]]) == ""
    hostile = [answer(name, 1.0, 0.0, labels=("<b>*x*", "y")) for name in "ab"]
    assert r"\<b\>\*x\*" in agreement(hostile)


def test_answers_of_other_tasks():
    assert answer("a", 0.6, 0.7, task="multi_label").best == "negative, positive"
    assert answer("a", 0.1, 0.2, task="multi_label").best == "(none)"
    number = answer("a", 3.14159, labels=("value",), task="regression")
    assert number.best == "3.142"
    assert "predicts <strong>3.142" in cards_html([number])


def test_bars_have_numbers_and_names_are_escaped():
    shown = cards_html([Answer("<i>m</i>", "<u>", "single_label", ("<b>", "c"), (0.256, 0.744))])
    assert "<i>" not in shown
    assert "<b>" not in shown
    assert re.findall(r'nw-number">([^<]*)<', shown) == ["74.4 %", "25.6 %"]
    assert 'class="nw-cards nw-whole"' in shown  # names of classes are read whole
    assert [float(one) for one in re.findall(r"width:([\d.]+)%", shown)] == [74.4, 25.6]
    many = Answer("m", "", "single_label", tuple(map(str, range(30))), tuple([1 / 30] * 30))
    assert "and 20 less probable ones" in cards_html([many])


def test_the_account_is_the_sum(store):
    (found,) = predictions(store, "a good good film", ["linear"])
    told = account(found.attribution)
    assert "Exact" in told
    numbers = [float(one.replace("−", "-")) for one in re.findall(r"[+−]\d+\.\d+", told)]
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=0.02)


@settings(max_examples=40, deadline=None)
@given(text=st.text(min_size=1, max_size=60) | st.just("<script>alert(1)</script> good"))
def test_any_text_has_an_answer_or_a_sentence_and_stays_text(linear, text):
    store = FakeStore({"linear": (linear, {"classify"})})
    try:
        answers = predictions(store, text, ["linear"])
    except LadderError:
        return
    shown = re.sub(r"<style>.*?</style>", "", explanations_html(answers) + cards_html(answers), flags=re.DOTALL)
    assert "<script" not in shown
    tags = set(re.findall(r"<([a-z0-9]+)", shown))
    assert tags <= {"div", "h2", "h3", "p", "ol", "li", "span", "strong", "section", "ruby", "rt", "em"}


# ---- files and runs


def test_a_file_is_classified_row_by_row():
    models = {
        "a": (Scripted([0.9, 0.1], [0.2, 0.8]), {"classify"}),
        "b": (Scripted([0.6, 0.4]), {"classify"}),
        "c": (Scripted([2.5], labels=(), task="regression"), {"classify"}),
    }
    header, rows = file_predictions(FakeStore(models), ["one", "two", "three"], ["a", "b", "c"])
    assert header == ["text", "a", "a: probability", "b", "b: probability", "c", "all agree"]
    assert rows[0] == ["one", "negative", 0.9, "negative", 0.6, "2.500", "yes"]
    assert rows[1] == ["two", "positive", 0.8, "negative", 0.6, "2.500", "no"]
    told = file_summary(header, rows)
    assert told.startswith("3 texts. a: negative 2, positive 1.")
    assert "agree on 2 of 3 (67%)" in told


def test_models_with_different_classes_are_not_compared_in_a_file():
    three = ("bad", "good", "so-so")
    models = {
        "a": (Scripted([0.9, 0.1]), {"classify"}), "b": (Scripted([0.2, 0.7, 0.1], labels=three), {"classify"}),
        "c": (Scripted([0.3, 0.7]), {"classify"}),
    }  # fmt: skip
    header, rows = file_predictions(FakeStore(models), ["one"], ["a", "b"])
    assert "all agree" not in header
    assert file_summary(header, rows).startswith("1 text. ")
    assert "Models with different classes cannot agree" in file_summary(header, rows)
    header, rows = file_predictions(FakeStore(models), ["one"], ["a", "b", "c"])
    assert header[-1] == "all agree: a, c"
    assert rows[0][-1] == "no"
    assert "agree on 0 of 1 (0%). Models with different" in file_summary(header, rows)
    header, rows = file_predictions(FakeStore(models), ["one"], ["a"])
    assert "different" not in file_summary(header, rows)


def test_too_many_rows_are_refused():
    store = FakeStore({"a": (Scripted([0.9, 0.1]), {"classify"})})
    with pytest.raises(DemoError, match="501 texts"):
        file_predictions(store, ["x"] * 501, ["a"])
    with pytest.raises(DemoError, match="0 texts"):
        file_predictions(store, [], ["a"])


def test_what_the_run_measured_is_shown(store, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "public"))
    table = quality_table(store, ["linear", "bayes"])
    assert table.values.tolist() == [
        ["linear", "accuracy", "87.5 %", "80.0 to 92.5", "1,040"],
        ["linear", "ECE", "0.050", "no interval", "40"],
    ]
    shown = model_figures_html(store, ["linear", "bayes"])
    assert re.findall(r'alt="([^"]*)"', shown) == ["linear: confusion matrix", "linear: reliability"]
    assert 'src="data:image/png;base64,' in shown, "no path of the run is told"
    assert str(tmp_path) not in shown
    assert "no figures" in model_figures_html(store, ["bayes"])


@pytest.mark.parametrize("content", ["", "[]", '{"scores": 3}', '{"scores": {"accuracy": {"value": "x"}}}'])
def test_broken_metrics_are_left_out(store, content):
    folder = store.entry("linear").folder
    (folder / "metrics.json").write_text(content)
    assert len(quality_table(store, ["linear"])) == 0
