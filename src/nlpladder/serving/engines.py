"""What a worker process asks of an opened model: a function for each task that the model offers.

Which tasks those are follows from what the model is (`nlpladder.protocols`). The functions take the texts of a batch
and give one result a text, in their order: a value of plain numbers, texts and lists, or why this one text has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from nlpladder.errors import ConfigError, ModelError, did_you_mean
from nlpladder.serving.jobs import Item, ItemError, ItemResult, ServingTask

#: What every function is asked once, before a model is called ready: imports, compilations and buffers are then there.
WARM_UP = (Item("a short text, and more", "a short text, and more of it"), Item("the"))


class Engine(Protocol):
    """Answers one task with one model."""

    def answer(self, items: Sequence[Item], parameters: Mapping[str, Any], *, truncate: bool) -> list[ItemResult]:
        """Return one result an item.

        Args:
            items: At least one.
            parameters: Of the task, those that were given.
            truncate: Whether a text that is too long may be cut.

        Raises:
            ConfigError: A parameter is unknown or has no such value.
        """
        ...


@dataclass(frozen=True)
class Engines:
    """What an opened model can be asked for.

    Attributes:
        kind: As `nlpladder.hub.describing.ModelDescription` names it.
        by_task: What answers each task, but for ``generate``.
        writer: What writes texts, for ``generate``; None for a model that writes none.
        parameters: Numbers that were learnt.
        label_names: Of a classifier or tagger.
        label_task: Of a classifier.
        max_tokens: Tokens that it reads of one text; None where there is no limit.
    """

    kind: str
    by_task: Mapping[ServingTask, Engine]
    writer: Any = None
    parameters: int = 0
    label_names: tuple[str, ...] = ()
    label_task: str | None = None
    max_tokens: int | None = None
    tasks: tuple[ServingTask, ...] = field(init=False)

    def __post_init__(self) -> None:
        written: tuple[ServingTask, ...] = () if self.writer is None else ("generate",)
        object.__setattr__(self, "tasks", (*self.by_task, *written))

    def warm_up(self) -> None:
        """Ask every function once."""
        for engine in self.by_task.values():
            engine.answer(WARM_UP[:1], {}, truncate=True)
            engine.answer(WARM_UP, {}, truncate=True)
        if self.writer is not None:
            for _ in self.writer.write(WARM_UP[0], {"max_new_tokens": 2}, truncate=True):
                pass


def engines_of(model: Any) -> Engines:
    """Return what an opened model can be asked for.

    Args:
        model: From `nlpladder.load`.

    Raises:
        ModelError: Nothing that is served.
    """
    # Only what is needed is imported: a model of counts is served without torch.
    from nlpladder.protocols import LanguageModel, TextClassifier, TextEncoder, WordEmbeddings

    if isinstance(model, TextClassifier):
        from nlpladder.serving.engines_reading import Classifying

        names = tuple(model.label_names)
        return _engines("classifier", {"classify": Classifying(model)}, model, label_names=names, label_task=model.task)
    if isinstance(model, LanguageModel):
        from nlpladder.serving.engines_reading import Scoring
        from nlpladder.serving.engines_writing import Writing

        return _engines("language_model", {"score": Scoring(model)}, model, writer=Writing(model))
    if isinstance(model, TextEncoder):
        from nlpladder.serving.engines_reading import EmbeddingTexts

        embedding = EmbeddingTexts(model)
        return _engines(
            "masked_language_model" if embedding.pooling is None else "encoder", {"embed": embedding}, model
        )
    if isinstance(model, WordEmbeddings):
        from nlpladder.serving.engines_reading import EmbeddingWords

        return _engines("word_vectors", {"embed": EmbeddingWords(model)}, model)
    return _engines_of_neural(model)


def _engines_of_neural(model: Any) -> Engines:
    """Return what models can be asked for whose classes only we have."""
    from nlpladder.models.question_answerer import QuestionAnswerer
    from nlpladder.models.token_classifier import TokenClassifier
    from nlpladder.models.translation import Translator

    if isinstance(model, Translator):
        from nlpladder.serving.engines_translating import Translating

        return _engines("translator", {"translate": Translating(model)}, model)
    if isinstance(model, TokenClassifier):
        from nlpladder.serving.engines_spans import Tagging

        return _engines("token_classifier", {"tag": Tagging(model)}, model, label_names=model.tag_names)
    if isinstance(model, QuestionAnswerer):
        from nlpladder.serving.engines_spans import Answering

        return _engines("question_answerer", {"answer": Answering(model)}, model)
    raise ModelError(f"{type(model).__name__} is no kind of model that can be served.")


def _engines(kind: str, by_task: dict[ServingTask, Any], model: Any, **more: Any) -> Engines:
    limits = [found.limit for found in (*by_task.values(), more.get("writer")) if found is not None]
    known = [limit for limit in limits if limit is not None]
    return Engines(
        kind, by_task, parameters=int(model.num_parameters()), max_tokens=min(known) if known else None, **more
    )


class TokenCounter:
    """Counts the tokens of texts as a model reads them, without cutting any.

    Args:
        tokenizer: Of the model; None for a model of whole words, of which white space tells the number.
        special: Whether the model's marks are counted, too.
    """

    def __init__(self, tokenizer: Any, *, special: bool = True) -> None:
        self.tokenizer = tokenizer
        self.special = special

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        if self.tokenizer is None:
            return [len(text.split()) for text in texts]
        encoded = self.tokenizer(
            list(texts), add_special_tokens=self.special, truncation=False, verbose=False, return_attention_mask=False
        )
        return [len(ids) for ids in encoded["input_ids"]]


def answer_fitting(
    counts: Sequence[int],
    limit: int | None,
    answer: Callable[[list[int]], Sequence[ItemResult]],
    *,
    truncate: bool,
    what: str = "text",
) -> list[ItemResult]:
    """Answer the texts that the model reads whole, and say of the others that they are too long.

    Args:
        counts: Tokens of each text.
        limit: Tokens that the model reads; None where there is no limit.
        answer: Answers the texts of these numbers; their results get `counts` added to their tokens.
        truncate: Whether texts that are too long are answered, too, from their beginning.
        what: Is too long.
    """
    short = [number for number, count in enumerate(counts) if limit is None or count <= limit or truncate]
    found = dict(zip(short, answer(short), strict=True)) if short else {}
    results = []
    for number, count in enumerate(counts):
        if number not in found:
            assert limit is not None
            results.append(ItemResult(None, too_long(count, limit, what), tokens=0))
            continue
        result = found[number]
        cut = limit is not None and count > limit and result.error is None
        read = min(count, limit) if cut and limit is not None else count
        results.append(replace(result, truncated=result.truncated or cut, tokens=result.tokens + read))
    return results


def too_long(count: int, limit: int, what: str = "text") -> ItemError:
    """Return why a text is not read.

    Args:
        count: Its tokens.
        limit: Those that the model reads.
        what: Is too long.
    """
    # A request for answers has no such field: a question whose end is missing asks something else.
    advice = "." if what == "question" else ", or send truncate: true."
    message = f"This {what} has {count} tokens; the model reads {limit}. Shorten it{advice}"
    return ItemError("too_long", message, limit=limit, value=count)


def check_parameters(parameters: Mapping[str, Any], allowed: Sequence[str], task: ServingTask) -> None:
    """Refuse a parameter that a task does not have.

    Raises:
        ConfigError: It names the nearest one.
    """
    for name in parameters:
        if name not in allowed:
            known = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            raise ConfigError(f"{task} has no parameter {name!r}; {known}.{did_you_mean(name, allowed)}")
