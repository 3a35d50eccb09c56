from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from warm_processes import run_forked

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("check_gradients")


def logged(check, losses, norms, validation=()):
    return check.Measured(list(losses), list(norms), list(validation))


def test_the_deviation_is_the_largest_of_loss_and_norm_from_the_one_large_batch(check):
    found = [
        logged(check, [2.0, 1.0], [4.0, 1.0], [3.0]),
        logged(check, [2.0, 1.5], [4.4, 1.0], [3.0]),
        logged(check, [2.1, 1.0], [4.0, 0.0], [2.4]),
    ]
    assert check.deviation(found, 0) == pytest.approx(0.1)
    assert check.deviation(found, 1) == pytest.approx(1.0)
    assert check.validation_deviation(found) == pytest.approx(0.2)
    assert check.validation_deviation([logged(check, [2.0], [4.0])] * 4) is None


def test_the_table_has_a_line_for_each_trainer_and_the_json_all_that_was_logged(check):
    each = [logged(check, [2.0, 1.0], [4.0, 1.0], [3.0])] * 4
    found = {("tags", check.OURS): each, ("tags", check.PLAIN): [one._replace(validation=[]) for one in each]}
    lines = check.as_markdown(found).splitlines()
    assert lines[2] == (
        "| tags of words | nlpladder | 2.0000 | 2.0000 | 2.0000 | 2.0000 | 4.0000 | 4.0000 | 4.0000 | 4.0000 | 0.0e+00 "
        "| 0.0e+00 | 0.0e+00 |"
    )
    assert lines[3].startswith("| tags of words | plain Trainer |")
    assert {line.count("|") for line in lines[:4]} == {14}
    rows = json.loads(check.as_json(found))
    assert rows[0]["layouts"]["2x2"] == {"losses": [2.0, 1.0], "norms": [4.0, 1.0], "validation": [3.0]}


def test_a_task_that_does_not_exist_is_refused_before_anything_is_trained(check, capsys):
    with pytest.raises(SystemExit):
        check.main(["--tasks", "tags,tagging"])
    assert "there is no task tagging; there are classification, " in capsys.readouterr().err


def test_every_task_has_a_title(check):
    from gradient_checks import sequences, tasks

    assert set(check.TITLES) == {*tasks.TASKS, *sequences.TASKS}


@pytest.mark.parametrize("task", ["tags", "t5"])
def test_accumulation_changes_the_plain_trainers_step_and_not_ours(check, task):
    """Trap Training 1: a loss that ignores how many labels the step has is multiplied by the micro-batches."""
    from gradient_checks import sequences, tasks

    train = {**tasks.TASKS, **sequences.TASKS}[task]
    cuts = [tasks.Cut(16, 1), tasks.Cut(4, 4)]
    ours, plain = zip(*(check.watched_task(train, cut) for cut in cuts), strict=True)
    assert [len(one.losses) for one in ours] == [2, 2]
    assert max(check.deviation(list(ours), step) for step in (0, 1)) < 1e-5
    usual = [check.train_plain(one, cut) for one, cut in zip(plain, cuts, strict=True)]
    assert usual[0].losses == pytest.approx(ours[0].losses, rel=1e-5), "the same rows and weights in one large batch"
    assert usual[0].norms == pytest.approx(ours[0].norms, rel=1e-4)
    assert check.deviation(usual, 0) > 0.5


@pytest.mark.slow
def test_two_processes_train_a_short_last_step_as_one_does(check, monkeypatch):
    """accelerate fills the last batch up with repeated rows; ours has each row once."""
    monkeypatch.setattr(
        check,
        "launch_processes",
        lambda program, processes: run_forked(*program, processes=processes, ACCELERATE_USE_CPU="true"),
    )
    found = check.measure(["answers", "multi_label", "instructions"])
    for (task, trainer), each in found.items():
        worst = max(check.deviation(each, step) for step in (0, 1))
        if trainer == check.OURS:
            assert worst < 1e-5, task
            assert (check.validation_deviation(each) or 0.0) < 1e-5, task
        else:  # inflated, the softmax over padding, repeated rows
            assert worst > {"multi_label": 0.5, "answers": 0.01, "instructions": 0.001}[task], task
