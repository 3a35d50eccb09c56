"""Adapters on disk: what is saved with one, and the checks that it is opened on the base it was trained on.

A folder holds peft's two files, the base's config with the names of the labels, and ``base.json``: a fingerprint of the
base's weights. peft itself loads an adapter onto any model whose layers have the right names, and only warns when some
of its weights find no place.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.pretrained.kinds import AUTO_CLASSES, check_kind
from nlpladder.models.pretrained.peft_options import Head
from nlpladder.models.safe_folders import model_folder
from nlpladder.models.saved_files import share_weights

BASE_RECORD_NAME = "base.json"
_WEIGHTS_NAME = "adapter_model.safetensors"
#: Values of each weight that go into the fingerprint: two trainings of one architecture differ in nearly all of them.
_SAMPLED = 16
_SHAPE_FIELDS = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")


def save_model(model: Any, folder: str | os.PathLike[str]) -> None:
    """Save a whole model as transformers does, or an adapter with all that it takes to open it again.

    Args:
        model: Of transformers, ours, or a ``PeftModel``.
        folder: Made when it is not there.
    """
    if not hasattr(model, "peft_config"):
        model.save_pretrained(folder)
        share_weights(folder)
        return
    from nlpladder.models.pretrained.prompts import TRAINING_STATE_NAME

    target = Path(folder)
    # peft would ask the Hub whether the base's vocabulary has another size.
    model.save_pretrained(str(target), save_embedding_layers=False)
    (target / TRAINING_STATE_NAME).unlink(missing_ok=True)
    base = model.get_base_model()
    config = copy.deepcopy(base.config)
    config.architectures = [type(base).__name__]
    config.save_pretrained(target)
    if base.can_generate() and getattr(base, "generation_config", None) is not None:
        base.generation_config.save_pretrained(target)
    quantised = bool(getattr(base, "is_quantized", False))
    record = {
        "model_type": config.model_type,
        "quantised": quantised,
        "fingerprint": None if quantised else base_fingerprint(model),
    }
    (target / BASE_RECORD_NAME).write_text(json.dumps(record, indent=2), encoding="utf-8")
    share_weights(target)


def load_adapter(
    path: str, adapter: dict[str, Any], *, head: Head, base_model: str | None, arguments: dict[str, Any]
) -> tuple[Any, Any]:
    """Open an adapter on its base.

    Args:
        path: Folder or Hub id of the adapter.
        adapter: Its ``adapter_config.json``.
        head: What the model does.
        base_model: Where the base lies, when it has moved.
        arguments: Of ``from_pretrained``.

    Returns:
        The model in evaluation mode, and its tokenizer.

    Raises:
        ModelError: The base is missing, is another model, or the adapter's weights do not fit it.
    """
    from nlpladder.models.pretrained.loading import find_file, open_tokenizer

    base = base_model or _resolve_base(path, adapter["base_model_name_or_path"])
    if base is None or (os.sep in base and not os.path.isdir(base) and _looks_local(base)):
        raise ModelError(
            f"The adapter in {path} was trained on the base model {base}, which is not there. "
            "Say where it is: nlpladder.load(path, base_model=...)."
        )
    with model_folder(base, {}) as (base_folder, _):
        model, holes = load_base(path, base_folder, head, arguments)
        adapted = put_on(model, path, base, arguments, holes=holes)
        has_tokenizer = find_file(path, "tokenizer_config.json", arguments) is not None
        place = (path, arguments) if has_tokenizer else (base_folder, {})
        return adapted.eval(), open_tokenizer(place[0], **place[1])


def load_base(path: str, base: str, head: Head, arguments: dict[str, Any]) -> tuple[Any, set[str]]:
    """Open the base of an adapter with the head that the adapter is for.

    Args:
        path: Folder or Hub id of the adapter; its config, where it has one, carries labels and problem type.
        base: Folder or Hub id of the base.
        head: What the model does.
        arguments: Of ``from_pretrained``, for the adapter.

    Returns:
        The model and the names of the weights that the base does not hold.

    Raises:
        ModelError: The base is another model than the adapter's.
    """
    import transformers
    from transformers import AutoConfig, GenerationConfig

    from nlpladder.models.pretrained.loading import (
        adapter_config,
        check_weight_files,
        find_file,
        mismatched_keys,
        weights_as_saved,
    )

    if adapter_config(base, {}) is not None:
        raise ModelError(
            f"The base of the adapter in {path} is {base}, which is an adapter itself. Merge that one first "
            "(scripts/merge_adapter.py) and give the result as base_model."
        )
    config = AutoConfig.from_pretrained(base)
    check_weight_files(base)
    if find_file(path, "config.json", arguments) is not None:
        own = AutoConfig.from_pretrained(path, **arguments)
        check_same_shape(own, config, path, base)
        config = own
    check_kind(config, head, base)
    model, info = getattr(transformers, AUTO_CLASSES[head]).from_pretrained(
        base, config=config, output_loading_info=True, **weights_as_saved(head)
    )
    if find_file(path, "generation_config.json", arguments) is not None:
        model.generation_config = GenerationConfig.from_pretrained(path, **arguments)
    return model, {str(key) for key in info["missing_keys"]} | mismatched_keys(info)


def put_on(
    model: Any, path: str, base: str, arguments: dict[str, Any], *, name: str = "default", holes: set[str] | None = None
) -> Any:
    """Put the adapter of a folder on its base, or beside other adapters on it.

    Args:
        model: The base, or a ``PeftModel`` around it.
        path: Folder or Hub id of the adapter.
        base: Name of the base, for messages.
        arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``.
        name: What the adapter is called.
        holes: Weights that the base does not hold, and that the adapter must bring.

    Raises:
        ModelError: The base has other weights than in training, or the adapter's do not fit it.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    from nlpladder.models.pretrained.loading import HUB_ARGUMENTS, find_file
    from nlpladder.models.pretrained.prompts import close_gaps

    file = find_file(path, _WEIGHTS_NAME, arguments)
    if file is None:
        raise ModelError(
            f"{path} has no {_WEIGHTS_NAME}; nlpladder opens no pickled weights. Save or download the adapter again."
        )
    saved = load_file(file)
    known = {key: arguments[key] for key in HUB_ARGUMENTS if arguments.get(key) is not None}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found missing adapter keys")  # told below
        try:
            if hasattr(model, "peft_config"):
                adapted = model
                adapted.load_adapter(path, name, **known)
            else:
                adapted = close_gaps(PeftModel.from_pretrained(model, path, adapter_name=name, **known))
        except (RuntimeError, ValueError) as error:
            raise _other_base(path, base, str(error).strip().splitlines()[-1].strip()) from error
    wanted = get_peft_model_state_dict(adapted, adapter_name=name, save_embedding_layers=False)
    for key in sorted(set(wanted) ^ set(saved)):
        what = "is not in its file" if key in wanted else "finds no layer in the base"
        raise _other_base(path, base, f"the adapter's weight {key} {what}")
    for hole in sorted(holes or ()):
        if not any(key.endswith("." + hole) for key in saved):
            raise ModelError(
                f"The base {base} holds no weights for {hole}, and the adapter in {path} has not saved them: they "
                "would be random. Train it again with the modules that start at random saved (modules_to_save)."
            )
    _check_fingerprint(adapted, path, base, arguments)
    if hasattr(adapted, "prompt_encoder"):
        adapted.prompt_encoder[name].requires_grad_(False)  # as peft does with other adapters that it opens
    return adapted


