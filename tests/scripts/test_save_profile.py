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


def record(folder, **data):
    """Write what a run records of its data."""
    (folder / "run.json").write_text(json.dumps({"status": "finished", "identity": {"data": data}}))


def test_without_a_record_data_must_be_named(save, classifier):
    with pytest.raises(ConfigError, match="dataset"):
        save(classifier)


def test_the_data_are_those_of_the_run(save, classifier, reviews, capsys):
    from nlpladder.data.loading import load_text_dataset

    record(classifier, name=str(reviews), fingerprint=load_text_dataset(str(reviews)).fingerprint)
    save(classifier)
    said = capsys.readouterr().out
    for part in ("20 of the 20 texts of the split validation", "of 60 training texts", "confidence"):
        assert part in said
    assert "data and splits that the run was trained on" in said


@pytest.mark.parametrize("arguments", [("--max_train_samples", 30), ("--max_eval_samples", 10)])
def test_other_data_are_refused_unless_wished(save, classifier, reviews, capsys, arguments):
    from nlpladder.data.loading import load_text_dataset

    record(classifier, name=str(reviews), fingerprint=load_text_dataset(str(reviews)).fingerprint)
    with pytest.raises(RunError, match="is not what .* was trained on"):
        save(classifier, "--dataset", reviews, *arguments)
    assert not (classifier / PROFILE_FILE).exists()
    save(classifier, "--dataset", reviews, *arguments, "--other_data", "true")
    assert "was left open" in capsys.readouterr().out
    with pytest.raises(ConfigError):
        save(classifier, "--dataset", reviews, "--overwrite", "--other_data", "maybe")


def test_a_language_model_is_compared_as_its_run_read_the_text(save, tmp_path):
    from nlpladder.data.corpora import CorpusOptions, load_corpus
    from nlpladder.models.ngram.estimate import estimate
    from nlpladder.models.ngram.model import NGramLanguageModel
    from nlpladder.models.ngram.options import NGramOptions
    from nlpladder.text.encoding import encode_corpus

    source = tmp_path / "lines.txt"
    source.write_text("".join(f"the film number {place} was good .\n" for place in range(200)))
    corpus = load_corpus(CorpusOptions(dataset=str(source), tokenizer="whitespace", lowercase=True))
    found = estimate(encode_corpus(corpus.train), NGramOptions(order=2, smoothing="absolute_discounting"))
    model = NGramLanguageModel.from_levels(found.levels, found.words, tokenizer=corpus.train.tokenizer)
    model.save_pretrained(tmp_path / "bigram")
    data = {"name": str(source), "fingerprint": corpus.fingerprint}
    words = {"method": "whitespace", "lowercase": True}
    (tmp_path / "bigram/run.json").write_text(json.dumps({"identity": {"data": data, "corpus": words}}))
    save(tmp_path / "bigram")
    assert read_profile(tmp_path / "bigram").task == "score"
    with pytest.raises(RunError, match="is not what"):
        save(tmp_path / "bigram", "--overwrite", "--validation_fraction", "0.2")


def test_what_has_no_profile_is_told(save, tmp_path, reviews):
    with pytest.raises(ModelError, match="no model folder"):
        save(tmp_path / "nowhere", "--dataset", reviews)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError):
        save(tmp_path / "empty", "--dataset", reviews)
    with pytest.raises(ModelError, match="no saved model"):
        save(tmp_path / "empty")
    assert not list((tmp_path / "empty").iterdir())
