"""The start of every fine-tuning: a pretrained model with the head of its new task, and its tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nlpladder.errors import ModelError, did_you_mean
from nlpladder.models.pretrained.kinds import AUTO_CLASSES, check_kind
from nlpladder.models.pretrained.loading import (
    adapter_config,
    attention_kernel,
    check_reachable,
    check_weight_files,
    explain_loading_error,
    open_tokenizer,
    quiet_loading,
    register_own_models,
)
from nlpladder.models.pretrained.peft_options import Head, Quantization
from nlpladder.models.safe_folders import model_folder
from nlpladder.models.saved_files import check_tokenizer_files

__all__ = ["Head", "Opened", "fresh_modules", "open_pretrained"]

#: Heads that no checkpoint of pretraining holds: they may start at random.
_HEADS_OF_ENCODERS = ("classification", "token_classification", "question_answering")


@dataclass
class Opened:
    """A pretrained model that is ready to be fine-tuned.

    Attributes:
        model: In float32 (or quantised), in evaluation mode.
        tokenizer: Of the checkpoint.
        fresh: Top-most modules whose weights the checkpoint did not hold, which start at random; always empty for
            causal language models and encoder-decoders.
    """

    model: Any
    tokenizer: Any
    fresh: tuple[str, ...] = ()


def open_pretrained(
    name_or_path: str,
    *,
    head: Head,
    label_names: Sequence[str] = (),
    task: str = "single_label",
    revision: str | None = None,
    quantization: Quantization = "none",
    encoder_only: bool = False,
    **settings: Any,
) -> Opened:
    """Open a pretrained model with the head of a task.

    Args:
        name_or_path: Hub id or folder. A model, not an adapter.
        head: What the model is to do.
        label_names: In the order of the ids; for the two kinds of classification. Empty for regression.
        task: Of a sequence classification: ``single_label``, ``multi_label`` or ``regression``.
        revision: Commit, tag or branch of a Hub id.
        quantization: Load the weights in 8 or 4 bits; they cannot be trained then, only an adapter on them.
        encoder_only: Refuse a causal model, which transformers would classify with by its last token.
        settings: Of the config, for example ``classifier_dropout=0.1``.

    Raises:
        ModelError: The model is of another kind than the head needs, is an adapter, is missing, damaged or pickled, has
            no padding token where one is needed, or cannot be quantised here.
    """
    from transformers import AutoConfig

    register_own_models()
    check_reachable(name_or_path)
    try:
        with quiet_loading(), model_folder(name_or_path, {"revision": revision}) as (folder, _):
            _refuse_adapter(folder)
            check_weight_files(folder)
            check_tokenizer_files(folder)
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            check_kind(config, head, folder, encoder_only=encoder_only)
            _configure(config, head, label_names, task, settings, folder)
            tokenizer = open_tokenizer(folder)
            _ensure_padding(tokenizer, config, head, folder)
            model, info = _auto_class(head).from_pretrained(
                folder,
                config=config,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told below, in one sentence
                use_safetensors=True,
                **_precision(quantization),
                **({"attn_implementation": attention_kernel()} if head in _HEADS_OF_ENCODERS else {}),
            )
    except Exception as error:
        raise explain_loading_error(name_or_path, error) from error
    # What is saved later names the model, and not where its snapshot lies in this machine's cache.
    model.name_or_path = model.config.name_or_path = tokenizer.name_or_path = name_or_path
    fresh = _fresh(model, info, head, name_or_path)
    return Opened(model.eval(), tokenizer, tuple(fresh))


def fresh_modules(model: Any, missing_keys: Iterable[str]) -> list[str]:
    """Return the top-most modules whose weights a checkpoint did not hold.

    They start at random, so an adapter that neither trains nor saves them answers differently after a reload (the
    pooler of DeBERTa, the head of every encoder).

    Args:
        model: The model that was loaded.
        missing_keys: ``missing_keys`` of ``from_pretrained(…, output_loading_info=True)``.
    """
    modules = dict(model.named_modules())
    missing = set(missing_keys)
    found: list[str] = []
    for key in sorted(missing):
        path = key.rsplit(".", 1)[0]
        # Climb while every parameter below the parent is missing too: a whole head is one module.
        while "." in path:
            parent = path.rsplit(".", 1)[0]
            if not {f"{parent}.{name}" for name, _ in modules[parent].named_parameters()} <= missing:
                break
            path = parent
        if path and path not in found:
            found.append(path)
    return [path for path in found if not any(path != other and path.startswith(other + ".") for other in found)]


def _refuse_adapter(folder: str) -> None:
    adapter = adapter_config(folder, {})
    if adapter is not None:
        raise ModelError(
            f"{folder} holds an adapter ({adapter.get('peft_type', 'of an unknown kind')}), not a whole model. "
            f"To start from its base, name that: {adapter.get('base_model_name_or_path')}. To go on from what it "
            f"learnt, merge it first: python scripts/merge_adapter.py {folder} FOLDER, and name FOLDER."
        )


def _auto_class(head: Head) -> Any:
    import transformers

    return getattr(transformers, AUTO_CLASSES[head])


def _configure(
    config: Any, head: Head, label_names: Sequence[str], task: str, settings: dict[str, Any], name: str
) -> None:
    """Write labels, problem type and the user's settings into the config."""
    from nlpladder.nn.losses import PROBLEM_TYPES

    for key, value in settings.items():
        if not hasattr(config, key):
            raise ModelError(f"{name} has no setting {key!r}.{did_you_mean(key, config.to_dict())}")
        setattr(config, key, value)
    if head in ("classification", "token_classification"):
        names = list(label_names) or ["value"]
        config.num_labels = len(names)
        config.id2label = dict(enumerate(names))
        config.label2id = {label: index for index, label in enumerate(names)}
    if head == "classification":
        config.problem_type = PROBLEM_TYPES[task]
    if head == "question_answering":
        config.num_labels = 2  # where an answer starts, and where it ends