def base_fingerprint(model: Any) -> str:
    """Return a short hash of the frozen weights of an adapter's base, of some values of each.

    Layers that start at random, and are saved with the adapter, are left out.

    Args:
        model: A ``PeftModel``.
    """
    import torch

    digest = hashlib.sha256()
    fresh = tuple(
        module.removesuffix(".original_module")
        for module, _ in model.named_modules()
        if module.endswith("original_module")
    )
    names = {}
    for name, parameter in model.named_parameters():
        if any(name.startswith(one + ".") for one in fresh) or name.startswith("prompt_encoder."):
            continue
        if re.search(r"\.(lora_|ia3_)", name):
            continue
        plain = name.replace(".base_layer.", ".").removeprefix("base_model.model.").removeprefix("base_model.")
        names[plain] = parameter
    for name in sorted(names):
        values = names[name].detach().reshape(-1)
        places = torch.linspace(0, values.numel() - 1, _SAMPLED, device=values.device).long()
        digest.update(f"{name} {tuple(names[name].shape)}".encode())
        digest.update(values[places].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def check_same_shape(own: Any, base: Any, path: str, name: str) -> None:
    """Compare the config that was saved with an adapter with that of the base it is put on.

    Args:
        own: Saved with the adapter.
        base: Of the base.
        path: Of the adapter.
        name: Of the base.

    Raises:
        ModelError: They are of another type or size.
    """
    if own.model_type != base.model_type:
        raise ModelError(
            f"The adapter in {path} was trained on a {own.model_type} model, and {name} is a {base.model_type} model. "
            "Give its own base with base_model=..."
        )
    for field in _SHAPE_FIELDS:
        trained, found = getattr(own, field, None), getattr(base, field, None)
        if trained != found:
            raise ModelError(
                f"The adapter in {path} was trained on a base with {field} {trained}; {name} has {found}. Give its own "
                "base with base_model=..."
            )


def _check_fingerprint(model: Any, path: str, base: str, arguments: dict[str, Any]) -> None:
    from nlpladder.models.pretrained.loading import find_file

    file = find_file(path, BASE_RECORD_NAME, arguments)
    if file is None or getattr(model.get_base_model(), "is_quantized", False):
        return
    record = json.loads(Path(file).read_text(encoding="utf-8"))
    if record.get("quantised"):
        return
    if record["fingerprint"] != base_fingerprint(model):
        raise ModelError(
            f"{base} has other weights than the base that the adapter in {path} was trained on: it was trained again, "
            "or is another model of the same shape. With it the adapter means nothing. Give its own base with "
            "base_model=..., or train the adapter anew."
        )


def _other_base(path: str, base: str, reason: str) -> ModelError:
    return ModelError(
        f"The adapter in {path} does not fit the base {base}: {reason[:300]}. It was trained on another model, or a "
        "file is not whole. Give its own base with base_model=..., or save the adapter again."
    )


def _resolve_base(path: str, base: str | None) -> str | None:
    """Find a base that was recorded relative to the adapter's folder."""
    if base is None:
        return None
    beside = os.path.normpath(os.path.join(path, base))
    return beside if base.startswith(".") and os.path.isdir(beside) else base


def _looks_local(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1
