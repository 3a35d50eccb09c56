"""Whatever is sent: no failure of the server, one shape of errors, and no text of the request in them."""

from __future__ import annotations

import asyncio
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlpladder.serving.bodies import BodyReader
from nlpladder.serving.jobs import ModelUnavailableError
from nlpladder.serving.options import ServeOptions
from nlpladder.serving.problems import ClientGoneError, ProblemError, to_json
from serving.clients import Asking, asking, check_error, run
from serving.fakes import FakePool

TASKS = ("classify", "score", "generate", "translate", "embed", "tag", "answer")
FIELDS = (
    "model", "texts", "truncate", "top", "tokens", "prompt", "max_new_tokens", "do_sample", "temperature", "top_k",
    "top_p", "num_beams", "length_penalty", "stop_strings", "seed", "stream", "questions", "question", "context",
)  # fmt: skip

BAD_BODIES = {
    "empty": (b"", "invalid_json"),
    "cut": (b'{"texts": ["a"', "invalid_json"),
    "deep": (b"[" * 200_000, "invalid_json"),
    "deep object": (b'{"texts":' * 100_000, "invalid_json"),
    "not utf-8": (b'{"texts": ["\xff"]}', "invalid_json"),
    "byte order mark": (b'\xef\xbb\xbf{"texts": ["a"]}', "invalid_json"),
    "utf-16": ('{"texts": ["a"]}'.encode("utf-16"), "invalid_json"),
    "nan": (b'{"texts": ["a"], "top": NaN}', "invalid_json"),
    "infinity": (b'{"texts": ["a"], "top": -Infinity}', "invalid_json"),
    "digits": (b'{"texts": ["a"], "top": ' + b"9" * 5000 + b"}", "invalid_json"),
    "twice": (b'{"texts": ["a"], "texts": ["b"]}', "duplicate_field"),
    "control character": (b'{"texts": ["a\n"]}', "invalid_json"),
    "two values": (b"{} {}", "invalid_json"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_what_is_no_json_is_refused_in_a_sentence(name):
    body, code = BAD_BODIES[name]

    async def check():
        async with asking() as server:
            check_error(await server.post("/classify", body), 400, code)
            assert (await server.post("/classify", {"texts": ["alive"]})).status_code == 200

    run(check())


def test_a_whole_number_may_be_written_with_a_point():
    async def check():
        async with asking() as server:
            for good in (b"3.0", b"3e0", b"30e-1", b"3"):
                asked = b'{"texts": ["a"], "num_beams": ' + good + b', "length_penalty": 2.0}'
                assert (await server.post("/translate", asked)).status_code == 200
                assert server.pool.asked[-1][3]["num_beams"] == 3
            for bad, code in (
                (b"3.5", "wrong_type"),
                (b"1e300", "wrong_type"),
                (b"1e999", "wrong_type"),
                (b"-3.0", "out_of_range"),
            ):
                check_error(await server.post("/translate", b'{"texts": ["a"], "num_beams": ' + bad + b"}"), 422, code)

    run(check())


def test_line_and_column_are_told():
    async def check():
        async with asking() as server:
            error = check_error(await server.post("/classify", b'{\n "texts": ["a"],,\n}'), 400, "invalid_json")
            assert "line 2, column 17" in error["message"]

    run(check())


@pytest.mark.parametrize(
    "body, code, field",
    [
        ({}, "missing", "texts"),
        ([], "wrong_type", None),
        (None, "wrong_type", None),
        ("text", "wrong_type", None),
        ({"texts": "a"}, "wrong_type", "texts"),
        ({"texts": {"0": "a"}}, "wrong_type", "texts"),
        ({"texts": ["a", 5]}, "wrong_type", "texts.1"),
        ({"texts": ["a", None]}, "wrong_type", "texts.1"),
        ({"texts": [["a"]]}, "wrong_type", "texts.0"),
        ({"texts": []}, "too_few", "texts"),
        ({"texts": ["a"] * 65}, "too_many", "texts"),
        ({"texts": ["a"], "truncate": 1}, "wrong_type", "truncate"),
        ({"texts": ["a"], "truncate": "yes"}, "wrong_type", "truncate"),
        ({"texts": ["a"], "top": 0}, "out_of_range", "top"),
        ({"texts": ["a"], "top": True}, "wrong_type", "top"),
        ({"texts": ["a"], "top": "1"}, "wrong_type", "top"),
        ({"texts": ["a"], "top": 1.5}, "wrong_type", "top"),
        ({"texts": ["a"], "top": 10**400}, "out_of_range", "top"),
        ({"texts": ["a"], "model": ""}, "too_short", "model"),
        ({"texts": ["a"], "model": "m" * 201}, "too_long", "model"),
        ({"texts": ["a"], "text": "b"}, "unknown_field", "text"),
        ({"texts": ["a"], "": "b"}, "unknown_field", None),
        ({"texts": ["ok", "\ud800"]}, "invalid_unicode", "texts.1"),
        ({"texts": ["a"], "model": "\udfff"}, "invalid_unicode", "model"),
        ({"texts": ["a"], "\ud800": 1}, "invalid_unicode", None),
    ],
)
def test_field_limit_and_value_are_told(body, code, field):
    async def check():
        async with asking() as server:
            error = check_error(await server.post("/classify", body), 422, code, field)
            if code in ("too_few", "too_many", "too_short", "too_long"):
                value = body[field]
                assert error["value"] == len(value)
                assert error["limit"] in (1, 64, 200)
            assert server.pool.asked == []

    run(check())


@pytest.mark.parametrize(
    "options, code, field",
    [
        ({"temperature": 0}, "out_of_range", "temperature"),
        ({"temperature": -1.5}, "out_of_range", "temperature"),
        ({"top_p": 1.01}, "out_of_range", "top_p"),
        ({"top_p": 0.0}, "out_of_range", "top_p"),
        ({"min_p": 1.0}, "out_of_range", "min_p"),
        ({"max_new_tokens": 513}, "out_of_range", "max_new_tokens"),
        ({"seed": -1}, "out_of_range", "seed"),
        ({"seed": 2**32}, "out_of_range", "seed"),
        ({"num_beams": 2}, "contradiction", "num_beams"),
        ({"num_beams": 2, "do_sample": False, "stream": True}, "contradiction", "num_beams"),
        ({"num_beams": 9, "do_sample": False}, "out_of_range", "num_beams"),
        ({"stop_strings": [""]}, "too_short", "stop_strings.0"),
        ({"stop_strings": ["a"] * 9}, "too_many", "stop_strings"),
        ({"truncate": 1}, "wrong_type", "truncate"),
    ],
)
def test_options_of_a_generation_are_checked_before_the_model_is_asked(options, code, field):
    async def check():
        async with asking() as server:
            check_error(await server.post("/generate", {"prompt": "x", **options}), 422, code, field)
            assert server.pool.asked == []

    run(check())


def test_all_mistakes_are_told_at_once_but_not_hundreds():
    async def check():
        async with asking() as server:
            body = (await server.post("/classify", {"texts": [1] * 64, "truncate": 3})).json()
            assert len(body["errors"]) == 16
            body = (await server.post("/classify", {"texts": [1], "top": 0, "modle": "x"})).json()
            assert [error["code"] for error in body["errors"]] == ["wrong_type", "out_of_range", "unknown_field"]
            assert "'model'" in body["errors"][2]["message"]

    run(check())


@pytest.mark.parametrize(
    "kind, charset",
    [(None, ""), ("text/plain", ""), ("application/x-www-form-urlencoded", ""), ("application/jsonx", ""),
     ("application/json", "; charset=latin-1"), ("multipart/form-data", "; boundary=x"), ("", "")],
)  # fmt: skip
def test_only_json_is_read(kind, charset):
    async def check():
        async with asking() as server:
            headers = {} if kind is None else {"Content-Type": kind + charset}
            response = await server.client.post("/classify", content=b'{"texts":["a"]}', headers=headers)
            check_error(response, 415, "unsupported_media_type")
            for good in ("application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'):
                response = await server.client.post(
                    "/classify", content=b'{"texts":["a"]}', headers={"Content-Type": good}
                )
                assert response.status_code == 200, good
            response = await server.post("/classify", b'{"texts":["a"]}', **{"Content-Encoding": "gzip"})
            check_error(response, 415, "unsupported_encoding")

    run(check())


def test_bodies_are_bounded_also_when_they_do_not_say_their_size():
    async def check():
        async with asking(max_body_kb=1, max_characters=10**6) as server:
            fits = {"texts": ["a" * (1024 - len('{"texts": [""]}'))]}
            assert (await server.post("/classify", fits)).status_code == 200
            response = await server.post("/classify", {"texts": ["a" * 1024]})
            error = check_error(response, 413, "body_too_large")
            assert (error["limit"], error["value"]) == (1024, 1024 + len('{"texts": [""]}'))
            assert response.headers["connection"] == "close"

            async def chunks():
                for _ in range(1000):
                    yield b" " * 100

            response = await server.client.post(
                "/classify", content=chunks(), headers={"Content-Type": "application/json"}
            )
            assert check_error(response, 413, "body_too_large")["value"] is None
            response = await server.post("/classify", b'{"texts":["a"]}', **{"Content-Length": "9" * 30})
            assert response.status_code in (200, 413)

    run(check())


class Body:
    """A request that `BodyReader` can read."""

    def __init__(self, chunks, *, error=None):
        self.headers = {"content-type": "application/json"}
        self.chunks, self.error = chunks, error

    async def stream(self):
        for chunk in self.chunks:
            if isinstance(chunk, asyncio.Event):
                await chunk.wait()
            else:
                yield chunk
        if self.error:
            raise self.error


def test_a_body_that_does_not_come_is_not_waited_for():
    async def check():
        reader = BodyReader(100, total_bytes=1000, seconds=0.01)
        with pytest.raises(ProblemError) as caught:
            await reader.read(Body([b"{", asyncio.Event()]))
        assert caught.value.status == 408
        assert reader.held == 0

    run(check())


def test_all_bodies_together_are_bounded_and_their_memory_is_given_back():
    from starlette.requests import ClientDisconnect

    async def check():
        reader = BodyReader(100, total_bytes=150, seconds=30)
        gate = asyncio.Event()
        first = asyncio.create_task(reader.read(Body([b"a" * 90, gate, b"b"])))
        while reader.held != 90:
            await asyncio.sleep(0)
        with pytest.raises(ModelUnavailableError, match="bodies"):
            await reader.read(Body([b"a" * 70]))
        assert await reader.read(Body([b"a" * 60])) == b"a" * 60
        gate.set()
        assert await first == b"a" * 90 + b"b"
        with pytest.raises(ClientGoneError):
            await reader.read(Body([b"abc"], error=ClientDisconnect()))
        assert reader.held == 0

    run(check())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
objects = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.sampled_from(TASKS), objects | json_values | st.binary(max_size=60)), min_size=1, max_size=12)
)
def test_nothing_that_is_sent_makes_the_server_fail(sent):
    async def check():
        server = Asking(FakePool(), ServeOptions(), keys=None, watch=None)
        try:
            async with server.client:
                for task, body in sent:
                    content = body if isinstance(body, bytes) else json.dumps(body).encode()
                    response = await server.post(f"/{task}", content)
                    assert response.status_code in (200, 400, 404, 422), response.text
                    assert response.headers["x-request-id"]
        finally:
            server.log.close()

    run(check())


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=25, max_size=60))
@settings(max_examples=25)
def test_no_error_repeats_a_text(text):
    async def check():
        server = Asking(FakePool(), ServeOptions(max_characters=10), keys=None, watch=None)
        try:
            async with server.client:
                for path, body in (
                    ("classify", {"texts": [text]}), ("classify", {"texts": text}), ("classify", {"texts": [[text]]}),
                    ("generate", {"prompt": [text]}), ("classify", {"texts": ["a"], "top": text}),
                ):  # fmt: skip
                    response = await server.post(f"/{path}", body)
                    assert response.status_code == 422
                    assert text not in json.dumps(response.json(), ensure_ascii=False)
        finally:
            server.log.close()
        assert all(text not in json.dumps(line, ensure_ascii=False) for line in server.lines())

    run(check())


@given(json_values)
def test_json_is_always_written_and_finite(value):
    def same(given, read):
        if isinstance(given, float) and not math.isfinite(given):
            return read is None
        if isinstance(given, dict):
            return set(given) == set(read) and all(same(given[key], read[key]) for key in given)
        if isinstance(given, list):
            return len(given) == len(read) and all(map(same, given, read))
        return given == read and type(given) is type(read)

    written = to_json(value)
    assert same(value, json.loads(written))


def test_json_with_half_a_surrogate_pair_is_still_written():
    assert json.loads(to_json({"text": "a\ud800b"})) == {"text": "a?b"}
