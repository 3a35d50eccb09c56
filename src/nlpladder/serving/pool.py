"""`ModelPool`: several models, each in worker processes of its own, behind queues that make batches.

It lives in the event loop of the server, which imports no torch. What it is asked for is checked before it waits; what
waits is bounded; what was accepted is answered, unless its process dies or its time runs out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from nlpladder.errors import ModelError, RunError, did_you_mean
from nlpladder.serving.channel import OpenModel
from nlpladder.serving.jobs import (
    BatchReport,
    Item,
    ItemResult,
    ModelInfo,
    ModelState,
    ModelUnavailableError,
    ServingError,
    ServingTask,
    UnknownModelError,
)
from nlpladder.serving.options import PoolOptions
from nlpladder.serving.piece_stream import PieceStream
from nlpladder.serving.processes import cores
from nlpladder.serving.served_model import ServedModel
from nlpladder.serving.waiting import Request, Writing, monotonic, too_late, writing_of

#: What a saved model will offer once it is open, by the abilities that `nlpladder.hub.describing` tells.
_TASKS_OF_ABILITY: Mapping[str, tuple[ServingTask, ...]] = {
    "classify": ("classify",),
    "language_model": ("score", "generate"),
    "masked_language_model": ("embed",),
    "embed": ("embed",),
    "vectors": ("embed",),
    "translate": ("translate",),
    "tag": ("tag",),
    "answer": ("answer",),
}


class ModelPool:
    """Models that answer.

    Args:
        models: Name -> folder or Hub id.
        options: Processes, threads, batches, queues.
        on_batch: Gets a report of each batch that was answered, and of each text that was written.
        on_restart: Gets the name of a model whose process died and is started again, and how it ended.
        on_back: Gets the name of a model, once such a process is open again, and the seconds until then.
    """

    def __init__(
        self,
        models: Mapping[str, str],
        options: PoolOptions,
        *,
        on_batch: Callable[[BatchReport], None] | None = None,
        on_restart: Callable[[str, str], None] | None = None,
        on_back: Callable[[str, float], None] | None = None,
    ) -> None:
        self._paths = dict(models)
        self._options = options
        self._on_batch = on_batch or (lambda _: None)
        self._on_restart = on_restart or (lambda *_: None)
        self._on_back = on_back or (lambda *_: None)
        self._models: dict[str, ServedModel] = {}
        self._expected: dict[str, tuple[ServingTask, ...]] = {}
        self._draining = False
        self._outstanding = 0
        self._all_done = asyncio.Event()
        self._all_done.set()

    async def start(self) -> None:
        """Start the processes and return at once; the models are opened in the background.

        Raises:
            RunError: A folder holds no model that can be served. Nothing is started then.
        """
        for name, path in self._paths.items():
            self._expected[name] = expected_tasks(name, path, local_files_only=self._options.local_files_only)
        processes = max(1, len(self._paths) * self._options.workers)
        threads = self._options.threads or max(1, int(cores() // processes))
        for name, path in self._paths.items():
            self._models[name] = ServedModel(
                OpenModel(name, path, threads, self._options.max_streams, self._options.local_files_only),
                self._options,
                on_batch=self._on_batch,
                on_restart=self._on_restart,
                on_back=self._on_back,
            )
            self._models[name].start()

    async def wait_ready(self) -> None:
        """Wait until every model is open and warm.

        Raises:
            RunError: One cannot be opened; the sentence says why.
        """
        await asyncio.gather(*(served.settled.wait() for served in self._models.values()))
        failed = [
            f"{name} ({self._paths[name]}): {served.failure}" for name, served in self._models.items() if served.failure
        ]
        if failed:
            raise RunError("A model cannot be served. " + " ".join(failed))

    def states(self) -> dict[str, ModelState]:
        """Return where each model stands."""
        return {name: served.state for name, served in self._models.items()}

    def infos(self) -> dict[str, ModelInfo]:
        """Return what is known of the models that were opened."""
        return {name: served.info for name, served in self._models.items() if served.info is not None}

    def waiting(self) -> dict[str, int]:
        """Return how many texts wait for each model."""
        return {name: served.waiting for name, served in self._models.items()}

    def seconds_to_open(self) -> int | None:
        """Return the seconds after which every model is likely to be open; None where one was given up."""
        if any(served.failure is not None for served in self._models.values()):
            return None
        return max((served.seconds_to_open() for served in self._models.values() if served.state != "ready"), default=1)

    def pids(self) -> dict[str, list[int]]:
        """Return the processes of each model."""
        return {name: served.pids for name, served in self._models.items()}

    def choose(self, model: str | None, task: ServingTask) -> str:
        """Return the model that is to answer.

        Args:
            model: Its name; None for the only one that offers the task.
            task: What is asked.

        Raises:
            UnknownModelError: There is none of that name, it does not offer the task, or several do and none was named.
            ModelUnavailableError: It is being opened, was given up, or the server is shutting down.
        """
        self._check_accepting()
        if model is None:
            model = self._only_one(task)
        elif model not in self._models:
            names = ", ".join(self._models)
            raise UnknownModelError(
                f"There is no model of this name here.{did_you_mean(model, self._models)} There is: {names}."
            )
        tasks = self._tasks(model)
        if tasks is not None and task not in tasks:
            raise UnknownModelError(f"The model {model!r} does not offer {task}; it offers {', '.join(tasks)}.")
        self._models[model].check_open()
        return model

    async def run(
        self,
        model: str,
        task: ServingTask,
        items: Sequence[Item],
        parameters: Mapping[str, Any],
        *,
        truncate: bool = False,
        deadline: float,
    ) -> list[ItemResult]:
        """Answer the texts of a request.

        Cancelled, or out of time, it leaves nothing behind that would still be computed, but for a batch that a process
        is working on.

        Args:
            model: Its name, from `choose`.
            task: What is asked.
            items: The texts; there may be more than fit into a batch.
            parameters: Of the task, see `nlpladder.serving.engines`.
            truncate: Whether texts that are too long may be cut.
            deadline: When the answer is of no use any more, in seconds of the event loop's clock.

        Returns:
            One result an item, in their order.

        Raises:
            UnknownModelError, ModelUnavailableError: As `choose`; or the process died that was to answer.
            QueueFullError: Too many texts wait already.
            DeadlineError: There was no answer in time.
        """
        served = self._models[self.choose(model, task)]
        if not items:
            return []
        request = Request(task, items, parameters, truncate=truncate, deadline=monotonic(deadline))
        with self._counted():
            give_back = _put_writings(served, request) if task == "generate" else _put(served, request)
            try:
                async with asyncio.timeout_at(deadline):
                    await request.done
            except TimeoutError:
                raise too_late() from None
            finally:
                give_back()
        return [result for result in request.results if result is not None]

    def stream(
        self, model: str, item: Item, parameters: Mapping[str, Any], *, truncate: bool = False, deadline: float
    ) -> PieceStream:
        """Write a text piece by piece.

        Args:
            model: Its name, from `choose`.
            item: The prompt.
            parameters: Fields of `nlpladder.generation.GenerationOptions`.
            truncate: Whether a prompt that is too long may lose its beginning.
            deadline: When the whole text must be there, in seconds of the event loop's clock.

        Returns:
            The pieces, the last one marked. Closing it (``aclose``) ends the writing in the worker, too. It raises
            `RefusedItemError`, `ModelUnavailableError` or `DeadlineError` in place of a piece.

        Raises:
            UnknownModelError, ModelUnavailableError: As `choose`.
            QueueFullError: Too many texts wait already.
        """
        served = self._models[self.choose(model, "generate")]
        return PieceStream(served, item, parameters, truncate, deadline, self._counted())

    async def drain(self, seconds: float) -> bool:
        """Refuse what is new, finish what was accepted, and end the processes.

        Args:
            seconds: That this may take; what is not answered then gets `ModelUnavailableError`.

        Returns:
            Whether all that was accepted was answered.
        """
        self._draining = True
        finished = True
        try:
            async with asyncio.timeout(seconds):
                await self._all_done.wait()
        except TimeoutError:
            finished = False
        await asyncio.gather(*(served.close() for served in self._models.values()))
        return finished

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain(0.0)

    def _check_accepting(self) -> None:
        if self._draining:
            raise ModelUnavailableError("The server is shutting down and takes no more requests.", retry_after=5)

    def _tasks(self, model: str) -> tuple[ServingTask, ...] | None:
        """Return what a model offers; None for one that nothing is known of yet."""
        info = self._models[model].info
        return (self._expected[model] or None) if info is None else info.tasks

    def _only_one(self, task: ServingTask) -> str:
        offering = [name for name in self._models if task in (self._tasks(name) or ())]
        if len(offering) == 1:
            return offering[0]
        if offering:
            raise UnknownModelError(f'Several models offer {task}: {", ".join(offering)}. Name one as "model".')
        for name in self._models:
            if self._tasks(name) is None:
                self._models[name].check_open()  # perhaps this one, once it is open
        raise UnknownModelError(f"No model here offers {task}.")

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Count what was accepted and has no answer yet."""
        self._outstanding += 1
        self._all_done.clear()
        try:
            yield
        finally:
            self._outstanding -= 1
            if not self._outstanding:
                self._all_done.set()


