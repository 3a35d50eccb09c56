"""How a language model or a translation model is trained: `TrainingOptions`, and what sequences need beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nlpladder.config import option
from nlpladder.errors import ConfigError
from nlpladder.training.options import TrainingOptions

if TYPE_CHECKING:
    from transformers import TrainingArguments

#: Measures of which less is better; of every other measure of ``evaluate()``, more is.
LOWER_IS_BETTER = frozenset({"loss", "perplexity", "bits_per_byte", "ter"})

Schedules = Literal["linear", "cosine", "inverse_sqrt", "trapezoid", "constant", "constant_with_warmup", "plateau"]


@dataclass(frozen=True, kw_only=True)
class SequenceTrainingOptions(TrainingOptions):
    """Settings of the optimiser, the schedule, the batches and the choice among epochs, for sequence models."""

    learning_rate: float = option(1e-3, help="peak learning rate; with muon that of what AdamW moves")
    batch_size: int = option(32, help="rows a process and micro-batch; sentence pairs follow batch_tokens if it is set")
    weight_decay: float = option(0.01, help="decoupled weight decay of adamw and muon, L2 penalty of sgd and asgd")
    optimizer: Literal["adamw", "muon", "sgd", "asgd"] = option(
        "adamw",
        help="muon moves hidden matrices by orthogonalised momentum and the rest by AdamW; asgd is the NT-ASGD of "
        "AWD-LSTM: SGD whose weights are averaged once validation no longer improves",
    )
    adam_beta1: float = option(0.9, help="decay of AdamW's mean of gradients")
    adam_beta2: float = option(
        0.999, help="decay of AdamW's mean of squared gradients; .98 for translation, .95 for LMs"
    )
    adam_epsilon: float = option(1e-8, help="added to AdamW's denominator")
    momentum: float = option(0.0, help="momentum of sgd; asgd has none, muon has muon_momentum")
    muon_learning_rate: float = option(0.02, help="peak learning rate of the matrices that muon moves")
    muon_momentum: float = option(0.95, help="Nesterov momentum of muon")
    nonmonotonic_interval: int = option(
        5,
        help="asgd begins to average when the validation loss is above the best of all but the last so many",
    )
    lr_scheduler: Schedules = option(  # type: ignore[assignment]
        "linear", help="shape of the learning rate after the warm-up; constant and plateau have no warm-up"
    )
    warmup_ratio: float = option(0.1, help="share of the steps in which the learning rate rises to its peak")
    warmup_steps: int = option(0, help="steps in which the learning rate rises to its peak; 0 follows warmup_ratio")
    cooldown_ratio: float = option(0.2, help="trapezoid: last share of the steps, in which the learning rate falls")
    min_learning_rate_ratio: float = option(
        0.0, help="share of the peak towards which linear, cosine and trapezoid fall"
    )
    plateau_factor: float = option(0.25, help="plateau: what the learning rate is multiplied by")
    plateau_patience: int = option(0, help="plateau: validations without a better loss that are let pass first")
    batch_tokens: int = option(
        0,
        help="pairs and texts: tokens a process and micro-batch, padding included, counted on the side that is longer; "
        "0 takes batch_size of them instead",
    )
    block_length: int = option(
        128, help="running text: tokens of a block, through which gradients flow; packed texts: tokens of a row"
    )
    pack: bool = option(
        False, help="texts: fill rows of block_length with several of them, which do not see each other"
    )
    carry_state: bool = option(
        False, help="running text: rows are contiguous and the recurrent state goes on from block to block"
    )
    sampled_softmax: int = option(
        0, help="training loss over the target and so many sampled words; 0 takes the whole vocabulary"
    )
    label_smoothing: float = option(0.0, help="mass moved to the uniform distribution, in training only")
    sampling_probability: float = option(
        0.0, help="recurrent translation: share of inputs that are the model's own guesses at the end of training"
    )
    sampling_schedule: Literal["linear", "inverse_sigmoid"] = option(
        "linear", help="how sampling_probability is approached from 0 (scheduled sampling, Bengio et al. 2015)"
    )
    select_best_on: str = option(  # type: ignore[assignment]
        "loss",
        help="validation measure whose best checkpoint becomes the model: loss, or one that the recipe measures, such "
        "as bleu; none keeps the last",
    )
    early_stopping_patience: int = option(
        0, help="stop after so many measurements of select_best_on without a better one; 0 never stops early"
    )
    validation_steps: int = option(
        0, help="steps between two validations, each with a checkpoint; 0 validates after each epoch"
    )
    evaluate_every: int = option(
        1, help="of so many validations, one also takes the measures that need decoding, such as bleu; the last does"
    )
    average_checkpoints: int = option(
        0, help="also try the mean weights of the last so many checkpoints, kept if validation says so; 0 does not"
    )

    def __post_init__(self) -> None:
        """Check what no type can say."""
        super().__post_init__()
        shares: tuple[str, ...] = (
            "cooldown_ratio",
            "min_learning_rate_ratio",
            "label_smoothing",
            "adam_beta1",
            "adam_beta2",
        )
        shares = (*shares, "sampling_probability")
        for name in (*shares, "momentum", "muon_momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is a share, from 0 to below 1; got {getattr(self, name)}.")
        counts = (
            "warmup_steps",
            "validation_steps",
            "plateau_patience",
            "batch_tokens",
            "sampled_softmax",
            "average_checkpoints",
        )
        for name in (*counts, "max_grad_norm", "weight_decay", "early_stopping_patience", "save_steps"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative; got {getattr(self, name)}.")
        for name in ("evaluate_every", "block_length", "nonmonotonic_interval"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if self.adam_epsilon <= 0 or self.muon_learning_rate <= 0:
            raise ConfigError("adam_epsilon and muon_learning_rate must be above 0.")
        if not 0 < self.plateau_factor < 1:
            raise ConfigError(
                f"plateau_factor must lie between 0 and 1, so that the rate falls; {self.plateau_factor}."
            )
        if self.validation_steps and self.save_steps:
            raise ConfigError("validation_steps writes a checkpoint at each validation: leave save_steps at 0.")
        if self.optimizer == "asgd" and self.average_checkpoints:
            raise ConfigError("asgd averages the weights itself: leave average_checkpoints at 0.")
        if self.batch_tokens and not self.group_by_length and not self.pack:
            raise ConfigError("batch_tokens groups by length: leave group_by_length on, or set batch_tokens to 0.")

    @property
    def greater_is_better(self) -> bool:
        """Whether a higher value of `select_best_on` is the better one."""
        return self.select_best_on not in LOWER_IS_BETTER

    @property
    def trainer_schedule(self) -> str:
        """A name that the Trainer accepts; `SequenceTrainer` builds the schedule itself."""
        return "constant"

    def to_arguments(self, folder: str, *, seed: int, evaluate: bool) -> TrainingArguments:
        """Build ``transformers.TrainingArguments``; optimiser and schedule are built by `SequenceTrainer`.

        Args:
            folder: Where checkpoints go.
            seed: For data order and dropout.
            evaluate: Whether there is a validation set.
        """
        from transformers.trainer_utils import IntervalStrategy, SaveStrategy

        arguments = super().to_arguments(folder, seed=seed, evaluate=evaluate)
        if arguments.metric_for_best_model is not None:
            arguments.greater_is_better = self.greater_is_better
        if evaluate and self.validation_steps:
            arguments.eval_strategy = IntervalStrategy.STEPS
            arguments.save_strategy = SaveStrategy.STEPS
            arguments.eval_steps = arguments.save_steps = self.validation_steps
        # The best checkpoint is kept beside the newest ones, so that one place more is needed than are averaged.
        arguments.save_total_limit = max(2, self.average_checkpoints + 1)
        # The filter would hide a NaN from the watch, and costs a device synchronisation a step.
        arguments.logging_nan_inf_filter = False
        return arguments
