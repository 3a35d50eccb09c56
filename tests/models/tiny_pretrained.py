"""Random checkpoints of two layers with a toy vocabulary, one folder each, for tests of adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from helpers import word_tokenizer

_TOKENIZER = word_tokenizer()
WORDS = len(_TOKENIZER)
PAD, CLS, SEP = _TOKENIZER.pad_token_id, _TOKENIZER.cls_token_id, _TOKENIZER.sep_token_id
_SHAPE = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": PAD,
}
_MARKS = {"pad_token_id": PAD, "bos_token_id": CLS, "eos_token_id": SEP}
_GPT2 = {"vocab_size": WORDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, **_MARKS}
_T5 = {"vocab_size": WORDS, "d_model": 32, "d_kv": 4, "d_ff": 48, "num_layers": 2}
_BART_HALF = {"layers": 2, "attention_heads": 4, "ffn_dim": 48}
_BART = {f"{half}_{name}": size for half in ("encoder", "decoder") for name, size in _BART_HALF.items()}

#: Name -> the class that was pretrained, its config's class and settings.
CHECKPOINTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertForMaskedLM", "BertConfig", _SHAPE),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", {**_SHAPE, **_MARKS}),
    "distilbert": (
        "DistilBertForMaskedLM",
        "DistilBertConfig",
        {"vocab_size": WORDS, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 64},
    ),
    "deberta-v2": ("DebertaV2ForMaskedLM", "DebertaV2Config", _SHAPE),
    "modernbert": (
        "ModernBertForMaskedLM",
        "ModernBertConfig",
        {**_SHAPE, **_MARKS, "cls_token_id": CLS, "sep_token_id": SEP},
    ),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", _GPT2),
    "llama": ("LlamaForCausalLM", "LlamaConfig", {**_SHAPE, **_MARKS, "num_key_value_heads": 2}),
    "t5": (
        "T5ForConditionalGeneration",
        "T5Config",
        {**_T5, "num_heads": 4, "decoder_start_token_id": PAD, "pad_token_id": PAD, "eos_token_id": SEP},
    ),
    "bart": (
        "BartForConditionalGeneration",
        "BartConfig",
        {
            "vocab_size": WORDS, "d_model": 32, "max_position_embeddings": 64, "forced_eos_token_id": None, **_BART,
            **_MARKS, "decoder_start_token_id": SEP,
        },
    ),
}  # fmt: skip


def tiny_checkpoint(name: str, folder: Path, *, seed: int = 0, **settings: Any) -> str:
    """Save a random checkpoint and its tokenizer; return the folder."""
    model_class, config_class, known = CHECKPOINTS[name]
    torch.manual_seed(seed)
    model = getattr(transformers, model_class)(getattr(transformers, config_class)(**{**known, **settings}))
    with torch.no_grad():  # at 0.02 nothing depends on anything; T5 starts larger
        for parameter in model.parameters():
            if parameter.dim() > 1 and name != "t5":
                parameter.mul_(4)
    model.save_pretrained(folder)
    tokenizer = word_tokenizer()
    if "eos_token_id" in known:
        tokenizer.bos_token, tokenizer.eos_token = "[CLS]", "[SEP]"
    tokenizer.save_pretrained(folder)
    return str(folder)
