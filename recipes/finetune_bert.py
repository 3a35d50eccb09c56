"""Fine-tune a BERT-family encoder (any Hub id or folder) for classification, in full or with LoRA.

    accelerate launch recipes/finetune_bert.py recipes/configs/finetune_bert/reviews-lora.yaml
    accelerate launch recipes/finetune_bert.py --dataset stanfordnlp/sst2 --model distilbert/distilbert-base-uncased
    accelerate launch --config_file recipes/accelerate/multi_gpu.yaml recipes/finetune_bert.py --dataset x.csv --model y

Without a network: pretrain a small encoder first with recipes/pretrain.py, and name its folder as --model. After
training the saved model is read back and must answer as the trained one did.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from nlpladder.config import option, parse, run_recipe
from nlpladder.data.options import DataOptions
from nlpladder.ladder import find_rung
from nlpladder.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class FinetuningOptions(TrainingOptions, DataOptions):
    """Options of one fine-tuning; those of the optimiser stand at the top level here."""

    model: str = option("", help="Hub id or folder of a pretrained encoder")
    output_dir: str = option("outputs/finetuned", help="the run folder")
    seed: int = option(0, help="for the head, order and dropout")
    peft: Literal["none", "lora"] = option(
        "none", help="none tunes every weight; lora freezes them and trains low-rank updates"
    )
    lora_rank: int = option(16, help="r of LoRA")
    lora_alpha: float = option(32.0, help="alpha of LoRA; the update is scaled by alpha / r")
    lora_dropout: float = option(0.05, help="dropout on the input of the LoRA matrices, in training")
    lora_targets: tuple[str, ...] | None = option(
        None, help="layers to adapt; known for most encoders, found by name for others"
    )
    learning_rate: float = option(5e-5, help="peak learning rate of AdamW; 1e-3 if not given and --peft lora")
    num_train_epochs: float = option(3.0, help="passes over the training set")
    max_length: int = option(128, help="tokens a text is cut to")
    max_minutes: float | None = option(None, help="stop training after this time")
    overwrite: bool = option(False, help="replace an earlier run in output_dir")


def main() -> None:
    options = parse(FinetuningOptions, description=__doc__)

    from accelerate import PartialState

    from nlpladder.errors import ConfigError
    from nlpladder.tasks.base import RungSettings
    from nlpladder.train_rung import quiet_libraries, train_rung
    from nlpladder.views.run_summary import run_summary

    if not options.model:
        raise ConfigError(
            "Name a pretrained encoder with --model: a Hub id, or a folder such as recipes/pretrain.py writes."
        )
    quiet_libraries()
    data = options.load()
    if PartialState().is_main_process:
        print(data.describe(), flush=True)
    lora = options.peft == "lora"
    training = {field.name: getattr(options, field.name) for field in dataclasses.fields(TrainingOptions)}
    if lora and options.learning_rate == 5e-5:
        training["learning_rate"] = find_rung("bert_lora").training["learning_rate"]
    names = ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets")
    run = train_rung(
        find_rung("bert_lora" if lora else "bert"),
        data,
        RungSettings(
            model={name: getattr(options, name) for name in names} if lora else {},
            training=training,
            encoder=options.model,
        ),
        output_dir=options.output_dir,
        seed=options.seed,
        time_limit=None if options.max_minutes is None else 60 * options.max_minutes,
        overwrite=options.overwrite,
    )
    if PartialState().is_main_process:
        print(run_summary(run.record, run.metrics, options.output_dir, was_there=run.was_there))


if __name__ == "__main__":
    run_recipe(main)
