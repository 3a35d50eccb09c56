"""What waits for a model, and what goes into its next batch: no processes and no clock of its own.

Texts that may share a forward pass have one key (task, parameters, whether to cut). The next batch is made of the texts
that share the key of the oldest one, in the order in which they came: so nothing starves, whatever else arrives.

An idle model need not wait for company that will not come. `BatchQueue` therefore remembers how many texts were
outstanding at once in the last seconds: when as many wait, nobody is missing and the batch goes at once; else the
oldest text waits `wait_seconds` at most. A lone caller is answered without delay, and the callers that were answered
together and ask again are together again.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nlpladder.serving.jobs import QueueFullError

Payload = TypeVar("Payload")

#: For so many seconds, and at most twice as many, a crowd is remembered.
_MEMORY_SECONDS = 1.0
#: How much of the speed is that of the past at each batch.
_OLD_SHARE = 0.9
LONGEST_RETRY_SECONDS = 60


@dataclass(eq=False, slots=True)
class Ticket(Generic[Payload]):
    """A text that waits.

    Attributes:
        key: Of the texts that it may share a forward pass with.
        payload: Whatever the owner of the queue needs to answer it.
        number: Of its turn: two may have come at the same moment.
        arrived: When it came, in seconds of the owner's clock.
        deadline: From when on nobody waits for it.
        waiting: False once it was taken, discarded or too late.
    """

    key: Hashable
    payload: Payload
    number: int
    arrived: float
    deadline: float = math.inf
    waiting: bool = True


@dataclass(slots=True)
class _Crowd:
    """The most texts that were outstanding at once, in this period and in the one before."""

    began: float = -math.inf
    now: int = 0
    before: int = 0

    def see(self, outstanding: int, time: float) -> None:
        periods = (time - self.began) / _MEMORY_SECONDS
        if periods >= 1.0:
            self.before = self.now if periods < 2.0 else 0
            self.began, self.now = time, 0
        self.now = max(self.now, outstanding)

    @property
    def most(self) -> int:
        return max(self.now, self.before)


@dataclass(eq=False)
class BatchQueue(Generic[Payload]):
    """Texts that wait for one model.

    Args:
        max_items: Texts of a batch at most.
        wait_seconds: How long the oldest text waits for others at most.
        capacity: Texts that may wait.
        workers: Processes that take batches.
    """

    max_items: int = 32
    wait_seconds: float = 0.002
    capacity: int = 256
    workers: int = 1
    _groups: dict[Hashable, deque[Ticket[Payload]]] = field(default_factory=dict, init=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count, init=False)
    _waiting: int = field(default=0, init=False)
    _in_work: int = field(default=0, init=False)
    _crowd: _Crowd = field(default_factory=_Crowd, init=False)
    _items: float = field(default=0.0, init=False)
    _seconds: float = field(default=0.0, init=False)

    def __len__(self) -> int:
        """Return how many texts wait."""
        return self._waiting

    def put(
        self, key: Hashable, payloads: Sequence[Payload], *, now: float, deadline: float = math.inf, beside: int = 0
    ) -> list[Ticket[Payload]]:
        """Let the texts of a request wait: all of them, or none.

        A request that is larger than the capacity is taken when nothing waits: else it would be refused for ever.

        Args:
            key: What all of them have in common with the texts that they may share a forward pass with.
            payloads: One a text.
            now: Seconds.
            deadline: From when on nobody waits for them.
            beside: Texts that wait elsewhere and count, too.

        Raises:
            QueueFullError: There is no room; it says after how many seconds there may be.
        """
        before = self._waiting + beside
        if before and before + len(payloads) > self.capacity:
            raise QueueFullError(
                f"{before} texts wait already and {self.capacity} may, so there is no room for {len(payloads)} more. "
                "Try again later, or with fewer texts.",
                retry_after=self.retry_after(beside=beside),
            )
        tickets = [Ticket(key, payload, next(self._numbers), now, deadline) for payload in payloads]
        if tickets:
            self._groups.setdefault(key, deque()).extend(tickets)
            self._waiting += len(tickets)
            self._crowd.see(self._waiting + self._in_work, now)
        return tickets

    def discard(self, tickets: Iterable[Ticket[Payload]]) -> None:
        """Forget texts that nobody waits for any more; those that were taken are left alone."""
        for ticket in tickets:
            if ticket.waiting:
                ticket.waiting = False
                self._waiting -= 1
        if not self._waiting:
            self._groups.clear()

    def due(self, time: float) -> list[Ticket[Payload]]:
        """Return the texts for which nobody waits any more at a time."""
        return [
            ticket for group in self._groups.values() for ticket in group if ticket.waiting and ticket.deadline <= time
        ]

    def clear(self) -> list[Ticket[Payload]]:
        """Forget all that waits, and return it."""
        waiting = [ticket for group in self._groups.values() for ticket in group if ticket.waiting]
        self.discard(waiting)
        return waiting

    def take(self, now: float, *, idle: int = 1) -> list[Ticket[Payload]]:
        """Return the next batch, oldest text first; empty while the oldest one may wait for others.

        Texts whose time ran out are left out and forgotten.

        Args:
            now: Seconds.
            idle: Processes that have nothing to do, this one counted: they share what waits.
        """
        self._drop_late(now)
        group = self._oldest_group()
        if group is None or self._ready_at(group, now) > now:
            return []
        key = group[0].key
        there = sum(ticket.waiting for ticket in group)
        wanted = min(self.max_items, math.ceil(there / max(1, idle)))
        batch: list[Ticket[Payload]] = []
        while group and len(batch) < wanted:
            ticket = group.popleft()
            if ticket.waiting:
                ticket.waiting = False
                batch.append(ticket)
        if not group:
            del self._groups[key]
        self._waiting -= len(batch)
        self._in_work += len(batch)
        return batch

    def ready_at(self, now: float) -> float | None:
        """Return when `take` will have a batch, at the latest; None while nothing waits."""
        self._drop_late(now)
        group = self._oldest_group()
        return None if group is None else self._ready_at(group, now)

    def done(self, items: int, seconds: float) -> None:
        """Note that a batch is no longer in work.

        Args:
            items: Texts that were taken.
            seconds: How long they took; 0 if there is no answer to them.
        """
        self._in_work -= items
        if seconds > 0.0:
            self._items = _OLD_SHARE * self._items + items
            self._seconds = _OLD_SHARE * self._seconds + seconds

    def retry_after(self, *, beside: int = 0) -> int:
        """Return the seconds after which what waits will have been answered at the present speed, 1 to 60.

        Args:
            beside: Texts that wait elsewhere and count, too.
        """
        if not self._items:
            return 1
        seconds = (self._waiting + beside) * self._seconds / self._items / max(1, self.workers)
        return max(1, min(LONGEST_RETRY_SECONDS, math.ceil(seconds)))

    def _oldest_group(self) -> deque[Ticket[Payload]] | None:
        """Return the texts among which the oldest one is."""
        oldest: deque[Ticket[Payload]] | None = None
        for key, group in list(self._groups.items()):
            while group and not group[0].waiting:
                group.popleft()
            if not group:
                del self._groups[key]
            elif oldest is None or group[0].number < oldest[0].number:
                oldest = group
        return oldest

    def _ready_at(self, group: deque[Ticket[Payload]], now: float) -> float:
        present = self._waiting + self._in_work
        self._crowd.see(present, now)
        full = len(group) >= self.max_items and sum(ticket.waiting for ticket in group) >= self.max_items
        # Those in work cannot come: their callers have no answer yet.
        if full or present >= self._crowd.most:
            return group[0].arrived
        return group[0].arrived + self.wait_seconds

    def _drop_late(self, now: float) -> None:
        self.discard(self.due(now))
