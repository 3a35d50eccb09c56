"""Looking at the files of a saved model before anything is built from them, as they may come from a stranger.

Only safetensors and json are opened, never a pickle; a safetensors header is checked against its file before a byte is
allocated from it; no file leads out of its folder; and nothing may ask for code that came with the model.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpladder.errors import ModelError

CONFIG_NAME = "config.json"
ADAPTER_CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME, ADAPTER_WEIGHTS_NAME = "model.safetensors", "adapter_model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
#: Settings are small; vocabularies of millions of words are not.
MAX_SETTINGS_BYTES, MAX_VOCABULARY_BYTES = 16 * 2**20, 512 * 2**20
#: The largest header that is read: about a hundred thousand tensors. The format itself allows 100 MB.
MAX_HEADER_BYTES = 16 * 2**20
_MAX_INDEX_BYTES = 64 * 2**20

#: json files that are read here; those of tokenizers may hold a whole vocabulary and are only measured.
SETTINGS = (
    CONFIG_NAME, ADAPTER_CONFIG_NAME, "generation_config.json", "tokenizer_config.json", "special_tokens_map.json",
    "modules.json", "translator.json", "base.json",
)  # fmt: skip
VOCABULARIES = (
    "tokenizer.json", "vocab.json", "vocabulary.json", "added_tokens.json", "merges.txt", "vocab.txt",
    "spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "source.spm", "target.spm",
)  # fmt: skip
#: Tokenizers of transformers that need no file: each byte or character is a token.
_SPELLERS = ("ByT5Tokenizer", "CanineTokenizer", "DiaTokenizer", "PerceiverTokenizer")
#: Endings of weights that are not opened: most can run any program when they are, the others are of other libraries.
UNSAFE_ENDINGS = (
    ".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".npy", ".npz", ".h5", ".msgpack", ".gguf", ".onnx",
)  # fmt: skip

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True)
class WeightSizes:
    """How large the tensors of a saved model are.

    Attributes:
        tensors: How many there are.
        numbers: In all of them.
        largest_side: The longest dimension of any.
    """

    tensors: int = 0
    numbers: int = 0
    largest_side: int = 0

    def __add__(self, other: WeightSizes) -> WeightSizes:
        """Return the sizes of both together."""
        return WeightSizes(
            self.tensors + other.tensors,
            self.numbers + other.numbers,
            max(self.largest_side, other.largest_side),
        )


def read_header(path: Path) -> dict[str, dict[str, Any]]:
    """Return the tensors that a safetensors file says it holds, each checked against the bytes that are there.

    Args:
        path: The file.

    Raises:
        ModelError: The header is longer than the file or than is sane, is no JSON object, or a tensor's type and shape
            do not fit its bytes, which must follow each other without gaps and end where the file ends.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise ValueError(f"its header claims {length:,} bytes, the file has {size:,}")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"its header claims {length:,} bytes, more than the {MAX_HEADER_BYTES:,} of any model")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
        header.pop("__metadata__", None)
        _check_layout(header, size - 8 - length)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error}). Save or download the model again.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = "its header is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ModelError(f"{path} is damaged or cut short: {reason}. Save or download the model again.") from error
    return header


def _check_layout(header: Mapping[str, Any], room: int) -> None:
    """Check that the tensors fill the room behind the header, one after the other."""
    end = 0
    for begin, stop, name in sorted(_extent(name, entry) for name, entry in header.items()):
        if begin != end:
            raise ValueError(f"{name[:80]!r} begins at byte {begin:,}, expected {end:,}")
        end = stop
    if end != room:
        raise ValueError(f"its tensors claim {end:,} bytes, the file has {room:,} for them")


def _extent(name: str, entry: Mapping[str, Any]) -> tuple[int, int, str]:
    """Return where a tensor begins and stops, and its name, once its type and shape are seen to need that room."""
    offsets, shape, bits = entry["data_offsets"], entry["shape"], _BITS.get(entry["dtype"])
    if bits is None:
        raise ValueError(f"{name[:80]!r} has the unknown type {str(entry['dtype'])[:40]!r}")
    if not all(type(side) is int and side >= 0 for side in (*offsets, *shape)):
        raise ValueError(f"{name[:80]!r} has a size that is no whole number from 0 on")
    if len(offsets) != 2:
        raise ValueError(f"{name[:80]!r} has {len(offsets)} offsets, expected where it begins and where it stops")
    begin, stop = offsets
    if math.prod(shape) * bits != 8 * (stop - begin):
        raise ValueError(f"{name[:80]!r} of shape {shape[:6]} does not fit its {stop - begin:,} bytes")
    return begin, stop, name


