"""How surprised each model is by every token of a text, in bits, and which n-gram answered."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nlpladder.errors import LadderError
from nlpladder.evaluation.language_modeling import TextLosses, metric_values
from nlpladder.models.ngram.back_off import TracedWord
from nlpladder.models.ngram.model import NGramLanguageModel
from nlpladder.protocols import TokenScores
from nlpladder.views.coloured_text import surprisal_html
from nlpladder.views.token_pieces import token_pieces
from shell.limits import check_text
from shell.store import asked_models
from tabs.next_word_predictions import MOST_CHARACTERS, MOST_MODELS, visible

#: Bits of the strongest colour, the same whatever is typed: 1 in 4,096. End marks of unfinished texts go far beyond it.
STRONGEST = 12.0
TOTALS = ("model", "tokens", "bits", "bits/token", "bits/character", "bits/byte", "unknown tokens")
TRACE = ("model", "word", "answered by", "n", "of", "gave up", "bits")


@dataclass(frozen=True)
class Surprise:
    """How one model predicted a text.

    Attributes:
        model: Its name.
        text: What was scored.
        score: Token by token; None where the model failed.
        trace: Which n-gram answered for each token; None where the model has no n-grams.
        problem: Why it failed; empty where it did not.
    """

    model: str
    text: str
    score: TokenScores | None
    trace: list[TracedWord] | None = None
    problem: str = ""

    @property
    def bits(self) -> np.ndarray:
        """Surprisal of each token, shape (tokens,)."""
        assert self.score is not None
        return np.maximum(0.0, -np.asarray(self.score.logprobs, dtype=np.float64) / math.log(2.0))


def surprises(store: Any, text: str, models: Sequence[str]) -> list[Surprise]:
    """Ask models how probable a text is.

    Args:
        store: See `shell.store.ModelStore`.
        text: What is scored.
        models: Up to four names.

    Raises:
        DemoError: If an input is out of its bounds.
    """
    whole = check_text(text, "The text", most=MOST_CHARACTERS)
    names = asked_models(store, models, "language_model", most=MOST_MODELS)
    found: list[Surprise] = []
    for name in names:
        try:
            with store.use(name) as model:
                (score,) = model.score([whole])
                trace = model.back_off_trace(whole) if isinstance(model, NGramLanguageModel) else None
                found.append(Surprise(name, whole, score, trace))
        except LadderError as error:  # the others still answer
            found.append(Surprise(name, whole, None, problem=str(error)))
    return found


def surprises_html(found: Sequence[Surprise]) -> str:
    """Return the text once a model, each token the stronger in colour the less it was expected, its bits above it.

    Args:
        found: From `surprises`.
    """
    parts = []
    for one in found:
        if one.score is None or not one.score.tokens:
            why = one.problem or "This model predicts nothing of this text."
            parts.append(f"<section><h3>{html.escape(one.model)}</h3><p>{html.escape(why)}</p></section>")
            continue
        pieces = token_pieces(one.text, one.score.tokens)
        parts.append(surprisal_html(pieces, one.bits, strongest=STRONGEST, title=one.model, numbers=True))
    return f'<div class="surprisals">{"".join(parts)}</div>'


def totals_table(found: Sequence[Surprise]) -> pd.DataFrame:
    """Return one row a model: tokens, bits, and bits per token, character and byte.

    Bits per character and byte compare models of any vocabulary: what is divided is the information of the whole text,
    with the letters of words that the model does not know at 8 bits a byte. Bits per token compare only equal tokens.
    """
    rows = []
    for one in found:
        if one.score is None or not one.score.tokens:
            continue
        bits = float(one.bits.sum())
        per_byte = float(metric_values(TextLosses.of([one.score]).columns.sum(axis=0))["bits_per_byte"])
        per_character = per_byte * one.score.num_bytes / max(1, len(one.text))
        unknown = int(len(one.score.known) - np.count_nonzero(one.score.known))
        numbers = (bits, bits / len(one.score.tokens), per_character, per_byte)
        rows.append([one.model, len(one.score.tokens), *(_rounded(number) for number in numbers), unknown])
    return pd.DataFrame(rows, columns=list(TOTALS))


def trace_table(found: Sequence[Surprise]) -> pd.DataFrame:
    """Return one row a word and n-gram model: which n-gram answered, and which contexts were given up at what cost."""
    rows = []
    for one in found:
        for word in one.trace or ():
            given_up = "; ".join(
                f"“{' '.join(map(visible, step.context))}” "
                + (f"{round(-step.log10 * math.log2(10.0), 1) + 0.0:+.1f} bits" if step.listed else "never seen")
                for step in word.steps
            )
            rows.append([
                one.model, visible(word.word), " ".join(map(visible, word.ngram)), word.order, word.longest,
                given_up or "–", _rounded(-word.log10 * math.log2(10.0)),
            ])  # fmt: skip
    return pd.DataFrame(rows, columns=list(TRACE))


def _rounded(number: float) -> float | None:
    return round(number, 3) if math.isfinite(number) else None
