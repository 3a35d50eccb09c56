"""A random language model over bytes, with or without a chat template: for tests that talk."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from nlpladder.models.chat import ChatEncoder
from nlpladder.models.neural_language_model import NeuralLanguageModel


def byte_tokenizer() -> Any:
    """Return a tokenizer with one token for each byte, a begin and an end mark."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def byte_language_model(*, instructed: bool = True, positions: int = 128) -> NeuralLanguageModel:
    """Return a random Llama of one layer over bytes.

    Args:
        instructed: Give its tokenizer a chat template.
        positions: Of the model.
    """
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=positions, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    if instructed:
        ChatEncoder(tokenizer)
    return NeuralLanguageModel(LlamaForCausalLM(config), tokenizer)
