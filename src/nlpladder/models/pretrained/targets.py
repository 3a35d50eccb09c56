"""Which layers of a pretrained model an adapter goes to, by ``model_type``.

peft knows the targets of few model types, and its ``all-linear`` breaks on some heads; every row here is tried on a
small random model of its type in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nlpladder.errors import ModelError


@dataclass(frozen=True)
class Targets:
    """The layers of one model type.

    Attributes:
        attention: Endings of the projections of attention, which LoRA adapts: queries, keys and values.
        keys_and_values: Regular expression of the projections whose outputs (IA)^3 scales. A fused projection is scaled
            as a whole, queries included.
        feed_forward: Regular expression of the second map of the feed-forward network, whose input (IA)^3 scales; None
            where there is no such layer.
    """

    attention: tuple[str, ...]
    keys_and_values: str | None
    feed_forward: str | None


_BERT = Targets(("query", "key", "value"), r".*\.self\.(key|value)", r".*\.layer\.\d+\.output\.dense")
_LLAMA = Targets(("q_proj", "k_proj", "v_proj"), r".*\.(k_proj|v_proj)", r".*\.mlp\.down_proj")
_NEOX = Targets(("query_key_value",), r".*\.query_key_value", r".*\.dense_4h_to_h")
_GPT2 = Targets(("c_attn",), r".*\.c_attn", r".*\.mlp\.c_proj")
_BART = Targets(("q_proj", "k_proj", "v_proj"), r".*\.(k_proj|v_proj)", r".*\.fc2")
_T5 = Targets(("q", "k", "v"), r".*Attention\.(k|v)", r".*\.wo")
_OURS = Targets(("query", "key", "value"), r".*_attention\.(key|value)", r".*\.feed_forward\.output")
_LONG = ("query", "key", "value", "query_global", "key_global", "value_global")

ADAPTER_TARGETS: dict[str, Targets] = {
    # encoders
    **dict.fromkeys(("bert", "big_bird", "camembert", "convbert", "data2vec-text", "electra", "ernie"), _BERT),
    **dict.fromkeys(("mobilebert", "rembert", "roberta", "xlm-roberta", "xlm-roberta-xl"), _BERT),
    "albert": Targets(("query", "key", "value"), r".*attention\.(key|value)", r".*\.ffn_output"),
    "deberta": Targets(("in_proj", "pos_proj", "pos_q_proj"), r".*\.in_proj", _BERT.feed_forward),
    "deberta-v2": Targets(
        ("query_proj", "key_proj", "value_proj"), r".*\.self\.(key_proj|value_proj)", _BERT.feed_forward
    ),
    "distilbert": Targets(("q_lin", "k_lin", "v_lin"), r".*\.(k_lin|v_lin)", r".*\.ffn\.lin2"),
    "funnel": Targets(("q_head", "k_head", "v_head"), r".*\.(k_head|v_head)", r".*\.ffn\.linear_2"),
    "longformer": Targets(_LONG, r".*\.(key|value|key_global|value_global)", _BERT.feed_forward),
    "modernbert": Targets(("Wqkv",), r".*\.Wqkv", r".*\.mlp\.Wo"),
    "mpnet": Targets(("attn.q", "attn.k", "attn.v"), r".*\.attn\.(k|v)", _BERT.feed_forward),
    # Its attention weights are bare parameters, which no adapter can wrap.
    "xlnet": Targets(("layer_1", "layer_2"), None, r".*\.ff\.layer_2"),
    # causal
    **dict.fromkeys(
        ("cohere", "gemma", "gemma2", "gemma3_text", "granite", "llama", "mistral", "olmo", "olmo2"), _LLAMA
    ),
    **dict.fromkeys(("qwen2", "qwen3", "smollm3", "stablelm"), _LLAMA),
    **dict.fromkeys(("bloom", "falcon", "gpt_neox"), _NEOX),
    **dict.fromkeys(("gpt2", "gpt_bigcode"), _GPT2),
    "codegen": Targets(("qkv_proj",), r".*\.qkv_proj", r".*\.mlp\.fc_out"),
    "gpt_neo": Targets(_LLAMA.attention, _LLAMA.keys_and_values, _GPT2.feed_forward),
    "gptj": Targets(_LLAMA.attention, _LLAMA.keys_and_values, r".*\.mlp\.fc_out"),
    "mixtral": Targets(_LLAMA.attention, _LLAMA.keys_and_values, None),  # experts are bare parameters
    "opt": _BART,
    "phi": Targets(_LLAMA.attention, _LLAMA.keys_and_values, r".*\.mlp\.fc2"),
    "phi3": Targets(("qkv_proj",), r".*\.qkv_proj", _LLAMA.feed_forward),
    "starcoder2": Targets(_LLAMA.attention, _LLAMA.keys_and_values, _GPT2.feed_forward),
    # encoder-decoders
    **dict.fromkeys(("bart", "blenderbot", "m2m_100", "marian", "mbart", "pegasus"), _BART),
    **dict.fromkeys(("longt5", "mt5", "t5", "umt5"), _T5),
    "led": Targets((*_LONG, *_BART.attention), r".*\.(key|value|key_global|value_global|k_proj|v_proj)", r".*\.fc2"),
    # ours
    **dict.fromkeys(("nlpladder_transformer_causal_lm", "nlpladder_transformer_classifier"), _OURS),
    "nlpladder_transformer_encoder_decoder": _OURS,
}

#: Endings by which layers of unknown models are found.
_ATTENTION_NAMES = frozenset(
    {"query", "key", "value", "q_proj", "k_proj", "v_proj", "qkv", "qkv_proj", "Wqkv", "q_lin", "k_lin", "v_lin"}
    | {"c_attn", "query_key_value"}
)
_KEY_VALUE_NAMES = _ATTENTION_NAMES - {"query", "q_proj", "q_lin"}
_FEED_FORWARD_NAMES = frozenset({"down_proj", "fc2", "dense_4h_to_h", "wo", "ffn_output", "lin2", "fc_out"})


def linear_layers(model: Any) -> dict[str, Any]:
    """Return the layers of `model` that an adapter can wrap, by name: linear ones, and GPT-2's transposed ones."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return {name: module for name, module in model.named_modules() if isinstance(module, (torch.nn.Linear, Conv1D))}


