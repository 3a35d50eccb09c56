"""Tiny models for sequence training: ours with ``targets`` in and the sum of the losses out, and transformers' own."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast, Seq2SeqLMOutput

from nlpladder.training.sequence_data import IGNORED, ParallelRows, RunningTokens, TargetRows, TokenBlocks

VOCABULARY = 24


class State:
    """A recurrent state: batch first, cut from the graph on demand."""

    def __init__(self, hidden, tokens_seen):
        self.hidden = hidden  # [(batch, width)]
        self.tokens_seen = tokens_seen

    def detach(self):
        return State([part.detach() for part in self.hidden], self.tokens_seen)

    def state_dict(self):
        return {"hidden": self.hidden[0].clone(), "tokens_seen": self.tokens_seen}

    @classmethod
    def from_state_dict(cls, content):
        return cls([content["hidden"]], content["tokens_seen"])


class TinyConfig(PreTrainedConfig):
    model_type = "tiny-sequence-model"

    def __init__(self, width=16, dropout=0.0, **arguments):
        self.width, self.dropout = width, dropout
        self.vocab_size = VOCABULARY
        self.tie_word_embeddings = True
        self.decoder_start_token_id = 2
        super().__init__(**arguments)
        self.decoder_start_token_id = 2


class TinyModel(PreTrainedModel):
    config_class = TinyConfig
    base_model_prefix = "model"
    _tied_weights_keys = {"lm_head.weight": "embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(VOCABULARY, config.width)
        self.gru = nn.GRU(config.width, config.width, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.lm_head = nn.Linear(config.width, VOCABULARY, bias=False)
        self.calls = []
        self.post_init()

    def _init_weights(self, module):
        with torch.no_grad():
            for parameter in module.parameters(recurse=False):
                nn.init.normal_(parameter, std=0.2)

    def get_output_embeddings(self):
        return self.lm_head

    def get_input_embeddings(self):
        return self.embed_tokens

    def loss(self, hidden, targets, label_smoothing):
        logits = self.lm_head(self.dropout(hidden)).float()
        return F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="sum", ignore_index=-100,
            label_smoothing=label_smoothing if self.training else 0.0,
        )  # fmt: skip


class TinyCausalLM(TinyModel):
    def forward(self, input_ids, targets=None, past_key_values=None, use_cache=None, label_smoothing=0.0, **more):
        self.calls.append({"training": self.training, "label_smoothing": label_smoothing, **more})
        state = past_key_values.hidden[0][None] if past_key_values is not None else None
        hidden, last = self.gru(self.dropout(self.embed_tokens(input_ids)), state)
        seen = (past_key_values.tokens_seen if past_key_values is not None else 0) + input_ids.shape[1]
        return CausalLMOutputWithPast(
            loss=self.loss(hidden, targets, label_smoothing) if targets is not None else None,
            past_key_values=State([last[0]], seen) if use_cache else None,
        )


class StatelessCausalLM(TinyCausalLM):
    def forward(self, input_ids, targets=None, **named):
        return CausalLMOutputWithPast(loss=super().forward(input_ids, targets, **named).loss)


class TinyTranslator(TinyModel):
    def forward(
        self, input_ids, attention_mask=None, decoder_input_ids=None, targets=None, label_smoothing=0.0, **more
    ):
        self.calls.append({"training": self.training, "label_smoothing": label_smoothing, **more})
        mask = attention_mask[..., None].float()
        annotations, _ = self.gru(self.embed_tokens(input_ids))
        summary = (annotations * mask).sum(1) / mask.sum(1)  # (batch, width)
        hidden, _ = self.gru(self.dropout(self.embed_tokens(decoder_input_ids)), summary[None].contiguous())
        return Seq2SeqLMOutput(loss=self.loss(hidden, targets, label_smoothing))


def pairs(count, *, seed=0, longest=9):
    """Targets are the sources reversed; every sentence ends in 3."""
    generator = torch.Generator().manual_seed(seed)
    sources = [
        torch.randint(5, VOCABULARY, (int(torch.randint(1, longest, (1,), generator=generator)),), generator=generator)
        for _ in range(count)
    ]
    return ParallelRows([[*row.tolist(), 3] for row in sources], [[*reversed(row.tolist()), 3] for row in sources])


def periodic(count):
    """A text that a recurrent model predicts perfectly."""
    return [5 + (index * index) % 7 for index in range(count)]


def running(count=400, *, batch_size=4, block_length=8):
    return RunningTokens(periodic(count), batch_size=batch_size, block_length=block_length)


def blocks(count=400, *, block_length=8):
    return TokenBlocks(periodic(count), block_length=block_length)


def prompts(count, *, seed=0, longest=6):
    """Instructions: 1, some words, 4, then the words reversed and 3; only what follows the 4 is learnt."""
    generator = np.random.default_rng(seed)
    inputs, targets = [], []
    for _ in range(count):
        words = generator.integers(5, VOCABULARY, int(generator.integers(1, longest))).tolist()
        ids = [1, *words, 4, *reversed(words), 3]
        inputs.append(ids[:-1])
        targets.append([IGNORED] * (len(words) + 1) + ids[len(words) + 2 :])
    return TargetRows(inputs, targets)


def tiny_llama(*, seed=0, **settings):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=3, **settings,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def tiny_gpt2(*, seed=0, dropout=0.0, **settings):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=24, resid_pdrop=dropout,
        embd_pdrop=dropout, attn_pdrop=dropout, pad_token_id=0, bos_token_id=1, eos_token_id=3, **settings,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def tiny_t5(*, seed=0, **settings):
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=VOCABULARY, d_model=16, d_ff=32, d_kv=8, num_layers=2, num_heads=2, dropout_rate=0.0,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=3, **settings,
    )  # fmt: skip
    return T5ForConditionalGeneration(config)


def tiny_bart(kind="bart", *, seed=0):
    from transformers import BartConfig, BartForConditionalGeneration, MarianConfig, MarianMTModel

    torch.manual_seed(seed)
    sizes = {
        "vocab_size": VOCABULARY, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3, "decoder_start_token_id": 0,
        "max_position_embeddings": 32, "forced_eos_token_id": 3,
    }  # fmt: skip
    if kind == "marian":
        return MarianMTModel(MarianConfig(**sizes))
    return BartForConditionalGeneration(BartConfig(**sizes))


def with_lora(model, *, dropout=0.0, **settings):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    targets = ["c_attn"] if hasattr(model, "transformer") else ["q_proj", "v_proj"]
    config = LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM", lora_dropout=dropout, **settings)
    return get_peft_model(model, config)


def build(kind, *, seed=0, **settings):
    torch.manual_seed(seed)
    classes = {"causal": TinyCausalLM, "stateless": StatelessCausalLM, "translator": TinyTranslator}
    return classes[kind](TinyConfig(**settings))
