"""LoRA from its equation (Hu et al. 2022, "LoRA: low-rank adaptation of large language models").

A trained weight W_0 moves little when a model is adapted to a new job, and the move has a low rank. So W_0 is frozen,
and the move is learnt as the product of a tall and a wide matrix:

    h = W_0 x + (alpha / r) B A x                                                                            (eq. 3)

With r = 8 and a square W_0 of width 1,024, that is 16 thousand trained numbers for one million.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LoRALinear(nn.Module):
    """A frozen linear layer and its low-rank update.

    Args:
        in_features: Width of x.
        out_features: Width of h.
        rank: r, from 1.
        alpha: The update is scaled by alpha / r, so that a good learning rate stays good for another rank.
        dropout: On the update's x, in training.
        bias: Have a (frozen) bias.
        rank_stabilized: Scale by alpha / sqrt(r) (Kalajdzievski 2023, "rsLoRA"): with alpha / r the update of a high
            rank learns ever more slowly.

    Raises:
        ValueError: The rank is below 1.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rank: int,
        alpha: float,
        dropout: float = 0.0,
        bias: bool = True,
        rank_stabilized: bool = False,
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"The rank must be at least 1; got {rank}.")
        self.weight: Tensor = nn.Parameter(torch.empty(out_features, in_features), requires_grad=False)  # W_0
        self.bias = nn.Parameter(torch.zeros(out_features), requires_grad=False) if bias else None
        self.lora_A = nn.Parameter(torch.empty(rank, in_features))
        self.lora_B = nn.Parameter(torch.empty(out_features, rank))
        self.scaling = alpha / math.sqrt(rank) if rank_stabilized else alpha / rank
        self.dropout = dropout
        self.merged = False
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as nn.Linear; a pretrained weight takes its place
        self.reset_lora()

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, *, rank: int, alpha: float, dropout: float = 0.0, rank_stabilized: bool = False
    ) -> Self:
        """Take over a trained layer: its weights are shared, frozen, and a new update starts at nothing.

        Args:
            linear: The layer.
            rank: See the class.
            alpha: See the class.
            dropout: See the class.
            rank_stabilized: See the class.
        """
        with torch.device("meta"):  # W_0 is not made twice
            layer = cls(
                linear.in_features, linear.out_features, rank=rank, alpha=alpha, dropout=dropout,
                bias=linear.bias is not None, rank_stabilized=rank_stabilized,
            )  # fmt: skip
        linear.requires_grad_(False)
        layer.weight, layer.bias = linear.weight, linear.bias  # shared, and frozen
        layer.lora_A = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        layer.lora_B = nn.Parameter(linear.weight.new_empty(linear.out_features, rank))
        layer.reset_lora()
        return layer.train(linear.training)

    def reset_lora(self) -> None:
        """Start A at random and B at zero: B A = 0, so that training begins at the pretrained model (section 4.1).

        The paper draws A from a Gaussian; its code, and peft, draw it as here.
        """
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return h (…, out_features) for x (…, in_features), by eq. 3."""
        outputs = F.linear(inputs, self.weight, self.bias)
        if self.merged:
            return outputs
        reduced = F.linear(F.dropout(inputs, self.dropout, self.training), self.lora_A)  # (…, rank)
        return outputs + F.linear(reduced, self.lora_B) * self.scaling

    @torch.no_grad()
    def update(self) -> Tensor:
        """Return (alpha / r) B A, shape (out_features, in_features)."""
        return self.lora_B @ self.lora_A * self.scaling

    @torch.no_grad()
    def merge(self) -> None:
        """Add the update to W_0: then the layer is as fast as before ("no additional inference latency")."""
        if not self.merged:
            self.weight.add_(self.update())
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take the update out of W_0 again, up to rounding."""
        if self.merged:
            self.weight.sub_(self.update())
            self.merged = False

    def to_linear(self) -> nn.Linear:
        """Return a plain layer with W_0 + (alpha / r) B A; this one is left as it is."""
        with torch.device("meta"):
            linear = nn.Linear(self.weight.shape[1], self.weight.shape[0], bias=self.bias is not None)
        weight = self.weight.detach()
        linear.weight = nn.Parameter(weight.clone() if self.merged else weight + self.update())
        if self.bias is not None:
            linear.bias = nn.Parameter(self.bias.detach().clone())
        return linear.train(self.training)

    def extra_repr(self) -> str:
        """Return what ``print(model)`` says of the layer."""
        rank, in_features = self.lora_A.shape
        return f"in_features={in_features}, out_features={len(self.lora_B)}, rank={rank}, scaling={self.scaling:g}"


def add_low_rank(
    model: nn.Module,
    names: Sequence[str],
    *,
    rank: int,
    alpha: float,
    dropout: float = 0.0,
    rank_stabilized: bool = False,
) -> list[str]:
    """Freeze a model and give its linear layers with certain names a low-rank update, in place.

    The paper adapts the queries and values of attention (section 4.2); for our Transformer these are
    ``names=("query", "value")``.

    Args:
        model: Any model.
        names: Endings of the layers' names.
        rank: See `LoRALinear`.
        alpha: See `LoRALinear`.
        dropout: See `LoRALinear`.
        rank_stabilized: See `LoRALinear`.

    Returns:
        Names of the layers that were replaced.

    Raises:
        ValueError: No linear layer has such a name.
    """
    endings = tuple("." + name for name in names)
    found = [
        name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and f".{name}".endswith(endings)
    ]
    if not found:
        linear = sorted({name.rsplit(".", 1)[-1] for name, one in model.named_modules() if isinstance(one, nn.Linear)})
        raise ValueError(f"No linear layer is called {' or '.join(names)}; there are {', '.join(linear)}.")
    model.requires_grad_(False)
    for name in found:
        parent, _, own = name.rpartition(".")
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        adapted = LoRALinear.from_linear(
            layer, rank=rank, alpha=alpha, dropout=dropout, rank_stabilized=rank_stabilized
        )
        setattr(model.get_submodule(parent), own, adapted)
    return found


def merge_low_rank(model: nn.Module) -> None:
    """Put a plain linear layer with the update inside in the place of every `LoRALinear` of a model.

    Args:
        model: What `add_low_rank` changed.
    """
    for name, layer in list(model.named_modules()):
        if isinstance(layer, LoRALinear):
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, layer.to_linear())
