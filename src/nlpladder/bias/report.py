"""Write a bias report: bias.json, items/*.parquet, figures, bias.md and one self-contained bias.html."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlpladder.bias.evaluate import Report, comparison_rows, report_rows
from nlpladder.bias.findings import ITEM_COLUMNS, Finding, Findings
from nlpladder.bias.measures import all_measures
from nlpladder.bias.verdicts import advice
from nlpladder.errors import DataError, RunError

REPORT_FILE = "bias.json"
#: What a report consists of: nothing else of a folder is touched.
PARTS = (REPORT_FILE, "bias.md", "bias.html", "items", "figures", "mitigation.json", "mitigation.md")
FORMAT = 2


def report_content(report: Report) -> dict[str, Any]:
    """Return what ``bias.json`` holds: plain JSON values, no item.

    Args:
        report: What was found.
    """
    import nlpladder
    from nlpladder.training.run_folder import describe_environment

    known = all_measures()
    entries = list(dict.fromkeys(row.entry for row in report.rows))
    data: dict[str, Any] = {}
    for model in report.models:
        for entry, several in model.findings.items():
            for findings in several:
                if findings.data:
                    data.setdefault(entry, dict(findings.data))
    return {
        "format": FORMAT,
        "version": nlpladder.__version__,
        "measured": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "environment": describe_environment(),
        "statistics": {
            "resamples": report.statistics.resamples,
            "confidence": report.statistics.confidence,
            "seed": report.statistics.seed,
        },
        "stereotypes": any(known[entry].stereotypes for entry in entries if entry in known),
        "models": [
            {
                "name": model.name,
                "kind": model.kind,
                "parameters": model.parameters,
                "offers": list(model.offers),
                "skipped": dict(model.skipped),
                "seconds": {name: round(value, 3) for name, value in model.seconds.items()},
            }
            for model in report.models
        ],
        "rows": report_rows(report),
        "heterogeneity": [
            {"model": model, "measure": measure, **test._asdict()} for model, measure, test in report.heterogeneity
        ],
        "advice": advice([row.finding for row in report.rows]),
        "comparisons": comparison_rows(report),
        "data": data,
        "items": item_files(report),
    }


def item_files(report: Report) -> dict[str, str]:
    """Return the file of each table of items, by ``model/measure``.

    Args:
        report: What was found.
    """
    return {name: f"items/{file}" for name, file, _ in _item_tables(report)}


def check_free(folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuse a folder that holds a report already. Ask before the work.

    Args:
        folder: Where the report will go.
        overwrite: Whether an earlier one may be replaced.

    Raises:
        RunError: If there is one and `overwrite` is not set, or the path is a file.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file: give a folder as --output_dir.")
    there = [name for name in PARTS if (path / name).exists()]
    if there and not overwrite:
        raise RunError(f"{path} holds a bias report already ({there[0]}). Give another --output_dir, or --overwrite.")


def write_report(
    report: Report, folder: str | os.PathLike[str], *, overwrite: bool = False, figures: bool = True
) -> dict[str, Any]:
    """Write everything under a temporary name beside the folder, then move it in; return what ``bias.json`` holds.

    Args:
        report: What was found.
        folder: Where it goes; made if it is not there. Other files in it stay.
        overwrite: Replace an earlier report.
        figures: Draw them, which needs matplotlib.

    Raises:
        RunError: As `check_free`.
        DataError: If the items of a measure have no equal length, or lack one of `ITEM_COLUMNS`.
    """
    from nlpladder.training.run_folder import replacing, write_json, write_text
    from nlpladder.views.bias_figures import bias_figures
    from nlpladder.views.bias_report import bias_html, bias_markdown

    check_free(folder, overwrite=overwrite)
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = report_content(report)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        tables = _item_tables(report)
        if tables:
            (work / "items").mkdir()
        for name, file, findings in tables:
            _write_parquet(work / "items" / file, findings.items, name, replacing)
        drawn = bias_figures(content, work / "figures") if figures else []
        shown = [(name, findings.items) for name, _, findings in tables]
        write_text(work / "bias.md", bias_markdown(content))
        write_text(work / "bias.html", bias_html(content, drawn, shown))
        write_json(work / REPORT_FILE, content)
        target.mkdir(exist_ok=True)
        if overwrite:
            _remove(target)
        # bias.json goes last: where it is, the others are.
        for name in reversed(PARTS):
            if (work / name).exists():
                os.replace(work / name, target / name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return json.loads((target / REPORT_FILE).read_text(encoding="utf-8"))


def read_report(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what ``bias.json`` of a folder holds.

    Args:
        folder: Of a report.

    Raises:
        RunError: If it is missing or damaged, or of another format.
    """
    path = Path(folder) / REPORT_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}).") from None
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is damaged ({error}). Measure again with --overwrite.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RunError(f"{path} has no format {FORMAT}: it was written by another version. Measure again.")
    return content


