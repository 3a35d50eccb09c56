"""How the learning rate goes over a training: a factor of the peak for each update.

Updates are counted from 1, so that the first one of a warm-up has a rate above 0 (transformers counts from 0, and its
first update moves nothing), and a decay reaches its floor with the update after the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nlpladder.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from nlpladder.training.sequence_options import SequenceTrainingOptions

Schedule = Callable[[int], float]


def warmup(update: int, steps: int) -> float:
    """Return t / W for update t <= W, and 1 after: a rise in equal steps to the peak."""
    return min(1.0, update / steps) if steps > 0 else 1.0


def inverse_sqrt(update: int, *, warmup_steps: int) -> float:
    r"""Return the schedule of Vaswani et al. 2017, equation 3, as a share of its peak.

    .. math:: \frac{lrate(t)}{lrate(W)} = \sqrt W \min(t^{-1/2},\ t \, W^{-3/2}) = \min(\sqrt{W / t},\ t / W)

    Args:
        update: t, from 1.
        warmup_steps: W; at least 1 is taken.
    """
    steps = max(warmup_steps, 1)
    return min(math.sqrt(steps / update), update / steps)


def decay(update: int, *, warmup_steps: int, total_steps: int, floor: float, shape: str) -> float:
    r"""Return warm-up, then a fall from 1 towards `floor`.

    With progress :math:`p = (t - W) / (T + 1 - W)`, the linear shape is :math:`1 - p` and the cosine (Loshchilov and
    Hutter 2017, equation 5, one cycle) is :math:`(1 + \cos \pi p) / 2`.

    Args:
        update: t, from 1.
        warmup_steps: W.
        total_steps: T.
        floor: What update T + 1 would have, as a share of the peak.
        shape: linear or cosine.
    """
    if update <= warmup_steps:
        return warmup(update, warmup_steps)
    peak = max(warmup_steps, 1)
    progress = min(1.0, (update - peak) / (total_steps + 1 - peak)) if total_steps >= peak else 1.0
    left = 1.0 - progress if shape == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return floor + (1.0 - floor) * left


def trapezoid(update: int, *, warmup_steps: int, cooldown_steps: int, total_steps: int, floor: float) -> float:
    """Return a rise, a plateau and a linear fall (warm-up, stable, decay: Zhai et al. 2022; Hägele et al. 2024).

    The last C updates fall: update T - C + i has 1 - i / (C + 1) of the way from the floor to the peak left.

    Args:
        update: t, from 1.
        warmup_steps: Updates of the rise.
        cooldown_steps: C.
        total_steps: T.
        floor: What update T + 1 would have, as a share of the peak.
    """
    rise = warmup(update, warmup_steps)
    left = min(1.0, max(0.0, (total_steps + 1 - update) / (cooldown_steps + 1)))
    return min(rise, floor + (1.0 - floor) * left)


def learning_rate_schedule(options: SequenceTrainingOptions, total_steps: int) -> Schedule:
    """Return the factor of the peak learning rate for each update, counted from 1.

    Args:
        options: Names the schedule; `warmup_steps`, or `warmup_ratio` of the steps where that is 0.
        total_steps: Updates planned.

    Raises:
        ConfigError: for an unknown schedule.
    """
    name, floor = options.lr_scheduler, options.min_learning_rate_ratio
    steps = options.warmup_steps or math.ceil(options.warmup_ratio * total_steps)
    if name in ("linear", "cosine"):
        return lambda update: decay(update, warmup_steps=steps, total_steps=total_steps, floor=floor, shape=name)
    if name == "trapezoid":
        fall = round(options.cooldown_ratio * total_steps)
        return lambda update: trapezoid(
            update, warmup_steps=steps, cooldown_steps=fall, total_steps=total_steps, floor=floor
        )
    if name == "inverse_sqrt":
        return lambda update: inverse_sqrt(update, warmup_steps=steps)
    if name == "constant_with_warmup":
        return lambda update: warmup(update, steps)
    if name == "constant":
        return lambda update: 1.0
    known = ("linear", "cosine", "trapezoid", "inverse_sqrt", "constant", "constant_with_warmup", "plateau")
    raise ConfigError(f"There is no schedule {name!r}.{did_you_mean(name, known)}")


def build_scheduler(optimizer: Any, options: SequenceTrainingOptions, total_steps: int) -> Any:
    """Return the torch scheduler of `options`, stepped after each update; plateau is stepped with validation losses.

    The plateau is that of pytorch's word language model example: the rate falls whenever validation has not reached a
    new best.
    """
    from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

    if options.lr_scheduler == "plateau":
        return ReduceLROnPlateau(
            optimizer, mode="min", factor=options.plateau_factor, patience=options.plateau_patience, threshold=0.0
        )
    schedule = learning_rate_schedule(options, total_steps)
    # torch counts the updates done, which is one less than the number of the update to come.
    return LambdaLR(optimizer, lambda done: schedule(done + 1))


#: Steepness of the inverse sigmoid: k of Bengio et al. 2015, in units in which half of the training is k log k.
_INVERSE_SIGMOID_K = 10.0


def sampling_probability(options: SequenceTrainingOptions, progress: float) -> float:
    """Return the share of the decoder's inputs that are its own guesses (Bengio et al. 2015, section 2.4).

    With e the chance that the true token is fed: ``linear`` lets 1 - e rise in proportion to the progress;
    ``inverse_sigmoid`` is e = k / (k + exp(i / k)).

    Args:
        options: Name the shape, and the share at the end.
        progress: Share of the optimiser steps that are done, 0 to 1.
    """
    if options.sampling_schedule == "linear":
        return options.sampling_probability * progress
    k = _INVERSE_SIGMOID_K
    return options.sampling_probability * (1.0 - k / (k + math.exp(2.0 * math.log(k) * progress)))
