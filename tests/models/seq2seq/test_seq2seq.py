"""Seq2Seq: what stays equal when only the way of computing changes, and what the traps of the stack would break."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from models.seq2seq.seq2seq_helpers import END, SHAPES, reversal_batch, sources, tiny_model
from nlpladder.errors import ConfigError, ModelError
from nlpladder.models import seq2seq
from nlpladder.models.seq2seq.cells import TimeDropout
from nlpladder.models.seq2seq.config import Seq2SeqConfig
from nlpladder.models.seq2seq.decoder import Decoder
from nlpladder.models.seq2seq.model import Seq2SeqForConditionalGeneration

every_shape = pytest.mark.parametrize(("attention", "cell", "feeding", "layers"), SHAPES)


def targets_of(count=4, length=6, *, seed=5):
    return torch.randint(5, 21, (count, length), generator=torch.Generator().manual_seed(seed))


def pad_left(ids):
    return torch.stack([torch.cat([row[row == 0], row[row != 0]]) for row in ids])


@every_shape
def test_cache_equals_no_cache_token_by_token(attention, cell, feeding, layers):
    model, ids, inputs = tiny_model(attention, cell, feeding, layers), sources(), targets_of()
    with torch.no_grad():
        whole = model(ids, decoder_input_ids=inputs, output_attentions=True)
        state, logits, weights = None, [], []
        for step in range(inputs.shape[1]):
            one = model(
                ids,
                decoder_input_ids=inputs[:, step : step + 1],
                past_key_values=state,
                use_cache=True,
                output_attentions=True,
            )
            state = one.past_key_values
            logits.append(one.logits)
            weights.append(one.cross_attentions)
    assert state.get_seq_length() == inputs.shape[1]
    assert torch.allclose(torch.cat(logits, dim=1), whole.logits, atol=1e-5)
    if attention != "none":
        assert torch.allclose(torch.cat([entry[0] for entry in weights], dim=2), whole.cross_attentions[0], atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_fused_layers_equal_the_step_by_step_ones(cell):
    """The same weights through torch's kernel, all steps at once, and through our equations, one step after another."""
    model = tiny_model("general", cell, False, 2)
    decoder: Decoder = model.decoder
    embedded = torch.randn(3, 5, 8)
    encoded = model.encoder(sources(3))
    state = decoder.initial_state(encoded.final_state, encoded.last_hidden_state)
    with torch.no_grad():
        fused, hidden, memory = decoder.run_layers(embedded, state)
        steps = decoder.steps(embedded, state)
        stepped = torch.stack([steps.advance(number, None) for number in range(5)], dim=1)
        after = steps.state(None, None, 5)
    assert torch.allclose(fused, stepped, atol=1e-6)
    assert torch.allclose(hidden, after.hidden, atol=1e-6)
    assert (memory is None and after.cell is None) or torch.allclose(memory, after.cell, atol=1e-6)


@every_shape
def test_a_batch_equals_its_rows_one_by_one_with_padding_on_either_side(attention, cell, feeding, layers):
    model, ids, inputs = tiny_model(attention, cell, feeding, layers), sources(), targets_of()
    with torch.no_grad():
        batch = model(ids, decoder_input_ids=inputs).logits
        left = model(pad_left(ids), decoder_input_ids=inputs).logits
        masked = model(ids, attention_mask=ids.ne(0).long(), decoder_input_ids=inputs).logits
        single = [model(row[row != 0][None], decoder_input_ids=inputs[i : i + 1]).logits for i, row in enumerate(ids)]
    assert torch.allclose(torch.cat(single), batch, atol=1e-5)
    assert torch.allclose(left, batch, atol=1e-5)
    assert torch.equal(masked, batch)


