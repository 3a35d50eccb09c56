"""The endpoints. Their docstrings are what the page at ``/docs`` says about them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, get_args

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from nlpladder.serving.answers import (
    ANSWERS,
    DriftAnswer,
    ErrorAnswer,
    HealthAnswer,
    ModelsAnswer,
    ReadyAnswer,
)
from nlpladder.serving.jobs import ServingTask
from nlpladder.serving.metrics import METRICS_TYPE
from nlpladder.serving.problems import Problem, ProblemError, to_json
from nlpladder.serving.requests import ServerState, context_of
from nlpladder.serving.service import Service

#: Title and description of each task; the body and the answer are described by their schemas.
_TASKS: dict[ServingTask, tuple[str, str]] = {
    "classify": (
        "Labels of texts",
        "Gives each text its label with the probabilities of all of them; several labels, or a number, where the model "
        "was trained so. Requests that arrive together are computed together; their answers are the same as alone.",
    ),
    "score": (
        "Probability of texts",
        "Tells how probable a language model holds each text: log-probability in nats, bits a byte, perplexities a "
        "token and a word.",
    ),
    "generate": (
        "Continue a text",
        "Writes a continuation of the prompt. With `stream: true` the answer is text/event-stream: an event `token` "
        '{"text"} for each piece, at last `end` {"tokens", "prompt_tokens", "reason", "truncated", '
        '"seconds"}, or `error` {"code", "message"} if the '
        "text cannot be finished. Closing the connection ends the writing.",
    ),
    "translate": (
        "Translate texts",
        "Translates each text by beam search and tells the log-probability of what it found.",
    ),
    "embed": (
        "Vectors of texts",
        "Gives each text its vector. A model of word vectors gives the vector of a word, and of several words the mean "
        "over those that it knows; a text without any known word is refused as `unknown_word`.",
    ),
    "tag": ("Tags of words", "Splits each text into words, tags each of them, and tells the entities they make up."),
    "answer": ("Find answers", "Finds, for each question, the span of its context that answers it."),
}
_MEANING = {
    400: "The body is no JSON.",
    401: "No key, or no known one.",
    404: "There is no such model, or it cannot be asked for this.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The body does not say that it is JSON.",
    422: "The body is not as it should be, or every text in it was refused.",
    429: "More texts wait than may; Retry-After says when to come back.",
    500: "The server failed; its log says more under the request's id.",
    503: "The model is being opened, or the server is ending; Retry-After says when to come back. A model that was "
    "given up has none.",
    504: "The time for the request ran out.",
}
_REQUEST_ID = {"X-Request-Id": {"description": "Stands in the log as well.", "schema": {"type": "string"}}}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
#: One event of a stream.
_EVENT = {
    "type": "object",
    "title": "Event",
    "description": "The stream is made of such events; data is JSON.",
    "properties": {
        "event": {"type": "string", "enum": ["token", "end", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}

Endpoint = Callable[[Request], Awaitable[Response]]


def add_routes(app: FastAPI, service: Service, state: ServerState, *, with_keys: bool) -> None:
    """Add every endpoint that is described in the OpenAPI page.

    Args:
        app: Gets them.
        service: Answers requests to models.
        state: Of the server.
        with_keys: Whether a key is asked for.
    """
    key = [401] if with_keys else []
    for task in get_args(ServingTask):
        title, text = _TASKS[task]
        schema = {"$ref": f"#/components/schemas/{service.requests[task].__name__}"}
        extra: dict[str, Any] = {
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            **_security(with_keys),
        }
        responses = _responses(ANSWERS[task], [400, *key, 404, 408, 413, 415, 422, 429, 500, 503, 504])
        if task == "generate":
            responses[200]["content"] = {"text/event-stream": {"schema": _EVENT}}
        app.add_api_route(
            f"/{task}", _task_endpoint(service, task), methods=["POST"], operation_id=task, summary=title,
            description=text, response_model=None, responses=responses, openapi_extra=extra, tags=["models"],
        )  # fmt: skip
    watching = _Watching(service, state)
    for path, answer, model, statuses, needs_key in (
        ("/models", watching.models, ModelsAnswer, [*key, 500], True),
        ("/health", watching.health, HealthAnswer, [500], False),
        ("/ready", watching.ready, ReadyAnswer, [500, 503], False),
        ("/drift", watching.drift, DriftAnswer, [*key, 500], True),
    ):
        app.add_api_route(
            path, answer, methods=["GET"], operation_id=path[1:], response_model=None, tags=["server"],
            responses=_responses(model, statuses), openapi_extra=_security(with_keys and needs_key),
        )  # fmt: skip
    app.add_api_route(
        "/metrics", watching.metrics, methods=["GET"], operation_id="metrics", response_model=None, tags=["server"],
        response_class=_MetricsResponse, openapi_extra=_security(with_keys),
        responses={
            200: {"headers": _REQUEST_ID, "content": {"text/plain": {"schema": {"type": "string"}}}},
            **_responses(None, [*key, 500]),
        },
    )  # fmt: skip


class _MetricsResponse(Response):
    media_type = "text/plain"


def _task_endpoint(service: Service, task: ServingTask) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await service.answer(task, request)

    endpoint.__name__ = task
    return endpoint


def _responses(answer: type[BaseModel] | None, statuses: list[int]) -> dict[int | str, dict[str, Any]]:
    responses: dict[int | str, dict[str, Any]] = {}
    if answer is not None:
        what = (answer.__doc__ or "").splitlines()[0]
        responses[200] = {"model": answer, "description": what, "headers": _REQUEST_ID}
    for status in statuses:
        headers = {**_REQUEST_ID, **(_RETRY_AFTER if status in (429, 503) else {})}
        responses[status] = {"model": ErrorAnswer, "description": _MEANING[status], "headers": headers}
    return responses


def _security(asked: bool) -> dict[str, Any]:
    return {"security": [{"key": []}]} if asked else {}


class _Watching:
    """Endpoints that tell about the server itself."""

    def __init__(self, service: Service, state: ServerState) -> None:
        self._service = service
        self._state = state

    async def models(self, request: Request) -> Response:
        """Lists the models: what they are, what they can be asked for, how much they read, and how they stand."""
        context = context_of(request)
        context.task = "models"
        pool = self._service.pool
        infos, waiting = pool.infos(), pool.waiting()
        listed = []
        for name, state in pool.states().items():
            info = infos.get(name)
            listed.append(
                {
                    "name": name, "state": state, "kind": info and info.kind, "tasks": list(info.tasks) if info else [],
                    "labels": list(info.label_names) if info else [], "label_task": info and info.label_task,
                    "parameters": info and info.parameters, "max_tokens": info and info.max_tokens,
                    "streams": info is not None and info.streams, "waiting": waiting.get(name, 0),
                }
            )  # fmt: skip
        return _json({"models": listed, "request_id": context.request_id})

    async def health(self, request: Request) -> Response:
        """Answers as long as the front process lives; an orchestrator restarts the server when it does not."""
        context = context_of(request)
        context.task = "health"
        seconds = round(time.monotonic() - self._state.started, 3)
        return _json({"status": "ok", "seconds": seconds, "request_id": context.request_id})

    async def ready(self, request: Request) -> Response:
        """Answers 200 once every model answers, 503 before, and again when the server is told to end."""
        context = context_of(request)
        context.task = "ready"
        states = self._service.pool.states()
        waits = [f"{name} is {state}" for name, state in states.items() if state != "ready"]
        if self._state.stopping:
            waits.insert(0, "the server is ending")
        if waits:
            seconds = 1 if self._state.stopping else self._service.pool.seconds_to_open()
            raise ProblemError(
                503, [Problem("not_ready", f"Not ready: {', '.join(waits)}.")],
                headers={} if seconds is None else {"Retry-After": str(seconds)},
            )  # fmt: skip
        return _json({"status": "ready", "models": states, "request_id": context.request_id})

    async def drift(self, request: Request) -> Response:
        """Tells how the last windows of traffic differ from the texts that each model was trained on."""
        context = context_of(request)
        context.task = "drift"
        names = list(self._service.pool.states())
        watch = self._service.watch
        reports = dict.fromkeys(names) if watch is None else watch.reports(names)
        return _json({"models": reports, "request_id": context.request_id})

    async def metrics(self, request: Request) -> Response:
        """Gives all counts and times in Prometheus' text format."""
        context_of(request).task = "metrics"
        pool, watch = self._service.pool, self._service.watch
        monitors = {} if watch is None else watch.monitors
        text = self._service.metrics.scrape(pool.states(), pool.waiting(), monitors)
        return Response(text, headers={"Content-Type": METRICS_TYPE, "Cache-Control": "no-store"})


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type="application/json", headers={"Cache-Control": "no-store"})
