"""The Transformer encoder as a text classifier: embeddings, sinusoidal positions, encoder, attention pooling."""

from __future__ import annotations

import math

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import PreTrainedConfig

from nlpladder.models.transformer.encoder import Encoder
from nlpladder.nn.classification import SequenceClassificationModel
from nlpladder.nn.pooling import AttentionPooling
from nlpladder.nn.positions import sinusoidal_positions


@strict
class TransformerClassifierConfig(PreTrainedConfig):
    """Shape of a Transformer classifier.

    Attributes:
        vocab_size: Number of tokens, V.
        hidden_size: Model width, D.
        num_hidden_layers: Encoder layers.
        num_attention_heads: Heads, H; divides `hidden_size`.
        intermediate_size: Inner width of the feed-forward network.
        dropout: In the encoder and on the pooled text, in training.
        embedding_dropout: On the embeddings, in training.
        pre_norm: Normalise before each sub-layer (stable without warm-up) instead of after.
    """

    model_type = "nlpladder_transformer_classifier"

    vocab_size: int = 30_000
    hidden_size: int = 128
    num_hidden_layers: int = 2
    num_attention_heads: int = 4
    intermediate_size: int = 256
    dropout: float | int = 0.2
    embedding_dropout: float | int = 0.2
    pre_norm: bool = True
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = False


class TransformerForSequenceClassification(SequenceClassificationModel):
    """An encoder over the tokens, pooled by attention, then a linear layer."""

    config_class = TransformerClassifierConfig

    def __init__(self, config: TransformerClassifierConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.encoder = Encoder(
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            float(config.dropout),
            config.pre_norm,
        )
        self.pooling = AttentionPooling(config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)  # type: ignore[arg-type]
        self.post_init()

    def encode(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled states and the pooling weights; see the base class for shapes."""
        embedded = self.embeddings(input_ids) * math.sqrt(self.config.hidden_size)  # section 3.4 of the paper
        # Counting tokens instead of columns: padding on the left must not shift the positions.
        positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        table = sinusoidal_positions(input_ids.shape[1], self.config.hidden_size, device=input_ids.device)
        hidden = self.embedding_dropout(embedded + table[positions].to(embedded.dtype))
        hidden, _ = self.encoder(hidden, mask)
        return self.pooling(hidden, mask)
