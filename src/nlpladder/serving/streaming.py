"""Texts that are sent while they are written: server-sent events, and what ends when the client goes away.

Events: ``token`` {"text"} for each piece, at last ``end`` {"tokens", "prompt_tokens", "reason", "truncated",
"seconds"}, or ``error`` {"code", "message"} if it cannot go on. (WHATWG HTML, section 9.2.)
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nlpladder.serving.jobs import Piece, ServingError
from nlpladder.serving.problems import ClientGoneError, to_json
from nlpladder.serving.requests import RequestContext

Answer = TypeVar("Answer")
#: Seconds beyond the deadline in which a client may still take what was written for it.
_SEND_SECONDS = 5.0


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Return what `work` gives; end it when the client goes away first.

    Args:
        receive: Of the request, whose body was read.
        work: Is cancelled when nobody waits for it any more.

    Raises:
        ClientGoneError: The connection was closed.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnection(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
        return working.result()
    finally:
        gone.cancel()
        if not working.done():
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError, ServingError, StopAsyncIteration):
                await working


async def _disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def begin_stream(pieces: AsyncIterator[Piece], request: Request) -> Piece:
    """Return the first piece, before any head of an answer is sent: what refuses the request has its own status.

    Raises:
        ServingError: The generation cannot begin.
        ClientGoneError: The client went away before it began.
    """
    try:
        return await unless_gone(request.receive, _next(pieces))
    except BaseException:
        await _close(pieces)
        raise


class EventStream(Response):
    """Sends pieces as they come; closes their source at the end, also when the client leaves or is too slow.

    Args:
        first: See `begin_stream`.
        pieces: What follows.
        context: Gets the tokens, and the code of an error.
        deadline: By the clock of the event loop; after it the source ends by itself.
        truncated: Whether the prompt had lost its beginning before the model got it.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        first: Piece,
        pieces: AsyncIterator[Piece],
        context: RequestContext,
        deadline: float,
        *,
        truncated: bool = False,
    ) -> None:
        # X-Accel-Buffering: nginx would hold the pieces back until its buffer is full.
        super().__init__(None, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first = first
        self._pieces = pieces
        self._context = context
        self._deadline = deadline
        self._truncated = truncated

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send head and events."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            # The pieces are taken by one task, so that leaving ends whatever it waits for.
            await unless_gone(receive, self._send_all(send))
        finally:
            await _close(self._pieces)

    async def _send_all(self, send: Send) -> None:
        piece, error = self._first, None
        while error is None:
            body = _event("token", {"text": piece.text}) if piece.text else b""
            if piece.last:
                break
            if body:
                await self._send(send, body, more=True)
            try:
                piece = await _next(self._pieces)
            except ServingError as failure:
                error = failure
        if error is None:
            truncated = piece.truncated or self._truncated
            self._context.tokens, self._context.prompt_tokens = piece.tokens, piece.prompt_tokens
            self._context.truncated = int(truncated)
            end = {
                "tokens": piece.tokens, "prompt_tokens": piece.prompt_tokens, "reason": piece.reason,
                "truncated": truncated, "seconds": round(time.perf_counter() - self._context.started, 6),
            }  # fmt: skip
            body += _event("end", end)
        else:
            self._context.code = error.code
            body = _event("error", {"code": error.code, "message": str(error)})
        await self._send(send, body, more=False)

    async def _send(self, send: Send, body: bytes, *, more: bool) -> None:
        try:
            async with asyncio.timeout_at(self._deadline + _SEND_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": more})
        except TimeoutError:  # the client does not read: nothing is lost that it would see
            raise ClientGoneError from None


def _event(name: str, value: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + to_json(value) + b"\n\n"


async def _next(pieces: AsyncIterator[Piece]) -> Piece:
    try:
        return await anext(pieces)
    except StopAsyncIteration:
        raise ServingError("The text ended without saying why.") from None


async def _close(pieces: AsyncIterator[Piece]) -> None:
    close = getattr(pieces, "aclose", None)  # a generator has it; an iterator need not
    if close is not None:
        await close()
