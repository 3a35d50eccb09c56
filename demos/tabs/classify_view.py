"""How classifications are shown: a card a model with bars, the text with contributions, and the run's figures."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlpladder.models.attributions import Attribution
from nlpladder.views.contribution_text import contributions_html
from nlpladder.views.ladder_table import metric_title
from shell.bars import Bar, Card, note_html
from shell.bars import cards_html as bar_cards
from tabs.classify_answers import MOST_CLASSES, Answer
from tabs.runs_figures import figures, figures_html
from tabs.runs_tables import no_interval

if TYPE_CHECKING:
    import pandas as pd

    from shell.store import ModelStore

QUALITY_HEADER = ("model", "measure", "value", "95 % interval", "n")
#: What is shown of a run's metrics, where it has them.
_MEASURES = ("accuracy", "f1_macro", "f1_micro", "expected_calibration_error", "rmse", "mae", "pearson")
_FIGURES = ("Confusion matrix", "Reliability")
NO_MODEL = (
    "No model here classifies. Make some: `accelerate launch recipes/climb_ladder.py --dataset world:reviews "
    "--output_dir outputs/reviews`, or `make demo` for a tiny set of everything."
)


def cards_html(answers: Sequence[Answer]) -> str:
    """Return what each model said, as cards side by side, a bar and a number for each class.

    Args:
        answers: Of the models.
    """
    return bar_cards([_card(answer) for answer in answers], scale=1.0, whole_labels=True)


def _card(answer: Answer) -> Card:
    about = note_html(answer.title)
    if not answer.probabilities:
        return Card(answer.model, f"{about}<p>No answer: {html.escape(answer.problem)}</p>")
    says = {"regression": "predicts", "multi_label": "at least 50 %:"}.get(answer.task, "says")
    said = f"{about}<p>{says} <strong>{html.escape(answer.best)}</strong></p>"
    if answer.task == "regression":
        return Card(answer.model, said)
    ranked = sorted(zip(answer.probabilities, answer.labels, strict=True), key=lambda pair: -pair[0])
    bars = tuple(Bar(label, value, f"{100.0 * value:.1f} %") for value, label in ranked[:MOST_CLASSES])
    left = len(ranked) - MOST_CLASSES
    return Card(answer.model, said, bars, note_html(f"and {left} less probable ones" if left > 0 else ""))


def explanations_html(answers: Sequence[Answer]) -> str:
    """Return the text once for each model, coloured by what its words contribute.

    Scores of different models have different units, so every text has a scale of its own.

    Args:
        answers: Of the models.
    """
    return "".join(_explanation(answer) for answer in answers if answer.probabilities)


def _explanation(answer: Answer) -> str:
    found = answer.attribution
    name = html.escape(answer.model)
    if found is None:
        return f'<div class="surprisals"><h2>{name}</h2><p>{html.escape(answer.problem)}</p></div>'
    if not found.contributions:
        return (
            f'<div class="surprisals"><h2>{name}</h2><p>It knows nothing of this text: no word of it counts.</p></div>'
        )
    spans = [(one.begin, one.end, one.value) for one in found.words()]
    title = f"{answer.model}: why {found.label}" + (f", and not {found.against}" if found.against else "")
    shown = contributions_html(
        found.text, spans, title=title, towards=found.label, away=found.against or f"not {found.label}"
    )
    return f'<div class="surprisals">{shown}<p class="nw-note">{html.escape(account(found))}</p></div>'


def account(found: Attribution) -> str:
    """Return the sum in words: what the words add, what is outside them, and the score.

    Args:
        found: Of one model.
    """
    words = sum(one.value for one in found.spans)
    parts = [f"Words {_signed(words)}"]
    if abs(found.unplaced) >= 0.005:
        parts.append(f"marks of the tokenizer {_signed(found.unplaced)}")
    if found.method == "exact":
        parts.append(f"intercept {_signed(found.base)}")
        how = "Exact: the score is this sum."
    elif found.method == "integrated_gradients":
        parts.append(f"without words {_signed(found.base)}")
        how = f"Integrated gradients; without words means {found.baseline}."
    else:
        parts.append(f"not explained {_signed(found.base)}")
        how = "Gradient × input, a first-order estimate: the part not explained may be most of the score."
    return f"{', '.join(parts)}: score {_signed(found.score)}. {how} {found.note}".strip()


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−") if math.isfinite(value) else str(value)


def model_figures_html(store: ModelStore, models: Sequence[str]) -> str:
    """Return the confusion matrix and the reliability diagram of each model's run, whole, with captions.

    Args:
        store: The models.
        models: Their names, checked.
    """
    shown = []
    for name in models:
        folder = store.entry(name).folder
        if folder is not None:
            shown += [(path, f"{name}: {what.lower()}") for path, what in figures(folder) if what in _FIGURES]
    return figures_html(shown) or "<p>Their runs have drawn no figures.</p>"


def quality_table(store: ModelStore, models: Sequence[str]) -> pd.DataFrame:
    """Return what each model's run measured on its test split.

    Args:
        store: The models.
        models: Their names, checked.
    """
    import pandas as pd

    rows = []
    for name in models:
        folder = store.entry(name).folder
        scores = {} if folder is None else _scores(folder)
        for measure in _MEASURES:
            score = scores.get(measure)
            if measure == "f1_micro" and "accuracy" in scores:  # of one label a text it is the accuracy
                continue
            if isinstance(score, dict) and isinstance(score.get("value"), (int, float)):
                rows.append((name, metric_title(measure), *_cells(score)))
    return pd.DataFrame(rows, columns=list(QUALITY_HEADER))


def _scores(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["scores"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # no run, or one that did not finish
        return {}
    return found if isinstance(found, dict) else {}


def _cells(score: dict[str, Any]) -> tuple[str, str, str]:
    times, sign = (100.0, " %") if score.get("unit") == "%" else (1.0, "")

    def number(value: Any) -> str:
        return f"{times * value:.1f}" if times > 1.0 else f"{value:.3f}"

    low, high, n = score.get("low"), score.get("high"), score.get("n")
    known = isinstance(low, (int, float)) and isinstance(high, (int, float))
    return (
        f"{number(score['value'])}{sign}",
        f"{number(low)} to {number(high)}" if known else no_interval(score),
        f"{n:,}" if isinstance(n, int) else "",
    )
