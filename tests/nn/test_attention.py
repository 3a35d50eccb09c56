"""Attention, positions, feed-forward and normalisation against their equations and against torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import DynamicCache, EncoderDecoderCache

from nlpladder.nn.attention import MultiHeadAttention, attend
from nlpladder.nn.feed_forward import FeedForward
from nlpladder.nn.masks import (
    additive_mask,
    causal_mask,
    document_mask,
    is_right_padded,
    positions_from_documents,
    positions_from_mask,
)
from nlpladder.nn.normalization import RMSNorm, build_norm
from nlpladder.nn.positions import alibi_bias, alibi_slopes, rotary_angles, rotate, sinusoidal_encoding


def numpy_attention(query, key, value, bias):
    """Eq. 1 for one head, in loops."""
    mixed = np.zeros((len(query), value.shape[1]))
    for position, row in enumerate(query):
        scores = np.array([row @ other for other in key]) / math.sqrt(len(row)) + bias[position]
        weights = np.exp(scores - scores.max())
        mixed[position] = (weights / weights.sum()) @ value
    return mixed


@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_equals_its_equation_head_by_head(need_weights):
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)
    bias = torch.randn(2, 3, 4, 6)
    mixed, _ = attend(query, key, value, bias=bias, need_weights=need_weights)
    for batch in range(2):
        for head in range(3):
            place = (batch, head)
            expected = numpy_attention(*(tensor[place].double().numpy() for tensor in (query, key, value, bias)))
            np.testing.assert_allclose(mixed[place].numpy(), expected, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 3),
    groups=st.integers(1, 3),
    key_heads=st.integers(1, 2),
    target=st.integers(1, 6),
    extra=st.integers(0, 3),
    causal=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_the_explicit_path_equals_the_fused_kernel(batch, groups, key_heads, target, extra, causal, seed):
    generator = torch.Generator().manual_seed(seed)
    source = target if causal else target + extra
    query = torch.randn(batch, groups * key_heads, target, 4, generator=generator)
    key, value = (torch.randn(batch, key_heads, source, 4, generator=generator) for _ in range(2))
    bias = None if causal else torch.randn(batch, 1, target, source, generator=generator)
    fused, none = attend(query, key, value, bias=bias, is_causal=causal)
    explicit, weights = attend(query, key, value, bias=bias, is_causal=causal, need_weights=True)
    assert none is None
    torch.testing.assert_close(fused, explicit, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(weights.sum(-1), torch.ones(batch, groups * key_heads, target))


@pytest.mark.parametrize("is_cross", [False, True])
def test_it_equals_torchs_multi_head_attention_with_the_same_weights(is_cross):
    torch.manual_seed(1)
    ours = MultiHeadAttention(12, 3).eval()
    queries = torch.randn(2, 5, 12)
    keys = torch.randn(2, 7, 12) if is_cross else queries
    expected, weights = F.multi_head_attention_forward(
        queries.transpose(0, 1),
        keys.transpose(0, 1),
        keys.transpose(0, 1),
        12,
        3,
        torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]),
        torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]),
        None,
        None,
        False,
        0.0,
        ours.output.weight,
        ours.output.bias,
        training=False,
        average_attn_weights=False,
    )
    mixed, own_weights = ours(queries, keys if is_cross else None, need_weights=True)
    torch.testing.assert_close(mixed, expected.transpose(0, 1), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(own_weights, weights, atol=1e-6, rtol=1e-5)


def test_bfloat16_autocast_stays_near_float32():
    torch.manual_seed(0)
    attention, queries = MultiHeadAttention(32, 4), torch.randn(2, 6, 32)
    exact, _ = attention(queries, is_causal=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, _ = attention(queries, is_causal=True)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, atol=0.02, rtol=0.05)


def test_grouped_queries_equal_full_heads_whose_keys_are_repeated():
    torch.manual_seed(0)
    grouped, full = MultiHeadAttention(16, 4, num_key_value_heads=2), MultiHeadAttention(16, 4)
    full.query.load_state_dict(grouped.query.state_dict())
    full.output.load_state_dict(grouped.output.state_dict())
    for name in ("key", "value"):
        for part in ("weight", "bias"):
            small = getattr(getattr(grouped, name), part).data.unflatten(0, (2, 4))
            getattr(getattr(full, name), part).data = small.repeat_interleave(2, dim=0).flatten(0, 1)
    queries = torch.randn(3, 5, 16)
    torch.testing.assert_close(grouped(queries)[0], full(queries)[0], atol=1e-6, rtol=1e-5)


def test_a_cache_gives_token_by_token_what_one_pass_gives():
    torch.manual_seed(0)
    attention, states, encoded = MultiHeadAttention(16, 4).eval(), torch.randn(2, 5, 16), torch.randn(2, 3, 16)
    whole, _ = attention(states, is_causal=True)
    cache = DynamicCache()
    steps = [attention(states[:, step : step + 1], cache=cache)[0] for step in range(5)]
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-6, rtol=1e-5)
    both = EncoderDecoderCache(DynamicCache(), DynamicCache())
    first, _ = attention(states, encoded, cache=both)
    again, _ = attention(states, torch.full_like(encoded, 9.0), cache=both)
    assert torch.equal(first, again), "cross-attention is computed once and read afterwards"


def test_a_row_that_may_read_nothing_gives_numbers_and_gradients():
    attention, states = MultiHeadAttention(8, 2), torch.randn(1, 3, 8, requires_grad=True)
    for need_weights in (False, True):
        mixed, _ = attention(states, allowed=torch.zeros(1, 1, 3, 3, dtype=torch.bool), need_weights=need_weights)
        mixed.sum().backward()
        assert torch.isfinite(mixed).all()
        assert torch.isfinite(states.grad).all()


def test_qk_norm_bounds_the_scores():
    torch.manual_seed(0)
    plain, normed = MultiHeadAttention(8, 2), MultiHeadAttention(8, 2, qk_norm=True)
    normed.load_state_dict(plain.state_dict(), strict=False)
    states = torch.randn(1, 4, 8) * 1000
    assert plain(states, need_weights=True)[1].amax() > 0.999
    # Two vectors of norm sqrt(4) have a scaled score of at most 2 in absolute value.
    assert normed(states, need_weights=True)[1].amax() < math.exp(2) / (math.exp(2) + 3 * math.exp(-2)) + 1e-6


def test_dropout_drops_in_training_only():
    torch.manual_seed(0)
    attention, states = MultiHeadAttention(8, 2, 0.5), torch.randn(1, 6, 8)
    assert not torch.equal(attention(states)[0], attention(states)[0])
    attention.eval()
    assert torch.equal(attention(states)[0], attention(states)[0])


def test_heads_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="not divisible by the number of heads"):
        MultiHeadAttention(10, 3)
    with pytest.raises(ValueError, match="keys and values"):
        MultiHeadAttention(12, 4, num_key_value_heads=3)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_rotary_scores_depend_on_distance_only(query_position, key_position, shift):
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 8, generator=generator, dtype=torch.float64)

    def score(first, second):
        rotated = [
            rotate(state, *rotary_angles(torch.tensor([[position]]), 8))
            for state, position in ((query, first), (key, second))
        ]
        return (rotated[0] * rotated[1]).sum().item()

    assert score(query_position, key_position) == pytest.approx(
        score(query_position + shift, key_position + shift), abs=2e-4
    )


def test_rotation_is_that_of_a_complex_number_and_of_llama():
    from transformers.models.llama.modeling_llama import rotate_half

    torch.manual_seed(0)
    states, positions = torch.randn(1, 2, 5, 6), torch.arange(5).unsqueeze(0)
    cosines, sines = rotary_angles(positions, 6, theta=100.0)
    rotated = rotate(states, cosines, sines)
    both = [torch.cat([table, table], dim=-1) for table in (cosines, sines)]
    torch.testing.assert_close(rotated, states * both[0] + rotate_half(states) * both[1])
    for position in range(5):
        for pair in range(3):
            number = complex(states[0, 1, position, pair], states[0, 1, position, pair + 3])
            turned = number * np.exp(1j * position / 100.0 ** (2 * pair / 6))
            assert rotated[0, 1, position, pair].item() == pytest.approx(turned.real, abs=1e-5)
            assert rotated[0, 1, position, pair + 3].item() == pytest.approx(turned.imag, abs=1e-5)


def test_sinusoids_in_halves_are_marians_and_the_paper_s_columns_reordered():
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    positions = torch.arange(7)
    halves = sinusoidal_encoding(positions, 6, halves=True)
    expected = MarianSinusoidalPositionalEmbedding(7, 6).create_weight()
    torch.testing.assert_close(halves, expected, atol=1e-6, rtol=1e-5)
    turns = sinusoidal_encoding(positions, 6)
    assert torch.equal(halves, torch.cat([turns[:, 0::2], turns[:, 1::2]], dim=1))


def test_alibi_slopes_are_the_paper_s_and_far_keys_lose():
    assert alibi_slopes(8) == [2.0**-power for power in range(1, 9)]
    assert len(alibi_slopes(6)) == 6
    assert alibi_slopes(6)[:4] == alibi_slopes(4)
    bias = alibi_bias(2, 2, 4)
    assert bias.shape == (1, 2, 2, 4)
    assert bias[0, 0].tolist() == [[-0.125, -0.0625, 0.0, -0.0625], [-0.1875, -0.125, -0.0625, 0.0]]


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu", "relu_squared", "swiglu"])
def test_feed_forward_is_its_equation(activation):
    torch.manual_seed(0)
    layer, states = FeedForward(4, 6, activation=activation).eval(), torch.randn(2, 3, 4)
    inner = layer.input(states).detach().double().numpy()
    gelu = np.vectorize(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))))
    sigmoid = 1 / (1 + np.exp(-inner))
    active = {
        "relu": np.maximum(inner, 0),
        "gelu": gelu(inner),
        "gelu_tanh": 0.5 * inner * (1 + np.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3))),
        "silu": inner * sigmoid,
        "relu_squared": np.maximum(inner, 0) ** 2,
        "swiglu": inner * sigmoid,
    }[activation]
    if activation == "swiglu":
        active = active * layer.gate_input(states).detach().double().numpy()
    expected = active @ layer.output.weight.detach().double().numpy().T + layer.output.bias.detach().double().numpy()
    np.testing.assert_allclose(layer(states).detach().numpy(), expected, atol=1e-6)


def test_rms_norm_is_its_equation_and_torchs():
    torch.manual_seed(0)
    norm, states = RMSNorm(6, 1e-5), torch.randn(2, 6)
    torch.nn.init.normal_(norm.weight)
    torch.testing.assert_close(norm(states), F.rms_norm(states, (6,), norm.weight, 1e-5))
    assert norm(states.bfloat16()).shape == (2, 6)
    assert isinstance(build_norm("layer", 6, 1e-7), torch.nn.LayerNorm)


def test_masks():
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    assert is_right_padded(mask[:1])
    assert not is_right_padded(mask)
    assert positions_from_mask(mask).tolist() == [[0, 1, 1], [0, 0, 1]]
    assert causal_mask(2, 4).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    documents = torch.tensor([[0, 0, 1, 1, 1, 0]])
    assert positions_from_documents(documents).tolist() == [[0, 1, 0, 1, 2, 0]]
    assert document_mask(documents, documents)[0, 0, 0].int().tolist() == [1, 1, 0, 0, 0, 1]
    assert additive_mask(torch.tensor([True, False]), torch.float32).tolist() == [0.0, torch.finfo(torch.float32).min]
