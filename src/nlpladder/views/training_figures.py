"""How a training went: losses by step with the learning rate behind them, and validation scores by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.errors import DataError
from nlpladder.views.figures import COLOURS, LINES, MARKERS, new_figure, plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = Mapping[str, Any]


def loss_figure(history: Sequence[Record], *, loss_label: str = "loss in nats per token", title: str = "") -> Figure:
    """Draw training and validation loss by step, with the learning rate on a second axis.

    Args:
        history: Records of a training, as in ``TrainingResult.history``: ``step`` with any of ``loss``, ``eval_loss``
            and ``learning_rate``. Values that are no finite numbers are left out.
        loss_label: Name of the loss, with its unit.
        title: Heading; empty for none.

    Raises:
        DataError: If no record holds a loss.
    """
    training, validation, rate = (_series(history, "step", name) for name in ("loss", "eval_loss", "learning_rate"))
    if not training[0] and not validation[0]:
        raise DataError("The history holds no loss: expected records such as {'step': 50, 'loss': 4.1}.")
    figure = new_figure(6.5, 4.2)
    axes = figure.add_subplot()
    axes.set_zorder(1)  # the losses lie over the learning rate
    axes.patch.set_visible(False)
    if training[0]:
        axes.plot(*training, color=COLOURS[0], linewidth=1.2, label="training")
    if validation[0]:
        axes.plot(*validation, color=COLOURS[1], marker="o", markersize=4, linewidth=1.2, label="validation")
    axes.set(xlabel="step", ylabel=loss_label, title=plain_text(title, 80))
    axes.grid(True, alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    if rate[0]:
        behind = axes.twinx()
        behind.plot(*rate, color="grey", linestyle=":", linewidth=1.2, label="learning rate")
        behind.set_ylabel("learning rate", color="grey")
        behind.tick_params(axis="y", colors="grey")
        behind.set_ylim(bottom=0.0)
        more, names = behind.get_legend_handles_labels()
        handles, labels = handles + more, labels + names
    axes.legend(handles, labels, frameon=False, fontsize=8, loc="upper right")
    return figure


def score_by_epoch_figure(
    runs: Mapping[str, Sequence[Record]],
    *,
    metric: str = "bleu",
    metric_label: str = "",
    higher_is_better: bool = True,
    title: str = "",
) -> Figure:
    """Draw a validation score by epoch for one run or several; the best epoch of each carries a ring.

    Args:
        runs: History by name of the run: records with ``epoch`` (else ``step``) and ``eval_<metric>``.
        metric: Name without ``eval_``.
        metric_label: What to write at the axis; the name if empty.
        higher_is_better: Which epoch is the best.
        title: Heading; empty for none.

    Raises:
        DataError: If a run holds no such score; the message names what it holds.
    """
    from matplotlib.ticker import MaxNLocator

    if not runs:
        raise DataError("There is no run to draw: give the history of at least one.")
    at = "epoch" if all(any("epoch" in record for record in history) for history in runs.values()) else "step"
    figure = new_figure(6.5, 4.2)
    axes = figure.add_subplot()
    for number, (name, history) in enumerate(runs.items()):
        places, values = _series(history, at, f"eval_{metric}")
        if not places:
            there = sorted({key for record in history for key in record if str(key).startswith("eval_")})
            raise DataError(
                f"The history of {name!r} holds no eval_{metric}; it holds {', '.join(there) or 'no score'}."
            )
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(
            places, values, color=colour, linestyle=LINES[number % len(LINES)], marker=MARKERS[number % len(MARKERS)],
            markersize=4, label=plain_text(name, 40),
        )  # fmt: skip
        best = int(np.argmax(values) if higher_is_better else np.argmin(values))
        axes.plot(
            places[best], values[best], marker="o", markersize=11, markerfacecolor="none", color=colour,
            linestyle="none",
        )  # fmt: skip
    label = metric_label or {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}.get(metric, metric.replace("_", " "))
    first, last = axes.get_xlim()
    if last - first < 2:  # one epoch: room for whole numbers at the axis
        axes.set_xlim((first + last) / 2 - 1, (first + last) / 2 + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=at, ylabel=f"validation {label}", title=plain_text(title, 80))
    axes.grid(True, alpha=0.25)
    if any(runs):
        axes.legend(frameon=False, fontsize=8)
    return figure


def _series(history: Sequence[Record], at: str, name: str) -> tuple[list[float], list[float]]:
    """Return the places and the values of one entry, where both are finite numbers."""
    places, values = [], []
    for record in history:
        place, value = record.get(at), record.get(name)
        if _is_number(place) and _is_number(value):
            places.append(float(place))  # type: ignore[arg-type]
            values.append(float(value))  # type: ignore[arg-type]
    return places, values


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(np.isfinite(value))
