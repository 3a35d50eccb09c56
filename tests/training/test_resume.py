"""Killed with -9 and started again with the same command, a run ends with the weights of the uninterrupted one."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from helpers import REPOSITORY, review_rows, tiny_bert_folder
from nlpladder.training.trainer import COMPLETE_MARK, last_complete_checkpoint


def write_csv(folder: Path) -> Path:
    folder.mkdir()
    for number, (split, size) in enumerate((("train", 160), ("validation", 20), ("test", 20))):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows((text, ("bad", "good")[label]) for text, label in review_rows(size, seed=number))
    return folder


def start(data, output, *more):
    command = [
        sys.executable, "recipes/train_text_classifier.py", "--dataset", str(data), "--output_dir", str(output),
        "--training.num_train_epochs", "3", "--training.batch_size", "8", "--training.warmup_ratio", "0.1", *more,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def kill_after_checkpoint(process, checkpoints, count):
    """Wait for the `count`-th whole checkpoint, then kill -9; the next step is already at work."""
    deadline = time.monotonic() + 120
    while len(list(checkpoints.glob(f"*/{COMPLETE_MARK}"))) < count:
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"The run ended before it could be killed: {process.communicate()[0][-2000:]}")
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rung", "more"),
    [
        ("bilstm", ("--training.save_steps", "7", "--training.select_best_on", "none", "--model.hidden_size", "64")),
        ("bert_lora", ("--training.select_best_on", "accuracy")),
    ],
)
def test_killed_with_9_and_started_again_it_ends_with_the_same_weights(rung, more, tmp_path):
    data = write_csv(tmp_path / "data")
    if rung == "bert_lora":
        more = (*more, "--encoder", str(tiny_bert_folder(tmp_path / "encoder")))
    uninterrupted = start(data, tmp_path / "straight", "--rung", rung, *more)
    output = uninterrupted.communicate()[0]
    assert uninterrupted.returncode == 0, output[-3000:]
    process = start(data, tmp_path / "killed", "--rung", rung, *more)
    kill_after_checkpoint(process, tmp_path / "killed" / "checkpoints", 2)
    assert json.loads((tmp_path / "killed" / "run.json").read_text())["status"] == "running"
    again = start(data, tmp_path / "killed", "--rung", rung, *more)
    output = again.communicate()[0]
    assert again.returncode == 0, output[-3000:]
    record = json.loads((tmp_path / "killed" / "run.json").read_text())
    assert record["status"] == "finished"
    assert any("continued from checkpoint-" in note for note in record["notes"])
    name = "adapter_model.safetensors" if rung == "bert_lora" else "model.safetensors"
    first, second = load_file(tmp_path / "straight" / name), load_file(tmp_path / "killed" / name)
    assert first.keys() == second.keys()
    assert all((first[key] == second[key]).all() for key in first)
    metrics = [json.loads((tmp_path / run / "metrics.json").read_text())["scores"] for run in ("straight", "killed")]
    assert metrics[0] == metrics[1]
    assert not (tmp_path / "killed" / "checkpoints").exists()


def test_a_checkpoint_that_was_cut_off_is_not_resumed_from(tmp_path):
    for step, complete in ((5, True), (10, True), (15, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text("{}")
        if complete:
            (folder / COMPLETE_MARK).touch()
    (tmp_path / "checkpoint-notes").mkdir()
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert not (tmp_path / "checkpoint-15").exists()
    assert (tmp_path / "checkpoint-notes").exists()
    assert last_complete_checkpoint(tmp_path / "nowhere") is None
