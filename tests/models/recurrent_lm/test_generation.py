"""generate() with the recurrent cache: greedy, sampling, beams, left padding, streaming."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import TextStreamer

from helpers import word_tokenizer
from nlpladder.models.recurrent_lm.config import RecurrentLMConfig
from nlpladder.models.recurrent_lm.model import RecurrentForCausalLM

SHAPES = {
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru", "hidden_size": 20},
    "lstm": {"num_hidden_layers": 3},
    "lstm normalised": {"layer_norm": True},
}
every_shape = pytest.mark.parametrize("shape", SHAPES)
EOS, NEW = 3, 8


def build(shape="lstm"):
    torch.manual_seed(0)
    config = RecurrentLMConfig(**{"vocab_size": 30, "embedding_size": 12, "hidden_size": 12, **SHAPES[shape]})
    model = RecurrentForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Lively states and decided distributions: texts do not end in one repeated word, no two are nearly equal.
            parameter.mul_(1.0 if "norm" in name else 3.0)
    return model


def prompts():
    """Three prompts of 7, 3 and 1 tokens, padded on the left."""
    ids = torch.randint(5, 30, (3, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    mask[2, :6] = 0
    return ids * mask, mask


def until_end(sequence):
    tokens = sequence.tolist()
    return tokens[: tokens.index(EOS) + 1] if EOS in tokens else tokens


def argmax_by_hand(model, prompt):
    """Greedy search without a cache."""
    tokens = list(prompt)
    for _ in range(NEW):
        with torch.no_grad():
            tokens.append(int(model(torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax()))
        if tokens[-1] == EOS:
            break
    return tokens[len(prompt) :]


@every_shape
@pytest.mark.parametrize("num_beams", [1, 4])
def test_trap_a9_left_padded_prompts_of_different_lengths_equal_one_by_one(shape, num_beams):
    model, (ids, mask) = build(shape), prompts()
    options = {"max_new_tokens": NEW, "num_beams": num_beams, "do_sample": False}
    together = model.generate(ids, attention_mask=mask, **options)
    derived = model.generate(ids, **options)  # the mask follows from the pad id
    assert torch.equal(together, derived)
    for row in range(3):
        prompt = ids[row][mask[row].bool()]
        alone = model.generate(prompt.unsqueeze(0), **options)[0, len(prompt) :]
        assert until_end(together[row, 7:]) == until_end(alone)
        if num_beams == 1:
            assert until_end(alone) == argmax_by_hand(model, prompt.tolist())


@every_shape
def test_one_beam_is_greedy_and_the_cache_changes_nothing(shape):
    model, (ids, mask) = build(shape), prompts()
    options = {"attention_mask": mask, "max_new_tokens": NEW, "do_sample": False}
    greedy = model.generate(ids, num_beams=1, **options)
    assert torch.equal(greedy, model.generate(ids, num_beams=1, use_cache=False, **options))
    beams = model.generate(ids, num_beams=4, **options)
    uncached = model.generate(ids, num_beams=4, use_cache=False, **options)
    assert [until_end(row) for row in beams] == [until_end(row) for row in uncached]


@every_shape
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_trap_a6_a_beams_score_is_its_teacher_forced_score(shape, length_penalty):
    """Wrong if the states were not reordered with the beams."""
    model, (ids, mask) = build(shape), prompts()
    found = model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=NEW,
        num_beams=4,
        num_return_sequences=3,
        do_sample=False,
        length_penalty=length_penalty,
        return_dict_in_generate=True,
        output_scores=True,
    )
    for row, (sequence, score) in enumerate(zip(found.sequences, found.sequences_scores, strict=True)):
        prompt = ids[row // 3][mask[row // 3].bool()].tolist()
        generated = until_end(sequence[7:])
        with torch.no_grad():
            logits = model(torch.tensor([prompt + generated[:-1]])).logits[0, len(prompt) - 1 :]
        forced = logits.log_softmax(-1).gather(1, torch.tensor(generated).unsqueeze(1)).sum().item()
        # transformers divides by len ** length_penalty.
        assert score.item() == pytest.approx(forced / len(generated) ** length_penalty, abs=1e-4)


def test_beam_search_finds_better_texts_than_greedy_search():
    model, (ids, mask) = build(), prompts()
    options = {"attention_mask": mask, "max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}

    def score(sequences):
        total = 0.0
        for row in range(3):
            prompt = ids[row][mask[row].bool()].tolist()
            generated = sequences[row, 7:].tolist()
            with torch.no_grad():
                logits = model(torch.tensor([prompt + generated[:-1]])).logits[0, len(prompt) - 1 :]
            logits[:, EOS] = -math.inf
            total += logits.log_softmax(-1).gather(1, torch.tensor(generated).unsqueeze(1)).sum().item()
        return total

    assert score(model.generate(ids, num_beams=8, **options)) > score(model.generate(ids, **options)) + 1e-3


def test_sampling_follows_the_seed_and_the_filters():
    model, (ids, mask) = build(), prompts()
    options = {"attention_mask": mask, "max_new_tokens": NEW, "do_sample": True}
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(model.generate(ids, temperature=1.5, **options))
    assert torch.equal(draws[0], draws[1])
    assert draws[0].shape != draws[2].shape or not torch.equal(draws[0], draws[2])
    greedy = model.generate(ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False)
    for filters in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}):
        assert torch.equal(model.generate(ids, **filters, **options), greedy)


def test_several_samples_of_a_prompt_go_on_from_its_state():
    model, (ids, _) = build(), prompts()
    torch.manual_seed(0)
    found = model.generate(ids[:1], max_new_tokens=3, do_sample=True, num_return_sequences=4, top_k=2, top_p=1.0)
    assert found.shape[0] == 4
    for sequence in found.tolist():
        for length in range(7, len(sequence)):
            with torch.no_grad():
                best = model(torch.tensor([sequence[:length]])).logits[0, -1].topk(2).indices.tolist()
            assert sequence[length] in best
            if sequence[length] == EOS:
                break


def test_generation_goes_on_from_a_state():
    model, (ids, _) = build(), prompts()
    prompt = ids[:1]
    expected = model.generate(prompt, max_new_tokens=NEW, do_sample=False)
    with torch.no_grad():
        state = model(prompt[:, :4]).past_key_values
    assert torch.equal(model.generate(prompt, past_key_values=state, max_new_tokens=NEW, do_sample=False), expected)


def test_a_stream_is_the_generated_text(capsys):
    tokenizer = word_tokenizer()
    torch.manual_seed(0)
    config = RecurrentLMConfig(vocab_size=len(tokenizer), embedding_size=12, hidden_size=12)
    model = RecurrentForCausalLM(config).eval()
    inputs = tokenizer("the film was", return_tensors="pt", return_token_type_ids=False)
    streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    output = model.generate(
        **inputs, streamer=streamer, max_new_tokens=6, do_sample=False, suppress_tokens=[0, 1, 2, 3, 4]
    )
    text = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert capsys.readouterr().out.strip() == text.strip()
    assert text


def test_only_the_last_logits_are_computed_for_a_prompt():
    model, (ids, mask) = build(), prompts()
    with torch.no_grad():
        whole = model(ids, attention_mask=mask).logits
        last = model(ids, attention_mask=mask, logits_to_keep=1).logits
        chosen = model(ids, attention_mask=mask, logits_to_keep=torch.tensor([0, 3])).logits
    torch.testing.assert_close(last, whole[:, -1:])
    torch.testing.assert_close(chosen, whole[:, [0, 3]])
