"""Recurrent language models of our own: Elman RNN, GRU and LSTM (Mikolov et al. 2010; Zaremba et al. 2014)."""

from __future__ import annotations


def register() -> None:
    """Register the family with ``AutoConfig`` and ``AutoModelForCausalLM``."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from nlpladder.models.recurrent_lm.config import RecurrentLMConfig
    from nlpladder.models.recurrent_lm.model import RecurrentForCausalLM

    AutoConfig.register(RecurrentLMConfig.model_type, RecurrentLMConfig, exist_ok=True)
    AutoModelForCausalLM.register(RecurrentLMConfig, RecurrentForCausalLM, exist_ok=True)
