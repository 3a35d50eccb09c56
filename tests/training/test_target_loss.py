"""The summed loss of targets is the cross-entropy of the model's own logits, in value and gradient, for any model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from nlpladder.errors import ModelError
from nlpladder.training.sequence_data import IGNORED
from nlpladder.training.target_loss import TargetLoss, summed_loss

sys.path.insert(0, str(Path(__file__).parent))
from tiny_sequence_models import VOCABULARY, build, tiny_bart, tiny_gpt2, tiny_llama, tiny_t5, with_lora


def gemma2():
    """Caps its logits: what follows the output layer must not be lost."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, pad_token_id=0, bos_token_id=1, eos_token_id=3,
    )  # fmt: skip
    return Gemma2ForCausalLM(config)


def cohere():
    """Scales its logits."""
    from transformers import CohereConfig, CohereForCausalLM

    torch.manual_seed(0)
    config = CohereConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        pad_token_id=0, bos_token_id=1, eos_token_id=3,
    )  # fmt: skip
    return CohereForCausalLM(config)


def bart_with_bias():
    model = tiny_bart()
    model.final_logits_bias.normal_()
    return model


def lora_on_the_output_layer():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny_llama(), LoraConfig(r=4, target_modules=["lm_head"], task_type="CAUSAL_LM"))
    torch.nn.init.normal_(model.base_model.model.lm_head.lora_B["default"].weight)
    return model


def virtual_tokens(kind):
    from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model

    config = {"prefix": PrefixTuningConfig, "prompt": PromptTuningConfig}[kind]
    torch.manual_seed(2)
    return get_peft_model(tiny_gpt2(), config(task_type="CAUSAL_LM", num_virtual_tokens=4))


MODELS = {
    "GPT-2": (tiny_gpt2, "fused"), "Llama": (tiny_llama, "fused"),
    "T5, tied and scaled": (lambda: tiny_t5(tie_word_embeddings=True), "fused"),
    "T5, untied": (lambda: tiny_t5(tie_word_embeddings=False), "fused"),
    "BART": (tiny_bart, "fused"), "Marian": (lambda: tiny_bart("marian"), "fused"), "LoRA": (
        lambda: with_lora(tiny_llama()), "fused"), "BART with a bias": (bart_with_bias, "rows"),
    "Gemma 2": (gemma2, "rows"), "Cohere": (cohere, "rows"), "LoRA on lm_head": (lora_on_the_output_layer, "rows"),
    "prefix": (lambda: virtual_tokens("prefix"), "fused"), "prompt": (lambda: virtual_tokens("prompt"), "fused"),
}  # fmt: skip


def batch_for(model, *, seed=0):
    """Three rows of seven: one with a prompt, one learnt in full, one of which nothing is learnt."""
    generator = torch.Generator().manual_seed(seed)
    ids, targets = torch.randint(4, VOCABULARY, (2, 3, 7), generator=generator)
    targets[0, :4] = IGNORED
    targets[2] = IGNORED
    if model.config.is_encoder_decoder:
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "decoder_input_ids": ids, "targets": targets}
    return {"input_ids": ids, "targets": targets}


def plain_loss(model, batch, label_smoothing=0.0):
    logits = model(**{name: value for name, value in batch.items() if name != "targets"}).logits[:, -7:].float()
    return F.cross_entropy(
        logits.flatten(0, 1), batch["targets"].flatten(), reduction="sum", label_smoothing=label_smoothing
    )


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("name", MODELS)
def test_value_and_gradient_are_those_of_the_models_own_logits(name):
    make, way = MODELS[name]
    model = make().eval()
    batch, loss = batch_for(model), TargetLoss(model)
    assert loss.way == way
    found, _ = loss(model, batch, use_cache=False)
    wanted = plain_loss(model, batch)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    ours, theirs = gradients(model, found), gradients(model, wanted)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=2e-6)


def test_the_plain_way_gives_the_same_where_the_others_cannot_be_taken():
    model = tiny_llama().eval()
    batch, loss = batch_for(model), TargetLoss(model)
    fused = gradients(model, loss(model, batch)[0])
    loss.way = "logits"
    plain = gradients(model, loss(model, batch)[0])
    for name in fused:
        torch.testing.assert_close(fused[name], plain[name], rtol=1e-4, atol=2e-6)


