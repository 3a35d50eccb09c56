"""An error analysis as a page of HTML: plain values in, escaped text out, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from nlpladder.errors import DataError

#: Longer texts are cut.
SHOWN_CHARACTERS = 200

_STYLE = """
.nlpladder-report { font-family: system-ui, sans-serif; line-height: 1.4; }
.nlpladder-report table { border-collapse: collapse; margin: 0.5em 0 1.5em; }
.nlpladder-report th, .nlpladder-report td { border: 1px solid #bbb; padding: 0.25em 0.6em; text-align: left; }
.nlpladder-report td.number { text-align: right; font-variant-numeric: tabular-nums; }
.nlpladder-report caption { text-align: left; font-weight: 600; padding: 0.3em 0; }
"""

_NEEDED = ("label_names", "confusion", "n", "errors", "worst", "uncertain", "slices")


def error_report_html(analysis: Mapping[str, Any], *, page: bool = False, title: str = "Errors") -> str:
    """Return an error analysis as HTML.

    Args:
        analysis: What ``ErrorAnalysis.to_dict`` gives.
        page: Return a whole document rather than a ``section`` to put into one.
        title: Heading.

    Raises:
        DataError: If an entry is missing.
    """
    for name in _NEEDED:
        if name not in analysis:
            raise DataError(f"The error analysis lacks {name!r}: expected {', '.join(_NEEDED)}.")
    total = int(analysis["n"])
    names = [_cell(name) for name in analysis["label_names"]]
    parts = [
        f"<h2>{_escape(title)}</h2>",
        f"<p>{int(analysis['errors']):,} of {total:,} examples are wrong "
        f"({100 * int(analysis['errors']) / max(1, total):.1f}&nbsp;%).</p>",
        _table(
            "Confusion matrix (rows: true class, columns: predicted class)",
            ["", *map(str, analysis["label_names"])],
            [
                [name, *(_number(f"{count:,}") for count in row)]
                for name, row in zip(names, analysis["confusion"], strict=True)
            ],
        ),
    ]
    if analysis["slices"]:
        header = ["Column", "Slice", "n", "Accuracy, 95 % interval", "Minus the rest", "p (Fisher, Holm)"]
        parts.append(_table("Slices", header, [_slice_row(part) for part in analysis["slices"]]))
    for name, caption in (("worst", "Confident and wrong"), ("uncertain", "Most uncertain")):
        if analysis[name]:
            rows = [_example_row(example) for example in analysis[name]]
            parts.append(_table(caption, ["Row", "Text", "True", "Predicted", "Confidence"], rows))
    section = f'<section class="nlpladder-report"><style>{_STYLE}</style>{"".join(parts)}</section>'
    if not page:
        return section
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_escape(title)}</title></head>'
        f"<body>{section}</body></html>\n"
    )


def _slice_row(part: Mapping[str, Any]) -> list[str]:
    interval = f"{100 * part['accuracy']:.1f} [{100 * part['low']:.1f}, {100 * part['high']:.1f}]"
    difference = "" if part["difference"] is None else f"{100 * part['difference']:+.1f}"
    p_value = "" if part["p_holm"] is None else ("< 0.0001" if part["p_holm"] < 1e-4 else f"{part['p_holm']:.4f}")
    numbers = (f"{part['n']:,}", interval, difference, p_value)
    return [_cell(part["column"]), _cell(part["value"]), *map(_number, numbers)]


def _example_row(example: Mapping[str, Any]) -> list[str]:
    # bdi keeps right-to-left text from reordering its neighbours
    text = f'<td dir="auto"><bdi>{_escape(str(example["text"]))}</bdi></td>'
    confidence = _number(f"{100 * example['confidence']:.0f} %")
    return [_number(str(example["row"])), text, _cell(example["label"]), _cell(example["predicted"]), confidence]


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><caption>{_escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    return f"<td>{_escape(str(value))}</td>"


def _number(text: str) -> str:
    return f'<td class="number">{_escape(text)}</td>'


def _escape(text: str) -> str:
    line = "".join(character if character.isprintable() else " " for character in " ".join(text.split()))
    return html.escape(line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1].rstrip() + "…")
