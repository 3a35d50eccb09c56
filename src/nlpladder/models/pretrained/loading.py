"""Opening saved models: whole ones and adapters, from a folder or a Hub id; safetensors only, nothing at random."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpladder.errors import LadderError, ModelError
from nlpladder.models.hub_errors import explain_hub_error
from nlpladder.models.pretrained.kinds import AUTO_CLASSES, check_kind
from nlpladder.models.pretrained.missing import no_folder
from nlpladder.models.pretrained.peft_options import Head
from nlpladder.models.safe_folders import HUB_ARGUMENTS, model_folder
from nlpladder.models.saved_files import (
    ADAPTER_CONFIG_NAME,
    CONFIG_NAME,
    check_tokenizer_files,
    read_header,
    read_settings,
    sizes_of,
    weight_files,
)
from nlpladder.models.saved_sizes import check_config_fits, check_vocabulary


def register_own_models() -> None:
    """Make our model types known to the Auto classes of transformers."""
    from nlpladder.models import classifiers, recurrent_lm, seq2seq, transformer

    classifiers.register()
    recurrent_lm.register()
    seq2seq.register()
    transformer.register()


def attention_kernel() -> str | None:
    """Return the attention of transformers to train with: plain products on a CPU, its own choice elsewhere.

    On a CPU the fused kernel falls back to a slow path for masked bfloat16 with dropout: a training step of MiniLM-L6
    on 32 x 25 tokens took 194 ms with it and 170 ms without (AMD EPYC, 2 cores, 2026-11-21).
    """
    import torch

    return None if torch.accelerator.is_available() else "eager"


def load_model(
    path: str | os.PathLike[str], *, head: Head, base_model: str | None = None, **arguments: Any
) -> tuple[Any, Any]:
    """Open a saved model for a task: a whole model, or an adapter together with its base.

    Args:
        path: Folder or Hub id.
        head: What the model does.
        base_model: Where an adapter's base lies, when it has moved.
        arguments: Passed on to ``from_pretrained`` (revision, token, cache_dir, …).

    Returns:
        The model (float32, evaluation mode) and its tokenizer.

    Raises:
        ModelError: Something is missing, damaged, of another kind, or does not fit together.
    """
    path = os.fspath(path)
    register_own_models()
    check_reachable(path)
    try:
        with quiet_loading(), model_folder(path, arguments) as (folder, settings):
            adapter = adapter_config(folder, settings)
            if adapter is not None:
                from nlpladder.models.pretrained.adapter_files import load_adapter

                return load_adapter(folder, adapter, head=head, base_model=base_model, arguments=settings)
            return _load_whole(folder, head, settings)
    except Exception as error:
        raise explain_loading_error(path, error) from error


def _load_whole(path: str, head: Head, arguments: dict[str, Any]) -> tuple[Any, Any]:
    import transformers
    from transformers import AutoConfig

    check_weight_files(path)
    check_tokenizer_files(path)
    config = AutoConfig.from_pretrained(path, trust_remote_code=False, **arguments)
    check_kind(config, head, path)
    tokenizer = open_tokenizer(path, **arguments)
    model, info = getattr(transformers, AUTO_CLASSES[head]).from_pretrained(
        path, output_loading_info=True, **weights_as_saved(head), **arguments
    )
    if other := sorted(mismatched_keys(info)):
        raise ModelError(
            f"The weights in {path} do not fit its config.json: {_first_of(other)} "
            f"{'is' if len(other) == 1 else 'are'} of another shape. Was one of the two replaced? Save or "
            "download the model again."
        )
    if lacking := sorted(str(key) for key in info["missing_keys"]):
        raise ModelError(
            f"{path} holds no weights for {_first_of(lacking)}: its architecture is not a {type(model).__name__}, or "
            "the file is not whole. Left as they are, they would be random."
        )
    check_vocabulary(tokenizer.vocab_size, embedding_rows(model), name=path)
    return model.eval(), tokenizer


def open_tokenizer(folder: str, **arguments: Any) -> Any:
    """Open the tokenizer of a model, never one that transformers makes up for want of files.

    Args:
        folder: Of the model.
        arguments: Of ``from_pretrained``.

    Raises:
        ModelError: There is none, or a file of it is damaged, which is named.
    """
    from transformers import AutoTokenizer

    check_tokenizer_files(folder)
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **arguments)
    except Exception as error:
        check_tokenizer_json(folder)
        raise explain_loading_error(folder, error) from error


def check_tokenizer_json(folder: str | os.PathLike[str]) -> None:
    """Read the json files of a tokenizer, and name the one that is damaged.

    Args:
        folder: Of the model.

    Raises:
        ModelError: A file is cut short, or no JSON.
    """
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "special_tokens_map.json"):
        file = Path(folder) / name
        if not file.is_file():
            continue
        try:
            json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ModelError(
                f"{file} is damaged or cut short ({why}). Copy it again from where the model comes from, or save or "
                "download the model again."
            ) from error


def embedding_rows(model: Any) -> int:
    """Return how many token ids a model has embeddings for; a very large number where that cannot be told.

    Args:
        model: Of transformers, or ours.
    """
    try:
        return int(model.get_input_embeddings().num_embeddings)
    except (AttributeError, NotImplementedError):
        return 2**62


def _first_of(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (" …" if len(keys) > 3 else "")


def weights_as_saved(head: Head) -> dict[str, Any]:
    """Return the arguments of ``from_pretrained`` with which saved weights are opened.

    Args:
        head: What the model does.
    """
    kernel = {} if head in ("causal", "seq2seq") else {"attn_implementation": attention_kernel()}
    # Shapes that do not fit are told by the caller, in one sentence.
    return {"use_safetensors": True, "dtype": "float32", "ignore_mismatched_sizes": True, **kernel}


def mismatched_keys(info: dict[str, Any]) -> set[str]:
    """Return the weights whose shapes did not fit, from ``output_loading_info``."""
    return {str(entry[0]) for entry in info.get("mismatched_keys", ())}


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Hold back transformers' progress bar and its report of keys, which an adapter's base makes look like a damage."""
    from transformers.utils import logging as transformers_logging

    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def find_file(path: str, name: str, arguments: dict[str, Any]) -> str | None:
    """Return where a file of a folder or Hub id lies here, or None when there is none.

    Args:
        path: Folder or Hub id.
        name: Of the file.
        arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``; others are left out.
    """
    from transformers.utils import cached_file

    known = {key: arguments[key] for key in HUB_ARGUMENTS if arguments.get(key) is not None}
    return cached_file(
        path,
        name,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        **known,
    )


