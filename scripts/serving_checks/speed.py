"""How fast a server answers, what batching brings, and what it does when more is asked than it can answer."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from serving_checks.client import Client, Question, metrics_of, question_about
from serving_checks.load import Load, closed_loop
from serving_checks.report import Finding, counts_in_words, percentile

#: Numbers of two answers may differ by as much.
TOLERANCE = 1e-5
#: Seconds in which a server's own counts must have caught up.
SETTLE = 3.0


def check_latency(
    url: str, name: str, questions: Sequence[Question], *, clients: int, seconds: float, p95_ms: float | None
) -> list[Finding]:
    """Measure how long answers take in a closed loop.

    Args:
        url: Of the server.
        name: Of the model, for the table.
        questions: Asked in turn.
        clients: At the same time.
        seconds: How long.
        p95_ms: That the 95th percentile must stay below; None only measures.
    """
    warm = closed_loop(url, questions, clients=clients, requests=2 * clients)
    load = closed_loop(url, questions, clients=clients, seconds=seconds)
    p95 = 1000 * percentile([reply.seconds for reply in load.replies], 0.95) if load.replies else float("inf")
    asked = "no failure" if p95_ms is None else f"p95 < {p95_ms:g} ms, no failure"
    holds = load.failures == 0 and warm.failures == 0 and bool(load.replies) and (p95_ms is None or p95 < p95_ms)
    said = load.in_words() + _first_error(load if load.failures else warm)
    path = questions[0].path
    return [Finding("latency", f"{name} {path}, {clients} clients, {seconds:g} s", said, asked, holds)]


def check_batching(
    with_batches: str, without: str, name: str, questions: Sequence[Question], *, clients: int, seconds: float,
    rounds: int = 3, times: float | None = 2.0,
) -> list[Finding]:  # fmt: skip
    """Compare a server that batches with one that does not: speed in turns, and every answer.

    Args:
        with_batches: Address of the one.
        without: Of the other.
        name: Of the model, for the table.
        questions: The same for both.
        clients: At the same time.
        seconds: All together, half for each server.
        rounds: Turns of each: what else the machine does meets both.
        times: By which batching must be faster; None only measures.
    """
    rates: dict[str, list[float]] = {with_batches: [], without: []}
    bodies: dict[str, dict[int, bytes]] = {with_batches: {}, without: {}}
    failures, cost, first = 0, 0.0, ""
    for turn in range(rounds):
        for url in (with_batches, without) if turn % 2 == 0 else (without, with_batches):
            load = closed_loop(url, questions, clients=clients, seconds=seconds / rounds / 2, keep=True)
            rates[url].append(load.rate)
            bodies[url].update(load.bodies)
            failures += load.failures
            first = first or load.first_error
            cost = max(cost, load.client_seconds / load.seconds if load.seconds else 0.0)
    fast, slow = statistics.median(rates[with_batches]), statistics.median(rates[without])
    ratio = fast / slow if slow else 0.0
    both = sorted(set(bodies[with_batches]) & set(bodies[without]))
    furthest = max((distance(_items(bodies[with_batches][at]), _items(bodies[without][at])) for at in both), default=-1)
    same = bool(both) and 0 <= furthest <= TOLERANCE
    measured = (
        f"{fast:.1f} answers/s with, {slow:.1f} without: {ratio:.2f} times (rounds "
        f"{', '.join(f'{a:.0f}/{b:.0f}' for a, b in zip(rates[with_batches], rates[without], strict=True))}), "
        f"{failures} failed; clients took up to {cost:.2f} of a core" + (f"; first failure: {first}" if first else "")
    )
    return [
        Finding(
            "batching", f"{name}, {clients} clients, {rounds} turns each, {seconds:g} s", measured,
            "no failure" if times is None else f">= {times:g} times, no failure",
            failures == 0 and (times is None or ratio >= times),
        ),
        Finding(
            "batching", f"{name}: answers in a batch and alone",
            f"{len(both):,} compared, furthest apart {furthest:.1e}", f"<= {TOLERANCE:g}", same,
        ),
    ]  # fmt: skip


def _items(body: bytes) -> Any:
    said = json.loads(body)
    return {key: value for key, value in said.items() if key != "request_id"}


def distance(one: Any, other: Any) -> float:
    """Return the largest difference of two numbers at the same place of two answers; infinite if all else differs.

    Args:
        one: Of what JSON can hold.
        other: The same.
    """
    if isinstance(one, bool) or isinstance(other, bool) or one is None or isinstance(one, str):
        return 0.0 if one == other else float("inf")
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max((distance(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max((distance(one[key], other[key]) for key in one), default=0.0)
    return float("inf")


def check_overload(
    url: str, name: str, questions: Sequence[Question], *, clients: int, seconds: float
) -> list[Finding]:
    """Ask for more than the queue holds: each request must be answered or refused with 429 and a Retry-After.

    Args:
        url: Of a server with a short queue.
        name: Of the model, for the table and its metrics.
        questions: Asked in turn.
        clients: At the same time.
        seconds: How long.
    """
    task = questions[0].path.strip("/")
    before = _counted(url, name, task)
    load = closed_loop(url, questions, clients=clients, seconds=seconds)
    statuses = load.statuses
    waits = [reply.headers.get("retry-after") for reply in load.replies if reply.status == 429]
    without_wait = sum(not (wait or "").isdigit() or int(wait or 0) < 1 for wait in waits)
    only = set(statuses) <= {200, 429} and statuses.get(200, 0) > 0 and not load.problems and without_wait == 0
    served = [reply.seconds for reply in load.replies if reply.status == 200]
    measured = (
        f"{counts_in_words(statuses)}; {without_wait} refusals without Retry-After; {len(load.problems)} bad answers; "
        f"{load.rate:.1f} answers/s"
        + (f", p95 of the answered {1000 * percentile(served, 0.95):.0f} ms" if served else "")
        + ("" if only else _first_error(load))
    )  # fmt: skip
    told = _wait_for(lambda: _difference(_counted(url, name, task), before), statuses)
    return [
        Finding("overload", f"{name}, {clients} clients, {seconds:g} s", measured, "only 200, 429 + Retry-After", only),
        Finding(
            "overload", "the queue was full at times", f"{statuses.get(429, 0):,} refused", "> 0", 429 in statuses
        ),
        Finding(
            "overload", "the server's own counts", counts_in_words(told), counts_in_words(statuses), told == statuses
        ),
    ]  # fmt: skip


def _counted(url: str, name: str, task: str) -> dict[int, int]:
    counts: dict[int, int] = {}
    for labels, value in metrics_of(url, "nlpladder_requests_total").items():
        said = dict(labels)
        if said.get("task") == task and said.get("model") == name:
            counts[int(said["status"])] = counts.get(int(said["status"]), 0) + int(value)
    return counts


def _difference(now: dict[int, int], before: dict[int, int]) -> dict[int, int]:
    return {status: now[status] - before.get(status, 0) for status in now if now[status] > before.get(status, 0)}


def _wait_for(look: Callable[[], dict[int, int]], wanted: dict[int, int]) -> dict[int, int]:
    """Return what is seen, as soon as it is what is wanted, or at the end: a count may follow its answer."""
    end = time.perf_counter() + SETTLE
    seen = look()
    while seen != wanted and time.perf_counter() < end:
        time.sleep(0.1)
        seen = look()
    return seen


def _first_error(load: Load) -> str:
    return f"; first failure: {load.first_error}" if load.first_error else ""


def check_stream(
    url: str, name: str, prompt: str, *, repeats: int = 20, max_new_tokens: int = 32, median_ms: float | None = 200.0
) -> list[Finding]:
    """Measure the time until the first streamed token, and compare the stream with the answer in one piece.

    Args:
        url: Of the server.
        name: Of a model that streams.
        prompt: What is continued.
        repeats: Streams, one after another.
        max_new_tokens: Of each.
        median_ms: That the median must stay below; None only measures.
    """
    parameters = {"max_new_tokens": max_new_tokens, "seed": 0}
    streamed = question_about("generate", name, [prompt], stream=True, **parameters)
    first: list[float] = []
    texts: set[str] = set()
    ends = 0
    with Client(url) as client:
        for _ in range(repeats + 1):
            text, seconds = "", None
            for at, kind, data in client.events(streamed):
                if kind == "token":
                    seconds = at if seconds is None else seconds
                    text += data["text"]
                ends += kind == "end"
            first.append(float("inf") if seconds is None else seconds)
            texts.add(text)
        whole = client.post(question_about("generate", name, [prompt], stream=False, **parameters))
    del first[0]  # the model's first generation of all
    median, p95 = 1000 * statistics.median(first), 1000 * percentile(first, 0.95)
    said = json.loads(whole.body).get("text") if whole.status == 200 else None
    asked = "" if median_ms is None else f"median < {median_ms:g} ms"
    return [
        Finding(
            "stream", f"{name}: first token, {repeats} streams", f"median {median:.1f} ms, p95 {p95:.1f} ms", asked,
            max(first) < float("inf") and (median_ms is None or median < median_ms),
        ),
        Finding(
            "stream", f"{name}: the stream and the answer in one piece",
            f"{len(texts)} different streams of one seed, {ends} of {repeats + 1} with an end, "
            + ("the same text" if texts == {said} else f"another text (status {whole.status})"),
            "one, the same", texts == {said} and ends == repeats + 1,
        ),
    ]  # fmt: skip
