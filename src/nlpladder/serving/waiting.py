"""What waits for an answer: the texts of a request, and texts that are to be written."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlpladder.serving.batching import Ticket
from nlpladder.serving.channel import StreamEnded
from nlpladder.serving.jobs import DeadlineError, Item, ItemResult, Piece, ServingError, ServingTask
from nlpladder.serving.processes import WorkerProcess


class Request:
    """The texts of one request, and the results that are there.

    Args:
        task: What is asked.
        items: The texts.
        parameters: Of the task.
        truncate: Whether texts that are too long may be cut.
        deadline: From when on nobody waits for the results, in seconds of ``time.monotonic``.
    """

    def __init__(
        self,
        task: ServingTask,
        items: Sequence[Item],
        parameters: Mapping[str, Any],
        *,
        truncate: bool,
        deadline: float,
    ) -> None:
        self.task = task
        self.items = items
        self.parameters = parameters
        self.truncate = truncate
        self.deadline = deadline
        #: Texts whose requests have the same key may share a forward pass.
        self.key = (task, truncate, json.dumps(dict(parameters), sort_keys=True, default=repr))
        self.results: list[ItemResult | None] = [None] * len(items)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing = len(items)

    def answer(self, index: int, result: ItemResult) -> None:
        """Keep the result of one text."""
        self.results[index] = result
        self._missing -= 1
        if not self._missing and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: ServingError) -> None:
        """End the waiting: there will be no results."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(eq=False)
class Writing:
    """A text that is to be written, or is being written.

    Attributes:
        item: The prompt.
        parameters: Of the generation.
        truncate: Whether a prompt that is too long may be cut.
        deadline: From when on nobody waits for it, in seconds of ``time.monotonic``.
        on_piece: Gets each piece.
        on_end: Gets how it ended, behind the last piece, or why there is none.
        whole: Whether there is one piece only, with the whole text.
    """

    item: Item
    parameters: Mapping[str, Any]
    truncate: bool
    deadline: float
    on_piece: Callable[[Piece], None]
    on_end: Callable[[StreamEnded | ServingError], None]
    whole: bool = False
    ticket: Ticket[Writing] | None = None
    worker: WorkerProcess | None = None
    number: int = -1
    waited: float = 0.0


def writing_of(request: Request, index: int, item: Item) -> Writing:
    """Return the writing whose end is the result of one prompt of a request."""
    pieces: list[Piece] = []

    def end(ended: StreamEnded | ServingError) -> None:
        if isinstance(ended, ServingError):
            request.fail(ended)
        elif ended.error is not None:
            request.answer(index, ItemResult(None, ended.error))
        else:
            last = pieces[-1]
            value = {
                "text": last.text, "tokens": last.tokens, "prompt_tokens": last.prompt_tokens, "reason": last.reason,
            }  # fmt: skip
            request.answer(index, ItemResult(value, truncated=ended.truncated, tokens=ended.tokens))

    return Writing(item, request.parameters, request.truncate, request.deadline, pieces.append, end, whole=True)


def monotonic(deadline: float) -> float:
    """Return a time of the event loop's clock as one of ``time.monotonic``: uvloop's counts whole milliseconds."""
    return time.monotonic() + deadline - asyncio.get_running_loop().time()


def too_late() -> DeadlineError:
    """Return what is told to those whose time ran out."""
    return DeadlineError("There was no answer in time. Send less at once, or try again later.", retry_after=1)
