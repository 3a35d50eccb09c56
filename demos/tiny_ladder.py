"""Train a tiny ladder for the demo: every task, small models, on the built-in worlds; no network, about two minutes.

    python demos/tiny_ladder.py --output_dir outputs/demo

Four climbs, made by the same code as recipes/climb_ladder.py makes them: classification, word vectors, language models
and translation, each a folder with its table and one run folder a rung. Finished runs are kept: the same command goes
on where it was interrupted. Where there are several cores, climbs are made side by side.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlpladder.config import build, option, parse, run_recipe
from nlpladder.errors import ConfigError, RunError, did_you_mean
from tiny_climbs import CLIMBS, TinyClimb, build_task
from tiny_lanes import lane_seconds, make_lanes, run_lanes

if TYPE_CHECKING:
    from nlpladder.climb import ClimbPlan


@dataclass(frozen=True, kw_only=True)
class TinyLadderOptions:
    """Options of the tiny ladder."""

    output_dir: str = option("outputs/demo", help="gets one folder a climb")
    climbs: tuple[str, ...] = option(("all",), help="all, or some of reviews, words, stories, phrasebook")
    overwrite: bool = option(False, help="replace earlier runs in output_dir")


def main() -> None:
    train(parse(TinyLadderOptions, description=__doc__))


def train(options: TinyLadderOptions, *, climbs: tuple[TinyClimb, ...] = CLIMBS, cores: int | None = None) -> None:
    """Make the small climbs, side by side where there are cores for it.

    Args:
        options: See there.
        climbs: What there is to climb.
        cores: To work with; all that this process may use if None.

    Raises:
        ConfigError: for a climb that does not exist.
        RunError: when a rung failed, or a folder holds a run of other arguments.
    """
    wanted = _chosen(options.climbs, climbs)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("The tiny ladder is small: start it once, with python, not on several processes.")
    cores = cores or _cores()
    lanes = make_lanes(wanted, cores)
    progress = Progress(wanted)
    seconds = max(map(lane_seconds, lanes))
    progress.say(f"{len(wanted)} climbs into {options.output_dir}; about {seconds:.0f} s where nothing else is at work")

    from nlpladder.training.interruption import interruptible

    with interruptible():
        failed = run_lanes(
            lanes, functools.partial(_climb, options), progress.hear, threads=max(1, cores // len(lanes))
        )
    if failed:
        raise RunError(f"{len(failed)} rungs failed; the others are whole. {' '.join(failed)}")
    progress.say(f"done. See it: python demos/app.py --models_dir {Path(options.output_dir).parent}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chosen(names: tuple[str, ...], climbs: tuple[TinyClimb, ...]) -> tuple[TinyClimb, ...]:
    known = [climb.folder for climb in climbs]
    if tuple(names) == ("all",):
        return climbs
    for name in names:
        if name not in known:
            raise ConfigError(f"There is no climb {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}.")
    return tuple(climb for climb in climbs if climb.folder in names)


def climb_plan(climb: TinyClimb, *, overwrite: bool) -> ClimbPlan:
    """Return what the climb is to do, its options checked.

    Args:
        climb: One of `CLIMBS`.
        overwrite: Replace earlier runs.
    """
    from nlpladder.climb import ClimbPlan
    from nlpladder.ladder import find_rung
    from nlpladder.tasks.base import RungSettings
    from nlpladder.training.options import TrainingOptions
    from nlpladder.training.pretraining_options import DEFAULT_PRETRAINING, PretrainingOptions

    return ClimbPlan(
        rungs=tuple(find_rung(name, task=climb.task) for name in climb.rungs if name != "encoder"),
        settings={
            name: build(RungSettings, dict(values), where=f"the settings of {name}")
            for name, values in climb.settings.items()
        },
        pretraining=build(PretrainingOptions, dict(climb.pretraining), where="pretraining"),
        pretraining_training=build(
            TrainingOptions, {**DEFAULT_PRETRAINING, **climb.pretraining_training}, where="pretraining_training"
        ),
        overwrite=overwrite,
    )


def _climb(options: TinyLadderOptions, climb: TinyClimb, say: Callable[[str], None]) -> list[str]:
    """Climb one, by the same function as recipes/climb_ladder.py; return what failed."""
    from nlpladder.climb import climb as climb_rungs
    from nlpladder.train_rung import quiet_libraries

    quiet_libraries()
    say(climb.title)
    folder = Path(options.output_dir) / climb.folder
    result = climb_rungs(climb_plan(climb, overwrite=options.overwrite), build_task(climb), folder, say)
    return [f"{climb.folder}/{row['rung']}: {row['error']}" for row in result["rows"] if row["error"]]


class Progress:
    """One line a step: the share that is done, the time, what is left, and which climb speaks.

    Args:
        climbs: What will be climbed; their seconds are the measure.
        write: Gets each line.
        clock: Returns seconds.
    """

    def __init__(
        self,
        climbs: tuple[TinyClimb, ...],
        write: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.total = sum(climb.seconds for climb in climbs)
        self._write, self._clock = write or _print, clock
        self._started = clock()
        self._width = max(len(climb.folder) for climb in climbs)
        self._begun = {climb.folder: 0 for climb in climbs}  # rungs
        self._done = {climb.folder: 0.0 for climb in climbs}  # seconds of the plan: of what is done,
        self._at_work = {climb.folder: (self._started, 0.0) for climb in climbs}  # and since when of what, at most

    def say(self, line: str) -> None:
        """Write `line` behind the share that is done and the seconds that have passed."""
        now = self._clock()
        # What is at work is counted as far as it should be by now.
        done = sum(self._done.values()) + sum(min(now - since, most) for since, most in self._at_work.values())
        passed, share = now - self._started, min(done / self.total, 1.0) if self.total else 1.0
        left = f", about {passed * (1 - share) / share:3.0f} s left" if 0.1 < share < 1 else ""
        self._write(f"[{100 * share:3.0f} %, {passed:3.0f} s{left}] {line}")

    def hear(self, climb: TinyClimb, line: str | None) -> None:
        """Write a line of a climb, and count its rungs as they begin.

        Args:
            climb: Which one.
            line: None when all of it is done, whatever it skipped.
        """
        name = climb.folder
        rungs = [seconds for rung, seconds in climb.rungs.items() if rung != "encoder"]
        if line is None:
            self._done[name], self._at_work[name] = climb.seconds, (self._clock(), 0.0)
            return
        if line.startswith("["):  # "[ 3/ 6] title, seed 0 (about 10 s left)": the next rung begins
            self._begun[name] += 1
            line = line.partition(" (about")[0].rstrip()
            self._begin(name, rungs[self._begun[name] - 1])
        elif "pretraining a" in line:
            self._begin(name, climb.rungs["encoder"])
        self.say(f"{name:{self._width}} {line}")

    def _begin(self, name: str, seconds: float) -> None:
        """Count what was at work in a climb as done, and begin something of so many seconds."""
        self._done[name] += self._at_work[name][1]
        self._at_work[name] = (self._clock(), seconds)


def _print(line: str) -> None:
    width = shutil.get_terminal_size((120, 24)).columns
    sys.stdout.write(f"{line[: max(width, 80)]}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run_recipe(main)
