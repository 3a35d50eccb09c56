"""ARPA files (Doug Paul's format): the exchange format of back-off language models, read and written."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.models.ngram.arpa_reading import ArpaContents, ArpaOrder, read_contents
from nlpladder.models.ngram.levels import NGramLevel
from nlpladder.models.ngram.tables import QueryTables, TableBuilder, available_threads, canonical_order
from nlpladder.models.ngram.vocabulary import Vocabulary

#: Bytes of text that a thread formats at a time.
_CHUNK_BYTES = 1 << 25
_NUMBER_BYTES = 20


@dataclass(frozen=True)
class ArpaModel:
    """A model read from an ARPA file.

    Attributes:
        tables: Its n-grams, ready for look-ups.
        vocabulary: Its words.
        has_marks: Whether it has sentence marks.
        notes: What was missing in the file and put in, in sentences.
    """

    tables: QueryTables
    vocabulary: Vocabulary
    has_marks: bool
    notes: tuple[str, ...]


def read_arpa(path: str | os.PathLike[str], *, num_threads: int | None = None) -> ArpaModel:
    """Read an ARPA file of any toolkit, plain or compressed (gzip, bzip2, xz).

    The n-grams may come in any order. A missing ``<unk>`` gets -100, as KenLM gives it. Where the prefix of an n-gram
    is missing (a pruned model), it is put in with the probability that the shorter n-grams give it and back-off 0,
    which changes no score. A missing suffix needs nothing.

    Args:
        path: The file.
        num_threads: By default one a processor, at most 8.

    Raises:
        DataError: names the line, what was expected there, and what to do.
    """
    contents = read_contents(Path(path), num_threads=num_threads)
    inserted = 0
    while True:
        tables, order, missing = _assemble(Path(path), contents, num_threads)
        if missing is None:
            break
        inserted += len(missing)
        _insert_prefixes(contents, order, missing)
    if inserted:
        contents.notes.append(
            f"{path}: {inserted:,} n-grams that begin longer ones were missing; they got the probability that shorter "
            "ones give them."
        )
    return ArpaModel(tables, contents.vocabulary, contents.has_marks, tuple(contents.notes))


def _assemble(
    path: Path, contents: ArpaContents, num_threads: int | None
) -> tuple[QueryTables, int, npt.NDArray[np.int32] | None]:
    """Build tables from what was read.

    Returns:
        The tables; and, where prefixes are missing, their order and their rows.
    """
    builder = TableBuilder([len(order.rows) for order in contents.orders], num_threads=num_threads)
    for order, entries in enumerate(contents.orders, start=1):
        if order == 1:
            words = entries.rows[:, 0]
            builder.add(NGramLevel(np.zeros_like(words), words, entries.probability, entries.backoff))
            continue
        unfilled = np.isnan(entries.probability)
        if unfilled.any():
            builder.clear_next()
            entries.probability[unfilled] = _backed_off(builder.tables, entries.rows[unfilled])
        prefix = builder.ranks_of(entries.rows[:, :-1])
        if prefix.size and prefix.min() < 0:
            missing = np.unique(entries.rows[prefix < 0, :-1], axis=0)
            return builder.tables, order - 1, missing
        word = np.ascontiguousarray(entries.rows[:, -1])
        backoff = entries.backoff
        probability = entries.probability
        if not _is_sorted(prefix, word):
            places = canonical_order(prefix, word, len(contents.orders[order - 2].rows), len(contents.vocabulary))
            prefix, word = prefix[places], word[places]
            twice = np.flatnonzero((prefix[1:] == prefix[:-1]) & (word[1:] == word[:-1]))
            if twice.size:
                number = int(places[twice[0] : twice[0] + 2].max())
                spelled = " ".join(contents.vocabulary[word] for word in entries.rows[number].tolist())
                line = entries.first_line + number
                raise DataError(f"{path}, line {line}: the {order}-gram {spelled!r} is listed twice. Keep one.")
            probability = probability[places]
            backoff = backoff[places] if backoff.size else backoff
        builder.add(NGramLevel(prefix, word, probability, backoff))
    return builder.tables, 0, None


def _is_sorted(prefix: npt.NDArray[np.int32], word: npt.NDArray[np.int32]) -> bool:
    """Tell whether n-grams are in canonical order, without repetitions: those of our own files are."""
    same = prefix[1:] == prefix[:-1]
    return bool(((prefix[1:] > prefix[:-1]) | (same & (word[1:] > word[:-1]))).all())


def _insert_prefixes(contents: ArpaContents, order: int, missing: npt.NDArray[np.int32]) -> None:
    """Append n-grams whose probability is not known yet: NaN."""
    entries = contents.orders[order - 1]
    contents.orders[order - 1] = ArpaOrder(
        np.concatenate([entries.rows, missing]),
        np.concatenate([entries.probability, np.full(len(missing), np.nan, np.float32)]),
        np.concatenate([entries.backoff, np.zeros(len(missing), np.float32)]),
        entries.first_line,
    )


def _backed_off(tables: QueryTables, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Return log10 of the last word of each row after the others, from n-grams shorter than a row."""
    from nlpladder.models.ngram.scoring_kernels import score_tokens

    length = rows.shape[1]
    ids = np.ascontiguousarray(rows).reshape(-1)
    borders = np.arange(0, ids.size + 1, length, dtype=np.int64)
    scores = np.empty(ids.size, np.float32)
    score_tokens(
        ids, borders, False, tables.unigrams, tables.slots, tables.values, tables.geometry, tables.word_bits, length,
        scores, np.empty(ids.size, np.uint8), np.empty(len(rows), np.float64),
    )  # fmt: skip
    return scores[length - 1 :: length]


