"""Training a language or translation model: batches, steps, the choice among epochs, averaged weights."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nlpladder.errors import ConfigError, DataError
from nlpladder.training.neural import TrainingResult
from nlpladder.training.sequence_data import ParallelRows, SequenceData
from nlpladder.training.sequence_options import SequenceTrainingOptions


def train_sequence_model(
    model: Any,
    *,
    train_set: SequenceData,
    validation_set: SequenceData | None,
    options: SequenceTrainingOptions,
    folder: Path,
    seed: int,
    name: str,
    pad_token_id: int,
    evaluate: Callable[[Any], dict[str, float]] | None = None,
    time_limit: float | None = None,
) -> tuple[Any, TrainingResult]:
    """Train `model`, validating as it goes, and return it with the weights that validation chose.

    Args:
        model: Takes ``targets`` and returns the sum of their losses; seed before building it.
        train_set: Sentence pairs, or one running text.
        validation_set: Of the same kind; None only with ``select_best_on: none``.
        options: See `SequenceTrainingOptions`.
        folder: For checkpoints; when it holds a whole one, training continues from it.
        seed: For order and dropout.
        name: Shown in the progress line.
        pad_token_id: Stands where there is no token.
        evaluate: Called with the model on the main process, at one of `evaluate_every` validations; gives, for example,
            ``{"bleu": 31.2}``.
        time_limit: Seconds after which training stops.

    Returns:
        The model without what ``accelerate`` put around it, and the record of its training.

    Raises:
        ConfigError: for a choice by a measure that is not taken.
        DataError: for training and validation sets of different kinds.
        CheckFailedError: when loss or gradient stop being numbers.
    """
    from nlpladder.training.allocator import keep_freed_memory
    from nlpladder.training.callbacks import NaNWatch, ProgressBar, TimeLimit
    from nlpladder.training.options import accelerator_available
    from nlpladder.training.sequence_trainer import SequenceTrainer
    from nlpladder.training.token_batches import BatchLayout, training_batches
    from nlpladder.training.trainer import last_complete_checkpoint

    _check(train_set, validation_set, options, measured=evaluate is not None)
    arguments = options.to_arguments(str(folder), seed=seed, evaluate=validation_set is not None)
    start = getattr(model.config, "decoder_start_token_id", None)
    if isinstance(train_set, ParallelRows) and start is None:
        raise ConfigError(f"The config of {type(model).__name__} has no decoder_start_token_id.")
    if options.sampling_probability and "sampling_probability" not in inspect.signature(model.forward).parameters:
        raise ConfigError(
            f"{type(model).__name__} reads all target tokens at once and cannot be fed its own guesses: leave "
            "sampling_probability at 0."
        )
    layout = BatchLayout(
        batch_size=options.batch_size,
        batch_tokens=options.batch_tokens,
        grouped=options.group_by_length,
        accumulation=options.gradient_accumulation_steps,
        world=arguments.world_size,
        rank=arguments.process_index,
        seed=seed,
        pad_token_id=pad_token_id,
        decoder_start_token_id=start or 0,
        multiple_of=8 if accelerator_available() and isinstance(train_set, ParallelRows) else 1,
    )
    limit = TimeLimit(time_limit) if time_limit is not None else None
    trainer = SequenceTrainer(
        batches=training_batches(train_set, layout),
        validation_set=validation_set,
        layout=layout,
        options=options,
        measure=evaluate,
        model=model,
        args=arguments,
        callbacks=[ProgressBar(name), NaNWatch(), *([limit] if limit else [])],
    )
    if not accelerator_available():
        keep_freed_memory()
    checkpoint = last_complete_checkpoint(folder)
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=checkpoint)
    result = TrainingResult(
        seconds=0.0, steps=trainer.state.global_step, planned_steps=trainer.state.max_steps,
        best=trainer.state.best_metric,
    )  # fmt: skip
    if checkpoint is not None:
        result.notes.append(f"continued from {Path(checkpoint).name}; the seconds are those of the last part")
    if limit is not None and limit.reached:
        result.notes.append(f"stopped by the time budget at step {result.steps} of {result.planned_steps}")
    if trainer.stopped_early:
        result.notes.append(
            f"stopped early at step {result.steps} of {result.planned_steps}: {options.early_stopping_patience} "
            f"measurements without a better {options.select_best_on}"
        )
    _choose_weights(trainer, folder, options, result)
    result.seconds = time.perf_counter() - started
    result.history = [record for record in trainer.state.log_history if "train_runtime" not in record]
    trainer.accelerator.wait_for_everyone()
    # accelerate has put autocast around `forward`; predictions are made in float32, as by the model read from disk.
    return trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False), result


def _check(
    train_set: SequenceData, validation_set: SequenceData | None, options: SequenceTrainingOptions, *, measured: bool
) -> None:
    """Refuse what could only fail after the first epoch."""
    wanted = options.select_best_on
    if validation_set is None:
        if wanted != "none" or options.lr_scheduler == "plateau" or options.optimizer == "asgd":
            raise ConfigError(
                "Without a validation set, select_best_on must be none, and neither plateau nor asgd can work."
            )
    elif isinstance(train_set, ParallelRows) != isinstance(validation_set, ParallelRows):
        raise DataError(
            f"The training set is {type(train_set).__name__} but the validation set {type(validation_set).__name__}; "
            "both must be sentence pairs, or both running text."
        )
    if wanted not in ("loss", "none") and not measured:
        raise ConfigError(f"select_best_on: {wanted!r} is not measured here; use loss or none.")


def _choose_weights(trainer: Any, folder: Path, options: SequenceTrainingOptions, result: TrainingResult) -> None:
    """Give the model the weights that validation chose: the best epoch's, the last's, or a mean."""
    from safetensors.torch import load_file

    from nlpladder.training.averaging import WEIGHTS_FILE, load_weights
    from nlpladder.training.sequence_trainer import AVERAGED_FOLDER

    state, wanted = trainer.state, options.select_best_on
    best = Path(state.best_model_checkpoint) if wanted != "none" and state.best_model_checkpoint else None
    began = _averaging_step(trainer)
    if began is not None:
        result.notes.append(f"weights were averaged over the last {began:,} steps (NT-ASGD)")
    if best is not None:
        # Trainer has loaded the checkpoint's weights; with averaging they are not those that were measured.
        if (best / AVERAGED_FOLDER / WEIGHTS_FILE).is_file():
            load_weights(trainer.model, load_file(best / AVERAGED_FOLDER / WEIGHTS_FILE))
        result.notes.append(f"kept the weights of {best.name}: {wanted} {state.best_metric:.4f}")
    elif began is not None:
        trainer.use_averaged_weights()
    if options.average_checkpoints > 1:
        _try_average(trainer, folder, options, result)


def _averaging_step(trainer: Any) -> int | None:
    """Return over how many updates the optimiser averaged, None where it did not."""
    averager = trainer.averager()
    if averager is None or not averager.averaging:
        return None
    return int(averager.param_groups[0]["averaged_updates"])


def _try_average(trainer: Any, folder: Path, options: SequenceTrainingOptions, result: TrainingResult) -> None:
    """Measure the mean of the last checkpoints' weights, and keep it when it is the better."""
    from nlpladder.training.averaging import average_checkpoints, load_weights
    from nlpladder.training.trainer import complete_checkpoints

    checkpoints = complete_checkpoints(folder)[-options.average_checkpoints :]
    if len(checkpoints) < 2:
        result.notes.append("no weights were averaged: there are fewer than two checkpoints")
        return
    before = {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}
    load_weights(trainer.model, average_checkpoints(checkpoints))
    words, wanted = f"the mean weights of the last {len(checkpoints)} checkpoints", options.select_best_on
    if wanted == "none":
        result.notes.append(f"the weights are {words}")
        return
    metrics = trainer.evaluate()
    value = metrics[f"eval_{wanted}"]
    trainer.log({f"averaged_{name}": number for name, number in metrics.items()})
    better = result.best is None or (value > result.best if options.greater_is_better else value < result.best)
    if better:
        result.notes.append(f"kept {words}: {wanted} {value:.4f}")
        result.best = value
    else:
        result.notes.append(f"{words} were not better: {wanted} {value:.4f}")
        trainer.model.load_state_dict(before)
