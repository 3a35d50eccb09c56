"""The HTTP application: endpoints, one shape of errors, the OpenAPI page.

    app = create_app(pool, options, log=JsonLog())

It is an ASGI application; `nlpladder.serving.server` runs it, with the limits that belong to connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from nlpladder.errors import did_you_mean
from nlpladder.serving.docs_page import docs_file, docs_page
from nlpladder.serving.jobs import RefusedItemError, ServingError
from nlpladder.serving.keys import ApiKeys
from nlpladder.serving.logs import JsonLog
from nlpladder.serving.metrics import ServerMetrics
from nlpladder.serving.options import ServeOptions
from nlpladder.serving.pool import ModelPool
from nlpladder.serving.problems import Problem, ProblemError, to_json
from nlpladder.serving.requests import RequestLayer, ServerState, context_of, error_answer
from nlpladder.serving.routes import add_routes
from nlpladder.serving.service import Service
from nlpladder.serving.watching import DriftWatch

_DESCRIPTION = """Models of nlpladder behind HTTP.

* Bodies are JSON; unknown fields are refused. Several texts of one request are answered in their order, each by itself:
  200 when at least one has an answer, 422 when none has.
* A text that is too long is refused, not cut, unless the request says `truncate: true`.
* Every error has one shape: `{"error": {"code", "message", "field", "limit", "value"}, "request_id"}`.
* `X-Request-Id` is taken from the request or made, and stands in the answer and in the log.
* 429 and 503 say in `Retry-After` when to come back; only a 503 for good (a model was given up) has none.
"""


def create_app(
    pool: ModelPool,
    options: ServeOptions,
    *,
    log: JsonLog,
    metrics: ServerMetrics | None = None,
    state: ServerState | None = None,
    keys: ApiKeys | None = None,
    watch: DriftWatch | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        pool: Holds the models; started and ended by the caller.
        options: Limits and times.
        log: Gets a line a request.
        metrics: Of this server; its `on_batch` and `on_restart` are for the pool.
        state: Of this server; whoever stops it sets `stopping`.
        keys: Who may ask; None lets everybody.
        watch: Compares traffic with training.
    """
    state = state or ServerState()
    metrics = metrics or ServerMetrics()
    service = Service(pool, options, log=log, metrics=metrics, watch=watch)
    app = FastAPI(
        title="nlpladder", version=_version(), description=_DESCRIPTION, docs_url=None, redoc_url=None,
        openapi_url=None, redirect_slashes=False,
    )  # fmt: skip
    add_routes(app, service, state, with_keys=keys is not None)
    app.openapi = _openapi(app, service, with_keys=keys is not None)  # type: ignore[method-assign]
    paths = [route.path for route in app.routes] + ["/docs", "/openapi.json"]  # type: ignore[attr-defined]
    app.add_route("/", _named("docs", _to_docs), include_in_schema=False)
    app.add_route("/openapi.json", _named("docs", lambda _: _page(app)), include_in_schema=False)
    app.add_route("/docs", _named("docs", docs_page), include_in_schema=False)
    app.add_route("/docs/", _named("docs", lambda _: RedirectResponse("../docs", 307)), include_in_schema=False)
    app.add_route("/docs/{name}", _named("docs", docs_file(app.openapi)), include_in_schema=False)
    app.add_exception_handler(ProblemError, _tell)
    app.add_exception_handler(ServingError, _tell)
    app.add_exception_handler(HTTPException, _tell_route(paths))
    app.add_middleware(RequestLayer, state=state, log=log, metrics=metrics, keys=keys)
    return app


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("nlpladder")
    except PackageNotFoundError:
        return "unknown"


def _named(task: str, answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    async def named(request: Request) -> Response:
        context_of(request).task = task
        return answer(request)

    return named


def _to_docs(_: Request) -> Response:
    # Relative: behind a proxy the server may not stand at the root.
    return RedirectResponse("docs", status_code=307)


def _page(app: FastAPI) -> Response:
    return Response(to_json(app.openapi()), media_type="application/json")


def _openapi(app: FastAPI, service: Service, *, with_keys: bool) -> Callable[[], dict[str, Any]]:
    """Return what makes the description, once: FastAPI's own, with the bodies that the service reads by itself."""
    original = app.openapi
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            description = original()
            components = description.setdefault("components", {})
            _, found = models_json_schema(
                [(cls, "validation") for cls in service.requests.values()],
                ref_template="#/components/schemas/{model}",
            )
            components.setdefault("schemas", {}).update(found.get("$defs", {}))
            if with_keys:
                components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            made.update(description)
        return made

    return openapi


def _response(error: ProblemError | ServingError, request: Request) -> Response:
    status, body, headers = error_answer(error, context_of(request))
    return Response(body, status_code=status, headers=headers)


def _tell(request: Request, error: Exception) -> Response:
    if isinstance(error, RefusedItemError):
        one = error.error
        problem = Problem(one.code, one.message, one.field or "prompt", one.limit, one.value)
        return _response(ProblemError(error.status, [problem]), request)
    assert isinstance(error, (ProblemError, ServingError))
    return _response(error, request)


def _tell_route(paths: list[str]) -> Callable[[Request, Exception], Response]:
    """Return what tells that there is no such path, or not for this method."""

    def tell(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            problem = Problem("method_not_allowed", f"This path answers {allowed} only.")
        elif error.status_code == 404:
            hint = did_you_mean(request.url.path[:64], paths)
            problem = Problem("not_found", f"There is no such path.{hint} /docs lists all of them.")
        else:
            problem = Problem("bad_request", "The request cannot be understood.")
        return _response(ProblemError(error.status_code, [problem], headers=error.headers), request)

    return tell
