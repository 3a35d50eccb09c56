"""A server that the check starts, watches, hurts and always ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from nlpladder.errors import RunError
from serving_checks.client import Client

#: Seconds between two looks at something that is waited for.
LOOK = 0.02
ADDRESS = re.compile(r"127\.0\.0\.1:([1-9]\d*)")


def serve_command(models: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """Return the command that serves models on a free port of this machine.

    Args:
        models: Folders, Hub ids or name=folder.
        settings: Options of ``nlpladder serve``.
    """
    options = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    return [sys.executable, "-m", "nlpladder", "serve", *models, "--port", "0", *options]


class Server:
    """A server in processes of its own. A context manager: nothing of it runs on afterwards, whatever happened.

    Args:
        command: That starts it; it prints its address, or a JSON line with its ``port``.
        log: File for what it prints.

    Attributes:
        started: When it was started (`time.perf_counter`).
        process: The front.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        self._known: dict[int, psutil.Process] = {}
        self._url = ""
        self.started = time.perf_counter()
        with log.open("ab") as output:
            self._begin = log.stat().st_size
            # A session of its own: Ctrl-C at the keyboard ends the check, which then ends the server.
            self.process = subprocess.Popen(
                list(command), stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it listens.

        Raises:
            RunError: It has not said so yet.
        """
        if not self._url:
            raise RunError("The server has not said where it listens.")
        return self._url

    def wait_listening(self, seconds: float = 120.0) -> float:
        """Wait for the line that tells the port; return the seconds since the start.

        Raises:
            RunError: The server ended, or said nothing in time.
        """
        while not self._url:
            self._check_alive(seconds, "said where it listens")
            port = port_in(self.output())
            if port is not None:
                self._url = f"http://127.0.0.1:{port}"
            else:
                time.sleep(LOOK)
        return time.perf_counter() - self.started

    def wait_ready(self, seconds: float = 180.0) -> float:
        """Wait until /ready answers 200; return the seconds since the start.

        Raises:
            RunError: The server ended, was not ready in time, or answers with anything but 200 and 503.
        """
        self.wait_listening(seconds)
        with Client(self.url, timeout=5.0) as client:
            while (status := client.ask("GET", "/ready").status) != 200:
                self._check_alive(seconds, "was ready")
                if status not in (0, 503):
                    raise RunError(f"The server answers /ready with {status}. It said:\n{self._tail()}")
                time.sleep(LOOK)
        self.processes()
        return time.perf_counter() - self.started

    def _check_alive(self, seconds: float, what: str) -> None:
        code = self.process.poll()
        if code is not None:
            raise RunError(f"The server ended with code {code} before it {what}. It said:\n{self._tail()}")
        if time.perf_counter() - self.started > seconds:
            raise RunError(f"{seconds:g} seconds passed before the server {what}. It said:\n{self._tail()}")

    def _tail(self) -> str:
        return "\n".join(line[:300] for line in self.output().splitlines()[-8:])

    def output(self) -> str:
        """Return what it has printed."""
        with self.log.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode("utf-8", "replace")

    def processes(self) -> list[psutil.Process]:
        """Return the front and what it started, as far as they run."""
        try:
            front = psutil.Process(self.process.pid)
            found = [front, *front.children(recursive=True)]
        except psutil.NoSuchProcess:
            found = []
        self._known.update({each.pid: each for each in found if each.pid != self.process.pid})
        return found

    def workers(self) -> list[psutil.Process]:
        """Return the processes that hold models, oldest first: children of the front, but not multiprocessing's own."""
        found = []
        for each in self.processes()[1:]:
            try:
                if "resource_tracker" not in " ".join(each.cmdline()) and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each)
            except psutil.NoSuchProcess:
                continue
        return sorted(found, key=lambda each: each.create_time())

    def resident(self) -> dict[str, int]:
        """Return the bytes of memory of the front and of all that it started."""
        sizes = []
        for each in self.processes():
            try:
                sizes.append((each.pid, each.memory_info().rss))
            except psutil.NoSuchProcess:
                continue
        return {
            "front": sum(size for pid, size in sizes if pid == self.process.pid),
            "workers": sum(size for pid, size in sizes if pid != self.process.pid),
        }

    def left_over(self) -> list[psutil.Process]:
        """Return what once belonged to the server and still runs; the front excluded."""
        return [each for each in self._known.values() if is_running(each)]

    def signal(self, number: signal.Signals) -> float:
        """Send a signal to the front and return the moment just before."""
        self.processes()
        moment = time.perf_counter()
        os.kill(self.process.pid, number)
        return moment

    def wait(self, seconds: float) -> int | None:
        """Return the exit code of the front, None where it still runs after `seconds`."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def close(self, seconds: float = 15.0) -> None:
        """End everything: kindly at first, then by force."""
        self.processes()
        if self.process.poll() is None:
            self.process.terminate()
            if self.wait(seconds) is None:
                self.processes()
                self.process.kill()
                self.process.wait()
        for each in self.left_over():
            try:
                each.kill()
                each.wait(5)
            except psutil.Error:
                continue


def is_running(process: psutil.Process) -> bool:
    """Return whether a process runs and is not only waiting for its parent to look at its exit code.

    Args:
        process: Told apart from a later one with the same number by its time of creation.
    """
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def port_in(output: str) -> int | None:
    """Return the port that a server says it listens on, None where it has not yet.

    Args:
        output: What it printed: lines of JSON with a ``port``, or an address in words.
    """
    for line in output.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if isinstance(said, dict) and isinstance(said.get("port"), int) and said["port"] > 0:
            return int(said["port"])
        if found := ADDRESS.search(line):
            return int(found.group(1))
    return None


class Listening:
    """A server that somebody else started; it is found by its port and never signalled.

    Args:
        url: Where it listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def resident(self) -> dict[str, int]:
        """Return the bytes of memory of the front and of all that it started.

        Raises:
            RunError: No process of this machine that we may look at listens there.
        """
        port = int(self.url.rstrip("/").rsplit(":", 1)[-1])
        for process in psutil.process_iter():
            try:
                listens = any(
                    each.status == psutil.CONN_LISTEN and each.laddr.port == port
                    for each in process.net_connections("tcp")
                )
                if listens:
                    children = sum(child.memory_info().rss for child in process.children(recursive=True))
                    return {"front": process.memory_info().rss, "workers": children}
            except psutil.Error:
                continue
        raise RunError(f"No process of this machine that may be looked at listens on port {port}.")
