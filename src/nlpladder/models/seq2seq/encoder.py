"""The encoder: one annotation for every source token (Bahdanau et al. 2015, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import ModelOutput

from nlpladder.models.seq2seq.cells import TimeDropout, recurrent_layer
from nlpladder.models.seq2seq.config import Seq2SeqConfig
from nlpladder.nn.masks import move_padding_right, reverse_within_length, token_mask


@dataclass
class EncoderOutput(ModelOutput):
    """What the decoder gets of the source. Every tensor is batch first: beam search repeats dimension 0.

    Attributes:
        last_hidden_state: The annotations h_j, shape (batch, source, annotation), where the tokens were; zero at
            padding.
        final_state: For each layer, the state after the last token and, of the backward direction, after the first
            one, shape (batch, layers * annotation).
        source_mask: True at tokens, shape (batch, source). It travels with the annotations, because ``generate()``
            passes no attention mask on when it was not given one.
    """

    last_hidden_state: Tensor | None = None
    final_state: Tensor | None = None
    source_mask: Tensor | None = None


class Encoder(nn.Module):
    """Reads the source in one or both directions.

    h_j = [h_j forward; h_j backward]                                                     (Bahdanau 2015, eq. 7)

    Args:
        config: The shape.
    """

    main_input_name = "input_ids"

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.pad_token_id = config.pad_token_id
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        variational = config.variational_dropout
        self.embedding_dropout = TimeDropout(config.embedding_dropout, variational=variational)
        self.dropout = TimeDropout(config.dropout, variational=variational)
        sizes = [config.embedding_size] + [config.annotation_size] * (config.encoder_layers - 1)
        self.forward_layers = nn.ModuleList(recurrent_layer(config.cell, size, config.direction_size) for size in sizes)
        self.backward_layers = nn.ModuleList(
            recurrent_layer(config.cell, size, config.direction_size)
            for size in (sizes if config.bidirectional else [])
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> EncoderOutput:
        """Return the annotations and the final states.

        Args:
            input_ids: Shape (batch, source), padded on either side.
            attention_mask: 1 for tokens, shape (batch, source); derived from the pad id when not given.
        """
        mask = token_mask(input_ids, attention_mask, self.pad_token_id)
        # Padding on the left would be read before the first token.
        padded_left = not bool(mask[:, 0].all())
        right_ids, right_mask = move_padding_right(input_ids, mask) if padded_left else (input_ids, mask)
        last = (right_mask.sum(dim=1) - 1).clamp(min=0)  # (batch,)
        rows = torch.arange(len(last), device=last.device)
        states = self.embedding_dropout(self.embed_tokens(right_ids))  # (batch, source, embedding)
        finals = []
        for number, layer in enumerate(self.forward_layers):
            forward = layer(states)[0]  # (batch, source, direction)
            outputs = [forward]
            # The fused layer's own final state is the one after the padding, and packing loses the fused kernel on a
            # CPU: the state after the last token is taken from the outputs.
            finals.append(forward[rows, last])
            if self.backward_layers:
                reversed_states = reverse_within_length(states, right_mask)
                backward = self.backward_layers[number](reversed_states)[0]
                finals.append(backward[rows, last])
                outputs.append(reverse_within_length(backward, right_mask))
            states = self.dropout(torch.cat(outputs, dim=-1))  # (batch, source, annotation)
        states = states * right_mask.unsqueeze(-1)
        if padded_left:
            positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)  # where each token went
            states = states.gather(1, positions.unsqueeze(-1).expand_as(states)) * mask.unsqueeze(-1)
        return EncoderOutput(last_hidden_state=states, final_state=torch.cat(finals, dim=-1), source_mask=mask)
