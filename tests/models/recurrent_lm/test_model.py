"""The recurrent language model: it learns, it carries its state, padding does not matter, a reload is the model."""

from __future__ import annotations

import re

import pytest
import torch
from huggingface_hub.errors import StrictDataclassFieldValidationError
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM

from nlpladder.errors import ConfigError, ModelError
from nlpladder.models import recurrent_lm
from nlpladder.models.recurrent_lm.cache import RecurrentCache
from nlpladder.models.recurrent_lm.config import RecurrentLMConfig
from nlpladder.models.recurrent_lm.model import RecurrentForCausalLM

CELLS = ("rnn", "gru", "lstm")
SMALL = {"vocab_size": 30, "embedding_size": 12, "hidden_size": 12}
SHAPES = {
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru", "num_hidden_layers": 3},
    "lstm": {},
    "lstm projected": {"hidden_size": 20},
    "lstm untied": {"tie_word_embeddings": False, "hidden_size": 20, "output_bias": False},
    "lstm normalised": {"layer_norm": True},
    "gru normalised": {"cell": "gru", "layer_norm": True, "hidden_size": 16},
    "awd": {
        "hidden_size": 20,
        "weight_dropout": 0.5,
        "locked_dropout": True,
        "embedding_dropout": 0.1,
        "initial_embedding_range": 0.1,
    },
}
every_shape = pytest.mark.parametrize("shape", SHAPES)


def build(shape="lstm", **options):
    torch.manual_seed(0)
    return RecurrentForCausalLM(RecurrentLMConfig(**{**SMALL, **SHAPES[shape], **options})).eval()


def tokens(rows=3, length=9, seed=1):
    return torch.randint(5, 30, (rows, length), generator=torch.Generator().manual_seed(seed))


def padded(side):
    """Four texts of 9, 6, 2 and 0 tokens, padded on one side or with holes."""
    ids = tokens(4)
    mask = torch.ones_like(ids)
    for row, length in enumerate((9, 6, 2, 0)):
        absent = {"left": slice(0, 9 - length), "right": slice(length, None), "holes": slice(1, 10 - length)}[side]
        mask[row, absent] = 0
    return ids * mask, mask


@every_shape
@torch.no_grad()
def test_with_a_cache_token_by_token_equals_without(shape):
    model, ids = build(shape), tokens()
    expected = model(ids, use_cache=False)
    assert expected.past_key_values is None
    cache, logits = None, []
    for position in range(ids.shape[1]):
        output = model(ids[:, position : position + 1], past_key_values=cache)
        cache = output.past_key_values
        logits.append(output.logits)
    torch.testing.assert_close(torch.cat(logits, dim=1), expected.logits, atol=2e-6, rtol=1e-5)
    assert cache.get_seq_length() == ids.shape[1]


@every_shape
@torch.no_grad()
def test_a_carried_state_equals_one_long_forward(shape):
    model, ids = build(shape), tokens()
    first = model(ids[:, :4])
    kept = [part.clone() for state in first.past_key_values.states for part in state]
    second = model(ids[:, 4:], past_key_values=first.past_key_values)
    together = torch.cat([first.logits, second.logits], dim=1)
    torch.testing.assert_close(together, model(ids).logits, atol=2e-6, rtol=1e-5)
    now = [part for state in first.past_key_values.states for part in state]
    assert all(torch.equal(before, after) for before, after in zip(kept, now, strict=True)), "the cache was changed"


@every_shape
@pytest.mark.parametrize("side", ["left", "right", "holes"])
@torch.no_grad()
def test_trap_a9_padding_on_any_side_gives_each_text_its_own_logits_and_state(shape, side):
    model, (ids, mask) = build(shape), padded(side)
    together = model(ids, attention_mask=mask)
    stateless = model(ids, attention_mask=mask, use_cache=False).logits
    for row in range(4):
        present = mask[row].bool()
        alone = model(ids[row][present].unsqueeze(0)) if present.any() else None
        states = [part[row : row + 1] for state in together.past_key_values.states for part in state]
        if alone is None:
            assert all(bool((part == 0).all()) for part in states), "an empty text leaves the first state as it was"
            continue
        for logits in (together.logits, stateless):
            torch.testing.assert_close(logits[row][present], alone.logits[0], atol=2e-6, rtol=1e-5)
        expected = [part for state in alone.past_key_values.states for part in state]
        for part, one in zip(states, expected, strict=True):
            torch.testing.assert_close(part, one, atol=2e-6, rtol=1e-5)


