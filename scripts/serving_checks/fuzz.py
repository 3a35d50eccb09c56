"""What a server does with requests that nobody should send: it refuses them, in its own words, and goes on."""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from serving_checks.client import Client, get_json
from serving_checks.hostile import CANARY, make_hostile, raw_requests
from serving_checks.judge import ALLOWED, LEAKS, Judge, Tally, Target
from serving_checks.report import Finding
from serving_checks.schema import check_schema

METHODS = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST")
RAW_TIMEOUT = 15.0


def check_fuzz(
    url: str, targets: Sequence[Target], *, examples: int, seed: int = 0, senders: int = 8, seconds: float = 600.0,
    secrets: Sequence[str] = (), log: Callable[[], str] | None = None,
) -> list[Finding]:  # fmt: skip
    """Send hostile requests to every endpoint, and then the honest questions again.

    Args:
        url: Of the server.
        targets: Its endpoints.
        examples: Requests an endpoint, of our own and of schemathesis each.
        seed: Of what is made up.
        senders: Requests at the same time.
        seconds: That one endpoint may take; what was not sent by then is told and does not count as held.
        secrets: Texts that no answer may hold.
        log: Returns what the server has printed, if it can be read.
    """
    judge = Judge(get_json(url, "/openapi.json"), secrets)
    before = [_reference(url, target) for target in targets]
    findings = []
    for number, target in enumerate(targets):
        findings.append(_own(url, target, judge, examples, seed + number, senders, seconds))
    findings.append(_raw(url, targets[0], judge))
    findings.append(_methods(url, targets, judge))
    findings += check_schema(url, targets, judge, examples, seed, seconds)
    after = [_reference(url, target) for target in targets]
    with Client(url) as client:
        alive = {path: client.ask("GET", path).status for path in ("/health", "/ready")}
    same = sum(one == other and one is not None for one, other in zip(before, after, strict=True))
    findings.append(
        Finding(
            "fuzz", "afterwards", f"/health {alive['/health']}, /ready {alive['/ready']}; {same} of {len(targets)} "
            "honest questions answered as before", "200, 200, all",
            set(alive.values()) == {200} and same == len(targets),
        )
    )  # fmt: skip
    if log is not None:
        times = log().count(CANARY)
        findings.append(Finding("fuzz", "texts in the log", f"{times} times", "never", times == 0))
    return findings


def _reference(url: str, target: Target) -> Any:
    with Client(url) as client:
        reply = client.post(target.question)
    if reply.status != 200:
        return None
    said = json.loads(reply.body)
    return {key: value for key, value in said.items() if key not in ("request_id", "seconds")}


def _own(
    url: str, target: Target, judge: Judge, examples: int, seed: int, senders: int, seconds: float
) -> Finding:  # fmt: skip
    """Send what `serving_checks.hostile` makes up, from several senders."""
    path = target.question.path
    made = iter(make_hostile(json.loads(target.question.body), examples, seed))
    tally, lock = Tally(), threading.Lock()
    end = time.perf_counter() + seconds

    def send(_: int) -> None:
        with Client(url) as client:
            while time.perf_counter() < end:
                with lock:
                    one = next(made, None)
                if one is None:
                    return
                reply = client.ask("POST", path, one.body, one.headers)
                problem = judge.problem("POST", path, reply, odd_headers=one.kind == "headers")
                if reply.status == 0 and reply.sent is None and len(one.body) > 2**16:
                    problem = ""  # refused while it was still being sent; the answer went down with the connection
                with lock:
                    tally.add(reply.status, problem, f"{one.kind}: {one.body[:120]!r} {reply.body[:80]!r}")

    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(send, range(senders)))
    sent = sum(tally.statuses.values())
    return Finding(
        "fuzz", f"{path}: our own, {sent:,} of {examples:,} requests", tally.in_words(),
        "all sent; no 5xx but declared 503, 504; no leak", not tally.problems and sent == examples,
    )  # fmt: skip


def _raw(url: str, target: Target, judge: Judge) -> Finding:
    """Send what breaks HTTP itself; an answer is not asked for, but the end of the connection is."""
    tally = Tally()
    for name, content in raw_requests(target.question.path, target.question.body):
        said, closed = exchange(url, content)
        statuses = [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", said)]
        problem = "" if closed else "the connection stays open"
        text = said.decode("utf-8", "replace")
        if any(status >= 500 and status not in ALLOWED for status in statuses):
            problem = f"status {max(statuses)}"
        elif LEAKS.search(text) or any(secret in text for secret in judge.secrets):
            problem = "a leak"
        tally.add(statuses[0] if statuses else 0, problem, name)
    asked = "refused or closed; no 5xx but 503, 504; no leak"
    return Finding(
        "fuzz", f"broken HTTP, {sum(tally.statuses.values())} requests", tally.in_words(), asked, not tally.problems
    )


def exchange(url: str, content: bytes, *, timeout: float = RAW_TIMEOUT) -> tuple[bytes, bool]:
    """Send bytes, close the writing end, and return what came and whether the server closed its end.

    Args:
        url: Of the server.
        content: As it is sent.
        timeout: Seconds of silence after which we close.
    """
    parts = urllib.parse.urlsplit(url)
    said = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=timeout) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed by the server before all was sent; what it said may still be there
        try:
            while part := connection.recv(2**16):
                said += part
        except TimeoutError:
            return said, False
        except OSError:
            pass
    return said, True


def _methods(url: str, targets: Sequence[Target], judge: Judge) -> Finding:
    """Ask with methods that an endpoint has not, and for paths that there are not."""
    tally = Tally()
    paths = [target.question.path for target in targets] + [
        "/health",
        "/models",
        "/metrics",
        "/nowhere",
        "//",
        "/docs/x",
    ]
    with Client(url) as client:
        for path, method in itertools.product(paths, METHODS):
            reply = client.ask(method, path)
            operation = judge.paths.get(path, {})
            problem = judge.problem(method, path, reply)
            if not problem and operation and method.lower() not in operation and method not in ("HEAD", "OPTIONS"):
                problem = "" if reply.status == 405 else f"status {reply.status} where 405 is due"
            tally.add(reply.status, problem, f"{method} {path}")
    asked = "405, 404 or an answer; no 5xx, no leak"
    return Finding(
        "fuzz", f"methods and paths, {sum(tally.statuses.values())}", tally.in_words(), asked, not tally.problems
    )
