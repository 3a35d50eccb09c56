"""The picture of score against cost: where points and names stand, what is read aloud, what is escaped."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos.bias_fakes import EVIL
from tabs.ladder_plot import MOST_NAMES, Point, linear_ticks, log_ticks, name_places, plot_html

KINDS = ("counted or solved", "from scratch", "pretrained", "other")
POINT = Point(
    rung="naive_bayes", title="naive Bayes", cost=10.0, score=80.0, low=78.0, high=82.0, cost_text="10 seconds",
    score_text="80.0 % [78.0, 82.0]", kind=KINDS[0],
)  # fmt: skip
finite = st.floats(-1e6, 1e6)


def drawn(*points: Point) -> str:
    return plot_html(points, cost_title="seconds", score_title="accuracy in %", kinds=KINDS)


def test_every_point_is_a_button_with_its_name_numbers_and_kind() -> None:
    text = drawn(POINT, replace(POINT, rung="bilstm", title="LSTM", cost=100.0, score=90.0, kind=KINDS[1]))
    buttons = re.findall(r"<button[^>]*>", text)
    assert [re.search('data-text="([^"]*)"', one)[1] for one in buttons] == ["naive_bayes", "bilstm"]
    assert 'aria-label="1. naive Bayes: accuracy in % 80.0 % [78.0, 82.0], 10 seconds, counted or solved"' in buttons[0]
    assert "ld-kind-0" in buttons[0]
    assert "ld-kind-1" in buttons[1]
    assert re.findall(r'class="ld-name"[^>]*>([^<]*)', text) == ["naive bayes", "bilstm"]
    assert text.count('class="ld-w" style') == 2  # an interval each
    assert "pretrained" not in text  # the legend has what is there


def test_higher_is_further_up_and_ten_times_the_cost_is_always_as_far_to_the_right() -> None:
    points = [replace(POINT, rung=f"r{k}", cost=10.0**k, score=70.0 + 5 * k) for k in range(3)]
    text = drawn(*points)
    spots = [
        (float(left), float(top)) for left, top in re.findall(r'ld-kind-0" style="left:([\d.]+)%;top:([\d.]+)%', text)
    ]
    assert spots[1][0] - spots[0][0] == pytest.approx(spots[2][0] - spots[1][0], abs=0.02)
    assert spots[0][1] > spots[1][1] > spots[2][1]


def test_more_points_than_have_room_are_listed_by_number() -> None:
    text = drawn(*(replace(POINT, rung=f"r{k}", cost=1.0 + k) for k in range(MOST_NAMES + 1)))
    assert "ld-many" in text
    assert "ld-name" not in text
    assert text.count("<li>naive Bayes: 80.0 %") == MOST_NAMES + 1


def test_names_are_escaped_and_no_point_is_no_picture() -> None:
    assert drawn() == ""
    text = drawn(replace(POINT, rung=EVIL, title=EVIL, cost_text=EVIL, score_text=EVIL))
    assert "<img" not in text
    assert 'onerror="' not in text


def test_one_point_without_an_interval_is_drawn_too() -> None:
    text = drawn(replace(POINT, low=None, high=None))
    assert "<button" in text
    assert 'class="ld-w" style' not in text


@given(st.floats(1e-3, 1e12), st.floats(1.001, 1e9))
def test_lines_of_the_logarithmic_axis_are_inside_and_some(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert all(low <= tick <= low * factor for tick in ticks)
    if factor >= 100:
        assert 2 <= len(ticks) <= 2 + 3 * math.ceil(math.log10(factor))


@given(finite, st.floats(1e-3, 1e6))
def test_lines_of_the_linear_axis_are_few_round_and_inside(low: float, width: float) -> None:
    ticks = linear_ticks(low, low + width)
    assert 2 <= len(ticks) <= 9
    assert all(low - 1e-6 * width <= tick <= low + 1.000001 * width for tick, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=12))
def test_every_name_has_a_place(spots: list[tuple[float, float]]) -> None:
    assert len(name_places(["bilstm"] * len(spots), spots)) == len(spots)


def test_a_name_does_not_cover_a_neighbour() -> None:
    first, second = name_places(["naive bayes", "logistic"], [(40.0, 50.0), (44.0, 50.0)])
    assert "right:" in first  # to the left, for the other point is on the right
    assert "left:calc(44.00% +" in second
