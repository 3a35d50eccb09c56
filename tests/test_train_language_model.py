"""Language-model rungs from a corpus to a run folder, and the climb over them."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

import nlpladder
from nlpladder.climb import ClimbPlan, climb
from nlpladder.data.corpora import CorpusOptions, load_corpus
from nlpladder.errors import CheckFailedError, ConfigError, DataError, ModelError, RunError
from nlpladder.generation import GenerationOptions
from nlpladder.ladder import choose_rungs, find_rung
from nlpladder.tasks.base import RungSettings
from nlpladder.tasks.language_modeling import LanguageModelingTask
from nlpladder.train_language_model import read_losses, train_language_model
from nlpladder.views.ladder_table import foot_notes, table_header


@pytest.fixture(scope="module")
def corpus():
    return load_corpus(
        CorpusOptions(dataset="world:reviews?train=400&validation=40&test=40", tokenizer="regex", lowercase=True)
    )


def test_a_run_folder_holds_model_losses_scores_and_card(corpus, tmp_path):
    run = train_language_model(find_rung("trigram"), corpus, RungSettings(), output_dir=tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {"run.json", "metrics.json", "losses.parquet", "README.md", "config.json", "model.safetensors"}
    assert "profile.json" in names
    assert not (tmp_path / "run" / "checkpoints").exists()
    model = nlpladder.load(tmp_path / "run")
    losses = read_losses(run).columns
    (score,) = model.score(corpus.test[:1])
    assert losses[0, 0] == pytest.approx(-score.logprobs.sum())
    assert losses[0, 3] == len(corpus.test[0].encode())
    perplexity = run.metrics["scores"]["perplexity"]
    assert perplexity["value"] == pytest.approx(math.exp(losses[:, 0].sum() / losses[:, 1].sum()))
    assert perplexity["low"] < perplexity["value"] < perplexity["high"]
    card = (tmp_path / "run" / "README.md").read_text()
    assert "pipeline_tag: text-generation" in card
    assert "bits_per_byte" in card
    text = model.generate(["the"], GenerationOptions(max_new_tokens=5))[0]
    assert text == model.generate(["the"], GenerationOptions(max_new_tokens=5))[0]


def test_a_finished_run_is_read_and_other_arguments_are_refused(corpus, tmp_path, monkeypatch):
    first = train_language_model(find_rung("bigram"), corpus, RungSettings(), output_dir=tmp_path / "run")
    monkeypatch.setattr("nlpladder.train_language_model._train", None)
    again = train_language_model(find_rung("bigram"), corpus, RungSettings(), output_dir=tmp_path / "run")
    assert again.metrics == first.metrics
    with pytest.raises(RunError, match="model.order"):
        train_language_model(find_rung("bigram"), corpus, RungSettings(model={"order": 3}), output_dir=tmp_path / "run")


def test_shards_and_a_memory_bound_give_the_same_model(corpus, tmp_path):
    def weights(name, **settings):
        shards = settings.pop("num_shards", 1)
        train_language_model(
            find_rung("trigram"), corpus, RungSettings(model=settings), output_dir=tmp_path / name, num_shards=shards
        )
        return (tmp_path / name / "model.safetensors").read_bytes()

    plain = weights("plain")
    assert weights("bounded", memory=8, num_threads=1) == plain
    assert weights("sharded", num_shards=2) == plain


def test_a_model_that_reloads_differently_is_refused(corpus, tmp_path, monkeypatch):
    real = nlpladder.load

    class Shifted:
        def __init__(self, folder):
            self.model = real(folder)

        def score(self, lines):
            return [dataclasses.replace(one, logprobs=one.logprobs - 1e-3) for one in self.model.score(lines)]

    monkeypatch.setattr("nlpladder.hub.loading.load", Shifted)
    with pytest.raises(CheckFailedError, match="differently"):
        train_language_model(find_rung("bigram"), corpus, RungSettings(), output_dir=tmp_path / "run")


def test_a_failed_training_leaves_nothing_behind(corpus, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'smoothing'"):
        train_language_model(
            find_rung("bigram"), corpus, RungSettings(model={"smothing": "add_k"}), output_dir=tmp_path / "run"
        )
    (tmp_path / "marked.txt").write_text("a </s> b\n" * 60)
    marked = load_corpus(CorpusOptions(dataset=str(tmp_path / "marked.txt"), tokenizer="whitespace"))
    with pytest.raises(DataError, match="</s>"):
        train_language_model(find_rung("bigram"), marked, RungSettings(), output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_climb_shows_what_context_is_worth(corpus, tmp_path):
    plan = ClimbPlan(rungs=choose_rungs(["unigram", "bigram", "trigram"], task="language_modeling"), seeds=3)
    content = climb(plan, LanguageModelingTask(corpus), tmp_path, print)
    rows = {row["rung"]: row for row in content["rows"]}
    assert [row["error"] for row in content["rows"]] == [None] * 3
    assert all(row["seeds"] == 1 for row in rows.values())
    bits = [rows[name]["scores"]["bits_per_byte"]["mean"]["value"] for name in ("unigram", "bigram", "trigram")]
    assert bits == sorted(bits, reverse=True)
    step = rows["bigram"]["against_rung_below"]
    assert step["difference"] == pytest.approx(bits[1] - bits[0])
    assert step["p_holm"] < 0.001
    assert len(content["pairs"]) == 3
    assert "bits/byte [95 %]" in table_header(content)
    assert any("40 test lines" in note for note in foot_notes(content))
    assert json.loads((tmp_path / "ladder.json").read_text())["task"] == "language_modeling"
    assert (tmp_path / "ladder.html").is_file()


def test_a_climb_of_another_task_in_the_same_folder_is_refused(corpus, tmp_path):
    plan = ClimbPlan(rungs=choose_rungs(["unigram"], task="language_modeling"))
    climb(plan, LanguageModelingTask(corpus), tmp_path, print)
    before = (tmp_path / "ladder.md").read_text()
    other = load_corpus(CorpusOptions(dataset="world:reviews?train=60&validation=20&test=20", tokenizer="regex"))
    with pytest.raises(RunError, match="another dataset and fingerprint"):
        climb(plan, LanguageModelingTask(other), tmp_path, print)
    assert (tmp_path / "ladder.md").read_text() == before


def test_the_record_names_the_smoothing_that_was_used(corpus, tmp_path):
    settings = RungSettings(model={"order": 4, "smoothing": "stupid_backoff"})
    run = train_language_model(find_rung("five_gram"), corpus, settings, output_dir=tmp_path / "run")
    assert run.record["title"] == "4-gram model, stupid backoff"
    assert any("do not sum to 1" in note for note in run.record["notes"])
    assert "Brants" in (tmp_path / "run" / "README.md").read_text()
    with pytest.raises(ConfigError, match="num_shards is 0"):
        train_language_model(find_rung("bigram"), corpus, RungSettings(), output_dir=tmp_path / "none", num_shards=0)


def test_a_file_is_no_folder_and_the_error_says_who_opens_it(tmp_path):
    (tmp_path / "model.arpa").write_text("")
    with pytest.raises(ModelError, match="NGramLanguageModel.from_arpa"):
        nlpladder.load(tmp_path / "model.arpa")


def test_rungs_of_another_task_are_refused():
    with pytest.raises(ConfigError, match="'bilstm' is for classification, not for language_modeling"):
        choose_rungs(["bilstm"], task="language_modeling")
    assert np.all([rung.task == "embeddings" for rung in choose_rungs(["all"], task="embeddings")])
