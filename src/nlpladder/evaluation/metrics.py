"""The metrics by name: what each is, when it has no value, and how to get it as an ``evaluate.Metric``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.errors import ConfigError, did_you_mean
from nlpladder.evaluation import classification, multilabel, regression
from nlpladder.evaluation.inputs import check_predictions, check_task, default_label_names
from nlpladder.protocols import Task

if TYPE_CHECKING:
    import evaluate


@dataclass(frozen=True)
class MetricSpec:
    """What one metric is.

    Attributes:
        name: Its key in results, such as ``f1_macro``.
        function: Plain function of checked labels and probabilities; NaN where undefined.
        higher_is_better: Whether a rise is an improvement.
        unit: ``"%"`` for shares, which are stored from 0 to 1 and shown times 100; else what is shown.
        low: Smallest possible value, or None.
        high: Largest possible value, or None.
        summary: One sentence, with the paper.
        needs_probabilities: Whether predicted classes alone are not enough.
    """

    name: str
    function: Callable[..., float]
    higher_is_better: bool
    unit: str
    low: float | None
    high: float | None
    summary: str
    needs_probabilities: bool

    def compute(self, labels: Any, probabilities: Any) -> float:
        """Return the value on checked arrays; NaN where undefined."""
        return float(self.function(labels, probabilities))


def _spec(
    function: Callable[..., float],
    *,
    better: bool = True,
    unit: str = "%",
    low: float | None = 0.0,
    high: float | None = 1.0,
    probabilities: bool = False,
) -> MetricSpec:
    summary = " ".join((function.__doc__ or "").split("\n\n")[0].split())
    return MetricSpec(function.__name__, function, better, unit, low, high, summary, probabilities)


def _by_name(*specs: MetricSpec) -> dict[str, MetricSpec]:
    return {spec.name: spec for spec in specs}


#: Every metric of every task, in the order in which they are shown.
METRICS: dict[Task, dict[str, MetricSpec]] = {
    "single_label": _by_name(
        _spec(classification.accuracy),
        _spec(classification.f1_macro),
        _spec(classification.f1_micro),
        _spec(classification.f1_weighted),
        _spec(classification.balanced_accuracy),
        _spec(classification.matthews_correlation, unit="", low=-1.0),
        _spec(classification.roc_auc, probabilities=True),
        _spec(classification.log_loss, better=False, unit="nats", high=None, probabilities=True),
        _spec(classification.brier_score, better=False, unit="", high=2.0, probabilities=True),
        _spec(classification.expected_calibration_error, better=False, probabilities=True),
        _spec(classification.adaptive_calibration_error, better=False, probabilities=True),
    ),
    "multi_label": _by_name(
        _spec(multilabel.subset_accuracy),
        _spec(multilabel.f1_micro),
        _spec(multilabel.f1_macro),
        _spec(multilabel.hamming_loss, better=False),
        _spec(multilabel.label_ranking_average_precision, probabilities=True),
        _spec(multilabel.roc_auc, probabilities=True),
    ),
    "regression": _by_name(
        _spec(regression.mean_squared_error, better=False, unit="squared label units", high=None),
        _spec(regression.root_mean_squared_error, better=False, unit="label units", high=None),
        _spec(regression.mean_absolute_error, better=False, unit="label units", high=None),
        _spec(regression.r_squared, unit="", low=None),
        _spec(regression.pearson, unit="", low=-1.0),
        _spec(regression.spearman, unit="", low=-1.0),
    ),
}


def metric_spec(name: str, task: str | None = None) -> tuple[MetricSpec, Task]:
    """Return a metric and its task.

    Args:
        name: Such as ``accuracy``.
        task: Where to look; None looks everywhere, single-label classification first.

    Raises:
        ConfigError: If there is no such metric; the message names the nearest.
    """
    tasks: list[Task] = [check_task(task)] if task is not None else list(METRICS)
    for candidate in tasks:
        if name in METRICS[candidate]:
            return METRICS[candidate][name], candidate
    names = list(dict.fromkeys(known for candidate in tasks for known in METRICS[candidate]))
    if task is None:
        names += TEXT_METRICS  # which load_metric knows
    where = f" for task {task!r}" if task is not None else ""
    raise ConfigError(f"Unknown metric {name!r}{where}.{did_you_mean(name, names)} Known: {', '.join(names)}.")


def compute_metrics(
    labels: Any, probabilities: Any, *, task: str = "single_label", label_names: Sequence[str] | None = None
) -> dict[str, float | None]:
    """Return every metric of the task, without intervals: for the validation during training.

    Args:
        labels: As in ``check_predictions``, already gathered from all processes.
        probabilities: As in ``check_predictions``.
        task: What the labels are.
        label_names: Names of the columns of `probabilities`.

    Returns:
        Value by name; None where the metric is undefined on this data (``undefined_reason`` says why).

    Raises:
        DataError: If the arrays do not fit each other or the task.
    """
    truth, scores = check_predictions(labels, probabilities, task=task, label_names=label_names)
    values = {name: spec.compute(truth, scores) for name, spec in METRICS[check_task(task)].items()}
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def undefined_reason(name: str, labels: Any, probabilities: Any, task: str, label_names: Sequence[str] | None) -> str:
    """Say why a metric has no value on these checked arrays."""
    if task == "regression":
        if regression.is_constant(labels):
            return f"{name} is undefined: every label is {labels[0]:g}."
        return f"{name} is undefined: every prediction is {probabilities[0]:g}."
    names = list(label_names or default_label_names(probabilities.shape[1]))
    if task == "multi_label":
        if name != "roc_auc":
            return f"{name} is undefined: no label occurs and none is predicted."
        never = name_list([names[index] for index in np.flatnonzero(~labels.any(axis=0))])
        always = name_list([names[index] for index in np.flatnonzero(labels.all(axis=0))])
        parts = [f"{never} never true" if never else "", f"{always} always true" if always else ""]
        return f"{name} is undefined: in this data {' and '.join(part for part in parts if part)}."
    if name == "matthews_correlation":
        return f"{name} is undefined: only class {names[labels[0]]!r} occurs in the labels of this data."
    missing = absent_classes(labels, names)
    return f"{name} is undefined: class {name_list(missing)} never occurs in the labels of this data."


def absent_classes(labels: Any, label_names: Sequence[str]) -> list[str]:
    """Return the names of the classes that never occur in single-label `labels`."""
    counts = np.bincount(labels, minlength=len(label_names))
    return [name for name, count in zip(label_names, counts, strict=True) if count == 0]


def name_list(names: Sequence[str]) -> str:
    """Return the first five names, quoted, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


