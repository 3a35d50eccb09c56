"""Co-occurrences that do not fit into memory: a folder that appears only when it is complete, and the files in it."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, RunError
from nlpladder.text.encoding import EncodedCorpus

Result = TypeVar("Result")
RECORD_FILES = {"rows.bin": np.int32, "columns.bin": np.int32, "values.bin": np.float32}
RUN_KINDS = (np.int32, np.int32, np.int64)  # of rows, columns and sums
_CHUNK = 1 << 22


class Workspace:
    """A temporary folder beside the folder to be made; made when first asked for, removed unless it is kept.

    An error of the operating system inside the ``with`` block becomes a `RunError`.

    Args:
        folder: The folder to be made, or None if there is none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._temporary: Path | None = None

    def __enter__(self) -> Workspace:
        if self._folder is not None and self._folder.is_dir() and any(self._folder.iterdir()):
            raise RunError(f"The folder {self._folder} holds something. Name a new one, or remove it.")
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise RunError(
                f"Co-occurrences cannot be written to {self._folder}: {error.strerror or error}. Nothing was left "
                "there. Free some space or name another folder."
            ) from error

    @property
    def path(self) -> Path:
        """The temporary folder."""
        if self._temporary is None:
            if self._folder is None:
                raise ConfigError(
                    "The co-occurrences need more memory than the option memory allows, and there is no folder for the "
                    "rest. Give a folder, or more memory, or a larger min_count or smaller max_vocabulary."
                )
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._temporary = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}-", dir=self._folder.parent))
        return self._temporary

    def keep(self) -> Path:
        """Give the temporary folder its final name, and return that."""
        assert self._folder is not None
        path = self.path
        for leftover in path.glob("*.tmp"):
            leftover.unlink()
        if self._folder.is_dir():
            self._folder.rmdir()
        path.chmod(0o755)
        path.rename(self._folder)
        self._temporary = None
        return self._folder

    def kept_ids(self, corpus: EncodedCorpus, slots: npt.NDArray[np.int32], *, in_memory: bool) -> Any:
        """Return the corpus with its words renamed and other words left out, in memory or memory-mapped."""
        if in_memory:
            return corpus.remapped(slots)
        from nlpladder.text.encoding_kernels import rename_ids

        path = self.path / "ids.tmp"
        renamed = np.empty(_CHUNK, np.int32)
        with path.open("wb") as file:
            for begin in range(0, corpus.ids.size, _CHUNK):
                chunk = np.array(corpus.ids[begin : begin + _CHUNK])
                renamed[: rename_ids(chunk, slots, True, renamed)].tofile(file)
        if not path.stat().st_size:
            return np.empty(0, np.int32)
        return np.asarray(np.memmap(path, np.int32, "c"))


class RunFile:
    """What one stretch of the corpus adds to the counts, block of rows after block of rows."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_suffix(".tmp")
        self._sizes: list[int] = []

    def __enter__(self) -> RunFile:
        self._file = self._path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, *arrays: npt.NDArray[Any]) -> None:
        """Append the rows, columns and sums of the next block."""
        for array in arrays:
            array.tofile(self._file)
        self._sizes.append(arrays[0].size)

    def read(self, block: int) -> tuple[npt.NDArray[Any], ...]:
        """Return the rows, columns and sums of a block."""
        size = self._sizes[block]
        with self._path.open("rb") as file:
            file.seek(sum(self._sizes[:block]) * sum(np.dtype(kind).itemsize for kind in RUN_KINDS))
            return tuple(np.fromfile(file, kind, size) for kind in RUN_KINDS)


def append_records(
    folder: Path,
    rows: npt.NDArray[np.int32],
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
) -> None:
    """Append records to the files of a folder."""
    for name, array in zip(RECORD_FILES, (rows, columns, values), strict=True):
        with (folder / name).open("ab") as file:
            array.tofile(file)


def ordered_results(
    pool: ThreadPoolExecutor, function: Callable[[int], Result], size: int, num_threads: int
) -> Iterator[Result]:
    """Yield ``function(0)``, ``function(1)``, … from threads that run a little ahead: results do not pile up."""
    waiting: deque[Future[Result]] = deque()
    try:
        for number in range(size):
            waiting.append(pool.submit(function, number))
            if len(waiting) > num_threads + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
