"""The table of a climb, for the screen, for Markdown, and as one self-contained page."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlpladder.evaluation.closed_intervals import NO_INTERVAL

_TITLES = {
    "accuracy": "accuracy",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
    "expected_calibration_error": "ECE",
    "subset_accuracy": "subset accuracy",
    "root_mean_squared_error": "RMSE",
    "r_squared": "R²",
    "spearman": "Spearman",
    "bits_per_byte": "bits/byte",
    "perplexity_per_word": "perplexity/word",
    "perplexity": "perplexity",
    "perplexity_of_known": "of known",
    "unknown_rate": "unknown %",
    "bleu": "BLEU",
    "bleu_lowercase": "BLEU lower-cased",
    "chrf": "chrF",
    "ter": "TER",
    "exact_match": "exact match",
    "length_ratio": "length ratio",
}

_STYLE = """
body { font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; line-height: 1.45; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #8884; padding: .4rem .6rem; text-align: right; white-space: nowrap; }
th:nth-child(1), td:nth-child(1), td.why { text-align: left; white-space: normal; }
td.why { color: #b00020; }
figure { margin: 2rem 0; } img { max-width: 100%; background: white; }
.scroll { overflow-x: auto; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6; } td.why { color: #ff8a80; } }
"""


def table_header(content: Mapping[str, Any]) -> list[str]:
    """Return the column titles. `content` is what ``ladder.json`` holds."""
    first, *others = content["columns"]
    return [
        "rung",
        "parameters",
        "training s",
        f"{content['speed_unit']}/s",
        f"{metric_title(first)} [95 %]",
        *map(metric_title, others),
        "p vs. below",
    ]


def table_rows(content: Mapping[str, Any]) -> list[list[str]]:
    """Return the cells of each rung as text; a rung that failed has two cells, its title and the reason."""
    rows = []
    for row in content["rows"]:
        if row["error"] and not row["runs"]:
            rows.append([row["title"], row["error"]])
            continue
        first, *others = content["columns"]
        lead = row["scores"][first]
        cell = _score(lead["mean"], interval=True)
        if lead["deviation"] is not None:
            cell += f" ±{_scaled(lead['deviation'], lead['mean']['unit'])}"
        rows.append(
            [
                row["title"] + (" *" if row["error"] or row["notes"] else ""),
                _count(row["parameters"]),
                f"{row['training_seconds']:,.1f}",
                f"{row['inference_examples_per_second']:,.0f}",
                cell + _ceiling_mark(lead["mean"], content),
                *(_score(row["scores"][name]["mean"], interval=False) for name in others),
                _p_value(row["against_rung_below"]),
            ]
        )
    return rows


def foot_notes(content: Mapping[str, Any]) -> list[str]:
    """Return the sentences below the table."""
    seeds = max((row["seeds"] for row in content["rows"]), default=1)
    metric = metric_title(content["columns"][0])
    notes = [
        f"{content.get('tested') or _tested(content)}, on {content['hardware']}; "
        f"the climb took {content['seconds'] / 60:.1f} min and {content['peak_memory_mib']:,.0f} MiB at its peak.",
        f"Interval: 95 % bootstrap over {content['test_unit']}"
        + (f" and {seeds} seeds; ± is the deviation over seeds." if seeds > 1 else "."),
        *(
            ["ECE: expected calibration error, the mean gap between confidence and accuracy, in percent."]
            if "expected_calibration_error" in content["columns"]
            else []
        ),
        f"p: two-sided test of the difference in {metric} to the rung below on the same {content['test_unit']}, "
        "Holm-corrected over the column; ▲ better, ▼ worse at p < .05, = not shown to differ.",
    ]
    if content["ceilings"]:
        parts = ", ".join(
            f"{_ceiling_title(name)} {_ceiling_text(name, value)}" for name, value in content["ceilings"].items()
        )
        notes.append(f"Known from the grammar: {parts}. † reaches the best possible within its interval.")
    if content["pretraining"]:
        notes.append(
            f"The pretrained rungs share an encoder that took {content['pretraining']['seconds']:.0f} s on "
            f"{content['pretraining']['texts']:,} unlabelled texts, not counted in their rows."
        )
    for row in content["rows"]:
        extra = [*row["notes"], *([row["error"]] if row["error"] and row["runs"] else [])]
        notes.extend(f"* {row['title']}: {note}" for note in extra)
    return notes


def ladder_markdown(content: Mapping[str, Any]) -> str:
    """Return the table and its notes as Markdown."""
    header = table_header(content)
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    for row in table_rows(content):
        cells = [_escape_markdown(cell) for cell in row] + [""] * (len(header) - len(row))
        lines.append("| " + " | ".join(cells) + " |")
    notes = "\n".join(f"- {_escape_markdown(note)}" for note in foot_notes(content))
    return f"# The climb on {_escape_markdown(content['dataset'])}\n\n" + "\n".join(lines) + f"\n\n{notes}\n"


def ladder_html(content: Mapping[str, Any], figures: Sequence[Path]) -> str:
    """Return one page that needs no other file: table, notes, and the figures inside it.

    Args:
        content: What ``ladder.json`` holds.
        figures: PNG files.
    """
    header = table_header(content)
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in header)
    body = []
    for row, facts in zip(table_rows(content), content["rows"], strict=True):
        if len(row) == 2:
            cells = (
                f'<td>{html.escape(row[0])}</td><td class="why" colspan="{len(header) - 1}">{html.escape(row[1])}</td>'
            )
        else:
            cells = f'<td title="{html.escape(facts["idea"])}">{html.escape(row[0])}</td>' + "".join(
                f"<td>{html.escape(cell)}</td>" for cell in row[1:]
            )
        body.append(f"<tr>{cells}</tr>")
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in foot_notes(content))
    pictures = "".join(
        f'<figure><img alt="{html.escape(path.stem.replace("_", " "))}" '
        f'src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"></figure>'
        for path in figures
    )
    title = f"The climb on {html.escape(content['dataset'])}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>{title}</h1>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
        f"<ul>{notes}</ul>{pictures}</body></html>\n"
    )


def print_ladder(content: Mapping[str, Any]) -> None:
    """Print the table to the terminal, as wide as it is."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement
    from rich.table import Table

    console = Console()
    table = Table(title=f"The climb on {escape(content['dataset'])}", box=box.SIMPLE_HEAD, title_justify="left")
    for index, title in enumerate(table_header(content)):
        table.add_column(title, justify="left" if index == 0 else "right", no_wrap=True)
    failed = []
    for row, facts in zip(table_rows(content), content["rows"], strict=True):
        if len(row) == 2:
            failed.append((facts["rung"], row[1]))
            table.add_row(facts["rung"], "–", "–", "–", "not finished, see below")
        else:
            mark = " *" if row[0].endswith(" *") else ""
            table.add_row(facts["rung"] + mark, *(escape(cell) for cell in row[1:]))
    # A log file or a narrow window gets the whole table; cells that are cut or broken over lines could not be read.
    console.width = max(console.width, Measurement.get(console, console.options.update(width=400), table).maximum)
    console.print(table)
    for title, reason in failed:
        console.print(f"[bold]{escape(title)}[/bold]: {escape(reason)}", highlight=False)
    for note in foot_notes(content):
        console.print(escape(note), highlight=False, style="dim")


def ladder_figures(content: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw score with interval against training time and against parameters; return the files."""
    from nlpladder.views.figures import save_figure, score_against_cost

    metric = content["columns"][0]
    rows = [row for row in content["rows"] if row["runs"] and row["scores"][metric]["mean"]["value"] is not None]
    if not rows:
        return []
    means = [row["scores"][metric]["mean"] for row in rows]
    share = means[0]["unit"] == "%"
    factor = 100.0 if share else 1.0
    ceiling = _ceiling(metric, content)

    def scaled(key: str) -> list[float | None]:
        return [None if mean[key] is None else factor * mean[key] for mean in means]

    paths = []
    for fact, label in (("training_seconds", "training time in seconds"), ("parameters", "parameters")):
        figure = score_against_cost(
            [row["rung"] for row in rows],
            [factor * mean["value"] for mean in means],
            scaled("low"),
            scaled("high"),
            [float(row[fact] or 0.0) for row in rows],
            cost_label=label,
            score_label=f"{metric_title(metric)}{' in %' if share else ''}, 95 % interval",
            ceiling=None if ceiling is None else factor * ceiling,
        )
        paths.append(save_figure(figure, folder / f"{metric}_against_{fact}.png"))
    return paths


def _tested(content: Mapping[str, Any]) -> str:
    return f"{content['test_size']:,} {content['test_unit']} of {content['dataset']}"


def metric_title(metric: str) -> str:
    """Return how tables and figures call a metric: "f1_macro" is "macro F1", "bits_per_byte" is "bits/byte".

    Args:
        metric: As ``metrics.json`` names it.
    """
    return _TITLES.get(metric, metric.replace("_", " "))


def _scaled(value: float, unit: str) -> str:
    if unit == "points":
        return f"{value:.1f}"
    return f"{100 * value:.1f}" if unit == "%" else f"{value:.3f}"


def _score(score: Mapping[str, Any], *, interval: bool) -> str:
    if score["value"] is None:
        return "undefined"
    text = _scaled(score["value"], score["unit"])
    if interval and score["low"] is not None:
        text += f" [{_scaled(score['low'], score['unit'])}, {_scaled(score['high'], score['unit'])}]"
    elif interval and str(score.get("method", "")).startswith(NO_INTERVAL):
        text += f" (n = {score['n']:,}: no interval)"
    return text


def _ceiling(metric: str, content: Mapping[str, Any]) -> float | None:
    """Return the best value of `metric` that any model could reach, where the data are from a world."""
    ceilings: Mapping[str, float] = content["ceilings"]
    return ceilings.get({"accuracy": "bayes_accuracy", "exact_match": "bayes_exact_match"}.get(metric, metric))


def _ceiling_title(name: str) -> str:
    """Return the name of a ceiling, "best_bigram_bits_per_byte", with its metric as the heading of the table has it."""
    metric = max((one for one in _TITLES if name.endswith(f"_{one}")), key=len, default="")
    return f"{name.removesuffix(metric).replace('_', ' ')}{metric_title(metric)}" if metric else metric_title(name)


def _ceiling_text(name: str, value: float) -> str:
    """Write a ceiling as the table writes the metric: shares in percent."""
    return f"{100 * value:.1f} %" if name.endswith(("accuracy", "exact_match")) else f"{value:.3f}"


def _ceiling_mark(score: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    ceiling = _ceiling(score["name"], content)
    if ceiling is None or score["low"] is None:
        return ""
    reached = score["high"] >= ceiling if score["higher_is_better"] else score["low"] <= ceiling
    return " †" if reached else ""


def _p_value(comparison: Mapping[str, Any] | None) -> str:
    if comparison is None:
        return ""
    p = comparison["p_holm"]
    text = "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"
    if p >= 0.05:
        return f"{text} ="
    return f"{text} {'▲' if (comparison['difference'] > 0) == comparison['higher_is_better'] else '▼'}"


def _count(number: float | None) -> str:
    if number is None:
        return "–"
    for size, suffix in ((1e9, " B"), (1e6, " M"), (1e4, " k")):
        if number >= size:
            return f"{number / (1e3 if suffix == ' k' else size):,.1f}{suffix}"
    return f"{number:,.0f}"


def _escape_markdown(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "\\|").replace("\n", " ")
