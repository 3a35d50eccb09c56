"""The metrics: equal to scikit-learn and SciPy, by definition, and at the edges."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation import classification
from nlpladder.evaluation.metrics import METRICS, compute_metrics, load_metric, metric_spec
from nlpladder.evaluation.sums import metric_plan


def draw(task, seed, examples=60, classes=3):
    """Random data with ties, in which classes may be missing."""
    generator = np.random.default_rng(seed)
    if task == "regression":
        labels = generator.normal(size=examples).round(1) + 100.0
        return labels, labels + generator.normal(size=examples).round(1)
    scores = generator.random((examples, classes)).round(1) + 0.01
    if task == "multi_label":
        return generator.random((examples, classes)) < generator.random(), np.minimum(scores, 1.0)
    present = generator.choice(classes, size=generator.integers(1, classes + 1), replace=False)
    return generator.choice(present, size=examples), scores / scores.sum(axis=1, keepdims=True)


TASKS = ["single_label", "multi_label", "regression"]


@pytest.mark.parametrize("task", TASKS)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), examples=st.sampled_from([2, 7, 60]), classes=st.integers(2, 5))
def test_plain_functions_equal_the_reference_and_the_sums(task, seed, examples, classes):
    labels, scores = draw(task, seed, examples, classes)
    values = compute_metrics(labels, scores, task=task)
    plan = metric_plan(labels, scores, task)
    sums = plan.evaluate(plan.columns.sum(axis=0)[None], np.full(1, float(examples)), np.empty((1, 0)))
    for name, value in values.items():
        found = load_metric(name, task=task).compute(references=np.asarray(labels, dtype=float), predictions=scores)
        if value is None:
            assert found[name] is None
            assert "undefined" in found[f"{name}_undefined"]
        else:
            assert found[name] == pytest.approx(value, abs=1e-9)
            if name not in ("roc_auc", "spearman"):
                assert sums[name][0] == pytest.approx(value, abs=1e-9)


def test_calibration_errors_by_their_definition():
    generator = np.random.default_rng(0)
    scores = generator.dirichlet(np.ones(3), 500)
    labels = generator.integers(0, 3, 500)
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    total = 0.0
    for index in range(15):
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert classification.expected_calibration_error(labels, scores) == pytest.approx(total)
    order = np.argsort(confidence)
    parts = [part for part in np.array_split(order, 15) if len(part)]
    adaptive = sum(len(part) / 500 * abs(confidence[part].mean() - right[part].mean()) for part in parts)
    assert classification.adaptive_calibration_error(labels, scores) == pytest.approx(adaptive, abs=0.01)
    sizes = np.bincount(classification.equal_mass_bins(confidence))
    assert sizes.min() >= 33
    assert sizes.max() <= 34


def test_brier_equals_scikit_learn_for_two_classes():
    from sklearn.metrics import brier_score_loss

    labels, scores = draw("single_label", 4, classes=2)
    assert classification.brier_score(labels, scores) == pytest.approx(brier_score_loss(labels, scores[:, 1]))
    perfect = np.eye(3)[[0, 1, 2]]
    assert classification.brier_score(np.arange(3), perfect) == 0
    assert classification.brier_score(np.asarray([1, 2, 0]), perfect) == 2


def test_equal_confidences_share_a_bin():
    bins = classification.equal_mass_bins(np.asarray([0.5] * 30 + [0.9] * 3))
    assert len(set(bins[:30])) == 1


@pytest.mark.parametrize("name", METRICS["single_label"])
def test_a_missing_class_never_gives_a_silent_nan(name):
    value = compute_metrics([0, 0, 1], [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])[name]
    assert (value is None) == (name == "roc_auc")
    result = load_metric(name).compute(references=[0, 0], predictions=[[0.6, 0.4], [0.3, 0.7]])
    if name in ("roc_auc", "matthews_correlation"):
        assert result[name] is None
        assert "class '" in result[f"{name}_undefined"]
    else:
        assert np.isfinite(result[name])


def test_undefined_values_of_the_other_tasks():
    values = compute_metrics([[0, 1], [0, 1]], [[0.2, 0.9], [0.1, 0.3]], task="multi_label")
    assert values["roc_auc"] is None
    result = load_metric("roc_auc", task="multi_label").compute(references=[[0, 1]], predictions=[[0.2, 0.9]])
    assert "'0' never true and '1' always true" in result["roc_auc_undefined"]
    values = compute_metrics([2.0, 2.0], [1.0, 3.0], task="regression")
    assert [name for name, value in values.items() if value is None] == ["r_squared", "pearson", "spearman"]
    assert values["mean_absolute_error"] == 1.0


def test_class_numbers_can_stand_for_probabilities():
    assert load_metric("accuracy").compute(references=[0, 1, 2], predictions=[0, 1, 1]) == {
        "accuracy": pytest.approx(2 / 3)
    }
    with pytest.raises(DataError, match="not a class number"):
        load_metric("f1_macro").compute(references=[0, 1], predictions=[0, -1])


def test_batches_give_what_one_call_gives():
    labels, scores = draw("single_label", 1)
    metric = load_metric("f1_macro")
    for start in range(0, 60, 7):
        metric.add_batch(references=labels[start : start + 7], predictions=scores[start : start + 7])
    assert metric.compute()["f1_macro"] == pytest.approx(compute_metrics(labels, scores)["f1_macro"])


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        load_metric("acuracy")
    with pytest.raises(ConfigError, match="for task 'regression'"):
        metric_spec("accuracy", "regression")
    with pytest.raises(ConfigError, match="Did you mean 'multi_label'"):
        compute_metrics([0], [[1, 0]], task="multilabel")
    assert metric_spec("f1_micro")[1] == "single_label"


GOOD = [[0.6, 0.4], [0.3, 0.7]]
BROKEN = [
    (([0, 1], [[0.6, 0.4], [np.nan, 0.5]]), {}, r"row 1: \[nan, 0.5\] is not finite"),
    (([0, 1], [[0.6, 0.4], [3.0, -1.0]]), {}, "row 1.*not logits"),
    (([0, 1], [[0.6, 0.4], [0.3, 0.3]]), {}, "row 1.*sums to 0.6"),
    (([0, 2], GOOD), {}, "row 1: 2 is not a class number from 0 to 1"),
    (([0, -1], GOOD), {}, "row 1: -1"),
    ((["a", "b"], GOOD), {}, "Map names to their column first"),
    (([0.5, 1.0], GOOD), {}, "class numbers"),
    (([0], GOOD), {}, "1 labels and 2 rows"),
    (([], np.empty((0, 2))), {}, "no example"),
    (([0, 0], [[1.0], [1.0]]), {}, "at least two classes"),
    (([0, 1], [0.5, 0.5]), {}, r"expected \(examples, labels\)"),
    (([0, 1], [[0.5, 0.5], [1.0]]), {}, "not a rectangular table"),
    (([0, 1], GOOD), {"label_names": ["a", "b", "c"]}, "2 columns, but there are 3 label names"),
    (([[0, 1], [2, 0]], GOOD), {"task": "multi_label"}, "row 1.*only 0 and 1"),
    (([[0], [1]], GOOD), {"task": "multi_label"}, "must be the same"),
    (([1.0, np.inf], [1.0, 2.0]), {"task": "regression"}, "labels, row 1"),
    (([1.0, 2.0], GOOD), {"task": "regression"}, r"\(examples, 1\)"),
]


@pytest.mark.parametrize("arrays, options, message", BROKEN)
def test_broken_predictions_are_refused_with_the_row(arrays, options, message):
    with pytest.raises(DataError, match=message):
        compute_metrics(*arrays, **options)


def test_nothing_heavy_is_imported_until_needed():
    program = (
        "import sys, nlpladder.evaluation.metrics as m; m.compute_metrics([0, 1], [[1, 0], [0, 1]]);"
        "print([n for n in ('evaluate', 'sklearn', 'scipy', 'torch', 'numba', 'datasets') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
