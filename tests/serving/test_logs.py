"""Lines of the log: JSON, without texts, and never in the way."""

from __future__ import annotations

import json
import logging
import threading

from nlpladder.serving import logs
from nlpladder.serving.logs import JsonLog, LogHandler
from serving.clients import asking, run


def test_a_request_is_one_line_of_json_without_its_texts():
    async def check():
        async with asking() as server:
            await server.post("/classify", {"texts": ["private words", "more"]})
            await server.get("/nothing")
        first, second = server.lines()
        assert set(first) == {
            "time", "level", "event", "request_id", "method", "path", "status", "seconds", "model", "task", "items",
            "tokens",
        }  # fmt: skip
        assert (first["method"], first["path"], first["status"], first["items"]) == ("POST", "/classify", 200, 2)
        assert first["tokens"] == 3
        assert first["seconds"] > 0
        assert "private" not in "".join(server.written)
        assert (second["status"], second["code"]) == (404, "not_found")

    run(check())


def test_the_line_of_a_request_counts_the_texts_of_which_only_a_part_was_read():
    async def check():
        async with asking(max_characters=10) as server:
            await server.post("/classify", {"texts": ["a", "b" * 20, "c" * 30], "truncate": True})
            await server.post("/generate", {"prompt": "b" * 20, "truncate": True, "stream": True})
            await server.post("/classify", {"texts": ["a"]})
        assert [line.get("truncated") for line in server.lines()] == [2, 1, None]

    run(check())


def test_a_worker_tells_each_form_of_a_warning_once_behind_the_name_of_its_model(monkeypatch, capsys):
    root = logging.Logger("root")
    monkeypatch.setattr(logging, "getLogger", lambda: root)
    logs.log_to_stderr("100%/gpt")
    other = logging.Logger("other")
    other.parent = root
    for number in range(3):
        root.warning("Prompt %d is cut.", number)
        other.warning("Prompt %d is cut.", number)
        root.info("not this")
    assert capsys.readouterr().err.splitlines() == ["100%/gpt: Prompt 0 is cut."] * 2


def test_the_memory_of_forms_that_were_told_is_bounded(monkeypatch):
    monkeypatch.setattr(logs, "_MOST_FORMS", 3)
    told = logs.ToldOnce()
    passed = [told.filter(logging.makeLogRecord({"name": "n", "msg": f"text {number}"})) for number in range(10)]
    assert passed == [True] * 10, "what is new is never kept back"
    assert len(told._told) == 3


def test_texts_are_written_when_asked_for():
    async def check():
        async with asking(log_texts=True) as server:
            await server.post("/classify", {"texts": ["private\nwords"]})
            await server.post("/answer", {"questions": [{"question": "who", "context": "there"}]})
        first, second = server.lines()
        assert first["texts"] == ["private\nwords"]
        assert second["texts"] == ["who", "there"]

    run(check())


def test_a_reader_that_stands_still_stops_nobody_and_the_loss_is_told(monkeypatch):
    monkeypatch.setattr(logs, "_MOST_WAITING", 5)
    gate, taken, written = threading.Event(), threading.Event(), []

    def sink(text):
        taken.set()
        gate.wait(30)
        written.append(text)

    log = JsonLog(sink)
    log.write("first")
    assert taken.wait(30)
    for number in range(20):  # 5 of them fit
        log.write("line", number=number)
    gate.set()
    while log._lines:
        taken.wait(0.01)
    log.write("last")
    log.close()
    lines = [json.loads(line) for line in "".join(written).splitlines()]
    assert [line["event"] for line in lines] == ["first", *["line"] * 5, "last"]
    assert [line.get("number") for line in lines[1:6]] == [0, 1, 2, 3, 4]
    assert lines[-1]["lines_dropped"] == 15


def test_closing_does_not_wait_for_a_reader_for_ever():
    gate, taken = threading.Event(), threading.Event()

    def sink(text):
        taken.set()
        gate.wait(30)

    log = JsonLog(sink)
    log.write("first")
    assert taken.wait(30)
    log.close(seconds=0.01)
    gate.set()


def test_a_sink_that_fails_does_not_end_the_log():
    written = []

    def sink(text):
        written.append(text)
        if len(written) == 1:
            raise BrokenPipeError

    log = JsonLog(sink)
    log.write("first")
    while not written:
        pass
    log.write("second")
    log.close()
    assert json.loads(written[-1])["event"] == "second"


def test_a_failure_is_its_type_and_place_and_its_words_only_where_texts_are_logged():
    for texts in (False, True):
        written = []
        log = JsonLog(written.append, texts=texts)
        try:
            raise ValueError("could not read: the secret")
        except ValueError as error:
            log.failure("failure", error, model="m")
        log.close()
        line = json.loads(written[0])
        assert (line["error"], line["level"], line["model"]) == ("ValueError", "error", "m")
        assert line["where"][-1].startswith("test_logs.py:")
        assert ("secret" in written[0]) is texts


def test_what_other_packages_log_stands_there_too():
    written = []
    log = JsonLog(written.append)
    logger = logging.getLogger("nlpladder-test-of-logs")
    logger.propagate = False
    logger.addHandler(LogHandler(log))
    logger.info("not this")
    logger.warning("port %d", 5)
    try:
        raise KeyError("the secret")
    except KeyError:
        logger.exception("Exception in ASGI application")
    log.close()
    lines = [json.loads(line) for line in "".join(written).splitlines()]
    assert [line["event"] for line in lines] == ["server", "server_error"]
    assert lines[0]["message"] == "port 5"
    assert "secret" not in "".join(written)
