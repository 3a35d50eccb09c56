"""The suite ``ngram`` of ``benchmark.py``: our n-gram language models against KenLM's programs and Python module."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark_suites import corpus_file

#: ``program:NAME`` is a program on the PATH. ``build_binary`` must lie there too; scoring needs the module ``kenlm``.
CONTENDERS = {"KenLM": "program:lmplz", "nlpladder": "nlpladder"}
#: Sentences that are scored: the first ones of the corpus.
SCORED_SENTENCES = 100_000


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        order: Longest n-grams.
        goal: ``arpa`` (text to ARPA file), ``ready`` (text to a model in memory that can score) or ``scoring``.
    """

    order: int
    goal: str


CASES = {
    "order 5, text to ARPA": Case(5, "arpa"),
    "order 5, text to ready to score": Case(5, "ready"),
    "scoring, order 5": Case(5, "scoring"),
    "scoring, order 3": Case(3, "scoring"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this suite."""
    corpus_file.add_arguments(parser)


def write_input(options: dict[str, Any], folder: Path) -> str:
    """Write the corpus and describe it."""
    return corpus_file.write_input(options, folder)


def scored_sentences(folder: Path) -> list[str]:
    """Return the sentences that are scored."""
    with (folder / corpus_file.FILE_NAME).open(encoding="utf-8", newline="\n") as file:
        return [line.rstrip("\n") for line, _ in zip(file, range(SCORED_SENTENCES), strict=False)]


def amount(case: str, folder: Path) -> tuple[float, str]:
    """Return how much work a case is, and its unit."""
    if CASES[case].goal == "scoring":
        return float(sum(len(text.split()) + 1 for text in scored_sentences(folder))), "tokens"
    return float(corpus_file.count_tokens(folder)), "tokens"


def prepare(case: str, contender: str, folder: Path) -> tuple[Callable[[], Any], Callable[[Any], str | None]]:
    """Do all that is not measured and return the call that is; the results agree if the perplexities do."""
    plan = CASES[case]
    make = prepare_kenlm if contender == "KenLM" else prepare_ours
    return make(plan, folder), lambda result: fingerprint(plan, result)


def prepare_kenlm(plan: Case, folder: Path) -> Callable[[], Any]:
    """Return what KenLM does."""
    corpus, arpa, binary = (
        folder / corpus_file.FILE_NAME,
        folder / f"kenlm{plan.order}.arpa",
        folder / f"kenlm{plan.order}.bin",
    )
    if plan.goal == "arpa":
        return lambda: run_lmplz(plan.order, corpus, arpa)
    kenlm = import_kenlm()

    def build() -> Any:
        run_lmplz(plan.order, corpus, arpa)
        subprocess.run(["build_binary", "probing", str(arpa), str(binary)], check=True, capture_output=True)
        return kenlm.Model(str(binary))

    if plan.goal == "ready":
        return build
    texts = scored_sentences(folder)
    model = kenlm.Model(str(binary)) if binary.is_file() else build()
    for text in texts[:1000]:
        model.score(text)
    return lambda: [model.score(text) for text in texts]


def import_kenlm() -> Any:
    """Import KenLM's Python module, or say what is missing."""
    try:
        import kenlm
    except ImportError:
        raise SystemExit(
            "This case needs KenLM's Python module: pip install kenlm. Only 'order 5, text to ARPA' does without it."
        ) from None
    return kenlm


def run_lmplz(order: int, corpus: Path, arpa: Path) -> Path:
    """Estimate a model with KenLM."""
    with tempfile.TemporaryDirectory(dir=arpa.parent) as scratch, corpus.open("rb") as text, arpa.open("wb") as file:
        command = ["lmplz", "-o", str(order), "-S", "50%", "-T", scratch]
        subprocess.run(command, stdin=text, stdout=file, stderr=subprocess.DEVNULL, check=True)
    return arpa


def prepare_ours(plan: Case, folder: Path) -> Callable[[], Any]:
    """Return what we do."""
    compile_kernels()
    corpus, arpa, saved = (
        folder / corpus_file.FILE_NAME,
        folder / f"ours{plan.order}.arpa",
        folder / f"ours{plan.order}",
    )
    if plan.goal == "arpa":
        return lambda: estimate_to_arpa(plan.order, corpus, arpa)
    if plan.goal == "ready":
        return lambda: estimate_model(plan.order, corpus)
    from nlpladder.models.ngram.model import NGramLanguageModel

    if not (saved / "config.json").is_file():
        estimate_model(plan.order, corpus).save_pretrained(saved)
    model = NGramLanguageModel.from_pretrained(saved)
    texts = scored_sentences(folder)
    model.log10_scores(texts[:1000])
    return lambda: model.log10_scores(texts)


def estimate(order: int, corpus: Path) -> Any:
    """Count and smooth."""
    from nlpladder.models.ngram.estimate import estimate
    from nlpladder.models.ngram.options import NGramOptions
    from nlpladder.text.encoding import encode_corpus
    from nlpladder.text.sentence_stream import SentenceStream

    return estimate(encode_corpus(SentenceStream.from_files([corpus])), NGramOptions(order=order))


def estimate_to_arpa(order: int, corpus: Path, arpa: Path) -> Path:
    """Do what lmplz does."""
    from nlpladder.models.ngram.arpa import write_arpa

    estimated = estimate(order, corpus)
    write_arpa(arpa, estimated.levels, estimated.words, overwrite=True)
    return arpa


def estimate_model(order: int, corpus: Path) -> Any:
    """Return a model that can score."""
    from nlpladder.models.ngram.model import NGramLanguageModel

    estimated = estimate(order, corpus)
    return NGramLanguageModel.from_levels(estimated.levels, estimated.words, suffix_closed=True)


PROBES = ["", "the the a", "a word that nobody knows: qqqqqqqqqqq"]


def fingerprint(plan: Case, result: Any) -> str | None:
    """Describe a result so that equal ones look equal: counts of an ARPA file, or rounded scores."""
    if plan.goal == "arpa":
        with Path(result).open("rb") as file:
            return " ".join(line.decode().strip() for line, _ in zip(file, range(plan.order + 1), strict=False))
    if plan.goal == "scoring":
        # KenLM adds up in float32. Four significant digits of the sum of 100,000 sentences are safe.
        return f"{float(np.sum(result, dtype=np.float64)):.4e}"
    scores = [result.score(text) for text in PROBES] if type(result).__module__ == "kenlm" else None
    if scores is None:
        scores = result.log10_scores(PROBES).tolist()
    return " ".join(f"{score:.3f}" for score in scores)


def compile_kernels() -> None:
    """Call every kernel once."""
    from nlpladder.models.ngram.estimate import estimate
    from nlpladder.models.ngram.model import NGramLanguageModel
    from nlpladder.models.ngram.options import NGramOptions
    from nlpladder.text.encoding import encode_corpus
    from nlpladder.text.sentence_stream import SentenceStream

    corpus = encode_corpus(SentenceStream.from_texts(["a small text for the first call", "a small one"] * 5))
    estimated = estimate(corpus, NGramOptions(order=3))
    model = NGramLanguageModel.from_levels(estimated.levels, estimated.words)
    model.log10_scores(["a small text"])
    with tempfile.TemporaryDirectory() as folder:
        model.write_arpa(Path(folder) / "small.arpa")
