"""Paired tests: against SciPy and literal versions, error rates, and the table of comparisons."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.comparison import compare_systems
from nlpladder.evaluation.metrics import compute_metrics
from nlpladder.evaluation.multiple_testing import benjamini_hochberg, holm
from nlpladder.evaluation.paired_tests import approximate_randomization, mcnemar_exact, paired_bootstrap


def system(labels, skill, seed, classes=3, seeds=None):
    """Probabilities that know the label to some degree."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(seeds or 1, len(labels), classes))
    logits[:, np.arange(len(labels)), labels] += skill
    scores = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return scores if seeds else scores[0]


LABELS = np.random.default_rng(0).integers(0, 3, 300)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_mcnemar_is_the_binomial_test(pairs):
    from scipy.stats import binomtest

    first, second = np.asarray(pairs).T
    gained, lost = int((first & ~second).sum()), int((second & ~first).sum())
    result = mcnemar_exact(first, second)
    assert result.p_value == pytest.approx(binomtest(gained, gained + lost).pvalue if gained + lost else 1.0)
    assert result.difference == pytest.approx(first.mean() - second.mean())
    assert mcnemar_exact(second, first).p_value == pytest.approx(result.p_value)
    # All assignments of signs are equally likely under the null: McNemar's test is the exact randomisation test.
    exact = approximate_randomization(first.astype(float), second.astype(float))
    assert exact.p_value == pytest.approx(result.p_value)
    assert exact.method.startswith("exact")


def test_mcnemar_refuses_what_is_not_right_or_wrong():
    with pytest.raises(DataError, match=r"correct_b, row 1: 0\.5"):
        mcnemar_exact([1, 0], [0, 0.5])
    with pytest.raises(DataError, match="two trained models"):
        mcnemar_exact(np.ones((2, 5)), np.ones((2, 5)))
    with pytest.raises(DataError, match="same examples"):
        mcnemar_exact([1, 0], [1, 0, 1])


def test_randomisation_of_scores_equals_scipy_and_full_enumeration():
    from scipy.stats import permutation_test

    generator = np.random.default_rng(1)
    first, second = generator.normal(0.4, 1, 12), generator.normal(0, 1, 12)
    signs = np.asarray(list(itertools.product([-1, 1], repeat=12)))
    observed = np.mean(first - second)
    exact = np.mean(np.abs(signs @ (first - second) / 12) >= abs(observed) - 1e-12)
    reference = permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    assert reference.pvalue == pytest.approx(exact)
    result = approximate_randomization(first, second, resamples=20_000)
    assert result.difference == pytest.approx(observed)
    assert result.p_value == pytest.approx(exact, abs=0.012)


@pytest.mark.parametrize("metric", ["f1_macro", "log_loss", "roc_auc", "expected_calibration_error"])
def test_randomisation_of_metrics_equals_a_literal_one(metric):
    first, second = system(LABELS, 1.0, 1), system(LABELS, 1.25, 2)
    fast = approximate_randomization(first, second, labels=LABELS, metric=metric, resamples=1000)
    generator = np.random.default_rng(5)
    observed = abs(compute_metrics(LABELS, first)[metric] - compute_metrics(LABELS, second)[metric])
    beyond, draws = 0, 300
    for _ in range(draws):
        swap = generator.random(len(LABELS)) < 0.5
        mixed = np.where(swap[:, None], second, first), np.where(swap[:, None], first, second)
        values = [compute_metrics(LABELS, scores)[metric] for scores in mixed]
        beyond += abs(values[0] - values[1]) >= observed
    assert fast.p_value == pytest.approx(beyond / draws, abs=0.1)


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "roc_auc"])
def test_bootstrap_interval_equals_a_literal_one(metric):
    first, second = system(LABELS, 1.5, 1), system(LABELS, 1.0, 2)
    fast = paired_bootstrap(first, second, labels=LABELS, metric=metric, resamples=5000)
    generator = np.random.default_rng(5)
    differences = []
    for _ in range(500):
        rows = generator.integers(0, len(LABELS), len(LABELS))
        values = [compute_metrics(LABELS[rows], scores[rows])[metric] for scores in (first, second)]
        differences.append(values[0] - values[1])
    width = fast.high - fast.low
    assert np.quantile(differences, [0.025, 0.975]) == pytest.approx([fast.low, fast.high], abs=0.15 * width)
    beyond = np.abs(np.asarray(differences) - fast.difference) >= abs(fast.difference)
    assert fast.p_value == pytest.approx(beyond.mean(), abs=0.05)


