"""A pool without processes, with the signatures of `nlpladder.serving.pool.ModelPool`, whose answers tests decide."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nlpladder.serving.jobs import (
    Item,
    ItemError,
    ItemResult,
    ModelInfo,
    ModelState,
    ModelUnavailableError,
    Piece,
    ServingTask,
    UnknownModelError,
)

INFOS = {
    "senti": ModelInfo("senti", "classifier", ("classify",), ("negative", "positive"), "single_label", 12, 32),
    "topics": ModelInfo("topics", "classifier", ("classify",), ("a", "b", "c"), "multi_label", 12),
    "stars": ModelInfo("stars", "classifier", ("classify",), ("stars",), "regression", 12),
    "writer": ModelInfo("writer", "language_model", ("score", "generate"), (), None, 99, None, True),
    "german": ModelInfo("german", "translator", ("translate",)),
    "words": ModelInfo("words", "word_vectors", ("embed",)),
    "names": ModelInfo("names", "token_classifier", ("tag",), ("O", "B-PER")),
    "reader": ModelInfo("reader", "question_answerer", ("answer",)),
}
#: Models that offer their task alone, so that requests need not name them.
ALONE = ("senti", "writer", "german", "words", "names", "reader")


def value_of(info: ModelInfo, task: ServingTask, item: Item, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer as the engines give it, made of nothing but the text."""
    words = item.text.split()
    share = (len(item.text) % 10) / 10
    if task == "classify" and info.label_task == "regression":
        return {"value": share}
    if task == "classify":
        probabilities = {name: abs(share - place / 10) for place, name in enumerate(info.label_names)}
        best = max(probabilities, key=probabilities.__getitem__)
        named: dict[str, Any] = {"labels": [best]} if info.label_task == "multi_label" else {"label": best}
        return {**named, "probabilities": probabilities}
    if task == "score":
        value: dict[str, Any] = {
            "log_probability": -1.5 * len(words), "tokens_scored": len(words), "bits_per_byte": 1.25,
            "perplexity_per_token": 4.0, "perplexity_per_word": None,
        }  # fmt: skip
        if parameters["tokens"]:
            value["tokens"] = [{"token": word, "log_probability": -1.5, "known": True} for word in words]
        return value
    if task == "generate":
        return {"text": " and more", "tokens": 2, "prompt_tokens": len(words), "reason": "length"}
    if task == "translate":
        return {"translation": item.text.upper(), "score": -2.0}
    if task == "embed":
        return {"vector": [0.5, float(len(words))], "size": 2}
    if task == "tag":
        entities = [{"text": word, "label": "PER", "start": 0, "end": len(word), "probability": 0.9} for word in words]
        return {"words": words, "tags": ["O"] * len(words), "entities": entities[:1]}
    return {"answer": item.context[:3], "start": 0, "end": 3, "probability": 0.5}


class FakePool:
    """Answers at once, unless told otherwise.

    Args:
        names: Of `INFOS`.

    Attributes:
        refused: Text -> its error.
        failure: Raised instead of any answer.
        gate: Answers wait until it is set.
        pieces: Of a streamed text; an exception among them is raised in its place.
        asked: What `run` got.
        cancelled: Requests and streams that were cancelled before their end.
    """

    def __init__(self, names: Sequence[str] = ALONE) -> None:
        self._infos = {name: INFOS[name] for name in names}
        self.state: dict[str, ModelState] = dict.fromkeys(names, "ready")
        self.refused: dict[str, ItemError] = {}
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.started = asyncio.Event()
        self.pieces: list[Piece | Exception] = [
            Piece(" and"), Piece(" more"), Piece("", last=True, tokens=2, reason="length", prompt_tokens=3),
        ]  # fmt: skip
        self.asked: list[tuple[Any, ...]] = []
        self.cancelled = 0
        self.draining = False
        self.value: Callable[..., dict[str, Any]] = value_of

    async def start(self) -> None:
        pass

    async def wait_ready(self) -> None:
        pass

    def states(self) -> dict[str, ModelState]:
        return dict(self.state)

    def infos(self) -> dict[str, ModelInfo]:
        return {name: info for name, info in self._infos.items() if self.state[name] == "ready"}

    def seconds_to_open(self) -> int | None:
        return None if "failed" in self.state.values() else 7

    def waiting(self) -> dict[str, int]:
        return dict.fromkeys(self._infos, 0)

    def choose(self, model: str | None, task: ServingTask) -> str:
        if self.draining:
            raise ModelUnavailableError("The server is shutting down.", retry_after=5)
        if model is None:
            offering = [name for name, info in self._infos.items() if task in info.tasks]
            if len(offering) != 1:
                raise UnknownModelError(f"{len(offering)} models offer {task}.")
            model = offering[0]
        if model not in self._infos or task not in self._infos[model].tasks:
            raise UnknownModelError("There is no model of this name here.")
        if self.state[model] != "ready":
            raise ModelUnavailableError("It is being opened.", retry_after=3)
        return model

    async def run(
        self,
        model: str,
        task: ServingTask,
        items: Sequence[Item],
        parameters: Mapping[str, Any],
        *,
        truncate: bool,
        deadline: float,
    ) -> list[ItemResult]:
        self.asked.append((model, task, list(items), dict(parameters), truncate, deadline))
        self.started.set()
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise self.failure
        return [
            ItemResult(None, self.refused[item.text])
            if item.text in self.refused
            else ItemResult(self.value(self._infos[model], task, item, parameters), tokens=len(item.text.split()))
            for item in items
        ]

    def stream(
        self, model: str, item: Item, parameters: Mapping[str, Any], *, truncate: bool = False, deadline: float
    ) -> FakeStream:
        self.asked.append((model, "generate", [item], dict(parameters), truncate, deadline))
        if self.failure is not None:
            raise self.failure
        return FakeStream(self)

    async def drain(self, seconds: float) -> bool:
        self.draining = True
        return True


class FakeStream:
    """Pieces of a `FakePool`; after each but the first it waits for the gate, where there is one."""

    def __init__(self, pool: FakePool) -> None:
        self._pool = pool
        self._pieces = iter(pool.pieces)
        self._number = 0
        self.closed = False

    def __aiter__(self) -> FakeStream:
        return self

    async def __anext__(self) -> Piece:
        if self._number and self._pool.gate is not None:
            self._pool.started.set()
            await self._pool.gate.wait()
        self._number += 1
        try:
            piece = next(self._pieces)
        except StopIteration:
            raise StopAsyncIteration from None
        if isinstance(piece, Exception):
            raise piece
        self._ended = piece.last
        return piece

    _ended = False

    async def aclose(self) -> None:
        if not self.closed:
            self.closed = True
            self._pool.cancelled += not self._ended
