"""Names beside the points of a figure, placed so that they do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

Float = npt.NDArray[np.float64]

#: Directions tried first to last, and distances in points: near places are preferred, then farther ones with a line.
_DIRECTIONS = tuple((np.cos(angle), np.sin(angle)) for angle in np.deg2rad([30, 150, -30, -150, 90, -90, 0, 180]))
_DISTANCES = (9, 16, 26, 40, 58, 80, 110, 145, 185)
_FAR = 26
#: One dark colour for all names: pale colours cannot be read as text.
_INK = "#222222"
_PAD = 1.5


def place_labels(
    axes: Axes,
    names: Sequence[str],
    x: Float,
    y: Float,
    colours: Sequence[str],
    bars: Sequence[tuple[float, float] | None] = (),
) -> list[Annotation]:
    """Write each name near its point, without covering other names, points or error bars, inside the axes.

    Greedy: crowded points first; each takes the nearest free place. A place far from its point gets a thin line. Where
    no place is free, the one that covers least is taken.

    Args:
        axes: Where to write; limits and scales must be set.
        names: One per point.
        x: Positions in data coordinates, (points,).
        y: The same.
        colours: Of the lines that lead to far names, one per point.
        bars: Lower and upper end of the error bar of each point, in data coordinates; None for none.

    Returns:
        The annotations, in the order of the points.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # fixes the layout, so that sizes in pixels are known
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())
    renderer = figure._get_renderer()  # type: ignore[attr-defined]
    scale = figure.dpi / 72.0
    points = axes.transData.transform(np.column_stack([x, y]))  # (points, 2), pixels
    frame = axes.get_window_extent(renderer)
    gaps = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(points))
    taken: list[Float] = [_around(point, 5.0 * scale) for point in points]
    for across, bar in zip(x, bars, strict=False):
        if bar is not None:
            low, high = axes.transData.transform([(across, bar[0]), (across, bar[1])])
            taken.append(np.concatenate([low - 2.0 * scale, high + 2.0 * scale]))
    annotations: dict[int, Annotation] = {}
    for index in np.argsort(gaps.min(axis=1), kind="stable").tolist():
        annotation = axes.annotate(
            names[index], (x[index], y[index]), xytext=(0, 0), textcoords="offset points", fontsize=8,
            color=_INK, annotation_clip=False,
        )  # fmt: skip
        extent = annotation.get_window_extent(renderer)
        size = np.asarray([extent.width, extent.height])
        box, offset, distance = _best_place(points[index], size, scale, frame, taken)
        taken.append(box)
        annotation.set_position(tuple(offset / scale))
        if distance > _FAR:
            line = axes.annotate(
                "", (x[index], y[index]), xytext=tuple((offset + size / 2.0) / scale),
                textcoords="offset points", zorder=0,
                arrowprops={"arrowstyle": "-", "color": colours[index], "alpha": 0.4, "linewidth": 0.8},
            )  # fmt: skip
            line.set_in_layout(False)
        annotation.set_in_layout(False)
        annotations[index] = annotation
    return [annotations[index] for index in range(len(names))]


def overlap(first: Float, second: Float) -> float:
    """Return the shared area of two boxes given as left, bottom, right, top."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, width) * max(0.0, height)


def _around(point: Float, radius: float) -> Float:
    return np.concatenate([point - radius, point + radius])


def _best_place(
    point: Float, size: Float, scale: float, frame: Bbox, taken: Sequence[Float]
) -> tuple[Float, Float, float]:
    """Return the box of the first free place, its offset from the point in pixels, and its distance in points."""
    bounds = np.asarray([frame.x0, frame.y0, frame.x1, frame.y1])
    best: tuple[float, Float, Float, float] | None = None
    for distance in _DISTANCES:
        for across, up in _DIRECTIONS:
            middle = distance * scale * np.asarray([across, up])
            # The edge of the text that faces the point is what keeps the distance, not its middle.
            middle += size / 2.0 * np.sign(np.round([across, up], 6))
            offset = middle - size / 2.0
            corner = point + offset
            box = np.concatenate([corner - _PAD * scale, corner + size + _PAD * scale])
            outside = (box[2] - box[0]) * (box[3] - box[1]) - overlap(box, bounds)
            covered = outside + sum(overlap(box, other) for other in taken)
            if best is None or covered < best[0] - 1e-6:
                best = covered, box, offset, float(distance)
            if covered <= 1e-6:
                return box, offset, float(distance)
    assert best is not None
    return best[1], best[2], best[3]
