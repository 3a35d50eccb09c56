"""Averages of weights: over the end of an SGD run (ASGD), and over checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nlpladder.errors import ModelError

WEIGHTS_FILE = "model.safetensors"


class AveragedSGD(torch.optim.SGD):
    r"""SGD that at some time begins to average its iterates (Polyak and Juditsky 1992; Merity et al. 2018).

    From the update T at which averaging begins, beside :math:`w_{k+1} = w_k - \eta \nabla f(w_k)` it keeps

    .. math:: \bar w_k = \frac{1}{k - T + 1} \sum_{i=T}^{k} w_i

    and the model is judged, and used, with the mean. Until then it is plain SGD.

    Args:
        groups: Parameters, or groups of them.
        lr: Learning rate.
        weight_decay: L2 penalty.
    """

    def __init__(self, groups: Any, *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(groups, lr=lr, weight_decay=weight_decay)
        for group in self.param_groups:
            group.setdefault("averaged_updates", -1)

    @property
    def averaging(self) -> bool:
        """Whether averaging has begun."""
        return bool(self.param_groups[0]["averaged_updates"] >= 0)

    def start_averaging(self) -> None:
        """Average from the next update on."""
        for group in self.param_groups:
            group["averaged_updates"] = max(group["averaged_updates"], 0)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make an SGD step, and take the new weights into the mean once averaging has begun."""
        loss = super().step(closure)
        for group in self.param_groups:
            if group["averaged_updates"] < 0:
                continue
            group["averaged_updates"] += 1
            for parameter in group["params"]:
                state = self.state[parameter]
                if "average" not in state:
                    state["average"] = parameter.detach().clone()
                else:
                    state["average"].lerp_(parameter, 1.0 / group["averaged_updates"])
        return loss

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Put the mean into the model for the time being; without one, change nothing."""
        averaged = [
            (parameter, self.state[parameter]["average"])
            for group in self.param_groups
            for parameter in group["params"]
            if "average" in self.state.get(parameter, {})
        ]
        kept = [parameter.detach().clone() for parameter, _ in averaged]
        try:
            with torch.no_grad():
                for parameter, average in averaged:
                    parameter.copy_(average)
            yield
        finally:
            with torch.no_grad():
                for (parameter, _), before in zip(averaged, kept, strict=True):
                    parameter.copy_(before)


def averaging_should_start(losses: Sequence[float], interval: int) -> bool:
    """Tell whether the newest validation loss calls for averaging: the non-monotonic criterion.

    Merity et al. 2018, Algorithm 1: with losses v_0 … v_t, averaging begins when t > n and
    v_t > min of v_0 … v_{t-n-1}: the best of all but the last n measurements before it is better.

    Args:
        losses: Validation losses so far, the newest last.
        interval: n.
    """
    before = losses[:-1]
    return len(before) > interval and losses[-1] > min(before[: len(before) - interval])


def average_checkpoints(folders: Sequence[str | Path]) -> dict[str, Tensor]:
    """Return the mean of the weights of several checkpoints, read one tensor at a time (Vaswani et al. 2017, 6.1).

    Sums are taken in float64; tensors that do not hold real numbers are those of the last checkpoint.

    Args:
        folders: Each holds ``model.safetensors``.

    Raises:
        ModelError: for no folder, or checkpoints whose tensors differ in name or shape.
    """
    from contextlib import ExitStack

    from safetensors import safe_open

    if not folders:
        raise ModelError("There is no checkpoint to average.")
    with ExitStack() as stack:
        files = [
            stack.enter_context(safe_open(str(Path(folder) / WEIGHTS_FILE), framework="pt", device="cpu"))
            for folder in folders
        ]
        names = sorted(files[-1].keys())
        for folder, file in zip(folders, files, strict=True):
            if sorted(file.keys()) != names:
                other = sorted(set(file.keys()) ^ set(names))[0]
                raise ModelError(f"{folder} and {folders[-1]} cannot be averaged: only one of them has {other!r}.")
        return {name: _mean(name, files) for name in names}


def _mean(name: str, files: Sequence[Any]) -> Tensor:
    """Return the mean of the tensor `name` over open files."""
    last = files[-1].get_tensor(name)
    if not last.is_floating_point() or len(files) == 1:
        return last
    total = last.to(torch.float64)
    for file in files[:-1]:
        tensor = file.get_tensor(name)
        if tensor.shape != last.shape:
            raise ModelError(
                f"{name!r} has shape {tuple(tensor.shape)} in one checkpoint, {tuple(last.shape)} in another."
            )
        total += tensor
    return (total / len(files)).to(last.dtype)


def load_weights(model: Any, weights: dict[str, Tensor]) -> None:
    """Load weights as safetensors keeps them: of tensors that are tied, one stands for all.

    Raises:
        ModelError: when a weight has no place in the model, or the model has one that is neither given nor tied.
    """
    missing, unexpected = model.load_state_dict(weights, strict=False)
    given = {tensor.data_ptr() for name, tensor in model.state_dict().items() if name in weights}
    untied = [name for name in missing if model.state_dict()[name].data_ptr() not in given]
    if untied or unexpected:
        raise ModelError(f"The weights do not fit the model: missing {untied}, without a place {list(unexpected)}.")
