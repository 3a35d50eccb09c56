"""Values with their intervals as a table with a line drawn in it: the picture for the eye, the numbers for everyone."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlpladder.views.bias_cells import number, scaled, score_text

#: So far two log-probabilities of a sentence, sums of float32, may lie apart that are equal.
_ROUNDING = 1e-5
#: A class twice is stronger than Gradio's own rules for tables.
_STYLE = """
.bias-intervals { width: 100%; max-width: 100%; overflow-x: auto; color: var(--body-text-color, inherit); }
.bias-intervals.bias-intervals table { border-collapse: collapse; border: 0; width: 100%; margin: 0; font-size: .9rem; }
.bias-intervals.bias-intervals table caption { text-align: left; font-weight: 600; padding: .2rem 0; }
.bias-intervals.bias-intervals table tr { border: 0; background: none; }
.bias-intervals.bias-intervals table th, .bias-intervals.bias-intervals table td { border: 0; text-align: left;
  font-weight: 400; padding: .25rem .5rem .25rem 0; }
.bias-intervals.bias-intervals table th { overflow-wrap: anywhere; min-width: 6rem; }
.bias-intervals.bias-intervals table td.track { width: 45%; min-width: 6rem; }
.bias-intervals td.track > div { position: relative; height: 1.1rem;
  background: var(--background-fill-secondary, #8882); }
.bias-intervals i { position: absolute; top: 0; bottom: 0; width: 0; border-left: 1px dashed currentColor; }
.bias-intervals b { position: absolute; top: .4rem; height: .3rem; background: rgb(0 114 178 / .75); }
.dark .bias-intervals b { background: rgb(86 180 233 / .9); }
.bias-intervals u { position: absolute; top: .1rem; width: .5rem; height: .9rem; margin-left: -.25rem;
  background: rgb(213 94 0); }
.bias-intervals td.value { font-variant-numeric: tabular-nums; }
@media (max-width: 640px) {
  .bias-intervals.bias-intervals table tr { display: grid; grid-template-columns: 1fr 9.5rem; }
  .bias-intervals.bias-intervals table th { grid-column: 1 / -1; }
  .bias-intervals.bias-intervals table td.track { width: auto; }
}
"""


@dataclass(frozen=True)
class Interval:
    """One row.

    Attributes:
        label: What it is.
        value: The number; None where there is none.
        low: Lower end; None for no interval.
        high: Upper end.
        n: How many independent units it rests on, such as ``"n = 8 templates"``.
    """

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: str = ""


def intervals_html(
    rows: Sequence[Interval], *, caption: str, unit: str, below: str, above: str, zero: float = 0.0
) -> str:
    """Return the rows as a table; nothing where there is none.

    Args:
        rows: On one scale.
        caption: What is shown.
        unit: Of the values.
        below: What a value below `zero` means.
        above: What a value above it means.
        zero: Where the dashed line stands: no bias.
    """
    if not rows:
        return ""
    ends = [end for row in rows for end in (row.value, row.low, row.high, zero) if end is not None]
    low, high = min(ends), max(ends)
    room = 0.06 * ((high - low) or 1.0)
    low, high = low - room, high + room

    def place(value: float) -> float:
        return 100.0 * (value - low) / (high - low)

    body = []
    for row in rows:
        marks = f'<i style="left:{place(zero):.1f}%"></i>'
        if row.low is not None and row.high is not None and row.low < row.high:
            marks += f'<b style="left:{place(row.low):.1f}%;width:{place(row.high) - place(row.low):.1f}%"></b>'
        if row.value is not None:
            marks += f'<u style="left:{place(row.value):.1f}%"></u>'
        body.append(
            f'<tr><th scope="row">{html.escape(row.label)}</th>'
            f'<td class="track"><div aria-hidden="true">{marks}</div></td>'
            f'<td class="value">{html.escape(_text(row, unit))}<br><small>{html.escape(row.n)}</small></td></tr>'
        )
    middle = f"{number(zero)} {unit}".rstrip()
    key = f"Square: the value. Bar: 95 % interval. Dashed line: {middle}. To the right: {above}. To the left: {below}."
    return (
        f'<style>{_STYLE}</style><div class="bias-intervals"><table><caption>{html.escape(caption)}</caption><tbody>'
        f"{''.join(body)}</tbody></table><p><small>{html.escape(key)}</small></p></div>"
    )


def _text(row: Interval, unit: str) -> str:
    if row.value is None:
        return "undefined"
    return effect_with_interval(row.value, row.low, row.high, unit=unit)


def effect_with_interval(value: float, low: float | None, high: float | None, *, unit: str = "") -> str:
    """Return a signed value with its interval, "+0.512 nats [+0.100, +0.900]", or the words that there is none.

    Where all units have the same value every resample has it, too: an interval of no width would read as certainty.

    Args:
        value: The value.
        low: Lower end; None for no interval.
        high: Upper end.
        unit: Of the value.
    """
    ends = None if low is None or high is None else (number(low, sign="+"), number(high, sign="+"))
    return f"{number(value, sign='+')} {unit}".rstrip() + _ends(ends, alike=_alike(low, high))


def score_with_interval(score: Mapping[str, Any]) -> str:
    """Return an unsigned score, a share in per cent, as `effect_with_interval` does.

    Args:
        score: The fields of a score.
    """
    value, low, high, unit = score["value"], score["low"], score["high"], score["unit"]
    if value is None:
        return "undefined"
    ends = None if low is None or high is None else (scaled(low, unit), scaled(high, unit))
    return score_text(score, interval=False) + _ends(ends, alike=_alike(low, high))


def _ends(ends: tuple[str, str] | None, *, alike: bool) -> str:
    """Return an interval behind its value, or the words that there is none."""
    if ends is None:
        return " (no interval)"
    if alike:
        return " (no interval: all have this value)"
    return " (interval narrower than the last digit)" if ends[0] == ends[1] else f" [{ends[0]}, {ends[1]}]"


def _alike(low: float | None, high: float | None) -> bool:
    """Tell whether two ends are one, up to what float32 leaves of sums in another order."""
    return low is not None and high is not None and high - low <= _ROUNDING
