"""Demographic parity, equalised odds, and what shuffled groups show."""

from __future__ import annotations

import numpy as np
import pytest

from formula_classifier import FormulaClassifier
from nlpladder.bias.classifiers.classifier_gaps import demographic_parity, equalised_odds
from nlpladder.bias.classifiers.group_design import (
    group_design,
    most_shuffles,
    shuffle_p,
    shuffled_group_sums,
    shuffled_units,
)
from nlpladder.bias.classifiers.group_differences import ratio
from nlpladder.bias.classifiers.labelled_texts import groups_by_terms, labelled_texts
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.errors import DataError, ModelError
from nlpladder.evaluation.calibration import wilson_interval

QUICK = StatisticsOptions(resamples=500)
MODEL = FormulaClassifier(lambda text: float(text.split()[0]))


def data_of(rows, clusters=None):
    """Rows of (probability, label, group)."""
    texts = [f"{probability} {index}" for index, (probability, _, _) in enumerate(rows)]
    return labelled_texts(texts, labels=[row[1] for row in rows], groups=[row[2] for row in rows], clusters=clusters)


def rows_of(group, toxic, harmless):
    """Twenty rows of a group, of which so many toxic and harmless ones are called toxic."""
    return [
        *[(0.9 if index < toxic else 0.1, "toxic", group) for index in range(10)],
        *[(0.9 if index < harmless else 0.1, "non-toxic", group) for index in range(10)],
    ]


ROWS = [*rows_of("a", 8, 5), *rows_of("b", 6, 1), *rows_of("c", 7, 2)]


def test_rates_and_gaps_as_they_are_defined():
    data = data_of(ROWS)
    parity = demographic_parity(MODEL, data, statistics=QUICK).findings
    # Decided: a 13 of 20, b 7 of 20, c 9 of 20.
    assert parity[0].category == "all"
    assert parity[0].score.value == pytest.approx(13 / 20 - 7 / 20)
    assert {one.category for one in parity[1:]} == {"a", "b", "c", "a - b", "a - c", "b - c"}
    by_name = {one.category: one for one in parity}
    assert by_name["a"].score.value == pytest.approx(13 / 20 - 16 / 40)
    assert by_name["a - b"].score.value == pytest.approx(6 / 20)
    true_rate, false_rate = equalised_odds(MODEL, data, statistics=QUICK)
    assert true_rate.findings[0].score.value == pytest.approx(0.8 - 0.6)
    assert false_rate.findings[0].score.value == pytest.approx(0.5 - 0.1)
    assert {one.category: one for one in false_rate.findings}["b - c"].score.value == pytest.approx(-0.1)
    assert true_rate.findings[0].quality["accuracy"].value == pytest.approx((21 + 22) / 60)
    assert "Holm over the 3 pairs" in by_name["a - b"].notes[-1]


def test_effect_is_the_difference_of_mean_log_odds():
    found = demographic_parity(MODEL, data_of(ROWS), statistics=QUICK).findings
    by_name = {one.category: one for one in found}
    odds = np.log(9.0)
    means = {"a": (13 - 7) / 20 * odds, "b": (7 - 13) / 20 * odds, "c": (9 - 11) / 20 * odds}
    assert by_name["a - b"].effect.value == pytest.approx(means["a"] - means["b"])
    assert by_name["a"].effect.value == pytest.approx(means["a"] - (means["b"] + means["c"]) / 2)
    assert by_name["a"].effect.unit == "nats"
    assert found[0].effect.value == pytest.approx(means["a"] - means["b"])


def test_a_p_that_no_shuffle_reaches_gets_more_shuffles():
    many = StatisticsOptions(resamples=4_000)
    strong = demographic_parity(MODEL, data_of([*rows_of("a", 10, 10), *rows_of("b", 0, 0)]), statistics=many).findings
    assert strong[0].p_value == pytest.approx(1 / 4001)
    assert all(one.smallest_p == pytest.approx(1 / 4001) for one in strong)
    assert strong[0].score.method.endswith("p from 4,000 shuffles")
    weak = demographic_parity(MODEL, data_of(ROWS), statistics=many).findings
    assert weak[0].score.method.endswith("p from 2,000 shuffles")
    assert weak[0].smallest_p == pytest.approx(1 / 4001)  # what it could have been
    assert most_shuffles(10_000, 100_000) == most_shuffles(10_000, 60) == 10_000
    assert most_shuffles(10_000, 10_000_000) == 2_000


