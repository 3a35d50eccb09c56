"""Analogies: a is to b as c is to which word? 3CosAdd and 3CosMul, section by section."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.evaluation.intervals import Score, check_confidence
from nlpladder.evaluation.word_lookup import WordLookup

if TYPE_CHECKING:
    from nlpladder.protocols import WordEmbeddings

AnalogyMethod = Literal["3cosadd", "3cosmul"]
#: Questions by section: name, and four words each.
AnalogySet = Sequence[tuple[str, Sequence[tuple[str, str, str, str]]]]
#: Numbers in one block of scores.
_BLOCK_NUMBERS = 4_000_000
_CANDIDATES = 4096
#: Keeps 3CosMul's quotient finite (Levy and Goldberg 2014).
_EPSILON = 1e-6


@dataclass(frozen=True)
class AnalogySection:
    """The result on one section, or on all.

    Attributes:
        name: Name of the section.
        accuracy: Share of the covered questions that are answered correctly, with Wilson's interval.
        num_questions: Questions in the file.
        num_covered: Questions all four words of which are known; the others are left out.
        num_correct: Correct answers.
    """

    name: str
    accuracy: Score
    num_questions: int
    num_covered: int
    num_correct: int

    @property
    def coverage(self) -> float:
        """Share of the questions that are covered."""
        return self.num_covered / self.num_questions if self.num_questions else 0.0


@dataclass(frozen=True)
class AnalogyResult:
    """All sections.

    Attributes:
        method: ``3cosadd`` or ``3cosmul``.
        sections: In the order of the file.
        total: All questions together.
    """

    method: str
    sections: tuple[AnalogySection, ...]
    total: AnalogySection


def load_analogies(path: str | os.PathLike[str] | None = None) -> list[tuple[str, list[tuple[str, str, str, str]]]]:
    """Read questions in Google's format: four words a line, sections headed by ``: name``.

    Args:
        path: The file, also gzipped; None takes Google's 19,544 questions (Mikolov et al. 2013a), which gensim ships.

    Raises:
        DataError: If a line is not four words, or comes before the first section; the message names the line.
    """
    if path is None:
        from gensim.test.utils import datapath

        path = datapath("questions-words.txt")
    source = Path(path)
    try:
        content = source.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"There is no file {source}.") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{source} cannot be read as text: {error}.") from error
    sections: list[tuple[str, list[tuple[str, str, str, str]]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if fields[0].startswith(":"):
            sections.append((" ".join(fields).lstrip(": "), []))
            continue
        if len(fields) != 4:
            raise DataError(f"{source}, line {number}: {len(fields)} words where four are expected: {line[:60]!r}.")
        if not sections:
            raise DataError(f"{source}, line {number}: a question before the first section; begin with `: name`.")
        first, second, third, fourth = fields
        sections[-1][1].append((first, second, third, fourth))
    if not any(questions for _, questions in sections):
        raise DataError(f"{source} holds no questions.")
    return sections


def score_analogies(
    vectors: WordEmbeddings,
    path: str | os.PathLike[str] | None = None,
    *,
    method: AnalogyMethod = "3cosadd",
    restrict_vocabulary: int | None = None,
    confidence: float = 0.95,
) -> AnalogyResult:
    """Answer analogy questions: the word, other than the three given, that maximises

    * 3CosAdd (Mikolov et al. 2013b): cos(d, b) - cos(d, a) + cos(d, c);
    * 3CosMul (Levy and Goldberg 2014, equation 4): cos(d, b) cos(d, c) / (cos(d, a) + 1e-6), cosines moved to [0, 1].

    Words are looked up as they are written, else in lower case.

    Args:
        vectors: Anything with ``words``, ``vectors`` and ``embed``.
        path: As in `load_analogies`.
        method: Which of the two.
        restrict_vocabulary: Only the first so many words may be asked for or answered (gensim's default is 300,000).
        confidence: Level of the intervals.

    Raises:
        DataError: If the file is broken, or no question is covered.
        ConfigError: If the method is unknown.
    """
    check_confidence(confidence)
    sections = load_analogies(path)
    correct, covered = answer_analogies(vectors, sections, method=method, restrict_vocabulary=restrict_vocabulary)
    if not covered.any():
        raise DataError(
            f"None of the {len(covered):,} questions is covered: the words of the space lack a word of each. Are the "
            "vectors of that language?"
        )
    results, start = [], 0
    for name, asked in sections:
        part = slice(start, start + len(asked))
        results.append(_section(name, covered[part], correct[part], confidence))
        start += len(asked)
    return AnalogyResult(method, tuple(results), _section("total", covered, correct, confidence))


def answer_analogies(
    vectors: WordEmbeddings,
    sections: AnalogySet,
    *,
    method: AnalogyMethod = "3cosadd",
    restrict_vocabulary: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which questions are answered correctly, and which are covered: both bool (questions,), sections in order.

    Args:
        vectors: Anything with ``words``, ``vectors`` and ``embed``.
        sections: As `load_analogies` returns them.
        method: As in `score_analogies`.
        restrict_vocabulary: As in `score_analogies`.

    Raises:
        ConfigError: If the method is unknown, or the vocabulary is restricted to nothing.
    """
    if method not in get_args(AnalogyMethod):
        raise ConfigError(f"Unknown method {method!r}.{did_you_mean(method, get_args(AnalogyMethod))}")
    if restrict_vocabulary is not None and restrict_vocabulary < 1:
        raise ConfigError(f"restrict_vocabulary is {restrict_vocabulary}: give a number of words, at least 1.")
    lookup = WordLookup(vectors)
    most = len(vectors.words) if restrict_vocabulary is None else min(restrict_vocabulary, len(vectors.words))
    questions = np.asarray(
        [[lookup.row(word) for word in question] for _, asked in sections for question in asked], np.int64
    ).reshape(-1, 4)
    covered = np.all((questions >= 0) & (questions < most), axis=1)
    correct = np.zeros(len(questions), bool)
    if covered.any():
        answers = _answer(np.asarray(vectors.vectors[:most], np.float32), questions[covered, :3], method)
        correct[covered] = answers == questions[covered, 3]
    return correct, covered


def _answer(vectors: np.ndarray, questions: np.ndarray, method: AnalogyMethod) -> np.ndarray:
    """Return the row of each answer.

    The cosines of the few words that occur in questions with all words are computed once, block by block of candidates;
    a question then takes three additions a candidate instead of one product a dimension.
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    asked, places = np.unique(questions, return_inverse=True)
    a, b, c = places.reshape(questions.shape).T  # rows of `cosines`, each (questions,)
    queries = vectors[asked] / np.maximum(norms[asked], 1e-30)
    best = np.full(len(questions), -np.inf, np.float32)
    answers = np.zeros(len(questions), np.int64)
    per_chunk = max(1, _BLOCK_NUMBERS // _CANDIDATES)
    for start in range(0, len(vectors), _CANDIDATES):
        stop = min(start + _CANDIDATES, len(vectors))
        cosines = queries @ (vectors[start:stop] / np.maximum(norms[start:stop], 1e-30)).T  # (asked, candidates)
        if method == "3cosmul":
            cosines = (cosines + 1) / 2
        for first in range(0, len(questions), per_chunk):
            chunk = slice(first, first + per_chunk)
            scores = cosines[b[chunk]]
            if method == "3cosmul":
                scores *= cosines[c[chunk]]
                scores /= cosines[a[chunk]] + np.float32(_EPSILON)
            else:
                scores -= cosines[a[chunk]]
                scores += cosines[c[chunk]]
            for column in questions[chunk].T:  # the three words that were given are no answers
                inside = np.flatnonzero((column >= start) & (column < stop))
                scores[inside, column[inside] - start] = -np.inf
            winners = scores.argmax(axis=1)
            values = scores[np.arange(len(scores)), winners]
            better = values > best[chunk]
            best[chunk] = np.where(better, values, best[chunk])
            answers[chunk] = np.where(better, winners + start, answers[chunk])
    return answers


def _section(name: str, covered: np.ndarray, correct: np.ndarray, confidence: float) -> AnalogySection:
    from scipy.stats import binomtest

    asked, hits = int(covered.sum()), int(correct.sum())
    note = f"{asked} of {len(covered)} questions are covered."
    if not asked:
        score = Score("accuracy", None, None, None, 0, confidence, unit="%", note=note)
        return AnalogySection(name, score, len(covered), 0, 0)
    interval = binomtest(hits, asked).proportion_ci(confidence, method="wilson")
    method = "Wilson interval; questions share words, so it is narrower than the truth"
    score = Score(
        "accuracy",
        hits / asked,
        float(interval.low),
        float(interval.high),
        asked,
        confidence,
        method,
        unit="%",
        note=note,
    )
    return AnalogySection(name, score, len(covered), asked, hits)
