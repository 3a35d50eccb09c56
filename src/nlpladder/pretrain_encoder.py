"""Pretraining as a run: an encoder's folder with its record, continued when interrupted, read when finished."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nlpladder.training.neural import remove_checkpoints
from nlpladder.training.options import PretrainingOptions, TrainingOptions
from nlpladder.training.pretraining import pretrain_bert
from nlpladder.training.run_folder import RunFolder


def pretrain_encoder(
    texts: Callable[[], Sequence[str]],
    options: PretrainingOptions,
    training: TrainingOptions,
    *,
    data: Mapping[str, Any],
    output_dir: str | os.PathLike[str],
    seed: int,
    time_limit: float | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Pretrain a BERT into `output_dir`, or read the finished one there.

    Args:
        texts: Gives the unlabelled texts; only called when there is work to do.
        options: Size, vocabulary, masking.
        training: Optimiser, batches, precision.
        data: Name and fingerprint of the text, for the run's identity.
        output_dir: The run folder, a transformers checkpoint when done.
        seed: For weights, order and masks.
        time_limit: Seconds after which training stops.
        overwrite: Replace an earlier run.

    Returns:
        The content of ``run.json``.

    Raises:
        RunError: when the folder holds a run of other arguments.
        DataError: when there is too little text.
    """
    from accelerate import PartialState

    state = PartialState()
    identity = {
        "rung": "encoder",
        "data": dict(data),
        "model": dataclasses.asdict(options),
        "training": dataclasses.asdict(training),
        "seed": seed,
    }
    with state.main_process_first():
        run = RunFolder.open(output_dir, identity, overwrite=overwrite and state.is_main_process)
    if run.finished:
        return run.record
    corpus = texts()
    result = pretrain_bert(
        corpus, options, training, folder=run.path, checkpoints=run.checkpoints, seed=seed, time_limit=time_limit
    )
    if state.is_main_process:
        remove_checkpoints(run.checkpoints)
        run.finish(
            training_seconds=round(result.seconds, 3),
            steps=result.steps,
            planned_steps=result.planned_steps,
            texts=len(corpus),
            history=result.history,
            notes=result.notes,
        )
    state.wait_for_everyone()
    return RunFolder.open(output_dir, identity).record
