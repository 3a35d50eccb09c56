"""Discounts: how much each count gives up for what was not seen, from the counts of counts."""

from __future__ import annotations

from collections.abc import Sequence

Discounts = tuple[float, float, float]


class DegenerateDiscountsError(ArithmeticError):
    """The counts of counts give no discounts; the message says why."""


def modified_discounts(counts_of_counts: Sequence[int]) -> Discounts:
    """Return the discounts of counts 1, 2, and 3 or more: Chen and Goodman (1999), equation 26.

        Y = n1 / (n1 + 2 n2),   D(c) = c - (c + 1) Y n(c+1) / n(c)

    Args:
        counts_of_counts: n0 to n4: how many n-grams occur 0 to 4 times.

    Raises:
        DegenerateDiscountsError: where a count of counts is zero, or a discount is not in [0, c].
    """
    for count in (1, 2, 3):
        if counts_of_counts[count] == 0:
            raise DegenerateDiscountsError(f"no n-gram occurs {_times(count)}")
    y = counts_of_counts[1] / (counts_of_counts[1] + 2 * counts_of_counts[2])
    discounts = tuple(
        count - (count + 1) * y * counts_of_counts[count + 1] / counts_of_counts[count] for count in (1, 2, 3)
    )
    for count, discount in enumerate(discounts, start=1):
        if not 0 <= discount <= count:
            raise DegenerateDiscountsError(f"the discount of count {count} would be {discount:.4f}")
    return discounts[0], discounts[1], discounts[2]


def single_discount(counts_of_counts: Sequence[int]) -> Discounts:
    """Return the one discount of absolute discounting and of Kneser-Ney: Ney, Essen and Kneser (1994).

        D = n1 / (n1 + 2 n2)

    Args:
        counts_of_counts: n0 to n4.

    Raises:
        DegenerateDiscountsError: where no n-gram occurs once, so that D would be 0, or none twice, so that it would
            be 1.
    """
    for count in (1, 2):
        if counts_of_counts[count] == 0:
            raise DegenerateDiscountsError(f"no n-gram occurs {_times(count)}")
    discount = counts_of_counts[1] / (counts_of_counts[1] + 2 * counts_of_counts[2])
    return discount, discount, discount


def _times(count: int) -> str:
    return ("never", "once", "twice")[count] if count < 3 else f"{count} times"
