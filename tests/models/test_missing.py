"""What is said where no model is: a slip in a name, a run at work, a folder of runs, a model without its tokenizer."""

from __future__ import annotations

import json

import pytest

import nlpladder
from helpers import run_python, tiny_bert_folder
from nlpladder.errors import ModelError
from nlpladder.hub.describing import check_model, describe_model
from nlpladder.models.pretrained.missing import looks_like_folder, near_folder, no_folder, no_model
from nlpladder.models.saved_files import check_tokenizer_files


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """Folders with configs, as runs lie in them; the working directory is the one above."""
    for name in ("reviews/bert/seed-0", "reviews/tfidf/seed-0", "stories/lstm"):
        (tmp_path / "outputs" / name).mkdir(parents=True)
        (tmp_path / "outputs" / name / "config.json").write_text("{}")
    (tmp_path / "outputs/reviews/bert/seed-0/checkpoints/step-1").mkdir(parents=True)
    (tmp_path / "outputs/reviews/bert/seed-0/checkpoints/step-1/config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "outputs"


@pytest.mark.parametrize(
    "name, hint",
    [
        ("outputs/review/bert", "outputs/reviews/bert"),
        ("outputs/reviews/brt/seed-0", "outputs/reviews/bert/seed-0"),
        ("outputs/reviews/brt/seed-9", "outputs/reviews/bert"),
        ("outptus", "outputs"),
        ("./outputs/STORIES", "outputs/stories"),
        ("outputs/stor", "outputs/stories"),
    ],
)
def test_the_nearest_folder_is_named_by_the_part_that_is_missing(outputs, name, hint):
    assert near_folder(name) == f" Did you mean {hint!r}?"
    assert looks_like_folder(name)


@pytest.mark.parametrize("name", ["outputs/nothere", "outputs/x", "owner/model", "", "/nowhere/at/all"])
def test_what_has_nothing_in_common_is_not_named(outputs, name):
    assert near_folder(name) == ""


def test_a_missing_folder_beside_few_lists_them(outputs):
    assert str(no_folder("outputs/nothere")).endswith("outputs holds: reviews, stories.")


@pytest.mark.parametrize("name", ["outputs/nothere", "outputs/reviews/brt", "outptus", "outptus/reviews"])
def test_a_slip_in_a_path_is_no_id_of_the_hub(outputs, name):
    with pytest.raises(ModelError, match="There is no model folder") as caught:
        nlpladder.load(name)
    assert "hf download" not in str(caught.value)
    with pytest.raises(ModelError, match="There is no model folder"):
        describe_model(name)


def test_an_id_of_the_hub_is_still_told_how_it_is_fetched(outputs):
    with pytest.raises(ModelError, match="hf download owner/model"):
        nlpladder.load("owner/model")


@pytest.mark.parametrize("function", [nlpladder.load, describe_model])
def test_a_folder_of_runs_names_those_below(outputs, function):
    with pytest.raises(ModelError, match="it holds 3 below: outputs/stories/lstm, outputs/reviews/") as told:
        function("outputs")
    assert "checkpoints" not in str(told.value)


def test_a_run_at_work_is_named(outputs, recwarn):
    (outputs / "mine/cnn").mkdir(parents=True)
    (outputs / "mine/cnn/run.json").write_text(json.dumps({"status": "running"}))
    for folder in ("mine/cnn", "mine"):
        with pytest.raises(ModelError, match="has not finished.*Start the command that began it again"):
            nlpladder.load(outputs / folder)
    assert not [one for one in recwarn if "not finished" in str(one.message)]
    (outputs / "mine/cnn/run.json").write_text(json.dumps({"status": "finished"}))
    assert "not whole" in str(no_model(outputs / "mine/cnn"))
    (outputs / "mine/cnn/run.json").write_text("[" * 100_000)
    assert "is no saved model" in str(no_model(outputs / "mine/cnn"))


def test_a_file_is_no_folder(outputs):
    with pytest.raises(ModelError, match="Give the folder: outputs/stories/lstm"):
        nlpladder.load("outputs/stories/lstm/config.json")
    (outputs / "README.md").write_text("x")
    with pytest.raises(ModelError, match="Give the folder of a run"):
        nlpladder.load("outputs/README.md")


@pytest.fixture
def bert(tmp_path):
    return tiny_bert_folder(tmp_path / "bert")


@pytest.mark.parametrize("left", [(), ("tokenizer_config.json",), ("tokenizer_config.json", "special_tokens_map.json")])
def test_no_tokenizer_is_made_up(bert, left):
    check_model(bert)
    for file in bert.iterdir():
        if file.name not in ("config.json", "model.safetensors", *left):
            file.unlink()
    for function in (nlpladder.load, check_model):
        with pytest.raises(ModelError, match=r"holds no tokenizer \(no tokenizer.json"):
            function(bert)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_tokenizer_that_is_cut_short_is_named(bert, name):
    (bert / name).write_bytes((bert / name).read_bytes()[:60])
    for function in (nlpladder.load, check_model):
        with pytest.raises(ModelError, match=rf"{name}.*damaged"):
            function(bert)


def test_tokenizers_that_spell_need_no_vocabulary(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    check_tokenizer_files(str(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    with pytest.raises(ModelError, match="holds no tokenizer"):
        check_tokenizer_files(str(tmp_path))
    (tmp_path / "spm.model").write_bytes(b"x")
    check_tokenizer_files(str(tmp_path))


def test_nothing_heavy_is_imported():
    code = (
        "import sys, nlpladder.models.pretrained.missing, nlpladder.hub.describing;"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
