"""What answers look like, for the OpenAPI page and for programs that want to check them.

The server builds answers as plain mappings, which is faster; the tests read each of them back through these classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nlpladder.serving.jobs import ModelState, ServingTask


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorDetail(_Answer):
    """One thing that is wrong."""

    code: str = Field(description="For programs, such as too_long.")
    message: str = Field(description="A sentence for people; never repeats a text of the request.")
    field: str | None = Field(description="Where in the body, such as texts.3.")
    limit: float | None = Field(description="What is allowed, where a limit was exceeded.")
    value: float | None = Field(description="What came, in the same unit; of a text its length.")


class ErrorAnswer(_Answer):
    """The shape of every error."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "error": {
                        "code": "too_many", "message": "Expected at most 64 of them.", "field": "texts", "limit": 64,
                        "value": 80,
                    },
                    "request_id": "0f9d1c6d2b7e4f0a",
                }
            ]
        },
    )  # fmt: skip

    error: ErrorDetail
    errors: list[ErrorDetail] = Field(default=[], description="All of them, where there are several.")
    request_id: str


class ItemProblem(_Answer):
    """Why one text has no answer."""

    code: str
    message: str
    limit: float | None
    value: float | None


class RefusedItem(_Answer):
    """A text without an answer, while others of its request have one."""

    index: int = Field(description="Of the text in the request, from 0.")
    error: ItemProblem


class _Item(_Answer):
    index: int = Field(description="Of the text in the request, from 0.")
    truncated: bool = Field(description="Whether only the beginning was read.")


class ClassifiedItem(_Item):
    """One label of several."""

    label: str
    probabilities: dict[str, float | None] = Field(description="Of each label, the largest first; they sum to 1.")


class LabelledItem(_Item):
    """Any labels of several."""

    labels: list[str] = Field(description="Those of probability 0.5 or more.")
    probabilities: dict[str, float | None] = Field(description="Of each label by itself, the largest first.")


class ValueItem(_Item):
    """A number."""

    value: float | None


class TokenScore(_Answer):
    """How a token was predicted."""

    token: str
    log_probability: float | None = Field(description="In nats; null if the model holds it for impossible.")
    known: bool = Field(description="Whether it stands in the vocabulary.")


class ScoredItem(_Item):
    """How a text was predicted."""

    log_probability: float | None = Field(description="Of the whole text, in nats; null for an impossible one.")
    tokens_scored: int
    bits_per_byte: float | None = Field(description="Compares models of any vocabulary.")
    perplexity_per_token: float | None
    perplexity_per_word: float | None
    tokens: list[TokenScore] | None = Field(default=None, description="Only where the request asked for them.")


class TranslatedItem(_Item):
    """A translation."""

    translation: str
    score: float | None = Field(description="Its log-probability, in nats.")


class EmbeddedItem(_Item):
    """A vector."""

    vector: list[float | None]
    size: int


class Entity(_Answer):
    """A named thing in a text."""

    text: str
    label: str
    start: int = Field(description="Character of the text at which it begins.")
    end: int = Field(description="Character behind it.")
    probability: float | None


class TaggedItem(_Item):
    """Tags of the words of a text."""

    words: list[str]
    tags: list[str]
    entities: list[Entity]


class AnsweredItem(_Item):
    """A span of the context."""

    answer: str = Field(description="Empty where the model finds none.")
    start: int | None
    end: int | None
    probability: float | None = None
    score: float | None = None


class _Items(_Answer):
    model: str = Field(description="That answered.")
    request_id: str


class ClassifyAnswer(_Items):
    """Labels, in the order of the texts."""

    items: list[ClassifiedItem | LabelledItem | ValueItem | RefusedItem]


class ScoreAnswer(_Items):
    """Probabilities, in the order of the texts."""

    items: list[ScoredItem | RefusedItem]


class TranslateAnswer(_Items):
    """Translations, in the order of the texts."""

    items: list[TranslatedItem | RefusedItem]


class EmbedAnswer(_Items):
    """Vectors, in the order of the texts."""

    items: list[EmbeddedItem | RefusedItem]


class TagAnswer(_Items):
    """Tags, in the order of the texts."""

    items: list[TaggedItem | RefusedItem]


class AnswerAnswer(_Items):
    """Answers, in the order of the questions."""

    items: list[AnsweredItem | RefusedItem]


class GenerateAnswer(_Answer):
    """A continuation."""

    model: str
    text: str = Field(description="Without the prompt.")
    tokens: int = Field(description="That were written.")
    prompt_tokens: int = Field(description="Of the prompt.")
    reason: str = Field(description="Why it ended: end_of_text, length, stop.")
    truncated: bool = Field(description="Whether only the end of the prompt was read.")
    request_id: str


ANSWERS: Mapping[ServingTask, type[BaseModel]] = {
    "classify": ClassifyAnswer,
    "score": ScoreAnswer,
    "generate": GenerateAnswer,
    "translate": TranslateAnswer,
    "embed": EmbedAnswer,
    "tag": TagAnswer,
    "answer": AnswerAnswer,
}


class ServedModel(_Answer):
    """A model of this server."""

    name: str
    state: ModelState
    kind: str | None = Field(description="Null until it is open, as all that follows.")
    tasks: list[ServingTask]
    labels: list[str]
    label_task: str | None
    parameters: int | None
    max_tokens: int | None = Field(description="That it reads of a text; null where there is no limit.")
    streams: bool
    waiting: int = Field(description="Texts that wait for it at the moment.")


class ModelsAnswer(_Answer):
    """The models of this server."""

    models: list[ServedModel]
    request_id: str


class HealthAnswer(_Answer):
    """The front process lives."""

    status: Literal["ok"]
    seconds: float = Field(description="Since it was started.")
    request_id: str


class ReadyAnswer(_Answer):
    """All models answer."""

    status: Literal["ready"]
    models: dict[str, ModelState]
    request_id: str


class DriftAnswer(_Answer):
    """How traffic compares with what the models were trained on."""

    models: dict[str, dict[str, Any] | None] = Field(
        description="Report by model; null for one without a profile, or where watching is switched off. A profile "
        'that cannot be read has the state "unreadable" and a message. In a report, "in_a_row" counts the windows that '
        "speak against the present state: those that differ while it is calm, those that do not differ while there is "
        "an alarm; any other window sets it back to 0."
    )
    request_id: str
