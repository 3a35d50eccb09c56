"""The landing tab: climbs as tables, points and sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demos.run_folders import make_climb, make_run, score
from nlpladder.ladder import LADDER
from shell.limits import DemoError
from tabs.ladder import climb_choices, describe_rung, show_climb
from tabs.ladder_notes import climb_notes, is_tiny
from tabs.ladder_tables import (
    COSTS,
    climb_points,
    comparison_sentence,
    recipe_command,
    rung_sentences,
    runs_of_row,
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
    table, notes, drawn = show_climb(models_dir, "mine", "training time")
    assert table.columns.tolist()[:2] == ["rung", "accuracy [95 %]"]
    assert table["rung"].tolist() == ["majority class", "bidirectional LSTM *", "pretrained BERT <b>"]
    assert table["accuracy [95 %]"].tolist()[:2] == ["50.0 [48.0, 52.0]", "88.1 [86.1, 90.1]"]
    assert table["p vs. below"].tolist()[1] == "<.001 ▲"
    assert "ModelError" in table.iloc[2, 1]
    points, cost_title, score_title = climb_points(climb_named(models_dir, "mine"), "training time")
    assert [point.rung for point in points] == ["majority", "bilstm"]
    assert [point.score for point in points] == pytest.approx([50.0, 88.1])
    assert points[0].cost == pytest.approx(50.0)
    assert points[1].score_text == "88.1 % [86.1, 90.1]"
    assert (points[1].low, points[1].high) == pytest.approx((86.1, 90.1))
    assert (cost_title, score_title) == ("seconds of training", "accuracy in %")
    assert score_title in drawn
    assert notes.startswith("- ")
    assert climb_choices(models_dir) == [("mine: classification, on reviews.csv, 3 rungs", "mine")]


def test_word_vectors_of_a_world_made_in_seconds_are_called_tiny(tmp_path: Path) -> None:
    make_climb(tmp_path / "c", dataset="world:stories?train=9", task="embeddings")
    content = json.loads((tmp_path / "c" / "ladder.json").read_text())
    for row, name, seconds in zip(content["rows"], ("lsa", "glove", "skipgram"), (0.4, 0.2, 0.6), strict=True):
        row.update(rung=name, training_seconds=seconds)
    path = tmp_path / "c" / "ladder.json"
    path.write_text(json.dumps(content))
    (climb,) = find_climbs(tmp_path)
    assert is_tiny(climb)
    assert "Tiny models" in climb_notes(climb)
    assert "tiny models trained for seconds" in climb_choices(tmp_path)[0][0]
    path.write_text(json.dumps({**content, "task": "language_modeling"}))
    assert not is_tiny(find_climbs(tmp_path)[0])


def test_a_metric_has_one_name_in_table_plot_notes_and_sentences(tmp_path: Path) -> None:
    make_climb(
        tmp_path / "c", columns=["bits_per_byte"], ceilings={"bits_per_byte": 0.3, "best_bigram_bits_per_byte": 0.5}
    )
    content = json.loads((tmp_path / "c" / "ladder.json").read_text())
    for row in content["rows"][:2]:
        one = score("bits_per_byte", 1.5, unit="", higher_is_better=False)
        row["scores"] = {"bits_per_byte": {"mean": one, "deviation": None, "values": [1.5]}}
    (tmp_path / "c" / "ladder.json").write_text(json.dumps(content))
    (climb,) = find_climbs(tmp_path)
    table, notes, drawn = show_climb(tmp_path, "c", "parameters")
    everything = table.to_csv() + notes + drawn + describe_rung(climb, "bilstm") + climb_points(climb, "parameters")[2]
    assert "bits per byte" not in everything.lower()
    assert everything.lower().count("bits/byte") >= 5
    assert "the best bits/byte is 0.300 of any model, 0.500 of a model that sees two words at a time." in notes


def test_what_is_said_of_several_rungs_is_said_once(tmp_path: Path) -> None:
    make_climb(tmp_path / "c")
    content = json.loads((tmp_path / "c" / "ladder.json").read_text())
    for row in content["rows"][:2]:
        row["notes"] = ["it rained"]
    (tmp_path / "c" / "ladder.json").write_text(json.dumps(content))
    notes = climb_notes(find_climbs(tmp_path)[0])
    assert notes.count("it rained") == 1
    assert "majority class; bidirectional LSTM: it rained" in notes
    assert "*accuracy* is the share of right answers; *macro F1* is" in notes


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
    assert [point.rung for point in points] == ["bilstm"]


def test_a_climb_without_scores_has_no_points(tmp_path: Path) -> None:
    make_climb(tmp_path / "c")
    content = json.loads((tmp_path / "c" / "ladder.json").read_text())
    for row in content["rows"][:2]:
        row["scores"]["accuracy"]["mean"] = score("accuracy", None)
    (tmp_path / "c" / "ladder.json").write_text(json.dumps(content))
    table, _, drawn = show_climb(tmp_path, "c", "training time")
    assert len(table) == 3
    assert drawn == ""


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
