"""``nlpladder.load``: open any rung from a folder or a Hub id, from safetensors and json only."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlpladder.errors import ModelError, UnfinishedRunWarning
from nlpladder.models.artefact_classes import ARTEFACTS
from nlpladder.models.pretrained.missing import no_model
from nlpladder.models.saved_files import ADAPTER_CONFIG_NAME, CONFIG_NAME, read_settings

#: How the name of an architecture ends -> what holds such a model and its tokenizer.
GENERATORS: dict[str, str] = {
    "ForConditionalGeneration": "nlpladder.models.translation:Translator",
    "MTModel": "nlpladder.models.translation:Translator",
    "ForCausalLM": "nlpladder.models.neural_language_model:NeuralLanguageModel",
    "LMHeadModel": "nlpladder.models.neural_language_model:NeuralLanguageModel",
    "ForTokenClassification": "nlpladder.models.token_classifier:TokenClassifier",
    "ForQuestionAnswering": "nlpladder.models.question_answerer:QuestionAnswerer",
    "ForMaskedLM": "nlpladder.models.masked_language_model:MaskedLM",
    "ForPreTraining": "nlpladder.models.masked_language_model:MaskedLM",
}

#: What an adapter says that it is for -> what holds it, its base and the tokenizer.
ADAPTED: dict[str, str] = {
    "SEQ_CLS": "nlpladder.models.sequence_classifier:SequenceClassifier",
    "TOKEN_CLS": GENERATORS["ForTokenClassification"],
    "QUESTION_ANS": GENERATORS["ForQuestionAnswering"],
    "CAUSAL_LM": GENERATORS["ForCausalLM"],
    "SEQ_2_SEQ_LM": GENERATORS["ForConditionalGeneration"],
}

#: What holds a model that no table names: a classifier, or an encoder without a head.
CLASSIFIER = ADAPTED["SEQ_CLS"]
ENCODER = "nlpladder.models.text_encoder:SentenceEncoder"
#: How the names of architectures without a head end.
_HEADLESS = ("Model", "Encoder")

#: Arguments of other libraries that would open what is not safe to open.
_REFUSED = ("trust_remote_code", "use_safetensors", "weights_only", "code_revision")


def load(path_or_repo_id: str | os.PathLike[str], *, base_model: str | None = None, **arguments: Any) -> Any:
    """Open a saved rung, safely: no pickle is opened, no code of the model is run, sizes are checked first.

    Args:
        path_or_repo_id: A run folder, a model folder or a Hub id.
        base_model: Where an adapter's base model lies, when it has moved.
        arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``; others go to the class that is found.

    Returns:
        A `TextClassifier`, `LanguageModel`, `MaskedLanguageModel`, `WordEmbeddings`, `TextEncoder`, `Translator`,
        `TokenClassifier` or `QuestionAnswerer`, by what the folder holds; the first five are interfaces of
        `nlpladder.protocols`.

    Raises:
        ModelError: There is no model; it is damaged, of an unknown kind, or not safe to open; or it is neither in the
            local cache nor reachable.
    """
    from nlpladder.models.safe_folders import HUB_ARGUMENTS, check_adapted_config, named_as, open_folder

    path = os.fspath(path_or_repo_id)
    for name in _REFUSED:
        if name in arguments:
            raise ModelError(
                f"load takes no {name}: it opens safetensors and json only, and runs no code that comes with a model."
            )
    _check_place(path)
    if os.path.isdir(path):
        _check_is_model(Path(path))
        _warn_of_unfinished_run(path)
    folder = open_folder(path, arguments)
    settings = {key: value for key, value in arguments.items() if key not in HUB_ARGUMENTS}
    if (folder / ADAPTER_CONFIG_NAME).is_file():
        base = _base_of(folder, path, base_model)
        if base is not None and (os.path.isdir(base) or hub_id_like(base)):
            # The base is looked at like every model, and its config is the one that is built.
            base = str(open_folder(base, {**arguments, "revision": None}, what="the base "))
            check_adapted_config(folder, Path(base))
        base_model = base
    with named_as(path, folder):
        return _open(folder, base_model, settings)


def check_name(path: str, *, local_files_only: bool = False) -> None:
    """Refuse what names no model, before anything is downloaded or opened: a file, or a folder that is not there.

    Args:
        path: Folder or Hub id, as `load` takes it.
        local_files_only: Do not ask the Hub whether a name that looks like a missing folder is an id of its.

    Raises:
        ModelError: The sentence says which folder it may be.
    """
    from nlpladder.models.safe_folders import check_id

    _check_place(path)
    if not os.path.isdir(path):
        check_id(path, local_files_only=local_files_only)


def load_unfinished(path: str | os.PathLike[str]) -> Any:
    """Open what a run at work has saved, to check it: `load` without its warning that the run has not finished."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnfinishedRunWarning)
        return load(path)


