"""The lines of an ARPA file as arrays: words, word ids, probabilities and back-offs of every order."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError, ModelError
from nlpladder.models.ngram.levels import NEVER, SPECIAL_WORDS
from nlpladder.models.ngram.tables import available_threads
from nlpladder.models.ngram.vocabulary import UNKNOWN_ID, Vocabulary

BLOCK_BYTES = 1 << 25
#: What KenLM gives unknown words where the file has no `<unk>`.
MISSING_UNKNOWN = -100.0
#: How some toolkits spell it.
OLD_UNKNOWN = "<UNK>"
_COUNT = re.compile(rb"ngram\s+(\d+)\s*=\s*(\d+)\s*$")
_MAGIC: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


@dataclass
class ArpaOrder:
    """The n-grams of one order as the file lists them.

    Attributes:
        rows: int32, shape (n, order): word ids.
        probability: float32, shape (n,): log10.
        backoff: float32, shape (n,): log10, 0 where there is none; shape (0,) at the highest order.
        first_line: The line of the first of them; 0 where no line holds them.
    """

    rows: npt.NDArray[np.int32]
    probability: npt.NDArray[np.float32]
    backoff: npt.NDArray[np.float32]
    first_line: int


@dataclass
class ArpaContents:
    """What an ARPA file holds.

    Attributes:
        vocabulary: Its words, ``<unk>``, ``<s>`` and ``</s>`` first.
        orders: Its n-grams by order, from 1 on.
        notes: What was missing and put in, in sentences.
        has_marks: Whether the file has ``<s>`` and ``</s>``.
    """

    vocabulary: Vocabulary
    orders: list[ArpaOrder]
    notes: list[str] = field(default_factory=list)
    has_marks: bool = True


def read_contents(path: Path, *, num_threads: int | None = None) -> ArpaContents:
    """Read an ARPA file, plain or compressed.

    Raises:
        DataError: names the line, what was expected there, and what to do.
    """
    try:
        with _open(path) as file:
            return _Parser(path, file, num_threads or available_threads()).parse()
    except FileNotFoundError:
        from nlpladder.errors import did_you_mean

        siblings = [str(other) for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"There is no file {str(path)!r}.{did_you_mean(str(path), siblings)}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name an ARPA file.") from None
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or damaged ({error}). Fetch or compress it again.") from error


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        head = file.read(6)
    for magic, opener in _MAGIC.items():
        if head.startswith(magic):
            return cast(BinaryIO, opener(path, "rb"))
    return path.open("rb")


class _Parser:
    """Walks through a file block by block; a block is whole lines."""

    def __init__(self, path: Path, file: BinaryIO, num_threads: int) -> None:
        self._path = path
        self._file = file
        self._threads = num_threads
        self._block = b""
        self._position = 0
        self._lines_before = 0  # of the block
        self._tail = b""

    def parse(self) -> ArpaContents:
        """Read everything."""
        counts, line = self._header()
        contents: ArpaContents | None = None
        for order in range(1, len(counts) + 1):
            if line.strip() != b"\\%d-grams:" % order:
                raise self._wrong(f"expected \\{order}-grams:, found {_shown(line)}")
            first_line = self._line_number()
            pieces = list(self._pieces(order, order == len(counts), contents))
            probability = np.concatenate([np.empty(0, np.float32), *(piece.probability for piece in pieces)])
            if probability.size != counts[order - 1]:
                raise self._wrong(
                    f"the header promises {counts[order - 1]:,} {order}-grams, but {probability.size:,} are listed"
                )
            backoff = np.concatenate([np.empty(0, np.float32), *(piece.backoff for piece in pieces)])
            if contents is None:
                contents = self._unigrams(pieces, probability, backoff, first_line)
            else:
                rows = np.concatenate([np.empty((0, order), np.int32), *(piece.rows for piece in pieces)])
                contents.orders.append(ArpaOrder(rows, probability, backoff, first_line))
            line = self._next_line_with_text()
        if line.strip() != b"\\end\\":
            raise self._wrong(f"expected \\end\\, found {_shown(line)}")
        assert contents is not None
        if contents.vocabulary[UNKNOWN_ID] == OLD_UNKNOWN:  # as the n-grams call it
            contents.vocabulary = Vocabulary.from_words([*SPECIAL_WORDS[:1], *list(contents.vocabulary)[1:]])
        return contents

    def _header(self) -> tuple[list[int], bytes]:
        """Return the counts, and the line after them."""
        line = self._next_line_with_text()
        while line and line.strip() != b"\\data\\":
            line = self._next_line_with_text()
        if not line:
            raise DataError(f"{self._path} has no line \\data\\, so it is not an ARPA file.")
        counts: list[int] = []
        while match := _COUNT.match(line := self._next_line_with_text().strip()):
            if int(match[1]) != len(counts) + 1:
                raise self._wrong(f"expected the count of {len(counts) + 1}-grams, found {_shown(line)}")
            counts.append(int(match[2]))
        if not counts or not counts[0]:
            raise self._wrong(f"expected 'ngram 1=' and a count above 0, found {_shown(line)}")
        return counts, line

    def _pieces(self, order: int, highest: bool, contents: ArpaContents | None) -> Iterator[_Piece]:
        """Yield the lines of a section, parsed by several threads."""
        with ThreadPoolExecutor(self._threads) as pool:
            while self._fill():
                jobs = [
                    pool.submit(_parse_piece, self._block, begin, end, order, highest, contents)
                    for begin, end in _cut(self._block, self._position, self._threads)
                ]
                for job in jobs:
                    piece = job.result()
                    self._position = piece.stopped
                    if piece.problem:
                        self._position = piece.begin
                        number = self._line_number() + piece.probability.size
                        line = self._block[piece.begin : piece.end].split(b"\n")[piece.probability.size]
                        raise self._wrong(_PROBLEMS[piece.problem].format(order=order, line=_shown(line)), number)
                    yield piece
                    if piece.stopped < piece.end:
                        return

    def _unigrams(self, pieces: list[_Piece], probability: Any, backoff: Any, first_line: int) -> ArpaContents:
        """Give the words their ids: the three marks first, then as they come."""
        from nlpladder.models.ngram.arpa_kernels import gather_words

        spelled = b"".join(piece.words for piece in pieces)
        lengths = np.concatenate([piece.lengths for piece in pieces])
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        self._check_utf8(spelled, starts, first_line)
        place_of_mark = {}
        for place in np.flatnonzero(np.isin(lengths, [len(mark) for mark in SPECIAL_WORDS])).tolist():
            word = spelled[starts[place] : starts[place + 1]].decode()
            if word in (*SPECIAL_WORDS, OLD_UNKNOWN):
                place_of_mark[word] = place
        old_unknown = place_of_mark.pop(OLD_UNKNOWN, None)
        if old_unknown is not None:
            place_of_mark.setdefault(SPECIAL_WORDS[UNKNOWN_ID], old_unknown)
        notes = []
        if SPECIAL_WORDS[UNKNOWN_ID] not in place_of_mark:
            notes.append(f"{self._path} has no <unk>: unknown words get {MISSING_UNKNOWN:g}, as in KenLM.")
        has_marks = "<s>" in place_of_mark and "</s>" in place_of_mark
        if not has_marks:
            notes.append(f"{self._path} lacks <s> or </s>: texts are scored without sentence marks.")

        # Marks that are missing are taken from a place after all others.
        size = lengths.size
        marks = [place_of_mark.get(mark, size + number) for number, mark in enumerate(SPECIAL_WORDS)]
        ordered = np.concatenate([marks, np.setdiff1d(np.arange(size), marks)]).astype(np.int64)
        starts = np.concatenate([starts, starts[-1] + np.cumsum([len(mark) for mark in SPECIAL_WORDS])])
        data = np.frombuffer(spelled + "".join(SPECIAL_WORDS).encode(), np.uint8)
        begins, ends = starts[ordered], starts[ordered + 1]
        arena = np.empty(int((ends - begins).sum()), np.uint8)
        word_starts = np.empty(ordered.size + 1, np.int64)
        gather_words(data, begins, ends, arena, word_starts)
        try:
            vocabulary = Vocabulary.from_bytes(arena, word_starts)
        except ModelError as error:
            raise DataError(f"{self._path}: {error} List each word once among the 1-grams.") from None
        rows = np.arange(ordered.size, dtype=np.int32)[:, None]
        probability = np.concatenate([probability, np.array([MISSING_UNKNOWN, NEVER, NEVER], np.float32)])[ordered]
        if backoff.size:
            backoff = np.concatenate([backoff, np.zeros(len(SPECIAL_WORDS), np.float32)])[ordered]
        return ArpaContents(vocabulary, [ArpaOrder(rows, probability, backoff, first_line)], notes, has_marks)

    def _check_utf8(self, spelled: bytes, starts: npt.NDArray[np.int64], first_line: int) -> None:
        """Refuse words in another encoding."""
        broken = None
        try:
            spelled.decode()
        except UnicodeDecodeError as error:
            broken = error.start
        else:
            # Bytes of two words may make a character together: no word begins within one.
            within = np.flatnonzero(np.frombuffer(spelled, np.uint8)[starts[:-1]] & 0xC0 == 0x80)
            broken = int(starts[within[0]]) if within.size else None
        if broken is not None:
            line = first_line + int(np.searchsorted(starts, broken, side="right")) - 1
            raise DataError(
                f"{self._path}, line {line}: the word is not UTF-8. Convert the file first: iconv -f latin1 -t utf-8."
            )

    def _fill(self) -> bool:
        """Make sure that something lies before us; False at the end of the file."""
        while self._position >= len(self._block):
            self._lines_before += self._block.count(b"\n")
            raw = self._file.read(BLOCK_BYTES)
            if not raw:
                if not self._tail:
                    self._block, self._position = b"", 0
                    return False
                raw = b"\n"
            cut = raw.rfind(b"\n") + 1
            self._block, self._tail = (self._tail + raw[:cut], raw[cut:]) if cut else (b"", self._tail + raw)
            self._position = 0
        return True

    def _next_line_with_text(self) -> bytes:
        """Return the next line that is not blank, or nothing at the end of the file."""
        while self._fill():
            end = self._block.index(b"\n", self._position)
            line = self._block[self._position : end]
            self._position = end + 1
            if line.strip():
                return line
        return b""

    def _line_number(self) -> int:
        """Return the number of the line that comes next."""
        return self._lines_before + self._block.count(b"\n", 0, self._position) + 1

    def _wrong(self, what: str, line: int | None = None) -> DataError:
        number = max(self._line_number() - 1, 1) if line is None else line
        return DataError(f"{self._path}, line {number}: {what}.")


@dataclass
class _Piece:
    begin: int
    end: int
    stopped: int
    problem: int
    rows: npt.NDArray[np.int32]
    words: bytes
    lengths: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float32]
    backoff: npt.NDArray[np.float32]


_PROBLEMS = {
    1: "expected a log10 probability at the beginning of the line, found {line}",
    2: "expected {order} words after the probability, found {line}",
    3: "a word is not among the 1-grams: {line}",
    4: "expected a log10 back-off after the words, found {line}",
    5: "expected the end of the line after {order} words and at most one back-off (none at the highest order), "
    "found {line}",
    6: "a log10 probability must not be greater than 0, found {line}",
}


_NO_WORDS = Vocabulary(np.empty(0, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.uint64), np.full(1, -1, np.int32))


def _parse_piece(
    block: bytes, begin: int, end: int, order: int, highest: bool, contents: ArpaContents | None
) -> _Piece:
    """Parse some lines of a section."""
    from nlpladder.models.ngram.arpa_kernels import gather_words, parse_lines

    data = np.frombuffer(block, np.uint8)
    most = int(np.count_nonzero(data[begin:end] == 10))
    unigrams = contents is None
    rows = np.empty((0 if unigrams else most, order), np.int32)
    spans = np.empty((most if unigrams else 0, 2), np.int64)
    probability = np.empty(most, np.float32)
    backoff = np.empty(0 if highest else most, np.float32)
    words = _NO_WORDS if contents is None else contents.vocabulary
    problem, lines, stopped = parse_lines(
        data, begin, end, order, words.hashes, words.ids, words.arena, words.starts, rows, spans, probability, backoff
    )
    spelled, lengths = b"", np.empty(0, np.int64)
    if unigrams:
        lengths = spans[:lines, 1] - spans[:lines, 0]
        gathered = np.empty(int(lengths.sum()), np.uint8)
        gather_words(data, spans[:lines, 0].copy(), spans[:lines, 1].copy(), gathered, np.empty(lines + 1, np.int64))
        spelled = gathered.tobytes()
    return _Piece(begin, end, stopped, problem, rows[:lines], spelled, lengths, probability[:lines], backoff[:lines])


def _cut(block: bytes, position: int, parts: int) -> list[tuple[int, int]]:
    """Cut the rest of a block into about equal parts of whole lines."""
    borders = [position]
    for part in range(1, parts):
        middle = position + (len(block) - position) * part // parts
        borders.append(max(block.find(b"\n", middle) + 1 or len(block), borders[-1]))
    borders.append(len(block))
    return [(begin, end) for begin, end in itertools.pairwise(borders) if begin < end]


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace").strip()
    return "the end of the file" if not text else repr(text if len(text) <= 60 else text[:57] + "...")
