from __future__ import annotations

import json

import numpy as np
import pytest

from nlpladder.errors import RunError
from nlpladder.training.run_folder import RunFolder, read_run, replacing, write_json

IDENTITY = {"rung": "bilstm", "seed": 0, "training": {"learning_rate": 0.001}}


def test_the_same_identity_continues_and_another_is_refused_with_the_difference(tmp_path):
    first = RunFolder.open(tmp_path / "run", IDENTITY)
    assert not first.finished
    assert not RunFolder.open(tmp_path / "run", IDENTITY).finished
    first.finish(training_seconds=1.5)
    again = RunFolder.open(tmp_path / "run", IDENTITY)
    assert again.finished
    assert again.record["training_seconds"] == 1.5
    with pytest.raises(RunError, match=r"training\.learning_rate \(0\.001 there, 0\.1 now\)"):
        RunFolder.open(tmp_path / "run", {**IDENTITY, "training": {"learning_rate": 0.1}})


def test_overwriting_needs_to_be_asked_for_and_only_removes_runs(tmp_path):
    RunFolder.open(tmp_path / "run", IDENTITY).finish()
    other = RunFolder.open(tmp_path / "run", {**IDENTITY, "seed": 1}, overwrite=True)
    assert not other.finished
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(RunError, match="thesis"):
            RunFolder.open(tmp_path / "thesis", IDENTITY, overwrite=overwrite)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_predictions_come_back_as_written(tmp_path):
    run = RunFolder.open(tmp_path / "run", IDENTITY)
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], size=7)
    run.write_predictions(probabilities, np.arange(7) % 3)
    found, labels = run.read_predictions()
    assert np.array_equal(found, probabilities)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    run.write_predictions(probabilities, np.eye(3)[np.arange(7) % 3])
    assert run.read_predictions()[1].shape == (7, 3)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"accuracy": np.float64(0.5), "counts": np.arange(3)})
    assert json.loads(path.read_text()) == {"accuracy": 0.5, "counts": [0, 1, 2]}
    with pytest.raises(RuntimeError, match="disk"), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("disk full")
    assert json.loads(path.read_text())["accuracy"] == 0.5
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


def test_a_damaged_record_is_named(tmp_path):
    RunFolder.open(tmp_path / "run", IDENTITY)
    (tmp_path / "run" / "run.json").write_text('{"status": ')
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        read_run(tmp_path / "run")


def test_the_record_tells_versions_and_hardware_but_not_the_machine(tmp_path):
    import getpass
    import socket

    record = RunFolder.open(tmp_path / "run", IDENTITY).record
    assert {"torch", "transformers", "python"} <= set(record["environment"]["versions"])
    assert "cores" in record["environment"]["hardware"]
    text = json.dumps(record["environment"])
    assert socket.gethostname() not in text
    assert f"/{getpass.getuser()}/" not in text
