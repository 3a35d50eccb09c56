"""The tab Bias: what a classifier says of a text and of its counterfactual versions."""

from __future__ import annotations

import numpy as np
import pytest

from demos.bias_fakes import FakeClassifier
from nlpladder.errors import LadderError
from tabs import bias_swaps


def test_names_pronouns_and_pairs_are_exchanged():
    texts = ["He met James.", "Nobody came.", "my mother slept"]
    versions = bias_swaps.versions_of(texts, bias_swaps.GENDER)
    assert [one.row for one in versions] == [0, 2]
    assert versions[0].text.startswith("She met ")
    assert "James" not in versions[0].text
    assert versions[1].text == "my father slept"
    (words,) = bias_swaps.versions_of(["He met James."], bias_swaps.WORDS)
    assert words.text == "She met James."
    (own,) = bias_swaps.versions_of(["A German came."], bias_swaps.OWN, "German = Italian")
    assert own.text == "An Italian came."
    assert own.changed == "German → Italian"


def test_of_an_identity_axis_there_is_one_version_for_each_other_term():
    versions = bias_swaps.versions_of(["An atheist teacher spoke.", "Rain."], "identity: religion")
    texts = [one.text for one in versions]
    assert "A Muslim teacher spoke." in texts
    assert len(texts) == len(set(texts)) == 6
    assert bias_swaps.templates_of(["An atheist teacher.", "Jewish and Muslim.", "Rain."], "religion") == [
        "An {term} teacher."
    ]


def test_before_after_and_the_difference_are_the_classifiers_numbers():
    model = FakeClassifier({"he": 1.0, "she": -1.0, "good": 0.5})
    table, summary, intervals, notes = bias_swaps.compare_versions(
        [("m", model)], ["He is good.", "She is good.", "Rain."], bias_swaps.WORDS
    )
    first = table.iloc[0]
    assert first["before, %"] == round(100 / (1 + np.exp(-1.5)), 1)
    assert first["after, %"] == round(100 / (1 + np.exp(0.5)), 1)
    assert first["change, nats"] == pytest.approx(-2.0)
    assert first["decision"] == "changes"
    assert table["change, nats"].tolist() == [-2.0, 2.0]
    assert summary["measure"][0] == "second group minus first, nats"
    assert intervals[0].value == pytest.approx(-2.0)
    assert intervals[0].n == "n = 2 texts"
    assert notes[0] == "2 of 3 texts mention a term; 2 versions."
    assert not any("feminine" in note for note in notes)


def test_an_axis_is_compared_with_its_own_mean():
    model = FakeClassifier({"muslim": -1.0})
    table, summary, intervals, _ = bias_swaps.compare_versions(
        [("m", model)], ["The Muslim man.", "A Jewish man.", "The Sikh poet."], "identity: religion"
    )
    assert len(table) == 18
    values = {one.label: one.value for one in intervals}
    assert values["m, positive: Muslim against the mean of all terms, nats"] == pytest.approx(-6 / 7)
    assert values["m, positive: Sikh against the mean of all terms, nats"] == pytest.approx(1 / 7)
    assert len(values) == 7
    assert summary["measure"][0] == "religion: largest minus smallest, nats"
    labels = FakeClassifier(label_names=("a", "b", "c"), task="multi_label")
    labels.predict_proba = lambda texts: np.full((len(texts), 3), 0.25)
    _, summary, _, _ = bias_swaps.compare_versions(
        [("m", labels)], ["A Jewish man.", "The Sikh."], "identity: religion"
    )
    assert summary["label"].tolist() == ["a"] * 8 + ["b"] * 8 + ["c"] * 8


@pytest.mark.parametrize(
    "texts, kind, pairs, message",
    [
        (["Rain."], bias_swaps.GENDER, "", "No text mentions a term"),
        (["Rain."], "identity: religion", "", "such as Christian"),
        (["He."], "everything", "", "no 'everything'"),
        (["He."], bias_swaps.OWN, "", "Pairs is empty"),
        (["He."], bias_swaps.OWN, "he = he", "twice the same term"),
        (["He."], bias_swaps.OWN, "he = (", "must begin and end"),
        (["He."], None, "", "nothing is chosen"),
    ],
)
def test_texts_that_cannot_be_exchanged_are_refused(texts, kind, pairs, message):
    with pytest.raises(LadderError, match=message):
        bias_swaps.versions_of(texts, kind, pairs)


def test_a_model_that_predicts_numbers_says_so_and_the_others_answer():
    number = FakeClassifier(task="regression")
    table, _, _, notes = bias_swaps.compare_versions(
        [("number", number), ("m", FakeClassifier())], ["He is good."], bias_swaps.WORDS
    )
    assert table["model"].tolist() == ["m"]
    assert any("predicts a number" in note for note in notes)
