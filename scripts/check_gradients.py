"""Is a step's gradient the same however the step is cut up? Every task, ours beside a plain Trainer, in one table.

    python scripts/check_gradients.py [--tasks classification,tags] [--format markdown|json]

Each task is trained for two steps in float32 on the CPU: as one large batch on one process, in 4 micro-batches, on 2
processes, and on 2 processes with 2 micro-batches each. The first step has 16 rows of unequal lengths, the second the 5
that are left. Ours is trained by the functions that the recipes call; beside it stands ``transformers.Trainer`` with
the usual collator on the same rows in the same steps. The numbers are what the trainers log.

The rows, models and collators stand in ``gradient_checks/tasks.py`` and ``gradient_checks/sequences.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

#: Processes, and micro-batches of each; the first is the one large batch.
LAYOUTS = ((1, 1), (1, 4), (2, 1), (2, 2))
TITLES = {
    "classification": "text classification",
    "multi_label": "multi-label classification",
    "masked": "masked pretraining",
    "tags": "tags of words",
    "answers": "answers in texts",
    "causal": "causal text, blocks",
    "packed": "causal text, packed rows",
    "instructions": "instructions, answers only",
    "preferences": "DPO",
    "lstm": "LSTM with carried state",
    "t5": "T5, pairs",
    "span_corruption": "T5, span corruption",
    "translation": "our Transformer, translation",
}
OURS, PLAIN = "nlpladder", "plain Trainer"
#: Seconds that one launch may take.
LIMIT = 900


class Measured(NamedTuple):
    """What one training logged.

    Attributes:
        losses: Of each step.
        norms: Gradient norm of each step.
        validation: Validation losses; none of a plain Trainer.
    """

    losses: list[float]
    norms: list[float]
    validation: list[float]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(TITLES), help="comma-separated; all if not given")
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown")
    # For the processes that this program starts.
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--accumulations", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    tasks = [name.strip() for name in options.tasks.split(",") if name.strip()]
    unknown = [name for name in tasks if name not in TITLES]
    if unknown or not tasks:
        parser.error(f"there is no task {', '.join(unknown) or 'named'}; there are {', '.join(TITLES)}")
    if options.measure:
        measure_here(tasks, [int(number) for number in options.accumulations.split(",")], Path(options.measure))
        return
    found = measure(tasks)
    print(as_json(found) if options.format == "json" else as_markdown(found))


def measure(tasks: list[str]) -> dict[tuple[str, str], list[Measured]]:
    """Train every task in every layout, each number of processes in one launch.

    Args:
        tasks: Names, see `TITLES`.

    Returns:
        For task and trainer what each of `LAYOUTS` logged.

    Raises:
        SystemExit: A launch failed; with the end of what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        for processes in sorted({processes for processes, _ in LAYOUTS}):
            wanted = ",".join(str(accumulation) for number, accumulation in LAYOUTS if number == processes)
            program = [__file__, "--tasks", ",".join(tasks), "--measure", folder, "--accumulations", wanted]
            done = launch_processes(program, processes)
            if done.returncode:
                raise SystemExit(f"The launch of {processes} processes failed:\n{done.stderr[-3000:]}")
        found: dict[tuple[str, str], list[Measured]] = {}
        for task in tasks:
            for trainer in (OURS, PLAIN):
                files = [_file(Path(folder), task, trainer, *layout) for layout in LAYOUTS]
                if files[0].is_file():
                    found[task, trainer] = [Measured(**json.loads(file.read_text())) for file in files]
    return found


def launch_processes(program: list[str], processes: int) -> subprocess.CompletedProcess[str]:
    """Run a program with its arguments in one process, or in several that train together on the CPU."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), *program]
    environment = {
        **os.environ, "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }  # fmt: skip
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)


def _file(folder: Path, task: str, trainer: str, processes: int, accumulation: int) -> Path:
    return folder / f"{task}-{'ours' if trainer == OURS else 'plain'}-{processes}x{accumulation}.json"


# In a process of a launch


def measure_here(tasks: list[str], accumulations: list[int], folder: Path) -> None:
    """Train tasks on the processes of this launch; the first process writes what was logged."""
    import torch

    from gradient_checks.sequences import TASKS as SEQUENCES
    from gradient_checks.tasks import STEP_ROWS, TASKS, Cut

    known = {**TASKS, **SEQUENCES}
    world = int(os.environ.get("WORLD_SIZE", "1"))
    for task in tasks:
        for accumulation in accumulations:
            cut = Cut(STEP_ROWS // world // accumulation, accumulation)
            ours, plain = watched_task(known[task], cut)
            logged = {OURS: ours, **({PLAIN: train_plain(plain, cut)} if plain is not None else {})}
            for trainer, found in logged.items():
                if int(os.environ.get("RANK", "0")) == 0:
                    _file(folder, task, trainer, world, accumulation).write_text(json.dumps(found._asdict()))
    if world > 1:
        torch.distributed.barrier()  # processes that end while gloo's threads still talk are aborted now and then
        torch.distributed.destroy_process_group()


def watch() -> Any:
    """Return a callback that keeps what a trainer logs, in an attribute ``found``."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def __init__(self) -> None:
            self.found = Measured([], [], [])

        def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            for key, kept in zip(("loss", "grad_norm", "eval_loss"), self.found, strict=True):
                if key in more["logs"]:
                    kept.append(float(more["logs"][key]))

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            wanted = int(os.environ.get("WORLD_SIZE", "1"))
            if args.world_size != wanted:
                raise SystemExit(f"The training sees {args.world_size} processes, not the {wanted} that were started.")

    return Watch()


