"""The climb: one table over rungs, that survives failures and interruptions."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from helpers import text_dataset
from nlpladder.climb import ClimbPlan, climb
from nlpladder.errors import RunError
from nlpladder.ladder import choose_rungs
from nlpladder.tasks.base import RungSettings
from nlpladder.tasks.classification import ClassificationTask
from nlpladder.training.options import TrainingOptions
from nlpladder.training.pretraining_options import PretrainingOptions
from nlpladder.views.ladder_table import foot_notes, ladder_html, ladder_markdown, print_ladder, table_rows

TINY = RungSettings(
    model={"embedding_size": 16, "hidden_size": 16},
    training={"num_train_epochs": 2, "batch_size": 16, "learning_rate": 0.01},
)


def run(plan, data, folder):
    lines = []
    return climb(plan, ClassificationTask(data), folder, lines.append), lines


def test_the_table_holds_scores_intervals_costs_and_tests_against_the_rung_below(tmp_path):
    data = text_dataset(test=60)
    plan = ClimbPlan(rungs=choose_rungs(["majority", "tfidf_logistic", "bilstm"]), seeds=2, settings={"bilstm": TINY})
    content, lines = run(plan, data, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {
        "ladder.json",
        "ladder.md",
        "ladder.html",
        "figures",
        "bilstm",
    }
    assert json.loads((tmp_path / "ladder.json").read_text()) == json.loads(json.dumps(content))
    rows = {row["rung"]: row for row in content["rows"]}
    assert rows["bilstm"]["seeds"] == 2
    assert rows["tfidf_logistic"]["seeds"] == 1
    assert rows["majority"]["against_rung_below"] is None
    step = rows["tfidf_logistic"]["against_rung_below"]
    assert step["system_b"] == "majority"
    assert step["p_holm"] < 0.01
    accuracy = rows["tfidf_logistic"]["scores"]["accuracy"]["mean"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert len(content["pairs"]) == 3
    assert len(rows["bilstm"]["scores"]["accuracy"]["values"]) == 2
    for row in content["rows"]:
        assert row["training_seconds"] >= 0
        assert row["inference_examples_per_second"] > 0
        assert row["parameters"] >= 2
    assert sum("seed" in line for line in lines) == 4
    markdown = (tmp_path / "ladder.md").read_text()
    assert markdown.count("\n| ") == 4
    page = (tmp_path / "ladder.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page.replace("http-equiv", "")


def test_a_second_start_reads_finished_rungs(tmp_path, monkeypatch):
    data = text_dataset()
    first, _ = run(ClimbPlan(rungs=choose_rungs(["majority"])), data, tmp_path)
    from nlpladder.models.counts.majority import MajorityClassifier

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(MajorityClassifier, "fit", refuse)
    second, _ = run(ClimbPlan(rungs=choose_rungs(["majority", "naive_bayes"])), data, tmp_path)
    assert second["rows"][0]["scores"] == first["rows"][0]["scores"]
    assert [row["rung"] for row in second["rows"]] == ["majority", "naive_bayes"]


def test_what_is_left_is_judged_by_what_finished_runs_took_when_they_were_trained(tmp_path):
    data, settings = text_dataset(), {"bilstm": TINY, "transformer": dataclasses.replace(TINY, model={})}
    run(ClimbPlan(rungs=choose_rungs(["bilstm"]), settings=settings), data, tmp_path)
    (record,) = tmp_path.glob("bilstm/seed-0/run.json")
    kept = json.loads(record.read_text())
    record.write_text(json.dumps({**kept, "training_seconds": 7_200.0}))
    _, lines = run(ClimbPlan(rungs=choose_rungs(["bilstm", "transformer"]), settings=settings), data, tmp_path)
    (line,) = (line for line in lines if line.startswith("[ 2/2]"))
    minutes = int(re.search(r"about (\d+) min left", line).group(1))
    assert minutes > 30


def test_a_failing_rung_keeps_its_row_and_the_climb_goes_on(tmp_path, monkeypatch):
    from nlpladder.models.counts.naive_bayes import NaiveBayesClassifier

    def explode(*_, **__):
        raise MemoryError("not enough memory | <b>for</b> this")

    monkeypatch.setattr(NaiveBayesClassifier, "fit", explode)
    content, _ = run(
        ClimbPlan(rungs=choose_rungs(["majority", "naive_bayes", "tfidf_logistic"])), text_dataset(), tmp_path
    )
    rows = {row["rung"]: row for row in content["rows"]}
    assert "not enough memory" in rows["naive_bayes"]["error"]
    assert rows["tfidf_logistic"]["against_rung_below"]["system_b"] == "majority"
    assert "<b>" not in (tmp_path / "ladder.html").read_text()
    assert "\\|" in (tmp_path / "ladder.md").read_text()
    monkeypatch.undo()
    content, _ = run(ClimbPlan(rungs=choose_rungs(["majority", "naive_bayes"])), text_dataset(), tmp_path)
    assert content["rows"][1]["error"] is None, "a failed rung is tried again"


def test_a_climb_of_other_arguments_is_refused_before_anything_is_written(tmp_path):
    run(ClimbPlan(rungs=choose_rungs(["majority", "naive_bayes"])), text_dataset(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = {"naive_bayes": RungSettings(model={"alpha": 0.5})}
    with pytest.raises(RunError, match=r"model\.alpha"):
        run(ClimbPlan(rungs=choose_rungs(["majority", "naive_bayes"]), settings=other), text_dataset(), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_used_up_budget_is_said_in_the_rows(tmp_path):
    content, _ = run(
        ClimbPlan(rungs=choose_rungs(["majority", "naive_bayes"]), budget_seconds=0.0), text_dataset(), tmp_path
    )
    assert all("budget of 0 minutes" in row["error"] for row in content["rows"])


def test_without_an_encoder_one_is_pretrained_for_both_bert_rungs(tmp_path):
    data = text_dataset(unlabeled=200)
    training = {"num_train_epochs": 1, "batch_size": 16}
    plan = ClimbPlan(
        rungs=choose_rungs(["majority", "bert_lora", "bert"]),
        settings={name: RungSettings(training=training) for name in ("bert", "bert_lora")},
        pretraining=PretrainingOptions(vocab_size=120),
        pretraining_training=TrainingOptions(num_train_epochs=1, batch_size=32, max_length=24, select_best_on="none"),
    )
    content, lines = run(plan, data, tmp_path)
    assert content["pretraining"]["texts"] == 296
    assert sum("pretraining a tiny BERT" in line for line in lines) == 1
    assert [row["error"] for row in content["rows"]] == [None, None, None]
    assert (tmp_path / "encoder" / "model.safetensors").is_file()
    assert not (tmp_path / "encoder" / "checkpoints").exists()
    lora, full = content["rows"][1:]
    assert lora["trainable_parameters"] < full["trainable_parameters"]


@pytest.mark.parametrize("task", ["multi_label", "regression"])
def test_other_tasks_lead_with_their_own_metric(task, tmp_path):
    plan = ClimbPlan(
        rungs=choose_rungs(["text_cnn", "bilstm"]),
        settings={"bilstm": TINY, "text_cnn": RungSettings(training={"num_train_epochs": 1})},
    )
    content, _ = run(plan, text_dataset(task=task, classes=3), tmp_path)
    assert [row["error"] for row in content["rows"]] == [None, None]
    assert content["columns"][0] == {"multi_label": "f1_micro", "regression": "root_mean_squared_error"}[task]


def example(**changes):
    score = {
        "name": "accuracy",
        "value": 0.9,
        "low": 0.88,
        "high": 0.97,
        "n": 10,
        "unit": "%",
        "higher_is_better": True,
    }
    plain = {**score, "unit": "", "low": None, "high": None}
    scores = {
        "accuracy": {"mean": score, "values": [0.9], "deviation": 0.01},
        "f1_macro": {"mean": plain, "values": [0.9], "deviation": None},
    }
    row = {
        "rung": "bert", "title": "pretrained <i>BERT</i>", "idea": "x", "seeds": 3, "parameters": 12_345_678.0,
        "trainable_parameters": 5.0, "training_seconds": 1234.5, "inference_examples_per_second": 10.0,
        "scores": scores,
        "against_rung_below": {"p_holm": 0.0004, "difference": -0.1, "higher_is_better": True}, "error": None,
        "notes": ["stopped"], "runs": ["somewhere"],
    }  # fmt: skip
    content = {
        "dataset": "<script>alert(1)</script>", "columns": ["accuracy", "f1_macro"], "rows": [row], "test_size": 1000,
        "test_unit": "test texts", "speed_unit": "texts",
        "hardware": "two cores", "seconds": 60.0, "peak_memory_mib": 500.0, "ceilings": {"bayes_accuracy": 0.965},
        "pretraining": {"seconds": 80.0, "texts": 1000},
    }  # fmt: skip
    return {**content, **changes}


def test_cells_read_as_a_reader_expects():
    (row,) = table_rows(example())
    assert row == [
        "pretrained <i>BERT</i> *",
        "12.3 M",
        "1,234.5",
        "10",
        "90.0 [88.0, 97.0] ±1.0 †",
        "0.900",
        "<.001 ▼",
    ]
    assert any("3 seeds" in note for note in foot_notes(example()))


def test_names_from_the_data_cannot_script_the_page(capsys):
    assert "<script>" not in ladder_html(example(), [])
    assert "<script>" not in ladder_markdown(example())
    print_ladder(example(dataset="[bold]world[/bold]"))
    printed = capsys.readouterr().out
    assert "[bold]world[/bold]" in printed
    assert "12.3 M" in printed


def test_probabilities_of_all_rungs_are_about_the_same_texts(tmp_path):
    plan = ClimbPlan(rungs=choose_rungs(["majority", "naive_bayes"]))
    run(plan, text_dataset(), tmp_path)
    from nlpladder.training.run_folder import RunFolder, read_run

    labels = []
    for name in ("majority", "naive_bayes"):
        folder = tmp_path / name / "seed-0"
        labels.append(RunFolder(folder, read_run(folder)).read_predictions()[1])
    assert np.array_equal(*labels)
