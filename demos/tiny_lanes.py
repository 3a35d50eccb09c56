"""Climbs side by side: models this small leave most of a second core idle, so each core gets climbs of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from typing import Any

from nlpladder.errors import LadderError, RunError
from tiny_climbs import TinyClimb

#: Climbs one; gets the function that each of its lines is handed to, returns what failed, a sentence each.
Climber = Callable[[TinyClimb, Callable[[str], None]], list[str]]
#: Hears the climb, and a line of it; None when it is finished.
Hearer = Callable[[TinyClimb, str | None], None]


def make_lanes(climbs: Sequence[TinyClimb], count: int) -> list[list[TinyClimb]]:
    """Share climbs out, so that the lanes end at about the same time: the longest first, each to the emptiest lane.

    Args:
        climbs: What there is to climb.
        count: Of lanes, at most; no lane is empty.
    """
    lanes: list[list[TinyClimb]] = [[] for _ in range(min(count, len(climbs)))]
    for climb in sorted(climbs, key=lambda one: -one.seconds):
        min(lanes, key=lane_seconds).append(climb)
    return lanes


def lane_seconds(lane: Sequence[TinyClimb]) -> float:
    """Return what the climbs of a lane take together."""
    return sum(climb.seconds for climb in lane)


def run_lanes(lanes: Sequence[Sequence[TinyClimb]], climber: Climber, hear: Hearer, *, threads: int) -> list[str]:
    """Climb the lanes at the same time, a process each; one lane alone is climbed in this process.

    Args:
        lanes: See `make_lanes`.
        climber: A function of a module, since it goes to other processes.
        hear: Called in this process.
        threads: Of each lane.

    Returns:
        What failed, a sentence each.

    Raises:
        LadderError: What a climb raised.
        RunError: When a process ended without a word.
    """
    if len(lanes) == 1:
        return _climb_lane(lanes[0], climber, hear)
    # Started anew rather than forked: the threads of torch and numba do not survive a fork.
    context = multiprocessing.get_context("spawn")
    at_work: dict[Any, Any] = {}
    try:
        for lane in lanes:
            hears, tells = context.Pipe(duplex=False)
            at_work[hears] = context.Process(target=_lane_process, args=(lane, climber, tells, threads))
            at_work[hears].start()
            tells.close()  # so that the end of the process is the end of the pipe
        failed: list[str] = []
        while at_work:
            for told in wait(list(at_work)):
                failed += _hear(told, at_work, hear)
        return failed
    finally:
        for process in at_work.values():
            if process.pid is not None:
                process.terminate()  # one at work finishes its step and writes a checkpoint first
                process.join()


def _hear(told: Any, at_work: dict[Any, Any], hear: Hearer) -> list[str]:
    """Read one message of a process; return what failed in its lane, once that is finished."""
    try:
        kind, *said = told.recv()
    except EOFError:
        at_work[told].join()
        code = at_work.pop(told).exitcode
        raise RunError(
            f"A process of the tiny ladder ended with code {code}. The same command goes on from what is finished."
        ) from None
    if kind == "line":
        hear(*said)
        return []
    if kind == "raised":
        raise said[0]
    at_work.pop(told).join()
    return list(said[0])


def _climb_lane(lane: Sequence[TinyClimb], climber: Climber, hear: Hearer) -> list[str]:
    failed = []
    for climb in lane:
        failed += climber(climb, lambda line, climb=climb: hear(climb, line))  # type: ignore[misc]
        hear(climb, None)
    return failed


def _lane_process(lane: Sequence[TinyClimb], climber: Climber, tells: Any, threads: int) -> None:
    """Climb a lane in this process, and tell the first one."""
    from nlpladder.training.interruption import interruptible

    # Read when torch, numba and tqdm are imported: below. Bars of several processes would overwrite each other.
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TQDM_DISABLE"] = "1"
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    try:
        with interruptible():
            failed = _climb_lane(lane, climber, lambda climb, line: tells.send(("line", climb, line)))
    except LadderError as error:
        tells.send(("raised", error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # Ctrl-C reaches all processes; the first one says what there is to say
    else:
        tells.send(("ended", failed))


def _end_with_the_first() -> None:
    """End this process when the one that started it is gone: nobody would hear what it says."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
