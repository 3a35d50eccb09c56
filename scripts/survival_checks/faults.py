"""Faults for `check_survival.py`: a recipe is run in a process of its own, which fails at an exact moment.

The process is forked from one that has imported torch and transformers already, so that a start takes a second and not
eight. Nothing in the package knows of the faults: they are put around functions of torch, transformers and nlpladder
in the child, after the fork.
"""

from __future__ import annotations

import contextlib
import os
import resource
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What is cut off in the middle of its file when a save is killed, in the order of writing.
STAGES = ("weights", "optimizer", "state", "mark")
#: A file may not grow beyond this many bytes where a full disk is played by a limit.
FILE_LIMIT = 2048


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and when.

    Attributes:
        kind: ``kill`` (-9 before the update of a step), ``save`` (-9 in a save), ``term`` (SIGTERM in a step) or
            ``disk`` (no room in a save).
        at: Number of the step, or of the checkpoint that is being written.
        stage: Of a save: one of `STAGES`.
    """

    kind: str
    at: int
    stage: str = ""

    def inject(self) -> None:
        """Put the fault into this process."""
        {"kill": self._in_step, "term": self._in_step, "save": self._in_save, "disk": self._full_disk}[self.kind]()

    def _in_step(self) -> None:
        from accelerate.optimizer import AcceleratedOptimizer

        number = signal.SIGKILL if self.kind == "kill" else signal.SIGTERM
        _before(AcceleratedOptimizer, "step", self.at, lambda: os.kill(os.getpid(), number))

    def _in_save(self) -> None:
        from transformers import TrainerState

        from nlpladder.training import resilient_trainer

        trainer = resilient_trainer.ResilientTrainer
        if self.stage == "weights":
            _after(trainer, "save_model", self.at, lambda trainer, folder, **_: _cut_off(Path(folder), "*.safetensors"))
        elif self.stage == "optimizer":
            _after(
                trainer, "_save_optimizer_and_scheduler", self.at,
                lambda trainer, folder: _cut_off(Path(folder), "optimizer.pt"),
            )  # fmt: skip
        elif self.stage == "state":
            _after(
                TrainerState, "save_to_json", self.at,
                lambda state, file: _cut_off(Path(file).parent, "trainer_state.json"),
            )  # fmt: skip
        else:
            _before(resilient_trainer, "write_mark", self.at, lambda: os.kill(os.getpid(), signal.SIGKILL))

    def _full_disk(self) -> None:
        from nlpladder.training.resilient_trainer import ResilientTrainer

        _before(ResilientTrainer, "_save_checkpoint", self.at, fill_disk)


def fill_disk() -> None:
    """Leave no room for another file: on the small disk that ``SURVIVAL_DISK`` names, or by a limit on file sizes."""
    disk = os.environ.get("SURVIVAL_DISK")
    if not disk:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, resource.RLIM_INFINITY))
        return
    with contextlib.suppress(OSError), open(os.path.join(disk, "ballast"), "wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def start(
    recipe: Path, arguments: Sequence[str], *, fault: Fault | None, log: Path, steps: Path, limit: float = 300.0
) -> int:
    """Run a recipe in a forked process and return its exit code; -9 when it was killed.

    Args:
        recipe: The program.
        arguments: Of the command line.
        fault: What happens to it.
        log: Gets what it prints.
        steps: Gets the number of updates that it has made, whatever becomes of it.
        limit: Seconds after which it is killed.

    Raises:
        TimeoutError: when it had to be.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            with log.open("ab") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            count_updates(steps)
            code = _run(recipe, arguments, fault)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os._exit(code)
    return _wait(child, limit)


def count_updates(file: Path) -> None:
    """Keep the number of updates that this process has made in a file."""
    from accelerate.optimizer import AcceleratedOptimizer

    descriptor, made = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), [0]
    original = AcceleratedOptimizer.step

    def counted(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        made[0] += 1
        os.pwrite(descriptor, str(made[0]).encode(), 0)
        return result

    AcceleratedOptimizer.step = counted


def _run(recipe: Path, arguments: Sequence[str], fault: Fault | None) -> int:
    """Do what ``python recipe arguments`` does."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if fault is not None:
        fault.inject()
    sys.argv = [str(recipe), *arguments]
    try:
        runpy.run_path(str(recipe), run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _wait(child: int, limit: float) -> int:
    deadline = time.monotonic() + limit
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise TimeoutError(f"A run took more than {limit:g} seconds.")
        time.sleep(0.01)


def _before(owner: Any, name: str, at: int, happens: Callable[[], None]) -> None:
    """Let something happen before the call number `at` of a function."""
    original, calls = getattr(owner, name), [0]

    def replaced(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == at:
            happens()
        return original(*arguments, **named)

    setattr(owner, name, replaced)


def _after(owner: Any, name: str, at: int, happens: Callable[..., None]) -> None:
    """Let something happen after the call number `at` of a function; it gets the arguments."""
    original, calls = getattr(owner, name), [0]

    def replaced(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        calls[0] += 1
        if calls[0] == at:
            happens(*arguments, **named)
        return result

    setattr(owner, name, replaced)


def _cut_off(folder: Path, pattern: str) -> None:
    """Leave the first half of a file, as a kill in the middle of writing it does, and die."""
    for path in folder.glob(pattern):
        os.truncate(path, path.stat().st_size // 2)
    os.kill(os.getpid(), signal.SIGKILL)
