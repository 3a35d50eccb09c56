"""The encoders' tasks of ``check_gradients.py``; each is trained for two steps by what its recipe calls.

The first step has `STEP_ROWS` rows of unequal lengths, the second the few that are left. The learning rate is so small
that the second step finds the weights of the first. A task returns what a plain Trainer needs for the same steps, where
transformers has the usual collator for it. The other tasks stand in ``gradient_checks/sequences.py``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers

from nlpladder.training.options import TrainingOptions
from nlpladder.training.sequence_data import IGNORED

#: Rows of a whole step, over all micro-batches and processes, and of the last one.
STEP_ROWS, LAST_ROWS, VALIDATION_ROWS = 16, 5, 21
SEED = 3
WORDS = ("the", "film", "was", "good", "and", "bad", "plot", "dull", "fine", "acting", "really", "boring", "superb")
#: Nothing is clipped, but the norm is logged; AdamW and SGD leave the weights where they are.
STILL: dict[str, Any] = {
    "learning_rate": 1e-9, "max_grad_norm": 1e9, "num_train_epochs": 1.0, "warmup_ratio": 0.0, "weight_decay": 0.0,
    "lr_scheduler": "constant", "precision": "fp32", "select_best_on": "none",
}  # fmt: skip


class Cut(NamedTuple):
    """How a step is cut up: rows a micro-batch, micro-batches a process."""

    batch_size: int
    accumulation: int


@dataclass
class Plain:
    """What a plain Trainer is given: the model before training, the rows in the order of ours, the usual collator."""

    model: Any
    rows: list[dict[str, Any]]
    collator: Any


def task_options(cut: Cut, **changes: Any) -> TrainingOptions:
    """Return the options of a classifier, a tagger or a masked pretraining."""
    sizes = {"batch_size": cut.batch_size, "gradient_accumulation_steps": cut.accumulation}
    return TrainingOptions(**{**STILL, **sizes, "max_length": 32, **changes})


def sentences(count: int, seed: int) -> list[list[str]]:
    """Return sentences of 2 to 14 words."""
    generator = np.random.default_rng(seed)
    return [[str(word) for word in generator.choice(WORDS, generator.integers(2, 15))] for _ in range(count)]


def word_pieces() -> Any:
    """Return a BERT tokenizer of the words, trained like a recipe's."""
    from nlpladder.text.subwords import train_subword_tokenizer

    return train_subword_tokenizer([" ".join(WORDS)] * 3, scheme="wordpiece", vocab_size=90, model_max_length=64)


