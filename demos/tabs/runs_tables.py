"""A run folder as tables: metrics with intervals, loss curves, arguments, versions, the card."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nlpladder.errors import ConfigError, LadderError
from nlpladder.evaluation.closed_intervals import NO_INTERVAL
from nlpladder.hub.card_texts import CARD_TEXTS
from nlpladder.hub.describing import describe_model
from nlpladder.ladder import find_rung
from nlpladder.views.ladder_table import metric_title
from tabs.runs_reading import Run, without_folders

METRIC_HEADER = ["metric", "value", "95 % interval", "n", "better is", "note"]
LOSSES = ("training text", "validation text")
LOSS_COLUMNS = ["step", "loss", "measured on"]
_MOST_CARD = 200_000
_FRONT_MATTER = re.compile(r"\A---\r?\n.*?\r?\n---\r?\n", re.DOTALL)
_LINK_HERE = re.compile(r"\[([^\]\n]*)\]\((?!https?://|#)[^)\n]*\)")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_UNITS = {"%": "%", "points": "points", "": ""}


def leading_metric(run: Run) -> str | None:
    """Return the name of the metric that stands for the run, or None where it has none."""
    try:
        leading = CARD_TEXTS[find_rung(run.rung).task].leading
    except (ConfigError, KeyError):
        leading = tuple(name for text in CARD_TEXTS.values() for name in text.leading)
    # Of word vectors, a benchmark of the data's own says more than analogies, of which small spaces answer none.
    names = [*(name for name in (*leading, *run.scores) if name != "analogies"), "analogies"]
    return next((name for name in names if name in run.scores), None)


def score_text(score: Mapping[str, Any], *, interval: bool = True) -> str:
    """Return a score as tables write it: "82.1 % [80.3, 83.8]".

    Args:
        score: A score as ``metrics.json`` has it.
        interval: Whether to add it.
    """
    if score["value"] is None:
        return "undefined"
    unit = _UNITS.get(str(score.get("unit") or ""), "")
    text = f"{_scaled(score, 'value')} {unit}".rstrip()
    return f"{text} {_interval(score)}".rstrip() if interval else text


def no_interval(score: Mapping[str, Any]) -> str:
    """Return why a score has no interval, in words; `nlpladder.evaluation.closed_intervals` says when that is.

    Args:
        score: A score as ``metrics.json`` has it.
    """
    method = str(score.get("method") or "")
    return method if method.startswith(f"{NO_INTERVAL}: ") else NO_INTERVAL


def metric_rows(run: Run) -> list[list[str]]:
    """Return a row a metric, the leading one first; see `METRIC_HEADER`."""
    lead, scores = leading_metric(run), run.scores
    return [
        [
            metric_title(name),
            score_text(scores[name], interval=False),
            _interval(scores[name]) or no_interval(scores[name]),
            _count(scores[name]["n"]),
            _better(scores[name]),
            str(scores[name].get("note") or ""),
        ]
        for name in sorted(scores, key=lambda name: (name != lead, name))
    ]


def loss_curve(run: Run) -> pd.DataFrame:
    """Return the losses of the run, training and validation, one row a measurement; see `LOSS_COLUMNS`."""
    rows = []
    history = run.record.get("history")
    for entry in history if isinstance(history, list) else []:
        if not isinstance(entry, dict) or not _is_finite(entry.get("step")):
            continue
        for key, name in zip(("loss", "eval_loss"), LOSSES, strict=True):
            if _is_finite(entry.get(key)):
                rows.append((int(entry["step"]), float(entry[key]), name))
    return pd.DataFrame(rows, columns=LOSS_COLUMNS).astype({"step": int, "loss": float, "measured on": str})


def argument_rows(run: Run) -> list[list[str]]:
    """Return what decided the result: group, option, value."""
    identity = run.record.get("identity")
    rows: list[list[str]] = []
    for group, value in identity.items() if isinstance(identity, dict) else ():
        if isinstance(value, dict):
            rows += [[str(group), str(option), _plain(one)] for option, one in value.items()]
        else:
            rows.append(["run", str(group), _plain(value)])
    return sorted(rows, key=lambda row: (row[0] != "run", row[0] != "data", row[0]))


def version_rows(run: Run) -> list[list[str]]:
    """Return where it was made: name and value."""
    environment = run.record.get("environment")
    if not isinstance(environment, dict):
        return []
    rows = [[key.replace("_", " "), _plain(value)] for key, value in environment.items() if key != "versions" and value]
    versions = environment.get("versions")
    return rows + [[str(name), str(value)] for name, value in (versions if isinstance(versions, dict) else {}).items()]


def facts(run: Run) -> list[list[str]]:
    """Return what one wants to know of a run first: name and value."""
    record = run.record
    lead = leading_metric(run)
    rows = [
        ["what", run.title],
        ["status", str(record.get("status", "unknown"))],
        ["model", f"cannot be opened: {problem}" if (problem := model_problem(run)) else ""],
        ["data", run.data],
        [metric_title(lead or ""), score_text(run.scores[lead]) if lead else ""],
        ["parameters", _count(record.get("parameters"))],
        ["of them trained", _count(record.get("trainable_parameters"))],
        ["training", _seconds(record.get("training_seconds"))],
        ["steps", _count(record.get("steps") or None)],
        ["peak of memory", _unit(record.get("peak_memory_mib"), "MiB")],
        ["number format", str(record.get("training_precision") or "")],
        ["started", _time(record.get("started"))],
        ["finished", _time(record.get("finished"))],
    ]
    notes = record.get("notes")
    rows += [["note", without_folders(str(note))] for note in (notes if isinstance(notes, list) else [])[:20]]
    return [row for row in rows if row[0] and row[1]]


def model_problem(run: Run) -> str:
    """Return why the model of a finished run cannot be asked, a sentence; an empty text where it can.

    Its configs and the headers of its weights are read, as for the pickers; it is not opened.

    Args:
        run: The run.
    """
    if not run.finished:
        return ""
    try:
        describe_model(run.folder)
    except LadderError as error:
        return without_folders(str(error).replace(str(run.folder), run.name))
    except OSError as error:
        return f"{run.name} cannot be read ({error.strerror})."
    return ""


def card_text(folder: Path) -> str:
    """Return the card of a run as Markdown that asks for nothing from elsewhere; an empty text where there is none.

    The head (YAML) is left out. Pictures become their captions, links to files of the run their text, and HTML is shown
    as it is written.
    """
    path = folder / "README.md"
    try:
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open(encoding="utf-8", errors="replace") as stream:
            text = stream.read(_MOST_CARD)
    except OSError:
        return ""
    return harmless_markdown(_FRONT_MATTER.sub("", text, count=1))


def harmless_markdown(text: str) -> str:
    """Return Markdown without pictures, HTML and links to files.

    A zero-width space takes the meaning from what is left as it stands in code: where a reader of Markdown sees code
    and where this function sees some may differ, and a picture would be fetched from wherever the text says.

    Args:
        text: Not trusted.
    """
    lines, fence = [], ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if fence:
            lines.append(_inert(line))
            if mark and mark.group(1).startswith(fence) and not line.strip(" `~"):
                fence = ""
        elif mark:
            fence = mark.group(1)
            lines.append(_inert(line))
        else:
            parts = re.split(r"(`[^`\n]*`)", line)  # inline code is every second part
            lines.append("".join(_inert(part) if place % 2 else _plain_prose(part) for place, part in enumerate(parts)))
    return "\n".join(lines)


def _plain_prose(text: str) -> str:
    return _inert(_LINK_HERE.sub(r"\1", text.replace("![", "[")))


def _inert(text: str) -> str:
    return _TAG.sub("<\u200b", text).replace("![", "!\u200b[")


def _better(score: Mapping[str, Any]) -> str:
    """Return which way a metric is better. A ratio of lengths is best at 1: older runs call it better when higher."""
    if str(score.get("note") or "").startswith("Best at 1"):
        return "nearer to 1"
    if score.get("higher_is_better", True) is None:
        return "neither"
    return "higher" if score.get("higher_is_better", True) else "lower"


def _scaled(score: Mapping[str, Any], key: str) -> str:
    value = score[key] * (100 if score.get("unit") == "%" else 1)
    return f"{value:.1f}" if score.get("unit") in ("%", "points") else f"{value:.3f}"


def _interval(score: Mapping[str, Any]) -> str:
    if score["low"] is None or score["high"] is None:
        return ""
    return f"[{_scaled(score, 'low')}, {_scaled(score, 'high')}]"


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(map(str, value))
    elif isinstance(value, dict):
        text = ", ".join(f"{name}: {one}" for name, one in value.items())
    else:
        text = "not given" if value is None else str(value)
    text = without_folders(text)
    return text if len(text) <= 300 else text[:299] + "…"


def _count(value: Any) -> str:
    return f"{value:,.0f}" if _is_finite(value) else ""


def _unit(value: Any, unit: str) -> str:
    return f"{value:,.0f} {unit}" if _is_finite(value) else ""


def _seconds(value: Any) -> str:
    if not _is_finite(value):
        return ""
    return f"{value:,.1f} s" if value < 120 else f"{value / 60:,.1f} min"


def _time(value: Any) -> str:
    return str(value).replace("T", " ").replace("+00:00", " UTC")[:24] if isinstance(value, str) else ""
