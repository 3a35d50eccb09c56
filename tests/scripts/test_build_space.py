"""The folder of a Space: what is in it, what never is, how it starts, and how it is pushed."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys

import pytest
import yaml

from helpers import REPOSITORY, review_rows, run_here, tiny_bert_folder
from loopback_hub import TOKEN, LoopbackHub
from nlpladder.errors import ConfigError, ModelError, RunError
from nlpladder.models.counts.naive_bayes import NaiveBayesClassifier

SCRIPT = "scripts/build_space.py"


def modules():
    """Import the scripts as they import each other."""
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    try:
        return [importlib.import_module(name) for name in ("space_files.choosing", "space_files.texts", "build_space")]
    finally:
        sys.path.remove(str(REPOSITORY / "scripts"))


choosing, texts, build_space = modules()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A climb with one model, and beside it everything that must stay here."""
    folder = tmp_path_factory.mktemp("runs") / "reviews"
    rows = review_rows(40)
    one = NaiveBayesClassifier(label_names=("negative", "positive"))
    one.fit([text for text, _ in rows], [label for _, label in rows])
    run = folder / "naive_bayes" / "seed-0"
    one.save_pretrained(run)
    (run / "metrics.json").write_text(json.dumps({"accuracy": 0.5, "output_dir": str(run)}))
    (run / "predictions.parquet").write_bytes(b"PAR1")
    (run / "error_analysis.md").write_text("a text of the test data")
    (run / "notes.txt").write_text("mine")
    (run / "checkpoints/step-1").mkdir(parents=True)
    (run / "checkpoints/step-1/model.safetensors").write_bytes(b"1234")
    (folder / "ladder.json").write_text(json.dumps({"rows": [], "output_dir": str(folder)}))
    return folder


@pytest.fixture
def runs(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "mine" / "reviews")


@pytest.fixture
def space(runs, tmp_path):
    done = run_here(SCRIPT, "--models", str(runs), "--output_dir", str(tmp_path / "space"))
    assert done.returncode == 0, done.stderr
    assert "reviews/naive_bayes/seed-0" in done.stdout
    return tmp_path / "space"


def paths(folder):
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_the_folder_holds_demo_package_and_models_and_nothing_else(space, runs):
    found = paths(space)
    run = "models/reviews/naive_bayes/seed-0/"
    assert {"README.md", "LICENSE", "app.py", "requirements.txt", "demos/app.py", "demos/shell/style.css"} <= found
    assert {"nlpladder/__init__.py", "nlpladder/py.typed", "models/reviews/ladder.json"} <= found
    assert {path for path in found if path.startswith(run)} == {
        run + name for name in ("README.md", "config.json", "model.safetensors", "vocabulary.json", "metrics.json")
    }
    assert not [path for path in found if path.endswith((".parquet", ".pyc", ".nbi", ".nbc", ".bin", ".csv"))]
    for path in found:
        content = (space / path).read_bytes()
        assert str(runs.parent).encode() not in content, path
        assert str(REPOSITORY).encode() not in content, path
    assert not [entry for entry in space.parent.iterdir() if entry.name.startswith(".space")]


def test_the_head_of_the_card_and_the_requirements_have_the_tested_versions(space):
    head = yaml.safe_load((space / "README.md").read_text().split("---")[1])
    versions = dict(
        line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert head["sdk"] == "gradio"
    assert head["sdk_version"] == versions["gradio"]
    assert head["app_file"] == "app.py"
    assert len(head["short_description"]) <= 60, "the Hub refuses more"
    lines = (space / "requirements.txt").read_text().splitlines()
    assert lines[0] == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert f"torch=={versions['torch'].split('+')[0]}" in lines
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines[1:])
    assert not any(line.startswith("gradio") for line in lines), "the Space installs it by sdk_version"
    head = (space / "README.md").read_text()
    assert "`reviews/naive_bayes/seed-0`" in head


@pytest.mark.slow
def test_it_starts_from_a_copy_without_this_checkout_and_answers(space):
    found = build_space.try_space(space)
    assert found["models"] == ["reviews/naive_bayes/seed-0"]
    assert found["classify"] is True


def test_a_space_that_does_not_start_is_told_with_what_it_wrote(space):
    (space / "app.py").write_text(texts.APP.replace("import app as demo", "raise SystemExit('no way')"))
    with pytest.raises(AssertionError, match="(?s)did not start.*no way"):
        build_space.try_space(space)
    shutil.rmtree(space / "nlpladder")
    with pytest.raises(AssertionError, match="does not use its own nlpladder"):
        build_space.try_space(space)


