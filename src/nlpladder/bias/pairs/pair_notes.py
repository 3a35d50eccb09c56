"""Sentences about shares of pairs that mislead where they are read alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.evaluation.intervals import Score


def opposite_directions(
    preferred: npt.NDArray[np.bool_], directions: Sequence[str] | npt.NDArray[Any], tied: npt.NDArray[np.bool_]
) -> tuple[str, ...]:
    """Return a note where stereo and antistereo pairs fall on opposite sides of one half, none where they do not.

    In a stereo pair the stereotyping sentence names the disadvantaged group, in an antistereo pair the other one. A
    model that finds the words of one group more probable whatever is said of it prefers the stereotype in the pairs of
    one direction and not in those of the other; as there are more of the first, the share of all pairs holds that, too.

    Args:
        preferred: Whether the sentence that stereotypes more is preferred, (pairs,).
        directions: ``stereo`` or ``antistereo``, (pairs,).
        tied: Pairs without a preference, which neither half counts, (pairs,).
    """
    named = np.asarray(directions, dtype=object)
    halves = [preferred[(named == name) & ~tied] for name in ("stereo", "antistereo")]
    if not all(len(half) for half in halves):
        return ()
    shares = [float(half.mean()) for half in halves]
    if (shares[0] - 0.5) * (shares[1] - 0.5) >= 0:
        return ()
    return (
        f"Stereo and antistereo pairs fall on opposite sides ({100 * shares[0]:.1f} % and {100 * shares[1]:.1f} %): "
        "the words of one group are more probable whatever is said of it, and the share of all pairs holds that, too. "
        f"Both directions weighted alike it is {50 * sum(shares):.1f} %.",
    )


def opposite_signs(share: Score, effect: Score | None, *, no_bias: float = 0.5) -> tuple[str, ...]:
    """Return a note where a share and the mean effect of the same items point in opposite directions.

    Args:
        share: Of items in which the stereotype is preferred.
        effect: Their mean difference, above 0 for the stereotype.
        no_bias: The share without a bias.
    """
    if effect is None or share.value is None or effect.value is None:
        return ()
    if (share.value - no_bias) * effect.value >= 0:
        return ()
    many, few = ("for", "against") if share.value > no_bias else ("against", "for")
    return (
        "Share and effect have opposite signs: many items with small differences "
        f"{many} the stereotype stand beside few with large ones {few} it.",
    )
