"""The suite ``finetuning`` of ``benchmark.py``: one epoch of fine-tuning, ours against plain scripts of transformers.

Two jobs. A BERT of MiniLM's size (or the model given with ``--model``) learns to classify sentences as short as those
of SST-2 (or a table's of texts with labels); a GPT of 4 layers learns answers to instructions. The peers, in
``finetuning_peers.py``, are what the example scripts of transformers do: rows padded to the longest that is
allowed (``run_glue.py``), rows padded to the longest of their batch (``DataCollatorWithPadding``), and for the GPT all
texts strung together and cut into blocks (``run_clm.py``, whose texts see each other). Every contender makes about as
many optimiser steps on the same texts, with the same model, AdamW and learning rate; nothing is validated or saved.

The share of each of our measures is found by switching it off: the contenders "nlpladder, without …".
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

PEERS = (
    "transformers, padded to max_length",
    "transformers, DataCollatorWithPadding",
    "transformers, grouped blocks (run_clm)",
)
SWITCHED_OFF = ("length grouping", "dynamic padding", "bfloat16", "packing", "fused loss", "fewer target rows")
CONTENDERS = {
    **dict.fromkeys(PEERS, "transformers"),
    **{f"nlpladder, without {measure}": "nlpladder" for measure in SWITCHED_OFF},
    "nlpladder": "nlpladder",
}
SENTENCES, INSTRUCTIONS = "BERT, sentences", "GPT, instructions"
CASES: dict[str, dict[str, Any]] = {SENTENCES: {}, INSTRUCTIONS: {}}
#: Which contenders have something to say in a case.
ONLY = {
    SENTENCES: {*PEERS[:2], *(f"nlpladder, without {name}" for name in SWITCHED_OFF[:3]), "nlpladder"},
    INSTRUCTIONS: {*PEERS, *(f"nlpladder, without {name}" for name in SWITCHED_OFF[2:]), "nlpladder"},
}
LEARNING_RATE, BATCH, LONGEST = 5e-5, {SENTENCES: 32, INSTRUCTIONS: 16}, {SENTENCES: 128, INSTRUCTIONS: 256}
IGNORED, PAD = -100, 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this suite."""
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: 2)")
    parser.add_argument("--rows", type=int, default=1024, help="sentences, and a quarter as many instructions")
    parser.add_argument("--model", help="folder of a BERT with its tokenizer, such as MiniLM (default: random weights)")
    parser.add_argument(
        "--dataset", help="csv, tsv, json or parquet file of texts with labels (default: random ids of SST-2's lengths)"
    )


