"""Where an alarm goes besides the log of the server: a JSON post to a webhook."""

from __future__ import annotations

import json
import logging
import queue
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from nlpladder.drift.monitor import DriftEvent
from nlpladder.errors import ConfigError

logger = logging.getLogger(__name__)

#: Seconds for one try.
TIMEOUT = 5.0
#: Seconds before the second, third and fourth try.
WAITS = (1.0, 4.0, 16.0)
#: Events that may wait; the alarm changes at most once in several windows.
_QUEUE = 64
#: Answers that another try may change.
_AGAIN = (408, 425, 429)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A webhook that points elsewhere is an error: events go to the address that was given, and to no other host."""

    def redirect_request(self, *arguments: Any) -> None:
        """Follow none."""


class Webhook:
    """Posts events to an address, in a thread of its own: whoever raises the alarm does not wait.

    The body is `DriftEvent.to_dict` in JSON: numbers and names of classes, no texts. Each try has 5 seconds; where it
    fails, or the answer says that another try may help (408, 425, 429, 5xx), there are three more, after 1, 4 and 16
    seconds. Redirects are not followed. What could not be delivered is logged.

    Args:
        url: An http or https address.
        timeout: Seconds for one try.
        waits: Seconds before each further try.

    Raises:
        ConfigError: The address is none.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, waits: tuple[float, ...] = WAITS) -> None:
        self._url, self._timeout, self._waits = url, timeout, waits
        self._host = _host_of(url)
        self._events: queue.Queue[DriftEvent | None] = queue.Queue(_QUEUE)
        self._closed = threading.Event()
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._thread = threading.Thread(target=self._run, name="drift webhook", daemon=True)
        self._thread.start()

    def __call__(self, event: DriftEvent) -> None:
        """Take an event to be posted; returns at once."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            logger.error("%d drift events wait for %s already; this one is left out.", _QUEUE, self._host)

    def close(self, seconds: float = TIMEOUT) -> bool:
        """Try what waits once more, without pauses, and end the thread; tell whether it ended in time.

        Args:
            seconds: Waited for at most.
        """
        self._closed.set()
        try:
            self._events.put_nowait(None)
        except queue.Full:
            return False
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                self._deliver(event)
            except Exception:  # a thread that died would lose all later events unseen
                logger.exception("A drift event was not delivered to %s.", self._host)

    def _deliver(self, event: DriftEvent) -> None:
        body = json.dumps(event.to_dict(), allow_nan=False).encode()
        problem = ""
        for wait in (0.0, *self._waits):
            if wait and self._closed.wait(wait):
                break
            problem, again = self._post(body)
            if not problem:
                return
            if not again:
                break
        # The path and query of a webhook are often a secret.
        logger.error("The drift event %s of %s was not delivered to %s: %s.", event.change, event.model, self._host,
                     problem)  # fmt: skip

    def _post(self, body: bytes) -> tuple[str, bool]:
        """Return what went wrong, empty if nothing did, and whether another try makes sense."""
        request = urllib.request.Request(
            self._url, data=body, method="POST",
            headers={"Content-Type": "application/json", "User-Agent": "nlpladder"},
        )  # fmt: skip
        try:
            with self._opener.open(request, timeout=self._timeout):
                return "", False
        except urllib.error.HTTPError as error:
            with error:
                if 300 <= error.code < 400:
                    return f"it answered {error.code}, a redirect, and redirects are not followed", False
                return f"it answered {error.code}", error.code >= 500 or error.code in _AGAIN
        except (OSError, ValueError) as error:  # no connection, no answer in time, a broken one
            return f"{type(error).__name__} ({getattr(error, 'reason', error)})", True


def _host_of(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"The webhook is no address ({error}); expected https://host/path.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("The webhook is no http or https address; expected https://host/path.")
    if parts.username or parts.password:
        raise ConfigError("The webhook holds a user name or password; put a key into its path or query instead.")
    return parts.hostname if port is None else f"{parts.hostname}:{port}"
