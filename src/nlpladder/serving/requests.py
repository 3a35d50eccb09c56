"""What is known of a request while it is answered, and the outermost layer that every request passes.

The layer gives each request an id, asks for its key, turns whatever goes wrong into the one shape of errors, and at the
end counts it and writes its line into the log.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nlpladder.serving.jobs import ServingError, UnknownModelError
from nlpladder.serving.keys import ApiKeys
from nlpladder.serving.logs import JsonLog
from nlpladder.serving.metrics import ServerMetrics
from nlpladder.serving.problems import ClientGoneError, Problem, ProblemError, error_body, to_json

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Name under which the context stands in the scope.
_SCOPE_KEY = "nlpladder"
#: Status that the log and the metrics give a request whose client went away, as nginx does.
CLIENT_GONE = 499
#: Paths that nobody is asked for a key at: probes of an orchestrator have none, and the page says how to use a key.
_OPEN_PATHS = ("/", "/health", "/ready", "/docs", "/openapi.json")


@dataclass(slots=True)
class RequestContext:
    """One request, as the log and the metrics will tell of it.

    Attributes:
        request_id: From the client if it sent one that looks like one, else made.
        started: `time.perf_counter` when its head was read.
        task: What was asked for; a name from a known set, empty for unknown paths.
        model: That was asked, once it is known to exist.
        items: Texts of the request.
        tokens: Read and written; where a text was continued only those that were written, as its answer says.
        prompt_tokens: Of the prompt, where a text was continued.
        truncated: Texts of which only a part was read.
        code: Of the error that it ended with.
        key: Name of the key it came with.
        texts: What was asked, only where the log may hold texts.
        status: Of the answer; `CLIENT_GONE` if nobody waited for it.
        item_codes: Of items that were refused while others were answered.
        afterwards: Is called once the answer was sent.
    """

    request_id: str
    started: float
    task: str = ""
    model: str = ""
    items: int | None = None
    tokens: int | None = None
    prompt_tokens: int | None = None
    truncated: int = 0
    code: str = ""
    key: str = ""
    texts: list[str] | None = None
    status: int = 0
    item_codes: list[str] = field(default_factory=list)
    afterwards: Callable[[], None] | None = None


def context_of(request: Request) -> RequestContext:
    """Return what is known of a request."""
    context: RequestContext = request.scope[_SCOPE_KEY]
    return context


@dataclass
class ServerState:
    """What changes while the server runs.

    Attributes:
        stopping: Whether it was told to end: answers then close their connections.
        in_flight: Requests that are being answered.
        started: `time.monotonic` of the start.
    """

    stopping: bool = False
    in_flight: int = 0
    started: float = field(default_factory=time.monotonic)


class RequestLayer:
    """The outermost layer.

    Args:
        app: What answers.
        state: Of the server.
        log: Gets a line a request.
        metrics: Counts it.
        keys: Who may ask; None lets everybody.
    """

    def __init__(
        self, app: ASGIApp, *, state: ServerState, log: JsonLog, metrics: ServerMetrics, keys: ApiKeys | None
    ) -> None:
        self.app = app
        self.state = state
        self.log = log
        self.metrics = metrics
        self.keys = keys
        self._ids = random.Random()  # ids are no secrets, and the system's randomness costs a system call each time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["path"] = _without_slash(scope["path"])
        headers = {name: value for name, value in scope["headers"] if name in (b"x-request-id", b"authorization")}
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"{self._ids.getrandbits(64):016x}"
        context = RequestContext(request_id, time.perf_counter())
        scope[_SCOPE_KEY] = context
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                context.status = message["status"]
                message = {**message, "headers": [*message["headers"], *self._headers(context)]}
            await send(message)

        self.state.in_flight += 1
        try:
            self._check_key(scope["path"], headers.get(b"authorization"), context)
            await self.app(scope, receive, sending)
        except asyncio.CancelledError:  # the time of grace ran out
            context.status, context.code = context.status or 500, "cancelled"
            raise
        except ClientGoneError:
            context.status, context.code = CLIENT_GONE, "client_gone"
        except ProblemError as error:
            await self._answer(error, context, sending)
        except Exception as error:  # nothing that a client sends may end a connection without an answer
            self.log.failure("failure", error, request_id=context.request_id, path=scope["path"])
            if not begun:
                problem = Problem("internal", f"The server failed. Its log says more: {context.request_id}.")
                await self._answer(ProblemError(500, [problem]), context, sending)
            else:
                context.code = "internal"
                raise
        finally:
            self.state.in_flight -= 1
            self._finish(scope, context)

    def _headers(self, context: RequestContext) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-request-id", context.request_id.encode()), (b"x-content-type-options", b"nosniff")]
        if self.state.stopping:
            headers.append((b"connection", b"close"))
        return headers

    def _check_key(self, path: str, authorization: bytes | None, context: RequestContext) -> None:
        if self.keys is None:
            return
        name = self.keys.name_of(None if authorization is None else authorization.decode("latin-1"))
        context.key = name or ""
        if name is None and path not in _OPEN_PATHS and not path.startswith("/docs/"):
            what = "There is no such key" if authorization is not None else "This server wants a key"
            message = f"{what}: send Authorization: Bearer KEY."
            raise ProblemError(
                401, [Problem("unauthorized", message)],
                headers={"WWW-Authenticate": 'Bearer realm="nlpladder"', "Connection": "close"},
            )  # fmt: skip

    async def _answer(self, error: ProblemError, context: RequestContext, send: Send) -> None:
        status, body, headers = error_answer(error, context)
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    def _finish(self, scope: Scope, context: RequestContext) -> None:
        seconds = time.perf_counter() - context.started
        metrics = self.metrics
        metrics.requests.labels(context.model, context.task, str(context.status)).inc()
        if context.model and context.status != CLIENT_GONE:
            metrics.request_seconds.labels(context.model, context.task).observe(seconds)
        if context.afterwards is not None:
            context.afterwards()
        for code in (context.code, *context.item_codes):
            if code:
                metrics.errors.labels(context.model, context.task, code).inc()
        self.log.write(
            "request", request_id=context.request_id, method=scope["method"], path=scope["path"][:200],
            status=context.status, seconds=round(seconds, 6), model=context.model, task=context.task,
            items=context.items, tokens=context.tokens, prompt_tokens=context.prompt_tokens,
            truncated=context.truncated or None, code=context.code, key=context.key, texts=context.texts,
        )  # fmt: skip


def _without_slash(path: str) -> str:
    """Return a path as it is meant: ``/classify/`` is ``/classify``.

    The page at ``/docs/`` is not changed: its own addresses would point to nothing there, so that it is redirected.
    """
    return path if path == "/docs/" else path.rstrip("/") or "/"


def error_answer(error: ProblemError | ServingError, context: RequestContext) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers that tell an error, and note its code.

    Args:
        error: What went wrong.
        context: Of the request.
    """
    if isinstance(error, ProblemError):
        status, problems, headers = error.status, error.problems, dict(error.headers)
    else:
        field = "model" if isinstance(error, UnknownModelError) else None
        status, problems, headers = error.status, (Problem(error.code, str(error), field),), {}
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
    context.code = problems[0].code
    body = to_json(error_body(problems, context.request_id))
    headers |= {"Content-Type": "application/json", "Content-Length": str(len(body)), "Cache-Control": "no-store"}
    return status, body, headers
