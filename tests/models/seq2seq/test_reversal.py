"""A task that must be learnt in seconds: write a sequence backwards."""

from __future__ import annotations

import pytest

from models.seq2seq.seq2seq_helpers import exact_match, reversal_batch, train_reversal

STEPS = 300


@pytest.fixture(scope="module")
def reverser():
    return train_reversal("additive", steps=STEPS)


def test_with_attention_reversal_is_learnt_to_exact_match(reverser):
    assert exact_match(reverser) == 1.0
    assert exact_match(reverser, num_beams=4) == 1.0


def test_the_alignment_of_a_learnt_reversal_is_the_anti_diagonal(reverser):
    ids, targets = reversal_batch(30, seed=0)
    weights = reverser(ids, labels=targets, output_attentions=True).cross_attentions[0][:, 0]  # (batch, target, source)
    hits = total = 0
    for row, tokens in enumerate(ids):
        length = int(tokens.ne(0).sum()) - 1
        best = weights[row, :length].argmax(dim=-1).tolist()
        # The recurrent state of a neighbour tells a token as well; it must be within one place of the anti-diagonal.
        hits += sum(abs(place - (length - 1 - step)) <= 1 for step, place in enumerate(best))
        total += length
    assert hits / total > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["dot", "general", "concat"])
def test_luongs_scores_learn_it_too(attention):
    assert exact_match(train_reversal(attention, steps=STEPS)) >= 0.97


@pytest.mark.slow
def test_without_attention_it_is_worse(reverser):
    """With the same number of steps, data and size: one vector must hold the whole sequence."""
    assert exact_match(train_reversal("none", steps=STEPS)) < exact_match(reverser) - 0.2
