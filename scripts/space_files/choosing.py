"""What a Hugging Face Space with nlpladder's demo consists of: every file, chosen and checked before one is written."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nlpladder.errors import ConfigError, RunError
from nlpladder.hub.describing import check_model
from nlpladder.hub.push_copy import adapter_base, copy_texts, is_local_base
from nlpladder.hub.push_files import select_files
from nlpladder.hub.push_plan import readable_size
from space_files.texts import APP, card, requirements

ROOT = Path(__file__).resolve().parents[2]
#: Endings of what a Space may hold: code, prose, settings, figures, and weights that run nothing when opened.
ALLOWED = (
    ".py",
    ".css",
    ".md",
    ".txt",
    ".json",
    ".yaml",
    ".jinja",
    ".safetensors",
    ".png",
    ".svg",
    ".model",
    ".spm",
    ".typed",
)
#: Modules of the demo whose names begin so train the tiny ladder; a Space shows models and trains none.
_TRAINS = "tiny_"
#: Folders of a run that hold no model of their own.
_SKIPPED = ("checkpoints", "figures", "items", "__pycache__")
_MODEL_FILES = ("config.json", "adapter_config.json")
_CLIMB_FILES = ("ladder.json", "ladder.md")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
_DEPTH = 4


@dataclass(frozen=True)
class SpaceFiles:
    """All files of a Space.

    Attributes:
        kept: Path in the Space -> the file here that is copied.
        written: Path in the Space -> its content, where that is made or differs from the file here.
        models: Names below ``models/``.
        left_out: Path, bytes and reason of what of the runs stays here.
    """

    kept: dict[str, Path]
    written: dict[str, bytes]
    models: tuple[str, ...]
    left_out: tuple[tuple[str, int, str], ...] = field(default=())

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every file."""
        return {path: file.stat().st_size for path, file in self.kept.items()} | {
            path: len(content) for path, content in self.written.items()
        }


def collect(runs: Mapping[str, Path], *, title: str, max_bytes: int) -> SpaceFiles:
    """Choose everything that a Space needs.

    Args:
        runs: Name -> run folder, saved model, or folder of runs such as a climb.
        title: Of the Space.
        max_bytes: That the Space may have.

    Raises:
        RunError: A run is unfinished, holds no model or a pickle, or needs a base that stays here; it is too large.
        ModelError: A model is not whole, as `nlpladder.load` would say.
        ConfigError: A name is none.
    """
    kept, written = _package(), dict[str, bytes]()
    models: list[str] = []
    left_out: list[tuple[str, int, str]] = []
    for name, folder in runs.items():
        if _NAME.fullmatch(name) is None:
            raise ConfigError(
                f"{name!r} is no name for a model; expected letters, digits, dots, _ and -. Say name=folder."
            )
        found = list(_models_below(folder))
        if not found:
            raise RunError(f"{folder} holds no model: there is no config.json in it or in folders of it.")
        for place, model in found:
            inside = "/".join(part for part in ("models", name, place) if part)
            selected = select_files(model)
            left_out += [(f"{inside}/{path}", size, why) for path, size, why in selected.left_out]
            models.append(inside.removeprefix("models/"))
            _check_base(model, folder)
            check_model(model)
            # What an adapter calls its base was looked at; it is right where it is relative to the adapter.
            texts = {path: file for path, file in selected.files.items() if path != "adapter_config.json"}
            copies = copy_texts(texts, name)
            kept.update({f"{inside}/{path}": file for path, file in selected.files.items() if path not in copies})
            written.update({f"{inside}/{path}": copy.content for path, copy in copies.items()})
        for path, file in _climb_tables(folder):
            copies = copy_texts({path: file}, name)
            target = f"models/{name}/{path}"
            if path in copies:
                written[target] = copies[path].content
            else:
                kept[target] = file
    written["app.py"] = APP.encode()
    written["requirements.txt"] = requirements(ROOT).encode()
    written["README.md"] = card(title, models, ROOT).encode()
    result = SpaceFiles(kept, written, tuple(models), tuple(left_out))
    check(result, max_bytes=max_bytes, private=[ROOT, *runs.values()])
    return result


