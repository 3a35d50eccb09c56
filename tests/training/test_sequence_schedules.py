"""Learning rates against their formulas; the options that choose them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlpladder.config import build
from nlpladder.errors import ConfigError
from nlpladder.training.schedules import (
    build_scheduler,
    inverse_sqrt,
    learning_rate_schedule,
    sampling_probability,
)
from nlpladder.training.sequence_options import SequenceTrainingOptions

NAMES = ["linear", "cosine", "inverse_sqrt", "trapezoid", "constant", "constant_with_warmup"]


def rates(total, **settings):
    schedule = learning_rate_schedule(SequenceTrainingOptions(**settings), total)
    return [schedule(update) for update in range(1, total + 1)]


@given(
    name=st.sampled_from(NAMES), total=st.integers(1, 300), steps=st.integers(0, 50), ratio=st.floats(0, 0.9),
    floor=st.floats(0, 0.5),
)  # fmt: skip
def test_every_update_moves_and_none_exceeds_the_peak(name, total, steps, ratio, floor):
    """Trap Training 6: transformers' schedules begin, and inverse_sqrt stays, with an update of rate 0."""
    found = rates(
        total, lr_scheduler=name, warmup_steps=steps, warmup_ratio=ratio, min_learning_rate_ratio=floor
    )  # fmt: skip
    assert all(0 < rate <= 1 for rate in found)


def test_inverse_square_root_is_equation_3_of_vaswani():
    width, steps = 512, 4000
    peak = width**-0.5 * steps**-0.5
    for update in (1, 100, 3999, 4000, 4001, 100_000):
        wanted = width**-0.5 * min(update**-0.5, update * steps**-1.5)
        assert peak * inverse_sqrt(update, warmup_steps=steps) == pytest.approx(wanted, rel=1e-12)


def test_cosine_and_linear_by_hand():
    found = rates(100, lr_scheduler="cosine", warmup_steps=10, min_learning_rate_ratio=0.1)
    assert found[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert found[9] == 1.0
    for update in (11, 50, 100):
        progress = (update - 10) / 91
        assert found[update - 1] == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)
    linear = rates(100, lr_scheduler="linear", warmup_steps=10)
    assert linear[54] == pytest.approx(1 - 45 / 91)
    assert rates(10, lr_scheduler="linear", warmup_ratio=0.0)[0] == 1.0


def test_trapezoid_rises_stays_and_falls():
    found = rates(100, lr_scheduler="trapezoid", warmup_steps=10, cooldown_ratio=0.2)
    assert found[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert set(found[9:80]) == {1.0}
    assert found[80:] == pytest.approx([(20 - index) / 21 for index in range(20)])


def test_warmup_steps_come_before_the_ratio():
    found = rates(100, lr_scheduler="constant_with_warmup", warmup_steps=4, warmup_ratio=0.5)
    assert found[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates(10, lr_scheduler="constant_with_warmup", warmup_ratio=0.5)[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_the_scheduler_gives_the_first_update_the_first_rate():
    """Trap Training 6: torch counts updates done, the formulas the update to come."""
    options = SequenceTrainingOptions(learning_rate=2.0, lr_scheduler="inverse_sqrt", warmup_steps=4)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = build_scheduler(optimizer, options, 10)
    found = []
    for _ in range(6):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert found == pytest.approx([2 * inverse_sqrt(update, warmup_steps=4) for update in range(1, 7)])
    assert found[0] > 0


def test_plateau_divides_by_four_whenever_there_is_no_new_best():
    options = SequenceTrainingOptions(learning_rate=20.0, lr_scheduler="plateau")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=20.0)
    scheduler = build_scheduler(optimizer, options, 10)
    found = []
    for loss in (5.0, 4.0, 4.0, 3.99, 4.1, 4.2):
        scheduler.step(loss)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == [20.0, 20.0, 5.0, 5.0, 1.25, 0.3125]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cooldown_ratio": 1.5}, "cooldown_ratio is a share"),
        ({"warmup_steps": -1}, "warmup_steps must not be negative"),
        ({"evaluate_every": 0}, "evaluate_every must be at least 1"),
        ({"optimizer": "asgd", "average_checkpoints": 3}, "asgd averages"),
        ({"batch_tokens": 100, "group_by_length": False}, "batch_tokens groups by length"),
        ({"validation_steps": 5, "save_steps": 5, "select_best_on": "none"}, "validation_steps writes"),
        ({"plateau_factor": 1.0}, "plateau_factor must lie"),
        ({"early_stopping_patience": 2, "select_best_on": "none"}, "select_best_on"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"adam_epsilon": 0.0}, "adam_epsilon"),
    ],
)
def test_impossible_options_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SequenceTrainingOptions(**settings)


def test_options_are_filled_as_recipes_fill_them():
    options = build(SequenceTrainingOptions, {"lr_scheduler": "plateau", "select_best_on": "bleu"}, where="the test")
    assert options.greater_is_better
    assert not SequenceTrainingOptions().greater_is_better
    with pytest.raises(ConfigError, match="optimizer"):
        build(SequenceTrainingOptions, {"optimiser": "adamw"}, where="the test")
    with pytest.raises(ConfigError, match="trapezoid"):
        build(SequenceTrainingOptions, {"lr_scheduler": "trapezium"}, where="the test")


def test_the_options_import_no_heavy_library():
    import subprocess
    import sys

    code = (
        "import sys, nlpladder.training.sequence_options as _;"
        "sys.exit(str([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules] or ''))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stderr.decode().strip() == ""


@pytest.mark.parametrize(("shape", "middle"), [("linear", 0.2), ("inverse_sigmoid", 0.2)])
def test_scheduled_sampling_begins_with_the_true_tokens_and_ends_at_its_share(shape, middle):
    options = SequenceTrainingOptions(sampling_probability=0.4, sampling_schedule=shape)
    values = [sampling_probability(options, step / 10) for step in range(11)]
    assert values == sorted(values)
    assert values[0] < 0.04
    assert values[5] == pytest.approx(middle)
    assert values[10] == pytest.approx(0.4, rel=0.1)
