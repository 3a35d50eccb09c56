"""The suite ``glove`` of ``benchmark.py``: our GloVe against Stanford's C programs, from a text file to a vectors file.

The programs ``vocab_count``, ``cooccur``, ``shuffle`` and ``glove`` (https://github.com/stanfordnlp/GloVe, built with
``make``) must be on the PATH. Initial vectors are random and differ, so results are not compared bit by bit: the mean
costs of the last epochs, printed on standard error, are.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmark_suites import corpus_file

CONTENDERS = {"Stanford GloVe": "program:glove", "nlpladder": "nlpladder"}
CASES = {"epochs: 5": 5, "epochs: 15": 15}
VECTOR_SIZE = 100
WINDOW = 10
MIN_COUNT = 5
X_MAX = 10
THREADS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this suite."""
    corpus_file.add_arguments(parser)


def write_input(options: dict[str, Any], folder: Path) -> str:
    """Write the corpus, a sentence a line, and describe it."""
    described = corpus_file.write_input(options, folder)
    return (
        f"{described} {VECTOR_SIZE} dimensions, window {WINDOW}, min_count {MIN_COUNT}, x_max {X_MAX}, {THREADS} "
        "threads: vocabulary, co-occurrences, shuffling, training, vectors as text."
    )


def amount(case: str, folder: Path) -> tuple[float, str]:
    """Return the words that are read and the epochs that are trained, as one number, and its unit."""
    return float(corpus_file.count_tokens(folder) * CASES[case]), "words x epochs"


def prepare(case: str, contender: str, folder: Path) -> tuple[Callable[[], float], Callable[[float], None]]:
    """Warm up, and return the call to measure."""
    train = train_with_programs if contender == "Stanford GloVe" else train_with_nlpladder
    tiny = folder / "tiny.txt"
    tiny.write_text("some words to warm up on\nand some more words to count\n" * 50)
    train(tiny, folder / "tiny_vectors", 1)
    run = partial(train, folder / corpus_file.FILE_NAME, folder / "vectors", CASES[case])
    return run, partial(tell_cost, contender)


def tell_cost(contender: str, cost: float) -> None:
    """Print the cost of the last epoch; the results cannot be compared otherwise."""
    print(f"{contender}: cost of the last epoch {cost:.6f}", file=sys.stderr)


def train_with_programs(corpus: Path, vectors: Path, epochs: int) -> float:
    """Run the C programs one after the other; return the mean cost of the last epoch."""

    def program(command: str, source: Path | None = None, target: Path | None = None) -> str:
        with open(source or "/dev/null", "rb") as stdin, open(target or "/dev/null", "wb") as stdout:
            finished = subprocess.run(command.split(), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, check=True)
        return finished.stderr.decode()

    folder = vectors.parent
    words, counts, shuffled = (folder / f"{vectors.name}.{name}" for name in ("vocabulary", "counts", "shuffled"))
    program(f"vocab_count -min-count {MIN_COUNT} -verbose 0", corpus, words)
    overflow = f"-overflow-file {folder / 'overflow'}"
    program(f"cooccur -vocab-file {words} -window-size {WINDOW} -verbose 0 {overflow}", corpus, counts)
    program(f"shuffle -verbose 0 -seed 1 -temp-file {folder / 'temp_shuffle'}", counts, shuffled)
    told = program(
        f"glove -input-file {shuffled} -vocab-file {words} -save-file {vectors} -vector-size {VECTOR_SIZE} "
        f"-x-max {X_MAX} -iter {epochs} -threads {THREADS} -seed 1"
    )
    return float(re.findall(r"cost: ([\d.]+)", told)[-1])


def train_with_nlpladder(corpus: Path, vectors: Path, epochs: int) -> float:
    """Do the same with this package."""
    from nlpladder.models.vectors.files.text_vectors import write_text_vectors
    from nlpladder.models.vectors.glove.cooccurrence import count_cooccurrences
    from nlpladder.models.vectors.glove.options import GloveOptions
    from nlpladder.models.vectors.glove.training import train_glove
    from nlpladder.models.vectors.vector_table import VectorTable
    from nlpladder.text.encoding import encode_corpus
    from nlpladder.text.sentence_stream import SentenceStream

    options = GloveOptions(
        vector_size=VECTOR_SIZE, window=WINDOW, min_count=MIN_COUNT, x_max=X_MAX, epochs=epochs, num_threads=THREADS
    )
    cooccurrences = count_cooccurrences(encode_corpus(SentenceStream.from_files([corpus])), options)
    state = train_glove(cooccurrences, options)
    path = vectors.with_suffix(".txt")
    with open(path, "wb") as file:
        write_text_vectors(VectorTable(state.words, state.vectors()), file, path, header=False)
    return state.costs[-1]


def compile_kernels() -> None:
    """Call every kernel once."""
    from nlpladder.models.vectors.glove.cooccurrence import count_cooccurrences
    from nlpladder.models.vectors.glove.options import GloveOptions
    from nlpladder.models.vectors.glove.training import train_glove
    from nlpladder.text.encoding import encode_corpus

    corpus = encode_corpus([["a", "b", "a"]] * 50)
    for optimizer in ("adagrad", "row_adagrad"):
        options = GloveOptions(vector_size=VECTOR_SIZE, epochs=1, optimizer=optimizer)
        train_glove(count_cooccurrences(corpus, options), options)
