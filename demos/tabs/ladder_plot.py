"""Score against cost as a picture of HTML: a numbered button a rung, its name beside it, its interval as a line.

Gradio's own scatter plot shows a name at the pointer alone, cannot be reached with the keyboard, and knows no
logarithmic axis. Places are shares of the picture, so that text keeps its size on a narrow screen; there, and where
there are too many points, the names stand in a list under the picture.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

#: More points than these have no room for names beside them.
MOST_NAMES = 12
#: What labels are laid out for, in pixels; a picture narrower than that hides them (style.css).
_WIDTH, _HEIGHT = 560.0, 320.0
_LETTER, _LINE, _GAP = 6.8, 17.0, 15.0
#: Room between the outermost points and the edge, as a share of the range.
_MARGIN = 0.09


@dataclass(frozen=True)
class Point:
    """A rung in the picture.

    Attributes:
        rung: Its name, which a click tells.
        title: Its name for people.
        cost: Above 0.
        score: In the unit of the axis.
        low: Lower end of the interval; None for none.
        high: Upper end.
        cost_text: The cost as people read it, with its unit.
        score_text: The same of the score, with its interval.
        kind: How it is trained; decides colour and shape.
    """

    rung: str
    title: str
    cost: float
    score: float
    low: float | None
    high: float | None
    cost_text: str
    score_text: str
    kind: str


def plot_html(points: Sequence[Point], *, cost_title: str, score_title: str, kinds: Sequence[str]) -> str:
    """Return the picture; nothing where there is no point.

    Args:
        points: From the plainest rung up; they are numbered in this order.
        cost_title: What the axis to the right is.
        score_title: What the axis upwards is.
        kinds: All kinds there may be, in the order of their colours.
    """
    if not points:
        return ""
    left, right = _padded([math.log10(one.cost) for one in points], least=0.3)
    ends = [end for one in points for end in (one.score, one.low, one.high) if end is not None]
    bottom, top = _padded(ends, least=1e-6)
    spots = [
        (
            100.0 * (math.log10(one.cost) - left) / (right - left),
            100.0 * (top - one.score) / (top - bottom),
        )
        for one in points
    ]  # in percent of the picture, from its upper left corner
    lines = [
        f'<i class="ld-v" style="left:{100 * (math.log10(tick) - left) / (right - left):.2f}%">'
        f"<span>{_amount(tick)}</span></i>"
        for tick in log_ticks(10**left, 10**right)
    ]
    lines += [
        f'<i class="ld-h" style="top:{100 * (top - tick) / (top - bottom):.2f}%"><span>{text}</span></i>'
        for tick, text in linear_ticks(bottom, top)
    ]
    marks = []
    for number, (one, (x, y)) in enumerate(zip(points, spots, strict=True), 1):
        if one.low is not None and one.high is not None:
            upper, height = 100 * (top - one.high) / (top - bottom), 100 * (one.high - one.low) / (top - bottom)
            marks.append(f'<i class="ld-w" style="left:{x:.2f}%;top:{upper:.2f}%;height:{height:.2f}%"></i>')
        said = html.escape(f"{one.title}: {score_title} {one.score_text}, {one.cost_text}, {one.kind}", quote=True)
        marks.append(
            f'<button type="button" class="ld-point {_shape(one.kind, kinds)}" style="left:{x:.2f}%;top:{y:.2f}%" '
            f'data-text="{html.escape(one.rung, quote=True)}" title="{said}" aria-label="{number}. {said}">'
            f"<b>{number}</b></button>"
        )
    if len(points) <= MOST_NAMES:
        names = [_spoken(one) for one in points]
        marks += [
            f'<span class="ld-name" aria-hidden="true" style="{style}">{html.escape(name)}</span>'
            for name, style in zip(names, name_places(names, spots), strict=True)
        ]
    shown = [kind for kind in kinds if any(one.kind == kind for one in points)]
    legend = "".join(f'<li><i class="{_shape(kind, kinds)}"></i>{html.escape(kind)}</li>' for kind in shown)
    listed = "".join(f"<li>{html.escape(one.title)}: {html.escape(one.score_text)}</li>" for one in points)
    many = " ld-many" if len(points) > MOST_NAMES else ""
    title = html.escape(f"{score_title} against {cost_title}", quote=True)
    return (
        f'<figure class="ld-figure{many}" role="group" aria-label="{title}"><p class="ld-y">{html.escape(score_title)}'
        f' ↑</p><div class="ld-plot">{"".join(lines)}{"".join(marks)}</div>'
        f'<p class="ld-x">{html.escape(cost_title)} → <small>(each step on the scale multiplies)</small></p>'
        f'<ul class="ld-legend">{legend}<li><i class="ld-w"></i>95 % interval</li></ul>'
        f'<ol class="ld-list">{listed}</ol></figure>'
    )


def log_ticks(low: float, high: float) -> list[float]:
    """Return where lines stand on a logarithmic axis: powers of ten, or 1, 2 and 5 times them where those are few.

    Args:
        low: Lower end, above 0.
        high: Upper end.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1.0,), (1.0, 2.0, 5.0), tuple(float(one) for one in range(1, 10))):
        ticks = [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]
        if len(ticks) >= 2:
            return ticks
    return ticks