def write_input(options: dict[str, Any], folder: Path) -> str:
    """Write the rows that the measuring processes read, and describe the work."""
    sentences = tokenized(options) if options["dataset"] else random_sentences(options["rows"])
    prompts, answers = random_instructions(max(options["rows"] // 4, 8))
    content = {"sentences": sentences, "prompts": prompts, "answers": answers}
    (folder / "rows.json").write_text(json.dumps(content))
    (folder / "settings.json").write_text(json.dumps({"threads": options["threads"], "model": options["model"]}))
    lengths = [len(row["input_ids"]) for row in sentences]
    tokens = [len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    return (
        f"{len(sentences):,} sentences of {sum(lengths) / len(lengths):.1f} tokens on average, {options['threads']} "
        f"threads, {options['model'] or 'a BERT of 6 layers, width 384'}; {len(prompts):,} instructions of "
        f"{sum(tokens) / len(tokens):.1f} tokens, {sum(map(len, answers)) / len(answers):.1f} of them answer, a GPT "
        "of 4 layers, width 256, vocabulary 8,000."
    )


def tokenized(options: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the sentences of a table as token ids with labels; the columns are found as the recipes find them."""
    from transformers import AutoTokenizer

    from nlpladder.data.columns import find_columns, joined_texts
    from nlpladder.data.reading import read_source

    if not options["model"]:
        raise SystemExit("--dataset needs --model, whose tokenizer reads it.")
    source = options["dataset"]
    found = read_source(source, config=None, revision=None, encoding="utf-8")
    table = found.splits["train"].dataset.data.table.slice(0, options["rows"])
    columns = find_columns(table, place=source, text_column=None, label_column=None)
    texts = joined_texts(table, columns.text, source).to_pylist()
    labels = [str(label) for label in table.column(columns.label[0]).to_pylist()]
    names = sorted(set(labels))
    tokenizer = AutoTokenizer.from_pretrained(options["model"])
    ids = tokenizer(texts, truncation=True, max_length=LONGEST[SENTENCES])["input_ids"]
    return [{"input_ids": each, "label": names.index(label)} for each, label in zip(ids, labels, strict=True)]


def random_sentences(count: int) -> list[dict[str, Any]]:
    """Return random ids with the lengths of SST-2's phrases: half of them below 11 tokens, few above 40."""
    import numpy as np

    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(2.4, 0.65, count).round().astype(int), 4, 66)
    return [
        {"input_ids": [101, *generator.integers(1000, 30000, length - 2).tolist(), 102], "label": int(index % 2)}
        for index, length in enumerate(lengths)
    ]


def random_instructions(count: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return random prompts and answers with lengths like those of Alpaca."""
    import numpy as np

    generator = np.random.default_rng(1)
    asked = np.clip(generator.lognormal(3.2, 0.5, count).round().astype(int), 8, 110)
    answered = np.clip(generator.lognormal(3.7, 0.7, count).round().astype(int), 4, 140)
    return [generator.integers(5, 8000, int(n)).tolist() for n in asked], [
        [*generator.integers(5, 8000, int(n) - 1).tolist(), 3] for n in answered
    ]


def read_rows(folder: Path) -> dict[str, Any]:
    """Return what `write_input` wrote."""
    content: dict[str, Any] = json.loads((folder / "rows.json").read_text())
    return content


def amount(case: str, folder: Path) -> tuple[float, str]:
    """Return how much work a case is, and its unit."""
    rows = read_rows(folder)
    if case == SENTENCES:
        return float(len(rows["sentences"])), "samples"
    return float(sum(map(len, rows["prompts"])) + sum(map(len, rows["answers"]))), "tokens"


def skip(case: str, contender: str) -> str | None:
    """Say why a contender cannot run a case."""
    return None if contender in ONLY[case] else "it has no part in this case"


def compile_kernels() -> None:
    """Do nothing: there are no kernels of ours."""


def prepare(case: str, contender: str, folder: Path) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Build model and trainer, and return the call that trains one epoch; results are not compared."""
    import torch

    from benchmark_suites import finetuning_peers as peers

    settings = json.loads((folder / "settings.json").read_text())
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    rows, checkpoints = read_rows(folder), str(folder / "checkpoints")
    if case == SENTENCES:
        model = peers.classifier(settings["model"])
        build: Any = peers.sentence_trainer if contender in PEERS else our_sentence_trainer
    else:
        model = peers.language_model()
        build = peers.instruction_trainer if contender in PEERS else our_instruction_trainer
    trainer = build(model, rows, contender, checkpoints)
    return trainer.train, lambda result: None


def our_sentence_trainer(model: Any, rows: dict[str, Any], contender: str, folder: str) -> Any:
    """Return the trainer of `train_classifier`, perhaps with a measure switched off."""
    import numpy as np

    from nlpladder.training.allocator import keep_freed_memory
    from nlpladder.training.batches import PaddingCollator, TokenizedTexts
    from nlpladder.training.trainer import ExactTrainer, sequence_task_loss

    class Padding:
        pad_token_id, padding_side = PAD, "right"

    off = contender.removeprefix("nlpladder, without ")
    texts = TokenizedTexts(
        [row["input_ids"] for row in rows["sentences"]], np.array([row["label"] for row in rows["sentences"]])
    )
    multiple = LONGEST[SENTENCES] if off == "dynamic padding" else 1
    trainer = ExactTrainer(
        loss=sequence_task_loss("single_label_classification"),
        group_by_length=off not in ("length grouping", "dynamic padding"),
        model=model,
        args=our_arguments(folder, BATCH[SENTENCES], off),
        train_dataset=texts,
        data_collator=PaddingCollator(Padding(), multiple_of=multiple),
    )
    keep_freed_memory(trainer)
    return trainer


def our_instruction_trainer(model: Any, rows: dict[str, Any], contender: str, folder: str) -> Any:
    """Return the trainer of `train_sequence_model`, perhaps with a measure switched off."""
    from nlpladder.training.allocator import keep_freed_memory
    from nlpladder.training.sequence_data import TargetRows
    from nlpladder.training.sequence_options import SequenceTrainingOptions
    from nlpladder.training.sequence_trainer import SequenceTrainer
    from nlpladder.training.token_batches import BatchLayout, training_batches

    off = contender.removeprefix("nlpladder, without ")
    texts = [prompt + answer for prompt, answer in zip(rows["prompts"], rows["answers"], strict=True)]
    learnt = [0 if off == "fewer target rows" else len(prompt) - 1 for prompt in rows["prompts"]]
    data = TargetRows(
        [text[:-1] for text in texts],
        [[IGNORED] * first + text[first + 1 :] for text, first in zip(texts, learnt, strict=True)],
    )
    longest, batch = LONGEST[INSTRUCTIONS], BATCH[INSTRUCTIONS]
    pack = 0 if off == "packing" else longest
    if pack:
        batch = max(1, round(batch * sum(map(len, texts)) / len(texts) / longest))  # as many steps as without
    options = SequenceTrainingOptions(learning_rate=LEARNING_RATE, select_best_on="none", batch_size=batch)
    layout = BatchLayout(batch_size=batch, pack=pack, pad_token_id=PAD)
    trainer = SequenceTrainer(
        batches=training_batches(data, layout),
        validation_set=None,
        layout=layout,
        options=options,
        model=model,
        args=our_arguments(folder, batch, off),
    )
    if off == "fused loss":
        trainer.target_loss.way = "rows"
    if off == "fewer target rows":
        trainer.target_loss.way = "logits"
    keep_freed_memory(trainer)
    return trainer


def our_arguments(folder: str, batch: int, off: str) -> Any:
    """Return our training arguments for one epoch that saves nothing."""
    from transformers.trainer_utils import SaveStrategy

    from nlpladder.training.options import TrainingOptions

    options = TrainingOptions(
        learning_rate=LEARNING_RATE,
        num_train_epochs=1.0,
        batch_size=batch,
        select_best_on="none",
        precision="fp32" if off == "bfloat16" else "auto",
    )
    arguments = options.to_arguments(folder, seed=0, evaluate=False)
    arguments.save_strategy = SaveStrategy.NO
    return arguments
