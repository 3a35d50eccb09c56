"""The suite ``vectors`` of ``benchmark.py``: our word2vec and fastText against gensim's, from a text file to vectors.

Results of several threads cannot be compared bit by bit; `recipes/train_word2vec.py` measures what vectors are worth.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CONTENDERS = {"gensim": "gensim", "nlpladder": "nlpladder"}
CASES: dict[str, dict[str, Any]] = {
    "skip-gram, negative sampling": {"architecture": "skipgram"},
    "skip-gram with sub-words (fastText)": {"architecture": "skipgram", "subwords": True},
    "CBOW, negative sampling": {"architecture": "cbow"},
    "skip-gram, hierarchical softmax": {"architecture": "skipgram", "loss": "hierarchical_softmax"},
}
FILE_NAME = "corpus.txt"
SIZE_NAME = "tokens.txt"
THREADS = 2
N_TYPES = 40_000
#: Share of a made-up sentence's words that come from its topic, so that there is something to learn.
TOPIC_SHARE = 0.3
N_TOPICS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this suite."""
    parser.add_argument("--sentences", type=int, default=150_000, help="made-up sentences (default: 150000)")
    parser.add_argument(
        "--corpus", metavar="PATH", help="a text file, a tokenised sentence a line (default: made-up sentences)"
    )


def write_input(options: dict[str, Any], folder: Path) -> str:
    """Write the corpus, a sentence a line, and describe it."""
    path = folder / FILE_NAME
    if options["corpus"]:
        shutil.copyfile(options["corpus"], path)
    else:
        write_made_up_sentences(path, options["sentences"])
    tokens = lines = 0
    with open(path, "rb") as file:
        for line in file:
            tokens += len(line.split())
            lines += 1
    (folder / SIZE_NAME).write_text(str(tokens))
    return f"{tokens:,} tokens in {lines:,} sentences, one epoch, 100 dimensions, window 5, {THREADS} threads."


def write_made_up_sentences(path: Path, n_sentences: int) -> None:
    """Write sentences of about 20 words, always the same; word frequencies follow Zipf's law."""
    generator = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    lengths = 3 + generator.poisson(1.4 * np.log10(np.arange(1, N_TYPES + 1)))
    words = ["".join(generator.choice(letters, length)) for length in lengths]
    probabilities = 1 / np.arange(1, N_TYPES + 1)
    cumulative = np.cumsum(probabilities / probabilities.sum())
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(n_sentences):
            ranks = np.searchsorted(cumulative, generator.random(1 + generator.poisson(20)))
            topical = generator.random(ranks.size) < TOPIC_SHARE
            ranks[topical] = np.minimum(
                ranks[topical] // N_TOPICS * N_TOPICS + generator.integers(N_TOPICS), N_TYPES - 1
            )
            file.write(" ".join([words[rank] for rank in ranks]) + "\n")


def amount(case: str, folder: Path) -> tuple[float, str]:
    """Return how much work a case is, and its unit."""
    return float((folder / SIZE_NAME).read_text()), "words"


def prepare(case: str, contender: str, folder: Path) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Import, warm up on a tiny corpus, and return the call to measure; results are not compared."""
    train = train_with_gensim if contender == "gensim" else train_with_nlpladder
    tiny = folder / "tiny.txt"
    tiny.write_text("some words to warm up on\nand some more words\n" * 50)
    train(tiny, CASES[case])
    return lambda: train(folder / FILE_NAME, CASES[case]), lambda vectors: None


def train_with_gensim(path: Path, settings: dict[str, Any]) -> np.ndarray:
    """Train with gensim's fastest way, from a file; return the vectors."""
    from gensim.models import FastText, Word2Vec

    hierarchical = settings.get("loss") == "hierarchical_softmax"
    model_class = FastText if settings.get("subwords") else Word2Vec
    model = model_class(
        corpus_file=str(path),
        vector_size=100,
        window=5,
        min_count=5,
        sample=1e-3,
        epochs=1,
        workers=THREADS,
        sg=int(settings["architecture"] == "skipgram"),
        hs=int(hierarchical),
        negative=0 if hierarchical else 5,
        alpha=0.025 if settings["architecture"] == "skipgram" else 0.05,
        seed=0,
    )
    return model.wv.vectors


def train_with_nlpladder(path: Path, settings: dict[str, Any]) -> np.ndarray:
    """Train with this package; return the vectors."""
    from nlpladder.models.vectors.word2vec.options import Word2VecOptions
    from nlpladder.models.vectors.word2vec.training import train_word2vec
    from nlpladder.text.encoding import encode_corpus
    from nlpladder.text.sentence_stream import SentenceStream

    options = Word2VecOptions(epochs=1, num_threads=THREADS, **settings)
    return train_word2vec(encode_corpus(SentenceStream.from_files([path])), options).word_vectors()


def compile_kernels() -> None:
    """Call every kernel once."""
    from nlpladder.models.vectors.word2vec.options import Word2VecOptions
    from nlpladder.models.vectors.word2vec.training import train_word2vec
    from nlpladder.text.encoding import encode_corpus

    corpus = encode_corpus([["some", "words", "to", "warm", "up"], ["some", "more", "words"]] * 20)
    for settings in CASES.values():
        train_word2vec(corpus, Word2VecOptions(epochs=1, phrases=1, min_count=1, **settings)).word_vectors()
