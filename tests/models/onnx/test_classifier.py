"""The exported classifier answers as its torch model, saves, opens, and tells what is wrong with a folder."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import nlpladder
from nlpladder.errors import DataError, ModelError
from nlpladder.hub.describing import describe_model
from nlpladder.models.onnx.classifier import OnnxClassifier
from nlpladder.models.onnx.measuring import changed_labels, logit_distance, padding_effect, probe_rows
from nlpladder.models.onnx.quantization import quantize_graph
from nlpladder.models.safe_folders import RemoteFile, check_listing
from nlpladder.protocols import TextClassifier

TEXTS = ["the film was good", "", "bad", "so dull and boring " * 30, "plot", "the acting was really superb"]


def test_the_float32_graph_gives_the_logits_of_torch_at_every_length(holder, graph, build):
    classifier = build(graph)
    assert isinstance(classifier, TextClassifier)
    wanted = np.concatenate([holder.predict_logits([text]) for text in TEXTS])
    np.testing.assert_allclose(classifier.predict_logits(TEXTS), wanted, atol=1e-4)
    proba = np.concatenate([holder.predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), proba, atol=1e-5)
    rows = probe_rows(vocabulary=len(holder.tokenizer), max_length=holder.max_length)
    assert [len(row) for row in rows][:3] == [1, 2, 3]
    assert len(rows[-1]) == holder.max_length
    assert logit_distance(classifier, holder.model, rows) < 1e-4
    assert padding_effect(classifier, rows) < 1e-5


def test_the_8_bit_graph_is_near_and_a_text_has_one_answer_in_any_batch(holder, graph, build):
    assert quantize_graph(graph) == 12  # four of attention and two of the rest, in two layers
    classifier = build(graph, precision="int8")
    wanted = np.concatenate([holder.predict_logits([text]) for text in TEXTS])
    assert np.abs(classifier.predict_logits(TEXTS) - wanted).max() < 0.1 * np.abs(wanted).max()
    rows = probe_rows(vocabulary=len(holder.tokenizer), max_length=holder.max_length)
    assert padding_effect(classifier, rows) < 1e-5
    alone = np.concatenate([classifier.predict_logits([text]) for text in TEXTS])
    small = build(graph, precision="int8", tokens_per_batch=1)
    np.testing.assert_allclose(classifier.predict_logits(TEXTS[::-1])[::-1], alone, atol=1e-5)
    np.testing.assert_allclose(small.predict_logits(TEXTS), alone, atol=1e-5)


def test_opening_announces_nothing(tmp_path, graph, build, capfd):
    """transformers would say of our config that it is of an unknown kind, which "can yield errors"."""
    build(graph).save_pretrained(tmp_path / "model")
    capfd.readouterr()
    tokenizer = nlpladder.load(tmp_path / "model").tokenizer
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert type(tokenizer) is type(build(graph).tokenizer)


def test_a_saved_classifier_opens_with_load_and_is_described(tmp_path, graph, build, holder):
    classifier = build(graph)
    classifier.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / ".saving").exists()
    opened = nlpladder.load(tmp_path / "model", threads=1)
    assert isinstance(opened, OnnxClassifier)
    np.testing.assert_array_equal(opened.predict_logits(TEXTS), classifier.predict_logits(TEXTS))
    assert (opened.task, opened.label_names, opened.max_length) == ("single_label", holder.label_names, 64)
    assert opened.num_parameters() == holder.num_parameters()
    assert opened.threads == 1
    assert opened.with_threads(2).threads == 2
    described = describe_model(tmp_path / "model")
    assert (described.kind, described.abilities, described.task) == ("classifier", {"classify"}, "single_label")
    assert described.parameters == holder.num_parameters()
    assert described.num_bytes == (tmp_path / "model" / "model.onnx").stat().st_size
    opened.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "model.onnx").read_bytes() == (tmp_path / "model" / "model.onnx").read_bytes()
    (tmp_path / "model" / "model.onnx").unlink()
    for look in (nlpladder.load, describe_model):
        with pytest.raises(ModelError, match=r"holds no model.onnx"):
            look(tmp_path / "model")


def test_bad_folders_and_bad_calls_end_in_sentences(tmp_path, graph, build):
    classifier = build(graph)
    assert classifier.predict_proba([]).shape == (0, 3)
    with pytest.raises(DataError, match="list of texts"):
        classifier.predict_proba("one text")
    for threads in (0, True, "two"):
        with pytest.raises(ModelError, match="threads"):
            build(graph, threads=threads)
    with pytest.raises(ModelError, match="3 logits a text, but .* 2 labels"):
        build(graph, label_names=("a", "b"))
    with pytest.raises(ModelError, match=r"cannot be computed for a batch of shape \(1, 1\)"):
        classifier.run(np.array([[10**9]]), np.array([[1]]))
    classifier.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    good = json.loads(file.read_text())
    changes = {
        "label_names": [None, [], ["a", "a", "b"], [1, 2, 3], "abc"],
        "task": ["other", 3, None],
        "max_length": [0, -1, 1.5, True, 2**40],
        "parameters": [-1, None],
        "precision": ["int4"],
    }
    for name, values in changes.items():
        for value in values:
            file.write_text(json.dumps(good | {name: value}))
            with pytest.raises(ModelError, match=f"its {name} is"):
                nlpladder.load(tmp_path)
    file.write_text(json.dumps(good))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="tokenizer"):
        nlpladder.load(tmp_path)


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_a_missing_extra_is_named_with_its_command(tmp_path, graph, build, monkeypatch, module):
    build(graph).save_pretrained(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModelError, match=r"pip install 'nlpladder\[onnx\]'"):
        nlpladder.load(tmp_path)


def test_a_repository_gives_its_graph_only_where_it_has_no_safetensors():
    files = [RemoteFile(name, 10) for name in ("config.json", "model.onnx", "tokenizer.json", "onnx/model.onnx")]
    assert "model.onnx" in {file.path for file in check_listing("a/b", files)}
    whole = check_listing("a/b", [*files, RemoteFile("model.safetensors", 10)])
    assert not any(file.path.endswith(".onnx") for file in whole)


def test_changed_labels_of_every_task():
    before, after = np.array([[0.6, 0.4], [0.2, 0.8]]), np.array([[0.4, 0.6], [0.3, 0.7]])
    assert changed_labels(before, after, "single_label").tolist() == [True, False]
    assert changed_labels(before, after, "multi_label").tolist() == [True, False]
    values = np.array([[0.0], [2.0]])  # standard deviation 1
    assert changed_labels(values, np.array([[0.05], [2.2]]), "regression").tolist() == [False, True]