def write(files: SpaceFiles, folder: Path) -> None:
    """Write a Space into a new folder, all of it or nothing.

    Args:
        files: Of `collect`.
        folder: Must not exist.
    """
    part = folder.with_name(f".{folder.name}.part-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for path, file in files.kept.items():
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, part / path)
        for path, content in files.written.items():
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            (part / path).write_bytes(content)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check(files: SpaceFiles, *, max_bytes: int, private: Sequence[Path]) -> None:
    """Refuse what must not be in a Space.

    Args:
        files: All of them.
        max_bytes: Altogether.
        private: Folders of this machine; no text may name them, nor the home folder.

    Raises:
        RunError: A file is of another kind, names this machine, or all are too large.
    """
    total = sum(files.sizes().values())
    if total > max_bytes:
        largest = max(files.sizes().items(), key=lambda pair: pair[1])
        raise RunError(
            f"The Space would have {readable_size(total)}, more than --max_mb {max_bytes / 1e6:g}; the largest file is "
            f"{largest[0]} ({readable_size(largest[1])}). Give fewer or smaller runs, or a larger --max_mb."
        )
    names = {str(path.resolve()).encode() for path in private} | {str(Path.home()).encode() + b"/"}
    names = {name for name in names if name.count(b"/") > 1}
    for path in files.sizes():
        if not path.endswith(ALLOWED) and path != "LICENSE":
            raise RunError(
                f"{path} is no file that a Space of nlpladder holds (it ends in none of {', '.join(ALLOWED)})."
            )
        if path.endswith((".safetensors", ".png")):
            continue
        content = files.written[path] if path in files.written else files.kept[path].read_bytes()
        for name in names:
            if name in content:
                raise RunError(f"{path} names a folder of this machine ({name.decode()}); it must not leave it.")


def _package() -> dict[str, Path]:
    """Return the files of the demo and of the package."""
    found = {"LICENSE": ROOT / "LICENSE"}
    for begin, inside in ((ROOT / "src/nlpladder", "nlpladder"), (ROOT / "demos", "demos")):
        for file in sorted(begin.rglob("*")):
            path = file.relative_to(begin)
            if not file.is_file() or path.parts[0] == "screenshots" or "__pycache__" in path.parts:
                continue
            if inside == "demos" and path.name.startswith(_TRAINS):
                continue
            if file.suffix in (".py", ".css", ".typed"):
                found[f"{inside}/{path.as_posix()}"] = file
    return found


def _models_below(folder: Path, depth: int = 0, place: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the folders that hold a model with their place below the first one."""
    if not folder.is_dir():
        raise RunError(f"There is no folder {folder}.")
    _check_finished(folder)
    if any((folder / name).is_file() for name in _MODEL_FILES):
        yield place, folder
        return
    for entry in sorted(folder.iterdir()) if depth < _DEPTH else ():
        if entry.is_dir() and not entry.is_symlink() and entry.name not in _SKIPPED and not entry.name.startswith("."):
            yield from _models_below(entry, depth + 1, f"{place}/{entry.name}".strip("/"))


def _climb_tables(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the tables of climbs at or directly below a folder."""
    for begin in (folder, *sorted(entry for entry in folder.iterdir() if entry.is_dir())):
        for name in _CLIMB_FILES:
            if (begin / name).is_file() and (begin / "ladder.json").is_file():
                yield (begin / name).relative_to(folder).as_posix(), begin / name


def _check_finished(folder: Path) -> None:
    from nlpladder.training.run_folder import read_run

    record = read_run(folder)
    if record and record.get("status") != "finished":
        raise RunError(f"The run in {folder} is not finished. Start its command again to finish it, or leave it out.")


def _check_base(folder: Path, bundle: Path) -> None:
    """Make sure that an adapter's base is on the Hub or travels with it."""
    base = adapter_base(folder)
    if base is None:
        return
    beside = (folder / base).resolve()
    if is_local_base(folder, base) and not (base.startswith(".") and beside.is_relative_to(bundle.resolve())):
        raise RunError(
            f"The adapter in {folder} needs the base model in {base}, which would not be in the Space. Merge it first: "
            "python scripts/merge_adapter.py."
        )
