"""Where a translation model lies: one folder of model, tokenizers and settings; safetensors and json only.

``config.json`` and ``model.safetensors`` are the model, the tokenizer's files lie beside them, a separate target
vocabulary lies in the sub-folder ``target_tokenizer``, and ``translator.json`` holds the preprocessing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.translation_encoding import TextFormat

TARGET_FOLDER = "target_tokenizer"
SETTINGS_NAME = "translator.json"
_CONFIG_NAME = "config.json"
_HUB_ARGUMENTS = ("revision", "token", "cache_dir", "local_files_only")


def save_translator(
    folder: str | os.PathLike[str], model: Any, tokenizer: Any, target_tokenizer: Any, settings: Mapping[str, Any]
) -> None:
    """Write everything into a new folder inside, then move it, the config last.

    A process that dies while it saves leaves no folder that looks complete.

    Args:
        folder: Made when it is not there; other files in it stay.
        model: Model to save.
        tokenizer: Of the source.
        target_tokenizer: Of the target, or None for the same.
        settings: Of the `Translator`.
    """
    from nlpladder.models.pretrained.adapter_files import save_model

    target = Path(folder)
    apart = target / ".saving"
    shutil.rmtree(apart, ignore_errors=True)  # of a process that died
    apart.mkdir(parents=True)
    try:
        save_model(model, apart)
        tokenizer.save_pretrained(apart)
        if target_tokenizer is not None:
            target_tokenizer.save_pretrained(apart / TARGET_FOLDER)
        (apart / SETTINGS_NAME).write_text(json.dumps(dict(settings), indent=2), encoding="utf-8")
        shutil.rmtree(target / TARGET_FOLDER, ignore_errors=True)
        for entry in sorted(apart.iterdir(), key=lambda entry: entry.name == _CONFIG_NAME):
            os.replace(entry, target / entry.name)
    finally:
        shutil.rmtree(apart, ignore_errors=True)


def load_translator(
    path: str, *, base_model: str | None = None, **arguments: Any
) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Return model (in evaluation mode), tokenizer, target tokenizer or None, and settings.

    Args:
        path: Folder or Hub id, of a whole model or an adapter.
        base_model: Where an adapter's base lies, when it has moved.
        arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``.

    Raises:
        ModelError: when something is missing or damaged.
    """
    from nlpladder.models.pretrained.loading import load_model

    model, tokenizer = load_model(path, head="seq2seq", base_model=base_model, **arguments)
    target_tokenizer, settings = load_preprocessing(path, **arguments)
    return model, tokenizer, target_tokenizer, settings


def load_preprocessing(path: str, **arguments: Any) -> tuple[Any, dict[str, Any]]:
    """Return what belongs to a pretrained encoder-decoder beside model and tokenizer: the target's own, and settings.

    Args:
        path: Folder or Hub id.
        arguments: As `load_translator`.

    Returns:
        The tokenizer of the target, None where one tokenizer does both, and the settings of a `Translator`, empty
        where the model was not saved by one.

    Raises:
        ModelError: when there is no such model, or what is there is damaged.
    """
    from nlpladder.models.pretrained.loading import check_reachable, explain_loading_error, quiet_loading
    from nlpladder.models.safe_folders import model_folder

    check_reachable(path)
    try:
        with quiet_loading(), model_folder(path, arguments) as (folder, known):
            return _target_tokenizer(folder, known), _settings(folder, known)
    except (OSError, ValueError) as error:
        raise explain_loading_error(path, error) from error


def _target_tokenizer(path: str, arguments: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    if _find(path, f"{TARGET_FOLDER}/tokenizer_config.json", arguments) is None:
        return None
    return AutoTokenizer.from_pretrained(path, subfolder=TARGET_FOLDER, **arguments)


def _settings(path: str, arguments: dict[str, Any]) -> dict[str, Any]:
    file = _find(path, SETTINGS_NAME, arguments)
    if file is None:
        return {}
    try:
        settings = json.loads(Path(file).read_text(encoding="utf-8"))
        known = {field.name for field in dataclasses.fields(TextFormat)}
        found = {name: value for name, value in settings.items() if name in known}
        return {**found, "lowercase": bool(settings["lowercase"]), "alignment_layer": settings["alignment_layer"]}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} is damaged ({error!r}). Save or download the model again.") from error


def _find(path: str, name: str, arguments: dict[str, Any]) -> str | None:
    """Return where a file of the folder or Hub id lies, or None when there is none."""
    from transformers.utils import cached_file

    known = {key: arguments[key] for key in _HUB_ARGUMENTS if key in arguments}
    return cached_file(path, name, _raise_exceptions_for_missing_entries=False, **known)
