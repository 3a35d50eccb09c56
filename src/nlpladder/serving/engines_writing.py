"""Models that write texts that go on from a prompt."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from nlpladder.generation import GenerationOptions
from nlpladder.protocols import LanguageModel, StreamingModel
from nlpladder.serving.engines import check_parameters, too_long
from nlpladder.serving.jobs import Item, Piece, RefusedItemError

_OPTIONS = tuple(field.name for field in dataclasses.fields(GenerationOptions))


@runtime_checkable
class NeuralModel(Protocol):
    """What a `NeuralLanguageModel` has and a model of counts has not, told without importing torch."""

    encoder: Any
    model: Any
    positions: int | None

    def generation_ids(self) -> dict[str, Any]:
        """Return the ids that generation treats in their own way."""
        ...


@dataclass
class Writing:
    """``generate``: what goes on from a prompt, piece by piece.

    Each prompt is written by itself: with a seed, its draws are then the same whatever else is asked for meanwhile.
    Several may be written at the same time, each in a thread of its own; a neural model reads for one of them at a
    time, with all its threads.

    Args:
        model: Any language model.
    """

    model: LanguageModel

    def __post_init__(self) -> None:
        self.limit: int | None = None
        self._encoder: Any = None
        if isinstance(self.model, NeuralModel):
            self._encoder = self.model.encoder
            prepare_for_threads(self.model)
            if self.model.positions is not None:
                self.limit = self.model.positions - 2  # the begin mark, and a place for what is written

    def write(self, item: Item, parameters: Mapping[str, Any], *, truncate: bool) -> Generator[Piece, None, None]:
        """Yield the pieces of a text; closing the iterator ends the writing.

        Args:
            item: The prompt.
            parameters: Fields of `GenerationOptions`.
            truncate: Whether a prompt that fills the model's positions may lose its beginning.

        Yields:
            Pieces; the last one says how many tokens there are, and why the text ends.

        Raises:
            RefusedItemError: The prompt is too long.
            ConfigError: A parameter is unknown or has no such value.
        """
        check_parameters(parameters, _OPTIONS, "generate")
        given = dict(parameters)
        if given.get("stop_strings") is not None:
            given["stop_strings"] = tuple(given["stop_strings"])
        options = GenerationOptions(**given)
        count = self.count(item.text)
        if self.limit is not None and count > self.limit and not truncate:
            raise RefusedItemError(too_long(count, self.limit, "prompt"))
        text, tokens = "", 0
        if not isinstance(self.model, StreamingModel):
            text = self.model.generate([item.text], options)[0]
            tokens = len(text.split())
            yield Piece(text)
        else:
            with self.model.stream(item.text, options) as stream:
                for piece in stream:
                    text += piece
                    yield Piece(piece)
            tokens = stream.num_tokens
        yield Piece("", last=True, tokens=tokens, reason=_reason(text, tokens, options))

    def count(self, prompt: str) -> int:
        """Return the tokens of a prompt, words for models of words."""
        return len(prompt.split()) if self._encoder is None else int(self._encoder.encode([prompt])[0].ids.size)

    def is_cut(self, prompt: str) -> bool:
        """Return whether a prompt loses its beginning."""
        return self.limit is not None and self.count(prompt) > self.limit


def _reason(text: str, tokens: int, options: GenerationOptions) -> str:
    if any(stop in text for stop in options.stop_strings):
        return "stop"
    return "length" if tokens >= options.max_new_tokens else "end_of_text"


def prepare_for_threads(model: NeuralModel) -> None:
    """Let a neural language model write several texts at the same time, in several threads.

    While it writes, `nlpladder.models.neural_generation` exchanges the generation settings of the model: of two threads
    the later one would keep the earlier one's. So the end marks are taken from the settings for good, and the settings
    are empty from then on. And the threads take turns in reading: two forward passes at once would fight for the cores.

    Args:
        model: A `NeuralLanguageModel`; nothing else may use it from then on but for scoring and writing.
    """
    from transformers import GenerationConfig

    model.encoder.end_ids = tuple(model.generation_ids()["end_ids"])
    body = model.model.get_base_model() if hasattr(model.model, "peft_config") else model.model
    for one in {id(module): module for module in (model.model, body)}.values():
        one.generation_config = GenerationConfig()
    body.eval()
    turn = threading.Lock()
    body.register_forward_pre_hook(lambda *_: turn.acquire() and None)
    body.register_forward_hook(lambda *_: turn.release(), always_call=True)
