"""What requests look like: unknown fields and wrong types are refused, and every limit stands in the OpenAPI page.

The limits of a server are options of it, so `request_models` makes the classes that one server uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator
from pydantic_core import PydanticCustomError

from nlpladder.serving.jobs import Item, ServingTask
from nlpladder.serving.options import LimitOptions

#: Characters of a model's name.
_MOST_NAME = 200
_ModelName = Annotated[str, StringConstraints(min_length=1, max_length=_MOST_NAME)]
_StopString = Annotated[str, StringConstraints(min_length=1, max_length=100)]


def _whole_characters(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise PydanticCustomError("string_unicode", "half a surrogate pair") from None
    return text


#: A text of any length: how long it may be is said of each text by itself. JSON can hold halves of surrogate pairs,
#: which no tokenizer reads.
_Text = Annotated[str, AfterValidator(_whole_characters)]


class TaskRequest(BaseModel):
    """A request to a model."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    #: Fields that are handed to the model as they are.
    parameter_names: ClassVar[tuple[str, ...]] = ()

    model: _ModelName | None = Field(
        default=None, description="Name of a model, as /models lists them; not needed where only one can do this."
    )

    def items(self) -> list[Item]:
        """Return the texts as the pool takes them."""
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        """Return what else the model is told."""
        return {name: getattr(self, name) for name in self.parameter_names}

    @property
    def truncates(self) -> bool:
        """Whether texts that are too long may be cut."""
        return bool(getattr(self, "truncate", False))


class TextsRequest(TaskRequest):
    """Several texts, answered in their order."""

    texts: list[_Text] = Field(
        min_length=1,
        description="Answered in this order, each by itself. One of white space alone has no answer, but the error "
        "empty_text.",
    )
    truncate: bool = Field(
        default=False,
        description="Read only the beginning of a text that is too long, and say so in its answer, instead of refusing "
        "it.",
    )

    def items(self) -> list[Item]:
        """Return the texts as the pool takes them."""
        return [Item(text) for text in self.texts]


class ClassifyRequest(TextsRequest):
    """Texts to be given labels, or a number where the model was trained on numbers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["A fine film.", "Dull from start to end."]}]})

    top: int | None = Field(
        default=None, ge=1, le=10_000, description="Tell only so many probabilities, the largest ones; null for all."
    )


class ScoreRequest(TextsRequest):
    """Texts whose probability is asked for."""

    parameter_names = ("tokens",)
    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["The film was good."], "tokens": True}]})

    tokens: bool = Field(default=False, description="Tell the probability of each token as well.")


class GenerateRequest(TaskRequest):
    """A text to be continued. Names, meaning and defaults are those of `nlpladder.generation.GenerationOptions`."""

    parameter_names = (
        "max_new_tokens", "do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "num_beams",
        "length_penalty", "stop_strings", "seed",
    )  # fmt: skip
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": "The film was", "max_new_tokens": 20, "temperature": 0.8}],
            # What `_beams_draw_nothing` checks, so that the schema refuses what the server refuses.
            "anyOf": [
                {"properties": {"num_beams": {"const": 1}}},
                {"properties": {"do_sample": {"const": False}, "stream": {"const": False}}, "required": ["do_sample"]},
            ],
        }
    )

    prompt: _Text = Field(description="Is continued; the answer does not repeat it.")
    max_new_tokens: int = Field(default=64, ge=1, description="Most tokens that are written.")
    do_sample: bool = Field(default=True, description="Draw; false takes the most probable token each time.")
    temperature: float = Field(
        default=1.0,
        ge=0.01,
        le=100.0,
        description="Divides the log-probabilities: below 1 sharper, above 1 flatter. For the most probable token each "
        "time send do_sample: false.",
    )
    top_k: int = Field(default=0, ge=0, le=1_000_000, description="Draw from so many tokens only; 0 for all.")
    top_p: float = Field(default=1.0, gt=0.0, le=1.0, description="Draw from the tokens that make up this probability.")
    min_p: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Leave out tokens less probable than this times the most probable one."
    )
    repetition_penalty: float = Field(
        default=1.0, ge=0.01, le=100.0, description="Above 1 makes tokens that occurred less probable."
    )
    num_beams: int = Field(default=1, ge=1, description="Texts that beam search keeps; more than 1 only without draws.")
    length_penalty: float = Field(
        default=1.0, ge=-10.0, le=10.0, description="Beam search ranks by log-probability / length ** length_penalty."
    )
    stop_strings: list[_StopString] = Field(default=[], max_length=8, description="Stop behind any of these.")
    seed: int | None = Field(
        default=0, ge=0, lt=2**32, description="Of the draws: the same request gives the same text; null: another each "
        "time.",
    )  # fmt: skip
    truncate: bool = Field(
        default=False,
        description="Read only the end of a prompt that is too long, and say so in the answer, instead of refusing it.",
    )
    stream: bool = Field(
        default=False,
        description="Answer with server-sent events (text/event-stream), a piece as soon as it is written.",
    )

    def items(self) -> list[Item]:
        """Return the prompt as the pool takes it."""
        return [Item(self.prompt)]

    def parameters(self) -> dict[str, Any]:
        """Return the fields of `nlpladder.generation.GenerationOptions`."""
        return {**super().parameters(), "stop_strings": tuple(self.stop_strings)}

    @model_validator(mode="after")
    def _beams_draw_nothing(self) -> Self:
        if self.num_beams > 1 and (self.do_sample or self.stream):
            other = "do_sample" if self.do_sample else "stream"
            why = "beam search draws nothing" if self.do_sample else "beam search has no text before its end"
            raise PydanticCustomError(
                "nlpladder_contradiction",
                "With more than one beam, {other} must be false: {why}.",
                {"field": "num_beams", "other": other, "why": why, "limit": 1, "value": self.num_beams},
            )
        return self


class TranslateRequest(TextsRequest):
    """Texts to be translated."""

    parameter_names = ("num_beams", "length_penalty", "max_new_tokens")
    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["A dog runs."], "num_beams": 4}]})

    num_beams: int = Field(default=5, ge=1, description="Translations that the search keeps; 1 is greedy.")
    length_penalty: float = Field(
        default=1.0, ge=-10.0, le=10.0, description="The search ranks by log-probability / length ** length_penalty."
    )
    max_new_tokens: int | None = Field(
        default=None, ge=1, description="Most tokens of a translation; null: what fits the length of the text."
    )


class EmbedRequest(TextsRequest):
    """Texts whose vectors are asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["film"]}]})


