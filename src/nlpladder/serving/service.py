"""How a request to a model is answered: read, checked, handed to the pool, put together again in its order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from nlpladder.serving.bodies import BodyReader, parse_json
from nlpladder.serving.jobs import Item, ItemError, ItemResult, ServingTask
from nlpladder.serving.logs import JsonLog
from nlpladder.serving.metrics import ServerMetrics
from nlpladder.serving.options import ServeOptions
from nlpladder.serving.pool import ModelPool
from nlpladder.serving.problems import Problem, ProblemError, problems_of, to_json
from nlpladder.serving.requests import RequestContext, context_of
from nlpladder.serving.schemas import GenerateRequest, TaskRequest, TextsRequest, request_models
from nlpladder.serving.streaming import EventStream, begin_stream, unless_gone
from nlpladder.serving.watching import DriftWatch, Seen

#: Bodies of so many requests of the largest size may be in memory while they are read.
_BODIES_AT_ONCE = 64
#: Where an item of each task stands in the body of its request.
_ITEM_FIELDS: Mapping[ServingTask, str] = {"generate": "prompt", "answer": "questions.{}"}
#: What an item has that the pool gave neither a value nor an error.
_NO_ERROR = ItemError("internal", "The model gave no answer.")
_NO_ANSWER = ItemResult(None, _NO_ERROR)
#: What models would make of a text without a word is no answer that anybody wants: the most frequent class, no words.
_EMPTY = ItemResult(
    None, ItemError("empty_text", "This text holds nothing but white space, so there is no answer. Leave it out.")
)


class Service:
    """Answers the requests of one server.

    Args:
        pool: Holds the models.
        options: Limits and times.
        log: Whether texts may be logged is its matter.
        metrics: Gets the times of first tokens.
        watch: Compares traffic with training; None where no model has a profile.
    """

    def __init__(
        self, pool: ModelPool, options: ServeOptions, *, log: JsonLog, metrics: ServerMetrics, watch: DriftWatch | None
    ) -> None:
        self.pool = pool
        self.options = options
        self.log = log
        self.metrics = metrics
        self.watch = watch
        # A request with more texts than may wait could never be answered.
        self.requests = request_models(replace(options, max_texts=min(options.max_texts, options.queue_size)))
        max_bytes = options.max_body_kb * 1024
        self.bodies = BodyReader(max_bytes, total_bytes=_BODIES_AT_ONCE * max_bytes, seconds=options.request_timeout)

    async def answer(self, task: ServingTask, request: Request) -> Response:
        """Answer one request.

        Raises:
            ProblemError: It is not as it should be, or every one of its texts was refused.
            ServingError: It cannot be answered at the moment, or by these models.
            ClientGoneError: Nobody waits for the answer any more.
        """
        deadline = asyncio.get_running_loop().time() + self.options.request_timeout
        context = context_of(request)
        context.task = task
        asked = self._read(task, await self.bodies.read(request))
        items = asked.items()
        context.items = len(items)
        if self.log.texts:
            context.texts = [text for item in items for text in (item.text, item.context) if text]
        model = self.pool.choose(asked.model, task)
        context.model = model
        kept, results = self._within_limits(asked, task, items)
        if not kept:
            raise self._all_refused(task, results)
        if isinstance(asked, GenerateRequest) and asked.stream:
            pieces = self.pool.stream(model, kept[0], asked.parameters(), truncate=asked.truncates, deadline=deadline)
            first = await begin_stream(pieces, request)
            self.metrics.first_token_seconds.labels(model).observe(time.perf_counter() - context.started)
            return EventStream(first, pieces, context, deadline, truncated=kept[0] is not items[0])
        work = self.pool.run(
            model, task, list(kept.values()), asked.parameters(), truncate=asked.truncates, deadline=deadline
        )
        answered = await unless_gone(request.receive, work)
        for (index, item), result in zip(kept.items(), answered, strict=True):
            cut = item is not items[index]  # this server read only its beginning, whatever the model read of that
            results[index] = replace(result, truncated=True) if cut and result.error is None else result
        context.tokens = sum(result.tokens for result in results)
        context.truncated = sum(result.truncated for result in results)
        if task == "generate" and results[0].value is not None:  # as its answer says
            context.tokens, context.prompt_tokens = results[0].value["tokens"], results[0].value["prompt_tokens"]
        if all(result.error is not None for result in results):
            raise self._all_refused(task, results)
        context.item_codes = [result.error.code for result in results if result.error is not None]
        self._observe_afterwards(context, task, items, results)
        return _answer(task, asked, results, context)

    def _read(self, task: ServingTask, body: bytes) -> TaskRequest:
        cls = self.requests[task]
        try:
            return cls.model_validate(parse_json(body))
        except ValidationError as error:
            raise ProblemError(422, problems_of(error, cls.model_fields)) from None

    def _within_limits(
        self, asked: TaskRequest, task: ServingTask, items: Sequence[Item]
    ) -> tuple[dict[int, Item], list[ItemResult]]:
        """Return the items that the pool is asked, by their places, and a result for each: those of the others stay."""
        most = self.options.max_characters
        kept: dict[int, Item] = {}
        results = [_NO_ANSWER] * len(items)
        for index, item in enumerate(items):
            longest = max(len(item.text), len(item.context))
            if isinstance(asked, TextsRequest) and (not item.text or item.text.isspace()):
                results[index] = _EMPTY
            elif longest <= most:
                kept[index] = item
            elif asked.truncates:  # of a prompt the end counts, with which the text goes on
                cut = item.text[-most:] if task == "generate" else item.text[:most]
                kept[index] = replace(item, text=cut)
            else:
                message = f"This text has {longest} characters; this server reads {most}. Shorten it"
                message += ", or send truncate: true." if "truncate" in type(asked).model_fields else "."
                results[index] = ItemResult(None, ItemError("too_long", message, limit=most, value=longest))
        return kept, results

    def _all_refused(self, task: ServingTask, results: Sequence[ItemResult]) -> ProblemError:
        field = _ITEM_FIELDS.get(task, "texts.{}")
        problems = [
            Problem(error.code, error.message, error.field or field.format(index), error.limit, error.value)
            for index, error in enumerate(result.error for result in results)
            if error is not None
        ]
        return ProblemError(422, problems)

    def _observe_afterwards(
        self, context: RequestContext, task: ServingTask, items: Sequence[Item], results: Sequence[ItemResult]
    ) -> None:
        watch = self.watch
        if watch is not None and context.model in watch.monitors:
            seen = Seen(context.model, task, items, results)
            context.afterwards = lambda: watch.observe(seen)


def _answer(task: ServingTask, asked: TaskRequest, results: Sequence[ItemResult], context: RequestContext) -> Response:
    body: dict[str, Any] = {"model": context.model}
    if task == "generate":
        body |= {**(results[0].value or {}), "truncated": results[0].truncated}
    else:
        body["items"] = [_item(index, result, getattr(asked, "top", None)) for index, result in enumerate(results)]
    body["request_id"] = context.request_id
    return Response(to_json(body), media_type="application/json", headers={"Cache-Control": "no-store"})


def _item(index: int, result: ItemResult, top: int | None) -> dict[str, Any]:
    if result.value is None:
        error = result.error or _NO_ERROR
        return {
            "index": index,
            "error": {"code": error.code, "message": error.message, "limit": error.limit, "value": error.value},
        }
    value = dict(result.value)
    if "probabilities" in value:
        ranked = sorted(value["probabilities"].items(), key=lambda pair: -pair[1])
        value["probabilities"] = dict(ranked[:top])
    return {"index": index, **value, "truncated": result.truncated}
