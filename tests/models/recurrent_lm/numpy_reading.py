"""LSTM, GRU and Elman RNN in plain NumPy, forward and backward, written from the equations and from nothing of ours.

The backward pass is derived by hand: back-propagation through time. Weights are a dictionary with torch's names and
layout (gates stacked along the first dimension), so that the numbers of a module can be put in as they are.
"""

from __future__ import annotations

import numpy as np

WEIGHT_IH, WEIGHT_HH, BIAS_IH, BIAS_HH = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"


def sigmoid(values):
    return 1.0 / (1.0 + np.exp(-values))


def random_weights(gates, inputs, hidden, *, seed):
    generator = np.random.default_rng(seed)
    shapes = {
        WEIGHT_IH: (gates * hidden, inputs),
        WEIGHT_HH: (gates * hidden, hidden),
        BIAS_IH: (gates * hidden,),
        BIAS_HH: (gates * hidden,),
    }
    return {name: generator.normal(0.0, 0.5, shape) for name, shape in shapes.items()}


def add_step_gradients(gradients, weights, from_input, from_state, inputs, hidden):
    """Add one step's share to the weights' gradients; return those of x_t and of h_{t-1}."""
    gradients[WEIGHT_IH] += from_input.T @ inputs
    gradients[WEIGHT_HH] += from_state.T @ hidden
    gradients[BIAS_IH] += from_input.sum(0)
    gradients[BIAS_HH] += from_state.sum(0)
    return from_input @ weights[WEIGHT_IH], from_state @ weights[WEIGHT_HH]


def lstm_forward(weights, inputs, hidden, cell):
    """Read `inputs` (batch, tokens, width); return the states (batch, tokens, hidden), the last state and a tape."""
    tape, outputs = [], []
    for x in inputs.transpose(1, 0, 2):
        sums = x @ weights[WEIGHT_IH].T + weights[BIAS_IH] + hidden @ weights[WEIGHT_HH].T + weights[BIAS_HH]
        i, f, g, o = np.split(sums, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        new_cell = f * cell + i * g
        new_hidden = o * np.tanh(new_cell)
        tape.append((x, hidden, cell, i, f, g, o, new_cell))
        hidden, cell = new_hidden, new_cell
        outputs.append(hidden)
    return np.stack(outputs, axis=1), (hidden, cell), tape


def lstm_backward(weights, tape, d_outputs, d_hidden, d_cell):
    """Take the gradients of all outputs and of the last state back to weights, inputs and the first state."""
    gradients = {name: np.zeros_like(weight) for name, weight in weights.items()}
    d_inputs = []
    for (x, hidden, cell, i, f, g, o, new_cell), d_output in zip(
        reversed(tape), reversed(d_outputs.transpose(1, 0, 2)), strict=True
    ):
        d_hidden = d_hidden + d_output
        shown = np.tanh(new_cell)
        d_cell = d_cell + d_hidden * o * (1 - shown**2)
        d_sums = np.concatenate(
            [
                d_cell * g * i * (1 - i),
                d_cell * cell * f * (1 - f),
                d_cell * i * (1 - g**2),
                d_hidden * shown * o * (1 - o),
            ],
            axis=1,
        )
        d_x, d_hidden = add_step_gradients(gradients, weights, d_sums, d_sums, x, hidden)
        d_cell = d_cell * f  # the constant error carousel: what flows back is scaled by the forget gate only
        d_inputs.append(d_x)
    return gradients, np.stack(d_inputs[::-1], axis=1), (d_hidden, d_cell)


def gru_forward(weights, inputs, hidden):
    """As `lstm_forward`; torch's reading of the candidate, with the reset gate after the product."""
    tape, outputs = [], []
    for x in inputs.transpose(1, 0, 2):
        input_r, input_z, input_n = np.split(x @ weights[WEIGHT_IH].T + weights[BIAS_IH], 3, axis=1)
        state_r, state_z, state_n = np.split(hidden @ weights[WEIGHT_HH].T + weights[BIAS_HH], 3, axis=1)
        r, z = sigmoid(input_r + state_r), sigmoid(input_z + state_z)
        n = np.tanh(input_n + r * state_n)
        tape.append((x, hidden, r, z, n, state_n))
        hidden = z * hidden + (1 - z) * n
        outputs.append(hidden)
    return np.stack(outputs, axis=1), (hidden,), tape


def gru_backward(weights, tape, d_outputs, d_hidden):
    gradients = {name: np.zeros_like(weight) for name, weight in weights.items()}
    d_inputs = []
    for (x, hidden, r, z, n, state_n), d_output in zip(
        reversed(tape), reversed(d_outputs.transpose(1, 0, 2)), strict=True
    ):
        d_hidden = d_hidden + d_output
        d_n = d_hidden * (1 - z) * (1 - n**2)
        d_z = d_hidden * (hidden - n) * z * (1 - z)
        d_r = d_n * state_n * r * (1 - r)
        from_input = np.concatenate([d_r, d_z, d_n], axis=1)
        from_state = np.concatenate([d_r, d_z, d_n * r], axis=1)
        d_x, d_before = add_step_gradients(gradients, weights, from_input, from_state, x, hidden)
        d_hidden = d_hidden * z + d_before
        d_inputs.append(d_x)
    return gradients, np.stack(d_inputs[::-1], axis=1), (d_hidden,)


def rnn_forward(weights, inputs, hidden):
    tape, outputs = [], []
    for x in inputs.transpose(1, 0, 2):
        new = np.tanh(x @ weights[WEIGHT_IH].T + weights[BIAS_IH] + hidden @ weights[WEIGHT_HH].T + weights[BIAS_HH])
        tape.append((x, hidden, new))
        hidden = new
        outputs.append(hidden)
    return np.stack(outputs, axis=1), (hidden,), tape


def rnn_backward(weights, tape, d_outputs, d_hidden):
    gradients = {name: np.zeros_like(weight) for name, weight in weights.items()}
    d_inputs = []
    for (x, hidden, new), d_output in zip(reversed(tape), reversed(d_outputs.transpose(1, 0, 2)), strict=True):
        d_sum = (d_hidden + d_output) * (1 - new**2)
        d_x, d_hidden = add_step_gradients(gradients, weights, d_sum, d_sum, x, hidden)
        d_inputs.append(d_x)
    return gradients, np.stack(d_inputs[::-1], axis=1), (d_hidden,)


#: By cell: number of gates, tensors in a state, forward and backward.
READINGS = {
    "rnn": (1, 1, rnn_forward, rnn_backward),
    "gru": (3, 1, gru_forward, gru_backward),
    "lstm": (4, 2, lstm_forward, lstm_backward),
}


def layer_norm(values, gain, bias, epsilon=1e-5):
    mean = values.mean(-1, keepdims=True)
    variance = ((values - mean) ** 2).mean(-1, keepdims=True)
    return gain * (values - mean) / np.sqrt(variance + epsilon) + bias


def layer_norm_lstm_forward(weights, norms, inputs, hidden, cell):
    """The LSTM of Ba et al. 2016, supplementary material; `norms` are (gain, bias) of input, hidden and cell."""
    outputs = []
    for x in inputs.transpose(1, 0, 2):
        sums = layer_norm(x @ weights[WEIGHT_IH].T, *norms[0]) + layer_norm(hidden @ weights[WEIGHT_HH].T, *norms[1])
        i, f, g, o = np.split(sums + weights[BIAS_IH] + weights[BIAS_HH], 4, axis=1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(layer_norm(cell, *norms[2]))
        outputs.append(hidden)
    return np.stack(outputs, axis=1), (hidden, cell)
