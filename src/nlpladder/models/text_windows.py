"""Texts of any length before an encoder that sees so many sub-words at once: pieces, overlapping windows, batches.

A text is split into pieces once, with the characters each of them covers. Windows of a fixed number of pieces, each
sharing some with its neighbour, go through the model; a piece that stands in several windows is read in the one that
shows most of its surroundings ("maximum context", Devlin et al. 2019, in the SQuAD code).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, ModelError
from nlpladder.models.evaluating import evaluating

if TYPE_CHECKING:
    from torch import Tensor

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """The sub-words of a text.

    Attributes:
        ids: Token ids, (pieces,).
        starts: First character of each piece in the text, white space left out, (pieces,).
        ends: Behind the last character of each, (pieces,).
    """

    ids: Ints
    starts: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Frame:
    """The special tokens that a tokenizer puts around one text, or around and between two.

    Attributes:
        before: Ids in front.
        between: Ids between the first and the second text; empty for one text.
        after: Ids at the end.
        types: Token type ids of the five parts before, first, between, second, after.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[int, int, int, int, int]

    @property
    def size(self) -> int:
        """How many special tokens there are."""
        return len(self.before) + len(self.between) + len(self.after)


@dataclass(frozen=True)
class Window:
    """One input of the model: some pieces of a text, with the special tokens (and the question) around them.

    Attributes:
        row: Number of the text.
        first: Number of its first piece in the window.
        count: How many of its pieces are in the window.
        offset: Where the first one stands in `input_ids`.
        input_ids: (tokens,)
        token_type_ids: (tokens,)
    """

    row: int
    first: int
    count: int
    offset: int
    input_ids: Ints
    token_type_ids: Ints


