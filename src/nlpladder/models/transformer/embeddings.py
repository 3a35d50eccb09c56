"""From token ids to the first layer's input: token, position and type embeddings."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nlpladder.errors import ModelError
from nlpladder.models.transformer.config import TransformerConfig
from nlpladder.nn.dropout import drop_units
from nlpladder.nn.normalization import build_norm
from nlpladder.nn.positions import sinusoidal_encoding


class TransformerEmbeddings(nn.Module):
    """Token embeddings, scaled by sqrt(D), plus positions (Vaswani et al. 2017, sections 3.4 and 3.5).

    Rotary positions and ALiBi act inside attention and add nothing here. BERT adds token types and a normalisation.

    Args:
        config: Of the model.
        vocab_size: Number of tokens on this side.
    """

    def __init__(self, config: TransformerConfig, vocab_size: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.tokens = nn.Embedding(vocab_size, width, padding_idx=config.pad_token_id)
        self.positions: nn.Embedding | None = None
        if config.positions == "learned":
            assert config.max_position_embeddings is not None  # the config's validation saw to it
            self.positions = nn.Embedding(config.max_position_embeddings, width)
        self.types = nn.Embedding(config.type_vocab_size, width) if config.type_vocab_size else None
        self.norm = build_norm(config.norm, width, config.norm_epsilon) if config.embedding_norm else None
        self.scale = math.sqrt(width) if config.scale_embeddings else 1.0
        self.kind = config.positions
        self.dropout = config.dropout_of("embedding")

    def forward(self, input_ids: Tensor, position_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Embed a batch.

        Args:
            input_ids: Shape (batch, tokens).
            position_ids: Shape (batch or 1, tokens).
            token_type_ids: Shape (batch, tokens); all 0 when not given and the model has types.

        Returns:
            Shape (batch, tokens, width).

        Raises:
            ModelError: If a position lies behind the learnt table.
        """
        hidden = self.tokens(input_ids)
        if self.scale != 1.0:
            hidden = hidden * self.scale
        if self.positions is not None:
            self._check_length(position_ids)
            hidden = hidden + self.positions(position_ids)
        elif self.kind in ("sinusoidal", "sinusoidal_halves"):
            table = sinusoidal_encoding(position_ids, hidden.shape[-1], halves=self.kind == "sinusoidal_halves")
            hidden = hidden + table.to(hidden.dtype)
        if self.types is not None:
            types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            hidden = hidden + self.types(types)
        if self.norm is not None:
            hidden = self.norm(hidden)
        return drop_units(hidden, self.dropout) if self.training and self.dropout else hidden

    def _check_length(self, position_ids: Tensor) -> None:
        assert self.positions is not None
        # Reading the largest position back from an accelerator would stall it, and is not traced; one row is enough of
        # a check there: all rows are as long.
        if position_ids.device.type == "cpu" and not torch.compiler.is_compiling():
            length = int(position_ids.max()) + 1 if position_ids.numel() else 0
        else:
            length = position_ids.shape[1]
        limit = self.positions.num_embeddings
        if length > limit:
            raise ModelError(
                f"The text has {length} tokens and the model has learnt positions for {limit}; cut the text, or train "
                "with a larger max_position_embeddings or with sinusoidal, rotary or ALiBi positions."
            )
