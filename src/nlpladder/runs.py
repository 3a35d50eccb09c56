"""What every run goes through: the folder is opened, the model trained on all processes, finished on the first one.

A finished folder of the same identity is read instead; a run that fails before it wrote anything leaves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from nlpladder.tasks.base import RungRun
from nlpladder.training.run_folder import RunFolder

Trained = TypeVar("Trained")


def carry_out(
    identity: Mapping[str, Any],
    output_dir: str | os.PathLike[str],
    *,
    train: Callable[[RunFolder], Trained],
    finish: Callable[[Trained, RunFolder], None],
    overwrite: bool = False,
) -> RungRun:
    """Carry out one run, or read the finished one of the same identity.

    Args:
        identity: Everything that decides the result; see `RunFolder.open`.
        output_dir: The run folder.
        train: Called on every process of the launch.
        finish: Called on the main process with what `train` returned: saves, evaluates, and ends with
            ``folder.finish``.
        overwrite: Replace an earlier run.

    Raises:
        RunError: when the folder holds a run of other arguments.
    """
    from accelerate import PartialState

    state = PartialState()
    with state.main_process_first():
        folder = RunFolder.open(output_dir, identity, overwrite=overwrite and state.is_main_process)
    if folder.finished:
        return RungRun(folder, folder.record, folder.read_metrics(), was_there=True)
    try:
        trained = train(folder)
    except Exception:
        if state.is_main_process:
            folder.discard_if_untouched()
        raise
    if state.is_main_process:
        finish(trained, folder)
    state.wait_for_everyone()
    if not state.is_main_process:
        folder = RunFolder.open(output_dir, identity)
    return RungRun(folder, folder.record, folder.read_metrics())
