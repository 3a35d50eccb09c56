"""`TrainingState`: word vectors in training, all that is needed to go on, and how it is kept on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nlpladder.config import build
from nlpladder.errors import ModelError, RunError
from nlpladder.models.vectors.word2vec.hierarchical_softmax import HuffmanTree
from nlpladder.models.vectors.word2vec.options import Word2VecOptions

STATE_NAME = "training_state.json"
FORMAT = "nlpladder_word2vec_training"
FORMAT_VERSION = 1
#: Options that decide which arrays there are and what they mean; they cannot change while training goes on.
STRUCTURE = ("architecture", "loss", "vector_size", "subwords", "min_n", "max_n", "num_buckets")


@dataclass(frozen=True)
class Progress:
    """Where the training stands.

    Attributes:
        stage: ``compiling`` (the first time on a machine: some seconds) or ``training``.
        epoch: The running epoch, from 1.
        epochs: All epochs.
        words_done: Tokens read in all epochs of this training, unknown ones included.
        words_total: Tokens to be read in all epochs.
        words_per_second: Speed since this call began.
        seconds_remaining: At this speed; None before there is one.
        learning_rate: The present step size.
    """

    stage: str
    epoch: int
    epochs: int
    words_done: int
    words_total: int
    words_per_second: float
    seconds_remaining: float | None
    learning_rate: float

    def __str__(self) -> str:
        """Return the line to show."""
        if self.stage == "compiling":
            return "Preparing the compiled code (some seconds the first time on this machine)"
        parts = [
            f"epoch {self.epoch} of {self.epochs}",
            f"{100 * self.words_done / max(self.words_total, 1):.1f} %",
            f"{self.words_per_second:,.0f} words/s",
            f"learning rate {self.learning_rate:.5f}",
        ]
        if self.seconds_remaining is not None:
            minutes, seconds = divmod(round(self.seconds_remaining), 60)
            parts.append(f"{minutes}:{seconds:02d} left")
        return ", ".join(parts)


@dataclass
class TrainingState:
    """Vectors between two epochs.

    Attributes:
        options: The settings of the training.
        words: The vocabulary; the most frequent first, words of later texts behind.
        counts: How often each word occurred in all texts; int64, shape (words,).
        inputs: Input rows, first the words', then those of the used buckets; float32, shape (rows, width). The width is
            `vector_size` rounded up, filled with zeros.
        outputs: Output rows, of the words (negative sampling) or of the tree's inner nodes; float32.
        used_buckets: Hash values of n-grams that have a row, sorted; int64, empty without sub-words.
        tree: The tree of hierarchical softmax, or None.
        corpus: Fingerprint of the text in training.
        finished_epochs: Whole epochs over that text.
        words_trained: Tokens read in all whole epochs, unknown ones included.
        extensions: How many times training was continued on new text.
    """

    options: Word2VecOptions
    words: list[str]
    counts: npt.NDArray[np.int64]
    inputs: npt.NDArray[np.float32]
    outputs: npt.NDArray[np.float32]
    used_buckets: npt.NDArray[np.int64]
    tree: HuffmanTree | None
    corpus: str
    finished_epochs: int = 0
    words_trained: int = 0
    extensions: int = 0

    @property
    def input_vectors(self) -> npt.NDArray[np.float32]:
        """The words' own input vectors; without sub-words, these are the word vectors. Shape (words, vector_size)."""
        return self.inputs[: len(self.words), : self.options.vector_size]

    @property
    def ngram_vectors(self) -> npt.NDArray[np.float32]:
        """The vectors of the used buckets; shape (used buckets, vector_size)."""
        return self.inputs[len(self.words) :, : self.options.vector_size]

    @property
    def output_vectors(self) -> npt.NDArray[np.float32]:
        """The output vectors, of words or inner nodes; shape (rows, vector_size)."""
        return self.outputs[:, : self.options.vector_size]

    def rows(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Return where the input rows of each word begin, shape (words + 1,), and the rows."""
        from nlpladder.models.vectors.subwords import hash_ngrams, input_rows

        if not self.options.subwords:
            return input_rows(len(self.words), None, self.used_buckets)
        options = self.options
        ngrams = hash_ngrams(self.words, min_n=options.min_n, max_n=options.max_n, num_buckets=options.num_buckets)
        return input_rows(len(self.words), ngrams, self.used_buckets)

    def word_vectors(self) -> npt.NDArray[np.float32]:
        """Return a copy of the finished vectors, shape (words, vector_size): with sub-words, the means of rows."""
        if not self.options.subwords:
            return np.ascontiguousarray(self.input_vectors)
        from nlpladder.models.vectors.word2vec.kernels import mean_input_rows
        from nlpladder.models.vectors.word2vec.row_kernels import padded_rows

        vectors = padded_rows(len(self.words), self.options.vector_size)
        mean_input_rows(self.inputs, *self.rows(), vectors)
        return np.ascontiguousarray(vectors[:, : self.options.vector_size])

    def num_parameters(self) -> int:
        """Count the numbers that are learnt."""
        return (len(self.inputs) + len(self.outputs)) * self.options.vector_size

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the state to a folder, as safetensors and json.

        The arrays are written under a new name first; then one rename of ``training_state.json`` makes them the valid
        ones. A process that dies at any moment leaves the last whole state.

        Args:
            folder: Made if needed. An earlier state of the same training in it is replaced.
            overwrite: Replace a state of another training too.

        Raises:
            RunError: if the folder holds another training, or other files and no state.
        """
        from safetensors.numpy import save_file

        folder = Path(folder)
        self._check_target(folder, overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            "input_vectors": self.input_vectors,
            "ngram_vectors": self.ngram_vectors,
            "output_vectors": self.output_vectors,
            "counts": self.counts,
            "used_buckets": self.used_buckets,
        }
        if self.tree is not None:
            arrays["tree_parents"] = self.tree.parents
        name = f"training_state-{self.extensions}-{self.finished_epochs}-{os.urandom(4).hex()}.safetensors"
        try:
            save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, folder / name)
            _flush(folder / name)
        except BaseException:
            (folder / name).unlink(missing_ok=True)
            raise
        header = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "arrays": name,
            "training": self._identity(),
            "options": dataclasses.asdict(self.options),
            "corpus": self.corpus,
            "finished_epochs": self.finished_epochs,
            "words_trained": self.words_trained,
            "extensions": self.extensions,
            "words": self.words,
        }
        temporary = folder / f".{STATE_NAME}.{os.getpid()}"
        temporary.write_text(json.dumps(header), encoding="utf-8")
        _flush(temporary)
        os.replace(temporary, folder / STATE_NAME)
        for leftover in [*folder.glob("training_state-*.safetensors"), *folder.glob(f".{STATE_NAME}.*")]:
            if leftover.name != name:
                leftover.unlink()

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: if there is no state, or it is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        from nlpladder.models.vectors.word2vec.row_kernels import padded_rows

        folder = Path(folder)
        header = _read_header(folder)
        try:
            options = build(Word2VecOptions, header["options"], where=str(folder / STATE_NAME))
            arrays = load_file(folder / header["arrays"])
            words, counts = header["words"], arrays["counts"]
            own, ngrams, outputs = arrays["input_vectors"], arrays["ngram_vectors"], arrays["output_vectors"]
            if not len(words) == len(counts) == len(own):
                raise ModelError(
                    f"{folder / STATE_NAME} names {len(words)} words, but {header['arrays']} holds {len(own)} vectors "
                    f"and {len(counts)} counts. The folder holds parts of two trainings; take an earlier copy."
                )
            inputs = padded_rows(len(own) + len(ngrams), options.vector_size)
            inputs[: len(own), : options.vector_size] = own
            inputs[len(own) :, : options.vector_size] = ngrams
            padded_outputs = padded_rows(len(outputs), options.vector_size)
            padded_outputs[:, : options.vector_size] = outputs
            tree = HuffmanTree(arrays["tree_parents"], len(words)) if "tree_parents" in arrays else None
            return cls(
                options=options,
                words=words,
                counts=counts,
                inputs=inputs,
                outputs=padded_outputs,
                used_buckets=arrays["used_buckets"],
                tree=tree,
                corpus=header["corpus"],
                finished_epochs=header["finished_epochs"],
                words_trained=header["words_trained"],
                extensions=header["extensions"],
            )
        except (KeyError, TypeError, OSError, SafetensorError) as error:
            raise ModelError(
                f"The training state in {folder} is damaged ({type(error).__name__}: {error}). Take an earlier copy or "
                "train again."
            ) from error

    def _identity(self) -> str:
        """Return what stays the same while one training goes on."""
        options = dataclasses.asdict(self.options)
        for name in ("epochs", "num_threads"):
            del options[name]
        return hashlib.sha256(json.dumps([options, self.corpus, self.extensions], sort_keys=True).encode()).hexdigest()

    def _check_target(self, folder: Path, overwrite: bool) -> None:
        """Refuse to replace what is not an earlier state of this training."""
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is a file; a training state needs a folder. Choose another name.")
        if overwrite or not folder.is_dir():
            return
        if (folder / STATE_NAME).is_file():
            if _read_header(folder).get("training") != self._identity():
                raise RunError(
                    f"{folder} holds the state of another training (other options or another text). Choose another "
                    "folder, or save with overwrite=True."
                )
        elif any(not path.name.startswith(("training_state-", f".{STATE_NAME}")) for path in folder.iterdir()):
            raise RunError(f"{folder} holds other files and no training state. Choose another folder.")


def _read_header(folder: Path) -> dict[str, Any]:
    """Read ``training_state.json``."""
    path = folder / STATE_NAME
    if not path.is_file():
        raise ModelError(f"There is no training state in {folder}: {STATE_NAME} is missing.")
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is damaged ({error}). Take an earlier copy or train again.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("format_version") != FORMAT_VERSION:
        raise ModelError(f"{path} is not a word2vec training state of version {FORMAT_VERSION}. Train again.")
    return header


def _flush(path: Path) -> None:
    """Wait until a file is on the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
