"""The fastText classifier (Joulin et al. 2017, "Bag of tricks for efficient text classification").

A text is the mean of the embeddings of its words and of its word n-grams; n-grams share a fixed number of buckets by
hashing (section 2.2). One linear layer on top. Order beyond the n-gram is ignored.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig

from nlpladder.models.strict_config import strict_config
from nlpladder.nn.classification import SequenceClassificationModel

# Multiplier of the polynomial hash; fits into 32 bits so that products of ids stay exact in int64.
_HASH_MULTIPLIER = 116_049_371


@strict_config
class BagOfNgramsConfig(PreTrainedConfig):
    """Shape of a bag-of-n-grams classifier.

    Attributes:
        vocab_size: Number of words, V.
        hidden_size: Width of an embedding, D.
        max_ngram: Longest word n-gram; 1 uses words only.
        num_buckets: Hash buckets shared by all n-grams of two or more words.
        dropout: On the pooled text, in training.
    """

    model_type = "nlpladder_bag_of_ngrams"

    vocab_size: int = 30_000
    hidden_size: int = 64
    max_ngram: int = 2
    num_buckets: int = 100_000
    dropout: float | int = 0.2
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = False


class BagOfNgramsForSequenceClassification(SequenceClassificationModel):
    """Mean of word and n-gram embeddings, then a linear layer."""

    config_class = BagOfNgramsConfig

    def __init__(self, config: BagOfNgramsConfig) -> None:
        super().__init__(config)
        rows = config.vocab_size + (config.num_buckets if config.max_ngram > 1 else 0)
        self.embeddings = nn.Embedding(rows, config.hidden_size, padding_idx=config.pad_token_id)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)  # type: ignore[arg-type]
        self.post_init()

    def encode(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, None]:
        """Average the embeddings of all words and n-grams; see the base class for shapes."""
        features, present = [input_ids], [mask]
        hashed, whole = input_ids, mask
        for order in range(2, self.config.max_ngram + 1):
            if input_ids.shape[1] < order:
                break
            start = order - 1
            hashed = hashed[:, :-1] * _HASH_MULTIPLIER + input_ids[:, start:]  # (batch, tokens - start)
            hashed = hashed.remainder(2**31 - 1)
            whole = whole[:, :-1] & mask[:, start:]
            features.append(self.config.vocab_size + hashed.remainder(self.config.num_buckets))
            present.append(whole)
        rows = torch.cat(features, dim=1)  # (batch, features)
        weights = torch.cat(present, dim=1).to(self.embeddings.weight.dtype)
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1)
        return F.embedding_bag(rows, self.embeddings.weight, per_sample_weights=weights, mode="sum"), None
