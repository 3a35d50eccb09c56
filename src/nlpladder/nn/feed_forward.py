"""The position-wise feed-forward network of a Transformer (Vaswani et al. 2017, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from nlpladder.nn.dropout import drop_units

Activation = Literal["relu", "gelu", "gelu_tanh", "silu", "relu_squared", "swiglu"]


def _gelu_tanh(inner: Tensor) -> Tensor:
    return F.gelu(inner, approximate="tanh")


def _relu_squared(inner: Tensor) -> Tensor:
    return F.relu(inner).square()


# relu: eq. 2 of the Transformer's paper. gelu: Hendrycks & Gimpel 2016; gelu_tanh is their approximation, which GPT-2
# was trained with. silu: Elfwing et al. 2017. relu_squared: So et al. 2021 (Primer). swiglu gates with silu.
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": F.silu,
    "relu_squared": _relu_squared,
    "swiglu": F.silu,
}


class FeedForward(nn.Module):
    """Two linear maps with a non-linearity between them, the same at every position.

    FFN(x) = f(x W_1 + b_1) W_2 + b_2                                                                        (eq. 2)
    SwiGLU(x) = (silu(x W_1) * (x V)) W_2                                    (Shazeer 2020, "GLU variants", eq. 6)

    Args:
        width: Model width D.
        inner_width: Width between the two maps.
        activation: The non-linearity f; ``swiglu`` adds the third matrix V, named `gate_input` here.
        bias: Give every map a bias.
        dropout: On the inner activations, in training.
    """

    def __init__(
        self,
        width: int,
        inner_width: int,
        *,
        activation: Activation = "relu",
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input = nn.Linear(width, inner_width, bias=bias)
        self.gate_input = nn.Linear(width, inner_width, bias=bias) if activation == "swiglu" else None
        self.output = nn.Linear(inner_width, width, bias=bias)
        self.activation = activation
        self.dropout = dropout

    def forward(self, hidden: Tensor) -> Tensor:
        """Transform each position of `hidden` (batch, tokens, width) on its own."""
        inner = _FUNCTIONS[self.activation](self.input(hidden))  # (batch, tokens, inner_width)
        if self.gate_input is not None:
            inner = inner * self.gate_input(hidden)
        if self.training and self.dropout:
            inner = drop_units(inner, self.dropout)
        return self.output(inner)
