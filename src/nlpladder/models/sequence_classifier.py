"""A neural classifier as a user holds it: model and tokenizer together, texts in, probabilities out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nlpladder.models.model_with_tokenizer import ModelWithTokenizer
from nlpladder.models.targets import check_texts
from nlpladder.protocols import Task

if TYPE_CHECKING:
    from torch import Tensor


class SequenceClassifier(ModelWithTokenizer):
    """Wraps any ``…ForSequenceClassification`` (ours, transformers', or a peft adapter) with its tokenizer.

    Args:
        model: Takes ``input_ids`` and ``attention_mask``, returns ``logits`` (batch, labels).
        tokenizer: A ``PreTrainedTokenizerBase``.
        max_length: Tokens a text is cut to; the tokenizer's limit when not given.
        tokens_per_batch: Padded tokens of one forward pass; texts are sorted by length, so little of it is padding.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, max_length: int | None = None, tokens_per_batch: int = 8192
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.max_length = usable_length(model, tokenizer, max_length)
        self.tokens_per_batch = tokens_per_batch

    @property
    def task(self) -> Task:
        """What the head predicts."""
        from nlpladder.nn.losses import TASK_OF_PROBLEM_TYPE

        config = self.model.config
        default = "regression" if config.num_labels == 1 else "single_label"
        return TASK_OF_PROBLEM_TYPE.get(config.problem_type, default)  # type: ignore[return-value]

    @property
    def label_names(self) -> tuple[str, ...]:
        """Label names in the order of the logits."""
        config = self.model.config
        return tuple(str(config.id2label[index]) for index in range(config.num_labels))

    def num_trainable_parameters(self) -> int:
        """Count the parameters that training changes."""
        return int(sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad))

    def predict_logits(self, texts: Sequence[str]) -> np.ndarray:
        """Return the logits in float32, shape (texts, labels)."""
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, self.model.config.num_labels), dtype=np.float32)
        token_ids = self.tokenizer(texts, truncation=True, max_length=self.max_length)["input_ids"]
        order = np.argsort([len(ids) for ids in token_ids], kind="stable")
        logits = np.empty((len(texts), self.model.config.num_labels), dtype=np.float32)
        with self.evaluating():
            for rows in _batches(order, token_ids, self.tokens_per_batch):
                batch = self._pad([token_ids[row] for row in rows])
                logits[rows] = self.model(**batch).logits.float().cpu().numpy()
        return logits

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return probabilities (texts, labels) in float64, or values (texts, 1) for regression."""
        from scipy.special import expit, softmax

        logits = self.predict_logits(texts).astype(np.float64)
        if self.task == "single_label":
            return softmax(logits, axis=1)
        return expit(logits) if self.task == "multi_label" else logits

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str], *, base_model: str | None = None, **arguments: Any) -> Self:
        """Load from a folder or a Hub id; see `nlpladder.models.pretrained.loading`."""
        from nlpladder.models.pretrained.loading import load_model

        model, tokenizer = load_model(path, head="classification", base_model=base_model, **arguments)
        return cls(model, tokenizer)

    def _pad(self, rows: list[list[int]]) -> dict[str, Tensor]:
        # Texts without a token, alone: one column of padding, as they have beside others.
        way = {"padding": True} if any(rows) else {"padding": "max_length", "max_length": 1}
        batch = self.tokenizer.pad({"input_ids": rows}, return_tensors="pt", **way)
        device = next(self.model.parameters()).device
        return {name: batch[name].to(device) for name in ("input_ids", "attention_mask")}


def usable_length(model: Any, tokenizer: Any, wanted: int | None) -> int:
    """Return the number of tokens that model and tokenizer both take, at most `wanted`."""
    from nlpladder.models.pretrained.adapters import virtual_tokens

    limits = [tokenizer.model_max_length, wanted or 512]
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions:
        # RoBERTa's positions start after the padding index, so two of its table's rows are never used.
        offset = (model.config.pad_token_id or 0) + 1 if model.config.model_type in _OFFSET_POSITIONS else 0
        limits.append(positions - offset - virtual_tokens(model))
    return int(min(limits))


_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "longformer", "mpnet", "data2vec-text", "bart"}


def _batches(order: np.ndarray, token_ids: list[list[int]], tokens_per_batch: int) -> list[np.ndarray]:
    """Cut `order` (sorted by length) into batches of at most `tokens_per_batch` padded tokens."""
    batches, start = [], 0
    for stop in range(1, len(order) + 1):
        if stop == len(order) or (stop - start + 1) * len(token_ids[order[stop]]) > tokens_per_batch:
            batches.append(order[start:stop])
            start = stop
    return batches
