"""Transformers of ours: cache, padding, order and path do not change the answer; a reload is the model."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from nlpladder.errors import ConfigError, ModelError
from nlpladder.models import transformer
from nlpladder.models.transformer.causal_lm import TransformerForCausalLM
from nlpladder.models.transformer.classifier import TransformerForSequenceClassification
from nlpladder.models.transformer.config import (
    TransformerCausalLMConfig,
    TransformerClassifierConfig,
    TransformerEncoderDecoderConfig,
)
from nlpladder.models.transformer.encoder_decoder import CrossAttentionCache, TransformerForConditionalGeneration
from nlpladder.nn.positions import sinusoidal_encoding

SMALL = {
    "vocab_size": 23,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
VARIANTS = {
    "sinusoidal": {"positions": "sinusoidal"},
    "post_norm": {"positions": "sinusoidal_halves", "pre_norm": False},
    "learned": {"positions": "learned", "activation": "gelu_tanh"},
    "llama": {"positions": "rotary", "norm": "rms", "activation": "swiglu", "num_key_value_heads": 2, "qk_norm": True},
    "alibi": {"positions": "alibi", "attention_bias": False, "activation": "relu_squared"},
    "none": {"positions": "none"},
}


def spread(model):
    """Give a fresh model weights that make its logits differ; what starts at zero hides mistakes."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def causal(variant="sinusoidal", **settings):
    torch.manual_seed(0)
    return spread(TransformerForCausalLM(TransformerCausalLMConfig(**{**SMALL, **VARIANTS[variant], **settings})))


def seq2seq(variant="sinusoidal", **settings):
    torch.manual_seed(0)
    config = TransformerEncoderDecoderConfig(**{**SMALL, **VARIANTS[variant], **settings})
    return spread(TransformerForConditionalGeneration(config))


def ids(batch, tokens, seed=0):
    return torch.randint(5, 23, (batch, tokens), generator=torch.Generator().manual_seed(seed))


