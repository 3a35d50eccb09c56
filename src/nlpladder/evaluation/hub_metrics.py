"""The metrics as subclasses of ``evaluate.Metric``, computed by scikit-learn and SciPy where those have them.

Imported on demand only, by ``nlpladder.evaluation.metrics.load_metric``: ``evaluate`` takes seconds to import. The own
plain functions are what intervals are made from; the tests hold the two equal.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import datasets
import evaluate
import numpy as np
from scipy import stats
from sklearn import metrics as sklearn_metrics

from nlpladder.errors import DataError
from nlpladder.evaluation.inputs import check_predictions
from nlpladder.evaluation.metrics import METRICS, MetricSpec, undefined_reason
from nlpladder.evaluation.multilabel import predicted_labels
from nlpladder.protocols import Task


def _of_classes(function: Callable[..., Any], **options: Any) -> Callable[[Any, Any], Any]:
    return lambda labels, scores: function(labels, scores.argmax(axis=1), **options)


def _of_label_sets(function: Callable[..., Any], **options: Any) -> Callable[[Any, Any], Any]:
    return lambda labels, scores: function(labels, predicted_labels(scores), **options)


def _roc_auc(labels: Any, scores: Any) -> Any:
    if scores.shape[1] == 2:
        return sklearn_metrics.roc_auc_score(labels, scores[:, 1])
    # multi_class="ovr" would refuse rows that sum to 1 only nearly, and rescaling them would break ties.
    one_hot = np.eye(scores.shape[1], dtype=int)[labels]
    return sklearn_metrics.roc_auc_score(one_hot, scores, average="macro")


def _log_loss(labels: Any, scores: Any) -> Any:
    scores = scores / scores.sum(axis=1, keepdims=True)
    return sklearn_metrics.log_loss(labels, scores, labels=np.arange(scores.shape[1]))


#: Metrics that scikit-learn or SciPy have; the others (calibration, Brier for many classes) are the package's own.
REFERENCES: dict[Task, dict[str, Callable[[Any, Any], Any]]] = {
    "single_label": {
        "accuracy": _of_classes(sklearn_metrics.accuracy_score),
        "f1_macro": _of_classes(sklearn_metrics.f1_score, average="macro", zero_division=np.nan),
        "f1_micro": _of_classes(sklearn_metrics.f1_score, average="micro"),
        "f1_weighted": _of_classes(sklearn_metrics.f1_score, average="weighted", zero_division=0.0),
        "balanced_accuracy": _of_classes(sklearn_metrics.balanced_accuracy_score),
        "matthews_correlation": _of_classes(sklearn_metrics.matthews_corrcoef),
        "roc_auc": _roc_auc,
        "log_loss": _log_loss,
    },
    "multi_label": {
        "subset_accuracy": _of_label_sets(sklearn_metrics.accuracy_score),
        "f1_micro": _of_label_sets(sklearn_metrics.f1_score, average="micro", zero_division=np.nan),
        "f1_macro": _of_label_sets(sklearn_metrics.f1_score, average="macro", zero_division=np.nan),
        "hamming_loss": _of_label_sets(sklearn_metrics.hamming_loss),
        "label_ranking_average_precision": sklearn_metrics.label_ranking_average_precision_score,
        "roc_auc": lambda labels, scores: sklearn_metrics.roc_auc_score(labels, scores, average="macro"),
    },
    "regression": {
        "mean_squared_error": sklearn_metrics.mean_squared_error,
        "root_mean_squared_error": sklearn_metrics.root_mean_squared_error,
        "mean_absolute_error": sklearn_metrics.mean_absolute_error,
        "r_squared": sklearn_metrics.r2_score,
        "pearson": lambda labels, scores: stats.pearsonr(labels, scores).statistic,
        "spearman": lambda labels, scores: stats.spearmanr(labels, scores).statistic,
    },
}


class LadderMetric(evaluate.Metric):
    """An ``evaluate.Metric`` over one entry of the registry; subclasses are made by `build_metric`.

    ``compute(references=labels, predictions=probabilities)`` returns ``{name: value}``. Where the metric is undefined
    the value is None and a second entry ``{name}_undefined`` holds the reason. Metrics of classes alone also take class
    numbers as predictions.
    """

    spec: MetricSpec
    task: Task

    def _info(self) -> evaluate.MetricInfo:
        value, integer = datasets.Value("float64"), datasets.Value("int64")
        rows = datasets.Sequence(value)
        if self.task == "regression":
            features = [datasets.Features({"predictions": value, "references": value})]
        elif self.task == "multi_label":
            features = [datasets.Features({"predictions": rows, "references": datasets.Sequence(integer)})]
        else:
            features = [datasets.Features({"predictions": rows, "references": integer})]
            if not self.spec.needs_probabilities:
                features.append(datasets.Features({"predictions": integer, "references": integer}))
        return evaluate.MetricInfo(
            description=self.spec.summary,
            citation="",
            inputs_description=f"Args: predictions and references of a {self.task} task, gathered from all processes.",
            features=features,
        )

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, Any]:
        name = self.spec.name
        scores = np.asarray(predictions, dtype=np.float64)
        if self.task == "single_label" and scores.ndim == 1:
            scores = _one_hot(scores, np.asarray(references))
        labels, scores = check_predictions(references, scores, task=self.task)
        if np.isnan(self.spec.compute(labels, scores)):
            return {name: None, f"{name}_undefined": undefined_reason(name, labels, scores, self.task, None)}
        with warnings.catch_warnings():
            # Classes that do not occur are handled above and in the options, not by a warning.
            warnings.filterwarnings("ignore", module="sklearn")
            return {name: float(REFERENCES[self.task].get(name, self.spec.function)(labels, scores))}


def _one_hot(classes: Any, labels: Any) -> Any:
    wrong = np.flatnonzero((classes < 0) | (classes != np.rint(classes)))
    if wrong.size:
        raise DataError(f"predictions, row {wrong[0]}: {classes[wrong[0]]:g} is not a class number from 0 up.")
    count = 1 + int(max(classes.max(initial=1), labels.max(initial=1)))
    return np.eye(count)[classes.astype(int)]


def _subclass(task: Task, spec: MetricSpec) -> type[LadderMetric]:
    name = f"{task}_{spec.name}".title().replace("_", "")
    return type(name, (LadderMetric,), {"spec": spec, "task": task, "__doc__": spec.summary})


_CLASSES: dict[tuple[Task, str], type[LadderMetric]] = {
    (task, name): _subclass(task, spec) for task, specs in METRICS.items() for name, spec in specs.items()
}


def build_metric(spec: MetricSpec, task: Task) -> evaluate.Metric:
    """Return an instance of the metric's class that keeps its data in memory."""
    return _CLASSES[task, spec.name](keep_in_memory=True)
