"""A matrix of weights as a coloured HTML table: attention, an alignment, anything with names on both sides.

A picture of a heat map shows nothing to who cannot see it, and cannot be searched, copied or read at a phone's width.
Here each weight is a cell of a table with headers, its colour is a second sign beside its number, and the table scrolls
inside its own box. Plain strings and numbers in, escaped text out, no script, nothing loaded from elsewhere. Colours
lie over the background of the page and the text takes the page's colour, so that light and dark both can be read: in
the theme of the demo by its variables, elsewhere by the system's colours.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError

#: Weights below this are not printed: in most maps nearly all of them are, and the few others are what is looked for.
PRINTED_FROM = 0.1
#: More cells than these make a page slow; a figure shows them better.
MOST_CELLS = 128 * 128
_LONGEST_LABEL = 24
_VISIBLE = {"\n": "⏎", "\r": "⏎", "\t": "⇥"}
#: Zero-width joiners hold an emoji or an Indic syllable together; the other format characters only hide or turn text.
_JOINERS = "\u200c\u200d"
#: Control, format and surrogate characters, and those that end a line; U+xFFFE and U+xFFFF are no characters, either.
_UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# A class twice is stronger than a page's own rules for tables, such as Gradio's.
# The strongest colour keeps a contrast of 5.9 (light) and 7.1 (dark) with Gradio's text: .6 of full opacity.
_STYLE = """
.nlpladder-heat { max-width: 100%; max-height: 34rem; overflow: auto; color: var(--body-text-color, inherit); }
.nlpladder-heat.nlpladder-heat table { border-collapse: separate; border-spacing: 1px; border: 0; width: auto;
  margin: 0; font-size: .8rem; }
.nlpladder-heat.nlpladder-heat table caption { text-align: left; font-weight: 600; padding: .2rem 0 .4rem; }
.nlpladder-heat caption > span { position: sticky; left: 0; display: inline-block; max-width: min(40rem, 70vw); }
.nlpladder-heat.nlpladder-heat table tr { border: 0; background: none; }
.nlpladder-heat.nlpladder-heat table th, .nlpladder-heat.nlpladder-heat table td { border: 0; padding: .15rem .3rem;
  line-height: 1.3; }
.nlpladder-heat.nlpladder-heat table th { font-weight: 400; white-space: nowrap;
  background: var(--block-background-fill, var(--background-fill-primary, Canvas)); }
.nlpladder-heat.nlpladder-heat table thead th { position: sticky; top: 0; z-index: 1; vertical-align: bottom; }
.nlpladder-heat thead th > bdi { writing-mode: vertical-rl; transform: rotate(180deg); display: inline-block; }
.nlpladder-heat.nlpladder-heat table tbody th { position: sticky; left: 0; text-align: right; }
.nlpladder-heat.nlpladder-heat table td { text-align: center; min-width: 2.3rem; font-variant-numeric: tabular-nums;
  background: rgb(213 94 0 / calc(var(--w, 0) * .6)); }
.nlpladder-heat.nlpladder-heat table td.minus { background: rgb(0 114 178 / calc(var(--w, 0) * .6)); }
.nlpladder-heat.nlpladder-heat table td.small { color: transparent; }
.nlpladder-heat.nlpladder-heat table td.small:hover { color: inherit; }
.nlpladder-heat.nlpladder-heat table td.corner { background: none; text-align: right; vertical-align: bottom;
  white-space: nowrap; }
.nlpladder-heat-bar { display: block; }
.nlpladder-heat-scale { display: inline-block; width: 7rem; height: .7rem; vertical-align: -.05rem; margin: 0 .4rem;
  border: 1px solid currentColor; }
