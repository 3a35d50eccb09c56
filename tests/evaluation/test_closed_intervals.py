"""Scores without spread, all right, all wrong or all alike: an interval that follows from counts, or none."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.evaluation.answers import AnswerStatistics, compare_answers, score_answers
from nlpladder.evaluation.calibration import wilson_interval
from nlpladder.evaluation.closed_intervals import (
    area_interval,
    difference_interval,
    effective_trials,
    end_interval,
    has_no_spread,
    recall_interval,
    share_interval,
)
from nlpladder.evaluation.comparison import compare_systems
from nlpladder.evaluation.entities import EntityStatistics, score_entities
from nlpladder.evaluation.generation import GenerationStatistics, score_generations
from nlpladder.evaluation.intervals import Score, score_predictions
from nlpladder.evaluation.metrics import METRICS
from nlpladder.evaluation.paired_tests import approximate_randomization, mcnemar_exact, paired_bootstrap
from nlpladder.evaluation.seeds import aggregate_seeds, score_seeds
from nlpladder.evaluation.tags import TagStatistics, score_tags

Z2 = 1.959963984540054**2


def sure(labels, classes=2, *, right=True):
    """Probabilities whose largest is that of the right class, with some spread of the losses."""
    labels = np.asarray(labels)
    generator = np.random.default_rng(0)
    told = labels if right else (labels + 1) % classes
    scores = generator.uniform(0.01, 0.2, size=(len(labels), classes))
    scores[np.arange(len(labels)), told] = 1.0
    return scores / scores.sum(axis=1, keepdims=True)


def assert_no_width_of_zero(scores):
    for score in scores:
        assert score.low is None or score.low < score.high, score
        assert (score.low is None) == (score.high is None)
        if score.value is not None and score.low is not None and "bootstrap" not in score.method:
            assert score.low <= score.value <= score.high  # percentiles of two or three examples need not hold it


def test_twelve_right_answers_are_no_certainty():
    labels = [0] * 6 + [1] * 6
    found = score_predictions(labels, sure(labels), resamples=300)
    low = 12 / (12 + Z2)
    for name in ("accuracy", "f1_micro", "balanced_accuracy"):  # six of each class: the recalls give the same bound
        assert (found[name].low, found[name].high) == pytest.approx((low, 1.0)), name
    assert found["accuracy"].format() == "100.0 [75.8, 100.0]"
    assert found["accuracy"].method.startswith("Wilson")
    assert found["roc_auc"].low == pytest.approx(6 / (6 + Z2))
    for name in ("f1_macro", "f1_weighted", "matthews_correlation"):
        assert found[name].value == 1.0
        assert found[name].low is found[name].high is None
        assert "no interval" in found[name].method
        assert "all 12 examples" in found[name].note
    assert found["f1_macro"].format() == "100.0 (n = 12: no interval)"
    assert found["matthews_correlation"].format() == "1.000 (n = 12: no interval)"
    assert "bootstrap" in found["log_loss"].method  # has spread
    assert_no_width_of_zero(found.values())
    assert Score.from_dict(found["f1_macro"].to_dict()) == found["f1_macro"]


def test_twelve_wrong_answers_are_no_certainty_either():
    labels = [0] * 6 + [1] * 6
    found = score_predictions(labels, sure(labels, right=False), resamples=300)
    high = Z2 / (12 + Z2)
    for name in ("accuracy", "balanced_accuracy"):
        assert (found[name].low, found[name].high) == pytest.approx((0.0, high)), name
    assert found["roc_auc"].value == 0.0
    assert found["roc_auc"].high == pytest.approx(Z2 / (6 + Z2))
    assert_no_width_of_zero(found.values())


@settings(deadline=None, max_examples=40)
@given(
    task=st.sampled_from(["single_label", "multi_label", "regression"]),
    examples=st.integers(2, 8),
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["perfect", "constant", "random"]),
    seeds=st.integers(1, 3),
    clustered=st.booleans(),
)
def test_no_interval_of_any_metric_has_the_width_zero(task, examples, seed, kind, seeds, clustered):
    generator = np.random.default_rng(seed)
    if task == "regression":
        labels = generator.normal(size=examples)
        scores = {"perfect": labels, "constant": np.zeros(examples), "random": generator.normal(size=examples)}[kind]
    elif task == "multi_label":
        labels = generator.random((examples, 3)) < 0.5
        scores = {"perfect": labels * 1.0, "constant": np.full((examples, 3), 0.7)}.get(
            kind, generator.random((examples, 3))
        )
    else:
        labels = generator.integers(0, 3, examples)
        scores = {"perfect": np.eye(3)[labels], "constant": np.tile([0.2, 0.5, 0.3], (examples, 1))}.get(
            kind, generator.dirichlet([1, 1, 1], examples)
        )
    groups = [row % 2 for row in range(examples)] if clustered else None
    found = score_seeds(labels, [scores] * seeds, task=task, resamples=200, groups=groups)
    assert_no_width_of_zero([one.mean for one in found.values()])


def test_a_share_of_few_examples_or_few_errors_is_wilsons_and_others_keep_the_bootstrap():
    for examples, wrong, wilson in (
        (40, 10, True),
        (41, 10, False),
        (1000, 4, True),
        (1000, 5, False),
        (300, 297, True),
    ):
        labels = np.arange(examples) % 2
        scores = sure(labels)
        scores[:wrong] = scores[:wrong, ::-1]
        found = score_predictions(labels, scores, resamples=500)["accuracy"]
        assert ("Wilson" in found.method) == wilson, (examples, wrong)
        if wilson:
            assert (found.low, found.high) == pytest.approx(wilson_interval(examples - wrong, examples))
        else:
            assert "bootstrap" in found.method
    clustered = score_predictions(labels, scores, resamples=300, groups=np.arange(300) // 3)
    assert "bootstrap" in clustered["accuracy"].method  # examples of a group are no independent trials


def test_whole_groups_are_the_trials_of_clustered_examples():
    labels = np.tile([0, 1], 30)
    found = score_predictions(labels, sure(labels), resamples=200, groups=np.repeat(np.arange(12), 5))
    assert found["accuracy"].low == pytest.approx(12 / (12 + Z2))
    assert "12 groups" in found["accuracy"].method
    for name in ("balanced_accuracy", "roc_auc", "f1_macro"):
        assert found[name].low is None
    assert effective_trials([5, 5, 5, 5]) == pytest.approx(4)
    assert effective_trials([97, 1, 1, 1]) == pytest.approx(100**2 / (97**2 + 3))
    assert effective_trials([]) == 0


def test_several_perfect_seeds_keep_the_interval_of_one():
    labels = [0] * 6 + [1] * 6
    one = score_predictions(labels, sure(labels), resamples=300)
    three = score_seeds(labels, [sure(labels)] * 3, resamples=300)
    for name in ("accuracy", "balanced_accuracy", "roc_auc", "f1_macro"):
        assert (three[name].mean.low, three[name].mean.high) == (one[name].low, one[name].high), name
        assert three[name].mean.method == one[name].method
    gathered = aggregate_seeds([one, one, one])
    assert gathered["accuracy"].mean.low == one["accuracy"].low
    assert gathered["f1_macro"].mean.format() == "100.0 (n = 12: no interval)"
    # Scores written before this rule had the width 0.
    old = {"accuracy": dataclasses.replace(one["accuracy"], low=1.0, method="percentile bootstrap interval")}
    assert aggregate_seeds([old, old])["accuracy"].mean.low is None


def test_seeds_that_differ_keep_their_interval_though_no_resample_differs():
    labels = [0] * 6 + [1] * 6
    found = score_seeds(labels, [sure(labels), sure(labels, right=False)], resamples=200)["accuracy"].mean
    assert (found.low, found.high) == (0.0, 1.0)
    assert "variance over 2 seeds" in found.method


@settings(deadline=None, max_examples=60)
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=6), seed=st.integers(0, 100))
def test_the_bound_of_the_recalls_is_the_lowest_that_is_as_likely_as_wilsons(counts, seed):
    found = recall_interval(1.0, [*counts, 0], 0.95)
    total = sum(counts)
    target = total * math.log(total / (total + Z2))
    sizes = np.asarray(counts, float)
    assert found.high == 1.0
    if len(set(counts)) == 1:
        assert found.low == pytest.approx(total / (total + Z2))
    # Any recalls that are as likely have a mean that is no lower, and the bound comes near to some of them.
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.ones(len(counts)), size=4000)  # of the logarithm of the chance
    means = np.exp(target * shares / sizes).mean(axis=1)
    assert (means >= found.low - 1e-9).all()
    if len(counts) <= 2:
        assert means.min() < found.low + 0.02
    mirrored = recall_interval(0.0, counts, 0.95)
    assert (mirrored.low, mirrored.high) == pytest.approx((0.0, 1.0 - found.low))


def test_closed_forms_by_hand():
    assert share_interval(1.0, 9, 0.95).low == pytest.approx(0.7009, abs=5e-5)  # what error_analysis prints
    assert recall_interval(0.5, [4, 4], 0.95) is None  # one class predicted always
    assert area_interval(0.5, [4], 8, 0.95) is None
    assert area_interval(1.0, [2, 30], 40, 0.95).low == pytest.approx(2 / (2 + Z2))  # the class with fewest pairs
    assert end_interval(0.3, 10, 0.95) is None
    assert difference_interval(0.0, 12, 0.95) == pytest.approx((-Z2 / (12 + Z2), Z2 / (12 + Z2)))
    low, high = difference_interval(1.0, 12, 0.95)
    assert (low, high) == pytest.approx(((12 - Z2) / (12 + Z2), 1.0))
    assert 12 * (1 - low) ** 2 == pytest.approx(Z2 * (1 - low**2))  # Tango's statistic at the bound
    assert difference_interval(-1.0, 12, 0.95) == pytest.approx((-high, -low))
    assert difference_interval(0.25, 12, 0.95) is None
    assert has_no_spread(np.array([np.nan, 1.0, 1.0 - 1e-16]))
    assert not has_no_spread(np.array([1e-9, 2e-9]))
    assert not has_no_spread(np.array([np.nan, 1.0]))


def test_two_perfect_systems_are_not_told_apart():
    labels = [0] * 6 + [1] * 6
    systems = {"a": sure(labels), "b": sure(labels) ** 2 / (sure(labels) ** 2).sum(axis=1, keepdims=True)}
    for metric in ("accuracy", "f1_macro", "matthews_correlation", "roc_auc"):
        found = compare_systems(labels, systems, metric=metric, resamples=300)[0]
        assert found.difference == 0.0
        assert found.p_value == found.p_holm == 1.0
        assert all(p in (None, 1.0) for p in found.p_values.values())
        assert found.better() is None
        if metric == "accuracy":
            assert (found.low, found.high) == pytest.approx((-Z2 / (12 + Z2), Z2 / (12 + Z2)))
        else:
            assert found.low is found.high is None
    seeded = {name: [scores] * 3 for name, scores in systems.items()}
    found = compare_systems(labels, seeded, metric="accuracy", resamples=300)[0]
    assert found.p_value == 1.0
    assert found.high == pytest.approx(Z2 / (12 + Z2))
    assert mcnemar_exact([1] * 12, [1] * 12).p_value == 1.0
    assert approximate_randomization([1] * 12, [1] * 12).p_value == 1.0
    losses = paired_bootstrap([0.5] * 12, [0.5] * 12, resamples=200)
    assert (losses.low, losses.high, losses.p_value) == (None, None, 1.0)


def test_a_difference_that_all_resamples_show_is_not_more_certain_than_a_coin_allows():
    first, second = [1] * 4, [0] * 4
    found = paired_bootstrap(first, second, resamples=5000)
    assert found.p_value == approximate_randomization(first, second).p_value == 0.125
    assert found.high == 1.0
    assert found.low == pytest.approx((4 - Z2) / (4 + Z2))
    grouped = paired_bootstrap([1] * 40, [0] * 40, resamples=5000, groups=[row % 4 for row in range(40)])
    assert grouped.p_value == 0.125
    assert grouped.low == pytest.approx((4 - Z2) / (4 + Z2))
    labels = [0, 0, 1, 1]
    both = {"right": [sure(labels)] * 2, "wrong": [sure(labels, right=False)] * 2}
    compared = compare_systems(labels, both, metric="accuracy", resamples=3000)[0]
    assert compared.p_value == 0.125  # it was 0: no seed and no resample differed


def test_perfect_answers_texts_tags_and_entities():
    questions = [["Rome"], ["in Paris"], [], [], ["Oslo"]]
    right = AnswerStatistics.of(["Rome", "in Paris", "", "", "Oslo"], questions)
    found = {name: one.mean for name, one in score_answers([right], resamples=200).items()}
    assert_no_width_of_zero(found.values())
    for name, trials in (("exact_match", 5), ("f1", 5), ("has_answer_exact_match", 3), ("no_answer_accuracy", 2)):
        assert found[name].low == pytest.approx(trials / (trials + Z2)), name
    compared = compare_answers({"a": [right], "b": [right]}, metric="f1", resamples=200)[0]
    assert (compared.difference, compared.p_value, compared.low, compared.high) == (0.0, 1.0, None, None)
    compared = compare_answers({"a": [right], "b": [right]}, metric="exact_match", resamples=200)[0]
    assert compared.high == pytest.approx(Z2 / (5 + Z2))

    texts = ["a small cat sat on the mat", "two birds sang in the old tree", "rain fell over the grey hills all day"]
    for seeds in (1, 2):
        same = score_generations([GenerationStatistics.of(texts, texts)] * seeds, resamples=200)
        assert_no_width_of_zero([one.mean for one in same.values()])
        assert same["exact_match"].mean.low == pytest.approx(3 / (3 + Z2))
        assert same["rougeL"].mean.low == pytest.approx(3 / (3 + Z2))
        assert same["bleu"].mean.format() == "100.0 (n = 3: no interval)"
        assert "all 3 texts" in same["bleu"].mean.note

    tags = [["DET", "NOUN"], ["NOUN", "VERB"], ["DET", "NOUN", "VERB", "ADV"]]
    tagged = {name: one.mean for name, one in score_tags([TagStatistics.of(tags, tags)], resamples=200).items()}
    assert_no_width_of_zero(tagged.values())
    effective = 8**2 / (4 + 4 + 16)
    assert tagged["accuracy"].low == pytest.approx(effective / (effective + Z2))
    spans = [["B-PER", "O"], ["O", "B-LOC"], ["B-PER", "I-PER", "O", "O"]]
    entities = {name: one.mean for name, one in score_entities([EntityStatistics.of(spans, spans)]).items()}
    assert_no_width_of_zero(entities.values())
    assert entities["token_accuracy"].low == pytest.approx(effective / (effective + Z2))
    assert entities["entity_f1"].low is None


def test_the_share_that_bounds_a_mean_is_below_any_mean_that_is_as_likely():
    labels = np.asarray([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
    found = score_predictions(labels, labels * 1.0, task="multi_label", resamples=200)
    assert_no_width_of_zero(found.values())
    assert found["hamming_loss"].high == pytest.approx(Z2 / (4 + Z2))
    assert found["subset_accuracy"].low == pytest.approx(4 / (4 + Z2))
    assert found["label_ranking_average_precision"].low == pytest.approx(4 / (4 + Z2))
    assert found["roc_auc"].low == pytest.approx(2 / (2 + Z2))
    assert set(found) == set(METRICS["multi_label"])


def test_wilson_covers_at_the_sizes_for_which_it_is_taken_and_the_bootstrap_does_not():
    # Exact coverage of both by the binomial distribution, for 12 examples: the percentile interval of a share of k in n
    # has the ends of the binomial quantiles of k / n.
    from scipy.stats import binom

    n = 12
    truths = np.linspace(0.5, 0.99, 50)
    coverage = {"wilson": [], "bootstrap": []}
    for truth in truths:
        chances = binom.pmf(np.arange(n + 1), n, truth)
        ends = [wilson_interval(k, n) for k in range(n + 1)]
        drawn = [(binom.ppf(0.025, n, k / n) / n, binom.ppf(0.975, n, k / n) / n) for k in range(n + 1)]
        for name, both in (("wilson", ends), ("bootstrap", drawn)):
            coverage[name].append(sum(p for p, (low, high) in zip(chances, both, strict=True) if low <= truth <= high))
    assert np.mean(coverage["wilson"]) > 0.93
    assert min(coverage["wilson"]) > 0.82
    assert np.mean(coverage["bootstrap"]) < 0.85
    assert min(coverage["bootstrap"]) < 0.15


def test_the_table_of_a_climb_and_the_cards_print_what_has_no_interval():
    from nlpladder.hub.card_sections import climb_section, score_table
    from nlpladder.views.ladder_table import _score

    labels = [0] * 6 + [1] * 6
    found = score_predictions(labels, sure(labels), resamples=200)
    assert _score(found["accuracy"].to_dict(), interval=True) == "100.0 [75.8, 100.0]"
    assert _score(found["f1_macro"].to_dict(), interval=True) == "100.0 (n = 12: no interval)"
    assert _score(found["f1_macro"].to_dict(), interval=False) == "100.0"
    section = score_table([found["accuracy"], found["f1_macro"]])
    assert "| f1_macro | 100.0 (n = 12: no interval) | 12 |" in section
    assert "Perfect on all 12 examples" in section
    compared = compare_systems(labels, {"a": sure(labels), "b": sure(labels)}, metric="f1_macro", resamples=200)[0]
    climb = {
        "columns": [],
        "test_unit": "texts",
        "rows": [
            {"rung": "a", "title": "A", "scores": {"x": 1}, "seeds": 1},
            {"rung": "b", "title": "B", "scores": {"x": 1}, "seeds": 1, "against_rung_below": compared.to_dict()},
        ],
    }
    text = climb_section("b", "seed-0", climb)
    assert "+0 percentage points in f1 macro, two-sided p = 1" in text
    assert "None" not in text
