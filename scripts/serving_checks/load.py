"""Many clients at once, each with its next question as soon as it has its answer: a closed loop."""

from __future__ import annotations

import collections
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from serving_checks.client import TIMEOUT, Client, Question, Reply, problem_of_answer
from serving_checks.report import percentiles_in_words

#: Seconds that a client waits after it was refused, where it is told to wait at all.
PAUSE = 0.05


@dataclass
class Load:
    """What many clients were answered.

    Attributes:
        replies: All, those without an answer too; the bodies are dropped.
        problems: What was wrong with answers of status 200.
        bodies: The last good answer to each question, by its place, if they were to be kept.
        seconds: From the first request to the last answer.
        client_seconds: Of a core that the clients themselves took.
    """

    replies: list[Reply] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    client_seconds: float = 0.0

    @property
    def statuses(self) -> dict[int, int]:
        """How often each status came; 0 where no answer did."""
        return dict(collections.Counter(reply.status for reply in self.replies))

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.statuses.get(200, 0) - len(self.problems)) / self.seconds if self.seconds else 0.0

    @property
    def failures(self) -> int:
        """Requests without a good answer."""
        return len(self.replies) - self.statuses.get(200, 0) + len(self.problems)

    @property
    def first_error(self) -> str:
        """What went wrong first."""
        lost = (f"{reply.status or 'no answer'} {reply.error}" for reply in self.replies if reply.status != 200)
        return next(itertools.chain(self.problems, lost), "").strip()

    def in_words(self) -> str:
        """Return times, rate, failures and what the clients themselves cost."""
        share = self.client_seconds / self.seconds if self.seconds else 0.0
        return (
            f"{percentiles_in_words([reply.seconds for reply in self.replies])}; {self.rate:.1f} answers/s, "
            f"{len(self.replies):,} requests, {self.failures:,} failed; clients took {share:.2f} of a core"
        )


def closed_loop(
    url: str,
    questions: Sequence[Question],
    *,
    clients: int,
    seconds: float | None = None,
    requests: int | None = None,
    keep: bool = False,
    stop: threading.Event | None = None,
    leave: Callable[[Reply], bool] | None = None,
    pause: float = 0.0,
    timeout: float = TIMEOUT,
) -> Load:
    """Ask from many clients at once, each over one kept-alive connection.

    What was begun before the end is waited for; every request is counted, whatever became of it.

    Args:
        url: Of the server.
        questions: Asked in their order, again and again.
        clients: At the same time.
        seconds: How long new requests are begun.
        requests: How many, all clients together; with neither, until `stop`.
        keep: Whether to keep the answers' bodies.
        stop: Set from outside, ends the loop.
        leave: A client to whose reply this says True asks no more.
        pause: Seconds that a client waits after a status other than 200.
        timeout: Seconds that one answer may take.
    """
    load = Load()
    numbers = itertools.count()
    begin = threading.Barrier(clients + 1)
    end = float("inf")

    def run() -> None:
        with Client(url, timeout=timeout) as client:
            begin.wait()
            while time.perf_counter() < end and not (stop is not None and stop.is_set()):
                number = next(numbers)
                if requests is not None and number >= requests:
                    return
                place = number % len(questions)
                reply = client.post(questions[place])
                _note(load, reply, questions[place], place if keep else None)
                if leave is not None and leave(reply):
                    return
                if pause and reply.status != 200:
                    time.sleep(pause)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    started, cpu = time.perf_counter(), time.process_time()
    if seconds is not None:
        end = started + seconds
    begin.wait()
    for thread in threads:
        thread.join()
    load.seconds = max((reply.ended for reply in load.replies), default=started) - started
    load.client_seconds = time.process_time() - cpu
    return load


def _note(load: Load, reply: Reply, question: Question, place: int | None) -> None:
    """Keep what counts of a reply; appending to a list needs no lock."""
    if reply.status == 200:
        problem = problem_of_answer(reply, question)
        if problem:
            load.problems.append(problem)
        elif place is not None:
            load.bodies[place] = reply.body
    wait = reply.headers.get("retry-after")
    kept = {} if wait is None else {"retry-after": wait}
    load.replies.append(Reply(reply.status, b"", kept, reply.started, reply.sent, reply.ended, reply.error))
