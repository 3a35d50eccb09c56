"""The heat table: every number stands in its cell under its headers, whatever the labels are."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import DataError
from nlpladder.views.heat_table import MOST_CELLS, heat_label, heat_table_html

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='f()", "a\nb", "\t", "", " ",
    "日本語",
    "\u202eabc", "\u2067x", "\x00", "\ud800", "👩\u200d👩\u200d👧", "&amp;\"'", "${f()}", "{{x}}", "▁the", "x" * 200,
    "\u2028", "</td></table>", "\ufeff", "\uffff",
)  # fmt: skip


class Table(HTMLParser):
    """The table as a browser would read it: headers, cells with their attributes, and every tag that occurs."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.headers, self.cells, self.caption = [], [], [], ""
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "th":
            self.headers.append([dict(attrs)["scope"], ""])
        if tag == "td":
            self.cells.append([dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "caption" in self._open:
            self.caption += data
        elif "th" in self._open:
            self.headers[-1][1] += data
        elif "td" in self._open:
            self.cells[-1][1] += data

    def names(self, scope):
        return [text for kind, text in self.headers if kind == scope]

    def body(self):
        return [cell for cell in self.cells if "corner" not in cell[0].get("class", "")]


def test_every_weight_stands_in_its_cell_with_its_row_and_column_in_the_title():
    weights = np.array([[0.05, 0.95, 0.0], [0.5, 0.1, 0.4]])
    table = Table(heat_table_html(weights, ["a", "b"], ["x", "y", "z"], caption="Alignment", row_name="Output"))
    assert table.caption == "Alignment"
    assert table.names("row") == ["a", "b"]
    assert table.names("col") == ["x", "y", "z"]
    assert [text for _, text in table.body()] == ["0.05", "0.95", "0.00", "0.50", "0.10", "0.40"]
    titles = [attributes["title"] for attributes, _ in table.body()]
    assert titles[0] == "a → x: 0.050"
    assert titles[5] == "b → z: 0.400"
    assert "Output ↓" in next(text for attributes, text in table.cells if attributes.get("class") == "corner")


def test_numbers_below_a_tenth_are_there_but_not_on_the_screen():
    table = Table(heat_table_html([[0.0999, 0.1, -0.3, -0.01]], ["r"], list("abcd"), caption="c"))
    assert [attributes.get("class") for attributes, _ in table.body()] == ["small", None, "minus", "minus small"]
    assert [text for _, text in table.body()] == ["0.10", "0.10", "−0.30", "−0.01"]
    plain = Table(heat_table_html([[0.01]], ["r"], ["c"], caption="c", printed_from=0.0))
    assert "class" not in plain.body()[0][0]


@pytest.mark.parametrize("strongest, colours", [(None, [0.25, 1.0]), (0.4, [0.5, 1.0]), (1.6, [0.125, 0.5])])
def test_colours_grow_with_the_size_up_to_the_strongest(strongest, colours):
    text = heat_table_html([[0.2, -0.8]], ["r"], ["a", "b"], caption="c", strongest=strongest)
    found = [float(attributes["style"].removeprefix("--w:")) for attributes, _ in Table(text).body()]
    assert found == colours
    assert "blue below" in text
    assert f"darkest colour {strongest or 0.8:.2f}" + (" and more." if strongest == 0.4 else ".") in text


def test_a_bar_shows_what_the_colours_mean():
    text = heat_table_html([[0.2, 0.66]], ["r"], ["a", "b"], caption="c")
    assert re.search(r'heat-bar"[^>]*>0<span class="nlpladder-heat-scale"[^>]*></span>0.66</span>', text)
    both = heat_table_html([[0.2, -0.8]], ["r"], ["a", "b"], caption="c")
    assert re.search(r'heat-bar"[^>]*>−0.80<span [^>]*rgb\(0 114 178[^>]*></span>0.80</span>', both)


def test_a_matrix_of_zeros_has_no_colour_and_no_minus():
    text = heat_table_html([[0.0, -0.0, -1e-9]], ["r"], list("abc"), caption="c")
    table = Table(text)
    assert {cell for _, cell in table.body()} == {"0.00"}
    assert "nan" not in text


def test_hostile_labels_are_text_and_nothing_else():
    size = len(HOSTILE)
    text = heat_table_html(
        np.eye(size), HOSTILE, HOSTILE, caption=HOSTILE[1], row_name=HOSTILE[0], column_name=HOSTILE[2]
    )
    table = Table(text)
    assert {tag for tag, _ in table.tags} == {
        "style", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "bdi", "p", "small", "span",
    }  # fmt: skip
    allowed = {"class", "style", "title", "scope", "role", "tabindex", "aria-label", "aria-hidden"}
    assert {name for _, attributes in table.tags for name in attributes} <= allowed
    assert len(table.names("row")) == len(table.names("col")) == size
    assert not any(character in text for character in "\u202e\u2067\x00\u2028\ufeff\uffff")
    text.encode("utf-8")  # no lone surrogate is left


def test_labels_are_short_and_visible():
    shown = [heat_label(one) for one in HOSTILE]
    assert all(0 < len(one) <= 24 and one.strip() for one in shown)
    assert heat_label("a\nb") == "a⏎b"
    assert heat_label(" \t") == "␣⇥"
    assert heat_label("") == "∅"
    assert heat_label("\u202eabc") == "�abc"
    assert heat_label("👩\u200d👧") == "👩\u200d👧"
    assert heat_label("x" * 200) == "x" * 23 + "…"
    assert heat_label("x" * 24) == "x" * 24


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4), st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_any_text_gives_one_cell_per_pair_and_labels_that_are_read_back(rows, columns):
    weights = np.linspace(-1, 1, len(rows) * len(columns)).reshape(len(rows), len(columns))
    table = Table(heat_table_html(weights, rows, columns, caption="c"))
    assert table.names("row") == [heat_label(one) for one in rows]
    assert table.names("col") == [heat_label(one) for one in columns]
    assert len(table.body()) == weights.size


@pytest.mark.parametrize(
    "weights, rows, columns, message",
    [
        ([[1.0, 2.0]], ["a"], ["b"], "1 column labels"),
        ([], [], [], "at least one cell"),
        ([[float("nan")]], ["a"], ["b"], "row 0, column 0 is nan"),
        ([[0.0, float("inf")]], ["a"], ["b", "c"], "row 0, column 1 is inf"),
        ([["x"]], ["a"], ["b"], "no matrix of numbers"),
        (np.zeros((1, MOST_CELLS + 1)), ["a"], ["b"] * (MOST_CELLS + 1), "draw a figure"),
    ],
)
def test_what_is_no_matrix_is_refused_in_a_sentence(weights, rows, columns, message):
    with pytest.raises(DataError, match=message):
        heat_table_html(weights, rows, columns, caption="c")


@pytest.mark.parametrize("strongest", [0.0, -1.0, float("nan"), float("inf")])
def test_the_strongest_weight_must_be_above_zero(strongest):
    with pytest.raises(DataError, match="above 0"):
        heat_table_html([[1.0]], ["a"], ["b"], caption="c", strongest=strongest)
