"""What a language model expects: the distribution of the next token, and the surprisal of a text token by token.

Surprisal is -log2 p(token | what came before), in bits (Shannon 1951; Hale 2001): 0 where the token was certain, and
one more for each halving of its probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.views.figures import COLOURS, new_figure, plain_text
from nlpladder.views.token_labels import label_tokens, text_options, token_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Float = npt.NDArray[np.float64]
_TOKENS_PER_LINE = 40
_INCHES_PER_TOKEN = 0.24


def next_token_figure(
    probabilities: npt.ArrayLike,
    vocabulary: Sequence[str],
    *,
    top: int = 10,
    true_token: int | None = None,
    title: str = "",
) -> Figure:
    """Draw the most probable next tokens as bars, with the true one marked, below them if it is not among them.

    Args:
        probabilities: Of every token, (vocabulary,).
        vocabulary: The tokens, (vocabulary,).
        top: How many to draw.
        true_token: Number of the token that came; None if unknown.
        title: Heading, such as the text before; empty for none.

    Raises:
        DataError: If shapes do not fit, a number is no probability, or the true token is not in the vocabulary.
    """
    shares = np.asarray(probabilities, dtype=np.float64)
    if shares.shape != (len(vocabulary),) or not len(vocabulary):
        raise DataError(f"The probabilities have shape {shares.shape}: expected ({len(vocabulary)},), one per token.")
    if not ((shares >= 0.0) & (shares <= 1.0 + 1e-6)).all():
        wrong = int(np.flatnonzero(~((shares >= 0.0) & (shares <= 1.0 + 1e-6)))[0])
        raise DataError(f"The probability of token {wrong} is {shares[wrong]}: it must be between 0 and 1.")
    if true_token is not None and not 0 <= true_token < len(vocabulary):
        raise DataError(f"The true token is {true_token}: the vocabulary has {len(vocabulary)}, counted from 0.")
    if top < 1:
        raise DataError(f"top is {top}: draw at least one token.")
    order = np.argsort(-shares, kind="stable")
    shown = order[:top].tolist()
    if true_token is not None and true_token not in shown:
        shown.append(true_token)
    names = token_labels([vocabulary[token] for token in shown], length=24)
    figure = new_figure(5.5, 1.2 + 0.27 * len(shown))
    axes = figure.add_subplot()
    colours = [COLOURS[1] if token == true_token else COLOURS[0] for token in shown]
    bars = axes.barh(range(len(shown)), shares[shown], color=colours)
    for bar, token in zip(bars, shown, strict=True):
        note = f"{100 * shares[token]:.3g} %"
        if token == true_token:
            rank = int(np.flatnonzero(order == token)[0]) + 1
            note += f", the true token, rank {rank:,}"
            bar.set_hatch("//")  # not by colour alone
        axes.annotate(
            note, (bar.get_width(), bar.get_y() + bar.get_height() / 2), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=7,
        )  # fmt: skip
    axes.set_yticks(range(len(shown)), names, **text_options())
    axes.invert_yaxis()
    axes.set_xlim(0.0, min(1.0, float(shares[shown].max())) * 1.45 + 1e-9)
    axes.set(xlabel="probability", title=plain_text(title, 60))
    return figure


def surprisal_figure(
    tokens: Sequence[str], surprisals: npt.ArrayLike, *, unit: str = "bits", title: str = ""
) -> Figure:
    """Draw the surprisal of each token as a bar over it; a long text runs over several lines.

    Args:
        tokens: The text, (tokens,).
        surprisals: Of each token, (tokens,); NaN for one that was not predicted, such as the first. An infinite one
            is drawn to the top of the axis and marked.
        unit: Of the surprisals.
        title: Heading; empty for none.

    Raises:
        DataError: If the lengths differ, there is no token, or a surprisal is negative.
    """
    values = check_surprisals(tokens, surprisals)
    finite = values[np.isfinite(values)]
    most = float(finite.max(initial=0.0)) or 1.0
    starts = range(0, len(tokens), _TOKENS_PER_LINE)
    widest = min(len(tokens), _TOKENS_PER_LINE)
    across = max(3.0, _INCHES_PER_TOKEN * widest)
    figure = new_figure(across + 0.8, 1.75 * len(starts) + (0.5 if title else 0.1))
    panels = figure.subplots(len(starts), 1, squeeze=False, sharey=True)[:, 0]
    for axes, start in zip(panels, starts, strict=True):
        line = values[start : start + _TOKENS_PER_LINE]
        heights = np.where(np.isposinf(line), 1.1 * most, np.nan_to_num(line))
        bars = axes.bar(range(len(line)), heights, color=COLOURS[0])
        for place in np.flatnonzero(np.isposinf(line)):
            bars[place].set_color(COLOURS[1])
            axes.annotate("∞", (place, 1.1 * most), ha="center", va="bottom", fontsize=8, annotation_clip=False)
        mean = float(finite.mean()) if finite.size else 0.0
        axes.axhline(mean, color="grey", linestyle=":", linewidth=1.0)
        axes.set(xlim=(-0.6, widest - 0.4), ylim=(0.0, 1.15 * most), ylabel=unit)
        label_tokens(axes, "x", tokens[start : start + _TOKENS_PER_LINE], across * len(line) / widest)
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(plain_text(title, 80))
    return figure


def check_surprisals(tokens: Sequence[str], surprisals: npt.ArrayLike) -> Float:
    """Return the surprisals as an array, (tokens,).

    Raises:
        DataError: If the lengths differ, there is no token, or a surprisal is negative.
    """
    values = np.asarray(surprisals, dtype=np.float64)
    if values.shape != (len(tokens),) or not len(tokens):
        raise DataError(
            f"The surprisals have shape {values.shape}: expected ({len(tokens)},), one per token, and tokens."
        )
    negative = np.flatnonzero(values < 0.0)
    if negative.size:
        raise DataError(f"The surprisal of token {negative[0]} is {values[negative[0]]}: none is below 0.")
    return values
