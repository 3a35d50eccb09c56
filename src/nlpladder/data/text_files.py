"""Opening text files: plain or gzip, in any encoding, with errors that name the byte and the line."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from nlpladder.errors import DataError, did_you_mean

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_COMMON_ENCODINGS = (
    "utf-8",
    "utf-16",
    "utf-32",
    "latin-1",
    "cp1252",
    "ascii",
    "gb18030",
    "shift_jis",
    "euc-kr",
    "big5",
)
_GZIP_MAGIC = b"\x1f\x8b"


def is_gzip(path: Path) -> bool:
    """Tell from the first two bytes whether `path` is gzip."""
    with path.open("rb") as handle:
        return handle.read(2) == _GZIP_MAGIC


def open_bytes(path: Path) -> BinaryIO:
    """Open `path` for reading bytes, through gzip where it is gzip.

    Raises:
        DataError: The file is empty, or it is named ``.gz`` and is not gzip.
    """
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes). Expected rows of text; write the file again or give another one.")
    if is_gzip(path):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if path.suffix == ".gz":
        raise DataError(f"{path} is named .gz but is not gzip. Rename it without .gz, or compress it with gzip.")
    return path.open("rb")


def read_lines(path: Path, encoding: str, *, newline: str | None = "\n") -> Iterator[str]:
    r"""Yield the lines of a text file with their line ends; a byte order mark is dropped.

    Args:
        path: A text file, plain or gzip.
        encoding: Its encoding; ``"utf-8"`` also reads a leading byte order mark.
        newline: As for `open`: ``"\n"`` splits only there, ``""`` at any line end untranslated, None translates.

    Raises:
        DataError: Empty file, unknown encoding, undecodable bytes (with offset and line), or a broken gzip stream.
    """
    codec = codec_name(encoding)
    with open_bytes(path) as raw:
        try:
            with io.TextIOWrapper(raw, encoding=codec, errors="strict", newline=newline) as stream:
                refuse_nul_head(path, encoding)
                yield from stream
        except UnicodeError:
            raise decode_error(path, encoding) from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise broken_gzip(path, error) from None


def broken_gzip(path: Path, error: Exception) -> DataError:
    """Word the error for a gzip stream that ends early or is damaged."""
    return DataError(
        f"{path} is a broken gzip file ({error}): it was probably cut off while it was copied or downloaded. "
        "Fetch it again; `gzip -t` tells whether a file is whole."
    )


def codec_name(encoding: str) -> str:
    """Return the codec to read with; ``utf-8`` becomes the variant that drops a byte order mark.

    Raises:
        DataError: Python does not know the encoding.
    """
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        hint = did_you_mean(encoding, _COMMON_ENCODINGS)
        raise DataError(f"Unknown encoding {encoding!r}.{hint} Common ones: {', '.join(_COMMON_ENCODINGS)}.") from None
    return "utf-8-sig" if name == "utf-8" else name


def refuse_nul_head(path: Path, encoding: str) -> None:
    """Refuse a UTF-16 file that would pass as UTF-8 because every second byte is NUL."""
    if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig", "ascii", "iso8859-1"):
        return
    with open_bytes(path) as raw:
        head = raw.read(1024)
    if head.startswith(tuple(_BYTE_ORDER_MARKS)) or head.count(0) <= len(head) // 4:
        return
    guess = "utf-16-le" if head[1::2].count(0) >= head[0::2].count(0) else "utf-16-be"
    raise DataError(
        f"{path} does not look like {encoding}: {head.count(0)} of its first {len(head)} bytes are NUL, as in UTF-16. "
        f"Try --encoding {guess}."
    )


def decode_error(path: Path, encoding: str) -> DataError:
    """Find the first undecodable byte of `path` and word the error with its offset, line and a remedy."""
    decoder = codecs.getincrementaldecoder(codec_name(encoding))()
    consumed, line, head = 0, 1, b""
    with open_bytes(path) as raw:
        while True:
            block = raw.read(1 << 20)
            head = head or block[:4]
            try:
                line += decoder.decode(block, final=not block).count("\n")
            except UnicodeDecodeError as error:
                # The decoder's object is the tail of everything read so far, so it aligns at the end.
                offset = consumed + len(block) - len(error.object) + error.start
                before = error.object[: error.start].decode(encoding, errors="ignore")
                return _worded(path, encoding, offset, line + before.count("\n"), error, head)
            except UnicodeError:
                break
            if not block:
                break
            consumed += len(block)
    return DataError(f"{path} cannot be read as {encoding}.{_suggestion(head, None)}")


def _worded(path: Path, encoding: str, offset: int, line: int, error: UnicodeDecodeError, head: bytes) -> DataError:
    byte = error.object[error.start]
    return DataError(
        f"{path} is not {encoding}: byte 0x{byte:02x} at offset {offset}, on line {line}, cannot be decoded "
        f"({error.reason}).{_suggestion(head, error)}"
    )


def _suggestion(head: bytes, error: UnicodeDecodeError | None) -> str:
    for mark, name in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return f" It starts with the byte order mark of {name}: try --encoding {name}."
    if error is None:
        return " Give its encoding with --encoding, for example utf-16 or latin-1."
    around = error.object[max(0, error.start - 20) : error.start + 20].decode("latin-1")
    return f" It would decode with --encoding latin-1 (there it reads {around!r}); cp1252 is the Windows variant."
