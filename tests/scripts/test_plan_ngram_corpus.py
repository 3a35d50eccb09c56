"""The plan for large corpora: growth of a sample with known growth, and the program as a user runs it."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from helpers import REPOSITORY


@pytest.fixture
def program(monkeypatch):
    specification = importlib.util.spec_from_file_location("plan", REPOSITORY / "scripts" / "plan_ngram_corpus.py")
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "plan", module)
    specification.loader.exec_module(module)
    return module


def growth(program, exponent):
    tokens = np.array([1e5, 2e5, 4e5, 8e5])
    return program.Growth(tokens, 50 * tokens[:, None] ** [exponent], 1e-8, 1e-7, 1e-7, 40.0)


def test_a_power_law_is_continued_and_bounded_by_the_tokens(program):
    assert growth(program, 0.6).expected_ngrams(1e9) == pytest.approx([50 * 1e9**0.6])
    assert growth(program, 1.5).expected_ngrams(1e12)[0] <= 1e12


def test_more_shards_need_less_memory_each_and_the_same_in_all(program):
    one, ten = (program.plan(growth(program, 0.7), 1e9, shards) for shards in (1, 10))
    assert ten["a shard's counts, GiB"] < one["a shard's counts, GiB"]
    assert ten["counting a shard, hours"] == pytest.approx(one["counting a shard, hours"] / 10)
    assert ten["model, GiB"] == one["model, GiB"] == pytest.approx(50 * 1e9**0.7 * 16 / 0.75 / 2**30)


def test_a_user_gets_a_table(program, tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = [" ".join(f"w{number}" for number in rng.zipf(1.3, 12) % 5000) for _ in range(900)]
    (tmp_path / "sample.txt").write_text("\n".join(lines))
    assert program.main(["--corpus", str(tmp_path / "sample.txt"), "--tokens", "1e9", "1e11", "--order", "3"]) == 0
    printed = capsys.readouterr().out
    assert "| tokens | 1.0 G | 100.0 G |" in printed
    assert "| shards | 1 | 47 |" in printed
    assert "3-grams" in printed
    with pytest.raises(SystemExit):
        program.main(["--corpus", str(tmp_path / "sample.txt"), "--tokens", "1e11", "--num_shards", "2"])
    assert "at least 47 shards" in capsys.readouterr().err
