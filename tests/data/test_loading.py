"""Columns, labels, splits, folders and formats of labelled data."""

from __future__ import annotations

import json
import subprocess
import sys

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlpladder.data import source_split
from nlpladder.data.loading import load_text_dataset
from nlpladder.data.unlabeled import load_unlabeled_text
from nlpladder.data.worlds import registry
from nlpladder.errors import DataError


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def rows_with(labels, **columns):
    return [
        {"text": f"text {i}", "label": label, **{k: v[i] for k, v in columns.items()}} for i, label in enumerate(labels)
    ]


def load(tmp_path, labels, **options):
    return load_text_dataset(str(write_jsonl(tmp_path / "data.jsonl", rows_with(labels))), **options)


def all_pairs(loaded):
    return {
        text: label
        for split in (loaded.splits[name] for name in ("train", "validation", "test"))
        for text, label in zip(split["text"], split["label"], strict=True)
    }


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "a", "c"], ("a", "b", "c")),
        ([5, 1, 10], ("1", "5", "10")),
        (["5", "1", "10"], ("1", "5", "10")),
        ([True, False], ("false", "true")),
        (["True", "FALSE"], ("false", "true")),
        ([2.0, 1.0], ("1", "2")),
        ([" pos", "neg ", "pos"], ("neg", "pos")),
        (["01", "1"], ("01", "1")),
    ],
)
def test_label_order_is_stable(tmp_path, labels, names):
    loaded = load(tmp_path, labels * 12)
    assert loaded.label_names == names
    assert loaded.task == "single_label"
    wanted = {str(v).strip().lower() for v in labels} if names[0] == "false" else None
    assert wanted is None or wanted == set(names)
    assert {type(label) for label in all_pairs(loaded).values()} == {int}
    assert isinstance(loaded.splits["train"].features["label"], datasets.ClassLabel)


def test_integers_that_became_floats_because_a_value_is_missing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"t{i},{i % 3 + 1}.0\n" for i in range(30)) + "none,\nnan,nan\n")
    with pytest.raises(DataError, match="2 rows without a label"):
        load_text_dataset(str(path))
    loaded = load_text_dataset(str(path), drop_bad_rows=True)
    assert loaded.label_names == ("1", "2", "3")
    assert any("floats that are all integers" in note for note in loaded.notes)


def test_floats_are_regression(tmp_path):
    labels = [i / 7 for i in range(40)]
    loaded = load(tmp_path, labels)
    assert loaded.task == "regression"
    assert loaded.label_names == ()
    assert loaded.label_table() == []
    assert all_pairs(loaded) == {f"text {i}": label for i, label in enumerate(labels)}
    assert "mean" in loaded.describe()


