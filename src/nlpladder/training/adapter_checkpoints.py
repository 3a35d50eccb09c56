"""Checkpoints of a model with an adapter: the weights that are trained, and no others.

An adapter as peft saves it is what answers, not what was trained: of P-tuning and of a projected prefix it keeps the
vectors that came out and drops the network that made them, so that training could not go on from it. A checkpoint
therefore also holds every trainable weight under its own name: the adapter's, and those of fresh heads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nlpladder.errors import ModelError

TRAINED_FILE = "trained.safetensors"


def save_trained(model: Any, folder: str | Path) -> None:
    """Write the trainable weights of `model` into `folder`."""
    from safetensors.torch import save_file

    trained = {
        name: parameter.detach().contiguous().cpu()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    path = Path(folder) / TRAINED_FILE
    unfinished = path.with_suffix(".part")
    save_file(trained, str(unfinished))
    unfinished.replace(path)


def load_trained(model: Any, folder: str | Path) -> None:
    """Give the trainable weights of `model` the values of a checkpoint, in place: tied weights stay tied.

    Raises:
        ModelError: if the checkpoint holds none, or those of another adapter.
    """
    from safetensors.torch import load_file

    path = Path(folder) / TRAINED_FILE
    if not path.is_file():
        raise ModelError(f"The checkpoint {folder} holds no {TRAINED_FILE}; it is not of a training with an adapter.")
    found = load_file(str(path))
    wanted = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    different = sorted(found.keys() ^ wanted.keys())
    different += [name for name in found.keys() & wanted.keys() if found[name].shape != wanted[name].shape]
    if different:
        raise ModelError(
            f"The checkpoint {folder} is of another adapter: they differ in {different[0]!r}. Train into an empty "
            "folder."
        )
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(found[name])
