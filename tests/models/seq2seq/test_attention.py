"""The attention scores against a NumPy reading of the equations of Bahdanau et al. 2015 and Luong et al. 2015."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlpladder.models.seq2seq import attention as module
from nlpladder.models.seq2seq.attention import (
    AdditiveAttention,
    ConcatAttention,
    DotAttention,
    GeneralAttention,
    additive_mask,
)

HIDDEN, ANNOTATION, SCORE = 6, 6, 5


def read(layer):
    return {name: parameter.detach().numpy().astype(np.float64) for name, parameter in layer.named_parameters()}


def additive(weights, query, annotation):
    """e_ij = v_a^T tanh(W_a s_{i-1} + U_a h_j), Bahdanau A.1.2."""
    inner = weights["query.weight"] @ query + weights["key.weight"] @ annotation + weights["key.bias"]
    return weights["score.weight"][0] @ np.tanh(inner)


def concat(weights, query, annotation):
    """v_a^T tanh(W_a [h_t; h_s]), Luong eq. 8, with one matrix W_a over both."""
    joined = np.concatenate([weights["query.weight"], weights["key.weight"]], axis=1)
    return weights["score.weight"][0] @ np.tanh(joined @ np.concatenate([query, annotation]) + weights["key.bias"])


SCORES = {
    "additive": (lambda: AdditiveAttention(HIDDEN, ANNOTATION, SCORE), additive),
    "concat": (lambda: ConcatAttention(HIDDEN, ANNOTATION, SCORE), concat),
    "dot": (DotAttention, lambda weights, query, annotation: query @ annotation),
    "general": (
        lambda: GeneralAttention(HIDDEN, ANNOTATION),
        lambda weights, query, annotation: query @ weights["key.weight"] @ annotation,
    ),
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_weights_and_contexts_equal_the_equations(name):
    build, equation = SCORES[name]
    torch.manual_seed(0)
    layer = build()
    queries, annotations = torch.randn(2, 4, HIDDEN), torch.randn(2, 5, ANNOTATION)
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    contexts, weights = layer(queries, layer.keys(annotations), annotations, additive_mask(mask))
    parameters = read(layer)
    for row in range(2):
        length = int(mask[row].sum())
        h = annotations[row, :length].numpy().astype(np.float64)
        for step in range(4):
            s = queries[row, step].numpy().astype(np.float64)
            energies = np.array([equation(parameters, s, h[j]) for j in range(length)])
            expected = np.exp(energies - energies.max()) / np.exp(energies - energies.max()).sum()  # eq. 6
            np.testing.assert_allclose(weights[row, step, :length].detach(), expected, atol=1e-6)
            np.testing.assert_allclose(contexts[row, step].detach(), expected @ h, atol=1e-5)  # eq. 5
    assert torch.equal(weights[1, :, 3:], torch.zeros(4, 2))


def test_a_source_without_any_token_gives_finite_weights():
    layer = DotAttention()
    annotations = torch.zeros(1, 3, HIDDEN)
    mask = additive_mask(torch.zeros(1, 3, dtype=torch.bool))
    contexts, weights = layer(torch.randn(1, 2, HIDDEN), annotations, annotations, mask)
    assert torch.isfinite(weights).all()
    assert torch.equal(contexts, torch.zeros(1, 2, HIDDEN))


def test_pieces_of_many_steps_change_nothing(monkeypatch):
    torch.manual_seed(0)
    layer = AdditiveAttention(HIDDEN, ANNOTATION, SCORE)
    queries, annotations = torch.randn(2, 7, HIDDEN), torch.randn(2, 5, ANNOTATION)
    mask = additive_mask(torch.ones(2, 5, dtype=torch.bool))
    whole = layer(queries, layer.keys(annotations), annotations, mask)
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 2 * 2 * 5 * SCORE)
    pieces = layer(queries, layer.keys(annotations), annotations, mask)
    for one, other in zip(whole, pieces, strict=True):
        assert torch.allclose(one, other, atol=1e-7)


def test_weights_are_float32_under_bfloat16_autocast():
    layer = GeneralAttention(HIDDEN, ANNOTATION)
    annotations = torch.randn(1, 50, ANNOTATION)
    with torch.autocast("cpu", torch.bfloat16):
        keys = layer.keys(annotations)
        _, weights = layer(torch.randn(1, 3, HIDDEN), keys, annotations, additive_mask(torch.ones(1, 50).bool()))
    assert weights.dtype == torch.float32
    assert torch.allclose(weights.sum(-1), torch.ones(1, 3), atol=1e-6)
