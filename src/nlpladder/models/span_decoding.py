"""From the logits of begin and end to answers: the best spans over all windows of a text.

The score of a span is the sum of the logit of its first piece as a beginning and of its last piece as an end (Devlin
et al. 2019, section 4.2). A span must lie in the text, must not end before it begins, and is at most so many pieces
long. A span that several windows show has the best of its scores. Probabilities are a softmax over all spans of all
windows, which share one normaliser (Clark and Gardner 2018, section 3), with "no answer" among them where it may be
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nlpladder.models.text_windows import Ints, Window

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SpanScores:
    """The scores of all spans of one text.

    Attributes:
        scores: Of the span that begins at piece i and has j + 1 pieces, (pieces, longest); minus infinity where no
            window holds it whole.
        null: Score of "no answer": the smallest over the windows of the scores at the first special token (Devlin et
            al. 2019, section 4.3; a window without an answer points there, so that one that found an answer decides).
    """

    scores: Floats
    null: float


def span_scores(
    windows: Sequence[Window],
    starts: Sequence[npt.NDArray[np.float32]],
    ends: Sequence[npt.NDArray[np.float32]],
    *,
    pieces: int,
    longest: int,
) -> SpanScores:
    """Score every span of a text.

    Args:
        windows: Of one question and its text.
        starts: Logits of the beginning at each token of each window, (tokens,).
        ends: Logits of the end, (tokens,).
        pieces: Of the text.
        longest: Pieces of an answer at most.
    """
    scores = np.full((pieces, longest), -np.inf)
    null = np.inf
    for window, start, end in zip(windows, starts, ends, strict=True):
        null = min(null, float(start[0]) + float(end[0]))
        if not window.count:
            continue  # a text of which the tokenizer keeps nothing
        inside = slice(window.offset, window.offset + window.count)
        begin = start[inside].astype(np.float64)  # (count,)
        # Row i of the view is end[i], end[i + 1], …, minus infinity behind the window.
        padded = np.concatenate([end[inside].astype(np.float64), np.full(longest - 1, -np.inf)])
        found = begin[:, None] + np.lib.stride_tricks.sliding_window_view(padded, longest)  # (count, longest)
        here = scores[window.first : window.first + window.count]
        np.maximum(here, found, out=here)
    return SpanScores(scores, null)


def best_spans(
    found: SpanScores, first_characters: Ints, last_characters: Ints, *, count: int
) -> list[tuple[int, int, float]]:
    """Return the best spans as (first character, behind the last, score), the best first.

    Spans of the same characters (pieces may be parts of one character) are one; of equal scores the earlier and then
    the shorter one is first.

    Args:
        found: Scores of the spans.
        first_characters: Where each piece begins, (pieces,).
        last_characters: Behind the end of each piece, (pieces,).
        count: Spans at most.
    """
    _pieces, longest = found.scores.shape
    flat = found.scores.reshape(-1)
    wanted = min(len(flat), count)
    while True:
        top = np.argpartition(-flat, wanted - 1)[:wanted] if wanted < len(flat) else np.arange(len(flat))
        # argpartition takes any of equal scores: all of them must be there before they are put in order.
        if wanted < len(flat):
            top = np.flatnonzero(flat >= flat[top].min())
        top = top[np.isfinite(flat[top])]
        order = top[np.lexsort((top, -flat[top]))]
        chosen: dict[tuple[int, int], float] = {}
        for place in order.tolist():
            first, extra = divmod(place, longest)
            span = int(first_characters[first]), int(last_characters[first + extra])
            if span[0] < span[1]:
                chosen.setdefault(span, float(flat[place]))
        if len(chosen) >= count or wanted >= len(flat):
            return [(start, end, score) for (start, end), score in list(chosen.items())[:count]]
        wanted = min(len(flat), 4 * wanted)


def log_normalizer(found: SpanScores, *, with_null: bool) -> float:
    """Return the logarithm of the sum over all spans, and "no answer" if it may be one, of exp(score)."""
    from scipy.special import logsumexp

    spans = float(logsumexp(found.scores)) if found.scores.size else -np.inf
    return float(np.logaddexp(spans, found.null)) if with_null else spans


def answer_position(
    window: Window, first_characters: Ints, last_characters: Ints, span: tuple[int, int] | None
) -> tuple[int, int]:
    """Return where an answer begins and ends in a window's tokens; (0, 0), the first special token, where it is not.

    Args:
        window: Of the text.
        first_characters: Where each piece of the text begins, (pieces,).
        last_characters: Behind the end of each piece, (pieces,).
        span: Begin and end of the answer in characters; None for no answer.
    """
    pieces = answer_pieces(first_characters, last_characters, span)
    if pieces is None or pieces[0] < window.first or pieces[1] >= window.first + window.count:
        return 0, 0
    return window.offset + pieces[0] - window.first, window.offset + pieces[1] - window.first


def answer_pieces(
    first_characters: Ints, last_characters: Ints, span: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return the first and the last piece that hold characters of an answer, None where no piece does."""
    if span is None:
        return None
    first = int(np.searchsorted(last_characters, span[0], side="right"))
    last = int(np.searchsorted(first_characters, span[1], side="left")) - 1
    return (first, last) if first <= last else None