def test_the_order_of_the_rows_and_more_padding_do_not_matter():
    model, ids, inputs = tiny_model("additive"), sources(6), targets_of(6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    wider = F.pad(ids, (0, 5))
    with torch.no_grad():
        batch = model(ids, decoder_input_ids=inputs).logits
        assert torch.allclose(model(wider[order], decoder_input_ids=inputs[order]).logits, batch[order], atol=1e-5)


def test_the_annotations_stand_where_the_tokens_are():
    model, ids = tiny_model("general"), sources()
    with torch.no_grad():
        right, left = model.encoder(ids), model.encoder(pad_left(ids))
    for row in range(len(ids)):
        length = int(ids[row].ne(0).sum())
        a, b = right.last_hidden_state[row], left.last_hidden_state[row]
        assert torch.allclose(a[:length], b[len(b) - length :], atol=1e-6)
        assert not a[length:].any()
        assert not b[: len(b) - length].any()


def test_no_target_sees_what_comes_after_it():
    model, ids, inputs = tiny_model("general", "lstm", True), sources(), targets_of()
    changed = inputs.clone()
    changed[:, 4:] = 7
    with torch.no_grad():
        before, after = (model(ids, decoder_input_ids=given).logits for given in (inputs, changed))
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


@every_shape
def test_one_beam_equals_greedy_search(attention, cell, feeding, layers):
    model, ids = tiny_model(attention, cell, feeding, layers), sources(5)
    greedy = model.generate(ids, num_beams=1, do_sample=False, max_new_tokens=8)
    expected = torch.full((5, 1), 2)
    with torch.no_grad():
        for _ in range(8):
            best = model(ids, decoder_input_ids=expected, use_cache=False).logits[:, -1].argmax(-1)
            ended = expected.eq(END).any(dim=1)
            expected = torch.cat([expected, best.masked_fill(ended, 0)[:, None]], dim=1)
    assert torch.equal(greedy, expected[:, : greedy.shape[1]])
    without = model.generate(ids, num_beams=1, do_sample=False, max_new_tokens=8, use_cache=False)
    assert torch.equal(greedy, without)


@every_shape
def test_trap_a12_a_beams_score_is_its_teacher_forced_log_probability_over_length_to_the_penalty(
    attention, cell, feeding, layers
):
    model, ids = tiny_model(attention, cell, feeding, layers), sources(3)
    for penalty in (0.0, 0.6, 1.0):
        found = model.generate(
            ids, num_beams=4, num_return_sequences=4, max_new_tokens=7, length_penalty=penalty, do_sample=False,
            return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
        sequences, rows = found.sequences, ids.repeat_interleave(4, dim=0)
        predicted = sequences[:, 1:]
        with torch.no_grad():
            logs = model(rows, decoder_input_ids=sequences[:, :-1]).logits.log_softmax(-1)
        logs = logs.gather(-1, predicted.unsqueeze(-1)).squeeze(-1)
        ended = predicted.eq(END).cumsum(dim=1) - predicted.eq(END).long()
        counted = ended.eq(0)
        scores = (logs * counted).sum(dim=1) / counted.sum(dim=1) ** penalty
        assert torch.allclose(found.sequences_scores, scores, atol=1e-4)


def test_beams_of_a_batch_equal_those_of_each_row():
    model, ids = tiny_model("general", "lstm", True, 2), sources(4)
    batch = model.generate(ids, num_beams=3, max_new_tokens=6, do_sample=False)
    for row, expected in zip(ids, batch, strict=True):
        single = model.generate(row[row != 0][None], num_beams=3, max_new_tokens=6, do_sample=False)[0]
        assert torch.equal(single, expected[: len(single)])
        assert not expected[len(single) :].any()


def test_sampling_is_reproducible_and_follows_the_model():
    model = tiny_model("additive")
    ids = sources(1).expand(4000, -1)
    draws = []
    for _ in range(2):
        torch.manual_seed(1)
        draws.append(model.generate(ids, do_sample=True, max_new_tokens=1)[:, 1])
    assert torch.equal(*draws)
    with torch.no_grad():
        expected = model(ids[:1], decoder_input_ids=torch.tensor([[2]])).logits[0, -1].softmax(-1)
    shares = torch.bincount(draws[0], minlength=21) / 4000
    assert (shares - expected).abs().max() < 0.03


def test_trap_a6_the_cache_is_reordered_with_the_beams():
    model, ids = tiny_model("general", "lstm", True, 2), sources(3)
    order = torch.tensor([2, 2, 0])
    inputs = targets_of(3, 3)
    with torch.no_grad():
        state = model(ids, decoder_input_ids=inputs, use_cache=True).past_key_values
        state.reorder_cache(order)
        fresh = model(ids[order], decoder_input_ids=inputs[order], use_cache=True).past_key_values
    for name in ("hidden", "cell", "feed"):
        assert torch.allclose(getattr(state, name), getattr(fresh, name), atol=1e-6)
    assert Seq2SeqForConditionalGeneration._supports_default_dynamic_cache() is False
    assert state.is_compileable is False


def test_trap_a7_encoder_states_are_batch_first_when_layers_equal_the_batch():
    """generate() repeats dimension 0 for the beams; with layers first, two layers and two rows would mix silently."""
    model, ids = tiny_model("dot", "lstm", False, 2), sources(2)
    assert model.encoder(ids).final_state.shape[0] == 2
    together = model.generate(ids, num_beams=2, max_new_tokens=6, do_sample=False)
    for row, expected in zip(ids, together, strict=True):
        single = model.generate(row[row != 0][None], num_beams=2, max_new_tokens=6, do_sample=False)[0]
        assert torch.equal(single, expected[: len(single)])


def test_trap_a5_labels_are_not_shifted_twice():
    model = tiny_model("additive")
    ids, labels = reversal_batch(4, seed=0)
    output = model(ids, labels=labels)
    inputs = model.prepare_decoder_input_ids_from_labels(labels)
    assert inputs[:, 0].tolist() == [2] * 4
    assert torch.equal(inputs[:, 1:], labels[:, :-1].masked_fill(labels[:, :-1] == -100, 0))
    logits = model(ids, decoder_input_ids=inputs).logits
    expected = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
    assert torch.allclose(output.loss, expected, atol=1e-6)
    kept = int(labels.ne(-100).sum())
    assert torch.allclose(model(ids, labels=labels, num_items_in_batch=3 * kept).loss, expected / 3, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_targets_path_sums_what_the_labels_path_averages(smoothing):
    model = tiny_model("general", dropout=0.0, embedding_dropout=0.0).train()
    ids, labels = reversal_batch(4, seed=0)
    count = labels.ne(-100).sum()
    gradients = []
    for arguments, scale in (({"labels": labels}, count), ({"targets": labels}, 1)):
        model.zero_grad()
        output = model(ids, label_smoothing=smoothing, **arguments)
        (output.loss * scale).backward()
        gradients.append((output.loss.detach() * scale, [p.grad.clone() for p in model.parameters()]))
    assert output.logits is None
    assert torch.allclose(gradients[0][0], gradients[1][0], rtol=1e-5)
    for one, other in zip(gradients[0][1], gradients[1][1], strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_label_smoothing_and_sampled_softmax_act_in_training_only():
    model = tiny_model("dot", dropout=0.0, embedding_dropout=0.0)
    ids, labels = reversal_batch(4, seed=0)
    plain = model(ids, targets=labels).loss
    assert torch.equal(model(ids, targets=labels, label_smoothing=0.1, sampled_softmax=5).loss, plain)
    model.train()
    assert not torch.allclose(model(ids, targets=labels, label_smoothing=0.1).loss, plain)
    assert not torch.allclose(model(ids, targets=labels, sampled_softmax=5).loss, plain)


def test_logits_to_keep_gives_the_last_logits():
    model, ids, inputs = tiny_model(), sources(), targets_of()
    whole = model(ids, decoder_input_ids=inputs).logits
    assert torch.equal(model(ids, decoder_input_ids=inputs, logits_to_keep=2).logits, whole[:, -2:])


def test_scheduled_sampling_of_probability_zero_is_teacher_forcing():
    model = tiny_model("additive", dropout=0.0, embedding_dropout=0.0).train()
    ids, labels = reversal_batch(4, seed=0)
    assert torch.equal(model(ids, targets=labels, sampling_probability=0.0).loss, model(ids, targets=labels).loss)


def test_scheduled_sampling_draws_from_the_models_own_predictions():
    """With probability 1 the inputs are a sample of the model; the first token and padding stay."""
    model = tiny_model("general", dropout=0.0, embedding_dropout=0.0).train()
    ids = sources(1).expand(3000, -1)
    inputs = torch.tensor([[2, 6, 7, 0]]).expand(3000, -1)
    with torch.no_grad():
        encoded = model.encoder(ids)
        state = model.decoder.initial_state(encoded.final_state, encoded.last_hidden_state)
        torch.manual_seed(0)
        mixed = model.sample_decoder_input_ids(inputs, encoded.last_hidden_state, ids.ne(0), state, probability=1.0)
        first = model(ids[:1], decoder_input_ids=torch.tensor([[2]])).logits[0, -1].softmax(-1)
    assert torch.equal(mixed[:, 0], inputs[:, 0])
    assert torch.equal(mixed[:, 3], inputs[:, 3])
    assert (torch.bincount(mixed[:, 1], minlength=21) / 3000 - first).abs().max() < 0.04
    model.eval()
    labels = inputs.clone()
    assert torch.equal(model(ids, targets=labels, sampling_probability=1.0).loss, model(ids, targets=labels).loss)


def test_trap_a2_weights_are_initialised_to_learn():
    torch.manual_seed(0)
    model = Seq2SeqForConditionalGeneration(Seq2SeqConfig(vocab_size=500, embedding_size=64, hidden_size=64))
    assert abs(float(model.decoder.embed_tokens.weight.detach()[1:].std()) - 64**-0.5) < 0.01
    layer = model.decoder.layers[0]
    assert torch.equal(layer.bias_ih_l0[64:128], torch.ones(64))  # the forget gate
    assert not layer.bias_hh_l0.any()
    gate = layer.weight_hh_l0[:64]
    assert torch.allclose(gate @ gate.T, torch.eye(64), atol=1e-5)
    assert float(model.decoder.maxout.weight.detach().std()) > 0.05


@pytest.mark.parametrize(("output", "joint"), [(True, False), (True, True), (False, False)])
def test_trap_a3_tied_weights_are_tied_before_and_after_a_reload(tmp_path, output, joint):
    model = tiny_model(tie_word_embeddings=output, tie_encoder_decoder_embeddings=joint)
    model.save_pretrained(tmp_path)
    for one in (model, Seq2SeqForConditionalGeneration.from_pretrained(tmp_path)):
        assert (one.lm_head.weight is one.decoder.embed_tokens.weight) is output
        assert (one.encoder.embed_tokens.weight is one.decoder.embed_tokens.weight) is joint


@every_shape
def test_a_reloaded_model_answers_bit_for_bit(tmp_path, attention, cell, feeding, layers):
    seq2seq.register()
    model = tiny_model(attention, cell, feeding, layers, decoder_vocab_size=17)
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert isinstance(reloaded, Seq2SeqForConditionalGeneration)
    assert AutoConfig.from_pretrained(tmp_path).to_dict() == reloaded.config.to_dict()
    ids, inputs = sources(), targets_of() % 17
    with torch.no_grad():
        logits = model(ids, decoder_input_ids=inputs).logits
        assert torch.equal(reloaded(ids, decoder_input_ids=inputs).logits, logits)
    assert logits.shape[-1] == 17
    for (name, one), other in zip(model.state_dict().items(), reloaded.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("embedding", [8, 12, 20])
@pytest.mark.parametrize("attention", ["none", "additive", "general"])
def test_any_width_of_embedding_can_be_tied_or_not(attention, embedding):
    for tied in (True, False):
        model = tiny_model(attention, embedding_size=embedding, tie_word_embeddings=tied)
        assert model(sources(), decoder_input_ids=targets_of()).logits.shape == (4, 6, 21)


@pytest.mark.parametrize("variational", [False, True])
@every_shape
def test_dropout_acts_in_training_and_every_parameter_learns(attention, cell, feeding, layers, variational):
    model = tiny_model(attention, cell, feeding, layers, variational_dropout=variational, dropout=0.3).train()
    ids, labels = reversal_batch(4, seed=0)
    first = model(ids, targets=labels).loss
    first.backward()
    assert not torch.equal(first, model(ids, targets=labels).loss)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_variational_dropout_keeps_its_mask_over_time():
    torch.manual_seed(0)
    states = torch.ones(3, 5, 40)
    locked = TimeDropout(0.5, variational=True).train()(states)
    assert torch.equal(locked, locked[:, :1].expand_as(locked))
    assert set(locked.unique().tolist()) == {0.0, 2.0}
    free = TimeDropout(0.5).train()(states)
    assert not torch.equal(free, free[:, :1].expand_as(free))
    assert torch.equal(TimeDropout(0.5, variational=True).eval()(states), states)


def test_bfloat16_autocast_trains_close_to_float32():
    for attention, feeding in (("additive", False), ("general", True), ("dot", False)):
        model = tiny_model(attention, "lstm", feeding, dropout=0.0, embedding_dropout=0.0).train()
        ids, labels = reversal_batch(8, seed=0)
        exact = model(ids, targets=labels).loss
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(ids, targets=labels).loss
        rough.backward()
        assert rough.dtype == torch.float32
        assert abs(float(rough.detach() / exact.detach()) - 1) < 0.03


def test_the_source_must_be_there_and_something_to_predict():
    model = tiny_model()
    with pytest.raises(ModelError, match="no source"):
        model(decoder_input_ids=targets_of())
    with pytest.raises(ModelError, match="nothing to predict"):
        model(sources())
    with pytest.raises(ModelError, match="final state is missing"):
        from transformers.modeling_outputs import BaseModelOutput

        model(encoder_outputs=BaseModelOutput(last_hidden_state=torch.zeros(1, 2, 12)), decoder_input_ids=targets_of(1))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"hidden_size": 7}, "even"),
        ({"attention": "dot", "encoder_hidden_size": 5}, "dot score"),
        ({"tie_encoder_decoder_embeddings": True, "decoder_vocab_size": 5}, "joint vocabulary"),
        ({"tie_encoder_decoder_embeddings": True, "tie_word_embeddings": False}, "needs tie_word_embeddings"),
        ({"dropout": 1.0}, "probability"),
        ({"decoder_layers": 0}, "at least 1"),
    ],
)
def test_settings_that_contradict_each_other_are_told(settings, told):
    with pytest.raises(ConfigError, match=told):
        Seq2SeqForConditionalGeneration(Seq2SeqConfig(**settings))


def test_trap_a1_wrong_types_and_values_are_refused_and_saving_works(tmp_path):
    with pytest.raises(ConfigError, match="hidden_size"):
        Seq2SeqConfig(hidden_size="big")
    with pytest.raises(ConfigError, match="attention"):
        Seq2SeqConfig(attention="bahdanau")
    with pytest.raises(ConfigError, match="Did you mean 'hidden_size'"):
        Seq2SeqConfig(hiden_size=5)
    config = Seq2SeqConfig(vocab_size=50, decoder_vocab_size=60, encoder_hidden_size=9)
    config.save_pretrained(tmp_path)
    assert Seq2SeqConfig.from_pretrained(tmp_path).to_dict() == config.to_dict()
