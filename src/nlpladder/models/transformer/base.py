"""What every Transformer of ours has in common: initialisation, masks, positions, losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init

from nlpladder.models.transformer.config import TransformerConfig
from nlpladder.nn.masks import (
    additive_mask,
    causal_mask,
    document_mask,
    is_right_padded,
    positions_from_documents,
    positions_from_mask,
)
from nlpladder.nn.normalization import RMSNorm
from nlpladder.nn.positions import alibi_bias, rotary_angles


class TransformerModel(PreTrainedModel):
    """Base of our generative Transformers."""

    config: TransformerConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _no_split_modules = ["TransformerLayer"]  # noqa: RUF012 - transformers declares it so

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        initialize(module, self.config)


def initialize(module: nn.Module, config: TransformerConfig) -> None:
    """Fill `module`'s own parameters by the config's scheme; zeros for biases, ones for gains.

    transformers' default, N(0, 0.02) for all, does not learn in small models of some hundred steps; Xavier does.
    """
    if isinstance(module, nn.Linear):
        if config.initialization == "xavier":
            init.xavier_uniform_(module.weight)
        else:
            init.normal_(module.weight, mean=0.0, std=config.initializer_range)
        if module.bias is not None:
            init.zeros_(module.bias)
        if getattr(module, "writes_residual", False):
            _scale_residual_writer(module, config)
    elif isinstance(module, nn.Embedding):
        width = module.embedding_dim
        std = width**-0.5 if config.initialization == "xavier" else config.initializer_range
        init.normal_(module.weight, mean=0.0, std=std)
        if module.padding_idx is not None:
            init.zeros_(module.weight[module.padding_idx])
    elif isinstance(module, (nn.LayerNorm, RMSNorm)):
        init.ones_(module.weight)
        if isinstance(module, nn.LayerNorm):
            init.zeros_(module.bias)


def _scale_residual_writer(module: nn.Linear, config: TransformerConfig) -> None:
    if config.residual_initialization == "zero":
        init.zeros_(module.weight)
    elif config.residual_initialization == "depth_scaled" and not getattr(module.weight, "_is_hf_initialized", False):
        module.weight.mul_((2 * config.num_hidden_layers) ** -0.5)


def has_padding(mask: Tensor | None, *, causal: bool) -> bool:
    """Say whether `mask` (batch, tokens) hides anything that the attention would otherwise see.

    In causal attention padding on the right is hidden already: no token reads what follows it. On an accelerator, and
    under a compiler, the mask is not looked at and counts as padded.
    """
    if mask is None:
        return False
    if mask.device.type != "cpu" or torch.compiler.is_compiling():
        return True
    return not (is_right_padded(mask) if causal else bool(mask.all()))


def token_positions(
    length: int, past: int, *, mask: Tensor | None, documents: Tensor | None, device: torch.device
) -> Tensor:
    """Return the positions (batch or 1, length) of `length` new tokens that follow `past` ones.

    Args:
        length: New tokens.
        past: Tokens in the cache.
        mask: Shape (batch, past + length); given where padding on the left shifts the columns.
        documents: Document numbers of packed rows, shape (batch, length).
        device: Of the result.
    """
    if documents is not None:
        return positions_from_documents(documents)
    if mask is not None and mask.shape[1] >= length:
        return positions_from_mask(mask)[:, -length:]
    return torch.arange(past, past + length, device=device).unsqueeze(0)


def self_attention_bias(
    config: TransformerConfig,
    hidden: Tensor,
    *,
    mask: Tensor | None,
    causal: bool,
    past: int = 0,
    documents: Tensor | None = None,
) -> tuple[Tensor | None, bool]:
    """Return the additive bias of self-attention and whether the kernel is to hide the future by itself.

    Args:
        config: Of the model.
        hidden: The stack's input (batch, target, width).
        mask: Boolean, shape (batch, source); None without padding. A mask of four dimensions (batch, 1, target,
            source) is taken as it is.
        causal: Hide later positions.
        past: Tokens in the cache; the source has past + target columns.
        documents: Document numbers (batch, target) of packed rows.
    """
    target, device = hidden.shape[1], hidden.device
    source = past + target
    allowed: Tensor | None = None
    if mask is not None and mask.ndim == 4:
        allowed, causal = mask.bool(), False
        source = mask.shape[-1]
    elif mask is not None:
        allowed = mask.bool()[:, None, None, :]  # (batch, 1, 1, source)
    if documents is not None:
        same = document_mask(documents, documents)  # (batch, 1, target, source)
        allowed = same if allowed is None else allowed & same
    causal = causal and target > 1  # a single new token may read all that came before it
    is_plain = causal and allowed is None and past == 0 and config.positions != "alibi"
    if is_plain and device.type != "cpu":
        return None, True  # the flash kernel knows this mask and takes no other
    if causal:
        triangle = causal_mask(target, source, device=device)[None, None]  # (1, 1, target, source)
        allowed = triangle if allowed is None else allowed & triangle
    dtype = attention_dtype(hidden)
    if config.positions == "alibi":
        bias = alibi_bias(config.num_attention_heads, target, source, device=device).to(dtype)
        return bias if allowed is None else bias.masked_fill(~allowed, torch.finfo(dtype).min), False
    return None if allowed is None else additive_mask(allowed, dtype), False


def padding_bias(mask: Tensor | None, hidden: Tensor) -> Tensor | None:
    """Return the additive bias (batch, 1, 1, source) that hides the source's padding, or None without any."""
    if mask is None or not has_padding(mask, causal=False):
        return None
    return additive_mask(mask.bool()[:, None, None, :], attention_dtype(hidden))


