"""The body of a request: read with a limit on its size and its time, and parsed as strict JSON.

Refused in sentences, never with a failure of the server: bodies that are too large (also those that do not say how
large they are), that come too slowly, that are no JSON, no UTF-8, nested a thousand deep, or name a field twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import ClientDisconnect, Request

from nlpladder.serving.jobs import ModelUnavailableError
from nlpladder.serving.problems import ClientGoneError, Problem, ProblemError, shown_name

#: How much of a body that is too large is read and thrown away, in units of the limit, before the connection is closed:
#: a client that still sends when the connection is closed never reads why.
_DISCARDED = 4
#: Seconds for that.
_DISCARD_SECONDS = 2.0
#: Up to here every whole number has a float of its own.
_LARGEST_WHOLE = 2.0**53


class BodyReader:
    """Reads bodies; knows how many bytes it holds of all requests together.

    Args:
        max_bytes: Of one body.
        total_bytes: Of all bodies that are being read at the same time.
        seconds: Until a body must be there.
    """

    def __init__(self, max_bytes: int, *, total_bytes: int, seconds: float) -> None:
        self.max_bytes = max_bytes
        self.total_bytes = total_bytes
        self.seconds = seconds
        self.held = 0

    async def read(self, request: Request) -> bytes:
        """Return the body.

        Raises:
            ProblemError: 408, 413 or 415.
            ModelUnavailableError: Other requests fill the memory that bodies may take.
            ClientGoneError: The connection was closed before the body was there.
        """
        check_content_type(request)
        declared = request.headers.get("content-length", "")
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.seconds):
                stream = request.stream()
                if declared.isdecimal() and len(declared) < 20 and int(declared) > self.max_bytes:
                    await self._refuse(stream, int(declared))
                async for chunk in stream:
                    size += len(chunk)
                    self.held += len(chunk)
                    chunks.append(chunk)
                    if size > self.max_bytes:
                        chunks.clear()
                        await self._refuse(stream, None)
                    if self.held > self.total_bytes:
                        raise ModelUnavailableError("Too many bodies are being read at the moment.", retry_after=1)
        except TimeoutError:
            message = f"The body was not there after {self.seconds:g} seconds."
            raise ProblemError(
                408, [Problem("body_timeout", message, limit=self.seconds)], headers={"Connection": "close"}
            ) from None
        except ClientDisconnect:
            raise ClientGoneError from None
        finally:
            self.held -= size
        return b"".join(chunks)

    async def _refuse(self, stream: AsyncIterator[bytes], declared: int | None) -> None:
        try:
            async with asyncio.timeout(_DISCARD_SECONDS):
                left = _DISCARDED * self.max_bytes
                async for chunk in stream:
                    left -= len(chunk)
                    if left < 0:
                        break
        except TimeoutError:
            pass
        limit = self.max_bytes
        message = (
            f"The body has more than {limit} bytes. Send fewer texts a request, or start the server with a larger "
            "--max_body_kb."
        )
        raise ProblemError(
            413, [Problem("body_too_large", message, limit=limit, value=declared)], headers={"Connection": "close"}
        )


def check_content_type(request: Request) -> None:
    """Refuse what does not say that it is JSON in UTF-8.

    A page of another origin can make a browser post forms and plain text, but not this type: so a server on a loopback
    address is safe from them.

    Raises:
        ProblemError: 415.
    """
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json":
        message = "Send JSON, and say so: Content-Type: application/json."
        raise ProblemError(415, [Problem("unsupported_media_type", message)], headers={"Connection": "close"})
    name, _, charset = parameters.strip().lower().partition("=")
    if name.strip() == "charset" and charset.strip(" \"'") not in ("utf-8", "utf8"):
        message = "JSON is UTF-8: leave the charset away, or say charset=utf-8."
        raise ProblemError(415, [Problem("unsupported_media_type", message)], headers={"Connection": "close"})
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        message = "Compressed bodies are not read: send it without Content-Encoding."
        raise ProblemError(415, [Problem("unsupported_encoding", message)], headers={"Connection": "close"})


def parse_json(body: bytes) -> Any:
    """Return what a body says.

    Raises:
        ProblemError: 400, with line and column where there is a place.
    """
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_number
        )
    except UnicodeDecodeError as error:
        raise _invalid(f"The body is not UTF-8: the byte at {error.start} does not belong there.") from None
    except json.JSONDecodeError as error:
        what = error.msg[:1].lower() + error.msg[1:]
        raise _invalid(f"The body is no JSON: {what}, at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise _invalid("The body is nested too deeply.") from None
    except ValueError:  # Python refuses whole numbers of thousands of digits, and we NaN and Infinity
        raise _invalid("The body holds a number that JSON does not know, or one of thousands of digits.") from None


def _invalid(message: str) -> ProblemError:
    return ProblemError(400, [Problem("invalid_json", message)])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = "This field stands in its object more than once, so that one of the values would be lost."
        raise ProblemError(400, [Problem("duplicate_field", message, shown_name(twice))])
    return found


def _number(digits: str) -> float:
    """Return 3 for 3.0, too: JSON has one kind of number, and a schema's integers are those without a fraction."""
    found = float(digits)
    return int(found) if found.is_integer() and abs(found) <= _LARGEST_WHOLE else found


def _no_constant(name: str) -> Any:
    raise ValueError(name)
