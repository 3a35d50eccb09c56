"""Pretraining a small BERT by masked language modelling (Devlin et al. 2019, section 3.1, task 1).

A WordPiece vocabulary and an encoder are learnt from unlabelled text. 15 % (or more: Wettig et al. 2023 found 40 % to
work for larger models) of the tokens are chosen; 80 % of those become [MASK], 10 % a random token, 10 % stay.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM
from transformers.modeling_outputs import MaskedLMOutput

from nlpladder.errors import DataError
from nlpladder.nn.losses import token_loss
from nlpladder.training.batches import PaddingCollator, TokenizedTexts, tokenize
from nlpladder.training.neural import TrainingResult
from nlpladder.training.options import BERT_SIZES, PretrainingOptions, TrainingOptions


class HeldOutTexts(TokenizedTexts):
    """Validation rows; their negative index tells `MaskingCollator` to mask them alike in every epoch."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**super().__getitem__(index), "index": -1 - index}


class MaskingCollator(PaddingCollator):
    """Pads a batch and masks some of its tokens, differently in each epoch.

    The choice depends on seed, epoch and rows only, not on a global generator: a resumed run masks as the
    uninterrupted one did, although the loader had already fetched a batch ahead when the checkpoint was written. Rows
    of a `HeldOutTexts` are masked alike in every epoch, so that their losses can be compared.

    Args:
        tokenizer: With a mask token.
        probability: Share of the tokens that become targets.
        seed: See above.
    """

    def __init__(self, tokenizer: Any, probability: float, seed: int, multiple_of: int = 1) -> None:
        super().__init__(tokenizer, multiple_of)
        self.mask_token_id = int(tokenizer.mask_token_id)
        self.vocab_size = len(tokenizer)
        self.special_ids = np.array(sorted(tokenizer.all_special_ids))
        self.probability = probability
        self.seed = seed
        self.epoch = 0

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Return ``input_ids``, ``attention_mask``, ``labels`` and ``predicted``, each (batch, tokens).

        ``labels`` is -100 and ``predicted`` False where nothing is to be predicted.
        """
        batch = super().__call__([{"input_ids": row["input_ids"]} for row in rows])
        first = int(rows[0]["index"])
        epoch = self.epoch if first >= 0 else 0
        generator = np.random.default_rng((self.seed, epoch, len(rows), *(abs(int(row["index"])) for row in rows[:4])))
        original = batch["input_ids"].numpy()  # (batch, tokens)
        eligible = (batch["attention_mask"].numpy() == 1) & ~np.isin(original, self.special_ids)
        chosen = eligible & (generator.random(original.shape) < self.probability)
        fate = generator.random(original.shape)
        masked = np.where(chosen & (fate < 0.8), self.mask_token_id, original)
        replaced = chosen & (fate >= 0.8) & (fate < 0.9)
        masked = np.where(replaced, generator.integers(0, self.vocab_size, original.shape), masked)
        batch["input_ids"] = torch.from_numpy(masked)
        batch["labels"] = torch.from_numpy(np.where(chosen, original, -100))
        batch["predicted"] = torch.from_numpy(chosen)
        return batch


class MaskedPositionsBert(BertForMaskedLM):
    """A ``BertForMaskedLM`` whose vocabulary head sees the masked positions only.

    The head is the widest layer of a small model, and 70-85 % of its rows have no label.
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor, predicted: Tensor, **_: Any) -> MaskedLMOutput:
        """Return ``logits`` (targets, vocabulary) of the positions where `predicted` (batch, tokens) is True."""
        hidden = self.bert(input_ids, attention_mask=attention_mask).last_hidden_state  # (batch, tokens, width)
        return MaskedLMOutput(logits=self.cls(hidden[predicted]))


def masked_positions_loss(logits: Tensor, labels: Tensor, *, num_items: Tensor | int | None, training: bool) -> Tensor:
    """Cross-entropy of `logits` (targets, vocabulary) with the labels (batch, tokens) that are not -100."""
    return token_loss(logits, labels[labels.ne(-100)], num_items=num_items)


