"""What the front process and the worker processes say to each other: items, answers, and why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nlpladder.errors import LadderError

#: What a served model can be asked for; the path of the endpoint has the same name.
ServingTask = Literal["classify", "score", "generate", "translate", "embed", "tag", "answer"]
#: Where a model stands: being opened, answering, being opened again after its process died, given up.
ModelState = Literal["starting", "ready", "restarting", "failed"]


@dataclass(frozen=True)
class ModelInfo:
    """What is told about a served model.

    Attributes:
        name: By which requests ask for it.
        kind: Such as ``classifier``, see `nlpladder.hub.describing.ModelDescription`.
        tasks: What it can be asked for.
        label_names: Of a classifier or tagger; empty for others.
        label_task: ``single_label``, ``multi_label`` or ``regression``; None for what is no classifier.
        parameters: Numbers that were learnt.
        max_tokens: Tokens that it reads of one text; None where there is no limit.
        streams: Whether it writes token by token.
        seconds_to_open: Until it was open and warm.
    """

    name: str
    kind: str
    tasks: tuple[ServingTask, ...]
    label_names: tuple[str, ...] = ()
    label_task: str | None = None
    parameters: int = 0
    max_tokens: int | None = None
    streams: bool = False
    seconds_to_open: float = 0.0


@dataclass(frozen=True)
class Item:
    """One text of a request.

    Attributes:
        text: To be classified, scored, translated, …; the question for ``answer``, the prompt for ``generate``.
        context: Where the answer of a question is looked for; empty for all other tasks.
    """

    text: str
    context: str = ""


@dataclass(frozen=True)
class ItemError:
    """Why one item has no answer, while the others of its request may have one.

    Attributes:
        code: For programs: ``too_long``, ``unknown_word``, …
        message: A sentence for people.
        limit: What is allowed, where a number was exceeded.
        value: What came, in the same unit.
        field: Of the request, where it is about a parameter and not about the text.
    """

    code: str
    message: str
    limit: int | None = None
    value: int | None = None
    field: str | None = None


@dataclass(frozen=True)
class ItemResult:
    """The answer to one item: a value or an error.

    Attributes:
        value: Fields of the answer, only numbers, texts, lists and mappings of those; None with an error.
        error: None with a value.
        truncated: Whether the model read only the beginning (never unless the request allowed it).
        tokens: Tokens that were read and written; words for models without sub-words.
    """

    value: Mapping[str, Any] | None
    error: ItemError | None = None
    truncated: bool = False
    tokens: int = 0


@dataclass(frozen=True)
class Piece:
    """A part of a streamed text.

    Attributes:
        text: To be appended to what came before.
        last: Whether nothing follows; what stands below is then set.
        tokens: Written, all together.
        reason: ``end_of_text``, ``length`` or ``stop``; empty before the end.
        prompt_tokens: Of the prompt, those that were left out included.
        truncated: Whether the prompt lost its beginning.
    """

    text: str
    last: bool = False
    tokens: int = 0
    reason: str = ""
    prompt_tokens: int = 0
    truncated: bool = False


@dataclass(frozen=True)
class BatchReport:
    """One batch that a model answered, for the metrics.

    Attributes:
        model: Its name.
        task: What was asked.
        items: Texts in the batch.
        tokens: Of all of them.
        seconds: In the worker process.
        waited: Seconds that each item waited in the queue, (items,).
    """

    model: str
    task: ServingTask
    items: int
    tokens: int
    seconds: float
    waited: tuple[float, ...] = field(default=())


class ServingError(LadderError):
    """A request cannot be answered.

    Attributes:
        status: Of HTTP.
        code: For programs.
        retry_after: Seconds after which it is worth another try; None where it is not.
    """

    status = 500
    code = "internal"

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFullError(ServingError):
    """More texts wait for a model than may."""

    status = 429
    code = "queue_full"


class ModelUnavailableError(ServingError):
    """The model is being opened, its process died, or the server is shutting down."""

    status = 503
    code = "model_unavailable"


class DeadlineError(ServingError):
    """The time for the request ran out."""

    status = 504
    code = "deadline_exceeded"


class UnknownModelError(ServingError):
    """There is no such model, or it cannot be asked for this."""

    status = 404
    code = "unknown_model"


class RefusedItemError(ServingError):
    """The model cannot answer this one text, of which a stream was asked for.

    Attributes:
        error: What a request of several texts would have beside the others' answers.
    """

    status = 422

    def __init__(self, error: ItemError) -> None:
        super().__init__(error.message)
        self.error = error
        self.code = error.code
