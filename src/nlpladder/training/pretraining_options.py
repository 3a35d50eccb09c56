"""What is pretrained: the objective, the size of the model, its vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nlpladder.config import option
from nlpladder.errors import ConfigError

Objective = Literal["masked", "causal", "span_corruption"]
Size = Literal["tiny", "mini", "small", "medium", "base"]

#: Layers, width, heads, feed-forward width; names and sizes as Turc et al. 2019 (arXiv:1908.08962) published them for
#: BERT. GPT and T5 take them over (a T5 has so many layers on each side), so that a size means one thing on the ladder.
SIZES: dict[str, tuple[int, int, int, int]] = {
    "tiny": (2, 128, 2, 512),
    "mini": (4, 256, 4, 1024),
    "small": (4, 512, 8, 2048),
    "medium": (8, 512, 8, 2048),
    "base": (12, 768, 12, 3072),
}

#: T5's vocabulary has the sentinels <extra_id_0> to <extra_id_99>.
NUM_SENTINELS = 100

#: What pretraining does differently from a classifier's training.
DEFAULT_PRETRAINING: dict[str, Any] = {
    "learning_rate": 1e-3,
    "num_train_epochs": 8.0,
    "batch_size": 64,
    "max_length": 128,
    "select_best_on": "none",
}


@dataclass(frozen=True, kw_only=True)
class PretrainingOptions:
    """What is pretrained; how it is trained stands in `TrainingOptions` or `SequenceTrainingOptions`."""

    objective: Objective = option(
        "masked",
        help="masked trains a BERT to fill in [MASK], causal a GPT to predict the next token, span_corruption a T5 to "
        "write the spans that were cut out",
    )
    size: Size = option(
        "tiny", help="number and width of the layers: 2x128, 4x256, 4x512, 8x512 or 12x768; of a T5, on each side"
    )
    vocab_size: int = option(4000, help="tokens of the vocabulary, special ones included; learnt from the same text")
    lowercase: bool | None = option(
        None, help="fold case before tokenising; if not given, masked does and the others do not"
    )
    join_texts: bool | None = option(
        None,
        help="text follows text in rows of max_length, so that nothing is cut off or padded; off: a row begins with "
        "its text. If not given, on for causal and span_corruption, and off for masked",
    )
    mask_probability: float = option(0.15, help="masked: share of the tokens that must be predicted")
    whole_words: bool = option(False, help="masked: all pieces of a word are masked together, or none")
    architecture: Literal["llama", "gpt2"] = option(
        "llama", help="causal: rotary positions, RMSNorm and SwiGLU, or the architecture of 2019"
    )
    noise_density: float = option(0.15, help="span_corruption: share of the tokens that are cut out")
    mean_span_length: float = option(3.0, help="span_corruption: mean tokens of a span that is cut out")
    dropout: float = option(
        0.0, help="in pretraining only: the saved config has 0.1 for fine-tuning (a Llama has none at all)"
    )
    validation_share: float = option(
        0.02, help="share of the texts held out to measure the loss, unless there are more"
    )

    def __post_init__(self) -> None:
        """Check what no type can say."""
        for name in ("mask_probability", "noise_density"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} is a share between 0 and 1; got {getattr(self, name)}.")
        if self.mean_span_length < 1:
            raise ConfigError(f"mean_span_length must be at least 1 token; got {self.mean_span_length}.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is a share, from 0 to below 1; got {self.dropout}.")
        if not 0 < self.validation_share <= 0.5:
            raise ConfigError(
                f"validation_share is a share above 0 and at most 0.5; got {self.validation_share}. Name a "
                "validation split to train on all texts."
            )

    @property
    def folds_case(self) -> bool:
        """Whether the tokenizer lower-cases."""
        return self.objective == "masked" if self.lowercase is None else self.lowercase

    @property
    def joins(self) -> bool:
        """Whether text follows text within a row."""
        return self.objective != "masked" if self.join_texts is None else self.join_texts
