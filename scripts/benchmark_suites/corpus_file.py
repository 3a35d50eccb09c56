"""The text that the suites ``vectors``, ``glove`` and ``ngram`` of ``benchmark.py`` read: a user's, or made up."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

FILE_NAME = "corpus.txt"
SIZE_NAME = "tokens.txt"
N_TYPES = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the text."""
    parser.add_argument("--sentences", type=int, default=200_000, help="made-up sentences (default: 200000)")
    parser.add_argument(
        "--corpus", metavar="PATH", help="tokenised text, one sentence a line, no empty lines (default: made up)"
    )


def write_input(options: dict[str, Any], folder: Path) -> str:
    """Write the text, or a link to it, and describe it."""
    path = folder / FILE_NAME
    if options["corpus"]:
        path.symlink_to(Path(options["corpus"]).resolve(strict=True))
    else:
        write_made_up_corpus(path, options["sentences"])
    n_tokens = n_sentences = 0
    with path.open("rb") as file:
        for line in file:
            n_tokens += len(line.split())
            n_sentences += 1
    (folder / SIZE_NAME).write_text(str(n_tokens))
    return f"{n_sentences:,} sentences, {n_tokens / 1e6:.2f} million tokens."


def count_tokens(folder: Path) -> int:
    """Return the number of tokens that `write_input` counted."""
    return int((folder / SIZE_NAME).read_text())


def write_made_up_corpus(path: Path, n_sentences: int) -> None:
    """Write text in which, as in real text, frequent words are few and each word has favourite followers."""
    generator = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    lengths = 2 + generator.poisson(1.4 * np.log10(np.arange(1, N_TYPES + 1)))
    words = ["".join(generator.choice(letters, length)) for length in lengths]
    probabilities = 1 / np.arange(1, N_TYPES + 1)
    cumulative = np.cumsum(probabilities / probabilities.sum())
    followers = np.searchsorted(cumulative, generator.random((N_TYPES, 8)))
    with path.open("w", encoding="utf-8") as file:
        for _ in range(n_sentences):
            size = 1 + generator.poisson(20)
            fresh = np.searchsorted(cumulative, generator.random(size))
            choices = generator.integers(0, 20, size)
            sentence = [int(fresh[0])]
            for word, choice in zip(fresh[1:].tolist(), choices[1:].tolist(), strict=True):
                sentence.append(int(followers[sentence[-1], choice]) if choice < 8 else word)
            file.write(" ".join(words[word] for word in sentence) + "\n")