def test_nothing_is_written_over_and_nothing_half_written_stays(space, runs, tmp_path):
    before = paths(space)
    again = run_here(SCRIPT, "--models", str(runs), "--output_dir", str(space))
    assert again.returncode == 2
    assert "nothing is written over" in again.stderr
    assert paths(space) == before
    small = run_here(SCRIPT, "--models", str(runs), "--output_dir", str(tmp_path / "small"), "--max_mb", "0.1")
    assert small.returncode == 2
    assert "more than --max_mb 0.1" in small.stderr
    assert not (tmp_path / "small").exists()


def test_writing_that_fails_leaves_nothing(tmp_path):
    files = choosing.SpaceFiles({"a.py": tmp_path / "missing.py"}, {"b.py": b""}, ())
    with pytest.raises(FileNotFoundError):
        choosing.write(files, tmp_path / "space")
    assert list(tmp_path.iterdir()) == []


def test_what_must_not_be_in_a_space_is_refused(runs, tmp_path):
    run = runs / "naive_bayes/seed-0"

    def refused(error, sentence):
        with pytest.raises(error, match=sentence):
            choosing.collect({"reviews": runs}, title="t", max_bytes=10**9)

    (run / "model.bin").write_bytes(b"pickle")
    refused(RunError, "can run any program")
    (run / "model.bin").unlink()
    (run / "run.json").write_text(json.dumps({"status": "running"}))
    refused(RunError, "not finished")
    (run / "run.json").unlink()
    (run / "README.md").write_text("hf_" + "a" * 34)
    refused(RunError, "looks like a Hugging Face token")
    (run / "README.md").unlink()
    (run / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/somewhere/base"}))
    refused(RunError, "would not be in the Space")
    (run / "adapter_config.json").unlink()
    link = run / "tokenizer.json"
    link.symlink_to(tmp_path / "outside.json")
    (tmp_path / "outside.json").write_text("{}")
    refused(RunError, "link out of the folder")
    link.unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RunError, match="holds no model"):
        choosing.collect({"empty": empty}, title="t", max_bytes=10**9)
    with pytest.raises(ConfigError, match="no name for a model"):
        choosing.collect({"../x": runs}, title="t", max_bytes=10**9)
    with pytest.raises(RunError, match="There is no folder"):
        choosing.collect({"x": tmp_path / "none"}, title="t", max_bytes=10**9)


def cut(file):
    file.write_bytes(file.read_bytes()[:-9])


@pytest.mark.parametrize(
    "damage, sentence",
    [
        (lambda run: (run / "model.safetensors").unlink(), "holds no weights"),
        (lambda run: cut(run / "model.safetensors"), "model.safetensors is damaged or cut short"),
        (lambda run: cut(run / "config.json"), "config.json"),
    ],
)
def test_damaged_runs_are_refused_before_anything_is_written(runs, tmp_path, damage, sentence):
    damage(runs / "naive_bayes/seed-0")
    with pytest.raises(ModelError, match=sentence):
        choosing.collect({"reviews": runs}, title="t", max_bytes=10**9)


def test_a_neural_model_without_its_tokenizer_is_refused(tmp_path):
    folder = tiny_bert_folder(tmp_path / "bert")
    assert choosing.collect({"bert": folder}, title="t", max_bytes=10**9).models == ("bert",)
    cut(folder / "tokenizer.json")
    with pytest.raises(ModelError, match=r"tokenizer.json is damaged or cut short"):
        choosing.collect({"bert": folder}, title="t", max_bytes=10**9)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").unlink(missing_ok=True)
    with pytest.raises(ModelError, match="no tokenizer.json"):
        choosing.collect({"bert": folder}, title="t", max_bytes=10**9)


def test_a_run_that_is_still_trained_is_told(runs):
    (runs / "bert").mkdir()
    (runs / "bert/run.json").write_text(json.dumps({"status": "running"}))
    with pytest.raises(RunError, match="not finished"):
        choosing.collect({"reviews": runs}, title="t", max_bytes=10**9)


