"""Entities: equal to seqeval on whole and broken tags, intervals over sentences, types that only one tagger knows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import seqeval.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from nlpladder.errors import DataError
from nlpladder.evaluation.entities import EntityStatistics, compare_entities, entity_spans, score_entities

TAGS = ("O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-PER", "S-PER", "E-LOC", "S-LOC", "B", "I", "I-a-b")
IOB = ("O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG")


def tagged(rng, count, tags=TAGS):
    return [list(rng.choice(tags, rng.integers(0, 12))) for _ in range(count)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(TAGS), max_size=15))
def test_spans_are_those_of_seqeval(tags):
    expected = {(kind, begin, end + 1) for kind, begin, end in get_entities(list(tags))}
    assert entity_spans(tags) == expected


def test_spans_of_each_scheme_by_hand():
    truth = {("PER", 0, 2), ("PER", 2, 3), ("LOC", 4, 5)}
    assert entity_spans(["B-PER", "I-PER", "B-PER", "O", "B-LOC"]) == truth  # IOB2
    assert entity_spans(["I-PER", "I-PER", "B-PER", "O", "I-LOC"]) == truth  # IOB1
    assert entity_spans(["B-PER", "E-PER", "S-PER", "O", "S-LOC"]) == truth  # IOBES
    assert entity_spans(["B-PER", "L-PER", "U-PER", "O", "U-LOC"]) == truth  # BILOU
    assert entity_spans(["O", "I-PER", "I-LOC", "I-LOC"]) == {("PER", 1, 2), ("LOC", 2, 4)}  # broken
    assert entity_spans([]) == set()


@pytest.mark.parametrize("tag", ["PER", "NOUN", "O-PER", "", "X-PER", None, 3])
def test_what_is_no_tag_is_told(tag):
    with pytest.raises(DataError, match="Tag number 1 is"):
        entity_spans(["O", tag])


def test_scores_are_those_of_seqeval():
    rng = np.random.default_rng(0)
    for tags in (TAGS, IOB):
        gold = tagged(rng, 60, tags)
        predicted = [[str(rng.choice(tags)) if rng.random() < 0.4 else tag for tag in row] for row in gold]
        found = EntityStatistics.of(predicted, gold).corpus()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # seqeval warns of bare tags
            assert found["entity_f1"] == pytest.approx(reference.f1_score(gold, predicted))
            assert found["entity_precision"] == pytest.approx(reference.precision_score(gold, predicted))
            assert found["entity_recall"] == pytest.approx(reference.recall_score(gold, predicted))
            assert found["token_accuracy"] == pytest.approx(reference.accuracy_score(gold, predicted))
            report = reference.classification_report(gold, predicted, output_dict=True)
        types = [name for name in report if not name.endswith(" avg")]
        assert {f"entity_f1_{kind}" for kind in types} == {name for name in found if name.startswith("entity_f1_")}
        for kind in types:
            assert found[f"entity_f1_{kind}"] == pytest.approx(report[kind]["f1-score"])


def test_nothing_found_is_0_and_nothing_there_is_undefined():
    found = EntityStatistics.of([["O"], ["O", "O"]], [["B-PER"], ["O", "O"]]).corpus()
    assert (found["entity_f1"], found["entity_precision"], found["entity_recall"]) == (0.0, 0.0, 0.0)
    none = score_entities([EntityStatistics.of([["O"], ["O", "O"]], [["O"], ["O", "O"]])], resamples=20)
    assert none["entity_f1"].mean.value is None
    assert "No entity of this kind" in none["entity_f1"].mean.note
    assert none["token_accuracy"].mean.value == 1.0


def test_intervals_over_sentences_and_a_rare_type():
    rng = np.random.default_rng(1)
    gold = [*tagged(rng, 80, IOB[:6]), ["B-RARE"]]
    predicted = [[str(rng.choice(IOB[:6])) if rng.random() < 0.2 else tag for tag in row] for row in gold]
    statistics = EntityStatistics.of(predicted, gold)
    scores = score_entities([statistics], resamples=400)
    for name, value in statistics.corpus().items():
        mean = scores[name].mean
        assert mean.value == pytest.approx(value)
        assert name == "entity_f1_RARE" or mean.low <= mean.value <= mean.high
        assert (mean.n, mean.unit) == (81, "%")
    # About a third of the resamples do not hold the only sentence of its type.
    assert "undefined, hence left out, in" in scores["entity_f1_RARE"].mean.method
    assert scores["entity_f1_RARE"].mean.low is None  # one sentence is the same in every resample that holds it
    drawn = [statistics.select(rng.integers(0, 81, 81)).corpus()["entity_f1"] for _ in range(1500)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert scores["entity_f1"].mean.low == pytest.approx(low, abs=0.15 * (high - low))
    again = EntityStatistics.from_columns(statistics.to_columns() | {"id": np.arange(81)}, statistics.fingerprint)
    assert again.kinds == statistics.kinds
    assert score_entities([again], resamples=400) == scores
    with pytest.raises(DataError, match="lacks tokens"):
        EntityStatistics.from_columns({"gold:PER": [1.0]})


def test_taggers_that_know_other_types_are_compared():
    rng = np.random.default_rng(2)
    gold = tagged(rng, 150, IOB[:4])
    worse = [[str(rng.choice(IOB)) if rng.random() < 0.4 else tag for tag in row] for row in gold]
    better = [[str(rng.choice(IOB[:4])) if rng.random() < 0.1 else tag for tag in row] for row in gold]
    first, second = EntityStatistics.of(worse, gold), EntityStatistics.of(better, gold)
    assert set(first.kinds) > set(second.kinds)
    (found,) = compare_entities({"worse": [first], "better": [second]}, resamples=500)
    assert found.better() == "better"
    assert found.difference == pytest.approx(second.corpus()["entity_f1"] - first.corpus()["entity_f1"])
    both = score_entities([first, second], resamples=100)
    assert both["entity_f1"].mean.value == pytest.approx(
        (first.corpus()["entity_f1"] + second.corpus()["entity_f1"]) / 2
    )
    assert f"entity_f1_{first.kinds[-1]}" in both
    (one_type,) = compare_entities({"a": [first], "b": [first]}, metric="entity_f1_PER", resamples=100)
    assert one_type.p_value == 1.0


@pytest.mark.parametrize(
    "predicted, gold, message",
    [
        ([["O"]], [["O"], ["O"]], "1 tagged sentences and 2 gold"),
        ([], [], "no sentences"),
        ([["O"], ["O"]], [["O"], ["O", "O"]], "Sentence number 1 has 2 gold tags and 1 predicted"),
        ([["O"], ["PER"]], [["O"], ["O"]], "Sentence number 1: Tag number 0 is 'PER'"),
    ],
)
def test_what_cannot_be_scored_is_named(predicted, gold, message):
    with pytest.raises(DataError, match=message):
        EntityStatistics.of(predicted, gold)
