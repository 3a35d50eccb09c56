"""What the chosen classifiers say of a text or a file: probabilities, agreement, and what each word contributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.errors import LadderError
from nlpladder.models.attributions import Attribution, Method, attribute, class_names, runner_up
from shell.limits import MAX_ROWS, DemoError, check_choice, check_text
from shell.store import asked_models

if TYPE_CHECKING:
    import pandas as pd

    from shell.store import ModelStore

ABILITY = "classify"
#: Classes that are listed of one model; the others are left out, and said to be.
MOST_CLASSES = 10
#: Features of one model in the table of the strongest.
MOST_FEATURES = 12
#: How networks are taken apart: what is shown -> what `nlpladder.models.attributions` calls it.
METHODS: dict[str, Method] = {
    "integrated gradients": "integrated_gradients", "gradient × input": "gradient_x_input",
}  # fmt: skip
DEFAULT_METHOD = next(iter(METHODS))
_APART = "Models with different classes cannot agree or disagree: only those with the same are counted."
#: Before the classes of models that a file's last column compares; no model of the demo has such a name.
_SAME = "all agree"
FEATURES_HEADER = ("model", "speaks for", "against", "word or n-gram", "contribution")


@dataclass(frozen=True)
class Answer:
    """What one classifier says of one text.

    Attributes:
        model: Its name.
        title: What it is.
        task: ``single_label``, ``multi_label`` or ``regression``.
        labels: Names of the classes.
        probabilities: Of each class; for a regression the value.
        attribution: Of the class that is explained; None where that was impossible.
        problem: Why there is no answer, or no attribution; empty for none.
    """

    model: str
    title: str
    task: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    attribution: Attribution | None = None
    problem: str = ""

    @property
    def best(self) -> str:
        """The answer in a word: the most probable class, all above one half, or the value."""
        if not self.probabilities:
            return ""
        if self.task == "regression":
            return f"{self.probabilities[0]:.3f}"
        if self.task == "multi_label":
            chosen = [name for name, value in zip(self.labels, self.probabilities, strict=True) if value >= 0.5]
            return ", ".join(chosen) or "(none)"
        return self.labels[int(np.argmax(self.probabilities))]


def predictions(
    store: ModelStore, text: Any, models: Any, *, explain: Any = "", method: Any = DEFAULT_METHOD
) -> list[Answer]:
    """Ask some classifiers about a text.

    Args:
        store: The models.
        text: One text.
        models: Their names.
        explain: The class whose score is taken apart; empty for the one that each model predicts.
        method: A key of `METHODS`.

    Raises:
        DemoError: The text or a name is not as expected, or no model has the class that is to be explained.
    """
    text = check_text(text, "The text")
    names = asked_models(store, models, ABILITY)
    wanted = check_text(explain, "The class to explain", most=200, empty=True).strip()
    way = METHODS[check_choice(method, "Methods", METHODS)]
    answers = [_asked(store, name, text, wanted, way) for name in names]
    known = sorted({label for answer in answers for label in answer.labels})
    if wanted and wanted not in known:
        raise DemoError(
            f"No chosen model has the class {wanted[:80]!r}. They have: {', '.join(known[:20])}. Leave the box empty "
            "to explain what each predicts."
        )
    return answers


def _asked(store: ModelStore, name: str, text: str, wanted: str, method: Method) -> Answer:
    title = store.entry(name).title
    try:
        with store.use(name) as model:
            labels = class_names(model)
            probabilities = tuple(float(one) for one in np.asarray(model.predict_proba([text]))[0])
            if wanted and wanted not in labels:
                return Answer(name, title, model.task, labels, probabilities, None, f"It has no class {wanted!r}.")
            label = wanted or labels[int(np.argmax(probabilities))]
            # Scores of a softmax mean something as differences only.
            against = runner_up(probabilities, labels, label) if model.task == "single_label" else None
            try:
                attribution, problem = attribute(model, text, label=label, against=against, method=method), ""
            except LadderError as error:
                attribution, problem = None, str(error)
            return Answer(name, title, model.task, labels, probabilities, attribution, problem)
    except LadderError as error:  # the others may have an answer
        return Answer(name, title, "", (), (), None, str(error))


def agreement(answers: Sequence[Answer]) -> str:
    """Return a sentence on how far the models agree, those with the same classes together.

    Args:
        answers: Of the models.
    """
    told = []
    groups: dict[frozenset[str], list[Answer]] = {}
    for answer in answers:
        if answer.probabilities and answer.task == "single_label":
            groups.setdefault(frozenset(answer.labels), []).append(answer)
    for members in groups.values():
        if len(members) < 2:
            continue
        (first, count), *_ = Counter(answer.best for answer in members).most_common()
        if count == len(members):
            all_of_them = "Both" if count == 2 else f"All {count}"
            told.append(f"{all_of_them} models say **{_plain(first)}**.")
            continue
        others = ", ".join(f"{_plain(one.model)}: {_plain(one.best)}" for one in members if one.best != first)
        told.append(f"{count} of {len(members)} models say **{_plain(first)}**; the others: {others}.")
    if len(groups) > 1:
        told.append(_APART)
    return " ".join(told)


def features_table(answers: Sequence[Answer]) -> pd.DataFrame:
    """Return the features that move each model's score most, strongest first.

    Args:
        answers: Of the models.
    """
    import pandas as pd

    rows = [
        (answer.model, answer.attribution.label, answer.attribution.against or "", one.name, round(one.value, 4))
        for answer in answers
        if answer.attribution is not None
        for one in answer.attribution.strongest(MOST_FEATURES)
    ]
    return pd.DataFrame(rows, columns=list(FEATURES_HEADER)).astype({"contribution": float})


def file_predictions(store: ModelStore, texts: Sequence[str], models: Any) -> tuple[list[str], list[list[Any]]]:
    """Classify many texts with several models.

    Args:
        store: The models.
        texts: At most `MAX_ROWS`, checked as `shell.csv_files.read_rows` does.
        models: Names of the models.

    Returns:
        A heading, and a row a text: the text, each model's answer and how probable it finds it, and whether all agree:
        a column for each group of models with the same classes.

    Raises:
        DemoError: A name is not as expected, or there are too many texts.
        LadderError: A model cannot be opened or asked.
    """
    names = asked_models(store, models, ABILITY)
    if not 0 < len(texts) <= MAX_ROWS:
        raise DemoError(f"There are {len(texts):,} texts; expected 1 to {MAX_ROWS:,}.")
    header, columns = ["text"], [list(texts)]
    groups: dict[frozenset[str], dict[str, list[str]]] = {}
    for name in names:
        with store.use(name) as model:
            labels, task = class_names(model), model.task
            rows = np.asarray(model.predict_proba(list(texts)))
        found = [Answer(name, "", task, labels, tuple(float(one) for one in row)) for row in rows]
        header.append(name)
        columns.append([one.best for one in found])
        if task == "single_label":
            header.append(f"{name}: probability")
            columns.append([round(max(one.probabilities), 4) for one in found])
            groups.setdefault(frozenset(labels), {})[name] = [one.best for one in found]
    for members in groups.values():
        if len(members) > 1:
            # Where all have the same classes, the column needs no names.
            header.append(_SAME if len(groups) == 1 else f"{_SAME}: {', '.join(members)}")
            columns.append(["yes" if len(set(row)) == 1 else "no" for row in zip(*members.values(), strict=True)])
    return header, [list(row) for row in zip(*columns, strict=True)]


def file_summary(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a sentence on a classified file: how often each answer came, and how often all agreed.

    Args:
        header: Of `file_predictions`.
        rows: Of it.
    """
    told = [f"{len(rows):,} {'text' if len(rows) == 1 else 'texts'}."]
    probability_of = {name.removesuffix(": probability") for name in header if name.endswith(": probability")}
    for column, name in enumerate(header):
        if name in probability_of:
            counts = Counter(str(row[column]) for row in rows).most_common(5)
            told.append(f"{_plain(name)}: " + ", ".join(f"{_plain(label)} {count}" for label, count in counts) + ".")
    for column, name in enumerate(header):
        if name == _SAME or name.startswith(f"{_SAME}: "):
            agree = sum(row[column] == "yes" for row in rows)
            who = "All models" if name == _SAME else _plain(name.removeprefix(f"{_SAME}: "))
            told.append(f"{who} agree on {agree} of {len(rows)} ({agree / len(rows):.0%}).")
    if len(probability_of) > 1 and _SAME not in header:
        told.append(_APART)
    return " ".join(told)


def _plain(text: str) -> str:
    """Return a name without what Markdown would take for its own."""
    cut = text if len(text) <= 80 else f"{text[:79]}…"
    return "".join(f"\\{one}" if one in r"\`*_{}[]()#+-.!|<>~$&" else one for one in cut).replace("\n", " ")
