"""Marian, the translator of the OPUS-MT models (Junczys-Dowmunt et al. 2018), in our encoder-decoder.

Marian is the paper's Transformer: normalisation after each sub-layer, none at the end. Its own ways: all sines stand
before all cosines in the position table, the output layer has a bias, decoding starts from the padding token.
"""

from __future__ import annotations

from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.transformer.config import TransformerEncoderDecoderConfig
from nlpladder.models.transformer.encoder_decoder import TransformerForConditionalGeneration
from nlpladder.models.transformer.foreign.family import (
    ForeignFamily,
    activation_of,
    require,
    same_weight,
    tell_dropped,
)
from nlpladder.models.transformer.foreign.renaming import Rename


def _layer(side: str) -> dict[str, str]:
    theirs, ours = f"model.{side}.layers.#", f"{side}.stack.layers.#"
    return {
        f"{theirs}.self_attn.q_proj": f"{ours}.self_attention.query",
        f"{theirs}.self_attn.k_proj": f"{ours}.self_attention.key",
        f"{theirs}.self_attn.v_proj": f"{ours}.self_attention.value",
        f"{theirs}.self_attn.out_proj": f"{ours}.self_attention.output",
        f"{theirs}.self_attn_layer_norm": f"{ours}.self_attention_norm",
        f"{theirs}.encoder_attn.q_proj": f"{ours}.cross_attention.query",
        f"{theirs}.encoder_attn.k_proj": f"{ours}.cross_attention.key",
        f"{theirs}.encoder_attn.v_proj": f"{ours}.cross_attention.value",
        f"{theirs}.encoder_attn.out_proj": f"{ours}.cross_attention.output",
        f"{theirs}.encoder_attn_layer_norm": f"{ours}.cross_attention_norm",
        f"{theirs}.fc1": f"{ours}.feed_forward.input",
        f"{theirs}.fc2": f"{ours}.feed_forward.output",
        f"{theirs}.final_layer_norm": f"{ours}.feed_forward_norm",  # of the feed-forward network, not of the stack
    }


NAMES: dict[str, str | Rename] = {
    "model.encoder.embed_tokens": "encoder.embeddings.tokens",
    "model.decoder.embed_tokens": "decoder.embeddings.tokens",
    **_layer("encoder"),
    **_layer("decoder"),
    "lm_head": "lm_head",
    "final_logits_bias": Rename(ours=("lm_head.bias",), flattened=True),  # (1, vocabulary)
}

UNUSED = (
    "model.shared.weight",  # the encoder's and the decoder's embedding once more
    "model.encoder.embed_positions.weight",  # the sinusoids
    "model.decoder.embed_positions.weight",
)


def our_config(model: Any) -> TransformerEncoderDecoderConfig:
    """Read a ``MarianMTModel`` in our terms.

    Raises:
        ModelError: Ours cannot compute what it computes.
    """
    config = model.config
    # Fields of old files; transformers reads none of them, and no released model has other values.
    require(
        config,
        static_position_embeddings=True,
        normalize_before=False,
        normalize_embedding=False,
        add_final_layer_norm=False,
        extra_pos_embeddings=0,
    )
    for ours in ("attention_heads", "ffn_dim"):
        encoder, decoder = getattr(config, f"encoder_{ours}"), getattr(config, f"decoder_{ours}")
        if encoder != decoder:
            raise ModelError(
                f"The config says encoder_{ours}={encoder} and decoder_{ours}={decoder}; in our Transformer both sides "
                "have the same."
            )
    tell_dropped(config, encoder_layerdrop=0.0, decoder_layerdrop=0.0)
    source, target = model.model.encoder.embed_tokens, model.model.decoder.embed_tokens
    return TransformerEncoderDecoderConfig(
        vocab_size=source.num_embeddings,
        decoder_vocab_size=target.num_embeddings,
        hidden_size=config.d_model,
        num_hidden_layers=config.encoder_layers,
        num_decoder_layers=config.decoder_layers,
        num_attention_heads=config.encoder_attention_heads,
        intermediate_size=config.encoder_ffn_dim,
        activation=activation_of(config, "activation_function"),
        pre_norm=False,
        positions="sinusoidal_halves",
        max_position_embeddings=config.max_position_embeddings,
        scale_embeddings=config.scale_embedding,
        output_bias=True,
        tie_word_embeddings=same_weight(model.lm_head, target),
        tie_encoder_decoder_embeddings=same_weight(source, target),
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        activation_dropout=config.activation_dropout,
        initialization="normal",
        initializer_range=config.init_std,
        pad_token_id=config.pad_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        use_cache=config.use_cache,
    )


FAMILY = ForeignFamily(
    architecture="MarianMTModel",
    ours=TransformerForConditionalGeneration,
    config=our_config,
    names=NAMES,
    unused=UNUSED,
)
