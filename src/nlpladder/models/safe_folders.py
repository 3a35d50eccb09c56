"""From a Hub id to a folder that is safe to open: its file list and sizes are looked at before anything is downloaded.

Only files that a model is built from are fetched: safetensors, json and the files of tokenizers. Pickles and Python
files stay where they are. What came is then checked as any folder is, in `nlpladder.models.saved_files`.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.artefact_classes import ARTEFACTS
from nlpladder.models.hub_errors import explain_hub_error, is_no_answer
from nlpladder.models.onnx.names import GRAPH_NAME, MODEL_TYPE
from nlpladder.models.pretrained.missing import looks_like_folder, no_folder
from nlpladder.models.saved_files import (
    ADAPTER_CONFIG_NAME,
    ADAPTER_WEIGHTS_NAME,
    CONFIG_NAME,
    INDEX_NAME,
    MAX_SETTINGS_BYTES,
    MAX_VOCABULARY_BYTES,
    SETTINGS,
    VOCABULARIES,
    WEIGHTS_NAME,
    check_link,
    check_settings_files,
    read_header,
    read_settings,
    sizes_of,
    unsafe_only,
    weight_files,
)
from nlpladder.models.saved_sizes import check_adapter_fits, check_config_fits

#: Arguments that say which files of the Hub are meant, and how they are had.
HUB_ARGUMENTS = ("revision", "token", "cache_dir", "local_files_only")
#: What is fetched: patterns of `fnmatch` on the path in the repository.
PATTERNS = (
    *SETTINGS, *VOCABULARIES, WEIGHTS_NAME, ADAPTER_WEIGHTS_NAME, INDEX_NAME, "model-*-of-*.safetensors",
    "sentence_bert_config.json", "config_sentence_transformers.json", "[0-9]_*/config.json",  # of text encoders
    "preprocessor_config.json", "chat_template.jinja", "chat_template.json", "additional_chat_templates/*.jinja",
    "target_tokenizer/*.json", "target_tokenizer/*.txt", "target_tokenizer/*.model", "0_StaticEmbedding/*.json",
    f"0_StaticEmbedding/{WEIGHTS_NAME}", "tokenizer.*.json",
    "profile.json",  # of the training data, for whoever serves the model
    # mixtures and caches of n-gram models hold other models
    *(f"{part}/{file}" for part in ("model_[0-9]*", "base_model") for file in (CONFIG_NAME, WEIGHTS_NAME)),
)  # fmt: skip
#: Models whose folders hold other models, or weights in a sub-folder; their sizes follow from their arrays.
_OTHER_LAYOUTS = ("model2vec", "nlpladder_ngram_interpolation", "nlpladder_ngram_cache")
#: Of the disk so much is left free.
_DISK_MARGIN = 2**28
_MAX_FILES = 20_000
#: For which the Hub is waited for when nothing but a name is asked about.
_SECONDS_TO_ASK = 10.0


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository.

    Attributes:
        path: In the repository.
        size: Bytes; None where the Hub does not say.
    """

    path: str
    size: int | None


def open_folder(path: str, arguments: Mapping[str, Any], *, what: str = "", max_bytes: int | None = None) -> Path:
    """Return the folder of a model that has been looked at: the one given, or the snapshot of a Hub id.

    Args:
        path: Folder or Hub id.
        arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``; others are left out.
        what: Said before the name in messages, such as ``"the base "``.
        max_bytes: Most that is downloaded; None for what the disk has room for.

    Raises:
        ModelError: It is not there, not reachable, or not safe to open.
    """
    folder = Path(path) if os.path.isdir(path) else download(path, arguments, max_bytes=max_bytes)
    check_folder(folder, name=f"{what}{path}")
    return folder


