"""Connections, limits on them, and how a server ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import asynccontextmanager

import pytest

from nlpladder.errors import ConfigError, RunError
from nlpladder.serving import connections
from nlpladder.serving import server as server_module
from nlpladder.serving.jobs import ModelUnavailableError
from nlpladder.serving.logs import JsonLog
from nlpladder.serving.options import ServeOptions
from nlpladder.serving.server import GracefulServer, bind, check_ranges, named_models
from serving.clients import Asking, run
from serving.fakes import FakePool


class EndingPool(FakePool):
    """Texts ``wait`` are answered once the server is ending; ``never`` only by the end of the time of grace."""

    def __init__(self):
        super().__init__(["senti", "writer"])
        self.outstanding = 0
        self.ending = asyncio.Event()
        self.over = asyncio.Event()
        self.idle = asyncio.Event()
        self.accepted = asyncio.Event()
        self.drained_with = None

    async def run(self, model, task, items, parameters, *, truncate, deadline):
        self.choose(model, task)
        self.outstanding += 1
        self.idle.clear()
        self.accepted.set()
        try:
            if items[0].text == "wait":
                await self.ending.wait()
            if items[0].text == "never":
                await self.over.wait()
                raise ModelUnavailableError("The server ended before this text was answered.")
            return await super().run(model, task, items, parameters, truncate=truncate, deadline=deadline)
        finally:
            self.outstanding -= 1
            if not self.outstanding:
                self.idle.set()

    def waiting(self):
        return dict.fromkeys(self._infos, self.outstanding)

    async def drain(self, seconds):
        self.draining, self.drained_with = True, seconds
        self.ending.set()
        finished = True
        if self.outstanding:
            try:
                await asyncio.wait_for(self.idle.wait(), min(seconds, 0.2))
            except TimeoutError:
                finished = False
                self.over.set()
        return finished


class Connection:
    """A client with one connection that is kept."""

    def __init__(self, port):
        self.port = port

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def send(self, text, path="/classify"):
        body = json.dumps({"texts": [text]})
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        await self.writer.drain()

    async def answer(self):
        """Return status, headers and body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(first.split()[1]), headers, json.loads(body)

    async def ask(self, text):
        await self.send(text)
        return await self.answer()


@asynccontextmanager
async def listening(pool=None, **given):
    pool = pool or EndingPool()
    options = ServeOptions(**{"grace_seconds": 5.0, **given})
    asking = Asking(pool, options, keys=None, watch=None)
    listener = bind("127.0.0.1", 0)
    server = GracefulServer(asking.app, pool, options, asking.state)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    server.port, server.asking, server.pool = listener.getsockname()[1], asking, pool
    try:
        yield server, serving
    finally:
        server.should_exit = True
        await serving
        await asking.client.aclose()
        asking.log.close()


@pytest.fixture(autouse=True)
def _linger_shortly(monkeypatch):
    monkeypatch.setattr(server_module, "LINGER_SECONDS", 0.05)


def test_connections_are_kept_and_answers_do_not_name_the_server():
    async def check():
        async with listening() as (server, _):
            connection = await Connection(server.port).open()
            for _ in range(3):
                status, headers, body = await connection.ask("a film")
                assert status == 200
                assert headers.get("connection") != "close"
                assert "server" not in headers
                assert body["items"][0]["label"]

    run(check())


def test_what_was_accepted_is_answered_after_the_signal_and_what_is_under_way_is_taken(monkeypatch):
    monkeypatch.setattr(server_module, "LINGER_SECONDS", 0.4)

    async def check():
        async with listening() as (server, serving):
            busy, kept = await Connection(server.port).open(), await Connection(server.port).open()
            await kept.ask("warm")
            await busy.send("wait")
            while server.pool.outstanding == 0:
                await asyncio.sleep(0)
            server.handle_exit(signal.SIGTERM, None)
            # Sent before anybody could know: it is answered, and told that nothing follows.
            status, headers, _ = await kept.ask("under way")
            assert (status, headers["connection"]) == (200, "close")
            late = await Connection(server.port).open()
            await late.send("a new connection")
            assert (await late.answer())[0] == 200
            status, headers, _ = await busy.answer()
            assert (status, headers["connection"]) == (200, "close")
            await serving
            assert server.finished is True
            assert server.pool.drained_with == 5.0
            with pytest.raises(OSError):
                await Connection(server.port).open()

    run(check())


def test_what_cannot_be_answered_in_the_time_of_grace_is_told_so():
    async def check():
        async with listening() as (server, serving):
            busy = await Connection(server.port).open()
            await busy.send("never")
            while server.pool.outstanding == 0:
                await asyncio.sleep(0)
            server.handle_exit(signal.SIGTERM, None)
            status, _, body = await busy.answer()
            assert (status, body["error"]["code"]) == (503, "model_unavailable")
            await serving
            assert server.finished is False

    run(check())


