"""Metrics of multi-label classification: bool labels and probabilities, both (examples, labels).

A label counts as predicted when its probability is above one half.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nlpladder.evaluation.classification import binary_roc_auc

Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float64]

THRESHOLD = 0.5


def predicted_labels(probabilities: Float) -> Bool:
    """Return which labels are predicted, (examples, labels)."""
    return probabilities > THRESHOLD


def subset_accuracy(labels: Bool, probabilities: Float) -> float:
    """Return the share of examples with exactly the right set of labels."""
    return float(np.mean((predicted_labels(probabilities) == labels).all(axis=1)))


def hamming_loss(labels: Bool, probabilities: Float) -> float:
    """Return the share of single decisions that are wrong."""
    return float(np.mean(predicted_labels(probabilities) != labels))


def f1_micro(labels: Bool, probabilities: Float) -> float:
    """Return F1 over all decisions pooled; undefined if no label occurs and none is predicted."""
    predicted = predicted_labels(probabilities)
    total = int(labels.sum() + predicted.sum())
    return 2.0 * float((labels & predicted).sum()) / total if total else float("nan")


def f1_macro(labels: Bool, probabilities: Float) -> float:
    """Return the mean F1 over the labels that occur or are predicted at least once."""
    predicted = predicted_labels(probabilities)
    totals = labels.sum(axis=0) + predicted.sum(axis=0)  # (labels,)
    if not totals.any():
        return float("nan")
    found = (labels & predicted).sum(axis=0)
    return float(np.mean(2.0 * found[totals > 0] / totals[totals > 0]))


def example_ranking_precision(labels: Bool, probabilities: Float) -> Float:
    """Return the ranking average precision of each example, (examples,) (Tsoumakas et al. 2010, section 34.5).

    Per true label: the share of true labels among those scored at least as high. 1 where no or every label is true.
    """
    precisions = np.ones(len(labels))
    for example in np.flatnonzero(labels.any(axis=1) & ~labels.all(axis=1)):
        true, scores = labels[example], probabilities[example]
        ordered, true_ordered = np.sort(scores), np.sort(scores[true])
        above = len(ordered) - np.searchsorted(ordered, scores[true], side="left")
        true_above = len(true_ordered) - np.searchsorted(true_ordered, scores[true], side="left")
        precisions[example] = np.mean(true_above / above)
    return precisions


def label_ranking_average_precision(labels: Bool, probabilities: Float) -> float:
    """Return the mean over examples of the ranking average precision (Tsoumakas et al. 2010)."""
    return float(np.mean(example_ranking_precision(labels, probabilities)))


def roc_auc(labels: Bool, probabilities: Float) -> float:
    """Return the mean area under the ROC curve over labels; undefined if a label is never or always true."""
    return float(
        np.mean([binary_roc_auc(labels[:, index], probabilities[:, index]) for index in range(labels.shape[1])])
    )
