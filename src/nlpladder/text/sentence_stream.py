"""A corpus as a stream of sentences: blocks of UTF-8 in which blanks separate tokens and newlines sentences.

Files that are tokenised already pass through as bytes, so that reading keeps up with the kernels that count; anything
else is tokenised on the way. A stream can be read again, and never holds more than a block.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self, cast

from nlpladder.errors import DataError
from nlpladder.text.corpus import TextCorpus
from nlpladder.text.text_tokenizer import SEPARATORS, TextTokenizer

BLOCK_BYTES = 1 << 22
_LINES_A_BATCH = 1000
_MAGIC: dict[bytes, Callable[..., object]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


class SentenceStream:
    """Sentences from files, texts or tokens. Build it with one of the ``from_`` methods.

    Attributes:
        tokenizer: What splits the text; models that score text later keep it.
        notes: What was repaired while the stream was read last, in sentences.
    """

    def __init__(
        self, pieces: Callable[[], Iterable[bytes]], tokenizer: TextTokenizer, fingerprint: Callable[[], str]
    ) -> None:
        self._pieces = pieces
        self._fingerprint = fingerprint
        self.tokenizer = tokenizer
        self.notes: list[str] = []

    @classmethod
    def from_files(
        cls, paths: Sequence[str | Path], *, tokenizer: TextTokenizer | None = None, encoding: str = "utf-8"
    ) -> Self:
        """Read text files, one sentence a line, plain or compressed (gzip, bzip2, xz).

        Args:
            paths: Files, read in this order.
            tokenizer: By default the text is taken as tokenised, with blanks between tokens.
            encoding: Of the files. Bytes that are not UTF-8 are replaced and counted in `notes`; other encodings are
                decoded strictly.

        Raises:
            DataError: while reading: a file is missing, cut short, or not in its encoding.
        """
        files = [Path(path) for path in paths]
        tokenizer = tokenizer or TextTokenizer()
        stream = cls(lambda: (), tokenizer, lambda: _hash_files(files))
        stream._pieces = lambda: (
            stream._tokenized(piece) for path in files for piece in stream._decoded(path, encoding)
        )
        return stream

    @classmethod
    def from_texts(cls, texts: Iterable[str], *, tokenizer: TextTokenizer | None = None) -> Self:
        """Take texts; each line of each text is a sentence. A generator is kept in a temporary file for later passes.

        Raises:
            DataError: while reading, for an entry that is not a string.
        """
        corpus = TextCorpus(texts)
        tokenizer = tokenizer or TextTokenizer()
        stream = cls(lambda: (), tokenizer, lambda: _hash_texts(corpus))
        stream._pieces = lambda: (stream._tokenized(piece) for piece in _joined(iter(corpus)))
        return stream

    @classmethod
    def from_tokens(cls, sentences: Iterable[Sequence[str]], *, readings: int = 2) -> Self:
        """Take sentences that are lists of tokens.

        Args:
            sentences: The tokens of each sentence.
            readings: How often they will be read; a generator is kept in a temporary file only for more than one.

        Raises:
            DataError: while reading, for a token that is empty or holds a blank, or a sentence that is one string.
        """
        lines = TextCorpus(
            map(_checked_line, sentences) if iter(sentences) is sentences else _Lines(sentences), readings=readings
        )
        return cls(lambda: _joined(iter(lines)), TextTokenizer(), lambda: _hash_texts(lines))

    def blocks(self) -> Iterator[bytes]:
        """Yield blocks of whole tokens; a sentence ends at a newline, or where the stream ends."""
        self.notes = []
        yield from (piece for piece in self._pieces() if piece)

    def fingerprint(self) -> str:
        """Return a hash of what is read, before tokenisation."""
        return self._fingerprint()

    def _tokenized(self, piece: bytes) -> bytes:
        """Return `piece`, whole lines in UTF-8, as blanks-separated tokens."""
        if self.tokenizer.method == "whitespace":
            if not self.tokenizer.lowercase:
                return piece
            return piece.lower() if piece.isascii() else piece.decode().lower().encode()
        lines = piece.decode().split("\n")
        last = lines.pop()  # what follows the last newline: nothing, or a line that goes on
        batches = (lines[start : start + _LINES_A_BATCH] for start in range(0, len(lines), _LINES_A_BATCH))
        parts = [
            " ".join(tokens) + "\n" for batch in batches for tokens in self.tokenizer.tokenize_batch(batch) if tokens
        ]
        parts.append(" ".join(self.tokenizer.tokenize(last)) + " " if last else "")
        return "".join(parts).encode()

    def _decoded(self, path: Path, encoding: str) -> Iterator[bytes]:
        """Yield a file in UTF-8, in pieces of whole lines where lines are not longer than a block."""
        utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig", "ascii")
        if not utf8:
            from nlpladder.data.text_files import read_lines

            yield from _joined(read_lines(path, encoding, newline=None))
            return
        line, repaired, first = 1, 0, 0
        for piece in _whole_lines(path):
            good = piece
            if not piece.isascii():
                try:
                    piece.decode()
                except UnicodeDecodeError as error:
                    good = piece.decode(errors="replace").encode()
                    first = first or line + piece.count(b"\n", 0, error.start)
                    repaired += sum("\ufffd" in text and not _is_utf8(raw) for text, raw in _line_pairs(piece))
            line += piece.count(b"\n")
            yield good
        if repaired:
            self.notes.append(
                f"{path}: {repaired:,} lines are not UTF-8 (the first is line {first}); their broken bytes were "
                "replaced by U+FFFD. If the file has another encoding, give it with --encoding."
            )


class _Lines:
    """Sentences as lines, made anew at each pass."""

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        self._sentences = sentences

    def __iter__(self) -> Iterator[str]:
        return map(_checked_line, self._sentences)


def _checked_line(sentence: Sequence[str]) -> str:
    if isinstance(sentence, str):
        raise DataError(f"Expected a list of tokens, found the string {sentence[:40]!r}. Use from_texts for texts.")
    for token in sentence:
        if not token or any(mark in token for mark in SEPARATORS):
            raise DataError(f"The token {token!r} is empty or holds white space; tokens must be whole words.")
    return " ".join(sentence)


def _joined(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield texts as blocks, a newline after each."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text if text.endswith("\n") else text + "\n")
        size += len(text)
        if size >= BLOCK_BYTES:
            yield "".join(held).encode()
            held, size = [], 0
    yield "".join(held).encode()


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, cut after newlines; a line longer than a block is cut after a blank."""
    tail = b""
    try:
        with _open(path) as file:
            if file.peek(3)[:3] == b"\xef\xbb\xbf":  # type: ignore[attr-defined]
                file.read(3)
            while block := file.read(BLOCK_BYTES):
                block = tail + block
                cut = block.rfind(b"\n") + 1 or (block.rfind(b" ") + 1 if len(block) >= BLOCK_BYTES else 0)
                tail = block[cut:]
                yield block[:cut]
            yield tail + b"\n"
    except FileNotFoundError:
        from nlpladder.errors import did_you_mean

        siblings = [str(other) for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"There is no file {str(path)!r}.{did_you_mean(str(path), siblings)}") from None
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or damaged ({error}). Fetch or compress it again.") from error
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name the text files in it.") from None


def _open(path: Path) -> BinaryIO:
    """Open a file through what its first bytes ask for."""
    with path.open("rb") as file:
        head = file.read(6)
    for magic, opener in _MAGIC.items():
        if head.startswith(magic):
            return cast(BinaryIO, opener(path, "rb"))
    return path.open("rb")


def _line_pairs(piece: bytes) -> Iterator[tuple[str, bytes]]:
    return ((line.decode(errors="replace"), line) for line in piece.split(b"\n"))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _hash_files(paths: Sequence[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        for piece in _whole_lines(path):
            digest.update(piece)
    return digest.hexdigest()


def _hash_texts(texts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for piece in _joined(texts):
        digest.update(piece)
    return digest.hexdigest()
