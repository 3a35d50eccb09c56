"""Calibration: reliability bins, and repairs that find the truth that was planted."""

import numpy as np
import pytest

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.calibration import (
    apply_temperature,
    fit_platt,
    fit_temperature,
    reliability_bins,
    wilson_interval,
)
from nlpladder.evaluation.classification import expected_calibration_error, log_loss


def draw(examples=20_000, classes=3, seed=0):
    """Calibrated probabilities: labels are drawn from them."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(examples, classes)) * 1.5
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (scores.cumsum(axis=1) < generator.random((examples, 1))).sum(axis=1).clip(0, classes - 1), scores


@pytest.mark.parametrize("scheme", ["equal_width", "equal_mass"])
def test_bins_add_up_to_the_data_and_to_the_error(scheme):
    labels, scores = draw(500)
    bins = reliability_bins(labels, scores, scheme=scheme)
    assert sum(part.count for part in bins) == 500
    filled = [part for part in bins if part.count]
    right = sum(part.count * part.accuracy for part in filled)
    assert right == pytest.approx((scores.argmax(axis=1) == labels).sum())
    for part in filled:
        assert part.low <= part.confidence <= part.high
        assert part.accuracy_low <= part.accuracy <= part.accuracy_high
    if scheme == "equal_width":
        assert len(bins) == 15
        error = sum(part.count * abs(part.accuracy - part.confidence) for part in filled) / 500
        assert error == pytest.approx(expected_calibration_error(labels, scores))
        assert bins[0].accuracy is None  # three classes: no confidence is below 1/3


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_planted_temperature_is_found(temperature):
    labels, scores = draw()
    distorted = apply_temperature(scores, 1 / temperature)
    found = fit_temperature(labels, distorted)
    assert found == pytest.approx(temperature, rel=0.05)
    repaired = apply_temperature(distorted, found)
    assert (repaired.argmax(axis=1) == scores.argmax(axis=1)).all()
    assert log_loss(labels, repaired) <= log_loss(labels, distorted) + 1e-9
    assert expected_calibration_error(labels, repaired) < 0.02
    for nearby in (found * 0.97, found * 1.03):
        assert log_loss(labels, apply_temperature(distorted, nearby)) > log_loss(labels, repaired)


def test_certainty_and_wrong_certainty_stay_finite():
    certain = np.eye(2)[[0, 1, 1, 0]]
    assert 0.01 <= fit_temperature([0, 1, 1, 0], certain) < 1
    assert fit_temperature([1, 0, 0, 1], certain) == pytest.approx(100, rel=0.01)
    assert np.isfinite(apply_temperature(certain, 3.0)).all()
    with pytest.raises(ConfigError, match="above 0"):
        apply_temperature(certain, 0.0)


def test_platt_finds_the_planted_sigmoid_and_equals_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(0)
    margins = generator.normal(5.0, 3.0, 20_000)
    labels = (generator.random(20_000) < 1 / (1 + np.exp(-0.8 * margins + 4.0))).astype(int)
    found = fit_platt(labels, margins)
    assert (found.slope, found.intercept) == pytest.approx((-0.8, 4.0), rel=0.06)
    reference = LogisticRegression(C=1e9, tol=1e-10).fit(margins[:, None], labels)
    # Platt's smoothed targets pull by less than one part in the number of examples.
    np.testing.assert_allclose(found.probabilities(margins), reference.predict_proba(margins[:, None]), atol=2e-3)
    separable = fit_platt([0, 0, 1, 1], [-2.0, -1.0, 1.0, 2.0]).probabilities([-2.0, 2.0])
    assert 0 < separable[0, 1] < 0.5 < separable[1, 1] < 1


def test_what_cannot_be_calibrated_is_refused():
    with pytest.raises(DataError, match="both of which occur"):
        fit_platt([1, 1], [0.1, 0.2])
    with pytest.raises(DataError, match="row 1: nan"):
        fit_platt([0, 1], [0.1, np.nan])
    with pytest.raises(DataError, match="both must be"):
        fit_platt([0, 1], [0.1])
    with pytest.raises(ConfigError, match="15 is usual"):
        reliability_bins([0, 1], np.eye(2), bins=0)
    with pytest.raises(ConfigError, match="equal_mass"):
        reliability_bins([0, 1], np.eye(2), scheme="width")


def test_wilson_interval_equals_scipy():
    from scipy.stats import binomtest

    for successes, trials in ((0, 5), (5, 5), (3, 17), (900, 1000)):
        reference = binomtest(successes, trials).proportion_ci(method="wilson")
        assert wilson_interval(successes, trials) == pytest.approx((reference.low, reference.high))
    with pytest.raises(DataError, match="no examples"):
        wilson_interval(0, 0)