#: Metrics of texts, tag sequences and language models: name -> what it measures; see ``hub_text_metrics``.
TEXT_METRICS: Mapping[str, str] = {
    "rouge": "ROUGE-1, -2, -L and -Lsum, mean F-measures (Lin 2004).",
    "sacrebleu": "BLEU of the corpus, 0 to 100, tokeniser 13a (Papineni et al. 2002; Post 2018).",
    "chrf": "chrF2 of the corpus, 0 to 100 (Popović 2015).",
    "ter": "Translation edit rate of the corpus, 0 upwards, lower is better (Snover et al. 2006).",
    "exact_match": "Share of texts that equal one of their references but for spacing.",
    "token_f1": "Mean F1 of the words shared with the best reference, normalised as SQuAD 2.0 does.",
    "squad": "Exact match and F1 of answers, 0 to 100, with the arithmetic of SQuAD 1.1 (Rajpurkar et al. 2016).",
    "seqeval": "Precision, recall and F1 of entities, over all and by type (Tjong Kim Sang and De Meulder 2003).",
    "entity_f1": "F1 of entities over all types (Tjong Kim Sang and De Meulder 2003).",
    "perplexity": "Perplexity per token and per word and bits per byte of texts under a language model.",
}


def load_metric(name: str, *, task: str | None = None) -> evaluate.Metric:
    """Return a metric as an ``evaluate.Metric`` that needs no network, computed by scikit-learn where it has it.

    ``evaluate`` takes seconds to import, hence only here. The metric keeps its data in memory and does not gather
    across processes: give it arrays that are already gathered (``accelerator.gather_for_metrics``).

    Args:
        name: A name in `METRICS`, or in `TEXT_METRICS`.
        task: Needed only for names that two tasks share, such as ``f1_macro``; single-label is the default. The
            metrics of texts have none.

    Raises:
        ConfigError: If there is no such metric; the message names the nearest.
    """
    if task is None and name in TEXT_METRICS:
        from nlpladder.evaluation.hub_text_metrics import build_text_metric

        return build_text_metric(name)
    spec, found = metric_spec(name, task)
    from nlpladder.evaluation.hub_metrics import build_metric

    return build_metric(spec, found)
