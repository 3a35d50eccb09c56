"""Shares that mislead alone: halves on opposite sides, and a share against its effect."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpladder.bias.pairs.pair_notes import opposite_directions, opposite_signs
from nlpladder.evaluation.intervals import Score


def note(stereo, antistereo, ties=0):
    preferred = np.array([*stereo, *antistereo, *[False] * ties], dtype=bool)
    directions = ["stereo"] * len(stereo) + ["antistereo"] * len(antistereo) + ["stereo"] * ties
    tied = np.arange(len(preferred)) >= len(preferred) - ties
    return opposite_directions(preferred, directions, tied)


def test_halves_on_opposite_sides_are_told_with_the_share_of_both_alike():
    (told,) = note([1, 0, 0, 0], [1, 1], ties=5)
    assert "(25.0 % and 100.0 %)" in told
    assert told.endswith("Both directions weighted alike it is 62.5 %.")


@pytest.mark.parametrize(
    ("stereo", "antistereo"), [([1, 1, 0], [1, 1]), ([0, 0, 1], [0]), ([1, 0], [1]), ([1], []), ([], [0])]
)
def test_halves_on_one_side_or_without_one_are_not(stereo, antistereo):
    assert note(stereo, antistereo) == ()


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.lists(st.booleans(), min_size=1, max_size=9))
def test_the_note_stands_exactly_where_one_half_is_above_and_one_below(stereo, antistereo):
    above = [2 * sum(half) - len(half) for half in (stereo, antistereo)]
    assert bool(note(stereo, antistereo)) == (above[0] * above[1] < 0)


@pytest.mark.parametrize(
    ("share", "effect", "told"),
    [
        (0.54, -2.01, "small differences for the stereotype stand beside few with large ones against it"),
        (0.46, 2.01, "small differences against the stereotype stand beside few with large ones for it"),
        (0.54, 0.1, None), (0.46, -0.1, None), (0.5, 1.0, None), (0.6, 0.0, None), (None, 1.0, None), (0.6, None, None),
    ],
)  # fmt: skip
def test_a_share_against_its_effect_is_told(share, effect, told):
    found = opposite_signs(Score("share", share, None, None, 9, unit="%"), Score("nats", effect, None, None, 9))
    assert bool(found) == (told is not None)
    assert all(told in one for one in found)
    assert opposite_signs(Score("share", share, None, None, 9, unit="%"), None) == ()