def _for_training(config: BertConfig) -> BertConfig:
    from nlpladder.models.pretrained.loading import attention_kernel

    same = copy.deepcopy(config)
    same._attn_implementation = attention_kernel()
    same.hidden_dropout_prob = same.attention_probs_dropout_prob = 0.0
    return same


def pretrain_bert(
    texts: Sequence[str],
    options: PretrainingOptions,
    training: TrainingOptions,
    *,
    folder: Path,
    checkpoints: Path,
    seed: int,
    validation_share: float = 0.02,
    time_limit: float | None = None,
) -> TrainingResult:
    """Train tokenizer and encoder and save both into `folder`, in the layout of transformers.

    Args:
        texts: Unlabelled text.
        options: Size, vocabulary, masking.
        training: Optimiser, batches, precision.
        folder: Gets ``config.json``, ``model.safetensors`` and the tokenizer.
        checkpoints: For the Trainer; continued from when it holds a whole one.
        seed: For weights, order and masks.
        validation_share: Share of the texts held out to measure the masked loss.
        time_limit: Seconds after which training stops.

    Raises:
        DataError: when there is too little text.
    """
    from nlpladder.text.subwords import train_subword_tokenizer
    from nlpladder.training.callbacks import EpochMasks, NaNWatch, ProgressBar, TimeLimit
    from nlpladder.training.trainer import ExactTrainer, last_complete_checkpoint, set_all_seeds

    if len(texts) < 100:
        raise DataError(f"Pretraining needs at least 100 texts, got {len(texts)}; a few thousand to be of use.")
    tokenizer = train_subword_tokenizer(
        texts,
        scheme="wordpiece",
        vocab_size=options.vocab_size,
        lowercase=options.lowercase,
        model_max_length=training.max_length,
    )
    layers, width, heads, feed_forward = BERT_SIZES[options.size]
    set_all_seeds(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=feed_forward,
        max_position_embeddings=training.max_length,
        pad_token_id=tokenizer.pad_token_id,
        # 0.02 was chosen for a width of 768. Keeping width x variance lets a narrow model start as fast as a wide one:
        # at a width of 128 it otherwise spends an epoch at the entropy of single words.
        initializer_range=0.02 * (768 / width) ** 0.5,
    )
    # Each text is seen a few times under other masks, so nothing is learnt by heart; dropout would only cost time
    # (Geiping & Goldstein 2023, "Cramming", section 4.3). The saved config keeps it for fine-tuning.
    model = MaskedPositionsBert(_for_training(config))
    rows = tokenize(texts, tokenizer, training.max_length)
    order = np.random.default_rng(seed).permutation(len(rows))
    held_out = max(1, int(len(rows) * validation_share))
    collator = MaskingCollator(tokenizer, options.mask_probability, seed)
    limit = TimeLimit(time_limit) if time_limit is not None else None
    trainer = ExactTrainer(
        loss=masked_positions_loss,
        group_by_length=training.group_by_length,
        model=model,
        args=training.to_arguments(str(checkpoints), seed=seed, evaluate=True),
        train_dataset=TokenizedTexts(rows[index] for index in order[held_out:]),
        eval_dataset=HeldOutTexts(rows[index] for index in order[:held_out]),
        data_collator=collator,
        preprocess_logits_for_metrics=lambda logits, labels: logits.new_zeros(len(labels), 0),  # only the loss is kept
        callbacks=[ProgressBar("pretraining"), NaNWatch(), EpochMasks(collator), *([limit] if limit else [])],
    )
    checkpoint = last_complete_checkpoint(checkpoints)
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=checkpoint)
    result = TrainingResult(
        seconds=time.perf_counter() - started,
        steps=trainer.state.global_step,
        planned_steps=trainer.state.max_steps,
        history=[record for record in trainer.state.log_history if "train_runtime" not in record],
        best=trainer.state.best_metric,
    )
    if limit is not None and limit.reached:
        result.notes.append(f"stopped by the time budget at step {result.steps} of {result.planned_steps}")
    if trainer.is_world_process_zero():
        plain = BertForMaskedLM(config)
        plain.load_state_dict(trainer.accelerator.unwrap_model(model).state_dict())
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    trainer.accelerator.wait_for_everyone()
    return result
