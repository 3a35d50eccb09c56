"""Evaluation mode for as long as a model is asked something."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def evaluating(model: Any, *, gradients: bool = False) -> Iterator[None]:
    """Put a model into evaluation mode, without gradients; the mode before that comes back, whatever happens inside.

    Args:
        model: Of torch.
        gradients: Leave gradients as they are: for who wants those of the inputs.
    """
    import torch

    was_training = model.training
    model.eval()
    try:
        with contextlib.nullcontext() if gradients else torch.inference_mode():
            yield
    finally:
        model.train(was_training)
