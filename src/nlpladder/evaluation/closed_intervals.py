"""Intervals in closed form, for the scores on which the bootstrap says nothing: all right, all wrong, all alike.

A system that is right on all of 12 examples is right on every resample of them, so that the bootstrap gives the
interval from 100 to 100: a statement of certainty made of no evidence at all. What 12 right answers do say is told by
the score interval of Wilson (1927): values of p from n / (n + z^2) up, here 75.8 %. What is no share has an interval
here only where one follows from that:

* A share of examples: Wilson's interval. Also where the bootstrap has a width but is known to be too narrow: up to 40
  examples (Brown, Cai and DasGupta 2001 recommend Wilson's there), or fewer than five examples right or wrong.
* A mean of values from 0 to 1 that are all at one end: it is at least the share of examples that reach the end (all
  values are at least 0), so that Wilson's interval of that share bounds it. It may be wider than need be.
* The same with unlike weights, as groups or sentences of several words: the number of trials is Kish's (1965) effective
  one, (sum w)^2 / sum w^2. It supposes that a group is right or wrong as a whole, which is the worst case.
* Balanced accuracy, a mean of one share a class: the lowest mean recall under which all would be right with the chance
  that they have at Wilson's bound of the accuracy. With equally many examples a class the two bounds are one.
* ROC AUC: of m positives and m' negatives, min(m, m') pairs can be made that share no example. They are independent
  trials, each ordered rightly with probability AUC: Wilson's interval of them. The mean over several classes is at
  least the smallest of their areas, so that the class with the fewest pairs bounds it.
* The paired difference of two shares where no example differs, or all differ one way: Tango's score interval (1998),
  which has a closed form there.

F1, the Matthews correlation, BLEU, correlations and losses depend on more than how many are right (a single error can
cost much or little): they get no interval, and the score says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.evaluation.calibration import wilson_interval
from nlpladder.evaluation.resampling import Groups, group_indices

Float = npt.NDArray[np.float64]

#: How the method of a score begins that has a value but, all resamples being alike, no interval.
NO_INTERVAL = "no interval"
#: Up to so many examples a share gets Wilson's interval (Brown, Cai and DasGupta 2001, section 5).
SMALL_SAMPLE = 40
#: The same where fewer examples than these are right, or wrong.
FEW_COUNTS = 5
#: Sums on the fixed-point grid are exact; ratios of them are equal up to the last digits of double precision.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class ClosedInterval:
    """An interval that is no bootstrap, or the statement that there is none.

    Attributes:
        low: Lower end; None if there is no interval.
        high: Upper end.
        method: How it was computed; begins with `NO_INTERVAL` if there is none.
        note: What a reader must know besides.
    """

    low: float | None
    high: float | None
    method: str
    note: str = ""


def has_no_spread(replicates: Float) -> bool:
    """Return whether the resamples that have a value, at least two, have the same one up to rounding."""
    valid = replicates[~np.isnan(replicates)]
    return len(valid) > 1 and float(np.ptp(valid)) <= _ROUNDING * float(np.abs(valid).max())


def is_small_share(share: float, examples: float) -> bool:
    """Return whether the bootstrap of a share of independent examples is known to be too narrow (see the module)."""
    right = round(share * examples)
    return examples <= SMALL_SAMPLE or min(right, examples - right) < FEW_COUNTS


def effective_trials(weights: npt.ArrayLike) -> float:
    """Return the effective number of equal trials, (sum w)^2 / sum w^2 (Kish 1965, section 11.7); 0 without weights."""
    values = np.asarray(weights, dtype=np.float64)
    squares = float(values @ values)
    return float(values.sum()) ** 2 / squares if squares else 0.0


def group_sizes(groups: Groups | None, examples: int) -> Float:
    """Return the number of examples of each group, (groups,); without groups each example is one."""
    return np.ones(examples) if groups is None else np.bincount(group_indices(groups, examples)[0]).astype(np.float64)


def no_interval(value: float, best: float | None, n: int, *, unit_name: str = "examples") -> ClosedInterval:
    """Return the statement that a score has no interval since all resamples are alike.

    Args:
        value: The score.
        best: Its best possible value, or None.
        n: Number of examples.
        unit_name: What the examples are called.
    """
    what = f"{n:,} {unit_name}"
    if best is not None and _same(value, best):
        note = f"Perfect on all {what}: every resample is, so that they tell of no interval."
    else:
        note = f"Every resample of the {what} has this value: they tell of no interval."
    return ClosedInterval(None, None, f"{NO_INTERVAL}: all resamples of {unit_name} have the same value", note)


def share_interval(value: float, trials: float, confidence: float, *, unit_name: str = "examples") -> ClosedInterval:
    """Return Wilson's interval (1927) of a share.

    Args:
        value: The share, from 0 to 1.
        trials: Number of examples, or the effective one.
        confidence: Level.
        unit_name: What the trials are called.
    """
    low, high = wilson_interval(value * trials, trials, confidence)
    shown = f"{trials:,.0f}" if float(trials).is_integer() else f"{trials:,.1f} effective"
    return ClosedInterval(low, high, f"Wilson's interval of a share of {shown} {unit_name}")


def end_interval(
    value: float, trials: float, confidence: float, *, unit_name: str = "examples", what: str = ""
) -> ClosedInterval | None:
    """Return Wilson's interval of a mean of values from 0 to 1 that are all 0 or all 1; None for any other value.

    Args:
        value: The mean.
        trials: Number of examples, or the effective one.
        confidence: Level.
        unit_name: What the trials are called.
        what: Why the interval holds where the mean is no share; ends the method.
    """
    for end in (0.0, 1.0):
        if _same(value, end) and trials >= 1:
            found = share_interval(end, trials, confidence, unit_name=unit_name)
            return ClosedInterval(found.low, found.high, found.method + (f", {what}" if what else ""))
    return None


def recall_interval(value: float, counts: Sequence[int], confidence: float) -> ClosedInterval | None:
    """Return the interval of the balanced accuracy where all examples are right, or all wrong; else None.

    The lower end is the least mean of recalls r_k under which all n = sum n_k examples are right with a chance, the
    product of r_k^n_k, of at least w^n, w being the lower end of Wilson's interval of the accuracy. With the logarithms
    of r_k as variables that is convex: r_k = min(1, c n_k), with c from the condition.

    Args:
        value: The balanced accuracy.
        counts: Examples of each class; classes without any are left out, as the balanced accuracy leaves them out.
        confidence: Level.

    Raises:
        DataError: If there is no example.
    """
    sizes = np.sort(np.asarray([count for count in counts if count], dtype=np.float64))
    if not len(sizes):
        raise DataError("No class has an example: a balanced accuracy of none has no interval.")
    end = next((end for end in (0.0, 1.0) if _same(value, end)), None)
    if end is None:
        return None
    total = float(sizes.sum())
    log_chance = total * float(np.log(wilson_interval(total, total, confidence)[0]))
    scale = 0.0
    for uncapped in range(1, len(sizes) + 1):  # the smallest classes fall below 1 first
        small = sizes[:uncapped]
        scale = float(np.exp((log_chance - small @ np.log(small)) / small.sum()))
        if uncapped == len(sizes) or scale * sizes[uncapped] >= 1.0:
            break
    bound = float(np.minimum(1.0, scale * sizes).mean())
    low, high = (bound, 1.0) if end else (0.0, 1.0 - bound)
    return ClosedInterval(
        low,
        high,
        f"worst recalls of {len(sizes)} classes that are as likely as Wilson's bound of {total:,.0f} examples",
    )


def area_interval(value: float, positives: Sequence[int], examples: int, confidence: float) -> ClosedInterval | None:
    """Return the interval of a ROC AUC, or mean of several, where all pairs are ordered one way; else None.

    Args:
        value: The area.
        positives: Positive examples of each area.
        examples: All examples, those of each area.
        confidence: Level.
    """
    pairs = min((min(count, examples - count) for count in positives), default=0)
    return end_interval(value, pairs, confidence, unit_name="pairs that share no example")


def difference_interval(difference: float, trials: float, confidence: float) -> tuple[float, float] | None:
    """Return Tango's interval (1998, equation 7) of a paired difference of shares that is the same on every example.

    Where both systems are right on the same examples it is +-z^2 / (n + z^2); where one is right on all and the other
    on none, from (n - z^2) / (n + z^2) to 1. None for differences other than -1, 0 and 1, which are no shares.

    Args:
        difference: A minus B on every example.
        trials: Number of examples, or the effective one.
        confidence: Level.
    """
    if trials < 1:
        return None
    reach = 1.0 - wilson_interval(trials, trials, confidence)[0]
    if _same(difference, 0.0):
        return -reach, reach
    if _same(difference, 1.0):
        return 1.0 - 2.0 * reach, 1.0
    return (-1.0, 2.0 * reach - 1.0) if _same(difference, -1.0) else None


def _same(value: float, other: float) -> bool:
    return abs(value - other) <= _ROUNDING
