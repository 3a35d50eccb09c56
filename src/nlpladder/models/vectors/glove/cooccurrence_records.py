"""Counted co-occurrences: the records that GloVe reads, in memory or on disk.

The counts are cut into a grid of blocks, and shuffled inside each block: in this order GloVe reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ModelError
from nlpladder.models.vectors.glove.cooccurrence_files import RECORD_FILES, Workspace, append_records

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """The co-occurrences of one block of rows.

    Attributes:
        rows: Slot of the row's word; int32, shape (records,).
        columns: Slot of the column's word; int32, shape (records,).
        values: How often they occur together; float32, shape (records,).
        block_starts: Where the records of each block of columns begin, and the end; int64, shape (blocks + 1,).
    """

    rows: Int32Array
    columns: Int32Array
    values: npt.NDArray[np.float32]
    block_starts: Int64Array


@dataclass(frozen=True)
class Cooccurrences:
    """Counts of pairs of words.

    Words are dealt to the blocks like cards, so that frequent words are spread evenly. The *slots* number the words
    block by block: rows of one block lie side by side in memory.

    Attributes:
        words: The vocabulary, the most frequent word first.
        counts: How often each word occurs; int64, shape (words,).
        order: The word in each slot; int32, shape (words,).
        borders: The first slot of each block, and the end; int64, shape (blocks + 1,).
        segments: The counts, one segment for each block of rows, in memory or memory-mapped.
        settings: Of the options, those that the counts depend on.
    """

    words: list[str]
    counts: Int64Array
    order: Int32Array
    borders: Int64Array
    segments: tuple[Segment, ...]
    settings: dict[str, Any]

    @property
    def num_records(self) -> int:
        """Number of pairs that occur together."""
        return sum(segment.rows.size for segment in self.segments)

    def records(self) -> Iterator[tuple[Int32Array, Int32Array, npt.NDArray[np.float32]]]:
        """Yield the numbers of the rows' words, of the columns' words, and the counts, segment by segment."""
        for segment in self.segments:
            yield self.order[segment.rows], self.order[segment.columns], segment.values

    def to_sparse(self) -> Any:
        """Return the counts as a ``scipy.sparse.csr_matrix`` of shape (words, words), for PMI, LSA and the like."""
        from scipy.sparse import csr_matrix

        rows, columns, values = (np.concatenate(parts) for parts in zip(*self.records(), strict=True))
        return csr_matrix((values, (rows, columns)), shape=(len(self.words), len(self.words)))

    def save(self, folder: str | Path) -> None:
        """Write the counts to a new folder, so that training can be started again without counting.

        Raises:
            RunError: when the folder holds something, or cannot be written.
        """
        with Workspace(Path(folder)) as workspace:
            for segment in self.segments:
                append_records(workspace.path, segment.rows, segment.columns, segment.values)
            self.write_index(workspace.path, [segment.block_starts for segment in self.segments])
            workspace.keep()

    def write_index(self, path: Path, block_starts: Sequence[Int64Array]) -> None:
        """Write all but the records to a folder."""
        from safetensors.numpy import save_file

        arrays: dict[str, npt.NDArray[Any]] = {"counts": self.counts, "order": self.order, "borders": self.borders}
        save_file({**arrays, "block_starts": np.stack(block_starts)}, path / "index.safetensors")
        description = {"settings": self.settings, "words": self.words}
        (path / "cooccurrences.json").write_text(json.dumps(description), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Cooccurrences:
        """Open what `save` or a spilled `count_cooccurrences` wrote; the records stay on disk.

        Raises:
            ModelError: when files are missing, damaged or cut short.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(folder)
        try:
            description = json.loads((folder / "cooccurrences.json").read_text(encoding="utf-8"))
            arrays = load_file(folder / "index.safetensors")
            starts = arrays["block_starts"]
            total = int(starts[:, -1].sum())
            # Copy on write: never written, but what is read-only would be a type of its own to the kernels.
            rows, columns, values = (
                np.asarray(np.memmap(folder / name, kind, "c", 0, total)) for name, kind in RECORD_FILES.items()
            )
        except FileNotFoundError as error:
            raise ModelError(f"{folder} holds no saved co-occurrences: {error.filename} is missing.") from None
        except (ValueError, KeyError, SafetensorError) as error:
            raise ModelError(f"The co-occurrences in {folder} are damaged ({error}). Count them again.") from error
        ends = np.cumsum(starts[:, -1]).tolist()
        places = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
        segments = tuple(
            Segment(rows[place], columns[place], values[place], starts[block]) for block, place in enumerate(places)
        )
        settings, words = description["settings"], description["words"]
        return cls(words, arrays["counts"], arrays["order"], arrays["borders"], segments, settings)
