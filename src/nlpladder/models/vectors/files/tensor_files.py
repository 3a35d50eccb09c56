"""safetensors files, written block by block and read through a memory map.

The format is a header of 8 bytes with the length of a JSON table, the table, and the numbers. Writing in blocks needs
no second copy of a large matrix; mapping needs no copy at all.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlpladder.errors import ModelError

_NAMES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1"}
_CODES = {np.dtype(layout): name for name, layout in _NAMES.items()}


@dataclass(frozen=True)
class Tensor:
    """A tensor to be written: its blocks of rows follow one another.

    Attributes:
        dtype: Type of the numbers on disk.
        shape: Shape of the whole.
        blocks: Arrays that together are the whole.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: Iterable[np.ndarray]

    @classmethod
    def of(cls, array: np.ndarray) -> Tensor:
        """Return the tensor of one array."""
        return cls(array.dtype, array.shape, [array])


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file.

    Args:
        path: The file, overwritten.
        tensors: By name. Wider numbers are put first, so that all are aligned.
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    table: dict[str, object] = {"__metadata__": {"format": "np"}}
    place = 0
    for name, tensor in ordered:
        size = int(np.prod(tensor.shape)) * tensor.dtype.itemsize
        table[name] = {
            "dtype": _CODES[tensor.dtype.newbyteorder("<")],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + size],
        }
        place += size
    header = json.dumps(table).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for _, tensor in ordered:
            for block in tensor.blocks:
                file.write(np.ascontiguousarray(block, tensor.dtype.newbyteorder("<")).data)


def map_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a safetensors file as read-only views of a memory map; types unknown to NumPy are left out.

    Raises:
        ModelError: If the file is missing, damaged or cut short.
    """
    try:
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise ModelError(f"{path.parent} holds no {path.name}, so it is no saved model.") from None
    except ValueError:
        raise ModelError(f"{path} is empty. Save or download the model again.") from None
    try:
        length = int.from_bytes(mapped[:8], "little")
        if len(mapped) < 8 + length:
            raise ValueError("the header ends early")
        table = json.loads(mapped[8 : 8 + length])
        tensors = {}
        for name, entry in table.items():
            if name == "__metadata__" or entry["dtype"] not in _NAMES:
                continue
            first, last = entry["data_offsets"]
            dtype = np.dtype(_NAMES[entry["dtype"]])
            count = int(np.prod(entry["shape"], dtype=np.int64))
            if last - first != count * dtype.itemsize or not 0 <= first <= last <= len(mapped) - 8 - length:
                raise ValueError(f"{name} ends after the file does")
            tensors[name] = np.frombuffer(mapped, dtype, count, 8 + length + first).reshape(entry["shape"])
    except (ValueError, KeyError, TypeError, UnicodeDecodeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged or cut short ({error}). Save or download the model again.") from error
    return tensors