def adapter_config(path: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Return what ``adapter_config.json`` says, or None for a whole model.

    Args:
        path: Folder or Hub id.
        arguments: See `find_file`.

    Raises:
        ModelError: The file is damaged.
    """
    file = find_file(path, "adapter_config.json", arguments)
    if file is None:
        return None
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        return {**found, "base_model_name_or_path": found["base_model_name_or_path"]}
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is damaged ({error!r}). Save or download the adapter again.") from error


def check_reachable(path: str) -> None:
    """Raise a ModelError for something that looks like a path and does not exist, with the nearest folder named."""
    if os.path.isdir(path):
        return
    if os.path.exists(path):
        raise ModelError(f"{path} is a file; name the folder that holds the model.")
    if path.startswith((".", "/", "~")) or path.count("/") > 1:
        raise no_folder(path)


def check_weight_files(path: str) -> None:
    """Look at the weight files of a folder, and compare its config with them, before anything is built.

    Args:
        path: Folder.

    Raises:
        ModelError: There are none, they are pickled, one of several is missing, one is cut short or says that it holds
            what it does not, or the config asks for something many times as large.
    """
    folder = Path(path)
    if not folder.is_dir():
        return
    weights = sizes_of(read_header(file) for file in weight_files(folder, path))
    if (folder / CONFIG_NAME).is_file() and not (folder / ADAPTER_CONFIG_NAME).is_file():
        check_config_fits(read_settings(folder / CONFIG_NAME), weights, where=str(folder / CONFIG_NAME))


def explain_loading_error(name: str, error: Exception) -> Exception:
    """Turn the errors of transformers, peft and huggingface_hub into one sentence that says what to do.

    Args:
        name: Of the model.
        error: What was raised. Programming errors are returned as they are.
    """
    text = str(error)
    first = text.strip().splitlines()[0] if text.strip() else repr(error)
    if isinstance(error, LadderError):
        return error
    if (told := explain_hub_error(name, error)) is not None:
        return told
    if type(error).__name__ == "SafetensorError":
        return ModelError(f"The weights in {name} are damaged or cut short ({first}). Save or download them again.")
    if isinstance(error, RecursionError):
        return ModelError(f"A file of {name} is nested too deeply to be read. It is no file of a model.")
    if "trust_remote_code" in text:
        return ModelError(
            f"{name} is of a kind that transformers does not have itself: it comes with Python code of its own, and "
            "nlpladder runs no code of models."
        )
    if "size mismatch" in text or "mismatched" in text:
        lines = [line.strip() for line in text.splitlines() if "mismatch" in line.lower()]
        return ModelError(
            f"The weights in {name} do not have the shapes that its config.json asks for: {(lines or [first])[0][:300]}"
            ". Was one of the two replaced? Save or download the model again."
        )
    if "backend tokenizer" in text:
        return ModelError(
            f"{name} holds no tokenizer that can be read ({first}) Copy the tokenizer's files of the model that it "
            "comes from into the folder."
        )
    if not isinstance(error, (OSError, ValueError, RuntimeError, KeyError)):
        return error
    lowered = text.lower()
    if "safetensors" in lowered and "not" in lowered:
        return ModelError(f"{name} has no safetensors weights; nlpladder does not load pickled ones. ({first})")
    return ModelError(f"{name} cannot be loaded: {first}")
