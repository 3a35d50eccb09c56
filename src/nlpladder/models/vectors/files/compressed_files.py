"""Open vector files whatever they are compressed with, and write them whole or not at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from nlpladder.errors import DataError, RunError

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz"}


@contextmanager
def open_for_reading(path: Path) -> Iterator[BinaryIO]:
    """Open `path`, decompressed when its first bytes are those of gzip, bzip2 or xz.

    Raises:
        DataError: If it cannot be opened, or the compressed data is damaged or cut short.
    """
    try:
        with open(path, "rb") as raw:
            head = raw.read(6)
            raw.seek(0)
            kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
            if kind == "gzip":
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield cast(BinaryIO, stream)
            elif kind == "bzip2":
                with bz2.BZ2File(raw) as stream:
                    yield cast(BinaryIO, stream)
            elif kind == "xz":
                with lzma.LZMAFile(raw) as stream:
                    yield cast(BinaryIO, stream)
            else:
                yield raw
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; a file of word vectors was expected.") from None
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, OSError) as error:
        if isinstance(error, PermissionError):
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        raise DataError(f"{path} is damaged or cut short ({error}). Download or copy it again.") from error


@contextmanager
def open_for_writing(path: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Write to a temporary file beside `path`, compressed by the ending of the name, and rename it when all went well.

    Raises:
        RunError: If `path` exists and `overwrite` is False.
    """
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists already. Choose another name, or pass overwrite=True.")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as raw:
            kind = _SUFFIXES.get(path.suffix.lower(), "")
            if kind == "gzip":
                # No name and no time, so that the same vectors give the same file.
                with gzip.GzipFile("", "wb", 6, raw, mtime=0) as stream:
                    yield cast(BinaryIO, stream)
            elif kind == "bzip2":
                with bz2.BZ2File(raw, "wb") as stream:
                    yield cast(BinaryIO, stream)
            elif kind == "xz":
                with lzma.LZMAFile(raw, "wb") as stream:
                    yield cast(BinaryIO, stream)
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