class TagRequest(TextsRequest):
    """Texts whose words are to be tagged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["Ada Lovelace lived in London."]}]})


class Question(BaseModel):
    """A question, and the text that is searched for its answer."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    question: _Text = Field(description="What is asked.")
    context: _Text = Field(description="The text that holds the answer.")


class AnswerRequest(TaskRequest):
    """Questions, each about its own text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"questions": [{"question": "Who runs?", "context": "A dog runs in the park."}]}]
        }
    )

    questions: list[Question] = Field(min_length=1, description="Answered in this order, each by itself.")

    def items(self) -> list[Item]:
        """Return the questions as the pool takes them."""
        return [Item(question.question, question.context) for question in self.questions]


_REQUESTS: dict[ServingTask, type[TaskRequest]] = {
    "classify": ClassifyRequest,
    "score": ScoreRequest,
    "generate": GenerateRequest,
    "translate": TranslateRequest,
    "embed": EmbedRequest,
    "tag": TagRequest,
    "answer": AnswerRequest,
}


def request_models(limits: LimitOptions) -> Mapping[ServingTask, type[TaskRequest]]:
    """Return the class of each task's requests, with the limits of one server in its fields.

    Args:
        limits: Texts of a request, tokens that may be written, beams. Characters of a text are no such limit: a text
            that is too long is refused by itself, and the others of its request are answered.
    """
    most = {
        "texts": limits.max_texts, "questions": limits.max_texts, "max_new_tokens": limits.max_new_tokens,
        "num_beams": limits.max_beams,
    }  # fmt: skip
    made: dict[ServingTask, type[TaskRequest]] = {}
    for task, base in _REQUESTS.items():
        changed: dict[str, Any] = {}
        for name, limit in most.items():
            if name not in base.model_fields:
                continue
            field = base.model_fields[name]
            bound: dict[str, Any] = {"max_length": limit} if name in ("texts", "questions") else {"le": limit}
            bound["ge" if "le" in bound else "min_length"] = 1
            if isinstance(field.default, int):
                bound["default"] = min(field.default, limit)
            elif not field.is_required():
                bound["default"] = field.default
            changed[name] = (field.annotation, Field(description=field.description, **bound))
        made[task] = create_model(base.__name__, __base__=base, __doc__=base.__doc__, **changed)
    return made
