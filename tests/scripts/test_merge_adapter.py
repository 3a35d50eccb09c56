"""Folding adapters of every kind of model into their bases from the command line."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import torch

import nlpladder
from helpers import REPOSITORY, run_python, text_dataset, tiny_bert_folder
from models.tiny_pretrained import tiny_checkpoint
from nlpladder.errors import CheckFailedError, ModelError, RunError
from nlpladder.ladder import find_rung
from nlpladder.models.pretrained.adapter_files import save_model
from nlpladder.models.pretrained.adapters import add_adapter
from nlpladder.models.pretrained.merging import greedy_tokens, probe_logits
from nlpladder.models.pretrained.opening import open_pretrained
from nlpladder.models.pretrained.peft_options import PeftOptions
from nlpladder.tasks.base import RungSettings
from nlpladder.train_rung import train_rung

TEXTS = ["the film was good", "bad", "so dull"]
KINDS = {
    "token_classification": ("bert", "lora"),
    "question_answering": ("roberta", "ia3"),
    "causal": ("llama", "lora"),
    "seq2seq": ("t5", "lora"),
}


@pytest.fixture
def merge(monkeypatch):
    """Return a function that runs the script in this process."""
    spec = importlib.util.spec_from_file_location("merge_adapter_script", REPOSITORY / "scripts" / "merge_adapter.py")
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, script)
    spec.loader.exec_module(script)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["merge_adapter.py", *map(str, arguments)])
        script.main()

    return run


def save_adapter(base, folder, head, method):
    torch.manual_seed(0)
    opened = open_pretrained(base, head=head, label_names=("O", "B-X") if head == "token_classification" else ())
    options = PeftOptions(rank=4, dropout=0.0, virtual_tokens=4)
    model = add_adapter(opened.model, method=method, options=options, head=head, fresh=opened.fresh, base_name=base)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    save_model(model, folder)
    opened.tokenizer.save_pretrained(folder)
    return folder


def test_the_merged_folder_answers_as_the_adapter_and_nothing_is_overwritten(tmp_path, merge):
    encoder = tiny_bert_folder(tmp_path / "encoder")
    settings = RungSettings(encoder=str(encoder), training={"num_train_epochs": 1, "learning_rate": 0.01})
    train_rung(find_rung("bert_lora"), text_dataset(train=48), settings, output_dir=tmp_path / "lora")
    merge(tmp_path / "lora", tmp_path / "merged")
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    merged, adapter = nlpladder.load(tmp_path / "merged"), nlpladder.load(tmp_path / "lora")
    assert merged.label_names == ("negative", "positive")
    np.testing.assert_allclose(merged.predict_logits(TEXTS), adapter.predict_logits(TEXTS), atol=1e-5)
    with pytest.raises(RunError, match="exists already"):
        merge(tmp_path / "lora", tmp_path / "merged")
    with pytest.raises(ModelError, match="no adapter"):
        merge(tmp_path / "merged", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("head", KINDS)
def test_every_kind_of_model_is_merged_to_the_same_logits_and_the_same_words(tmp_path, merge, head, capsys):
    name, method = KINDS[head]
    base = tiny_checkpoint(name, tmp_path / "base")
    save_adapter(base, tmp_path / "adapter", head, method)
    merge(tmp_path / "adapter", tmp_path / "merged")
    assert "Largest difference of a logit" in capsys.readouterr().out
    merged, adapter = nlpladder.load(tmp_path / "merged"), nlpladder.load(tmp_path / "adapter")
    assert type(merged) is type(adapter)
    assert not hasattr(merged.model, "peft_config")
    pairs = (probe_logits(one.model, one.tokenizer) for one in (merged, adapter))
    for one, other in zip(*pairs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    written = greedy_tokens(adapter.model, adapter.tokenizer)
    assert greedy_tokens(merged.model, merged.tokenizer) == written
    assert bool(written) == (head in ("causal", "seq2seq"))


def test_a_prompt_a_difference_and_a_moved_base_are_told(tmp_path, merge):
    base = tiny_checkpoint("gpt2", tmp_path / "base")
    save_adapter(base, tmp_path / "prompt", "causal", "prompt")
    with pytest.raises(ModelError, match="prompt tuning: trained vectors.*cannot be merged"):
        merge(tmp_path / "prompt", tmp_path / "merged")
    save_adapter(base, tmp_path / "lora", "causal", "lora")
    with pytest.raises(CheckFailedError, match="Nothing was written"):
        merge(tmp_path / "lora", tmp_path / "merged", "--tolerance", "-1")
    (tmp_path / "base").rename(tmp_path / "moved")
    with pytest.raises(ModelError, match="base_model"):
        merge(tmp_path / "lora", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    assert not list(tmp_path.glob(".*.tmp"))
    merge(tmp_path / "lora", tmp_path / "merged", "--base_model", tmp_path / "moved")
    assert nlpladder.load(tmp_path / "merged")


@pytest.mark.slow
def test_the_command_ends_with_the_sentence(tmp_path):
    result = run_python("scripts/merge_adapter.py", str(tmp_path / "nothing"), str(tmp_path / "merged"))
    assert result.returncode == 2
    assert "There is no model folder" in result.stderr