.nlpladder-heat td:hover { outline: 2px solid currentColor; outline-offset: -2px; }
"""


def heat_table_html(
    weights: npt.ArrayLike,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    caption: str,
    row_name: str = "",
    column_name: str = "",
    strongest: float | None = None,
    printed_from: float = PRINTED_FROM,
) -> str:
    """Return a matrix as a table whose cells are the darker the larger they are, orange above 0 and blue below.

    Every cell holds its number, for a screen reader and the clipboard; on the screen those below `printed_from` show
    only at the pointer, where every cell also names its row and column.

    Args:
        weights: The matrix, (rows, columns), such as an alignment (target tokens, source tokens).
        row_labels: One a row, any strings: they are escaped, and white space and control characters made visible.
        column_labels: One a column.
        caption: What is shown, a short sentence.
        row_name: What the rows are, such as ``"Output"``.
        column_name: What the columns are, such as ``"Input"``.
        strongest: The size of the weight with the darkest colour, the same for maps that are compared; None for the
            largest of this one.
        printed_from: The size from which a number shows.

    Returns:
        A ``div`` with the table and what its colours mean.

    Raises:
        DataError: If the labels do not fit the matrix, it is empty, has more than `MOST_CELLS` cells or a number that
            is not finite, or `strongest` is not above 0.
    """
    values = _checked(weights, row_labels, column_labels)
    if strongest is not None and not (np.isfinite(strongest) and strongest > 0.0):
        raise DataError(f"strongest is {strongest}: expected a number above 0, or None for the largest weight.")
    limit = float(strongest if strongest is not None else np.abs(values).max()) or 1.0
    rows, columns = [heat_label(one) for one in row_labels], [heat_label(one) for one in column_labels]
    head = "".join(f'<th scope="col"><bdi>{html.escape(one)}</bdi></th>' for one in columns)
    body = "".join(
        f'<tr><th scope="row"><bdi>{html.escape(name)}</bdi></th>'
        + "".join(_cell(value, limit, name, column, printed_from) for value, column in zip(row, columns, strict=True))
        + "</tr>"
        for name, row in zip(rows, values.tolist(), strict=True)
    )
    corner = " ".join(
        f"{html.escape(_shown(name))} {way}" for name, way in ((row_name, "↓"), (column_name, "→")) if name
    )
    title = html.escape(_shown(caption))
    return (
        f'<style>{_STYLE}</style><div class="nlpladder-heat" role="region" tabindex="0" aria-label="{title}">'
        f'<table><caption><span>{title}</span></caption><thead><tr><td class="corner">{corner}</td>{head}</tr></thead>'
        f'<tbody>{body}</tbody></table></div><p class="nlpladder-heat-key"><small>{_key(values, limit, printed_from)}'
        "</small></p>"
    )


def heat_label(token: str) -> str:
    """Return a token as one short visible line: white space as ``␣``, ``⏎``, ``⇥``, an empty one as ``∅``, else ``�``.

    Control characters, lone surrogates and those that turn the direction of writing become ``�``; markup stays as it
    is, and is escaped by `heat_table_html`.

    Args:
        token: Any string; one of more than 24 characters is cut and ends in an ellipsis.
    """
    cut = token if len(token) <= _LONGEST_LABEL else token[: _LONGEST_LABEL - 1]
    ending = "…" if cut != token else ""
    return "".join(_VISIBLE.get(one) or ("␣" if one.isspace() else _shown(one)) for one in cut) + ending or "∅"


def _shown(text: str) -> str:
    """Return a text without characters that hide, break or turn it."""

    def hidden(one: str) -> bool:
        return ord(one) & 0xFFFE == 0xFFFE or (unicodedata.category(one) in _UNSHOWABLE and one not in _JOINERS)

    return "".join("�" if hidden(one) else one for one in text)


def _cell(value: float, limit: float, row: str, column: str, printed_from: float) -> str:
    names = [name for name, there in (("minus", value < 0.0), ("small", abs(value) < printed_from)) if there]
    kind = f' class="{" ".join(names)}"' if names else ""
    note = html.escape(f"{row} → {column}: {_number(value, 3)}")
    return f'<td{kind} style="--w:{min(1.0, abs(value) / limit):.3f}" title="{note}">{_number(value, 2)}</td>'


def _number(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", "−")


def _key(values: npt.NDArray[np.float64], limit: float, printed_from: float) -> str:
    below = " Orange is above 0, blue below." if values.min() < 0.0 else ""
    more = " and more" if np.abs(values).max() > limit else ""
    hidden = f" Numbers below {printed_from:g} show at the pointer." if printed_from > 0.0 else ""
    # To the left of no colour it is blue, where there is something below 0.
    colours, first = ("rgb(0 114 178 / .6), transparent", _number(-limit, 2)) if below else ("transparent", "0")
    scale = f"background:linear-gradient(90deg, {colours}, rgb(213 94 0 / .6))"
    inside = f'{first}<span class="nlpladder-heat-scale" style="{scale}"></span>{_number(limit, 2)}'
    bar = f'<span class="nlpladder-heat-bar" aria-hidden="true">{inside}</span>'
    return f"{bar}No colour is 0, the darkest colour {_number(limit, 2)}{more}.{below}{hidden}"


def _checked(
    weights: npt.ArrayLike, row_labels: Sequence[str], column_labels: Sequence[str]
) -> npt.NDArray[np.float64]:
    try:
        values = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"The weights are no matrix of numbers: {problem}.") from problem
    shape = (len(row_labels), len(column_labels))
    if values.shape != shape or not values.size:
        raise DataError(
            f"The weights have shape {values.shape}, with {shape[0]} row labels and {shape[1]} column labels: expected "
            "a matrix with at least one cell, and one label for each row and each column."
        )
    if values.size > MOST_CELLS:
        raise DataError(
            f"The weights have {values.size:,} cells, a table at most {MOST_CELLS:,}: draw a figure instead."
        )
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0].tolist()
        raise DataError(f"The weight in row {row}, column {column} is {values[row, column]}: expected a finite number.")
    return values
