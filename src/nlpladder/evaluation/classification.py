"""Metrics of single-label classification, as plain functions of class numbers and probabilities.

Each takes `labels`, int (examples,), and `probabilities`, float (examples, classes), as
``nlpladder.evaluation.inputs.check_predictions`` returns them, and gives a float; NaN means undefined on this data (the
registry in ``nlpladder.evaluation.metrics`` turns that into None with a reason).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]

#: Bins of the calibration errors (Guo et al. 2017, section 2, use 15).
CALIBRATION_BINS = 15


def confusion_counts(labels: Int, probabilities: Float) -> Int:
    """Count examples by true class (rows) and predicted class (columns): (classes, classes)."""
    classes = probabilities.shape[1]
    cells = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy(labels: Int, probabilities: Float) -> float:
    """Return the share of examples whose most probable class is the true one (the first class wins a tie)."""
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def _f1_per_class(labels: Int, probabilities: Float) -> tuple[Float, Float]:
    """Return F1, NaN for a class that neither occurs nor is predicted, and the number of examples, per class."""
    counts = confusion_counts(labels, probabilities)
    true, predicted = counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return 2.0 * np.diag(counts) / (true + predicted), true.astype(np.float64)


def f1_macro(labels: Int, probabilities: Float) -> float:
    """Return the mean F1 over the classes that occur in the labels or in the predictions."""
    return float(np.nanmean(_f1_per_class(labels, probabilities)[0]))


def f1_micro(labels: Int, probabilities: Float) -> float:
    """Return F1 over the pooled decisions, which equals the accuracy when each example has one label."""
    return accuracy(labels, probabilities)


def f1_weighted(labels: Int, probabilities: Float) -> float:
    """Return the mean F1 over classes, weighted by how often each occurs in the labels."""
    scores, true = _f1_per_class(labels, probabilities)
    return float(np.nansum(scores * true) / true.sum())


def matthews_correlation(labels: Int, probabilities: Float) -> float:
    """Return the Matthews correlation for any number of classes (Gorodkin 2004, equation 8).

    It is 0 when one class only is predicted, and undefined when one class only occurs.
    """
    counts = confusion_counts(labels, probabilities)
    true, predicted = counts.sum(axis=1).astype(float), counts.sum(axis=0).astype(float)
    total = counts.sum()
    true_spread = total * total - true @ true
    predicted_spread = total * total - predicted @ predicted
    if true_spread == 0:
        return float("nan")
    if predicted_spread == 0:
        return 0.0
    return float((np.trace(counts) * total - true @ predicted) / np.sqrt(true_spread * predicted_spread))


def balanced_accuracy(labels: Int, probabilities: Float) -> float:
    """Return the mean recall over the classes that occur in the labels (Brodersen et al. 2010)."""
    counts = confusion_counts(labels, probabilities)
    true = counts.sum(axis=1)
    return float(np.mean(np.diag(counts)[true > 0] / true[true > 0]))


def binary_roc_auc(positive: npt.NDArray[np.bool_], scores: Float) -> float:
    """Return the probability that a positive outscores a negative, ties one half (Hanley and McNeil 1982).

    Args:
        positive: Whether each example is positive, (examples,).
        scores: Its score, (examples,).
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, place, tied = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = (np.cumsum(tied) - 0.5 * (tied - 1))[place]  # (examples,)
    return float((midranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def roc_auc(labels: Int, probabilities: Float) -> float:
    """Return the area under the ROC curve; for more than two classes the mean of one class against the rest.

    Undefined where a class never occurs in the labels.
    """
    classes = probabilities.shape[1]
    if classes == 2:
        return binary_roc_auc(labels == 1, probabilities[:, 1])
    return float(np.mean([binary_roc_auc(labels == index, probabilities[:, index]) for index in range(classes)]))


def example_log_loss(labels: Int, probabilities: Float) -> Float:
    """Return -log p(true class) of each example in nats, (examples,), probabilities cut at 2.2e-16."""
    likely = probabilities[np.arange(len(labels)), labels] / probabilities.sum(axis=1)
    epsilon = np.finfo(np.float64).eps
    return -np.log(np.clip(likely, epsilon, 1 - epsilon))


def log_loss(labels: Int, probabilities: Float) -> float:
    """Return the mean negative log likelihood of the true class in nats."""
    return float(np.mean(example_log_loss(labels, probabilities)))


def example_brier(labels: Int, probabilities: Float) -> Float:
    """Return the Brier score of each example, (examples,): half the squared error for two classes."""
    error = probabilities.copy()
    error[np.arange(len(labels)), labels] -= 1.0
    return (error * error).sum(axis=1) * (0.5 if probabilities.shape[1] == 2 else 1.0)


def brier_score(labels: Int, probabilities: Float) -> float:
    """Return the Brier score (Brier 1950, equation 2), from 0 to 2; two classes are halved, from 0 to 1, as usual."""
    return float(np.mean(example_brier(labels, probabilities)))


def equal_width_bins(confidences: Float, bins: int = CALIBRATION_BINS) -> npt.NDArray[np.intp]:
    """Return the bin of each confidence: bin m is ((m-1)/M, m/M] (Guo et al. 2017, section 2)."""
    return np.clip(np.ceil(confidences * bins).astype(np.intp) - 1, 0, bins - 1)


def equal_mass_bins(confidences: Float, bins: int = CALIBRATION_BINS) -> npt.NDArray[np.intp]:
    """Return the bin of each confidence, all bins holding about as many; equal confidences share one."""
    edges = np.unique(np.quantile(confidences, np.arange(1, bins) / bins))
    return np.searchsorted(edges, confidences, side="left")


def _binned_error(bins: npt.NDArray[np.intp], gaps: Float) -> float:
    return float(np.abs(np.bincount(bins, weights=gaps)).sum() / len(gaps))


def calibration_gaps(labels: Int, probabilities: Float) -> tuple[Float, Float]:
    """Return the confidence of the predicted class, and confidence minus correctness, both (examples,)."""
    confidences = probabilities.max(axis=1)
    return confidences, confidences - (probabilities.argmax(axis=1) == labels)


def expected_calibration_error(labels: Int, probabilities: Float) -> float:
    """Return the mean distance of confidence and accuracy over 15 equal-width bins (Guo et al. 2017, equation 3)."""
    confidences, gaps = calibration_gaps(labels, probabilities)
    return _binned_error(equal_width_bins(confidences), gaps)


def adaptive_calibration_error(labels: Int, probabilities: Float) -> float:
    """Return the same over 15 bins of equal mass (Nguyen and O'Connor 2015, section 4; Nixon et al. 2019)."""
    confidences, gaps = calibration_gaps(labels, probabilities)
    return _binned_error(equal_mass_bins(confidences), gaps)


def calibrated_error_limit(probabilities: Float, *, adaptive: bool, quantile: float, seed: int) -> float:
    """Return a quantile of the calibration error that a perfectly calibrated model would show on as many examples.

    Consistency resampling (Broecker and Smith 2007): each prediction is right with its own confidence; the sums of the
    bins are drawn from their normal limit.

    Args:
        probabilities: (examples, classes).
        adaptive: Equal-mass bins rather than equal-width ones.
        quantile: Such as 0.975.
        seed: Fixes the draws.
    """
    confidences = probabilities.max(axis=1)
    bins = equal_mass_bins(confidences) if adaptive else equal_width_bins(confidences)
    variances = np.bincount(bins, weights=confidences * (1.0 - confidences))
    gaps = np.random.default_rng(seed).normal(size=(2000, len(variances))) * np.sqrt(variances)
    return float(np.quantile(np.abs(gaps).sum(axis=1) / len(bins), quantile))
