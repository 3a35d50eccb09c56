"""`Workspace`: arrays in memory while they fit a bound, and in memory-mapped files beyond it."""

from __future__ import annotations

import contextlib
import mmap
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import RunError

MEBIBYTE = 1 << 20
#: Part of the bound that long-lived arrays may take; the rest is for what comes and goes around them.
_SHARE = 0.65
#: Entries that a growing array gains at least.
_GROWTH = 1 << 19
_CGROUP = Path("/sys/fs/cgroup")

AnyArray = npt.NDArray[Any]


class Workspace:
    """Gives out arrays and counts those that are still alive.

    A file loses its name as soon as it is mapped, where the system allows that: nothing is left behind, however the
    program ends. Its pages belong to the system's cache, which takes them back when memory is short.

    Args:
        memory: The bound in MiB; by default what is free when the workspace is made.
        folder: Where files go; by default the system's folder for temporary files.
    """

    def __init__(self, memory: int | None = None, folder: Path | None = None) -> None:
        bound = free_memory() if memory is None else memory * MEBIBYTE
        self.budget = int(bound * _SHARE)
        self._ledger = _Ledger()
        self.spilled = 0
        self._parent = folder
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._number = 0

    def empty(self, size: int, dtype: npt.DTypeLike) -> AnyArray:
        """Return an array of shape (size,); what it holds is not defined."""
        dtype = np.dtype(dtype)
        if size == 0 or self.reserve(size * dtype.itemsize):
            array = paged(size, dtype)
            self.release_with(array)
            return array
        return self.mapped(self.new_file(), size, dtype, "w+")

    def full(self, size: int, value: float, dtype: npt.DTypeLike) -> AnyArray:
        """Return an array of shape (size,) that holds `value` everywhere."""
        array = self.empty(size, dtype)
        array[:] = value
        return array

    def reserve(self, size_in_bytes: int) -> bool:
        """Count that much more as used, if it stays within the bound; return whether it does."""
        if self._ledger.live + size_in_bytes > self.budget:
            return False
        self._ledger.live += size_in_bytes
        return True

    def available(self) -> int:
        """Return how many bytes are left within the bound."""
        return max(self.budget - self._ledger.live, 0)

    def release(self, size_in_bytes: int) -> None:
        """Count that much less as used."""
        self._ledger.release(size_in_bytes)

    @contextlib.contextmanager
    def holding(self, size_in_bytes: int) -> Iterator[None]:
        """Count that much as used meanwhile, whether or not it stays within the bound: memory that others take."""
        self._ledger.live += size_in_bytes
        try:
            yield
        finally:
            self.release(size_in_bytes)

    def release_with(self, array: AnyArray) -> None:
        """Count an array's bytes as free once it is gone."""
        weakref.finalize(array, self._ledger.release, array.nbytes)

    def mapped(self, path: Path, size: int, dtype: npt.DTypeLike, mode: Any) -> AnyArray:
        """Map a file of the workspace's folder and take away its name."""
        try:
            array = np.asarray(np.memmap(path, dtype=dtype, mode=mode, shape=(size,)))
        except OSError as error:
            raise RunError(
                f"Cannot keep {size * np.dtype(dtype).itemsize / MEBIBYTE:,.0f} MiB in {path.parent} ({error}). Give a "
                "folder with more room, or allow more memory."
            ) from error
        self.spilled += array.nbytes
        with contextlib.suppress(OSError):  # Windows keeps a mapped file; it goes with the folder
            path.unlink()
        return array

    def close(self) -> None:
        """Remove the folder; arrays that are mapped stay valid."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def new_file(self) -> Path:
        """Return a new path in the workspace's folder."""
        if self._folder is None:
            if self._parent is not None:
                self._parent.mkdir(parents=True, exist_ok=True)
            self._folder = tempfile.TemporaryDirectory(prefix=".ngrams-", dir=self._parent, ignore_cleanup_errors=True)
        self._number += 1
        return Path(self._folder.name) / f"{self._number}.bin"


