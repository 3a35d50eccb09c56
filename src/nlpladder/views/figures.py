"""Figures from plain arrays: confusion matrix, reliability diagram, score against cost, learning curves.

Each function returns a ``matplotlib.figure.Figure`` that belongs to no window and no global state, and `save_figure`
writes it. Systems differ by shape as well as colour, in a palette that colour-blind readers can tell apart (Okabe and
Ito 2008).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")
LINES = ("-", "--", "-.", ":")
#: Above this many classes the cells of a confusion matrix hold no numbers.
_MOST_NUMBERED_CLASSES = 20
_LONGEST_NAME = 24
#: Of a figure that is written as PNG.
DOTS_PER_INCH = 150


def new_figure(width: float = 6.0, height: float = 4.5) -> Figure:
    """Return an empty figure with an Agg canvas, width and height in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a temporary name and rename it; the ending (png, svg, pdf) chooses the format.

    Files carry no date, so that the same figure gives the same file.

    Args:
        figure: What to write.
        path: Where; missing folders are made.

    Raises:
        DataError: If the ending is not one of the three.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    target = Path(path)
    kind = target.suffix.lstrip(".").lower()
    dates: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    if kind not in dates:
        raise DataError(
            f"{target}: a figure is written as .png, .svg or .pdf, not as {target.suffix or 'no ending'!r}."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    try:
        if kind == "png" and type(figure.canvas) is FigureCanvasAgg:
            # `savefig` lays a figure out by drawing all of it once more beforehand. The bytes are the same without.
            figure.canvas.print_png(temporary, metadata=dates[kind])
        else:
            with rc_context({"svg.hashsalt": "nlpladder"}):
                figure.savefig(temporary, format=kind, metadata=dates[kind])
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def plain_text(text: str, length: int = _LONGEST_NAME) -> str:
    """Return a name on one line, cut to `length`, in which matplotlib reads no formula."""
    line = " ".join("".join(character if character.isprintable() else " " for character in str(text)).split())
    line = line if len(line) <= length else line[: length - 1] + "…"
    return line.replace("$", r"\$")


def confusion_matrix_figure(counts: npt.ArrayLike, label_names: Sequence[str], *, title: str = "") -> Figure:
    """Draw a confusion matrix: shade is the share of the true class, the number is the count.

    Args:
        counts: Examples by true class (rows) and predicted class (columns), (classes, classes).
        label_names: Names of the classes.
        title: Heading; empty for none.

    Raises:
        DataError: If the matrix is not square or does not fit the names.
    """
    table = np.asarray(counts, dtype=np.float64)
    classes = len(label_names)
    if table.shape != (classes, classes) or classes == 0:
        raise DataError(f"The confusion matrix has shape {table.shape}: expected ({classes}, {classes}).")
    totals = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, totals, out=np.zeros_like(table), where=totals > 0)  # (true, predicted)
    size = min(12.0, 2.8 + 0.45 * classes)
    figure = new_figure(size + 0.8, size)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    names = [plain_text(name) for name in label_names]
    axes.set_xticks(range(classes), names, rotation=45 if classes > 3 else 0, ha="right" if classes > 3 else "center")
    axes.set_yticks(range(classes), names)
    axes.set(xlabel="predicted", ylabel="true", title=plain_text(title, 80))
    if classes <= _MOST_NUMBERED_CLASSES:
        for row, column in np.ndindex(classes, classes):
            colour = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, f"{table[row, column]:,.0f}", ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure


