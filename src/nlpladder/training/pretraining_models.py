"""Models with random weights, by the name of their size: BERT, GPT (Llama or GPT-2) and T5, as transformers has them.

Where transformers initialises every matrix with a standard deviation of 0.02, which was chosen for a width of 768, we
take 0.02 sqrt(768 / width). Keeping width x variance lets a narrow model start as fast as a wide one: at a width of
128 a BERT otherwise spends an epoch at the entropy of single words. T5 scales its matrices by their width already.
"""

from __future__ import annotations

import copy
from typing import Any

from transformers import (
    BertConfig,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from nlpladder.training.pretraining_options import SIZES, PretrainingOptions

#: Dropout of the saved config, for fine-tuning; by how each family names it.
FINE_TUNING_DROPOUT = 0.1
_DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "dropout_rate",
)


def bert_config(options: PretrainingOptions, *, vocab_size: int, max_length: int, pad_token_id: int) -> BertConfig:
    """Return a BERT of the size asked for (Devlin et al. 2019; sizes of Turc et al. 2019)."""
    layers, width, heads, feed_forward = SIZES[options.size]
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=feed_forward,
        max_position_embeddings=max_length,
        pad_token_id=pad_token_id,
        initializer_range=_initializer_range(width),
    )


def build_causal_model(
    options: PretrainingOptions, *, vocab_size: int, max_length: int, pad_token_id: int, eos_token_id: int
) -> PreTrainedModel:
    """Return a GPT with random weights, the output layer tied to the embedding.

    ``llama``: pre-norm RMSNorm, rotary positions, SwiGLU (Touvron et al. 2023, section 2.2), whose feed-forward width
    is two thirds of the size's, so that its three matrices have the parameters of two. ``gpt2``: Radford et al. 2019,
    with learnt positions. A text begins after the mark that also ends it.
    """
    layers, width, heads, feed_forward = SIZES[options.size]
    marks: dict[str, Any] = {"bos_token_id": eos_token_id, "eos_token_id": eos_token_id, "pad_token_id": pad_token_id}
    if options.architecture == "gpt2":
        model: PreTrainedModel = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=vocab_size,
                n_positions=max_length,
                n_embd=width,
                n_layer=layers,
                n_head=heads,
                n_inner=feed_forward,
                initializer_range=_initializer_range(width),
                resid_pdrop=options.dropout,
                embd_pdrop=options.dropout,
                attn_pdrop=options.dropout,
                **marks,
            )
        )
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocab_size,
                max_position_embeddings=max_length,
                hidden_size=width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                num_key_value_heads=heads,
                intermediate_size=_gated_width(feed_forward),
                initializer_range=_initializer_range(width),
                tie_word_embeddings=True,
                **marks,
            )
        )
    # transformers stops after 20 tokens unless it is told otherwise; prompt and text share the positions.
    model.generation_config = GenerationConfig(max_new_tokens=max(max_length // 2, 1), **marks)
    return model


def build_text_to_text_model(
    options: PretrainingOptions, *, vocab_size: int, max_length: int, pad_token_id: int, eos_token_id: int
) -> PreTrainedModel:
    """Return a T5 with random weights.

    Its feed-forward layers are those of T5 v1.1 (GELU with a gate, Shazeer 2020, of two thirds of the width), which are
    the better ones at equal cost. Its output layer is that of T5 v1.0: tied to the embedding and scaled by
    d_model^-0.5 (Raffel et al. 2020, footnote 4 to section 2.1 has tied weights), since a small model would spend a
    third of its parameters on an output layer of its own, and since transformers 5 ties the two in any case.
    """
    layers, width, heads, feed_forward = SIZES[options.size]
    marks: dict[str, Any] = {
        "pad_token_id": pad_token_id,
        "eos_token_id": eos_token_id,
        "decoder_start_token_id": pad_token_id,
    }
    model = T5ForConditionalGeneration(
        T5Config(
            vocab_size=vocab_size,
            d_model=width,
            d_kv=width // heads,
            d_ff=_gated_width(feed_forward),
            num_layers=layers,
            num_decoder_layers=layers,
            num_heads=heads,
            feed_forward_proj="gated-gelu",
            dropout_rate=options.dropout,
            **marks,
        )
    )
    model.generation_config = GenerationConfig(max_new_tokens=max_length, **marks)
    return model


def without_dropout(config: BertConfig, dropout: float) -> BertConfig:
    """Return a BERT's config as it is pretrained.

    Each text is seen a few times under other masks, so nothing is learnt by heart; dropout would only cost time
    (Geiping & Goldstein 2023, "Cramming", section 4.3).
    """
    from nlpladder.models.pretrained.loading import attention_kernel

    same = copy.deepcopy(config)
    same._attn_implementation = attention_kernel()
    same.hidden_dropout_prob = same.attention_probs_dropout_prob = dropout
    return same


def restore_dropout(config: Any) -> None:
    """Put the dropout for fine-tuning into a config that is going to be saved."""
    for name in _DROPOUTS:
        if getattr(config, name, None) is not None:
            setattr(config, name, FINE_TUNING_DROPOUT)


def _initializer_range(width: int) -> float:
    return float(0.02 * (768 / width) ** 0.5)


def _gated_width(feed_forward: int) -> int:
    """Return two thirds, rounded up to a multiple of 32."""
    return -(-2 * feed_forward // 96) * 32
