"""Which runs and climbs lie below the models folder, and their records; nothing is opened, nothing is written.

What is read here was written by other programs: files may be missing, damaged, huge or links. Such a file reads as if
it were not there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shell.limits import DemoError, check_choice
from shell.listing import saved_at

#: climb/rung/seed-0 lies three folders deep; one more for a folder of climbs.
_DEPTH = 4
_MOST = 500
_MOST_BYTES = 20_000_000
#: Folders of a run that hold no run of their own.
_SKIPPED = {"checkpoints", "figures", "items", "__pycache__"}
_ABSOLUTE = re.compile(r"(?:[A-Za-z]:)?[/\\][^,;|]*[/\\]([^/\\,;|]+)[/\\]?")


@dataclass(frozen=True)
class Run:
    """A run folder, as the lists show it.

    Attributes:
        name: Its path below the models folder.
        folder: Where it lies.
        record: ``run.json``.
        metrics: ``metrics.json``; empty where there is none.
    """

    name: str
    folder: Path
    record: Mapping[str, Any]
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What was trained, in a few words."""
        return str(self.record.get("title") or self.rung or "run")

    @property
    def rung(self) -> str:
        """Name of the rung, or an empty text."""
        rung = _mapping(self.record, "identity").get("rung")
        return str(rung) if isinstance(rung, str) else ""

    @property
    def finished(self) -> bool:
        """Whether it is whole."""
        return bool(self.record.get("status") == "finished")

    @property
    def data(self) -> str:
        """What it was trained on; of a path of this machine the last part."""
        return without_folders(str(_mapping(_mapping(self.record, "identity"), "data").get("name") or ""))

    @property
    def scores(self) -> dict[str, Mapping[str, Any]]:
        """The metrics that can be shown, by name."""
        found = _mapping(self.metrics, "scores")
        return {str(name): score for name, score in found.items() if is_score(score)}


@dataclass(frozen=True)
class Climb:
    """A climb: several rungs and their table.

    Attributes:
        name: Its path below the models folder.
        folder: Where it lies.
        content: ``ladder.json``, whose rows have all that tables need.
    """

    name: str
    folder: Path
    content: Mapping[str, Any]


def find_runs(models_dir: Path) -> list[Run]:
    """Return the runs below a folder, by name."""
    found = [_read_run(folder, name) for name, folder in sorted(_named_folders(models_dir, "run.json").items())]
    return [run for run in found if run is not None]


def damaged_runs(models_dir: Path) -> list[str]:
    """Return the names of the runs below a folder whose record cannot be read."""
    return [
        name
        for name, folder in sorted(_named_folders(models_dir, "run.json").items())
        if _read_run(folder, name) is None
    ]


def newest_first(runs: Sequence[Run]) -> list[Run]:
    """Return runs in the order in which pickers have their models: by when that was saved, or else the record.

    Args:
        runs: In any order.
    """
    return sorted(runs, key=lambda run: (-(saved_at(run.folder) or _written(run.folder / "run.json")), run.name))


def find_climbs(models_dir: Path) -> list[Climb]:
    """Return the climbs below a folder that can be shown, by name."""
    found = [_read_climb(folder, name) for name, folder in sorted(_named_folders(models_dir, "ladder.json").items())]
    return [climb for climb in found if climb is not None]


def run_named(models_dir: Path, name: Any) -> Run:
    """Return one of the runs that are there.

    Args:
        models_dir: Below it runs are looked for.
        name: Of the run; None for the newest.

    Raises:
        DemoError: There is none of this name, or its record cannot be read.
    """
    folders = _named_folders(models_dir, "run.json")
    name = _newest(folders, "run.json", "run") if name is None else name
    run = _read_run(folders[check_choice(name, "the runs", folders)], name)
    if run is None:
        raise DemoError(f"The record of {name} cannot be read: run.json is damaged. Train it again.")
    return run


def run_or_damage(models_dir: Path, name: Any) -> Run:
    """Return one of the runs that are there; of one whose record cannot be read, a record that says so.

    Args:
        models_dir: Below it runs are looked for.
        name: Of the run; None for the newest.

    Raises:
        DemoError: There is none of this name.
    """
    try:
        return run_named(models_dir, name)
    except DemoError as error:
        folders = _named_folders(models_dir, "run.json")
        if not isinstance(name, str) or name not in folders:
            raise
        return Run(name, folders[name], {"status": "damaged", "title": "not known", "notes": [str(error)]})


def climb_named(models_dir: Path, name: Any) -> Climb:
    """Return one of the climbs that are there.

    Args:
        models_dir: Below it climbs are looked for.
        name: Of the climb; None for the newest.

    Raises:
        DemoError: There is none of this name, or its table cannot be read.
    """
    folders = _named_folders(models_dir, "ladder.json")
    name = _newest(folders, "ladder.json", "climb") if name is None else name
    climb = _read_climb(folders[check_choice(name, "the climbs", folders)], name)
    if climb is None:
        raise DemoError(f"The table of {name} cannot be read: ladder.json is damaged. Climb it again.")
    return climb


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a json file when it is an object, else None."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def is_score(score: Any) -> bool:
    """Tell whether something has what a score needs to be shown."""
    return (
        isinstance(score, dict)
        and {"value", "low", "high", "n"} <= set(score)
        and all(score[key] is None or _is_number(score[key]) for key in ("value", "low", "high"))
    )


def without_folders(text: str) -> str:
    """Return a text with each absolute path in it cut to its last part: others need not know this machine."""
    return _ABSOLUTE.sub(lambda match: match.group(1), text) if not text.startswith("world:") else text


def _read_run(folder: Path, name: str) -> Run | None:
    record = read_json(folder / "run.json")
    return None if record is None else Run(name, folder, record, read_json(folder / "metrics.json") or {})


def _read_climb(folder: Path, name: str) -> Climb | None:
    content = read_json(folder / "ladder.json")
    return None if content is None or not _is_ladder(content) else Climb(name, folder, content)


def _newest(folders: Mapping[str, Path], file: str, what: str) -> str:
    """Return the name of the folder whose file was written last."""
    if not folders:
        raise DemoError(f"There is no {what} here yet. `python demos/tiny_ladder.py` makes tiny ones.")

    return max(folders, key=lambda name: _written(folders[name] / file))


def _written(path: Path) -> float:
    """Return when a file was written, in seconds; 0 where it has gone meanwhile."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _named_folders(models_dir: Path, file: str) -> dict[str, Path]:
    """Return the folders that hold `file` by their path below the models folder."""
    return {folder.relative_to(models_dir).as_posix(): folder for folder in _folders_with(models_dir, file)}


def _folders_with(models_dir: Path, file: str) -> Iterator[Path]:
    """Yield folders that hold `file`, not looking into links or hidden folders."""
    todo, found = [(models_dir, 0)], 0
    while todo and found < _MOST:
        folder, depth = todo.pop(0)
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        if any(entry.name == file and entry.is_file(follow_symlinks=False) for entry in inside):
            found += 1
            yield folder
        if depth < _DEPTH:
            todo += [
                (Path(entry.path), depth + 1)
                for entry in inside
                if entry.is_dir(follow_symlinks=False) and entry.name not in _SKIPPED and not entry.name.startswith(".")
            ]


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_ladder(content: Mapping[str, Any]) -> bool:
    """Tell whether `nlpladder.views.ladder_table` can show it."""
    from nlpladder.views.ladder_table import foot_notes, table_header, table_rows

    try:
        return bool(table_header(content)) and bool(table_rows(content)) and bool(foot_notes(content))
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