def test_task_overrides(tmp_path):
    stars = load(tmp_path, [1, 2, 3] * 10, task="regression")
    assert set(all_pairs(stars).values()) == {1.0, 2.0, 3.0}
    assert load(tmp_path, [0.5, 1.5] * 10, task="single_label").label_names == ("0.5", "1.5")
    with pytest.raises(DataError, match=r"lines 2, 5, 8, 11, 14: the label 'two' is not a number"):
        load(tmp_path, ["1", "two", "3"] * 5, task="regression")


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        ([["b", "a"], ["a"], []], {}),
        (["b|a", "a", ""], {"label_separator": "|"}),
        (["b; a", "a", ""], {"task": "multi_label"}),
        (["['b', 'a']", '["a"]', "[]"], {}),
    ],
)
def test_multi_label_forms(tmp_path, labels, options):
    loaded = load(tmp_path, labels * 10, **options)
    assert loaded.task == "multi_label"
    assert loaded.label_names == ("a", "b")
    pairs = all_pairs(loaded)
    assert [pairs[f"text {i}"] for i in range(3)] == [[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
    assert sum(row["train"] + row["validation"] + row["test"] for row in loaded.label_table()) == 30


def test_multi_label_from_rows_of_zeros_and_ones_and_from_columns(tmp_path):
    loaded = load(tmp_path, [[1, 0, 0], [0, 1, 1]] * 10)
    assert loaded.label_names == ("label_0", "label_1", "label_2")
    assert all_pairs(loaded)["text 1"] == [0.0, 1.0, 1.0]
    path = tmp_path / "toxic.csv"
    path.write_text("text,toxic,obscene\n" + "".join(f"t{i},{i % 2},{i % 3 % 2}\n" for i in range(30)))
    loaded = load_text_dataset(str(path), label_column="toxic,obscene")
    assert loaded.label_names == ("toxic", "obscene")
    assert all_pairs(loaded)["t1"] == [1.0, 1.0]


def test_columns_found_by_name_type_and_pairs(tmp_path):
    rows = [{"ID": i, "Review": f"r {i}", "Sentiment": i % 2, "label_text": "x"} for i in range(20)]
    loaded = load_text_dataset(str(write_jsonl(tmp_path / "a.jsonl", rows)))
    assert (loaded.text_columns, loaded.label_column) == (("Review",), "Sentiment")
    assert any("also there: 'label_text'" in note for note in loaded.notes)
    rows = [{"number": i, "words": f"some long words {i}", "kind": "ab"[i % 2]} for i in range(20)]
    loaded = load_text_dataset(str(write_jsonl(tmp_path / "a.jsonl", rows)))
    assert (loaded.text_columns, loaded.label_column) == (("words",), "kind")
    rows = [{"premise": f"p{i}", "hypothesis": f"h{i}", "label": i % 2} for i in range(20)]
    loaded = load_text_dataset(str(write_jsonl(tmp_path / "a.jsonl", rows)))
    assert "p3\nh3" in all_pairs(loaded)


def test_other_columns_are_kept_and_renamed_on_collision(tmp_path):
    rows = [{"text": f"short {i}", "body": f"long {i}", "y": i % 2, "label": "z", "n": i} for i in range(20)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    train = load_text_dataset(str(path), text_column="body", label_column="y").splits["train"]
    assert train.column_names == ["text", "label", "source_text", "source_label", "n"]
    assert train[0]["text"].replace("long", "short") == train[0]["source_text"]
    joined = load_text_dataset(str(path), text_column="text,body", label_column="y").splits["train"]
    assert joined[0]["text"] == f"{joined[0]['source_text']}\n{joined[0]['body']}"


def test_csv_slice_columns_get_types(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label,negated,stars,score,zip\n" + "".join(
        f"t{i},{'ab'[i % 2]},{'True' if i % 3 else 'False'},{i},{i}.5,0{i}\n" for i in range(20)))  # fmt: skip
    features = load_text_dataset(str(path)).splits["train"].features
    assert [features[name].dtype for name in ("negated", "stars", "score", "zip")] == [
        "bool", "int64", "float64", "string"]  # fmt: skip


def test_numbers_among_texts_become_text(tmp_path):
    rows = [{"text": i + 0.5 if i % 2 else f"word {i}", "label": i // 2 % 2} for i in range(20)]
    pairs = all_pairs(load_text_dataset(str(write_jsonl(tmp_path / "a.jsonl", rows))))
    assert pairs["3.5"] == 1
    assert pairs["word 4"] == 0


def test_lone_surrogates_become_replacement_characters(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": "t{i} \\ud83d \\ud83d\\ude00", "label": {i % 2}}}\n' for i in range(20)))
    assert "t3 \ufffd 😀" in all_pairs(load_text_dataset(str(path)))


def test_parquet_keeps_class_names(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["z", "a", "m"])}
    )
    rows = datasets.Dataset.from_dict({"text": [f"t{i}" for i in range(20)], "label": [0, 1] * 10}, features=features)
    rows.to_parquet(str(tmp_path / "a.parquet"))
    loaded = load_text_dataset(str(tmp_path / "a.parquet"))
    assert loaded.label_names == ("z", "a", "m")
    assert any("without training rows: m" in note for note in loaded.notes)
    assert loaded.id2label[0] == "z"


def test_minus_one_of_a_class_label_is_no_label(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["n", "y"])})
    columns = {"text": [f"t{i}" for i in range(21)], "label": [0, 1] * 10 + [-1]}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(str(tmp_path / "a.parquet"))
    with pytest.raises(DataError, match=r"1 row without a label \(label\): row 21"):
        load_text_dataset(str(tmp_path / "a.parquet"))
    assert len(all_pairs(load_text_dataset(str(tmp_path / "a.parquet"), drop_bad_rows=True))) == 20


def test_parquet_with_dictionary_columns(tmp_path):
    table = pa.table({"text": [f"t{i}" for i in range(20)], "label": pa.array(["b", "a"] * 10).dictionary_encode()})
    pq.write_table(table, tmp_path / "a.parquet")
    assert load_text_dataset(str(tmp_path / "a.parquet")).label_names == ("a", "b")


def test_splits_are_stratified_seeded_and_announced(tmp_path):
    labels = ["a"] * 70 + ["b"] * 30
    first, again = load(tmp_path, labels), load(tmp_path, labels)
    other = load(tmp_path, labels, split_seed=1)
    assert [len(first.splits[s]) for s in ("train", "validation", "test")] == [70, 10, 20]
    assert first.label_table()[1] == {"label": "b", "id": 1, "train": 21, "validation": 3, "test": 6}
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint
    assert len(all_pairs(first)) == 100
    assert any("no splits" in note for note in first.notes)


def test_copies_of_a_text_stay_in_one_split(tmp_path):
    rows = [{"text": f"text {i % 40}", "label": i % 2} for i in range(120)]
    loaded = load_text_dataset(str(write_jsonl(tmp_path / "a.jsonl", rows)))
    texts = [set(loaded.splits[split]["text"]) for split in ("train", "validation", "test")]
    assert sum(map(len, texts)) == 40
    assert sum(map(len, loaded.splits.values())) == 120


def test_copies_between_given_splits_are_counted(tmp_path):
    write_jsonl(tmp_path / "d" / "train.jsonl", rows_with([0, 1] * 10))
    write_jsonl(tmp_path / "d" / "dev.jsonl", [{"text": "new", "label": 0}, {"text": "newer", "label": 1}])
    write_jsonl(tmp_path / "d" / "test.jsonl", [{"text": "text 3", "label": 1}, {"text": "newest", "label": 0}])
    loaded = load_text_dataset(str(tmp_path / "d"))
    assert "1 of 2 test texts are exact copies of training texts." in loaded.notes
    assert "No validation text is an exact copy of a training text." in loaded.notes


@pytest.mark.parametrize(
    "test_rows", [None, [{"text": "t", "label": -1}], [{"text": "t"}], [{"text": "t", "label": None}]]
)
def test_validation_serves_as_test_when_test_is_absent_or_unlabelled(tmp_path, test_rows):
    write_jsonl(tmp_path / "d" / "train.jsonl", rows_with([0, 1] * 20))
    write_jsonl(tmp_path / "d" / "validation.jsonl", [{"text": f"v{i}", "label": i % 2} for i in range(6)])
    if test_rows:
        write_jsonl(tmp_path / "d" / "test.jsonl", test_rows)
    loaded = load_text_dataset(str(tmp_path / "d"))
    assert list(loaded.splits["test"]["text"]) == [f"v{i}" for i in range(6)]
    assert len(loaded.splits["train"]) + len(loaded.splits["validation"]) == 40
    assert len(loaded.splits["validation"]) == 4
    assert any("validation split serves as test" in note for note in loaded.notes)
    assert test_rows is None or any("is not used" in note for note in loaded.notes)


def test_stratified_subsets(tmp_path):
    loaded = load(tmp_path, (["a"] * 9 + ["b"]) * 20, max_train_samples=30, max_eval_samples=10)
    assert [len(loaded.splits[s]) for s in ("train", "validation", "test")] == [30, 10, 10]
    assert loaded.label_table()[1]["train"] == 3
    with pytest.raises(DataError, match="less than the 3 classes"):
        load(tmp_path, ["a", "b", "c"] * 20, max_train_samples=2)


def test_folder_of_shards_and_shared_names(tmp_path):
    for shard in range(2):
        rows = [{"text": f"s{shard} {i}", "label": i % 2} for i in range(10)]
        write_jsonl(tmp_path / "d" / "data" / f"train-0000{shard}-of-00002.jsonl", rows)
    write_jsonl(tmp_path / "d" / "data" / "test-00000-of-00001.jsonl", rows_with([0, 1] * 5))
    assert len(all_pairs(load_text_dataset(str(tmp_path / "d")))) == 30
    write_jsonl(tmp_path / "e" / "train.jsonl", rows_with([0, 1] * 5))
    write_jsonl(tmp_path / "e" / "train.json", rows_with([0, 1] * 5))
    with pytest.raises(DataError, match="Several files are named train"):
        load_text_dataset(str(tmp_path / "e"))
    write_jsonl(tmp_path / "f" / "one.jsonl", rows_with([0, 1] * 5))
    write_jsonl(tmp_path / "f" / "two.jsonl", rows_with([0, 1] * 5))
    with pytest.raises(DataError, match="none is named by split"):
        load_text_dataset(str(tmp_path / "f"))


def test_errors_in_shards_name_the_file(tmp_path):
    write_jsonl(tmp_path / "d" / "train-0.jsonl", rows_with([0, 1] * 5))
    write_jsonl(tmp_path / "d" / "train-1.jsonl", [{"text": "x", "label": 0}, {"text": "", "label": 1}])
    with pytest.raises(DataError, match=r"train-1\.jsonl, line 2"):
        load_text_dataset(str(tmp_path / "d"))


def test_class_folders(tmp_path):
    for split in ("train", "test"):
        for label in ("neg", "pos"):
            for i in range(10):
                file = tmp_path / "imdb" / split / label / f"{i}.txt"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{split} {label}\n{i}")
    (tmp_path / "imdb" / "train" / "unsup").mkdir()
    (tmp_path / "imdb" / "train" / "unsup" / "0.txt").write_text("no label")
    (tmp_path / "imdb" / "train" / "urls.txt").write_text("x")
    (tmp_path / "imdb" / "README").write_text("x")
    loaded = load_text_dataset(str(tmp_path / "imdb"))
    assert loaded.label_names == ("neg", "pos")
    assert len(loaded.splits["test"]) == 20
    assert list(loaded.splits["unlabeled"]["text"]) == ["no label"]
    assert all_pairs(load_text_dataset(str(tmp_path / "imdb" / "train")))["train pos\n3"] == 1
    (tmp_path / "imdb" / "train" / "neg" / "3.txt").write_text(" ")
    with pytest.raises(DataError, match=r"neg.3\.txt"):
        load_text_dataset(str(tmp_path / "imdb"))


def test_fasttext_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"__label__{'ab'[i % 2]} some text {i}\n" for i in range(20)))
    assert all_pairs(load_text_dataset(str(path)))["some text 3"] == 1
    path.write_text("".join(f"__label__a __label__{'bc'[i % 2]} some text {i}\n" for i in range(20)))
    assert load_text_dataset(str(path)).label_names == ("a", "b", "c")


