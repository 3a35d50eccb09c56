"""How a neural rung is trained: one documented dataclass, shared by every recipe."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nlpladder.config import option
from nlpladder.errors import ConfigError
from nlpladder.training.trackers import check_trackers, run_name_of, tracker_names

if TYPE_CHECKING:
    from transformers import TrainingArguments


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Settings of the optimiser, the batches, the checkpoints and the precision."""

    learning_rate: float = option(1e-3, help="peak learning rate of AdamW")
    num_train_epochs: float = option(10.0, help="passes over the training set")
    max_steps: int = option(-1, help="optimiser steps; overrides the epochs when above 0, required for streaming")
    batch_size: int = option(32, help="texts a process and micro-batch")
    gradient_accumulation_steps: int = option(1, help="micro-batches an optimiser step")
    weight_decay: float = option(0.01, help="decoupled weight decay of AdamW")
    warmup_ratio: float = option(0.1, help="share of the steps in which the learning rate rises from 0")
    lr_scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = option(
        "linear", help="shape of the learning rate after the warm-up"
    )
    max_grad_norm: float = option(1.0, help="gradients are scaled down to this norm; 0 leaves them")
    label_smoothing: float = option(0.0, help="mass moved to the uniform distribution, in training only (single-label)")
    max_length: int = option(256, help="tokens a text is cut to")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = option(
        "auto", help="auto takes bf16 where the hardware has it (GPUs, CPUs with AVX512-BF16 or AMX), else fp32"
    )
    group_by_length: bool = option(True, help="batch texts of similar length, so that less padding is computed")
    compile: bool = option(False, help="torch.compile the model; pays off on long runs")
    gradient_checkpointing: bool = option(
        False, help="recompute activations in the backward pass: less memory, more time"
    )
    select_best_on: Literal["accuracy", "f1_macro", "loss", "none"] = option(
        "accuracy",
        help="validation measure, taken each epoch, whose best checkpoint becomes the model; none keeps the last",
    )
    early_stopping_patience: int = option(0, help="stop after so many epochs without a better one; 0 never stops early")
    save_steps: int = option(0, help="write a checkpoint every so many steps (select_best_on: none); 0: one an epoch")
    report_to: str = option(
        "none", help="trackers: none, tensorboard, trackio, wandb, mlflow, or several, comma-separated"
    )

    def __post_init__(self) -> None:
        """Check what no type can say."""
        if self.learning_rate <= 0:
            raise ConfigError(f"learning_rate must be above 0, got {self.learning_rate}.")
        if self.batch_size < 1 or self.gradient_accumulation_steps < 1 or self.max_length < 1:
            raise ConfigError("batch_size, gradient_accumulation_steps and max_length must be at least 1.")
        if not 0 <= self.warmup_ratio < 1:
            raise ConfigError(f"warmup_ratio is a share of the steps, from 0 to below 1; got {self.warmup_ratio}.")
        if self.num_train_epochs <= 0 and self.max_steps < 1:
            raise ConfigError(f"num_train_epochs must be above 0, got {self.num_train_epochs}.")
        if self.early_stopping_patience and self.select_best_on == "none":
            raise ConfigError("early_stopping_patience needs select_best_on to say what 'better' is.")
        tracker_names(self.report_to)
        if self.save_steps and self.select_best_on != "none":
            raise ConfigError(
                "save_steps needs select_best_on: none, since the best epoch is chosen among epoch checkpoints."
            )

    @property
    def trainer_schedule(self) -> str:
        """The schedule's name among those of ``transformers``."""
        return self.lr_scheduler

    def to_arguments(self, folder: str, *, seed: int, evaluate: bool) -> TrainingArguments:
        """Build ``transformers.TrainingArguments``.

        Args:
            folder: Where checkpoints go.
            seed: For data order, dropout and, with it, everything else.
            evaluate: Whether there is a validation set to evaluate on each epoch.
        """
        from transformers import TrainingArguments

        on_cpu = not accelerator_available()
        precision = resolve_precision(self.precision)
        arguments_class = arguments_class_of_launch(precision)
        selecting = evaluate and self.select_best_on != "none"
        recompute: dict[str, Any] = {}
        if self.gradient_checkpointing:
            # transformers before 5.23 knows only the old name, those from 6 on know only the new one.
            known = arguments_class.__dataclass_fields__
            name = "activation_checkpointing" if "activation_checkpointing" in known else "gradient_checkpointing"
            # Re-entrant checkpointing gives no gradient to a LoRA layer behind a frozen embedding.
            recompute = {name: True, f"{name}_kwargs": {"use_reentrant": False}}
        trackers = tracker_names(self.report_to)
        check_trackers(trackers)
        return arguments_class(
            output_dir=folder,
            seed=seed,
            data_seed=seed,
            learning_rate=self.learning_rate,
            num_train_epochs=self.num_train_epochs,
            max_steps=self.max_steps,
            per_device_train_batch_size=self.batch_size,
            per_device_eval_batch_size=max(64, self.batch_size),
            gradient_accumulation_steps=self.gradient_accumulation_steps,
            weight_decay=self.weight_decay,
            warmup_steps=self.warmup_ratio,
            lr_scheduler_type=self.trainer_schedule,
            max_grad_norm=self.max_grad_norm,
            # A plan for a GPU, made on a CPU, takes the other type of 2 bytes.
            bf16=precision == "bf16" or (precision == "fp16" and on_cpu),
            fp16=precision == "fp16" and not on_cpu,
            use_cpu=on_cpu,
            dataloader_pin_memory=not on_cpu,
            torch_compile=self.compile,
            eval_strategy="epoch" if evaluate else "no",
            save_strategy="steps" if self.save_steps else "epoch",
            save_steps=self.save_steps or 500,
            save_total_limit=2,
            load_best_model_at_end=selecting,
            metric_for_best_model=self.select_best_on if selecting else None,
            greater_is_better=self.select_best_on != "loss" if selecting else None,
            logging_strategy="steps",
            logging_steps=0.02,
            report_to=list(trackers) if trackers and arguments_class is TrainingArguments else "none",
            run_name=run_name_of(folder),
            remove_unused_columns=False,
            label_names=["labels"],
            disable_tqdm=True,
            log_level="error",
            **recompute,
        )


