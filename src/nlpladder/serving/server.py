"""A server from its options to its end: models opened, port bound, requests answered, SIGTERM obeyed.

On SIGTERM or SIGINT ``/ready`` says 503 and every answer closes its connection; for a moment requests that were already
on their way are still taken; then nothing new is, what was accepted is answered, the workers end, and so does the
process, with exit code 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from nlpladder.config import options_of
from nlpladder.errors import ConfigError, LadderError, RunError
from nlpladder.serving.app import create_app
from nlpladder.serving.connections import limited_protocol
from nlpladder.serving.keys import ApiKeys, check_exposure, read_keys
from nlpladder.serving.logs import JsonLog, LogHandler
from nlpladder.serving.metrics import ServerMetrics
from nlpladder.serving.options import PoolOptions, ServeOptions
from nlpladder.serving.pool import ModelPool
from nlpladder.serving.requests import ServerState
from nlpladder.serving.watching import DriftWatch, open_watch

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
#: How the folder of one run is called within that of its rung.
_SEED = re.compile(r"seed-\d+")
#: Seconds after the signal in which requests that were on their way are still taken, with answers that close their
#: connections: a client with a request behind its answer would otherwise lose it.
LINGER_SECONDS = 0.4
#: Seconds for which a connection without a request is kept.
_KEEP_ALIVE_SECONDS = 60
#: Connections that the system may hold before the server takes them.
_BACKLOG = 512


def named_models(given: Sequence[str]) -> dict[str, str]:
    """Return name to folder or Hub id.

    Args:
        given: Folders, Hub ids, or ``name=folder``. Without a name it is the last part of the path or id; of a run
            folder ``…/RUNG/seed-N`` it is ``RUNG``, or ``RUNG-seed-N`` where there is another one of that name.

    Raises:
        ConfigError: None is given, two have the same name, or a name has characters that names have not.
    """
    if not given:
        raise ConfigError("Name at least one model: python -m nlpladder serve RUN (a run folder, or a Hub id).")
    found = [_named(one) for one in given]
    often = Counter(names[0] for names, _ in found)
    models: dict[str, str] = {}
    for names, place in found:
        name = names[-1] if often[names[0]] > 1 else names[0]
        if name in models:
            raise ConfigError(f"Two models are called {name!r}: give one another name, such as {name}-2={place}.")
        models[name] = place
    return models


def _named(one: str) -> tuple[tuple[str, ...], str]:
    """Return the names that a model may have, the preferred one first, and its place."""
    name, equals, place = one.partition("=")
    names: tuple[str, ...] = (name,)
    if not equals or (Path(one).exists() and not Path(place).exists()):
        place = one
        names = _names_of(Path(one).resolve()) if Path(one).exists() else (one.rstrip("/").rpartition("/")[2],)
    elif not name:
        raise ConfigError(f"No name stands before the = of {one!r}: give name=folder, or the folder alone.")
    if not place:
        raise ConfigError(f"{one!r} names no model: give name=folder, or name=user/name of a Hub model.")
    for wrong in (name for name in names if _MODEL_NAME.fullmatch(name) is None):
        raise ConfigError(
            f"{wrong!r} cannot be the name of a model: take letters, digits, dots, dashes, underscores and slashes, a "
            "letter or digit first. Give it another one: name=folder."
        )
    return names, place


def _names_of(folder: Path) -> tuple[str, ...]:
    rung = folder.parent.name
    return (rung, f"{rung}-{folder.name}") if rung and _SEED.fullmatch(folder.name) else (folder.name,)


def serve(options: ServeOptions, *, log: JsonLog | None = None) -> None:
    """Serve until a signal ends it.

    Args:
        options: Which models, where, within which limits.
        log: Standard output if not given.

    Raises:
        ConfigError: The options contradict each other, or an API key file is not as it should be.
        RunError: A model cannot be opened, or the address cannot be listened on.
    """
    models = named_models(options.models)
    keys = None if options.api_keys is None else read_keys(options.api_keys)
    check_exposure(options.host, has_keys=keys is not None, without_keys=options.without_keys)
    check_ranges(options)
    if options.drift_webhook is not None and not options.drift:
        raise ConfigError("--drift_webhook gets events only where traffic is watched: leave --drift at true.")
    log = log or JsonLog(texts=options.log_texts)
    handler = LogHandler(log)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(models, options, keys, log))
    finally:
        root.removeHandler(handler)
        log.close()


async def _serve(models: Mapping[str, str], options: ServeOptions, keys: ApiKeys | None, log: JsonLog) -> None:
    metrics, state = ServerMetrics(), ServerState()

    def on_restart(model: str, reason: str) -> None:
        metrics.on_restart(model)
        log.write("worker_restart", level="warning", model=model, reason=reason)

    def on_back(model: str, seconds: float) -> None:
        log.write("worker_back", model=model, seconds=round(seconds, 3))

    pool = ModelPool(
        models, PoolOptions(**options_of(options, PoolOptions)), on_batch=metrics.on_batch, on_restart=on_restart,
        on_back=on_back,
    )  # fmt: skip
    watch = open_watch(models, options, log) if options.drift else None
    app = create_app(pool, options, log=log, metrics=metrics, state=state, keys=keys, watch=watch)
    server = GracefulServer(app, pool, options, state, log=log)
    opening = None
    try:
        with server.capture_signals():
            await pool.start()
            app.openapi()  # while the processes start: made on demand, it would hold up the requests of that moment
            with contextlib.closing(bind(options.host, options.port)) as listener:
                listener.listen(_BACKLOG)  # whoever reads the line in the log is not refused
                host, port = listener.getsockname()[:2]
                url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
                log.write("listening", host=host, port=port, url=url, models=dict(models), keys=len(keys or ()) or None)
                opening = asyncio.ensure_future(_open(pool, server, models, watch, log))
                await server.serve(sockets=[listener])
                opening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await opening  # raises the sentence of a model that cannot be opened
    except LadderError as error:
        # Where the caller's sentence follows on the same terminal, it need not stand there twice.
        log.write("failed", level="error", message=None if _on_one_terminal() else str(error))
        raise
    finally:
        if server.finished is None:
            await pool.drain(0.0)
        if watch is not None:
            watch.close()
        level = "warning" if server.finished is False else "info"
        log.write("stopped", level=level, finished=server.finished)


async def _open(
    pool: ModelPool, server: GracefulServer, models: Mapping[str, str], watch: DriftWatch | None, log: JsonLog
) -> None:
    """Wait until the models are open; a model that cannot be opened at the start ends the server."""
    try:
        await pool.wait_ready()
    except LadderError:
        server.should_exit = True
        raise
    if server.should_exit:  # the end came first: there is nothing that could answer
        return
    if watch is not None:
        watch.add_cached(models)
    infos = pool.infos()
    log.write(
        "ready", models={name: round(info.seconds_to_open, 3) for name, info in infos.items()},
        watched=None if watch is None else sorted(watch.monitors),
    )  # fmt: skip
    # What was made until now stays: the collector need not look at it again with every request.
    gc.collect()
    gc.freeze()


class GracefulServer(uvicorn.Server):
    """uvicorn, ended in order.

    uvicorn by itself closes idle connections at once, on which requests may be under way, cancels what takes too long
    without an answer, and dies of the signal instead of exiting with 0.

    Args:
        app: What answers.
        pool: Is drained before the end.
        options: Address, limits, times.
        state: Is told when the end begins.
        log: Gets a line when the end begins.

    Attributes:
        finished: Whether everything that was accepted was answered; None before the end.
    """

    def __init__(
        self, app: FastAPI, pool: ModelPool, options: ServeOptions, state: ServerState, *, log: JsonLog | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app, http=limited_protocol(options.max_connections), ws="none", lifespan="off", log_config=None,
                access_log=False, server_header=False, proxy_headers=False, backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                # The pool gives every request an answer within the time of grace; this only bounds how long it takes.
                timeout_graceful_shutdown=int(options.grace_seconds) + 1,
            )
        )  # fmt: skip
        self.finished: bool | None = None
        self._pool = pool
        self._grace_seconds = options.grace_seconds
        self._state = state
        self._log = log
        self._signal: int | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take what is under way, refuse what is new, answer what was accepted."""
        self._state.stopping = True
        if self._log is not None and self._signal is not None:
            self._log.write(
                "stopping", signal=signal.Signals(self._signal).name, in_flight=self._state.in_flight,
                grace_seconds=self._grace_seconds,
            )  # fmt: skip
        if not self.force_exit:
            await asyncio.sleep(LINGER_SECONDS)
        draining = asyncio.ensure_future(self._pool.drain(0.0 if self.force_exit else self._grace_seconds))
        await super().shutdown(sockets)
        if self.force_exit and not draining.done():
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
            draining = asyncio.ensure_future(self._pool.drain(0.0))
        self.finished = await draining

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the end; a second signal makes it short."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._state.stopping = True
        self._signal = sig

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Obey SIGTERM and SIGINT; unlike uvicorn's, the process does not die of them at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, but does not listen yet.

    Raises:
        RunError: The address is another machine's, or the port is taken or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise RunError(f"--host {host}: there is no such address ({error.strerror or error}).") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise RunError(
            f"--host {host} --port {port} cannot be listened on ({(error.strerror or str(error)).lower()}). Take "
            "another port; --port 0 takes a free one and prints it."
        ) from None
    return listener


