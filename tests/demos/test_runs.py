"""The tab of runs: what it reads is checked, and what it shows names no folder of this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos.bias_fakes import EVIL
from demos.run_folders import PNG, make_climb, make_run, score
from nlpladder.evaluation.closed_intervals import no_interval as all_alike
from shell.limits import DemoError
from tabs.runs import run_choices, show_run
from tabs.runs_figures import caption, figures, figures_html
from tabs.runs_reading import (
    Run,
    climb_named,
    find_climbs,
    find_runs,
    read_json,
    run_named,
    run_or_damage,
    without_folders,
)
from tabs.runs_tables import (
    argument_rows,
    card_text,
    facts,
    harmless_markdown,
    leading_metric,
    loss_curve,
    metric_rows,
    model_problem,
    no_interval,
    version_rows,
)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "app"))


class TestReading:
    def test_runs_are_found_with_their_paths_as_names(self, tmp_path: Path) -> None:
        make_run(tmp_path / "outputs" / "lstm")
        make_run(tmp_path / "outputs" / "begun", finished=False)
        make_climb(tmp_path / "outputs" / "climb")
        make_run(tmp_path / "outputs" / "lstm" / "checkpoints" / "no")
        make_run(tmp_path / "outputs" / ".hidden")
        make_run(tmp_path / "outputs" / "a" / "b" / "c" / "d" / "too deep")
        make_run(tmp_path / "elsewhere")
        (tmp_path / "outputs" / "link").symlink_to(tmp_path / "elsewhere")
        found = find_runs(tmp_path / "outputs")
        assert [run.name for run in found] == ["begun", "climb/bilstm/seed-0", "climb/majority/seed-0", "lstm"]
        assert [climb.name for climb in find_climbs(tmp_path / "outputs")] == ["climb"]
        assert run_choices(tmp_path / "outputs")[-1] == ("begun: bidirectional LSTM (not finished)", "begun")

    def test_the_models_folder_may_be_a_run_itself_or_missing(self, tmp_path: Path) -> None:
        assert find_runs(tmp_path / "gone") == find_climbs(tmp_path / "gone") == []
        make_run(tmp_path / "one")
        assert [run.name for run in find_runs(tmp_path / "one")] == ["."]

    @pytest.mark.parametrize(
        "content", [b"", b"[]", b"{", b"\xff", b'{"a":' * 50_000, b"null", b'{"status": "finished"'], ids=range(7)
    )
    def test_damaged_records_read_as_none(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "run.json").write_bytes(content)
        (tmp_path / "run" / "ladder.json").write_bytes(content)
        assert read_json(tmp_path / "run" / "run.json") is None
        assert find_runs(tmp_path) == find_climbs(tmp_path) == []

    def test_a_damaged_record_is_listed_and_says_so(self, tmp_path: Path) -> None:
        make_run(tmp_path / "good")
        (make_run(tmp_path / "bad") / "run.json").write_text("{")
        assert run_choices(tmp_path)[1:] == [("bad (damaged)", "bad")]
        shown = show_run(run_or_damage(tmp_path, "bad"))["facts"].values.tolist()
        assert ["status", "damaged"] in shown
        assert ["note", "The record of bad cannot be read: run.json is damaged. Train it again."] in shown
        with pytest.raises(DemoError):
            run_or_damage(tmp_path, "worse")

    def test_a_model_that_cannot_be_opened_is_told(self, tmp_path: Path) -> None:
        from nlpladder.models.counts.majority import MajorityClassifier

        folder = make_run(tmp_path / "run")
        MajorityClassifier(label_names=("bad", "good")).fit(["a", "b"], [0, 1]).save_pretrained(folder)
        (run,) = find_runs(tmp_path)
        assert model_problem(run) == ""
        assert "model" not in dict(facts(run))
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
        assert dict(facts(run))["model"].startswith("cannot be opened: ")
        weights.unlink()
        assert "model.safetensors" in dict(facts(run))["model"] or "run" in dict(facts(run))["model"]
        assert str(tmp_path) not in dict(facts(run))["model"]
        (folder / "config.json").unlink()
        assert dict(facts(run))["model"].startswith("cannot be opened: run")
        assert model_problem(Run("run", folder, {"status": "running"})) == ""

    def test_a_link_is_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "secret.json").write_text("{}")
        (tmp_path / "run.json").symlink_to(tmp_path / "secret.json")
        assert read_json(tmp_path / "run.json") is None

    @pytest.mark.parametrize("name", ["../elsewhere", "/etc", "", ["lstm"], "lstm/", "ltsm"])
    def test_only_names_of_the_list_are_opened(self, name: object, tmp_path: Path) -> None:
        make_run(tmp_path / "elsewhere")
        make_run(tmp_path / "outputs" / "lstm")
        with pytest.raises(DemoError):
            run_named(tmp_path / "outputs", name)

    def test_without_a_name_the_newest_is_opened(self, tmp_path: Path) -> None:
        with pytest.raises(DemoError, match="no run here yet"):
            run_named(tmp_path, None)
        with pytest.raises(DemoError, match="no climb here yet"):
            climb_named(tmp_path, None)
        for age, name in enumerate(("a", "b", "c")):
            file = make_run(tmp_path / name) / "run.json"
            os.utime(file, (1e9 + (age == 1), 1e9 + (age == 1)))
        assert run_named(tmp_path, None).name == "b"

    def test_a_ratio_is_best_at_one(self, tmp_path: Path) -> None:
        folder = make_run(tmp_path / "run")
        metrics = json.loads((folder / "metrics.json").read_text())
        scores = {
            "length_ratio": {**score("length_ratio", 0.9), "note": "Best at 1, where lengths are equal."},
            "loss": {**score("loss", 0.9), "higher_is_better": False}, "accuracy": score("accuracy", 0.9),
            "tokens": {**score("tokens", 0.9), "higher_is_better": None},
        }  # fmt: skip
        (folder / "metrics.json").write_text(json.dumps({**metrics, "scores": scores}))
        ways = {row[0]: row[4] for row in metric_rows(find_runs(tmp_path)[0])}
        assert ways == {"length ratio": "nearer to 1", "loss": "lower", "accuracy": "higher", "tokens": "neither"}

    def test_folders_of_this_machine_are_cut(self) -> None:
        assert without_folders("/home/ada/data/reviews.csv") == "reviews.csv"
        assert without_folders("kept /home/ada/x/checkpoint-20: loss 0.1") == "kept checkpoint-20: loss 0.1"
        assert without_folders(r"C:\Users\ada\data") == "data"
        for kept in ("world:reviews?train=5/6", "stanfordnlp/imdb", "1/2 of 3", "and/or"):
            assert without_folders(kept) == kept


class TestTables:
    def test_the_leading_metric_comes_first(self, tmp_path: Path) -> None:
        run = find_runs(make_run(tmp_path / "run"))[0]
        assert leading_metric(run) == "accuracy"
        assert metric_rows(run) == [
            ["accuracy", "88.1 %", "[86.1, 90.1]", "400", "higher", ""],
            ["macro F1", "undefined", "no interval", "400", "higher", ""],
            ["zeal", "50.0 %", "[48.0, 52.0]", "400", "higher", ""],
        ]

    def test_where_there_is_no_interval_it_says_why(self, tmp_path: Path) -> None:
        folder = make_run(tmp_path / "run")
        found = all_alike(1.0, 1.0, 12)
        perfect = {**score("f1_macro", 1.0), "low": None, "high": None, "method": found.method, "note": found.note}
        (folder / "metrics.json").write_text(json.dumps({"scores": {"f1_macro": perfect}}))
        (row,) = metric_rows(find_runs(tmp_path)[0])
        assert row[2] == "no interval: all resamples of examples have the same value"
        assert row[5].startswith("Perfect on all 12 examples")
        assert no_interval({**perfect, "method": "x"}) == no_interval({}) == "no interval"

    def test_losses_are_rows_and_what_is_no_number_is_left_out(self, tmp_path: Path) -> None:
        curve = loss_curve(find_runs(make_run(tmp_path / "run"))[0])
        assert curve.values.tolist() == [
            [10, 0.7, "training text"], [20, 0.5, "training text"], [20, 0.6, "validation text"],
        ]  # fmt: skip

    def test_a_record_without_anything_shows_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "run.json").write_text('{"history": 3, "identity": [], "environment": "x", "notes": 1}')
        (tmp_path / "metrics.json").write_text('{"scores": {"a": {"value": "x"}, "b": 1}}')
        run = find_runs(tmp_path)[0]
        parts = show_run(run)
        assert metric_rows(run) == argument_rows(run) == version_rows(run) == []
        assert list(parts["losses"].columns) == ["step", "loss", "measured on"]
        assert parts["losses"].empty
        assert parts["figures"] == ""

    def test_no_folder_of_this_machine_is_shown(self, tmp_path: Path) -> None:
        run = find_runs(make_run(tmp_path / "run"))[0]
        shown = json.dumps([facts(run), argument_rows(run), version_rows(run), metric_rows(run)])
        assert "/home" not in shown
        assert ["data", "name", "reviews.csv"] in argument_rows(run)
        assert ["parameters", "358,500"] in facts(run)
        assert ["accuracy", "88.1 % [86.1, 90.1]"] in facts(run)


class TestCard:
    def test_pictures_html_and_links_to_files_are_taken_out(self, tmp_path: Path) -> None:
        text = card_text(make_run(tmp_path / "run"))
        assert not text.lstrip().startswith("---")
        assert "license" not in text
        assert "![" not in text
        assert "<img" not in text
        assert "[paper](https://arxiv.org/abs/1)" in text
        assert "the log" in text
        assert "run.json" not in text

    @given(st.lists(st.sampled_from([*"`~![]()<> \n", "```", "img src=x", "a", "\\", "- ", "    ", "> "]), max_size=30))
    def test_no_markdown_asks_for_a_picture(self, pieces: list[str]) -> None:
        text = harmless_markdown("".join(pieces))
        assert "![" not in text
        assert "<img" not in text

    def test_a_card_that_is_a_link_is_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "README.md").symlink_to(tmp_path / "secret")
        assert card_text(tmp_path) == ""


class TestFigures:
    def test_figures_are_copied_once_to_the_apps_folder(self, tmp_path: Path) -> None:
        folder = make_run(tmp_path / "run")
        first, again = figures(folder), figures(folder)
        assert first == again
        assert [caption for _, caption in first] == ["Loss by step"]
        assert Path(first[0][0]).is_relative_to(tmp_path / "app")
        assert Path(first[0][0]).read_bytes() == PNG

    def test_what_is_no_picture_is_left_out(self, tmp_path: Path) -> None:
        folder = make_run(tmp_path / "run") / "figures"
        (folder / "fake.png").write_text("<html>")
        (folder / "page.html").write_text("<html>")
        (tmp_path / "secret.png").write_bytes(PNG)
        (folder / "link.png").symlink_to(tmp_path / "secret.png")
        (folder / "folder.png").mkdir()
        assert [caption for _, caption in figures(tmp_path / "run")] == ["Loss by step"]
        assert figures(tmp_path) == []

    def test_figures_stand_whole_in_the_page_with_a_name_each(self, tmp_path: Path) -> None:
        shown = figures(make_run(tmp_path / "run"))
        text = figures_html([*shown, (shown[0][0], EVIL)])
        assert text.count('tabindex="0"') == text.count('src="data:image/png;base64,') == 2
        assert 'aria-label="Loss by step"' in text
        assert "<img src=x" not in text
        assert figures_html([]) == ""

    @pytest.mark.parametrize(
        ("stem", "words"),
        [
            ("bleu_by_length", "BLEU by length"), ("loss_by_step", "Loss by step"), ("chrf_by_epoch", "chrF by epoch"),
            ("accuracy_against_parameters", "Accuracy against parameters"), ("confusion_matrix", "Confusion matrix"),
            ("bits_per_byte_by_epoch", "Bits/byte by epoch"), ("_", ""),
        ],
    )  # fmt: skip
    def test_captions_call_metrics_as_tables_do(self, stem: str, words: str) -> None:
        assert caption(stem) == words
