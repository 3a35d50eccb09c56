"""The tab Bias: how its boxes are read, and how its intervals are drawn."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from demos.bias_fakes import EVIL
from demos.fakes import FakeStore
from shell.limits import DemoError
from tabs.bias_inputs import (
    MOST_LINES,
    escaped,
    listed,
    opened,
    read_lines,
    read_pairs,
    read_templates,
    read_terms,
    told_once,
)
from tabs.bias_intervals import Interval, effect_with_interval, intervals_html


def test_boxes_are_read_line_by_line_and_term_by_term():
    assert read_lines(" a \n\n b", "Box") == ["a", "b"]
    assert read_terms("he,  the   man;she\nhe", "Box") == ["he", "the man", "she"]
    assert read_terms(" , ", "Box", empty=True) == []
    assert read_templates("{term} is here.\n{term} is here.", "Box") == ["{term} is here."]
    assert read_pairs("he = she\nthe  man=the woman", "Box") == [("he", "she"), ("the man", "the woman")]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: read_lines("", "Box"), "Box is empty"),
        (lambda: read_lines("a\n" * (MOST_LINES + 1), "Box"), "21 lines, at most 20"),
        (lambda: read_lines("ok\n" + "a" * 301, "Box"), "Box, line 2: 301 characters"),
        (lambda: read_terms(",".join("abcdefghijklm"), "Box"), "13 terms, expected 1 to 12"),
        (lambda: read_terms("a", "Box", least=2), "1 terms, expected 2"),
        (lambda: read_terms("a" * 61, "Box"), "61 characters"),
        (lambda: read_templates("{term} and {term}", "Box"), "line 1: {term} stands there 2 times"),
        (lambda: read_templates("nobody", "Box"), "stands there 0 times"),
        (lambda: read_pairs("he, she", "Box"), "line 1: expected two terms with = between"),
        (lambda: read_pairs("he = she = it", "Box"), "expected two terms"),
        (lambda: read_lines(7, "Box"), "expected a text"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(call, message):
    with pytest.raises(DemoError, match=message):
        call()


def test_models_are_opened_one_after_the_other():
    store = FakeStore({"a": ("A", {"classify"}), "b": ("B", {"classify"})})
    each = opened(store, ["b", "a"])
    assert next(each) == ("b", "B")
    assert store.used == ["b"]
    assert list(each) == [("a", "A")]


def test_sentences_that_quote_names_stay_text_in_markdown():
    assert escaped("a *b* [c](d) <e>\n`f` $g$") == "a \\*b\\* \\[c\\]\\(d\\) &lt;e&gt; \\`f\\` \\$g\\$"
    assert listed(["a", "b", "c"], most=2) == "- a\n- b\n- and 1 more"
    assert listed([]) == ""


class Cells(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_intervals_show_every_number_in_text_and_stand_in_the_right_place():
    rows = [Interval("one", 1.0, 0.5, 1.5, "n = 4"), Interval("two", -1.0), Interval("three", None)]
    shown = Cells(intervals_html(rows, caption="Values", unit="nats", below="left", above="right"))
    assert "+1.000 nats [+0.500, +1.500]" in shown.texts
    assert "n = 4" in shown.texts
    assert "-1.000 nats (no interval)" in shown.texts
    assert "undefined" in shown.texts
    places = {
        tag: float(a["style"].split("left:")[1].split("%")[0]) for tag, a in shown.tags[::-1] if tag in {"i", "b", "u"}
    }
    assert 0 < places["i"] < places["b"] < places["u"] < 100
    assert any("left" in text and "right" in text for text in shown.texts)
    assert intervals_html([], caption="c", unit="", below="", above="") == ""


def test_intervals_take_any_label_as_text():
    shown = intervals_html([Interval(EVIL, 0.0, 0.0, 0.0, EVIL)], caption=EVIL, unit=EVIL, below=EVIL, above=EVIL)
    assert "<img" not in shown
    assert "nan" not in shown


def test_a_sentence_is_said_once_behind_all_it_is_said_of():
    notes = [("a", "it rains"), ("b", "it snows"), ("b", "it rains"), ("a", "it rains")]
    assert told_once(notes) == ["a, b: it rains", "b: it snows"]
    assert told_once(notes, ["a", "b"]) == ["it rains", "b: it snows"]
    assert told_once([]) == []


def test_an_interval_without_width_is_none():
    assert effect_with_interval(0.5, 0.1, 0.9) == "+0.500 [+0.100, +0.900]"
    assert effect_with_interval(0.5, None, None, unit="nats") == "+0.500 nats (no interval)"
    assert effect_with_interval(0.3, 0.3, 0.3) == "+0.300 (no interval: all have this value)"
