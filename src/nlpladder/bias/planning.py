"""How much work a measure is, before it is done: the measure is run on a stand-in that counts and predicts nothing.

The stand-in reads text as the model does (its own tokenizer), and answers every question with made-up numbers at once.
What the measure asks is thereby known exactly, in a small part of the time.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nlpladder.bias.measures import MeasureEntry, check_data_keys, open_given_data, selected_measures
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.errors import ConfigError
from nlpladder.protocols import TokenScores

#: What is counted -> how a sentence calls it.
_UNITS = {
    "masked": "inputs through the masked language model",
    "scored": "texts to be scored",
    "distributions": "next-token distributions",
    "generated": "continuations to be written",
    "targets": "pairs of source and target to be scored",
    "encoded": "texts to be encoded",
    "classified": "texts to be classified",
}
_FEW = StatisticsOptions(resamples=1)


class Work:
    """What a measure asked of a model: how often, and how many of the questions are different."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._different: dict[str, set[Any]] = {}

    def add(self, kind: str, questions: Sequence[Any]) -> None:
        """Count questions.

        Args:
            kind: One of the keys of the units.
            questions: Hashable ones; a model that scores duplicates once works on the different ones.
        """
        self.asked[kind] += len(questions)
        self._different.setdefault(kind, set()).update(questions)

    def different(self, kind: str) -> int:
        """Return how many different questions there were."""
        return len(self._different.get(kind, ()))

    @property
    def sentence(self) -> str:
        """Say it in words."""
        parts = [
            f"{count:,} {_UNITS[kind]}"
            + (f" ({self.different(kind):,} different)" if self.different(kind) != count else "")
            for kind, count in self.asked.items()
            if count
        ]
        return ", ".join(parts) or "no pass of the model"


def count_work(
    entry: MeasureEntry,
    model: Any,
    data: Any,
    options: Mapping[str, Any] | None = None,
    *,
    shared: dict[Any, Any] | None = None,
) -> Work | None:
    """Return what a measure will ask of a model; None where it stops at the made-up numbers.

    Args:
        entry: The measure.
        model: Any rung that offers it.
        data: What its loader opened.
        options: Further arguments of the measure.
        shared: What the measures that were counted before have asked already; filled with what this one asks. Never
            that of a real run, as it holds made-up numbers.
    """
    work = Work()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            entry.measure(stand_in(model, work), data, shared=shared, statistics=_FEW, **(options or {}))
    except Exception:  # any: a measure may rightly refuse numbers that no model gives; the real run tells
        return None
    return work


def plan_sentences(
    models: Mapping[str, Callable[[], Any]],
    names: Sequence[str],
    data: Mapping[str, Any],
    *,
    measure_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[str]:
    """Return a sentence a model and measure that says what would be done. All data are opened before any model.

    Args:
        models: Functions that open the models, by name.
        names: As `nlpladder.bias.evaluate.evaluate_bias`.
        data: As there.
        measure_options: As there.

    Raises:
        ConfigError: As there.
        DataError: As there: a plan on data that cannot be read is none.
    """
    extra = measure_options or {}
    entries = selected_measures(names, data, extra)
    if not entries:
        raise ConfigError("No measure is left to be planned.")
    check_data_keys(data, entries)
    data = open_given_data(entries, data)
    sentences = []
    for name, opener in models.items():
        model = opener()
        lacking: dict[str, list[str]] = {}
        shared: dict[Any, Any] = {}
        for entry in entries:
            if not entry.offered_by(model):
                lacking.setdefault(entry.needed, []).append(entry.name)
                continue
            options = extra.get(entry.name, {})
            told = work_sentence(entry, model, _items(entry, data), options, shared=shared)
            sentences.append(f"{name}: {told}")
        sentences += [
            f"{name}: not measured, for want of {needed}: {', '.join(measures)}."
            for needed, measures in lacking.items()
        ]
    return sentences


def work_sentence(
    entry: MeasureEntry,
    model: Any,
    items: Any,
    options: Mapping[str, Any],
    *,
    shared: dict[Any, Any] | None = None,
) -> str:
    """Say what one measure will ask of one model.

    Args:
        entry: The measure.
        model: Any rung that offers it.
        items: What its loader opened; None where it reads no data.
        options: Further arguments of the measure.
        shared: As `count_work`.
    """
    work = count_work(entry, model, items, options, shared=shared)
    return f"{entry.name} ({entry.title}): {'not known before it runs' if work is None else work.sentence}"


def _items(entry: MeasureEntry, data: Mapping[str, Any]) -> Any:
    """Return what the user gave, or the data of our own."""
    given = data.get(entry.data) if entry.data else None
    return entry.open_data(None) if given is None else given


def stand_in(model: Any, work: Work) -> Any:
    """Return an object with the same interfaces as a model, that counts what it is asked.

    Args:
        model: Any rung.
        work: Where it counts.
    """
    generator = np.random.default_rng(0)

    def logs(size: int) -> Any:
        return -1.0 - 8.0 * generator.random(size)

    def query(self: Any, queries: Sequence[Any]) -> list[Any]:
        work.add("masked", list(queries))
        return [logs(len(one.wanted)) for one in queries]

    def score(self: Any, texts: Sequence[str], *args: Any, **kwargs: Any) -> list[TokenScores]:
        work.add("scored", list(texts))
        return [_scores(text, logs) for text in texts]

    def score_targets(self: Any, sources: Sequence[str], targets: Sequence[str]) -> list[TokenScores]:
        work.add("targets", list(zip(sources, targets, strict=True)))
        return [_scores(text, logs) for text in targets]

    vocabulary: list[tuple[list[str], int]] = []

    def next_token_distribution(self: Any, prefix: str) -> tuple[list[str], Any]:
        work.add("distributions", [prefix])
        if not vocabulary:
            tokens, _ = model.next_token_distribution(prefix)
            vocabulary.append((list(tokens), len(tokens)))
        tokens, size = vocabulary[0]
        return tokens, generator.dirichlet(np.ones(size))

    def generate(self: Any, prompts: Sequence[str], options: Any = None) -> list[str]:
        first = work.asked["generated"]
        work.add("generated", range(first, first + len(prompts)))  # samples of one prompt are work each
        return [str(word) for word in generator.choice(["he is here.", "she is there.", "they are."], len(prompts))]

    def encode_texts(self: Any, texts: Sequence[str]) -> Any:
        work.add("encoded", list(texts))
        return generator.normal(size=(len(texts), 16))

    def predict_proba(self: Any, texts: Sequence[str]) -> Any:
        work.add("classified", list(texts))
        labels = max(1, len(model.label_names))
        return (
            generator.dirichlet(np.ones(labels), size=len(texts)) if labels > 1 else generator.random((len(texts), 1))
        )

    own = {
        function.__name__: function
        for function in (
            query, score, score_targets, next_token_distribution, generate, encode_texts, predict_proba,
        )
        if hasattr(model, function.__name__)
    }  # fmt: skip
    passed = {
        name: _passed_on(model, name)
        for name in ("encode", "num_parameters", "task", "label_names", "words", "vectors", "embed")
        if hasattr(model, name)
    }
    return type(f"Counted{type(model).__name__}", (), {**own, **passed})()


def _passed_on(model: Any, name: str) -> property:
    """Return an attribute that is the model's own."""
    return property(lambda self: getattr(model, name))


def _scores(text: str, logs: Callable[[int], Any]) -> TokenScores:
    tokens = tuple(text.split()) or ("",)
    return TokenScores(tokens, logs(len(tokens)), np.ones(len(tokens), dtype=bool), len(tokens), len(text.encode()))
