"""Finished bias reports: every ``bias.json`` below the models folder, as `recipes/evaluate_bias.py` wrote it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlpladder.bias.report import REPORT_FILE, read_report
from nlpladder.errors import RunError
from nlpladder.views.bias_table import (
    CATEGORY_HEADER,
    HEADER,
    NOT_SHOWN,
    category_tables,
    heterogeneity_sentences,
    method_sentences,
    notes_of,
    overall_rows,
    skipped_rows,
)
from shell.limits import DemoError, check_choice
from tabs.bias_inputs import escaped, frame

if TYPE_CHECKING:
    import pandas as pd

#: The number, how sure it is and what it shows stand first: the other columns may lie beyond the edge of a screen.
_FIRST = ("score [interval]", "n", "p", "p (Holm)", "what it shows")
MAIN_HEADER = (*HEADER[:2], *_FIRST, *(name for name in HEADER[2:] if name not in _FIRST))
PARTS_HEADER = (
    "measure", *CATEGORY_HEADER[:2], *_FIRST, *(name for name in CATEGORY_HEADER[2:] if name not in _FIRST),
)  # fmt: skip
#: Of the columns by name; of those that are not here 130 pixels.
_WIDTHS = {
    "measure": 240, "category": 200, "score [interval]": 190, "n": 75, "p": 75, "p (Holm)": 90, "what it shows": 240,
    "no bias": 90, "clusters": 85, "effect, nats": 170, "quality": 220,
}  # fmt: skip
_DEPTH, _MOST, _MAX_BYTES = 5, 100, 20_000_000
NONE = (
    "There is no bias report here. Make one: `python recipes/evaluate_bias.py --model outputs/mine/bilstm/seed-0` "
    "writes outputs/bias. README.md says which measures ask which models."
)


def find_reports(models_dir: Path) -> dict[str, Path]:
    """Return the folders of all reports below a folder, by their path in it, sorted.

    Args:
        models_dir: Need not exist. Links and hidden folders are not looked into.
    """
    found: dict[str, Path] = {}
    todo = [(Path(models_dir), 0)]
    while todo and len(found) < _MOST:
        folder, depth = todo.pop(0)
        try:
            inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        if any(entry.name == REPORT_FILE and entry.is_file(follow_symlinks=False) for entry in inside):
            found[folder.relative_to(models_dir).as_posix()] = folder
        if depth < _DEPTH:
            todo += [
                (Path(entry.path), depth + 1)
                for entry in inside
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            ]
    return dict(sorted(found.items()))


def report_tables(models_dir: Path, name: Any) -> tuple[pd.DataFrame, pd.DataFrame, str, str]:
    """Return the main findings, those of the categories, what they do not show and notes, both as Markdown.

    Where there is no report at all and none is asked for, empty tables: the page says how one is made.

    Args:
        models_dir: Below it the report was found.
        name: Of the report, as `find_reports` has it; None for the first.

    Raises:
        DemoError: There is no such report, or it is too large or not readable.
    """
    reports = find_reports(models_dir)
    if not name and not reports:  # an empty picker of the page
        return frame(MAIN_HEADER), frame(PARTS_HEADER), "", ""  # the page says it above
    name = next(iter(reports)) if name is None else name
    folder = reports[check_choice(name, "Reports", reports)]
    try:
        if (folder / REPORT_FILE).stat().st_size > _MAX_BYTES:
            raise DemoError(f"{name}/{REPORT_FILE} is larger than {_MAX_BYTES / 1e6:g} MB, too large to show here.")
        content = read_report(folder)
        main = [_ordered(row, HEADER, MAIN_HEADER) for row in overall_rows(content)]
        parts = [
            [measure, *_ordered(row, CATEGORY_HEADER, PARTS_HEADER[1:])]
            for measure, rows in category_tables(content).items()
            for row in rows
        ]
        told, notes = _told(content)
    except OSError as error:
        raise DemoError(f"{name}/{REPORT_FILE} cannot be read ({error.strerror}).") from None
    except (RunError, LookupError, TypeError, ValueError, AttributeError) as error:
        # The path of the folder is nothing for a visitor.
        what = str(error).replace(str(folder), str(name)) if isinstance(error, RunError) else "a part is missing."
        if isinstance(error, KeyError):
            what = f"it has no {str(error)[:60]}; another version wrote it."
        raise DemoError(f"The report {name} cannot be shown: {what} Measure again with --overwrite.") from None
    return frame(MAIN_HEADER, main), frame(PARTS_HEADER, parts), told, notes


def widths(header: Sequence[str]) -> list[str]:
    """Return the widths of a table's columns.

    Args:
        header: `MAIN_HEADER` or `PARTS_HEADER`.
    """
    return [f"{_WIDTHS.get(name, 130)}px" for name in header]


def _ordered(row: Sequence[Any], header: Sequence[str], wanted: Sequence[str]) -> list[Any]:
    cells = dict(zip(header, row, strict=True))
    return [cells[name] for name in wanted]


def _told(content: dict[str, Any]) -> tuple[str, str]:
    """Return what a reader must know first, and the notes; they quote names and words, which stay text."""
    first = {"What it does not show": list(NOT_SHOWN), "Do categories differ?": heterogeneity_sentences(content)}
    then = {
        "Notes": notes_of(content),
        "Not measured": skipped_rows(content),
        "How it was measured": method_sentences(content),
    }
    return _sections(first), _sections(then)


def _sections(sections: dict[str, list[str]]) -> str:
    """Return lists of sentences under their titles, those that have any."""
    lines: list[str] = []
    for title, sentences in sections.items():
        if sentences:
            lines += [f"#### {title}", "", *(f"- {escaped(one)}" for one in sentences), ""]
    return "\n".join(lines)
