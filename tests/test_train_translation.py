"""A translation rung from pairs to a finished folder, on a toy language."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nlpladder.data.parallel import load_parallel_text
from nlpladder.errors import CheckFailedError, ConfigError, RunError
from nlpladder.evaluation.translation import SentenceStatistics
from nlpladder.hub.loading import load
from nlpladder.ladder import find_rung
from nlpladder.tasks.base import RungSettings
from nlpladder.tasks.translation import TranslationTask
from nlpladder.train_translation import (
    REFERENCE_SEPARATOR,
    STATISTICS_FILE,
    check_same_translations,
    train_translation,
)

WORDS = {"the": "le", "cat": "chat", "dog": "chien", "sees": "voit", "hears": "entend", "small": "petit"}


def pairs(size, seed):
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(size):
        first, second = generator.choice(["cat", "dog"], size=2)
        small = ["small"] if generator.random() < 0.5 else []
        words = ["the", *small, first, generator.choice(["sees", "hears"]), "the", second]
        rows.append({"en": " ".join(words), "fr": " ".join(WORDS[word] for word in words)})
    return rows


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    for number, (split, size) in enumerate((("train", 200), ("validation", 16), ("test", 20))):
        lines = [json.dumps(row) for row in pairs(size, number)]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_parallel_text(str(folder), source_column="en", target_column="fr")


def settings(rung, **training):
    small = {"hidden_size": 32}
    if rung.startswith("seq2seq"):
        small["embedding_size"] = 32
    else:
        small |= {"num_hidden_layers": 1, "num_decoder_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return RungSettings(
        model={**small, "dropout": 0.0},
        training={"num_train_epochs": 2, "batch_tokens": 256, "precision": "fp32", **training},
        tokenizer={"scheme": "bpe", "vocab_size": 60},
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["seq2seq", "seq2seq_bahdanau", "seq2seq_luong", "transformer_mt"])
def test_a_rung_becomes_a_folder_that_holds_all_that_is_promised(name, data, tmp_path):
    run = train_translation(find_rung(name), data, settings(name), output_dir=tmp_path / "run", seed=1)
    assert run.record["status"] == "finished"
    assert {"bleu", "bleu_lowercase", "chrf", "exact_match"} <= set(run.metrics["scores"])
    assert "13a" in json.dumps(run.metrics["signatures"])
    written = ("model.safetensors", "config.json", "tokenizer.json", "README.md", STATISTICS_FILE, "translations.tsv")
    for file in (*written, "profile.json"):
        assert (tmp_path / "run" / file).is_file(), file
    assert list((tmp_path / "run" / "figures").glob("*.png"))
    assert not (tmp_path / "run" / "checkpoints").exists()
    lines = (tmp_path / "run" / "translations.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 21
    translator = load(tmp_path / "run")
    found = translator.translate([line.split("\t")[0] for line in lines[1:]], num_beams=5)
    assert [one.text for one in found] == [line.split("\t")[2] for line in lines[1:]]
    again = train_translation(find_rung(name), data, settings(name), output_dir=tmp_path / "run", seed=1)
    assert again.metrics == run.metrics
    with pytest.raises(RunError, match="seed"):
        train_translation(find_rung(name), data, settings(name), output_dir=tmp_path / "run", seed=2)


def test_separate_vocabularies_travel_with_the_model(data, tmp_path):
    chosen = settings("seq2seq_luong")
    chosen.tokenizer["joint"] = False
    train_translation(find_rung("seq2seq_luong"), data, chosen, output_dir=tmp_path / "run")
    translator = load(tmp_path / "run")
    assert len(translator.tokenizer) != 0
    assert translator.target_tokenizer is not translator.tokenizer
    assert translator.translate(["the small cat sees the dog"])[0].target_tokens


def test_wrong_settings_are_told_before_anything_is_written(data, tmp_path):
    rung = find_rung("seq2seq_bahdanau")
    for wrong, message in (
        (RungSettings(model={"hiden_size": 3}), "Did you mean 'hidden_size'"),
        (RungSettings(training={"learning_rte": 3}), "Did you mean 'learning_rate'"),
        (RungSettings(tokenizer={"joit": True}), "Did you mean 'joint'"),
        (RungSettings(model={"vocab_size": 7}), "follows from the data"),
        (
            RungSettings(model={"tie_encoder_decoder_embeddings": True}, tokenizer={"joint": False}),
            "one vocabulary for both",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            train_translation(rung, data, wrong, output_dir=tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_saved_model_that_answers_differently_is_reported(data, tmp_path):
    import torch

    train_translation(find_rung("seq2seq"), data, settings("seq2seq"), output_dir=tmp_path / "run")
    translator = load(tmp_path / "run")
    with torch.no_grad():
        for parameter in translator.model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    with pytest.raises(CheckFailedError, match="the trained one as"):
        check_same_translations(translator, tmp_path / "run", data.splits["test"].source[:4])


def test_the_task_scores_and_compares_runs_on_the_same_sentences(data, tmp_path):
    task = TranslationTask(data)
    runs = {
        name: [
            task.train(
                find_rung(name), settings(name, num_train_epochs=1), output_dir=tmp_path / name, seed=0,
                time_limit=None, overwrite=False,
            )
        ]
        for name in ("seq2seq", "seq2seq_luong")
    }  # fmt: skip
    assert task.score(runs["seq2seq"])["bleu"].mean.n == 20
    (comparison,) = task.compare(runs, "adjacent")
    assert comparison.metric == "bleu"
    assert task.describe()["test_size"] == 20


def test_sentences_with_several_references_are_translated_once_and_scored_against_all(tmp_path):
    import sacrebleu

    folder = tmp_path / "pairs"
    folder.mkdir()
    for number, (split, size) in enumerate((("train", 60), ("validation", 4), ("test", 5))):
        several = {row["en"]: row["fr"] for row in pairs(200, number)}
        rows = [{"en": one, "fr": text} for one in several for text in (several[one], several[one] + " encore")]
        lines = [json.dumps(row) for row in rows[: 2 * size]]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = load_parallel_text(str(folder), source_column="en", target_column="fr")
    name = "seq2seq_luong"
    run = train_translation(find_rung(name), data, settings(name), output_dir=tmp_path / "run")
    lines = (tmp_path / "run" / "translations.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert run.metrics["n"] == len(lines) == 5
    assert "5 sentences with 10 references" in run.metrics["tested"]
    cells = [line.split("\t") for line in lines]
    streams = [[row[1].split(REFERENCE_SEPARATOR)[place] for row in cells] for place in range(2)]
    expected = sacrebleu.corpus_bleu([row[2] for row in cells], streams)
    assert run.metrics["scores"]["bleu"]["value"] == pytest.approx(expected.score)
    assert "nrefs:2" in run.metrics["signatures"]["bleu"]
    # With one reference nothing has changed: the references of the statistics are the same as ever.
    alone = SentenceStatistics.of(["a b"], ["a b"])
    assert alone.fingerprint == SentenceStatistics.of(["a b"], [["a b"]]).fingerprint
