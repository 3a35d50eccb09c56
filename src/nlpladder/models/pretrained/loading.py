"""Opening encoder classifiers: from a Hub id, a folder, or an adapter with its base; safetensors only."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nlpladder.errors import ModelError, did_you_mean
from nlpladder.nn.losses import PROBLEM_TYPES
from nlpladder.protocols import Task

logger = logging.getLogger(__name__)


def register_own_models() -> None:
    """Make our model types known to the Auto classes of transformers."""
    from nlpladder.models import classifiers, recurrent_lm, seq2seq, transformer

    classifiers.register()
    recurrent_lm.register()
    seq2seq.register()
    transformer.register()


def build_encoder_classifier(
    name_or_path: str, *, label_names: Sequence[str], task: Task, revision: str | None = None, **overrides: Any
) -> tuple[Any, Any, list[str]]:
    """Load a pretrained encoder with a fresh classification head.

    Args:
        name_or_path: Hub id or folder of any model that ``AutoModelForSequenceClassification`` knows.
        label_names: Label names in id order; one for regression.
        task: What the head predicts.
        revision: Commit, tag or branch of a Hub id.
        overrides: Settings of the config, for example ``classifier_dropout``.

    Returns:
        The model (float32), its tokenizer, and the parameter names that the checkpoint did not hold.

    Raises:
        ModelError: when the model or its tokenizer cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    register_own_models()
    check_reachable(name_or_path)
    try:
        names = list(label_names) or ["value"]
        config = AutoConfig.from_pretrained(name_or_path, revision=revision)
        for key, value in overrides.items():
            if not hasattr(config, key):
                raise ModelError(f"{name_or_path} has no setting {key!r}.{did_you_mean(key, config.to_dict())}")
            setattr(config, key, value)
        config.num_labels = len(names)
        config.id2label = dict(enumerate(names))
        config.label2id = {name: index for index, name in enumerate(names)}
        config.problem_type = PROBLEM_TYPES[task]
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, revision=revision)
        model, info = AutoModelForSequenceClassification.from_pretrained(
            name_or_path,
            config=config,
            revision=revision,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            dtype="float32",
            attn_implementation=attention_kernel(),
        )
    except (OSError, ValueError) as error:
        raise explain_loading_error(name_or_path, error) from error
    if tokenizer.pad_token is None:
        raise ModelError(
            f"The tokenizer of {name_or_path} has no padding token; set one and save it before fine-tuning."
        )
    missing = {str(key) for key in info["missing_keys"]} | {str(entry[0]) for entry in info.get("mismatched_keys", ())}
    return model, tokenizer, sorted(missing)


def attention_kernel() -> str | None:
    """Return the attention of transformers to train with: plain products on a CPU, its own choice elsewhere.

    On a CPU the fused kernel falls back to a slow path for masked bfloat16 with dropout: a training step of MiniLM-L6
    on 32 x 25 tokens took 194 ms with it and 170 ms without (AMD EPYC, 2 cores, 2026-11-21).
    """
    import torch

    return None if torch.accelerator.is_available() else "eager"


def load_sequence_classifier(path: str, *, base_model: str | None = None, **arguments: Any) -> tuple[Any, Any]:
    """Open a saved classifier: a full model, or an adapter together with its base.

    Args:
        path: Folder or Hub id.
        base_model: Where an adapter's base lies, when it has moved.
        arguments: Passed on to ``from_pretrained`` (revision, token, cache_dir, …).

    Raises:
        ModelError: when something is missing or damaged.
    """
    register_own_models()
    check_reachable(path)
    try:
        with quiet_loading():
            return _load(path, base_model, arguments)
    except (OSError, ValueError) as error:
        raise explain_loading_error(path, error) from error
    except Exception as error:
        if type(error).__name__ == "SafetensorError":
            raise ModelError(
                f"The weights in {path} are damaged or cut short ({error}). Save or download them again."
            ) from error
        raise


def _load(path: str, base_model: str | None, arguments: dict[str, Any]) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path, **arguments)
    adapter = _adapter_config(path, arguments)
    if adapter is None:
        model = AutoModelForSequenceClassification.from_pretrained(
            path, use_safetensors=True, dtype="float32", attn_implementation=attention_kernel(), **arguments
        )
    else:
        model = _load_adapter(path, adapter, base_model, arguments)
    return model.eval(), tokenizer


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


def _adapter_config(path: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    from transformers.utils import cached_file

    known = {key: arguments[key] for key in ("revision", "token", "cache_dir", "local_files_only") if key in arguments}
    file = cached_file(path, "adapter_config.json", _raise_exceptions_for_missing_entries=False, **known)
    return None if file is None else json.loads(Path(file).read_text(encoding="utf-8"))


def _load_adapter(path: str, adapter: dict[str, Any], base_model: str | None, arguments: dict[str, Any]) -> Any:
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForSequenceClassification

    base = base_model or _resolve_base(path, adapter["base_model_name_or_path"])
    if os.sep in base and not os.path.isdir(base):
        raise ModelError(
            f"The adapter in {path} was trained on the base model {base}, which is not there. "
            "Say where it is: nlpladder.load(path, base_model=...)."
        )
    # The adapter's own config carries labels and problem type; the base's architecture must agree with it.
    config = AutoConfig.from_pretrained(path, **arguments)
    model = AutoModelForSequenceClassification.from_pretrained(
        base,
        config=config,
        use_safetensors=True,
        dtype="float32",
        ignore_mismatched_sizes=True,
        attn_implementation=attention_kernel(),
    )
    return PeftModel.from_pretrained(model, path)


def _resolve_base(path: str, base: str) -> str:
    """Find a base that was recorded relative to the adapter's folder."""
    beside = os.path.normpath(os.path.join(path, base))
    return beside if base.startswith(".") and os.path.isdir(beside) else base


def check_reachable(path: str) -> None:
    """Raise a ModelError for something that looks like a path and does not exist, with the nearest folder named."""
    if os.path.isdir(path):
        return
    looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1 or os.path.exists(path)
    if looks_local:
        parent = Path(path).expanduser().parent
        siblings = [str(parent / entry.name) for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
        raise ModelError(f"There is no model folder {path!r}.{did_you_mean(path, siblings)}")


def explain_loading_error(name: str, error: Exception) -> ModelError:
    """Turn the errors of transformers and huggingface_hub into one sentence that says what to do."""
    text = str(error)
    if isinstance(error, ModelError):
        return error
    if "safetensors" in text.lower() and "not" in text.lower():
        return ModelError(
            f"{name} has no safetensors weights; nlpladder does not load pickled ones. ({text.splitlines()[0]})"
        )
    if any(
        word in text.lower()
        for word in ("couldn't connect", "offline", "connection", "not in the local cache", "cached")
    ):
        return ModelError(
            f"{name} is neither a folder here nor in the local cache, and the Hub cannot be reached. "
            f"On a machine with network run: hf download {name}"
        )
    return ModelError(f"{name} cannot be loaded: {text.splitlines()[0] if text else error!r}")
