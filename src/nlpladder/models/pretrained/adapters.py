"""Adapters on a pretrained model: LoRA, (IA)^3, prefix, prompt and P-tuning, by peft, with what peft leaves open.

LoRA (Hu et al. 2022):      W x becomes W x + (alpha / r) B A x, A of shape (r, in), B of shape (out, r)     (eq. 3)
rsLoRA (Kalajdzievski 2023): the factor is alpha / sqrt(r)
DoRA (Liu et al. 2024):     W' = m (W + B A) / ||W + B A||, a trained length m for each output               (eq. 5)
(IA)^3 (Liu et al. 2022):   keys, values and inner activations are multiplied by trained vectors             (sec. 3.3)
prefix (Li & Liang 2021):   trained keys and values stand before those of the text in every layer            (eq. 3)
prompt (Lester et al. 2021): trained embeddings stand before those of the text
P-tuning (Liu et al. 2021): the same, made by a small network

What is done here beside calling peft: targets for the model types it has no defaults for; layers that start at random
are trained and saved with the adapter; a method that a model cannot take is refused, after a trial on a few tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.pretrained.peft_options import Head, PeftMethod, PeftOptions, default_learning_rate

__all__ = ["add_adapter", "default_learning_rate", "trainable_share", "virtual_tokens"]

TASK_TYPES: dict[str, str] = {
    "classification": "SEQ_CLS",
    "token_classification": "TOKEN_CLS",
    "question_answering": "QUESTION_ANS",
    "causal": "CAUSAL_LM",
    "seq2seq": "SEQ_2_SEQ_LM",
}


def add_adapter(
    model: Any,
    *,
    method: PeftMethod,
    options: PeftOptions,
    head: Head,
    fresh: Sequence[str] = (),
    base_name: str | None = None,
    tokenizer: Any = None,
) -> Any:
    """Freeze a pretrained model and put an adapter on it.

    Args:
        model: As `open_pretrained` returns it.
        method: Which adapter; ``none`` returns the model as it is.
        options: Settings of the adapter.
        head: What the model does.
        fresh: Modules that start at random; they are trained in full and saved with the adapter.
        base_name: Name or path of the base model, written into the adapter's config.
        tokenizer: Of the model, for ``prompt_text``; the one in the model's folder if not given.

    Raises:
        ModelError: The model cannot take the method, a target is not there, or a quantised model is to be trained.
    """
    quantised = getattr(model, "is_quantized", False)
    if method == "none":
        if quantised:
            raise ModelError(
                f"The model is loaded in {options.quantization}, and such weights cannot be trained. Choose an "
                "adapter, for example --peft lora, or leave out the quantization."
            )
        return model
    from peft import get_peft_model

    if quantised:
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = _adapter_config(model, method, options, head, fresh)
    was_training = model.training
    try:
        adapted: Any = get_peft_model(model, config)
    except (ValueError, NotImplementedError) as error:
        raise _refusal(model, method, head, error) from error
    if base_name:
        # get_peft_model puts the path here from which the model was loaded; ours may be relative to the adapter.
        adapted.peft_config["default"].base_model_name_or_path = base_name
    from nlpladder.models.pretrained.loading import quiet_loading
    from nlpladder.models.pretrained.prompts import close_gaps

    adapted = close_gaps(adapted)
    if method not in ("lora", "ia3"):
        from nlpladder.models.pretrained.prompt_trial import try_prompt

        if options.prompt_text is not None and method == "prompt":
            _start_from_text(adapted, options.prompt_text, tokenizer)
        try:
            with quiet_loading():
                try_prompt(adapted, head)
        except Exception as error:
            raise _refusal(model, method, head, error) from error
    return adapted.train(was_training)


def trainable_share(model: Any) -> str:
    """Say how many of a model's parameters are trained, for example "12,288 of 272,320 parameters … (4.5 %)".

    Args:
        model: Any module. Weights that an adapter has replaced by trained copies count once.
    """
    trained = all_parameters = 0
    for name, parameter in model.named_parameters():
        # A weight in 4 bits is held two to a byte.
        size = math.prod(getattr(getattr(parameter, "quant_state", None), "shape", parameter.shape))
        if ".original_module." in name:
            continue
        all_parameters += size
        trained += size if parameter.requires_grad else 0
    share = 100 * trained / max(1, all_parameters)
    digits = 1 if share >= 1 else 2
    return f"{trained:,} of {all_parameters:,} parameters are trained ({share:.{digits}f} %)"


def virtual_tokens(model: Any) -> int:
    """Return how many positions of a model its adapter takes: those of a prefix or prompt, 0 for all other models.

    Args:
        model: Any model.
    """
    configs = getattr(model, "peft_config", None)
    if not isinstance(configs, dict):
        return 0
    return max(int(getattr(config, "num_virtual_tokens", None) or 0) for config in configs.values())


def _adapter_config(model: Any, method: PeftMethod, options: PeftOptions, head: Head, fresh: Sequence[str]) -> Any:
    from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig
    from transformers.pytorch_utils import Conv1D

    from nlpladder.models.pretrained import targets

    common: dict[str, Any] = {"task_type": TASK_TYPES[head], "modules_to_save": list(fresh) or None}
    if method in ("lora", "ia3"):
        if options.targets:
            targets.check_targets(model, options.targets)
        common["fan_in_fan_out"] = any(isinstance(layer, Conv1D) for layer in targets.linear_layers(model).values())
    if method == "lora":
        return LoraConfig(
            r=options.rank,
            lora_alpha=options.alpha,  # type: ignore[arg-type]  # peft takes any number
            lora_dropout=options.dropout,
            use_rslora=options.rslora,
            use_dora=options.dora,
            target_modules=list(options.targets or targets.attention_targets(model)),
            **common,
        )
    if method == "ia3":
        scaled = targets.named_targets(model, options.targets) if options.targets else targets.scaled_targets(model)
        return IA3Config(target_modules=scaled[0], feedforward_modules=scaled[1], **common)
    common |= {"num_virtual_tokens": options.virtual_tokens, **_prompt_shape(model, method)}
    if method == "prefix":
        return PrefixTuningConfig(prefix_projection=True, encoder_hidden_size=options.hidden_size, **common)
    if method == "prompt":
        # Embeddings of real tokens are a better start than random vectors (Lester et al. 2021, figure 3b).
        return PromptTuningConfig(prompt_tuning_init="SAMPLE_VOCAB", **common)
    return PromptEncoderConfig(encoder_hidden_size=options.hidden_size, **common)


def _prompt_shape(model: Any, method: PeftMethod) -> dict[str, Any]:
    """Return layers, heads and widths of a prompt; peft guesses wrongly where an encoder-decoder's halves differ."""
    config = model.config if model.config.is_encoder_decoder else model.config.get_text_config()
    width = int(model.get_input_embeddings().weight.shape[-1])
    if method != "prefix":
        # The prompt stands in the encoder's text only: one half, not two.
        return {"num_transformer_submodules": 1, "token_dim": width, "num_layers": 1, "num_attention_heads": 1}

    def first(*names: str) -> int | None:
        return next((int(getattr(config, name)) for name in names if getattr(config, name, None)), None)

    layers = first("num_decoder_layers", "decoder_layers", "num_hidden_layers", "num_layers", "n_layer")
    heads = first("decoder_attention_heads", "num_attention_heads", "num_heads", "n_head")
    if layers is None or heads is None:
        raise ModelError(
            f"The config of a {config.model_type} model does not say how many layers and heads it has, which a prefix "
            "needs. Take --peft lora."
        )
    head_width = first("head_dim", "d_kv") or first("hidden_size", "d_model", "n_embd", "dim") // heads  # type: ignore[operator]
    key_value_heads = first("num_key_value_heads") or heads
    return {
        "num_transformer_submodules": 2 if model.config.is_encoder_decoder else 1,
        "num_layers": layers,
        "num_attention_heads": key_value_heads,
        "token_dim": key_value_heads * head_width,
    }


def _start_from_text(model: Any, text: str, tokenizer: Any) -> None:
    """Write the embeddings of a text, repeated or cut to the prompt's length, into the prompt."""
    import torch

    if tokenizer is None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model.config.name_or_path)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ModelError(f"prompt_text is {text!r}, which has no tokens. Write what the model is to do, in some words.")
    prompt = model.prompt_encoder["default"].embedding.weight  # (virtual tokens, width)
    chosen = (ids * math.ceil(len(prompt) / len(ids)))[: len(prompt)]
    with torch.no_grad():
        prompt.copy_(model.word_embeddings(torch.tensor(chosen, device=prompt.device)))


def _refusal(model: Any, method: PeftMethod, head: Head, error: Exception) -> ModelError:
    """Say that a method does not work with this model, why, and which one to take instead."""
    if isinstance(error, ModelError):
        return error
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    instead = {"lora": "ia3", "ia3": "lora"}.get(method, "lora or ia3")
    return ModelError(
        f"--peft {method} does not work with a {model.config.model_type} model for {head.replace('_', ' ')} "
        f"({reason}). Take {instead}."
    )