def small_bert(head: str, vocabulary: int, **settings: Any) -> Any:
    """Return a random BERT without dropout and with a head of transformers."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **settings,
    )  # fmt: skip
    return getattr(transformers, f"BertFor{head}")(config)


def step_order(lengths: np.ndarray) -> list[int]:
    """Return the rows in the order of `ExactTrainer` for one process."""
    from nlpladder.training.batches import LengthGroupedSampler

    return list(LengthGroupedSampler(lengths, STEP_ROWS, SEED))


# Encoders


def classification(cut: Cut, folder: Path, *, task: str = "single_label") -> Plain:
    """Texts with one label, or several."""
    import datasets

    from nlpladder.data.text_dataset import TextDataset
    from nlpladder.models.sequence_classifier import SequenceClassifier
    from nlpladder.nn.losses import PROBLEM_TYPES
    from nlpladder.training.neural import train_classifier

    tokenizer, splits, generator = word_pieces(), {}, np.random.default_rng(1)
    for seed, (name, count) in enumerate((("train", STEP_ROWS + LAST_ROWS), ("validation", VALIDATION_ROWS))):
        texts = [" ".join(words) for words in sentences(count, seed)]
        labels: Any = generator.integers(0, 3, count).tolist()
        if task == "multi_label":
            labels = generator.integers(0, 2, (count, 3)).astype(float).tolist()
        splits[name] = datasets.Dataset.from_dict({"text": texts, "label": labels})
    data = TextDataset(
        name="words", splits=splits, task=task, label_names=("a", "b", "c"), text_columns=("text",),  # type: ignore[arg-type]
        label_column="label", notes=(), fingerprint="words",
    )  # fmt: skip
    model = small_bert("SequenceClassification", len(tokenizer), num_labels=3, problem_type=PROBLEM_TYPES[task])
    before = copy.deepcopy(model)
    classifier = SequenceClassifier(model, tokenizer, max_length=32)
    train_classifier(classifier, data, task_options(cut), folder=folder, seed=SEED, name=task)
    encoded = tokenizer(list(splits["train"]["text"]))["input_ids"]
    order = step_order(np.array([len(ids) for ids in encoded]))
    rows = [{"input_ids": encoded[row], "labels": splits["train"]["label"][row]} for row in order]
    return Plain(before, rows, transformers.DataCollatorWithPadding(tokenizer))


def multi_label(cut: Cut, folder: Path) -> Plain:
    """Texts with several labels."""
    return classification(cut, folder, task="multi_label")


def masked(cut: Cut, folder: Path) -> Plain:
    """Masked pretraining; the plain Trainer gets the rows already masked."""
    from nlpladder.training.batches import TokenizedTexts
    from nlpladder.training.masking import MaskingCollator
    from nlpladder.training.pretraining import pretrain
    from nlpladder.training.pretraining_options import PretrainingOptions
    from nlpladder.training.pretraining_rows import masked_rows

    texts, held_out = ([" ".join(words) for words in sentences(STEP_ROWS + LAST_ROWS, seed)] for seed in (0, 1))
    options, training = PretrainingOptions(vocab_size=90), task_options(cut)
    found = pretrain(texts, options, training, checkpoints=folder, seed=SEED, held_out=held_out)
    config = copy.deepcopy(found.model.config)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model = transformers.BertForMaskedLM(config)
    model.load_state_dict(found.model.state_dict())
    data = TokenizedTexts(masked_rows(texts, found.tokenizer, options, training.max_length))
    collator = MaskingCollator(found.tokenizer, options.mask_probability, SEED)
    order, rows = step_order(data.lengths), []
    for step in (order[:STEP_ROWS], order[STEP_ROWS:]):
        batch = collator([data[row] for row in step])
        for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
            length = int(mask.sum())
            rows.append({"input_ids": ids[:length].tolist(), "labels": labels[:length].tolist()})
    return Plain(model, rows, transformers.DataCollatorForTokenClassification(found.tokenizer))


def tags(cut: Cut, folder: Path) -> Plain:
    """A tag for every word."""
    from nlpladder.models.token_classifier import TokenClassifier
    from nlpladder.training.labelled_windows import tagged_windows
    from nlpladder.training.token_tasks import train_token_task

    tokenizer, words = word_pieces(), sentences(STEP_ROWS + LAST_ROWS, 0)
    names = ("short", "middle", "long")
    model = small_bert("TokenClassification", len(tokenizer), num_labels=3)
    model.config.id2label = dict(enumerate(names))
    classes = [[names[min(len(word) // 3, 2)] for word in row] for row in words]
    data, _ = tagged_windows(TokenClassifier(model, tokenizer), words, classes)
    before = copy.deepcopy(model)
    train_token_task(
        model, tokenizer, data, task_options(cut), spans=False, measure=lambda model: {}, folder=folder, seed=SEED,
        name="tags",
    )  # fmt: skip
    rows = []
    for number in step_order(data.lengths):
        labels = np.full(data.lengths[number], IGNORED)
        labels[data.positions[number]] = data.token_labels[number]
        rows.append({"input_ids": np.asarray(data.windows[number].input_ids).tolist(), "labels": labels.tolist()})
    return Plain(before, rows, transformers.DataCollatorForTokenClassification(tokenizer))


def answers(cut: Cut, folder: Path) -> Plain:
    """Answers that are spans of a text."""
    from nlpladder.models.question_answerer import QuestionAnswerer
    from nlpladder.training.labelled_windows import answered_windows
    from nlpladder.training.token_tasks import train_token_task

    tokenizer, contexts = word_pieces(), [" ".join(words) for words in sentences(STEP_ROWS + LAST_ROWS, 0)]
    spans = [(0, len(text.split()[0])) for text in contexts]
    model = small_bert("QuestionAnswering", len(tokenizer))
    reader = QuestionAnswerer(model, tokenizer, max_length=40, doc_stride=8)
    data, _ = answered_windows(reader, ["what was good"] * len(contexts), contexts, spans)
    before = copy.deepcopy(model)
    train_token_task(
        model, tokenizer, data, task_options(cut), spans=True, measure=lambda model: {}, folder=folder, seed=SEED,
        name="answers",
    )  # fmt: skip
    rows = []
    for number in step_order(data.lengths):
        window, (start, end) = data.windows[number], data.positions[number].tolist()
        ids = {
            "input_ids": np.asarray(window.input_ids).tolist(),
            "token_type_ids": np.asarray(window.token_type_ids).tolist(),
        }
        rows.append({**ids, "start_positions": start, "end_positions": end})
    return Plain(before, rows, transformers.DataCollatorWithPadding(tokenizer))


TASKS: dict[str, Callable[[Cut, Path], Plain | None]] = {
    "classification": classification, "multi_label": multi_label, "masked": masked, "tags": tags, "answers": answers,
}  # fmt: skip
