"""The layer of a Transformer and the stack of them (Vaswani et al. 2017, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from nlpladder.models.transformer.config import TransformerConfig
from nlpladder.nn.attention import MultiHeadAttention
from nlpladder.nn.dropout import drop_units
from nlpladder.nn.feed_forward import FeedForward
from nlpladder.nn.normalization import build_norm


@dataclass(frozen=True, kw_only=True)
class AttentionContext:
    """What all layers of a stack have in common in one forward pass, computed once.

    Attributes:
        bias: Added to the scores of self-attention, (batch or 1, heads or 1, target, source), or None.
        is_causal: Self-attention hides the future and nothing else; `bias` is None then.
        rotation: Cosines and sines of the rotary positions, or None.
        encoder_hidden: The encoder's states (batch, source, width), for cross-attention.
        encoder_bias: Added to the scores of cross-attention, or None.
        need_weights: Return attention weights.
    """

    bias: Tensor | None = None
    is_causal: bool = False
    rotation: tuple[Tensor, Tensor] | None = None
    encoder_hidden: Tensor | None = None
    encoder_bias: Tensor | None = None
    need_weights: bool = False


@dataclass(frozen=True, kw_only=True)
class StackOutput:
    """States of a stack, and what was asked for besides.

    Attributes:
        hidden: The last layer's states, normalised where the stack has a last norm: (batch, tokens, width).
        states: The input and every layer's output, when asked for; the last one is `hidden`.
        attentions: Self-attention weights (batch, heads, target, source), one a layer, when asked for.
        cross_attentions: Cross-attention weights, likewise.
    """

    hidden: Tensor
    states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None


class TransformerLayer(GradientCheckpointingLayer):
    """Self-attention, cross-attention where the layer reads an encoder, and a feed-forward network.

    Each sub-layer stands in a residual connection. Post-norm, as in the paper: LayerNorm(x + Sublayer(x)); pre-norm
    (Xiong et al. 2020): x + Sublayer(LayerNorm(x)), which trains without warm-up.

    Args:
        config: Of the model.
        layer_index: Number of the layer, from 0; its place in a cache.
        reads_encoder: Have a cross-attention.
    """

    def __init__(self, config: TransformerConfig, layer_index: int, *, reads_encoder: bool = False) -> None:
        super().__init__()
        width, heads, dropout = config.hidden_size, config.num_attention_heads, config.dropout_of("attention")
        self.self_attention = MultiHeadAttention(
            width,
            heads,
            dropout,
            num_key_value_heads=config.num_key_value_heads,
            bias=config.attention_bias,
            qk_norm=config.qk_norm,
            layer_index=layer_index,
        )
        self.self_attention_norm = build_norm(config.norm, width, config.norm_epsilon)
        self.cross_attention: MultiHeadAttention | None = None
        self.cross_attention_norm: nn.Module | None = None
        if reads_encoder:
            self.cross_attention = MultiHeadAttention(
                width, heads, dropout, bias=config.attention_bias, layer_index=layer_index
            )
            self.cross_attention_norm = build_norm(config.norm, width, config.norm_epsilon)
        self.feed_forward = FeedForward(
            width,
            config.intermediate_size,
            activation=config.activation,
            bias=config.feed_forward_bias,
            dropout=config.dropout_of("activation"),
        )
        self.feed_forward_norm = build_norm(config.norm, width, config.norm_epsilon)
        self.dropout = float(config.dropout)
        self.pre_norm = config.pre_norm
        # The matrices that write to the residual stream; `initialize` treats them by their own rule.
        for part in (self.self_attention, self.cross_attention, self.feed_forward):
            if part is not None:
                part.output.writes_residual = True  # type: ignore[assignment]

    def forward(
        self, hidden: Tensor, context: AttentionContext, past_key_values: Any | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Transform `hidden` (batch, tokens, width).

        Returns:
            The new states, and the weights of self- and cross-attention (batch, heads, target, source) or None.
        """
        mixed, weights = self.self_attention(
            self._before(self.self_attention_norm, hidden),
            bias=context.bias,
            is_causal=context.is_causal,
            rotation=context.rotation,
            cache=past_key_values,
            need_weights=context.need_weights,
        )
        hidden = self._add(self.self_attention_norm, hidden, mixed)
        cross_weights = None
        if self.cross_attention is not None:
            assert self.cross_attention_norm is not None
            mixed, cross_weights = self.cross_attention(
                self._before(self.cross_attention_norm, hidden),
                context.encoder_hidden,
                bias=context.encoder_bias,
                cache=past_key_values,
                need_weights=context.need_weights,
            )
            hidden = self._add(self.cross_attention_norm, hidden, mixed)
        transformed = self.feed_forward(self._before(self.feed_forward_norm, hidden))
        return self._add(self.feed_forward_norm, hidden, transformed), weights, cross_weights

    def _before(self, norm: nn.Module, hidden: Tensor) -> Tensor:
        """Return a sub-layer's input; cast once here, where autocast would cast for each projection anew."""
        return to_autocast_dtype(norm(hidden) if self.pre_norm else hidden)

    def _add(self, norm: nn.Module, hidden: Tensor, change: Tensor) -> Tensor:
        """Close a residual connection."""
        if self.training and self.dropout:
            change = drop_units(change, self.dropout)
        hidden = hidden + change
        return hidden if self.pre_norm else norm(hidden)


class TransformerStack(nn.Module):
    """Layers one after another, and a last normalisation where the config wants one.

    Args:
        config: Of the model.
        num_layers: Number of layers.
        reads_encoder: Give every layer a cross-attention.
    """

    def __init__(self, config: TransformerConfig, num_layers: int, *, reads_encoder: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(config, index, reads_encoder=reads_encoder) for index in range(num_layers)
        )
        has_norm = config.pre_norm if config.final_norm is None else config.final_norm
        self.norm = build_norm(config.norm, config.hidden_size, config.norm_epsilon) if has_norm else None

    def forward(
        self,
        hidden: Tensor,
        context: AttentionContext,
        *,
        past_key_values: Any | None = None,
        need_states: bool = False,
    ) -> StackOutput:
        """Run `hidden` (batch, tokens, width) through all layers."""
        states, attentions, cross_attentions = [hidden], [], []
        for layer in self.layers:
            hidden, weights, cross_weights = layer(hidden, context, past_key_values=past_key_values)
            if need_states:
                states.append(hidden)
            attentions.append(weights)
            cross_attentions.append(cross_weights)
        if self.norm is not None:
            hidden = self.norm(hidden)
            states[-1] = hidden
        has_cross = context.need_weights and context.encoder_hidden is not None
        return StackOutput(
            hidden=hidden,
            states=tuple(states) if need_states else None,
            attentions=tuple(attentions) if context.need_weights else None,
            cross_attentions=tuple(cross_attentions) if has_cross else None,
        )


def to_autocast_dtype(hidden: Tensor) -> Tensor:
    """Cast `hidden` to the type that autocast, if it is on, gives the next matrix product."""
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        return hidden.to(torch.get_autocast_dtype(device))
    return hidden
