"""The floor of the ladder: predict the label frequencies of the training set, whatever the text says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from nlpladder.models.artefact import ArtefactMixin
from nlpladder.models.targets import check_targets, check_texts, refuse_regression
from nlpladder.protocols import Task


class MajorityClassifier(ArtefactMixin):
    """Predicts each label with its relative frequency in training; the argmax is the most frequent class.

    Args:
        label_names: Label names in id order.
        task: ``single_label`` or ``multi_label``.
    """

    model_type = "nlpladder_majority"

    def __init__(self, *, label_names: Sequence[str], task: Task = "single_label") -> None:
        refuse_regression(task, "majority")
        self.label_names = tuple(label_names)
        self.task: Task = task
        self.prior_: np.ndarray = np.empty(0)

    def fit(self, texts: Sequence[str], labels: Sequence[Any], **_: Any) -> Self:
        """Count the labels. Shapes: texts (n,), labels (n,) or (n, labels)."""
        targets = check_targets(labels, task=self.task, num_labels=len(self.label_names), num_texts=len(texts))
        if self.task == "multi_label":
            self.prior_ = targets.mean(axis=0)
        else:
            self.prior_ = np.bincount(targets, minlength=len(self.label_names)) / len(targets)
        return self

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return the label frequencies for every text, shape (texts, labels)."""
        return np.tile(self.prior_, (len(check_texts(texts)), 1))

    def to_config(self) -> dict[str, Any]:
        """See ArtefactMixin."""
        return {"label_names": list(self.label_names), "task": self.task}

    def arrays(self) -> dict[str, np.ndarray]:
        """See ArtefactMixin."""
        return {"prior": self.prior_}

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], vocabulary: list[str] | None
    ) -> Self:
        """See ArtefactMixin."""
        model = cls(label_names=config["label_names"], task=config["task"])
        model.prior_ = arrays["prior"]
        return model