def test_saved_dataset(tmp_path):
    rows = datasets.Dataset.from_dict({"text": [f"t{i}" for i in range(20)], "label": [0, 1] * 10}).shuffle(seed=0)
    datasets.DatasetDict({"train": rows}).save_to_disk(str(tmp_path / "saved"))
    loaded = load_text_dataset(str(tmp_path / "saved"))
    assert all_pairs(loaded) == {f"t{i}": i % 2 for i in range(20)}


def test_large_tables_are_mapped_from_the_cache(tmp_path, monkeypatch):
    labels = [str(i % 3) if i < 10_000 else i % 3 for i in range(20_500)]  # the type changes between two chunks
    in_memory = load(tmp_path, labels)
    monkeypatch.setattr(source_split, "MEMORY_LIMIT", 50_000)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    mapped = load(tmp_path, labels)
    assert mapped.splits["train"].cache_files
    assert mapped.fingerprint == in_memory.fingerprint
    assert mapped.label_table() == in_memory.label_table()
    assert not list((tmp_path / "cache").rglob("*.part"))


class CountingWorld:
    """A world whose texts count."""

    def __init__(self, step=1):
        self.step = step

    def generate(self, split, size, seed):
        rows = {"text": [f"{split} {seed} {i * self.step}" for i in range(size)]}
        if split != "unlabeled":
            rows |= {"label": ["odd" if i % 2 else "even" for i in range(size)], "small": [i < 5 for i in range(size)]}
        return rows

    def ceilings(self):
        return {"bayes_accuracy": 0.97}


