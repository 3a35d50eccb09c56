"""Every rung, on every task it knows: trained, saved, reloaded, scored, described."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nlpladder
from helpers import text_dataset, tiny_bert_folder
from nlpladder.errors import CheckFailedError, ConfigError, ModelError, RunError
from nlpladder.ladder import LADDER, choose_rungs, find_rung
from nlpladder.tasks.base import RungSettings
from nlpladder.train_rung import check_reload, train_rung

SMALL = {
    "mean_vectors": {"model": {"vector_size": 8, "epochs": 2}},
    "bag_of_ngrams": {"model": {"hidden_size": 8, "num_buckets": 500}},
    "text_cnn": {"model": {"hidden_size": 16, "num_filters": 8}},
    "bilstm": {"model": {"embedding_size": 16, "hidden_size": 16}},
    "transformer": {"model": {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 32}},
    "bert_lora": {"model": {"peft_options": {"rank": 2}}},
}
CLASSIFIERS = tuple(rung for rung in LADDER if rung.task == "classification")
FILES = {"run.json", "metrics.json", "predictions.parquet", "profile.json", "README.md", "config.json"}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_bert_folder(tmp_path_factory.mktemp("encoder") / "encoder")


def settings_for(rung, encoder, **training):
    fields = dict(SMALL.get(rung.name, {}))
    if rung.kind != "classic":
        fields["training"] = {"num_train_epochs": 1, "batch_size": 16, **training}
    if rung.kind == "pretrained":
        fields["encoder"] = str(encoder)
    return RungSettings(**fields)


@pytest.mark.parametrize("rung", CLASSIFIERS, ids=lambda rung: rung.name)
def test_every_rung_leaves_a_whole_run(rung, encoder, tmp_path):
    data = text_dataset()
    run = train_rung(rung, data, settings_for(rung, encoder), output_dir=tmp_path / "run", seed=1)
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} >= FILES | {"figures", "error_analysis.md"}
    assert not list(folder.rglob("*.bin")) + list(folder.rglob("*.pkl")) + list(folder.rglob("*.pt"))
    assert not (folder / "checkpoints").exists()
    accuracy = run.metrics["scores"]["accuracy"]
    assert accuracy["n"] == 30
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    probabilities, labels = run.folder.read_predictions()
    assert accuracy["value"] == pytest.approx((probabilities.argmax(1) == labels).mean())
    reloaded = nlpladder.load(folder)
    assert reloaded.label_names == ("negative", "positive")
    assert np.array_equal(reloaded.predict_proba(list(data.splits["test"]["text"])).argmax(1), probabilities.argmax(1))
    card = (folder / "README.md").read_text()
    assert "model-index" in card
    assert f"{100 * accuracy['value']:.1f} [" in card
    assert data.fingerprint[:16] in card
    assert run.record["parameters"] >= 2
    # The same command again reads the finished run.
    before = (folder / "run.json").stat().st_mtime_ns
    again = train_rung(rung, data, settings_for(rung, encoder), output_dir=folder, seed=1)
    assert again.metrics == run.metrics
    assert (folder / "run.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "rung", [rung for rung in CLASSIFIERS if rung.name != "tfidf_logistic"], ids=lambda rung: rung.name
)
@pytest.mark.parametrize("task", ["multi_label", "regression"])
def test_other_tasks_work_or_are_refused_before_training(rung, task, encoder, tmp_path):
    data = text_dataset(task=task, train=48, classes=3)
    build = lambda: train_rung(rung, data, settings_for(rung, encoder), output_dir=tmp_path / "run")  # noqa: E731
    if task == "regression" and rung.kind == "classic":
        with pytest.raises(ModelError, match="predicts classes, not numbers"):
            build()
        return
    run = build()
    expected = "f1_micro" if task == "multi_label" else "r_squared"
    assert run.metrics["scores"][expected]["value"] is not None
    assert nlpladder.load(tmp_path / "run").task == task


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("tfidf_logistic", RungSettings(model={"solvr": "svm"}), "Did you mean 'solver'"),
        ("bilstm", RungSettings(model={"hiden_size": 4}), "Did you mean 'hidden_size'"),
        ("bilstm", RungSettings(training={"learning_rat": 4}), "Did you mean 'learning_rate'"),
        ("majority", RungSettings(training={"learning_rate": 4}), "no training options"),
        ("tfidf_logistic", RungSettings(model={"c_grid": "0.5,1"}), "c_grid"),
        ("mean_vectors", RungSettings(model={"c_grid": -1}), "c_grid"),
        ("bert", RungSettings(), "--encoder"),
        ("bilstm", RungSettings(training={"learning_rate": -1}), "above 0"),
        ("bilstm", RungSettings(training={"early_stopping_patience": 2, "select_best_on": "none"}), "select_best_on"),
    ],
)
def test_misspelt_and_contradicting_settings_are_told(name, settings, message, tmp_path):
    with pytest.raises((ConfigError, ModelError), match=message):
        train_rung(find_rung(name), text_dataset(), settings, output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists(), "a refused run must not block its folder"


def test_a_folder_of_other_arguments_is_not_touched(tmp_path):
    rung = find_rung("majority")
    train_rung(rung, text_dataset(), RungSettings(), output_dir=tmp_path / "run")
    with pytest.raises(RunError, match="--overwrite"):
        train_rung(find_rung("naive_bayes"), text_dataset(), RungSettings(), output_dir=tmp_path / "run")
    run = train_rung(
        find_rung("naive_bayes"), text_dataset(), RungSettings(), output_dir=tmp_path / "run", overwrite=True
    )
    assert run.record["identity"]["rung"] == "naive_bayes"


def test_a_model_that_was_saved_incompletely_fails_loudly(tmp_path):
    data = text_dataset()
    run = train_rung(find_rung("naive_bayes"), data, RungSettings(), output_dir=tmp_path / "run")
    changed = nlpladder.load(run.folder.path)
    changed.weights_ = changed.weights_ + 0.01 * np.arange(changed.weights_.shape[1])
    with pytest.raises(CheckFailedError, match="answers differently"):
        check_reload(changed, run.folder.path, list(data.splits["test"]["text"]))


def test_a_time_limit_stops_training_and_the_run_says_so(tmp_path):
    settings = RungSettings(model={"embedding_size": 8, "hidden_size": 8}, training={"num_train_epochs": 500})
    run = train_rung(find_rung("bilstm"), text_dataset(), settings, output_dir=tmp_path / "run", time_limit=0.5)
    assert run.record["steps"] < run.record["planned_steps"]
    assert any("time budget" in note for note in run.record["notes"])


def test_early_stopping_and_the_best_epoch(tmp_path):
    training = {"num_train_epochs": 60, "early_stopping_patience": 4, "learning_rate": 1e-2, "batch_size": 16}
    settings = RungSettings(model={"embedding_size": 16, "hidden_size": 16}, training=training)
    run = train_rung(find_rung("bilstm"), text_dataset(), settings, output_dir=tmp_path / "run")
    validated = [entry["eval_accuracy"] for entry in run.record["history"] if "eval_accuracy" in entry]
    assert run.record["best_validation"] == max(validated)
    assert len(validated) < 60
    assert run.metrics["scores"]["accuracy"]["value"] > 0.9


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    from safetensors.numpy import load_file

    settings = RungSettings(model={"embedding_size": 8, "hidden_size": 8}, training={"num_train_epochs": 1})
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_rung(find_rung("bilstm"), text_dataset(), settings, output_dir=tmp_path / name, seed=seed)
        weights.append(load_file(tmp_path / name / "model.safetensors"))
    assert all((weights[0][key] == weights[1][key]).all() for key in weights[0])
    assert any((weights[0][key] != weights[2][key]).any() for key in weights[0])


def test_a_preprocessor_travels_with_the_model(tmp_path):
    settings = RungSettings(preprocessor=["lowercase", "strip_html"])
    train_rung(find_rung("tfidf_logistic"), text_dataset(), settings, output_dir=tmp_path / "run")
    model = nlpladder.load(tmp_path / "run")
    plain, marked = model.predict_proba(["the film was good", "<b>THE film</b> was <i>good</i>"])
    assert np.array_equal(plain, marked)


def test_names_choose_rungs_in_the_ladders_order():
    assert [rung.name for rung in choose_rungs(["bilstm", "majority"])] == ["majority", "bilstm"]
    assert choose_rungs(["all"]) == CLASSIFIERS
    with pytest.raises(ConfigError, match="Did you mean 'bilstm'"):
        choose_rungs(["bilstmm"])


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.name)
def test_every_rung_has_module_recipe_config_and_a_place_in_the_readme(rung):
    from helpers import REPOSITORY

    assert (REPOSITORY / rung.recipe).is_file()
    assert f"`{rung.name}`" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert rung.load_class() is not None
    configs = list((REPOSITORY / "recipes" / "configs").glob("*/*.yaml"))
    used = [path for path in configs if rung.name in path.read_text(encoding="utf-8")]
    assert used, f"no config mentions {rung.name}"


def test_run_json_is_plain_json_without_nan(tmp_path):
    train_rung(find_rung("majority"), text_dataset(), RungSettings(), output_dir=tmp_path / "run")

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    for name in ("run.json", "metrics.json"):
        json.loads((tmp_path / "run" / name).read_text(), parse_constant=refuse)
