"""What a user of torch alone would write: the peers of the suite ``neural`` built from torch's own modules."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark_suites import neural as shape


class PlainTransformer(nn.Module):
    """``nn.Transformer`` with embeddings, sinusoidal positions and a tied output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.VOCABULARY, shape.WIDTH, padding_idx=shape.PAD)
        self.transformer = nn.Transformer(
            shape.WIDTH, shape.HEADS, shape.LAYERS, shape.LAYERS, shape.INNER, dropout=0.0, batch_first=True
        )
        positions = torch.arange(64, dtype=torch.float32)[:, None]
        frequencies = torch.exp(torch.arange(0, shape.WIDTH, 2) * (-math.log(10_000.0) / shape.WIDTH))
        table = torch.stack([(positions * frequencies).sin(), (positions * frequencies).cos()], dim=-1).flatten(1)
        self.register_buffer("positions", table)

    def embed(self, ids: Tensor) -> Tensor:
        """Return token plus position (batch, tokens, width)."""
        return self.embedding(ids) * math.sqrt(shape.WIDTH) + self.positions[: ids.shape[1]]  # type: ignore[index]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        """Return logits (batch, target, vocabulary)."""
        padding = attention_mask == 0
        causal = nn.Transformer.generate_square_subsequent_mask(decoder_input_ids.shape[1], dtype=torch.bool)
        states = self.transformer(
            self.embed(input_ids),
            self.embed(decoder_input_ids),
            tgt_mask=causal,
            tgt_is_causal=True,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )
        return F.linear(states, self.embedding.weight)


class PlainRecurrent(nn.Module):
    """A bidirectional ``nn.LSTM``, and a decoder with additive attention in a loop, or dot attention after it.

    Args:
        kind: ``additive`` or ``dot``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        embedding, width = shape.RECURRENT_EMBEDDING, shape.RECURRENT_WIDTH
        self.kind = kind
        self.source = nn.Embedding(shape.VOCABULARY, embedding, padding_idx=shape.PAD)
        self.target = nn.Embedding(shape.VOCABULARY, embedding, padding_idx=shape.PAD)
        self.encoder = nn.LSTM(embedding, width // 2, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(width, 2 * width)
        if kind == "additive":
            self.cell = nn.LSTMCell(embedding + width, width)
            self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
            self.score = nn.Linear(width, 1, bias=False)
        else:
            self.decoder = nn.LSTM(embedding, width, batch_first=True)
        self.attentional = nn.Linear(2 * width, embedding)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        """Return logits (batch, target, vocabulary)."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.source(input_ids), attention_mask.sum(1), batch_first=True, enforce_sorted=False
        )
        outputs, (last, _) = self.encoder(packed)
        annotations, _ = nn.utils.rnn.pad_packed_sequence(
            outputs, batch_first=True, total_length=input_ids.shape[1]
        )  # (batch, source, width)
        hidden, cell = torch.tanh(self.bridge(torch.cat([last[0], last[1]], dim=-1))).chunk(2, dim=-1)
        hidden_source = (attention_mask == 0)[:, None, :]  # (batch, 1, source)
        embedded = self.target(decoder_input_ids)
        if self.kind == "dot":
            states, _ = self.decoder(embedded, (hidden[None].contiguous(), cell[None].contiguous()))
            scores = (states @ annotations.transpose(1, 2)).masked_fill(hidden_source, -1e4)
            contexts = torch.softmax(scores, dim=-1) @ annotations
        else:
            keys, found = self.key(annotations), []
            for step in embedded.unbind(1):
                energies = self.score(torch.tanh(self.query(hidden)[:, None] + keys)).transpose(1, 2)
                context = (torch.softmax(energies.masked_fill(hidden_source, -1e4), dim=-1) @ annotations)[:, 0]
                hidden, cell = self.cell(torch.cat([step, context], dim=-1), (hidden, cell))
                found.append((hidden, context))
            states = torch.stack([hidden for hidden, _ in found], dim=1)
            contexts = torch.stack([context for _, context in found], dim=1)
        attentional = torch.tanh(self.attentional(torch.cat([states, contexts], dim=-1)))
        return F.linear(attentional, self.target.weight)


def loss_of(model: Any, batch: dict[str, Any]) -> Tensor:
    """Return the mean cross-entropy over target tokens."""
    logits = model(batch["input_ids"], batch["attention_mask"], batch["decoder_input_ids"])
    return F.cross_entropy(logits.float().flatten(0, 1), batch["targets"].flatten())