def write_arpa(
    path: str | os.PathLike[str],
    levels: Sequence[NGramLevel],
    words: Sequence[str],
    *,
    overwrite: bool = False,
    num_threads: int | None = None,
) -> None:
    """Write a model as an ARPA file; compressed where the name ends in .gz, .bz2 or .xz.

    Numbers have as many digits as their float32 needs: reading the file gives the same model bit for bit.

    Args:
        path: The file.
        levels: One entry an order, from unigrams on.
        words: In id order.
        overwrite: Replace a file that exists.
        num_threads: By default one a processor, at most 8.

    Raises:
        DataError: when the file exists, or cannot be written there.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise DataError(f"{target} exists already. Choose another name, or pass overwrite=True.")
    if not target.parent.is_dir():
        raise DataError(f"There is no folder {str(target.parent)!r} to write {target.name} into.")
    vocabulary = words if isinstance(words, Vocabulary) else Vocabulary.from_words(words)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _create(temporary, target.suffix) as file:
            for text in _formatted(levels, vocabulary, num_threads or available_threads()):
                file.write(text)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _create(path: Path, suffix: str) -> BinaryIO:
    if suffix == ".gz":
        # No name and no time in the header: the same model gives the same bytes.
        return cast(BinaryIO, _SealedGzip(path))
    if suffix in (".bz2", ".xz"):
        return cast(BinaryIO, bz2.open(path, "wb") if suffix == ".bz2" else lzma.open(path, "wb"))
    return path.open("wb", buffering=0)


class _SealedGzip(gzip.GzipFile):
    """A gzip file that closes the file below it."""

    def __init__(self, path: Path) -> None:
        self._below = path.open("wb")
        super().__init__(filename="", mode="wb", compresslevel=6, fileobj=self._below, mtime=0)

    def close(self) -> None:
        super().close()
        self._below.close()


def _formatted(levels: Sequence[NGramLevel], vocabulary: Vocabulary, num_threads: int) -> Iterator[bytes | memoryview]:
    """Yield the file piece by piece; threads format ahead of the one that is written."""
    counts = "".join(f"ngram {order}={level.word.size}\n" for order, level in enumerate(levels, start=1))
    yield f"\\data\\\n{counts}".encode()
    longest = int(np.diff(vocabulary.starts).max())
    prefix_rows = np.empty((1, 0), np.int32)
    with ThreadPoolExecutor(num_threads) as pool:
        for order, level in enumerate(levels, start=1):
            yield f"\n\\{order}-grams:\n".encode()
            lines = max(_CHUNK_BYTES // (order * (longest + 1) + 2 * _NUMBER_BYTES + 3), 1)
            room = lines * (order * (longest + 1) + 2 * _NUMBER_BYTES + 3)
            waiting: deque[Future[memoryview]] = deque()
            for begin in range(0, level.word.size, lines):
                part = slice(begin, begin + lines)
                waiting.append(pool.submit(_format_lines, level, part, prefix_rows, vocabulary, room))
                if len(waiting) > num_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
            if order < len(levels):
                prefix_rows = np.column_stack([prefix_rows[level.prefix], level.word])
    yield b"\n\\end\\\n"


def _format_lines(
    level: NGramLevel, part: slice, prefix_rows: npt.NDArray[np.int32], vocabulary: Vocabulary, room: int
) -> memoryview:
    from nlpladder.models.ngram.arpa_kernels import write_ngrams

    out: Any = np.empty(room, np.uint8)
    size = write_ngrams(
        prefix_rows, level.prefix[part], level.word[part], level.log10_probability[part], level.log10_backoff[part],
        vocabulary.arena, vocabulary.starts, out,
    )  # fmt: skip
    return memoryview(out)[:size]
