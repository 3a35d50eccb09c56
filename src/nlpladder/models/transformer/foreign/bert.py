"""BERT (Devlin et al. 2019) in our text classifier.

Normalisation after each sub-layer and after the sum of the embeddings, learnt positions, token types, a tanh layer over
the first token.
"""

from __future__ import annotations

from typing import Any

from nlpladder.models.transformer.classifier import TransformerForSequenceClassification
from nlpladder.models.transformer.config import TransformerClassifierConfig
from nlpladder.models.transformer.foreign.family import ForeignFamily, activation_of, require, tell_dropped
from nlpladder.models.transformer.foreign.renaming import Rename

_THEIRS, _OURS = "bert.encoder.layer.#", "encoder.stack.layers.#"

NAMES: dict[str, str | Rename] = {
    "bert.embeddings.word_embeddings": "encoder.embeddings.tokens",
    "bert.embeddings.position_embeddings": "encoder.embeddings.positions",
    "bert.embeddings.token_type_embeddings": "encoder.embeddings.types",
    "bert.embeddings.LayerNorm": "encoder.embeddings.norm",
    f"{_THEIRS}.attention.self.query": f"{_OURS}.self_attention.query",
    f"{_THEIRS}.attention.self.key": f"{_OURS}.self_attention.key",
    f"{_THEIRS}.attention.self.value": f"{_OURS}.self_attention.value",
    f"{_THEIRS}.attention.output.dense": f"{_OURS}.self_attention.output",
    f"{_THEIRS}.attention.output.LayerNorm": f"{_OURS}.self_attention_norm",
    f"{_THEIRS}.intermediate.dense": f"{_OURS}.feed_forward.input",
    f"{_THEIRS}.output.dense": f"{_OURS}.feed_forward.output",
    f"{_THEIRS}.output.LayerNorm": f"{_OURS}.feed_forward_norm",
    "bert.pooler.dense": "pooling.projection",
    "classifier": "classifier",
}

# 0, 1, 2, ..., and zeros, which old versions stored.
UNUSED = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")


def our_config(model: Any) -> TransformerClassifierConfig:
    """Read a ``BertForSequenceClassification`` in our terms.

    Raises:
        ModelError: Ours cannot compute what it computes.
    """
    config = model.config
    require(config, position_embedding_type="absolute", is_decoder=False, add_cross_attention=False)
    tell_dropped(config, classifier_dropout=config.hidden_dropout_prob)
    return TransformerClassifierConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        activation=activation_of(config, "hidden_act"),
        norm_epsilon=config.layer_norm_eps,
        pre_norm=False,
        positions="learned",
        max_position_embeddings=config.max_position_embeddings,
        scale_embeddings=False,
        embedding_norm=True,
        type_vocab_size=config.type_vocab_size,
        pooling="first",
        dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        activation_dropout=0.0,
        initialization="normal",
        initializer_range=config.initializer_range,
        pad_token_id=config.pad_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        id2label=dict(config.id2label),
        label2id=dict(config.label2id),
        problem_type=config.problem_type or ("regression" if config.num_labels == 1 else None),
    )


FAMILY = ForeignFamily(
    architecture="BertForSequenceClassification",
    ours=TransformerForSequenceClassification,
    config=our_config,
    names=NAMES,
    unused=UNUSED,
)
