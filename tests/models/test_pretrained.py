"""LoRA targets, fresh layers, adapters and merging, on random tiny encoders built in memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers

import nlpladder
from helpers import tiny_bert_folder, word_tokenizer
from nlpladder.errors import CheckFailedError, DataError, ModelError
from nlpladder.models.pretrained.loading import build_encoder_classifier
from nlpladder.models.pretrained.lora import add_lora, fresh_modules, lora_targets
from nlpladder.models.pretrained.merging import merge_adapter
from nlpladder.models.sequence_classifier import SequenceClassifier, usable_length

TEXTS = ["the film was good", "bad", "so so dull and boring", ""]
SMALL = {"vocab_size": 30, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_labels": 2}
FAMILIES = {
    "albert": ("Albert", {**SMALL, "num_hidden_layers": 2, "embedding_size": 16}),
    "bert": ("Bert", {**SMALL, "num_hidden_layers": 2}),
    "deberta-v2": ("DebertaV2", {**SMALL, "num_hidden_layers": 2}),
    "distilbert": (
        "DistilBert",
        {"vocab_size": 30, "dim": 32, "n_heads": 2, "hidden_dim": 64, "n_layers": 2, "num_labels": 2},
    ),
    "electra": ("Electra", {**SMALL, "num_hidden_layers": 2, "embedding_size": 16}),
    "modernbert": ("ModernBert", {**SMALL, "num_hidden_layers": 2, "pad_token_id": 0}),
    "mpnet": ("MPNet", {**SMALL, "num_hidden_layers": 2}),
    "roberta": ("Roberta", {**SMALL, "num_hidden_layers": 2}),
    "xlnet": ("XLNet", {"vocab_size": 30, "d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "num_labels": 2}),
}


def build_family(name):
    prefix, settings = FAMILIES[name]
    config = getattr(transformers, f"{prefix}Config")(**settings)
    torch.manual_seed(0)
    return getattr(transformers, f"{prefix}ForSequenceClassification")(config)


@pytest.mark.parametrize("name", FAMILIES)
def test_trap_peft_has_no_targets_for_every_family_ours_have(name):
    model = build_family(name)
    assert model.config.model_type == name
    adapted = add_lora(model, rank=2, alpha=4, dropout=0.0)
    trained = [key for key, parameter in adapted.named_parameters() if parameter.requires_grad and "lora_" in key]
    assert len(trained) >= 2 * 2, "two matrices in each of two layers at least"
    output = adapted(input_ids=torch.randint(1, 30, (2, 5)), attention_mask=torch.ones(2, 5, dtype=torch.long))
    assert output.logits.shape == (2, 2)


def test_an_unknown_family_is_searched_for_attention_projections_or_refused():
    model = build_family("bert")
    model.config.model_type = "unheard_of"
    assert lora_targets(model) == ["key", "query", "value"]

    class Strange(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.config = type("Config", (), {"model_type": "strange"})()
            self.mixer = torch.nn.Linear(2, 2)

    with pytest.raises(ModelError, match="--lora_targets.*mixer"):
        lora_targets(Strange())


def test_fresh_modules_are_the_topmost_ones_that_a_checkpoint_lacks():
    model = build_family("deberta-v2")
    missing = ["pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias"]
    assert fresh_modules(model, missing) == ["classifier", "pooler"]
    assert fresh_modules(model, ["deberta.encoder.layer.0.output.dense.weight"]) == [
        "deberta.encoder.layer.0.output.dense"
    ]


@pytest.fixture
def encoder(tmp_path):
    return tiny_bert_folder(tmp_path / "encoder")


def adapted_classifier(encoder, base_name):
    model, tokenizer, missing = build_encoder_classifier(
        str(encoder), label_names=["negative", "positive"], task="single_label"
    )
    model = add_lora(model, rank=4, alpha=8, dropout=0.0, fresh=fresh_modules(model, missing), base_name=base_name)
    with torch.no_grad():  # as if trained: every trainable weight, the fresh ones too, moves away from its start
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return SequenceClassifier(model, tokenizer)


def test_trap_peft_forgets_fresh_layers_the_pooler_is_saved_with_the_adapter(encoder, tmp_path):
    """The checkpoint of a masked language model has no pooler; peft alone would neither train nor save it."""
    _, _, missing = build_encoder_classifier(str(encoder), label_names=["a", "b"], task="single_label")
    assert any("pooler" in key for key in missing)
    classifier = adapted_classifier(encoder, str(encoder))
    assert any("pooler" in key for key, parameter in classifier.model.named_parameters() if parameter.requires_grad)
    classifier.save_pretrained(tmp_path / "adapter")
    reloaded = nlpladder.load(tmp_path / "adapter")
    assert reloaded.label_names == ("negative", "positive")
    assert reloaded.task == "single_label"
    assert np.array_equal(reloaded.predict_logits(TEXTS), classifier.predict_logits(TEXTS))


def test_an_adapter_finds_its_base_beside_it_and_says_so_when_it_is_gone(encoder, tmp_path):
    classifier = adapted_classifier(encoder, "./../encoder")
    classifier.save_pretrained(tmp_path / "adapter")
    expected = classifier.predict_logits(TEXTS)
    written = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == "./../encoder"
    assert np.array_equal(nlpladder.load(tmp_path / "adapter").predict_logits(TEXTS), expected)
    encoder.rename(tmp_path / "moved")
    with pytest.raises(ModelError, match="base_model="):
        nlpladder.load(tmp_path / "adapter")
    moved = nlpladder.load(tmp_path / "adapter", base_model=str(tmp_path / "moved"))
    assert np.array_equal(moved.predict_logits(TEXTS), expected)


def test_merging_compares_before_it_returns(encoder):
    classifier = adapted_classifier(encoder, str(encoder))
    expected = classifier.predict_logits(TEXTS)
    merged, difference = merge_adapter(classifier)
    assert difference < 1e-5
    assert not hasattr(merged.model, "peft_config")
    np.testing.assert_allclose(merged.predict_logits(TEXTS), expected, atol=1e-5)
    with pytest.raises(ModelError, match="no adapter"):
        merge_adapter(merged)


def test_a_merge_that_changes_the_answers_is_refused(encoder):
    classifier = adapted_classifier(encoder, str(encoder))
    with pytest.raises(CheckFailedError, match="Nothing was written"):
        merge_adapter(classifier, tolerance=-1.0)


def test_regression_and_multi_label_heads_are_set_up(encoder):
    model, tokenizer, _ = build_encoder_classifier(str(encoder), label_names=[], task="regression")
    classifier = SequenceClassifier(model, tokenizer)
    assert classifier.task == "regression"
    assert classifier.predict_proba(TEXTS).shape == (4, 1)
    model, tokenizer, _ = build_encoder_classifier(str(encoder), label_names=["a", "b", "c"], task="multi_label")
    probabilities = SequenceClassifier(model, tokenizer).predict_proba(TEXTS)
    assert probabilities.shape == (4, 3)
    assert (probabilities > 0).all()


def test_an_unknown_setting_or_model_is_explained(encoder):
    with pytest.raises(ModelError, match="Did you mean 'classifier_dropout'"):
        build_encoder_classifier(str(encoder), label_names=["a", "b"], task="single_label", clasifier_dropout=0.1)
    with pytest.raises(ModelError, match="hf download no-one/no-model"):
        build_encoder_classifier("no-one/no-model", label_names=["a", "b"], task="single_label")
    with pytest.raises(ModelError, match="Did you mean"):
        build_encoder_classifier(str(encoder) + "s", label_names=["a", "b"], task="single_label")


def test_pickled_weights_are_refused(encoder):
    from safetensors.torch import load_file

    torch.save(load_file(encoder / "model.safetensors"), encoder / "pytorch_model.bin")
    (encoder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors"):
        build_encoder_classifier(str(encoder), label_names=["a", "b"], task="single_label")


def test_texts_are_answered_in_their_order_whatever_the_batches():
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = word_tokenizer()
    model = BertForSequenceClassification(
        BertConfig(**{**SMALL, "vocab_size": len(tokenizer)}, num_hidden_layers=1, max_position_embeddings=64)
    )
    texts = ["good " * count for count in (7, 1, 30, 0, 4, 100)]
    whole = SequenceClassifier(model, tokenizer).predict_logits(texts)
    small = SequenceClassifier(model, tokenizer, tokens_per_batch=8).predict_logits(texts)
    np.testing.assert_allclose(small, whole, atol=1e-6)
    assert SequenceClassifier(model, tokenizer).predict_logits([]).shape == (0, 2)
    with pytest.raises(DataError, match=r"write \[text\]"):
        SequenceClassifier(model, tokenizer).predict_logits("good")


def test_robertas_positions_leave_two_rows_unused():
    model = build_family("roberta")
    tokenizer = word_tokenizer()
    tokenizer.model_max_length = 10**9
    assert usable_length(model, tokenizer, None) == model.config.max_position_embeddings - 2
    assert usable_length(model, tokenizer, 16) == 16
