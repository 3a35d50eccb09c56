"""Where a classifier is wrong: which classes it takes for which, its worst examples, and its weak slices."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlpladder.errors import DataError
from nlpladder.evaluation.classification import confusion_counts
from nlpladder.evaluation.inputs import check_predictions
from nlpladder.evaluation.slices import Slice, slice_table, text_columns

#: Longer texts are cut in reports.
SHOWN_CHARACTERS = 200
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>$:@/])")


@dataclass(frozen=True)
class ExampleView:
    """One example of a report.

    Attributes:
        row: Its number in the test set, from 0.
        text: The text.
        label: Name of the true class.
        predicted: Name of the predicted class.
        confidence: Probability of the predicted class.
        label_probability: Probability of the true class.
    """

    row: int
    text: str
    label: str
    predicted: str
    confidence: float
    label_probability: float


@dataclass(frozen=True)
class ErrorAnalysis:
    """What `analyse` finds.

    Attributes:
        label_names: Names of the classes.
        confusion: Examples by true class (rows) and predicted class (columns).
        n: Number of examples.
        errors: How many are wrong.
        worst: Wrong examples, the most confident first.
        uncertain: Examples with the smallest gap between the two most probable classes, right or wrong.
        slices: Parts of the test set, each tested against the rest.
    """

    label_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    n: int
    errors: int
    worst: tuple[ExampleView, ...]
    uncertain: tuple[ExampleView, ...]
    slices: tuple[Slice, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values; texts are whole and not escaped."""
        fields = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()} | {
            "confusion": [list(row) for row in self.confusion]
        }

    def to_markdown(self) -> str:
        """Return a report in Markdown; texts are cut and escaped, so that none can break or script the page."""
        parts = [
            "## Errors",
            f"{self.errors:,} of {self.n:,} examples are wrong ({100 * self.errors / self.n:.1f} %).",
            "### Confusion matrix (rows: true class, columns: predicted class)",
            _table(
                ["", *map(escape_markdown, self.label_names)],
                [
                    [escape_markdown(name), *map(str, row)]
                    for name, row in zip(self.label_names, self.confusion, strict=True)
                ],
            ),
        ]
        if self.slices:
            rows = [
                [
                    escape_markdown(part.column),
                    escape_markdown(part.value),
                    f"{part.n:,}",
                    f"{100 * part.accuracy:.1f} [{100 * part.low:.1f}, {100 * part.high:.1f}]",
                    "" if part.difference is None else f"{100 * part.difference:+.1f}",
                    "" if part.p_holm is None else _p(part.p_holm),
                ]
                for part in self.slices
            ]
            header = ["Column", "Slice", "n", "Accuracy, 95 % interval", "Minus the rest", "p (Fisher, Holm)"]
            parts += ["### Slices", _table(header, rows)]
        for title, examples in (("Confident and wrong", self.worst), ("Most uncertain", self.uncertain)):
            if examples:
                rows = [
                    [
                        str(example.row),
                        escape_markdown(example.text),
                        escape_markdown(example.label),
                        f"{escape_markdown(example.predicted)} ({100 * example.confidence:.0f} %)",
                    ]
                    for example in examples
                ]
                parts += [f"### {title}", _table(["Row", "Text", "True", "Predicted"], rows)]
        return "\n\n".join(parts) + "\n"


def analyse(
    texts: Sequence[str],
    labels: Any,
    probabilities: Any,
    label_names: Sequence[str],
    columns: Mapping[str, Sequence[Any]] | None = None,
    *,
    examples: int = 10,
    confidence: float = 0.95,
) -> ErrorAnalysis:
    """Look at the errors of a single-label classifier.

    Args:
        texts: The texts, (examples,).
        labels: Class numbers, (examples,).
        probabilities: (examples, classes).
        label_names: Names of the classes.
        columns: More boolean or categorical columns to cut by; ``length`` and ``negation`` (English) are always there.
        examples: How many examples to show of each kind.
        confidence: Level of the intervals of the slices.

    Raises:
        DataError: If the arrays or columns do not fit.
    """
    truth, scores = check_predictions(labels, probabilities, label_names=label_names)
    if len(texts) != len(truth):
        raise DataError(f"There are {len(texts)} texts and {len(truth)} labels: give one label per text.")
    predicted = scores.argmax(axis=1)
    correct = predicted == truth
    ordered = np.sort(scores, axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    wrong = np.flatnonzero(~correct)
    worst = wrong[np.argsort(-scores[wrong, predicted[wrong]], kind="stable")][:examples]
    uncertain = np.argsort(margins, kind="stable")[:examples]

    def view(row: int) -> ExampleView:
        true, guess = int(truth[row]), int(predicted[row])
        names = label_names[true], label_names[guess]
        return ExampleView(row, str(texts[row]), *names, float(scores[row, guess]), float(scores[row, true]))

    return ErrorAnalysis(
        label_names=tuple(label_names),
        confusion=tuple(tuple(row) for row in confusion_counts(truth, scores).tolist()),
        n=len(truth),
        errors=len(wrong),
        worst=tuple(view(row) for row in worst.tolist()),
        uncertain=tuple(view(row) for row in uncertain.tolist()),
        slices=tuple(slice_table(correct, text_columns(texts) | dict(columns or {}), confidence=confidence)),
    )


def cut_text(text: str, length: int = SHOWN_CHARACTERS) -> str:
    """Return the text on one line, cut to `length` characters."""
    line = "".join(character if character.isprintable() else " " for character in " ".join(text.split()))
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def escape_markdown(text: str) -> str:
    """Return a text cut to 200 characters in which nothing is read as Markdown or HTML."""
    return _MARKDOWN.sub(r"\\\1", html.escape(cut_text(text), quote=False).replace("&", "\0")).replace("\0", "&")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