def read_findings(folder: str | os.PathLike[str], model: str, measure: str) -> Findings:
    """Return the findings of one model and measure with their items, for statistics of your own or a comparison.

    Args:
        folder: Of a report.
        model: Its name in the report.
        measure: Name of the measure.

    Raises:
        RunError: If the report is missing or damaged, or holds no such model and measure.
    """
    import pyarrow.parquet as pq

    content = read_report(folder)
    rows = [row for row in content["rows"] if row["model"] == model and row["measure"] == measure]
    key = f"{model}/{measure}"
    if not rows or key not in content["items"]:
        known = ", ".join(content["items"]) or "none"
        raise RunError(f"{Path(folder) / REPORT_FILE} holds no items of {key}. It has: {known}.")
    outer = ("model", "entry", "overall", "p_holm", "p_benjamini_hochberg", "verdict")
    findings = tuple(Finding.from_dict({k: v for k, v in row.items() if k not in outer}) for row in rows)
    table = pq.read_table(Path(folder) / content["items"][key])
    return Findings(findings=findings, items=table.to_pydict(), data=content["data"].get(rows[0]["entry"], {}))


def metrics_section(content: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return what ``metrics.json`` of a run keeps of a report under ``bias``, for its card.

    Args:
        content: What ``bias.json`` holds.
        model: Name of the model.

    Raises:
        RunError: If the report has nothing on this model.
    """
    rows = [row for row in content["rows"] if row["model"] == model]
    if not rows:
        raise RunError(f"The report has no finding on {model}.")
    kept = []
    for row in rows:
        if row["overall"]:
            kept.append(
                {
                    name: row[name]
                    for name in (
                        "measure", "category", "score", "no_bias", "expected", "effect", "clusters", "p_value",
                        "p_holm", "detectable", "graded", "quality", "verdict", "source",
                    )
                }
            )  # fmt: skip
    scores = {}
    for row in kept:
        name = row["measure"] if row["category"] in ("all", "") else f"{row['measure']}, {row['category']}"
        scores[name] = row["score"]
    names = list(dict.fromkeys(row["measure"] for row in kept))
    return {
        "tested": f"{len(names)} measures ({', '.join(names)}), {content['measured']}, nlpladder {content['version']}",
        "scores": scores,
        "findings": kept,
        "notes": [],
    }


def _item_tables(report: Report) -> list[tuple[str, str, Findings]]:
    """Return ``model/measure``, a file name of its own, and the findings of each table of items."""
    tables: list[tuple[str, str, Findings]] = []
    taken: set[str] = set()
    for model in report.models:
        for several in model.findings.values():
            for findings in several:
                if not findings.items:
                    continue
                name = f"{model.name}/{findings.findings[0].measure}"
                number = sum(other == name or other.startswith(f"{name}#") for other, _, _ in tables)
                name = name if number == 0 else f"{name}#{number + 1}"
                file = base = re.sub(r"[^\w.-]+", "_", name).strip("._") or "items"
                count = 1
                while file.lower() in taken:
                    count += 1
                    file = f"{base}_{count}"
                taken.add(file.lower())
                tables.append((name, f"{file}.parquet", findings))
    return tables


def _write_parquet(path: Path, items: Mapping[str, Sequence[Any]], name: str, replacing: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    lacking = [column for column in ITEM_COLUMNS if column not in items]
    if lacking:
        raise DataError(f"The items of {name} lack the column {lacking[0]!r}: they have {', '.join(items)}.")
    lengths = {column: len(values) for column, values in items.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{column} {length}" for column, length in lengths.items())
        raise DataError(f"The columns of the items of {name} have different lengths: {told}.")
    try:
        table = pa.table({column: _arrow(values) for column, values in items.items()})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"The items of {name} cannot be written as parquet: {error}") from None
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def _arrow(values: Sequence[Any]) -> Any:
    """Return a column as an Arrow array; names of mixed types become text."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values, np.ndarray) and values.dtype != object:
        return pa.array(values)
    listed = [value.item() if isinstance(value, np.generic) else value for value in values]
    kinds = {type(value) for value in listed if value is not None}
    if len(kinds) > 1 and not kinds <= {int, float, bool}:
        listed = [None if value is None else str(value) for value in listed]
    return pa.array(listed)


def _remove(folder: Path) -> None:
    """Remove an earlier report, and nothing else."""
    for name in PARTS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
