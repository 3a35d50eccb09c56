"""The decoder (Vaswani et al. 2017, section 3.1): every position reads the ones before it, and the encoder if any."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nlpladder.models.transformer.base import (
    has_padding,
    padding_bias,
    rotation_of,
    self_attention_bias,
    token_positions,
)
from nlpladder.models.transformer.config import TransformerConfig
from nlpladder.models.transformer.embeddings import TransformerEmbeddings
from nlpladder.models.transformer.layers import AttentionContext, StackOutput, TransformerStack, to_autocast_dtype
from nlpladder.nn.masks import additive_mask, document_mask


class TransformerDecoder(nn.Module):
    """Embeddings and a stack of causal layers.

    Args:
        config: Of the model.
        vocab_size: Number of target tokens.
        num_layers: Number of layers.
        reads_encoder: Give every layer a cross-attention.
    """

    def __init__(
        self, config: TransformerConfig, *, vocab_size: int, num_layers: int, reads_encoder: bool = False
    ) -> None:
        super().__init__()
        self.config = config
        self.embeddings = TransformerEmbeddings(config, vocab_size)
        self.stack = TransformerStack(config, num_layers, reads_encoder=reads_encoder)

    def forward(
        self,
        input_ids: Tensor,
        *,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        document_ids: Tensor | None = None,
        encoder_hidden: Tensor | None = None,
        encoder_mask: Tensor | None = None,
        encoder_documents: Tensor | None = None,
        past_key_values: Any | None = None,
        need_weights: bool = False,
        need_states: bool = False,
    ) -> StackOutput:
        """Decode a batch.

        Args:
            input_ids: New tokens, shape (batch, target).
            attention_mask: Of the cached and the new tokens, shape (batch, past + target).
            position_ids: Shape (batch or 1, target); counted from the mask when not given.
            document_ids: Number of each token's text in packed rows, shape (batch, target); not with a cache.
            encoder_hidden: The encoder's states (batch, source, width).
            encoder_mask: The source's mask (batch, source).
            encoder_documents: As `document_ids`, for the source.
            past_key_values: A cache of transformers; it grows by the new tokens.
            need_weights: Return attention weights.
            need_states: Return every layer's states.
        """
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        mask = attention_mask if has_padding_or_is_explicit(attention_mask) else None
        if position_ids is None:
            counted = mask if mask is not None and mask.ndim == 2 else None
            position_ids = token_positions(
                input_ids.shape[1], past, mask=counted, documents=document_ids, device=input_ids.device
            )
        hidden = self.embeddings(input_ids, position_ids)
        bias, is_causal = self_attention_bias(
            self.config, hidden, mask=mask, causal=True, past=past, documents=document_ids
        )
        encoder_bias = None
        if encoder_hidden is not None:
            encoder_hidden = to_autocast_dtype(encoder_hidden)
            encoder_bias = padding_bias(encoder_mask, encoder_hidden)
            if document_ids is not None and encoder_documents is not None:
                hidden_documents = additive_mask(document_mask(document_ids, encoder_documents), encoder_hidden.dtype)
                encoder_bias = hidden_documents if encoder_bias is None else encoder_bias.minimum(hidden_documents)
        context = AttentionContext(
            bias=bias,
            is_causal=is_causal,
            rotation=rotation_of(self.config, position_ids),
            encoder_hidden=encoder_hidden,
            encoder_bias=encoder_bias,
            need_weights=need_weights,
        )
        return self.stack(hidden, context, past_key_values=past_key_values, need_states=need_states)


def has_padding_or_is_explicit(mask: Tensor | None) -> bool:
    """Say whether `mask` changes anything in a causal attention; one of four dimensions always counts."""
    return mask is not None and (mask.ndim == 4 or has_padding(mask, causal=True))
