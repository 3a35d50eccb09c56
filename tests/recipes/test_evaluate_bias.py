"""recipes/evaluate_bias.py as a user runs it: on vectors that need no training and no data set."""

from __future__ import annotations

import json
import runpy
import shutil

import numpy as np
import pytest

from helpers import run_here
from hub.finished_runs import make_run
from models.tiny_pretrained import tiny_checkpoint
from nlpladder.bias import lexicon
from nlpladder.bias.words.association_data import career_family_pairs
from nlpladder.errors import ConfigError
from nlpladder.models.vectors.word_vectors import WordVectors

RECIPE = "recipes/evaluate_bias.py"
QUICK = ("--resamples", "200", "--measures", "ripa,direct_bias")


def make_vectors(bias):
    """Return vectors whose last dimension is gender, with careers on the one side and families on the other."""
    pairs = [word for pair in lexicon.GENDERED_PAIRS for word in pair]
    test = career_family_pairs()
    groups = [word.lower() for group in test.groups for word in group.words]
    words = list(dict.fromkeys([*pairs, *groups]))
    vectors = np.random.default_rng(0).normal(size=(len(words), 12)).astype(np.float32)
    sides = {word: 1.0 for word, _ in lexicon.GENDERED_PAIRS} | {word: -1.0 for _, word in lexicon.GENDERED_PAIRS}
    sides |= {word.lower(): bias for word in test.groups[0].words} | {w.lower(): -bias for w in test.groups[1].words}
    vectors[:, -1] = [3 * sides[word] for word in words]
    return WordVectors(words, vectors)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A run folder of biased vectors, and a folder of unbiased ones."""
    folder = tmp_path_factory.mktemp("models")
    for name, bias in (("biased", 1.0), ("unbiased", 0.0)):
        make_vectors(bias).save_pretrained(str(folder / name))
    make_run(folder / "biased", "skipgram")
    return folder


def test_without_any_data_set_a_report_is_written_and_kept(models, tmp_path):
    output = tmp_path / "report"
    arguments = ["--model", str(models / "biased"), "--output_dir", str(output), *QUICK]
    result = run_here(RECIPE, *arguments, "--show_items", "1")
    assert result.returncode == 0, result.stderr
    assert "biased: ripa" in result.stdout
    assert "no pass of the model" in result.stdout
    assert "differs from no bias" in result.stdout
    assert result.stdout.index("Content warning") < result.stdout.index("item_id=")
    assert "does not show that there is none" in result.stdout
    assert {path.name for path in output.iterdir()} == {"bias.json", "bias.md", "bias.html", "items", "figures"}
    again = run_here(RECIPE, *arguments)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert run_here(RECIPE, *arguments, "--overwrite", "--figures", "false").returncode == 0
    assert not (output / "figures").exists()


def test_two_models_stand_in_one_table_and_a_card_is_updated(models, tmp_path):
    place = ["--output_dir", str(tmp_path / "report")]
    both = f"{models / 'unbiased'},{models / 'biased'}"
    refused = run_here(RECIPE, "--model", both, *place, *QUICK, "--update_card")
    assert refused.returncode == 2
    assert "is no finished run folder" in refused.stderr
    assert not (tmp_path / "report").exists()
    result = run_here(RECIPE, "--model", both, "--names", "a,b", "--margin", "0.1", *place, *QUICK)
    assert result.returncode == 0, result.stderr
    content = json.loads((tmp_path / "report" / "bias.json").read_text())
    assert [model["name"] for model in content["models"]] == ["a", "b"]
    changes = [row for row in content["comparisons"] if row["measure"].startswith("ripa")]
    assert changes
    assert {(row["before_model"], row["after_model"]) for row in changes} == {("a", "b")}
    own = run_here(
        RECIPE, "--model", str(models / "biased"), *QUICK, "--update_card", "--output_dir", str(tmp_path / "other")
    )
    assert own.returncode == 0, own.stderr
    metrics = json.loads((models / "biased" / "metrics.json").read_text())
    assert "accuracy" in metrics["scores"]
    assert any(one["measure"] == "ripa" for one in metrics["bias"]["findings"])
    card = (models / "biased" / "README.md").read_text(encoding="utf-8")
    assert "## Bias" in card
    assert "| ripa" in card
    assert "does not show that there is none" in card


def test_a_card_that_cannot_be_written_is_told_before_anything_is_measured(models, tmp_path):
    earlier = tmp_path / "earlier"
    shutil.copytree(models / "biased", earlier)
    record = json.loads((earlier / "run.json").read_text())
    del record["rung"]
    (earlier / "run.json").write_text(json.dumps(record))
    before = (earlier / "metrics.json").read_bytes()
    result = run_here(
        RECIPE, "--model", str(earlier), *QUICK, "--update_card", "--output_dir", str(tmp_path / "report")
    )
    assert result.returncode == 2
    assert "cannot be updated: leave --update_card out" in result.stderr
    assert (earlier / "metrics.json").read_bytes() == before
    assert not (tmp_path / "report").exists()


def test_a_plan_runs_and_writes_nothing(models, tmp_path):
    result = run_here(
        RECIPE, "--model", str(models / "biased"), "--measures", "weat,seat", "--plan", "--output_dir",
        str(tmp_path / "report"),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "biased: weat (WEAT effect size and difference)" in result.stdout
    assert not (tmp_path / "report").exists()


def test_a_file_of_vectors_is_a_model(tmp_path):
    vectors = make_vectors(0.5)
    lines = [f"{word} {' '.join(f'{x:.4f}' for x in row)}" for word, row in zip(vectors.words, vectors.vectors)]  # noqa: B905
    (tmp_path / "glove.txt").write_text("\n".join(lines), encoding="utf-8")
    place = ["--output_dir", str(tmp_path / "report"), "--figures", "false"]
    result = run_here(RECIPE, "--model", str(tmp_path / "glove.txt"), *QUICK, *place)
    assert result.returncode == 0, result.stderr
    assert "glove.txt  ripa" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name one or several models"),
        (["--model", "{m},b", "--margin", "-1"], "the size of a change that does not matter"),
        (["--model", "{m}", "--margin", "0.1"], "is for several models"),
        (["--model", "{m}", "--measures", "weet"], "Did you mean 'weat'"),
        (["--model", "{m}", "--measures", "crows_pll"], "name the file or folder with --crows_pairs"),
        (["--model", "{m}", "--measures", "occupation_log_odds"], "needs a masked language model or a causal"),
        (["--model", "{m}", "--crows_pairs", "nowhere.csv", "--measures", "weat"], "--crows_pairs is given, but none"),
        (["--model", "{m}", "--crows_pairs", "x", "--measures", "weat", "--plan"], "--crows_pairs is given, but none"),
        (["--model", "{m},{m}"], "named twice"),
        (["--model", "{m}", "--names", "a,b"], "as many different --names"),
        (["--model", "{m}", "--measures", "ceat"], "--measure_options.ceat.texts"),
        (["--model", "{m}", "--measures", "ripa", "--measure_options.ripa.drows", "1"], "Did you mean 'draws'"),
        (["--model", "{m}", "--data_options.bbq.metadata", "x"], "--data_options.bbq is given, but no measure"),
        (["--model", "{m}", "--mitigate", "leice"], "Did you mean 'leace'"),
        (["--model", "{m}", "--confidence", "2"], "confidence is 2"),
        (["--calibrate", "--calibration.rungs", "[gtp]"], "Did you mean 'gpt'"),
        (["--model", "./nothing/here"], "no model folder"),
        (["--model", "{m},./nothing/here", "--measures", "ripa"], "There is no model folder './nothing/here'"),
        (["--model", "{m}", "--crows_pairs", "nowhere.csv"], "nowhere.csv"),
        (["--model", "{m}", "--crows_pairs", "nowhere.csv", "--plan"], "nowhere.csv"),
        (["--model", "{m}", "--measures", "ceat", "--measure_options.ceat.texts", "nowhere.txt"], "nowhere.txt cannot"),
        (["--model", "{m}", "--quality_texts", "x.txt"], "--quality_texts is for --mitigate"),
        (["--model", "{m}", "--mitigate", "leace", "--quality_texts", "nowhere.txt"], "nowhere.txt cannot be read"),
        (["--model", "{m},./b", "--mitigate", "leace"], "--mitigate changes one model"),
    ],
)
def test_a_mistake_ends_in_a_sentence_and_leaves_nothing(arguments, message, models, tmp_path):
    filled = [argument.replace("{m}", str(models / "unbiased")) for argument in arguments]
    result = run_here(RECIPE, *filled, "--output_dir", str(tmp_path / "report"))
    assert result.returncode == 2, result.stdout
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_model_is_opened_before_all_data_were_read(models, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a model was opened")

    monkeypatch.setattr("nlpladder.hub.loading.load", refuse)
    place = ["--model", str(models / "unbiased"), "--output_dir", str(tmp_path / "report")]
    for more in ([], ["--plan"], ["--mitigate", "leace"]):
        result = run_here(RECIPE, *place, "--bbq", str(tmp_path / "bbq.jsonl"), *more)
        assert result.returncode == 2
        assert "bbq.jsonl" in result.stderr


def test_an_interrupted_command_goes_on(models, tmp_path, monkeypatch):
    from nlpladder.bias.words import pair_measures

    direct_bias, ripa, ran = pair_measures.direct_bias, pair_measures.ripa, []

    def interrupted(model, data, *, statistics):
        raise KeyboardInterrupt

    def counted(model, data, *, statistics):
        ran.append("ripa")
        return ripa(model, data, statistics=statistics)

    def go(name, *more):
        place = ["--model", str(models / "unbiased"), "--output_dir", str(tmp_path / name), "--figures", "false"]
        return run_here(RECIPE, *place, *QUICK, *more)

    monkeypatch.setattr("nlpladder.bias.evaluate.work_sentence", lambda entry, *rest, **more: entry.name)
    monkeypatch.setattr(pair_measures, "ripa", counted)
    monkeypatch.setattr(pair_measures, "direct_bias", interrupted)
    result = go("report")
    assert result.returncode == 130
    assert "the same command goes on with the one that was running" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".report.finished"]
    assert go("report", "--seed", "1").returncode == 130
    assert ran == ["ripa", "ripa"]  # another seed is another measure
    monkeypatch.setattr(pair_measures, "direct_bias", direct_bias)
    result = go("report")
    assert result.returncode == 0, result.stderr
    assert "unbiased: ripa was measured before the interruption" in result.stdout
    assert ran == ["ripa", "ripa"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert go("whole").returncode == 0
    texts = [(tmp_path / name / "bias.md").read_text(encoding="utf-8") for name in ("report", "whole")]
    first, second = ([line for line in text.splitlines() if "Seconds of" not in line] for text in texts)
    assert first == second
    rows = [json.loads((tmp_path / name / "bias.json").read_text())["rows"] for name in ("report", "whole")]
    assert rows[0] == rows[1]


def test_an_interrupted_calibration_says_that_its_cells_are_kept(monkeypatch, tmp_path):
    def interrupted(options, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("nlpladder.bias_laboratory.calibrate", interrupted)
    result = run_here(RECIPE, "--calibrate", "true", "--output_dir", str(tmp_path / "calibration"))
    assert result.returncode == 130
    assert "Cells that were finished are kept: the same command trains and measures the others." in result.stderr
    assert "Traceback" not in result.stderr


def test_what_was_not_measured_is_told_once(models, tmp_path):
    place = ["--model", str(models / "unbiased"), "--output_dir", str(tmp_path / "report"), "--figures", "false"]
    result = run_here(RECIPE, *place, "--measures", "all", "--resamples", "100")
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("Not measured: ")]
    assert sum("needs a masked language model" in line for line in lines) <= 3
    assert all("It offers" not in line for line in lines)
    (ceat,) = [line for line in lines if "ceat" in line]
    assert ceat == "Not measured: ceat: needs the option texts: --measure_options.ceat.texts FILE (one text a line)."
    content = json.loads((tmp_path / "report" / "bias.json").read_text())
    assert "ceat" in content["models"][0]["skipped"]
    assert "weat" in content["models"][0]["offers"]


def test_the_cost_of_a_mitigated_language_model_is_on_held_out_texts(tmp_path):
    model = tiny_checkpoint("gpt2", tmp_path / "gpt")
    (tmp_path / "held_out.txt").write_text("the film was really good\n\na bit dull\n", encoding="utf-8")
    place = ["--model", str(model), "--mitigate", "self_debias", "--resamples", "100", "--figures", "false"]
    place += ["--measures", "gendered_continuations", "--quality_texts", str(tmp_path / "held_out.txt")]
    result = run_here(RECIPE, *place, "--output_dir", str(tmp_path / "report"))
    assert result.returncode == 0, result.stderr
    (cost,) = json.loads((tmp_path / "report" / "mitigation.json").read_text())["costs"]
    assert cost["name"] == "bits_per_byte"
    assert cost["before"]["n"] == 2
    assert "bits_per_byte (lower is better)" in result.stdout


@pytest.mark.parametrize("named", [True, False])
def test_the_texts_of_a_measure_are_the_held_out_ones_where_none_are_named(named, models, tmp_path, monkeypatch):
    """--text, which counterfactual perplexity reads, stands in for --quality_texts."""
    seen = []

    def caught(model, method, *, quality, **more):
        seen.append(list(quality.texts))
        raise ConfigError("far enough")

    monkeypatch.setattr("nlpladder.bias_mitigation.mitigate", caught)
    (tmp_path / "texts.txt").write_text("he was here\nshe was there\n", encoding="utf-8")
    (tmp_path / "held_out.txt").write_text("the film was good\n", encoding="utf-8")
    place = [
        "--model",
        str(models / "unbiased"),
        "--mitigate",
        "self_debias",
        "--measures",
        "counterfactual_perplexity",
    ]
    place += ["--text", str(tmp_path / "texts.txt"), "--output_dir", str(tmp_path / "report")]
    result = run_here(RECIPE, *place, *(["--quality_texts", str(tmp_path / "held_out.txt")] if named else []))
    assert "far enough" in result.stderr
    assert seen == [["the film was good"] if named else ["he was here", "she was there"]]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (("outputs/climb/bilstm/seed-0",), ["climb/bilstm/seed-0"]),
        (("seed-1/",), ["seed-1"]),
        (("/models/minilm/", "user/name"), ["minilm", "name"]),
        (("a/b/one", "c/d/one"), ["a/b/one", "c/d/one"]),
    ],
)
def test_a_model_is_called_by_what_tells_it_from_others(paths, names):
    recipe = runpy.run_path(RECIPE)
    assert recipe["model_names"](recipe["BiasOptions"](model=paths)) == names