def test_scores_of_examples_and_metric_give_the_same():
    first, second = system(LABELS, 1.5, 1), system(LABELS, 1.0, 2)
    right = [(scores.argmax(axis=1) == LABELS).astype(float) for scores in (first, second)]
    by_metric = paired_bootstrap(first, second, labels=LABELS, metric="accuracy", resamples=500)
    assert paired_bootstrap(*right, resamples=500) == by_metric
    assert approximate_randomization(*right) == approximate_randomization(
        first, second, labels=LABELS, metric="accuracy"
    )


def test_a_system_does_not_differ_from_itself():
    scores = system(LABELS, 1.0, 1)
    for metric in ("accuracy", "f1_macro", "log_loss"):
        for test in (paired_bootstrap, approximate_randomization):
            result = test(scores, scores, labels=LABELS, metric=metric, resamples=100)
            assert (result.difference, result.p_value) == (0.0, 1.0)


def test_false_alarms_are_about_as_rare_as_the_level():
    alarms = np.zeros(3)
    runs = 300
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        scores = generator.normal(size=(2, 80))
        right = (scores > 0).astype(float)
        alarms += [
            paired_bootstrap(*scores, resamples=400, seed=seed).p_value <= 0.05,
            approximate_randomization(*scores, resamples=400, seed=seed).p_value <= 0.05,
            mcnemar_exact(*right).p_value <= 0.05,
        ]
    rates = alarms / runs
    assert (rates[:2] > 0.02).all()
    assert (rates < 0.09).all()


def test_several_seeds_are_averaged():
    generator = np.random.default_rng(0)
    first, second = generator.normal(0.2, 1, (3, 100)), generator.normal(0, 1, (2, 100))
    result = paired_bootstrap(first, second, resamples=500)
    averaged = paired_bootstrap(first.mean(axis=0), second.mean(axis=0), resamples=500)
    assert (result.low, result.high, result.p_value) == (averaged.low, averaged.high, averaged.p_value)
    assert result.difference == pytest.approx(averaged.difference)
    three, two = system(LABELS, 1.0, 1, seeds=3), system(LABELS, 1.2, 2, seeds=2)
    f1 = [np.mean([compute_metrics(LABELS, scores)["f1_macro"] for scores in seeds]) for seeds in (three, two)]
    result = paired_bootstrap(three, two, labels=LABELS, metric="f1_macro", resamples=500)
    assert result.difference == pytest.approx(f1[0] - f1[1])
    assert result.low < result.difference < result.high
    with pytest.raises(DataError, match="A has 3 seeds and B has 2"):
        approximate_randomization(three, two, labels=LABELS, metric="f1_macro")
    swapped = approximate_randomization(three[:2], two, labels=LABELS, metric="f1_macro", resamples=500)
    assert 0 < swapped.p_value < 0.2


def test_groups_widen_the_interval():
    scores = np.repeat(np.random.default_rng(0).normal(size=(2, 50)), 4, axis=1)
    plain = paired_bootstrap(*scores, resamples=1000)
    grouped = paired_bootstrap(*scores, resamples=1000, groups=np.repeat(np.arange(50), 4))
    assert grouped.high - grouped.low > 1.7 * (plain.high - plain.low)


def test_wrong_arguments_are_told():
    first = system(LABELS, 1.0, 1)
    with pytest.raises(ConfigError, match="Give labels and metric together"):
        paired_bootstrap(first, first, labels=LABELS)
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        paired_bootstrap(first, first, labels=LABELS, metric="acuracy")
    with pytest.raises(DataError, match="row 1: nan"):
        paired_bootstrap([1.0, np.nan], [1.0, 2.0])
    with pytest.raises(DataError, match="needs at least two"):
        paired_bootstrap([1.0], [1.0])
    with pytest.raises(DataError, match="roc_auc is undefined"):
        paired_bootstrap(first, first, labels=np.zeros(300, int), metric="roc_auc")


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(deadline=None, max_examples=40)
@given(P_VALUES)
def test_corrections_equal_literal_ones(values):
    from scipy.stats import false_discovery_control

    np.testing.assert_allclose(benjamini_hochberg(values), false_discovery_control(values))
    adjusted = holm(values)
    for level in (0.01, 0.05, 0.3):
        # Holm's own words: step down through the ordered p-values and stop at the first that fails.
        rejected = set()
        for rank, index in enumerate(np.argsort(values, kind="stable")):
            if values[index] * (len(values) - rank) > level:
                break
            rejected.add(int(index))
        assert rejected == set(np.flatnonzero(adjusted <= level).tolist())
    assert (adjusted >= benjamini_hochberg(values) - 1e-12).all()
    order = np.argsort(values)
    assert (np.diff(adjusted[order]) >= 0).all()


