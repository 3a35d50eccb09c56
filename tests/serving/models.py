"""Tiny saved models of every kind that is served, and how tests of the server talk to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from hub.every_rung import PARTS
from nlpladder.serving.jobs import Item, ServingTask
from nlpladder.serving.options import PoolOptions
from nlpladder.serving.pool import ModelPool

#: Folder -> the part of `PARTS` that saves it, and what it offers.
SERVED: dict[str, tuple[str, tuple[ServingTask, ...]]] = {
    "majority": ("classic", ("classify",)),
    "linear": ("classic", ("classify",)),
    "mean_vectors": ("classic", ("classify",)),
    "word_vectors": ("classic", ("embed",)),
    "ngram": ("classic", ("score", "generate")),
    "cache": ("classic", ("score", "generate")),
    "transformer": ("neural", ("classify",)),
    "lstm_lm": ("neural", ("score", "generate")),
    "transformer_lm": ("neural", ("score", "generate")),
    "seq2seq": ("neural", ("translate",)),
    "transformer_translation": ("neural", ("translate",)),
    "bert_classification": ("pretrained", ("classify",)),
    "bert_token_classification": ("pretrained", ("tag",)),
    "bert_question_answering": ("pretrained", ("answer",)),
    "encoder": ("pretrained", ("embed",)),
    "sentences": ("pretrained", ("embed",)),
    "t5": ("pretrained", ("translate",)),
    "lora_language_model": ("pretrained", ("score", "generate")),
}

#: Texts that a model of every kind reads: words of `helpers`, of `toy_tokenizer` and of the n-grams.
TEXTS = (
    "the film was really good",
    "a bit dull",
    "the small cat sees the dog",
    "word3",
    "and the plot was awful and the acting a bit boring so the film was poor",
    "word7 word8 good",
)


def save_part(part: str, root: Path) -> Path:
    """Save a part of the models below `root`, once."""
    if not (root / part).exists():
        PARTS[part][0](root / part)
    return root / part


def items_of(task: ServingTask) -> list[Item]:
    """Return what a model is asked in a test."""
    return [Item(text, f"{text}, he said; the cat sees it" if task == "answer" else "") for text in TEXTS]


def parameters_of(task: ServingTask) -> dict[str, Any]:
    """Return parameters that keep a test short."""
    return {"generate": {"max_new_tokens": 6, "seed": 3}, "translate": {"num_beams": 2, "max_new_tokens": 8}}.get(
        task, {}
    )


def soon(seconds: float = 60.0) -> float:
    """Return a deadline."""
    return asyncio.get_running_loop().time() + seconds


async def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so; the loop goes on meanwhile.

    Raises:
        AssertionError: It is not so after `seconds`.
    """
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not become so in time"
        await asyncio.sleep(0.005)


def with_pool(
    models: Mapping[str, str | Path], test: Callable[[ModelPool], Awaitable[Any]], *, ready: bool = True, **options: Any
) -> Any:
    """Run a test with a pool that is opened before and closed after it."""
    hooks = {name: options.pop(name) for name in ("on_batch", "on_restart", "on_back") if name in options}

    async def run() -> Any:
        pool = ModelPool({name: str(path) for name, path in models.items()}, PoolOptions(threads=1, **options), **hooks)
        async with pool:
            if ready:
                await pool.wait_ready()
            return await test(pool)

    work: Coroutine[Any, Any, Any] = run()
    return asyncio.run(work)
