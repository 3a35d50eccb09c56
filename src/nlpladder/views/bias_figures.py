"""Figures of bias scores: a forest of intervals by category and model, beside the same as effects in nats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.views.figures import COLOURS, MARKERS, new_figure, plain_text, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: A figure with more lines can not be read.
MOST_LINES = 40


def forest_figure(
    names: Sequence[str],
    panels: Sequence[Mapping[str, Any]],
    *,
    title: str = "",
) -> Figure:
    """Draw values with intervals, one line a name, in panels side by side that share the lines.

    Args:
        names: Of the lines, (lines,), from top to bottom.
        panels: Each with ``label``, ``no_bias`` (a number, or None for no mark) and ``series``: a mapping of the name
            of a model to an array (lines, 3) of value, low and high, NaN where there is none.
        title: Heading; empty for none.

    Raises:
        DataError: If an array does not fit the names.
    """
    series_names = list(dict.fromkeys(name for panel in panels for name in panel["series"]))
    count = len(series_names)
    height = 1.4 + 0.32 * len(names) * max(1.0, 0.55 * count)
    figure = new_figure(4.2 + 3.2 * len(panels), min(30.0, height))
    lines = np.arange(len(names), dtype=np.float64)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), number + 1)
        if panel["no_bias"] is not None:
            axes.axvline(panel["no_bias"], color="#666666", linestyle="--", linewidth=1)
        for name, values in panel["series"].items():
            table = np.asarray(values, dtype=np.float64)
            if table.shape != (len(names), 3):
                raise DataError(
                    f"{name} has values of shape {table.shape} for {len(names)} lines: expected (lines, 3)."
                )
            index = series_names.index(name)
            offset = (index - (count - 1) / 2) * 0.6 / max(1, count)
            _draw_series(axes, lines + offset, table, index, plain_text(name) if number == 0 else None)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(lines, [plain_text(name, 40) for name in names] if number == 0 else [""] * len(names))
        axes.set_xlabel(plain_text(panel["label"], 60))
        axes.grid(axis="x", alpha=0.25)
    if count > 1:
        figure.legend(loc="outside lower center", ncols=min(count, 3), frameon=False)
    if title:
        figure.suptitle(plain_text(title, 80))
    return figure


def bias_figures(content: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw one figure a measure, categories as lines and models as colours; return the files.

    Args:
        content: What ``bias.json`` holds.
        folder: Where the PNG files go.
    """
    files = []
    models = [model["name"] for model in content["models"]]
    for measure in dict.fromkeys((row["entry"], row["measure"]) for row in content["rows"]):
        rows = [row for row in content["rows"] if (row["entry"], row["measure"]) == measure]
        rows = [row for row in rows if row["score"]["value"] is not None]
        names = list(dict.fromkeys(row["category"] for row in rows))[:MOST_LINES]
        if len(rows) < 2:  # one dot says nothing that the table does not
            continue
        unit = rows[0]["score"]["unit"]
        factor = 100.0 if unit == "%" else 1.0
        rows = [row for row in rows if row["score"]["unit"] == unit]
        panels = [_panel(rows, names, models, "score", factor, _score_label(rows[0]["score"]))]
        if unit != "nats" and any(row["effect"] is not None for row in rows):
            panels.append(_panel(rows, names, models, "effect", 1.0, "effect, nats (stereotype: above 0)"))
        title = _title(*measure)
        name = measure[1] if measure[0] == measure[1] else f"{measure[0]}: {measure[1]}"
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:80]
        files.append(save_figure(forest_figure(names, panels, title=title), folder / f"{safe}.png"))
    return files


def _score_label(score: Mapping[str, Any]) -> str:
    """Return what an axis shows: the score by its name, which says which side it counts, and its unit."""
    name = str(score["name"]).replace("_", " ")
    return f"{name}, {score['unit']}" if score["unit"] else name


def _title(entry: str, measure: str) -> str:
    """Return the heading of a figure: the measure in words, and the name by which the table calls it."""
    words = measure.replace("_", " ")
    return f"{words} ({entry})" if entry != measure and not measure.startswith(entry) else words


def _panel(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], models: Sequence[str], key: str, factor: float, label: str
) -> dict[str, Any]:
    series: dict[str, npt.NDArray[np.float64]] = {}
    for row in rows:
        score = row[key]
        if score is None or score["value"] is None or row["category"] not in names:
            continue
        table = series.setdefault(row["model"], np.full((len(names), 3), np.nan))
        ends = [score[end] if score[end] is not None else np.nan for end in ("value", "low", "high")]
        table[names.index(row["category"])] = factor * np.asarray(ends, dtype=np.float64)
    marks = {row["no_bias"] for row in rows}
    no_bias = 0.0 if key == "effect" else (marks.pop() if len(marks) == 1 else None)
    ordered = {name: series[name] for name in models if name in series}
    return {"label": label, "no_bias": None if no_bias is None else factor * no_bias, "series": ordered}


def _draw_series(
    axes: Any, places: npt.NDArray[np.float64], table: npt.NDArray[np.float64], index: int, label: str | None
) -> None:
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    whole = np.isfinite(table).all(axis=1)
    axes.hlines(places[whole], table[whole, 1], table[whole, 2], color=colour, linewidth=1.2)
    there = np.isfinite(table[:, 0])
    axes.plot(table[there, 0], places[there], linestyle="", marker=marker, color=colour, markersize=5, label=label)
