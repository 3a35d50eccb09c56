"""Cards of bars: lengths on one scale, what can be clicked, and that every text stays text."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shell.bars import Bar, Card, cards_html, clicks, note_html

WIDTH = re.compile(r"width:([\d.]+)%;margin-left:([\d.]+)%")


def places(page: str) -> list[tuple[float, float]]:
    return [(float(width), float(left)) for width, left in WIDTH.findall(page)]


def test_bars_of_all_cards_have_one_scale() -> None:
    cards = [Card("a", bars=(Bar("x", 2.0, "2"), Bar("y", 1.0, "1"))), Card("b", bars=(Bar("z", 0.5, "½"),))]
    assert places(cards_html(cards)) == [(100.0, 0.0), (50.0, 0.0), (25.0, 0.0)]
    assert places(cards_html(cards, scale=4.0)) == [(50.0, 0.0), (25.0, 0.0), (12.5, 0.0)]
    assert places(cards_html(cards, scale=1.0))[0] == (100.0, 0.0)  # longer than its card it cannot be


def test_negative_bars_go_to_the_left_of_the_middle() -> None:
    page = cards_html([Card("a", bars=(Bar("x", 2.0, "+2"), Bar("y", -1.0, "-1")))])
    assert places(page) == [(50.0, 50.0), (25.0, 25.0)]


def test_what_bears_a_word_is_a_button_that_says_what_it_does() -> None:
    page = cards_html([Card("a", bars=(Bar("x", 1.0, "1 %", word=" x"), Bar("end", 1.0, "2 %", hint="it ends")))])
    assert page.count("<button") == 1
    assert 'data-text=" x" aria-label="Look at x, 1 %"' in page
    assert '<div class="nw-bar" title="it ends">' in page
    assert "Append x, 1 %" in cards_html([Card("a", bars=(Bar("x", 1.0, "1 %", word="x"),))], spoken="Append")


def test_labels_are_cut_or_whole_and_a_note_may_be_missing() -> None:
    assert cards_html([]) == '<div class="nw-cards"></div>'
    assert cards_html([], whole_labels=True) == '<div class="nw-cards nw-whole"></div>'
    assert note_html("") == ""
    assert note_html("<b>") == '<p class="nw-note">&lt;b&gt;</p>'


@pytest.mark.parametrize("first", [True, False])
def test_the_program_of_clicks_holds_no_gap(first: bool) -> None:
    assert "FOCUS" not in clicks(first=first)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20), st.floats(-1e6, 1e6), st.booleans())
def test_any_text_stays_text(text: str, word: str, value: float, second: bool) -> None:
    page = cards_html([Card(text, bars=(Bar(text, value, text, word, text, second, text),))], spoken=text)
    assert set(re.findall(r"<(\w+)", page)) <= {"div", "section", "h3", "ol", "li", "button", "span"}
    assert html.unescape(page).count(text) >= 4
    assert all(0.0 <= left <= 100.0 and width + left <= 100.01 for width, left in places(page))
