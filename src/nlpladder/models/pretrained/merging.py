"""Folding an adapter into its base, with a comparison before anything is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlpladder.errors import CheckFailedError, ModelError
from nlpladder.models.sequence_classifier import SequenceClassifier

#: Sentences of several lengths and scripts on which adapter and merged model are compared.
PROBE_TEXTS = (
    "A plain sentence.",
    "The plot is dull, but the acting is superb!",
    "no",
    "Ünïcödé, 漢字 and 1,234 numbers in one line.",
    "It goes on " + "and on " * 60,
)


def merge_adapter(classifier: SequenceClassifier, *, tolerance: float = 1e-4) -> tuple[SequenceClassifier, float]:
    """Return a plain model with W + (alpha / r) B A in place of W, and the largest difference of its logits.

    Args:
        classifier: Wraps a peft model.
        tolerance: Largest allowed difference of a logit.

    Raises:
        ModelError: when there is no adapter, or its base is quantised (rounding would change the merged weights).
        CheckFailedError: when the merged model answers differently.
    """
    model: Any = classifier.model
    if not hasattr(model, "peft_config"):
        raise ModelError("This model has no adapter, so there is nothing to merge.")
    if getattr(model.config, "quantization_config", None) is not None:
        raise ModelError("The adapter's base is quantised; load the base in float32 or bfloat16 before merging.")
    before = classifier.predict_logits(PROBE_TEXTS)
    merged = SequenceClassifier(model.merge_and_unload(), classifier.tokenizer, max_length=classifier.max_length)
    difference = float(np.abs(merged.predict_logits(PROBE_TEXTS) - before).max())
    if not difference <= tolerance:
        raise CheckFailedError(
            f"The merged model's logits differ from the adapter's by {difference:.2g}, more than {tolerance:.2g}. "
            "Nothing was written. Merge in float32."
        )
    return merged, difference