def reliability_diagram(
    confidences: Sequence[float | None],
    accuracies: Sequence[float | None],
    counts: Sequence[int],
    *,
    intervals: Sequence[tuple[float | None, float | None]] | None = None,
    error: float | None = None,
    title: str = "",
) -> Figure:
    """Draw accuracy against confidence by bin, with the number of examples below (Niculescu-Mizil and Caruana 2005).

    Args:
        confidences: Mean confidence of each bin; None for an empty one.
        accuracies: Share of right answers in each bin; None for an empty one.
        counts: Examples in each bin.
        intervals: Low and high end of each accuracy.
        error: Calibration error, written into the figure.
        title: Heading; empty for none.

    Raises:
        DataError: If the sequences differ in length or all bins are empty.
    """
    if not len(confidences) == len(accuracies) == len(counts):
        raise DataError(
            f"{len(confidences)} confidences, {len(accuracies)} accuracies, {len(counts)} counts: not equal."
        )
    kept = [index for index, value in enumerate(accuracies) if value is not None and confidences[index] is not None]
    if not kept:
        raise DataError("Every bin is empty: a reliability diagram needs at least one example.")
    x = np.asarray([confidences[index] for index in kept], dtype=np.float64)
    y = np.asarray([accuracies[index] for index in kept], dtype=np.float64)
    figure = new_figure(5.0, 5.5)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfectly calibrated")
    spread = None
    if intervals is not None:
        ends = np.asarray([intervals[index] for index in kept], dtype=np.float64)
        spread = np.maximum(0.0, np.stack([y - ends[:, 0], ends[:, 1] - y]))
    label = "model" if error is None else f"model, calibration error {100 * error:.1f} %"
    axes.errorbar(x, y, yerr=spread, color=COLOURS[0], marker="o", linestyle="-", capsize=3, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy", title=plain_text(title, 80))
    axes.legend(loc="upper left", frameon=False)
    below.bar(x, [counts[index] for index in kept], width=0.04, color=COLOURS[0])
    below.set(xlabel="confidence", ylabel="examples")
    return figure


def score_against_cost(
    names: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float | None],
    highs: Sequence[float | None],
    costs: Sequence[float],
    *,
    cost_label: str = "training time in seconds",
    score_label: str = "score",
    ceiling: float | None = None,
    title: str = "",
) -> Figure:
    """Draw the score of each system with its interval against what it costs, on a logarithmic axis.

    Args:
        names: Names of the systems.
        values: Their scores.
        lows: Lower ends of the intervals; None for none.
        highs: Upper ends.
        costs: Seconds or parameters; those of 0 are drawn at the left edge and marked so.
        cost_label: Name of the cost, with its unit.
        score_label: Name of the score, with its unit.
        ceiling: The best possible score, drawn as a line.
        title: Heading; empty for none.

    Raises:
        DataError: If the sequences differ in length, are empty, or hold a number that cannot be drawn.
    """
    from nlpladder.views.labels import place_labels

    lengths = {len(names), len(values), len(lows), len(highs), len(costs)}
    if len(lengths) != 1 or not names:
        raise DataError("names, values, lows, highs and costs must be equally long, and hold at least one system.")
    y, x = np.asarray(values, dtype=np.float64), np.asarray(costs, dtype=np.float64)
    for index, name in enumerate(names):
        if not np.isfinite(y[index]) or not np.isfinite(x[index]) or x[index] < 0:
            raise DataError(f"{name}: score {values[index]} at cost {costs[index]} cannot be drawn.")
    left = x[x > 0].min(initial=1.0) / 3.0 if (x > 0).any() else 1.0
    shown = [plain_text(name) + (" (cost 0)" if x[index] == 0 else "") for index, name in enumerate(names)]
    x = np.where(x > 0, x, left)
    figure = new_figure(7.0, 4.8)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    for index in range(len(names)):
        low, high = lows[index], highs[index]
        spread = None if low is None or high is None else [[max(0.0, y[index] - low)], [max(0.0, high - y[index])]]
        axes.errorbar(
            x[index], y[index], yerr=spread, color=COLOURS[index % len(COLOURS)], marker=MARKERS[index % len(MARKERS)],
            markersize=7, capsize=3, linestyle="none",
        )  # fmt: skip
    axes.set(xlabel=cost_label, ylabel=score_label, title=plain_text(title, 80))
    axes.set_xlim(x.min() / 3.0, x.max() * 3.0)
    axes.margins(y=0.15)
    if ceiling is not None:
        axes.axhline(ceiling, color="grey", linestyle=":", linewidth=1.2)
        axes.annotate("best possible", (0.01, ceiling), xycoords=("axes fraction", "data"), va="bottom", color="grey")
    axes.grid(True, which="major", alpha=0.25)
    bars = [None if low is None or high is None else (low, high) for low, high in zip(lows, highs, strict=True)]
    place_labels(axes, shown, x, y, [COLOURS[index % len(COLOURS)] for index in range(len(names))], bars)
    return figure


def learning_curves(logs: Sequence[Mapping[str, Any]], *, title: str = "") -> Figure:
    """Draw what a training log holds: losses, evaluation metrics and the learning rate, each in its own panel.

    Args:
        logs: Dictionaries such as ``{"step": 50, "loss": 0.41}`` and ``{"step": 100, "eval_accuracy": 0.8}``, as in the
            ``log_history`` of ``transformers``. ``epoch`` stands in where there is no step; other entries that are no
            finite numbers are skipped.
        title: Heading; empty for none.

    Raises:
        DataError: If no entry holds anything to draw.
    """
    series: dict[str, tuple[list[float], list[float]]] = {}
    has_steps = any("step" in entry for entry in logs)
    for number, entry in enumerate(logs):
        at = entry.get("step") if has_steps else entry.get("epoch", number)
        if not _is_number(at):
            continue
        for name, value in entry.items():
            if name in ("step", "epoch") or not _is_number(value) or _is_bookkeeping(name):
                continue
            steps, values = series.setdefault(name, ([], []))
            steps.append(float(at))  # type: ignore[arg-type]
            values.append(float(value))
    panels = {
        "loss": [name for name in series if name.endswith("loss")],
        "score": [name for name in series if name.startswith("eval_") and not name.endswith("loss")],
        "learning rate": [name for name in series if name == "learning_rate"],
    }
    panels = {label: sorted(names) for label, names in panels.items() if names}
    if not panels:
        raise DataError("The log holds nothing to draw: expected entries such as {'step': 50, 'loss': 0.41}.")
    figure = new_figure(4.6 * len(panels), 3.8)
    for axes, (label, names) in zip(np.ravel(figure.subplots(1, len(panels))), panels.items(), strict=True):
        _curves(axes, label, {name: series[name] for name in names})
        axes.set_xlabel("step" if has_steps else "epoch")
    if title:
        figure.suptitle(plain_text(title, 80))
    return figure


def _curves(axes: Axes, label: str, series: Mapping[str, tuple[list[float], list[float]]]) -> None:
    for index, (name, (steps, values)) in enumerate(series.items()):
        axes.plot(
            steps, values, label=plain_text(name.removeprefix("eval_") if label == "score" else name, 40),
            color=COLOURS[index % len(COLOURS)], linestyle=LINES[index % len(LINES)],
            marker=MARKERS[index % len(MARKERS)], markersize=4, markevery=max(1, len(steps) // 12),
        )  # fmt: skip
    axes.set_ylabel(label)
    axes.grid(True, alpha=0.25)
    if label != "learning rate":
        axes.legend(frameon=False, fontsize=8)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _is_bookkeeping(name: str) -> bool:
    return name.endswith(("_runtime", "_per_second", "_seconds")) or name.startswith("total_")