def close(first, second):
    torch.testing.assert_close(first, second, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_cache_equals_no_cache_token_by_token(variant):
    model, tokens = causal(variant), ids(2, 7)
    whole, cache, steps = model(tokens, use_cache=False).logits, None, []
    for start, stop in ((0, 1), (1, 2), (2, 5), (5, 6), (6, 7)):  # chunks of more than one token too
        output = model(tokens[:, start:stop], past_key_values=cache)
        cache = output.past_key_values
        steps.append(output.logits)
    close(torch.cat(steps, 1), whole)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_the_decoder_s_cache_equals_no_cache(variant):
    model, source, target = seq2seq(variant, num_decoder_layers=3), ids(2, 6), ids(2, 5, 1)
    whole = model(source, decoder_input_ids=target, use_cache=False).logits
    encoded, cache, steps = model.encoder(source), None, []
    for step in range(5):
        output = model(encoder_outputs=encoded, decoder_input_ids=target[:, step : step + 1], past_key_values=cache)
        cache = output.past_key_values
        steps.append(output.logits)
    close(torch.cat(steps, 1), whole)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_a_padded_batch_answers_as_its_texts_one_by_one(variant, side):
    model, translator = causal(variant), seq2seq(variant)
    texts = [ids(1, length, length) for length in (6, 2, 4)]
    pad = [(6 - text.shape[1], 0) if side == "left" else (0, 6 - text.shape[1]) for text in texts]
    batch = torch.cat([F.pad(text, amount) for text, amount in zip(texts, pad, strict=True)])
    mask = batch.ne(0).long()
    target = ids(3, 4, 9)
    together, translated = model(batch, mask).logits, translator(batch, mask, decoder_input_ids=target).logits
    for row, text in enumerate(texts):
        close(together[row][mask[row].bool()], model(text).logits[0])
        close(translated[row], translator(text, decoder_input_ids=target[row : row + 1]).logits[0])
    order = torch.tensor([2, 0, 1])
    close(translator(batch[order], mask[order], decoder_input_ids=target[order]).logits, translated[order])
    # The target's own padding, on either side.
    padded = translator(texts[0].expand(3, -1), decoder_input_ids=batch, decoder_attention_mask=mask).logits
    for row, text in enumerate(texts):
        close(padded[row][mask[row].bool()], translator(texts[0], decoder_input_ids=text).logits[0])


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_a_packed_row_has_the_losses_of_its_separate_rows(variant):
    """Trap Training 11: naive packing lets documents attend to each other."""
    model, translator = causal(variant), seq2seq(variant)
    first, second = ids(1, 4), ids(1, 3, 1)
    packed, documents = torch.cat([first, second], 1), torch.tensor([[0, 0, 0, 0, 1, 1, 1]])
    separate = torch.cat([model(first).logits, model(second).logits], 1)
    close(model(packed, document_ids=documents).logits, separate)
    targets = packed.roll(-1, 1)
    apart = model(first, targets=targets[:, :4]).loss + model(second, targets=targets[:, 4:]).loss
    close(model(packed, document_ids=documents, targets=targets).loss, apart)
    sources = torch.cat([ids(1, 2, 5), ids(1, 5, 6)], 1)
    together = translator(
        sources,
        decoder_input_ids=packed,
        document_ids=torch.tensor([[0, 0, 1, 1, 1, 1, 1]]),
        decoder_document_ids=documents,
    ).logits
    close(together[:, :4], translator(sources[:, :2], decoder_input_ids=first).logits)
    close(together[:, 4:], translator(sources[:, 2:], decoder_input_ids=second).logits)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_asking_for_weights_changes_no_logit_and_the_weights_have_their_shapes(variant):
    model, source, target = seq2seq(variant, num_decoder_layers=3), ids(2, 6), ids(2, 5, 1)
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    plain = model(source, mask, decoder_input_ids=target)
    told = model(source, mask, decoder_input_ids=target, output_attentions=True, output_hidden_states=True)
    torch.testing.assert_close(plain.logits, told.logits, atol=1e-5, rtol=1e-5)
    assert [tuple(weights.shape) for weights in told.encoder_attentions] == [(2, 4, 6, 6)] * 2
    assert [tuple(weights.shape) for weights in told.decoder_attentions] == [(2, 4, 5, 5)] * 3
    assert [tuple(weights.shape) for weights in told.cross_attentions] == [(2, 4, 5, 6)] * 3
    assert len(told.decoder_hidden_states) == 4
    for weights in (*told.encoder_attentions, *told.decoder_attentions, *told.cross_attentions):
        close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    assert all((weights.triu(1) == 0).all() for weights in told.decoder_attentions), "the future is hidden"
    assert all((weights[1, ..., 4:] == 0).all() for weights in told.cross_attentions), "padding is hidden"


def test_targets_give_the_summed_loss_of_the_logits_and_smoothing_is_for_training_only():
    model, source, target = seq2seq(dropout=0.0), ids(3, 6), ids(3, 5, 1)
    target[1, 3:] = -100
    output = model(source, targets=target)
    assert output.logits is None
    logits = model(source, decoder_input_ids=model.prepare_decoder_input_ids_from_labels(target)).logits
    expected = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")
    close(output.loss, expected)
    close(model(source, targets=target, label_smoothing=0.1).loss, expected)
    model.train()
    smoothed = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum", label_smoothing=0.1)
    close(model(source, targets=target, label_smoothing=0.1).loss, smoothed)
    own = torch.autograd.grad(model(source, targets=target, label_smoothing=0.1).loss, list(model.parameters()))
    logits = model(source, decoder_input_ids=model.prepare_decoder_input_ids_from_labels(target)).logits
    loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum", label_smoothing=0.1)
    for mine, theirs in zip(own, torch.autograd.grad(loss, list(model.parameters())), strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-3, rtol=1e-3)


@torch.no_grad()
def test_trap_the_labels_of_an_encoder_decoder_are_not_shifted_twice():
    """Trap A.5, and exact accumulation: labels give the mean over targets, or the sum over `num_items_in_batch`."""
    model, source, target = seq2seq(), ids(3, 6), ids(3, 5, 1)
    total = model(source, targets=target).loss
    close(model(source, labels=target).loss, total / 15)
    close(model(source, labels=target, num_items_in_batch=60).loss, total / 60)
    language_model = causal()
    labels = language_model(target, targets=F.pad(target, (0, 1), value=-100)[:, 1:]).loss
    close(language_model(target, labels=target).loss, labels / 12)
    assert model(source, decoder_input_ids=target, logits_to_keep=1).logits.shape == (3, 1, 23)


def test_sampled_softmax_is_for_training_only_and_gives_gradients():
    model, tokens = causal(), ids(4, 6)
    exact = model(tokens, targets=tokens).loss
    close(model(tokens, targets=tokens, sampled_softmax=5).loss, exact)
    loss = model.train()(tokens, targets=tokens, sampled_softmax=5).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert model.lm_head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_gets_a_gradient(variant):
    for model, inputs in ((causal(variant), (ids(2, 5),)), (seq2seq(variant), (ids(2, 4),))):
        model.train()(*inputs, targets=ids(2, 5, 2)).loss.backward()
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_gradient_checkpointing_gives_the_same_gradients():
    for build, inputs in ((causal, (ids(2, 5),)), (seq2seq, (ids(2, 4),))):
        gradients = []
        for checkpointing in (False, True):
            model = build(dropout=0.0).train()
            if checkpointing:
                model.activation_checkpointing_enable({"use_reentrant": False})
            model(*inputs, targets=ids(2, 5, 2)).loss.backward()
            gradients.append([parameter.grad for parameter in model.parameters()])
        for plain, again in zip(*gradients, strict=True):
            torch.testing.assert_close(plain, again)


TYINGS = {
    "3-way": ({}, 1),
    "output = target, one vocabulary": ({"tie_encoder_decoder_embeddings": False}, 2),
    "output = target, two vocabularies": ({"decoder_vocab_size": 31}, 2),
    "source = target": ({"tie_word_embeddings": False}, 2),
    "nothing": ({"tie_word_embeddings": False, "tie_encoder_decoder_embeddings": False}, 3),
}


@pytest.mark.parametrize("name", TYINGS)
@torch.no_grad()
def test_trap_tied_weights_stay_tied_after_reload_bit_for_bit(name, tmp_path):
    """Trap A.3: without a table and the config's flag nothing is tied, silently."""
    transformer.register()
    settings, different = TYINGS[name]
    model = seq2seq(**settings, output_bias=True)
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    assert type(reloaded) is TransformerForConditionalGeneration
    for each in (model, reloaded):
        tables = (each.encoder.embeddings.tokens.weight, each.decoder.embeddings.tokens.weight, each.lm_head.weight)
        assert len({table.data_ptr() for table in tables}) == different
    source, target = ids(2, 6), ids(2, 5, 1)
    assert torch.equal(reloaded(source, labels=target).logits, model(source, labels=target).logits)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_trap_a_reload_is_bit_for_bit_with_nothing_left_uninitialised(variant, tmp_path):
    """Trap A.4: buffers that are not saved come back as uninitialised memory. There are none here."""
    transformer.register()
    model = causal(variant)
    assert list(model.buffers()) == []
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert type(reloaded) is TransformerForCausalLM
    assert reloaded.lm_head.weight is reloaded.get_input_embeddings().weight
    assert torch.equal(reloaded(ids(2, 6)).logits, model(ids(2, 6)).logits)


def test_trap_the_default_initialisation_is_not_used():
    """Trap A.2: transformers' N(0, .02) does not learn in a small model; ours is the config's."""
    config = TransformerEncoderDecoderConfig(**{**SMALL, "hidden_size": 64, "vocab_size": 500})
    model = TransformerForConditionalGeneration(config)
    assert model.encoder.embeddings.tokens.weight[1:].std().item() == pytest.approx(64**-0.5, rel=0.05)
    assert model.encoder.embeddings.tokens.weight[0].abs().sum() == 0
    layer = model.encoder.stack.layers[0]
    assert layer.self_attention.query.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 128), rel=0.02)
    small = TransformerForCausalLM(TransformerCausalLMConfig(**{**SMALL, "hidden_size": 64}))
    writer = small.decoder.stack.layers[0].feed_forward.output.weight
    assert writer.std().item() == pytest.approx(0.02 / 2, rel=0.1)
    assert small.decoder.stack.layers[0].self_attention.query.weight.std().item() == pytest.approx(0.02, rel=0.1)


