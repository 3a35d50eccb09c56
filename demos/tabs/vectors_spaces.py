"""What the sections of the tab Word vectors share: opening a space, reading words, and saying which are unknown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from nlpladder.evaluation.word_space import WordSpace
from shell.limits import DemoError, check_text
from shell.store import asked_models

ABILITY = "vectors"
#: Spaces that are shown side by side.
MAX_SPACES = 2
LONGEST_WORD = 80
#: Unknown words whose nearest spellings are looked for: each takes a pass over the vocabulary.
_MOST_SPELT = 3
_SEPARATORS = re.compile(r"[\s,;]+")
_KEPT = "_nlpladder_word_space"
NO_MODEL = (
    "No word vectors are loaded. Train some: `accelerate launch recipes/train_word2vec.py --dataset my_corpus.txt`, or "
    "`train_fasttext.py`, `train_glove.py`, and press Refresh in the side bar. A vector file becomes such a folder in "
    'Python: `WordVectors.open("glove.txt").save_pretrained("outputs/glove")`.'
)


def chosen_models(store: Any, models: Any) -> list[str]:
    """Return the one or two models that were chosen, checked.

    Args:
        store: The models.
        models: What the picker gave.

    Raises:
        DemoError: None is chosen, too many are, or there is none.
    """
    if not store.names(ABILITY):
        store.refresh()
        if not store.names(ABILITY):
            raise DemoError(NO_MODEL.replace("`", ""))
    return asked_models(store, models, ABILITY, most=MAX_SPACES)


@contextmanager
def open_space(store: Any, name: str) -> Iterator[WordSpace]:
    """Give a model's words, prepared for questions: the first caller waits for that, the others do not.

    What is prepared is kept on the model itself, so that it goes when the store lets the model go.

    Args:
        store: The models.
        name: Of a model that was checked.
    """
    with store.use(name) as model:
        kept = vars(model).get(_KEPT)
        if kept is None:
            kept = WordSpace(model)
            setattr(model, _KEPT, kept)
        yield kept


def read_words(value: Any, name: str, *, most: int, empty: bool = False) -> list[str]:
    """Return words that are divided by commas, semicolons or white space, each once.

    Args:
        value: What came.
        name: What the box is called.
        most: How many words.
        empty: Whether there may be none.

    Raises:
        DemoError: There are none or too many, or one is too long.
    """
    text = check_text(value, name, empty=empty)
    words = list(dict.fromkeys(word for word in _SEPARATORS.split(text) if word))
    if not words and not empty:
        raise DemoError(f"{name} holds no word, only separators. Type words with commas between them.")
    if len(words) > most:
        raise DemoError(f"{name} holds {len(words)} words, at most {most} are taken. Take some out.")
    for word in words:
        if len(word) > LONGEST_WORD:
            raise DemoError(f"{name}: {word[:30]!r}… has {len(word)} characters, at most {LONGEST_WORD} are taken.")
    return words


def read_word(value: Any, name: str) -> str:
    """Return one word.

    Raises:
        DemoError: There is none, or more than one.
    """
    words = read_words(value, name, most=20)
    if len(words) > 1:
        raise DemoError(f"{name} holds {len(words)} words, expected one: {', '.join(words[:5])}.")
    return words[0]


def unknown_sentence(space: WordSpace, word: str, model: str) -> str:
    """Say that a space lacks a word, and which it has that are spelt alike."""
    near = space.near_spellings(word)
    hint = f" Did you mean {' or '.join(repr(other) for other in near)}?" if near else ""
    return f"{model} has no vector for {word!r} among its {len(space.words):,} words.{hint}"


def missing_sentences(space: WordSpace, missing: Sequence[str], model: str) -> list[str]:
    """Say which words have no vector, the first of them with the nearest spellings."""
    sentences = [unknown_sentence(space, word, model) for word in missing[:_MOST_SPELT]]
    rest = missing[_MOST_SPELT:]
    if rest:
        sentences.append(f"Nor for {', '.join(repr(word) for word in rest)}.")
    return sentences


def joined(models: Sequence[str], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the tables of several models as one, which begins with the name of the model."""
    named = [table.assign(Model=model)[["Model", *table.columns]] for model, table in zip(models, tables, strict=True)]
    return pd.concat([table for table in named if len(table)] or named[:1], ignore_index=True)


def paragraph(sentences: Sequence[str], *, kind: str = "note") -> str:
    """Return sentences as one paragraph of HTML, escaped.

    Args:
        sentences: Plain text.
        kind: ``note``, or ``answer`` for the one line that answers the question.
    """
    style = "font-size:1.15em;font-weight:600" if kind == "answer" else "font-size:.9em;color:var(--body-text-color)"
    return f'<p style="margin:0.3em 0;overflow-wrap:anywhere;{style}">{html.escape(" ".join(sentences))}</p>'