def test_corrections_refuse_what_is_no_p_value():
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]).tolist() == []
    with pytest.raises(DataError, match="number 1 is nan"):
        holm([0.1, float("nan")])
    with pytest.raises(DataError, match="flat list"):
        benjamini_hochberg([[0.1]])


def test_a_table_of_systems():
    systems = {"counts": system(LABELS, 0.5, 1), "lstm": system(LABELS, 1.2, 2), "bert": system(LABELS, 2.5, 3)}
    table = compare_systems(LABELS, systems, resamples=500)
    assert [(row.system_a, row.system_b) for row in table] == [("lstm", "counts"), ("bert", "lstm")]
    accuracies = {name: compute_metrics(LABELS, scores)["accuracy"] for name, scores in systems.items()}
    for row in table:
        assert row.difference == pytest.approx(accuracies[row.system_a] - accuracies[row.system_b])
        assert row.low <= row.difference <= row.high
        assert row.p_value == row.p_values["approximate_randomization"]
        assert row.p_values["mcnemar_exact"] == pytest.approx(row.p_value)
        assert row.p_holm >= row.p_value
        assert row.better() == row.system_a
        assert row.to_dict()["seeds"] == [1, 1]
    assert len(compare_systems(LABELS, systems, pairs="all", resamples=100)) == 3
    worse = compare_systems(LABELS, systems, metric="log_loss", resamples=500)
    assert worse[1].difference < 0
    assert worse[1].better() == "bert"
    grouped = compare_systems(LABELS, systems, resamples=100, groups=np.arange(300) // 3)
    assert grouped[0].test == "paired_bootstrap"
    assert grouped[0].p_values["mcnemar_exact"] is None


def test_a_table_over_seeds_counts_their_variance():
    one, many = system(LABELS, 1.0, 1), system(LABELS, 1.3, 2, seeds=4)
    several = compare_systems(LABELS, {"a": one, "b": many}, resamples=500)[0]
    assert several.seeds == (4, 1)
    assert several.test == "seeds_and_examples"
    assert "a has one seed" in several.note
    assert several.low < several.difference < several.high
    spread = np.stack([system(LABELS, skill, 3) for skill in (0.2, 1.0, 2.2)])
    noisy = compare_systems(LABELS, {"a": np.stack([one] * 3), "b": spread}, resamples=500)[0]
    assert noisy.p_values["paired_bootstrap"] < noisy.p_value
    assert noisy.better() is None


def test_tables_of_other_tasks_and_wrong_tables():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=100)
    near, far = truth + generator.normal(size=100) * 0.2, truth + generator.normal(size=(3, 100))
    row = compare_systems(truth, {"far": far, "near": near}, task="regression", resamples=300)[0]
    assert row.metric == "root_mean_squared_error"
    assert row.better() == "near"
    labels = generator.random((100, 3)) < 0.5
    guesses = {"a": generator.random((100, 3)), "b": np.where(labels, 0.8, 0.2)}
    assert compare_systems(labels, guesses, task="multi_label", resamples=300)[0].better() == "b"
    with pytest.raises(DataError, match="at least two"):
        compare_systems(LABELS, {"a": system(LABELS, 1, 1)})
    with pytest.raises(ConfigError, match="'adjacent' or 'all'"):
        compare_systems(LABELS, {"a": 1, "b": 2}, pairs="some")
    with pytest.raises(DataError, match=r"b against a: Seed number 0.*300 labels and 299 rows"):
        compare_systems(LABELS, {"a": system(LABELS, 1, 1), "b": system(LABELS[1:], 1, 1)})
