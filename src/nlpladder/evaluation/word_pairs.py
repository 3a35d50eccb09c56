"""Benchmarks of word similarity: pairs of words and what people said about them."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from nlpladder.errors import DataError

#: Benchmarks that gensim ships.
BuiltInPairs = Literal["wordsim353", "simlex999"]
_FILES = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
_TITLES = {"wordsim353": "WordSim-353", "simlex999": "SimLex-999"}


@dataclass(frozen=True)
class WordPairs:
    """Pairs of words with scores.

    Attributes:
        name: What tables call them.
        first: First word of each pair.
        second: Second word.
        scores: Mean judgement, float64 (pairs,); higher is more similar.
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.first)


def load_word_pairs(source: str | os.PathLike[str], *, name: str | None = None) -> WordPairs:
    """Read a benchmark.

    Args:
        source: ``wordsim353`` (Finkelstein et al. 2002) or ``simlex999`` (Hill et al. 2015), which gensim ships; or a
            file: two words and a number on each line, divided by tabs, semicolons, commas or blanks. The files of MEN
            (Bruni et al. 2014; with and without part-of-speech suffixes), RareWords (Luong et al. 2013), SimLex-999
            and WordSim-353 as their authors publish them are read as they are. Columns after the third are ignored,
            as are a heading and lines that begin with ``#``.
        name: What tables call it; by default the benchmark's or the file's name.

    Raises:
        DataError: If there is no such file, or a line is not two words and a number; the message names the line.
    """
    key = os.fspath(source)
    if key in _FILES:
        from gensim.test.utils import datapath

        path, title = Path(datapath(_FILES[key])), _TITLES[key]
    else:
        path, title = Path(key), Path(key).stem
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        known = " and ".join(_FILES)
        raise DataError(f"There is no file {path}. Built in are {known}; anything else must be a file.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; a file of word pairs was expected.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start}). Convert it.") from error
    return _parse(text, path, name or title)


def _parse(text: str, path: Path, name: str) -> WordPairs:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if _holds_data(line)]
    if not lines:
        raise DataError(f"{path} is empty: it holds no word pairs.")
    delimiter = _delimiter(lines[0][1])
    first: list[str] = []
    second: list[str] = []
    scores: list[float] = []
    column = 2
    for place, (number, line) in enumerate(lines):
        fields = _split(line, delimiter)
        if place == 0:
            heading = [field.lower() for field in fields]
            if "simlex999" in heading:  # word1 word2 POS SimLex999 ...
                column = heading.index("simlex999")
                continue
            if len(fields) >= 3 and _number(fields[2]) is None:
                continue  # a heading
        if len(fields) <= column:
            raise DataError(
                f"{path}, line {number}: {len(fields)} columns where two words and a number are needed: {line[:60]!r}."
            )
        score = _number(fields[column])
        if score is None:
            raise DataError(f"{path}, line {number}: {fields[column]!r} is no number. Expected: word, word, score.")
        first.append(_plain(fields[0]))
        second.append(_plain(fields[1]))
        scores.append(score)
        if not first[-1] or not second[-1]:
            raise DataError(f"{path}, line {number}: a word is empty: {line[:60]!r}.")
    if len(scores) < 2:
        raise DataError(f"{path} holds {len(scores)} word pairs; a correlation needs at least two.")
    return WordPairs(name, tuple(first), tuple(second), np.asarray(scores, np.float64))


def _holds_data(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _delimiter(line: str) -> str | None:
    return next((mark for mark in "\t;," if line.count(mark) >= 2), None)


def _split(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    return [field.strip() for field in next(csv.reader(io.StringIO(line), delimiter=delimiter))]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _plain(word: str) -> str:
    """Take off MEN's part of speech: ``sun-n`` is sun."""
    return word[:-2] if len(word) > 2 and word[-2] == "-" and word[-1] in "njv" else word
