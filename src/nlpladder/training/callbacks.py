"""What happens beside training: progress, a time limit, a watch for NaN."""

from __future__ import annotations

import math
import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from nlpladder.errors import CheckFailedError

#: Log entries that the progress bar shows, what it calls them, and with how many decimals.
SHOWN = (
    ("loss", "loss", 4),
    ("eval_accuracy", "validation", 4),
    ("eval_loss", "validation loss", 4),
    ("eval_bleu", "BLEU", 2),
)


class ProgressBar(TrainerCallback):
    """One line that moves: what is being trained, loss, last validation score, time left.

    Args:
        name: Shown in front.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.bar: Any = None
        self.shown: dict[str, str] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the bar."""
        if state.is_world_process_zero:
            from tqdm.auto import tqdm

            self.bar = tqdm(
                total=state.max_steps, initial=state.global_step, desc=self.name, leave=False, mininterval=1.0
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **arguments: Any) -> None:
        """Show the newest loss and validation scores."""
        logs = arguments.get("logs") or {}
        for key, label, digits in SHOWN:
            if key in logs:
                self.shown[label] = f"{float(logs[key]):.{digits}f}"
        if self.bar is not None:
            self.bar.set_postfix(self.shown, refresh=False)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class TimeLimit(TrainerCallback):
    """Ends training when its seconds are used up; the learning rate then never reached its end, which the run says.

    Args:
        seconds: From the start of training.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = 0.0
        self.reached = False

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop when the time is over, with one last evaluation so that a best checkpoint exists."""
        import torch

        over = time.perf_counter() - self.started > self.seconds
        if torch.distributed.is_initialized():
            # Processes have clocks of their own; all must stop at the same step.
            flag = torch.tensor([float(over)], device=args.device)
            torch.distributed.broadcast(flag, src=0)
            over = bool(flag.item())
        if over and state.global_step < state.max_steps:
            self.reached = True
            control.should_training_stop = True
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = True


class NaNWatch(TrainerCallback):
    """Stops at the first loss that is not a number, before a checkpoint of broken weights replaces a good one."""

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **arguments: Any) -> None:
        """Look at the newest loss and gradient norm."""
        logs = arguments.get("logs") or {}
        for key in ("loss", "grad_norm"):
            value = logs.get(key)
            if value is not None and not math.isfinite(float(value)):
                raise CheckFailedError(
                    f"The {key} became {value} at step {state.global_step}. Lower learning_rate, or use "
                    "--precision fp32; the last good checkpoint is kept."
                )


class EpochMasks(TrainerCallback):
    """Tells a collator that masks tokens which epoch it is, so that each epoch masks others.

    Args:
        collator: Has an attribute `epoch`.
    """

    def __init__(self, collator: Any) -> None:
        self.collator = collator

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Pass the epoch on."""
        self.collator.epoch = int(state.epoch or 0)
