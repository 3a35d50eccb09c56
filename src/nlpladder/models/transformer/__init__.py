"""The Transformer from our own modules (Vaswani et al. 2017): translator, language model, text classifier."""

from __future__ import annotations


def register() -> None:
    """Register the family with ``AutoConfig`` and the Auto classes of its three tasks."""
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        AutoModelForSequenceClassification,
    )

    from nlpladder.models.transformer.causal_lm import TransformerForCausalLM
    from nlpladder.models.transformer.classifier import TransformerForSequenceClassification
    from nlpladder.models.transformer.encoder_decoder import TransformerForConditionalGeneration

    for auto_class, model_class in (
        (AutoModelForSequenceClassification, TransformerForSequenceClassification),
        (AutoModelForCausalLM, TransformerForCausalLM),
        (AutoModelForSeq2SeqLM, TransformerForConditionalGeneration),
    ):
        config_class = model_class.config_class
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        auto_class.register(config_class, model_class, exist_ok=True)