def sizes_of(headers: Iterable[Mapping[str, Mapping[str, Any]]]) -> WeightSizes:
    """Return the sizes of the tensors of some headers together.

    Args:
        headers: From `read_header`.
    """
    total = WeightSizes()
    for header in headers:
        shapes = [entry["shape"] for entry in header.values()]
        total += WeightSizes(
            len(shapes), sum(map(math.prod, shapes)), max((side for shape in shapes for side in shape), default=0)
        )
    return total


def check_settings_files(folder: Path, *, name: str) -> None:
    """Look at all settings and vocabularies of a folder that a model could be built from, and of its sub-folders.

    Args:
        folder: Of the model.
        name: Of the model, for messages.

    Raises:
        ModelError: A file is damaged, too large, or a link out of the folder; or the model wants its own code run.
    """
    for place in [folder, *_parts_of(folder)]:
        present = {entry.name for entry in os.scandir(place)}
        for file in (place / file for file in (*SETTINGS, *VOCABULARIES) if file in present):
            check_link(folder, file)
            if file.name not in SETTINGS:
                if (size := file.stat().st_size) > MAX_VOCABULARY_BYTES:
                    raise ModelError(
                        f"{file} has {size:,} bytes, more than the {MAX_VOCABULARY_BYTES:,} that a vocabulary may have."
                    )
                continue
            settings = read_settings(file)
            if "auto_map" in settings:
                raise ModelError(
                    f"The {file.name} of {name} asks for Python code that comes with the model to be run (auto_map). "
                    "nlpladder runs no code of models. If transformers has this architecture itself, save a copy of "
                    f"the folder without auto_map in {file.name}."
                )
            for key in ("transformers_weights", "fast_tokenizer_files"):
                wanted = settings.get(key) or []
                for one in wanted if isinstance(wanted, list) else [wanted]:
                    check_inside(place, one, str(file))
            if file.name == "modules.json":
                for module in settings.get("", []):
                    path = module.get("path") if isinstance(module, dict) else None
                    check_inside(folder, path or ".", str(file))


def _parts_of(folder: Path, depth: int = 2) -> list[Path]:
    """Return the sub-folders that hold parts of a model: models inside a model, further tokenizers."""
    names = ("target_tokenizer", "0_StaticEmbedding", "base_model")
    found = [folder / name for name in names if (folder / name).is_dir()]
    config = read_settings(folder / CONFIG_NAME) if (folder / CONFIG_NAME).is_file() else {}
    models = config.get("models")
    if isinstance(models, list) and str(config.get("model_type", "")).startswith("nlpladder_"):
        found += [check_inside(folder, name, str(folder / CONFIG_NAME)) for name in models]
    for part in found:
        check_link(folder, part)
    found = [part for part in found if part.is_dir()]
    return [*found, *(inner for part in found if depth > 1 for inner in _parts_of(part, depth - 1))]


