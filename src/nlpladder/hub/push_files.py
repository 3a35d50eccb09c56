"""Which files of a folder belong on the Hub: those that somebody else needs to use and to judge the model.

What is not known is left out, so that notes, keys and test texts that lie in a run folder do not travel by accident.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlpladder.errors import RunError

MARKER_FILE = "nlpladder.json"

#: Files that a model is opened from, in the folder or in a folder of it (a model inside a model).
MODEL_FILES = (
    "config.json", "generation_config.json", "adapter_config.json", "base.json", "translator.json", "modules.json",
    "sentence_bert_config.json", "config_sentence_transformers.json",
    "*.safetensors", "*.safetensors.index.json", "model.onnx", "tokenizer*.json", "special_tokens_map.json",
    "added_tokens.json", "vocabulary.json", "vocab.json", "vocab.txt", "merges.txt", "*.spm",
    "sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
#: Files that say what the model is.
RECORD_FILES = (
    "README.md", "LICENSE", "LICENSE.*", "NOTICE", "metrics.json", "run.json", "profile.json", ".eval_results/*.yaml",
    "figures/*.png", "figures/*.svg",
)  # fmt: skip
#: Why others stay; the first pattern that fits is told.
LEFT_OUT = (
    ("checkpoints/*", "training state, needed only to continue the run here"),
    ("training_args.bin", "a pickle of the Trainer, not needed to use the model"),
    ("optimizer.pt", "training state"),
    ("scheduler.pt", "training state"),
    ("scaler.pt", "training state"),
    ("rng_state*.pth", "training state"),
    ("trainer_state.json", "training state"),
    ("*.parquet", "figures for each test example, needed only to compare runs here"),
    ("*.tsv", "texts of the test data"),
    ("benchmark_answers.json", "figures for each test example"),
    ("error_analysis.md", "quotes texts of the test data"),
    ("samples.md", "may quote texts of the data"),
    ("surprisal.html", "quotes texts of the test data"),
    ("*.tmp", "left by a process that died"),
)
#: Endings of formats that can run any program when they are opened.
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".h5", ".keras", ".msgpack")
#: The Hub takes no larger file.
LARGEST_FILE = 50 * 10**9


@dataclass(frozen=True)
class Selection:
    """What of a folder is pushed.

    Attributes:
        files: By path in the repository, sorted.
        left_out: Path, bytes and reason.
    """

    files: dict[str, Path]
    left_out: tuple[tuple[str, int, str], ...]


def select_files(folder: Path, include: Sequence[str] = ()) -> Selection:
    """Choose the files of a run folder or a saved model.

    Args:
        folder: Is not changed.
        include: Patterns of files that are wanted too.

    Raises:
        RunError: A wanted file is a pickle, a link out of the folder, empty where it must not be, or too large, or a
            pattern of `include` fits no file.
    """
    files: dict[str, Path] = {}
    left_out: list[tuple[str, int, str]] = []
    fitting = dict.fromkeys(include, False)
    for path, entry in _walk(folder):
        asked = [pattern for pattern in include if _fits(path, (pattern,))]
        fitting.update(dict.fromkeys(asked, True))
        reason = None if asked else _reason_to_leave(path)
        if reason is not None:
            left_out.append((path, entry.lstat().st_size, reason))
            continue
        _check_file(path, entry, folder)
        files[path] = entry
    for pattern, fits in fitting.items():
        if not fits:
            raise RunError(f"{folder} holds no file {pattern!r} that could be included.")
    return Selection(files, tuple(left_out))


def is_model_file(path: str) -> bool:
    """Tell whether a model is opened from such a file."""
    return _fits(path, MODEL_FILES)


def _walk(folder: Path) -> Iterable[tuple[str, Path]]:
    """Yield every file with its path from the folder, sorted; what lies behind links to folders is not entered."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            entry = Path(parent) / name
            found.append((entry.relative_to(folder).as_posix(), entry))
    yield from sorted(found)


def _reason_to_leave(path: str) -> str | None:
    for pattern, reason in LEFT_OUT:
        if _fits(path, (pattern,)):
            return reason
    if path.startswith(".eval_results/") and _fits(path, RECORD_FILES):
        return None
    if any(part.startswith(".") for part in path.split("/")):
        return "hidden"
    if path == MARKER_FILE:
        return "of an earlier push; it is written anew"
    # A pickle of weights is told, not left out: without it the model would be another one.
    if _fits(path, (*MODEL_FILES, *RECORD_FILES)) or path.endswith(PICKLES):
        return None
    return "no file that nlpladder writes; --hub_include (--include) adds it"


def _fits(path: str, patterns: Sequence[str]) -> bool:
    """Compare a path, or where the pattern names no folder its last part, with patterns."""
    name = path.rsplit("/", 1)[-1]
    return any(fnmatch.fnmatchcase(path if "/" in pattern else name, pattern) for pattern in patterns)


def _check_file(path: str, entry: Path, folder: Path) -> None:
    if entry.is_symlink() and not entry.resolve().is_relative_to(folder.resolve()):
        raise RunError(f"{entry} is a link out of the folder. Put the file itself there, or leave it out.")
    if not entry.is_file():
        raise RunError(f"{entry} is no regular file, so it cannot be pushed. Remove it or leave it out.")
    if path.endswith(PICKLES):
        raise RunError(
            f"{entry} is in a format that can run any program when it is opened (a pickle or its like); nlpladder "
            "pushes none. Save the model as safetensors (model.save_pretrained does), or move the file away."
        )
    size = entry.stat().st_size
    if size > LARGEST_FILE:
        raise RunError(
            f"{entry} has {size / 1e9:.1f} GB; the Hub takes files up to {LARGEST_FILE / 1e9:.0f} GB. Save the model "
            "in several parts (save_pretrained(..., max_shard_size='5GB'))."
        )
    if size == 0 and is_model_file(path):
        raise RunError(f"{entry} is empty: the model was not saved to its end. Save it again.")
