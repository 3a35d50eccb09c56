"""A program for test_exact_gradients: train one step on 16 rows and write loss, gradient norm and weights.

python gradients.py TASK ACCUMULATION OUTPUT        (or under torchrun, with ACCELERATE_USE_CPU=true)
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    TrainerCallback,
)

from nlpladder.nn.losses import PROBLEM_TYPES
from nlpladder.training.batches import PaddingCollator, TokenizedTexts
from nlpladder.training.options import TrainingOptions
from nlpladder.training.pretraining import MaskedPositionsBert, masked_positions_loss
from nlpladder.training.trainer import ExactTrainer, sequence_task_loss, token_task_loss

ROWS = 16
SHAPE = {
    "vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 16, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip


class TokenRows(TokenizedTexts):
    """Rows whose labels are one a token, most of them ignored, and unequally many."""

    def __getitem__(self, index):
        row = super().__getitem__(index)
        labels = np.asarray(row["input_ids"], dtype=np.int64) % 3
        labels[index % 5 + 1 :] = -100
        return {**row, "labels": labels}


class TokenCollator(PaddingCollator):
    def __init__(self, tokenizer, *, positions):
        super().__init__(tokenizer)
        self.positions = positions

    def __call__(self, rows):
        batch = super().__call__([{"input_ids": row["input_ids"]} for row in rows])
        labels = torch.full_like(batch["input_ids"], -100)
        for target, row in zip(labels, rows, strict=True):
            target[: len(row["labels"])] = torch.from_numpy(row["labels"])
        return {**batch, "labels": labels, **({"predicted": labels.ne(-100)} if self.positions else {})}


class Watch(TrainerCallback):
    def __init__(self):
        self.norm = None

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        parts = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
        self.norm = torch.stack(parts).norm().item()


class Padding:
    pad_token_id, padding_side = 0, "right"


def main(task, accumulation, output):
    generator = np.random.default_rng(0)
    rows = [generator.integers(1, 30, size=generator.integers(6, 12)).tolist() for _ in range(ROWS)]
    world = int(os.environ.get("WORLD_SIZE", "1"))
    torch.manual_seed(0)
    if task in ("token", "masked"):
        config = BertConfig(**SHAPE, num_labels=3)
        model = BertForTokenClassification(config) if task == "token" else MaskedPositionsBert(config)
        loss = token_task_loss() if task == "token" else masked_positions_loss
        data, collator = TokenRows(rows), TokenCollator(Padding(), positions=task == "masked")
    else:
        labels = {
            "single_label": generator.integers(0, 3, ROWS),
            "multi_label": generator.integers(0, 2, (ROWS, 3)).astype(np.float32),
            "regression": generator.normal(size=ROWS).astype(np.float32),
        }[task]
        classes = 1 if task == "regression" else 3
        model = BertForSequenceClassification(BertConfig(**SHAPE, num_labels=classes, problem_type=PROBLEM_TYPES[task]))
        data, collator, loss = (
            TokenizedTexts(rows, labels),
            PaddingCollator(Padding()),
            sequence_task_loss(PROBLEM_TYPES[task]),
        )
    options = TrainingOptions(
        batch_size=ROWS // accumulation // world, gradient_accumulation_steps=accumulation, max_steps=1,
        warmup_ratio=0.0,
        max_grad_norm=0.0, precision="fp32", select_best_on="none", learning_rate=1e-2, lr_scheduler="constant",
    )  # fmt: skip
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        arguments = options.to_arguments(folder, seed=3, evaluate=False)
        arguments.save_strategy = "no"
        trainer = ExactTrainer(
            loss=loss, model=model, args=arguments, train_dataset=data, data_collator=collator, callbacks=[watch]
        )
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        if trainer.is_world_process_zero():
            content = {"world": trainer.args.world_size, "loss": losses[0], "norm": watch.norm}
            Path(output).write_text(json.dumps(content))
    # Processes that end while gloo's threads still talk are aborted now and then.
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
