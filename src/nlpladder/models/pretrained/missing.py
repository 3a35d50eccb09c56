"""Sentences for a name that is no saved model: no folder, a run that has not finished, a folder of runs."""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path

from nlpladder.errors import ModelError
from nlpladder.models.saved_files import ADAPTER_CONFIG_NAME, CONFIG_NAME

#: How alike two names must be, from 0 to 1, for one to be taken for a slip of the other.
_ALIKE = 0.6
_DEPTH, _MAX_FOLDERS, _SHOWN = 4, 2_000, 5
#: Folders of a run that hold no model of their own.
_SKIPPED = ("checkpoints", "figures", "items", "__pycache__")


def no_folder(path: str | os.PathLike[str], *, hub: bool = False) -> ModelError:
    """Return the error for a folder that is not there, with the nearest one named.

    Args:
        path: What the user wrote.
        hub: The Hub was asked for it, too.
    """
    asked = "" if not hub else " It could not be had from the Hub, either."
    return ModelError(f"There is no model folder {os.fspath(path)!r} here.{near_folder(path) or _listing(path)}{asked}")


def near_folder(path: str | os.PathLike[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the folder whose name is nearest to a missing one; empty if none is near.

    Only the part of the path that is missing is compared, so that folders do not look alike for where they lie.

    Args:
        path: What the user wrote.
    """
    parent, missing, rest = _split(path)
    names = {name.lower(): name for name in reversed(_folders(parent))}
    wanted = missing.lower()
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=_ALIKE) if missing else []
    # What was left out at an end: `bert` for `bert-large`.
    close = close or [name for name in names if min(len(name), len(wanted)) > 2 and _begins(name, wanted)][:1]
    if not close:
        return ""
    found = parent / names[close[0]]
    return f" Did you mean {str(found / rest if (found / rest).is_dir() else found)!r}?"


def no_model(folder: Path) -> ModelError:
    """Return the error for a folder without a model: what it is instead, and which models lie below it.

    Args:
        folder: Holds no ``config.json``.
    """
    status = _status(folder)
    if status == "finished":
        return ModelError(
            f"{folder} holds a finished run without its {CONFIG_NAME}, so it is not whole. Copy or download it again."
        )
    if status is not None:
        return ModelError(
            f"{folder} holds a run whose training has not finished, and no model yet. Start the command that began it "
            "again, with the same --output_dir: it goes on where it stopped."
        )
    models, unfinished = _runs_below(folder)
    if models:
        shown = ", ".join(str(one) for one in models[:_SHOWN])
        more = f" and {len(models) - _SHOWN} more" if len(models) > _SHOWN else ""
        return ModelError(
            f"{folder} holds no {CONFIG_NAME}, so it is no saved model itself; it holds {len(models)} below: "
            f"{shown}{more}. Name one of them."
        )
    if unfinished:
        return ModelError(
            f"{folder} holds no model: the training of {unfinished[0]} has not finished. Start the command that began "
            "it again: it goes on where it stopped."
        )
    return ModelError(f"{folder} holds no {CONFIG_NAME}, so it is no saved model.")


def looks_like_folder(path: str) -> bool:
    """Tell whether a name that may be an id of the Hub is rather a slip of a folder here: it lies in one, or is near.

    Args:
        path: Of no folder.
    """
    parent = Path(path).parent
    return (parent != Path() and parent.is_dir()) or bool(near_folder(path))


def _begins(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _split(path: str | os.PathLike[str]) -> tuple[Path, str, Path]:
    """Return the folder that is there, the first part that is missing below it, and the parts behind that."""
    parent, parts = Path(path).expanduser(), list[str]()
    while not parent.is_dir() and parent != parent.parent:
        parts.insert(0, parent.name)
        parent = parent.parent
    return parent, parts[0] if parts else "", Path(*parts[1:])


def _folders(parent: Path) -> list[str]:
    try:
        return sorted(one.name for one in os.scandir(parent) if one.is_dir() and not one.name.startswith("."))
    except OSError:
        return []


def _listing(path: str | os.PathLike[str]) -> str:
    """Return which folders lie beside a missing one, where there are few."""
    parent, _, _ = _split(path)
    names = _folders(parent)
    if not names or len(names) > 2 * _SHOWN or parent == Path():
        return ""
    return f" {parent} holds: {', '.join(names)}."


def _status(folder: Path) -> str | None:
    """Return what ``run.json`` says of a run; None where there is none."""
    try:
        found = json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(found)


def _runs_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the models below a folder, and the runs that have not finished; of a large tree, those found first."""
    models, unfinished, waiting, seen = list[Path](), list[Path](), [(folder, 0)], 0
    while waiting and seen < _MAX_FOLDERS:
        place, depth = waiting.pop(0)
        for name in _folders(place):
            one = place / name
            seen += 1
            if name in _SKIPPED or one.is_symlink():
                continue
            if (one / CONFIG_NAME).is_file() or (one / ADAPTER_CONFIG_NAME).is_file():
                models.append(one)
            elif _status(one) not in (None, "finished"):
                unfinished.append(one)
            elif depth + 1 < _DEPTH:
                waiting.append((one, depth + 1))
    return models, unfinished
