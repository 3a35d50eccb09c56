"""Aligned text files: line n of one file translates line n of the other."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from nlpladder.data.languages import language_of
from nlpladder.data.parallel_columns import PairRequest
from nlpladder.data.readers import format_of
from nlpladder.data.sources import SPLIT_WORDS, nearest_path, split_of
from nlpladder.data.text_files import read_lines
from nlpladder.errors import DataError, did_you_mean

#: File endings that name a side and no language.
_SIDES = ("src", "source", "tgt", "trg", "target")


@dataclass(frozen=True)
class AlignedFiles:
    """Two files whose lines belong together, and what their languages are called."""

    source: Path
    target: Path
    languages: tuple[str, str]

    @property
    def name(self) -> str:
        """Both files, for notes and errors."""
        same = self.source.parent == self.target.parent
        return f"{self.source} + {self.target.name if same else self.target}"


def read_aligned(files: AlignedFiles, encoding: str) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Read two aligned files whole.

    Only a line feed (with a carriage return before it, or not) ends a line: other characters that some programs take
    for line ends would shift every pair behind them.

    Returns:
        The lines of both sides, and notes.

    Raises:
        DataError: The files have different numbers of lines; names both and where the shorter one ends.
    """
    sides = [_lines(path, encoding) for path in (files.source, files.target)]
    counts = [len(lines) for lines in sides]
    if counts[0] == counts[1]:
        return sides[0], sides[1], ()
    shorter = counts.index(min(counts))
    paths = (files.source, files.target)
    surplus = sides[1 - shorter][counts[shorter] :]
    if not any(line.strip() for line in surplus):
        note = f"{len(surplus)} blank lines at the end of {paths[1 - shorter].name} are left out."
        return sides[0][: counts[shorter]], sides[1][: counts[shorter]], (note,)
    raise DataError(
        f"{files.source} has {counts[0]:,} lines and {files.target} has {counts[1]:,}: {paths[shorter].name} ends "
        f"after line {counts[shorter]:,}, where {paths[1 - shorter].name} goes on with "
        f"{surplus[0].strip()[:60]!r}. Line n of one file must translate line n of the other, so a line is missing or "
        "split somewhere above: align the files again, or save the pairs as two columns of one tsv or jsonl file."
    )


def two_files(source: str, request: PairRequest) -> AlignedFiles:
    """Open a pair of files that is written ``a.de,a.en``; the first one is the source unless it is asked otherwise.

    Raises:
        DataError: There are not two files, or one does not exist.
    """
    paths = [Path(part.strip()).expanduser() for part in source.split(",") if part.strip()]
    if len(paths) != 2:
        raise DataError(f"{source!r} names {len(paths)} files; expected two aligned ones, such as train.de,train.en.")
    for path in paths:
        if not path.is_file():
            raise DataError(f"There is no file {path}.{nearest_path(path)} (One of the pair {source!r}.)")
    if paths[0].resolve() == paths[1].resolve():
        raise DataError(f"{source!r} names the same file twice; expected one file for each language.")
    endings = [_ending(path) or _bare(path).rpartition(".")[2] for path in paths]
    if endings[0] == endings[1]:
        endings = [str(path) for path in paths]
    return _directed({endings[0]: paths[0], endings[1]: paths[1]}, request, source, by_order=True)


