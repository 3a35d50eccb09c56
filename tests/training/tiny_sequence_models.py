"""Tiny models that keep the contract of sequence training: ``targets`` in, the sum of the losses out."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast, Seq2SeqLMOutput

from nlpladder.training.sequence_data import ParallelRows, RunningTokens, TokenBlocks

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
    def forward(self, *arguments, **named):
        return CausalLMOutputWithPast(loss=super().forward(*arguments, **named).loss)


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


def build(kind, *, seed=0, **settings):
    torch.manual_seed(seed)
    classes = {"causal": TinyCausalLM, "stateless": StatelessCausalLM, "translator": TinyTranslator}
    return classes[kind](TinyConfig(**settings))