def linear_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return where lines stand on a linear axis, three to eight round numbers, and how they are written.

    Args:
        low: Lower end.
        high: Upper end, above it.
    """
    rough = (high - low) / 7.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    ticks = [one * step for one in range(first, math.floor(high / step + 1e-9) + 1)]
    return [(tick, f"{tick:,.{digits}f}") for tick in ticks]


def name_places(names: Sequence[str], spots: Sequence[tuple[float, float]]) -> list[str]:
    """Return where each name stands, as CSS: beside, above or below its point, where it covers least.

    Args:
        names: Of the points.
        spots: The points, in percent of the picture.
    """
    points = [(x * _WIDTH / 100.0, y * _HEIGHT / 100.0) for x, y in spots]
    taken = [(x - 10.0, y - 10.0, x + 10.0, y + 10.0) for x, y in points]
    styles = []
    for name, (x, y), (left, top) in zip(names, points, spots, strict=True):
        wide = _LETTER * len(name)
        level, over, under = y - _LINE / 2, y - _GAP - _LINE, y + _GAP
        sides = {
            f"left:calc({left:.2f}% + {_GAP:.0f}px);top:{top:.2f}%;transform:translateY(-50%)": (x + _GAP, level),
            f"right:calc({100 - left:.2f}% + {_GAP:.0f}px);top:{top:.2f}%;transform:translateY(-50%)": (
                x - _GAP - wide, level,
            ),
            f"left:{left:.2f}%;top:calc({top:.2f}% - {_GAP:.0f}px);transform:translate(-50%,-100%)": (
                x - wide / 2, over,
            ),
            f"left:{left:.2f}%;top:calc({top:.2f}% + {_GAP:.0f}px);transform:translateX(-50%)": (x - wide / 2, under),
        }  # fmt: skip

        def covered(corner: tuple[float, float], wide: float = wide) -> float:
            box = (*corner, corner[0] + wide, corner[1] + _LINE)
            outside = max(0.0, -box[0]) + max(0.0, box[2] - _WIDTH) + max(0.0, -box[1]) + max(0.0, box[3] - _HEIGHT)
            return 100.0 * outside + sum(_shared(box, other) for other in taken)

        style, corner = min(sides.items(), key=lambda side: covered(side[1]))  # the first of equal ones
        taken.append((*corner, corner[0] + wide, corner[1] + _LINE))
        styles.append(style)
    return styles


def _shared(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Return the area that two boxes (left, top, right, bottom) share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def _padded(values: Sequence[float], *, least: float) -> tuple[float, float]:
    """Return the range of some numbers with a margin; `least` is its smallest width."""
    low, high = min(values), max(values)
    missing = max(0.0, max(least, 1e-9 * abs(high)) - (high - low)) / 2
    low, high = low - missing, high + missing
    margin = _MARGIN * (high - low)
    return low - margin, high + margin


def _shape(kind: str, kinds: Sequence[str]) -> str:
    return f"ld-kind-{list(kinds).index(kind)}"


def _spoken(point: Point) -> str:
    return point.rung.replace("_", " ")


def _amount(number: float) -> str:
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if number >= size:
            return f"{number / (1e3 if suffix == ' k' else size):,.0f}{suffix}"
    return f"{number:,.0f}" if number >= 1 else f"{number:.10f}".rstrip("0")