def aligned_folder(folder: Path, request: PairRequest) -> tuple[dict[str, AlignedFiles], tuple[str, ...]]:
    """Find ``train.de`` + ``train.en`` and the files of the other splits in a folder.

    Returns:
        The files by canonical split (``train`` alone for one pair without a split in its name), and notes. Empty when
        the folder holds no aligned files.

    Raises:
        DataError: Several pairs could be one split, or a file has no partner.
    """
    groups: dict[str, dict[str, Path]] = {}
    for path in sorted(
        entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith((".", "_"))
    ):
        ending = _ending(path, request)
        if ending:
            groups.setdefault(_stem(path), {})[ending] = path
    pairs = {base: files for base, files in groups.items() if len(files) > 1}
    if not pairs:
        return {}, ()
    by_split: dict[str, list[str]] = {}
    for base in pairs:
        split = split_of(base) or ("train" if len(pairs) == 1 else None)
        if split is not None:
            by_split.setdefault(split, []).append(base)
    lonely = [
        path.name for base, files in groups.items() if len(files) == 1 and split_of(base) for path in files.values()
    ]
    if lonely:
        raise DataError(
            f"{folder}: {', '.join(lonely)} has no partner in the other language. Expected two files for each split, "
            "such as train.de and train.en."
        )
    if not by_split:
        raise DataError(
            f"The folder {folder} holds the pairs {', '.join(pairs)} and none is named by split. Name them train, "
            "validation and test, or give one pair: a.de,a.en."
        )
    found = {}
    for split in sorted(by_split, key=["train", "validation", "test", "unlabeled"].index):
        bases = by_split[split]
        exact = [base for base in bases if base.lower() in SPLIT_WORDS]
        if len(exact or bases) > 1:
            raise DataError(
                f"Several pairs of files in {folder} could be the {split} split: {', '.join(exact or bases)}. "
                "Keep one of them in the folder."
            )
        base = (exact or bases)[0]
        found[split] = _directed(pairs[base], request, str(folder / base))
        # Every other split has the direction of the first, whatever its own name suggests.
        request = replace(
            request,
            source_column=_ending(found[split].source, request),
            target_column=_ending(found[split].target, request),
        )
    listed = ", ".join(f"{split} from {files.source.name} + {files.target.name}" for split, files in found.items())
    return found, (f"Aligned files: {listed}.",)


def _directed(files: dict[str, Path], request: PairRequest, place: str, *, by_order: bool = False) -> AlignedFiles:
    """Decide which of the files is the source and which the target."""
    endings = list(files)
    wanted: list[str | None] = []
    for side, column, language in request.sides:
        asked = column or language
        match = next((e for e in endings if asked and asked in (e, language_of(e))), None)
        if column and match is None:
            raise DataError(
                f"{place}: there is no {side} file that ends in {column!r}.{did_you_mean(column, endings)} "
                f"The endings are: {', '.join(endings)}."
            )
        wanted.append(match)
    source, target = wanted
    rest = [ending for ending in endings if ending not in wanted]
    if source is None and target is None:
        if len(rest) != 2:
            raise _which(place, endings)
        source, target = rest if by_order else _guess_direction(rest, place)
    elif source is None or target is None:
        if len(rest) != 1:
            raise _which(place, endings)
        source, target = source or rest[0], target or rest[0]
    if source == target:
        raise DataError(f"{place}: {source!r} is asked for both as source and as target; name two of {endings}.")
    languages = [
        language or language_of(ending) or ending
        for ending, (_, _, language) in zip((source, target), request.sides, strict=True)
    ]
    return AlignedFiles(files[source], files[target], (languages[0], languages[1]))


def _guess_direction(endings: list[str], place: str) -> tuple[str, str]:
    """Read the direction off a name such as ``multi30k_en_de``; else src comes before tgt, and de before en."""
    first, second = sorted(endings, key=lambda ending: (ending in ("tgt", "trg", "target"), ending))
    turned = re.search(rf"(?<![a-z]){re.escape(second)}[-_]{re.escape(first)}(?![a-z])", place.lower())
    return (second, first) if turned else (first, second)


def _which(place: str, endings: list[str]) -> DataError:
    return DataError(
        f"{place} has files in {len(endings)} languages ({', '.join(endings)}). Choose two with --source_column and "
        "--target_column, for example --source_column de --target_column en."
    )


def _lines(path: Path, encoding: str) -> list[str]:
    return [line.removesuffix("\n").removesuffix("\r") for line in read_lines(path, encoding)]


def _bare(path: Path) -> str:
    """Return the name of a file without ``.gz`` and ``.txt``."""
    name = path.name
    for ending in (".gz", ".txt"):
        name = name.removesuffix(ending)
    return name


def _ending(path: Path, request: PairRequest | None = None) -> str | None:
    """Return the last part of a name where it stands for a language or a side: ``de`` of ``train.clean.de.gz``."""
    base, dot, ending = _bare(path).rpartition(".")
    asked = {name for _, column, language in request.sides for name in (column, language)} if request else set()
    named = ending in asked or ending.lower() in _SIDES or language_of(ending) is not None
    if not dot or not base or not named or format_of(Path(_bare(path))) is not None:
        return None
    return ending


def _stem(path: Path) -> str:
    bare = _bare(path)
    return bare.rpartition(".")[0] or bare
