"""Which encoders can be exported: their graphs give torch's logits for every batch and length; the others are told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import numpy_helper

from helpers import word_tokenizer
from models.tiny_pretrained import tiny_checkpoint
from nlpladder.errors import ModelError
from nlpladder.models.classifiers.recurrent import RecurrentClassifierConfig, RecurrentForSequenceClassification
from nlpladder.models.classifiers.text_cnn import TextCNNConfig, TextCNNForSequenceClassification
from nlpladder.models.onnx.classifier import OnnxClassifier
from nlpladder.models.onnx.export import export_graph
from nlpladder.models.onnx.measuring import logit_distance, padding_effect, probe_rows
from nlpladder.models.onnx.quantization import quantize_graph
from nlpladder.models.pretrained.opening import open_pretrained
from nlpladder.models.sequence_classifier import SequenceClassifier
from nlpladder.models.transformer.classifier import TransformerForSequenceClassification
from nlpladder.models.transformer.config import TransformerClassifierConfig

LABELS = ("bad", "good")
TOKENIZER = word_tokenizer()
SMALL = {"vocab_size": len(TOKENIZER), "hidden_size": 16, "num_labels": 2}
OWN = {
    "text_cnn": lambda: TextCNNForSequenceClassification(
        TextCNNConfig(vocab_size=len(TOKENIZER), num_filters=8, num_labels=2)
    ),
    "transformer": lambda: TransformerForSequenceClassification(
        TransformerClassifierConfig(**SMALL, num_attention_heads=4, intermediate_size=32, max_position_embeddings=64)
    ),
    "bilstm": lambda: RecurrentForSequenceClassification(RecurrentClassifierConfig(**SMALL)),
}


def holder_of(name, folder):
    torch.manual_seed(0)
    if name in OWN:
        return SequenceClassifier(OWN[name]().eval(), TOKENIZER, max_length=64)
    opened = open_pretrained(tiny_checkpoint(name, folder), head="classification", label_names=LABELS)
    with torch.no_grad():  # a fresh head gives logits near zero, whatever stands before it
        for label, parameter in opened.model.named_parameters():
            if label.startswith(("classifier", "pre_classifier", "head", "pooler")) and parameter.dim() > 1:
                parameter.normal_(0, 0.5)
    return SequenceClassifier(opened.model.eval(), opened.tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["roberta", "distilbert", "deberta-v2", "modernbert", "transformer"])
def test_an_encoder_is_exported_to_the_same_logits(tmp_path, name):
    holder = holder_of(name, tmp_path / "base")
    graph = export_graph(holder.model, max_length=holder.max_length)
    fields = {"label_names": LABELS, "task": "single_label", "max_length": holder.max_length}
    classifier = OnnxClassifier(graph.SerializeToString(), holder.tokenizer, **fields)
    rows = probe_rows(vocabulary=len(holder.tokenizer), max_length=holder.max_length)
    rows = [[max(5, token) for token in row] for row in rows]  # no padding inside of a text
    distance, effect = logit_distance(classifier, holder.model, rows), padding_effect(classifier, rows)
    assert quantize_graph(graph) > 0
    assert distance < 1e-4
    assert effect < 1e-4
    rounded = OnnxClassifier(graph.SerializeToString(), holder.tokenizer, precision="int8", **fields)
    assert padding_effect(rounded, rows) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(("name", "why"), [("text_cnn", "texts of one length only"), ("bilstm", "cannot follow")])
def test_a_rung_that_the_exporter_cannot_follow_is_told(tmp_path, name, why):
    holder = holder_of(name, tmp_path)
    with pytest.raises(ModelError, match=why):
        graph = export_graph(holder.model, max_length=holder.max_length)
        OnnxClassifier(
            graph.SerializeToString(), holder.tokenizer, label_names=LABELS, task="single_label", max_length=64
        )


def test_a_graph_holds_nothing_but_what_it_computes(exported):
    assert not exported.metadata_props
    assert not exported.graph.value_info
    assert not any(node.doc_string or node.metadata_props for node in exported.graph.node)
    assert all(np.isfinite(numpy_helper.to_array(one)).all() for one in exported.graph.initializer)
    text = exported.SerializeToString()
    for trace in (b"/work", b"site-packages", b".py"):
        assert trace not in text


def test_a_program_that_depends_on_its_data_is_told(holder):
    class Odd(torch.nn.Module):
        config = holder.model.config
        training = False

        def get_input_embeddings(self):
            return holder.model.get_input_embeddings()

        def forward(self, input_ids, attention_mask):
            return holder.model(input_ids[: int(attention_mask.sum()) % 3 + 1], attention_mask.numpy())

    with pytest.raises(ModelError, match="cannot follow the program of this bert model"):
        export_graph(Odd(), max_length=16)
