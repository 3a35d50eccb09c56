"""What preprocessing did to a corpus: a Zipf plot and a report in Markdown, from plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.views.figures import COLOURS, LINES, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Points of a rank-frequency curve; more would only make a vector file larger.
_CURVE_POINTS = 2_000
_SHOWN_CHARACTERS = 300
_ROWS = (
    ("texts", "Texts", "{:,}"),
    ("empty_texts", "Empty texts", "{:,}"),
    ("tokens", "Tokens", "{:,}"),
    ("types", "Types", "{:,}"),
    ("type_token_ratio", "Type-token ratio", "{:.4f}"),
    ("moving_average_ttr", "Moving-average type-token ratio", "{:.4f}"),
    ("yules_k", "Yule's K", "{:.1f}"),
    ("hapaxes", "Hapaxes (types seen once)", "{:,}"),
    ("zipf_exponent", "Zipf exponent", "{:.3f}"),
    ("types_for_95_percent", "Types that cover 95 % of the tokens", "{:,}"),
    ("mean_length", "Tokens per text, mean", "{:.1f}"),
)


def plot_zipf(curves: Mapping[str, npt.ArrayLike], exponents: Mapping[str, float] | None = None) -> Figure:
    """Plot frequency against rank, both logarithmic (Zipf 1949).

    Args:
        curves: Frequencies by name, each of shape (types,), the largest first.
        exponents: Fitted exponents by the same names, written into the legend.

    Raises:
        DataError: when a curve is not sorted.
    """
    figure = new_figure()
    axes = figure.add_subplot()
    for number, (name, values) in enumerate(curves.items()):
        frequencies = np.asarray(values)
        if frequencies.size and (np.diff(frequencies) > 0).any():
            raise DataError(f"The frequencies of {name!r} are not sorted from the largest down.")
        if not frequencies.size:
            continue
        shown = np.unique(np.geomspace(1, frequencies.size, _CURVE_POINTS).astype(int))  # (points,) ranks
        exponent = (exponents or {}).get(name)
        label = name if exponent is None or not np.isfinite(exponent) else f"{name}, exponent {exponent:.2f}"
        colour, line = COLOURS[number % len(COLOURS)], LINES[number % len(LINES)]
        axes.loglog(shown, frequencies[shown - 1], line, color=colour, label=label)
    axes.set_xlabel("Rank of the type")
    axes.set_ylabel("Frequency")
    axes.grid(True, which="major", alpha=0.3)
    if axes.lines:
        axes.legend()
    return figure


def statistics_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, before, after) as text, for a table.

    Args:
        before: What ``CorpusStatistics.to_dict`` gives.
        after: The same, after preprocessing.
    """
    rows = [(title, _format(before[key], form), _format(after[key], form)) for key, title, form in _ROWS]
    for quantile, title in (("q50", "median"), ("q95", "95 % quantile"), ("q100", "maximum")):
        values = [_format(part["length_quantiles"].get(quantile), "{:,.0f}") for part in (before, after)]
        rows.append((f"Tokens per text, {title}", values[0], values[1]))
    return rows


def text_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Return a table for a terminal: the first column to the left, the others to the right.

    Args:
        rows: Cells as text.
        header: One per column.
    """
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    text = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    ]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])


def corpus_report_markdown(report: Mapping[str, Any], *, figure: str | None = None) -> str:
    """Return a corpus report in Markdown.

    Args:
        report: ``source``, ``steps`` (the preprocessor's config), ``splits`` (what ``CorpusComparison.to_dict`` gives,
            by split) and ``examples`` (mappings with ``split``, ``row``, ``before``, ``after``, ``change``).
        figure: The path of the Zipf plot, relative to the report.
    """
    lines = [f"# Preprocessing of {_inline(str(report['source']))}", ""]
    for number, step in enumerate(report["steps"], start=1):
        options = ", ".join(f"{key}={value!r}" for key, value in step.items() if key != "name")
        lines.append(f"{number}. {_inline(step['name'])}" + (f" ({_inline(options)})" if options else ""))
    for split, comparison in report["splits"].items():
        lines += ["", f"## {split}", ""]
        rows = statistics_rows(comparison["before"], comparison["after"])
        lines += _table(("", "before", "after"), rows)
        lines += ["", f"{comparison['vanished_types']:,} types vanished, {comparison['appeared_types']:,} are new."]
        for key, title in (("vanished", "Vanished"), ("appeared", "New")):
            if comparison[key]:
                words = ", ".join(f"{_inline(token)} ({count:,})" for token, count in comparison[key])
                lines += ["", f"{title}, the most frequent: {words}."]
        top = ", ".join(f"{_inline(token)} ({count:,})" for token, count in comparison["after"]["most_frequent"])
        lines += ["", f"Most frequent after preprocessing: {top}."] if top else []
    if figure:
        lines += ["", f"![Rank and frequency of the types]({figure})"]
    if report["examples"]:
        lines += ["", "## Texts that changed most", ""]
        changes = [
            (f"{e['split']} {e['row']}", f"{e['change']:.0%}", _inline(_cut(e["before"])), _inline(_cut(e["after"])))
            for e in report["examples"]
        ]
        lines += _table(("row", "tokens that differ", "before", "after"), changes)
    return "\n".join(lines) + "\n"


def _format(value: Any, form: str) -> str:
    return "-" if value is None else form.format(value)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _inline(text: str) -> str:
    """Return `text` as inline code that neither breaks a table nor ends early."""
    text = " ".join(text.split()).replace("|", "\\|")
    longest = max((len(run) for run in text.replace("`", " ` ").split() if set(run) == {"`"}), default=0)
    ticks = "`" * (text.count("`") + 1) if longest else "`"
    return f"{ticks} {text} {ticks}" if longest or not text else f"`{text}`"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
