"""Naive Bayes on word counts, multinomial and complement.

Papers: McCallum & Nigam 1998, "A comparison of event models for naive Bayes text classification" (multinomial);
Rennie et al. 2003, "Tackling the poor assumptions of naive Bayes text classifiers" (complement, table 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from scipy.special import expit, logsumexp

from nlpladder.errors import ModelError
from nlpladder.models.artefact import ArtefactMixin
from nlpladder.models.counts.features import TextFeatures
from nlpladder.models.targets import check_targets, refuse_regression
from nlpladder.protocols import Task


class NaiveBayesClassifier(ArtefactMixin):
    """Multinomial or complement naive Bayes over the counts of a `TextFeatures`.

    Args:
        label_names: Label names in id order.
        task: ``single_label`` or ``multi_label`` (one two-class model a label).
        variant: ``multinomial`` or ``complement``.
        alpha: Additive smoothing per feature, in counts.
        preprocessor: See `TextFeatures`.
        vectorizer: Settings of the `CountVectorizer`.
    """

    model_type = "nlpladder_naive_bayes"

    def __init__(
        self,
        *,
        label_names: Sequence[str],
        task: Task = "single_label",
        variant: Literal["multinomial", "complement"] = "multinomial",
        alpha: float = 1.0,
        preprocessor: Any = None,
        vectorizer: Mapping[str, Any] | None = None,
    ) -> None:
        refuse_regression(task, "naive Bayes")
        if variant not in ("multinomial", "complement"):
            raise ModelError(f"Naive Bayes comes as 'multinomial' or 'complement', not {variant!r}.")
        if not alpha > 0:
            raise ModelError(f"alpha must be above 0, since an unseen word would have probability 0; got {alpha}.")
        self.label_names = tuple(label_names)
        self.task: Task = task
        self.variant = variant
        self.alpha = float(alpha)
        self.features = TextFeatures("count", preprocessor, **dict(vectorizer or {}))
        self.weights_: np.ndarray = np.empty((0, 0))
        self.intercept_: np.ndarray = np.empty(0)

    def fit(self, texts: Sequence[str], labels: Sequence[Any], **_: Any) -> Self:
        """Estimate the word distribution of each class. Shapes: texts (n,), labels (n,) or (n, labels)."""
        targets = check_targets(labels, task=self.task, num_labels=len(self.label_names), num_texts=len(texts))
        counts = self.features.fit_transform(texts)  # (texts, features)
        if self.task == "multi_label":
            self._fit_multi_label(counts, targets)
        else:
            membership = np.zeros((len(targets), len(self.label_names)))
            membership[np.arange(len(targets)), targets] = 1.0
            self.weights_, self.intercept_ = self._estimate(counts, membership)
        return self

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return label probabilities, shape (texts, labels)."""
        scores = self.features.transform(texts) @ self.weights_.T + self.intercept_  # (texts, labels)
        if self.task == "multi_label":
            return expit(scores)
        return np.exp(scores - logsumexp(scores, axis=1, keepdims=True))

    def _estimate(self, counts: Any, membership: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log-weights (classes, features) and intercepts (classes,) from 0/1 `membership` (texts, classes)."""
        per_class = np.asarray((counts.T @ membership).T)  # (classes, features)
        class_sizes = membership.sum(axis=0)
        with np.errstate(divide="ignore"):
            log_prior = np.log(class_sizes / class_sizes.sum())
        if self.variant == "multinomial":
            smoothed = per_class + self.alpha
            return np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True)), log_prior
        # Rennie et al., eq. 6: the weight of a word is how little the *other* classes use it.
        complement = per_class.sum(axis=0, keepdims=True) + self.alpha - per_class
        log_complement = np.log(complement) - np.log(complement.sum(axis=1, keepdims=True))
        intercept = log_prior if len(class_sizes) == 1 else np.zeros(len(class_sizes))
        return -log_complement, intercept

    def _fit_multi_label(self, counts: Any, targets: np.ndarray) -> None:
        """Fit one two-class model a label and keep the difference of its two scores."""
        weights, intercepts = [], []
        for label in range(targets.shape[1]):
            column = targets[:, label].astype(float)
            both, prior = self._estimate(counts, np.stack([1.0 - column, column], axis=1))
            weights.append(both[1] - both[0])
            # A label that is always or never set has an infinite prior ratio; 35 nats are certainty in float64.
            intercepts.append(np.clip(prior[1] - prior[0], -35.0, 35.0))
        self.weights_, self.intercept_ = np.stack(weights), np.array(intercepts)

    def to_config(self) -> dict[str, Any]:
        """See ArtefactMixin."""
        settings = {"label_names": list(self.label_names), "task": self.task}
        return {**settings, "variant": self.variant, "alpha": self.alpha, "features": self.features.to_config()}

    def arrays(self) -> dict[str, np.ndarray]:
        """See ArtefactMixin."""
        return {"weights": self.weights_, "intercept": self.intercept_, **self.features.arrays()}

    def vocabulary(self) -> list[str] | None:
        """See ArtefactMixin."""
        return self.features.feature_names()

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], vocabulary: list[str] | None
    ) -> Self:
        """See ArtefactMixin."""
        names = ("label_names", "task", "variant", "alpha")
        model = cls(**{name: config[name] for name in names})
        model.features = TextFeatures.from_state(config["features"], arrays, vocabulary)
        model.weights_, model.intercept_ = arrays["weights"], arrays["intercept"]
        return model
