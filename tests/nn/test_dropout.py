from __future__ import annotations

import pytest
import torch

from nlpladder.nn.dropout import drop_units


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_is_dropped_and_the_mean_is_kept(rate, dtype):
    torch.manual_seed(0)
    found = drop_units(torch.ones(100_003, dtype=dtype), rate)  # not a multiple of eight
    share = (found == 0).double().mean().item()
    assert share == pytest.approx(rate, abs=0.5 / 256 + 0.006)
    kept = found[found != 0]
    assert torch.equal(kept, kept[0].expand_as(kept))
    assert found.double().mean().item() == pytest.approx(1.0, abs=0.015)


def test_units_are_dropped_independently_of_their_neighbours():
    torch.manual_seed(0)
    kept = (drop_units(torch.ones(200_000), 0.5) != 0).double()
    for lag in range(1, 17):
        correlation = torch.corrcoef(torch.stack([kept[:-lag], kept[lag:]]))[0, 1].item()
        assert abs(correlation) < 0.015, lag


def test_the_gradient_goes_through_what_was_kept():
    torch.manual_seed(0)
    states = torch.randn(7, 5, requires_grad=True)
    found = drop_units(states, 0.25)
    found.sum().backward()
    assert torch.equal(states.grad != 0, found != 0)
    assert torch.allclose(states.grad[found != 0], torch.full((), 4 / 3))


def test_the_seed_fixes_the_mask_and_a_rate_of_zero_drops_nothing():
    states = torch.ones(64)
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(drop_units(states, 0.4))
    assert torch.equal(*masks)
    assert not torch.equal(masks[0], drop_units(states, 0.4))
    assert drop_units(states, 0.0) is states
