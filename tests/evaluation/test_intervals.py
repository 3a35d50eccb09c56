"""Intervals: the fast bootstrap against a literal one, coverage, determinism, and scores as values."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation import resampling
from nlpladder.evaluation.classification import equal_mass_bins
from nlpladder.evaluation.intervals import Score, score_predictions
from nlpladder.evaluation.metrics import METRICS, compute_metrics
from nlpladder.evaluation.resampling import RocAucProblem, SpearmanProblem, bootstrap, fixed_point, swap_replicates
from nlpladder.evaluation.sums import metric_plan


def draw(task, seed=0, examples=80):
    """Predictions with a true relation to the labels, and ties."""
    generator = np.random.default_rng(seed)
    if task == "regression":
        labels = generator.normal(size=examples).round(1)
        return labels, (labels + generator.normal(size=examples)).round(1)
    logits = generator.normal(size=(examples, 3)) * 1.5
    if task == "multi_label":
        scores = (1 / (1 + np.exp(-logits))).round(2)
        return generator.random((examples, 3)) < scores, scores
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (scores.cumsum(axis=1) < generator.random((examples, 1))).sum(axis=1).clip(0, 2), scores


def literal(labels, scores, task, resamples, seed=1):
    """Recompute every metric on rows drawn with replacement."""
    generator = np.random.default_rng(seed)
    values = {name: [] for name in METRICS[task]}
    bins = equal_mass_bins(scores.max(axis=1)) if task == "single_label" else None
    for _ in range(resamples):
        rows = generator.integers(0, len(labels), len(labels))
        for name, spec in METRICS[task].items():
            value = spec.compute(labels[rows], scores[rows])
            if name == "adaptive_calibration_error":  # the edges stay those of the whole test set
                gaps = scores[rows].max(axis=1) - (scores[rows].argmax(axis=1) == labels[rows])
                value = np.abs(np.bincount(bins[rows], weights=gaps)).sum() / len(rows)
            values[name].append(value)
    return {name: np.asarray(list_) for name, list_ in values.items()}


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_replicates_have_the_distribution_of_a_literal_bootstrap(task):
    from scipy.stats import ks_2samp

    labels, scores = draw(task)
    plan = metric_plan(labels, scores, task)
    drawn = bootstrap(plan.columns, resamples=4000, seed=0, rank_problems=plan.rank_problems)
    fast = plan.evaluate(drawn.sums, drawn.totals, drawn.ranks)
    slow = literal(labels, scores, task, 1000)
    assert set(fast) == set(slow)
    for name in slow:
        # Rounding splits the atoms of a discrete distribution differently: compare on a common grid.
        test = ks_2samp(fast[name].round(9), slow[name].round(9))
        assert test.statistic < 0.065, name  # the 0.1 % critical value for these sizes is 0.069


@settings(deadline=None, max_examples=20)
@given(examples=st.integers(2, 700), seed=st.integers(0, 1000))
def test_counts_are_a_multinomial_and_ranks_follow_them(examples, seed):
    identity = np.eye(examples)
    generator = np.random.default_rng(seed)
    scores, positive = generator.random(examples).round(1), generator.random(examples) < 0.5
    other = generator.random(examples).round(1)
    problems = [RocAucProblem(scores, positive), SpearmanProblem(scores, other)]
    drawn = bootstrap(identity, resamples=6, seed=seed, rank_problems=problems)
    counts = drawn.sums.astype(int)
    assert (counts.sum(axis=1) == examples).all()
    assert (counts == drawn.sums).all()
    for weights, (area, correlation) in zip(counts, drawn.ranks, strict=True):
        rows = np.repeat(np.arange(examples), weights)
        expected = METRICS["regression"]["spearman"].compute(scores[rows], other[rows])
        np.testing.assert_allclose(correlation, expected, atol=1e-9)
        two = np.column_stack([1 - scores[rows], scores[rows]])
        expected = METRICS["single_label"]["roc_auc"].compute(positive[rows].astype(int), two)
        np.testing.assert_allclose(area, expected, atol=1e-12)


def test_each_unit_is_drawn_as_often_as_any_other():
    drawn = bootstrap(np.eye(600), resamples=3000, seed=3)
    means, variances = drawn.sums.mean(axis=0), drawn.sums.var(axis=0)
    assert np.abs(means - 1).max() < 5 / np.sqrt(3000)
    assert variances.mean() == pytest.approx(1 - 1 / 600, rel=0.01)
    correlation = np.corrcoef(drawn.sums[:, :40].T)[np.triu_indices(40, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(3000)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    truth = compute_metrics(*draw("single_label", seed=99, examples=400_000))
    hits = dict.fromkeys(truth, 0)
    for seed in range(150):
        for name, score in score_predictions(*draw("single_label", seed, 400), resamples=400, seed=seed).items():
            hits[name] += score.low <= (0 if "calibration" in name else truth[name]) <= score.high
    for name, count in hits.items():
        if "calibration" in name:  # the truth is at the edge of what is possible, and the interval is conservative
            assert count / 150 > 0.9, name
        else:
            assert 0.88 < count / 150 < 0.995, name


def test_numbers_do_not_depend_on_the_number_of_threads(monkeypatch):
    labels, scores = draw("single_label", examples=1000)
    monkeypatch.setattr(resampling, "_BLOCK_NUMBERS", 100_000)
    monkeypatch.setattr(resampling, "_THREAD_NUMBERS", 10_000)
    results, started = [], []
    pool = resampling.ThreadPoolExecutor
    monkeypatch.setattr(resampling, "ThreadPoolExecutor", lambda threads: started.append(threads) or pool(threads))
    for cores in (1, 2, 5):
        monkeypatch.setattr(resampling, "_available_cores", lambda cores=cores: cores)
        results.append(score_predictions(labels, scores, resamples=1000, seed=7))
    assert results[0] == results[1] == results[2]
    assert set(started) == {2, 5}
    monkeypatch.setattr(resampling, "_THREAD_NUMBERS", 10_000_000)  # nothing is worth a thread
    assert score_predictions(labels, scores, resamples=1000, seed=7) == results[0]
    assert set(started) == {2, 5}
    assert results[0] != score_predictions(labels, scores, resamples=1000, seed=8)


def test_fixed_point_sums_are_exact_in_any_order():
    values = np.random.default_rng(0).normal(size=(5000, 3)) * [1e-9, 1.0, 1e12]
    grid, scale = fixed_point(values, 5000)
    shuffled = np.random.default_rng(1).permutation(5000)
    forward, backward = np.cumsum(grid, axis=0)[-1], np.cumsum(grid[shuffled], axis=0)[-1]
    assert (forward == backward).all()
    np.testing.assert_allclose(forward / scale, values.sum(axis=0), rtol=1e-8)
    grid, scale = fixed_point(np.asarray([[0.0, 3.0], [0.0, -2.0]]), 2)
    assert grid.tolist() == [[0, 3], [0, -2]]
    assert scale.tolist() == [1, 1]


def test_swaps_take_half_of_the_examples():
    swapped = swap_replicates(np.eye(50), resamples=4000, seed=0)
    assert set(np.unique(swapped)) == {0.0, 1.0}
    assert np.abs(swapped.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(4000)


def test_copies_in_a_group_do_not_narrow_the_interval():
    labels, scores = draw("single_label", examples=200)
    copies = np.repeat(np.arange(200), 5)
    plain = score_predictions(labels, scores, resamples=3000)
    naive = score_predictions(labels[copies], scores[copies], resamples=3000)
    grouped = score_predictions(labels[copies], scores[copies], resamples=3000, groups=[f"g{copy}" for copy in copies])
    for name in ("accuracy", "f1_macro", "log_loss", "roc_auc"):
        width = {key: run[name].high - run[name].low for key, run in (("p", plain), ("n", naive), ("g", grouped))}
        assert width["g"] == pytest.approx(width["p"], rel=0.12)
        assert width["n"] < 0.6 * width["p"]
    assert "200 groups" in grouped["accuracy"].method
    with pytest.raises(DataError, match="at least two groups"):
        score_predictions(labels, scores, groups=["a"] * 200)
    with pytest.raises(DataError, match="one group per example"):
        score_predictions(labels, scores, groups=["a"])


def test_uneven_groups_weigh_as_many_examples_as_they_hold():
    values = np.asarray([1.0, 1.0, 1.0, 0.0])
    drawn = bootstrap(values[:, None], resamples=2000, seed=0, groups=["a", "a", "a", "b"])
    means = drawn.sums[:, 0] / drawn.totals
    assert set(np.unique(drawn.totals)) == {2.0, 4.0, 6.0}
    assert set(means) == {0.0, 0.75, 1.0}


def test_a_missing_class_is_said(monkeypatch):
    labels, scores = draw("single_label")
    two = np.minimum(labels, 1)
    found = score_predictions(two, scores, label_names=["bad", "good", "odd"], resamples=200)
    assert found["roc_auc"].value is None
    assert found["roc_auc"].low is None
    assert "class 'odd' never occurs" in found["roc_auc"].note
    assert found["accuracy"].note == "No example of class 'odd'."
    assert found["roc_auc"].format() == "undefined"
    rare = np.zeros(80, dtype=int)
    rare[0] = 1
    found = score_predictions(rare, scores[:, :2] / scores[:, :2].sum(axis=1, keepdims=True), resamples=2000)
    lost = int(found["roc_auc"].note.split()[0].replace(",", ""))
    assert 600 < lost < 870  # a class of one example is missing in 1/e of the resamples
    monkeypatch.setattr(resampling, "RANK_STEPS", 1)
    assert "1,000 resamples" in score_predictions(labels, scores, resamples=2000)["roc_auc"].method
    assert "2,000 resamples" in score_predictions(labels, scores, resamples=2000)["accuracy"].method


def test_too_little_data_and_bad_options_are_refused():
    with pytest.raises(DataError, match="needs at least two"):
        score_predictions([1], [[0.4, 0.6]])
    with pytest.raises(DataError, match="no example"):
        score_predictions([], np.empty((0, 2)))
    for options, message in (
        ({"confidence": 95}, "such as 0.95"),
        ({"resamples": 0}, "at least 1"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(ConfigError, match=message):
            score_predictions(*draw("single_label"), **options)


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_scores_survive_json_and_hold_their_value(task):
    scores = score_predictions(*draw(task), task=task, resamples=300)
    assert list(scores) == list(METRICS[task])
    for score in scores.values():
        assert score.low <= score.value <= score.high
        assert Score.from_dict(json.loads(json.dumps(score.to_dict()))) == score
    perfect = score_predictions([0, 1, 1], np.eye(2)[[0, 1, 1]], resamples=50)["accuracy"]
    assert (perfect.value, perfect.low, perfect.high) == (1.0, pytest.approx(0.4385, abs=5e-5), 1.0)


def test_format_and_fields():
    assert Score("accuracy", 0.8212, 0.8031, 0.8379, 872, unit="%").format() == "82.1 [80.3, 83.8]"
    assert Score("bleu", 27.31, 26.0, 28.55, 3000, unit="points").format() == "27.3 [26.0, 28.6]"
    assert Score("log_loss", 0.4, None, None, 9).format(2) == "0.40"
    with pytest.raises(DataError, match="Did you mean 'value'"):
        Score.from_dict({"name": "a", "valu": 1, "low": None, "high": None, "n": 1})
    with pytest.raises(DataError, match="lacks low, n"):
        Score.from_dict({"name": "a", "value": 1, "high": None})
