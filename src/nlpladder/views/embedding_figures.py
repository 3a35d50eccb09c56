"""Figures of word vectors from plain arrays: a map of words, and scores on benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.views.figures import COLOURS, MARKERS, new_figure, plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlpladder.evaluation.intervals import Score

#: More words than this are drawn as points only.
_MOST_NAMED = 400


def word_map_figure(
    points: npt.ArrayLike, words: Sequence[str], *, groups: Sequence[str] | None = None, title: str = ""
) -> Figure:
    """Draw words at their places on a plane.

    Args:
        points: Places, shape (words, 2), as ``project_2d`` returns.
        words: Their names.
        groups: A group per word, shown by colour and shape; None for one group.
        title: Heading; empty for none.

    Raises:
        DataError: If the arrays do not fit, or a place is not finite.
    """
    places = np.asarray(points, np.float64)
    if places.shape != (len(words), 2) or not len(words):
        raise DataError(f"A map of {len(words)} words needs points of shape ({len(words)}, 2), not {places.shape}.")
    if groups is not None and len(groups) != len(words):
        raise DataError(f"There are {len(groups)} groups for {len(words)} words: give one for each.")
    if not np.isfinite(places).all():
        row = int(np.flatnonzero(~np.isfinite(places).all(axis=1))[0])
        raise DataError(f"The place of {words[row]!r} is not finite.")
    figure = new_figure(9.0, 7.0)
    axes = figure.add_subplot()
    names = list(dict.fromkeys(groups)) if groups is not None else [""]
    for number, name in enumerate(names):
        rows = [row for row in range(len(words)) if groups is None or groups[row] == name]
        axes.scatter(
            places[rows, 0],
            places[rows, 1],
            s=14,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            label=plain_text(name) if name else None,
        )
    if len(words) <= _MOST_NAMED:
        size = 8 if len(words) <= 100 else 5
        for word, (x, y) in zip(words, places, strict=True):
            axes.annotate(plain_text(word), (x, y), xytext=(3, 2), textcoords="offset points", fontsize=size)
    axes.set(title=plain_text(title, 80), xticks=[], yticks=[])
    axes.margins(0.08)
    if len(names) > 1:
        axes.legend(frameon=False, fontsize=8)
    return figure


def benchmark_figure(scores: Mapping[str, Mapping[str, Score]], *, title: str = "") -> Figure:
    """Draw the scores of several spaces on several benchmarks, with their intervals.

    Args:
        scores: Space -> benchmark -> score.
        title: Heading; empty for none.

    Raises:
        DataError: If there is nothing to draw.
    """
    benchmarks = list(dict.fromkeys(name for results in scores.values() for name in results))
    if not benchmarks:
        raise DataError("There are no scores to draw.")
    figure = new_figure(max(5.0, 1.6 + 1.4 * len(benchmarks)), 4.5)
    axes = figure.add_subplot()
    for number, (space, results) in enumerate(scores.items()):
        shift = (number - (len(scores) - 1) / 2) * 0.7 / max(1, len(scores))
        for place, benchmark in enumerate(benchmarks):
            score = results.get(benchmark)
            if score is None or score.value is None:
                continue
            low = score.value if score.low is None else score.low
            high = score.value if score.high is None else score.high
            axes.errorbar(
                place + shift,
                score.value,
                yerr=[[max(0.0, score.value - low)], [max(0.0, high - score.value)]],
                color=COLOURS[number % len(COLOURS)],
                marker=MARKERS[number % len(MARKERS)],
                capsize=3,
                linestyle="none",
                label=plain_text(space) if place == 0 else None,
            )
    axes.set_xticks(range(len(benchmarks)), [plain_text(name) for name in benchmarks])
    axes.set(title=plain_text(title, 80), ylabel="score, with its interval")
    axes.grid(True, axis="y", alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    return figure
