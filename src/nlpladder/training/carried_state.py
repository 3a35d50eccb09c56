"""A recurrent state that goes on from batch to batch: cut from the graph, written to a checkpoint, read back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nlpladder.errors import ModelError


def detached_state(outputs: Any, model: Any) -> Any:
    """Return the recurrent state that `outputs` end in, cut from the graph.

    Args:
        outputs: What the model returned, with ``past_key_values``: an object with ``detach()``, ``state_dict()`` and
            ``from_state_dict()``, such as a `RecurrentCache`.
        model: Named in the error.

    Raises:
        ModelError: when the model gives no such state; a Transformer's keys and values grow and are not one.
    """
    state = outputs.get("past_key_values")
    if not all(hasattr(state, name) for name in ("detach", "state_dict", "from_state_dict")):
        raise ModelError(
            f"{type(model).__name__} gives no recurrent state (past_key_values with detach, state_dict and "
            "from_state_dict): set carry_state to false, so that it is trained on independent blocks."
        )
    return state.detach()


def restored_state(model: Any, content: dict[str, Any], device: torch.device) -> Any:
    """Return the state of which `content` is the ``state_dict()``.

    Args:
        model: Reads one token, to say of what class its states are; nothing of its training changes.
        content: Tensors and numbers by name.
        device: Of the model.
    """
    training = model.training
    model.eval()
    with torch.no_grad():
        outputs = model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=device), use_cache=True)
    model.train(training)
    moved = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in content.items()}
    return type(detached_state(outputs, model)).from_state_dict(moved)