def test_many_groups_without_a_bias_show_a_gap_that_is_noise():
    generator = np.random.default_rng(1)
    rows = [(0.9 if generator.random() < 0.5 else 0.1, "toxic", f"g{index % 20:02}") for index in range(400)]
    gap = demographic_parity(MODEL, data_of(rows), statistics=QUICK).findings[0]
    assert gap.score.value > 0.3  # twenty rates of twenty texts each
    assert gap.p_value > 0.05
    assert gap.score.low == 0.0
    assert any("Shuffled groups show a gap of" in note for note in gap.notes)


def gap_p(rates_columns, members, design, seed):
    """The p of the largest gap, as `group_findings` computes it."""
    observed = members.T.astype(float) @ rates_columns
    shuffled = shuffled_group_sums(design.members, design.strata, design.sums(rates_columns), shuffles=99, seed=seed)
    return shuffle_p(np.ptp(ratio(observed)), np.ptp(ratio(shuffled), axis=1), two_sided=False)


def test_false_claims_are_as_rare_as_the_level_says():
    p_values = []
    for seed in range(500):
        generator = np.random.default_rng(seed)
        toxic = generator.random(90) < 0.5
        # The model is right more often than not, and groups have different base rates: odds are equal all the same.
        decided = generator.random(90) < np.where(toxic, 0.7, 0.2)
        first = generator.random(90) < np.where(toxic, 0.7, 0.3)
        members = np.column_stack([first, ~first])
        columns = np.column_stack([decided & ~toxic, ~toxic]).astype(float)
        p_values.append(gap_p(columns, members, group_design(members, None, toxic), seed))
    assert np.mean(np.array(p_values) <= 0.05) <= 0.07


def test_p_of_a_finding_is_that_of_shuffles():
    data = data_of(ROWS)
    finding = demographic_parity(MODEL, data, statistics=StatisticsOptions(resamples=99, seed=4)).findings[0]
    decided = np.array([row[0] > 0.5 for row in ROWS])
    columns = np.column_stack([decided, np.ones(60)])
    assert finding.p_value == gap_p(columns, data.members, group_design(data.members, None), 4)


def test_clusters_inside_groups_are_shuffled_whole():
    generator = np.random.default_rng(0)
    groups = np.arange(160) // 10 % 2 == 0
    members, clusters = np.column_stack([groups, ~groups]), (np.arange(160) // 10).tolist()
    rejected = {"whole": 0, "texts": 0}
    for seed in range(200):
        habit = np.repeat(generator.random(16) < 0.5, 10)  # each author has one habit, whatever the group
        columns = np.column_stack([habit, np.ones(160)])
        rejected["whole"] += gap_p(columns, members, group_design(members, clusters), seed) <= 0.05
        rejected["texts"] += gap_p(columns, members, group_design(members, None), seed) <= 0.05
    assert rejected["whole"] <= 18  # of 200 at level .05, in 99 % of cases
    assert rejected["texts"] > 80  # what texts taken for independent would claim


def test_designs():
    members = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=bool)
    assert group_design(members, ["x", "x", "y", "y"]).nested
    crossed = group_design(members, ["x", "y", "x", "y"])
    assert not crossed.nested
    assert len(set(crossed.strata.tolist())) == 2
    assert not group_design(members, ["w", "x", "y", "z"]).nested
    with pytest.raises(DataError, match="3 clusters for 4 texts"):
        group_design(members, ["x", "y", "z"])


@pytest.mark.parametrize("strata", [[0, 0, 1, 1, 1, 2], list(range(70)) * 3])
def test_units_change_places_inside_their_stratum(strata):
    strata = np.array(strata)
    blocks = list(shuffled_units(strata, shuffles=50, seed=0))
    shuffled = np.concatenate(blocks)
    assert shuffled.shape == (50, len(strata))
    assert (strata[shuffled] == strata).all()
    assert (np.sort(shuffled, axis=1) == np.arange(len(strata))).all()
    assert len(np.unique(shuffled, axis=0)) > 1


