"""The fused output layer and loss: the same numbers as the plain way, without its logits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ModelError
from nlpladder.nn import output_loss
from nlpladder.nn.output_loss import linear_cross_entropy, token_log_probabilities
from nlpladder.nn.sampled_softmax import sampled_cross_entropy


def make(rows=(3, 5), width=7, vocabulary=11, *, dtype=torch.float64, bias=True, ignored=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(*rows, width, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, width, generator=generator, dtype=dtype, requires_grad=True)
    offset = torch.randn(vocabulary, generator=generator, dtype=dtype, requires_grad=True) if bias else None
    targets = torch.randint(0, vocabulary, rows, generator=generator)
    targets.view(-1)[:ignored] = -100
    return hidden, weight, offset, targets


def plain(hidden, weight, offset, targets, smoothing=0.0):
    logits = F.linear(hidden, weight, offset).flatten(0, -2)
    return F.cross_entropy(logits, targets.flatten(), reduction="sum", label_smoothing=smoothing)


def gradients(loss, *tensors):
    return torch.autograd.grad(loss, [tensor for tensor in tensors if tensor is not None])


@settings(deadline=None, max_examples=40)
@given(
    tokens=st.integers(0, 20), vocabulary=st.integers(1, 30), chunk=st.integers(1, 25), bias=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1, 0.7]), ignored=st.integers(0, 20), seed=st.integers(0, 5),
)  # fmt: skip
def test_value_and_gradients_are_those_of_cross_entropy(tokens, vocabulary, chunk, bias, smoothing, ignored, seed):
    parts = make((tokens,), 6, vocabulary, bias=bias, ignored=min(ignored, tokens), seed=seed)
    hidden, weight, offset, targets = parts
    ours = linear_cross_entropy(hidden, weight, targets, bias=offset, label_smoothing=smoothing, chunk=chunk)
    if not bool((targets != -100).any()):  # torch gives 0 here too, but its gradients are those of nothing
        assert ours.item() == 0
        assert all(not gradient.any() for gradient in gradients(ours, hidden, weight, offset))
        return
    reference = plain(*parts, smoothing)
    torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-10)
    for one, other in zip(
        gradients(ours, hidden, weight, offset), gradients(reference, hidden, weight, offset), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_float32_is_within_1e_5_of_the_plain_way():
    parts = make((64, 4), 32, 500, dtype=torch.float32, ignored=10)
    hidden, weight, offset, targets = parts
    ours = linear_cross_entropy(hidden, weight, targets, bias=offset, label_smoothing=0.1, chunk=33)
    reference = plain(*parts, 0.1)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=0)
    for one, other in zip(
        gradients(ours, hidden, weight, offset), gradients(reference, hidden, weight, offset), strict=True
    ):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def test_gradcheck():
    hidden, weight, offset, targets = make((2, 3), 4, 5, ignored=1)

    def loss(hidden, weight, offset):
        return linear_cross_entropy(hidden, weight, targets, bias=offset, label_smoothing=0.2, chunk=2)

    assert torch.autograd.gradcheck(loss, (hidden, weight, offset))


def test_an_upstream_gradient_other_than_one_scales():
    parts = make()
    hidden, weight, offset, targets = parts
    ours = (linear_cross_entropy(hidden, weight, targets, bias=offset, chunk=4) * -3.5) ** 2
    reference = (plain(*parts) * -3.5) ** 2
    for one, other in zip(
        gradients(ours, hidden, weight, offset), gradients(reference, hidden, weight, offset), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_a_tied_matrix_gets_both_gradients():
    _, weight, _, targets = make(bias=False)
    ids = torch.arange(15).view(3, 5) % 11
    ours = linear_cross_entropy(F.embedding(ids, weight).tanh(), weight, targets, chunk=4)
    reference = plain(F.embedding(ids, weight).tanh(), weight, None, targets)
    torch.testing.assert_close(gradients(ours, weight)[0], gradients(reference, weight)[0])


@pytest.mark.parametrize("frozen", ["hidden", "weight", "bias"])
def test_what_needs_no_gradient_gets_none(frozen):
    hidden, weight, offset, targets = make()
    parts = {"hidden": hidden, "weight": weight, "bias": offset}
    parts[frozen] = parts[frozen].detach()
    linear_cross_entropy(parts["hidden"], parts["weight"], targets, bias=parts["bias"], chunk=3).backward()
    plain_parts = {name: tensor.detach().clone().requires_grad_(name != frozen) for name, tensor in parts.items()}
    plain(plain_parts["hidden"], plain_parts["weight"], plain_parts["bias"], targets).backward()
    for name, tensor in parts.items():
        assert (tensor.grad is None) == (name == frozen)
        if name != frozen:
            torch.testing.assert_close(tensor.grad, plain_parts[name].grad)


def test_under_autocast_products_are_bfloat16_and_the_rest_float32():
    hidden, weight, offset, targets = make((40,), 16, 50, dtype=torch.float32)
    seen = []
    original = F.linear

    def spy(*arguments):
        seen.append(arguments[0].dtype)
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch, torch.autocast("cpu", torch.bfloat16):
        patch.setattr(output_loss.F, "linear", spy)
        ours = linear_cross_entropy(hidden, weight, targets, bias=offset, chunk=16)
    assert set(seen) == {torch.bfloat16}
    assert ours.dtype == torch.float32
    exact = plain(hidden, weight, offset, targets)
    torch.testing.assert_close(ours, exact, rtol=1e-2, atol=0)
    for one, other in zip(
        gradients(ours, hidden, weight, offset), gradients(exact, hidden, weight, offset), strict=True
    ):
        assert one.dtype == torch.float32
        assert F.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.999


def test_bfloat16_weights_get_bfloat16_gradients_summed_in_float32():
    hidden, weight, _, targets = make((300,), 8, 5, dtype=torch.float32, bias=False, ignored=0)
    low = [tensor.detach().bfloat16().requires_grad_() for tensor in (hidden, weight)]
    loss = linear_cross_entropy(*low, targets, chunk=2)
    exact = plain(low[0].float(), low[1].float(), None, targets)
    assert loss.dtype == torch.float32
    one, other = gradients(loss, low[1])[0], gradients(exact, low[1])[0]
    assert one.dtype == torch.bfloat16
    # Added up in bfloat16, 150 chunks would lose most of the digits.
    assert (one.float() - other.float()).abs().max() < 0.02 * other.float().abs().max()


def test_rows_without_a_target_are_never_computed():
    hidden, weight, _, targets = make((6,), 4, 9, bias=False, ignored=5)
    hidden = hidden.detach().clone()
    hidden[:5] = float("nan")
    loss = linear_cross_entropy(hidden.requires_grad_(), weight, targets)
    assert torch.isfinite(loss)
    assert not gradients(loss, hidden)[0][:5].any()


def test_a_chunk_is_all_that_is_ever_there(monkeypatch):
    sizes = []
    original = torch.log_softmax
    monkeypatch.setattr(
        torch, "log_softmax", lambda logits, *rest, **more: sizes.append(len(logits)) or original(logits, *rest, **more)
    )
    hidden, weight, _, targets = make((100,), 4, 9, bias=False, ignored=0)
    linear_cross_entropy(hidden, weight, targets, chunk=32).backward()
    token_log_probabilities(hidden, weight, targets, chunk=32)
    assert sizes == [32, 32, 32, 4] * 2


def test_without_gradients_the_value_is_the_same():
    parts = make(dtype=torch.float32)
    with torch.no_grad():
        ours = linear_cross_entropy(*parts[:2], parts[3], bias=parts[2], label_smoothing=0.1, chunk=4)
    assert not ours.requires_grad
    torch.testing.assert_close(ours, plain(*parts, 0.1).detach())


def test_a_second_derivative_is_refused_not_wrong():
    hidden, weight, _, targets = make(bias=False)
    loss = linear_cross_entropy(hidden, weight, targets) ** 2
    (first,) = torch.autograd.grad(loss, hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_token_log_probabilities_are_a_log_softmax_by_hand():
    hidden, weight, offset, targets = make()
    found = token_log_probabilities(hidden, weight, targets, bias=offset, chunk=4)
    by_hand = F.linear(hidden, weight, offset).log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    assert found.shape == targets.shape
    assert not found.requires_grad
    torch.testing.assert_close(found, torch.where(targets == -100, 0.0, by_hand).detach())
    nothing = torch.full_like(targets, -100)
    assert not token_log_probabilities(hidden, weight, nothing, bias=offset).any()


@pytest.mark.parametrize("num_samples", [11, 400])
def test_a_sample_of_the_whole_vocabulary_gives_the_full_loss(num_samples):
    parts = make()
    hidden, weight, offset, targets = parts
    ours = sampled_cross_entropy(hidden, weight, targets, bias=offset, num_samples=num_samples)
    reference = plain(*parts)
    torch.testing.assert_close(ours, reference)
    for one, other in zip(
        gradients(ours, hidden, weight, offset), gradients(reference, hidden, weight, offset), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("counted", [False, True])
def test_the_expectation_of_the_sampled_normaliser_is_the_full_one(counted):
    hidden, weight, offset, targets = make((6,), ignored=0, vocabulary=12)
    with torch.no_grad():
        scores = F.linear(hidden, weight, offset)
        aimed = scores.gather(1, targets[:, None])[:, 0]
        full = torch.logsumexp(scores, 1)
        generator = torch.Generator().manual_seed(1)
        proposal = torch.arange(1.0, 13.0) if counted else None
        one_row = [
            [
                sampled_cross_entropy(
                    hidden[row : row + 1], weight, targets[row : row + 1], bias=offset, num_samples=5,
                    proposal=proposal, generator=generator,
                ).item()
                for _ in range(1500)
            ]
            for row in range(6)
        ]  # fmt: skip
    normalisers = torch.tensor(one_row, dtype=torch.float64).exp() * aimed.exp()[:, None]
    error = normalisers.std(1) / 1500**0.5
    assert ((normalisers.mean(1) - full.exp()).abs() < 4.5 * error).all()


def test_the_sample_is_shared_reproducible_and_leaves_the_target_its_place():
    hidden, weight, offset, targets = make()

    def loss(seed):
        generator = torch.Generator().manual_seed(seed)
        return sampled_cross_entropy(hidden, weight, targets, bias=offset, num_samples=3, generator=generator)

    assert loss(0) == loss(0)
    assert loss(0) != loss(1)
    assert loss(0) > 0
    # Only the sampled rows and the targets' rows of the matrix get a gradient.
    touched = gradients(loss(0), weight)[0].abs().sum(1) > 0
    assert touched.sum() <= len(targets[targets != -100].unique()) + 3


def test_sampled_softmax_learns_what_the_full_softmax_learns():
    torch.manual_seed(0)
    hidden = torch.eye(20)
    weight = torch.zeros(20, 20, requires_grad=True)
    targets = torch.arange(20).roll(3)
    optimizer = torch.optim.Adam([weight], lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        sampled_cross_entropy(hidden, weight, targets, num_samples=6).backward()
        optimizer.step()
    assert linear_cross_entropy(hidden, weight, targets) / 20 < 0.2


def test_mistakes_are_told_in_sentences():
    hidden, weight, offset, targets = make()
    with pytest.raises(ModelError, match="do not fit"):
        linear_cross_entropy(hidden, weight, targets[:2])
    with pytest.raises(ModelError, match="do not fit"):
        linear_cross_entropy(hidden, weight[:, :3], targets)
    with pytest.raises(ModelError, match="bias"):
        linear_cross_entropy(hidden, weight, targets, bias=offset[:3])
    wrong = targets.clone()
    wrong[-1, -1] = 11
    for call in (linear_cross_entropy, token_log_probabilities):
        with pytest.raises(ModelError, match="ids 0 to 10"):
            call(hidden, weight, wrong)
    with pytest.raises(ModelError, match="ids 0 to 10"):
        sampled_cross_entropy(hidden, weight, wrong, num_samples=3)
    with pytest.raises(ModelError, match="at least 1 sampled"):
        sampled_cross_entropy(hidden, weight, targets, num_samples=0)
    with pytest.raises(ModelError, match="positive weight"):
        sampled_cross_entropy(hidden, weight, targets, num_samples=3, proposal=torch.zeros(11))
    with pytest.raises(ModelError, match="chunk is 0"):
        linear_cross_entropy(hidden, weight, targets, chunk=0)