def arguments_class_of_launch(precision: str) -> type[TrainingArguments]:
    """Return the class of training arguments: in a dry run one that tells the processes and precision planned for.

    Args:
        precision: In which the launch computes that is planned for.
    """
    from transformers import TrainingArguments

    from nlpladder.training.planned_launch import planned_launch

    planned = planned_launch()
    if planned is None:
        return TrainingArguments
    world = property(lambda self: planned.processes, doc="Processes that are planned for.")
    return type("PlannedArguments", (TrainingArguments,), {"world_size": world, "planned_precision": precision})


def accelerator_available() -> bool:
    """Tell whether torch sees a device other than the CPU, and was not told to ignore it."""
    import torch

    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
        return False
    return bool(torch.accelerator.is_available())


def resolve_precision(wanted: str) -> str:
    """Return fp32, bf16 or fp16 for what was asked and what the hardware computes fast.

    Raises:
        ConfigError: for fp16 on a CPU.
    """
    import torch

    from nlpladder.training.planned_launch import planned_launch

    on_cpu, planned = not accelerator_available(), planned_launch()
    if on_cpu and planned is not None and planned.device == "gpu":
        return "bf16" if wanted == "auto" else wanted  # as the GPUs would that are planned for
    if wanted == "fp16" and on_cpu:
        raise ConfigError("fp16 needs a GPU; use --precision bf16 or fp32 on a CPU.")
    if wanted != "auto":
        return wanted
    if on_cpu:
        fast: Any = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return "bf16" if any(check is not None and check() for check in fast) else "fp32"
    return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"
