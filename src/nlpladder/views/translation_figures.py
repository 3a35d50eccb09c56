"""Translation quality by length of the source sentence, with intervals (after Bahdanau et al. 2015, figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nlpladder.errors import DataError
from nlpladder.views.figures import COLOURS, LINES, MARKERS, new_figure, plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlpladder.evaluation.translation_slices import LengthBin


def score_by_length_figure(
    systems: Mapping[str, Sequence[LengthBin]],
    *,
    score_label: str = "BLEU, with its interval",
    length_label: str = "length of the source sentence",
    title: str = "",
) -> Figure:
    """Draw the score of each system by mean length of the sentences of each bin.

    Args:
        systems: The bins of each system, as ``bleu_by_length`` returns.
        score_label: Name of the score.
        length_label: Name of the length, with its unit.
        title: Heading; empty for none.

    Raises:
        DataError: If there is nothing to draw.
    """
    if not any(one.score.mean.value is not None for bins in systems.values() for one in bins):
        raise DataError("There is no score by length to draw: give the bins of at least one system.")
    figure = new_figure(6.5, 4.2)
    axes = figure.add_subplot()
    for number, (name, bins) in enumerate(systems.items()):
        drawn = [(one.mean_length, one.score.mean) for one in bins if one.score.mean.value is not None]
        x = [length for length, _ in drawn]
        y = [float(score.value) for _, score in drawn if score.value is not None]
        below = [
            0.0 if mean.low is None else max(0.0, value - mean.low) for value, (_, mean) in zip(y, drawn, strict=True)
        ]
        above = [
            0.0 if mean.high is None else max(0.0, mean.high - value) for value, (_, mean) in zip(y, drawn, strict=True)
        ]
        axes.errorbar(
            x, y, yerr=[below, above], capsize=3, markersize=5, color=COLOURS[number % len(COLOURS)],
            linestyle=LINES[number % len(LINES)], marker=MARKERS[number % len(MARKERS)], label=plain_text(name, 40),
        )  # fmt: skip
    axes.set(xlabel=length_label, ylabel=score_label, title=plain_text(title, 80))
    axes.grid(True, alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    return figure
