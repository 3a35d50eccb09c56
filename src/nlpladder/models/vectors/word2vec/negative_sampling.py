"""What negative sampling draws from, and the table of its logistic function."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError


def alias_table(counts: npt.NDArray[np.int64], exponent: float) -> npt.NDArray[np.uint64]:
    """Build the table from which a word is drawn in constant time (Walker 1977; Vose 1991).

    Words are drawn in proportion to their counts to the power `exponent` (Mikolov et al. 2013b, section 2.2), exactly,
    where word2vec.c rounds to the cells of a table of 400 MB.

    Args:
        counts: How often each word occurs; shape (words,).
        exponent: 0.75 in the paper; 0 draws all words alike.

    Returns:
        For each word, its alias in the upper 32 bits, and in the lower 32 the share of its cell that is its own;
        shape (words,).

    Raises:
        ConfigError: if the powers are not finite.
    """
    from nlpladder.models.vectors.word2vec.sampling_kernels import fill_alias_table

    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.maximum(counts, 1).astype(np.float64) ** exponent
        shares = weights * (len(counts) / weights.sum())
    if not np.isfinite(shares).all():
        raise ConfigError(f"ns_exponent is {exponent}; counts to this power are not finite. The usual value is 0.75.")
    table = np.empty(len(counts), dtype=np.uint64)
    fill_alias_table(shares, table)
    return table


def sigmoid_table() -> npt.NDArray[np.float32]:
    """Return the logistic function at the middle of each cell, with 0 before the first and 1 behind the last."""
    from nlpladder.models.vectors.word2vec.kernels import LARGEST_SCORE, SIGMOID_CELLS

    middles = (np.arange(SIGMOID_CELLS) + 0.5) * (2 * LARGEST_SCORE / SIGMOID_CELLS) - LARGEST_SCORE
    return np.concatenate([[0], 1 / (1 + np.exp(-middles)), [1]]).astype(np.float32)
