"""Our own neural classifiers: padding and batching do not matter, a reload is the trained model, hashing is right."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from nlpladder.models import classifiers, transformer
from nlpladder.models.classifiers.bag_of_ngrams import BagOfNgramsConfig, BagOfNgramsForSequenceClassification
from nlpladder.models.classifiers.recurrent import RecurrentClassifierConfig, RecurrentForSequenceClassification
from nlpladder.models.classifiers.text_cnn import TextCNNConfig, TextCNNForSequenceClassification
from nlpladder.models.transformer.classifier import TransformerClassifierConfig, TransformerForSequenceClassification

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_labels": 3}
BUILDERS = {
    "bag_of_ngrams": lambda: BagOfNgramsForSequenceClassification(
        BagOfNgramsConfig(**SMALL, num_buckets=97, max_ngram=3)
    ),
    "text_cnn": lambda: TextCNNForSequenceClassification(TextCNNConfig(**SMALL, num_filters=8)),
    "rnn": lambda: RecurrentForSequenceClassification(RecurrentClassifierConfig(**SMALL, cell="rnn")),
    "gru_one_way": lambda: RecurrentForSequenceClassification(
        RecurrentClassifierConfig(**SMALL, cell="gru", bidirectional=False)
    ),
    "bilstm": lambda: RecurrentForSequenceClassification(RecurrentClassifierConfig(**SMALL, num_layers=2)),
    "transformer": lambda: TransformerForSequenceClassification(
        TransformerClassifierConfig(**SMALL, num_attention_heads=4, intermediate_size=32)
    ),
    "transformer_post_norm": lambda: TransformerForSequenceClassification(
        TransformerClassifierConfig(**SMALL, num_attention_heads=4, intermediate_size=32, pre_norm=False)
    ),
}


def build(name):
    torch.manual_seed(0)
    return BUILDERS[name]().eval()


def batch():
    torch.manual_seed(1)
    ids = torch.randint(1, 40, (4, 9))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0  # padded on the right
    mask[2, :3] = 0  # padded on the left
    mask[3, 1:] = 0  # one token
    return ids * mask, mask


@pytest.mark.parametrize("name", BUILDERS)
def test_a_batch_answers_as_its_texts_one_by_one(name):
    model, (ids, mask) = build(name), batch()
    with torch.no_grad():
        together = model(ids, mask).logits
        for row in range(4):
            alone = model(ids[row][mask[row].bool()].unsqueeze(0)).logits
            torch.testing.assert_close(together[row : row + 1], alone, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_mask_follows_from_the_pad_id_and_an_empty_text_is_answered(name):
    model, (ids, mask) = build(name), batch()
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, model(ids, mask).logits)
        assert torch.isfinite(model(torch.zeros(1, 4, dtype=torch.long)).logits).all()


@pytest.mark.parametrize("name", BUILDERS)
def test_the_auto_class_reloads_it_bit_for_bit(name, tmp_path):
    classifiers.register()
    transformer.register()
    model, (ids, mask) = build(name), batch()
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert type(reloaded) is type(model)
    with torch.no_grad():
        assert torch.equal(reloaded(ids, mask).logits, model(ids, mask).logits)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_parameter_gets_a_gradient(name):
    model, (ids, mask) = build(name).train(), batch()
    model(ids, mask, labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    silent = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert silent == []


def test_the_bilstm_equals_torchs_packed_bidirectional_lstm():
    model, (ids, mask) = build("bilstm"), batch()
    ids, mask = ids[:2], mask[:2]
    reference = torch.nn.LSTM(100, 16, num_layers=2, bidirectional=True, batch_first=True).eval()
    with torch.no_grad():
        for layer in range(2):
            for suffix, own in (("", model.forward_layers[layer]), ("_reverse", model.backward_layers[layer])):
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(reference, f"{kind}_l{layer}{suffix}").copy_(getattr(own, f"{kind}_l0"))
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            model.embeddings(ids), mask.sum(1), batch_first=True, enforce_sorted=False
        )
        states, _ = torch.nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
        pooled, weights = model.pooling(states, mask)
        expected = model.classifier(pooled)
        output = model(ids, mask)
    torch.testing.assert_close(output.logits, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(output.attentions[0], weights, atol=1e-6, rtol=1e-5)


def test_attention_weights_stand_where_the_callers_tokens_are():
    model, (ids, mask) = build("bilstm"), batch()
    with torch.no_grad():
        weights = model(ids, mask).attentions[0]
    assert (weights[mask == 0] == 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(4))


def test_bag_of_ngrams_is_the_mean_over_words_and_ngrams_written_out():
    model = build("bag_of_ngrams")
    ids = [5, 9, 5, 30]
    rows = list(ids)
    for order in (2, 3):
        for start in range(len(ids) - order + 1):
            value = ids[start]
            for token in ids[start + 1 : start + order]:
                value = (value * 116_049_371 + token) % (2**31 - 1)
            rows.append(40 + value % 97)
    with torch.no_grad():
        expected = model.classifier(model.embeddings.weight[rows].mean(0))
        torch.testing.assert_close(model(torch.tensor([ids])).logits[0], expected, atol=1e-6, rtol=1e-5)


def test_order_matters_to_sequence_models_and_not_to_a_bag_of_words():
    ids = torch.tensor([[3, 7, 11, 20]])
    bag = BagOfNgramsForSequenceClassification(BagOfNgramsConfig(**SMALL, max_ngram=1)).eval()
    with torch.no_grad():
        torch.testing.assert_close(bag(ids).logits, bag(ids.flip(1)).logits)
        for name in ("bag_of_ngrams", "text_cnn", "bilstm", "transformer"):
            model = build(name)
            assert not torch.allclose(model(ids).logits, model(ids.flip(1)).logits), name


def test_trap_hf_init_the_forget_gate_bias_is_one_and_survives_loading(tmp_path):
    """post_init re-initialises every nn.LSTM with all biases zero unless the model says otherwise."""
    model = build("bilstm")
    bias = model.forward_layers[0].bias_ih_l0
    assert (bias[16:32] == 1).all()
    assert (bias[:16] == 0).all()
    model.save_pretrained(tmp_path)
    assert torch.equal(RecurrentForSequenceClassification.from_pretrained(tmp_path).forward_layers[0].bias_ih_l0, bias)
