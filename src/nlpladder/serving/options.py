"""How models are served: where, within which limits, and how it is watched."""

from __future__ import annotations

from dataclasses import dataclass

from nlpladder.config import option


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """How models are run: processes, threads, batches, queues."""

    workers: int = option(1, help="processes a model; each holds the model once")
    threads: int | None = option(None, help="threads a process; none: the cores shared between all processes")
    max_batch_items: int = option(32, help="texts of one forward pass at most; 1 switches batching off")
    batch_wait_ms: float = option(2.0, help="milliseconds that the first text of a batch waits for others")
    queue_size: int = option(256, help="texts that may wait for a model; beyond them requests get 429")
    max_streams: int = option(8, help="generations that one process writes at the same time, in turns")
    request_timeout: float = option(30.0, help="seconds until a request without an answer gets 504")
    local_files_only: bool = option(False, help="never ask the Hub: models are folders, or were fetched before")


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """How much one request may ask for."""

    max_texts: int = option(64, help="texts of one request")
    max_characters: int = option(
        20_000, help="characters of one text; longer ones are refused, or cut where the request says so"
    )
    max_body_kb: int = option(2_048, help="kilobytes of one request's body")
    max_new_tokens: int = option(512, help="tokens that one generation may write")
    max_beams: int = option(8, help="beams of one translation")


@dataclass(frozen=True, kw_only=True)
class ServeOptions(PoolOptions, LimitOptions):
    """All options of ``python -m nlpladder serve``."""

    models: list[str] = option([], help="run folders or Hub ids, also as name=folder")
    host: str = option(
        "127.0.0.1", help="address to listen on; others than loopback want --api_keys or --without_keys true"
    )
    port: int = option(8000, help="port to listen on; 0 takes a free one and prints it")
    api_keys: str | None = option(None, help="a file with one key a line, name:key; without it nobody is asked for one")
    without_keys: bool = option(False, help="listen on a public address although anybody may then ask")
    grace_seconds: float = option(8.0, help="seconds that SIGTERM leaves for the requests that were accepted")
    max_connections: int = option(512, help="connections that may be open; further ones get 503 and are closed")
    log_texts: bool = option(False, help="write the texts of requests into the log; never done unless asked for")
    drift: bool = option(True, help="compare traffic with the profile that training saved, where there is one")
    drift_window: int = option(250, help="texts of one window of traffic, at least 50")
    drift_alarm_after: int = option(2, help="windows in a row that differ before the alarm is raised")
    drift_calm_after: int = option(3, help="windows in a row that do not differ before it is taken back")
    drift_webhook: str | None = option(
        None, help="an http(s) address that gets a JSON post when the alarm is raised or taken back"
    )
