"""Several adapters on one base."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nlpladder
from models.tiny_pretrained import tiny_checkpoint
from nlpladder.errors import ModelError
from nlpladder.models.pretrained.adapter_bank import AdapterBank
from nlpladder.models.pretrained.adapters import add_adapter
from nlpladder.models.pretrained.merging import probe_logits
from nlpladder.models.pretrained.opening import open_pretrained
from nlpladder.models.pretrained.peft_options import PeftOptions
from nlpladder.models.sequence_classifier import SequenceClassifier


def save_adapter(base, folder, method, *, seed, head="causal", labels=()):
    from nlpladder.models.pretrained.adapter_files import save_model

    torch.manual_seed(seed)
    opened = open_pretrained(base, head=head, label_names=labels)
    options = PeftOptions(rank=2 + seed, dropout=0.0, virtual_tokens=3 + seed, hidden_size=8)
    model = add_adapter(opened.model, method=method, options=options, head=head, fresh=opened.fresh, base_name=base)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    save_model(model, folder)
    opened.tokenizer.save_pretrained(folder)
    return folder


def logits(holder):
    return probe_logits(holder.model, holder.tokenizer)


def same(one, other):
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("method", ["lora", "ia3", "prompt", "prefix"])
def test_each_adapter_of_a_bank_answers_as_it_does_alone(tmp_path, method):
    base = tiny_checkpoint("gpt2", tmp_path / "base")
    folders = {name: save_adapter(base, tmp_path / name, method, seed=seed) for seed, name in enumerate("ab")}
    alone = {name: logits(nlpladder.load(folder)) for name, folder in folders.items()}
    plain = logits(nlpladder.load(base))
    bank = AdapterBank(nlpladder.load(folders["a"]), name="a")
    bank.add("b", folders["b"])
    assert bank.names == ("a", "b")
    assert same(logits(bank.holder), alone["a"]), "adding changes nothing"
    for name in ("b", "a", "b"):
        assert same(logits(bank.use(name)), alone[name])
        assert same(logits(bank.none()), plain)
    assert not any(parameter.requires_grad for parameter in bank.holder.model.parameters())


def test_what_a_bank_cannot_hold_is_refused(tmp_path):
    base = tiny_checkpoint("gpt2", tmp_path / "base")
    first = save_adapter(base, tmp_path / "first", "lora", seed=0)
    bank = AdapterBank(nlpladder.load(first), name="first")
    before = logits(bank.holder)
    with pytest.raises(ModelError, match="one method at a time"):
        bank.add("scaled", save_adapter(base, tmp_path / "scaled", "ia3", seed=1))
    with pytest.raises(ModelError, match="already"):
        bank.add("first", first)
    with pytest.raises(ModelError, match="holds no adapter"):
        bank.add("base", base)
    other = tiny_checkpoint("gpt2", tmp_path / "other", seed=5)
    with pytest.raises(ModelError, match="other weights than the base"):
        bank.add("foreign", save_adapter(other, tmp_path / "foreign", "lora", seed=1))
    with pytest.raises(ModelError, match="Did you mean 'first'"):
        bank.use("firts")
    assert bank.names == ("first",)
    assert same(logits(bank.use("first")), before)
    with pytest.raises(ModelError, match="has no adapter"):
        AdapterBank(nlpladder.load(base), name="x")


def test_classifiers_with_their_own_heads_and_labels(tmp_path):
    base = tiny_checkpoint("bert", tmp_path / "base")
    labels = {"mood": ("bad", "good"), "length": ("short", "long")}
    folders = {
        name: save_adapter(base, tmp_path / name, "lora", seed=seed, head="classification", labels=labels[name])
        for seed, name in enumerate(labels)
    }
    bank = AdapterBank(SequenceClassifier.from_pretrained(folders["mood"]), name="mood")
    bank.add("length", folders["length"])
    for name in ("length", "mood"):
        holder = bank.use(name)
        assert holder.label_names == labels[name]
        assert same(logits(holder), logits(nlpladder.load(folders[name])))
    with pytest.raises(ModelError, match="no trained head"):
        bank.none()
    three = save_adapter(base, tmp_path / "three", "lora", seed=2, head="classification", labels=("a", "b", "c"))
    with pytest.raises(ModelError, match="3 labels apart, and those in the bank 2"):
        bank.add("three", three)