@contextlib.contextmanager
def model_folder(path: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the folder of a model, and what is left of the arguments; of a Hub id its snapshot, listed and looked at.

    So a Hub that does not answer is asked once, and not for every file, and errors name the model by its id. A folder
    is given as it is.

    Args:
        path: Folder or Hub id.
        arguments: Of ``from_pretrained``; those of `HUB_ARGUMENTS` are used up by a download.

    Raises:
        ModelError: It is not there, not reachable, or not safe to open.
    """
    if os.path.isdir(path):
        yield path, dict(arguments)
        return
    folder = open_folder(path, arguments)
    with named_as(path, folder):
        yield str(folder), {key: value for key, value in arguments.items() if key not in HUB_ARGUMENTS}


@contextlib.contextmanager
def named_as(path: str, folder: Path) -> Iterator[None]:
    """Let errors name a model by its Hub id, not by where its snapshot lies in the cache.

    Args:
        path: What the user said.
        folder: Where it lies.
    """
    try:
        yield
    except ModelError as error:
        if str(folder) == path or str(folder) not in str(error):
            raise
        raise ModelError(str(error).replace(str(folder), path)) from error


def check_folder(folder: Path, *, name: str) -> None:
    """Look at everything in a folder that a model would be built from.

    Args:
        folder: Of the model.
        name: Of the model, for messages.

    Raises:
        ModelError: It is not safe to open, or not whole; the sentence names the file.
    """
    check_settings_files(folder, name=name)
    adapter = folder / ADAPTER_CONFIG_NAME
    config = {} if not (folder / CONFIG_NAME).is_file() else read_settings(folder / CONFIG_NAME)
    model_type = str(config.get("model_type"))
    if model_type in _OTHER_LAYOUTS:
        for file in sorted(folder.rglob(WEIGHTS_NAME)):
            check_link(folder, file)
            read_header(file)
        return
    if model_type == MODEL_TYPE and not adapter.is_file():
        check_link(folder, folder / GRAPH_NAME)
        return  # the graph is looked at when it is read
    weights = sizes_of(read_header(file) for file in weight_files(folder, name))
    if model_type in ARTEFACTS and not adapter.is_file():
        return  # built from their arrays; the numbers of their configs are counts
    if adapter.is_file():
        check_adapter_fits(read_settings(adapter), weights, where=str(adapter))
    else:
        check_config_fits(config, weights, where=str(folder / CONFIG_NAME))


def check_adapted_config(folder: Path, base: Path) -> None:
    """Compare the config that lies beside an adapter, with which its base is built, with the weights of that base.

    Args:
        folder: Of the adapter.
        base: Of its base.

    Raises:
        ModelError: The config asks for something many times as large.
    """
    config = folder / CONFIG_NAME
    if config.is_file():
        weights = sizes_of(read_header(file) for file in weight_files(base, str(base)))
        check_config_fits(read_settings(config), weights, where=str(config))


def download(repo_id: str, arguments: Mapping[str, Any], *, max_bytes: int | None = None) -> Path:
    """Return the snapshot of a model on the Hub; its files are listed and their sizes checked first.

    Without an answer of the Hub, what lies in the local cache is taken.

    Args:
        repo_id: ``owner/name``.
        arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``; others are left out.
        max_bytes: Most that is downloaded; None for what the disk has room for.

    Raises:
        ModelError: It is not there, not reachable, too large, or not safe to download.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    api = HfApi(token=arguments.get("token"))
    given = {key: arguments[key] for key in ("revision", "cache_dir") if arguments.get(key) is not None}
    local = bool(arguments.get("local_files_only")) or bool(constants.HF_HUB_OFFLINE)
    quiet, patterns = are_progress_bars_disabled(), list(PATTERNS)
    disable_progress_bars()
    try:
        if not local:
            try:
                info = api.model_info(repo_id, revision=given.get("revision"), files_metadata=True)
                files = [RemoteFile(one.rfilename, one.size) for one in info.siblings or ()]
                patterns = patterns_of([file.path for file in files])
                check_listing(repo_id, files, room=_room(given.get("cache_dir")), max_bytes=max_bytes)
            except ModelError:
                raise
            except Exception as error:
                if not is_no_answer(error):
                    raise
                local = True
        found = api.snapshot_download(repo_id, allow_patterns=patterns, local_files_only=local, **given)
    except ModelError:
        raise
    except Exception as error:  # the client has many kinds; each becomes one sentence
        told = explain_hub_error(repo_id, error)
        if told is None:
            raise
        if looks_like_folder(repo_id) and (is_no_answer(error) or _is_not_there(error)):
            raise no_folder(repo_id, hub=True) from error
        raise told from error
    finally:
        if not quiet:
            enable_progress_bars()
    return Path(found)


def check_id(name: str, *, local_files_only: bool = False) -> None:
    """Refuse a name that is rather that of a missing folder than an id of the Hub; nothing is downloaded.

    The Hub is asked only about a name that can be an id and looks like a folder here, too: it lies in one, or is near
    one. What it says of any other name is found out when the model is opened.

    Args:
        name: Of no folder.
        local_files_only: Look into the cache alone.

    Raises:
        ModelError: It can be no id; or it looks like a folder, and neither the cache nor the Hub has such a model.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise explain_hub_error(name, error) or no_folder(name) from error
    if not looks_like_folder(name):
        return
    offline = local_files_only or bool(constants.HF_HUB_OFFLINE)
    for local in (True,) if offline else (True, False):
        try:
            if local:
                HfApi().snapshot_download(name, allow_patterns=list(PATTERNS), local_files_only=True)
            else:
                HfApi().model_info(name, timeout=_SECONDS_TO_ASK)
            return
        except Exception as error:
            if not (_is_not_there(error) or is_no_answer(error)):
                return  # what it is about will be said when the model is opened
    raise no_folder(name, hub=not offline)


def patterns_of(paths: Sequence[str]) -> list[str]:
    """Return what is fetched of a repository: an ONNX graph only where it stands in the place of weights.

    Args:
        paths: All its files.
    """
    weights = any(path.endswith(".safetensors") for path in paths)
    return [*PATTERNS] if weights else [*PATTERNS, GRAPH_NAME]


def check_listing(
    name: str, files: Sequence[RemoteFile], *, room: int | None = None, max_bytes: int | None = None
) -> list[RemoteFile]:
    """Return the files of a repository that are to be fetched, or refuse it before any is.

    Args:
        name: Of the repository, for messages.
        files: All of them.
        room: Free bytes where they would lie; None for no limit.
        max_bytes: Most that may be fetched; None for no limit.

    Raises:
        ModelError: There is no config or no safetensors, a settings file or a vocabulary is too large, a name leads out
            of a folder, the whole is larger than allowed, or the disk has no room.
    """
    if len(files) > _MAX_FILES:
        raise ModelError(f"{name} has {len(files):,} files, more than any model. It is refused.")
    for file in files:
        if file.path.startswith(("/", "\\", "~")) or ".." in file.path.replace("\\", "/").split("/"):
            raise ModelError(
                f"{name} holds a file called {file.path[:80]!r}, which leads out of its folder. It is refused."
            )
    patterns = patterns_of([file.path for file in files])
    wanted = [file for file in files if any(fnmatch.fnmatchcase(file.path, pattern) for pattern in patterns)]
    names = {file.path for file in wanted}
    if not names & {CONFIG_NAME, ADAPTER_CONFIG_NAME}:
        raise ModelError(f"{name} holds no {CONFIG_NAME}, so it is no saved model.")
    if GRAPH_NAME not in names and not any(path.endswith(".safetensors") for path in names):
        raise unsafe_only(name, [file.path for file in files])
    for file in wanted:
        base = file.path.rsplit("/", 1)[-1]
        limit = MAX_VOCABULARY_BYTES if base in VOCABULARIES else MAX_SETTINGS_BYTES if base in SETTINGS else None
        if limit is not None and (file.size or 0) > limit:
            raise ModelError(
                f"The {file.path} of {name} has {file.size:,} bytes, more than the {limit:,} that such a file may "
                "have. Nothing was downloaded."
            )
    total = sum(file.size or 0 for file in wanted)
    if max_bytes is not None and total > max_bytes:
        raise ModelError(
            f"{name} has {total / 2**30:.1f} GiB to download, more than the {max_bytes / 2**30:.1f} GiB that are "
            "allowed here. Nothing was downloaded."
        )
    if room is not None and total > room - _DISK_MARGIN:
        raise ModelError(
            f"{name} has {total / 2**30:.1f} GiB to download, and the disk of the cache has {room / 2**30:.1f} GiB "
            "free. Make room, or name another place with cache_dir=… or HF_HOME. Nothing was downloaded."
        )
    return wanted


def _is_not_there(error: BaseException) -> bool:
    """Tell whether the Hub, or the cache, has nothing of that name."""
    from huggingface_hub import errors

    absent = (errors.RepositoryNotFoundError, errors.LocalEntryNotFoundError)
    return isinstance(error, absent) and not isinstance(error, errors.GatedRepoError)


def _room(cache_dir: str | os.PathLike[str] | None) -> int | None:
    """Return the free bytes where the cache lies."""
    from huggingface_hub import constants

    place = Path(cache_dir or constants.HF_HUB_CACHE).expanduser().absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None
