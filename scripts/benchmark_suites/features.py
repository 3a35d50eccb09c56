"""The suite ``features`` of ``benchmark.py``: our vectorisers against scikit-learn's."""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import importlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CONTENDERS = {"scikit-learn": "sklearn", "nlpladder": "nlpladder"}
MODULES = {"scikit-learn": "sklearn.feature_extraction.text", "nlpladder": "nlpladder.models.counts.vectorizer"}
FILE_NAME = "documents.jsonl"
N_TYPES = 60_000
NON_ASCII_SHARE = 0.05


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        vectorizer: Name of the class.
        settings: Its parameters.
        transform_only: Fit on every tenth document before, and measure only `transform`.
        every: Use every so manieth document.
    """

    vectorizer: str
    settings: dict[str, Any] = field(default_factory=dict)
    transform_only: bool = False
    every: int = 1


CASES = {
    "tf-idf, fit_transform": Case("TfidfVectorizer"),
    "tf-idf of 1- and 2-grams, min_df 2, fit_transform": Case("TfidfVectorizer", {"ngram_range": (1, 2), "min_df": 2}),
    "tf-idf, transform": Case("TfidfVectorizer", transform_only=True),
    "hashing, transform": Case("HashingVectorizer"),
    "counts of 2- to 4-grams of characters, a tenth of the documents, fit_transform": Case(
        "CountVectorizer", {"analyzer": "char", "ngram_range": (2, 4)}, every=10
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this suite."""
    parser.add_argument("--documents", type=int, default=100_000, help="most documents to use (default: 100000)")
    parser.add_argument(
        "--dataset",
        metavar="PATH",
        help="a .csv or .jsonl with a column `text`, or a .txt with a document a line, perhaps .gz (default: made up)",
    )


def write_input(options: dict[str, Any], folder: Path) -> str:
    """Write the documents, one json string a line, and describe them."""
    source = read_documents(Path(options["dataset"])) if options["dataset"] else made_up_documents(options["documents"])
    n_documents = n_characters = n_beyond_ascii = 0
    with open(folder / FILE_NAME, "w", encoding="utf-8") as file:
        for document in itertools.islice(source, options["documents"]):
            file.write(json.dumps(document) + "\n")
            n_documents += 1
            n_characters += len(document)
            n_beyond_ascii += not document.isascii()
    share = 100 * n_beyond_ascii / max(n_documents, 1)
    return f"{n_documents:,} documents, {n_characters / 1e6:.1f} million characters, {share:.0f} % not ASCII."


def made_up_documents(n_documents: int) -> Iterator[str]:
    """Yield documents of about 50 words, always the same; as in real text, frequent words are few and short."""
    generator = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    lengths = 2 + generator.poisson(1.4 * np.log10(np.arange(1, N_TYPES + 1)))
    words = ["".join(generator.choice(letters, length)) for length in lengths]
    accented = [word.replace("e", "é").replace("o", "ö").replace("n", "н") for word in words]
    probabilities = 1 / np.arange(1, N_TYPES + 1)
    cumulative = np.cumsum(probabilities / probabilities.sum())
    for _ in range(n_documents):
        ranks = np.searchsorted(cumulative, generator.random(1 + generator.poisson(50)))
        pool = accented if generator.random() < NON_ASCII_SHARE else words
        chosen = [pool[rank] for rank in ranks]
        chosen[0] = chosen[0].capitalize()
        yield ", ".join([" ".join(chosen[: len(chosen) // 2]), " ".join(chosen[len(chosen) // 2 :])]) + "."


def read_documents(path: Path) -> Iterator[str]:
    """Yield the texts of a file."""
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    open_file = gzip.open if path.suffix == ".gz" else open
    with open_file(path, "rt", encoding="utf-8", newline="" if kind == ".csv" else None) as file:
        if kind == ".txt":
            yield from (line.rstrip("\n") for line in file)
        elif kind == ".jsonl":
            yield from (text_of(json.loads(line), path, number) for number, line in enumerate(file, 1))
        elif kind == ".csv":
            yield from (text_of(row, path, number) for number, row in enumerate(csv.DictReader(file), 1))
        else:
            raise SystemExit(f"{path}: expected a .csv, .jsonl or .txt file, perhaps with .gz after it.")


def text_of(row: dict[str, Any], path: Path, number: int) -> str:
    """Return the text of a row."""
    for name in ("text", "sentence"):
        if name in row:
            return str(row[name])
    raise SystemExit(f"{path}, row {number}: expected a column `text` or `sentence`, found {', '.join(row)}.")


def load_documents(folder: Path, every: int) -> list[str]:
    """Read what `write_input` wrote."""
    with open(folder / FILE_NAME, encoding="utf-8") as file:
        return [json.loads(line) for line in itertools.islice(file, 0, None, every)]


def prepare(case: str, contender: str, folder: Path) -> tuple[Callable[[], Any], Callable[[Any], str]]:
    """Import, load the documents, warm up, and return the call to measure and what compares its result."""
    plan = CASES[case]
    vectorizer_class = getattr(importlib.import_module(MODULES[contender]), plan.vectorizer)
    documents = load_documents(folder, plan.every)
    warm_up = ["a first small document", "another small document, naïve"] * 2
    vectorizer_class(**plan.settings).fit(warm_up).transform(warm_up * 20)
    vectorizer = vectorizer_class(**plan.settings)
    if plan.transform_only:
        vectorizer.fit(documents[::10])
        return lambda: vectorizer.transform(documents), lambda matrix: fingerprint(matrix, vectorizer)
    return lambda: vectorizer.fit_transform(documents), lambda matrix: fingerprint(matrix, vectorizer)


def fingerprint(matrix: Any, vectorizer: Any) -> str:
    """Hash every bit of a CSR matrix, its types, and the vocabulary in order of appearance."""
    digest = hashlib.sha256(repr(matrix.shape).encode())
    for part in (matrix.indptr, matrix.indices, matrix.data):
        digest.update(str(part.dtype).encode())
        digest.update(np.ascontiguousarray(part).data)
    for term, column in getattr(vectorizer, "vocabulary_", {}).items():
        digest.update(f"{term}\0{column}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def compile_kernels() -> None:
    """Call every kernel once."""
    from nlpladder.models.counts.vectorizer import CountVectorizer, HashingVectorizer

    documents = ["a first small document", "another small document, naïve"] * 2
    for settings in ({"ngram_range": (1, 2), "stop_words": "english"}, {"analyzer": "char"}, {"analyzer": "char_wb"}):
        CountVectorizer(**settings).fit(documents).transform(documents * 50)
        HashingVectorizer(**settings).fit_transform(documents)
