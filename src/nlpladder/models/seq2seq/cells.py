"""One step of a recurrent layer, and dropout over time.

The layers themselves are ``nn.LSTM`` and ``nn.GRU``: where all inputs are known beforehand they run through torch's
fused kernel; where an input depends on the step before (input feeding, attention inside the recurrence) the same
weights are used step by step, by the functions of this module.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlpladder.nn.dropout import drop_units


def recurrent_layer(cell: str, input_size: int, hidden_size: int) -> nn.LSTM | nn.GRU:
    """Return one layer of ``lstm`` or ``gru``, batch first."""
    return {"lstm": nn.LSTM, "gru": nn.GRU}[cell](input_size, hidden_size, batch_first=True)


class SteppedLayer:
    """The weights of a recurrent layer, laid out for a loop over time.

    Everything that does not depend on the loop is done once: the products with the known inputs of all steps, and
    the joining of the matrices that meet in one step, so that a step of an LSTM is one matrix product.

    Args:
        layer: One layer, one direction.
        known: Inputs known for all steps, shape (batch, steps, known); None when there are none.
        given: Width of the inputs that come step by step; they are the last columns of the input weights.
    """

    def __init__(self, layer: nn.LSTM | nn.GRU, known: Tensor | None, given: int) -> None:
        parameters: dict[str, Tensor] = dict(layer.named_parameters())
        input_weight = parameters["weight_ih_l0"]  # (gates * hidden, known + given)
        hidden_weight = parameters["weight_hh_l0"]  # (gates * hidden, hidden)
        input_bias, hidden_bias = parameters["bias_ih_l0"], parameters["bias_hh_l0"]
        self.is_lstm = isinstance(layer, nn.LSTM)
        self.steps: tuple[Tensor, ...] | None = None
        bias = input_bias + hidden_bias if self.is_lstm else input_bias
        if known is not None:
            split = input_weight.shape[1] - given
            projected = F.linear(known.transpose(0, 1), input_weight[:, :split], bias)  # (steps, batch, gates * hidden)
            # unbind, not indexing: the gradient of an index is a tensor of all steps, for every step.
            self.steps = projected.unbind(0)
            input_weight = input_weight[:, split:]
        self.bias = bias
        self.hidden_bias = hidden_bias
        self.weight = self.input_weight = self.hidden_weight = hidden_weight
        if self.is_lstm:
            self.weight = torch.cat([input_weight, hidden_weight], dim=1).t()  # (given + hidden, 4 * hidden)
        else:
            self.input_weight = input_weight.t()  # (given, 3 * hidden)
            self.hidden_weight = hidden_weight.t()  # (hidden, 3 * hidden)

    def step(
        self, number: int, given: Tensor | None, hidden: Tensor, cell: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Advance by one step.

        Args:
            number: Which step's known inputs to take.
            given: This step's other inputs, shape (batch, given).
            hidden: The state before, h_{t-1}, shape (batch, hidden).
            cell: The memory before, c_{t-1}, of an LSTM.

        Returns:
            The state h_t, and the memory c_t of an LSTM.
        """
        known = self.bias if self.steps is None else self.steps[number]
        if self.is_lstm:
            joined = hidden if given is None else torch.cat([given, hidden], dim=1)
            assert cell is not None
            return lstm_update(torch.addmm(known, joined, self.weight), cell)
        from_input = known if given is None else torch.addmm(known, given, self.input_weight)
        return gru_update(from_input, torch.addmm(self.hidden_bias, hidden, self.hidden_weight), hidden), None


def lstm_update(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Return h_t and c_t from the gates before their non-linearities (Gers et al. 2000, section 2).

    c_t = f c_{t-1} + i tanh(g),  h_t = o tanh(c_t),  with i, f, o = sigmoid(.)

    Args:
        gates: Input gate, forget gate, candidate, output gate (torch's order), shape (batch, 4 * hidden).
        cell: c_{t-1}, shape (batch, hidden).
    """
    input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=-1)
    cell = torch.sigmoid(forget_gate) * cell + torch.sigmoid(input_gate) * torch.tanh(candidate)
    return torch.sigmoid(output_gate) * torch.tanh(cell), cell


def gru_update(from_input: Tensor, from_hidden: Tensor, hidden: Tensor) -> Tensor:
    """Return h_t (Cho et al. 2014, eq. 5-8; the reset gate acts after the product, as in torch and cuDNN).

    n = tanh(W x + r (U h_{t-1})),  h_t = z h_{t-1} + (1 - z) n,  with r, z = sigmoid(.)

    Args:
        from_input: W x + b: reset gate, update gate, candidate (torch's order), shape (batch, 3 * hidden).
        from_hidden: U h_{t-1} + b, in the same order and shape.
        hidden: h_{t-1}, shape (batch, hidden).
    """
    width = hidden.shape[-1]
    reset, update = torch.sigmoid(from_input[:, : 2 * width] + from_hidden[:, : 2 * width]).chunk(2, dim=-1)
    candidate = torch.tanh(from_input[:, 2 * width :] + reset * from_hidden[:, 2 * width :])
    return torch.lerp(candidate, hidden, update)


class TimeDropout(nn.Module):
    """Dropout on states over time: a mask a step, or one mask a text (Gal & Ghahramani 2016, section 4).

    Args:
        probability: Share of units that are set to zero, in training.
        variational: Use one mask for all steps of a text.
    """

    def __init__(self, probability: float, *, variational: bool = False) -> None:
        super().__init__()
        self.probability = float(probability)
        self.variational = variational

    def forward(self, states: Tensor) -> Tensor:
        """Drop units of `states`, shape (batch, steps, width)."""
        if not self.training or self.probability == 0.0:
            return states
        if not self.variational:
            return drop_units(states, self.probability)
        return states * self.mask(states, states.shape[1])

    def mask(self, like: Tensor, steps: int) -> Tensor:
        """Return the factors for `steps` steps, shape (batch, steps, width): 0, or 1 / (1 - probability)."""
        shape = (like.shape[0], 1 if self.variational else steps, like.shape[-1])
        return drop_units(like.new_ones(shape), self.probability).expand(-1, steps, -1)

    @property
    def active(self) -> bool:
        """Whether anything is dropped at the moment."""
        return self.training and self.probability > 0.0
