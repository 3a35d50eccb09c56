"""Small recurrent encoder-decoders and the reversal task, for the tests of this folder."""

from __future__ import annotations

import torch

from nlpladder.models.seq2seq.config import Seq2SeqConfig
from nlpladder.models.seq2seq.model import Seq2SeqForConditionalGeneration

END = 3
#: Every decoder: attention, cell, input feeding, layers.
SHAPES = [
    ("none", "lstm", False, 1),
    ("none", "gru", False, 2),
    ("additive", "gru", False, 1),
    ("additive", "lstm", False, 2),
    ("dot", "lstm", False, 2),
    ("dot", "gru", True, 1),
    ("general", "lstm", True, 2),
    ("concat", "gru", False, 1),
    ("concat", "lstm", True, 1),
]


def tiny_model(attention="additive", cell="lstm", feeding=True, layers=1, *, seed=0, **changes):
    """Return a random model in evaluation mode, with probabilities far from uniform."""
    settings = {
        "vocab_size": 21,
        "embedding_size": 8,
        "hidden_size": 12,
        "encoder_layers": layers,
        "decoder_layers": layers,
        "cell": cell,
        "attention": attention,
        "input_feeding": feeding,
    }
    torch.manual_seed(seed)
    model = Seq2SeqForConditionalGeneration(Seq2SeqConfig(**(settings | changes)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
        model.encoder.embed_tokens.weight[0] = 0.0
    return model.eval()


def sources(count=4, *, seed=0, longest=9, vocabulary=21):
    """Return source ids padded on the right, with an end mark, of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.zeros(count, longest, dtype=torch.long)
    for row in range(count):
        length = int(torch.randint(2, longest, (), generator=generator))
        ids[row, :length] = torch.randint(5, vocabulary, (length,), generator=generator)
        ids[row, length] = END
    return ids


def reversal_batch(count, *, seed, longest=9, vocabulary=20):
    """Return source ids and the targets of the reversal task, -100 behind the end mark."""
    ids = sources(count, seed=seed, longest=longest, vocabulary=vocabulary)
    targets = torch.full_like(ids, -100)
    for row, tokens in enumerate(ids):
        length = int(tokens.ne(0).sum()) - 1
        targets[row, :length] = tokens[:length].flip(0)
        targets[row, length] = END
    return ids, targets


def train_reversal(attention, *, steps, cell="gru", feeding=True, **changes):
    """Train on reversal with the `targets` path; return the model in evaluation mode."""
    torch.manual_seed(0)
    settings = {"vocab_size": 20, "embedding_size": 32, "hidden_size": 64, "dropout": 0.0, "embedding_dropout": 0.0}
    config = Seq2SeqConfig(attention=attention, cell=cell, input_feeding=feeding, **(settings | changes))
    model = Seq2SeqForConditionalGeneration(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / steps)
        ids, targets = reversal_batch(64, seed=1 + step)
        loss = model(ids, targets=targets).loss / targets.ne(-100).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def exact_match(model, *, num_beams=1, count=200):
    """Return the share of unseen sequences that `model` reverses without a mistake."""
    ids, targets = reversal_batch(count, seed=0)
    found = model.generate(ids, num_beams=num_beams, do_sample=False, max_new_tokens=12)[:, 1:].tolist()
    hits = 0
    for row, expected in zip(found, targets, strict=True):
        wanted = expected[expected.ne(-100)].tolist()
        hits += row[: len(wanted)] == wanted
    return hits / count
