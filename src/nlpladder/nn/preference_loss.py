"""Direct preference optimisation: the loss over pairs of answers, and the reward that it learns without a reward model.

Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
arXiv:2305.18290.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nlpladder.errors import ConfigError


def implicit_reward(policy: Tensor, reference: Tensor, *, beta: float) -> Tensor:
    """Return the reward of answers, equation 5 without the term that is the same for all answers to one prompt.

    r(x, y) = beta * log(pi(y | x) / pi_ref(y | x)) (+ beta * log Z(x), which cancels in every comparison.)

    Args:
        policy: log pi(y | x) of the model that is trained, summed over the answer's tokens, shape (answers,).
        reference: log pi_ref(y | x) of the model before training, shape (answers,).
        beta: How strongly the policy is held to the reference; larger is tighter.
    """
    return beta * (policy - reference)


def dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the loss of each pair, equation 7: the better answer y_w shall have the higher implicit reward than y_l.

    -log sigmoid(beta * log(pi(y_w|x) / pi_ref(y_w|x)) - beta * log(pi(y_l|x) / pi_ref(y_l|x)))

    With `label_smoothing` e, the pair is taken to be labelled the wrong way round with probability e (conservative DPO;
    Mitchell 2023, "A note on DPO with noisy preferences & relationship to IPO"): (1 - e) loss(w, l) + e loss(l, w).

    Args:
        policy_chosen: log pi(y_w | x), summed over the answer's tokens, in nats, shape (pairs,).
        policy_rejected: log pi(y_l | x), shape (pairs,).
        reference_chosen: log pi_ref(y_w | x), shape (pairs,); without gradient.
        reference_rejected: log pi_ref(y_l | x), shape (pairs,); without gradient.
        beta: How strongly the policy is held to the reference.
        label_smoothing: The share of pairs that are taken to be labelled wrongly, from 0 to below 0.5.

    Returns:
        Shape (pairs,), float32; ln 2 where policy and reference are the same model.

    Raises:
        ConfigError: for a beta that is not above 0, or a share outside of [0, 0.5).
    """
    check_preference_settings(beta, label_smoothing)
    chosen = implicit_reward(policy_chosen.float(), reference_chosen.float(), beta=beta)
    rejected = implicit_reward(policy_rejected.float(), reference_rejected.float(), beta=beta)
    margin = chosen - rejected  # (pairs,)
    return -(1.0 - label_smoothing) * F.logsigmoid(margin) - label_smoothing * F.logsigmoid(-margin)


def reward_accuracy(margins: Tensor) -> Tensor:
    """Return for each pair 1 where the better answer has the higher reward, 0 where the worse has, 1/2 for a tie.

    Args:
        margins: Reward of the better answer minus that of the worse, shape (pairs,).
    """
    return torch.where(margins == 0, 0.5, (margins > 0).to(torch.float32))


def check_preference_settings(beta: float, label_smoothing: float) -> None:
    """Check the settings of `dpo_loss`.

    Raises:
        ConfigError: for a beta that is not above 0, or a share outside of [0, 0.5).
    """
    if not beta > 0:
        raise ConfigError(f"beta must be above 0, got {beta}; 0.1 is usual.")
    if not 0 <= label_smoothing < 0.5:
        raise ConfigError(
            f"label_smoothing is the share of pairs labelled the wrong way round, from 0 to below 0.5; got "
            f"{label_smoothing}."
        )
