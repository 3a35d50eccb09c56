"""The log: one JSON object a line on standard output, written by a thread of its own.

Whoever reads the log may stand still: then lines are dropped, counted, and the count is told in the next line that
gets through; no request waits for it.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

#: Lines that may wait to be written.
_MOST_WAITING = 10_000
#: Seconds after which the lines of requests are written, all together.
_PAUSE = 0.1
#: Warnings of different forms that are kept in mind; a form may hold what should have been an argument of it.
_MOST_FORMS = 1_000


class JsonLog:
    """Writes events.

    Args:
        sink: Gets whole lines, several at once when many come; standard output if not given.
        texts: Whether lines may hold texts of requests.
    """

    def __init__(self, sink: Callable[[str], None] | None = None, *, texts: bool = False) -> None:
        self.texts = texts
        self._sink = _standard_output() if sink is None else sink
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="nlpladder-log", daemon=True)
        self._thread.start()

    def write(self, event: str, *, level: str = "info", **fields: Any) -> None:
        """Write an event; fields that are None or empty are left out.

        Args:
            event: What happened: ``request``, ``listening``, ``ready``, …
            level: ``info``, ``warning`` or ``error``.
            **fields: Numbers, texts, lists, mappings.
        """
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "event": event,
        }
        line.update((name, value) for name, value in fields.items() if value is not None and value != "")
        if self._dropped:
            line["lines_dropped"] = self._dropped
        if len(self._lines) >= _MOST_WAITING:
            self._dropped += 1
            return
        self._dropped = 0
        self._lines.append(json.dumps(line, ensure_ascii=True, default=str))
        if event != "request":  # waking the thread for each request would cost more than its line
            self._wake.set()

    def failure(self, event: str, error: BaseException, **fields: Any) -> None:
        """Write that something failed which should not: its type and where, not its words, which may hold a text."""
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
        said = str(error) if self.texts else None
        self.write(event, level="error", error=type(error).__name__, said=said, where=where, **fields)

    def close(self, seconds: float = 2.0) -> None:
        """Write what waits, as long as somebody reads it; further lines are lost."""
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        last = False
        while not last:
            self._wake.wait(_PAUSE)
            self._wake.clear()
            last = self._closing  # read first: what was written before the end is still taken
            waiting = len(self._lines)
            if waiting:
                text = "".join(self._lines.popleft() + "\n" for _ in range(waiting))
                # Nobody may read it any more; serving goes on.
                with contextlib.suppress(OSError, ValueError):
                    self._sink(text)


def _standard_output() -> Callable[[str], None]:
    """Return what writes to standard output past ``sys.stdout``.

    A thread that stands still inside ``sys.stdout`` holds its lock, and Python aborts when it ends meanwhile.
    """
    sys.stdout.flush()
    raw = io.FileIO(os.dup(sys.stdout.fileno()), "w")

    def write(text: str) -> None:
        left = memoryview(text.encode())
        while left:
            left = left[raw.write(left) or 0 :]

    return write


class LogHandler(logging.Handler):
    """Hands what other packages log to the log: uvicorn's warnings stand there in the same form."""

    def __init__(self, log: JsonLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record: its sentence; of an exception only its type and where."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._log.failure("server_error", error, logger=record.name)
        else:
            level = "error" if record.levelno >= logging.ERROR else "warning"
            self._log.write("server", level=level, logger=record.name, message=record.getMessage())


class ToldOnce(logging.Filter):
    """Lets each warning of a library through once, whatever numbers stand in it.

    What depends on the request, such as a prompt that loses its beginning, is told by its answer and by its line in the
    server's log; a line of the model's own for each of them would bury the rest.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: set[tuple[str, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is the first of its form."""
        form = (record.name, str(record.msg))
        first = form not in self._told
        if len(self._told) < _MOST_FORMS:
            self._told.add(form)
        return first


def log_to_stderr(model: str) -> None:
    """In a worker: write warnings of all packages to standard error, each form once, behind the name of its model.

    Args:
        model: Its name.
    """
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(model.replace("%", "%%") + ": %(message)s"))
    handler.addFilter(ToldOnce())
    logging.getLogger().addHandler(handler)
