"""The end of a recipe: what one run reached, what it cost, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def run_summary(
    record: Mapping[str, Any],
    metrics: Mapping[str, Any],
    folder: str,
    *,
    use: str = "model.predict_proba(['a text'])",
    speed_unit: str = "texts",
    was_there: bool = False,
) -> str:
    """Return the closing lines of a training recipe.

    Args:
        record: Content of ``run.json``.
        metrics: Content of ``metrics.json``; may say what was tested (``tested``).
        folder: Where the run is.
        use: A Python expression on ``model`` that shows what the model is for.
        speed_unit: Of the inference speed.
        was_there: The run had been finished before and was only read.
    """
    from nlpladder.evaluation.intervals import Score

    scores = [Score.from_dict(fields) for fields in metrics["scores"].values()]
    width = max(len(score.name) for score in scores)
    lines = [
        f"\n{folder} holds this run, finished {record['finished']}; nothing was trained now." if was_there else "",
        f"{record['title']}: {record['parameters']:,} parameters ({record['trainable_parameters']:,} trained), "
        f"{record['training_seconds']:.1f} s of training, "
        f"{record['inference_examples_per_second']:,.0f} {speed_unit}/s",
        f"{metrics.get('tested', 'test split, ' + format(metrics['n'], ',') + ' texts')}, 95 % intervals:",
        *(f"  {score.name:<{width}}  {score.format()}{_coverage(score.note)}" for score in scores),
        *(f"note: {note}" for note in record["notes"]),
        f"run folder: {folder} (model, metrics.json, run.json, README.md and what else was written)",
        f"use it:     python -c \"import nlpladder; model = nlpladder.load('{folder}'); print({use})\"",
    ]
    return "\n".join(lines)


def _coverage(note: str) -> str:
    """Return what a score says of how much it covers, in brackets."""
    covered, found, _ = note.partition(" covered.")
    return f"  ({covered} covered)" if found else ""
