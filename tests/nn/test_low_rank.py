"""LoRA of our own: the equation, peft's layer, and a training of our Transformer."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nlpladder.nn.low_rank import LoRALinear, add_low_rank, merge_low_rank


def layer(rank=3, *, bias=True, trained=True, **options):
    torch.manual_seed(0)
    made = LoRALinear(7, 5, rank=rank, alpha=6.0, bias=bias, **options)
    if trained:
        nn.init.normal_(made.lora_B)
    return made


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9), st.booleans(), st.booleans())
def test_the_layer_is_equation_3(rank, bias, rank_stabilized):
    ours = layer(rank, bias=bias, rank_stabilized=rank_stabilized)
    inputs = torch.randn(2, 4, 7)
    factor = 6.0 / (rank**0.5 if rank_stabilized else rank)
    expected = inputs @ (ours.weight + factor * ours.lora_B @ ours.lora_A).T
    expected = expected if ours.bias is None else expected + ours.bias
    torch.testing.assert_close(ours(inputs), expected)


def test_training_begins_at_the_pretrained_layer_and_changes_only_the_update():
    linear = nn.Linear(7, 5)
    ours = LoRALinear.from_linear(linear, rank=2, alpha=4)
    inputs = torch.randn(3, 7)
    assert torch.equal(ours(inputs), linear(inputs))
    assert ours.weight is linear.weight
    assert {name for name, parameter in ours.named_parameters() if parameter.requires_grad} == {"lora_A", "lora_B"}
    ours(inputs).sum().backward()
    assert ours.weight.grad is None
    assert ours.lora_B.grad.abs().sum() > 0
    assert ours.lora_A.grad.abs().sum() == 0, "as long as B is zero"


@pytest.mark.parametrize("rank_stabilized", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_ours_is_pefts_layer_in_output_and_gradients(rank_stabilized, dropout):
    from peft import LoraConfig
    from peft.tuners.lora import Linear

    torch.manual_seed(0)
    base = nn.Linear(7, 5)
    theirs = Linear(
        copy.deepcopy(base), "default", r=3, lora_alpha=6, lora_dropout=dropout,
        config=LoraConfig(r=3, lora_alpha=6, lora_dropout=dropout, use_rslora=rank_stabilized),
    )  # fmt: skip
    ours = LoRALinear.from_linear(base, rank=3, alpha=6, dropout=dropout, rank_stabilized=rank_stabilized)
    with torch.no_grad():
        theirs.lora_B["default"].weight.normal_()
        ours.lora_A.copy_(theirs.lora_A["default"].weight)
        ours.lora_B.copy_(theirs.lora_B["default"].weight)
    inputs = torch.randn(2, 4, 7)
    outputs, gradients = [], []
    for one in (ours, theirs):
        given_inputs = inputs.clone().requires_grad_()
        torch.manual_seed(1)
        output = one(given_inputs)
        output.square().sum().backward()
        outputs.append(output)
        lora_a = ours.lora_A if one is ours else theirs.lora_A["default"].weight
        lora_b = ours.lora_B if one is ours else theirs.lora_B["default"].weight
        gradients.append((given_inputs.grad, lora_a.grad, lora_b.grad))
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-6, rtol=1e-6)
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6 * float(other.abs().max()), rtol=1e-6)
    torch.testing.assert_close(ours.update(), theirs.get_delta_weight("default").detach(), atol=1e-6, rtol=1e-6)


def test_merging_and_unmerging_change_no_answer():
    ours = layer().eval()
    inputs, before = torch.randn(3, 7), None
    before, weight = ours(inputs), ours.weight.clone()
    ours.merge()
    ours.merge()  # a second time does nothing
    torch.testing.assert_close(ours(inputs), before)
    torch.testing.assert_close(ours.to_linear()(inputs), before)
    ours.unmerge()
    ours.unmerge()
    torch.testing.assert_close(ours.weight, weight)
    torch.testing.assert_close(ours.to_linear()(inputs), before)
    torch.testing.assert_close(ours(inputs), before)


def test_dropout_is_of_training_only():
    ours = layer(dropout=0.5)
    inputs = torch.ones(1, 7)
    assert not torch.equal(ours.train()(inputs), ours(inputs))
    assert torch.equal(ours.eval()(inputs), ours(inputs))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        LoRALinear(2, 2, rank=0, alpha=1)
    with pytest.raises(ValueError, match="No linear layer is called queries; there are 0"):
        add_low_rank(nn.Sequential(nn.Linear(2, 2)), ["queries"], rank=1, alpha=1)
    model = nn.Sequential(nn.Linear(2, 2))
    assert add_low_rank(model, ["0"], rank=1, alpha=1) == ["0"]


def tiny_transformer():
    from nlpladder.models.transformer.causal_lm import TransformerForCausalLM
    from nlpladder.models.transformer.config import TransformerCausalLMConfig

    torch.manual_seed(0)
    config = TransformerCausalLMConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, dropout=0.0,
    )  # fmt: skip
    return TransformerForCausalLM(config)


def test_our_transformer_trains_with_it_as_with_peft_for_five_steps():
    from peft import LoraConfig, get_peft_model

    ours, theirs = tiny_transformer(), tiny_transformer()
    names = add_low_rank(ours, ("query", "value"), rank=2, alpha=8)
    assert len(names) == 4
    theirs = get_peft_model(theirs, LoraConfig(r=2, lora_alpha=8, target_modules=["query", "value"]))
    peft_weights = {name.replace(".default.weight", ""): p for name, p in theirs.named_parameters() if "lora_" in name}
    own_weights = {name: p for name, p in ours.named_parameters() if p.requires_grad}
    assert {f"base_model.model.{name}" for name in own_weights} == set(peft_weights)
    with torch.no_grad():
        for name, weight in own_weights.items():
            weight.copy_(peft_weights[f"base_model.model.{name}"])
    ids = torch.randint(0, 20, (4, 9), generator=torch.Generator().manual_seed(1))
    losses = []
    for model, weights in ((ours, own_weights), (theirs, peft_weights)):
        optimizer = torch.optim.AdamW(list(weights.values()), lr=0.05)
        losses.append([])
        for _ in range(5):
            loss = model(input_ids=ids, labels=ids).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    assert losses[0][-1] < losses[0][0]
    torch.testing.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]), atol=1e-6, rtol=1e-6)
    for name, weight in own_weights.items():
        torch.testing.assert_close(weight, peft_weights[f"base_model.model.{name}"], atol=1e-5, rtol=1e-4)
    ours.eval()
    expected = ours(input_ids=ids).logits
    merge_low_rank(ours)
    assert not any(isinstance(module, LoRALinear) for module in ours.modules())
    torch.testing.assert_close(ours(input_ids=ids).logits, expected, atol=1e-5, rtol=1e-5)
