"""What a reading run shows beside its numbers: curves, F1 by kind of question and length of answer, and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.data.questions import Question
from nlpladder.evaluation.answers import AnswerStatistics
from nlpladder.evaluation.error_analysis import escape_markdown
from nlpladder.training.run_folder import write_text

if TYPE_CHECKING:
    from nlpladder.models.question_answerer import Answer

REPORT_FILE = "error_analysis.md"
_SHOWN = 25
#: Slices of fewer questions say nothing.
_FEWEST = 10
_QUESTION_WORDS = ("what", "who", "when", "where", "which", "why", "how many", "how much", "how")
#: Upper ends, in words, of the groups of answers by length.
_LENGTHS = (1, 2, 4, 8)


def write_reading_report(
    folder: Path,
    questions: Sequence[Question],
    answers: Sequence[Answer],
    statistics: AnswerStatistics,
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Write ``figures/learning_curves.png`` and ``error_analysis.md``.

    Args:
        folder: The run folder.
        questions: Of the test split.
        answers: What the model answered.
        statistics: Of these answers.
        history: Log records of the training.
    """
    from nlpladder.views.figures import learning_curves, save_figure

    if any("loss" in record or "eval_loss" in record for record in history):
        save_figure(learning_curves(history), folder / "figures" / "learning_curves.png")
    by_kind = _slices(statistics, [question_kind(row.question) for row in questions])
    by_length = _slices(statistics, [_length_of(row) for row in questions])
    parts = [
        "# Answers on the test split",
        "## By kind of question",
        by_kind,
        "## By length of the first right answer",
        by_length,
        _errors(questions, answers, statistics),
    ]
    write_text(folder / REPORT_FILE, "\n\n".join(part for part in parts if part) + "\n")


def question_kind(question: str) -> str:
    """Return the first question word of a question (in English), ``other`` where there is none."""
    text = f" {' '.join(question.lower().split())} "
    found = [(text.find(f" {word} "), -len(word), word) for word in _QUESTION_WORDS if f" {word} " in text]
    return min(found)[2] if found else "other"


def _length_of(question: Question) -> str:
    if not question.answers:
        return "no answer"
    words = len(question.answers[0].split())
    before = 0
    for end in _LENGTHS:
        if words <= end:
            return f"{end} {'word' if end == 1 else 'words'}" if end - before == 1 else f"{before + 1} to {end} words"
        before = end
    return f"more than {_LENGTHS[-1]} words"


def _slices(statistics: AnswerStatistics, names: Sequence[str]) -> str:
    """Return a table of exact match and F1 for each group of questions, the largest first."""
    lines = ["| questions | n | exact match | F1 |", "|---|---|---|---|"]
    labels = np.array(names)
    for name, count in sorted(zip(*np.unique(labels, return_counts=True), strict=True), key=lambda pair: -pair[1]):
        if count < _FEWEST:
            continue
        scores = statistics.select(labels == name).corpus()
        lines.append(f"| {name} | {count:,} | {100 * scores['exact_match']:.1f} | {100 * scores['f1']:.1f} |")
    return "\n".join(lines)


def _errors(questions: Sequence[Question], answers: Sequence[Answer], statistics: AnswerStatistics) -> str:
    """Show the wrong answers that the model was surest of."""
    f1 = statistics.columns[:, statistics.names.index("f1")]
    wrong = [number for number in np.argsort([-answer.score for answer in answers], kind="stable") if f1[number] == 0]
    if not wrong:
        return ""
    lines = [
        "## Confident and wrong",
        "",
        f"{len(wrong):,} of {len(questions):,} answers share no word with a right one.",
        "",
        "| question | answered | right | around the answer |",
        "|---|---|---|---|",
    ]
    for number in wrong[:_SHOWN]:
        row, found = questions[number], answers[number]
        near = row.context[max(0, found.start - 60) : found.end + 60] if found.text else ""
        right = " / ".join(dict.fromkeys(row.answers)) or "no answer"
        given = f"{escape_markdown(found.text or 'no answer')} ({100 * found.score:.0f} %)"
        cells = (escape_markdown(row.question), given, escape_markdown(right), escape_markdown(near))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
