"""A neural language-model rung from text to a finished folder."""

from __future__ import annotations

import numpy as np
import pytest

from nlpladder.data.running_options import RunningTextOptions
from nlpladder.errors import ConfigError
from nlpladder.generation import GenerationOptions
from nlpladder.hub.loading import load
from nlpladder.ladder import find_rung
from nlpladder.protocols import LanguageModel
from nlpladder.tasks.base import RungSettings
from nlpladder.train_language_model import LOSSES_FILE, read_losses
from nlpladder.train_neural_language_model import (
    RUNNING,
    language_model_summary,
    losses_of_documents,
    train_neural_language_model,
)


@pytest.fixture
def novel(tmp_path):
    generator = np.random.default_rng(0)
    words = ["the", "cat", "dog", "sat", "ran", "far"]
    lines = [" ".join(generator.choice(words, size=6)) + " ." for _ in range(150)]
    lines[10] = ""
    (tmp_path / "novel.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(tmp_path / "novel.txt")


def settings(rung, **training):
    small = {"hidden_size": 16, "num_hidden_layers": 1}
    small |= {"embedding_size": 16} if rung == "lstm_lm" else {"num_attention_heads": 2, "intermediate_size": 16}
    defaults = {"num_train_epochs": 1, "batch_size": 4, "block_length": 16, "precision": "fp32"}
    return RungSettings(model=small, training={**defaults, **training}, tokenizer={})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "level"),
    [("lstm_lm", "char"), ("lstm_lm", "word"), ("transformer_lm", "byte"), ("transformer_lm", "subword")],
)
def test_a_rung_becomes_a_folder_that_scores_and_writes(name, level, novel, tmp_path):
    options = RunningTextOptions(dataset=novel, level=level, validation_fraction=0.1, test_fraction=0.1)
    chosen = options.with_level(settings(name))
    run = train_neural_language_model(find_rung(name), options.load(), chosen, output_dir=tmp_path / "run")
    assert run.record["status"] == "finished"
    assert {"bits_per_byte", "perplexity", "perplexity_per_word"} <= set(run.metrics["scores"])
    assert (RUNNING in run.metrics) == (level in ("word", "subword"))
    for file in ("model.safetensors", "config.json", "tokenizer.json", "README.md", "profile.json", LOSSES_FILE):
        assert (tmp_path / "run" / file).is_file(), file
    assert not (tmp_path / "run" / "checkpoints").exists()
    model = load(tmp_path / "run")
    assert isinstance(model, LanguageModel)
    assert len(model.generate(["the cat"], GenerationOptions(max_new_tokens=5))) == 1
    total = read_losses(run).columns.sum(axis=0)
    text = options.load()
    size = sum(len(one.encode()) for one in text.test)
    assert total[3] == size
    assert "perplexity" in language_model_summary(run, str(tmp_path / "run"), samples=1)


def test_losses_of_a_document_are_those_of_its_lines(novel, tmp_path):
    options = RunningTextOptions(dataset=novel, level="char", validation_fraction=0.1, test_fraction=0.1)
    text = options.load()
    run = train_neural_language_model(
        find_rung("lstm_lm"), text, options.with_level(settings("lstm_lm")), output_dir=tmp_path / "run"
    )
    model = load(tmp_path / "run")
    losses = losses_of_documents(model, text.test).columns
    assert len(losses) == sum(1 for line in "".join(text.test).splitlines() if line.strip())
    whole = sum(-score.logprobs.sum() for score in model.score_running(text.test))
    assert losses[:, 0].sum() == pytest.approx(whole, rel=1e-6)
    assert np.allclose(read_losses(run).columns, losses, rtol=1e-6)


def test_a_misspelt_setting_is_told_before_anything_is_written(novel, tmp_path):
    options = RunningTextOptions(dataset=novel, validation_fraction=0.1, test_fraction=0.1)
    for name, model, message in (
        ("lstm_lm", {"hiden_size": 3}, "Did you mean 'hidden_size'"),
        ("transformer_lm", {"max_position_embeddings": 100}, "training blocks have 128 tokens"),
    ):
        wrong = options.with_level(RungSettings(model=model))
        with pytest.raises(ConfigError, match=message):
            train_neural_language_model(find_rung(name), options.load(), wrong, output_dir=tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_transformer_scores_with_the_window_it_was_trained_with(novel, tmp_path):
    options = RunningTextOptions(dataset=novel, validation_fraction=0.1, test_fraction=0.1)
    chosen = options.with_level(settings("transformer_lm", block_length=24))
    run = train_neural_language_model(find_rung("transformer_lm"), options.load(), chosen, output_dir=tmp_path / "run")
    assert load(tmp_path / "run").model.config.max_position_embeddings == 24
    assert "24" in run.metrics["scoring"]
