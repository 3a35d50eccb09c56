"""A text that is being written by a worker process, as its reader sees it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from nlpladder.serving.channel import StreamEnded
from nlpladder.serving.jobs import Item, Piece, RefusedItemError, ServingError
from nlpladder.serving.served_model import ServedModel
from nlpladder.serving.waiting import Writing, monotonic, too_late


class PieceStream(AsyncIterator[Piece]):
    """A text that is being written by a worker process; see `ModelPool.stream`."""

    def __init__(
        self,
        served: ServedModel,
        item: Item,
        parameters: Mapping[str, Any],
        truncate: bool,
        deadline: float,
        counted: contextlib.AbstractContextManager[None],
    ) -> None:
        self._served = served
        self._pieces: asyncio.Queue[Piece | StreamEnded | ServingError] = asyncio.Queue()
        self._writing = Writing(
            item, parameters, truncate, monotonic(deadline), self._pieces.put_nowait, self._pieces.put_nowait
        )
        served.put_writing(self._writing)
        self._closed = False
        self._counted = counted
        self._counted.__enter__()
        # Also for a stream that nobody reads and nobody closes.
        self._late = asyncio.get_running_loop().call_at(deadline, self._run_out)

    async def __anext__(self) -> Piece:
        if self._closed:
            raise StopAsyncIteration
        try:
            found = await self._pieces.get()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if isinstance(found, Piece):
            return found
        await self.aclose()
        if isinstance(found, ServingError):
            raise found
        if found.error is not None:
            raise RefusedItemError(found.error)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the writing; there are no more pieces."""
        if not self._closed:
            self._closed = True
            self._late.cancel()
            self._served.cancel_writing(self._writing)
            self._counted.__exit__(None, None, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _run_out(self) -> None:
        self._pieces.put_nowait(too_late())
        self._served.cancel_writing(self._writing)
