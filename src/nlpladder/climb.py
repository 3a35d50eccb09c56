"""The climb: several rungs on one data set, one table that says what each step gained and what it cost.

Finished rungs are kept: a second start reads them. A rung that fails keeps its row, which says why. The table is
written after every rung, so that an interrupted climb still shows what it has.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nlpladder.errors import LadderError, RunError
from nlpladder.ladder import Rung
from nlpladder.pretrain_model import pretrain_model
from nlpladder.tasks.base import ClimbTask, RungRun, RungSettings
from nlpladder.training.options import TrainingOptions
from nlpladder.training.pretraining_options import PretrainingOptions
from nlpladder.training.run_folder import check_identity, describe_hardware, peak_memory_mib, write_json, write_text

logger = logging.getLogger(__name__)


@dataclass
class ClimbRow:
    """One rung in the table.

    Attributes:
        rung: Its name.
        title: Its title.
        runs: A finished run a seed.
        error: Why there is none, in one sentence.
        scores: `SeedScore` as a dict, by metric.
        comparison: `Comparison` with the rung below as a dict.
        notes: Sentences of its runs.
    """

    rung: Rung
    runs: list[RungRun] = field(default_factory=list)
    error: str | None = None
    scores: dict[str, Any] = field(default_factory=dict)
    comparison: dict[str, Any] | None = None

    def mean(self, fact: str) -> float | None:
        """Average a number of ``run.json`` over the seeds."""
        values = [run.record[fact] for run in self.runs if run.record.get(fact) is not None]
        return float(np.mean(values)) if values else None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain json."""
        facts = ("parameters", "trainable_parameters", "training_seconds", "inference_examples_per_second")
        return {
            "rung": self.rung.name,
            "title": self.rung.title,
            "idea": self.rung.idea,
            "seeds": len(self.runs),
            **{fact: self.mean(fact) for fact in facts},
            "scores": self.scores,
            "against_rung_below": self.comparison,
            "error": self.error,
            "notes": sorted({note for run in self.runs for note in run.record.get("notes", [])}),
            "runs": [str(run.folder.path) for run in self.runs],
        }


@dataclass(frozen=True)
class ClimbPlan:
    """What is to be run.

    Attributes:
        rungs: In the ladder's order.
        seeds: Runs a rung whose result depends on the seed.
        first_seed: The seeds are first_seed, first_seed + 1, …
        settings: By rung name, what differs from its defaults.
        encoder: Hub id or folder for the pretrained rungs; None pretrains a small BERT on the data's own text first.
        pretraining: Its size and vocabulary.
        pretraining_training: Its optimiser settings.
        budget_seconds: No rung starts after this time, and one at work stops training; None for no limit.
        overwrite: Replace earlier runs.
    """

    rungs: tuple[Rung, ...]
    seeds: int = 1
    first_seed: int = 0
    settings: Mapping[str, RungSettings] = field(default_factory=dict)
    encoder: str | None = None
    pretraining: PretrainingOptions = field(default_factory=PretrainingOptions)
    pretraining_training: TrainingOptions = field(default_factory=TrainingOptions)
    budget_seconds: float | None = None
    overwrite: bool = False


