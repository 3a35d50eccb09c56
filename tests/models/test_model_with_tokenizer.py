"""What the models that hold a tokenizer have in common."""

from __future__ import annotations

import pytest
import torch

import nlpladder
from helpers import tiny_bert_folder
from nlpladder.errors import ModelError
from nlpladder.models.evaluating import evaluating
from nlpladder.models.masked_language_model import MaskedLM
from nlpladder.models.model_with_tokenizer import ModelWithTokenizer
from nlpladder.models.neural_language_model import NeuralLanguageModel
from nlpladder.models.pretrained.opening import open_pretrained
from nlpladder.models.question_answerer import QuestionAnswerer
from nlpladder.models.sequence_classifier import SequenceClassifier
from nlpladder.models.text_encoder import SentenceEncoder
from nlpladder.models.token_classifier import TokenClassifier
from nlpladder.models.translation import Translator

HOLDERS = {
    "classification": SequenceClassifier,
    "token_classification": TokenClassifier,
    "question_answering": QuestionAnswerer,
    "masked": MaskedLM,
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(tiny_bert_folder(tmp_path_factory.mktemp("bert")))


def held(encoder, head):
    names = {"classification": ("a", "b"), "token_classification": ("O", "B-X")}
    opened = open_pretrained(encoder, head=head, label_names=names.get(head, ()))
    return HOLDERS[head](opened.model, opened.tokenizer)


def test_all_holders_share_one_way():
    for holder in (*HOLDERS.values(), NeuralLanguageModel, SentenceEncoder, Translator):
        assert issubclass(holder, ModelWithTokenizer)
        assert holder.push_to_hub is ModelWithTokenizer.push_to_hub
        assert holder.save_pretrained is ModelWithTokenizer.save_pretrained or holder is Translator


@pytest.mark.parametrize("head", HOLDERS)
def test_a_save_that_was_cut_short_leaves_no_model(encoder, head, tmp_path, monkeypatch):
    model = held(encoder, head)

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("nlpladder.models.pretrained.adapter_files.save_model", die)
        with pytest.raises(KeyboardInterrupt):
            model.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="no saved model"):
        nlpladder.load(tmp_path / "model")
    model.save_pretrained(tmp_path / "model")
    assert type(nlpladder.load(tmp_path / "model")) is HOLDERS[head]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("gradients", [True, False])
def test_the_mode_comes_back_whatever_happens_and_gradients_are_left_where_they_are_wanted(training, gradients):
    layer = torch.nn.Linear(2, 2).train(training)
    with pytest.raises(KeyError), evaluating(layer, gradients=gradients):
        assert not layer.training
        assert layer(torch.ones(2)).requires_grad is gradients
        raise KeyError
    assert layer.training is training
    assert torch.is_grad_enabled()


def test_tied_parameters_count_once(encoder):
    model = held(encoder, "masked")
    inside = {id(one): one.numel() for one in model.model.parameters()}
    assert model.num_parameters() == sum(inside.values())
    embeddings, output = model.model.get_input_embeddings().weight, model.model.get_output_embeddings().weight
    assert embeddings is output
