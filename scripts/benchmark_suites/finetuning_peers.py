"""What the example scripts of transformers do: the models and the peers of the suite ``finetuning``."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainingArguments,
)

from benchmark_suites import finetuning as suite


def classifier(folder: str | None) -> Any:
    """Return the classifier that all contenders of a case train: of a folder, or MiniLM's shape at random."""
    if folder:
        return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    config = BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, num_labels=2
    )
    return BertForSequenceClassification(config)


def language_model() -> Any:
    """Return the small GPT that all contenders of a case train."""
    config = GPT2Config(
        vocab_size=8000, n_positions=suite.LONGEST[suite.INSTRUCTIONS], n_embd=256, n_layer=4, n_head=4,
        pad_token_id=suite.PAD, bos_token_id=3, eos_token_id=3,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def sentence_trainer(model: Any, rows: dict[str, Any], contender: str, folder: str) -> Trainer:
    """Return the trainer of ``run_glue.py``, with its default padding or with that of a collator."""
    longest = suite.LONGEST[suite.SENTENCES]
    examples = []
    for row in rows["sentences"]:
        ids = row["input_ids"]
        missing = longest - len(ids) if contender == suite.PEERS[0] else 0
        examples.append(
            {
                "input_ids": ids + [suite.PAD] * missing,
                "attention_mask": [1] * len(ids) + [0] * missing,
                "labels": row["label"],
            }
        )
    collate = stacked if contender == suite.PEERS[0] else DataCollatorWithPadding(PadOnly())
    return Trainer(model, arguments(folder, suite.BATCH[suite.SENTENCES]), collate, examples)


def instruction_trainer(model: Any, rows: dict[str, Any], contender: str, folder: str) -> Trainer:
    """Return a trainer on padded rows whose prompts are not learnt, or that of ``run_clm.py``."""
    longest, batch = suite.LONGEST[suite.INSTRUCTIONS], suite.BATCH[suite.INSTRUCTIONS]
    pairs = list(zip(rows["prompts"], rows["answers"], strict=True))
    if contender == suite.PEERS[2]:
        ids = list(chain.from_iterable(prompt + answer for prompt, answer in pairs))
        blocks = [ids[start : start + longest] for start in range(0, len(ids) - longest + 1, longest)]
        examples = [{"input_ids": block, "attention_mask": [1] * longest, "labels": block} for block in blocks]
        batch = max(1, round(batch * len(ids) / len(pairs) / longest))  # as many steps as with one text a row
        return Trainer(model, arguments(folder, batch), stacked, examples)
    examples = []
    for prompt, answer in pairs:
        size = len(prompt) + len(answer)
        missing = longest - size if contender == suite.PEERS[0] else 0
        examples.append(
            {
                "input_ids": prompt + answer + [suite.PAD] * missing,
                "attention_mask": [1] * size + [0] * missing,
                "labels": [suite.IGNORED] * len(prompt) + answer + [suite.IGNORED] * missing,
            }
        )
    return Trainer(model, arguments(folder, batch), stacked if contender == suite.PEERS[0] else padded, examples)


def arguments(folder: str, batch: int) -> TrainingArguments:
    """Return the arguments of the example scripts: float32, random order, no validation."""
    return TrainingArguments(
        output_dir=folder, num_train_epochs=1.0, per_device_train_batch_size=batch, learning_rate=suite.LEARNING_RATE,
        save_strategy="no", report_to="none", disable_tqdm=True, logging_steps=50, log_level="error", seed=0,
        use_cpu=not torch.accelerator.is_available(),
    )  # fmt: skip


def stacked(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Stack rows of one length."""
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def padded(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Pad rows to the longest of the batch, as ``DataCollatorForSeq2Seq`` does."""
    longest = max(len(row["input_ids"]) for row in rows)
    fill = {"input_ids": suite.PAD, "attention_mask": 0, "labels": suite.IGNORED}
    return {
        name: torch.tensor([row[name] + [fill[name]] * (longest - len(row[name])) for row in rows]) for name in fill
    }


class PadOnly:
    """As much of a tokenizer as ``DataCollatorWithPadding`` calls."""

    def pad(self, rows: Any, **_: Any) -> Any:
        """Pad to the longest row."""
        longest = max(len(row["input_ids"]) for row in rows)
        batch = {
            "input_ids": [row["input_ids"] + [suite.PAD] * (longest - len(row["input_ids"])) for row in rows],
            "attention_mask": [row["attention_mask"] + [0] * (longest - len(row["input_ids"])) for row in rows],
        }
        return {
            **{name: torch.tensor(value) for name, value in batch.items()},
            "labels": torch.tensor([row["labels"] for row in rows]),
        }
