"""What is told of a saved model without opening it is what the opened model says."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nlpladder
from helpers import run_python
from hub.every_rung import PARTS
from nlpladder.errors import ModelError
from nlpladder.hub.describing import _KINDS, _TASKS, describe_model
from nlpladder.hub.loading import class_entry
from nlpladder.nn.losses import TASK_OF_PROBLEM_TYPE

ABILITIES = {
    "majority": {"classify"},
    "naive_bayes": {"classify"},
    "linear": {"classify"},
    "mean_vectors": {"classify"},
    "word_vectors": {"vectors"},
    "ngram": {"language_model"},
    "interpolated": {"language_model"},
    "cache": {"language_model"},
    "bag_of_ngrams": {"classify"},
    "text_cnn": {"classify"},
    "bilstm": {"classify", "attention"},
    "transformer": {"classify", "attention"},
    "lstm_lm": {"language_model"},
    "transformer_lm": {"language_model", "attention"},
    "seq2seq": {"translate", "attention"},
    "transformer_translation": {"translate", "attention"},
    "encoder": {"masked_language_model", "attention"},
    "bert_classification": {"classify", "attention"},
    "bert_token_classification": {"tag", "attention"},
    "bert_question_answering": {"answer", "attention"},
    "sentences": {"embed", "attention"},
    "chat": {"language_model", "attention"},
    "t5": {"translate", "attention"},
    "llama": {"language_model", "attention"},
    "lora_classifier": {"classify", "attention"},
    "lora_language_model": {"language_model", "attention"},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    root = tmp_path_factory.mktemp("described")
    for save, _ in PARTS.values():
        save(root)
    return root


def test_every_class_that_is_loaded_is_known():
    from nlpladder.hub.loading import ADAPTED, ENCODER, GENERATORS
    from nlpladder.models.artefact_classes import ARTEFACTS

    entries = {entry.rpartition(":")[2] for table in (ADAPTED, GENERATORS, ARTEFACTS) for entry in table.values()}
    assert entries | {ENCODER.rpartition(":")[2]} == set(_KINDS)
    assert _TASKS == TASK_OF_PROBLEM_TYPE


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_rung_is_what_the_opened_model_says(saved):
    folders = sorted(folder.name for folder in saved.iterdir() if folder.is_dir())
    assert folders == sorted(ABILITIES)
    for name in folders:
        found = describe_model(saved / name)
        model = nlpladder.load(saved / name)
        assert _KINDS[type(model).__name__][0] == found.kind, name
        assert found.abilities == ABILITIES[name], name
        assert found.task == (model.task if found.kind == "classifier" else None), name
        if name == "lora_classifier":  # the head of its base, a masked language model, is left out when it is opened
            assert found.parameters is None
        else:
            assert found.parameters == model.num_parameters(), name
        if hasattr(model, "model"):
            weights = getattr(model.model, "parameters", None)
            if weights is not None and name != "lora_classifier":
                assert found.num_bytes == sum(one.numel() * one.element_size() for one in weights()), name
        assert found.num_bytes > 0
        if hasattr(model, "model") and hasattr(model.model, "config"):
            assert found.model_type == model.model.config.model_type
    (saved / "lora_classifier" / "run.json").write_text(json.dumps({"parameters": 77}))
    assert describe_model(saved / "lora_classifier").parameters == 77


@pytest.mark.slow
def test_nothing_heavy_is_imported(saved):
    code = (
        "import sys; from nlpladder.hub.describing import describe_model\n"
        f"for name in {sorted(ABILITIES)!r}: describe_model({str(saved)!r} + '/' + name)\n"
        "print([name for name in ('torch', 'transformers', 'numba', 'sklearn', 'scipy') if name in sys.modules])"
    )
    result = run_python("-c", code)
    assert result.stdout.strip() == "[]", result.stderr


def write(folder, config, *, numbers=3, adapter=None):
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    name = "model.safetensors"
    if adapter is not None:
        (folder / "adapter_config.json").write_text(json.dumps(adapter))
        name = "adapter_model.safetensors"
    save_file({"weight": np.zeros(numbers, np.float16)}, folder / name)
    return folder


@pytest.mark.parametrize(
    "config, kind, abilities",
    [
        ({"model_type": "bert", "architectures": ["BertModel"], "num_attention_heads": 2}, "encoder",
         {"embed", "attention"}),
        ({"model_type": "bert"}, "encoder", {"embed"}),
        ({"model_type": "gpt2", "architectures": ["GPT2Model"], "n_head": 2}, "encoder", set()),
        ({"model_type": "bert", "architectures": ["BertForMultipleChoice"], "num_attention_heads": 2}, "encoder",
         set()),
        ({"model_type": "mamba2", "architectures": ["Mamba2ForCausalLM"], "num_heads": 8}, "language_model",
         {"language_model"}),
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_head": 2}, "language_model",
         {"language_model", "attention"}),
        ({"model_type": "distilbert", "architectures": ["DistilBertForSequenceClassification"], "n_heads": 2},
         "classifier", {"classify", "attention"}),
        ({"model_type": "nlpladder_seq2seq", "architectures": ["Seq2SeqForConditionalGeneration"], "attention": "none"},
         "translator", {"translate"}),
    ],
)  # fmt: skip
def test_configs_of_others(config, kind, abilities, tmp_path):
    found = describe_model(write(tmp_path / "model", config))
    assert (found.kind, found.abilities, found.parameters, found.num_bytes) == (kind, abilities, 3, 12)


@pytest.mark.parametrize(
    "config, name",
    [
        ({"architectures": ["BertModel"]}, "SentenceEncoder"),
        ({"architectures": ["DPRQuestionEncoder"]}, "SentenceEncoder"),
        ({}, "SentenceEncoder"),
        ({"id2label": {"0": "a"}}, "SequenceClassifier"),
        ({"architectures": ["BertForSequenceClassification"]}, "SequenceClassifier"),
        ({"architectures": ["BertForMultipleChoice"]}, ""),
        ({"architectures": ["GPT2LMHeadModel"]}, "NeuralLanguageModel"),
        ({"architectures": ["NewMTModel"]}, "Translator"),
        ({"model_type": "model2vec", "architectures": ["StaticModel"]}, "WordVectors"),
        ({"architectures": "BertModel"}, "SentenceEncoder"),
    ],
)
def test_what_opens_a_config(config, name):
    assert class_entry(config).rpartition(":")[2] == name


@pytest.mark.parametrize(
    "config, task",
    [
        ({}, "single_label"),
        ({"id2label": {"0": "score"}}, "regression"),
        ({"problem_type": "multi_label_classification"}, "multi_label"),
        ({"id2label": {"0": "a"}, "problem_type": "single_label_classification"}, "single_label"),
    ],
)
def test_the_task_of_a_classifier(config, task, tmp_path):
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], **config}
    assert describe_model(write(tmp_path / "model", config)).task == task


def test_an_adapter_counts_its_base_where_it_lies_here(tmp_path):
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_head": 2}
    base = write(tmp_path / "base", config, numbers=10)
    adapter = {"task_type": "CAUSAL_LM", "base_model_name_or_path": "./../base"}
    folder = write(tmp_path / "adapter", config, adapter=adapter)
    found = describe_model(folder)
    assert (found.kind, found.parameters, found.num_bytes) == ("language_model", 13, 52)
    (folder / "config.json").unlink()
    assert describe_model(folder).abilities == {"language_model", "attention"}, "the base has a config, too"
    shutil.rmtree(base)
    found = describe_model(folder)
    assert (found.kind, found.parameters, found.num_bytes) == ("language_model", None, 12)


def test_what_is_no_whole_model_is_refused(tmp_path):
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no config.json"):
        describe_model(tmp_path / "empty")
    folder = write(tmp_path / "cut", config)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-2])
    with pytest.raises(ModelError, match="damaged or cut short"):
        describe_model(folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="no pickled weights"):
        describe_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        describe_model(folder)
    (folder / "config.json").unlink()
    (tmp_path / "elsewhere.json").write_text("{}")
    (folder / "config.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ModelError, match="link to a file outside"):
        describe_model(folder)


def test_a_mixture_inside_out_of_its_folder_is_refused(tmp_path):
    write(tmp_path / "other", {"model_type": "nlpladder_ngram", "counts": [3, 2]})
    folder = write(tmp_path / "mixture", {"model_type": "nlpladder_ngram_interpolation", "models": ["../other"]})
    with pytest.raises(ModelError, match="outside its folder"):
        describe_model(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = (
    "model_type", "architectures", "models", "counts", "task", "id2label", "problem_type", "nlpladder", "attention",
    "num_labels", "task_type", "base_model_name_or_path", "n_head",
)  # fmt: skip
VALUES = JSON | st.sampled_from(
    ["model2vec", "nlpladder_ngram", "nlpladder_ngram_interpolation", "nlpladder_ngram_cache", "nlpladder_linear", "."]
)


@settings(max_examples=150, deadline=None)
@given(config=st.dictionaries(st.sampled_from(KEYS), VALUES), adapter=st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_whatever_stands_in_the_configs_the_error_is_a_sentence(config, adapter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    try:
        describe_model(write(folder, config))
        describe_model(write(folder, config, adapter=adapter))
    except ModelError:
        pass
    finally:
        shutil.rmtree(folder)
