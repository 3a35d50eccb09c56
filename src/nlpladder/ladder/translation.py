"""The rungs of translation."""

from __future__ import annotations

from typing import Any

from nlpladder.ladder.rung import Rung

_SEQ2SEQ = "nlpladder.models.seq2seq.model:Seq2SeqForConditionalGeneration"
_RECIPE = "recipes/train_seq2seq.py"
_TOKENIZER: dict[str, Any] = {"scheme": "bpe", "vocab_size": 8000, "joint": True, "lowercase": False}
_RECURRENT: dict[str, Any] = {"embedding_size": 256, "hidden_size": 256, "dropout": 0.3}
_TRAINING: dict[str, Any] = {
    "learning_rate": 2e-3,
    "num_train_epochs": 15.0,
    "batch_tokens": 2048,
    "lr_scheduler": "cosine",
    "warmup_ratio": 0.05,
    "weight_decay": 0.01,
    "label_smoothing": 0.1,
    "select_best_on": "bleu",
}

TRANSLATION: tuple[Rung, ...] = (
    Rung(
        name="seq2seq",
        title="recurrent encoder-decoder",
        idea="reads the whole sentence into one vector, and writes the translation from it",
        task="translation",
        kind="neural",
        model=_SEQ2SEQ,
        model_settings={**_RECURRENT, "attention": "none"},
        training=_TRAINING,
        tokenizer=_TOKENIZER,
        recipe=_RECIPE,
        paper="Sutskever et al., Sequence to sequence learning with neural networks",
        year=2014,
        typical_seconds=60.0,
    ),
    Rung(
        name="seq2seq_bahdanau",
        title="recurrent encoder-decoder, additive attention",
        idea="looks back at every source word before each target word, so that length no longer hurts",
        task="translation",
        kind="neural",
        model=_SEQ2SEQ,
        model_settings={**_RECURRENT, "attention": "additive"},
        training=_TRAINING,
        tokenizer=_TOKENIZER,
        recipe=_RECIPE,
        paper="Bahdanau et al., Neural machine translation by jointly learning to align and translate",
        year=2014,
        typical_seconds=100.0,
    ),
    Rung(
        name="seq2seq_luong",
        title="recurrent encoder-decoder, general attention",
        idea="scores source words by one product after the decoder's step, which is cheaper",
        task="translation",
        kind="neural",
        model=_SEQ2SEQ,
        model_settings={**_RECURRENT, "attention": "general"},
        training=_TRAINING,
        tokenizer=_TOKENIZER,
        recipe=_RECIPE,
        paper="Luong et al., Effective approaches to attention-based neural machine translation",
        year=2015,
        typical_seconds=80.0,
    ),
    Rung(
        name="transformer_mt",
        title="Transformer, encoder-decoder",
        idea="attention alone: all positions see each other at once, with several heads",
        task="translation",
        kind="neural",
        model="nlpladder.models.transformer.encoder_decoder:TransformerForConditionalGeneration",
        model_settings={
            "hidden_size": 128,
            "num_hidden_layers": 4,
            "num_decoder_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 256,
            "dropout": 0.2,
            "pre_norm": True,
        },
        training=_TRAINING,
        tokenizer=_TOKENIZER,
        recipe="recipes/train_transformer.py",
        paper="Vaswani et al., Attention is all you need",
        year=2017,
        typical_seconds=120.0,
    ),
)
