"""GPT-2 (Radford et al. 2019) in our decoder.

Normalisation before each sub-layer and once at the end, learnt positions, the tanh approximation of GELU, output layer
= embedding. Its matrices are stored (inputs, outputs), and one matrix holds query, key and value.
"""

from __future__ import annotations

from typing import Any

from nlpladder.models.transformer.causal_lm import TransformerForCausalLM
from nlpladder.models.transformer.config import TransformerCausalLMConfig
from nlpladder.models.transformer.foreign.family import (
    ForeignFamily,
    activation_of,
    require,
    same_weight,
    special_tokens,
)
from nlpladder.models.transformer.foreign.renaming import Rename

_THEIRS, _OURS = "transformer.h.#", "decoder.stack.layers.#"

NAMES: dict[str, str | Rename] = {
    "transformer.wte": "decoder.embeddings.tokens",
    "transformer.wpe": "decoder.embeddings.positions",
    f"{_THEIRS}.ln_1": f"{_OURS}.self_attention_norm",
    f"{_THEIRS}.attn.c_attn": Rename(
        ours=tuple(f"{_OURS}.self_attention.{part}" for part in ("query", "key", "value")), transposed=True
    ),
    f"{_THEIRS}.attn.c_proj": Rename(ours=(f"{_OURS}.self_attention.output",), transposed=True),
    f"{_THEIRS}.ln_2": f"{_OURS}.feed_forward_norm",
    f"{_THEIRS}.mlp.c_fc": Rename(ours=(f"{_OURS}.feed_forward.input",), transposed=True),
    f"{_THEIRS}.mlp.c_proj": Rename(ours=(f"{_OURS}.feed_forward.output",), transposed=True),
    "transformer.ln_f": "decoder.stack.norm",
    "lm_head": "lm_head",
}

# Causal masks, which old versions stored in every layer.
UNUSED = (f"{_THEIRS}.attn.bias", f"{_THEIRS}.attn.masked_bias")


def our_config(model: Any) -> TransformerCausalLMConfig:
    """Read a ``GPT2LMHeadModel`` in our terms.

    Raises:
        ModelError: Ours cannot compute what it computes.
    """
    config = model.config
    # `reorder_and_upcast_attn` changes nothing in float32, and ours takes the softmax in float32 anyway.
    require(config, scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, add_cross_attention=False)
    return TransformerCausalLMConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.n_embd,
        num_hidden_layers=config.n_layer,
        num_attention_heads=config.n_head,
        intermediate_size=4 * config.n_embd if config.n_inner is None else config.n_inner,
        activation=activation_of(config, "activation_function"),
        norm_epsilon=config.layer_norm_epsilon,
        positions="learned",
        max_position_embeddings=config.n_positions,
        tie_word_embeddings=same_weight(model.lm_head, model.transformer.wte),
        dropout=config.resid_pdrop,
        attention_dropout=config.attn_pdrop,
        activation_dropout=0.0,
        embedding_dropout=config.embd_pdrop,
        initialization="normal",
        initializer_range=config.initializer_range,
        residual_initialization="depth_scaled",
        use_cache=config.use_cache,
        **special_tokens(config),
    )


FAMILY = ForeignFamily(
    architecture="GPT2LMHeadModel", ours=TransformerForCausalLM, config=our_config, names=NAMES, unused=UNUSED
)
