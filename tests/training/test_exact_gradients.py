"""Loss and gradient do not depend on accumulation or on the number of processes (trap "Trainer inflates loss")."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from helpers import run_python

PROGRAM = Path(__file__).parent / "gradients.py"
TASKS = ["single_label", "multi_label", "regression", "token", "masked"]


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("gradients_program", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def measure(program, task, accumulation, folder):
    program.main(task, accumulation, str(folder / "result.json"))
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("task", TASKS)
def test_accumulated_micro_batches_give_the_gradient_of_one_batch(program, task, tmp_path):
    whole = measure(program, task, 1, tmp_path)
    for accumulation in (2, 8):
        parts = measure(program, task, accumulation, tmp_path)
        assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
        assert parts["norm"] == pytest.approx(whole["norm"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["single_label", "token"])
def test_two_processes_give_the_gradient_of_one_batch(program, task, tmp_path):
    whole = measure(program, task, 1, tmp_path)
    output = tmp_path / "two.json"
    result = run_python(
        "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(PROGRAM), task, "2", str(output),
        ACCELERATE_USE_CPU="true",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    two = json.loads(output.read_text())
    assert two["world"] == 2
    assert two["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert two["norm"] == pytest.approx(whole["norm"], rel=1e-4)
