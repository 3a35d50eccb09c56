"""Exporting a run from the command line: the table, the folder, and the refusal."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys

import numpy as np
import pytest
import torch

import nlpladder
from helpers import REPOSITORY, review_rows
from models.tiny_pretrained import tiny_checkpoint
from nlpladder.errors import ConfigError, ModelError, RunError
from nlpladder.models.onnx import quantization
from nlpladder.models.pretrained.adapter_files import save_model
from nlpladder.models.pretrained.adapters import add_adapter
from nlpladder.models.pretrained.opening import open_pretrained
from nlpladder.models.pretrained.peft_options import PeftOptions

pytest.importorskip("onnxruntime")
LABELS = ("negative", "positive")


@pytest.fixture
def export(monkeypatch):
    """Return a function that runs the script in this process."""
    spec = importlib.util.spec_from_file_location("export_onnx_script", REPOSITORY / "scripts" / "export_onnx.py")
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, script)
    spec.loader.exec_module(script)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["export_onnx.py", *map(str, arguments)])
        script.main()

    return run


@pytest.fixture
def data(tmp_path):
    """Return a folder of labelled texts in three files."""
    place = tmp_path / "reviews"
    place.mkdir()
    for number, split in enumerate(("train", "validation", "test")):
        with (place / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("text", "label"))
            writer.writerows((text, LABELS[label]) for text, label in review_rows(40, seed=number))
    return place


@pytest.fixture
def adapter(tmp_path):
    """Return a folder with a random adapter of a random encoder."""
    base = tiny_checkpoint("bert", tmp_path / "base")
    torch.manual_seed(0)
    opened = open_pretrained(base, head="classification", label_names=LABELS)
    model = add_adapter(
        opened.model, method="lora", options=PeftOptions(rank=4, dropout=0.0), head="classification",
        fresh=opened.fresh, base_name=base,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    folder = tmp_path / "lora"
    save_model(model, folder)
    opened.tokenizer.save_pretrained(folder)
    (folder / "profile.json").write_text('{"kind": "made by the test"}')
    return folder


def test_an_adapter_is_merged_rounded_compared_and_written_whole(tmp_path, export, adapter, data, capsys):
    target = tmp_path / "out" / "int8"
    target.parent.mkdir()
    export(adapter, target, "--quantize", "int8", "--dataset", data, "--speed_texts", 4, "--largest_label_change", 0.2)
    printed = capsys.readouterr().out
    for name in ("PyTorch fp32", "ONNX fp32", "ONNX int8", "texts/s, 1 thread", "of 40"):
        assert name in printed
    whole = {"config.json", "model.onnx", "tokenizer.json", "README.md", "metrics.json", "export.json", "profile.json"}
    assert whole <= {entry.name for entry in target.iterdir()}
    assert (target / "profile.json").read_bytes() == (adapter / "profile.json").read_bytes()
    opened, before = nlpladder.load(target), nlpladder.load(adapter)
    assert opened.precision == "int8"
    assert opened.label_names == before.label_names == LABELS
    texts = [text for text, _ in review_rows(10)]
    np.testing.assert_allclose(opened.predict_proba(texts), before.predict_proba(texts), atol=0.05)
    report = json.loads((target / "export.json").read_text())
    assert [row["name"] for row in report["rows"]] == ["PyTorch fp32", "ONNX fp32", "ONNX int8"]
    assert report["rows"][1]["changed"] == 0
    assert report["logit_distance"] < 1e-4
    assert report["padding_effect"]["ONNX int8"] < 1e-5
    assert json.loads((target / "metrics.json").read_text())["scores"]["accuracy"]["n"] == 40
    for file in ("README.md", "export.json", "metrics.json", "config.json"):
        assert str(tmp_path) not in (target / file).read_text(), file
    assert str(tmp_path).encode() not in (target / "model.onnx").read_bytes()
    assert str(REPOSITORY).encode() not in (target / "model.onnx").read_bytes()
    with pytest.raises(RunError, match="exists already"):
        export(adapter, "--output_dir", target, "--dataset", data)


def test_a_model_that_changes_too_many_labels_is_refused_with_1_and_nothing_is_written(
    tmp_path, export, adapter, data, capsys, monkeypatch
):
    rounded = quantization.quantize_weight
    monkeypatch.setattr(
        quantization, "quantize_weight", lambda weight: (-rounded(weight)[0][:, ::-1].copy(), 3 * rounded(weight)[1])
    )
    arguments = (adapter, tmp_path / "int8", "--quantize", "int8", "--dataset", data, "--speed_texts", 0)
    with pytest.raises(SystemExit) as ended:
        export(*arguments, "--largest_label_change", 0)
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "another label than PyTorch" in told
    assert "Nothing was written" in told
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["base", "lora", "reviews"]
    with pytest.raises(SystemExit) as ended:
        export(*arguments, "--logit_tolerance", 1e-12)
    assert ended.value.code == 1
    assert "A logit of the exported graph" in capsys.readouterr().err


def test_what_cannot_be_exported_is_told(tmp_path, export, adapter, data):
    with pytest.raises(ConfigError, match="name labelled texts with --dataset"):
        export(adapter, tmp_path / "out")
    with pytest.raises(ConfigError, match="largest_label_change"):
        export(adapter, tmp_path / "out", "--largest_label_change", 2)
    from nlpladder.models.counts.majority import MajorityClassifier

    MajorityClassifier(label_names=LABELS).fit(["a", "b"], [0, 1]).save_pretrained(tmp_path / "majority")
    with pytest.raises(ModelError, match=r"no neural network.*count words are fast"):
        export(tmp_path / "majority", tmp_path / "out", "--dataset", data)
    assert not (tmp_path / "out").exists()


def test_a_refusal_comes_before_anything_is_loaded(tmp_path, export, data, monkeypatch):
    monkeypatch.setattr(nlpladder, "load", lambda *_, **__: pytest.fail("it was loaded"))
    generator = tiny_checkpoint("gpt2", tmp_path / "gpt2")
    with pytest.raises(ModelError, match="holds a language model; only neural text classifiers") as told:
        export(generator, tmp_path / "out", "--dataset", data)
    assert "count words" not in str(told.value)
    with pytest.raises(RunError, match="exists already"):
        export(generator, data, "--dataset", data)
    with pytest.raises(ModelError, match="holds no config.json"):
        export(data, tmp_path / "out", "--dataset", data)
