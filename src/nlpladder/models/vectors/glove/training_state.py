"""`GloveState`: everything that GloVe has learnt, saved so that a killed process never leaves half a state."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.config import build
from nlpladder.errors import ModelError, RunError
from nlpladder.models.vectors.glove.options import GloveOptions

Float32Array = npt.NDArray[np.float32]
STATE_FILE = "glove_state.json"
ARRAYS = ("word_vectors", "context_vectors", "word_squares", "context_squares", "word_biases", "context_biases")


@dataclass(frozen=True)
class GloveState:
    """GloVe between two epochs.

    Attributes:
        words: The vocabulary.
        counts: How often each word occurred; int64, shape (words,).
        options: With which it was trained.
        word_vectors: float32, shape (words, vector_size).
        context_vectors: float32, shape (words, vector_size).
        word_squares: 1 + the sum of squared steps: of each number, float32, shape (words, vector_size); with
            ``row_adagrad`` of each vector, shape (words, 1).
        context_squares: As `word_squares`, of the context vectors.
        word_biases: Bias and 1 + the sum of its squared steps; float32, shape (words, 2).
        context_biases: As `word_biases`, of the context words.
        finished_epochs: Passes over the co-occurrences so far.
        costs: The cost of each of them, a mean over the records.
        num_records: Co-occurrences that it was trained on; 0 before training.
        num_skipped: Records left out so far because their error was no finite number.
    """

    words: list[str]
    counts: npt.NDArray[np.int64]
    options: GloveOptions
    word_vectors: Float32Array
    context_vectors: Float32Array
    word_squares: Float32Array
    context_squares: Float32Array
    word_biases: Float32Array
    context_biases: Float32Array
    finished_epochs: int = 0
    costs: tuple[float, ...] = field(default=())
    num_records: int = 0
    num_skipped: int = 0

    def vectors(self) -> Float32Array:
        """Return the final vectors that ``options.output`` asks for.

        Returns:
            float32, shape (words, vector_size), or (words, 2 vector_size) for ``both``.
        """
        if self.options.output == "sum":
            return self.word_vectors + self.context_vectors
        if self.options.output == "word":
            return self.word_vectors.copy()
        return np.concatenate([self.word_vectors, self.context_vectors], axis=1)

    def save(self, folder: str | Path) -> None:
        """Write the state to a folder; an older state there is replaced in one step, and removed only then.

        Raises:
            RunError: when the folder cannot be written.
        """
        from safetensors.numpy import save_file

        folder = Path(folder)
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in ARRAYS}
        name = f"glove_state-{self.finished_epochs:04d}-{os.urandom(4).hex()}.safetensors"
        description = {
            "arrays": name,
            "options": asdict(self.options),
            "finished_epochs": self.finished_epochs,
            "costs": self.costs,
            "num_records": self.num_records,
            "num_skipped": self.num_skipped,
            "words": self.words,
        }
        temporary = folder / f"{name}.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_file({**arrays, "counts": self.counts}, folder / name)
            temporary.write_text(json.dumps(description), encoding="utf-8")
            for path in (folder / name, temporary):
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
            temporary.replace(folder / STATE_FILE)  # from this moment on, the new state is the state
        except OSError as error:
            for path in (folder / name, temporary):
                with contextlib.suppress(OSError):
                    path.unlink()
            raise RunError(
                f"The state of the training cannot be written to {folder}: {error.strerror or error}. An older state "
                "there is unharmed. Free some space or name another folder."
            ) from error
        for old in folder.glob("glove_state-*.safetensors*"):
            if old.name != name:
                old.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | Path) -> GloveState:
        """Read what `save` wrote.

        Raises:
            ModelError: when files are missing, damaged or do not fit together.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(folder)
        try:
            saved: dict[str, Any] = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
            arrays = load_file(folder / saved["arrays"])
            state = cls(
                words=saved["words"],
                counts=arrays["counts"],
                options=build(GloveOptions, saved["options"], where=str(folder / STATE_FILE)),
                finished_epochs=saved["finished_epochs"],
                costs=tuple(saved["costs"]),
                num_records=saved["num_records"],
                num_skipped=saved["num_skipped"],
                **{name: arrays[name] for name in ARRAYS},
            )
        except FileNotFoundError as error:
            raise ModelError(f"{folder} holds no state of a GloVe training: {error.filename} is missing.") from None
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(f"The state in {folder} is damaged ({error}). Train again.") from error
        sizes = {len(state.words), *(len(array) for array in arrays.values())}
        if len(sizes) > 1:
            raise ModelError(f"The files in {folder} do not belong together: {sorted(sizes)} words. Train again.")
        return state
