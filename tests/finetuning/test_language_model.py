"""Fine-tuning of causal models: on text, on instructions, as classifiers; every run saved, reloaded, scored before."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import nlpladder
from helpers import text_dataset, tiny_bert_folder, word_tokenizer
from nlpladder.data.instructions import InstructionText
from nlpladder.data.running_text import RunningText
from nlpladder.errors import DataError, ModelError, RunError
from nlpladder.evaluation.language_modeling import TextLosses
from nlpladder.finetuning import language_model_report as report
from nlpladder.finetuning.causal import hold_model, start_causal_model, training_for
from nlpladder.finetuning.common import base_answers
from nlpladder.finetuning.instructions import Answering, finetune_instructions, losses_of_answers
from nlpladder.finetuning.language_model import TextReading, finetune_language_model, losses_of_texts
from nlpladder.finetuning.last_token import finetune_last_token
from nlpladder.finetuning.options import CausalFinetuningOptions
from nlpladder.finetuning.text_rows import choose_documents, document_rows, running_ids, set_end_mark
from nlpladder.generation import GenerationOptions
from nlpladder.models.neural_language_model import NeuralLanguageModel
from nlpladder.models.neural_tokens import TextEncoder
from nlpladder.text.subwords import train_subword_tokenizer

POSITIONS = 64
LINES = [f"{animal} says {noise}" for animal, noise in (("cat", "meow"), ("dog", "woof"), ("owl", "hoot"))]


def tokenizer_of(**marks):
    tokenizer = train_subword_tokenizer(LINES, scheme="byte", template="none", model_max_length=POSITIONS)
    for name, value in marks.items():
        setattr(tokenizer, name, value)
    return tokenizer


def base_folder(folder, kind="llama", tokenizer=None, **config):
    """Save a tiny causal model; Llama has two marks as stories260K, GPT-2 one mark and no padding token."""
    if tokenizer is None:
        tokenizer = tokenizer_of() if kind == "llama" else tokenizer_of(pad_token=None, bos_token="</s>")
    torch.manual_seed(0)
    size, eos = len(tokenizer), tokenizer.eos_token_id
    if kind == "llama":
        shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
        marks = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": eos, "pad_token_id": tokenizer.pad_token_id}
        settings_ = {"vocab_size": size, "max_position_embeddings": POSITIONS, **shape, **marks, **config}
        model = LlamaForCausalLM(LlamaConfig(**settings_))
    else:
        shape = {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": POSITIONS}
        model = GPT2LMHeadModel(
            GPT2Config(vocab_size=size, **shape, **{"bos_token_id": eos, "eos_token_id": eos, **config})
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def text_of(train=24, *, unit="line", test=None):
    parts = [(LINES * train)[:train], LINES, list(test or LINES)]
    if unit == "document":
        parts = [["\n".join(part) + "\n"] for part in parts]
    return RunningText("toy", parts[0], parts[1], parts[2], unit, f"toy-{train}-{unit}", ("made by the tests",))


def options_for(base, folder, **settings_):
    quick = {"num_train_epochs": 6.0, "batch_size": 4, "max_length": 48, "learning_rate": 2e-2, "precision": "fp32"}
    return CausalFinetuningOptions(model=base, output_dir=str(folder), **{**quick, "warmup_ratio": 0.0, **settings_})


def bits(run, when="after"):
    scores = run.metrics["scores"] if when == "after" else run.metrics["before"]["scores"]
    return scores["bits_per_byte"]["value"]


# Rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.integers(1, 9))
def test_every_token_and_every_end_mark_is_learnt_once(texts, max_length):
    tokenizer = TOKENIZER
    encoder = TextEncoder(LlamaConfig(bos_token_id=2, eos_token_id=3), tokenizer)
    rows = document_rows(texts, encoder, max_length=max_length)
    assert rows.inputs.lengths.max() <= max_length
    whole = [
        [*tokenizer(text, add_special_tokens=False)["input_ids"], encoder.end_id]
        for text in (text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for text in texts)
    ]
    assert rows.targets.flat.tolist() == [one for ids in whole for one in ids]
    # What is read is what came before: the begin mark, then the document's own tokens.
    assert rows.inputs.flat.tolist() == [one for ids in whole for one in (encoder.begin_id, *ids[:-1])]


TOKENIZER = tokenizer_of()


def test_trap_training_7_the_end_mark_is_learnt_although_it_pads(tmp_path):
    tokenizer = tokenizer_of(pad_token="</s>", bos_token="</s>")
    encoder = TextEncoder(GPT2Config(bos_token_id=3, eos_token_id=3), tokenizer)
    assert encoder.pad_id == encoder.end_id
    rows = document_rows(LINES, encoder, max_length=48)
    assert all(rows.targets[row][-1] == encoder.end_id for row in range(3))


@pytest.mark.parametrize("two_marks", [True, False])
def test_running_text_is_read_as_it_is_scored(two_marks):
    bos = 2 if two_marks else 3
    encoder = TextEncoder(LlamaConfig(bos_token_id=bos, eos_token_id=3), TOKENIZER)
    ids = running_ids(LINES, encoder)
    inputs, targets, _ = encoder.running([text.ids for text in encoder.encode(LINES)])
    assert ids[:-1].tolist() == inputs.tolist()
    learnt = targets >= 0
    assert ids[1:][learnt].tolist() == targets[learnt].tolist()


def test_a_single_document_is_read_as_running_text():
    assert choose_documents("auto", ["one"]) == "running"
    assert choose_documents("auto", (text for text in ("one", "two"))) == "separate"
    assert choose_documents("separate", ["one"]) == "separate"


# Text


@pytest.fixture(scope="module")
def full_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    base = base_folder(folder / "base")
    said = []
    reading = TextReading(prompts=("", "cat"))
    run = finetune_language_model(text_of(), options_for(base, folder / "run"), reading=reading, say=said.append)
    return base, folder / "run", run, said


def test_a_text_is_learnt_and_the_run_says_what_it_gained(full_run):
    base, folder, run, said = full_run
    assert bits(run) < 0.5 * bits(run, "before")
    gain = run.metrics["gain"]
    assert gain["difference"] == pytest.approx(bits(run) - bits(run, "before"))
    assert gain["high"] < 0
    assert any("parameters are trained (100" in line for line in said)
    assert any("tokens to learn (separate, packed into rows of 48" in line and "steps" in line for line in said)
    assert "stride" not in run.metrics["scoring"]
    assert "windows of 64 tokens that move by 32" in run.metrics["scoring"]
    for name in (
        "samples.md",
        "losses.parquet",
        "losses_before.parquet",
        "README.md",
        "profile.json",
        "figures/loss.png",
    ):
        assert (folder / name).is_file(), name
    assert not (folder / "checkpoints").exists()
    samples = (folder / "samples.md").read_text(encoding="utf-8")
    assert samples.count("before:") == samples.count("after:") == 6
    assert "**cat**" in samples
    assert run.record["base"] == base


def test_before_is_the_base_model_and_after_is_what_was_saved(full_run):
    base, folder, run, _ = full_run
    for path, when in ((base, "before"), (str(folder), "after")):
        losses = losses_of_texts(nlpladder.load(path), LINES)
        assert report.scores_of(losses)["bits_per_byte"].value == pytest.approx(bits(run, when), rel=1e-5)


def test_the_same_command_reads_the_run_and_another_is_refused(full_run):
    base, folder, run, _ = full_run
    options = options_for(base, folder)
    again = finetune_language_model(text_of(), options, reading=TextReading(prompts=("", "cat")))
    assert again.was_there
    assert again.metrics == run.metrics
    with pytest.raises(RunError, match="documents"):
        finetune_language_model(text_of(), options, reading=TextReading(documents="running", prompts=("", "cat")))
    with pytest.raises(RunError, match="learning_rate"):
        finetune_language_model(
            text_of(), dataclasses.replace(options, learning_rate=1e-4), reading=TextReading(prompts=("", "cat"))
        )
    summary = report.text_summary(again, str(folder))
    assert "nothing was trained now" in summary
    assert "bits per byte of the test text" in summary


def test_lora_is_saved_without_its_base_and_opens_again(tmp_path):
    base = base_folder(tmp_path / "base", initializer_range=0.3)  # at 0.02 hardly anything depends on the weights
    options = options_for(base, tmp_path / "run", peft="lora", peft_options={"rank": 4}, learning_rate=5e-2)
    run = finetune_language_model(text_of(), options)
    assert bits(run) < 0.9 * bits(run, "before")
    assert run.metrics["gain"]["high"] < 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["trainable_parameters"] < 0.5 * record["parameters"]
    assert record["identity"]["rung"] == "gpt_lora"
    adapter = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == "./../base"
    weights = (tmp_path / "run" / "adapter_model.safetensors").stat().st_size
    assert weights < 0.7 * (tmp_path / "base" / "model.safetensors").stat().st_size
    held = nlpladder.load(tmp_path / "run")
    assert report.scores_of(losses_of_texts(held, LINES))["bits_per_byte"].value == pytest.approx(bits(run))
    with base_answers(held.model):
        found = report.scores_of(losses_of_texts(held, LINES))["bits_per_byte"].value
    assert found == pytest.approx(bits(run, "before"), rel=1e-5)


def test_running_text_of_a_model_with_one_mark(tmp_path):
    """One long document: blocks at another offset each epoch, intervals over its lines."""
    base = base_folder(tmp_path / "base", "gpt2")
    options = options_for(base, tmp_path / "run", num_train_epochs=8.0)
    run = finetune_language_model(text_of(36, unit="document"), options)
    assert bits(run) < 0.8 * bits(run, "before")
    assert run.metrics["n"] == 3
    assert "one running text" in run.metrics["scoring"]


@pytest.mark.parametrize("method", ["prompt", "prefix"])
def test_virtual_tokens_take_positions_and_are_not_packed(method, tmp_path):
    base = base_folder(tmp_path / "base", "gpt2")
    settings_ = {"peft": method, "peft_options": {"virtual_tokens": 20}, "num_train_epochs": 1.0}
    run = finetune_language_model(text_of(6), options_for(base, tmp_path / "run", max_length=44, **settings_))
    assert any("not packed" in note for note in run.record["notes"])
    assert "windows of 44 tokens" in run.metrics["scoring"]
    with pytest.raises(ModelError, match="--max_length 44 or less"):
        finetune_language_model(text_of(6), options_for(base, tmp_path / "other", max_length=45, **settings_))
    assert not (tmp_path / "other").exists()


def test_a_recurrent_model_goes_on_learning_unpacked(tmp_path):
    from nlpladder.models.recurrent_lm.config import RecurrentLMConfig
    from nlpladder.models.recurrent_lm.model import RecurrentForCausalLM

    torch.manual_seed(0)
    size = len(TOKENIZER)
    model = RecurrentForCausalLM(RecurrentLMConfig(vocab_size=size, embedding_size=16, hidden_size=16))
    NeuralLanguageModel(model, TOKENIZER).save_pretrained(tmp_path / "base")
    run = finetune_language_model(text_of(), options_for(str(tmp_path / "base"), tmp_path / "run"))
    assert bits(run) < bits(run, "before")
    assert any("not packed" in note for note in run.record["notes"])


# Refusals


def refused(tmp_path, base, error, message, *, text=None, reading=None, **settings_):
    with pytest.raises(error, match=message):
        finetune_language_model(text or text_of(4), options_for(base, tmp_path / "run", **settings_), reading=reading)
    assert not (tmp_path / "run").exists(), "something half-written is left behind"


def test_mistakes_end_in_sentences_and_leave_nothing(tmp_path):
    base = base_folder(tmp_path / "base")
    refused(tmp_path, base, ModelError, "64 positions. Choose --max_length 64 or less", max_length=65)
    refused(tmp_path, base, DataError, "single line", text=text_of(4, test=["only one line"]))
    refused(tmp_path, base, ModelError, "no token '<endoftext>'", eos_token="<endoftext>")
    refused(tmp_path, base, nlpladder.errors.ConfigError, "carry_state", carry_state=True)
    encoder = str(tiny_bert_folder(tmp_path / "bert"))
    refused(tmp_path, encoder, ModelError, "(?i)bert")


def test_a_model_without_end_mark_says_what_to_do_and_takes_one(tmp_path):
    tokenizer = tokenizer_of(eos_token=None)
    base = base_folder(tmp_path / "base", tokenizer=tokenizer, eos_token_id=None)
    refused(tmp_path, base, ModelError, "--eos_token.*</s>")
    run = finetune_language_model(
        text_of(4), options_for(base, tmp_path / "run", eos_token="</s>", num_train_epochs=1.0)
    )
    held = nlpladder.load(run.folder.path)
    assert held.encoder.end_name == "</s>"


def test_the_config_may_name_the_end_mark_that_the_tokenizer_lacks(tmp_path):
    tokenizer = tokenizer_of(eos_token=None)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        eos_token_id=3,
    ))  # fmt: skip
    set_end_mark(model, tokenizer, None)
    assert tokenizer.eos_token_id == 3


# Instructions


def conversations(count, seed=0):
    """Every question has one answer: the noise of its animal."""
    pairs = [line.split(" says ") for line in LINES]
    turns = [
        [{"role": "user", "content": f"What says the {animal}?"}, {"role": "assistant", "content": noise}]
        for animal, noise in pairs
    ]
    return [turns[number % 3] for number in range(seed, seed + count)]


def instructions(train=24):
    splits = {"train": conversations(train), "validation": conversations(3), "test": conversations(6, seed=1)}
    return InstructionText("noises", splits, f"noises-{train}", ("made by the tests",))


ANSWERING = Answering(max_answers=6, generation=GenerationOptions(max_new_tokens=8, do_sample=False))


@pytest.fixture(scope="module")
def instructed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instructed")
    base = base_folder(folder / "base")
    options = options_for(base, folder / "run", max_length=64, num_train_epochs=16.0, learning_rate=1e-2)
    return base, folder / "run", finetune_instructions(instructions(), options, answering=ANSWERING)


def test_answers_are_learnt_scored_and_saved(instructed):
    from nlpladder.training.run_folder import RunFolder

    _, folder, run = instructed
    assert bits(run) < 0.3 * bits(run, "before")
    assert run.metrics["scores"]["exact_match"]["value"] >= 0.5
    assert run.metrics["before"]["scores"]["exact_match"]["value"] == 0.0
    assert set(run.metrics["diversity"]) == {"distinct_1", "distinct_2", "distinct_3", "repetition", "mean_length"}
    assert run.metrics["diversity"]["repetition"] is None, "answers of one word have no 4-grams"
    answers = RunFolder(Path(folder), {}).read_columns("answers.parquet")
    assert list(answers["reference"]) == ["woof", "hoot", "meow"] * 2
    assert "user: What says the dog?" in answers["prompt"][0]
    assert "What says the dog?" in (folder / "samples.md").read_text(encoding="utf-8")
    assert any("chat template" in note for note in run.record["notes"])


def test_only_what_the_assistant_says_is_counted(instructed):
    from nlpladder.models.chat import ChatEncoder

    _, folder, run = instructed
    held = nlpladder.load(folder)
    assert held.tokenizer.chat_template, "the template is saved with the model"
    test = conversations(6, seed=1)
    losses = losses_of_answers(held, ChatEncoder(held.tokenizer), test)
    assert report.scores_of(losses)["bits_per_byte"].value == pytest.approx(bits(run))
    said = [conversation[1]["content"] for conversation in test]
    # The bytes of each answer, and its end mark.
    assert losses.columns[:, 1].tolist() == [len(text) + 1 for text in said]
    assert losses.columns[:, 3].tolist() == [len(text) for text in said]


def test_a_row_that_is_longer_than_the_window_is_scored_all_the_same(instructed):
    from nlpladder.models.chat import ChatEncoder

    _, folder, _ = instructed
    held = nlpladder.load(folder)
    long = [[{"role": "user", "content": "Say " + "much " * 40}, {"role": "assistant", "content": "much " * 30}]]
    losses = losses_of_answers(held, ChatEncoder(held.tokenizer), long)
    assert losses.columns[0, 1] == len("much " * 30) - 1 + 1
    assert np.isfinite(losses.columns).all()


def test_no_answers_are_generated_where_none_are_asked_for(tmp_path):
    base = base_folder(tmp_path / "base", "gpt2")
    options = options_for(base, tmp_path / "run", max_length=64, num_train_epochs=1.0)
    data = instructions(3)
    run = finetune_instructions(data, options, answering=Answering(max_answers=0))
    assert "exact_match" not in run.metrics["scores"]
    assert not (tmp_path / "run" / "answers.parquet").exists()
    short = dataclasses.replace(data, splits={**data.splits, "test": conversations(1)})
    with pytest.raises(DataError, match="at least two"):
        finetune_instructions(short, dataclasses.replace(options, output_dir=str(tmp_path / "short")))


# Classification


def test_trap_training_7_a_causal_model_without_padding_token_classifies(tmp_path):
    """Its last token decides; were padding read, texts of unequal length would be mislabelled."""
    tokenizer = word_tokenizer()
    tokenizer.pad_token, tokenizer.bos_token, tokenizer.eos_token = None, "[SEP]", "[SEP]"
    base = base_folder(tmp_path / "base", "gpt2", tokenizer)
    options = options_for(base, tmp_path / "run", num_train_epochs=3.0, learning_rate=1e-2, select_best_on="accuracy")
    run = finetune_last_token(text_dataset(train=96, test=30), options)
    assert run.metrics["scores"]["accuracy"]["value"] > 0.8
    classifier = nlpladder.load(tmp_path / "run")
    texts = ["good", "the film was really bad and so", "superb plot"]
    together = classifier.predict_proba(texts)
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-6)


# What holds it together


def test_a_window_with_virtual_tokens_and_training_options(tmp_path):
    base = base_folder(tmp_path / "base", "gpt2")
    options = options_for(base, tmp_path, peft="p_tuning", max_length=44)
    opened = start_causal_model(options, tmp_path / "run")
    model = hold_model(opened.model, opened.tokenizer, options)
    assert model.context_window == 44
    training, notes = training_for(model, options)
    assert not training.pack
    assert len(notes) == 1
    with pytest.raises(nlpladder.errors.ConfigError, match="44"):
        hold_model(opened.model, opened.tokenizer, options, context_window=45)
    wrong = dataclasses.replace(options, select_best_on="accuracy")
    with pytest.raises(nlpladder.errors.ConfigError, match="'accuracy' is not measured .* use loss or none"):
        training_for(model, wrong)
    with pytest.raises(nlpladder.errors.ConfigError, match="use loss, reward_margin or none"):
        training_for(model, wrong, measured=("reward_margin",))


def test_the_gain_has_the_sign_of_an_improvement():
    generator = np.random.default_rng(0)
    columns = np.abs(generator.normal(50, 5, (40, 7)))
    columns[:, 1] = columns[:, 3] = columns[:, 5] = 30
    columns[:, 6] = 0
    better = columns.copy()
    better[:, 0] *= 0.8
    gain = report.gain_of(TextLosses(columns), TextLosses(better))
    assert gain["relative"] == pytest.approx(-0.2)
    assert gain["low"] <= gain["difference"] <= gain["high"] < 0
    assert "(-20.0%)" in gain["sentence"]
    assert report.gain_of(TextLosses(columns), TextLosses(columns))["p_value"] == 1.0


def test_samples_of_hostile_text_stay_one_line_each():
    samples = [report.Sample("before", "# a\n*b*", 0, "x\n\n> y | `z`"), report.Sample("after", "# a\n*b*", 0, "")]
    shown = report.samples_table(samples)
    assert shown.count("\n> ") == 2
    assert r"\# a / \*b\*" in shown
    assert r"x / \> y \| \`z\`" in shown
