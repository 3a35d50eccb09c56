"""Texts that are sent while they are written."""

from __future__ import annotations

import asyncio
import json

import pytest

from nlpladder.serving.jobs import DeadlineError, ItemError, ModelUnavailableError, Piece, RefusedItemError
from serving.clients import asking, check_error, run
from serving.fakes import FakePool


def events(text):
    """Return name and data of each event of a stream."""
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_pieces_come_in_order_and_end_with_what_ended_them():
    async def check():
        async with asking() as server:
            server.pool.pieces = [
                Piece("ein\nZeilen"),
                Piece("umbruch ü "),
                Piece("end", last=True, tokens=3, reason="stop"),
            ]
            response = await server.post("/generate", {"prompt": "x", "stream": True})
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-store"
            found = events(response.text)
            assert [name for name, _ in found] == ["token", "token", "token", "end"]
            assert "".join(data["text"] for name, data in found if name == "token") == "ein\nZeilenumbruch ü end"
            assert found[-1][1]["tokens"] == 3
            assert found[-1][1]["reason"] == "stop"
            assert found[-1][1]["seconds"] >= 0
            assert server.pool.cancelled == 0
            assert server.count("nlpladder_first_token_seconds_count", model="writer") == 1
        assert server.lines()[0]["tokens"] == 3

    run(check())


def test_a_text_of_no_tokens_has_only_an_end():
    async def check():
        async with asking() as server:
            server.pool.pieces = [Piece("", last=True, tokens=0, reason="end_of_text")]
            found = events((await server.post("/generate", {"prompt": "x", "stream": True})).text)
            assert [name for name, _ in found] == ["end"]

    run(check())


@pytest.mark.parametrize("failure", [DeadlineError("The time ran out."), ModelUnavailableError("Its process died.")])
def test_a_failure_behind_the_first_piece_is_an_event(failure):
    async def check():
        async with asking() as server:
            server.pool.pieces = [Piece("so far"), failure]
            response = await server.post("/generate", {"prompt": "x", "stream": True})
            assert response.status_code == 200
            assert events(response.text)[-1] == ("error", {"code": failure.code, "message": str(failure)})
            assert server.count("nlpladder_errors_total", model="writer", task="generate", code=failure.code) == 1

    run(check())


def test_a_failure_before_the_first_piece_has_its_own_status():
    async def check():
        async with asking() as server:
            server.pool.pieces = [DeadlineError("The time ran out.")]
            check_error(await server.post("/generate", {"prompt": "x", "stream": True}), 504, "deadline_exceeded")
            server.pool.pieces = [
                RefusedItemError(ItemError("too_long", "This text has 9 tokens; the model reads 4.", 4, 9))
            ]
            error = check_error(
                await server.post("/generate", {"prompt": "x", "stream": True}), 422, "too_long", "prompt"
            )
            assert (error["limit"], error["value"]) == (4, 9)

    run(check())


def test_pieces_without_an_end_are_an_error_and_not_a_whole_text():
    async def check():
        async with asking() as server:
            server.pool.pieces = [Piece("so far")]
            found = events((await server.post("/generate", {"prompt": "x", "stream": True})).text)
            assert found[-1][0] == "error"

    run(check())


def test_leaving_in_the_middle_ends_the_writing():
    pool = FakePool()

    async def check():
        pool.gate = asyncio.Event()
        async with asking(pool) as server:
            body = json.dumps({"prompt": "x", "stream": True}).encode()
            messages = [{"type": "http.request", "body": body, "more_body": False}]
            sent = []

            async def receive():
                if messages:
                    return messages.pop()
                await pool.started.wait()  # the first piece was sent, the second is being written
                return {"type": "http.disconnect"}

            async def send(message):
                sent.append(message)

            scope = {
                "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
                "path": "/generate", "raw_path": b"/generate", "query_string": b"", "root_path": "",
                "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1), "server": ("x", 80),
            }  # fmt: skip
            await server.app(scope, receive, send)
            assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
            assert pool.cancelled == 1
            assert server.count("nlpladder_requests_total", model="writer", task="generate", status="499") == 1

    run(check())
