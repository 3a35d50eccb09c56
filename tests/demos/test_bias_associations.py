"""The tab Bias: associations of word vectors, all corrected together."""

from __future__ import annotations

import pytest

from demos.bias_fakes import FakeVectors
from nlpladder.bias.words.association_data import OWN_TESTS
from nlpladder.bias.words.associations import weat
from nlpladder.evaluation.multiple_testing import holm
from shell.limits import DemoError
from tabs import bias_associations


def test_all_categories_are_measured_with_one_correction_over_models_and_categories():
    tests = bias_associations.chosen_tests(list(bias_associations.CATEGORIES), [""] * 4)
    assert [test.name for _, test in tests] == list(bias_associations.CATEGORIES.values())
    models = [("leaning", FakeVectors(1.0)), ("even", FakeVectors(0.0, seed=3))]
    table, intervals, notes = bias_associations.measure_associations(models, tests)
    assert len(table) == len(intervals) == 12
    assert notes == [bias_associations._CONTROLS]
    assert bias_associations.known_html([name for name, _ in models], tests, table) == ""
    raw = [
        weat(model, test, draws=20_000, statistics=bias_associations.STATISTICS).findings[0].p_value
        for _, model in models
        for _, test in tests
    ]
    shown = [float(text.replace("< .001", "0.0005")) for text in table["p (Holm)"]]
    for text, value in zip(shown, holm(raw), strict=True):
        assert (text == 0.0005) == (value < 0.001)
        assert text == 0.0005 or text == pytest.approx(value, abs=0.0006)
    first = table.iloc[0]
    assert first["what this says"] == "male names with career, female names with family"
    assert "of" in first["words found"]
    assert table.columns.tolist()[2:7] == ["effect size d [95 %]", "n", "p", "p (Holm)", "what this says"]
    assert len(bias_associations.WIDTHS) == len(table.columns)
    assert first["effect size d [95 %]"].startswith("+1.")
    assert first["n"] == intervals[0].n.removeprefix("n = ").replace("target ", "")
    assert intervals[0].value == pytest.approx(
        weat(models[0][1], tests[0][1], statistics=bias_associations.STATISTICS).findings[0].score.value
    )
    assert intervals[0].n.startswith("n = ")
    assert "not the same as none" in table.iloc[6]["what this says"]


def test_words_without_a_vector_are_said_and_a_test_without_words_does_not_stop_the_others():
    lacking = FakeVectors(without=frozenset(OWN_TESTS["flowers_vermin"].targets[0].words))
    tests = bias_associations.chosen_tests(
        ["names of men and women, career and family", "control that must show: flowers and vermin"], [""] * 4
    )
    table, _, notes = bias_associations.measure_associations([("m", lacking)], tests)
    assert table["category"].tolist() == ["names of men and women, career and family"]
    told = bias_associations.known_html(["m"], tests, table)
    assert (
        "These vectors know enough words for 1 of 2 categories. The control that must show an association is not"
        in told
    )
    assert "train_word2vec.py" in told
    assert len(notes) == 1  # there is no control row to look at
    assert notes[0].startswith("Not measured: control that must show: flowers and vermin. 0 of the 12 words")


def test_a_sentence_that_holds_of_every_model_is_said_once_and_without_names():
    lacking = FakeVectors(without=frozenset(OWN_TESTS["flowers_vermin"].targets[0].words))
    tests = bias_associations.chosen_tests(list(bias_associations.CATEGORIES)[4:5], [""] * 4)
    _, _, notes = bias_associations.measure_associations([("m1", lacking), ("m2", lacking)], tests)
    assert [note[:12] for note in notes] == ["Not measured"]
    table, _, notes = bias_associations.measure_associations(
        [("m1", lacking), ("m2", lacking), ("m3", FakeVectors())], tests
    )
    assert notes[0].startswith("m1, m2: Not measured")
    told = bias_associations.known_html(["m1", "m2", "m3<b>"], tests, table)
    assert "m1: 0; m2: 0; m3&lt;b&gt;: 0" in told or "1 category" in told
    assert "<b>" not in told


def test_own_lists_stand_beside_or_instead_of_the_categories():
    boxes = ["rose, tulip", "rat, flea", "gift, smile", "pain, fear"]
    (alone,) = bias_associations.chosen_tests([], boxes)
    assert alone[1].targets[0].words == ("rose", "tulip")
    assert len(bias_associations.chosen_tests(["control that must not: two halves of one list"], boxes)) == 2
    with pytest.raises(DemoError, match="Y: second targets"):
        bias_associations.chosen_tests([], ["rose, tulip", "", "gift", "pain"])
    with pytest.raises(DemoError, match="nothing is chosen"):
        bias_associations.chosen_tests([], [""] * 4)
    copied = bias_associations.lists_of("control that must show: flowers and vermin")
    assert [len(one.split(", ")) for one in copied] == [12, 12, 16, 16]
    assert bias_associations.lists_of("nothing") == bias_associations.lists_of(None) == [""] * 4
