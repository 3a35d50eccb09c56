"""Llama (Touvron et al. 2023) in our decoder.

Root-mean-square normalisation before each sub-layer and once at the end, rotary positions, SwiGLU, heads of keys and
values that groups of query heads share, no biases.
"""

from __future__ import annotations

from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.transformer.causal_lm import TransformerForCausalLM
from nlpladder.models.transformer.config import TransformerCausalLMConfig
from nlpladder.models.transformer.foreign.family import ForeignFamily, require, same_weight, special_tokens
from nlpladder.models.transformer.foreign.renaming import Rename

_THEIRS, _OURS = "model.layers.#", "decoder.stack.layers.#"

NAMES: dict[str, str | Rename] = {
    "model.embed_tokens": "decoder.embeddings.tokens",
    f"{_THEIRS}.input_layernorm": f"{_OURS}.self_attention_norm",
    f"{_THEIRS}.self_attn.q_proj": f"{_OURS}.self_attention.query",
    f"{_THEIRS}.self_attn.k_proj": f"{_OURS}.self_attention.key",
    f"{_THEIRS}.self_attn.v_proj": f"{_OURS}.self_attention.value",
    f"{_THEIRS}.self_attn.o_proj": f"{_OURS}.self_attention.output",
    f"{_THEIRS}.post_attention_layernorm": f"{_OURS}.feed_forward_norm",
    f"{_THEIRS}.mlp.gate_proj": f"{_OURS}.feed_forward.input",  # W of Shazeer's eq. 6, which goes through silu
    f"{_THEIRS}.mlp.up_proj": f"{_OURS}.feed_forward.gate_input",  # V
    f"{_THEIRS}.mlp.down_proj": f"{_OURS}.feed_forward.output",  # W_2
    "model.norm": "decoder.stack.norm",
    "lm_head": "lm_head",
}

# The frequencies of the rotation, which old versions stored.
UNUSED = ("model.rotary_emb.inv_freq", f"{_THEIRS}.self_attn.rotary_emb.inv_freq")


def our_config(model: Any) -> TransformerCausalLMConfig:
    """Read a ``LlamaForCausalLM`` in our terms.

    Raises:
        ModelError: Ours cannot compute what it computes.
    """
    config = model.config
    if config.hidden_act not in ("silu", "swish"):
        raise ModelError(
            f"The config says hidden_act={config.hidden_act!r}; in our gated feed-forward network it is 'silu'."
        )
    require(config, head_dim=config.hidden_size // config.num_attention_heads)
    rotation = dict(config.rope_parameters or {})
    kind = rotation.get("rope_type", "default")
    share = rotation.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", 1.0))
    if kind != "default" or share not in (None, 1.0):
        raise ModelError(
            f"The config stretches or cuts its rotary positions ({rotation}); our Transformer has the plain ones, "
            "rope_type='default' over the whole head, and would give other numbers."
        )
    return TransformerCausalLMConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        intermediate_size=config.intermediate_size,
        activation="swiglu",
        norm="rms",
        norm_epsilon=config.rms_norm_eps,
        positions="rotary",
        max_position_embeddings=config.max_position_embeddings,
        rope_theta=rotation.get("rope_theta", 10_000.0),
        attention_bias=config.attention_bias,
        feed_forward_bias=config.mlp_bias,
        tie_word_embeddings=same_weight(model.lm_head, model.model.embed_tokens),
        dropout=0.0,
        attention_dropout=config.attention_dropout,
        initialization="normal",
        initializer_range=config.initializer_range,
        residual_initialization="plain",
        use_cache=config.use_cache,
        **special_tokens(config),
    )


FAMILY = ForeignFamily(
    architecture="LlamaForCausalLM", ours=TransformerForCausalLM, config=our_config, names=NAMES, unused=UNUSED
)
