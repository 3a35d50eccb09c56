"""What the server keeps of its visitors: counted, not timed. And that forgetting them does no harm."""

from __future__ import annotations

import gc
import json
import shutil
import uuid
from collections import Counter

import httpx
import pytest
from fastapi import Request
from gradio.blocks import BlocksConfig
from gradio.queueing import Event
from gradio.state_holder import SessionState

from shell.sessions import Session, Sessions

CALLS = 40


def number_of(live_demo, api_name):
    return next(fn._id for fn in live_demo.page.fns.values() if fn.api_name == api_name)


def call(live_demo, number, data, session):
    """Call as a browser does; return the last message."""
    body = {"data": data, "fn_index": number, "session_hash": session}
    queue = f"{live_demo.url}/gradio_api/queue"
    with httpx.Client(timeout=60, verify=False) as client:
        client.post(f"{queue}/join", json=body).raise_for_status()
        with client.stream("GET", f"{queue}/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return message
    raise AssertionError("The answer did not come.")


@pytest.fixture
def few_sessions(live_demo):
    """The same server, with room for few sessions."""
    before = live_demo.page.app.state_holder
    live_demo.page.app.state_holder = Sessions(live_demo.page, most=8)
    yield live_demo.page.app.state_holder
    live_demo.page.app.state_holder = before
    live_demo.page.state_holder = before


def held(live_demo):
    """Count what the program holds of sessions, calls and descriptions of components."""
    gc.collect()
    kinds = Counter(type(one) for one in gc.get_objects())
    queue = live_demo.page._queue
    return {
        "sessions": kinds[Session] + kinds[SessionState] + kinds[BlocksConfig],
        "events": kinds[Event] + len(queue.event_ids_to_events) + len(queue.event_analytics),
        "requests": kinds[Request],
        "descriptions": len([one for one in gc.get_objects() if type(one) is dict and "component_class_id" in one]),
    }


def test_many_callers_leave_nothing_behind(live_demo, few_sessions):
    number = number_of(live_demo, "share")
    defaults = [block.value for block in live_demo.page.fns[number].inputs]
    for _ in range(10):  # the room for sessions is full now
        call(live_demo, number, defaults, uuid.uuid4().hex)  # there may be no run: a sentence is an answer, too
    before = held(live_demo)
    for _ in range(CALLS):
        call(live_demo, number, defaults, uuid.uuid4().hex)
    after = held(live_demo)
    assert len(few_sessions.session_data) == len(few_sessions.time_last_used) == 8
    assert live_demo.page._queue.pending_event_ids_session.max_size == 2_000
    for kind in before:
        assert after[kind] <= before[kind] + 5, (kind, before, after)


def test_what_was_typed_is_kept_nowhere(live_demo):
    number = number_of(live_demo, "preprocess")
    defaults = [block.value for block in live_demo.page.fns[number].inputs]
    secret = f"secret{uuid.uuid4().hex}"
    session = uuid.uuid4().hex
    assert secret in json.dumps(call(live_demo, number, [secret, *defaults[1:]], session))
    kept = live_demo.page.app.state_holder[session]
    assert kept.config_values == {}
    assert secret not in repr([vars(kept), *(vars(block) for block in kept._own.values())])
    # A link to what somebody sees would write it into a file.
    link = httpx.get(f"{live_demo.url}/gradio_api/deep_link", params={"session_hash": session}).text.strip('"')
    written = (live_demo.temp_dir / "deep_links" / link / "state.json").read_text()
    assert written == "[]"


def test_a_page_keeps_what_it_changed_and_no_other_page_has_it(live_demo):
    components = live_demo.page.default_config.blocks
    key = next(number for number, block in components.items() if type(block).__name__ == "Dropdown")
    one, other = Session(live_demo.page), Session(live_demo.page)
    assert one[key] is components[key]
    assert not one.changed
    changed = type(components[key])(["new"], render=False)
    one[key] = changed
    assert one[key] is changed
    assert one.changed
    assert other[key] is components[key] is live_demo.page.default_config.blocks[key]
    assert set(one.blocks_config.blocks) == set(components)


def test_a_page_that_asks_often_holds_no_more(live_demo):
    """What replaces a component has a number of its own, and gradio hands that in, too."""
    session = uuid.uuid4().hex
    number = number_of(live_demo, "models")
    sizes = []
    for _ in range(4):
        assert call(live_demo, number, [], session)["success"]
        sizes.append(len(live_demo.page.app.state_holder[session]._own))
    assert 0 < sizes[0] == sizes[-1] <= len(live_demo.page.default_config.blocks)


def test_calls_of_programs_are_forgotten_before_pages(live_demo):
    sessions = Sessions.__new__(Sessions)
    before = live_demo.page.state_holder
    try:
        sessions.__init__(live_demo.page, most=3)
    finally:
        live_demo.page.state_holder = before
    key = next(iter(live_demo.page.default_config.blocks))
    sessions["page"][key] = object()
    for name in ("a", "b", "c", "d"):
        assert sessions[name] is sessions[name]
    assert list(sessions.session_data) == ["page", "c", "d"]
    for name in ("c", "d"):
        sessions[name][key] = object()
    sessions["e"]
    assert list(sessions.session_data) == ["c", "d", "e"]  # all had something of their own: the oldest went


def test_a_model_that_comes_later_can_be_asked_by_a_new_caller(live_demo):
    number = number_of(live_demo, "classify")
    name = "came-later"
    shutil.copytree(live_demo.models_dir / "naive_bayes", live_demo.models_dir / name)
    try:
        assert call(live_demo, number_of(live_demo, "models"), [], uuid.uuid4().hex)["success"]
        defaults = [block.value for block in live_demo.page.fns[number].inputs]
        answer = call(live_demo, number, [defaults[0], [name], *defaults[2:]], uuid.uuid4().hex)
        assert answer["success"], answer
        assert name in json.dumps(answer["output"]["data"])
    finally:
        shutil.rmtree(live_demo.models_dir / name)
        live_demo.store.refresh()
