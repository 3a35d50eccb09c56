"""The rungs as data. The README table, the climb, the recipes and a test read this tuple.

Adding a rung: one family in ``models/``, one entry in the module of its task, one recipe config, one test file (see
CONTRIBUTING.md).
"""

from __future__ import annotations

from collections.abc import Iterable

from nlpladder.errors import ConfigError, did_you_mean
from nlpladder.ladder.classification import CLASSIFICATION
from nlpladder.ladder.embeddings import EMBEDDINGS
from nlpladder.ladder.language_modeling import LANGUAGE_MODELING
from nlpladder.ladder.rung import Rung, TaskName

__all__ = ["LADDER", "Rung", "TaskName", "choose_rungs", "find_rung"]

#: Every rung, task by task, each task from the bottom up.
LADDER: tuple[Rung, ...] = (*CLASSIFICATION, *EMBEDDINGS, *LANGUAGE_MODELING)


def find_rung(name: str) -> Rung:
    """Return the rung called `name`.

    Raises:
        ConfigError: with the nearest name.
    """
    by_name = {rung.name: rung for rung in LADDER}
    if name not in by_name:
        raise ConfigError(f"There is no rung {name!r}.{did_you_mean(name, by_name)} Rungs: {', '.join(by_name)}.")
    return by_name[name]


def choose_rungs(names: Iterable[str], *, task: TaskName = "classification") -> tuple[Rung, ...]:
    """Return the rungs of `task` that are named (``all`` for every one), in the ladder's order.

    Raises:
        ConfigError: for an unknown name, or a rung of another task.
    """
    wanted = list(names)
    if wanted == ["all"]:
        return tuple(rung for rung in LADDER if rung.task == task)
    known = [rung.name for rung in LADDER if rung.task == task]
    for name in wanted:
        if name not in known and name not in {rung.name for rung in LADDER}:
            raise ConfigError(
                f"There is no rung {name!r}.{did_you_mean(name, known)} Rungs of {task}: {', '.join(known)}."
            )
    chosen = [find_rung(name) for name in wanted]
    if not chosen:
        raise ConfigError("No rung was named. Use --rungs all, or some of them, comma-separated.")
    for rung in chosen:
        if rung.task != task:
            raise ConfigError(
                f"The rung {rung.name!r} is for {rung.task}, not for {task}. Rungs of {task}: {', '.join(known)}."
            )
    return tuple(rung for rung in LADDER if rung in chosen)
