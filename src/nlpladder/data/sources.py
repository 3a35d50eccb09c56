"""Finding out what a source is (world, file, folder, Hub id) and which files hold which split."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nlpladder.data.readers import ClassFolderRows, RowReader, format_of, open_reader, text_files_of
from nlpladder.errors import DataError

SourceKind = Literal["world", "path", "hub"]

#: Words in a file, folder or split name, and the split that they stand for.
SPLIT_WORDS: Mapping[str, str] = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "development": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
    "unsupervised": "unlabeled", "unlabeled": "unlabeled", "unlabelled": "unlabeled", "unsup": "unlabeled",
}  # fmt: skip
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_SHARD = re.compile(r"[-_.]\d+(-of-\d+)?$")


@dataclass(frozen=True)
class FoundSplits:
    """The readers of each split of a local source.

    Attributes:
        readers: By canonical split name; ``train`` alone when the source has no splits.
        notes: How the files were understood, in sentences.
    """

    readers: dict[str, list[RowReader]]
    notes: tuple[str, ...] = ()


def kind_of(source: str) -> SourceKind:
    """Tell whether a source is a world, a path or a Hub id; what exists on this machine is a path.

    Raises:
        DataError: The source looks like a path and there is nothing there; the nearest file is named.
    """
    if not source.strip():
        raise DataError("The data set name is empty. Give a file, a folder, a Hub id, or world:reviews.")
    if source.startswith("world:"):
        return "world"
    if source.startswith("hub:"):
        return "hub"
    path = Path(source).expanduser()
    if path.exists():
        return "path"
    has_format = format_of(path) is not None
    has_local_parent = len(path.parts) > 1 and path.parent.is_dir()
    if _HUB_ID.fullmatch(source) and not has_format and not has_local_parent:
        return "hub"
    if ":" in source and difflib.get_close_matches(source.split(":")[0].lower(), ["world"], cutoff=0.7):
        raise DataError(f"There is no data set {source!r}. Did you mean 'world:{source.split(':', 1)[1]}'?")
    raise DataError(f"There is no file or folder {source}.{nearest_path(path)}{_hub_hint(source, has_format)}")


def nearest_path(path: Path) -> str:
    """Return a sentence that names the existing file nearest to a missing path, or the deepest folder that exists."""
    missing, parent = path, path.parent
    while not parent.is_dir() and parent != parent.parent:
        missing, parent = parent, parent.parent
    if not parent.is_dir():
        return ""
    names = sorted(entry.name for entry in parent.iterdir() if not entry.name.startswith("."))[:2000]
    close = difflib.get_close_matches(missing.name, names, n=1, cutoff=0.6)
    stem = missing.name.split(".")[0]
    close = close or [name for name in names if name.split(".")[0] == stem][:1]
    if close:
        return f" Did you mean {str(parent / close[0])!r}?"
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f" {parent.absolute()} holds: {shown}." if names else f" The folder {parent.absolute()} is empty."


def split_of(name: str) -> str | None:
    """Return the split that a name stands for (``"dev"``: validation), looking at its words; None if there is none."""
    lowered = name.lower()
    if lowered in SPLIT_WORDS:
        return SPLIT_WORDS[lowered]
    found = {SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", lowered) if word in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else None


def canonical_splits(names: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Choose which source split serves as which of train, validation, test and unlabeled.

    An exact name comes before one that holds the word (``validation`` before ``validation_matched``), then the first.

    Returns:
        The source name for each canonical one, and notes on the splits that are not used.
    """
    chosen: dict[str, str] = {}
    given = list(names)
    for name in sorted(given, key=lambda name: (name.lower() not in SPLIT_WORDS, given.index(name))):
        split = split_of(name)
        if split is not None:
            chosen.setdefault(split, name)
    if not chosen and len(given) == 1:
        return {"train": given[0]}, (f"The only split is {given[0]!r}; it is cut into train, validation and test.",)
    unused = [name for name in given if name not in chosen.values()]
    notes = [f"The {split} split is {name!r}." for split, name in chosen.items() if name.lower() not in SPLIT_WORDS]
    if unused:
        notes.append(f"Not used: the splits {', '.join(map(repr, unused))}.")
    return chosen, tuple(notes)


