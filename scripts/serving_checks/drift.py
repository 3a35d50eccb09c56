"""Whether a server stays quiet about the traffic it was trained for, and notices other traffic."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

from nlpladder.errors import CheckFailedError
from serving_checks.client import Question, get_json, question_about
from serving_checks.load import closed_loop
from serving_checks.report import Finding

#: Seconds in which the monitor must have seen what was answered; it looks after the answer was sent.
SETTLE = 20.0
#: Requests between two looks at the alarm.
STEP = 25


def check_drift(
    url: str, name: str, task: str, usual: Sequence[str], other: Sequence[str], *,
    window: int, windows: int = 20, within: int = 500, clients: int = 8, seed: int = 0,
) -> list[Finding]:  # fmt: skip
    """Send windows of usual texts, which must raise nothing, and then other texts, which must raise the alarm.

    Usual texts come in shuffled passes through the file, so that windows share texts where there are fewer texts than
    ``windows * window``. Each request holds one text and allows it to be cut.

    Args:
        url: Of a server that has seen no traffic yet.
        name: Of the model; it has a profile.
        task: That it is asked for.
        usual: Texts of the kind that it was trained on.
        other: Texts of another kind.
        window: Texts of one window, as the server was told.
        windows: Of usual texts.
        within: Requests with other texts after which the alarm must have been raised.
        clients: At the same time.
        seed: Of the order.

    Raises:
        CheckFailedError: The model has no profile, or the monitor does not count what was answered.
    """
    generator = random.Random(seed)
    order: list[str] = []
    while len(order) < windows * window:
        order += generator.sample(list(usual), len(usual))
    failures = alarms = differing = 0
    for number in range(windows):
        failures += _send(url, name, task, order[number * window : (number + 1) * window], clients)
        report = _report_after(url, name, number + 1)
        alarms += bool(report["alarm"])
        differing += bool(_last_window(report).get("differs"))
    findings = [
        Finding(
            "drift", f"{name}: {windows} windows of {window} usual texts",
            f"alarm after {alarms} of them, {differing} differ ({100 * differing / windows:.0f} %); {failures} failed",
            "no alarm", alarms == 0 and failures == 0,
        )
    ]  # fmt: skip
    foreign = generator.sample(list(other), min(len(other), 2 * within))
    sent, raised = 0, False
    while sent < min(len(foreign), 2 * within) and not raised:
        failures = _send(url, name, task, foreign[sent : sent + STEP], clients)
        sent = min(sent + STEP, len(foreign))
        done = (windows * window + sent) // window
        raised = bool(_report_after(url, name, done)["alarm"])
    said = f"raised after {sent} requests" if raised else f"not raised in {sent} requests"
    findings.append(
        Finding(
            "drift", f"{name}: other texts", f"{said}; {failures} failed", f"within {within}", raised and sent <= within
        )
    )
    return findings


def _send(url: str, name: str, task: str, texts: Sequence[str], clients: int) -> int:
    questions: list[Question] = [question_about(task, name, [text], truncate=True) for text in texts]
    return closed_loop(url, questions, clients=clients, requests=len(questions)).failures


def _report_after(url: str, name: str, windows: int) -> dict[str, Any]:
    """Return the report as soon as it holds so many windows."""
    end = time.perf_counter() + SETTLE
    while True:
        models = get_json(url, "/drift").get("models", {})
        report = models.get(name)
        if not isinstance(report, dict):
            raise CheckFailedError(f"{name} is not watched: the run has no profile.json, or --drift is false.")
        if windows_in(report) >= windows:
            return report
        if time.perf_counter() > end:
            raise CheckFailedError(
                f"/drift counts {windows_in(report)} windows of {name}, where {windows} were answered."
            )
        time.sleep(0.05)


def windows_in(report: dict[str, Any]) -> int:
    """Return how many windows a report counts.

    Args:
        report: Of one model.
    """
    return int(report["windows"])


def _last_window(report: dict[str, Any]) -> dict[str, Any]:
    last = report.get("last")
    return last if isinstance(last, dict) else {}
