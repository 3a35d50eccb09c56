"""The options of text to text: what is put before a source, how long texts may be, how answers are searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nlpladder.config import option
from nlpladder.errors import ConfigError, did_you_mean
from nlpladder.finetuning.options import FinetuningOptions

#: Measures of decoded validation examples, by which the best epoch can be chosen beside the loss.
DECODED_MEASURES = ("bleu", "chrf", "rougeL", "exact_match", "token_f1")


@dataclass(frozen=True, kw_only=True)
class TextToTextOptions(FinetuningOptions):
    """Settings of one fine-tuning of an encoder-decoder (T5, mT5, BART, Marian, mBART, ours) on pairs of texts."""

    model: str = option(help="Hub id or folder of a pretrained encoder-decoder: T5, mT5, BART, Marian, mBART, ours")
    task_prefix: str = option(
        "", help="put before every source, where the model wants one, such as 'summarize: '; saved with the model"
    )
    max_source_length: int | None = option(
        None, help="tokens a source is cut to in training (cuts are counted); at most 512 by what the model reads"
    )
    max_target_length: int | None = option(
        None, help="tokens a target is cut to in training (cuts are counted); at most 512 by what the model writes"
    )
    long_sources: Literal["auto", "cut", "pieces"] = option(
        "auto",
        help="a longer source in use: cut as in training, or read in pieces, none lost; auto takes pieces for "
        "translation (both sides named by language) and cuts otherwise",
    )
    num_beams: int = option(4, help="hypotheses kept at each step when the test set is answered; 1 is greedy")
    length_penalty: float = option(1.0, help="hypotheses are ranked by log probability / length ** length_penalty")
    decoded_samples: int = option(
        200,
        help="validation examples, spread evenly, that are answered greedily at a validation, for select_best_on "
        "bleu, chrf, rougeL, exact_match or token_f1; 0 for none",
    )
    source_code: str | None = option(
        None, help="language code that a multilingual tokenizer takes for the source: de_DE (mBART), deu_Latn (NLLB)"
    )
    target_code: str | None = option(None, help="the same for the target")

    def __post_init__(self) -> None:
        """Check what no type can say."""
        super().__post_init__()
        for name in ("max_source_length", "max_target_length"):
            value = getattr(self, name)
            if value is not None and value < 2:
                raise ConfigError(f"{name} is {value}; a token and the end mark need at least 2.")
        if self.num_beams < 1:
            raise ConfigError(f"num_beams is {self.num_beams}; it must be at least 1.")
        if self.decoded_samples < 0:
            raise ConfigError(f"decoded_samples must not be negative; got {self.decoded_samples}.")
        if self.select_best_on not in ("loss", "none", *DECODED_MEASURES):
            raise ConfigError(
                f"select_best_on is {self.select_best_on!r}; here it is loss, none, or one of "
                f"{', '.join(DECODED_MEASURES)}.{did_you_mean(self.select_best_on, DECODED_MEASURES)}"
            )
        if self.select_best_on in DECODED_MEASURES and not self.decoded_samples:
            raise ConfigError(f"select_best_on: {self.select_best_on} needs decoded_samples above 0.")

    def text_settings(self) -> dict[str, Any]:
        """Return what decides the result beside model and training."""
        names = (
            "task_prefix", "max_source_length", "max_target_length", "long_sources", "num_beams", "length_penalty",
            "decoded_samples", "source_code", "target_code",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}
