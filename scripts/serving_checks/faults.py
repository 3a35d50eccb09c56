"""What becomes of requests when a server is told to end, and when one of its processes is killed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence

import psutil

from serving_checks.client import Client, Question, Reply, metrics_of
from serving_checks.load import PAUSE, Load, closed_loop
from serving_checks.process import LOOK, Server
from serving_checks.report import Finding, counts_in_words

#: What the kernel had taken this long before the signal, the server must have read.
READ_WITHIN = 0.25
#: Seconds after SIGTERM in which the server must have ended.
END_WITHIN = 10.0
#: Seconds after the front has ended in which all that it started must have ended, too.
LEFT_WITHIN = 2.0
#: Seconds after the front was killed in which its workers must have ended.
ORPHANS_WITHIN = 5.0
#: Seconds in which a killed worker must have been replaced.
REPLACED_WITHIN = 90.0


class Traffic:
    """A closed loop that goes on beside what is done to the server.

    Args:
        url: Of the server.
        questions: Asked in turn.
        clients: At the same time.
        leave: See `serving_checks.load.closed_loop`.
        pause: The same.
    """

    def __init__(
        self, url: str, questions: Sequence[Question], *, clients: int,
        leave: Callable[[Reply], bool] | None = None, pause: float = 0.0,
    ) -> None:  # fmt: skip
        self.load = Load()
        self._stop = threading.Event()

        def run() -> None:
            self.load = closed_loop(
                url, questions, clients=clients, stop=self._stop, leave=leave, pause=pause, timeout=45.0
            )

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def end(self) -> Load:
        """Let no client ask again, wait for what was asked, and return it all."""
        self._stop.set()
        self._thread.join()
        return self.load


def check_sigterm(
    start: Callable[[], Server],
    questions_for: Callable[[str], Sequence[Question]],
    *,
    clients: int = 16,
    after: float = 3.0,
) -> list[Finding]:
    """Send SIGTERM under load: what was accepted is answered, the exit code is 0, and it takes less than 10 s.

    A request counts as accepted when all of it had been handed to the connection before the signal. One that was sent
    later may be answered, be refused with 503, or find its connection closed.

    Args:
        start: Starts a server.
        questions_for: Returns what is asked in turn, by the server's address.
        clients: At the same time.
        after: Seconds of load before the signal.
    """
    with start() as server:
        server.wait_ready()
        questions = questions_for(server.url)
        warm = closed_loop(server.url, questions, clients=1, requests=3)
        traffic = Traffic(server.url, questions, clients=clients, leave=lambda reply: reply.status in (0, 503))
        time.sleep(after)
        moment = server.signal(signal.SIGTERM)
        code = server.wait(2 * END_WITHIN)
        seconds = time.perf_counter() - moment
        load = traffic.end()
        left = _left_after(server, LEFT_WITHIN)
    found = judge_sigterm(load, moment)
    found.append(
        Finding(
            "sigterm", "end of the server", f"exit code {code if code is not None else 'none: it still runs'}, "
            f"{seconds:.2f} s, {len(left)} processes left", f"0, < {END_WITHIN:g} s, 0",
            code == 0 and seconds < END_WITHIN and not left and warm.failures == 0,
        )
    )  # fmt: skip
    return found


def judge_sigterm(load: Load, moment: float) -> list[Finding]:
    """Return what clients saw of a server that was told to end.

    Args:
        load: All their requests.
        moment: Of the signal (`time.perf_counter`).
    """
    accepted = [each for each in load.replies if each.sent is not None and each.sent < moment]
    waiting = [each for each in accepted if each.ended > moment]
    lost = [each for each in accepted if each.status == 0]
    refused = [each for each in accepted if each.status == 503]
    early = [each for each in refused if each.sent is not None and each.sent < moment - READ_WITHIN]
    other = [each for each in accepted if each.status not in (0, 200, 503)]
    later = [each for each in load.replies if each not in accepted]
    later_statuses: dict[int, int] = {}
    for each in later:
        later_statuses[each.status] = later_statuses.get(each.status, 0) + 1
    wrong = [each for each in later if each.status not in (0, 200, 503)]
    measured = (
        f"{len(accepted):,} accepted, {len(waiting)} of them unanswered at the signal; {len(lost)} lost, "
        f"{len(refused)} refused, {len(other)} other, {len(load.problems)} bad answers; "
        f"sent later: {counts_in_words(later_statuses)}"
    )
    if lost:
        measured += f"; first lost: {lost[0].error}"
    asked = (
        f"every accepted one answered (503 only if sent within {READ_WITHIN:g} s before), some unanswered at the signal"
    )
    holds = not (lost or early or other or wrong or load.problems) and bool(waiting)
    return [Finding("sigterm", "requests", measured, asked, holds)]


def check_killed_worker(
    start: Callable[[], Server],
    questions_for: Callable[[str], Sequence[Question]],
    *,
    clients: int = 4,
    after: float = 2.0,
) -> list[Finding]:
    """Kill the worker with -9 under load: clients get answers again as soon as there is a new one.

    Until then they get 503, or 504 where a request had been accepted and its time ran out before the new one was open.

    Args:
        start: Starts a server with one model.
        questions_for: Returns what is asked in turn, by the server's address.
        clients: At the same time.
        after: Seconds of load before the kill.
    """
    with start() as server:
        server.wait_ready()
        questions = questions_for(server.url)
        restarts = sum(metrics_of(server.url, "nlpladder_worker_restarts_total").values())
        traffic = Traffic(server.url, questions, clients=clients, pause=PAUSE)
        time.sleep(after)
        victim = server.workers()[0]
        moment = time.perf_counter()
        victim.kill()
        dead = ready = False
        with Client(server.url, timeout=10.0) as client:
            while time.perf_counter() < moment + REPLACED_WITHIN and not ready:
                status = client.ask("GET", "/ready").status
                dead = dead or status == 503
                # Ready for as long as the front has not noticed: only a new process counts.
                new = [each for each in server.workers() if each.pid != victim.pid]
                ready = status == 200 and bool(new)
                time.sleep(LOOK)
        seconds = time.perf_counter() - moment
        time.sleep(1.0)
        load = traffic.end()
        restarts = sum(metrics_of(server.url, "nlpladder_worker_restarts_total").values()) - restarts
    bad = {status for status in load.statuses if status not in (200, 503, 504)}
    again = [each.ended - moment for each in load.replies if each.status == 200 and each.started > moment]
    first = f"first answer after {min(again):.2f} s" if again else "no answer any more"
    return [
        Finding(
            "kill worker", f"requests, {clients} clients",
            counts_in_words(load.statuses) + f"; {first}" + ("" if not bad else f"; {load.first_error}"),
            "only 200, 503, 504, then 200", not bad and bool(again) and not load.problems,
        ),
        Finding(
            "kill worker", "/ready", f"200 again after {seconds:.2f} s ({'503 was seen' if dead else 'never 503'}); "
            f"{restarts:g} restarts counted", f"< {REPLACED_WITHIN:g} s, 503 seen, 1 restart",
            ready and dead and restarts == 1,
        ),
    ]  # fmt: skip


def check_killed_front(start: Callable[[], Server]) -> list[Finding]:
    """Kill the front with -9: no worker outlives it for long, and the same command serves again.

    Args:
        start: Starts a server.
    """
    with start() as server:
        first = server.wait_ready()
        workers = server.workers()
        moment = server.signal(signal.SIGKILL)
        server.wait(5)
        left = _left_after(server, ORPHANS_WITHIN)
        seconds = time.perf_counter() - moment
    with start() as server:
        again = server.wait_ready()
    return [
        Finding(
            "kill front", "workers", f"{len(workers)} workers, {len(left)} processes left after {seconds:.2f} s",
            f"none after {ORPHANS_WITHIN:g} s", bool(workers) and not left,
        ),
        Finding("kill front", "seconds until ready", f"{first:.2f} at first, {again:.2f} when started again"),
    ]  # fmt: skip


def _left_after(server: Server, seconds: float) -> list[psutil.Process]:
    """Return what still runs of a server whose front has ended, after `seconds` at most."""
    end = time.perf_counter() + seconds
    while (left := server.left_over()) and time.perf_counter() < end:
        time.sleep(LOOK)
    return left
