"""A bias report as Markdown, as one self-contained page of HTML, and for the screen."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlpladder.views.bias_table import (
    AS_ABOVE,
    CATEGORY_HEADER,
    CHANGE_HEADER,
    CONTENT_WARNING,
    HEADER,
    NOT_SHOWN,
    NOTHING,
    category_tables,
    change_rows,
    detectable_sentence,
    heterogeneity_sentences,
    method_sentences,
    notes_of,
    overall_rows,
    score_text,
    skipped_rows,
    too_few_resamples,
)

#: How many items of each end a page shows, and how long a text may be.
SHOWN_ITEMS = 8
SHOWN_CHARACTERS = 240

_STYLE = """
body { font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 82rem; padding: 0 1rem; line-height: 1.45; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0 1.5rem; }
th, td { border-bottom: 1px solid #8884; padding: .35rem .6rem; text-align: left; vertical-align: top; }
.scroll { overflow-x: auto; }
aside { border-left: .3rem solid #b07000; padding: .2rem 1rem; margin: 1rem 0; }
details { margin: 1rem 0; } summary { cursor: pointer; font-weight: 600; }
figure { margin: 1.5rem 0; } img { max-width: 100%; background: white; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6; } }
"""


def bias_markdown(content: Mapping[str, Any]) -> str:
    """Return the report as Markdown, without any item.

    Args:
        content: What ``bias.json`` holds.
    """
    limits = "\n".join(f"- {_plain(sentence)}" for sentence in (*content.get("advice", ()), *NOT_SHOWN))
    parts = [f"# {_title(content)}", _models_sentence(content), _markdown_table(HEADER, overall_rows(content))]
    parts += ["**What these numbers do not show**", limits]
    for name, rows in category_tables(content).items():
        parts += [f"## {_plain(name)}", _markdown_table(CATEGORY_HEADER, rows), _short_limit()]
    changes = change_rows(content)
    if changes:
        parts += ["## Compared item by item", _markdown_table(CHANGE_HEADER, changes), _short_limit()]
    for title, sentences in _lists(content):
        parts += [f"## {title}", "\n".join(f"- {_plain(sentence)}" for sentence in sentences)]
    return "\n\n".join(parts) + "\n"


def bias_html(
    content: Mapping[str, Any],
    figures: Sequence[Path] = (),
    items: Sequence[tuple[str, Mapping[str, Sequence[Any]]]] = (),
) -> str:
    """Return one page that needs no other file; items are folded under a warning.

    Args:
        content: What ``bias.json`` holds.
        figures: PNG files.
        items: A heading and the columns of the items of each measure; the ends of column ``value`` are shown.
    """
    limits = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in (*content.get("advice", ()), *NOT_SHOWN))
    aside = f"<aside><strong>What these numbers do not show</strong><ul>{limits}</ul></aside>"
    short = f"<aside>{html.escape(_short_limit())}</aside>"
    parts = [f"<h1>{html.escape(_title(content))}</h1><p>{html.escape(_models_sentence(content))}</p>"]
    parts += [_html_table(HEADER, overall_rows(content)), aside]
    parts += [
        f'<figure><img alt="{html.escape(path.stem.replace("_", " "))}" '
        f'src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"></figure>'
        for path in figures
    ]
    for name, rows in category_tables(content).items():
        parts += [f"<h2>{html.escape(name)}</h2>", _html_table(CATEGORY_HEADER, rows), short]
    changes = change_rows(content)
    if changes:
        parts += ["<h2>Compared item by item</h2>", _html_table(CHANGE_HEADER, changes), short]
    for title, sentences in _lists(content):
        listed = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
        parts.append(f"<h2>{html.escape(title)}</h2><ul>{listed}</ul>")
    parts += [_html_items(name, columns) for name, columns in items]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(_title(content))}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def print_bias(content: Mapping[str, Any], say: Callable[[str], None] = print) -> None:
    """Print each main finding in three lines, then what it does not show.

    Args:
        content: What ``bias.json`` holds.
        say: Told each line.
    """
    for cells in overall_rows(content):
        model, measure, score, no_bias, effect, n, clusters, p, holm, detectable, quality, verdict = cells
        facts = {"no bias": no_bias, "effect": effect, "p": p, "Holm": holm, "detectable by one test": detectable}
        facts |= {"quality": quality}
        known = [f"{name} {cell}" for name, cell in facts.items() if cell not in (NOTHING, AS_ABOVE)]
        say(f"{model}  {measure}: {score}")
        say(f"    {', '.join([f'n {n}', f'clusters {clusters}', *known])}")
        say(f"    {verdict}")
    for cells in change_rows(content):
        before, after, measure, category, *_, difference, distance, p, n, quality, verdict = cells
        say(f"{before} -> {after}  {measure}, {category}: {difference}, distance {distance}, p {p}, n {n}; {verdict}")
    for sentence in skipped_rows(content):
        say(f"Not measured: {sentence}")
    for sentence in (*content.get("advice", ()), *too_few_resamples(content)):
        say(sentence)
    if any(row["detectable"] is not None for row in content["rows"]):
        say(detectable_sentence(content))
    say(_short_limit())


def strongest_items(columns: Mapping[str, Sequence[Any]], count: int = SHOWN_ITEMS) -> list[dict[str, Any]]:
    """Return the items with the largest and the smallest values, the largest first.

    Args:
        columns: The items, with column ``value``.
        count: How many of each end.
    """
    values = [float("nan") if value is None else float(value) for value in columns.get("value", ())]
    order = sorted((i for i, value in enumerate(values) if value == value), key=lambda i: -values[i])
    chosen = order if len(order) <= 2 * count else [*order[:count], *order[-count:]]
    return [{name: column[i] for name, column in columns.items()} for i in chosen]


def _title(content: Mapping[str, Any]) -> str:
    return f"Bias measures of {', '.join(model['name'] for model in content['models'])}"


def _models_sentence(content: Mapping[str, Any]) -> str:
    facts = [
        f"{model['name']}: {model['kind']}"
        + ("" if model["parameters"] is None else f", {model['parameters']:,} parameters")
        for model in content["models"]
    ]
    return f"{'; '.join(facts)}. Measured {content['measured']} with nlpladder {content['version']}."


def _lists(content: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    data = [
        f"{name}: " + ", ".join(f"{key} {_fact(value)}" for key, value in facts.items())
        for name, facts in content["data"].items()
        if facts
    ]
    sources = [
        f"{measure}: {source}"
        for measure, source in dict.fromkeys((row["measure"], row["source"]) for row in content["rows"])
        if source
    ]
    lists = [
        ("Do the categories differ?", heterogeneity_sentences(content)),
        ("Notes", notes_of(content)),
        ("Not measured", skipped_rows(content)),
        ("Data", data),
        ("Sources", sources),
        ("How the numbers were computed", method_sentences(content)),
    ]
    return [(title, sentences) for title, sentences in lists if sentences]


def _fact(value: Any) -> str:
    """Return a fact about data in one line: hashes of many files stand in bias.json."""
    if isinstance(value, Mapping):
        return f"of {len(value)} files, see bias.json"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _short_limit() -> str:
    return "A measure that finds no bias does not show that there is none."


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return text on one line in which Markdown reads no table, tag, code or emphasis."""
    line = " ".join(str(text).split())
    for character in "\\|`*":
        line = line.replace(character, f"\\{character}")
    # "p < .001" is no tag, and is read by people.
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line).replace(">", "&gt;")


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in header)
    body = "".join(
        "<tr>" + "".join(f'<td dir="auto"><bdi>{html.escape(cell)}</bdi></td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _html_items(name: str, columns: Mapping[str, Sequence[Any]]) -> str:
    rows = strongest_items(columns)
    if not rows:
        return ""
    header = [column for column in rows[0] if column != "cluster_id"]
    cells = [[_item_text(row[column]) for column in header] for row in rows]
    return (
        f"<details><summary>Items of {html.escape(name)} with the largest and smallest values (folded)</summary>"
        f"<p><strong>{html.escape(CONTENT_WARNING)}</strong></p>{_html_table(header, cells)}</details>"
    )


def _item_text(value: Any) -> str:
    if isinstance(value, Mapping) and "value" in value and "unit" in value:
        return score_text(value)
    text = f"{value:.4g}" if isinstance(value, float) else "".join(c if c.isprintable() else " " for c in str(value))
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
