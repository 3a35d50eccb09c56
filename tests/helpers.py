"""Small stand-ins that several tests share: data sets, tokenizers, encoders, all built in memory."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import runpy
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

REPOSITORY = Path(__file__).parent.parent

GOOD = ("good", "great", "fine", "lovely", "superb")
BAD = ("bad", "awful", "poor", "dull", "boring")
NEUTRAL = ("the", "film", "was", "really", "and", "plot", "acting", "a", "bit", "so")


def review_rows(size: int, *, seed: int = 0, labels: Sequence[str] = ("negative", "positive")) -> list[tuple[str, int]]:
    """Return `size` (text, class id) pairs; one word of each text gives its class away."""
    generator = np.random.default_rng(seed)
    words = [BAD, GOOD, ("odd", "strange", "weird"), ("long", "short", "brief")]
    rows = []
    for index in range(size):
        label = index % len(labels)
        tokens = list(generator.choice(NEUTRAL, size=int(generator.integers(2, 9))))
        tokens.insert(int(generator.integers(0, len(tokens) + 1)), str(generator.choice(words[label])))
        rows.append((" ".join(tokens), label))
    return rows


def text_dataset(
    *,
    task: str = "single_label",
    train: int = 96,
    validation: int = 24,
    test: int = 30,
    classes: int = 2,
    unlabeled: int = 0,
) -> Any:
    """Return a small `TextDataset` that every rung can learn."""
    import datasets

    from nlpladder.data.text_dataset import TextDataset

    names = ("negative", "positive", "odd", "timing")[:classes]
    splits = {}
    for number, (split, size) in enumerate({"train": train, "validation": validation, "test": test}.items()):
        rows = review_rows(size, seed=number, labels=names)
        labels: list[Any] = [label for _, label in rows]
        if task == "multi_label":
            labels = [
                [float(label == column or (column == 0 and len(text) % 2 == 0)) for column in range(classes)]
                for text, label in rows
            ]
        elif task == "regression":
            labels = [float(label) * 2.0 - 1.0 for label in labels]
        splits[split] = datasets.Dataset.from_dict({"text": [text for text, _ in rows], "label": labels})
    if unlabeled:
        splits["unlabeled"] = datasets.Dataset.from_dict({"text": [text for text, _ in review_rows(unlabeled, seed=9)]})
    return TextDataset(
        name="toy",
        splits=splits,
        task=task,
        label_names=() if task == "regression" else names,
        text_columns=("text",),
        label_column="label",
        notes=("made by the tests",),
        fingerprint=f"toy-{task}-{train}-{classes}",
    )


def word_tokenizer() -> Any:
    """Return a word-level tokenizer over the toy vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *NEUTRAL, *GOOD, *BAD]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )


def tiny_bert_folder(folder: Path) -> Path:
    """Save a random two-layer BERT (masked-language-model head) with its tokenizer; return the folder."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = word_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run_python(*arguments: str, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in its own process, on the CPU, without a network."""
    settings = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def kill_when(ready: Callable[[], bool], *arguments: str, timeout: float = 240) -> None:
    """Start a Python program as `run_python` does and send it signal 9 as soon as `ready` says so.

    Waiting costs no processor time, which the program needs.
    """
    settings = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, *arguments], cwd=REPOSITORY, env={**os.environ, **settings}, **quiet)
    deadline = time.monotonic() + timeout
    try:
        while not ready():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
                raise AssertionError(f"The program ended with {process.returncode} before it could be killed.")
            assert time.monotonic() < deadline, f"nothing to see after {timeout} seconds"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def run_here(
    program: str, *arguments: str, stdin: str = "", cwd: Path = REPOSITORY, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a recipe or script as `run_python` does, but in this process, which has imported the libraries already.

    A start of its own costs a program 5 to 7 seconds of imports. It proves that the program needs nothing that a test
    has imported and that it ends cleanly: let one run of each recipe have it, and tests that kill or launch processes.
    What is no user's mistake comes out as the exception that it is.

    Args:
        program: The file, relative to the repository.
        arguments: Of the command line.
        stdin: What the program reads from its standard input.
        cwd: The folder that it runs in.
        environment: Variables that are set while it runs.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code = 0
    gc.collect()  # what earlier runs have left
    gc.freeze()  # what they have imported: a training would go through all of it in a collection of its own
    with (
        _settings_of_libraries_kept(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", [program, *arguments]),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)),
    ):
        try:
            runpy.run_path(str(REPOSITORY / program), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):  # of libraries that were imported just now
            if getattr(handler, "stream", None) in (out, err):
                handler.setStream(sys.__stderr__)
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return subprocess.CompletedProcess([program, *arguments], code, *texts)


@contextlib.contextmanager
def _settings_of_libraries_kept() -> Iterator[None]:
    """Undo what recipes do to warnings, logs and progress bars, on which other tests look."""
    import datasets
    from transformers.utils import logging as transformers_logging

    verbosity, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    bars = datasets.are_progress_bars_disabled()
    with warnings.catch_warnings():
        try:
            yield
        finally:
            transformers_logging.set_verbosity(verbosity)
            (transformers_logging.enable_progress_bar if bar else transformers_logging.disable_progress_bar)()
            (datasets.disable_progress_bars if bars else datasets.enable_progress_bars)()