def paged(size: int, dtype: npt.DTypeLike) -> AnyArray:
    """Return an array of shape (size,) in pages of its own, which the system has back as soon as the array is gone.

    What the allocator of the C library gets back it may keep for later, which no bound could count. Pages that are not
    written to take no memory.
    """
    dtype = np.dtype(dtype)
    size_in_bytes = size * dtype.itemsize
    return np.frombuffer(_new_pages(size_in_bytes), dtype, size) if size_in_bytes else np.empty(size, dtype)


def _new_pages(size_in_bytes: int) -> mmap.mmap:
    try:
        if hasattr(mmap, "MAP_PRIVATE"):  # else Windows
            return mmap.mmap(-1, size_in_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return mmap.mmap(-1, size_in_bytes)
    except OSError as error:
        raise MemoryError(f"The system has no {size_in_bytes / MEBIBYTE:,.0f} MiB of memory left ({error}).") from error


class _Ledger:
    """Bytes in use. It outlives the workspace, for arrays do."""

    def __init__(self) -> None:
        self.live = 0

    def release(self, size_in_bytes: int) -> None:
        self.live -= size_in_bytes


class GrowingArray:
    """An array of unknown length, written from front to back.

    In memory it grows where it stands, which the system does by moving pages, not bytes (where it cannot, the entries
    are copied); when the bound is reached what there is goes to a file, and the rest follows it.

    Args:
        workspace: Where its entries go.
        dtype: Of the entries.
    """

    def __init__(self, workspace: Workspace, dtype: npt.DTypeLike) -> None:
        self._workspace = workspace
        self._array = np.empty(0, dtype)
        self._pages: mmap.mmap | None = None
        self._path: Path | None = None
        self.size = 0

    def append(self, entries: AnyArray) -> None:
        """Write entries after those before."""
        if self._path is None and self.size + entries.size > self._array.size:
            self._grow(entries.size)
        if self._path is None:
            self._array[self.size : self.size + entries.size] = entries
        else:
            self._write(entries.astype(self._array.dtype, copy=False))
        self.size += entries.size

    def finish(self) -> AnyArray:
        """Return all entries, shape (size,)."""
        if self._path is not None and self.size:
            return self._workspace.mapped(self._path, self.size, self._array.dtype, "r+")
        spare = self._array.nbytes - self.size * self._array.itemsize
        self._resize(self.size)
        self._workspace.release(spare)
        array, self._array, self._pages = self._array, np.empty(0, self._array.dtype), None
        self._workspace.release_with(array)
        return array

    def _grow(self, needed: int) -> None:
        more = max(needed, _GROWTH, self._array.size // 8)
        if self._workspace.reserve(more * self._array.itemsize):
            self._resize(self._array.size + more)
            return
        self._path = self._workspace.new_file()
        self._write(self._array[: self.size])
        self._workspace.release(self._array.nbytes)
        self._array, self._pages = np.empty(0, self._array.dtype), None

    def _resize(self, size: int) -> None:
        dtype, used = self._array.dtype, min(self.size, size)
        if self._pages is not None and size:
            self._array = np.empty(0, dtype)  # the pages must not be looked at while they move
            try:
                self._pages.resize(size * dtype.itemsize)
                self._array = np.frombuffer(self._pages, dtype, size)
                return
            except (SystemError, OSError):  # not on this system, or not at this place
                self._array = np.frombuffer(self._pages, dtype, used)
        entries, pages = self._array, _new_pages(size * dtype.itemsize) if size else None
        self._array = np.empty(0, dtype) if pages is None else np.frombuffer(pages, dtype, size)
        self._array[:used] = entries[:used]
        self._pages = pages

    def _write(self, entries: AnyArray) -> None:
        assert self._path is not None
        try:
            with self._path.open("ab") as file:
                entries.tofile(file)
        except OSError as error:
            raise RunError(
                f"Cannot write n-grams to {self._path.parent} ({error}). Give a folder with more room, or allow more "
                "memory."
            ) from error


def free_memory() -> int:
    """Return how many bytes are free: of the machine, or of the control group that the process runs in."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # no control group, or one without a limit
        return free
    return min(free, max(limit - used, 0))
