"""Losses whose value and gradient do not depend on how a batch is cut up.

A mean over a micro-batch is the wrong unit as soon as gradients are accumulated or averaged over processes: the sum
over all items divided by the number of items in the *whole* batch is the right one (see `sequence_loss`).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

#: The names that transformers gives to what a head predicts (``config.problem_type``).
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

PROBLEM_TYPES: dict[str, ProblemType] = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}
TASK_OF_PROBLEM_TYPE = {problem_type: task for task, problem_type in PROBLEM_TYPES.items()}


def sequence_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    problem_type: ProblemType,
    num_items: Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Sum the loss over the items of this batch and divide by `num_items`, in float32.

    Args:
        logits: Shape (batch, labels); for regression (batch, 1) or (batch, outputs).
        labels: Class ids (batch,), multi-hot floats (batch, labels), or values (batch,) or (batch, outputs).
            A class id or value of -100 is ignored.
        problem_type: What the head predicts.
        num_items: How many label entries the whole optimiser step sees, over all micro-batches and processes; the
            entries of this batch when not given, which makes the result the plain mean.
        label_smoothing: Mass moved from the target to the uniform distribution; single-label only.
    """
    logits = logits.float()
    if problem_type == "single_label_classification":
        total = F.cross_entropy(
            logits.view(-1, logits.shape[-1]),
            labels.view(-1),
            ignore_index=-100,
            reduction="sum",
            label_smoothing=label_smoothing,
        )
    elif problem_type == "multi_label_classification":
        targets = labels.float()
        kept = targets.ne(-100)
        total = F.binary_cross_entropy_with_logits(logits[kept], targets[kept], reduction="sum")
    else:
        values = logits.squeeze(-1) if labels.ndim == logits.ndim - 1 else logits
        kept = labels.ne(-100)
        total = F.mse_loss(values[kept], labels[kept].float(), reduction="sum")
    count = labels.ne(-100).sum() if num_items is None else num_items
    return total / torch.as_tensor(count, device=total.device).clamp(min=1)


def token_loss(logits: Tensor, labels: Tensor, *, num_items: Tensor | int | None = None) -> Tensor:
    """Cross-entropy over the tokens whose label is not -100, summed and divided by `num_items`, in float32.

    Serves token classification and masked language modelling, where the number of targets differs from row to row.

    Args:
        logits: Shape (batch, tokens, classes).
        labels: Shape (batch, tokens); -100 is ignored.
        num_items: As in `sequence_loss`.
    """
    targets = labels.reshape(-1)  # (batch * tokens,)
    kept = targets.ne(-100)
    # Only the targets' rows are turned to float32: with a large vocabulary the rest would dominate time and memory.
    selected = logits.reshape(-1, logits.shape[-1])[kept].float()  # (targets, classes)
    total = F.cross_entropy(selected, targets[kept], reduction="sum")
    count = kept.sum() if num_items is None else num_items
    return total / torch.as_tensor(count, device=total.device).clamp(min=1)
