"""Every rung is pushed by a real client and answers the same when a fresh process loads it by its name on the Hub."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from helpers import REPOSITORY
from hub.every_rung import PARTS
from nlpladder.errors import RunError


@pytest.fixture
def script(monkeypatch):
    """The script as a module: its machinery is what is tested."""
    spec = importlib.util.spec_from_file_location("check_hub_script", REPOSITORY / "scripts" / "check_hub.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_rung_comes_back_with_equal_answers(script, tmp_path):
    for part, (save, _) in PARTS.items():
        save(tmp_path / part)
    # The parts one after the other, so that the classic ones come first and meet the faults, each of which waits for
    # seconds; all at once, because the two processes of a check take longer to start than to push or load a part.
    rows = script.check([tmp_path / part for part in PARTS], faults=2)
    assert {row["model"]: row["error"] for row in rows if not row["equal"]} == {}
    number = sum(models for _, models in PARTS.values())
    assert len(rows) == number
    assert [row["faults"] for row in rows] == [6, 6, *[None] * (number - 2)]
    text = script.table(rows)
    assert text.count("| equal |") == number


def test_bases_come_before_their_adapters_and_names_are_told_apart(script, tmp_path):
    for name in ("a/seed-0", "b/seed-0", "z_base"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "a_lora").mkdir()
    (tmp_path / "a_lora" / "adapter_config.json").write_text('{"base_model_name_or_path": "./../z_base"}')
    cases = script.find_cases([tmp_path / "a", tmp_path / "b", tmp_path / "a_lora"], "tester")
    assert [case.repo_id for case in cases] == [
        "tester/a-seed-0", "tester/b-seed-0", "tester/z_base", "tester/a_lora",
    ]  # fmt: skip
    assert cases[-1].base == "tester/z_base"
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="holds no saved model"):
        script.find_cases([tmp_path / "empty"], "tester")
