"""What the gates of a recurrent network do along a text, after Karpathy et al. (2016), "Visualizing and understanding".

An LSTM's unit keeps its cell where its forget gate is near 1, writes where its input gate is near 1, and shows what it
holds where its output gate is near 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.views.figures import new_figure, plain_text
from nlpladder.views.token_labels import label_tokens

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Sigmoids: these run from 0 to 1, all else is drawn around 0.
_GATES = frozenset({"input", "forget", "output", "reset", "update"})
_INCHES_PER_TOKEN, _INCHES_PER_UNIT = 0.17, 0.09
_WIDEST = 30.0


def most_varying_units(activations: Mapping[str, npt.ArrayLike], count: int) -> npt.NDArray[np.intp]:
    """Return the units that vary most along the text, first the most varying: numbers, (at most `count`,).

    A unit's measure is the sum over the panels of its standard deviation along the text, each panel on the scale of
    its largest absolute value, so that cells, which are unbounded, count no more than gates.

    Args:
        activations: By name, (tokens, units) each.
        count: How many at most.
    """
    total: npt.NDArray[np.float64] | float = 0.0
    for values in activations.values():
        table = np.asarray(values, dtype=np.float64)
        total = total + table.std(axis=0) / max(float(np.abs(table).max()), 1e-12)
    return np.argsort(-np.asarray(total), kind="stable")[:count]


def gate_figure(
    activations: Mapping[str, npt.ArrayLike], tokens: Sequence[str], *, units: int = 24, title: str = ""
) -> Figure:
    """Draw the activations of one layer, a panel each, one above the other; the same units in the same order in all.

    Args:
        activations: By name, such as ``input``, ``forget``, ``output`` and ``cell``: (tokens, units) each.
        tokens: The text, (tokens,).
        units: How many units to draw, first those that vary most along the text (`most_varying_units`).
        title: Heading; empty for none.

    Raises:
        DataError: If there is nothing to draw, shapes do not fit, or a number is not finite.
    """
    tables = {name: np.asarray(values, dtype=np.float64) for name, values in activations.items()}
    if not tables or not len(tokens):
        raise DataError("There is nothing to draw: give the activations of at least one gate on at least one token.")
    width = next(iter(tables.values())).shape[-1]
    for name, table in tables.items():
        if table.shape != (len(tokens), width) or not width:
            raise DataError(
                f"{name} has shape {table.shape}: expected (tokens, units) = ({len(tokens)}, {width}), of one layer."
            )
        if not np.isfinite(table).all():
            raise DataError(f"{name} holds a number that is not finite, at token {_first_bad(table)}.")
    if units < 1:
        raise DataError(f"units is {units}: draw at least one.")
    chosen = most_varying_units(tables, units)
    across = min(_WIDEST, max(3.0, _INCHES_PER_TOKEN * len(tokens)))
    tall = max(0.6, _INCHES_PER_UNIT * len(chosen))
    figure = new_figure(across + 1.8, (tall + 0.35) * len(tables) + 1.0)
    panels = figure.subplots(len(tables), 1, squeeze=False)[:, 0]
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        gate = name in _GATES and table.min() >= 0.0
        most = 1.0 if gate else max(float(np.abs(table[:, chosen]).max()), 1e-12)
        image = axes.imshow(
            table[:, chosen].T,  # (units, tokens)
            cmap="viridis" if gate else "RdBu_r",
            vmin=0.0 if gate else -most,
            vmax=most,
            aspect="auto",
            interpolation="nearest",
        )
        axes.set_ylabel(plain_text(name), fontsize=9)
        step = max(1, len(chosen) // 8)
        axes.set_yticks(range(0, len(chosen), step), [str(unit) for unit in chosen[::step]], fontsize=6)
        figure.colorbar(image, ax=axes, pad=0.01)
        label_tokens(axes, "x", tokens if name == list(tables)[-1] else [], across)
    panels[-1].set_xlabel("token; rows are numbered units, the most varying first", fontsize=8)
    if title:
        figure.suptitle(plain_text(title, 80))
    return figure


def _first_bad(table: npt.NDArray[np.float64]) -> int:
    return int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
