"""The tab Bias: what a classifier says of a text and of its counterfactual versions."""

from __future__ import annotations

import numpy as np
import pytest

from demos.bias_fakes import FakeClassifier
from nlpladder.errors import LadderError
from nlpladder.evaluation.multiple_testing import holm
from tabs import bias_intervals, bias_panels, bias_swap_findings, bias_swaps


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
    assert bias_swap_findings.templates_of(["An atheist teacher.", "Jewish and Muslim.", "Rain."], "religion") == [
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
    assert (first["exchanged"], first["text after"]) == ("He → She", "She is good.")
    assert len(bias_swaps.WIDTHS) == len(table.columns)
    assert len(bias_swap_findings.SUMMARY_WIDTHS) == len(summary.columns)
    assert table["change, nats"].tolist() == [-2.0, 2.0]
    assert summary["measure"][0] == "feminine minus masculine, nats"
    assert intervals[0].value == pytest.approx(-2.0)
    assert intervals[0].n == "n = 2 texts"
    assert notes[0] == "2 of 3 texts mention a term; 2 versions."
    assert not any("(feminine)" in note or "control swaps" in note for note in notes)


def test_nouns_with_a_form_for_women_are_exchanged_both_ways():
    texts = ["The actress was better than her brother in the second part.", "a waiter and a heroine", "the bride"]
    versions = bias_swaps.versions_of(texts, bias_swaps.GENDER)
    assert versions[0].text == "The actor was better than his sister in the second part."
    assert versions[0].changed == "actress → actor, her → his, brother → sister"
    assert [one.text for one in versions[1:]] == ["a waitress and a hero", "the groom"]
    (own,) = bias_swaps.versions_of(["A squire and his wife."], bias_swaps.WORDS, "squire = dame")
    assert own.text == "A dame and her husband."
    for masculine, feminine in bias_swaps.ROLE_PAIRS:
        (one,) = bias_swaps.versions_of([f"one {feminine} came"], bias_swaps.WORDS)
        assert one.text == f"one {masculine} came"


def test_every_text_of_the_first_example_has_all_its_gendered_words_exchanged():
    gendered = {"he", "she", "his", "her", "mother", "james", "actress", "brother"}
    for one in bias_swaps.versions_of(bias_panels._TEXTS.splitlines(), bias_swaps.GENDER):
        before = set(bias_panels._TEXTS.splitlines()[one.row].lower().replace(".", "").split()) & gendered
        assert len(one.changed.split(", ")) == len(before)


def test_a_note_stands_once_however_many_models_and_measures_it_is_of():
    texts = [f"He is good on {day}, six of them." for day in ("Monday", "Friday", "Sunday")]
    models = [("m1", FakeClassifier({"he": 1.0})), ("m2", FakeClassifier({"he": -1.0, "six": 1.0}))]
    _, summary, _, notes = bias_swaps.compare_versions(models, texts, bias_swaps.WORDS)
    assert len(summary) == 6
    assert len(notes) == len(set(notes))
    assert sum("were exchanged as a control in 3 of the 3 texts" in one for one in notes) == 1
    (rough,) = [one for one in notes if one.startswith("Interval and p rest on 3 texts")]
    assert rough.endswith("This is said of “feminine minus masculine, nats”.")
    assert not any("m1" in note and "m2" in note for note in notes)
    assert not any("control swaps" in note or "cluster" in note for note in notes)
    assert all(one != "–" for one in summary["above no bias [95 %]"][1:3])
    assert not any("n = " in one for one in summary["above no bias [95 %]"])


def test_the_summary_is_corrected_over_all_its_rows_and_says_what_it_shows():
    texts = [f"He is good at {number}." for number in ("tea", "salt", "chess", "games", "law", "art", "war", "peace")]
    models = [("m1", FakeClassifier({"he": 3.0, "she": -3.0})), ("m2", FakeClassifier())]
    _, summary, _, _ = bias_swaps.compare_versions(models, texts, bias_swaps.WORDS)
    given = [place for place, text in enumerate(summary["p"]) if text != "–"]
    raw = [float(summary["p"][place].replace("< .001", "0.0005")) for place in given]
    corrected = [float(summary["p (Holm)"][place].replace("< .001", "0.0005")) for place in given]
    assert len(given) >= 2
    assert corrected == pytest.approx(holm(raw).tolist(), abs=0.006)
    first = summary.iloc[0]
    assert first["what this says"] == "positive: more probable in the masculine version"
    assert "not the same as none" in summary.iloc[3]["what this says"] or "nothing" in summary.iloc[3]["what this says"]


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


def test_both_sides_have_names_on_the_page_in_the_picture_and_in_the_table():
    assert bias_swaps.sides_of(bias_swaps.GENDER) == bias_swaps.sides_of(bias_swaps.WORDS, "squire = dame")
    told = bias_swaps.directions_of(bias_swaps.GENDER)
    assert told["caption"] == "Log-odds of the label, feminine minus masculine"
    assert "masculine" in told["below"]
    assert "feminine" in told["above"]
    pairs = "German = Polish\nFrench = Nigerian"
    assert bias_swaps.sides_of(bias_swaps.OWN, pairs) == ("German/French", "Polish/Nigerian")
    assert bias_swaps.sides_of(bias_swaps.OWN, "\n".join(f"a{n} = b{n}" for n in "wxyz")) == (
        "aw/ax/ay/…",
        "bw/bx/by/…",
    )
    model = FakeClassifier({"polish": 2.0, "nigerian": 2.0})
    _, summary, _, _ = bias_swaps.compare_versions([("m", model)], ["A German.", "French."], bias_swaps.OWN, pairs)
    assert summary["measure"][0] == "Polish/Nigerian minus German/French, nats"
    assert "all terms of religion" in bias_swaps.directions_of("identity: religion")["caption"]


def test_notes_say_which_label_of_two_is_shown_and_which_rows_they_are_of():
    three = FakeClassifier(label_names=("a", "b", "c"))
    three.predict_proba = lambda texts: np.full((len(texts), 3), 1 / 3)
    texts = ["He is good.", "She had tea."]
    _, summary, _, notes = bias_swaps.compare_versions([("m", FakeClassifier({"he": 1.0}))], texts, bias_swaps.WORDS)
    assert notes[1] == "Of two labels the second is shown (positive): what it gains, the other loses."
    _, summary, _, notes = bias_swaps.compare_versions([("three", three)], texts, bias_swaps.WORDS)
    assert not any("two labels" in note for note in notes)
    assert len(notes) == len(set(notes))
    assert not any("label a" in note for note in notes)
    assert summary["score [95 %]"][0] == "+0.000 (no interval)"
    _, summary, _, notes = bias_swaps.compare_versions(
        [("m", FakeClassifier({"muslim": 1.0}))], ["The Muslim man.", "A Jewish man."], "identity: religion"
    )
    assert any(note.endswith("This is said of all but “religion: largest minus smallest, nats”.") for note in notes)
    _, _, _, notes = bias_swaps.compare_versions([("m", FakeClassifier())], ["He."], bias_swaps.WORDS)
    assert any("none of the 1 texts" in note for note in notes)


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (None, None, "(no interval)"), (0.084, 0.084, "(no interval: all have this value)"),
        (0.084, 0.084 + 1e-6, "(no interval: all have this value)"),
        (0.0840, 0.0842, "(interval narrower than the last digit)"), (0.05, 0.12, "[+0.050, +0.120]"),
    ],
)  # fmt: skip
def test_an_interval_without_a_width_is_said_in_words_everywhere(low, high, wanted):
    assert bias_intervals.effect_with_interval(0.084, low, high) == f"+0.084 {wanted}"
    score = {"value": 0.084, "low": low, "high": high, "unit": ""}
    assert bias_intervals.score_with_interval(score) == f"0.084 {wanted.replace('+', '')}"
    assert bias_intervals.score_with_interval({**score, "value": None}) == "undefined"
