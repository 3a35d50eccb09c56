"""What goes between the front and a worker process: messages, each with its length before it, through a socket pair.

Both ends are processes of ours, started by the front: so a message is a pickled dataclass of this package.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nlpladder.serving.jobs import Item, ItemError, ItemResult, ModelInfo, Piece, ServingTask

_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class OpenModel:
    """To a worker, first of all: which model it holds.

    Attributes:
        name: By which requests ask for it.
        path: A folder or Hub id.
        threads: Of a forward pass.
        max_streams: Texts that are written at the same time.
        local_files_only: Never ask the Hub.
    """

    name: str
    path: str
    threads: int
    max_streams: int
    local_files_only: bool = False


@dataclass(frozen=True, slots=True)
class AnswerBatch:
    """To a worker: texts that share forward passes.

    Attributes:
        number: Of the batch.
        task: What is asked.
        items: The texts.
        parameters: Of the task.
        truncate: Whether a text that is too long may be cut.
    """

    number: int
    task: ServingTask
    items: tuple[Item, ...]
    parameters: Mapping[str, Any]
    truncate: bool


@dataclass(frozen=True, slots=True)
class StartStream:
    """To a worker: write a text.

    Attributes:
        number: Of the stream; none of a batch is the same.
        item: The prompt.
        parameters: Of the generation.
        truncate: Whether a prompt that is too long may lose its beginning.
        whole: Send the text once, when it is written, and not piece by piece.
    """

    number: int
    item: Item
    parameters: Mapping[str, Any]
    truncate: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class StopStream:
    """To a worker: nobody reads this stream any more."""

    number: int


@dataclass(frozen=True, slots=True)
class Opened:
    """From a worker: the model is open and warm."""

    info: ModelInfo


@dataclass(frozen=True, slots=True)
class OpenFailed:
    """From a worker, its last word: the model cannot be opened; a sentence says why."""

    message: str


@dataclass(frozen=True, slots=True)
class BatchAnswered:
    """From a worker: one result an item, in their order, and the seconds that they took."""

    number: int
    results: tuple[ItemResult, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class StreamPiece:
    """From a worker: what a stream has written since."""

    number: int
    piece: Piece


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """From a worker: a stream has ended, after its last piece, by `StopStream`, or because of an error.

    Attributes:
        number: Of the stream.
        seconds: That it took.
        tokens: That were read and written.
        error: Why there is no text; None otherwise.
        truncated: Whether the prompt lost its beginning.
    """

    number: int
    seconds: float
    tokens: int = 0
    error: ItemError | None = None
    truncated: bool = False


def packed(message: Any) -> bytes:
    """Return a message as it goes through the socket."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Puts messages together from the bytes that come, in whatever portions."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Return the messages that are whole now, in their order.

        Args:
            data: The next bytes.
        """
        self._bytes += data
        found, start = [], 0
        while len(self._bytes) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes, start)
            end = start + _LENGTH.size + length
            if len(self._bytes) < end:
                break
            found.append(pickle.loads(memoryview(self._bytes)[start + _LENGTH.size : end]))
            start = end
        if start:
            del self._bytes[:start]
        return found
