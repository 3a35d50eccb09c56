"""A random tiny encoder classifier, exported once."""

from __future__ import annotations

import copy

import pytest

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="session")
def holder(tmp_path_factory):
    """Return a random BERT classifier of three labels with its tokenizer."""
    import torch

    from models.tiny_pretrained import tiny_checkpoint
    from nlpladder.models.pretrained.opening import open_pretrained
    from nlpladder.models.sequence_classifier import SequenceClassifier

    base = tiny_checkpoint("bert", tmp_path_factory.mktemp("base") / "bert")
    torch.manual_seed(0)
    opened = open_pretrained(base, head="classification", label_names=("bad", "so so", "good"))
    with torch.no_grad():
        opened.model.classifier.weight.normal_(0, 0.5)
    return SequenceClassifier(opened.model.eval(), opened.tokenizer)


@pytest.fixture(scope="session")
def exported(holder):
    """Return its graph in float32; tests change copies."""
    from nlpladder.models.onnx.export import export_graph

    return export_graph(holder.model, max_length=holder.max_length)


@pytest.fixture
def graph(exported):
    """Return a graph that a test may change."""
    return copy.deepcopy(exported)


@pytest.fixture
def build(holder):
    """Return a function that makes a classifier of a graph."""
    from nlpladder.models.onnx.classifier import OnnxClassifier

    def make(graph, **settings):
        known = {
            "label_names": holder.label_names,
            "task": holder.task,
            "max_length": holder.max_length,
            "parameters": holder.num_parameters(),
        }
        return OnnxClassifier(graph.SerializeToString(), holder.tokenizer, **(known | settings))

    return make