def climb(plan: ClimbPlan, task: ClimbTask, output_dir: str | Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the plan and write ``ladder.json``, ``ladder.md``, ``ladder.html`` and ``figures/`` into `output_dir`.

    Args:
        plan: What to run.
        task: What the rungs are for, with its data.
        output_dir: Gets one folder a rung and seed beside the tables.
        say: Called with each line of progress, on the main process only.

    Returns:
        The content of ``ladder.json``.
    """
    from accelerate import PartialState

    output_dir = Path(output_dir)
    state = PartialState()
    speak = say if state.is_main_process else _silent
    started = time.perf_counter()
    if not plan.overwrite:
        _refuse_other_arguments(plan, task, output_dir)
    clock = _Clock(plan)
    rows = [ClimbRow(rung) for rung in plan.rungs]
    encoder, pretraining_record = plan.encoder, None
    for number, row in enumerate(rows, 1):
        rung = row.rung
        try:
            if rung.kind == "pretrained" and encoder is None:
                encoder, pretraining_record = _pretrain(plan, task, output_dir / "encoder", clock.left(), speak)
                clock.done("encoder", pretraining_record["training_seconds"])
            for seed in _seeds(plan, rung):
                if clock.left() is not None and clock.left() <= 0:  # type: ignore[operator]
                    raise LadderError(f"not run: the budget of {plan.budget_seconds / 60:g} minutes was used up")  # type: ignore[operator]
                settings = plan.settings.get(rung.name, RungSettings())
                if rung.kind == "pretrained" and settings.encoder is None:
                    settings = dataclasses.replace(settings, encoder=encoder)
                speak(f"[{number:2}/{len(rows)}] {rung.title}, seed {seed} {clock.estimate()}")
                before = time.perf_counter()
                run = task.train(
                    rung,
                    settings,
                    output_dir=output_dir / rung.name / f"seed-{seed}",
                    seed=seed,
                    time_limit=clock.left(),
                    overwrite=plan.overwrite,
                )
                row.runs.append(run)
                # To find a finished run takes no time, which says nothing of the rungs to come: what it took then does.
                took = run.record["training_seconds"] if run.was_there else time.perf_counter() - before
                clock.done(rung.name, took)
                speak(f"        {_one_line(run, task)}")
        except LadderError as error:
            row.error = str(error)
        except (RuntimeError, ValueError, MemoryError, OSError, KeyError, TypeError) as error:
            if state.num_processes > 1:
                raise  # the other processes wait in a collective call; going on would hang
            logger.exception("The rung %s failed.", rung.name)
            row.error = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else error!r}"
        if row.error:
            speak(f"        {row.error}")
            clock.done(rung.name, None)
        if state.is_main_process:
            result = _write(rows, task, output_dir, pretraining_record, time.perf_counter() - started, number)
    state.wait_for_everyone()
    return result if state.is_main_process else {}


def _refuse_other_arguments(plan: ClimbPlan, task: ClimbTask, output_dir: Path) -> None:
    """Look at every run folder before the first line is written: a refused climb leaves the old table as it is."""
    table = output_dir / "ladder.json"
    if table.is_file():
        there, now = json.loads(table.read_text(encoding="utf-8")), task.describe()
        differing = [name for name in ("task", "dataset", "fingerprint") if there.get(name) != now[name]]
        if differing:
            raise RunError(
                f"{output_dir} holds a climb of another {' and '.join(differing)} ({there.get('task')} on "
                f"{there.get('dataset')}). Give another --output_dir, or --overwrite to replace it."
            )
    for rung in plan.rungs:
        settings = plan.settings.get(rung.name, RungSettings())
        if rung.kind == "pretrained" and settings.encoder is None:
            settings = dataclasses.replace(settings, encoder=plan.encoder or str(output_dir / "encoder"))
        for seed in _seeds(plan, rung):
            check_identity(output_dir / rung.name / f"seed-{seed}", task.identity(rung, settings, seed))


def _silent(line: str) -> None:
    """Say nothing: the main process speaks."""


def _seeds(plan: ClimbPlan, rung: Rung) -> range:
    return range(plan.first_seed, plan.first_seed + (1 if rung.deterministic else plan.seeds))


def _pretrain(
    plan: ClimbPlan, task: ClimbTask, folder: Path, time_limit: float | None, say: Callable[[str], None]
) -> tuple[str, dict[str, Any]]:
    """Pretrain the encoder that bert and bert_lora share, on all text that has no test label on it."""
    texts, data = task.unlabeled_texts(), task.describe()
    size = plan.pretraining.size
    say(f"        pretraining a {size} BERT on {len(texts):,} unlabelled texts, once for both BERT rungs")
    run = pretrain_model(
        lambda: texts,
        plan.pretraining,
        plan.pretraining_training,
        data={"name": data["dataset"], "fingerprint": data["fingerprint"]},
        output_dir=folder,
        seed=plan.first_seed,
        time_limit=time_limit,
        overwrite=plan.overwrite,
    )
    say(f"        encoder ready: {run.record['training_seconds']:.1f} s of pretraining")
    return str(folder), dict(run.record)


def _write(
    rows: Sequence[ClimbRow],
    task: ClimbTask,
    output_dir: Path,
    pretraining: Mapping[str, Any] | None,
    seconds: float,
    done: int,
) -> dict[str, Any]:
    """Score, compare and write what has been run so far."""
    from nlpladder.hub.cards import write_card
    from nlpladder.views.ladder_table import ladder_figures, ladder_html, ladder_markdown

    finished = [row for row in rows if row.runs]
    for row in finished:
        if not row.scores:
            row.scores = {name: score.to_dict() for name, score in task.score(row.runs).items()}
    pairs: list[dict[str, Any]] = []
    if len(finished) > 1:
        runs = {row.rung.name: row.runs for row in finished}
        for row, comparison in zip(finished[1:], task.compare(runs, "adjacent"), strict=True):
            row.comparison = comparison.to_dict()
        if done == len(rows):
            pairs = [pair.to_dict() for pair in task.compare(runs, "all")]
    content = {
        **task.describe(),
        "columns": list(task.columns),
        "pretraining": None
        if pretraining is None
        else {"seconds": pretraining["training_seconds"], "texts": pretraining["texts"]},
        "rows": [row.to_dict() for row in rows[:done]],
        "pairs": pairs,
        "seconds": round(seconds, 1),
        "peak_memory_mib": round(peak_memory_mib(), 1),
        "hardware": describe_hardware(),
        "complete": done == len(rows),
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    write_json(output_dir / "ladder.json", content)
    write_text(output_dir / "ladder.md", ladder_markdown(content))
    if done == len(rows):
        figures = ladder_figures(content, output_dir / "figures")
        write_text(output_dir / "ladder.html", ladder_html(content, figures))
        # Now a card can say how the other seeds did, and whether the rung below was beaten.
        for row in finished:
            for run in row.runs:
                write_card(run.folder.path, rung=row.rung)
    return content


def _one_line(run: RungRun, task: ClimbTask) -> str:
    from nlpladder.evaluation.intervals import Score

    score = Score.from_dict(run.metrics["scores"][task.columns[0]])
    again = "" if run.record.get("status") == "finished" else " (unfinished)"
    name = score.name.replace("_", " ")
    return f"{name} {score.format()} after {run.record['training_seconds']:.1f} s of training{again}"


class _Clock:
    """Knows the budget, and estimates what is left from what the finished rungs took against their typical seconds."""

    def __init__(self, plan: ClimbPlan) -> None:
        self.started = time.perf_counter()
        self.budget = plan.budget_seconds
        self.ahead = {rung.name: rung.typical_seconds * len(_seeds(plan, rung)) for rung in plan.rungs}
        self.seconds_a_run = {rung.name: rung.typical_seconds for rung in plan.rungs}
        if plan.encoder is None and any(rung.kind == "pretrained" for rung in plan.rungs):
            self.ahead["encoder"] = self.seconds_a_run["encoder"] = 80.0
        self.typical_done = self.measured_done = 0.0

    def left(self) -> float | None:
        """Seconds of the budget that are left, or None without one."""
        return None if self.budget is None else self.budget - (time.perf_counter() - self.started)

    def done(self, name: str, seconds: float | None) -> None:
        """Count one run of `name` as done; None means that it failed and no more of it will run."""
        typical = self.seconds_a_run.get(name, 0.0)
        if seconds is None:
            self.ahead[name] = 0.0
            return
        self.ahead[name] = max(0.0, self.ahead.get(name, 0.0) - typical)
        self.typical_done += typical
        self.measured_done += seconds

    def estimate(self) -> str:
        """Say how long the rest will take, once there is something to judge by."""
        if self.typical_done < 2.0:
            return ""
        rest = sum(self.ahead.values()) * self.measured_done / self.typical_done
        return f"(about {rest / 60:.0f} min left)" if rest >= 90 else f"(about {max(rest, 1):.0f} s left)"