def read_settings(path: Path, *, limit: int = MAX_SETTINGS_BYTES) -> dict[str, Any]:
    """Return a json file that holds settings.

    Args:
        path: The file.
        limit: Bytes that such a file may have.

    Raises:
        ModelError: It is too large, nested too deeply, holds numbers of thousands of digits, or is no JSON object.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise ModelError(f"{path} has {size:,} bytes, more than the {limit:,} that such a file may have.")
        found = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ModelError(f"{path} is nested too deeply to be read. It is no file of a model.") from None
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The {path.name} of {path.parent} is damaged ({error}). Save or download the model again."
        ) from error
    if not isinstance(found, (dict, list)):
        raise ModelError(f"{path} is damaged: expected a JSON object. Save or download the model again.")
    return found if isinstance(found, dict) else {"": found}


def check_inside(folder: Path, name: Any, where: str) -> Path:
    """Return the file `name` of a folder, which must lie in it.

    Args:
        folder: Of the model.
        name: As another file gives it.
        where: That file, for the message.

    Raises:
        ModelError: The name leads out of the folder, directly or through a link.
    """
    if not isinstance(name, str) or not name or name != name.strip() or "\0" in name:
        raise ModelError(f"{where} names the file {str(name)[:80]!r}, which is no name. The model is refused.")
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\", "~")) or ".." in parts or (len(name) > 1 and name[1] == ":"):
        raise ModelError(f"{where} names the file {name[:80]!r}, which lies outside its folder. The model is refused.")
    file = folder / name
    check_link(folder, file)
    return file


def check_link(folder: Path, file: Path) -> None:
    """Refuse a file that is a link out of its folder; the Hub's cache, where all files are links, is let pass.

    Args:
        folder: Of the model.
        file: In it.

    Raises:
        ModelError: It leads elsewhere.
    """
    target, home = os.path.realpath(file), os.path.realpath(folder)
    if target == home or target.startswith(home + os.sep):
        return
    # …/models--owner--name/snapshots/COMMIT/file -> …/models--owner--name/blobs/HASH
    if Path(home).parent.name == "snapshots" and target.startswith(str(Path(home).parent.parent / "blobs") + os.sep):
        return
    raise ModelError(
        f"{file} is a link to a file outside {folder}. Put the file itself there, so that only the model is read."
    )


def weight_files(folder: Path, name: str) -> list[Path]:
    """Return the weight files that would be opened.

    Args:
        folder: Of the model.
        name: Of the model, for messages.

    Raises:
        ModelError: There are none but pickled ones, one of several is missing, or one lies outside the folder.
    """
    adapter = folder / ADAPTER_WEIGHTS_NAME
    if (folder / ADAPTER_CONFIG_NAME).is_file():
        if not adapter.is_file():
            raise no_weights(folder, name)
        check_link(folder, adapter)
        return [adapter]
    if (folder / WEIGHTS_NAME).is_file():
        check_link(folder, folder / WEIGHTS_NAME)
        return [folder / WEIGHTS_NAME]
    index = folder / INDEX_NAME
    if index.is_file():
        shards = read_settings(index, limit=_MAX_INDEX_BYTES).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise ModelError(f"{index} is damaged: it has no weight_map. Save or download the model again.")
        files = {str(shard): check_inside(folder, shard, str(index)) for shard in shards.values()}
        wrong = [shard for shard in files if not shard.endswith(".safetensors")]
        if wrong:
            raise ModelError(f"{index} names {wrong[0][:80]!r}, and nlpladder opens safetensors only.")
        missing = [shard for shard, file in sorted(files.items()) if not file.is_file()]
        if missing:
            raise ModelError(
                f"{name} is not whole: of its {len(files)} weight files {missing[0]} is missing. Download it again."
            )
        return [files[shard] for shard in sorted(files)]
    raise no_weights(folder, name)


def no_weights(folder: Path, name: str) -> ModelError:
    """Return the error for a folder without safetensors, which names a pickle where there is one.

    Args:
        folder: Of the model.
        name: Of the model.
    """
    return unsafe_only(name, sorted(entry.name for entry in folder.iterdir()))


def unsafe_only(name: str, files: Iterable[str]) -> ModelError:
    """Return the error for a model without safetensors.

    Args:
        name: Of the model.
        files: Names of its files.
    """
    other = [file for file in files if file.lower().endswith(UNSAFE_ENDINGS)]
    # Optimizer states and random states of a checkpoint are no weights.
    likely = [file for file in other if "model" in file.lower() or "weights" in file.lower()] or other
    if likely:
        return ModelError(
            f"{name} holds {likely[0]} but no safetensors weights; nlpladder opens no pickled weights, which can run "
            "any program when they are opened, nor those of other formats. Save the model again with a current library."
        )
    return ModelError(f"{name} holds no weights (model.safetensors). Save or download the model again.")


def share_weights(folder: str | os.PathLike[str]) -> None:
    """Let those read a model's weights who may read its ``config.json``.

    safetensors 0.8 writes files that only their owner may read, whatever the umask: a colleague could open everything
    in a run folder but the model.

    Args:
        folder: With ``config.json`` and weights.
    """
    mode = stat.S_IMODE((Path(folder) / CONFIG_NAME).stat().st_mode)
    for path in Path(folder).glob("*.safetensors"):
        path.chmod(mode)


def check_tokenizer_files(name: str) -> None:
    """Refuse a folder without a tokenizer: transformers 5 would make one up, which knows next to no word.

    Settings alone are no tokenizer, unless they name one that spells texts in bytes or characters.

    Args:
        name: A folder; a Hub id is not looked at.

    Raises:
        ModelError: The folder holds no vocabulary.
    """
    folder = Path(name)
    if not folder.is_dir() or any(_is_vocabulary(entry.name) for entry in folder.iterdir() if entry.is_file()):
        return
    settings = folder / "tokenizer_config.json"
    if settings.is_file() and str(read_settings(settings).get("tokenizer_class")) in _SPELLERS:
        return
    raise ModelError(
        f"{name} holds no tokenizer (no tokenizer.json, no vocabulary), and without one the model cannot read a text. "
        "Copy the tokenizer's files of the model that it comes from into the folder."
    )


def _is_vocabulary(name: str) -> bool:
    """Tell whether a tokenizer can be built from such a file; what was added to a vocabulary is none."""
    if name in ("tokenizer_config.json", "added_tokens.json"):
        return False
    endings = (".model", ".spm", ".codes", ".tokenizer", ".tiktoken")
    return name in VOCABULARIES or name.endswith(endings) or name.startswith(("vocab", "tokenizer.", "tekken"))
