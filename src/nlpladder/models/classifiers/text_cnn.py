"""TextCNN (Kim 2014, "Convolutional neural networks for sentence classification")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig

from nlpladder.models.strict_config import strict_config
from nlpladder.nn.classification import SequenceClassificationModel
from nlpladder.nn.pooling import masked_max


@strict_config
class TextCNNConfig(PreTrainedConfig):
    """Shape of a TextCNN; the defaults are those of the paper's section 3.1 at a smaller embedding.

    Attributes:
        vocab_size: Number of words, V.
        hidden_size: Width of an embedding, D.
        filter_widths: Window sizes h in words.
        num_filters: Feature maps per window size.
        embedding_dropout: On the embeddings, in training.
        dropout: On the pooled features, in training.
    """

    model_type = "nlpladder_text_cnn"

    vocab_size: int = 30_000
    hidden_size: int = 100
    filter_widths: list[int] | tuple[int, ...] = (3, 4, 5)
    num_filters: int = 100
    embedding_dropout: float | int = 0.2
    dropout: float | int = 0.5
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = False


class TextCNNForSequenceClassification(SequenceClassificationModel):
    """Filters over word windows, maximum over time, a linear layer.

    c_i = relu(w . x_{i:i+h-1} + b)  (eq. 2),   c^ = max_i c_i  (max-over-time pooling)
    """

    config_class = TextCNNConfig

    def __init__(self, config: TextCNNConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.hidden_size, config.num_filters, width) for width in config.filter_widths
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.num_filters * len(config.filter_widths), config.num_labels)  # type: ignore[arg-type]
        self.post_init()

    def encode(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, None]:
        """Return the pooled feature maps; see the base class for shapes."""
        embedded = self.embedding_dropout(self.embeddings(input_ids)) * mask.unsqueeze(-1)  # (batch, tokens, width)
        # Half a window of zeros on each side: the first and last words get full windows, and short texts at least one.
        margin = max(self.config.filter_widths) - 1
        padded = F.pad(embedded.transpose(1, 2), (margin, margin))  # (batch, width, margin + tokens + margin)
        pooled = []
        for width, convolution in zip(self.config.filter_widths, self.convolutions, strict=True):
            maps = F.relu(convolution(padded)).transpose(1, 2)  # (batch, windows, filters)
            pooled.append(masked_max(maps, _windows_with_tokens(mask, width, margin)))
        return torch.cat(pooled, dim=1), None


def _windows_with_tokens(mask: Tensor, width: int, margin: int) -> Tensor:
    """Tell which windows of `width` over the padded text hold a token, so that batch padding cannot win the maximum."""
    padded = F.pad(mask.float(), (margin, margin)).unsqueeze(1)  # (batch, 1, margin + tokens + margin)
    return F.max_pool1d(padded, width, stride=1).squeeze(1).bool()  # (batch, windows)
