"""Heat maps of attention: one map, the heads of a Transformer layer by layer, and the alignments of two models.

Rows are targets (the tokens that look), columns are sources (the tokens looked at), as in figure 3 of Bahdanau et al.
(2015); a row sums to 1. Encoder self-attention has the source on both sides, decoder self-attention the target.
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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Float = npt.NDArray[np.float64]
#: Weights of one map, its target tokens and its source tokens.
Alignment = tuple[npt.ArrayLike, Sequence[str], Sequence[str]]

_INCHES_PER_TOKEN = 0.17
#: Room for labels, titles and the colour bar, in inches.
_LABELS, _BAR = 1.1, 0.9
_SMALLEST_PANEL, _LARGEST_FIGURE = 1.3, 30.0
_COLOURS = "Blues"
#: Height of the colour bar, as a share of the figure's.
_BAR_SHARE = 0.7


def attention_figure(
    weights: npt.ArrayLike, target_tokens: Sequence[str], source_tokens: Sequence[str], *, title: str = ""
) -> Figure:
    """Draw one map of attention.

    Args:
        weights: Attention weights, (target, source).
        target_tokens: Tokens that look, such as those of the translation, (target,).
        source_tokens: Tokens looked at, (source,).
        title: Heading; empty for none.

    Raises:
        DataError: If the weights do not fit the tokens, or are not finite.
    """
    return alignment_comparison_figure({title: (weights, target_tokens, source_tokens)})


def alignment_comparison_figure(alignments: Mapping[str, Alignment], *, title: str = "") -> Figure:
    """Draw the alignments of several models of one sentence beside each other, on one scale of colours.

    Each has its own tokens: models differ in their translation and may differ in their sub-words.

    Args:
        alignments: By name of the model: weights (target, source), target tokens, source tokens.
        title: Heading; empty for none.

    Raises:
        DataError: If there is no alignment, or one does not fit its tokens; the message names it.
    """
    if not alignments:
        raise DataError("There is no alignment to draw: give at least one.")
    maps = {}
    for name, (weights, targets, sources) in alignments.items():
        place = f"alignment {name!r}" if name else "attention"
        maps[name] = _checked(weights, (len(targets), len(sources)), "(target, source)", place)
    widths = [_length(table.shape[1]) for table in maps.values()]
    height = max(_length(table.shape[0]) for table in maps.values())
    scale = min(1.0, _LARGEST_FIGURE / sum(widths), _LARGEST_FIGURE / height)
    widths, height = [scale * width for width in widths], scale * height
    figure = new_figure(
        sum(widths) + _LABELS * len(maps) + _BAR, height + _LABELS + (0.7 if title or any(maps) else 0.2)
    )
    panels = figure.subplots(1, len(maps), squeeze=False, width_ratios=widths)[0]
    most = max(float(table.max()) for table in maps.values())
    for axes, width, (name, table) in zip(panels, widths, maps.items(), strict=True):
        _, targets, sources = alignments[name]
        image = _heat_map(axes, table, most)
        label_tokens(axes, "x", sources, width)
        label_tokens(axes, "y", targets, min(height, width * table.shape[0] / table.shape[1]))
        axes.set_title(plain_text(name, 60), fontsize=10)
    _colour_bar(figure, image, panels.tolist())
    if title:
        figure.suptitle(plain_text(title, 80))
    return figure


def attention_heads_figure(
    weights: npt.ArrayLike,
    target_tokens: Sequence[str],
    source_tokens: Sequence[str],
    *,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    title: str = "",
) -> Figure:
    """Draw the attention of every head (columns) of every layer (rows) on one scale of colours.

    Panels grow with the sentence; the tokens stand at the left and upper edge of the grid.

    Args:
        weights: Attention weights, (layers, heads, target, source): encoder, decoder or cross-attention.
        target_tokens: Tokens that look, (target,).
        source_tokens: Tokens looked at, (source,).
        layers: Layers to draw, counted from 0; None for all.
        heads: Heads to draw, counted from 0; None for all.
        title: Heading, such as ``"cross-attention"``; empty for none.

    Raises:
        DataError: If the weights do not fit the tokens, are not finite, or a layer or head is not there.
    """
    given = np.asarray(weights, dtype=np.float64)
    if given.ndim != 4:
        raise DataError(f"attention has shape {given.shape}: expected (layers, heads, target, source).")
    rows = _chosen(layers, given.shape[0], "layer")
    columns = _chosen(heads, given.shape[1], "head")
    shape = (*given.shape[:2], len(target_tokens), len(source_tokens))
    table = _checked(given, shape, "(layers, heads, target, source)", "attention")[np.ix_(rows, columns)]
    width, height = _length(len(source_tokens)), _length(len(target_tokens))
    scale = min(1.0, _LARGEST_FIGURE / (width * len(columns)), _LARGEST_FIGURE / (height * len(rows)))
    width, height = scale * width, scale * height
    figure = new_figure(width * len(columns) + _LABELS + _BAR, height * len(rows) + _LABELS + (0.7 if title else 0.4))
    panels = figure.subplots(len(rows), len(columns), squeeze=False)
    most = float(table.max())
    for (row, column), axes in np.ndenumerate(panels):
        image = _heat_map(axes, table[row, column], most)
        # Panels share no axes: matplotlib would copy the labels to all of them, but not how they are to be written.
        label_tokens(axes, "x", source_tokens if row == 0 else [], width)
        label_tokens(axes, "y", target_tokens if column == 0 else [], height)
        if column == len(columns) - 1:
            axes.yaxis.set_label_position("right")
            axes.set_ylabel(f"layer {rows[row]}", fontsize=8)
        if row == len(rows) - 1:
            axes.set_xlabel(f"head {columns[column]}", fontsize=8)
    _colour_bar(figure, image, panels.ravel().tolist())
    if title:
        figure.suptitle(plain_text(title, 80))
    return figure


def _heat_map(axes: Axes, table: Float, most: float) -> AxesImage:
    image = axes.imshow(table, cmap=_COLOURS, vmin=0.0, vmax=max(most, 1e-12), aspect="auto", interpolation="nearest")
    axes.xaxis.set_label_position("bottom")
    axes.tick_params(length=2, top=True, labeltop=True, bottom=False, labelbottom=False)
    return image


def _colour_bar(figure: Figure, image: AxesImage, panels: Sequence[Axes]) -> None:
    """Draw one scale for all panels, as slim beside a large figure as beside a small one."""
    height = _BAR_SHARE * figure.get_figheight()
    figure.colorbar(
        image, ax=panels, label="attention weight", shrink=_BAR_SHARE, aspect=height / 0.15, pad=0.01, fraction=0.02
    )


def _checked(weights: npt.ArrayLike, shape: tuple[int, ...], names: str, place: str) -> Float:
    table = np.asarray(weights, dtype=np.float64)
    if table.shape != shape or 0 in shape:
        raise DataError(f"The {place} has weights of shape {table.shape}: its tokens ask for {names} = {shape}.")
    wrong = np.argwhere(~np.isfinite(table))
    if len(wrong):
        raise DataError(f"The {place} has a weight that is not finite at {tuple(wrong[0].tolist())}.")
    return table


def _chosen(asked: Sequence[int] | None, there: int, what: str) -> list[int]:
    if asked is None:
        return list(range(there))
    for number in asked:
        if not 0 <= number < there:
            raise DataError(f"There is no {what} {number}: the attention has {there}, counted from 0.")
    if not len(asked):
        raise DataError(f"No {what} was chosen: give at least one, or None for all.")
    return list(asked)


def _length(tokens: int) -> float:
    return max(_SMALLEST_PANEL, _INCHES_PER_TOKEN * tokens)