@every_shape
@torch.no_grad()
def test_the_order_of_a_batch_does_not_matter(shape):
    model, (ids, mask) = build(shape), padded("right")
    order = torch.tensor([2, 0, 3, 1])
    expected = model(ids, attention_mask=mask).logits[order]
    torch.testing.assert_close(model(ids[order], attention_mask=mask[order]).logits, expected, atol=1e-6, rtol=1e-5)


@every_shape
def test_reloaded_through_the_auto_classes_bit_for_bit(shape, tmp_path):
    recurrent_lm.register()
    model, ids = build(shape), tokens()
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert type(reloaded) is RecurrentForCausalLM
    assert type(AutoConfig.from_pretrained(tmp_path)) is RecurrentLMConfig
    for ours, theirs in zip(model.state_dict().items(), reloaded.state_dict().items(), strict=True):
        assert ours[0] == theirs[0]
        assert torch.equal(ours[1], theirs[1])
    with torch.no_grad():
        assert torch.equal(model(ids).logits, reloaded(ids).logits)


def test_trap_a3_tied_weights_are_tied_and_stay_tied_after_a_reload_and_a_step(tmp_path):
    model = build("lstm projected")
    assert model.lm_head.weight is model.embeddings.weight
    model.save_pretrained(tmp_path)
    reloaded = RecurrentForCausalLM.from_pretrained(tmp_path).train()
    assert reloaded.lm_head.weight is reloaded.embeddings.weight
    optimizer = torch.optim.SGD(reloaded.parameters(), lr=0.1)
    reloaded(tokens(), targets=tokens(seed=2)).loss.backward()
    optimizer.step()
    assert torch.equal(reloaded.lm_head.weight, reloaded.embeddings.weight)
    untied = build("lstm untied")
    assert untied.lm_head.weight.shape == (30, 20)
    assert untied.embeddings.weight.shape == (30, 12)


def test_trap_a2_the_weights_are_ours_after_construction_and_not_those_of_transformers():
    model = build("lstm", embedding_size=64, hidden_size=64, vocab_size=400)
    layer = model.layers[0]
    assert (layer.bias_ih_l0 + layer.bias_hh_l0)[64:128].tolist() == [1.0] * 64
    assert model.embeddings.weight.std().item() == pytest.approx(64**-0.5, rel=0.05)
    for gate in layer.weight_hh_l0.split(64):
        torch.testing.assert_close(gate @ gate.T, torch.eye(64), atol=1e-5, rtol=0)
    assert layer.weight_ih_l0.abs().max().item() == pytest.approx((6 / (64 + 256)) ** 0.5, rel=0.02)
    assert build("awd").embeddings.weight.abs().max().item() <= 0.1
    gru = build("gru").layers[1].weight_hh_l0[:12]
    torch.testing.assert_close(gru @ gru.T, torch.eye(12), atol=1e-5, rtol=0)


def test_trap_a10_the_class_name_keeps_generate_from_special_caches():
    name = RecurrentForCausalLM.__name__.lower()
    assert not any(word in name for word in ("rwkv", "xlstm", "reformer", "xlnet", "minimax", "mamba"))
    assert not RecurrentForCausalLM._supports_default_dynamic_cache()


@every_shape
def test_targets_give_the_summed_loss_and_its_gradient_without_logits(shape):
    model, ids, targets = build(shape), tokens(), tokens(seed=2).clone()
    targets[0, :4] = -100
    output = model(ids, targets=targets)
    assert output.logits is None
    assert output.loss.dtype == torch.float32
    output.loss.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    expected = F.cross_entropy(model(ids).logits.flatten(0, 1), targets.flatten(), reduction="sum")
    expected.backward()
    torch.testing.assert_close(output.loss, expected)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, atol=1e-5, rtol=1e-4)


def test_labels_are_shifted_inside_and_their_loss_is_exact_under_accumulation():
    model, ids = build(), tokens()
    labels = ids.clone()
    labels[1, 3:] = -100
    output = model(ids, labels=labels)
    shifted = F.cross_entropy(output.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    torch.testing.assert_close(output.loss, shifted)
    count = labels[:, 1:].ne(-100).sum()
    parts = [model(ids[row : row + 1], labels=labels[row : row + 1], num_items_in_batch=count).loss for row in range(3)]
    torch.testing.assert_close(sum(parts), shifted)
    total = model(ids[:, :-1], targets=labels[:, 1:]).loss
    torch.testing.assert_close(total / count, shifted)


def test_label_smoothing_and_sampled_softmax_only_in_training():
    model, ids, targets = build(input_dropout=0.0, hidden_dropout=0.0, output_dropout=0.0), tokens(), tokens(seed=2)
    plain = model(ids, targets=targets).loss
    assert torch.equal(model(ids, targets=targets, label_smoothing=0.3).loss, plain)
    assert torch.equal(model(ids, targets=targets, sampled_softmax=5).loss, plain)
    model.train()
    logits = model(ids).logits.flatten(0, 1)
    smoothed = F.cross_entropy(logits, targets.flatten(), reduction="sum", label_smoothing=0.3)
    torch.testing.assert_close(model(ids, targets=targets, label_smoothing=0.3).loss, smoothed)
    sampled = model(ids, targets=targets, sampled_softmax=5).loss
    assert sampled.item() != plain.item()
    sampled.backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in model.parameters())
    with pytest.raises(ModelError, match="whole vocabulary"):
        model(ids, targets=targets, label_smoothing=0.1, sampled_softmax=5)