@torch.no_grad()
def test_zero_initialised_residual_writers_make_a_fresh_stack_the_identity():
    config = TransformerCausalLMConfig(**SMALL, residual_initialization="zero", positions="none", final_norm=False)
    model = TransformerForCausalLM(config).eval()
    tokens = ids(2, 5)
    states = model(tokens, output_hidden_states=True).hidden_states
    assert torch.equal(states[-1], model.get_input_embeddings()(tokens))


@torch.no_grad()
def test_the_first_layer_s_input_is_section_3_4_and_3_5():
    model, tokens = seq2seq(), ids(2, 5)
    states = model.encoder(tokens, output_hidden_states=True).hidden_states[0]
    expected = model.get_input_embeddings().weight[tokens] * 4.0 + sinusoidal_encoding(torch.arange(5), 16)
    close(states, expected)


def test_a_config_refuses_what_it_does_not_know_or_what_does_not_fit():
    """Trap A.1: without a check, misspelt keys are kept and change nothing."""
    with pytest.raises(ConfigError, match="no field 'hiden_size'. Did you mean 'hidden_size'"):
        TransformerCausalLMConfig(hiden_size=3)
    with pytest.raises(ConfigError, match="not divisible by num_attention_heads"):
        TransformerCausalLMConfig(hidden_size=30, num_attention_heads=4)
    with pytest.raises(ConfigError, match="num_key_value_heads"):
        TransformerCausalLMConfig(num_key_value_heads=3)
    with pytest.raises(ConfigError, match="max_position_embeddings"):
        TransformerCausalLMConfig(positions="learned")
    with pytest.raises(ConfigError, match="one vocabulary"):
        TransformerEncoderDecoderConfig(decoder_vocab_size=9, tie_encoder_decoder_embeddings=True)
    with pytest.raises(ConfigError, match="at least 0 and below 1"):
        TransformerCausalLMConfig(dropout=1.5)