def _ensure_padding(tokenizer: Any, config: Any, head: Head, name: str) -> None:
    """Check for a padding token; a causal model that classifies takes its end mark, as padding behind it is unread."""
    if head == "causal" or tokenizer.pad_token is not None:
        if head == "classification" and getattr(config, "pad_token_id", None) is None:
            config.pad_token_id = tokenizer.pad_token_id
        return
    if head == "classification" and not config.is_encoder_decoder and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
        config.pad_token_id = tokenizer.pad_token_id
        return
    raise ModelError(
        f"The tokenizer of {name} has no padding token. Choose one of its tokens (tokenizer.pad_token = …) and save it "
        "before fine-tuning."
    )


def _precision(quantization: Quantization) -> dict[str, Any]:
    """Return the arguments of ``from_pretrained`` that say in what the weights are held.

    4 bits are those of Dettmers et al. 2023 ("QLoRA"): NormalFloat with double quantisation, products in bfloat16.
    """
    if quantization == "none":
        return {"dtype": "float32"}
    import importlib.util

    import torch

    if not torch.cuda.is_available():
        raise ModelError(
            f"quantization is {quantization}, which needs an NVIDIA GPU, and none is here. Leave it out: on a CPU the "
            "base is held in float32."
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(
            f"quantization is {quantization}, which needs bitsandbytes, and it is not installed: pip install "
            "bitsandbytes."
        )
    from accelerate import PartialState
    from transformers import BitsAndBytesConfig

    # Heads that start at random are trained, which no quantised weight can be.
    heads = ["lm_head", "classifier", "pre_classifier", "score", "qa_outputs", "pooler", "classification_head"]
    if quantization == "8bit":
        config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=heads)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_skip_modules=heads,
        )
    return {
        "dtype": "bfloat16",
        "quantization_config": config,
        "device_map": {"": PartialState().local_process_index},
    }


def _fresh(model: Any, info: dict[str, Any], head: Head, name: str) -> list[str]:
    """Return the modules that start at random, or refuse a checkpoint that lacks what it should hold."""
    mismatched = {str(entry[0]) for entry in info.get("mismatched_keys", ())}
    missing = {str(key) for key in info["missing_keys"]} | mismatched
    if not missing:
        return []
    sizes = {key: parameter.numel() for key, parameter in model.named_parameters()}
    in_layers = sorted(key for key in missing if any(part.isdigit() for part in key.split(".")[:-1]))
    most = sum(sizes.get(key, 0) for key in missing) > sum(sizes.values()) / 2
    if head in _HEADS_OF_ENCODERS and not in_layers and not most:
        return fresh_modules(model, [key for key in missing if key in sizes])
    first = (in_layers or sorted(missing))[0]
    wrong = "other shapes than its config.json asks for" if first in mismatched else "no weights"
    raise ModelError(
        f"{name} holds {wrong} for {len(missing)} of the weights of a {type(model).__name__}, the first is {first!r}: "
        "its config.json and its weights do not belong together, or the file is not whole. Left as they are, they "
        "would be random. Save or download the model again."
    )
