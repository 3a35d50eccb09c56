"""What each model expects next: asked, drawn as bars that can be clicked, and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nlpladder.errors import LadderError
from nlpladder.generation import GenerationOptions
from nlpladder.models.next_tokens import NextToken, NextTokens, next_tokens
from shell.bars import Bar, Card, cards_html, note_html
from shell.limits import check_number, check_text, check_whole
from shell.store import asked_models

#: Models side by side, and bars of each.
MOST_MODELS, MOST_BARS = 4, 20
#: Of the prefix: every change of it is asked anew, and its tokens stand one by one under the bars.
MOST_CHARACTERS = 1_000
COLUMNS = ("model", "rank", "token", "probability %", "surprisal bits")
_VISIBLE = {ord(" "): "␣", ord("\n"): "⏎", ord("\t"): "⇥", ord("\r"): "⏎"}


@dataclass(frozen=True)
class Prediction:
    """What one model said, or why it did not.

    Attributes:
        model: Its name.
        title: Its kind and size.
        found: The next tokens; None where the model failed.
        problem: Why it failed; empty where it did not.
    """

    model: str
    title: str
    found: NextTokens | None
    problem: str = ""


def predict(
    store: Any, text: str, models: Sequence[str], *, bars: int = 10, temperature: float = 1.0, top_k: int = 0
) -> list[Prediction]:
    """Ask models for the next token.

    Args:
        store: See `shell.store.ModelStore`.
        text: The prefix; may be empty.
        models: Up to `MOST_MODELS` names.
        bars: How many tokens of each.
        temperature: Divides the log-probabilities.
        top_k: Keeps the k most probable tokens; 0 keeps all.

    Raises:
        DemoError: If an input is out of its bounds.
    """
    prefix = check_text(text, "The text", most=MOST_CHARACTERS, empty=True)
    names = asked_models(store, models, "language_model", most=MOST_MODELS)
    count = check_whole(bars, "Bars", least=1, most=MOST_BARS)
    warmth = check_number(temperature, "Temperature", least=0.1, most=2.0)
    kept = check_whole(top_k, "Top-k", least=0, most=200)
    options = GenerationOptions(temperature=warmth, top_k=kept) if (warmth, kept) != (1.0, 0) else None
    found = []
    for name in names:
        title = store.entry(name).title
        try:
            with store.use(name) as model:
                found.append(Prediction(name, title, next_tokens(model, prefix, k=count, options=options)))
        except LadderError as error:  # the others still answer
            found.append(Prediction(name, title, None, str(error)))
    return found


def shown(token: NextToken) -> str:
    """Return a token as a label: white space visible, a mark by its name."""
    return visible(token.text or token.name)


def visible(text: str) -> str:
    """Return a text in one line whose white space can be seen, and whose other characters break nothing."""
    seen = text.translate(_VISIBLE)
    return "".join(character if character.isprintable() else "�" for character in seen) or "∅"


def what_it_is(token: NextToken) -> str:
    """Say what a token is that writes no text; empty for one that does."""
    if token.text:
        return ""
    if token.name in ("</s>", "<|endoftext|>", "[SEP]", "<eos>", "<|im_end|>"):
        return "end of the text"
    if token.name in ("<unk>", "[UNK]"):
        return "any word it does not know"
    return "a mark, or part of a character"


def prediction_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """Return the numbers of the bars: model, rank, token, probability in percent, surprisal in bits."""
    rows = [
        [
            one.model, rank, shown(token), round(100.0 * token.probability, 3),
            round(-math.log2(token.probability), 2) if token.probability > 0.0 else None,
        ]
        for one in predictions if one.found is not None
        for rank, token in enumerate(one.found.tokens, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def bars_html(predictions: Sequence[Prediction]) -> str:
    """Return all models side by side as bars of one scale; each is a button that bears the text of its token.

    Args:
        predictions: From `predict`.
    """
    return cards_html([_card(one) for one in predictions], spoken="Append")


def _card(one: Prediction) -> Card:
    about = note_html(one.title)
    if one.found is None:
        return Card(one.model, about, note=note_html(one.problem))
    found = one.found
    note = (
        f"These {len(found.tokens)} of {found.vocabulary_size:,} tokens: {100 * found.shown:.1f} %. Undecided: "
        f"{found.entropy:.1f} bits, as between {_choices(found.entropy)} equally probable tokens."
    )
    return Card(one.model, about, tuple(_bar(token) for token in found.tokens), note_html(note))


def _bar(token: NextToken) -> Bar:
    percent = _percent(100.0 * token.probability)
    return Bar(shown(token), token.probability, percent, word=token.text, hint=what_it_is(token))


def _percent(percent: float) -> str:
    return f"{percent:.1f} %" if percent >= 0.1 else f"{percent:.1g} %" if percent else "0 %"


def _choices(entropy: float) -> str:
    return f"{2.0**entropy:,.0f}" if entropy >= 3.0 else f"{2.0**entropy:.1f}"


def appended(text: str, token: Any) -> str:
    """Return a text with a token behind it.

    Args:
        text: The prefix.
        token: What the bar bears.

    Raises:
        DemoError: If either is no text, or both together are too long.
    """
    prefix = check_text(text, "The text", most=MOST_CHARACTERS, empty=True)
    piece = check_text(token, "The token", most=200, empty=True)
    return check_text(prefix + piece, "The text", most=MOST_CHARACTERS, empty=True)
