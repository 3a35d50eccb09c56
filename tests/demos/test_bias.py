"""The tab Bias as a whole: its examples, any input, and how it is wired; with made-up models."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.bias_fakes import CONTENT, FakeClassifier, FakeLanguageModel, FakeVectors, report
from demos.fakes import FakeStore
from nlpladder.errors import LadderError
from tabs import bias_associations, bias_panels, bias_swaps, bias_templates
from tabs.bias_inputs import read_lines, read_pairs, read_templates, read_terms


def test_every_example_is_read_and_finds_something():
    for sentences, first, second, neutral in bias_panels._TEMPLATE_EXAMPLES:
        assert len(read_templates(sentences, "s")) >= 5
        assert len(read_templates(neutral, "n")) >= 5
        assert not set(read_terms(first, "f")) & set(read_terms(second, "g"))
    for texts, kind, pairs in bias_panels._TEXT_EXAMPLES:
        assert bias_swaps.versions_of(read_lines(texts, "t"), kind, pairs)


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text()), st.lists(st.none())
)


@settings(max_examples=60, deadline=None)
@given(ANYTHING, ANYTHING, ANYTHING)
def test_any_input_gives_an_answer_or_a_sentence(one, two, three):
    model = FakeLanguageModel()
    for call in (
        lambda: bias_associations.chosen_tests(one, [two, three, two, one]),
        lambda: bias_associations.lists_of(one),
        lambda: bias_templates.measure_templates(
            [("m", model)], read_templates(one, "s"), read_templates(two, "n", empty=True), read_terms(two, "f"),
            read_terms(three, "g"),
        ),
        lambda: bias_swaps.versions_of(read_lines(one, "t"), two, three),
        lambda: bias_swaps.versions_of(["He is good."], bias_swaps.OWN, three),
        lambda: read_pairs(one, "p"),
    ):  # fmt: skip
        with contextlib.suppress(LadderError):
            call()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_any_sentence_and_any_words_give_numbers_or_a_sentence(before, after, first, second):
    model = FakeLanguageModel()
    with contextlib.suppress(LadderError):
        templates = read_templates(before + "{term}" + after, "s")
        groups = read_terms(first, "f"), read_terms(second, "g")
        _, rows, _, _ = bias_templates.measure_templates([("m", model)], templates, templates, *groups)
        assert np.isfinite(rows["log-odds, nats"].to_numpy(dtype=float)).all()


def built(store):
    """Return the page with this tab alone, and what was asked of the visitor's browser."""
    gradio = pytest.importorskip("gradio")
    from shell.demo import Demo
    from shell.options import DemoOptions
    from tabs import bias

    with gradio.Blocks(analytics_enabled=False) as page:
        switch = gradio.Checkbox(label="Advanced")
        demo = Demo(store, DemoOptions())
        with gradio.Tab(bias.TITLE):
            bias.build(demo)
        demo.finish(page, switch)
    return page


def endpoints(page):
    return {fn.api_name: fn for fn in page.fns.values() if fn.api_visibility == "public"}


def texts_of(page):
    return " ".join(str(getattr(block, "value", "")) for block in page.blocks.values())


def store_of_all(tmp_path):
    return FakeStore(
        {
            "vectors": (FakeVectors(), {"vectors"}),
            "words": (FakeLanguageModel({"he": 1.0}), {"language_model"}),
            "classes": (FakeClassifier({"he": 1.0}), {"classify"}),
        },
        models_dir=tmp_path,
    )


def test_the_tab_has_its_endpoints_labels_and_a_warning_before_everything(tmp_path):
    report(tmp_path, CONTENT)
    page = built(store_of_all(tmp_path))
    assert set(endpoints(page)) == {
        "bias_associations", "bias_template_pairs", "bias_counterfactuals", "bias_report",
    }  # fmt: skip
    for block in page.blocks.values():
        if type(block).__name__ in {"Textbox", "Dropdown", "Checkbox", "CheckboxGroup", "HTML", "Dataframe"}:
            assert block.label, type(block).__name__
    (parts,) = [block for block in page.blocks.values() if getattr(block, "elem_id", None) == "bias-parts"]
    assert parts.visible is False
    inside = {id(child) for child in parts.children}
    warning = next(block for block in page.blocks.values() if getattr(block, "elem_id", None) == "bias-warning")
    assert id(warning) not in inside


def test_where_nothing_is_there_every_part_says_how_to_make_it(tmp_path):
    told = texts_of(built(FakeStore({}, models_dir=tmp_path)))
    for command in ("train_word2vec.py", "train_lstm_lm.py", "climb_ladder.py", "evaluate_bias.py"):
        assert command in told


def test_the_endpoints_answer_what_the_page_shows(tmp_path):
    report(tmp_path, CONTENT)
    functions = {name: function.fn for name, function in endpoints(built(store_of_all(tmp_path))).items()}
    drawn, table, _ = functions["bias_associations"](["vectors"], list(bias_associations.CATEGORIES)[:2])
    assert "<table" in drawn
    assert len(table) == 2
    drawn, total, _, single = functions["bias_template_pairs"](
        [], ["words"], "I saw {term}.\nIt was {term}.", "he", "she"
    )
    assert "+1.000 nats" in drawn
    assert len(total) == 1
    assert len(single) == 2
    versions, drawn, total, told = functions["bias_counterfactuals"]("He is good.\nShe is tea.", ["classes"])
    assert len(versions) == 2
    assert "nats" in drawn
    assert len(total) == 3
    assert "2 of 2 texts" in told
    main, _, told, _ = functions["bias_report"]("run/bias")
    assert len(main) == 1
    assert "What it does not show" in told
    import gradio

    for call in (
        lambda: functions["bias_template_pairs"]([], [], "I saw {term}.", "he", "she"),
        lambda: functions["bias_counterfactuals"]("", ["classes"]),
        lambda: functions["bias_associations"](["nobody"], []),
        lambda: functions["bias_report"]("../x"),
    ):
        with pytest.raises(gradio.Error):
            call()