def test_a_second_signal_makes_the_end_short():
    async def check():
        async with listening() as (server, serving):
            busy = await Connection(server.port).open()
            await busy.send("never")
            while server.pool.outstanding == 0:
                await asyncio.sleep(0)
            server.handle_exit(signal.SIGTERM, None)
            assert not server.force_exit
            server.handle_exit(signal.SIGINT, None)
            assert server.force_exit
            assert (await busy.answer())[0] == 503
            await serving
            assert server.pool.drained_with == 0.0

    run(check())


def test_idle_connections_do_not_hold_up_the_end():
    async def check():
        async with listening() as (server, serving):
            kept, silent = await Connection(server.port).open(), await Connection(server.port).open()
            await kept.ask("a")
            server.handle_exit(signal.SIGINT, None)
            await serving
            assert await kept.reader.read() == b""
            assert await silent.reader.read() == b""

    run(check())


async def refused(port, head):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    answer = await reader.read()
    writer.close()
    top, _, body = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    "head, status, code",
    [
        (b"NONSENSE\r\n\r\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request"),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"POST /classify HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, "bad_request"),
        (b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431, "head_too_large"),
        (b"GET /health HTTP/1.1\r\na: " + b"b" * 40_000 + b"\r\n\r\n", 431, "head_too_large"),
        (b"GET /" + b"b" * 40_000 + b" HTTP/1.1\r\n\r\n", 431, "head_too_large"),
    ],
)
def test_heads_that_are_none_or_too_large_are_refused_in_the_one_shape(head, status, code):
    async def check():
        async with listening() as (server, _):
            found, body = await refused(server.port, head)
            assert (found, body["error"]["code"]) == (status, code)
            assert set(body["error"]) == {"code", "message", "field", "limit", "value"}
            assert (await (await Connection(server.port).open()).ask("alive"))[0] == 200

    run(check())


def test_connections_are_bounded():
    async def check():
        async with listening(max_connections=2) as (server, _):
            open_ones = [await Connection(server.port).open() for _ in range(2)]
            for connection in open_ones:
                assert (await connection.ask("a"))[0] == 200
            found, body = await refused(server.port, b"")
            assert (found, body["error"]["code"]) == (503, "too_many_connections")
            assert (await open_ones[0].ask("still served"))[0] == 200
            open_ones[1].writer.close()
            await open_ones[1].writer.wait_closed()
            while len(server.server_state.connections) > 1:
                await asyncio.sleep(0.01)
            assert (await (await Connection(server.port).open()).ask("again"))[0] == 200

    run(check())


def test_a_head_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)

    async def check():
        async with listening() as (server, _):
            for start in (b"", b"GET /health HTTP/1.1\r\nHost:"):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(start)
                assert await reader.read() == b""

    run(check())


def test_a_model_that_cannot_be_opened_ends_the_server_with_its_sentence(monkeypatch, tmp_path):
    class Broken(EndingPool):
        async def wait_ready(self):
            raise RunError("The model m cannot be served. Its weights are damaged.")

    monkeypatch.setattr(server_module, "ModelPool", lambda *_, **__: Broken())
    before, written = signal.getsignal(signal.SIGTERM), []
    with pytest.raises(RunError, match="weights are damaged"):
        server_module.serve(ServeOptions(models=[str(tmp_path)], port=0), log=JsonLog(written.append))
    events = [json.loads(line) for line in "".join(written).splitlines()]
    assert [event["event"] for event in events] == ["listening", "failed", "stopped"]
    assert events[0]["port"] > 0
    assert signal.getsignal(signal.SIGTERM) is before


def served(pool, options, monkeypatch):
    """Return the events of a server from its start to its end."""
    written = []
    monkeypatch.setattr(server_module, "ModelPool", lambda *_, **hooks: pool(**hooks))
    server_module.serve(options, log=JsonLog(written.append))
    return [json.loads(line) for line in "".join(written).splitlines()]


def test_a_server_that_is_ended_before_its_models_are_open_is_never_ready(monkeypatch, tmp_path):
    class Opening(EndingPool):
        """Is not ready before it is closed, as a `ModelPool` that is drained while models are being opened."""

        def __init__(self, **_):
            super().__init__()

        async def wait_ready(self):
            os.kill(os.getpid(), signal.SIGINT)
            await self.ending.wait()

    events = served(Opening, ServeOptions(models=[str(tmp_path)], port=0), monkeypatch)
    assert [event["event"] for event in events] == ["listening", "stopping", "stopped"]
    assert events[1]["signal"] == "SIGINT"


