"""Sequence to sequence with recurrent networks: no attention, Bahdanau et al. 2015, Luong et al. 2015.

`register` makes the family known to the Auto classes of transformers.
"""

from __future__ import annotations


def register() -> None:
    """Register the family with ``AutoConfig`` and ``AutoModelForSeq2SeqLM``."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    from nlpladder.models.seq2seq.config import Seq2SeqConfig
    from nlpladder.models.seq2seq.model import Seq2SeqForConditionalGeneration

    AutoConfig.register(Seq2SeqConfig.model_type, Seq2SeqConfig, exist_ok=True)
    AutoModelForSeq2SeqLM.register(Seq2SeqConfig, Seq2SeqForConditionalGeneration, exist_ok=True)
