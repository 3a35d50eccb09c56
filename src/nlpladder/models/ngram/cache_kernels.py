"""The kernel of the cache model."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def cache_probabilities(
    words: Any, contexts: Any, pairs: Any, borders: Any, decay: float, bigram_weight: float, running: bool, out: Any
) -> None:
    r"""Predict each token from the tokens before it, recent ones counting more.

    .. math:: c(w) = \sum_{j < t} d^{t-j} [w_j = w], \quad
              p(w) = \mu \frac{c(v w)}{\sum_u c(v u)} + (1 - \mu) \frac{c(w)}{\sum_u c(u)}

    with the word v before w; :math:`\mu = 0` where nothing has followed v yet. Counts are brought up to date only when
    they are looked at.

    Args:
        words: A number from 0 on for each token; shape (tokens,).
        contexts: A number for the token before it; shape (tokens,).
        pairs: A number for both; shape (tokens,).
        borders: Where each text begins, and the end; shape (texts + 1,).
        decay: d.
        bigram_weight: mu.
        running: Whether the cache outlives a text.
        out: Receives the probabilities, -1 where there is no token before; shape (tokens,).
    """
    word_counts = np.zeros(words.max() + 1, np.float64)
    word_times = np.zeros(word_counts.size, np.int64)  # when each count was brought up to date
    pair_counts = np.zeros(pairs.max() + 1, np.float64)
    pair_times = np.zeros(pair_counts.size, np.int64)
    context_counts = np.zeros(contexts.max() + 1, np.float64)
    context_times = np.zeros(context_counts.size, np.int64)
    for text in range(borders.size - 1):
        if text == 0 or not running:
            since = borders[text]
            total = 0.0
        for time in range(borders[text], borders[text + 1]):
            word, context, pair = words[time], contexts[time], pairs[time]
            for counts, times, place in (
                (word_counts, word_times, word),
                (pair_counts, pair_times, pair),
                (context_counts, context_times, context),
            ):
                if times[place] < since:
                    counts[place] = 0.0
                counts[place] *= decay ** (time - times[place])
                times[place] = time
            if total == 0.0:
                out[time] = -1.0
            else:
                unigram = word_counts[word] / total
                out[time] = unigram
                if context_counts[context] > 0.0:
                    bigram = pair_counts[pair] / context_counts[context]
                    out[time] = bigram_weight * bigram + (1.0 - bigram_weight) * unigram
            word_counts[word] += 1.0
            pair_counts[pair] += 1.0
            context_counts[context] += 1.0
            total = (total + 1.0) * decay
