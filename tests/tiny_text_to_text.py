"""Stand-ins for text to text: a tiny T5 with its tokenizer in a folder, and pairs that it learns in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

WORDS = {"the": "le", "cat": "chat", "dog": "chien", "sees": "voit", "hears": "entend", "small": "petit"}
PREFIX = "translate: "


def toy_pairs(size: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return sentences and their translations, word by word."""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(size):
        first, second = generator.choice(["cat", "dog"], size=2)
        small = ["small"] if generator.random() < 0.5 else []
        words = ["the", *small, first, generator.choice(["sees", "hears"]), "the", second]
        rows.append((" ".join(words), " ".join(WORDS[word] for word in words)))
    return rows


def write_pairs(folder: Path, *, references: int = 1, sizes: tuple[int, int, int] = (160, 12, 10)) -> Path:
    """Write train, validation and test as jsonl with the columns mr and ref.

    Args:
        folder: Made.
        references: Targets of each source of validation and test: the first is right, the others differ from it.
        sizes: Sources of each split; those of validation and test are all different.
    """
    folder.mkdir(parents=True)
    for number, (split, size) in enumerate(zip(("train", "validation", "test"), sizes, strict=True)):
        pairs = toy_pairs(20 * size, seed=number)
        if split != "train":
            pairs = list(dict(pairs).items())
        rows = []
        for source, target in pairs[:size]:
            several = [target, *(f"{target} encore {place}" for place in range(1, references))]
            rows += [{"mr": source, "ref": one} for one in (several if split != "train" else several[:1])]
        lines = [json.dumps(row) for row in rows]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def toy_tokenizer(**settings: Any) -> Any:
    """Return a tokenizer that knows all the toy words, with the end mark behind a text."""
    from nlpladder.text.subwords import train_subword_tokenizer

    pairs = toy_pairs(60)
    texts = [*(text for pair in pairs for text in pair), *["translate : encore 1 2 3 a text"] * 3]
    wanted = {"scheme": "bpe", "vocab_size": 130, "lowercase": False, "template": "eos", **settings}
    return train_subword_tokenizer(texts, additional_special_tokens=["<extra_id_0>", "<extra_id_1>"], **wanted)


def tiny_t5_folder(folder: Path, **config: Any) -> Path:
    """Write a T5 of one layer with random weights, as recipes/pretrain.py does a larger one."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = toy_tokenizer()
    torch.manual_seed(0)
    wanted = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0, **config}
    model = T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id, **wanted,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
