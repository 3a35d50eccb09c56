"""Folding an adapter into its base, with a comparison before anything is written."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from nlpladder.errors import CheckFailedError, ModelError
from nlpladder.models.pretrained.adapters import virtual_tokens

#: Sentences of several lengths and scripts on which adapter and merged model are compared.
PROBE_TEXTS = (
    "A plain sentence.",
    "The plot is dull, but the acting is superb!",
    "no",
    "Ünïcödé, 漢字 and 1,234 numbers in one line.",
    "It goes on " + "and on " * 60,
)
_PROBE_TOKENS = 64
_GENERATED_TOKENS = 24


def merge_adapter(holder: Any, *, tolerance: float = 1e-4) -> tuple[Any, float]:
    """Return a plain model that answers as the one with its adapter, and the largest difference of their logits.

    W + (alpha / r) B A takes the place of W (LoRA; DoRA and rsLoRA likewise), and the trained vectors of (IA)^3 are
    multiplied into the weights. The logits of a few texts are compared and, for models that write, greedy answers.

    Args:
        holder: What `nlpladder.load` returns: a model with an adapter, and its tokenizer. It is left as it is.
        tolerance: Largest allowed difference of a logit.

    Returns:
        A holder of the same class with the merged model, and the difference.

    Raises:
        ModelError: There is no adapter, it is a prompt, which no weight can hold, or its base is quantised (rounding
            would change the merged weights).
        CheckFailedError: The merged model answers differently.
    """
    model: Any = holder.model
    if not hasattr(model, "peft_config"):
        raise ModelError("This model has no adapter, so there is nothing to merge.")
    if virtual_tokens(model):
        kind = model.active_peft_config.peft_type.value.lower().replace("_", " ")
        raise ModelError(
            f"This adapter is of the kind {kind}: trained vectors that stand before every text. No weight of the base "
            "can hold them, so it cannot be merged; use base and adapter together. LoRA and (IA)^3 can be merged."
        )
    if getattr(model.config, "quantization_config", None) is not None:
        raise ModelError("The adapter's base is quantised; load the base in float32 or bfloat16 before merging.")
    before, answers = probe_logits(model, holder.tokenizer), greedy_tokens(model, holder.tokenizer)
    merged = copy.copy(holder)
    merged.model = _folded(copy.deepcopy(model)).eval()
    after = probe_logits(merged.model, holder.tokenizer)
    difference = max(float(np.abs(one - other).max()) for one, other in zip(before, after, strict=True))
    if not difference <= tolerance:
        raise CheckFailedError(
            f"The merged model's logits differ from the adapter's by {difference:.2g}, more than {tolerance:.2g}. "
            "Nothing was written. Merge in float32."
        )
    if greedy_tokens(merged.model, holder.tokenizer) != answers:
        raise CheckFailedError(
            "The merged model writes other tokens than the adapter under greedy search, although their logits differ "
            f"by only {difference:.2g}. Nothing was written. Merge in float32."
        )
    return merged, difference


def _folded(model: Any) -> Any:
    """Return the base with the adapter in its weights, and with the trained heads in the place of the random ones."""
    from peft.utils import AuxiliaryTrainingWrapper

    # peft's (IA)^3 cannot put back a head of several layers, such as BERT's pooler.
    for name, module in list(model.named_modules()):
        if isinstance(module, AuxiliaryTrainingWrapper):
            parent, _, own = name.rpartition(".")
            trained = module.unload_and_optionally_merge_module(merge=True, safe_merge=False, adapter_names=None)
            setattr(model.get_submodule(parent), own, trained)
    return model.merge_and_unload()


def probe_logits(model: Any, tokenizer: Any) -> list[np.ndarray]:
    """Return the logits of the probe texts, each read by itself; an encoder-decoder reads a text and writes it.

    Args:
        model: Any model of transformers, with or without an adapter.
        tokenizer: Of the model.
    """
    import torch

    found = []
    model.eval()
    with torch.inference_mode():
        for ids in _probe_ids(model, tokenizer):
            inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            if model.config.is_encoder_decoder and _writes(model):
                inputs["decoder_input_ids"] = torch.cat([_start(model, ids), ids], dim=1)
            output = model(**inputs)
            names = [name for name in ("logits", "start_logits", "end_logits") if output.get(name) is not None]
            found += [output[name].float().cpu().numpy() for name in names]
    return found


def greedy_tokens(model: Any, tokenizer: Any) -> list[list[int]]:
    """Return the tokens that a model writes after each of the probe texts under greedy search; none if it cannot write.

    Args:
        model: Any model of transformers, with or without an adapter.
        tokenizer: Of the model.
    """
    import torch

    if not _writes(model):
        return []
    found = []
    with torch.inference_mode():
        for ids in _probe_ids(model, tokenizer):
            written = model.generate(
                input_ids=ids[:, : _PROBE_TOKENS // 2],
                attention_mask=torch.ones_like(ids[:, : _PROBE_TOKENS // 2]),
                max_new_tokens=_GENERATED_TOKENS,
                do_sample=False,
                num_beams=1,
            )
            found.append(written[0].tolist())
    return found


def _probe_ids(model: Any, tokenizer: Any) -> list[Any]:
    import torch

    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 10**9
    longest = max(1, min(_PROBE_TOKENS, positions - _GENERATED_TOKENS - 4))
    device = next(model.parameters()).device
    rows = [tokenizer(text, truncation=True, max_length=longest)["input_ids"] for text in PROBE_TEXTS]
    return [torch.tensor([row], device=device) for row in rows if row]


def _start(model: Any, ids: Any) -> Any:
    start = model.config.decoder_start_token_id
    start = model.config.bos_token_id if start is None else start
    return ids.new_full((1, 1), int(start or 0))


def _writes(model: Any) -> bool:
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    return bool(base.can_generate())
