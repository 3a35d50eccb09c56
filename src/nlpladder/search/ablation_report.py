"""The table of an ablation: scores over seeds and examples, the difference to the baseline with its test, the cost."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlpladder.evaluation.intervals import Score
from nlpladder.views.ladder_table import metric_title

if TYPE_CHECKING:
    from nlpladder.search.ablation import AblationPlan, AblationRow

_STYLE = """
body { font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; line-height: 1.45; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #8884; padding: .4rem .6rem; text-align: right; white-space: nowrap; }
th:nth-child(-n+2), td:nth-child(-n+2), td.why { text-align: left; white-space: normal; }
td.why { color: #b00020; }
.scroll { overflow-x: auto; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6; } td.why { color: #ff8a80; } }
"""


def ablation_content(
    plan: AblationPlan, rows: Sequence[AblationRow], *, seconds: float, complete: bool
) -> dict[str, Any]:
    """Score and compare what has been run, as ``ablation.json`` holds it.

    Args:
        plan: What was to be run.
        rows: The baseline first; some have runs.
        seconds: The ablation took so far.
        complete: Whether all runs have been tried.
    """
    from nlpladder.search.paired_runs import compare_with_baseline, kind_of
    from nlpladder.training.run_folder import describe_hardware

    finished = [row for row in rows if row.runs]
    kind = kind_of(finished[0].runs[0])
    # A recipe that gives the same run for every seed has one result, not several that happen to agree.
    runs = {row.variant.name: row.runs[:1] if row.deterministic else row.runs for row in finished}
    baseline = runs.pop(rows[0].variant.name, None)
    compared: Mapping[str, Any] = {} if baseline is None else compare_with_baseline(kind, baseline, runs)
    table = []
    for row in rows:
        own = row.runs[:1] if row.deterministic else row.runs
        found = compared.get(row.variant.name)
        table.append(
            {
                "name": row.variant.name,
                "change": dict(row.variant.change),
                "removed": list(row.variant.remove),
                "described": row.variant.describe(),
                "seeds": len(own),
                "scores": {name: score.to_dict() for name, score in kind.score(own).items()} if own else {},
                "against_baseline": found.to_dict() if found is not None and not isinstance(found, str) else None,
                "not_compared": found if isinstance(found, str) else None,
                **{
                    fact: row.mean(fact)
                    for fact in ("parameters", "trainable_parameters", "training_seconds", "peak_memory_mib", "steps")
                },
                "error": row.error,
                "runs": [str(run.folder.path.relative_to(plan.output_dir)) for run in row.runs],
            }
        )
    first = finished[0].runs[0]
    return {
        "recipe": plan.recipe,
        "dataset": first.record.get("identity", {}).get("data", {}).get("name", ""),
        "columns": [name for name in kind.columns if name in first.metrics["scores"]],
        "test_unit": kind.unit,
        "n": first.metrics.get("n"),
        "seeds": plan.seeds,
        "rows": table,
        "seconds": round(seconds, 1),
        "hardware": describe_hardware(),
        "complete": complete,
    }


def table_cells(content: Mapping[str, Any]) -> list[list[str]]:
    """Return the table's cells as text, the header first; a row without runs has two cells and the reason."""
    lead, *others = content["columns"]
    header = ["variant", "what is different", "seeds", f"{metric_title(lead)} [95 %]", *map(metric_title, others)]
    cells = [[*header, "difference [95 %]", "p (Holm)", "trained parameters", "training s"]]
    for row in content["rows"]:
        if not row["scores"]:
            cells.append([row["name"], row["described"], row["error"] or "not run yet"])
            continue
        score = row["scores"][lead]
        shown = Score.from_dict(score["mean"]).format()
        if score["deviation"] is not None:
            shown += f" ±{_scaled(score['deviation'], score['mean']['unit'])}"
        cells.append(
            [
                row["name"] + (" *" if row["error"] or row["not_compared"] else ""),
                row["described"],
                str(row["seeds"]),
                shown,
                *(Score.from_dict(row["scores"][name]["mean"]).format().split(" ")[0] for name in others),
                *_difference(row["against_baseline"]),
                "–" if row["trainable_parameters"] is None else f"{row['trainable_parameters']:,.0f}",
                "–" if row["training_seconds"] is None else f"{row['training_seconds']:,.1f}",
            ]
        )
    return cells


def notes(content: Mapping[str, Any]) -> list[str]:
    """Return the sentences below the table."""
    compared = sum(row["against_baseline"] is not None for row in content["rows"])
    seeds = max((row["seeds"] for row in content["rows"]), default=1)
    count = f"{content['n']:,} " if content["n"] else ""
    over = content["test_unit"] + (f" and {seeds} seeds; ± is the deviation over seeds" if seeds > 1 else "")
    found = [
        f"{content['recipe']} on {content['dataset']}, {count}{content['test_unit']}, {content['hardware']}; "
        f"{content['seconds'] / 60:.1f} min. The runs were made in turns, one seed of every variant after the other.",
        f"Interval: 95 % over {over}. Difference: variant minus baseline on the same {content['test_unit']}.",
        f"p: two-sided, Holm-corrected over {compared} variants; ▲ better than the baseline, ▼ worse at p < .05, = not "
        "shown to differ (which does not show that they are equal).",
        "One thing is changed at a time: what two changes do together does not follow from this table.",
    ]
    if not content["complete"]:
        found.append("The ablation is not complete: fewer seeds than asked for have been run.")
    if seeds == 1:
        found.append("One seed: the tests are about these trained models; another seed may order them otherwise.")
    elif seeds == 2:
        found.append("Two seeds say little about their variance: take three or more.")
    for row in content["rows"]:
        reasons = [row["error"] if row["scores"] else None, row["not_compared"]]
        found += [f"* {row['name']}: {reason}" for reason in reasons if reason]
        note = (row["against_baseline"] or {}).get("note")
        if note and seeds > 1:
            found.append(f"{row['name']}: {note}")
    return found


def ablation_markdown(content: Mapping[str, Any]) -> str:
    """Return the table and its notes as Markdown."""
    header, *body = table_cells(content)
    lines = [
        f"# Ablation of {content['recipe']} on {content['dataset']}",
        "",
        "| " + " | ".join(header) + " |",
        "|---|---|" + "---:|" * (len(header) - 2),
    ]
    for cells in body:
        escaped = [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]
        lines.append("| " + " | ".join(escaped + [""] * (len(header) - len(cells))) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(content))]) + "\n"


def ablation_html(content: Mapping[str, Any]) -> str:
    """Return one page that needs no other file."""
    header, *body = table_cells(content)
    rows = []
    for cells in body:
        if len(cells) == 3:
            reason = f'<td class="why" colspan="{len(header) - 2}">{html.escape(cells[2])}</td>'
            rows.append(f"<tr><td>{html.escape(cells[0])}</td><td>{html.escape(cells[1])}</td>{reason}</tr>")
        else:
            rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    title = html.escape(f"Ablation of {content['recipe']} on {content['dataset']}")
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    said = "".join(f"<li>{html.escape(note)}</li>" for note in notes(content))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>{title}</h1>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f"<ul>{said}</ul></body></html>\n"
    )


