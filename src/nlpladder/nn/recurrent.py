"""Recurrent layers, each read twice: the equations of the paper, and the fused kernel of torch.

    Elman RNN   Elman 1990, "Finding structure in time"
    LSTM        Hochreiter & Schmidhuber 1997, "Long short-term memory", with the forget gate of Gers et al. 2000
    GRU         Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", eq. 5-8

`RecurrentLayer.step` is the paper; `RecurrentLayer.forward` takes the fused kernel, which computes the same numbers
faster over a text, unless layer normalisation is asked for. The weights have the names and the layout of ``nn.RNN``,
``nn.GRU`` and ``nn.LSTM`` with one layer, so a state dict of one can be loaded into the other.

A state is a tuple of tensors (batch, hidden): ``(h,)`` for the Elman RNN and the GRU, ``(h, c)`` for the LSTM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from transformers import initialization as init

from nlpladder.errors import ConfigError, did_you_mean
from nlpladder.nn.dropout import check_rate, drop_weights

State = tuple[Tensor, ...]
_KERNELS: dict[str, Callable[..., Any]] = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN_TANH": torch.rnn_tanh}


class RecurrentLayer(nn.RNNBase):
    """One recurrent layer that reads from left to right.

    Args:
        input_size: Width of an input vector.
        hidden_size: Width of the hidden state.
        layer_norm: Normalise the summed inputs of the gates (Ba et al. 2016); takes the unfused path.
        weight_dropout: DropConnect on the recurrent weights, in training (Merity et al. 2018).
    """

    #: torch's name of the cell, the number of stacked gate matrices, and what `step` reports for a figure.
    torch_mode: ClassVar[str]
    num_gates: ClassVar[int]
    activation_names: ClassVar[tuple[str, ...]]
    #: Tensors in a state.
    state_parts: ClassVar[int] = 1

    weight_ih_l0: Tensor  # (gates * hidden, input)
    weight_hh_l0: Tensor  # (gates * hidden, hidden)
    bias_ih_l0: Tensor  # (gates * hidden,)
    bias_hh_l0: Tensor  # (gates * hidden,)

    def __init__(
        self, input_size: int, hidden_size: int, *, layer_norm: bool = False, weight_dropout: float = 0.0
    ) -> None:
        super().__init__(self.torch_mode, input_size, hidden_size, batch_first=True)
        check_rate("weight_dropout", weight_dropout)
        self.layer_norm = layer_norm
        self.weight_dropout = weight_dropout
        gates = self.num_gates * hidden_size
        # LN(.; alpha, beta) of the paper: gain and bias belong to each normalised sum.
        self.input_norm: nn.Module = nn.LayerNorm(gates) if layer_norm else nn.Identity()
        self.hidden_norm: nn.Module = nn.LayerNorm(gates) if layer_norm else nn.Identity()

    def step(self, from_input: Tensor, state: State, weight_hh: Tensor) -> tuple[State, dict[str, Tensor]]:
        """Compute one time step from the equations.

        Args:
            from_input: W x_t + b, all gates side by side: (batch, gates * hidden).
            state: The state after step t - 1, tensors (batch, hidden).
            weight_hh: The recurrent weights U, possibly with dropped entries: (gates * hidden, hidden).

        Returns:
            The state after step t, and the activations named in `activation_names`, each (batch, hidden).
        """
        raise NotImplementedError

    def initial_state(self, batch_size: int, like: Tensor) -> State:
        """Return the state before the first token: zeros (batch, hidden) with `like`'s dtype and device."""
        return tuple(like.new_zeros(batch_size, self.hidden_size) for _ in range(self.state_parts))

    def forward(
        self, inputs: Tensor, state: State | None = None, *, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read a batch of texts.

        Args:
            inputs: Shape (batch, tokens, input).
            state: State before the first token; zeros when not given.
            lengths: Tokens of each text, (batch,), for texts padded on the right: the returned state is then the one
                after a text's own last token, and the state of an empty text is left as it was.

        Returns:
            The hidden states (batch, tokens, hidden) and the last state. States over padding mean nothing.
        """
        state = self._prepare_state(inputs, state)
        weight_hh = drop_weights(self.weight_hh_l0, self.weight_dropout, training=self.training)
        # oneDNN's LSTM, torch's kernel on a CPU, rearranges the weights at every call. That pays over a text, and not
        # for the one token of a generation step (measured at 650 units: 10 ms against 1.3 ms by the equations).
        one_token = self.mode == "LSTM" and inputs.device.type == "cpu" and inputs.shape[1] == 1
        if self.layer_norm or one_token:
            outputs, last, _ = self._unroll(inputs, state, weight_hh, lengths)
        else:
            outputs, last = self._fused(inputs, state, weight_hh, lengths)
        if lengths is not None:
            empty = lengths.eq(0).unsqueeze(-1)  # (batch, 1)
            last = tuple(torch.where(empty, old, new.to(old.dtype)) for old, new in zip(state, last, strict=True))
        return outputs, last

    def unrolled(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Do what `forward` does by calling `step` for each token: slow, and easy to follow."""
        weight_hh = drop_weights(self.weight_hh_l0, self.weight_dropout, training=self.training)
        outputs, last, _ = self._unroll(inputs, self._prepare_state(inputs, state), weight_hh, None)
        return outputs, last

    def gates(self, inputs: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """Return every activation over a text, for a figure.

        Args:
            inputs: Shape (batch, tokens, input).
            state: State before the first token; zeros when not given.

        Returns:
            Tensors (batch, tokens, hidden) by the names in `activation_names`.
        """
        _, _, steps = self._unroll(inputs, self._prepare_state(inputs, state), self.weight_hh_l0, None)
        return {name: torch.stack([step[name] for step in steps], dim=1) for name in self.activation_names}

    def _prepare_state(self, inputs: Tensor, state: State | None) -> State:
        if state is None:
            return self.initial_state(inputs.shape[0], inputs)
        return tuple(part.to(inputs.dtype) for part in state)

    def _unroll(
        self, inputs: Tensor, state: State, weight_hh: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, State, list[dict[str, Tensor]]]:
        # The inputs are known beforehand: one large product for all tokens is faster than one a token.
        from_inputs = self.input_norm(F.linear(inputs, self.weight_ih_l0))  # (batch, tokens, gates * hidden)
        from_inputs = from_inputs + self.bias_ih_l0
        states, activations = [], []
        for from_input in from_inputs.unbind(dim=1):
            state, activation = self.step(from_input, state, weight_hh)
            states.append(state)
            activations.append(activation)
        if lengths is not None:
            final = (lengths.clamp(min=1) - 1).view(-1, 1, 1).expand(-1, 1, self.hidden_size)
            parts = [torch.stack(part, dim=1) for part in zip(*states, strict=True)]  # (batch, tokens, hidden)
            state = tuple(part.gather(1, final).squeeze(1) for part in parts)
        return torch.stack([hidden for hidden, *_ in states], dim=1), state, activations

    def _fused(self, inputs: Tensor, state: State, weight_hh: Tensor, lengths: Tensor | None) -> tuple[Tensor, State]:
        weights = [self.weight_ih_l0, weight_hh, self.bias_ih_l0, self.bias_hh_l0]
        options = (weights, True, 1, 0.0, self.training, False)  # biases, one layer, no dropout, one direction
        kernel = _KERNELS[self.mode]
        packed = None
        if lengths is not None:
            packed = pack_padded_sequence(inputs, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
            state = tuple(part[packed.sorted_indices] for part in state)
        parts = [part.unsqueeze(0).contiguous() for part in state]  # each (layers = 1, batch, hidden)
        start = parts if self.mode == "LSTM" else parts[0]
        if packed is None:
            outputs, *last = kernel(inputs, start, *options, True)
            return outputs, tuple(part.squeeze(0) for part in last)
        data, *last = kernel(packed.data, packed.batch_sizes, start, *options)
        outputs = pad_packed_sequence(
            PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices),
            batch_first=True,
            total_length=inputs.shape[1],
        )[0]
        return outputs, tuple(part.squeeze(0)[packed.unsorted_indices] for part in last)


class ElmanLayer(RecurrentLayer):
    """Simple recurrent network (Elman 1990).

    h_t = tanh(W x_t + b + U h_{t-1} + b')
    """

    torch_mode = "RNN_TANH"
    num_gates = 1
    activation_names = ("hidden",)

    def step(self, from_input: Tensor, state: State, weight_hh: Tensor) -> tuple[State, dict[str, Tensor]]:
        """Compute one step; see the base class."""
        (hidden,) = state
        from_state = self.hidden_norm(F.linear(hidden, weight_hh)) + self.bias_hh_l0
        hidden = torch.tanh(from_input + from_state)
        return (hidden,), {"hidden": hidden}


class LSTMLayer(RecurrentLayer):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

    i_t = sigma(W_i x_t + U_i h_{t-1} + b_i)       input gate: how much of the candidate is written
    f_t = sigma(W_f x_t + U_f h_{t-1} + b_f)       forget gate: how much of the old cell is kept (Gers et al.)
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)        candidate, the "cell input" of 1997
    o_t = sigma(W_o x_t + U_o h_{t-1} + b_o)       output gate: how much of the cell is shown
    c_t = f_t * c_{t-1} + i_t * g_t                cell update, the constant error carousel when f_t = 1
    h_t = o_t * tanh(c_t)                          hidden state

    These are eq. 7-11 of Graves 2013 ("Generating sequences with recurrent neural networks") without his peepholes.
    With `layer_norm`, the sums W x_t and U h_{t-1} are normalised each with its own gain and bias, and so is c_t
    inside the last tanh (Ba et al. 2016, supplementary material).
    """

    torch_mode = "LSTM"
    num_gates = 4
    activation_names = ("input", "forget", "candidate", "output", "cell", "hidden")
    state_parts = 2

    def __init__(
        self, input_size: int, hidden_size: int, *, layer_norm: bool = False, weight_dropout: float = 0.0
    ) -> None:
        super().__init__(input_size, hidden_size, layer_norm=layer_norm, weight_dropout=weight_dropout)
        self.cell_norm: nn.Module = nn.LayerNorm(hidden_size) if layer_norm else nn.Identity()

    def step(self, from_input: Tensor, state: State, weight_hh: Tensor) -> tuple[State, dict[str, Tensor]]:
        """Compute one step; see the base class."""
        hidden, cell = state
        from_state = self.hidden_norm(F.linear(hidden, weight_hh)) + self.bias_hh_l0
        sums = (from_input + from_state).chunk(4, dim=-1)  # four times (batch, hidden), in torch's order i, f, g, o
        input_gate, forget_gate, output_gate = sums[0].sigmoid(), sums[1].sigmoid(), sums[3].sigmoid()
        candidate = sums[2].tanh()
        cell = forget_gate * cell + input_gate * candidate
        hidden = output_gate * torch.tanh(self.cell_norm(cell))
        activations = (input_gate, forget_gate, candidate, output_gate, cell, hidden)
        return (hidden, cell), dict(zip(self.activation_names, activations, strict=True))


class GRULayer(RecurrentLayer):
    """Gated recurrent unit (Cho et al. 2014).

    r_t = sigma(W_r x_t + U_r h_{t-1} + b_r)                reset gate (eq. 5)
    z_t = sigma(W_z x_t + U_z h_{t-1} + b_z)                update gate (eq. 6)
    h_t = z_t * h_{t-1} + (1 - z_t) * n_t                   (eq. 7)
    n_t = tanh(W_n x_t + b_n + r_t * (U_n h_{t-1} + b'_n))  candidate (eq. 8)

    Eq. 8 of the paper resets before the product, U (r_t * h_{t-1}). Resetting after it, as here and in cuDNN, lets
    the three products be one, and works as well (Chung et al. 2014 use it).
    """

    torch_mode = "GRU"
    num_gates = 3
    activation_names = ("reset", "update", "candidate", "hidden")

    def step(self, from_input: Tensor, state: State, weight_hh: Tensor) -> tuple[State, dict[str, Tensor]]:
        """Compute one step; see the base class."""
        (hidden,) = state
        from_state = self.hidden_norm(F.linear(hidden, weight_hh)) + self.bias_hh_l0
        input_reset, input_update, input_candidate = from_input.chunk(3, dim=-1)  # each (batch, hidden)
        state_reset, state_update, state_candidate = from_state.chunk(3, dim=-1)
        reset = torch.sigmoid(input_reset + state_reset)
        update = torch.sigmoid(input_update + state_update)
        candidate = torch.tanh(input_candidate + reset * state_candidate)
        hidden = update * hidden + (1.0 - update) * candidate
        return (hidden,), {"reset": reset, "update": update, "candidate": candidate, "hidden": hidden}


_LAYERS: dict[str, type[RecurrentLayer]] = {"rnn": ElmanLayer, "gru": GRULayer, "lstm": LSTMLayer}


def recurrent_layer(cell: str) -> type[RecurrentLayer]:
    """Return the class of a layer by the name of its cell: ``rnn``, ``gru`` or ``lstm``.

    Raises:
        ConfigError: There is no such cell.
    """
    if cell not in _LAYERS:
        raise ConfigError(f"There is no recurrent cell {cell!r}; use rnn, gru or lstm.{did_you_mean(cell, _LAYERS)}")
    return _LAYERS[cell]


@torch.no_grad()
def init_recurrent(module: nn.RNNBase) -> None:
    """Xavier input weights, orthogonal recurrent weights, forget-gate bias 1 (Jozefowicz et al. 2015).

    transformers leaves GRUs alone and sets every bias of an LSTM to zero, which loses the open forget gate.
    """
    hidden = module.hidden_size
    for name, parameter in module.named_parameters(recurse=False):
        if name.startswith("weight_ih"):
            init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            for gate in range(parameter.shape[0] // hidden):
                init.orthogonal_(parameter[gate * hidden : (gate + 1) * hidden])
        else:
            init.zeros_(parameter)
            if module.mode == "LSTM" and name.startswith("bias_ih"):
                # torch orders the gates input, forget, cell, output.
                init.ones_(parameter[hidden : 2 * hidden])
