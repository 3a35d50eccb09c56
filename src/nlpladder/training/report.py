"""What a classification run shows beside its numbers: figures and an error analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpladder.data.text_dataset import TextDataset
from nlpladder.training.run_folder import write_text

#: More columns, or more values in one, make a table of slices that nobody reads.
_MOST_SLICE_COLUMNS = 6
_MOST_SLICE_VALUES = 6


def write_run_report(
    folder: Path,
    data: TextDataset,
    texts: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Write ``figures/*.png`` and, for single-label tasks, ``error_analysis.md``.

    Args:
        folder: The run folder.
        data: For label names and slice columns of the test split.
        texts: Test texts.
        labels: Their labels, shape (texts,) or (texts, labels).
        probabilities: Shape (texts, labels).
        history: Log records of the training; empty for rungs without steps.
    """
    from nlpladder.views.figures import learning_curves, save_figure

    figures = folder / "figures"
    if any("loss" in record or "eval_loss" in record for record in history):
        save_figure(learning_curves(history), figures / "learning_curves.png")
    if data.task != "single_label":
        return
    from nlpladder.evaluation.calibration import reliability_bins
    from nlpladder.evaluation.classification import expected_calibration_error
    from nlpladder.evaluation.error_analysis import analyse
    from nlpladder.views.figures import confusion_matrix_figure, reliability_diagram

    analysis = analyse(texts, labels, probabilities, data.label_names, slice_columns(data))
    write_text(folder / "error_analysis.md", analysis.to_markdown())
    save_figure(confusion_matrix_figure(analysis.confusion, data.label_names), figures / "confusion_matrix.png")
    bins = reliability_bins(labels, probabilities)
    diagram = reliability_diagram(
        [part.confidence for part in bins],
        [part.accuracy for part in bins],
        [part.count for part in bins],
        intervals=[(part.accuracy_low, part.accuracy_high) for part in bins],
        error=expected_calibration_error(labels, probabilities),
    )
    save_figure(diagram, figures / "reliability.png")


def slice_columns(data: TextDataset) -> dict[str, list[Any]]:
    """Return the further columns of the test split by which errors can be cut: booleans and few-valued ones."""
    test = data.splits["test"]
    columns: dict[str, list[Any]] = {}
    for name in test.column_names:
        if name in ("text", "label") or len(columns) == _MOST_SLICE_COLUMNS:
            continue
        values = list(test[name])
        plain = all(isinstance(value, (bool, int, str)) for value in values)
        if plain and 2 <= len({str(value) for value in values}) <= _MOST_SLICE_VALUES:
            columns[name] = [str(value) for value in values]
    return columns
