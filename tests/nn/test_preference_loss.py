"""DPO's loss against a plain reading of the formula, its gradient against differences, and what it must do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError
from nlpladder.nn.preference_loss import dpo_loss, implicit_reward, reward_accuracy

LOGPROB = st.floats(min_value=-200.0, max_value=0.0)


def plain_reading(policy_w, policy_l, reference_w, reference_l, beta, epsilon=0.0):
    """Equation 7 for one pair, written out with probabilities' logarithms and math only."""
    ratio_w, ratio_l = policy_w - reference_w, policy_l - reference_l
    right = 1.0 / (1.0 + math.exp(-(beta * ratio_w - beta * ratio_l)))
    wrong = 1.0 / (1.0 + math.exp(-(beta * ratio_l - beta * ratio_w)))
    return -(1.0 - epsilon) * math.log(right) - epsilon * math.log(wrong)


@settings(deadline=None, max_examples=60)
@given(LOGPROB, LOGPROB, LOGPROB, LOGPROB, st.floats(0.01, 0.9), st.floats(0.0, 0.49))
def test_equals_the_formula(policy_w, policy_l, reference_w, reference_l, beta, epsilon):
    numbers = (policy_w, policy_l, reference_w, reference_l)
    found = dpo_loss(*(torch.tensor([one], dtype=torch.float64) for one in numbers), beta=beta, label_smoothing=epsilon)
    expected = plain_reading(*(float(np.float32(one)) for one in numbers), beta, epsilon)
    assert found.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_gradient_is_that_of_small_differences():
    generator = np.random.default_rng(0)
    numbers = generator.uniform(-9, 0, size=(4, 5))
    policy = [torch.tensor(row, requires_grad=True) for row in numbers[:2]]
    reference = [torch.tensor(row) for row in numbers[2:]]
    dpo_loss(*policy, *reference, beta=0.3, label_smoothing=0.1).sum().backward()
    step = 1e-4
    for side in range(2):
        for pair in range(5):
            ends = []
            for sign in (1, -1):
                moved = numbers.copy()
                moved[side, pair] += sign * step
                ends.append(sum(plain_reading(*moved[:, k], 0.3, 0.1) for k in range(5)))
            numeric = (ends[0] - ends[1]) / (2 * step)
            assert policy[side].grad[pair].item() == pytest.approx(numeric, rel=1e-3, abs=1e-5)


def test_gradient_is_weighted_by_how_wrong_the_reward_is():
    """Rafailov et al., section 4: the gradient is -beta * sigmoid(rejected reward - chosen reward) on the chosen."""
    policy = torch.tensor([-3.0, -8.0], requires_grad=True)
    rejected = torch.tensor([-4.0, -2.0])
    reference = torch.tensor([-5.0, -5.0])
    dpo_loss(policy, rejected, reference, reference, beta=0.5).sum().backward()
    reward = implicit_reward(policy, reference, beta=0.5) - implicit_reward(rejected, reference, beta=0.5)
    assert policy.grad.tolist() == pytest.approx((-0.5 * torch.sigmoid(-reward)).tolist(), rel=1e-5)
    assert abs(policy.grad[1]) > abs(policy.grad[0])


def test_a_policy_that_is_its_reference_has_loss_ln_2():
    logprobs = torch.tensor([-1.0, -700.0])
    assert dpo_loss(logprobs, logprobs - 5, logprobs, logprobs - 5, beta=0.1).tolist() == pytest.approx(
        [math.log(2.0)] * 2, abs=1e-7
    )


def test_extreme_margins_stay_finite_and_half_precision_is_computed_in_float32():
    far = torch.tensor([-1e6, 0.0])
    losses = dpo_loss(far, far.flip(0), torch.zeros(2), torch.zeros(2), beta=1.0)
    assert losses.tolist() == pytest.approx([1e6, 0.0])
    assert dpo_loss(*[torch.zeros(1, dtype=torch.bfloat16)] * 4).dtype == torch.float32


def test_smoothing_keeps_the_loss_of_a_sure_pair_from_vanishing():
    sure = dpo_loss(torch.tensor([50.0]), torch.zeros(1), torch.zeros(1), torch.zeros(1), beta=1.0, label_smoothing=0.1)
    assert sure.item() == pytest.approx(5.0)


def test_accuracy_counts_ties_half():
    assert reward_accuracy(torch.tensor([2.0, -1.0, 0.0])).tolist() == [1.0, 0.0, 0.5]


@pytest.mark.parametrize(("beta", "smoothing"), [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (0.1, 0.5), (0.1, -0.1)])
def test_settings_without_meaning_are_refused(beta, smoothing):
    with pytest.raises(ConfigError, match="beta must be above 0|label_smoothing is the share"):
        dpo_loss(*[torch.zeros(1)] * 4, beta=beta, label_smoothing=smoothing)