def class_entry(config: Mapping[str, Any], adapter: Mapping[str, Any] | None = None) -> str:
    """Return which class opens a saved model, as ``module:class``; nothing is imported or opened.

    An adapter goes by its task, an artefact of ours by its model type, the others by their architectures. A config
    without architectures is that of a classifier where it has labels, and that of an encoder where it has none. Empty
    for an architecture with a head that is none of ours, such as multiple choice.

    Args:
        config: ``config.json``; may be empty beside an adapter.
        adapter: ``adapter_config.json``; None where there is none.
    """
    task = None if adapter is None else adapter.get("task_type")
    if isinstance(task, str) and task in ADAPTED:
        return ADAPTED[task]
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in ARTEFACTS:
        return ARTEFACTS[model_type]
    named = config.get("architectures")
    architectures = [str(one) for one in named] if isinstance(named, list) else []
    for architecture in architectures:
        for ending, entry in GENERATORS.items():
            if architecture.endswith(ending):
                return entry
    if any("ForSequenceClassification" in one for one in architectures):
        return CLASSIFIER
    if architectures:
        return ENCODER if any(one.endswith(_HEADLESS) for one in architectures) else ""
    return CLASSIFIER if any(key in config for key in ("id2label", "num_labels", "problem_type")) else ENCODER


def _open(folder: Path, base_model: str | None, settings: dict[str, Any]) -> Any:
    """Open a folder that was looked at, by what it says that it is."""
    adapter = read_settings(folder / ADAPTER_CONFIG_NAME) if (folder / ADAPTER_CONFIG_NAME).is_file() else None
    config = read_settings(folder / CONFIG_NAME) if (folder / CONFIG_NAME).is_file() else {}
    # Of a head that is none of ours the classifier says which weights it lacks.
    opened = _class_of(class_entry(config, adapter) or CLASSIFIER)
    moved = {} if base_model is None or adapter is None else {"base_model": base_model}
    return opened.from_pretrained(str(folder), **moved, **settings)


def _warn_of_unfinished_run(path: str) -> None:
    """Warn where a run folder says that its run is still at work, or was killed before it had finished."""
    try:
        record = json.loads((Path(path) / "run.json").read_text(encoding="utf-8"))
        unfinished = record["status"] != "finished"
    except (OSError, ValueError, KeyError, TypeError):  # no run folder; another check's matter
        return
    if unfinished:
        warnings.warn(
            f"{path} holds a run that has not finished: what it saved was neither checked nor measured to its end. "
            "The command that began the run finishes it.",
            UnfinishedRunWarning,
            stacklevel=3,
        )


def _check_is_model(folder: Path) -> None:
    """Say what a folder is that holds no model; a folder of runs names one of them."""
    if (folder / CONFIG_NAME).is_file() or (folder / ADAPTER_CONFIG_NAME).is_file():
        return
    raise no_model(folder)


def _check_place(path: str) -> None:
    """Refuse a file, and a path that leads nowhere."""
    from nlpladder.models.pretrained.loading import check_reachable

    if os.path.isfile(path):
        raise _file_named(Path(path))
    check_reachable(path)


def _file_named(file: Path) -> ModelError:
    """Return the error for a file in the place of a folder."""
    folder = file.parent
    if any((folder / name).is_file() for name in (CONFIG_NAME, ADAPTER_CONFIG_NAME)):
        return ModelError(f"{file} is a file; load opens folders and Hub ids. Give the folder: {folder}")
    return ModelError(
        f"{file} is a file; load opens folders and Hub ids. Give the folder of a run or of a saved model. Vector files "
        "are opened by WordVectors.open (in nlpladder.models.vectors.word_vectors), ARPA files by "
        "NGramLanguageModel.from_arpa (in nlpladder.models.ngram.model)."
    )


def _base_of(folder: Path, path: str, base_model: str | None) -> str | None:
    """Return where the base of an adapter lies: what the user says, else what the adapter says.

    An adapter from the Hub may name ids of the Hub only: a path of its maker is nothing here, or somebody else's.
    """
    if base_model is not None:
        return base_model
    named = read_settings(folder / ADAPTER_CONFIG_NAME).get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        return None
    if os.path.isdir(path):
        beside = os.path.normpath(os.path.join(path, named))
        return beside if named.startswith(".") and os.path.isdir(beside) else named
    if not hub_id_like(named):
        raise ModelError(
            f"The adapter {path} was trained on the base model {named!r}, a folder of the machine that trained it. Say "
            "where that base is, or its id on the Hub: nlpladder.load(path, base_model=…)."
        )
    return named


def hub_id_like(name: str) -> bool:
    """Tell whether a name can be an id of the Hub: ``owner/name``, or an old one without owner.

    Args:
        name: Of a model.
    """
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", name) is not None


def _class_of(entry: str) -> Any:
    """Import and return ``module:class``."""
    import importlib

    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)
