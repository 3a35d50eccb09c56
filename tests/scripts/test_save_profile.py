"""Giving a model that was trained earlier its profile, from the command line."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest

from helpers import REPOSITORY, review_rows
from nlpladder.drift.profile import PROFILE_FILE, read_profile
from nlpladder.errors import ConfigError, ModelError, RunError


@pytest.fixture
def save(monkeypatch):
    """Return a function that runs the script in this process."""
    path = REPOSITORY / "scripts" / "save_profile.py"
    spec = importlib.util.spec_from_file_location("save_profile_script", path)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, script)
    spec.loader.exec_module(script)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["save_profile.py", *map(str, arguments)])
        script.main()

    return run


@pytest.fixture
def reviews(tmp_path):
    """Write labelled texts with splits; return the folder."""
    folder = tmp_path / "reviews"
    folder.mkdir()
    for number, (split, size) in enumerate({"train": 60, "validation": 20, "test": 20}.items()):
        rows = [{"text": f"{text} {split} {place}", "label": ["no", "yes"][label]}
                for place, (text, label) in enumerate(review_rows(size, seed=number))]  # fmt: skip
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def classifier(tmp_path, reviews):
    """Train and save a small classifier; return its folder."""
    from nlpladder.ladder import find_rung

    rows = [json.loads(line) for line in (reviews / "train.jsonl").read_text().splitlines()]
    model = find_rung("naive_bayes").load_class()(label_names=("no", "yes"), task="single_label")
    texts, labels = [row["text"] for row in rows], [("no", "yes").index(row["label"]) for row in rows]
    model.fit(texts, labels, validation=(texts[:4], labels[:4]))
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_classifier_gets_one(save, classifier, reviews, capsys):
    save(classifier, "--dataset", reviews)
    assert PROFILE_FILE in capsys.readouterr().out
    found = read_profile(classifier)
    assert (found.task, found.label_names, found.rows, found.vocabulary.texts) == ("classify", ("no", "yes"), 20, 60)
    before = (classifier / PROFILE_FILE).read_bytes()
    with pytest.raises(RunError, match="there already"):
        save(classifier, "--dataset", reviews)
    save(classifier, "--dataset", reviews, "--overwrite")
    assert (classifier / PROFILE_FILE).read_bytes() == before


def test_what_has_no_profile_is_told(save, tmp_path, reviews):
    with pytest.raises(RunError, match="no folder"):
        save(tmp_path / "nowhere", "--dataset", reviews)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError):
        save(tmp_path / "empty", "--dataset", reviews)
    with pytest.raises(ConfigError, match="dataset"):
        save(tmp_path / "empty")
    assert not list((tmp_path / "empty").iterdir())