def attention_dtype(hidden: Tensor) -> torch.dtype:
    """Return the type in which attention scores will be computed: autocast's, where it is on."""
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


def rotation_of(config: TransformerConfig, positions: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the rotary cosines and sines of `positions` (batch or 1, tokens), or None for other positions."""
    if config.positions != "rotary":
        return None
    return rotary_angles(positions, config.hidden_size // config.num_attention_heads, theta=float(config.rope_theta))


def summed_loss(
    model: TransformerModel,
    hidden: Tensor,
    output: nn.Linear,
    targets: Tensor,
    *,
    label_smoothing: float,
    sampled_softmax: int,
) -> Tensor:
    """Return the summed cross-entropy of `targets` from the last states, without the logits in memory.

    Args:
        model: Smooths, and samples, in training mode only.
        hidden: Shape (batch, tokens, width).
        output: The output layer.
        targets: Shape (batch, tokens); -100 is left out.
        label_smoothing: Share of the target's probability spread over the vocabulary (Szegedy et al. 2016).
        sampled_softmax: Number of sampled words to tell the target from, instead of all; 0 for all.
    """
    from nlpladder.nn.output_loss import linear_cross_entropy
    from nlpladder.nn.sampled_softmax import sampled_cross_entropy

    if model.training and sampled_softmax:
        return sampled_cross_entropy(hidden, output.weight, targets, bias=output.bias, num_samples=sampled_softmax)
    smoothing = label_smoothing if model.training else 0.0
    return linear_cross_entropy(hidden, output.weight, targets, bias=output.bias, label_smoothing=smoothing)


def logits_loss(logits: Tensor, targets: Tensor, *, num_items: Tensor | int | None, label_smoothing: float) -> Tensor:
    """Return the cross-entropy from logits: the mean, or the sum over `num_items` for exact gradient accumulation."""
    flat = logits.flatten(0, -2).float()
    reduction = "mean" if num_items is None else "sum"
    loss = F.cross_entropy(flat, targets.flatten(), reduction=reduction, label_smoothing=label_smoothing)
    return loss if num_items is None else loss / num_items


def kept_states(hidden: Tensor, logits_to_keep: int | Tensor) -> Tensor:
    """Return the positions whose logits are wanted: the last `logits_to_keep`, all for 0, or those indexed."""
    if isinstance(logits_to_keep, int):
        return hidden[:, -logits_to_keep:] if logits_to_keep else hidden
    return hidden[:, logits_to_keep]


def flag(given: bool | None, config: Any, name: str) -> bool:
    """Return `given`, or what the config says under `name`."""
    return bool(getattr(config, name) if given is None else given)
