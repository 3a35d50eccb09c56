"""LoRA (Hu et al. 2022) on any encoder: which layers to adapt, and which fresh layers to train and save with them.

W x becomes W x + (alpha / r) B A x with W frozen, A of shape (r, in) and B of shape (out, r)      (eq. 3)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nlpladder.errors import ModelError

#: Attention projections by ``model_type``. peft has no default for many of these, and ``all-linear`` breaks on some.
LORA_TARGETS: dict[str, tuple[str, ...]] = {
    "albert": ("query", "key", "value"),
    "bert": ("query", "key", "value"),
    "big_bird": ("query", "key", "value"),
    "camembert": ("query", "key", "value"),
    "deberta": ("in_proj", "pos_proj", "pos_q_proj"),
    "deberta-v2": ("query_proj", "key_proj", "value_proj"),
    "distilbert": ("q_lin", "k_lin", "v_lin"),
    "electra": ("query", "key", "value"),
    "gpt2": ("c_attn",),
    "gpt_neo": ("q_proj", "v_proj"),
    "gpt_neox": ("query_key_value",),
    "llama": ("q_proj", "k_proj", "v_proj"),
    "longformer": ("query", "key", "value"),
    "marian": ("q_proj", "k_proj", "v_proj"),
    "mistral": ("q_proj", "k_proj", "v_proj"),
    "modernbert": ("Wqkv",),
    "mpnet": ("attn.q", "attn.k", "attn.v"),
    "nlpladder_transformer_classifier": ("query", "key", "value"),
    "qwen2": ("q_proj", "k_proj", "v_proj"),
    "qwen3": ("q_proj", "k_proj", "v_proj"),
    "roberta": ("query", "key", "value"),
    "t5": ("q", "k", "v"),
    "xlm-roberta": ("query", "key", "value"),
    "xlnet": ("layer_1", "layer_2"),  # its attention weights are bare parameters, which LoRA cannot wrap
}

_ATTENTION_NAMES = (
    "query",
    "key",
    "value",
    "q_proj",
    "k_proj",
    "v_proj",
    "qkv",
    "Wqkv",
    "q_lin",
    "k_lin",
    "v_lin",
    "c_attn",
)


def lora_targets(model: Any) -> list[str]:
    """Return the names of the layers to adapt: from `LORA_TARGETS`, else by looking for attention projections.

    Raises:
        ModelError: when the model has no linear layer with a name that attention projections go by.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    linear = {name: module for name, module in model.named_modules() if isinstance(module, (torch.nn.Linear, Conv1D))}
    known = LORA_TARGETS.get(model.config.model_type)
    if known and any(name.endswith(known) for name in linear):
        return list(known)
    found = sorted({name.rsplit(".", 1)[-1] for name in linear} & set(_ATTENTION_NAMES))
    if not found:
        endings = sorted({name.rsplit(".", 1)[-1] for name in linear})
        raise ModelError(
            f"No attention projections are known for the model type {model.config.model_type!r}. "
            f"Name the layers to adapt with --lora_targets; its linear layers are called {', '.join(endings)}."
        )
    return found


def fresh_modules(model: Any, missing_keys: Iterable[str]) -> list[str]:
    """Return the top-most modules whose weights a checkpoint did not hold.

    They start at random, so an adapter that neither trains nor saves them answers differently after a reload (the
    pooler of DeBERTa, the head of every encoder).

    Args:
        model: The model that was loaded.
        missing_keys: ``missing_keys`` of ``from_pretrained(…, output_loading_info=True)``.
    """
    modules = dict(model.named_modules())
    found: list[str] = []
    for key in sorted(missing_keys):
        path = key.rsplit(".", 1)[0]
        # Climb while every parameter below the parent is missing too: a whole head is one module.
        missing = set(missing_keys)
        while "." in path:
            parent = path.rsplit(".", 1)[0]
            if not {f"{parent}.{name}" for name, _ in modules[parent].named_parameters()} <= missing:
                break
            path = parent
        if path and path not in found:
            found.append(path)
    return [path for path in found if not any(path != other and path.startswith(other + ".") for other in found)]


def add_lora(
    model: Any,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    targets: Sequence[str] | None = None,
    fresh: Sequence[str] = (),
    base_name: str | None = None,
) -> Any:
    """Wrap `model` with a LoRA adapter for sequence classification.

    Args:
        model: A ``…ForSequenceClassification``.
        rank: r, the rank of the update.
        alpha: Its scale is alpha / r.
        dropout: On the adapter's input, in training.
        targets: Layers to adapt; `lora_targets` when not given.
        fresh: Modules that are trained in full and saved with the adapter, from `fresh_modules`.
        base_name: Name or path of the base model, written into the adapter's config.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    if rank < 1:
        raise ModelError(f"The rank of LoRA must be at least 1; got {rank}.")
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # peft takes any number
        lora_dropout=dropout,
        target_modules=list(targets or lora_targets(model)),
        modules_to_save=list(fresh) or None,
    )
    adapted = get_peft_model(model, config)
    if base_name:
        # get_peft_model puts the path here from which the model was loaded; ours may be relative to the adapter.
        adapted.peft_config["default"].base_model_name_or_path = base_name
    return adapted