def find_splits(path: Path, encoding: str) -> FoundSplits:
    """Find the readers of a local file or folder.

    Raises:
        DataError: A folder without data, with several files of no split name, or two files of one split.
    """
    if not path.is_dir():
        reader = open_reader(path, encoding)
        return FoundSplits({"train": [reader]}, reader.notes)
    found = split_files(path)
    if not found:
        found = _single_file(path)
    if found:
        readers = {split: [open_reader(file, encoding) for file in files] for split, files in found.items()}
        listed = ", ".join(f"{split} from {_listed(files)}" for split, files in found.items())
        notes = [note for group in readers.values() for reader in group for note in reader.notes]
        return FoundSplits(readers, (f"Files: {listed}.", *dict.fromkeys(notes)))
    folders = class_folders(path, encoding)
    if folders:
        return FoundSplits(dict(folders), ("Each class is a folder and each text a file.",))
    names = ", ".join(sorted(entry.name for entry in path.iterdir())[:10])
    raise DataError(
        f"The folder {path} holds no data ({names or 'it is empty'}). Expected files named by split (train.csv, "
        "validation.jsonl, test.parquet), one data file, or class folders with one text a file (train/pos/1.txt)."
    )


def split_files(folder: Path) -> dict[str, list[Path]]:
    """Return the data files of each split in a folder, its ``data`` folder, or its folders named by split.

    Raises:
        DataError: Two files stand for one split and are not shards of one.
    """
    for place in (folder, folder / "data"):
        if not place.is_dir():
            continue
        files = [file for file in _data_files(place) if split_of(_stem(file)) is not None]
        found: dict[str, list[Path]] = {}
        for file in files:
            found.setdefault(str(split_of(_stem(file))), []).append(file)
        if found:
            return {split: _one_group(split, group) for split, group in sorted(found.items(), key=_split_order)}
    inside = {}
    for entry in sorted(folder.iterdir()):
        split = split_of(entry.name) if entry.is_dir() else None
        files = [file for file in _data_files(entry) if format_of(file) != "txt"] if split else []
        if split and files:
            inside[split] = files if len(files) == 1 else _one_group(split, files)
    return dict(sorted(inside.items(), key=_split_order))


def class_folders(folder: Path, encoding: str) -> dict[str, list[RowReader]]:
    """Return readers for ``train/pos/*.txt`` or ``pos/*.txt``; a folder of unlabelled texts becomes ``unlabeled``."""
    by_split = {split_of(entry.name): entry for entry in sorted(folder.iterdir()) if entry.is_dir()}
    labelled: dict[str, list[RowReader]] = {}
    for split in ("train", "validation", "test"):
        if split in by_split:
            classes, unlabeled = _classes(by_split[split])
            if classes:
                labelled[split] = [ClassFolderRows(by_split[split], encoding, classes)]
            if unlabeled and split == "train":
                labelled["unlabeled"] = [ClassFolderRows(unlabeled, encoding, None)]
    if labelled:
        return labelled
    classes, unlabeled = _classes(folder)
    if classes:
        labelled["train"] = [ClassFolderRows(folder, encoding, classes)]
        if unlabeled:
            labelled["unlabeled"] = [ClassFolderRows(unlabeled, encoding, None)]
    return labelled


def _classes(folder: Path) -> tuple[tuple[str, ...], Path | None]:
    inside = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and text_files_of(entry)]
    unlabeled = next((entry for entry in inside if split_of(entry.name) == "unlabeled"), None)
    return tuple(entry.name for entry in inside if entry != unlabeled and not entry.name.startswith(".")), unlabeled


def _single_file(folder: Path) -> dict[str, list[Path]]:
    files = [file for file in _data_files(folder) if format_of(file) != "txt"]
    if len(files) > 1:
        raise DataError(
            f"The folder {folder} holds several data files and none is named by split: {_listed(files)}. "
            "Name them train, validation and test, or give one file."
        )
    return {"train": files} if files else {}


def _one_group(split: str, files: list[Path]) -> list[Path]:
    """Return the files of one split: one, or the shards of one; exact names go first."""
    exact = [file for file in files if _stem(file).lower() in SPLIT_WORDS]
    group = exact or files
    if len(group) > 1 and len({_SHARD.sub("", _stem(file)) for file in group}) > 1:
        raise DataError(
            f"Several files could be the {split} split: {_listed(group)}. Keep one of them in the folder, or name the "
            f"file itself."
        )
    if len(group) > 1 and exact:
        raise DataError(f"Several files are named {split}: {_listed(group)}. Keep one of them in the folder.")
    return sorted(group)


def _data_files(folder: Path) -> list[Path]:
    skipped = (".", "_", "readme", "license", "requirements", "dataset_info", "dataset_infos", "state.json")
    return sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and format_of(file) is not None and not file.name.lower().startswith(skipped)
    )


def _stem(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).stem


def _split_order(item: tuple[str, object]) -> int:
    order = ("train", "validation", "test", "unlabeled")
    return order.index(item[0])


def _listed(files: list[Path]) -> str:
    return ", ".join(file.name for file in files[:5]) + (", …" if len(files) > 5 else "")


def _hub_hint(source: str, has_format: bool) -> str:
    if has_format or not _HUB_ID.fullmatch(source):
        return ""
    return f" For the data set of that name on the Hugging Face Hub write hub:{source}."
