"""Recurrent layers: the equations equal the fused kernel and a NumPy reading, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.recurrent_lm.numpy_reading import READINGS, layer_norm_lstm_forward, random_weights
from nlpladder.errors import ConfigError
from nlpladder.nn.dropout import LockedDropout, drop_weights, embed_with_word_dropout, make_dropout
from nlpladder.nn.recurrent import LSTMLayer, init_recurrent, recurrent_layer

CELLS = ("rnn", "gru", "lstm")
TORCH = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
INPUTS, HIDDEN = 3, 4


def layer_with(cell, weights, **options):
    layer = recurrent_layer(cell)(INPUTS, HIDDEN, **options).double()
    layer.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()}, strict=False)
    return layer


def example(cell, *, seed=0, batch=2, tokens=5):
    gates, parts, forward, backward = READINGS[cell]
    generator = np.random.default_rng(seed)
    weights = random_weights(gates, INPUTS, HIDDEN, seed=seed)
    inputs = generator.normal(size=(batch, tokens, INPUTS))
    state = [generator.normal(size=(batch, HIDDEN)) for _ in range(parts)]
    return weights, inputs, state, forward, backward


@pytest.mark.parametrize("cell", CELLS)
def test_the_equations_and_the_fused_kernel_equal_the_numpy_reading(cell):
    weights, inputs, state, forward, _ = example(cell)
    expected, expected_last, _ = forward(weights, inputs, *state)
    layer = layer_with(cell, weights)
    for read in (layer, layer.unrolled):
        outputs, last = read(torch.from_numpy(inputs), tuple(torch.from_numpy(part) for part in state))
        np.testing.assert_allclose(outputs.detach().numpy(), expected, atol=1e-12)
        for ours, theirs in zip(last, expected_last, strict=True):
            np.testing.assert_allclose(ours.detach().numpy(), theirs, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("path", ["fused", "unrolled"])
def test_gradients_equal_the_backward_pass_written_by_hand(cell, path):
    weights, inputs, state, forward, backward = example(cell, seed=1)
    outputs, last, tape = forward(weights, inputs, *state)
    generator = np.random.default_rng(2)
    d_outputs, d_last = generator.normal(size=outputs.shape), [generator.normal(size=part.shape) for part in last]
    expected, d_inputs, d_state = backward(weights, tape, d_outputs, *d_last)

    layer = layer_with(cell, weights)
    tensors = [torch.from_numpy(array).requires_grad_() for array in (inputs, *state)]
    ours, ours_last = (layer if path == "fused" else layer.unrolled)(tensors[0], tuple(tensors[1:]))
    loss = (ours * torch.from_numpy(d_outputs)).sum()
    loss = loss + sum((part * torch.from_numpy(d)).sum() for part, d in zip(ours_last, d_last, strict=True))
    loss.backward()
    for name, gradient in expected.items():
        np.testing.assert_allclose(getattr(layer, name).grad.numpy(), gradient, atol=1e-10, err_msg=name)
    for tensor, gradient in zip(tensors, (d_inputs, *d_state), strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), gradient, atol=1e-10)


@pytest.mark.parametrize("cell", CELLS)
def test_the_backward_pass_written_by_hand_passes_the_finite_difference_check(cell):
    weights, inputs, state, forward, backward = example(cell, seed=3, batch=1, tokens=4)
    direction = np.random.default_rng(4).normal(size=(1, 4, HIDDEN))

    def loss():
        return float((forward(weights, inputs, *state)[0] * direction).sum())

    _, last, tape = forward(weights, inputs, *state)
    gradients, d_inputs, d_state = backward(weights, tape, direction, *[np.zeros_like(part) for part in last])
    arrays = {**weights, "inputs": inputs, **{f"state {part}": array for part, array in enumerate(state)}}
    expected = {**gradients, "inputs": d_inputs, **{f"state {part}": array for part, array in enumerate(d_state)}}
    step = 1e-5
    for name, array in arrays.items():
        for index in np.ndindex(array.shape):
            before = array[index]
            array[index] = before + step
            up = loss()
            array[index] = before - step
            down = loss()
            array[index] = before
            assert (up - down) / (2 * step) == pytest.approx(expected[name][index], abs=1e-7), (name, index)


@pytest.mark.parametrize("cell", CELLS)
def test_state_dicts_are_interchangeable_with_torch(cell):
    torch.manual_seed(0)
    layer, reference = recurrent_layer(cell)(6, 5), TORCH[cell](6, 5, batch_first=True)
    reference.load_state_dict(layer.state_dict())
    inputs = torch.randn(3, 7, 6)
    expected = reference(inputs)[0]
    assert torch.equal(layer(inputs)[0], expected)
    torch.testing.assert_close(layer.unrolled(inputs)[0], expected, atol=1e-6, rtol=0)
    layer.load_state_dict(reference.state_dict())


@settings(max_examples=25, deadline=None)
@given(
    cell=st.sampled_from(CELLS),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    layer_norm=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_with_lengths_every_text_ends_as_it_does_alone(cell, lengths, layer_norm, seed):
    torch.manual_seed(seed)
    layer = recurrent_layer(cell)(INPUTS, HIDDEN, layer_norm=layer_norm)
    inputs = torch.randn(len(lengths), 6, INPUTS)
    state = tuple(torch.randn(len(lengths), HIDDEN) for _ in range(layer.state_parts))
    with torch.no_grad():
        outputs, last = layer(inputs, state, lengths=torch.tensor(lengths))
        for row, length in enumerate(lengths):
            before = tuple(part[row : row + 1] for part in state)
            alone, expected = layer(inputs[row : row + 1, :length], before) if length else (None, before)
            if alone is not None:
                torch.testing.assert_close(outputs[row, :length], alone[0], atol=1e-6, rtol=1e-5)
            for part, one in zip(last, expected, strict=True):
                torch.testing.assert_close(part[row : row + 1], one, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_carried_state_reads_on_as_if_nothing_had_happened(cell, layer_norm):
    torch.manual_seed(0)
    layer = recurrent_layer(cell)(INPUTS, HIDDEN, layer_norm=layer_norm)
    inputs = torch.randn(2, 9, INPUTS)
    whole, last = layer(inputs)
    first, state = layer(inputs[:, :4])
    second, end = layer(inputs[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, atol=1e-6, rtol=0)
    for part, expected in zip(end, last, strict=True):
        torch.testing.assert_close(part, expected, atol=1e-6, rtol=0)


def test_the_layer_norm_lstm_equals_its_numpy_reading():
    weights, inputs, state, _, _ = example("lstm", seed=5)
    layer = layer_with("lstm", weights, layer_norm=True)
    with torch.no_grad():
        for norm in (layer.input_norm, layer.hidden_norm, layer.cell_norm):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
    norms = [
        (norm.weight.detach().numpy(), norm.bias.detach().numpy())
        for norm in (layer.input_norm, layer.hidden_norm, layer.cell_norm)
    ]
    expected, expected_last = layer_norm_lstm_forward(weights, norms, inputs, *state)
    outputs, last = layer(torch.from_numpy(inputs), tuple(torch.from_numpy(part) for part in state))
    np.testing.assert_allclose(outputs.detach().numpy(), expected, atol=1e-12)
    for ours, theirs in zip(last, expected_last, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_layer_normalisation_does_not_see_the_scale_of_the_inputs(cell):
    torch.manual_seed(0)
    layer = recurrent_layer(cell)(INPUTS, 16, layer_norm=True).double()
    inputs = torch.randn(2, 5, INPUTS, dtype=torch.float64)
    torch.testing.assert_close(layer(inputs * 1000.0)[0], layer(inputs * 10.0)[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("tokens", [1, 2])
def test_one_token_and_more_take_different_kernels_to_the_same_numbers(tokens):
    torch.manual_seed(0)
    layer = LSTMLayer(INPUTS, HIDDEN)
    inputs, state = torch.randn(3, tokens, INPUTS), (torch.randn(3, HIDDEN), torch.randn(3, HIDDEN))
    outputs, last = layer(inputs, state)
    expected, expected_last = layer._fused(inputs, state, layer.weight_hh_l0, None)
    torch.testing.assert_close(outputs, expected, atol=1e-6, rtol=0)
    for part, one in zip(last, expected_last, strict=True):
        torch.testing.assert_close(part, one, atol=1e-6, rtol=0)


def test_gates_obey_the_cell_update():
    torch.manual_seed(0)
    layer = LSTMLayer(INPUTS, HIDDEN)
    inputs = torch.randn(2, 6, INPUTS)
    gates = layer.gates(inputs)
    assert set(gates) == {"input", "forget", "candidate", "output", "cell", "hidden"}
    before = torch.cat([torch.zeros(2, 1, HIDDEN), gates["cell"][:, :-1]], dim=1)
    torch.testing.assert_close(gates["cell"], gates["forget"] * before + gates["input"] * gates["candidate"])
    torch.testing.assert_close(gates["hidden"], gates["output"] * gates["cell"].tanh())
    torch.testing.assert_close(gates["hidden"], layer(inputs)[0], atol=1e-6, rtol=0)
    for name in ("input", "forget", "output"):
        assert bool(((gates[name] > 0) & (gates[name] < 1)).all())


def test_weight_dropout_only_in_training_and_gone_after():
    torch.manual_seed(0)
    layer = LSTMLayer(INPUTS, 16, weight_dropout=0.5)
    inputs, weight = torch.randn(2, 6, INPUTS), layer.weight_hh_l0.clone()
    noisy = [layer(inputs)[0] for _ in range(2)]
    assert not torch.equal(noisy[0], noisy[1])
    layer.eval()
    clean = layer(inputs)[0]
    assert torch.equal(clean, layer(inputs)[0])
    plain = LSTMLayer(INPUTS, 16)
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(clean, plain(inputs)[0])
    assert torch.equal(layer.weight_hh_l0, weight)


def test_weight_dropout_is_one_mask_for_all_time_steps_and_reaches_the_gradient():
    torch.manual_seed(0)
    layer = LSTMLayer(INPUTS, 8, weight_dropout=0.5)
    inputs = torch.randn(2, 6, INPUTS)
    torch.manual_seed(1)
    outputs = layer(inputs)[0]
    outputs.sum().backward()
    torch.manual_seed(1)
    dropped = drop_weights(layer.weight_hh_l0.detach(), 0.5, training=True)
    plain = LSTMLayer(INPUTS, 8)
    plain.load_state_dict({**layer.state_dict(), "weight_hh_l0": dropped})
    torch.testing.assert_close(outputs, plain(inputs)[0])
    assert bool((layer.weight_hh_l0.grad[dropped.eq(0)] == 0).all())
    assert bool((layer.weight_hh_l0.grad[dropped.ne(0)] != 0).any())


def test_dropout_masks_are_locked_over_time():
    torch.manual_seed(0)
    dropout = LockedDropout(0.4)
    dropped = dropout(torch.ones(3, 50, 200))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped)), "one mask for all tokens of a text"
    assert not torch.equal(dropped[0], dropped[1]), "a mask for each text"
    assert dropped.unique().tolist() == pytest.approx([0.0, 256 / (256 - 102)])  # .4 in steps of 1/256
    assert dropped[:, 0].eq(0).float().mean().item() == pytest.approx(0.4, abs=0.08)
    assert torch.equal(dropout.eval()(dropped), dropped)
    free = make_dropout(0.4, locked=False)(torch.ones(1, 50, 200))
    assert not torch.equal(free, free[:, :1].expand_as(free))


def test_word_dropout_drops_whole_words_everywhere():
    torch.manual_seed(0)
    embeddings = nn.Embedding(50, 6)
    ids = torch.randint(0, 50, (8, 40))
    vectors = embed_with_word_dropout(ids, embeddings, 0.3, training=True)
    scale = vectors / embeddings(ids)
    for word in ids.unique():
        scales = scale[ids == word]
        assert torch.allclose(scales, scales[0, 0]), "the same decision wherever the word stands"
        assert scales[0, 0].item() in (0.0, pytest.approx(256 / (256 - 77), rel=1e-5))
    assert torch.equal(embed_with_word_dropout(ids, embeddings, 0.3, training=False), embeddings(ids))


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0])
def test_an_impossible_dropout_rate_is_refused(rate):
    with pytest.raises(ConfigError, match="at least 0 and below 1"):
        LockedDropout(rate)
    with pytest.raises(ConfigError, match="weight_dropout"):
        LSTMLayer(2, 2, weight_dropout=rate)


def test_an_unknown_cell_is_refused_with_a_hint():
    with pytest.raises(ConfigError, match="Did you mean 'lstm'"):
        recurrent_layer("lsmt")


@pytest.mark.parametrize("cell", CELLS)
def test_initialisation_is_orthogonal_with_open_forget_gates(cell):
    layer = recurrent_layer(cell)(6, 5)
    init_recurrent(layer)
    for matrix in layer.weight_hh_l0.split(5):
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(5), atol=1e-5, rtol=0)
    bias = layer.bias_ih_l0 + layer.bias_hh_l0
    assert bias.tolist() == ([0.0] * 5 + [1.0] * 5 + [0.0] * 10 if cell == "lstm" else [0.0] * layer.num_gates * 5)
