"""safetensors files that are opened without being read: arrays lie in the file as they do in memory.

The format is eight bytes with the length of a JSON header, the header, and the bytes of the arrays. The writer of the
safetensors package copies every array first; this one does not, and begins the arrays at a cache line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nlpladder.errors import ModelError

_CODES = {"I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U8": "|u1"}
_NAMES = {np.dtype(code): name for name, code in _CODES.items()}
_LINE = 64
CONFIG_NAME = "config.json"
ARRAYS_NAME = "model.safetensors"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a safetensors file, under a temporary name until all is written.

    Args:
        path: The file; replaced if it exists.
        arrays: By name; int64, uint64, float32, int32 or uint8.
    """
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, -item[1].nbytes, item[0]))
    header: dict[str, Any] = {"__metadata__": {"format": "np"}}
    begin = 0
    for name, array in ordered:
        header[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [begin, begin + array.nbytes],
        }
        begin += array.nbytes
    encoded = json.dumps(header).encode()
    encoded += b" " * (-(len(encoded) + 8) % _LINE)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(len(encoded).to_bytes(8, "little"))
            file.write(encoded)
            for _, array in ordered:
                np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tofile(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def map_arrays(path: Path) -> dict[str, np.ndarray]:
    """Map the arrays of a safetensors file into memory; what is never looked at is never read.

    The map is private: writing to an array would not change the file. (Read-only arrays are another type to compiled
    kernels, which would be compiled twice.)

    Raises:
        ModelError: when the file is missing, damaged or cut short.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, size)))
        raw = np.memmap(path, np.uint8, "c").view(np.ndarray)[8 + length :]
        arrays = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            if not 0 <= begin <= end <= raw.size:
                raise ValueError(f"{name} goes beyond the end of the file")
            arrays[name] = raw[begin:end].view(_CODES[entry["dtype"]]).reshape(entry["shape"])
    except FileNotFoundError:
        raise ModelError(f"{path.parent} holds no {path.name}, so it is not a saved nlpladder model.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged or cut short ({error}). Save or download the model again.") from error
    return arrays


def saved_folder(model_id: str, hub_arguments: Mapping[str, Any]) -> Path:
    """Return `model_id` when it is a folder, else its downloaded snapshot, sub-folders with models included."""
    if os.path.isdir(model_id):
        return Path(model_id)
    from huggingface_hub import HfApi

    known = {key: hub_arguments.get(key) for key in ("revision", "cache_dir", "force_download", "local_files_only")}
    given = {key: value for key, value in known.items() if value is not None}
    api = HfApi(token=hub_arguments.get("token"))
    return Path(api.snapshot_download(model_id, allow_patterns=[f"*{CONFIG_NAME}", f"*{ARRAYS_NAME}"], **given))


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the config of a model; it comes last, for a folder with a config is a complete model."""
    (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def read_config(folder: Path, model_type: str | None) -> dict[str, Any]:
    """Read the config of a model of some kind, or of any for None.

    Raises:
        ModelError: when there is none, it is damaged, or it belongs to another kind of model.
    """
    path = folder / CONFIG_NAME
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no {CONFIG_NAME}, so it is not a saved nlpladder model.") from None
    except ValueError as error:
        raise ModelError(f"{path} is damaged ({error}). Save or download the model again.") from error
    found = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(config, dict) or model_type not in (found, None):
        raise ModelError(
            f"{path} says model_type {found!r}, expected {model_type!r}. nlpladder.load() opens any of them."
        )
    return config
