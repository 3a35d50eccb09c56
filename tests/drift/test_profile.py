"""The profile: built from held-out texts, small, and readable again."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from drift_profiles import classifier_profile, random_texts
from helpers import REPOSITORY, text_dataset
from nlpladder.drift.profile import PROFILE_FILE, Profile, read_profile
from nlpladder.drift.saving import (
    MAX_ROWS,
    build_profile,
    question_text,
    save_classifier_profile,
    save_language_model_profile,
    save_text_profile,
    spread,
)
from nlpladder.errors import DataError
from nlpladder.protocols import TokenScores


def test_a_profile_survives_its_file(tmp_path):
    profile = classifier_profile(120)
    path = profile.save(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [PROFILE_FILE] == [path.name]
    again = read_profile(tmp_path)
    assert (again.task, again.label_names, again.split, again.rows, again.rows_of) == (
        "classify", ("negative", "positive"), "validation", 120, 120,
    )  # fmt: skip
    assert again.copies == profile.copies
    assert again.vocabulary == profile.vocabulary
    assert list(again.columns) == list(profile.columns)
    for name, column in profile.columns.items():
        np.testing.assert_array_equal(again.columns[name], column)


def test_no_profile_is_none(tmp_path):
    assert read_profile(tmp_path) is None


@pytest.mark.parametrize(
    "content, said",
    [
        ("{", "Expecting"),
        ("[]", "no profile"),
        ('{"format": 2}', "format 2"),
        ('{"format": 1}', "damaged"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, said):
    (tmp_path / PROFILE_FILE).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=said) as found:
        read_profile(tmp_path)
    assert PROFILE_FILE in str(found.value)


def test_columns_must_fit():
    content = classifier_profile(60).to_json()
    for damage in (
        {**content["columns"], "words": [1, 2]},
        {**content["columns"], "novel": content["columns"]["words"]},
        {"words": []},
        {"words": ["x"]},
        {},
    ):
        with pytest.raises(DataError):
            Profile.from_json({**content, "columns": damage})


def test_the_largest_profile_is_small(tmp_path):
    generator = np.random.default_rng(0)
    words = [f"w{number:x}" for number in generator.integers(0, 2**40, 60_000).tolist()]
    rows = generator.integers(0, len(words), (MAX_ROWS, 40))
    held_out = [" ".join(words[place] for place in row) + "é1!" for row in rows]
    answers = {
        "predicted_class": generator.integers(0, 77, MAX_ROWS).astype(float),
        "confidence": generator.random(MAX_ROWS).round(4),
    }
    names = [f"class {number}" for number in range(77)]
    path = build_profile(
        task="classify", train=[" ".join(words)], held_out=held_out, answers=answers, label_names=names
    ).save(tmp_path)
    assert path.stat().st_size < 400_000
    assert len(read_profile(tmp_path).vocabulary.hashes) > 49_990  # of 50,000: some share a hash


def test_the_file_holds_no_texts_and_no_nan(tmp_path):
    held_out = ["Confidential sentence", "", "!!!"]
    path = build_profile(task="tag", train=["confidential words"], held_out=held_out).save(tmp_path)
    written = path.read_text()
    assert "onfidential" not in written
    assert json.loads(written, parse_constant=pytest.fail)["columns"]["unknown_words"] == [0.5, None, 1]
    assert math.isnan(read_profile(tmp_path).columns["capitals"][1])


def test_without_training_texts_unknown_words_are_left_out():
    profile = build_profile(task="tag", train=None, held_out=["a text"])
    assert profile.vocabulary is None
    assert "unknown_words" not in profile.columns
    with pytest.raises(DataError, match="no text"):
        build_profile(task="tag", train=None, held_out=[])


def test_rows_are_spread_over_the_split_and_bounded():
    texts = [str(number) for number in range(5000)]
    chosen = spread(texts)
    assert len(chosen) == len(set(chosen)) == MAX_ROWS
    assert 2000 < np.mean([int(text) for text in chosen]) < 3000
    assert spread(texts) == chosen
    assert sorted(spread(texts[:7])) == texts[:7]
    assert len(spread(["x" * 600_000] * 3)) == 1
    assert spread([]) == []


class Lengths:
    """Answers by the length of a text."""

    task, label_names = "single_label", ("short", "long")

    def predict_proba(self, texts):
        long = np.array([0.9 if len(text) > 40 else 0.2 for text in texts])
        return np.stack([1 - long, long], axis=1)


def test_a_classifier_is_described_by_its_validation_split(tmp_path):
    data = text_dataset(validation=24)
    save_classifier_profile(tmp_path, Lengths(), data)
    found = read_profile(tmp_path)
    assert (found.task, found.label_names, found.rows) == ("classify", ("short", "long"), 24)
    validation = data.splits["validation"]["text"]
    assert sorted(found.columns["characters"]) == sorted(map(len, validation))
    assert found.columns["predicted_class"].sum() == sum(len(text) > 40 for text in validation)
    assert set(found.columns["confidence"]) <= {0.9, 0.8}
    assert found.vocabulary.texts == len(data.splits["train"])


def test_a_streamed_training_split_gives_the_same_words(tmp_path):
    from dataclasses import replace

    data = text_dataset()
    streamed = replace(
        data, streaming=True, splits={**data.splits, "train": data.splits["train"].to_iterable_dataset()}
    )
    for name, one in (("a", data), ("b", streamed)):
        (tmp_path / name).mkdir()
        save_classifier_profile(tmp_path / name, Lengths(), one)
    assert (tmp_path / "a" / PROFILE_FILE).read_bytes() == (tmp_path / "b" / PROFILE_FILE).read_bytes()


class Bytes:
    """Two bits a byte."""

    def score(self, texts):
        return [
            TokenScores((), np.full(len(text.encode()), -2 * math.log(2)), np.ones(0, bool), 1, len(text.encode()))
            for text in texts
        ]


class Text:
    def __init__(self, train, validation):
        self.train, self.validation = train, validation


def test_a_language_model_is_described_by_what_texts_cost_it(tmp_path):
    save_language_model_profile(tmp_path, Bytes(), Text(["one two"], [f"line {n}" for n in range(150)]))
    found = read_profile(tmp_path)
    assert (found.task, found.rows) == ("score", 150)
    assert set(found.columns["bits_per_byte"]) == {2.0}


def test_lines_stand_for_few_documents(tmp_path):
    save_language_model_profile(tmp_path, Bytes(), Text(["one\ntwo"], ["first line\n\nsecond line\nthird"]))
    assert sorted(read_profile(tmp_path).columns["words"]) == [1, 2, 2]
    assert save_language_model_profile(tmp_path, Bytes(), Text(["one"], [])) is None


def test_texts_alone(tmp_path):
    save_text_profile(tmp_path, "answer", train=["a"], held_out=[question_text("Who?", "She came.")])
    found = read_profile(tmp_path)
    assert (found.task, found.answer_features, found.columns["words"].tolist()) == ("answer", (), [5.0])
    assert save_text_profile(tmp_path, "tag", train=[], held_out=[]) is None


def test_nothing_here_needs_torch():
    code = (
        "import nlpladder.drift.monitor, nlpladder.drift.alerts, nlpladder.drift.profile, sys;"
        "print([name for name in ('torch', 'transformers', 'datasets', 'pandas', 'numba') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert result.stdout.strip() == "[]"


def test_random_texts_are_no_copies():
    assert len(set(random_texts(100, seed=3))) == 100
