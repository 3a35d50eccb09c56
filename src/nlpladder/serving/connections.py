"""Limits that belong to connections, before there is a request: their number, the size of a head, time for a head.

uvicorn's own protocol has none of the three, and says what it refuses as plain text; here it is said in the one shape
of errors.
"""

from __future__ import annotations

import asyncio
import uuid
from asyncio.events import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nlpladder.serving.problems import Problem, error_body, to_json

#: Bytes of the request line and all headers.
MOST_HEAD_BYTES = 32 * 1024
#: Headers of one request.
MOST_HEADERS = 100
#: Seconds from the first byte of a head to its end, and from the connection to its first head.
HEAD_SECONDS = 20.0

_REASONS = {
    400: ("bad_request", "This is no HTTP/1.1 request.", "Bad Request"),
    431: (
        "head_too_large",
        f"The head has more than {MOST_HEAD_BYTES} bytes, or more than {MOST_HEADERS} headers.",
        "Request Header Fields Too Large",
    ),
    503: ("too_many_connections", "Too many connections are open. Close those that are idle.", "Service Unavailable"),
}


class LimitedProtocol(HttpToolsProtocol):
    """Speaks HTTP/1.1 on one connection, within limits.

    Attributes:
        most_connections: That may be open at the same time; set on a subclass, see `limited_protocol`.
    """

    most_connections = 1024

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None
        self._refusal = 400

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and give it some time for its first head."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._refuse(503)
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read some bytes; those behind a refusal are not looked at."""
        if not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._head_bytes = 0
        self._await_head()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value))
        if len(self.headers) >= MOST_HEADERS:
            self._refusal = 431
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End a head; the request begins."""
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or too large a one."""
        self._refuse(self._refusal)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refusal = 431
            raise ValueError("head too large")

    def _await_head(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        # While an answer is still being written, a late head of the next request only loses itself.
        if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()

    def _refuse(self, status: int) -> None:
        code, message, phrase = _REASONS[status]
        body = to_json(error_body([Problem(code, message)], uuid.uuid4().hex[:16]))
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def limited_protocol(most_connections: int) -> type[LimitedProtocol]:
    """Return the protocol of a server.

    Args:
        most_connections: That may be open at the same time.
    """
    return type("LimitedProtocol", (LimitedProtocol,), {"most_connections": most_connections})
