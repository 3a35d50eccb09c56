"""The front's end of one worker process: it is started, spoken to, and buried.

The worker is a program of its own, not a fork, and no copy of the front: it imports what its model needs and nothing
else. It inherits one end of a socket pair. The front reads and writes the other end without ever blocking, and learns
of the death of a worker from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from nlpladder.serving.channel import AnswerBatch, OpenModel, StartStream, StopStream, Unpacker, packed

#: A worker that was told to end and has not is killed after so many seconds.
_SECONDS_TO_END = 2.0


class WorkerProcess(asyncio.Protocol):
    """A worker.

    Args:
        on_message: Gets the worker and each message from it.
        on_lost: Gets the worker when its socket is closed, whoever closed it.
    """

    def __init__(
        self, on_message: Callable[[WorkerProcess, Any], None], on_lost: Callable[[WorkerProcess], None]
    ) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._unpacker = Unpacker()
        self._transport: asyncio.WriteTransport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.is_open = False
        #: The batch that it is working on.
        self.batch: AnswerBatch | None = None
        #: Streams that it is writing.
        self.streams: set[int] = set()
        #: When the one died whose place it takes, by ``time.monotonic``; None for the first one.
        self.lost_at: float | None = None
        self._kill_reason = ""

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return None if self._process is None else self._process.pid

    async def start(self, message: OpenModel) -> None:
        """Start the process and let it open its model.

        Args:
            message: Which model.
        """
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            self._process = subprocess.Popen(
                # -P: a file in the folder where the server was started is no module of the worker.
                [sys.executable, "-P", "-m", "nlpladder.serving.worker", str(theirs.fileno()), message.name],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # standard output is for the server's log: what a library prints goes to standard error
                env=_environment(),
                process_group=0,  # what is typed in a terminal goes to the front alone
            )
            ours.setblocking(False)
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
            undo.pop_all()
        self.send(message)

    def send(self, message: AnswerBatch | StartStream | StopStream | OpenModel) -> None:
        """Send a message; one to a worker that has died goes nowhere."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packed(message))

    def kill(self, reason: str = "") -> None:
        """End the process at once.

        Args:
            reason: Why, for `ending`.
        """
        if self._process is not None and self._process.returncode is None:
            self._kill_reason = self._kill_reason or reason
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def ending(self) -> str:
        """Return how the process ended, once it has: a signal, an exit code, or why it was killed from here."""
        code = None if self._process is None else self._process.returncode
        if self._kill_reason:
            return self._kill_reason
        if code is None:
            return "it could not be started"
        if code >= 0:
            return f"it ended by itself with exit code {code}"
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        return f"it was ended by {name}" + (", perhaps for lack of memory" if name == "SIGKILL" else "")

    async def end(self) -> None:
        """Close the socket, upon which the worker ends, and wait until it has; it is killed if need be."""
        if self._transport is not None:
            self._transport.close()
        await self.buried(_SECONDS_TO_END)

    async def buried(self, seconds: float) -> None:
        """Wait until the process has ended; it is killed after some seconds.

        Args:
            seconds: For which it may go on.
        """
        process = self._process
        if process is None:
            return
        loop = asyncio.get_running_loop()
        killing = loop.call_later(seconds, self.kill, "it stood still after it had closed its socket")
        try:
            # In a thread: asyncio's own watchers of children want the main thread, or signals.
            await loop.run_in_executor(None, process.wait)
        finally:
            killing.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio calls this."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand on the messages that are whole; asyncio calls this."""
        for message in self._unpacker.feed(data):
            self._on_message(self, message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that there is nobody any more; asyncio calls this."""
        self.is_open = False
        self._on_lost(self)


def _environment() -> dict[str, str]:
    """Return the environment of a worker: it finds this very package, wherever that was imported from."""
    package_root = str(Path(__file__).parents[2])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": package_root if not before else package_root + os.pathsep + before}


def cores() -> float:
    """Return how many cores this process may use: those of the machine, or of its container."""
    available = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with contextlib.suppress(OSError, ValueError):  # no control groups of version 2, or no limit ("max")
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        available = min(available, int(quota) / int(period))
    return max(1.0, available)
