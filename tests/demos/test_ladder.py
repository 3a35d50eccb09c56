"""The landing tab: climbs as tables, points and sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demos.run_folders import make_climb, make_run, score
from nlpladder.ladder import LADDER
from shell.limits import DemoError
from tabs.ladder import climb_choices, describe_rung, show_climb
from tabs.ladder_tables import (
    COSTS,
    climb_notes,
    climb_points,
    comparison_sentence,
    recipe_command,
    rung_sentences,
    runs_of_row,
    score_limits,
    single_runs,
)
from tabs.runs_reading import climb_named, find_climbs, find_runs


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    make_climb(tmp_path / "outputs" / "mine")
    make_run(tmp_path / "outputs" / "alone")
    make_run(tmp_path / "outputs" / "begun", finished=False)
    return tmp_path / "outputs"


def test_the_table_has_a_row_a_rung_and_says_why_one_failed(models_dir: Path) -> None:
    table, notes, points, cost_title, score_title = show_climb(models_dir, "mine", "training time")
    assert table["rung"].tolist() == ["majority class", "bidirectional LSTM *", "pretrained BERT <b>"]
    assert table["accuracy [95 %]"].tolist()[:2] == ["50.0 [48.0, 52.0]", "88.1 [86.1, 90.1]"]
    assert table["p vs. below"].tolist()[1] == "<.001 ▲"
    assert "ModelError" in table.iloc[2, 1]
    assert points["rung"].tolist() == ["majority", "bilstm"]
    assert points["score"].tolist() == pytest.approx([50.0, 88.1])
    assert points["cost"].tolist()[0] == pytest.approx(1.69897)
    assert points["score with 95 % interval"].tolist()[1] == "88.1 % [86.1, 90.1]"
    assert cost_title == "seconds of training (log scale: 0 is 1, 1 is 10, 2 is 100, 3 is 1,000)"
    assert score_title == "accuracy in %"
    assert notes.startswith("- ")
    assert climb_choices(models_dir) == [("mine: classification, on reviews.csv, 3 rungs", "mine")]


def test_nothing_shown_names_a_folder_of_this_machine(models_dir: Path) -> None:
    climb = climb_named(models_dir, "mine")
    table, notes, *_ = show_climb(models_dir, "mine", "parameters")
    texts = [notes, climb_notes(climb), *(describe_rung(climb, row["rung"]) for row in climb.content["rows"])]
    assert "/home" not in "".join(texts) + table.to_csv()


@pytest.mark.parametrize("cost", COSTS)
def test_a_cost_of_zero_has_no_point(cost: str, tmp_path: Path) -> None:
    make_climb(tmp_path / "c")
    content = json.loads((tmp_path / "c" / "ladder.json").read_text())
    content["rows"][0][COSTS[cost][0]] = 0.0
    (tmp_path / "c" / "ladder.json").write_text(json.dumps(content))
    points, *_ = climb_points(find_climbs(tmp_path)[0], cost)
    assert points["rung"].tolist() == ["bilstm"]
    low, high = score_limits(points)
    assert low < points["score"].min() < high


def test_a_climb_without_scores_has_no_points(tmp_path: Path) -> None:
    make_climb(tmp_path / "c")
    content = json.loads((tmp_path / "c" / "ladder.json").read_text())
    for row in content["rows"][:2]:
        row["scores"]["accuracy"]["mean"] = score("accuracy", None)
    (tmp_path / "c" / "ladder.json").write_text(json.dumps(content))
    table, _, points, *_ = show_climb(tmp_path, "c", "training time")
    assert len(table) == 3
    assert points.empty
    assert score_limits(points) is None


@pytest.mark.parametrize("change", [{"rows": 3}, {"rows": [{}]}, {"columns": []}, {"hardware": None, "seconds": "x"}])
def test_a_damaged_climb_is_left_out(change: dict, tmp_path: Path) -> None:
    make_climb(tmp_path / "c", **change)
    assert find_climbs(tmp_path) == []


def test_a_rung_is_described_by_title_or_name(models_dir: Path) -> None:
    climb = climb_named(models_dir, "mine")
    text = describe_rung(climb, "bidirectional LSTM *")
    assert text == describe_rung(climb, "bilstm")
    assert "Reads in order, in both directions, and remembers." in text
    assert "Long short-term memory (1997)" in text
    assert "src/nlpladder/models/classifiers/recurrent.py" in text
    assert "Against `majority`: better ▲ (p < .001" in text
    assert "Accuracy: 88.1 % [86.1, 90.1], n = 400" in text
    assert "Its run: `mine/bilstm/seed-0`" in text
    assert "recipes/train_text_classifier.py --dataset reviews.csv --rung bilstm" in text
    failed = describe_rung(climb, "pretrained BERT <b>")
    assert "Not finished: ModelError" in failed
    assert "<b>" not in failed
    with pytest.raises(DemoError, match="Did you mean 'bilstm'"):
        describe_rung(climb, "bilst")


def test_runs_are_found_beside_the_table_wherever_the_climb_was_made(models_dir: Path) -> None:
    climb = climb_named(models_dir, "mine")
    row = climb.content["rows"][1]
    assert runs_of_row(climb, row) == ["mine/bilstm/seed-0"]
    assert runs_of_row(climb, {**row, "runs": ["/etc/.."], "rung": ".."}) == []


def test_single_runs_are_those_outside_of_climbs(models_dir: Path) -> None:
    rows = single_runs(find_runs(models_dir), find_climbs(models_dir))
    assert rows == [
        ["alone", "bidirectional LSTM", "reviews.csv", "accuracy 88.1 % [86.1, 90.1]", "358,500", "54.4"],
    ]  # fmt: skip


def test_a_comparison_that_shows_nothing_is_no_proof() -> None:
    told = {"system_b": "bow", "difference": 0.01, "p_holm": 0.4, "n": 10, "higher_is_better": True}
    assert "no difference was shown (p = 0.400" in comparison_sentence(told)
    assert "worse ▼" in comparison_sentence({**told, "p_holm": 0.01, "difference": -0.1})
    assert "better ▲" in comparison_sentence({**told, "p_holm": 0.01, "difference": -0.1, "higher_is_better": False})


def test_every_rung_has_a_sentence_and_a_command_of_a_recipe_that_exists() -> None:
    repository = Path(__file__).parents[2]
    assert len(rung_sentences()) == len(LADDER) - 1
    for rung in LADDER:
        command = recipe_command(rung, "my data.csv")
        assert "'my data.csv'" in command
        recipe = repository / command.split()[2]
        assert recipe.is_file()
        options = [part for part in command.split() if part.startswith("--")]
        source = recipe.read_text() + "".join(path.read_text() for path in (repository / "src").rglob("*options.py"))
        assert all(f"{option[2:]}:" in source for option in options), command