def test_shuffled_sums_keep_the_whole():
    members = np.array([[1, 0], [1, 0], [0, 1]], dtype=bool)
    sums = np.array([[1.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    found = shuffled_group_sums(members, np.zeros(3, dtype=int), sums, shuffles=200, seed=0)
    assert found.shape == (200, 2, 2)
    assert (found.sum(axis=1) == [7.0, 3.0]).all()
    assert set(found[:, 1, 0].tolist()) == {1.0, 2.0, 4.0}


def test_p_counts_what_was_seen():
    assert shuffle_p(5.0, np.arange(4.0), two_sided=False) == pytest.approx(1 / 5)
    assert shuffle_p(0.0, np.arange(4.0), two_sided=False) == 1.0
    assert shuffle_p(float("nan"), np.arange(4.0), two_sided=False) is None
    assert shuffle_p(1.0, np.full(3, np.nan), two_sided=True) is None


def test_groups_by_terms():
    found = groups_by_terms(
        ["Two MUSLIMS and a Jewish man", "a muslim", "nobody", "young-at-heart"],
        {"Islam": ["Muslim", "Muslims"], "Judaism": ["Jewish"], "age": ["young", "old"]},
    )
    assert found == [{"Islam", "Judaism"}, {"Islam"}, set(), {"age"}]


def test_several_classes_are_measured_one_by_one():
    model = FormulaClassifier(lambda text: [0.2, 0.5, 0.3], label_names=("x", "y", "z"))
    found = demographic_parity(model, data_of([(0.9, "y", "a"), (0.9, "z", "b")]), statistics=QUICK).findings
    assert [one.category for one in found if ":" not in one.category] == ["x", "y", "z"]


def test_labels_by_number_and_by_name():
    rows = [(0.9, "1", "a"), (0.1, "0", "a"), (0.9, "1", "b"), (0.9, "0", "b")]
    false_rate = equalised_odds(MODEL, data_of(rows), statistics=QUICK)[1]
    assert false_rate.findings[0].score.value == 1.0
    other = [(0.9, "bad", "a"), (0.1, "good", "a"), (0.9, "bad", "b"), (0.9, "good", "b")]
    with pytest.raises(DataError, match="no text has the label 'toxic' of the model; the texts have bad, good"):
        equalised_odds(MODEL, data_of(other), statistics=QUICK)
    assert (
        equalised_odds(MODEL, data_of(other), named={"toxic": "bad"}, statistics=QUICK)[1].findings[0].score.value
        == 1.0
    )


def test_a_group_without_positives_is_left_out_and_told():
    rows = [(0.9, "toxic", "a"), (0.1, "non-toxic", "a"), (0.9, "toxic", "b"), (0.1, "non-toxic", "c")]
    gap = equalised_odds(MODEL, data_of(rows), statistics=QUICK)[0].findings[0]
    assert gap.score.value == 0.0
    assert any(note.startswith("No value for c") for note in gap.notes)


def test_a_share_of_nothing_has_an_interval_with_width():
    rows = [*[(0.1, "toxic", "a")] * 4, *rows_of("b", 5, 5)]
    finding = {one.category: one for one in demographic_parity(MODEL, data_of(rows), statistics=QUICK).findings}["a"]
    assert finding.score.value == -0.5
    (_, first_high), (second_low, second_high) = wilson_interval(0, 4), wilson_interval(10, 20)
    assert finding.score.low == pytest.approx(-0.5 - (second_high - 0.5))
    assert finding.score.high == pytest.approx(-0.5 + np.hypot(first_high, 0.5 - second_low))


def test_one_group_and_regression_are_refused():
    with pytest.raises(DataError, match="has 1 groups"):
        demographic_parity(MODEL, data_of([(0.9, "toxic", "a")] * 2), statistics=QUICK)
    regression = FormulaClassifier(lambda text: [3.0], label_names=("score",), task="regression")
    with pytest.raises(ModelError, match="predicts a number"):
        demographic_parity(regression, data_of(ROWS), statistics=QUICK)
    broken = FormulaClassifier(lambda text: float("nan"))
    with pytest.raises(ModelError, match="no probability"):
        demographic_parity(broken, data_of(ROWS), statistics=QUICK)


def test_items_hold_every_text():
    items = demographic_parity(MODEL, data_of(ROWS), statistics=QUICK).items
    assert list(items)[:4] == ["item_id", "cluster_id", "category", "value"]
    assert {len(column) for column in items.values()} == {len(ROWS)}
    assert items["value"][0] == pytest.approx(np.log(9.0))
