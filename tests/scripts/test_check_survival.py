"""The machinery of the crash table; real recipes go through it in tests/training/test_resume.py."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    specification = importlib.util.spec_from_file_location("check_survival", SCRIPTS / "check_survival.py")
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "check_survival", module)
    specification.loader.exec_module(module)
    return module


def survival(script, **changes):
    values = {
        "case": "lstm", "fault": "kill", "code": -9, "expected_code": -9, "lost_steps": 4, "same_weights": True,
        "same_scores": True, "note": "",
    }  # fmt: skip
    return script.Survival(**{**values, **changes})


def test_the_table_shows_what_was_lost_and_whatever_is_not_as_it_must_be(script):
    found = [
        survival(script), survival(script, fault="term", code=143, expected_code=143, lost_steps=0),
        survival(script, case="t5", same_weights=False), survival(script, case="t5", fault="disk", code=1),
    ]  # fmt: skip
    assert script.to_markdown(found).splitlines() == [
        "| recipe | kill | term | disk |",
        "|---|---|---|---|",
        "| lstm | 4 lost, same bits | 0 lost, same bits |  |",
        "| t5 | **other weights** |  | **code 1** |",
    ]
    assert [each.survived for each in found] == [True, True, False, False]


def test_faults_strike_in_the_middle(script):
    assert script._kind_and_moment("kill", 18) == ("kill", 10, "")
    assert script._kind_and_moment("save-mark", 18) == ("save", 2, "mark")
    assert script._kind_and_moment("disk", 18) == ("disk", 2, "")


def test_one_changed_byte_makes_other_weights(script, tmp_path):
    for name, content in (("a", b"1234"), ("b", b"1235")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(content)
    assert script.weights_of(tmp_path / "a") == script.weights_of(tmp_path / "a")
    assert script.weights_of(tmp_path / "a") != script.weights_of(tmp_path / "b")


RECIPE = """
import json, sys
from pathlib import Path

folder = Path(sys.argv[sys.argv.index("--output_dir") + 1])
folder.mkdir(parents=True, exist_ok=True)
state = folder / "state"
done = int(state.read_text()) if state.exists() else 0
for step in range(done, 6):
    Steps.step()
    state.write_text(str(step + 1) if step % 2 else str(step))
(folder / "model.safetensors").write_bytes(b"x" * (6 + WRONG * done))
(folder / "metrics.json").write_text('{"scores": 1}')
(folder / "run.json").write_text(json.dumps({"notes": [f"continued from checkpoint-{done}"]}))
"""


class Steps:
    @staticmethod
    def step():
        pass


class Kill:
    """A fault without any library."""

    def __init__(self, kind, at, stage):
        self.at = at

    def inject(self):
        counted, calls = Steps.step, []

        def struck():
            calls.append(1)
            if len(calls) == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            counted()

        Steps.step = struck


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_struck_run_is_started_again_and_compared(script, wrong, monkeypatch, tmp_path):
    """A toy program keeps its state every second step; with `wrong`, its result depends on where it went on."""
    from survival_checks import faults

    def run(path, arguments, fault):
        namespace = {"Steps": Steps, "WRONG": wrong}
        if fault is not None:
            fault.inject()
        sys.argv = [str(path), *arguments]
        exec(RECIPE, namespace)
        return 0

    def count(file):
        descriptor, made, original = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), [0], Steps.step

        def counted():
            original()
            made[0] += 1
            os.pwrite(descriptor, str(made[0]).encode(), 0)

        Steps.step = counted

    monkeypatch.setattr(faults, "_run", run)
    monkeypatch.setattr(faults, "count_updates", count)
    monkeypatch.setattr(script, "Fault", Kill)
    monkeypatch.setitem(script.CASES, "toy", script.Case("toy.py", ()))
    found = script.Survivals(tmp_path, None).disturbed("toy", "kill")
    assert found.code == -9
    assert found.lost_steps == 1, "step 3 was made, and not yet kept"
    assert found.same_weights is (wrong == 0)
    assert found.same_scores
    assert found.note == "continued from checkpoint-2"


def test_what_is_unknown_is_refused_before_anything_runs(script, tmp_path, capsys):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text(json.dumps({}))
    for arguments in (["--cases", "lstn"], ["--faults", "flood"], ["--folder", str(tmp_path / "old")]):
        with pytest.raises(SystemExit) as end:
            script.main(arguments)
        assert end.value.code == 2
    said = capsys.readouterr().err
    assert "'lstn' is unknown; there are classifier, lstm" in said
    assert "holds files already" in said
