"""A model at chance reads "not evidence of fairness" at every row, by one sentence and one verdict."""

from __future__ import annotations

import pytest

from nlpladder.bias.chance import AT_CHANCE, chance_notes
from nlpladder.bias.findings import Finding
from nlpladder.bias.verdicts import verdict
from nlpladder.evaluation.intervals import Score


def quality(value, low):
    return Score("right_case", value, low=low, high=None if low is None else 0.9, n=10, unit="%")


@pytest.mark.parametrize(
    ("value", "low", "at_chance"), [(0.6, 0.5, True), (0.6, 0.51, False), (0.5, None, True), (0.51, None, False)]
)
def test_the_lower_end_must_be_above_chance(value, low, at_chance):
    notes = chance_notes(quality(value, low), 0.5)
    assert bool(notes) == at_chance
    assert all(AT_CHANCE in note and "right case" in note for note in notes)


def test_the_quality_is_written_as_in_the_table():
    (note,) = chance_notes(Score("right_case", 0.523, low=0.508, high=0.538, n=10, unit="%"), 0.55)
    assert "(right case 52.3 % [50.8, 53.8])" in note


def test_a_quality_that_was_not_measured_says_nothing():
    assert chance_notes(None, 0.5) == ()
    assert chance_notes(quality(None, None), 0.5) == ()
    for value in (None, 0.9):
        assert chance_notes(quality(value, None), 0.5, needs_interval=True)


def test_the_verdict_goes_by_the_note():
    score = Score("share", 0.6, low=0.55, high=0.65, n=10, unit="%")
    common = {"measure": "winobias", "category": "he", "score": score, "no_bias": 0.5, "clusters": 10, "p_value": 0.001}
    sure = Finding(**common)
    blind = Finding(**common, notes=chance_notes(quality(0.5, 0.4), 0.5))
    assert AT_CHANCE in verdict(blind, 0.001)
    assert AT_CHANCE not in verdict(sure, 0.001)
