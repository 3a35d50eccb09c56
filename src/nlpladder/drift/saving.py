"""Building the profile of a model that has just been trained, or that was trained long ago."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.drift.copies import chance_of_copies, text_hash
from nlpladder.drift.features import (
    SPACED_TASKS,
    TEXT_FEATURES,
    Float,
    bits_per_byte,
    classifier_columns,
    spaced,
    text_features,
)
from nlpladder.drift.profile import Profile
from nlpladder.drift.vocabulary import Vocabulary
from nlpladder.errors import DataError

if TYPE_CHECKING:
    from nlpladder.data.corpora import Corpus
    from nlpladder.data.running_text import RunningText
    from nlpladder.data.text_dataset import TextDataset
    from nlpladder.protocols import LanguageModel, TextClassifier

#: Held-out texts that are described at most.
MAX_ROWS = 1_000
#: Characters that a model is asked about at most, so that long documents do not make a run longer than their training.
ANSWERED_CHARACTERS = 1_000_000
#: The same of a language model, which reads texts to their end.
SCORED_CHARACTERS = 300_000
#: Of fewer held-out texts than these, which are then documents, the lines are described.
FEW_DOCUMENTS = 100


def build_profile(
    *,
    task: str,
    train: Iterable[str] | None,
    held_out: Sequence[str],
    answers: Mapping[str, Float] | None = None,
    label_names: Sequence[str] = (),
    split: str = "validation",
    rows_of: int | None = None,
) -> Profile:
    """Describe a model by texts that it was not trained on.

    Training texts would not do: no word of theirs is unknown, and a model is surer of them than of others.

    Args:
        task: What the model is asked for.
        train: Training texts, for the vocabulary; None where they cannot be had.
        held_out: Texts that are described, see `spread`.
        answers: Features of the answers to them, see `nlpladder.drift.features`, each (texts,).
        label_names: Of a classifier.
        split: Where `held_out` is from.
        rows_of: Texts of that split; as many as `held_out` if not given.

    Raises:
        DataError: There is no held-out text.
    """
    if not held_out:
        raise DataError(f"The split {split} has no text: a profile needs texts that the model was not trained on.")
    vocabulary = None if train is None else Vocabulary.of(train)
    rows = np.array([text_features(text, vocabulary) for text in held_out])
    columns = {name: rows[:, place] for place, name in enumerate(TEXT_FEATURES)}
    if vocabulary is None:
        del columns["unknown_words"]
    return Profile(
        task=task,
        label_names=tuple(label_names),
        columns={**columns, **(answers or {})},
        vocabulary=vocabulary,
        split=split,
        rows_of=len(held_out) if rows_of is None else rows_of,
        copies=chance_of_copies([text_hash(text) for text in held_out]),
    )


def spread(texts: Sequence[str], *, characters: int = ANSWERED_CHARACTERS) -> list[str]:
    """Return at most `MAX_ROWS` texts, drawn at random with a fixed seed.

    Args:
        texts: Of a split.
        characters: Of all drawn texts together at most; at least one text is drawn.
    """
    count = min(MAX_ROWS, len(texts))
    chosen: list[str] = []
    left = characters
    # A random order of fixed seed: what is cut off at the end is then no particular part of the data.
    for row in np.random.default_rng(0).permutation(len(texts))[:count].tolist():
        if chosen and len(texts[row]) > left:
            break
        chosen.append(texts[row])
        left -= len(texts[row])
    return chosen


def question_text(question: str, context: str) -> str:
    """Return the text by which a question is described: the context, then the question."""
    return f"{context}\n{question}"


def save_classifier_profile(
    folder: str | os.PathLike[str], classifier: TextClassifier, data: TextDataset
) -> Path | None:
    """Write the profile of a text classifier: texts and predictions of the validation split. None without any.

    Args:
        folder: The run folder.
        classifier: Trained.
        data: Its data.
    """
    validation = data.splits["validation"]
    texts = spread(validation["text"])
    if not texts:
        return None
    columns = classifier_columns(classifier.predict_proba(texts), classifier.task)
    return build_profile(
        task="classify", train=_texts_of(data.splits["train"]), held_out=texts, answers=columns,
        label_names=classifier.label_names, rows_of=len(validation),
    ).save(folder)  # fmt: skip


def save_language_model_profile(
    folder: str | os.PathLike[str], model: LanguageModel, text: RunningText | Corpus
) -> Path | None:
    """Write the profile of a language model: texts of the validation split and what they cost it. None without any.

    Args:
        folder: The run folder.
        model: Trained.
        text: Its text. Lines stand for documents where there are fewer than `FEW_DOCUMENTS`.
    """
    held_out = text.validation
    if len(held_out) < FEW_DOCUMENTS:
        held_out = [line for document in held_out for line in document.split("\n") if line.strip()] or held_out
    texts = spread(held_out, characters=SCORED_CHARACTERS)
    if not texts:
        return None
    scores = model.score(texts)
    bits = np.array([bits_per_byte(float(score.logprobs.sum()), score.num_bytes) for score in scores])
    return build_profile(
        task="score", train=_training_lines(text.train), held_out=texts, answers={"bits_per_byte": bits},
        rows_of=len(held_out),
    ).save(folder)  # fmt: skip


def save_text_profile(
    folder: str | os.PathLike[str], task: str, *, train: Iterable[str], held_out: Sequence[str]
) -> Path | None:
    """Write the profile of a model of which only the texts are watched: translators, taggers, readers.

    Returns:
        The file; None where no text is held out.

    Args:
        folder: The run folder.
        task: What the model is asked for.
        train: Source texts of the training split.
        held_out: Source texts of the validation split.
    """
    texts = spread(held_out)
    if not texts:
        return None
    if task in SPACED_TASKS:
        texts = list(map(spaced, texts))
    return build_profile(task=task, train=train, held_out=texts, rows_of=len(held_out)).save(folder)


def _texts_of(rows: Any) -> Iterator[str]:
    """Yield the texts of a split, also of one that is streamed."""
    return (text for batch in rows.select_columns(["text"]).iter(1000) for text in batch["text"])


def _training_lines(train: Any) -> Iterable[str] | None:
    """Return the training texts of a language model; None for a stream of characters or sub-words."""
    if not hasattr(train, "blocks"):
        return train
    if train.tokenizer.method not in ("whitespace", "regex", "treebank", "tweet"):
        return None
    return (line for block in train.blocks() for line in block.decode("utf-8", "replace").split("\n"))