def test_truncated_back_propagation_stops_at_the_detached_state():
    model, ids = build(), tokens()
    cache = model(ids[:, :4]).past_key_values
    assert cache.states[0][0].requires_grad
    carried = cache.detach()
    assert not any(part.requires_grad for state in carried.states for part in state)
    through = model(ids[:, 4:-1], past_key_values=cache, targets=ids[:, 5:]).loss
    cut = model(ids[:, 4:-1], past_key_values=carried, targets=ids[:, 5:])
    assert torch.equal(through, cut.loss)
    first_only = next(token for token in ids[:, :4].flatten().tolist() if token not in ids[:, 4:])
    cut.loss.backward()
    tied = model.embeddings.weight.grad[first_only].clone()
    model.zero_grad()
    through.backward()
    assert not torch.allclose(model.embeddings.weight.grad[first_only], tied)
    assert cut.past_key_values.get_seq_length() == ids.shape[1] - 1


@pytest.mark.parametrize("cell", CELLS)
def test_a_periodic_text_is_learnt_to_almost_no_loss_with_the_state_carried(cell):
    """The next letter follows from the one before the last only: a unigram or bigram model cannot get below 0.4."""
    torch.manual_seed(0)
    config = RecurrentLMConfig(
        vocab_size=8, cell=cell, embedding_size=16, hidden_size=24, num_hidden_layers=1, input_dropout=0.0,
        hidden_dropout=0.0, output_dropout=0.0,
    )  # fmt: skip
    model = RecurrentForCausalLM(config).train()
    stream = torch.tensor([5, 6, 5, 7, 5, 5, 6, 7] * 60).view(4, -1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    state = None
    for step in range(120):
        start = 20 * (step % 5)
        state = None if start == 0 else state
        block = stream[:, start : start + 21]
        output = model(block[:, :-1], targets=block[:, 1:], past_key_values=state)
        optimizer.zero_grad()
        (output.loss / block[:, 1:].numel()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state = output.past_key_values.detach()
    model.eval()
    with torch.no_grad():
        prefix = model(stream[:, :20]).past_key_values
        loss = model(stream[:, 20:-1], targets=stream[:, 21:], past_key_values=prefix).loss / stream[:, 21:].numel()
    assert loss.item() < 0.05
    prompt = stream[:1, :11]
    generated = model.generate(prompt, max_new_tokens=16, do_sample=False, eos_token_id=None)
    assert generated[0].tolist() == stream[0, :27].tolist()


def test_bfloat16_autocast_is_close_to_float32_and_carries_its_state():
    model, ids, targets = build(embedding_size=32, hidden_size=32), tokens(4, 12), tokens(4, 12, seed=2)
    expected = model(ids, targets=targets).loss
    with torch.autocast("cpu", torch.bfloat16):
        first = model(ids[:, :6], targets=targets[:, :6])
        second = model(ids[:, 6:], targets=targets[:, 6:], past_key_values=first.past_key_values.detach())
    assert first.loss.dtype == torch.float32
    assert (first.loss + second.loss).item() == pytest.approx(expected.item(), rel=0.01)
    with torch.no_grad():
        after = model(ids[:, 6:], past_key_values=first.past_key_values)  # a low-precision state, read on in float32
    assert bool(after.logits.isfinite().all())


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("hidden", [12, 20])
def test_gate_activations_are_those_of_the_forward_pass(cell, hidden):
    model, ids = build("lstm", cell=cell, hidden_size=hidden), tokens(1)
    gates = model.gate_activations(ids[0])
    states = model(ids, output_hidden_states=True).hidden_states
    assert len(states) == 3
    assert gates["hidden"].shape == (2, 9, hidden)
    for layer, width in enumerate((hidden, 12)):
        torch.testing.assert_close(gates["hidden"][layer, :, :width], states[layer + 1][0], atol=1e-6, rtol=0)
        assert bool(gates["hidden"][layer, :, width:].isnan().all())
    if cell == "lstm":
        assert set(gates) == {"input", "forget", "candidate", "output", "cell", "hidden"}
    model.train()
    assert torch.equal(model.gate_activations(ids)["hidden"].nan_to_num(), gates["hidden"].nan_to_num())
    with pytest.raises(ModelError, match="batch of 3"):
        model.gate_activations(tokens())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": "large"}, "'hidden_size' expected int, got str"),
        ({"layer_norm": 3}, "'layer_norm' expected bool"),
        ({"cell": "lsmt"}, "'cell' expected one of"),
        ({"hiden_size": 3}, "no field 'hiden_size'. Did you mean 'hidden_size'?"),
        ({"num_layers": 3}, "no field 'num_layers'. Did you mean 'num_hidden_layers'?"),
        ({"max_length": 3}, "no field 'max_length'"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; it must be at least 1"),
        ({"weight_dropout": 1.0}, "weight_dropout is 1.0; a dropout rate"),
    ],
)
def test_trap_a1_misspelt_and_wrongly_typed_options_are_refused(options, message):
    """Plain @strict checks nothing under `from __future__ import annotations`, and takes any name."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        RecurrentLMConfig(**options)


def test_a_config_survives_its_file_and_a_change_after_it(tmp_path):
    config = RecurrentLMConfig(**SMALL, cell="gru", weight_dropout=0.5, id2label={0: "a", 1: "b"})
    config.save_pretrained(tmp_path)
    reloaded = RecurrentLMConfig.from_pretrained(tmp_path, output_attentions=False)
    assert reloaded.to_diff_dict() == config.to_diff_dict()
    with pytest.raises(StrictDataclassFieldValidationError):
        reloaded.hidden_size = "large"


def test_a_state_that_does_not_fit_and_an_empty_text_are_refused():
    model = build()
    state = model(tokens()).past_key_values
    with pytest.raises(ModelError, match="batch of 3 texts, the input has 2"):
        model(tokens(2), past_key_values=state)
    with pytest.raises(ModelError, match="2 layers returned; got RecurrentCache of 1 layers"):
        model(tokens(), past_key_values=RecurrentCache(state.states[:1]))
    with pytest.raises(ModelError, match="no token to read"):
        model(tokens()[:, :0])
    with pytest.raises(ModelError, match="got list"):
        model(tokens(), past_key_values=[1])


def test_trap_a6_the_cache_has_the_batch_first_and_is_reordered_repeated_and_selected():
    model = build("lstm", num_hidden_layers=3)
    cache = model(tokens(3)).past_key_values  # as many rows as layers, where a layer-first state would be wrong unseen
    assert all(part.shape == (3, 12) for state in cache.states for part in state)
    assert (len(cache), cache.batch_size, cache.is_compileable) == (3, 3, False)
    before = [part.clone() for state in cache.states for part in state]
    indices = torch.tensor([2, 0, 0])
    cache.reorder_cache(indices)
    for part, old in zip((part for state in cache.states for part in state), before, strict=True):
        assert torch.equal(part, old[indices])
    cache.batch_repeat_interleave(2)
    assert cache.batch_size == 6
    cache.batch_select_indices(torch.tensor([0, 2]))
    for part, old in zip((part for state in cache.states for part in state), before, strict=True):
        assert torch.equal(part, old[[2, 0]])
    again = RecurrentCache.from_state_dict(cache.state_dict())
    assert again.get_seq_length() == cache.get_seq_length() == 9
    for ours, theirs in zip(again.states, cache.states, strict=True):
        assert all(torch.equal(left, right) for left, right in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("shape", ["lstm projected", "lstm untied"])
def test_a_larger_vocabulary_keeps_what_was_learnt(shape):
    model, ids = build(shape), tokens()
    with torch.no_grad():
        before = model(ids).logits
        model.resize_token_embeddings(34, mean_resizing=False)
        after = model(ids).logits
    assert after.shape[-1] == model.config.vocab_size == 34
    assert torch.equal(after[..., :30], before)
    assert (model.lm_head.weight is model.embeddings.weight) is (shape == "lstm projected")


def test_dropout_is_drawn_in_training_only_and_hits_every_place():
    ids = tokens()
    for name in ("embedding", "input", "hidden", "output", "weight"):
        model = build(input_dropout=0.0, hidden_dropout=0.0, output_dropout=0.0)
        plain = model(ids).logits
        noisy = build(**{"input_dropout": 0.0, "hidden_dropout": 0.0, "output_dropout": 0.0, f"{name}_dropout": 0.5})
        noisy.load_state_dict(model.state_dict())
        assert torch.equal(noisy(ids).logits, plain)
        noisy.train()
        assert not torch.allclose(noisy(ids).logits, plain), name
