"""generate() on our Transformers, and a task that they must learn in seconds."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from transformers import DynamicCache, EncoderDecoderCache

from nlpladder.models.transformer.causal_lm import TransformerForCausalLM
from nlpladder.models.transformer.config import TransformerCausalLMConfig, TransformerEncoderDecoderConfig
from nlpladder.models.transformer.encoder_decoder import TransformerForConditionalGeneration

SMALL = {
    "vocab_size": 23,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}


def peaked(model):
    """Widen the weights so that different inputs get different texts."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def causal(positions="rotary"):
    torch.manual_seed(0)
    return peaked(TransformerForCausalLM(TransformerCausalLMConfig(**SMALL, positions=positions)))


def seq2seq(**settings):
    torch.manual_seed(0)
    return peaked(TransformerForConditionalGeneration(TransformerEncoderDecoderConfig(**{**SMALL, **settings})))


def ids(batch, tokens, seed=0):
    return torch.randint(5, 23, (batch, tokens), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary", "alibi"])
def test_left_padded_prompts_continue_as_they_do_alone(positions):
    model, prompts = causal(positions), [ids(1, length, length) for length in (5, 2, 3)]
    batch = torch.cat([F.pad(prompt, (5 - prompt.shape[1], 0)) for prompt in prompts])
    for beams in (1, 3):
        settings = {"num_beams": beams, "max_new_tokens": 8, "do_sample": False, "eos_token_id": None}
        together = model.generate(batch, attention_mask=batch.ne(0).long(), **settings)
        for row, prompt in enumerate(prompts):
            alone = model.generate(prompt, attention_mask=torch.ones_like(prompt), **settings)
            assert together[row, 5:].tolist() == alone[0, prompt.shape[1] :].tolist()


@pytest.mark.parametrize("beams", [1, 4])
def test_the_cache_changes_no_generated_token(beams):
    settings = {"num_beams": beams, "max_new_tokens": 9, "do_sample": False}
    source, mask = ids(3, 6), torch.tensor([[1] * 6, [1] * 3 + [0] * 3, [1] * 5 + [0]])
    for model in (seq2seq(), seq2seq(num_decoder_layers=3, positions="rotary")):
        expected = model.generate(source, attention_mask=mask, use_cache=False, **settings)
        assert torch.equal(model.generate(source, attention_mask=mask, **settings), expected)
        ordinary = EncoderDecoderCache(DynamicCache(), DynamicCache())
        again = model.generate(source, attention_mask=mask, past_key_values=ordinary, **settings)
        assert torch.equal(again, expected), "the cross-attention cache that is not reordered is the ordinary one"
    model = causal()
    expected = model.generate(source, use_cache=False, **settings)
    assert torch.equal(model.generate(source, **settings), expected)


def test_trap_no_class_name_changes_how_generate_caches():
    """Trap A.10: names with rwkv, xlstm, reformer, xlnet, minimax or mamba in them do."""
    for kind in (TransformerForCausalLM, TransformerForConditionalGeneration):
        assert kind._supports_default_dynamic_cache()


def test_greedy_is_the_best_token_step_by_step_and_one_beam_is_greedy():
    model, source = seq2seq(), ids(2, 6)
    greedy = model.generate(source, max_new_tokens=7, do_sample=False, eos_token_id=None)
    target = torch.full((2, 1), 2)
    with torch.no_grad():
        for _ in range(7):
            logits = model(source, decoder_input_ids=target).logits[:, -1]
            target = torch.cat([target, logits.argmax(-1, keepdim=True)], 1)
    assert torch.equal(greedy, target)
    assert torch.equal(model.generate(source, max_new_tokens=7, num_beams=1, eos_token_id=None), greedy)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@torch.no_grad()
def test_a_beam_s_score_is_its_teacher_forced_score_over_its_length(length_penalty):
    """Traps A.11 and A.12: the penalty is len^a (GNMT's is another); len leaves the start token out."""
    model, source = seq2seq(), ids(3, 6)
    found = model.generate(
        source,
        num_beams=4,
        num_return_sequences=2,
        max_new_tokens=8,
        length_penalty=length_penalty,
        return_dict_in_generate=True,
        output_scores=True,
    )
    for row, (sequence, score) in enumerate(zip(found.sequences, found.sequences_scores, strict=True)):
        target = sequence[1:]
        if (target == 3).any():
            target = target[: int((target == 3).nonzero()[0]) + 1]
        text = source[row // 2 : row // 2 + 1]
        loss = model(text, targets=target.unsqueeze(0)).loss
        assert score.item() == pytest.approx(-loss.item() / len(target) ** length_penalty, abs=2e-4)


def test_sampling_follows_its_seed():
    model, source = seq2seq(), ids(2, 6)
    texts = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        texts.append(model.generate(source, do_sample=True, top_p=0.95, max_new_tokens=12).tolist())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize("pre_norm", [True, False])
def test_the_encoder_decoder_learns_to_reverse_within_300_steps(pre_norm):
    torch.manual_seed(0)
    config = TransformerEncoderDecoderConfig(
        vocab_size=15, hidden_size=32, num_hidden_layers=1, intermediate_size=64, dropout=0.0, pre_norm=pre_norm
    )
    model = TransformerForConditionalGeneration(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    steps = 300
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(0)

    def pairs(count):
        digits = torch.randint(5, 15, (count, 5), generator=generator)
        end = torch.full((count, 1), 3)
        return torch.cat([digits, end], 1), torch.cat([digits.flip(1), end], 1)

    for _ in range(steps):
        source, target = pairs(64)
        optimizer.zero_grad()
        (model(source, targets=target).loss / target.numel()).backward()
        optimizer.step()
        schedule.step()
    source, target = pairs(100)
    written = model.eval().generate(source, max_new_tokens=8, num_beams=1)
    assert (written[:, 1:7] == target).all(1).float().mean() >= 0.99
