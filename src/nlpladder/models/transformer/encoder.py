"""The encoder (Vaswani et al. 2017, section 3.1): every position reads every other."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from nlpladder.models.transformer.base import (
    flag,
    has_padding,
    rotation_of,
    self_attention_bias,
    token_positions,
)
from nlpladder.models.transformer.config import TransformerConfig
from nlpladder.models.transformer.embeddings import TransformerEmbeddings
from nlpladder.models.transformer.layers import AttentionContext, TransformerStack


class TransformerEncoder(nn.Module):
    """Embeddings and a stack of self-attention layers without a direction.

    Args:
        config: Of the model.
    """

    main_input_name = "input_ids"

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = TransformerEmbeddings(config, config.vocab_size)
        self.stack = TransformerStack(config, config.num_hidden_layers)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        document_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **_: Any,
    ) -> BaseModelOutput:
        """Encode a batch.

        Args:
            input_ids: Shape (batch, source).
            attention_mask: Shape (batch, source), 1 for tokens; no padding when not given.
            token_type_ids: Shape (batch, source), for models with token types.
            position_ids: Shape (batch or 1, source); counted from the mask when not given.
            document_ids: Number of each token's text in packed rows, shape (batch, source).
            output_attentions: Return the weights of every layer.
            output_hidden_states: Return the states of every layer.

        Returns:
            ``last_hidden_state`` (batch, source, width), and ``hidden_states`` and ``attentions`` when asked for.
        """
        mask = attention_mask if has_padding(attention_mask, causal=False) else None
        if position_ids is None:
            shifting = mask if has_padding(mask, causal=True) else None  # padding on the right shifts nothing
            position_ids = token_positions(
                input_ids.shape[1], 0, mask=shifting, documents=document_ids, device=input_ids.device
            )
        hidden = self.embeddings(input_ids, position_ids, token_type_ids)
        bias, _is_causal = self_attention_bias(self.config, hidden, mask=mask, causal=False, documents=document_ids)
        context = AttentionContext(
            bias=bias,
            rotation=rotation_of(self.config, position_ids),
            need_weights=flag(output_attentions, self.config, "output_attentions"),
        )
        need_states = flag(output_hidden_states, self.config, "output_hidden_states")
        output = self.stack(hidden, context, need_states=need_states)
        return BaseModelOutput(
            last_hidden_state=output.hidden, hidden_states=output.states, attentions=output.attentions
        )
