"""Tiny data and encoders for tagging words and answering questions, made in memory and learnt in seconds."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

PEOPLE = ("ada", "bob", "eve", "zoe")
TOWNS = ("rome", "oslo", "bonn")
FILLERS = ("the", "went", "to", "with", "saw", "and", "then", "a", "day", "in")


def tagged_sentences(count: int, *, seed: int = 0, longest: int = 9) -> list[tuple[list[str], list[str]]]:
    """Return (words, tags); people and towns (of two words) are entities."""
    generator = np.random.default_rng(seed)
    sentences = []
    for _ in range(count):
        words: list[str] = []
        tags: list[str] = []
        for kind in generator.integers(0, 4, generator.integers(3, longest)):
            if kind == 0:
                words.append(str(generator.choice(PEOPLE)))
                tags.append("B-PER")
            elif kind == 1:
                words += [str(generator.choice(TOWNS)), "city"]
                tags += ["B-LOC", "I-LOC"]
            else:
                words.append(str(generator.choice(FILLERS)))
                tags.append("O")
        sentences.append((words, tags))
    return sentences


def questions(count: int, *, seed: int = 0, split: str = "train", unanswerable: bool = False) -> list[dict[str, Any]]:
    """Return rows of SQuAD's fields: who is asked for, or which town; with `unanswerable` some texts lack it."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        words = [str(word) for word in generator.choice(FILLERS, generator.integers(4, 9))]
        answers = {"who": str(generator.choice(PEOPLE)), "where": str(generator.choice(TOWNS))}
        asked = str(generator.choice(("who", "where")))
        missing = asked if unanswerable and generator.random() < 0.4 else None
        for name, word in answers.items():
            if name != missing:
                words.insert(int(generator.integers(0, len(words) + 1)), word)
        context = " ".join(words)
        found = [] if missing else [answers[asked]]
        starts = [context.index(answer) for answer in found]
        rows.append(
            {"id": f"{split}-{number}", "question": asked, "context": context,
             "answers": {"text": found, "answer_start": starts}}
        )  # fmt: skip
    return rows


def write_tagged(folder: Path, *, sizes: tuple[int, int, int] = (120, 20, 20)) -> Path:
    """Write a folder of jsonl files with tokens and tags; return it."""
    folder.mkdir(parents=True)
    for seed, (split, size) in enumerate(zip(("train", "validation", "test"), sizes, strict=True)):
        rows = [{"tokens": words, "tags": tags} for words, tags in tagged_sentences(size, seed=seed)]
        write_rows(folder / f"{split}.jsonl", rows)
    return folder


def write_questions(folder: Path, *, sizes: tuple[int, int, int] = (120, 20, 20), unanswerable: bool = False) -> Path:
    """Write a folder of jsonl files in SQuAD's fields; return it."""
    folder.mkdir(parents=True)
    for seed, (split, size) in enumerate(zip(("train", "validation", "test"), sizes, strict=True)):
        write_rows(folder / f"{split}.jsonl", questions(size, seed=seed, split=split, unanswerable=unanswerable))
    return folder


def write_rows(file: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as json lines; return the file."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@cache
def trained_tokenizer(scheme: str = "wordpiece") -> Any:
    """Return a sub-word tokenizer of the toy texts, with BERT's special tokens."""
    from nlpladder.text.subwords import train_subword_tokenizer

    texts = [" ".join(words) for words, _ in tagged_sentences(200, seed=5)]
    texts += ["who where", "Ünïcödé naïve 漢字 a-b 1,234.5 don't"]
    tokenizer = train_subword_tokenizer(
        texts, scheme=scheme, vocab_size=400 if scheme == "byte_bpe" else 160, lowercase=scheme == "wordpiece",
        model_max_length=64,
    )  # fmt: skip
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # as BERT's own
    tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names  # which is what is saved
    return tokenizer


def tiny_model(head: str, *, seed: int = 0, labels: int = 3, tokenizer: Any = None) -> Any:
    """Return a random one-layer BERT with a head of transformers, such as ``TokenClassification``."""
    import torch
    import transformers

    torch.manual_seed(seed)
    settings: dict[str, Any] = {"num_labels": labels} if head == "TokenClassification" else {}
    config = transformers.BertConfig(
        vocab_size=len(tokenizer or trained_tokenizer()), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.3, **settings,
    )  # fmt: skip
    config._attn_implementation = "eager"
    return getattr(transformers, f"BertFor{head}")(config).eval()


def tiny_encoder(folder: Path, *, dropout: float = 0.0) -> Path:
    """Save a random one-layer BERT that soon learns the toy texts, with its tokenizer; return the folder."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = trained_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.2, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
