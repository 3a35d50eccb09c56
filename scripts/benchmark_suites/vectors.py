"""The suite ``vectors`` of ``benchmark.py``: our word2vec and fastText against gensim's, from a text file to vectors.

Results of several threads cannot be compared bit by bit; `recipes/train_word2vec.py` measures what vectors are worth.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark_suites import corpus_file

CONTENDERS = {"gensim": "gensim", "nlpladder": "nlpladder"}
CASES: dict[str, dict[str, Any]] = {
    "skip-gram, negative sampling": {"architecture": "skipgram"},
    "skip-gram with sub-words (fastText)": {"architecture": "skipgram", "subwords": True},
    "CBOW, negative sampling": {"architecture": "cbow"},
    "skip-gram, hierarchical softmax": {"architecture": "skipgram", "loss": "hierarchical_softmax"},
}
THREADS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this suite."""
    corpus_file.add_arguments(parser)


def write_input(options: dict[str, Any], folder: Path) -> str:
    """Write the corpus and describe it."""
    described = corpus_file.write_input(options, folder)
    return f"{described} One epoch, 100 dimensions, window 5, {THREADS} threads."


def amount(case: str, folder: Path) -> tuple[float, str]:
    """Return how much work a case is, and its unit."""
    return float(corpus_file.count_tokens(folder)), "words"


def prepare(case: str, contender: str, folder: Path) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Import, warm up on a tiny corpus, and return the call to measure; results are not compared."""
    train = train_with_gensim if contender == "gensim" else train_with_nlpladder
    tiny = folder / "tiny.txt"
    tiny.write_text("some words to warm up on\nand some more words\n" * 50)
    train(tiny, CASES[case])
    return lambda: train(folder / corpus_file.FILE_NAME, CASES[case]), lambda vectors: None


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