def test_a_process_that_died_is_told_with_its_reason_and_its_return(monkeypatch, tmp_path):
    class Dying(EndingPool):
        def __init__(self, *, on_batch, on_restart, on_back):
            super().__init__()
            self.on_restart, self.on_back = on_restart, on_back

        async def wait_ready(self):
            self.on_restart("m", "it was ended by SIGKILL")
            self.on_back("m", 1.5)
            os.kill(os.getpid(), signal.SIGTERM)

    events = served(Dying, ServeOptions(models=[str(tmp_path)], port=0), monkeypatch)
    told = {event["event"]: event for event in events}
    assert told["worker_restart"]["reason"] == "it was ended by SIGKILL"
    assert (told["worker_back"]["model"], told["worker_back"]["seconds"]) == ("m", 1.5)
    assert told["stopping"]["signal"] == "SIGTERM"


@pytest.mark.parametrize("terminal", [False, True])
def test_on_a_terminal_the_sentence_of_a_failed_start_stands_there_once(monkeypatch, tmp_path, terminal):
    class Broken(EndingPool):
        async def wait_ready(self):
            raise RunError("Its weights are damaged.")

    written = []
    monkeypatch.setattr(server_module, "ModelPool", lambda *_, **__: Broken())
    monkeypatch.setattr(server_module, "_on_one_terminal", lambda: terminal)
    with pytest.raises(RunError, match="weights are damaged"):
        server_module.serve(ServeOptions(models=[str(tmp_path)], port=0), log=JsonLog(written.append))
    assert ("weights are damaged" in "".join(written)) is not terminal


def test_a_request_with_more_texts_than_may_wait_is_told_its_limit():
    async def check():
        async with listening(queue_size=3) as (server, _):
            response = await server.asking.post("/classify", {"texts": ["a"] * 4})
            assert response.status_code == 422
            assert response.json()["error"]["limit"] == 3

    run(check())


def test_a_port_that_is_taken_or_an_address_of_another_is_told_in_a_sentence():
    with bind("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(RunError, match="--port 0 takes a free one"):
            bind("127.0.0.1", first.getsockname()[1])
    with pytest.raises(RunError, match="--host"):
        bind("192.0.2.1", 0)
    with pytest.raises(RunError, match="no such address"):
        bind("no such host", 0)


def test_loopback_of_ip6_is_bound_too():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:  # a machine without it is told so
        with pytest.raises(RunError, match="--host ::1"):
            bind("::1", 0)
        return
    with bind("::1", 0) as listener:
        assert listener.family == socket.AF_INET6


def test_models_are_called_by_their_name_or_the_last_part_of_their_place(tmp_path):
    run_folder, other = tmp_path / "runs" / "bilstm", tmp_path / "other" / "bilstm"
    for folder in (run_folder, other, tmp_path / "a=b"):
        folder.mkdir(parents=True)
    assert named_models([str(run_folder), f"second={other}"]) == {"bilstm": str(run_folder), "second": str(other)}
    assert named_models([f"{run_folder}/"]) == {"bilstm": f"{run_folder}/"}
    assert named_models(["user/model", "m=user/model"]) == {"model": "user/model", "m": "user/model"}
    with pytest.raises(ConfigError, match="Two models are called 'bilstm'"):
        named_models([str(run_folder), str(other)])
    with pytest.raises(ConfigError, match="at least one model"):
        named_models([])
    with pytest.raises(ConfigError, match="names no model"):
        named_models(["name="])
    with pytest.raises(ConfigError, match="cannot be the name"):
        named_models([f"a b={run_folder}"])
    assert named_models([f"x={tmp_path / 'a=b'}"]) == {"x": str(tmp_path / "a=b")}
    with pytest.raises(ConfigError, match="No name stands before the ="):
        named_models([f"={run_folder}"])
    assert named_models([f"my/model={run_folder}"]) == {"my/model": str(run_folder)}


def test_a_run_of_a_rung_is_called_by_its_rung(tmp_path):
    places = [tmp_path / place for place in ("tfidf/seed-0", "bert/seed-0", "bert/seed-1", "other/bert/seed-1")]
    for place in places:
        place.mkdir(parents=True)
    tfidf, bert, second, other = map(str, places)
    assert named_models([tfidf, bert]) == {"tfidf": tfidf, "bert": bert}
    assert named_models([bert, tfidf, second]) == {"bert-seed-0": bert, "tfidf": tfidf, "bert-seed-1": second}
    assert named_models([f"bert={tfidf}", bert]) == {"bert": tfidf, "bert-seed-0": bert}
    with pytest.raises(ConfigError, match="Two models are called 'bert-seed-1'"):
        named_models([second, other])


@pytest.mark.parametrize(
    "name, value",
    [("workers", 0), ("threads", 0), ("max_batch_items", 0), ("batch_wait_ms", -1.0), ("batch_wait_ms", float("nan")),
     ("queue_size", 0), ("port", 65536), ("port", -1), ("request_timeout", 0.0), ("grace_seconds", float("inf"))],
)  # fmt: skip
def test_numbers_that_no_server_can_have_are_refused(name, value):
    check_ranges(ServeOptions())
    with pytest.raises(ConfigError, match=f"--{name} is"):
        check_ranges(ServeOptions(**{name: value}))