def expected_tasks(name: str, path: str, *, local_files_only: bool = False) -> tuple[ServingTask, ...]:
    """Return what the model in a folder will offer, without opening it; nothing for a Hub id.

    Args:
        name: Of the model.
        path: A folder or Hub id.
        local_files_only: Do not ask the Hub whether a name that looks like a missing folder is an id of its.

    Raises:
        RunError: There is no such folder, or it holds no model that can be served.
    """
    from nlpladder.hub.describing import check_model
    from nlpladder.hub.loading import check_name

    try:
        check_name(path, local_files_only=local_files_only)
        if not os.path.isdir(path):
            return ()
        abilities = check_model(path).abilities
    except ModelError as error:
        raise RunError(f"The model {name!r} cannot be served. {error}") from None
    tasks = [task for ability, tasks in _TASKS_OF_ABILITY.items() if ability in abilities for task in tasks]
    if not tasks:
        raise RunError(
            f"The model {name!r} cannot be served: {path} holds a model without a head, which answers nothing. "
            "Fine-tune it with recipes/finetune_bert.py and serve the run."
        )
    return tuple(tasks)


def _put(served: ServedModel, request: Request) -> Callable[[], None]:
    """Let the texts of a request wait; return what forgets those that are still waiting."""
    tickets = served.put(request)
    return lambda: served.discard(tickets)


def _put_writings(served: ServedModel, request: Request) -> Callable[[], None]:
    """Let each prompt of a request be written by itself; return what ends those that are not written yet."""
    writings: list[Writing] = []

    def give_back() -> None:
        for writing in writings:
            served.cancel_writing(writing)

    try:
        for index, item in enumerate(request.items):
            writing = writing_of(request, index, item)
            served.put_writing(writing)
            writings.append(writing)
    except ServingError:
        give_back()
        raise
    return give_back
