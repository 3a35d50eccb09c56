"""From texts to the rows that a pretrained causal model learns: its own tokenizer, its own marks, no token dropped.

Two readings, and the scores are taken as the training reads:

- ``separate``: a document w1 … wn is read after the begin mark and learns its end mark, ``<s> w1 … wn`` ->
  ``w1 … wn </s>``. One longer than the window goes on in a row of its own. Rows may be packed; packed documents do not
  see each other.
- ``running``: all documents are one row, ``<s> w1 … wn </s> <s> w1' …``, cut into blocks at another offset each epoch,
  as GPT-2's training and nanoGPT read; right for one long document.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nlpladder.data.running_text import encode_running_text
from nlpladder.errors import DataError, ModelError, did_you_mean

if TYPE_CHECKING:
    from nlpladder.models.neural_tokens import TextEncoder
    from nlpladder.training.sequence_data import TargetRows

Documents = Literal["separate", "running"]
#: So many texts go to the tokenizer at once, which spreads them over its threads.
_TEXTS_AT_ONCE = 4096


def choose_documents(wanted: str, texts: Iterable[str]) -> Documents:
    """Return how texts are read: as asked for; ``auto`` takes ``running`` for a single document, else ``separate``."""
    if wanted == "auto":
        return "separate" if len(list(itertools.islice(iter(texts), 2))) > 1 else "running"
    return "running" if wanted == "running" else "separate"


def set_end_mark(model: Any, tokenizer: Any, eos_token: str | None) -> None:
    """Give model and tokenizer the end mark that was asked for; both are saved with it.

    Args:
        model: Before any adapter.
        tokenizer: Its tokenizer.
        eos_token: A token of the vocabulary; None takes that of the config where only the tokenizer names none.

    Raises:
        ModelError: The vocabulary has no such token.
    """
    config = model.config.get_text_config()
    if eos_token is None:
        named = config.eos_token_id
        if tokenizer.eos_token_id is None and isinstance(named, int):
            tokenizer.eos_token = tokenizer.convert_ids_to_tokens(named)
        return
    vocabulary = tokenizer.get_vocab()
    if eos_token not in vocabulary:
        raise ModelError(
            f"The tokenizer has no token {eos_token!r} (eos_token).{did_you_mean(eos_token, vocabulary)} Name one of "
            "its tokens that occurs in no text."
        )
    tokenizer.eos_token = eos_token
    config.eos_token_id = tokenizer.eos_token_id
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.eos_token_id = tokenizer.eos_token_id


def check_end_mark(encoder: TextEncoder, *, why: str) -> None:
    """Refuse a model without end mark.

    Args:
        encoder: Knows the marks.
        why: What needs it, as the beginning of the sentence.

    Raises:
        ModelError: Neither config nor tokenizer names one; proposes tokens of the vocabulary that look like one.
    """
    if encoder.end_id is not None:
        return
    likely = [token for token in encoder.tokenizer.get_vocab() if token.startswith("<") and token.endswith(">")]
    named = f" Tokens that look like marks: {', '.join(sorted(likely)[:6])}." if likely else ""
    raise ModelError(
        f"{why} must end in an end mark, but neither the model's config nor its tokenizer names an eos token. Choose "
        f"one with --eos_token.{named}"
    )


def document_rows(texts: Iterable[str], encoder: TextEncoder, *, max_length: int) -> TargetRows:
    """Return a row for each document, several for one that is longer than the window.

    Args:
        texts: Documents.
        encoder: Of the model.
        max_length: Tokens that the model reads at once.

    Raises:
        DataError: There is no text, or a text is not a string.
    """
    from nlpladder.training.sequence_data import TargetRows

    inputs: list[Any] = []
    targets: list[Any] = []
    for ids in _encoded(texts, encoder.tokenizer):
        read, learnt = encoder.inputs(ids), encoder.targets(ids)
        for start in range(0, len(read), max_length):
            inputs.append(read[start : start + max_length])
            targets.append(learnt[start : start + max_length])
    if not inputs:
        raise DataError("There is no text to learn from: all documents are empty.")
    return TargetRows(inputs, targets)


def running_ids(texts: Iterable[str], encoder: TextEncoder) -> npt.NDArray[np.int32]:
    """Return all documents as one row of ids, from the first begin mark to the last end mark, shape (tokens,).

    A model without end mark has its begin mark between documents.
    """
    end = encoder.begin_id if encoder.end_id is None else encoder.end_id
    ids = encode_running_text(texts, encoder.tokenizer, end)
    if end == encoder.begin_id:
        return ids
    ids[0] = encoder.begin_id
    borders = np.flatnonzero(ids[:-1] == end) + 1
    return np.insert(ids, borders, encoder.begin_id)


def _encoded(texts: Iterable[str], tokenizer: Any) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the ids of each text, without marks."""
    waiting = iter(texts)
    number = 0
    while batch := list(itertools.islice(waiting, _TEXTS_AT_ONCE)):
        encoded = tokenizer(
            [_checked(text, number + place) for place, text in enumerate(batch)],
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,  # a long text is no mistake here
        )["input_ids"]
        yield from (np.array(ids, dtype=np.int64) for ids in encoded)
        number += len(batch)


def _checked(text: Any, number: int) -> str:
    """Return a text that any tokenizer takes: a lone surrogate is no character."""
    if not isinstance(text, str):
        raise DataError(f"Text {number} (counted from 0) is {text!r}, a {type(text).__name__}, not a string.")
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def check_window(model: Any, *, max_length: int, block_length: int, packed: bool, virtual_tokens: int = 0) -> None:
    """Refuse rows that are longer than the model's positions.

    Args:
        model: With a ``config``.
        max_length: Tokens of a document that are read at once.
        block_length: Tokens of a block of running text; of a packed row, in which positions begin anew.
        packed: Whether rows are packed.
        virtual_tokens: Trained tokens that stand before every row.

    Raises:
        ModelError: Says the limit.
    """
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not limit:
        return
    longest = max_length if packed else max(max_length, block_length)
    if longest + virtual_tokens > limit:
        beside = f", {virtual_tokens} of which the adapter's virtual tokens take" if virtual_tokens else ""
        raise ModelError(
            f"Rows of {longest:,} tokens are asked for (max_length, block_length), but the model has {limit:,} "
            f"positions{beside}. Choose --max_length {limit - virtual_tokens} or less."
        )


def texts_for_scores(texts: Sequence[str]) -> int:
    """Return how many units an interval could resample: documents, or the lines of a single one."""
    return len(texts) if len(texts) > 1 else sum(bool(line.strip()) for text in texts for line in text.splitlines())
