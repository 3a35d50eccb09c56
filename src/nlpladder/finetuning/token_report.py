"""What a tagging run shows beside its numbers: curves, the confusion of tags, and sentences with their errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.data.token_labels import TaggedText
from nlpladder.evaluation.entities import entity_spans
from nlpladder.evaluation.error_analysis import escape_markdown
from nlpladder.training.run_folder import write_text

if TYPE_CHECKING:
    from nlpladder.models.token_classifier import TaggedWords

REPORT_FILE = "error_analysis.md"
#: Sentences and pairs of tags that the report shows at most.
_SHOWN = 25
#: Tags that a matrix of confusions can hold and still be read.
_MOST_TAGS = 40


def write_tagging_report(
    folder: Path, data: TaggedText, found: Sequence[TaggedWords], history: Sequence[Mapping[str, Any]]
) -> None:
    """Write ``figures/*.png`` and ``error_analysis.md``.

    Args:
        folder: The run folder.
        data: For the test split.
        found: What the model tagged there.
        history: Log records of the training.
    """
    from nlpladder.views.figures import confusion_matrix_figure, learning_curves, save_figure

    figures = folder / "figures"
    if any("loss" in record or "eval_loss" in record for record in history):
        save_figure(learning_curves(history), figures / "learning_curves.png")
    test = data.splits["test"]
    counts = tag_confusion(test.tags, [sentence.tags for sentence in found], data.tag_names)
    if len(data.tag_names) <= _MOST_TAGS:
        save_figure(confusion_matrix_figure(counts, data.tag_names), figures / "confusion_matrix.png")
    parts = ["# Errors on the test split", _confusions(counts, data.tag_names)]
    if data.has_entities:
        parts.append(_entity_errors(test.words, test.tags, [sentence.tags for sentence in found]))
    parts.append(_sentences(test.words, test.tags, found))
    write_text(folder / REPORT_FILE, "\n\n".join(part for part in parts if part) + "\n")


def tag_confusion(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], names: Sequence[str]
) -> np.ndarray:
    """Return how many words of each tag (rows) were given each tag (columns), (tags, tags)."""
    ids = {name: index for index, name in enumerate(names)}
    rights = np.array([ids[tag] for row in gold for tag in row], dtype=np.int64)
    ours = np.array([ids[tag] for row in predicted for tag in row], dtype=np.int64)
    return np.bincount(rights * len(names) + ours, minlength=len(names) ** 2).reshape(len(names), len(names))


def _confusions(counts: np.ndarray, names: Sequence[str]) -> str:
    """Return a table of the most frequent confusions."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    total, errors = int(counts.sum()), int(wrong.sum())
    lines = [f"{errors:,} of {total:,} words have the wrong tag ({100 * errors / max(total, 1):.2f} %)."]
    places = np.argsort(-wrong.reshape(-1), kind="stable")[:_SHOWN]
    rows = [(*divmod(int(place), len(names)), int(wrong.reshape(-1)[place])) for place in places]
    if errors:
        lines += ["", "| right | given | words | share of the right tag |", "|---|---|---|---|"]
    for right, given, count in rows:
        if count:
            share = 100 * count / counts[right].sum()
            lines.append(
                f"| {escape_markdown(names[right])} | {escape_markdown(names[given])} | {count:,} | {share:.1f} % |"
            )
    return "\n".join(lines)


def _entity_errors(
    words: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> str:
    """Count missed, invented, wrongly typed and wrongly bounded entities, and list the frequent ones."""
    kinds: Counter[str] = Counter()
    texts: dict[str, Counter[str]] = {}
    for sentence, right, ours in zip(words, gold, predicted, strict=True):
        there, found = entity_spans(right), entity_spans(ours)
        for span in sorted(there - found):
            kind = _miss(span, found - there)
            kinds[kind] += 1
            texts.setdefault(kind, Counter())[f"{' '.join(sentence[span[1] : span[2]])} ({span[0]})"] += 1
        for span in sorted(found - there):
            if not any(_overlap(span, other) for other in there):
                kinds["invented"] += 1
                texts.setdefault("invented", Counter())[f"{' '.join(sentence[span[1] : span[2]])} ({span[0]})"] += 1
    lines = ["## Entities", "", "| error | entities | most frequent |", "|---|---|---|"]
    for kind, count in kinds.most_common():
        shown = ", ".join(f"{escape_markdown(text)} {number}x" for text, number in texts[kind].most_common(5))
        lines.append(f"| {kind} | {count:,} | {shown} |")
    return "\n".join(lines) if kinds else "## Entities\n\nEvery entity is right."


def _miss(span: tuple[str, int, int], found: set[tuple[str, int, int]]) -> str:
    """Say how an entity was missed."""
    near = [other for other in found if _overlap(span, other)]
    if any(other[1:] == span[1:] for other in near):
        return "wrong type"
    if any(other[0] == span[0] for other in near):
        return "wrong ends"
    return "wrong type and ends" if near else "missed"


def _overlap(one: tuple[str, int, int], other: tuple[str, int, int]) -> bool:
    return one[1] < other[2] and other[1] < one[2]


def _sentences(words: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], found: Sequence[TaggedWords]) -> str:
    """Show the sentences whose wrong tags the model was surest of."""
    wrong = []
    for number, (sentence, right, tagged) in enumerate(zip(words, gold, found, strict=True)):
        sure = tagged.probabilities.max(axis=1, initial=0.0)
        errors = [place for place, tag in enumerate(right) if tag != tagged.tags[place]]
        if errors:
            wrong.append((max(float(sure[place]) for place in errors), number, sentence, right, tagged, errors))
    wrong.sort(key=lambda entry: (-entry[0], entry[1]))
    lines = ["## Confident and wrong", "", "| sentence | text | errors |", "|---|---|---|"]
    for _, number, sentence, right, tagged, errors in wrong[:_SHOWN]:
        shown = "; ".join(
            f"{escape_markdown(sentence[place])}: {escape_markdown(right[place])}, given "
            f"{escape_markdown(tagged.tags[place])} ({100 * tagged.probabilities[place].max():.0f} %)"
            for place in errors[:6]
        )
        lines.append(f"| {number + 1} | {escape_markdown(' '.join(sentence))} | {shown} |")
    return "\n".join(lines) if wrong else ""
