"""A reader from data to a run folder: learnt, saved, opened again; questions without an answer; adapters."""

from __future__ import annotations

import json

import numpy as np
import pytest

from helpers import run_here
from nlpladder.data.questions import load_questions
from nlpladder.errors import ConfigError
from nlpladder.evaluation.answers import AnswerStatistics
from nlpladder.finetuning.encoder_options import EncoderOptions, ReadingOptions
from nlpladder.finetuning.question_answering import best_threshold, finetune_question_answering, reading_summary
from nlpladder.finetuning.question_report import question_kind
from nlpladder.hub.loading import load
from token_task_data import tiny_encoder, write_questions

READING = ReadingOptions(doc_stride=8, max_answer_length=4)


def options(folder, **more):
    encoder = folder / "encoder"
    defaults = {
        "model": str(encoder if encoder.exists() else tiny_encoder(encoder)), "output_dir": str(folder / "run"),
        "learning_rate": 3e-3, "num_train_epochs": 3.0, "batch_size": 8, "precision": "fp32", "max_length": 40,
    }  # fmt: skip
    return EncoderOptions(**{**defaults, **more})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    data = load_questions(str(write_questions(folder / "data", sizes=(300, 24, 24))))
    return folder, data, finetune_question_answering(data, options(folder), reading=READING)


def test_a_toy_is_learnt_and_told(finished):
    folder, _, run = finished
    scores = run.metrics["scores"]
    assert scores["f1"]["value"] > 0.9  # one half without reading the question
    assert scores["exact_match"]["low"] <= scores["exact_match"]["value"]
    assert run.record["status"] == "finished"
    files = {path.name for path in (folder / "run").iterdir()}
    assert {"model.safetensors", "README.md", "error_analysis.md", "predictions.json", "questions.parquet"} <= files
    assert "profile.json" in files
    assert "no_answer_scores.json" not in files
    assert not (folder / "run" / "checkpoints").exists()
    summary = reading_summary(run, str(folder / "run"))
    assert "exact_match" in summary
    assert "model.answer" in summary
    assert "By kind of question" in (folder / "run" / "error_analysis.md").read_text()


def test_the_written_predictions_give_the_written_scores(finished):
    folder, data, run = finished
    predictions = json.loads((folder / "run" / "predictions.json").read_text())
    test = data.splits["test"]
    statistics = AnswerStatistics.of([predictions[row.identity] for row in test], [row.answers for row in test])
    assert statistics.corpus()["f1"] == run.metrics["scores"]["f1"]["value"]
    assert all(predictions[row.identity] in row.context for row in test)


def test_the_saved_model_answers(finished):
    folder, data, _ = finished
    reader = load(folder / "run")
    assert (reader.max_length, reader.doc_stride, reader.max_answer_length) == (40, 8, 4)
    predictions = json.loads((folder / "run" / "predictions.json").read_text())
    row = data.splits["test"][0]
    assert reader.answer(row.question, row.context)[0].text == predictions[row.identity]


def test_a_finished_run_is_read(finished):
    folder, data, run = finished
    again = finetune_question_answering(data, options(folder), reading=READING)
    assert again.was_there
    assert again.metrics == run.metrics


def test_questions_without_an_answer_have_a_threshold_from_validation(tmp_path):
    data = load_questions(str(write_questions(tmp_path / "data", sizes=(160, 30, 30), unanswerable=True)))
    assert data.has_unanswerable
    run = finetune_question_answering(data, options(tmp_path), reading=READING)
    scores = run.metrics["scores"]
    assert {"no_answer_accuracy", "has_answer_f1"} <= set(scores)
    assert "SQuAD 2.0" in run.metrics["tested"]
    assert any("left without an answer" in note for note in run.record["notes"])
    reader = load(tmp_path / "run")
    odds = json.loads((tmp_path / "run" / "no_answer_scores.json").read_text())
    predictions = json.loads((tmp_path / "run" / "predictions.json").read_text())
    assert all((odds[name] > reader.no_answer_threshold) == (text == "") for name, text in predictions.items())


def test_the_threshold_is_the_best_of_all(finished):
    """As find_best_thresh of SQuAD 2.0's script: no other cut through the sorted differences has a better F1."""
    folder, data, _ = finished
    reader = load(folder / "run")
    generator = np.random.default_rng(0)
    rows = [
        type(row)(
            row.identity,
            row.question,
            row.context,
            *(((), ()) if generator.random() < 0.4 else (row.answers, row.starts)),
        )
        for row in data.splits["test"]
    ]
    reader.no_answer_threshold = 0.0
    threshold, f1 = best_threshold(reader, rows, version="2.0")
    assert reader.no_answer_threshold == 0.0

    def measured(value):
        reader.no_answer_threshold = value
        found = reader.answer([row.question for row in rows], [row.context for row in rows])
        return AnswerStatistics.of(
            [answer.text for answer in found], [row.answers for row in rows], version="2.0"
        ).corpus()["f1"]

    differences = sorted(
        answer.no_answer_score for answer in reader.answer([r.question for r in rows], [r.context for r in rows])
    )
    assert measured(threshold) == pytest.approx(f1)
    assert all(measured(value) <= f1 + 1e-9 for value in (differences[0] - 1, *differences))


@pytest.mark.parametrize("method", ["lora", pytest.param("prompt", marks=pytest.mark.slow)])
def test_adapters_train_save_and_reload(method, finished, tmp_path):
    _, data, _ = finished
    settings = {"rank": 4} if method == "lora" else {"virtual_tokens": 3}
    run = finetune_question_answering(
        data, options(tmp_path, peft=method, peft_options=settings, num_train_epochs=1.0), reading=READING
    )
    assert run.record["trainable_parameters"] < run.record["parameters"]
    assert (tmp_path / "run" / "adapter_model.safetensors").is_file()


def test_label_smoothing_is_refused(finished, tmp_path):
    _, data, _ = finished
    with pytest.raises(ConfigError, match="label_smoothing has no meaning"):
        finetune_question_answering(data, options(tmp_path, label_smoothing=0.1), reading=READING)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How many came?", "how many"),
        ("Since when is it?", "when"),
        ("In what way, and who?", "what"),
        ("Name it.", "other"),
    ],
)
def test_kinds_of_questions(question, kind):
    assert question_kind(question.rstrip("?") + " ?") == kind


@pytest.mark.slow
def test_the_recipe_reads_and_answers(tmp_path):
    data, encoder = write_questions(tmp_path / "data", sizes=(40, 8, 8)), tiny_encoder(tmp_path / "encoder")
    result = run_here(
        "recipes/finetune_bert.py", "--task", "question_answering", "--dataset", str(data), "--model", str(encoder),
        "--output_dir", str(tmp_path / "run"), "--num_train_epochs", "1", "--max_length", "40", "--doc_stride", "8",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert "exact_match" in result.stdout
    assert "test split, 8 questions" in result.stdout
