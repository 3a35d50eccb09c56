"""One served model: its queue, its worker processes, and what happens when one of them dies."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from nlpladder.serving.batching import LONGEST_RETRY_SECONDS, BatchQueue, Ticket
from nlpladder.serving.channel import (
    AnswerBatch,
    BatchAnswered,
    Opened,
    OpenFailed,
    OpenModel,
    StartStream,
    StopStream,
    StreamEnded,
    StreamPiece,
)
from nlpladder.serving.jobs import (
    BatchReport,
    ModelInfo,
    ModelState,
    ModelUnavailableError,
)
from nlpladder.serving.options import PoolOptions
from nlpladder.serving.processes import WorkerProcess
from nlpladder.serving.waiting import Request, Writing

logger = logging.getLogger(__name__)

#: A model whose processes died so often without an answer between is given up.
MOST_DEATHS = 5
_LONGEST_PAUSE = 30.0
#: For which a process may go on that has closed its socket; the system closes it a moment before the process ends.
_SECONDS_TO_DIE = 0.5


#: Of a text that waits for a batch: its request, and its number there.
_Place = tuple[Request, int]


class ServedModel:
    """A model behind a queue.

    Args:
        opening: What its workers are told to open.
        options: Of the pool.
        on_batch: Gets a report of each batch.
        on_restart: Gets the model's name and how the process ended whenever one died and is started again.
        on_back: Gets the model's name and the seconds until then whenever such a process is open again.
    """

    def __init__(
        self,
        opening: OpenModel,
        options: PoolOptions,
        *,
        on_batch: Callable[[BatchReport], None],
        on_restart: Callable[[str, str], None],
        on_back: Callable[[str, float], None],
    ) -> None:
        self.name = opening.name
        self.info: ModelInfo | None = None
        self.failure: str | None = None
        self.settled = asyncio.Event()  # open, or given up
        self._opening = opening
        self._options = options
        self._on_batch = on_batch
        self._on_restart = on_restart
        self._on_back = on_back
        self._queue: BatchQueue[_Place] = BatchQueue(
            options.max_batch_items, options.batch_wait_ms / 1000.0, options.queue_size, options.workers
        )
        # Texts are written one by one, so many at the same time: a queue of its own, first come, first served.
        self._to_write: BatchQueue[Writing] = BatchQueue(
            1, 0.0, options.queue_size, options.workers * options.max_streams
        )
        self._workers: list[WorkerProcess] = []
        self._in_work: dict[int, tuple[list[Ticket[_Place]], tuple[float, ...]]] = {}
        self._written: dict[int, Writing] = {}
        self._numbers = itertools.count()
        self._deaths = 0
        self._closing = False
        self._scheduled: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watches: dict[int, asyncio.TimerHandle] = {}
        self._starts: set[asyncio.Task[None]] = set()
        self._burials: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> ModelState:
        """Where it stands."""
        if self.failure is not None:
            return "failed"
        if any(worker.is_open for worker in self._workers):
            return "ready"
        return "starting" if self.info is None else "restarting"

    @property
    def waiting(self) -> int:
        """How many texts wait."""
        return len(self._queue) + len(self._to_write)

    @property
    def pids(self) -> list[int]:
        """The numbers of its processes."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def start(self) -> None:
        """Start the processes, and return before they are there."""
        for _ in range(self._options.workers):
            _keep(self._starts, self._start_worker(0.0, None))

    def check_open(self) -> None:
        """Refuse what could not be answered soon.

        Raises:
            ModelUnavailableError: It is being opened, or was given up.
        """
        state = self.state
        if state == "failed":
            raise ModelUnavailableError(f"The model {self.name!r} was given up: {self.failure}")
        if state != "ready":
            again = "again, after its process died" if state == "restarting" else "just now"
            raise ModelUnavailableError(
                f"The model {self.name!r} is being opened {again}. Try again in a few seconds.",
                retry_after=self.seconds_to_open(),
            )

    def put(self, request: Request) -> list[Ticket[_Place]]:
        """Let the texts of a request wait for their batches.

        Raises:
            QueueFullError: Too many texts wait already.
        """
        places = [(request, index) for index in range(len(request.items))]
        tickets = self._queue.put(
            request.key, places, now=time.monotonic(), deadline=request.deadline, beside=len(self._to_write)
        )
        self._schedule()
        return tickets

    def discard(self, tickets: Sequence[Ticket[_Place]]) -> None:
        """Forget texts for which nobody waits any more; those that a worker has are answered for nobody."""
        self._queue.discard(tickets)

    def put_writing(self, writing: Writing) -> None:
        """Let a text wait until a worker can write it.

        Raises:
            QueueFullError: Too many texts wait already.
        """
        (writing.ticket,) = self._to_write.put(
            "generate", [writing], now=time.monotonic(), deadline=writing.deadline, beside=len(self._queue)
        )
        self._schedule()

    def cancel_writing(self, writing: Writing) -> None:
        """Forget a text that is to be written, or end its writing."""
        if writing.ticket is not None:
            self._to_write.discard([writing.ticket])
        if writing.worker is not None and writing.number in self._written:
            writing.worker.send(StopStream(writing.number))

    async def close(self) -> None:
        """End the processes; what is not answered gets no answer."""
        self._closing = True
        for timer in (self._scheduled, self._timer, *self._watches.values()):
            if timer is not None:
                timer.cancel()
        self._fail_all("the server is shutting down")
        for task in self._starts:
            task.cancel()
        await asyncio.gather(*self._starts, *self._burials, return_exceptions=True)
        await asyncio.gather(*(worker.end() for worker in self._workers))
        self.settled.set()

    # ---- batches and streams ---------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Look for work once all that is happening now has happened: what came together goes together."""
        if self._scheduled is None and not self._closing:
            self._scheduled = asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Give idle workers batches, and workers with room for them texts to write."""
        self._scheduled = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.monotonic()
        there = [worker for worker in self._workers if worker.is_open]
        idle = [worker for worker in there if worker.batch is None]
        while idle and (batch := self._queue.take(now, idle=len(idle))):
            self._send_batch(idle.pop(0), batch)
        while there:
            worker = min(there, key=lambda one: len(one.streams))
            if len(worker.streams) >= self._options.max_streams or not (tickets := self._to_write.take(now)):
                break
            self._send_writing(worker, tickets[0], now)
        ready_at = self._queue.ready_at(now) if idle else None
        if ready_at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, ready_at - now), self._dispatch)

    def _send_batch(self, worker: WorkerProcess, tickets: list[Ticket[_Place]]) -> None:
        request = tickets[0].payload[0]
        items = tuple(place[0].items[place[1]] for place in (ticket.payload for ticket in tickets))
        number = next(self._numbers)
        now = time.monotonic()
        waited = tuple(now - ticket.arrived for ticket in tickets)
        self._in_work[number] = (tickets, waited)
        worker.batch = AnswerBatch(number, request.task, items, request.parameters, request.truncate)
        worker.send(worker.batch)
        # By then nobody waits for any of them: a process that is stuck would keep the whole queue waiting.
        seconds = 2.0 * self._options.request_timeout
        self._watches[number] = asyncio.get_running_loop().call_later(
            seconds, worker.kill, f"it had not answered a batch after {seconds:g} seconds"
        )

    def _send_writing(self, worker: WorkerProcess, ticket: Ticket[Writing], now: float) -> None:
        writing = ticket.payload
        writing.number, writing.worker, writing.waited = next(self._numbers), worker, now - ticket.arrived
        self._written[writing.number] = writing
        worker.streams.add(writing.number)
        worker.send(StartStream(writing.number, writing.item, writing.parameters, writing.truncate, writing.whole))

    def _on_message(self, worker: WorkerProcess, message: Any) -> None:
        if isinstance(message, BatchAnswered):
            self._on_answers(worker, message)
        elif isinstance(message, StreamPiece):
            if message.number in self._written:
                self._written[message.number].on_piece(message.piece)
        elif isinstance(message, StreamEnded):
            self._on_written(worker, message)
        elif isinstance(message, Opened):
            worker.is_open = True
            self.info = message.info
            self.settled.set()
            self._schedule()
            if worker.lost_at is not None:
                self._on_back(self.name, time.monotonic() - worker.lost_at)
        elif isinstance(message, OpenFailed) and self.info is None:  # it will not be open at the next try either
            self._give_up(message.message)

    def _on_answers(self, worker: WorkerProcess, message: BatchAnswered) -> None:
        self._deaths = 0
        batch, worker.batch = worker.batch, None
        tickets, waited = self._in_work.pop(message.number)
        self._watches.pop(message.number).cancel()
        self._queue.done(len(tickets), message.seconds)
        for ticket, result in zip(tickets, message.results, strict=True):
            request, index = ticket.payload
            request.answer(index, result)
        self._schedule()
        assert batch is not None
        tokens = sum(result.tokens for result in message.results)
        self._on_batch(BatchReport(self.name, batch.task, len(tickets), tokens, message.seconds, waited))

    def _on_written(self, worker: WorkerProcess, message: StreamEnded) -> None:
        self._deaths = 0
        worker.streams.discard(message.number)
        writing = self._written.pop(message.number)
        self._to_write.done(1, message.seconds)
        writing.on_end(message)
        self._schedule()
        self._on_batch(BatchReport(self.name, "generate", 1, message.tokens, message.seconds, (writing.waited,)))

    # ---- life and death of the processes ---------------------------------------------------------------------------

    async def _start_worker(self, pause: float, lost_at: float | None) -> None:
        await asyncio.sleep(pause)
        worker = WorkerProcess(self._on_message, self._on_lost)
        worker.lost_at = lost_at
        self._workers.append(worker)
        try:
            await worker.start(self._opening)
        except OSError as error:  # no memory, or no more processes: as if it had died at once
            logger.error("A process for the model %r cannot be started: %s", self.name, error)
            self._on_lost(worker)

    def _on_lost(self, worker: WorkerProcess) -> None:
        """Answer those who wait for a process that has died, and start another one."""
        if worker not in self._workers or self._closing:
            return
        self._workers.remove(worker)
        if worker.batch is not None:
            tickets, _ = self._in_work.pop(worker.batch.number)
            self._watches.pop(worker.batch.number).cancel()
            self._queue.done(len(tickets), 0.0)
            for request in {id(ticket.payload[0]): ticket.payload[0] for ticket in tickets}.values():
                request.fail(self._lost())
        for number in worker.streams:
            self._to_write.done(1, 0.0)
            self._written.pop(number).on_end(self._lost())
        self._deaths += self.failure is None
        restarted = self.failure is None and self._deaths < MOST_DEATHS
        _keep(self._burials, self._bury(worker, restarted=restarted))
        if self.failure is not None:
            return
        if not restarted:
            self._give_up(f"its process died {self._deaths} times without an answer between")
            return
        _keep(self._starts, self._start_worker(self._pause(), time.monotonic()))
        if self.state == "ready":
            self._schedule()
        else:
            self._fail_hopeless()

    async def _bury(self, worker: WorkerProcess, *, restarted: bool) -> None:
        await worker.buried(_SECONDS_TO_DIE)
        if restarted:
            self._on_restart(self.name, worker.ending())

    def _fail_hopeless(self) -> None:
        """Tell those at once whose time will run out before the model is open again."""
        open_again = time.monotonic() + self._pause() + (0.0 if self.info is None else self.info.seconds_to_open)
        texts, writings = self._queue.due(open_again), self._to_write.due(open_again)
        self._queue.discard(texts)
        self._to_write.discard(writings)
        for ticket in texts:
            ticket.payload[0].fail(self._lost())
        for writing in writings:
            writing.payload.on_end(self._lost())

    def _lost(self) -> ModelUnavailableError:
        return ModelUnavailableError(
            f"The process of the model {self.name!r} died before it had answered; it is started again. Try again in a "
            "few seconds.",
            retry_after=self.seconds_to_open(),
        )

    def _give_up(self, why: str) -> None:
        self.failure = why
        self._fail_all(why)
        self.settled.set()

    def _fail_all(self, why: str) -> None:
        """Tell everyone who waits that there will be no answer."""
        error = ModelUnavailableError(f"The model {self.name!r} does not answer any more: {why}")
        waiting = [*self._queue.clear(), *(ticket for tickets, _ in self._in_work.values() for ticket in tickets)]
        for request in {id(ticket.payload[0]): ticket.payload[0] for ticket in waiting}.values():
            request.fail(error)
        for writing in [*(ticket.payload for ticket in self._to_write.clear()), *self._written.values()]:
            writing.on_end(error)
        self._written.clear()

    def seconds_to_open(self) -> int:
        """Return the seconds after which a model that is not open is likely to be."""
        opening = 5.0 if self.info is None else self.info.seconds_to_open
        return max(1, min(LONGEST_RETRY_SECONDS, math.ceil(opening + self._pause())))

    def _pause(self) -> float:
        """Return the seconds before a process is started again."""
        return min(_LONGEST_PAUSE, 2.0 ** max(0, self._deaths - 1))


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    """Run something in the background; asyncio itself keeps no reference to it."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
