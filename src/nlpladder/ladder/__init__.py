"""The rungs as data. The README table, the climb, the recipes and a test read this tuple.

Adding a rung: one family in ``models/``, one entry in the module of its task, one recipe config, one test file (see
CONTRIBUTING.md).
"""

from __future__ import annotations

from collections.abc import Iterable

from nlpladder.errors import ConfigError, did_you_mean
from nlpladder.ladder.classification import CLASSIFICATION
from nlpladder.ladder.embeddings import EMBEDDINGS
from nlpladder.ladder.finetuning import FINETUNING
from nlpladder.ladder.language_modeling import LANGUAGE_MODELING
from nlpladder.ladder.rung import Rung, TaskName
from nlpladder.ladder.translation import TRANSLATION

__all__ = ["LADDER", "Rung", "TaskName", "choose_rungs", "find_rung"]

#: Every rung, task by task, each task from the bottom up.
LADDER: tuple[Rung, ...] = (*CLASSIFICATION, *EMBEDDINGS, *LANGUAGE_MODELING, *TRANSLATION, *FINETUNING)


def find_rung(name: str, *, task: TaskName | None = None) -> Rung:
    """Return the rung called `name`, which must be one of `task` where that is given.

    Raises:
        ConfigError: for an unknown name, with the nearest, or a rung of another task.
    """
    by_name = {rung.name: rung for rung in LADDER}
    known = [rung.name for rung in LADDER if task in (None, rung.task)]
    if name in known:
        return by_name[name]
    if name in by_name:
        problem = f"The rung {name!r} is for {by_name[name].task}, not for {task}."
    else:
        problem = f"There is no rung {name!r}.{did_you_mean(name, known)}"
    raise ConfigError(f"{problem} Rungs{f' of {task}' if task else ''}: {', '.join(known)}.")


def choose_rungs(names: Iterable[str], *, task: TaskName = "classification") -> tuple[Rung, ...]:
    """Return the rungs of `task` that are named (``all`` for every one), in the ladder's order.

    Raises:
        ConfigError: as `find_rung`, or when none is named.
    """
    wanted = list(names)
    if wanted == ["all"]:
        return tuple(rung for rung in LADDER if rung.task == task)
    chosen = [find_rung(name, task=task) for name in wanted]
    if not chosen:
        raise ConfigError("No rung was named. Use --rungs all, or some of them, comma-separated.")
    return tuple(rung for rung in LADDER if rung in chosen)