@pytest.mark.parametrize(
    "name, value", [("positions", "sinusoid"), ("activation", "tanh"), ("hidden_size", "128"), ("pre_norm", 3)]
)
@pytest.mark.parametrize("kind", [TransformerCausalLMConfig, TransformerEncoderDecoderConfig])
def test_trap_strict_checks_types_only_where_annotations_are_no_strings(kind, name, value):
    """Trap A.1, and one more: `from __future__ import annotations` switches `strict` off; `strict_config` does not."""
    with pytest.raises(ConfigError, match=name):
        kind(**{name: value})


def test_too_long_a_text_and_a_missing_input_are_told_in_a_sentence():
    with pytest.raises(ModelError, match="has 41 tokens and the model has learnt positions for 40"):
        causal("learned")(ids(1, 41))
    assert causal("alibi")(ids(1, 41)).logits.shape == (1, 41, 23)
    with pytest.raises(ModelError, match="nothing to start from"):
        seq2seq()(ids(1, 3))
    with pytest.raises(ModelError, match="no source"):
        seq2seq()(decoder_input_ids=ids(1, 3))


@torch.no_grad()
def test_a_classifier_with_bert_s_parts_and_any_positions():
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    for positions in ("learned", "rotary", "alibi"):
        config = TransformerClassifierConfig(
            **{**SMALL, "positions": positions},
            pooling="first",
            embedding_norm=True,
            type_vocab_size=2,
            scale_embeddings=False,
            pre_norm=False,
            norm_epsilon=1e-12,
        )
        model = spread(TransformerForSequenceClassification(config))
        tokens = ids(2, 4) * mask
        output = model(tokens, mask, output_attentions=True)
        assert [tuple(weights.shape) for weights in output.attentions] == [(2, 4, 4, 4)] * 2
        close(output.logits[1:], model(tokens[1:, 2:]).logits)
        types = model(tokens, mask, token_type_ids=torch.ones_like(tokens))
        assert not torch.allclose(types.logits, output.logits)


def test_compiling_changes_no_loss():
    model, tokens = causal("llama", dropout=0.0), ids(2, 6)
    compiled = torch.compile(model, backend="eager")
    close(compiled(tokens, targets=tokens).loss, model(tokens, targets=tokens).loss)


def test_the_cross_attention_cache_stays_when_beams_move():
    cache = CrossAttentionCache()
    cache.update(torch.arange(4.0).view(4, 1, 1, 1), torch.zeros(4, 1, 1, 1), 0)
    cache.reorder_cache(torch.tensor([1, 1, 2, 2]))
    assert cache.layers[0].keys.flatten().tolist() == [0.0, 1.0, 2.0, 3.0]