@pytest.mark.parametrize(
    "path, content, sentence",
    [
        ("a.parquet", b"", "no file that a Space"), ("a.sh", b"", "no file that a Space"),
        ("a.md", b"see " + str(REPOSITORY).encode(), "names a folder of this machine"),
    ],
)  # fmt: skip
def test_files_are_checked_one_by_one(path, content, sentence):
    files = choosing.SpaceFiles({}, {path: content}, ())
    with pytest.raises(RunError, match=sentence):
        choosing.check(files, max_bytes=100_000, private=[REPOSITORY])


def test_runs_are_named_and_names_are_not_used_twice(tmp_path, monkeypatch):
    assert build_space.runs_of(["a=x/y", "x/z"]) == {"a": build_space.Path("x/y"), "z": build_space.Path("x/z")}
    with pytest.raises(ConfigError, match="Two runs would be called 'z'"):
        build_space.runs_of(["a/z", "b/z"])
    monkeypatch.setattr(build_space, "TINY", tmp_path / "none")
    with pytest.raises(RunError, match="tiny_ladder.py"):
        build_space.runs_of([])
    refused = run_here(SCRIPT, "--output_dir", str(tmp_path / "s"), "--title", "a: b")
    assert refused.returncode == 2
    assert "one line without a colon" in refused.stderr


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with LoopbackHub() as one, one.patch(monkeypatch, tmp_path / "home"):
        yield one


def push(space, *arguments):
    return run_here(SCRIPT, "--output_dir", str(space), "--folder_is_built", "--push", "tester/ladder", *arguments)


def test_a_space_is_planned_pushed_private_and_read_back(hub, space):
    planned = push(space, "--dry_run", "--yes")
    assert planned.returncode == 0, planned.stderr
    assert "tester/ladder: new, private" in planned.stdout
    assert "Nothing was sent." in planned.stdout
    unasked = push(space)
    assert unasked.returncode == 2
    assert "no terminal to ask in. Say --yes" in unasked.stderr
    assert not hub.repos
    done = push(space, "--yes")
    assert done.returncode == 0, done.stderr
    assert "read back with the right checksum" in done.stdout
    assert set(hub.repos) == {"spaces/tester/ladder"}
    repo = hub.repos["spaces/tester/ladder"]
    assert repo.private
    sent = hub.files("spaces/tester/ladder")
    assert set(sent) == paths(space) | {"nlpladder.json"}
    assert sent["app.py"] == (space / "app.py").read_bytes()
    again = push(space, "--yes")
    assert again.returncode == 0
    assert "Nothing had to be sent." in again.stdout
    everything = planned.stdout + unasked.stderr + done.stdout + done.stderr
    assert TOKEN not in everything


def test_a_space_of_others_and_edits_on_the_hub_are_not_written_over(hub, space):
    hub.add_repo("tester/ladder", {"app.py": b"theirs"}, kind="spaces")
    refused = push(space, "--yes")
    assert refused.returncode == 2
    assert "was not pushed by nlpladder" in refused.stderr
    assert hub.files("spaces/tester/ladder") == {"app.py": b"theirs"}
    assert push(space, "--yes", "--update").returncode == 0
    repo = hub.repos["spaces/tester/ladder"]
    edited = dict(repo.commits[repo.branches["main"]])
    edited["README.md"] = type(edited["README.md"])(b"edited there")
    repo.commit(edited)
    (space / "README.md").write_text("edited here")
    refused = push(space, "--yes")
    assert refused.returncode == 2
    assert "README.md of tester/ladder was edited on the Hub" in refused.stderr
    shutil.move(space / "models/reviews", space / "models/others")
    refused = push(space, "--yes")
    assert "holds another run" in refused.stderr
    assert push(space, "--yes", "--update").returncode == 0
    there = hub.files("spaces/tester/ladder")
    assert not [path for path in there if path.startswith("models/reviews/")], "models that are gone here go there, too"


def test_the_same_push_meets_faults_and_goes_on(hub, space):
    hub.fail_next(503, path="/commit/")
    hub.fail_next(500, path="/preupload/")
    done = push(space, "--yes", "--public")
    assert done.returncode == 0, done.stderr
    assert not hub.repos["spaces/tester/ladder"].private


def test_a_folder_that_is_no_space_and_a_wrong_name_are_refused(hub, tmp_path):
    assert "is no folder that build_space.py wrote" in push(tmp_path, "--yes").stderr
    wrong = run_here(SCRIPT, "--output_dir", str(tmp_path), "--folder_is_built", "--push", "ladder")
    assert wrong.returncode == 2
    assert "expected user/name" in wrong.stderr
