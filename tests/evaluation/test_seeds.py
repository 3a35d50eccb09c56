"""Scores over seeds: what is averaged, and whether the interval covers seeds and test set."""

import json
from statistics import NormalDist

import numpy as np
import pytest

from nlpladder.errors import DataError
from nlpladder.evaluation.intervals import Score, score_predictions
from nlpladder.evaluation.metrics import METRICS, compute_metrics
from nlpladder.evaluation.seeds import SeedScore, aggregate_seeds, combined_interval, score_seeds


def draw(examples=300, seeds=3, skill=1.0, between=0.0, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, examples)
    logits = generator.normal(size=(seeds, examples, 2))
    logits[:, np.arange(examples), labels] += skill + between * generator.normal(size=(seeds, 1))
    return labels, np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def test_mean_deviation_and_range_of_every_metric():
    labels, scores = draw()
    each = [compute_metrics(labels, one) for one in scores]
    found = score_seeds(labels, scores, resamples=500)
    assert list(found) == list(METRICS["single_label"])
    for name, score in found.items():
        values = [values[name] for values in each]
        assert score.values == pytest.approx(tuple(values))
        assert score.mean.value == pytest.approx(np.mean(values))
        assert score.deviation == pytest.approx(np.std(values, ddof=1))
        assert (score.minimum, score.maximum) == pytest.approx((min(values), max(values)))
        assert score.mean.low < score.mean.value < score.mean.high
        assert score.seeds == 3
        assert SeedScore.from_dict(json.loads(json.dumps(score.to_dict()))) == score


def test_one_seed_is_the_plain_score():
    labels, scores = draw(seeds=1)
    plain = score_predictions(labels, scores[0], resamples=500)
    for name, score in score_seeds(labels, scores, resamples=500).items():
        assert (score.mean.value, score.mean.low, score.mean.high) == (
            plain[name].value,
            plain[name].low,
            plain[name].high,
        )
        assert "covers the test set only" in score.mean.note
        assert score.deviation is None


def test_equal_seeds_add_no_variance():
    labels, scores = draw(seeds=1)
    plain = score_predictions(labels, scores[0], resamples=4000)["accuracy"]
    three = score_seeds(labels, np.repeat(scores, 3, axis=0), resamples=4000)["accuracy"].mean
    assert three.high - three.low == pytest.approx(plain.high - plain.low, rel=0.06)
    noisy = score_seeds(*draw(between=1.5), resamples=1000)["accuracy"].mean
    assert noisy.high - noisy.low > 2 * (plain.high - plain.low)


def test_the_interval_covers_seeds_and_test_set():
    """Accuracy of seeds that differ in skill and on single examples, over fresh seeds and fresh test sets."""
    generator = np.random.default_rng(0)
    normal = NormalDist()
    for seeds, between, single in ((3, 0.0, 0.5), (3, 0.1, 0.5), (5, 0.3, 0.3)):
        truth = normal.cdf(1 / np.sqrt(1 + between**2 + single**2))
        hits, naive, runs = 0, 0, 600
        for _ in range(runs):
            examples = generator.normal(1.0, 1.0, 300)
            shifts = between * generator.normal(size=(seeds, 1)) + single * generator.normal(size=(seeds, 300))
            right = examples + shifts > 0
            values, variance = right.mean(axis=1), right.mean(axis=0).var() / 300
            low, high, _ = combined_interval(float(values.mean()), float(variance), [values], 0.95)
            hits += low <= truth <= high
            naive += abs(values.mean() - truth) <= 1.96 * variance**0.5
        assert 0.91 < hits / runs < 0.985
        if between == 0.3:
            assert naive / runs < 0.8  # the test-set interval alone is far too narrow


def test_p_belongs_to_the_interval():
    generator = np.random.default_rng(1)
    for _ in range(50):
        value, values = generator.normal(), generator.normal(size=(2, 4))
        low, high, p_value = combined_interval(value, 0.1, list(values), 0.95)
        assert (low <= 0 <= high) == (p_value >= 0.05)
    assert combined_interval(0.0, 0.0, [], 0.95) is None
    assert combined_interval(0.5, 0.0, [np.full(3, 0.5)], 0.95) is None
    low, high, p_value = combined_interval(1.96, 1.0, [], 0.95)
    assert (low, high, p_value) == pytest.approx((0.0, 3.92, 0.05), abs=1e-3)


def test_finished_scores_can_be_combined_too():
    labels, scores = draw(between=0.3)
    each = [score_predictions(labels, one, resamples=2000) for one in scores]
    combined, direct = aggregate_seeds(each), score_seeds(labels, scores, resamples=2000)
    for name in ("accuracy", "log_loss", "roc_auc"):
        assert combined[name].mean.value == pytest.approx(direct[name].mean.value)
        assert combined[name].deviation == pytest.approx(direct[name].deviation)
        wide, sharp = combined[name].mean, direct[name].mean
        assert wide.high - wide.low > 0.8 * (sharp.high - sharp.low)
    assert aggregate_seeds(each[:1])["accuracy"].mean == each[0]["accuracy"]
    bare = [{"bleu": Score("bleu", value, None, None, 10)} for value in (20.0, 22.0)]
    assert aggregate_seeds(bare)["bleu"].mean.value == 21.0
    assert aggregate_seeds(bare)["bleu"].mean.low is None
    with pytest.raises(DataError, match="10 and 11 examples"):
        aggregate_seeds([*bare, {"bleu": Score("bleu", 1.0, None, None, 11)}])
    with pytest.raises(DataError, match="at least one seed"):
        aggregate_seeds([])


def test_undefined_metrics_stay_undefined():
    labels, scores = draw()
    found = score_seeds(np.zeros_like(labels), scores, resamples=200)
    assert found["roc_auc"].mean.value is None
    assert found["roc_auc"].values == (None, None, None)
    assert found["accuracy"].mean.value is not None


def test_limits_other_tasks_and_wrong_shapes():
    labels, _ = draw(examples=40)
    almost = np.stack([np.eye(2)[labels]] * 3) * 0.98 + 0.01
    almost[0, 0] = almost[0, 0, ::-1]
    accuracy = score_seeds(labels, almost, resamples=500)["accuracy"].mean
    assert accuracy.low < accuracy.value < accuracy.high == 1.0
    generator = np.random.default_rng(0)
    truth = generator.normal(size=50)
    found = score_seeds(truth, truth + generator.normal(size=(2, 50)), task="regression", resamples=300)
    assert "take three or more" in found["r_squared"].mean.note
    groups = score_seeds(*draw(), resamples=200, groups=np.arange(300) // 2)
    assert "150 groups" in groups["accuracy"].mean.method
    with pytest.raises(DataError, match="first axis of probabilities is the seed"):
        score_seeds(labels, almost[0])
    almost[2, 3, 0] = np.nan
    with pytest.raises(DataError, match="Seed number 2: probabilities, row 3"):
        score_seeds(labels, almost)
    with pytest.raises(DataError, match="at least one seed"):
        score_seeds(labels, [])
