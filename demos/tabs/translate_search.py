"""What models make of a source text: the best translation, other hypotheses, greedy search, attention maps."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import LadderError
from shell.limits import (
    MAX_ATTENTION_TOKENS,
    MAX_NEW_TOKENS,
    DemoError,
    check_choice,
    check_number,
    check_text,
    check_whole,
)
from shell.store import asked_model, asked_models
from tabs.translate_unknown import unknown_text

#: Models side by side, characters of a source, hypotheses kept at each step.
MOST_MODELS, MOST_CHARACTERS, MOST_BEAMS = 3, 1_000, 10
#: What the choice of attention weights offers: `Translator.attention_maps`' names.
MAPS = {"translation on source": "cross", "source on source": "encoder", "translation on itself": "decoder"}
_KEPT = 64
_MAX_RUN_BYTES = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Search:
    """How translations are looked for; every value is checked.

    Attributes:
        num_beams: Hypotheses kept at each step.
        length_penalty: Hypotheses are ranked by log p / length^length_penalty.
        coverage_penalty: Weight of the penalty for source words left out.
        greedy: Look greedily as well, for comparison.
    """

    num_beams: int = 5
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    greedy: bool = False

    def __post_init__(self) -> None:
        """Check the values, which came from a browser."""
        check_whole(self.num_beams, "Beams", least=1, most=MOST_BEAMS)
        check_number(self.length_penalty, "Length penalty", least=-2.0, most=3.0)
        check_number(self.coverage_penalty, "Coverage penalty", least=0.0, most=2.0)
        if not isinstance(self.greedy, bool):
            raise DemoError("Greedy search is a switch: true or false.")
        object.__setattr__(self, "num_beams", int(self.num_beams))


@dataclass(frozen=True)
class Answer:
    """What one model said to one text.

    Attributes:
        model: Its name.
        title: Its kind and size.
        direction: What it reads and writes, as its run names them; None where that is not known.
        hypotheses: Of beam search, best first; empty where the model cannot answer.
        greedy: What greedy search found; None where it was not asked for.
        seconds: Of all searches.
        problem: Why there is no answer, a sentence.
        hint: What a reader must know of the answer: that the model knows nothing of the text; else empty.
    """

    model: str
    title: str
    direction: tuple[str, str] | None
    hypotheses: tuple[Any, ...] = ()
    greedy: Any = None
    seconds: float = 0.0
    problem: str = ""
    hint: str = ""


def direction_of(entry: Any) -> tuple[str, str] | None:
    """Return the names of source and target in the data a model was trained on, from its ``run.json``.

    Args:
        entry: A model's entry in the store.
    """
    path = None if entry.folder is None else entry.folder / "run.json"
    try:
        if path is None or path.stat().st_size > _MAX_RUN_BYTES:
            return None
        run = json.loads(path.read_text(encoding="utf-8"))
        names = run["identity"]["data"]["languages"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if isinstance(names, list) and len(names) == 2 and all(isinstance(name, str) and name for name in names):
        return names[0][:40], names[1][:40]
    return None


class Translations:
    """Asks models and remembers the last answers, so that another layer or head needs no new search.

    Args:
        store: The models.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._answers: OrderedDict[tuple[Any, ...], Answer] = OrderedDict()
        self._guard = threading.Lock()

    def ask(self, text: str, models: list[str], search: Search) -> list[Answer]:
        """Return the answer of each model; one that cannot answer says why.

        Args:
            text: The source.
            models: Their names, at most `MOST_MODELS`.
            search: How.

        Raises:
            DemoError: If an input is not what it must be.
        """
        text = check_text(text, "The text to translate", most=MOST_CHARACTERS)
        names = asked_models(self._store, models, "translate", most=MOST_MODELS)
        return [self._answer(name, text, search) for name in names]

    def attention(
        self, text: str, model: str, search: Search, *, kind: str, layer: int, head: int
    ) -> tuple[npt.NDArray[np.float64], list[str], list[str], str]:
        """Return the attention weights of one layer and head for the best translation.

        Args:
            text: The source.
            model: Its name.
            search: How the translation is looked for.
            kind: One of `MAPS`.
            layer: From 1.
            head: From 1; 0 for the mean over all.

        Returns:
            Weights (rows, columns), row labels, column labels, and a caption.

        Raises:
            DemoError: If the model has no such weights, or the text is too long to show them.
        """
        name = MAPS[check_choice(kind, "Attention of", MAPS)]
        layer = check_whole(layer, "Layer", least=1, most=1_000)
        head = check_whole(head, "Head", least=0, most=1_000)
        (answer,) = self.ask(text, [asked_model(self._store, model, "translate")], search)
        if not answer.hypotheses:
            raise DemoError(answer.problem)
        best = answer.hypotheses[0]
        check_lengths(best)
        with self._store.use(answer.model) as translator:
            maps = translator.attention_maps(check_text(text, "The text", most=MOST_CHARACTERS), best)
        if name not in maps:
            there = [shown for shown, kept in MAPS.items() if kept in maps]
            has = f"It has: {', '.join(there)}." if there else "It has none, or read the text in pieces."
            raise DemoError(f"{answer.model} has no attention weights of the {kind}. {has}")
        weights = np.asarray(maps[name], dtype=np.float64)  # (layers, heads, rows, columns)
        layers, heads = weights.shape[:2]
        if layer > layers or head > heads:
            raise DemoError(
                f"{answer.model} has {layers} layer{'s' * (layers > 1)} and {heads} head{'s' * (heads > 1)} there: "
                f"layer 1 to {layers}, head 1 to {heads}, or 0 for the mean over heads."
            )
        chosen = weights[layer - 1].mean(axis=0) if head == 0 else weights[layer - 1, head - 1]
        source, target = list(best.source_tokens), list(best.target_tokens)
        rows, columns = {
            "cross": (target, source),
            "encoder": (source, source),
            "decoder": (target, ["(start)", *target[:-1]]),
        }[name]
        which = f"mean of {heads} heads" if head == 0 and heads > 1 else f"head {max(1, head)} of {heads}"
        return chosen, rows, columns, f"{answer.model}: {kind}, layer {layer} of {layers}, {which}"

    def _answer(self, name: str, text: str, search: Search) -> Answer:
        entry = self._store.entry(name)
        key = (name, entry.path, text, search)
        with self._guard:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
        blank = Answer(name, entry.title, direction_of(entry))
        try:
            answer = self._search(blank, text, search)
        except LadderError as error:  # one that cannot answer does not silence the others
            return replace(blank, problem=str(error))
        with self._guard:
            self._answers[key] = answer
            while len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        return answer

    def _search(self, blank: Answer, text: str, search: Search) -> Answer:
        with self._store.use(blank.model) as translator:
            limit = most_new_tokens(translator, text)
            started = time.perf_counter()
            common = {"length_penalty": search.length_penalty, "max_new_tokens": limit}
            (best,) = translator.translate(
                [text],
                num_beams=search.num_beams,
                n_best=search.num_beams,
                coverage_penalty=search.coverage_penalty,
                **common,
            )
            greedy = translator.translate([text], num_beams=1, **common)[0] if search.greedy else None
            seconds = time.perf_counter() - started
            hint = unknown_text(translator, text)
        hypotheses = (replace(best, alternatives=()), *best.alternatives)
        return replace(blank, hypotheses=hypotheses, greedy=greedy, seconds=seconds, hint=hint)


def most_new_tokens(translator: Any, text: str) -> int:
    """Return how many tokens a translation may have: what the model itself would take, at most `MAX_NEW_TOKENS`.

    Args:
        translator: The model.
        text: The source.
    """
    own = getattr(translator.model.generation_config, "max_new_tokens", None)
    return min(MAX_NEW_TOKENS, own or 2 * len(translator.source_ids([text])[0]) + 10)


def check_lengths(translation: Any) -> None:
    """Refuse a pair whose map would be too large to read.

    Args:
        translation: What a translator returned.

    Raises:
        DemoError: If source or translation has more than `MAX_ATTENTION_TOKENS` tokens.
    """
    source, target = len(translation.source_tokens), len(translation.target_tokens)
    if max(source, target) > MAX_ATTENTION_TOKENS:
        raise DemoError(
            f"The source has {source} tokens and the translation {target}; a map shows at most "
            f"{MAX_ATTENTION_TOKENS}. Take a shorter sentence."
        )