def check_tokenizer(tokenizer: Any) -> None:
    """Refuse a tokenizer that cannot say which characters a piece covers.

    Raises:
        ModelError: for a tokenizer written in Python.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{type(tokenizer).__name__} does not tell which characters a sub-word covers. Take a model with a "
            "tokenizer.json (a fast tokenizer)."
        )


def split_pieces(tokenizer: Any, texts: Sequence[str]) -> list[Pieces]:
    """Split texts into sub-words, without special tokens and without a limit of length."""
    if not texts:
        return []
    # Lone halves of surrogate pairs are no Unicode text; each becomes one character, so that the offsets hold.
    clean = [text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text for text in texts]
    encoded = tokenizer(
        clean, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False, verbose=False
    )
    found = []
    for text, ids, offsets in zip(clean, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        places = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)  # (pieces, start and end)
        starts, ends = places[:, 0].copy(), places[:, 1].copy()
        for piece in range(len(starts)):
            # Byte-level and SentencePiece tokenizers count the blank before a word to its first piece.
            while starts[piece] < ends[piece] and text[starts[piece]].isspace():
                starts[piece] += 1
            while starts[piece] < ends[piece] and text[ends[piece] - 1].isspace():
                ends[piece] -= 1
        found.append(Pieces(np.asarray(ids, dtype=np.int64), starts, ends))
    return found


def find_frame(tokenizer: Any, *, pair: bool) -> Frame:
    """Find out which special tokens a tokenizer adds, by asking it to encode a letter (twice for a pair)."""
    encoding = (tokenizer("a", "a") if pair else tokenizer("a")).encodings[0]
    sequences = list(encoding.sequence_ids)  # None for special tokens
    ids, types = list(encoding.ids), list(encoding.type_ids)
    first = [place for place, sequence in enumerate(sequences) if sequence == 0]
    second = [place for place, sequence in enumerate(sequences) if sequence == 1] or first
    before, after = ids[: first[0]], ids[second[-1] + 1 :]
    between = ids[first[-1] + 1 : second[0]] if pair else []

    def kind(place: int) -> int:
        return int(types[place]) if 0 <= place < len(types) else 0

    parts = (
        kind(0), kind(first[0]), kind(first[-1] + 1) if between else 0, kind(second[0]), kind(len(ids) - 1)
    )  # fmt: skip
    return Frame(tuple(before), tuple(between), tuple(after), parts)


def window_starts(pieces: int, capacity: int, overlap: int) -> list[int]:
    """Return the first piece of each window, so that the windows cover all pieces and none is needless.

    Args:
        pieces: Of the text.
        capacity: Pieces of a window.
        overlap: Pieces that neighbours share.

    Raises:
        ConfigError: The overlap leaves no room to move on.
    """
    if not 0 <= overlap < capacity:
        raise ConfigError(
            f"Windows of {capacity} sub-words cannot share {overlap} with their neighbours: take a larger max_length "
            "or a smaller overlap."
        )
    starts = [0]
    while starts[-1] + capacity < pieces:
        starts.append(starts[-1] + capacity - overlap)
    return starts


def text_windows(pieces: Sequence[Pieces], frame: Frame, *, length: int, overlap: int) -> list[Window]:
    """Cut texts into windows of at most `length` tokens, special ones included; a text without pieces has none."""
    capacity = length - frame.size
    windows = []
    for row, found in enumerate(pieces):
        for first in window_starts(len(found), capacity, overlap) if len(found) else ():
            inside = found.ids[first : first + capacity]
            ids = np.concatenate(
                [np.array(frame.before, dtype=np.int64), inside, np.array(frame.after, dtype=np.int64)]
            )
            types = np.repeat(
                np.array([frame.types[0], frame.types[1], frame.types[4]], dtype=np.int64),
                [len(frame.before), len(inside), len(frame.after)],
            )
            windows.append(Window(row, first, len(inside), len(frame.before), ids, types))
    return windows


def best_windows(windows: Sequence[Window], pieces: int) -> Ints:
    """Return, for each piece of one text, the number of the window that shows most of its surroundings, (pieces,).

    The surroundings are the smaller one of the two sides; the first window wins where two are equal.
    """
    if len(windows) == 1:
        return np.zeros(pieces, dtype=np.int64)
    places = np.arange(pieces)
    sides = np.stack(
        [np.minimum(places - window.first, window.first + window.count - 1 - places) for window in windows]
    )  # (windows, pieces), negative outside of a window
    return np.argmax(sides, axis=0)


def by_row(windows: Sequence[Window], rows: int) -> list[list[int]]:
    """Return the numbers of the windows of each text."""
    found: list[list[int]] = [[] for _ in range(rows)]
    for number, window in enumerate(windows):
        found[window.row].append(number)
    return found


def padded_batch(windows: Sequence[Window], tokenizer: Any, *, multiple_of: int = 1) -> dict[str, Tensor]:
    """Pad windows on the right to the longest of them, whatever side the tokenizer pads on for other jobs.

    An encoder with absolute positions counts them from the left: pads there would move the text.

    Args:
        windows: Of one batch.
        tokenizer: Gives the pad token, and whether the model reads token types.
        multiple_of: The length is rounded up to one, which tensor cores like.

    Returns:
        ``input_ids``, ``attention_mask`` and perhaps ``token_type_ids``, (batch, tokens).
    """
    import torch

    longest = max(len(window.input_ids) for window in windows)
    longest = -(-longest // multiple_of) * multiple_of
    shape = (len(windows), longest)
    ids = np.full(shape, int(tokenizer.pad_token_id), dtype=np.int64)
    mask, types = np.zeros(shape, dtype=np.int64), np.full(shape, int(tokenizer.pad_token_type_id), dtype=np.int64)
    for row, window in enumerate(windows):
        count = len(window.input_ids)
        ids[row, :count], types[row, :count], mask[row, :count] = window.input_ids, window.token_type_ids, 1
    batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    if "token_type_ids" in tokenizer.model_input_names:
        batch["token_type_ids"] = torch.from_numpy(types)
    return batch


def read_windows(
    model: Any,
    tokenizer: Any,
    windows: Sequence[Window],
    *,
    tokens_per_batch: int,
    read: Callable[[Any], tuple[Any, ...]],
) -> list[tuple[npt.NDArray[np.float32], ...]]:
    """Put all windows through the model in eval mode, those of similar length together.

    Args:
        model: An encoder with a head.
        tokenizer: Its tokenizer.
        windows: Of any number of texts.
        tokens_per_batch: Padded tokens of one forward pass.
        read: Takes the wanted tensors, each (batch, tokens, …), out of the model's output.

    Returns:
        For each window its rows of each tensor, without padding, (tokens, …), in float32.
    """
    order = sorted(range(len(windows)), key=lambda number: len(windows[number].input_ids))
    found: list[tuple[npt.NDArray[np.float32], ...]] = [()] * len(windows)
    device = next(model.parameters()).device
    with evaluating(model):
        for numbers in _batches(order, windows, tokens_per_batch):
            batch = padded_batch([windows[number] for number in numbers], tokenizer)
            outputs = read(model(**{name: tensor.to(device) for name, tensor in batch.items()}))
            arrays = [tensor.float().cpu().numpy() for tensor in outputs]
            for row, number in enumerate(numbers):
                found[number] = tuple(array[row, : len(windows[number].input_ids)] for array in arrays)
    return found


def _batches(order: Sequence[int], windows: Sequence[Window], tokens_per_batch: int) -> list[list[int]]:
    """Cut windows, sorted by length, into batches of at most so many padded tokens."""
    batches: list[list[int]] = []
    for number in order:
        length = len(windows[number].input_ids)
        if batches and (len(batches[-1]) + 1) * length <= tokens_per_batch:
            batches[-1].append(number)
        else:
            batches.append([number])
    return batches
