"""Measuring a model in the middle of its training, without changing the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def plain_forward(model: Any) -> Iterator[None]:
    """Take away for the time being what ``accelerate`` put around `forward`, to answer as the saved model will."""
    wrapped = vars(model).get("forward")
    original = vars(model).get("_original_forward")
    if wrapped is not None and original is not None:
        model.forward = original
    try:
        yield
    finally:
        if wrapped is not None and original is not None:
            model.forward = wrapped


@contextmanager
def untouched_randomness(device: torch.device) -> Iterator[None]:
    """Leave the generators as they were, so that measuring more or less often does not change the training."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
