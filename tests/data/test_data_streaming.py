"""Streams: the same rows, labels and checks as loading, without holding the training rows."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from nlpladder.data.loading import load_text_dataset
from nlpladder.errors import DataError


@pytest.fixture
def folder(tmp_path):
    def write(split, rows):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))

    write("train", [{"text": f"t{i}", "label": "ab"[i % 2]} for i in range(100)])
    write("validation", [{"text": f"v{i}", "label": "ab"[i % 2]} for i in range(10)])
    write("test", [{"text": f"t{i}", "label": "ab"[i % 2]} for i in range(6)])
    return tmp_path


def test_stream_equals_loaded(folder):
    loaded, streamed = load_text_dataset(str(folder)), load_text_dataset(str(folder), streaming=True)
    for _ in range(2):
        assert list(streamed.splits["train"]) == list(loaded.splits["train"])
    assert streamed.fingerprint == loaded.fingerprint
    assert streamed.label_table() == loaded.label_table()
    assert streamed.streaming
    assert "6 of 6 test texts are exact copies of training texts." in streamed.notes
    assert "streamed" in streamed.describe()


def test_limits_are_stratified(folder):
    streamed = load_text_dataset(str(folder), streaming=True, max_train_samples=10, max_eval_samples=4)
    assert Counter(row["label"] for row in streamed.splits["train"]) == {0: 5, 1: 5}
    assert len(streamed.splits["validation"]) == 4
    assert streamed.label_table()[0]["train"] == 5


def test_stream_is_cut_by_content(folder):
    path = str(folder / "train.jsonl")
    first, other = (load_text_dataset(path, streaming=True, split_seed=seed) for seed in (1, 2))
    parts = [{row["text"] for row in first.splits[split]} for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 100
    assert set().union(*parts) == {f"t{i}" for i in range(100)}
    assert 5 <= len(parts[2]) <= 40
    assert {row["text"] for row in other.splits["test"]} != parts[2]


def test_validation_serves_as_test(folder):
    (folder / "test.jsonl").unlink()
    streamed = load_text_dataset(str(folder), streaming=True)
    assert list(streamed.splits["test"]["text"]) == [f"v{i}" for i in range(10)]
    assert len(list(streamed.splits["train"])) + len(streamed.splits["validation"]) == 100


def test_regression_and_multi_label(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"t{i}", "label": i / 7}) for i in range(60)))
    streamed = load_text_dataset(str(path), streaming=True)
    assert streamed.task == "regression"
    assert {row["text"]: row["label"] for row in streamed.splits["train"]}.items() <= {
        f"t{i}": i / 7 for i in range(60)
    }.items()
    path.write_text("\n".join(json.dumps({"text": f"t{i}", "label": ["a", "b"][: i % 3]}) for i in range(60)))
    rows = list(load_text_dataset(str(path), streaming=True).splits["train"])
    assert {tuple(row["label"]) for row in rows} == {(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)}


def test_bad_rows_are_found_before_training(folder):
    with (folder / "train.jsonl").open("a") as handle:
        handle.write('\n{"text": "  ", "label": "a"}\n{"text": "x", "label": null}\n{"text": null, "label": "b"}')
    with pytest.raises(
        DataError, match=r"2 rows without text: lines 101, 103.*1 row without a label \(label\): line 102"
    ):
        load_text_dataset(str(folder), streaming=True)
    streamed = load_text_dataset(str(folder), streaming=True, drop_bad_rows=True)
    assert len(list(streamed.splits["train"])) == 100
    assert any("Dropped from train" in note for note in streamed.notes)


def test_broken_line_and_unknown_label(folder):
    with (folder / "test.jsonl").open("a") as handle:
        handle.write('\n{"text": "x", "label": "c"}')
    with pytest.raises(DataError, match=r"line 7: the label 'c' never occurs"):
        load_text_dataset(str(folder), streaming=True)
    with (folder / "train.jsonl").open("a") as handle:
        handle.write('\n{"text": ')
    with pytest.raises(DataError, match="line 101"):
        load_text_dataset(str(folder), streaming=True)


def test_shards_are_spread_over_workers(tmp_path):
    for shard in range(2):
        rows = [{"text": f"s{shard} {i}", "label": i % 2} for i in range(20)]
        (tmp_path / f"train-{shard}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    streamed = load_text_dataset(str(tmp_path), streaming=True)
    assert streamed.splits["train"].num_shards == 2
    whole = [row["text"] for row in streamed.splits["train"]]
    parts = [row["text"] for i in range(2) for row in streamed.splits["train"].shard(2, i)]
    assert sorted(parts) == sorted(whole)
