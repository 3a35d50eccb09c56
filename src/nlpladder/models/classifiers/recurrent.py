"""Recurrent classifiers: Elman RNN, GRU or LSTM in one or both directions, pooled by attention.

Papers: Hochreiter & Schmidhuber 1997 (LSTM), Cho et al. 2014 (GRU), Schuster & Paliwal 1997 (both directions),
Yang et al. 2016 (attention pooling).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from nlpladder.models.strict_config import strict_config
from nlpladder.nn.classification import SequenceClassificationModel
from nlpladder.nn.masks import move_padding_right, reverse_within_length
from nlpladder.nn.pooling import AttentionPooling

_CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@strict_config
class RecurrentClassifierConfig(PreTrainedConfig):
    """Shape of a recurrent classifier.

    Attributes:
        vocab_size: Number of words, V.
        embedding_size: Width of an embedding.
        hidden_size: Width of the state of one direction, D.
        num_layers: Stacked layers.
        cell: ``rnn``, ``gru`` or ``lstm``.
        bidirectional: Read the text in both directions.
        embedding_dropout: On the embeddings, in training.
        dropout: Between layers and on the pooled text, in training.
    """

    model_type = "nlpladder_recurrent_classifier"

    vocab_size: int = 30_000
    embedding_size: int = 100
    hidden_size: int = 128
    num_layers: int = 1
    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    bidirectional: bool = True
    embedding_dropout: float | int = 0.3
    dropout: float | int = 0.3
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = False


class RecurrentForSequenceClassification(SequenceClassificationModel):
    """Embeddings, recurrent layers, attention pooling, a linear layer."""

    config_class = RecurrentClassifierConfig

    def __init__(self, config: RecurrentClassifierConfig) -> None:
        super().__init__(config)
        directions = 2 if config.bidirectional else 1
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        sizes = [config.embedding_size] + [config.hidden_size * directions] * (config.num_layers - 1)
        cell = _CELLS[config.cell]
        self.forward_layers = nn.ModuleList(cell(size, config.hidden_size, batch_first=True) for size in sizes)
        self.backward_layers = nn.ModuleList(
            cell(size, config.hidden_size, batch_first=True) for size in (sizes if config.bidirectional else [])
        )
        self.pooling = AttentionPooling(config.hidden_size * directions)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size * directions, config.num_labels)  # type: ignore[arg-type]
        self.post_init()

    def encode(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the attention-pooled states and the attention weights; see the base class for shapes."""
        input_ids, right_mask = move_padding_right(input_ids, mask)
        states = self.embedding_dropout(self.embeddings(input_ids))  # (batch, tokens, embedding)
        for layer, forward_layer in enumerate(self.forward_layers):
            if layer:
                states = self.dropout(states)
            outputs = [forward_layer(states)[0]]  # (batch, tokens, hidden)
            if self.config.bidirectional:
                # Reading a text reversed within its length equals a packed bidirectional layer, and keeps the fused CPU
                # kernel, which packing loses (measured: 2-5 times slower).
                backward = self.backward_layers[layer](reverse_within_length(states, right_mask))[0]
                outputs.append(reverse_within_length(backward, right_mask))
            states = torch.cat(outputs, dim=-1)  # (batch, tokens, directions * hidden)
        pooled, weights = self.pooling(states, right_mask)
        # Padding was moved, the order of the tokens was not: put the weights back where the caller's tokens are.
        return pooled, torch.zeros_like(weights).masked_scatter(mask, weights[right_mask])
