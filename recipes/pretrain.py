"""Pretrain a small BERT by masked language modelling on unlabelled text, tokenizer included.

    accelerate launch recipes/pretrain.py recipes/configs/pretrain/reviews-tiny.yaml
    accelerate launch recipes/pretrain.py --dataset my_corpus.txt --size mini --output_dir outputs/encoder

The folder it writes is a transformers checkpoint: give it to recipes/finetune_bert.py as --model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlpladder.config import option, options_of, parse, run_recipe
from nlpladder.training.options import DEFAULT_PRETRAINING, PretrainingOptions, TrainingOptions


@dataclass(frozen=True, kw_only=True)
class PretrainOptions(TrainingOptions, PretrainingOptions):
    """Options of one pretraining."""

    dataset: str = option(help="text: Hub id, file or folder (a labelled one gives its texts), or world:<name>")
    text_column: str | None = option(None, help="column with the text; found by name if not given")
    max_samples: int | None = option(None, help="use at most so many texts")
    output_dir: str = option("outputs/encoder", help="the run folder; a transformers checkpoint when done")
    seed: int = option(0, help="for weights, order and masks")
    max_minutes: float | None = option(None, help="stop training after this time")
    learning_rate: float = option(DEFAULT_PRETRAINING["learning_rate"], help="peak learning rate of AdamW")
    num_train_epochs: float = option(DEFAULT_PRETRAINING["num_train_epochs"], help="passes over the text")
    batch_size: int = option(DEFAULT_PRETRAINING["batch_size"], help="texts a process and micro-batch")
    max_length: int = option(
        DEFAULT_PRETRAINING["max_length"], help="tokens a text is cut to; the model's number of positions"
    )
    select_best_on: Literal["loss", "none"] = option(
        "none", help="loss keeps the epoch with the lowest masked loss on held-out text; none keeps the last"
    )
    overwrite: bool = option(False, help="replace an earlier run in output_dir")


def main() -> None:
    options = parse(PretrainOptions, description=__doc__)

    from accelerate import PartialState

    from nlpladder.data.unlabeled import load_unlabeled_text
    from nlpladder.pretrain_encoder import pretrain_encoder
    from nlpladder.train_rung import quiet_libraries

    quiet_libraries()
    rows = load_unlabeled_text(options.dataset, text_column=options.text_column, max_samples=options.max_samples)
    if PartialState().is_main_process:
        print(
            f"{options.dataset}: {len(rows):,} texts; a {options.size} BERT of {options.vocab_size:,} word pieces",
            flush=True,
        )
    record = pretrain_encoder(
        lambda: list(rows["text"]),
        PretrainingOptions(**options_of(options, PretrainingOptions)),
        TrainingOptions(**options_of(options, TrainingOptions)),
        data={"name": options.dataset, "rows": len(rows), "text_column": options.text_column},
        output_dir=options.output_dir,
        seed=options.seed,
        time_limit=None if options.max_minutes is None else 60 * options.max_minutes,
        overwrite=options.overwrite,
    )
    if PartialState().is_main_process:
        losses = [entry["eval_loss"] for entry in record["history"] if "eval_loss" in entry]
        print(
            f"masked loss on held-out text: {losses[0]:.3f} after one epoch, {losses[-1]:.3f} at the end (nats a token)"
        )
        print(f"{record['training_seconds']:.1f} s of training; encoder in {options.output_dir}")
        print(f"fine-tune it: accelerate launch recipes/finetune_bert.py --model {options.output_dir} --dataset …")


if __name__ == "__main__":
    run_recipe(main)
