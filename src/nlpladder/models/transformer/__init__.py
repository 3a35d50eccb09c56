"""The Transformer from our own modules (Vaswani et al. 2017)."""

from __future__ import annotations


def register() -> None:
    """Register the family with ``AutoConfig`` and ``AutoModelForSequenceClassification``."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from nlpladder.models.transformer.classifier import (
        TransformerClassifierConfig,
        TransformerForSequenceClassification,
    )

    AutoConfig.register(TransformerClassifierConfig.model_type, TransformerClassifierConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(
        TransformerClassifierConfig, TransformerForSequenceClassification, exist_ok=True
    )