def watched_task(task: Any, cut: Any) -> tuple[Measured, Any]:
    """Train a task as its recipe does; returns what was logged, and what a plain Trainer needs."""
    from nlpladder.training.hooks import training_hooks

    keeper = watch()
    with tempfile.TemporaryDirectory() as folder, training_hooks(keeper):
        plain = task(cut, _shared(folder))
    return keeper.found, plain


def train_plain(plain: Any, cut: Any) -> Measured:
    """Train the same steps with ``transformers.Trainer`` as it comes."""
    from transformers import PrinterCallback, Trainer, TrainingArguments

    keeper = watch()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=cut.batch_size, num_train_epochs=1, learning_rate=1e-9,
            gradient_accumulation_steps=cut.accumulation, lr_scheduler_type="constant", max_grad_norm=1e9,
            weight_decay=0.0, logging_steps=1, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
            train_sampling_strategy="sequential", remove_unused_columns=False, log_level="error",
            dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = Trainer(
            model=plain.model, args=arguments, train_dataset=plain.rows, data_collator=plain.collator,
            callbacks=[keeper],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.accelerator.wait_for_everyone()
    return keeper.found


def _shared(folder: str) -> Path:
    """Return one folder for all processes of the launch: that of the first."""
    import torch
    from accelerate.utils import broadcast_object_list

    names = [folder]
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if not torch.distributed.is_initialized():
            from accelerate import PartialState

            PartialState(cpu=True)
        broadcast_object_list(names, from_process=0)
    return Path(names[0]) / "checkpoints"


# The table


def deviation(found: list[Measured], step: int) -> float:
    """Return the largest relative deviation of loss or norm from the one large batch in a step (0 or 1)."""
    first = found[0]
    return max(
        abs(ours[step] - large[step]) / abs(large[step])
        for one in found[1:]
        for ours, large in ((one.losses, first.losses), (one.norms, first.norms))
    )


def validation_deviation(found: list[Measured]) -> float | None:
    """Return the largest relative deviation of the validation loss, None where nothing was validated."""
    if not found[0].validation:
        return None
    large = found[0].validation[-1]
    return max(abs(one.validation[-1] - large) / abs(large) for one in found)


def as_markdown(found: dict[tuple[str, str], list[Measured]]) -> str:
    """Return the table, and one line on how to read it."""
    layouts = ["1 process", *(f"{n} x {k}" for n, k in LAYOUTS[1:])]
    titles = ["task", "trainer", *(f"loss {name}" for name in layouts), *(f"norm {name}" for name in layouts)]
    titles += ["whole step", "last step", "validation"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * 2 + "--:|" * (len(titles) - 2)]
    for (task, trainer), each in found.items():
        cells = [TITLES[task], trainer]
        cells += [f"{one.losses[0]:.4f}" for one in each] + [f"{one.norms[0]:.4f}" for one in each]
        validated = validation_deviation(each)
        cells += [f"{deviation(each, step):.1e}" for step in (0, 1)]
        cells.append("" if validated is None else f"{validated:.1e}")
        lines.append("| " + " | ".join(cells) + " |")
    note = (
        "Loss and gradient norm of the first step; n x k: n processes with k micro-batches each. The last three "
        "columns: largest relative deviation from one process with one batch, in a whole step (of loss or norm), in a "
        "short last step, and of the validation loss."
    )
    return "\n".join([*lines, "", note])


def as_json(found: dict[tuple[str, str], list[Measured]]) -> str:
    """Return everything that was logged."""
    rows = [
        {
            "task": task,
            "trainer": trainer,
            "layouts": {f"{n}x{k}": one._asdict() for (n, k), one in zip(LAYOUTS, each, strict=True)},
            "deviation": [deviation(each, step) for step in (0, 1)],
        }
        for (task, trainer), each in found.items()
    ]
    return json.dumps(rows, indent=2)


if __name__ == "__main__":
    main()