def attention_targets(model: Any) -> list[str]:
    """Return the endings of the layers that LoRA adapts: from the table, else by the names that projections go by.

    Args:
        model: A model of transformers, or ours.

    Raises:
        ModelError: No layer of the model has such a name.
    """
    linear = linear_layers(model)
    known = ADAPTER_TARGETS.get(model.config.model_type)
    if known and any(name.endswith(known.attention) for name in linear):
        return list(known.attention)
    found = sorted({_ending(name) for name in linear} & _ATTENTION_NAMES)
    if not found:
        raise _unknown(model, linear)
    return found


def scaled_targets(model: Any) -> tuple[str, str]:
    """Return two regular expressions of layers for (IA)^3: of all that are scaled, and of those scaled at their input.

    Args:
        model: A model of transformers, or ours.

    Raises:
        ModelError: No layer of the model has a name that keys, values or feed-forward networks go by.
    """
    linear = linear_layers(model)
    known = ADAPTER_TARGETS.get(model.config.model_type)
    if known is None:
        endings = {_ending(name) for name in linear}
        outputs, inputs = sorted(endings & _KEY_VALUE_NAMES), sorted(endings & _FEED_FORWARD_NAMES)
        if not outputs:
            raise _unknown(model, linear)
        return _any_of([_ends_in(outputs), *([_ends_in(inputs)] if inputs else [])]), _ends_in(inputs)
    parts = [part for part in (known.keys_and_values, known.feed_forward) if part]
    return _any_of(parts), known.feed_forward or _ends_in([])


def named_targets(model: Any, endings: tuple[str, ...]) -> tuple[str, str]:
    """Return what `scaled_targets` does, for layers that a user has named.

    Args:
        model: A model of transformers, or ours.
        endings: Of the layers' names. Those that are known as second maps of feed-forward networks are scaled at
            their input.
    """
    import re

    known = ADAPTER_TARGETS.get(model.config.model_type)
    pattern = known.feed_forward if known else None
    inputs = [
        re.escape(name)
        for name in linear_layers(model)
        if _matches(name, endings)
        and (re.fullmatch(pattern, name) if pattern else _ending(name) in _FEED_FORWARD_NAMES)
    ]
    return _ends_in(endings), _any_of(inputs) if inputs else _ends_in([])


def check_targets(model: Any, endings: tuple[str, ...]) -> None:
    """Refuse an ending that no linear layer of the model has.

    Args:
        model: A model of transformers, or ours.
        endings: Of the names of layers.

    Raises:
        ModelError: There is none.
    """
    from nlpladder.errors import did_you_mean

    linear = linear_layers(model)
    known = sorted({_ending(name) for name in linear})
    for ending in endings:
        if not any(_matches(name, (ending,)) for name in linear):
            raise ModelError(
                f"No linear layer of this {model.config.model_type} model is called {ending!r}."
                f"{did_you_mean(ending, known)} Its linear layers are called {', '.join(known)}."
            )


def _matches(name: str, endings: tuple[str, ...]) -> bool:
    return any(name == ending or name.endswith("." + ending) for ending in endings)


def _ending(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _ends_in(endings: Any) -> str:
    """Return the regular expression of names with one of the endings; one that matches nothing for no ending."""
    import re

    return rf"(.*\.)?({'|'.join(map(re.escape, endings))})" if endings else r"(?!)"


def _any_of(patterns: list[str]) -> str:
    return patterns[0] if len(patterns) == 1 else "|".join(f"({pattern})" for pattern in patterns)


def _unknown(model: Any, linear: dict[str, Any]) -> ModelError:
    endings = sorted({_ending(name) for name in linear})
    return ModelError(
        f"No attention projections are known for the model type {model.config.model_type!r}. Name the layers to adapt "
        f"with --peft_options.targets; its linear layers are called {', '.join(endings)}."
    )
