"""The tab that shows how to push: the command is right and quoted, and nothing is sent or asked."""

from __future__ import annotations

import importlib.util
import os
import shlex
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos.run_folders import make_run
from nlpladder.errors import ConfigError
from shell.limits import DemoError
from tabs.runs import run_choices
from tabs.runs_reading import Run, find_runs
from tabs.share import share, shareable_runs
from tabs.share_command import push_command


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    make_run(tmp_path / "outputs" / "lstm")
    make_run(tmp_path / "outputs" / "begun", finished=False)
    (make_run(tmp_path / "outputs" / "no model") / "config.json").unlink()
    return tmp_path / "outputs"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("the page asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("huggingface_hub.get_token", refuse)


def share_of(models_dir: Path, *, repo_id: str = "ada/lstm", public: bool = False, license: str = "",
             language: str = "", base: str = "", run: str = "lstm") -> tuple:  # fmt: skip
    return share(models_dir, "outputs", run, repo_id, public, license, language, base)


def test_the_command_is_private_unless_told_otherwise(models_dir: Path) -> None:
    assert share_of(models_dir)[0] == "python scripts/push_to_hub.py outputs/lstm ada/lstm"
    told = share_of(models_dir, public=True, license="apache-2.0", language="en, de", base="ada/base")[0]
    assert told.endswith("ada/lstm --public --license apache-2.0 --language en,de --base_model ada/base")


def test_the_script_takes_the_command(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = share_of(models_dir, public=True, license="mit", language="en", base="ada/base")[0]
    path = Path(__file__).parents[2] / "scripts" / "push_to_hub.py"
    spec = importlib.util.spec_from_file_location("push_script", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    seen = []
    monkeypatch.setattr(
        "nlpladder.hub.pushing.publish", lambda folder, options, ask=None: seen.append((folder, options))
    )
    monkeypatch.setattr(sys, "argv", shlex.split(command)[1:])
    script.main()
    folder, options = seen[0]
    assert str(folder) == "outputs/lstm"
    assert (options.push_to_hub, options.hub_public, options.hub_license) == ("ada/lstm", True, "mit")
    assert (options.hub_language, options.hub_base_model, options.hub_yes) == ("en", "ada/base", False)


@given(name=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0/"), min_size=1, max_size=20))
def test_any_name_of_a_folder_is_quoted(name: str) -> None:
    run = Run(name, Path(name), {})
    parts = shlex.split(push_command(run, "ada/lstm", models_dir="my runs"))
    assert parts[2:] == [f"my runs/{name}" if name != "." else "my runs", "ada/lstm"]


@pytest.mark.parametrize(
    "given_",
    [{"repo_id": "lstm"}, {"repo_id": "ada/x; rm -rf ~"}, {"license": "$(id)"}, {"language": "english!"},
     {"base": "../base"}, {"repo_id": "a" * 300}],
)  # fmt: skip
def test_what_is_no_name_is_told(given_: dict, models_dir: Path) -> None:
    with pytest.raises((ConfigError, DemoError)):
        share_of(models_dir, **given_)


def test_without_a_repository_a_placeholder_stands_in_the_command(models_dir: Path) -> None:
    for nothing in ("", "  ", None):
        command, told, files, *_ = share_of(models_dir, repo_id=nothing)
        assert command == "python scripts/push_to_hub.py outputs/lstm YOUR-NAME/lstm"
        assert told.startswith("**Put your name first:**")
        assert "**Ready.**" not in told
        assert not files.empty
    make_run(models_dir / "climb of mine" / "bi lstm" / "seed-0")
    assert share_of(models_dir, repo_id="", run="climb of mine/bi lstm/seed-0")[0].endswith(" YOUR-NAME/bi-lstm")


def test_the_newest_run_is_offered_first(models_dir: Path) -> None:
    for age, name in enumerate(("z", "a", "m")):
        file = make_run(models_dir / name) / "config.json"
        os.utime(file, (3e9 - age, 3e9 - age))
    assert [name for _, name in shareable_runs(models_dir)] == ["z", "a", "m", "lstm"]
    assert [name for _, name in run_choices(models_dir)][:3] == ["z", "a", "m"]


def test_the_files_and_the_card_are_shown_as_they_would_be_sent(models_dir: Path) -> None:
    _, verdict, files, head, card = share_of(models_dir)
    rows = {row[0]: row[2] for row in files.values.tolist()}
    assert rows["model.safetensors"] == "sent as it is"
    assert "stays here" in rows["predictions.parquet"]
    assert rows["run.json"] == "paths of this machine cut to their last part"
    assert verdict.startswith("**Ready.**")
    assert head == "license: mit"
    assert "<img" not in card
    assert "# A model" in card


def test_what_stops_a_push_is_told_without_the_folder(models_dir: Path) -> None:
    (models_dir / "lstm" / "weights.bin").write_bytes(b"pickle")
    _, verdict, files, _, _ = share_of(models_dir)
    assert "**Not yet.**" in verdict
    assert "lstm/weights.bin is in a format that can run any program" in verdict
    assert str(models_dir) not in verdict
    assert files.empty
    assert "is not finished" in share_of(models_dir, run="begun")[1]


def test_only_finished_runs_with_a_model_are_offered(models_dir: Path) -> None:
    assert shareable_runs(models_dir) == [("lstm: bidirectional LSTM", "lstm")]
    with pytest.raises(DemoError, match="Did you mean 'lstm'"):
        share_of(models_dir, run="lstn")
    assert [run.name for run in find_runs(models_dir)] == ["begun", "lstm", "no model"]