@pytest.fixture
def counting_world(monkeypatch):
    monkeypatch.setattr(registry, "build_world", lambda name, **options: CountingWorld(**options))


@pytest.mark.usefixtures("counting_world")
def test_world():
    loaded = load_text_dataset("world:counting?train=60&validation=20&test=30&unlabeled=10&seed=3&step=2")
    sizes = {split: len(rows) for split, rows in loaded.splits.items()}
    assert sizes == {"train": 60, "validation": 20, "test": 30, "unlabeled": 10}
    assert loaded.ceilings == {"bayes_accuracy": 0.97}
    assert loaded.splits["train"].column_names == ["text", "label", "small"]
    assert loaded.splits["train"].features["small"].dtype == "bool"
    assert loaded.splits["unlabeled"]["text"][9] == "unlabeled 3 18"
    assert loaded.fingerprint == load_text_dataset(loaded.name).fingerprint
    assert "best possible bayes_accuracy: 0.9700" in loaded.describe()
    with pytest.raises(DataError, match="whole number"):
        load_text_dataset("world:counting?train=many")


@pytest.mark.usefixtures("counting_world")
def test_world_as_a_stream_and_without_labels():
    streamed = load_text_dataset("world:counting?train=20&validation=5&test=5", streaming=True)
    assert [row["text"] for row in streamed.splits["train"]][:2] == ["train 0 0", "train 0 1"]
    assert streamed.streaming
    assert sum(row["train"] for row in streamed.label_table()) == 20
    assert load_unlabeled_text("world:counting?unlabeled=15").num_rows == 15


def test_describe_tells_everything(tmp_path):
    loaded = load(tmp_path, ["a", "b"] * 20)
    text = loaded.describe()
    for part in ("single-label", "train 28", "fingerprint", *loaded.notes, *loaded.label_names):
        assert part in text
    assert np.array_equal(sorted(loaded.label2id.values()), [0, 1])


def test_importing_the_package_is_cheap():
    code = (
        "import sys, nlpladder.data.loading; "
        "print([name for name in ('torch', 'datasets', 'pyarrow', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_labels_that_are_all_empty_lists(tmp_path):
    with pytest.raises(DataError, match="no label in any row"):
        load(tmp_path, [[]] * 9)
