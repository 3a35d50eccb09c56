"""The options that every fine-tuning has: which pretrained model, tuned in full or with which adapter, and how."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from nlpladder.config import build, option, options_of
from nlpladder.errors import ConfigError
from nlpladder.models.pretrained.peft_options import (
    PeftMethod,
    PeftOptions,
    check_peft_settings,
    default_learning_rate,
)
from nlpladder.training.sequence_options import SequenceTrainingOptions


@dataclass(frozen=True, kw_only=True)
class FinetuningOptions(SequenceTrainingOptions):
    """Settings of one fine-tuning; those of the optimiser stand at the same level.

    They are checked when the object is made, those in `peft_options` included, so that a mistake is told before
    anything is loaded.
    """

    model: str = option(help="Hub id or folder of the pretrained model")
    model_revision: str | None = option(None, help="commit, tag or branch of a model on the Hub")
    peft: PeftMethod = option(
        "none",
        help="none tunes every weight; lora, ia3, prefix, prompt and p_tuning freeze them and train a small adapter",
    )
    peft_options: dict = option({}, help="settings of the adapter that differ, see below", keys=PeftOptions)
    learning_rate: float | None = option(  # type: ignore[assignment]
        None, help="peak learning rate; by the method if not given: 5e-5 for peft none, 1e-3 for lora, …"
    )
    num_train_epochs: float = option(3.0, help="passes over the training set")
    batch_size: int = option(16, help="rows a process and micro-batch, where batch_tokens does not decide")
    output_dir: str = option("outputs/finetuned", help="the run folder")
    seed: int = option(0, help="for fresh weights, order and dropout")
    max_minutes: float | None = option(None, help="stop training after this time")
    overwrite: bool = option(False, help="replace an earlier run in output_dir")

    def __post_init__(self) -> None:
        """Check what no type can say."""
        self.training()
        if not self.model:
            raise ConfigError("Name a pretrained model with --model: a Hub id or a folder.")
        check_peft_settings(self.peft, self.peft_options)
        self.adapter()
        if self.max_minutes is not None and self.max_minutes <= 0:
            raise ConfigError(f"max_minutes must be above 0, got {self.max_minutes}.")

    def training(self) -> SequenceTrainingOptions:
        """Return the options of the training, with the method's learning rate where none was given."""
        wanted = self._training_settings()
        if wanted["learning_rate"] is None:
            wanted["learning_rate"] = default_learning_rate(self.peft)
        return SequenceTrainingOptions(**wanted)

    def adapter(self) -> PeftOptions:
        """Return the options of the adapter, names and types checked."""
        return build(PeftOptions, self.peft_options, where="peft_options")

    def model_settings(self) -> dict[str, object]:
        """Return what identity and card say of the model: base, revision, method, settings of the adapter."""
        settings: dict[str, object] = {"base": self.model, "revision": self.model_revision, "peft": self.peft}
        if self.peft != "none":
            settings["adapter"] = dataclasses.asdict(self.adapter())
        return settings

    @property
    def time_limit(self) -> float | None:
        """Seconds of training after which it stops."""
        return None if self.max_minutes is None else 60 * self.max_minutes

    def _training_settings(self) -> dict[str, Any]:
        return options_of(self, SequenceTrainingOptions)


@dataclass(frozen=True, kw_only=True)
class CausalFinetuningOptions(FinetuningOptions):
    """Settings of one fine-tuning of a causal language model, on text or on conversations."""

    max_length: int = option(
        256, help="tokens the model reads at once in training; longer documents go on in the next row"
    )
    block_length: int = option(0, help="tokens of a packed row or of a block of running text; 0 takes max_length")
    pack: bool = option(True, help="fill rows of block_length with several texts, which do not see each other")
    eos_token: str | None = option(
        None, help="token of the vocabulary that ends a text, for a model that names none; it is saved with the model"
    )

    def __post_init__(self) -> None:
        """Check what no type can say."""
        super().__post_init__()
        if 0 < self.block_length < self.max_length:
            raise ConfigError(
                f"block_length is {self.block_length}, but a document may take max_length {self.max_length} tokens of "
                "a row. Make block_length at least as long, or leave it out."
            )

    def _training_settings(self) -> dict[str, Any]:
        wanted = super()._training_settings()
        return {**wanted, "block_length": self.block_length or self.max_length}
