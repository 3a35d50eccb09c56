"""Masks, pooling, attention and positions, each against a plain reading of its definition."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.nn.attention import MultiHeadAttention
from nlpladder.nn.masks import move_padding_right, reverse_within_length
from nlpladder.nn.pooling import AttentionPooling, masked_max, masked_mean
from nlpladder.nn.positions import sinusoidal_positions


def right_mask(lengths, width):
    return torch.arange(width).unsqueeze(0) < torch.tensor(lengths).unsqueeze(1)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4))
def test_reversing_twice_gives_the_input_and_once_reverses_each_text(lengths):
    states = torch.arange(len(lengths) * 6 * 2, dtype=torch.float32).view(len(lengths), 6, 2)
    mask = right_mask(lengths, 6)
    once = reverse_within_length(states, mask)
    assert torch.equal(reverse_within_length(once, mask), states)
    for row, length in enumerate(lengths):
        assert torch.equal(once[row, :length], states[row, :length].flip(0))
        assert torch.equal(once[row, length:], states[row, length:])


def test_padding_on_the_left_moves_right_and_keeps_the_order():
    ids = torch.tensor([[0, 0, 5, 6], [7, 8, 9, 0]])
    moved, mask = move_padding_right(ids, ids.ne(0))
    assert moved.tolist() == [[5, 6, 0, 0], [7, 8, 9, 0]]
    assert mask.tolist() == [[True, True, False, False], [True, True, True, False]]


def test_pooling_looks_at_tokens_only():
    torch.manual_seed(0)
    hidden, mask = torch.randn(3, 5, 4), right_mask([5, 2, 0], 5)
    poisoned = hidden.masked_fill(~mask.unsqueeze(-1), 1e9)
    torch.testing.assert_close(masked_mean(hidden * mask.unsqueeze(-1), mask)[1], hidden[1, :2].mean(0))
    torch.testing.assert_close(masked_max(poisoned, mask)[1], hidden[1, :2].amax(0))
    assert masked_max(poisoned, mask)[2].tolist() == [0.0] * 4
    pooling = AttentionPooling(4)
    pooled, weights = pooling(hidden, mask)
    torch.testing.assert_close(weights[:2].sum(1), torch.ones(2))
    assert weights[1, 2:].tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(pooled[1], (weights[1, :2, None] * hidden[1, :2]).sum(0))


def test_attention_equals_torchs_and_its_own_explicit_path():
    torch.manual_seed(0)
    ours = MultiHeadAttention(12, 3).eval()
    reference = torch.nn.MultiheadAttention(12, 3, batch_first=True).eval()
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        reference.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        reference.out_proj.weight.copy_(ours.output.weight)
        reference.out_proj.bias.copy_(ours.output.bias)
    queries, keys, mask = torch.randn(2, 4, 12), torch.randn(2, 6, 12), right_mask([6, 3], 6)
    expected, expected_weights = reference(queries, keys, keys, key_padding_mask=~mask, average_attn_weights=False)
    allowed = mask[:, None, None, :]
    fused, none = ours(queries, keys, allowed=allowed)
    explicit, weights = ours(queries, keys, allowed=allowed, need_weights=True)
    assert none is None
    torch.testing.assert_close(fused, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(explicit, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(weights, expected_weights, atol=1e-6, rtol=1e-5)


def test_attention_refuses_heads_that_do_not_divide_the_width():
    with pytest.raises(ValueError, match="not divisible"):
        MultiHeadAttention(10, 3)


@pytest.mark.parametrize("width", [6, 7])
def test_positions_are_those_of_the_paper(width):
    table = sinusoidal_positions(5, width)
    assert table.shape == (5, width)
    for position in range(5):
        for column in range(width):
            angle = position / 10_000 ** (2 * (column // 2) / width)
            expected = math.sin(angle) if column % 2 == 0 else math.cos(angle)
            assert table[position, column].item() == pytest.approx(expected, abs=1e-5)
