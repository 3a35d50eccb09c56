"""What every run goes through."""

from __future__ import annotations

import pytest

from nlpladder.errors import DataError, RunError
from nlpladder.runs import carry_out


class Calls:
    def __init__(self, error=None):
        self.trained = 0
        self.error = error

    def train(self, folder):
        self.trained += 1
        if self.error:
            raise self.error
        return "model"

    def finish(self, trained, folder):
        assert trained == "model"
        folder.write_metrics({"scores": {}, "n": 1})
        folder.finish(notes=[])


def test_a_finished_run_is_read_and_not_trained_again(tmp_path):
    calls = Calls()
    for _ in range(2):
        run = carry_out({"seed": 1}, tmp_path / "run", train=calls.train, finish=calls.finish)
        assert run.record["status"] == "finished"
        assert run.metrics["n"] == 1
    assert calls.trained == 1
    carry_out({"seed": 2}, tmp_path / "run", train=calls.train, finish=calls.finish, overwrite=True)
    assert calls.trained == 2


def test_a_run_of_other_arguments_is_refused_before_training(tmp_path):
    calls = Calls()
    carry_out({"seed": 1}, tmp_path / "run", train=calls.train, finish=calls.finish)
    with pytest.raises(RunError, match="seed"):
        carry_out({"seed": 2}, tmp_path / "run", train=calls.train, finish=calls.finish)
    assert calls.trained == 1


def test_a_run_that_fails_before_it_wrote_anything_leaves_no_folder(tmp_path):
    calls = Calls(DataError("no text"))
    with pytest.raises(DataError):
        carry_out({"seed": 1}, tmp_path / "run", train=calls.train, finish=calls.finish)
    assert not (tmp_path / "run").exists()
