"""The small interfaces through which evaluation, bias measures and the demo see a rung.

A bag-of-words model and a fine-tuned BERT stand in one table because both are a ``TextClassifier``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

#: What the label column holds: one class, any subset of classes, or a number.
Task = Literal["single_label", "multi_label", "regression"]

FloatArray = npt.NDArray[np.floating]


@runtime_checkable
class TextClassifier(Protocol):
    """Anything that turns texts into label probabilities."""

    @property
    def task(self) -> Task:
        """What the labels are."""
        ...

    @property
    def label_names(self) -> tuple[str, ...]:
        """Label names in the order of the columns of `predict_proba`."""
        ...

    def predict_proba(self, texts: Sequence[str]) -> FloatArray:
        """Return probabilities of shape (texts, labels).

        Rows sum to 1 for ``single_label``; each entry is its label's own probability for ``multi_label``; for
        ``regression`` the array is (texts, 1) and holds the predicted value.
        """
        ...

    def num_parameters(self) -> int:
        """Count the numbers that were learnt."""
        ...
