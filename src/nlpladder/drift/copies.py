"""Copies: how many independent texts a window of traffic is worth, when some were sent again and again."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def text_hash(text: str) -> int:
    """Return 32 bits of a text, by which copies are known."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def chance_of_copies(hashes: Sequence[int] | npt.NDArray[np.uint32]) -> float:
    """Return the share of all pairs of texts that are copies: what two texts drawn at random would be.

    Args:
        hashes: Of the texts, (texts,); 0 for fewer than two.
    """
    count = len(hashes)
    if count < 2:
        return 0.0
    copies = np.unique(np.asarray(hashes), return_counts=True)[1].astype(np.float64)
    return float((copies * (copies - 1)).sum() / (count * (count - 1)))


def effective_size(hashes: Sequence[int] | npt.NDArray[np.uint32], natural: float) -> float:
    """Return how many independent texts a window is worth.

    A user or a program that sends one text k times brings the information of one. The variance of a mean of n texts
    in clusters of k grows by 1 + (k - 1) r, the design effect of Kish (1965), where r is the correlation within a
    cluster, 1 for copies. Taken over all pairs, that is 1 + (n - 1) e with e the share of pairs that are copies
    beyond those that occur naturally ("hello" is sent by many). Texts that are alike and no copies are not seen.

    Args:
        hashes: Of the texts of the window, (texts,).
        natural: `chance_of_copies` of the held-out texts.
    """
    count = len(hashes)
    shares = np.unique(np.asarray(hashes), return_counts=True)[1] / max(count, 1)
    # The share of pairs has an error of its own, of which the design effect would make n times as much: only what is
    # beyond three standard errors (of a U-statistic, Hoeffding 1948) is taken for copies of one sender.
    error = 2.0 * math.sqrt(max(0.0, float((shares**3).sum() - (shares**2).sum() ** 2)) / max(count, 1))
    return count / (1.0 + (count - 1) * max(0.0, chance_of_copies(hashes) - natural - 3.0 * error))
