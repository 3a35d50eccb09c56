"""The queue: every text exactly once, in order, within bounds, none starved, none too late."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.serving.batching import LONGEST_RETRY_SECONDS, BatchQueue
from nlpladder.serving.jobs import QueueFullError

#: What happens: time goes on, a request comes, a batch is taken or finished, a caller goes away.
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("later"), st.floats(0, 0.01)),
        st.tuples(st.just("put"), st.sampled_from("abc"), st.integers(1, 7), st.sampled_from([0.004, 0.02, math.inf])),
        st.tuples(st.just("take"), st.integers(1, 3)),
        st.tuples(st.just("done"), st.integers(0, 9)),
        st.tuples(st.just("leave"), st.integers(0, 30)),
    ),
    max_size=60,
)


class Story:
    """Plays events on a queue beside the plainest account of what waits."""

    def __init__(self, max_items, capacity):
        self.queue = BatchQueue(max_items, 0.002, capacity)
        self.max_items, self.capacity = max_items, capacity
        self.now, self.number = 0.0, 0
        self.waiting = []  # tickets, oldest first
        self.taken, self.left, self.late, self.working = [], [], [], []

    def play(self, event):
        kind, *arguments = event
        getattr(self, kind)(*arguments)
        self.drop_late()

    def drop_late(self):
        late = [ticket for ticket in self.waiting if ticket.deadline <= self.now]
        self.late += late
        self.waiting = [ticket for ticket in self.waiting if ticket not in late]

    def later(self, seconds):
        self.now += seconds

    def put(self, key, size, patience):
        numbers = list(range(self.number, self.number + size))
        before = len(self.queue)
        if before and before + size > self.capacity:
            with pytest.raises(QueueFullError) as caught:
                self.queue.put(key, numbers, now=self.now, deadline=self.now + patience)
            assert 1 <= caught.value.retry_after <= LONGEST_RETRY_SECONDS
            assert len(self.queue) == before
            return
        self.waiting += self.queue.put(key, numbers, now=self.now, deadline=self.now + patience)
        self.number += size

    def take(self, idle):
        self.drop_late()
        oldest = self.waiting[0] if self.waiting else None
        batch = self.queue.take(self.now, idle=idle)
        if oldest is not None and self.now >= oldest.arrived + 0.002:
            assert batch, "nobody waits longer than that for company"
        if not batch:
            return
        same = [ticket for ticket in self.waiting if ticket.key == oldest.key]
        wanted = min(self.max_items, math.ceil(len(same) / idle))
        assert batch == same[:wanted], "the oldest first, and whoever may go with it"
        assert not any(ticket.waiting for ticket in batch)
        self.waiting = [ticket for ticket in self.waiting if ticket not in batch]
        self.taken += batch
        self.working.append(batch)

    def done(self, tenths):
        if self.working:
            self.queue.done(len(self.working.pop(0)), tenths / 10)

    def leave(self, place):
        if place < len(self.waiting):
            self.left.append(self.waiting.pop(place))
            self.queue.discard([self.left[-1]])


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.integers(1, 5), st.integers(1, 20))
def test_every_text_is_taken_once_or_known_to_be_gone(events, max_items, capacity):
    story = Story(max_items, capacity)
    for event in events:
        story.play(event)
        assert 1 <= story.queue.retry_after() <= LONGEST_RETRY_SECONDS
    story.later(1.0)
    story.drop_late()
    while story.waiting:
        before = len(story.waiting)
        story.take(1)
        assert len(story.waiting) < before
    assert story.queue.ready_at(story.now) is None
    assert len(story.queue) == 0
    everyone = sorted(ticket.payload for ticket in [*story.taken, *story.left, *story.late])
    assert everyone == list(range(story.number))


@settings(max_examples=100, deadline=None)
@given(EVENTS, st.integers(1, 5))
def test_what_waits_is_ready_when_it_says_so(events, max_items):
    story = Story(max_items, 50)
    for event in events:
        story.play(event)
    when = story.queue.ready_at(story.now)
    assert (when is None) == (not story.waiting)
    if when is not None:
        # A float may be rounded down by as much as one place.
        story.now = math.nextafter(max(when, story.now), math.inf)
        story.take(1)
        assert story.working


def test_a_lone_caller_does_not_wait():
    queue = BatchQueue(32, 0.002)
    for request in range(5):
        queue.put("a", [request], now=float(request), deadline=math.inf)
        assert [ticket.payload for ticket in queue.take(float(request))] == [request]
        queue.done(1, 0.01)


def test_callers_that_were_together_are_waited_for():
    queue = BatchQueue(32, 0.002)
    queue.put("a", ["one", "two"], now=0.0)
    assert len(queue.take(0.0)) == 2
    queue.done(2, 0.01)
    queue.put("a", ["one"], now=0.010)
    assert queue.take(0.011) == []
    assert queue.ready_at(0.011) == pytest.approx(0.012)
    queue.put("a", ["two"], now=0.0115)
    assert len(queue.take(0.0115)) == 2, "both are there: nobody else is expected"
    queue.done(2, 0.01)
    queue.put("a", ["one"], now=0.02)
    assert queue.take(0.021) == []
    assert len(queue.take(0.0221)) == 1, "but no longer than that"


def test_a_crowd_is_forgotten():
    queue = BatchQueue(32, 0.002)
    queue.put("a", ["one", "two"], now=0.0)
    queue.take(0.0)
    queue.done(2, 0.01)
    queue.put("a", ["one"], now=2.5)
    assert len(queue.take(2.5)) == 1


def test_those_in_work_are_not_waited_for():
    queue = BatchQueue(32, 0.002, workers=2)
    queue.put("a", ["one", "two"], now=0.0)
    assert len(queue.take(0.0, idle=2)) == 1
    assert len(queue.take(0.0, idle=1)) == 1, "two processes share"
    queue.done(1, 0.01)
    queue.put("a", ["one"], now=0.01)
    assert len(queue.take(0.01)) == 1, "two is still being answered, so it cannot come"


def test_a_full_queue_says_when_there_may_be_room():
    queue = BatchQueue(8, 0.0, capacity=10)
    queue.put("a", range(8), now=0.0)
    queue.done(len(queue.take(0.0)), 4.0)  # half a second a text
    queue.put("a", range(10), now=1.0)
    with pytest.raises(QueueFullError, match="10 texts wait already and 10 may") as caught:
        queue.put("a", range(1), now=1.0)
    assert caught.value.retry_after == 5
    assert caught.value.status == 429
    with pytest.raises(QueueFullError):
        BatchQueue(8, 0.0, capacity=10).put("a", range(3), now=0.0, beside=8)


def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits():
    queue = BatchQueue(8, 0.0, capacity=10)
    queue.put("a", range(30), now=0.0)
    assert [len(queue.take(0.0)) for _ in range(4)] == [8, 8, 8, 6]


def test_texts_that_are_too_late_or_unwanted_are_not_in_a_batch():
    queue = BatchQueue(8, 0.0)
    late = queue.put("a", ["late"], now=0.0, deadline=1.0)
    unwanted = queue.put("a", ["unwanted"], now=0.0)
    queue.put("a", ["wanted"], now=0.5)
    queue.discard(unwanted)
    queue.discard(unwanted)
    assert len(queue) == 2
    assert [ticket.payload for ticket in queue.take(1.0)] == ["wanted"]
    assert len(queue) == 0
    assert not late[0].waiting


def test_clear_returns_all_that_waits():
    queue = BatchQueue(8, 0.0)
    queue.put("a", [1, 2], now=0.0)
    queue.put("b", [3], now=0.0)
    assert sorted(ticket.payload for ticket in queue.clear()) == [1, 2, 3]
    assert len(queue) == 0
    assert queue.take(1.0) == []