def _on_one_terminal() -> bool:
    return sys.stdout.isatty() and sys.stderr.isatty()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # there is none for some systems
        return asyncio.new_event_loop
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)


#: Option -> least and largest value.
_RANGES: dict[str, tuple[float, float]] = {
    "workers": (1, 256), "threads": (1, 1024), "max_batch_items": (1, 65_536), "batch_wait_ms": (0, 10_000),
    "queue_size": (1, 10_000_000), "max_streams": (1, 4096), "request_timeout": (0.01, 86_400),
    "max_texts": (1, 100_000), "max_characters": (1, 100_000_000), "max_body_kb": (1, 1_048_576),
    "max_new_tokens": (1, 1_000_000), "max_beams": (1, 1024), "port": (0, 65_535), "grace_seconds": (0, 3600),
    "max_connections": (1, 1_000_000), "drift_window": (50, 1_000_000), "drift_alarm_after": (1, 10_000),
    "drift_calm_after": (1, 10_000),
}  # fmt: skip


def check_ranges(options: ServeOptions) -> None:
    """Refuse numbers that no server can have.

    Raises:
        ConfigError: Names the option and its range.
    """
    for name, (least, most) in _RANGES.items():
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            raise ConfigError(f"--{name} is {value}, expected a number from {least:g} to {most:g}.")
