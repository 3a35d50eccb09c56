"""Endpoints: answers in their order, errors in one shape, the page that describes both."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from nlpladder.serving.answers import ANSWERS, DriftAnswer, HealthAnswer, ModelsAnswer, ReadyAnswer
from nlpladder.serving.docs_page import older_openapi
from nlpladder.serving.jobs import DeadlineError, ItemError, ModelUnavailableError, QueueFullError
from nlpladder.serving.keys import ApiKeys
from serving.clients import asking, check_error, run
from serving.fakes import ALONE, INFOS, FakePool, value_of

BODIES = {
    "classify": {"texts": ["a good film", "dull"]},
    "score": {"texts": ["a good film", "dull"], "tokens": True},
    "generate": {"prompt": "the film", "temperature": 0.5, "seed": None},
    "translate": {"texts": ["a dog"], "num_beams": 2},
    "embed": {"texts": ["dog"]},
    "tag": {"texts": ["Ada lives"]},
    "answer": {"questions": [{"question": "who?", "context": "a dog runs"}]},
}


@pytest.mark.parametrize("task", BODIES)
def test_every_task_is_answered_as_its_schema_says(task):
    async def check():
        async with asking() as server:
            response = await server.post(f"/{task}", BODIES[task])
            assert response.status_code == 200, response.text
            body = ANSWERS[task].model_validate(response.json(), strict=True)
            assert body.request_id == response.headers["x-request-id"]
            assert server.count("nlpladder_requests_total", model=body.model, task=task, status="200") == 1
            assert server.count("nlpladder_request_seconds_count", model=body.model, task=task) == 1

    run(check())


def test_answers_stand_in_the_order_of_the_texts_and_hold_what_the_model_said():
    texts = [f"text {'x' * number}" for number in range(20)]

    async def check():
        async with asking(FakePool(["senti"])) as server:
            items = (await server.post("/classify", {"texts": texts})).json()["items"]
        assert [item["index"] for item in items] == list(range(20))
        for text, item in zip(texts, items, strict=True):
            value = value_of(INFOS["senti"], "classify", _item(text), {})
            assert item["label"] == value["label"]
            assert item["probabilities"] == value["probabilities"]

    run(check())


def _item(text):
    from nlpladder.serving.jobs import Item

    return Item(text)


def test_several_labels_numbers_and_the_largest_probabilities_only():
    async def check():
        async with asking(FakePool(["topics", "stars", "senti"])) as server:
            topics = (await server.post("/classify", {"texts": ["abc"], "model": "topics", "top": 2})).json()["items"][
                0
            ]
            stars = (await server.post("/classify", {"texts": ["abc"], "model": "stars"})).json()["items"][0]
            whole = (await server.post("/classify", {"texts": ["abc"], "model": "topics"})).json()["items"][0]
        assert list(topics["probabilities"].values()) == sorted(whole["probabilities"].values(), reverse=True)[:2]
        assert topics["labels"] == ["a"]
        assert stars == {"index": 0, "value": 0.3, "truncated": False}
        # `top` stays in the front: jobs that differ only in it share a batch.
        assert all(asked[3] == {} for asked in server.pool.asked)

    run(check())


def test_a_refused_text_does_not_take_the_others_with_it():
    pool = FakePool(["senti"])
    pool.refused["long"] = ItemError("too_long", "This text has 612 tokens; the model reads 256.", 256, 612)

    async def check():
        async with asking(pool) as server:
            response = await server.post("/classify", {"texts": ["good", "long", "bad"]})
            items = response.json()["items"]
            assert response.status_code == 200
            assert [("error" in item) for item in items] == [False, True, False]
            assert items[1]["error"] == {
                "code": "too_long", "message": "This text has 612 tokens; the model reads 256.", "limit": 256,
                "value": 612,
            }  # fmt: skip
            assert server.count("nlpladder_errors_total", model="senti", task="classify", code="too_long") == 1
            refused = await server.post("/classify", {"texts": ["long", "long"]})
            error = check_error(refused, 422, "too_long", "texts.0")
            assert (error["limit"], error["value"]) == (256, 612)
            assert [one["field"] for one in refused.json()["errors"]] == ["texts.0", "texts.1"]

    run(check())


def test_texts_with_too_many_characters_are_refused_or_cut_where_allowed():
    long = "x" * 31

    async def check():
        async with asking(max_characters=30) as server:
            items = (await server.post("/classify", {"texts": [long, "x" * 30]})).json()["items"]
            assert (items[0]["error"]["limit"], items[0]["error"]["value"]) == (30, 31)
            assert items[1]["truncated"] is False
            cut = (await server.post("/classify", {"texts": [long], "truncate": True})).json()["items"]
            assert cut[0]["truncated"] is True
            assert server.pool.asked[-1][2][0].text == "x" * 30
            error = check_error(await server.post("/generate", {"prompt": long}), 422, "too_long", "prompt")
            assert "send truncate: true" in error["message"]
            whole = (await server.post("/generate", {"prompt": "b" + long, "truncate": True})).json()
            assert whole["truncated"] is True
            assert server.pool.asked[-1][2][0].text == "x" * 30, "the text goes on from the end of its prompt"
            assert server.pool.asked[-1][4] is True
            assert "truncate" not in server.pool.asked[-1][3]
            streamed = await server.post("/generate", {"prompt": "b" + long, "truncate": True, "stream": True})
            assert '"truncated":true' in streamed.text
            assert server.pool.asked[-1][2][0].text == "x" * 30
            assert server.pool.asked[-1][4] is True
            asked = {"questions": [{"question": "q", "context": long}]}
            error = check_error(await server.post("/answer", asked), 422, "too_long", "questions.0")
            assert "truncate" not in error["message"], "it has no such field"
            assert long not in json.dumps(items)

    run(check())


@pytest.mark.parametrize(
    "failure, status, retry_after",
    [
        (QueueFullError("Too many texts wait.", retry_after=3), 429, "3"),
        (ModelUnavailableError("Its process died.", retry_after=1), 503, "1"),
        (DeadlineError("The time ran out."), 504, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_pool_cannot_do_is_told_with_its_status(failure, status, retry_after, stream):
    async def check():
        async with asking() as server:
            server.pool.failure = failure
            response = await server.post("/generate", {"prompt": "x", "stream": stream})
            check_error(response, status, failure.code)
            assert response.headers.get("retry-after") == retry_after
            assert server.count("nlpladder_errors_total", model="writer", task="generate", code=failure.code) == 1

    run(check())


def test_a_failure_of_our_own_is_told_without_its_words():
    async def check():
        async with asking() as server:
            server.pool.failure = KeyError("the secret text")
            response = await server.post("/classify", {"texts": ["the secret text"]})
            error = check_error(response, 500, "internal")
            assert response.json()["request_id"] in error["message"]
        failed = [line for line in server.lines() if line["event"] == "failure"]
        assert failed[0]["error"] == "KeyError"
        assert failed[0]["request_id"] == response.json()["request_id"]
        assert "secret" not in "".join(server.written)

    run(check())


def test_unknown_models_paths_and_methods():
    async def check():
        async with asking() as server:
            asked = {"texts": ["a"], "model": "nobody"}
            check_error(await server.post("/classify", asked), 404, "unknown_model", "model")
            error = check_error(await server.get("/clasify"), 404, "not_found")
            assert "'/classify'" in error["message"]
            response = await server.get("/classify")
            check_error(response, 405, "method_not_allowed")
            assert response.headers["allow"] == "POST"
            # A name from outside makes no time series.
            assert server.count("nlpladder_requests_total", model="", task="classify", status="404") == 1
            assert server.count("nlpladder_requests_total", model="nobody", task="classify", status="404") is None

    run(check())


def test_the_root_and_slashes_at_the_end_lead_where_they_are_meant_to():
    async def check():
        async with asking(keys=ApiKeys({"ada": "k" * 32})) as server:
            for path, target in (("/", "docs"), ("/docs/", "../docs")):
                response = await server.get(path)
                assert (response.status_code, response.headers["location"]) == (307, target)
                assert (
                    (await server.client.get(path, follow_redirects=True))
                    .headers["content-type"]
                    .startswith("text/html")
                )
            assert (await server.get("/health/")).status_code == 200
            check_error(await server.get("/models/"), 401, "unauthorized")
            key = {"Authorization": "Bearer " + "k" * 32}
            assert (await server.post("/classify/", BODIES["classify"], **key)).status_code == 200
            check_error(await server.get("/classify/", **key), 405, "method_not_allowed")
            check_error(await server.get("/nothing/", **key), 404, "not_found")

    run(check())


@pytest.mark.parametrize("task", [task for task, body in BODIES.items() if "texts" in body])
def test_texts_of_white_space_alone_have_no_answer(task):
    async def check():
        async with asking() as server:
            body = {"texts": ["", "a", " \n\t\u3000"]}
            items = (await server.post(f"/{task}", body)).json()["items"]
            assert [item.get("error", {}).get("code") for item in items] == ["empty_text", None, "empty_text"]
            assert server.pool.asked[-1][2] == [_item("a")]
            check_error(await server.post(f"/{task}", {"texts": [""]}), 422, "empty_text", "texts.0")
            assert (await server.post("/generate", {"prompt": ""})).status_code == 200, "from nothing, too"

    run(check())


def test_the_tokens_of_a_continued_text_are_those_of_its_answer():
    async def check():
        async with asking() as server:
            body = (await server.post("/generate", {"prompt": "the new film"})).json()
            await server.post("/generate", {"prompt": "the new film", "stream": True})
        assert (body["tokens"], body["prompt_tokens"]) == (2, 3)
        assert [(line["tokens"], line["prompt_tokens"]) for line in server.lines()] == [(2, 3)] * 2

    run(check())


def test_a_parameter_that_the_model_refuses_is_the_field_that_is_wrong():
    pool = FakePool()
    pool.refused["x"] = ItemError("bad_parameter", "This model counts words: num_beams must be 1.", field="num_beams")

    async def check():
        async with asking(pool) as server:
            asked = {"prompt": "x", "num_beams": 2, "do_sample": False}
            check_error(await server.post("/generate", asked), 422, "bad_parameter", "num_beams")
            error = check_error(
                await server.post("/generate", {"prompt": "x", "temperature": 0}), 422, "out_of_range", "temperature"
            )
            assert "do_sample: false" in error["message"]

    run(check())


def test_what_watches_the_server():
    async def check():
        async with asking() as server:
            HealthAnswer.model_validate((await server.get("/health")).json())
            ready = ReadyAnswer.model_validate((await server.get("/ready")).json())
            assert ready.models == dict.fromkeys(ALONE, "ready")
            models = ModelsAnswer.model_validate((await server.get("/models")).json()).models
            assert [model.name for model in models] == list(ALONE)
            assert models[0].labels == ["negative", "positive"]
            drift = DriftAnswer.model_validate((await server.get("/drift")).json())
            assert drift.models == dict.fromkeys(ALONE)
            server.pool.state["writer"] = "restarting"
            response = await server.get("/ready")
            error = check_error(response, 503, "not_ready")
            assert "writer is restarting" in error["message"]
            assert response.headers["retry-after"] == "7"
            listed = ModelsAnswer.model_validate((await server.get("/models")).json()).models[1]
            assert (listed.state, listed.kind, listed.tasks) == ("restarting", None, [])
            assert (await server.get("/health")).status_code == 200
            server.pool.state["writer"] = "failed"
            response = await server.get("/ready")
            check_error(response, 503, "not_ready")
            assert "retry-after" not in response.headers, "it will not be ready"
            server.pool.state["writer"] = "ready"
            server.state.stopping = True
            response = await server.get("/ready")
            check_error(response, 503, "not_ready")
            assert response.headers["retry-after"] == "1"
            assert response.headers["connection"] == "close"

    run(check())


def test_request_ids_are_taken_if_they_look_like_ones():
    async def check():
        async with asking() as server:
            response = await server.post("/classify", {"texts": ["a"]}, **{"X-Request-Id": "abc-1.2_Z"})
            assert response.headers["x-request-id"] == response.json()["request_id"] == "abc-1.2_Z"
            for bad in ("", "a b", "x" * 65, 'a"b', "ä"):
                given = await server.client.get("/health", headers={"X-Request-Id": bad.encode()})
                assert given.headers["x-request-id"] != bad
                assert len(given.headers["x-request-id"]) == 16
        assert server.lines()[0]["request_id"] == "abc-1.2_Z"

    run(check())


def test_a_client_that_goes_away_is_not_computed_for():
    pool = FakePool(["senti"])

    async def check():
        pool.gate = asyncio.Event()
        async with asking(pool) as server:
            sent = []
            body = json.dumps({"texts": ["a"]}).encode()
            messages = [{"type": "http.request", "body": body, "more_body": False}]

            async def receive():
                if messages:
                    return messages.pop()
                await pool.started.wait()
                return {"type": "http.disconnect"}

            async def send(message):
                sent.append(message)

            scope = {
                "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
                "path": "/classify", "raw_path": b"/classify", "query_string": b"", "root_path": "",
                "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1), "server": ("x", 80),
            }  # fmt: skip
            await server.app(scope, receive, send)
            assert sent == []
            assert pool.cancelled == 1
            assert server.count("nlpladder_requests_total", model="senti", task="classify", status="499") == 1
            assert server.lines()[0]["code"] == "client_gone"

    run(check())


def test_the_description_is_true_and_complete():
    async def check():
        async with asking(max_texts=7, max_beams=3, max_new_tokens=9) as server:
            description = (await server.get("/openapi.json")).json()
        paths = description["paths"]
        assert set(paths) == {f"/{name}" for name in (*BODIES, "models", "health", "ready", "drift", "metrics")}
        schemas = description["components"]["schemas"]
        for task in BODIES:
            operation = paths[f"/{task}"]["post"]
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            schema = schemas[reference.rpartition("/")[2]]
            assert schema["additionalProperties"] is False
            assert schema["examples"]
            statuses = {"200", "400", "404", "408", "413", "415", "422", "429", "500", "503", "504"}
            assert set(operation["responses"]) == statuses
            assert operation["description"]
        assert schemas["ClassifyRequest"]["properties"]["texts"]["maxItems"] == 7
        assert schemas["TranslateRequest"]["properties"]["num_beams"] == {
            **schemas["TranslateRequest"]["properties"]["num_beams"], "minimum": 1, "maximum": 3, "default": 3,
        }  # fmt: skip
        assert schemas["GenerateRequest"]["properties"]["max_new_tokens"]["default"] == 9
        assert schemas["AnswerRequest"]["properties"]["questions"]["maxItems"] == 7
        assert "text/event-stream" in paths["/generate"]["post"]["responses"]["200"]["content"]
        text = json.dumps(description)
        for reference in set(text.split('"#/components/schemas/')[1:]):
            assert reference.partition('"')[0] in schemas
        assert "securitySchemes" not in description["components"]

    run(check())


def test_examples_of_the_description_are_answered():
    async def check():
        async with asking() as server:
            description = (await server.get("/openapi.json")).json()
            for task in BODIES:
                schema = description["components"]["schemas"][f"{task.capitalize()}Request"]
                for example in schema["examples"]:
                    assert (await server.post(f"/{task}", example)).status_code == 200

    run(check())


def test_the_page_loads_nothing_from_elsewhere():
    async def check():
        async with asking() as server:
            page = await server.get("/docs")
            assert "default-src 'none'" in page.headers["content-security-policy"]
            assert "http" not in page.text.replace("<html", "")
            wanted = [part.partition('"')[0] for mark in ('src="', 'href="') for part in page.text.split(mark)[1:]]
            assert len(wanted) == 4
            for name in (*wanted, "docs/openapi.json"):
                assert (await server.get(f"/{name}")).status_code == 200, name
            script = (await server.get("/docs/page.js")).text
            assert 'url: "docs/openapi.json"' in script
            check_error(await server.get("/docs/index.html"), 404, "not_found")
            check_error(await server.get("/docs/..%2Fapp.py"), 404, "not_found")

    run(check())


def test_the_page_gets_the_older_form_of_openapi():
    older = older_openapi(
        {
            "openapi": "3.1.0",
            "a": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "description": "x"},
            "b": {"anyOf": [{"$ref": "#/c"}, {"type": "null"}]},
            "c": {"type": "number", "exclusiveMinimum": 0.0, "examples": [1, 2]},
            "d": {"const": "ok"},
        }
    )
    assert older == {
        "openapi": "3.0.3",
        "a": {"type": "integer", "minimum": 1, "nullable": True, "description": "x"},
        "b": {"anyOf": [{"$ref": "#/c"}], "nullable": True},
        "c": {"type": "number", "minimum": 0.0, "exclusiveMinimum": True, "example": 1},
        "d": {"enum": ["ok"]},
    }

    async def check():
        async with asking() as server:
            made = (await server.get("/docs/openapi.json")).json()
        assert made["openapi"] == "3.0.3"
        assert '"type": "null"' not in json.dumps(made)

    run(check())


def test_the_front_imports_nothing_heavy():
    code = (
        "import nlpladder.serving.app, nlpladder.serving.server, sys; "
        "print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
