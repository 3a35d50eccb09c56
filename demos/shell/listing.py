"""Which models lie under the models folder: found by their configs, nothing is opened."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlpladder.errors import LadderError
from nlpladder.hub.describing import describe_model

#: How deep below the models folder models are looked for: climb/rung/seed-0/model.
_DEPTH = 4
_MOST = 300
#: Links that are named; one is enough to see why a model is missing.
_MOST_LINKS = 10
#: Of the record of a run; they are smaller by far.
_MOST_BYTES = 8_000_000
_MODEL_FILES = ("config.json", "adapter_config.json")
#: Folders of a run that hold no model of their own.
_SKIPPED = {"checkpoints", "figures", "items", "__pycache__", "target_tokenizer", "base_model"}


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be opened.

    Attributes:
        name: What pickers call it: its path below the models folder, or its Hub id.
        path: Where it lies.
        abilities: What it can be asked for; see `nlpladder.hub.describing`.
        title: One line: its kind and its size.
        parameters: How many numbers were learnt; None where the files do not say.
        num_bytes: Of its weights.
        folder: The folder it lies in, with what a run left there; None for a model of the Hub.
        data: What it was trained on, as its run names it, to be compared and never shown: it may be a path. Empty where
            no run tells.
    """

    name: str
    path: str
    abilities: frozenset[str]
    title: str
    parameters: int | None
    num_bytes: int
    folder: Path | None
    data: str = ""


def find_models(models_dir: Path) -> list[ModelEntry]:
    """Return the models below a folder, the newest first; what is broken or of an unknown kind is left out.

    Args:
        models_dir: Need not exist.
    """
    found = []
    for folder in _model_folders(models_dir):
        entry = entry_of(folder, folder.relative_to(models_dir).as_posix())
        if entry is not None:
            found.append(entry)
        if len(found) == _MOST:
            break
    # Who has just trained something looks for it; in a climb, the highest rungs are the newest.
    return sorted(found, key=lambda entry: (-saved_at(Path(entry.path)), entry.name))


def skipped_links(models_dir: Path) -> list[str]:
    """Return the folders right below a folder, or below its climbs, that are links: they are not looked into.

    Whoever may write into the models folder could otherwise show any model of this machine.

    Args:
        models_dir: Need not exist.
    """
    return sorted(
        Path(entry.path).relative_to(models_dir).as_posix()
        for folder, _ in _folders(models_dir)
        for entry in folder
        if entry.is_symlink() and entry.is_dir() and not entry.name.startswith(".") and entry.name not in _SKIPPED
    )[:_MOST_LINKS]


def entry_of(folder: Path, name: str, *, local: bool = True) -> ModelEntry | None:
    """Describe one model folder; None where it holds nothing that the demo can show.

    Args:
        folder: Where it lies.
        name: What it will be called.
        local: Whether it is a run of this machine, and no snapshot of the Hub.
    """
    try:
        described = describe_model(folder)
    except (LadderError, OSError):
        return None
    if not described.abilities:
        return None
    size = "" if described.parameters is None else f", {_count(described.parameters)} parameters"
    return ModelEntry(
        name=name,
        path=str(folder),
        abilities=frozenset(described.abilities),
        title=f"{described.kind.replace('_', ' ')}{size}",
        parameters=described.parameters,
        num_bytes=described.num_bytes,
        folder=folder if local else None,
        data=_data_of(folder) if local else "",
    )


def alike(entries: Sequence[ModelEntry], most: int) -> list[ModelEntry]:
    """Return the first model and, of the others, those that were trained on the same data in the same languages.

    Side by side such models answer the same question. Where it is not known what the first one was trained on, the
    first ones are returned.

    Args:
        entries: The newest first.
        most: How many.
    """
    if not entries or not entries[0].data:
        return list(entries[:most])
    return [entry for entry in entries if entry.data == entries[0].data][:most]


def _data_of(folder: Path) -> str:
    """Return the name and the languages of a run's data, and of a world not how much of it was made."""
    record = folder / "run.json"
    try:
        if record.stat().st_size > _MOST_BYTES:
            return ""
        data = json.loads(record.read_text(encoding="utf-8"))["identity"]["data"]
        return f"{data['name'].partition('?')[0]} {data.get('languages', '')}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # no run, or not one of ours
        return ""


def _model_folders(models_dir: Path) -> Iterator[Path]:
    """Yield folders with a config, not looking into links, hidden folders or models themselves."""
    for _, path in _folders(models_dir):
        if path is not None:
            yield path


def _folders(models_dir: Path) -> Iterator[tuple[list[os.DirEntry[str]], Path | None]]:
    """Yield what lies in each folder that is looked into, with its path where it is a model."""
    todo = [(models_dir, 0)]
    while todo:
        folder, depth = todo.pop(0)
        try:
            inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        if depth and any(entry.name in _MODEL_FILES and entry.is_file(follow_symlinks=False) for entry in inside):
            yield [], folder
            continue
        yield inside, None
        if depth < _DEPTH:
            todo.extend(
                (Path(entry.path), depth + 1)
                for entry in inside
                if entry.is_dir(follow_symlinks=False) and entry.name not in _SKIPPED and not entry.name.startswith(".")
            )


def saved_at(folder: Path) -> float:
    """Return when a model was saved, in seconds; 0 where there is none, or it has gone meanwhile.

    Args:
        folder: Of a run or a model.
    """
    try:
        return max(path.stat().st_mtime for name in _MODEL_FILES if (path := folder / name).is_file())
    except (OSError, ValueError):
        return 0.0


def _count(number: int) -> str:
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return str(number)
