"""A preprocessor: an ordered list of steps that can be called, compared, printed and saved."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.text.steps import Level, Step, find_step

FORMAT = "nlpladder-preprocessor"


class Preprocessor:
    """An ordered list of preprocessing steps.

    A text is one segment until ``sentence_tokenize`` makes it several; a segment is a string until a tokeniser makes
    it a list of tokens. From then on a step on characters is applied to each token (what it leaves empty is dropped,
    what it splits by a space becomes several tokens), a step on tokens to the list. A step on tokens without a
    tokeniser before it splits at white space. A step on running text, such as ``replace_urls``, cannot work on tokens,
    so placing it after a tokeniser is an error. As text, the result is the tokens joined by spaces and the segments by
    newlines.

    Two preprocessors are equal when their steps and parameters are. Instances can be copied and pickled (by their
    config), so that ``datasets.map`` works with several processes and recognises its cache.

    Args:
        steps: Names of `nlpladder.text.steps.STEPS`, or mappings with a ``name`` and the step's parameters.

    Raises:
        ConfigError: for an unknown step or parameter (with the nearest name), a wrong value or an impossible order.
        DataError: when a step needs data that is not on this machine.

    Example:
        >>> preprocessor = Preprocessor(["strip_html", "lowercase", {"name": "word_tokenize", "method": "regex"}])
        >>> preprocessor("It <b>isn't</b> bad.")
        "it is n't bad ."
    """

    def __init__(self, steps: Iterable[str | Mapping[str, Any]]) -> None:
        if isinstance(steps, (str, Mapping)):
            raise ConfigError(f"The steps must be a list, not {steps!r}.")
        self._steps: tuple[tuple[Step, dict[str, Any]], ...] = tuple(map(_read_step, steps))
        _check_order([step for step, _ in self._steps])
        self._functions: tuple[tuple[Level, Callable[[Any], Any]], ...] = tuple(
            (step.level, step.build(**arguments)) for step, arguments in self._steps
        )

    def __call__(self, text: str) -> str:
        """Preprocess one text."""
        return "\n".join([segment if isinstance(segment, str) else " ".join(segment) for segment in self._run(text)])

    def batch(self, texts: Iterable[str]) -> list[str]:
        """Preprocess several texts; the same as calling the preprocessor on each.

        Raises:
            DataError: naming the first entry that is not a string.
        """
        if isinstance(texts, str):
            raise DataError("batch() takes a list of texts; call the preprocessor itself on one text.")
        results = []
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"Text {index} is {text!r}, a {type(text).__name__}, not a string.")
            results.append(self(text))
        return results

    def tokenize(self, text: str) -> list[str]:
        """Preprocess one text into tokens; without a tokeniser among the steps they are split at white space."""
        return [token for sentence in self.tokenize_sentences(text) for token in sentence]

    def tokenize_sentences(self, text: str) -> list[list[str]]:
        """Preprocess one text into tokens per segment; without ``sentence_tokenize`` there is one segment."""
        return [segment.split() if isinstance(segment, str) else segment for segment in self._run(text)]

    def _run(self, text: str) -> list[str] | list[list[str]]:
        if not isinstance(text, str):
            raise DataError(f"A text must be a string, not {text!r}, a {type(text).__name__}.")
        segments: list[Any] = [text]
        tokenized = False
        for level, function in self._functions:
            if level == "sentences":
                segments = [sentence for segment in segments for sentence in function(segment)]
            elif level == "words":
                tokenized = True
                segments = [_without_empty(function(segment)) for segment in segments]
            elif level == "tokens":
                segments = [function(segment if tokenized else segment.split()) for segment in segments]
                tokenized = True
            elif tokenized:
                segments = [" ".join(map(function, segment)).split() for segment in segments]
            else:
                segments = [function(segment) for segment in segments]
        return [segment for segment in segments if segment] or ([[]] if tokenized else [""])

    def to_config(self) -> dict[str, Any]:
        """Return the steps with every parameter, as plain data for json."""
        return {
            "format": FORMAT,
            "steps": [
                {"name": step.name, **{k: list(v) if isinstance(v, tuple) else v for k, v in arguments.items()}}
                for step, arguments in self._steps
            ],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Preprocessor:
        """Build a preprocessor from what `to_config` returned.

        Raises:
            ConfigError: when `config` is something else.
        """
        if not isinstance(config, Mapping) or config.get("format", FORMAT) != FORMAT or "steps" not in config:
            raise ConfigError(f"Not the config of a preprocessor: expected the keys 'format': {FORMAT!r} and 'steps'.")
        return cls(config["steps"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the config to the json file `path`."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(self.to_config(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Preprocessor:
        """Read a json file that `save` wrote.

        Raises:
            DataError: when there is no such file or it is not json.
            ConfigError: when it holds something else than a preprocessor.
        """
        path = Path(path)
        if not path.is_file():
            names = [str(other) for other in path.parent.glob("*.json")] if path.parent.is_dir() else []
            raise DataError(f"There is no preprocessor file {str(path)!r}.{did_you_mean(str(path), names)}")
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not a json file: {error}") from error
        return cls.from_config(config)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Preprocessor):
            return NotImplemented
        return self.to_config() == other.to_config()

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_config()))

    def __repr__(self) -> str:
        """Return the call that builds an equal preprocessor, without parameters at their defaults."""
        parts = []
        for step, arguments in self._steps:
            defaults = {parameter.name: parameter.default for parameter in step.parameters}
            changed = {name: value for name, value in arguments.items() if value != defaults[name]}
            parts.append(repr({"name": step.name, **changed} if changed else step.name))
        return f"Preprocessor([{', '.join(parts)}])"

    def __reduce__(self) -> tuple[Any, ...]:
        return Preprocessor.from_config, (self.to_config(),)


def _read_step(entry: str | Mapping[str, Any]) -> tuple[Step, dict[str, Any]]:
    if isinstance(entry, str):
        step = find_step(entry)
        return step, step.arguments({})
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise ConfigError(f"A step is a name or a mapping with a 'name', not {entry!r}.")
    step = find_step(entry["name"])
    return step, step.arguments({key: value for key, value in entry.items() if key != "name"})


def _check_order(steps: Sequence[Step]) -> None:
    tokenizer = ""
    for position, step in enumerate(steps, start=1):
        if tokenizer and step.level in ("running_text", "sentences", "words"):
            raise ConfigError(
                f"Step {position}, {step.name!r}, works on running text, but {tokenizer} has split it into tokens. "
                f"Move {step.name!r} before it."
            )
        if not tokenizer and step.level in ("words", "tokens"):
            tokenizer = f"step {position}, {step.name!r},"


def _without_empty(tokens: list[str]) -> list[str]:
    return tokens if all(tokens) else [token for token in tokens if token]