def test_a_model_that_does_not_bear_fewer_rows_is_found_out():
    class Stubborn(type(tiny_llama())):
        def forward(self, input_ids, **arguments):
            output = super().forward(input_ids, **arguments)
            output.logits = output.logits.view(*input_ids.shape, -1)
            return output

    model = Stubborn(tiny_llama().config).eval()
    loss = TargetLoss(model)
    assert loss.way == "logits"
    batch = batch_for(model)
    assert loss(model, batch)[0].item() == pytest.approx(plain_loss(model, batch).item(), rel=1e-6)


@pytest.mark.parametrize("name", ["GPT-2", "Gemma 2"])
def test_prompts_never_reach_the_output_layer(name):
    model = MODELS[name][0]()
    batch, loss, seen = batch_for(model), TargetLoss(model), []
    handle = model.get_output_embeddings().register_forward_hook(
        lambda _, __, output: seen.append(output.shape[:-1].numel())
    )
    loss(model, batch)
    handle.remove()
    assert seen == [1 if name == "GPT-2" else int((batch["targets"] != IGNORED).sum())]


@pytest.mark.parametrize("name", ["GPT-2", "Gemma 2", "T5, untied"])
def test_a_batch_without_targets_has_no_loss_and_still_a_graph(name):
    """A process without a row goes through the model all the same: the others wait for its gradients."""
    model = MODELS[name][0]()
    batch = batch_for(model)
    batch["targets"].fill_(IGNORED)
    loss, _ = TargetLoss(model)(model, batch)
    assert loss.item() == 0.0
    assert all(not gradient.any() for gradient in gradients(model, loss).values())


@pytest.mark.parametrize("name", ["GPT-2", "Cohere"])
def test_trap_5_labels_are_smoothed_in_training_only_and_not_over_padding(name):
    model = MODELS[name][0]()
    batch = batch_for(model)
    model.train()
    assert summed_loss(model, batch, label_smoothing=0.2).item() == pytest.approx(
        plain_loss(model, batch, 0.2).item(), rel=1e-6
    )
    model.eval()
    assert summed_loss(model, batch, label_smoothing=0.2).item() == pytest.approx(
        plain_loss(model, batch).item(), rel=1e-6
    )


def test_under_autocast_the_products_are_bfloat16_and_the_sum_is_not():
    model = tiny_llama().eval()
    batch, loss = batch_for(model), TargetLoss(model)
    precise = loss(model, batch)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(model, batch)[0]
    assert found.dtype == torch.float32
    assert found.item() != precise.item()
    assert found.item() == pytest.approx(precise.item(), rel=1e-2)


def test_asking_the_model_leaves_its_mode_and_the_random_numbers_alone():
    model = tiny_gpt2(dropout=0.5).train()
    model.transformer.h[0].eval()
    state = torch.get_rng_state()
    TargetLoss(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert not model.transformer.h[0].training
    assert not model.lm_head._forward_pre_hooks
    assert not model.lm_head._forward_hooks


def test_a_model_without_logits_is_refused():
    from transformers import LlamaModel

    with pytest.raises(ModelError, match="LlamaModel returns no logits"):
        TargetLoss(LlamaModel(tiny_llama().config))


def test_our_own_models_compute_their_loss_themselves():
    model = build("causal")
    batch = batch_for(model)
    loss = TargetLoss(model)
    assert loss.way == "targets"
    found, outputs = loss(model, batch, label_smoothing=0.1)
    assert found is outputs["loss"]
    assert model.calls[-1]["label_smoothing"] == 0.1


@pytest.mark.parametrize("name", ["GPT-2", "Gemma 2", "prompt", "T5, untied"])
def test_each_targets_own_loss_adds_up_to_the_sum_with_its_gradient(name):
    model = MODELS[name][0]().eval()
    batch, loss = batch_for(model), TargetLoss(model)
    each = loss.losses(model, batch, use_cache=False)
    assert each.shape == (int((batch["targets"] != IGNORED).sum()),)
    summed, _ = loss(model, batch, use_cache=False)
    assert each.sum().item() == pytest.approx(summed.item(), rel=1e-6)
    ours, theirs = gradients(model, each.sum()), gradients(model, summed)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=2e-6)
