"""A model at chance in the task behind a measure: what it scores there is not evidence of fairness, whatever it is."""

from __future__ import annotations

from nlpladder.evaluation.intervals import Score
from nlpladder.views.bias_cells import score_text

#: What says so, in the note of every finding of such a model; the verdict of a report goes by it.
AT_CHANCE = "not evidence of fairness"


def chance_notes(quality: Score | None, chance: float, *, needs_interval: bool = False) -> tuple[str, ...]:
    """Return a note where a model is not shown to be better than chance, none where it is.

    Args:
        quality: How good the model is at the task, larger is better; None where that could not be measured.
        chance: What guessing gives, or a little more, as a share; the interval's lower end must be above it.
        needs_interval: Take a model whose quality has no value or no interval for one that was not shown to be better.
    """
    if quality is None or (quality.value is None and not needs_interval):
        return ()
    shown = quality.low if needs_interval or quality.low is not None else quality.value
    if shown is not None and shown > chance:
        return ()
    said = f"{quality.name.replace('_', ' ')} {score_text(quality.to_dict())}"
    return (f"The model is not shown to know what is asked here ({said}): a score near no bias is {AT_CHANCE}.",)