def ablation_text(content: Mapping[str, Any]) -> str:
    """Return the table and its notes for the terminal."""
    header, *body = table_cells(content)
    whole = [header, *(cells for cells in body if len(cells) == len(header))]
    widths = [max(len(cells[place]) for cells in whole) for place in range(len(header))]
    lines = []
    for cells in [header, *body]:
        if len(cells) == len(header):
            lines.append("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        else:
            lines.append(f"{cells[0].ljust(widths[0])}  {cells[1].ljust(widths[1])}  {cells[2]}")
    return "\n".join([*lines, "", *(f"note: {note}" for note in notes(content))])


def _difference(comparison: Mapping[str, Any] | None) -> list[str]:
    """Return the difference with its interval, and its corrected p with a mark."""
    if comparison is None:
        return ["–", "–"]
    unit = comparison["unit"]
    ends = f"[{_scaled(comparison['low'], unit, sign=True)}, {_scaled(comparison['high'], unit, sign=True)}]"
    better = (comparison["difference"] > 0) == comparison["higher_is_better"]
    shown = comparison["p_holm"] <= 0.05 and comparison["difference"] != 0
    p_value = comparison["p_holm"]
    text = "< .001" if p_value < 0.001 else f"{p_value:.3f}".lstrip("0") if p_value < 1 else "1"
    mark = ("▲" if better else "▼") if shown else "="
    return [f"{_scaled(comparison['difference'], unit, sign=True)} {ends}", f"{text} {mark}"]


def _scaled(value: float, unit: str, *, sign: bool = False) -> str:
    factor, digits = (100.0, 1) if unit == "%" else (1.0, 1 if unit == "points" else 3)
    return f"{value * factor:{'+' if sign else ''}.{digits}f}"
