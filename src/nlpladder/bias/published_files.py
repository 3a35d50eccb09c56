"""Files of published benchmarks as their authors wrote them: read whole, plain or compressed, with their hash."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from nlpladder.errors import DataError


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return a file's content, decompressed where its name ends in .gz.

    Raises:
        DataError: If it cannot be read.
    """
    check_no_folder(path)
    try:
        data = Path(path).read_bytes()
        return gzip.decompress(data) if str(path).endswith(".gz") else data
    except (OSError, EOFError) as error:
        raise DataError(_unreadable(path, error)) from error


def read_text(path: str | os.PathLike[str]) -> str:
    """Return a UTF-8 file's text, without a byte-order mark.

    Raises:
        DataError: If it cannot be read, or is no UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start}).") from None


def check_no_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a folder where one file is read, and say what lies in it.

    Raises:
        DataError: If it is a folder.
    """
    folder = Path(path)
    if not folder.is_dir():
        return
    files = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    if not files:
        raise DataError(f"{path} is a folder without a file; name the file that is to be read.")
    more = f" and {len(files) - 6} more" if len(files) > 6 else ""
    raise DataError(
        f"{path} is a folder; name the file in it, such as {folder / files[0]}. It holds {', '.join(files[:6])}{more}."
    )


def _unreadable(path: str | os.PathLike[str], error: OSError | EOFError) -> str:
    """Return the sentence for a file that cannot be read; the system's text alone, as its error repeats the path."""
    reason = getattr(error, "strerror", None) or str(error)
    return f"{path} cannot be read: {reason}."


def text_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, plain or with .gz, one at a time: it may be larger than memory.

    Raises:
        DataError: If it cannot be read, or is no UTF-8.
    """
    check_no_folder(path)
    try:
        opener = gzip.open if str(path).endswith(".gz") else open
        with opener(path, "rt", encoding="utf-8-sig") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text ({error.reason}).") from None
    except (OSError, EOFError) as error:
        raise DataError(_unreadable(path, error)) from error


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content, decompressed, in hexadecimal digits."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def find_file(folder: str | os.PathLike[str], name: str) -> Path | None:
    """Return a file of a folder, plain or with .gz, None where there is neither."""
    for candidate in (Path(folder) / name, Path(folder) / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    return None


def differs_from_published(hashes: Mapping[str, str], published: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence about files that are not those of the authors, none where all are.

    Args:
        hashes: SHA-256 by file name, of what was read.
        published: The same of the authors' files.
    """
    other = sorted(name for name, found in hashes.items() if name in published and published[name] != found)
    strange = sorted(name for name in hashes if name not in published)
    if not other and not strange:
        return ()
    return (f"Not the authors' published files: {', '.join([*other, *strange])} (SHA-256 differs).",)
