"""What every text classifier of our own shares: logits from a pooled text, the loss, the Hugging Face interface."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput

from nlpladder.nn.losses import ProblemType, sequence_loss
from nlpladder.nn.masks import token_mask
from nlpladder.nn.recurrent import init_recurrent


class SequenceClassificationModel(PreTrainedModel):
    """Base of our classifiers: a subclass defines its layers and `encode`.

    The config must have `pad_token_id`, `problem_type` and `num_labels`. `forward` takes and returns what every
    ``…ForSequenceClassification`` of transformers does, so that Trainer, pipelines and the Auto classes work.
    """

    embeddings: nn.Embedding
    dropout: nn.Dropout
    classifier: nn.Linear

    base_model_prefix = "encoder"
    main_input_name = "input_ids"

    def encode(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return one vector a text (batch, width), and attention weights (batch, tokens) where the model has some.

        Args:
            input_ids: Shape (batch, tokens).
            mask: Boolean, shape (batch, tokens).
        """
        raise NotImplementedError

    def get_input_embeddings(self) -> nn.Module:
        """Return the token embedding."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embedding."""
        self.embeddings = value  # type: ignore[assignment]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Classify a batch.

        Args:
            input_ids: Shape (batch, tokens).
            attention_mask: Shape (batch, tokens), 1 for tokens; derived from the pad id when not given.
            labels: See `nlpladder.nn.losses.sequence_loss`.
            num_items_in_batch: Label entries of the whole optimiser step, for exact gradient accumulation.

        Returns:
            Logits (batch, labels), the loss when `labels` are given, and attention weights where the model has some.
        """
        mask = token_mask(input_ids, attention_mask, self.config.pad_token_id)
        pooled, weights = self.encode(input_ids, mask)
        logits = self.classifier(self.dropout(pooled))
        loss = None
        if labels is not None:
            problem_type: ProblemType = self.config.problem_type or "single_label_classification"
            loss = sequence_loss(logits, labels, problem_type=problem_type, num_items=num_items_in_batch)
        attentions = None if weights is None else (weights,)
        return SequenceClassifierOutput(loss=loss, logits=logits, attentions=attentions)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Xavier for matrices, N(0, width^-1/2) for embeddings, zeros for biases, 1 for the LSTM's forget gate."""
        if isinstance(module, (nn.Linear, nn.Conv1d)):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
            init.normal_(module.weight, mean=0.0, std=module.embedding_dim**-0.5)
            if module.padding_idx is not None:
                init.zeros_(module.weight[module.padding_idx])
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.RNNBase):
            init_recurrent(module)
