"""The Hub, with `datasets.load_dataset` replaced: what comes back, and every error as one sentence."""

from __future__ import annotations

import datasets
import pytest

from nlpladder.data.loading import load_text_dataset
from nlpladder.data.sources import canonical_splits, kind_of, split_of
from nlpladder.data.unlabeled import load_unlabeled_text
from nlpladder.errors import DataError

FEATURES = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})


def split_rows(prefix, count, label=None):
    labels = [i % 2 if label is None else label for i in range(count)]
    return datasets.Dataset.from_dict(
        {"sentence": [f"{prefix} {i}" for i in range(count)], "label": labels}, features=FEATURES
    )


@pytest.fixture
def hub(monkeypatch):
    asked = []
    found = datasets.DatasetDict(
        {"train": split_rows("train", 40), "validation": split_rows("validation", 10), "test": split_rows("t", 10, -1)}
    )

    def load_dataset(path, name=None, *, revision=None, streaming=False):
        asked.append((path, name, revision))
        if streaming:
            return {split: rows.to_iterable_dataset() for split, rows in found.items()}
        return found

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_glue_shape(hub):
    loaded = load_text_dataset("nyu-mll/glue", config="sst2", revision="abc")
    assert hub == [("nyu-mll/glue", "sst2", "abc")]
    assert loaded.label_names == ("neg", "pos")
    assert list(loaded.splits["test"]["text"]) == [f"validation {i}" for i in range(10)]
    assert any("no labels (all null or -1)" in note for note in loaded.notes)


def test_streaming_from_the_hub(hub):
    loaded = load_text_dataset("nyu-mll/glue", config="sst2", streaming=True, max_train_samples=12)
    rows = list(loaded.splits["train"])
    assert len(rows) == 12
    assert set(rows[0]) == {"text", "label"}
    assert loaded.label_names == ("neg", "pos")
    assert len(loaded.splits["test"]) == 10
    assert loaded.splits["validation"].num_rows + len(list(load_text_dataset(
        "nyu-mll/glue", streaming=True).splits["train"])) == 40  # fmt: skip


def test_unlabeled_text_from_the_hub(hub):
    assert list(load_unlabeled_text("nyu-mll/glue", max_samples=4)["text"][:]) != []
    assert load_unlabeled_text("nyu-mll/glue", split="test").num_rows == 10


class GatedRepoError(Exception):
    """Stands in for the error of the same name."""


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (
            ConnectionError("Couldn't reach 'imdb' on the Hub (OfflineModeIsEnabled)"),
            ["stanfordnlp/imdb", "world:reviews"],
        ),
        (FileNotFoundError("Dataset 'imdb' doesn't exist on the Hub"), ["stanfordnlp/imdb", "namespace/name"]),
        (RuntimeError("Dataset scripts are no longer supported, but found imdb.py"), ["stanfordnlp/imdb", "script"]),
        (GatedRepoError("403"), ["gated", "hf auth login"]),
        (ValueError("Config name is missing. Please pick one among: ['a', 'b']"), ["--dataset_config", "['a', 'b']"]),
        (ValueError("BuilderConfig 'x' not found. Available: ['plain']"), ["no configuration", "plain"]),
        (OSError("disk full"), ["OSError: disk full"]),
    ],
)
def test_errors_become_one_sentence(monkeypatch, error, parts):
    def load_dataset(*arguments, **options):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError) as caught:
        load_text_dataset("imdb", config="x")
    for part in parts:
        assert part in str(caught.value)
    assert "trust_remote_code" not in str(caught.value)


def test_path_or_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    assert kind_of("stanfordnlp/sst2") == "hub"
    assert kind_of("imdb") == "hub"
    assert kind_of("corpus") == "path"
    assert kind_of("hub:corpus") == "hub"
    assert kind_of("world:reviews") == "world"
    for missing in ("train.csv", "data/train.jsonl.gz", "./x", "/no/such/place", "a/b/c", "corpus/inside"):
        with pytest.raises(DataError, match="no file or folder"):
            kind_of(missing)
    with pytest.raises(DataError, match="world:reviews"):
        kind_of("wold:reviews")
    with pytest.raises(DataError, match="hub:corpus/inside"):
        kind_of("corpus/inside")


@pytest.mark.parametrize(
    ("name", "split"),
    [("training", "train"), ("valid", "validation"), ("dev", "validation"), ("my_val", "validation"),
     ("test-00000-of-00001", "test"), ("unsupervised", "unlabeled"), ("contest", None), ("train_test", None)],
)  # fmt: skip
def test_split_names(name, split):
    assert split_of(name) == split


def test_matched_validation_comes_first_and_unused_splits_are_named():
    names = ["train", "validation_matched", "validation_mismatched", "extra"]
    chosen, notes = canonical_splits(names)
    assert chosen == {"train": "train", "validation": "validation_matched"}
    assert any("'validation_mismatched', 'extra'" in note for note in notes)
