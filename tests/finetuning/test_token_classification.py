"""A tagger from data to a run folder: learnt, saved, opened again, resumed; adapters; exact gradients; mistakes."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch.nn import functional as F

from helpers import run_here, run_python
from nlpladder.data.token_labels import load_tagged_text
from nlpladder.errors import ConfigError, LadderError, RunError
from nlpladder.evaluation.entities import EntityStatistics
from nlpladder.evaluation.tags import TagStatistics, score_tags
from nlpladder.finetuning.encoder_options import EncoderOptions, TaggingOptions
from nlpladder.finetuning.token_classification import finetune_token_classification, tagging_summary, validation_scores
from nlpladder.hub.loading import load
from nlpladder.training.token_tasks import span_loss, tag_loss
from nlpladder.training.trainer import COMPLETE_MARK
from token_task_data import tagged_sentences, tiny_encoder, write_rows, write_tagged
from warm_processes import kill_forked_when, run_forked

PROGRAM = Path(__file__).parent / "token_gradients.py"


def options(folder, **more):
    encoder = folder / "encoder"
    defaults = {
        "model": str(encoder if encoder.exists() else tiny_encoder(encoder)),
        "output_dir": str(folder / "run"), "learning_rate": 1e-2, "num_train_epochs": 3.0, "batch_size": 8,
        "precision": "fp32", "max_length": 24,
    }  # fmt: skip
    return EncoderOptions(**{**defaults, **more})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagger")
    data = load_tagged_text(str(write_tagged(folder / "data")))
    return folder, data, finetune_token_classification(data, options(folder))


def test_a_toy_is_learnt_and_told(finished):
    folder, _data, run = finished
    scores = run.metrics["scores"]
    assert scores["entity_f1"]["value"] > 0.95
    assert {"entity_f1_PER", "entity_f1_LOC", "entity_precision", "entity_recall", "token_accuracy"} <= set(scores)
    assert scores["token_accuracy"]["low"] < scores["token_accuracy"]["value"] <= scores["token_accuracy"]["high"]
    assert run.record["status"] == "finished"
    assert run.record["best_validation"] > 0.95
    assert run.record["data"]["rows"] == {"train": 120, "validation": 20, "test": 20}
    files = {path.name for path in (folder / "run").iterdir()}
    assert {"model.safetensors", "tokenizer.json", "README.md", "error_analysis.md", "predictions.conll"} <= files
    assert "profile.json" in files
    assert not (folder / "run" / "checkpoints").exists()
    assert {path.name for path in (folder / "run" / "figures").iterdir()} == {
        "learning_curves.png",
        "confusion_matrix.png",
    }
    summary = tagging_summary(run, str(folder / "run"))
    assert "entity_f1" in summary
    assert "model.entities" in summary
    assert "B-PER" in (folder / "run" / "README.md").read_text()


def test_the_written_predictions_give_the_written_scores(finished):
    folder, data, run = finished
    blocks = (folder / "run" / "predictions.conll").read_text().strip().split("\n\n")
    rows = [[line.split(" ") for line in block.splitlines()] for block in blocks]
    assert [[cells[0] for cells in row] for row in rows] == data.splits["test"].words
    gold, predicted = ([[cells[column] for cells in row] for row in rows] for column in (1, 2))
    statistics = EntityStatistics.of(predicted, gold)
    assert statistics.corpus()["entity_f1"] == run.metrics["scores"]["entity_f1"]["value"]
    columns = run.folder.read_columns("sentences.parquet")
    again = EntityStatistics.from_columns(columns, run.metrics["fingerprint"])
    assert (again.columns == statistics.columns).all()
    assert again.fingerprint == statistics.fingerprint


def test_the_saved_model_finds_entities_in_a_text(finished):
    folder, _, _ = finished
    tagger = load(folder / "run")
    found = tagger.entities("Ada went to Rome city.")
    assert [(entity.text, entity.type) for entity in found] == [("Ada", "PER"), ("Rome city", "LOC")]
    assert tagger.max_length == 24


def test_a_finished_run_is_read_and_another_one_refused(finished):
    folder, data, run = finished
    again = finetune_token_classification(data, options(folder))
    assert again.was_there
    assert again.metrics == run.metrics
    with pytest.raises(RunError, match=r"training\.num_train_epochs"):
        finetune_token_classification(data, options(folder, num_train_epochs=7.0))


def test_validation_is_measured_as_the_saved_model_answers(finished):
    folder, data, _ = finished
    tagger, split = load(folder / "run"), data.splits["validation"]
    found = validation_scores(tagger, split.words, split.tags, entities=True)
    losses = []
    for words, tags in zip(split.words, split.tags, strict=True):
        logits = torch.from_numpy(tagger.word_logits([words])[0][0])
        losses.append(
            F.cross_entropy(logits, torch.tensor([tagger.tag_names.index(tag) for tag in tags]), reduction="none")
        )
    assert found["loss"] == pytest.approx(float(torch.cat(losses).mean()), rel=1e-5)


def test_parts_of_speech_are_measured_by_accuracy(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, (split, size) in enumerate((("train", 60), ("validation", 12), ("test", 12))):
        rows = [
            {"tokens": words, "upos": ["PROPN" if tag != "O" else "X" for tag in tags]}
            for words, tags in tagged_sentences(size, seed=seed)
        ]
        write_rows(folder / f"{split}.jsonl", rows)
    data = load_tagged_text(str(folder))
    run = finetune_token_classification(
        data, options(tmp_path, num_train_epochs=1.0), tagging=TaggingOptions(window_overlap=3, label_every_piece=True)
    )
    assert run.metrics["scores"]["accuracy"]["value"] > 0.8
    assert {"f1_macro", "f1_PROPN", "f1_X"} <= set(run.metrics["scores"])
    assert run.record["identity"]["training"]["select_best_on"] == "accuracy"
    assert "model.predict" in tagging_summary(run, "x")


def test_scores_of_tags_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, f1_score

    generator = np.random.default_rng(0)
    gold = [[str(tag) for tag in generator.choice(list("ABCD"), size)] for size in (5, 9, 1, 12)]
    ours = [[str(tag) if generator.random() < 0.7 else "E" for tag in row] for row in gold]
    flat = [tag for row in gold for tag in row], [tag for row in ours for tag in row]
    statistics = TagStatistics.of(ours, gold)
    found = statistics.corpus()
    assert found["accuracy"] == pytest.approx(accuracy_score(*flat))
    assert found["f1_macro"] == pytest.approx(f1_score(*flat, average="macro", zero_division=0.0))
    labels = statistics.kinds
    each = f1_score(*flat, average=None, labels=list(labels), zero_division=0.0)
    assert [found[f"f1_{tag}"] for tag in labels] == pytest.approx(list(each))
    again = TagStatistics.from_columns(statistics.to_columns(), statistics.fingerprint)
    assert score_tags([again], resamples=200)["accuracy"].mean.value == found["accuracy"]
    both = score_tags([statistics, TagStatistics.of(gold, gold)], resamples=200)
    assert both["accuracy"].mean.value == pytest.approx((1 + found["accuracy"]) / 2)


@pytest.mark.parametrize(
    "method", ["lora", pytest.param("ia3", marks=pytest.mark.slow), pytest.param("prompt", marks=pytest.mark.slow)]
)
def test_adapters_train_save_and_reload(method, finished, tmp_path):
    _, data, _ = finished
    settings = {"rank": 4} if method == "lora" else ({"virtual_tokens": 3} if method == "prompt" else {})
    run = finetune_token_classification(
        data, options(tmp_path, peft=method, peft_options=settings, num_train_epochs=2.0)
    )
    assert run.record["trainable_parameters"] < run.record["parameters"]
    assert (tmp_path / "run" / "adapter_model.safetensors").is_file()
    # The reload check has compared the logits.
    losses = [record["eval_loss"] for record in run.record["history"] if "eval_loss" in record]
    assert losses[1] < losses[0]


def test_options_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--model"):
        EncoderOptions(model="")
    with pytest.raises(ConfigError, match="rank is a setting of lora"):
        EncoderOptions(model="x", peft_options={"rank": 3})
    with pytest.raises(ConfigError, match="max_minutes"):
        EncoderOptions(model="x", max_minutes=-1)
    data = load_tagged_text(str(write_tagged(tmp_path / "data", sizes=(12, 2, 2))))
    with pytest.raises(ConfigError, match="window_overlap"):
        finetune_token_classification(data, options(tmp_path), tagging=TaggingOptions(window_overlap=-1))
    with pytest.raises(ConfigError, match="select_best_on: 'entity_f2' is not measured.*entity_f1"):
        finetune_token_classification(data, options(tmp_path, select_best_on="entity_f2", num_train_epochs=0.5))
    with pytest.raises(LadderError, match="nowhere"):
        finetune_token_classification(
            data, options(tmp_path, model=str(tmp_path / "nowhere"), output_dir=str(tmp_path / "o"))
        )
    assert not (tmp_path / "o").exists()


# Losses


def test_label_smoothing_is_for_training_only():
    logits, labels = torch.randn(2, 5, 4), torch.tensor([[0, 1, -100, 3, 2], [-100, -100, 2, 2, -100]])
    kept, mask = labels.ne(-100), torch.ones_like(labels)
    for training, smoothing in ((True, 0.2), (False, 0.0)):
        expected = F.cross_entropy(logits[kept], labels[kept], label_smoothing=smoothing)
        found = tag_loss(0.2)({"logits": logits}, labels, mask=mask, num_items=None, training=training)
        assert found == pytest.approx(float(expected), rel=1e-6)


def test_the_loss_of_spans_is_the_mean_of_both_ends():
    start, end, labels = torch.randn(3, 7), torch.randn(3, 7), torch.tensor([[0, 0], [2, 4], [6, 6]])
    expected = (F.cross_entropy(start, labels[:, 0]) + F.cross_entropy(end, labels[:, 1])) / 2
    outputs = {"start_logits": start, "end_logits": end}
    mask = torch.ones(3, 7)
    found = span_loss()(outputs, labels, mask=mask, num_items=6, training=True)
    assert found == pytest.approx(float(expected), rel=1e-6)
    longer = {name: F.pad(logits, (0, 4), value=9.0) for name, logits in outputs.items()}
    found = span_loss()(longer, labels, mask=F.pad(mask, (0, 4)), num_items=6, training=True)
    assert found == pytest.approx(float(expected), rel=1e-6)


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("token_gradients_program", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def measure(program, task, accumulation, folder):
    program.main(task, accumulation, str(folder))
    return json.loads((folder / f"{task}.json").read_text())


@pytest.mark.parametrize("task", ["tags", "spans"])
def test_trap_trainer_inflates_the_loss_of_accumulated_micro_batches(task, program, tmp_path):
    whole = measure(program, task, 1, tmp_path)
    for accumulation in (2, 8):
        parts = measure(program, task, accumulation, tmp_path)
        assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
        assert parts["norm"] == pytest.approx(whole["norm"], rel=1e-4)


@pytest.mark.slow
def test_trap_trainer_inflates_the_loss_of_two_processes(program, tmp_path):
    result = run_forked(str(PROGRAM), "tags,spans", "2", str(tmp_path), processes=2)
    assert result.returncode == 0, result.stderr[-2000:]
    for task in ("tags", "spans"):
        two = json.loads((tmp_path / f"{task}.json").read_text())
        whole = measure(program, task, 1, tmp_path)
        assert two["world"] == 2
        assert two["loss"] == pytest.approx(whole["loss"], rel=1e-5)
        assert two["norm"] == pytest.approx(whole["norm"], rel=1e-4)


# The recipe


def command(data, encoder, output, *more):
    return [
        "recipes/finetune_bert.py", "--task", "token_classification", "--dataset", str(data), "--model", str(encoder),
        "--output_dir", str(output), "--num_train_epochs", "3", "--batch_size", "8", "--learning_rate", "0.01",
        "--precision", "fp32", *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_killed_with_9_and_started_again_it_ends_with_the_same_weights(tmp_path):
    data, encoder = write_tagged(tmp_path / "data"), tiny_encoder(tmp_path / "encoder", dropout=0.1)
    straight = run_here(*command(data, encoder, tmp_path / "straight"))
    assert straight.returncode == 0, straight.stderr[-3000:]
    checkpoints = tmp_path / "killed" / "checkpoints"
    kill_forked_when(lambda: any(checkpoints.glob(f"*/{COMPLETE_MARK}")), *command(data, encoder, tmp_path / "killed"))
    again = run_python(*command(data, encoder, tmp_path / "killed"))
    assert again.returncode == 0, again.stderr[-3000:]
    record = json.loads((tmp_path / "killed" / "run.json").read_text())
    assert any("continued from checkpoint-" in note for note in record["notes"])
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("straight", "killed"))
    assert all((first[key] == second[key]).all() for key in first)
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("straight", "killed")]
    assert metrics[0] == metrics[1]


def test_an_option_of_another_task_is_refused(tmp_path):
    result = run_here(*command(tmp_path, "x", tmp_path / "o", "--doc_stride", "3"))
    assert result.returncode == 2
    assert "--doc_stride is an option of --task question_answering" in result.stderr
    assert "Traceback" not in result.stderr
