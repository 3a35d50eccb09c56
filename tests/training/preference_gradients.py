"""A program for test_preferences: three steps of DPO; writes losses, gradient norms, validation and weights.

python preference_gradients.py ACCUMULATION FOLDER     (or under torchrun, with ACCELERATE_USE_CPU=true)
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import torch
from test_preferences import preferred_pairs
from tiny_sequence_models import tiny_llama
from transformers import TrainerCallback

from nlpladder.training.batch_layout import BatchLayout
from nlpladder.training.preference_data import PreferenceBatches
from nlpladder.training.preferences import PreferenceTrainer, reference_logprobs
from nlpladder.training.sequence_options import SequenceTrainingOptions

ROWS, STEPS = 6, 3


class Watch(TrainerCallback):
    def __init__(self):
        self.norms = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        self.norms.append(sum(float(p.grad.norm()) ** 2 for p in model.parameters() if p.grad is not None) ** 0.5)


def main(accumulation, folder_of_results):
    parts = accumulation * int(os.environ.get("WORLD_SIZE", "1"))
    # 13 pairs: two whole steps and one of a single pair, of which some parts get none.
    train, validation = preferred_pairs(13), preferred_pairs(5, seed=1)
    options = SequenceTrainingOptions(
        optimizer="sgd", learning_rate=0.5, lr_scheduler="constant", max_grad_norm=0.0, precision="fp32",
        max_steps=STEPS, select_best_on="none", weight_decay=0.0, batch_size=ROWS // parts,
        gradient_accumulation_steps=accumulation, label_smoothing=0.1,
    )  # fmt: skip
    model, watch = tiny_llama(), Watch()
    with tempfile.TemporaryDirectory() as folder:
        arguments = options.to_arguments(folder, seed=3, evaluate=True)
        arguments.save_strategy, arguments.logging_steps = "no", 1
        layout = BatchLayout(
            batch_size=options.batch_size, accumulation=accumulation, world=arguments.world_size,
            rank=arguments.process_index, seed=3,
        )  # fmt: skip
        for data in (train, validation):
            data.reference = reference_logprobs(model, data, layout=layout)
        trainer = PreferenceTrainer(
            beta=0.5, batches=PreferenceBatches(train, layout), validation_set=validation, layout=layout,
            options=options, model=model, args=arguments, callbacks=[watch],
        )  # fmt: skip
        trainer.train()
        history = trainer.state.log_history
        if trainer.is_world_process_zero():
            content = {
                "world": trainer.args.world_size,
                "losses": [record["loss"] for record in history if "loss" in record],
                "eval_loss": [record["eval_loss"] for record in history if "eval_loss" in record],
                "margins": [record["eval_reward_margin"] for record in history if "eval_reward_margin" in record],
                "norms": watch.norms,
                "weights": torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).tolist(),
            }
            (Path(folder_of_results) / "result.json").write_text(json.dumps(content))
    # Processes that end while gloo's threads still talk are aborted now and then.
    trainer.accelerator.wait_for_everyone()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
