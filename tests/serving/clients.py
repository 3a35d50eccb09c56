"""An application around a fake pool, and a client that asks it without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx

from nlpladder.serving.app import create_app
from nlpladder.serving.keys import ApiKeys
from nlpladder.serving.logs import JsonLog
from nlpladder.serving.metrics import ServerMetrics
from nlpladder.serving.options import ServeOptions
from nlpladder.serving.requests import ServerState
from serving.fakes import FakePool

JSON = {"Content-Type": "application/json"}


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run one test's coroutine; a test that stands still fails instead of hanging."""
    return asyncio.run(asyncio.wait_for(work, 60))


class Asking:
    """An application and what it wrote."""

    def __init__(self, pool: FakePool, options: ServeOptions, *, keys: ApiKeys | None, watch: Any) -> None:
        self.pool = pool
        self.metrics = ServerMetrics()
        self.state = ServerState()
        self.written: list[str] = []
        self.log = JsonLog(self.written.append, texts=options.log_texts)
        self.app = create_app(
            pool, options, log=self.log, metrics=self.metrics, state=self.state, keys=keys, watch=watch  # type: ignore[arg-type]
        )  # fmt: skip
        transport = httpx.ASGITransport(self.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://server")

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Post a value as JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(path, content=content, headers={**JSON, **headers})

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Get a path."""
        return await self.client.get(path, headers=headers)

    def lines(self) -> list[dict[str, Any]]:
        """Return all that was logged; the log is closed then."""
        self.log.close()
        return [json.loads(line) for line in "".join(self.written).splitlines()]

    def count(self, name: str, **labels: str) -> float | None:
        """Return the value of a metric."""
        return self.metrics.registry.get_sample_value(name, labels)


@asynccontextmanager
async def asking(
    pool: FakePool | None = None, *, keys: ApiKeys | None = None, watch: Any = None, **options: Any
) -> AsyncIterator[Asking]:
    """Give an application around a pool."""
    made = Asking(pool or FakePool(), ServeOptions(**options), keys=keys, watch=watch)
    try:
        async with made.client:
            yield made
    finally:
        made.log.close()


def check_error(response: httpx.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """Check that a response is an error in the one shape; return the error."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) in ({"error", "request_id"}, {"error", "errors", "request_id"})
    assert body["request_id"] == response.headers["x-request-id"]
    for error in (body["error"], *body.get("errors", [])):
        assert set(error) == {"code", "message", "field", "limit", "value"}
        assert error["message"][0].isupper()
        assert error["message"].endswith(".")
    assert body["error"]["code"] == code, body
    if field is not None:
        assert body["error"]["field"] == field
    return body["error"]
