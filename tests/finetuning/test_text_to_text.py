"""Text to text: from pairs to a folder that answers as in training; several references; limits, prefixes, languages."""

from __future__ import annotations

import json
import runpy
import sys

import pytest
import sacrebleu
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import REPOSITORY
from nlpladder.data.parallel import ParallelSplit, load_parallel_text
from nlpladder.data.text_pairs import examples_of
from nlpladder.errors import ConfigError, ModelError, RunError
from nlpladder.finetuning.text_to_text import finetune_text_to_text, read_statistics
from nlpladder.finetuning.text_to_text_options import TextToTextOptions
from nlpladder.finetuning.text_to_text_report import PREDICTIONS_FILE, REFERENCE_SEPARATOR, text_to_text_summary
from nlpladder.finetuning.text_to_text_rows import prepare_rows
from nlpladder.hub.loading import load
from nlpladder.models.translation import Translator
from nlpladder.models.translation_encoding import TextFormat, language_code, shortened
from tiny_text_to_text import PREFIX, tiny_t5_folder, toy_pairs, toy_tokenizer, write_pairs

LEARNS = {"num_train_epochs": 5, "learning_rate": 1e-2, "batch_size": 16, "precision": "fp32", "num_beams": 2}
ADAPTERS = {
    "lora": {"rank": 4},
    "ia3": {},
    "prefix": {"virtual_tokens": 4, "hidden_size": 16},
    "prompt": {"virtual_tokens": 4},
    "p_tuning": {"virtual_tokens": 4, "hidden_size": 16},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_t5_folder(tmp_path_factory.mktemp("t5") / "base")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_parallel_text(str(write_pairs(tmp_path_factory.mktemp("pairs") / "e2e", references=3)))


@pytest.fixture(scope="module")
def run(base, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "full"
    options = TextToTextOptions(
        model=str(base), output_dir=str(folder), task_prefix=PREFIX, select_best_on="bleu", **LEARNS
    )
    return finetune_text_to_text(data, options)


def predictions(run):
    lines = (run.folder.path / PREDICTIONS_FILE).read_text(encoding="utf-8").splitlines()
    return [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]


# --- examples with several references ---


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.text(min_size=1, max_size=3)), min_size=1, max_size=30))
def test_grouping_loses_no_pair_and_keeps_the_order(pairs):
    split = ParallelSplit([source for source, _ in pairs], [target for _, target in pairs])
    examples = examples_of(split)
    flat = [(s, t) for s, rights in zip(examples.source, examples.references, strict=True) for t in rights]
    assert sorted(flat) == sorted(pairs)
    assert list(dict.fromkeys(examples.source)) == list(dict.fromkeys(split.source))
    several = {source for source in split.source if len({t for s, t in pairs if s == source}) > 1}
    shared = sum(source in several for source in split.source)
    grouped = bool(several) and 2 * shared >= len(pairs)
    assert len(examples) == (len(set(split.source)) if grouped else len(pairs))


def test_a_caption_that_stands_twice_does_not_change_how_a_test_set_is_scored():
    split = ParallelSplit(["a", "b", "c", "a", "d"], ["1", "2", "3", "4", "5"])
    assert examples_of(split).references == [["1"], ["2"], ["3"], ["4"], ["5"]]
    copies = ParallelSplit(["a", "a", "b"], ["1", "1", "2"])  # the same answer twice is no second reference
    assert len(examples_of(copies)) == 3


def test_references_are_counted_for_the_signature():
    same = examples_of(ParallelSplit(["a", "a", "b", "b"], ["1", "2", "3", "4"]))
    assert (same.references_each, same.describe()) == (2, "2 sentences with 4 references")
    ragged = examples_of(ParallelSplit(["a", "a", "b"], ["1", "2", "3"]))
    assert ragged.references_each == -1
    assert ragged.spread(1).source == ["a"]
    assert len(ragged.spread(9)) == 2


@pytest.mark.parametrize(
    "names",
    [("mr", "ref"), ("article", "summary"), ("document", "summary"), ("dialogue", "summary"), ("question", "answer")],
)
def test_columns_of_known_jobs_are_found_by_name(names, tmp_path):
    rows = [{"id": "x y", names[1]: f"out {number}", "title": "t", names[0]: f"in {number}"} for number in range(40)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pairs = load_parallel_text(str(tmp_path))
    assert pairs.splits["train"].source[0].startswith("in ")
    assert pairs.splits["train"].target[0].startswith("out ")


# --- a whole run ---


def test_a_run_becomes_a_folder_that_holds_all_that_is_promised(run):
    assert run.record["status"] == "finished"
    for name in ("bleu", "rougeL", "exact_match", "token_f1", "chrf", "ter", "length_ratio"):
        assert name in run.metrics["scores"]
    written = ("model.safetensors", "config.json", "tokenizer.json", "translator.json", "generation_config.json",
               "README.md", "generations.parquet", "predictions.tsv", "samples.md", "metrics.json",
               "profile.json")  # fmt: skip
    for file in written:
        assert (run.folder.path / file).is_file(), file
    assert (run.folder.path / "figures" / "loss.png").is_file()
    assert not (run.folder.path / "checkpoints").exists()
    assert run.record["peft"] == "none"
    summary = text_to_text_summary(run, str(run.folder.path))
    assert "before -> after" in summary
    assert "prediction: " in summary


def test_it_learns(run):
    assert run.metrics["scores"]["rougeL"]["value"] > 0.8
    assert run.metrics["scores"]["rougeL"]["value"] > run.metrics["validation_before"]["rougeL"] + 0.3


def test_several_references_are_one_example_scored_as_sacrebleu_does(run, data):
    rows = predictions(run)
    assert len(rows) == run.metrics["n"] == 10
    assert len(data.splits["test"]) == 30
    streams = [[row["references"].split(REFERENCE_SEPARATOR)[place] for row in rows] for place in range(3)]
    expected = sacrebleu.corpus_bleu([row["prediction"] for row in rows], streams)
    assert run.metrics["scores"]["bleu"]["value"] == pytest.approx(expected.score)
    assert "nrefs:3" in run.metrics["signatures"]["bleu"]
    assert "10 examples with 30 references" in run.metrics["tested"]
    assert read_statistics(run).corpus()["bleu"] == pytest.approx(expected.score)


def test_the_loaded_model_reads_the_prefix_by_itself(run):
    translator = load(run.folder.path)
    assert isinstance(translator, Translator)
    rows = predictions(run)
    sources = [row["source"] for row in rows]
    found = [one.text for one in translator.translate(sources, num_beams=2)]
    assert found == [row["prediction"] for row in rows]
    assert [translator.translate([source], num_beams=2)[0].text for source in sources] == found
    plain = Translator(translator.model, translator.tokenizer, text_format=TextFormat())
    assert [one.text for one in plain.translate([PREFIX + source for source in sources], num_beams=2)] == found
    first = translator.translate(sources[:1])[0]
    assert translator.tokenizer.convert_tokens_to_string(list(first.source_tokens)).startswith("translate")


def test_trap_training_10_the_saved_model_does_not_stop_at_20_tokens(run, data):
    from transformers import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(run.folder.path)
    longest = max(len(row) for row in load(run.folder.path).target_ids(data.splits["train"].target))
    assert model.generation_config.max_new_tokens == longest + 8
    model.generation_config.eos_token_id = None  # so that nothing but the limit ends a text
    written = model.generate(torch.tensor([[5, 6, 7]]), num_beams=1)
    assert written.shape[1] == 1 + longest + 8


def test_the_same_command_reads_the_finished_run_and_another_one_is_refused(run, base, data):
    same = TextToTextOptions(
        model=str(base), output_dir=str(run.folder.path), task_prefix=PREFIX, select_best_on="bleu", **LEARNS
    )
    again = finetune_text_to_text(data, same)
    assert again.was_there
    assert again.metrics == run.metrics
    other = TextToTextOptions(model=str(base), output_dir=str(run.folder.path), select_best_on="bleu", **LEARNS)
    with pytest.raises(RunError, match="task_prefix"):
        finetune_text_to_text(data, other)


def test_a_typed_text_a_file_and_a_batch_give_the_same(run, tmp_path, capsys, monkeypatch):
    rows = predictions(run)[:3]
    file, out = tmp_path / "in.txt", tmp_path / "out.txt"
    file.write_text("".join(row["source"] + "\n" for row in rows), encoding="utf-8")
    recipe = str(REPOSITORY / "recipes" / "translate.py")
    common = ["translate.py", "--model", str(run.folder.path), "--num_beams", "2"]
    monkeypatch.setattr(sys, "argv", [*common, "--input", str(file), "--output", str(out)])
    runpy.run_path(recipe, run_name="__main__")
    assert out.read_text(encoding="utf-8").splitlines() == [row["prediction"] for row in rows]
    typed = iter([rows[0]["source"], ""])
    monkeypatch.setattr("builtins.input", lambda prompt="": next(typed))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", common)
    runpy.run_path(recipe, run_name="__main__")
    assert rows[0]["prediction"] in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "method",
    [name if name == "lora" else pytest.param(name, marks=pytest.mark.slow) for name in ADAPTERS],
)
def test_every_adapter_trains_saves_and_answers_the_same_when_loaded(method, run, data, tmp_path):
    options = TextToTextOptions(
        model=str(run.folder.path), output_dir=str(tmp_path / "adapter"), peft=method, task_prefix=PREFIX,
        **{**LEARNS, "num_train_epochs": 1},
        peft_options=ADAPTERS[method],
    )  # fmt: skip
    tuned = finetune_text_to_text(data, options)
    assert tuned.record["identity"]["rung"] == "t5_lora"
    assert 0 < tuned.record["trainable_parameters"] < tuned.record["parameters"]
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    translator = load(tmp_path / "adapter")
    rows = predictions(tuned)
    found = [one.text for one in translator.translate([row["source"] for row in rows], num_beams=2)]
    assert found == [row["prediction"] for row in rows]
    # It starts from a model that knows the task: an adapter that were lost, or a base that moved, would show.
    assert tuned.metrics["validation_before"]["rougeL"] > 0.6
    limit = load(run.folder.path).model.generation_config.max_new_tokens
    assert translator.model.generation_config.max_new_tokens == limit


@pytest.mark.slow
def test_our_own_transformer_with_two_vocabularies_is_tuned_too(data, tmp_path):
    from nlpladder.models.transformer.config import TransformerEncoderDecoderConfig
    from nlpladder.models.transformer.encoder_decoder import TransformerForConditionalGeneration

    source, target = toy_tokenizer(), toy_tokenizer(vocab_size=110)
    torch.manual_seed(0)
    model = TransformerForConditionalGeneration(
        TransformerEncoderDecoderConfig(
            vocab_size=len(source), decoder_vocab_size=len(target), hidden_size=16, num_hidden_layers=1,
            num_decoder_layers=1, num_attention_heads=2, intermediate_size=32, pad_token_id=source.pad_token_id,
            bos_token_id=target.bos_token_id, eos_token_id=target.eos_token_id,
            decoder_start_token_id=target.bos_token_id, is_encoder_decoder=True,
        )
    )  # fmt: skip
    Translator(model, source, target).save_pretrained(tmp_path / "ours")
    wanted = {**LEARNS, "num_train_epochs": 1}
    tuned = finetune_text_to_text(data, options(tmp_path / "ours", output_dir=str(tmp_path / "run"), **wanted))
    translator = load(tmp_path / "run")
    assert translator.target_tokenizer is not translator.tokenizer
    assert len(translator.target_tokenizer) == len(target)
    rows = predictions(tuned)
    found = translator.translate([row["source"] for row in rows], num_beams=2)
    assert [one.text for one in found] == [row["prediction"] for row in rows]


# --- what is read and written ---


def options(model, **more):
    return TextToTextOptions(model=str(model), **more)


def test_what_is_cut_is_counted_and_said(base, data):
    translator = Translator.from_pretrained(base)
    rows = prepare_rows(
        translator.model, translator.tokenizer, data, options(base, max_source_length=5, max_target_length=4)
    )
    assert rows.train.source.lengths.max() == 5
    assert rows.train.target.lengths.max() == 4
    end = translator.tokenizer.eos_token_id
    assert all(row[-1] == end for row in (rows.train.source[0], rows.train.target[0]))
    assert any("train: " in note and "sources are longer than 5 tokens" in note for note in rows.notes)
    assert any("--max_target_length" in note for note in rows.notes)


def test_a_long_source_is_cut_as_in_training_or_read_in_pieces(base):
    model, tokenizer = (lambda one: (one.model, one.tokenizer))(Translator.from_pretrained(base))
    long = " . ".join(source for source, _ in toy_pairs(12))
    cutting = Translator(model, tokenizer, text_format=TextFormat(max_source_length=9, cut_long_sources=True))
    (cut,) = cutting.translate([long])
    assert len(cut.source_tokens) == 9
    assert cut.source_tokens[-1] == tokenizer.eos_token
    assert "only the first 9" in cut.note
    pieces = Translator(model, tokenizer, text_format=TextFormat(max_source_length=9, prefix=PREFIX))
    (whole,) = pieces.translate([long])
    assert "pieces" in whole.note
    assert len(whole.source_tokens) > len(tokenizer(long)["input_ids"])


def test_words_to_copy_are_those_of_the_text_and_not_of_the_prefix(base):
    plain = Translator.from_pretrained(base)
    text = "the dog sees the cat"
    for text_format in (
        TextFormat(prefix=PREFIX),
        TextFormat(prefix=PREFIX, max_source_length=8, cut_long_sources=True),
    ):
        translator = Translator(plain.model, plain.tokenizer, text_format=text_format)
        ((source,),) = translator._sources([text])
        read, words = translator._words(source)
        assert read == text
        assert len(words) == len(source.ids)
        assert words[-1] is None  # the end mark
        copied = [read[slice(*span)] for span in words if span is not None]
        assert set(copied) <= set(text.split())
        assert copied[0] == "the"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(2, 12))
def test_shortened_keeps_the_marks_at_the_end(ids, limit):
    found = shortened(ids, limit, frozenset({0, 1}))
    assert len(found) == min(limit, len(ids))
    assert found[-1] == ids[-1] or ids[-1] not in (0, 1)
    if ids[-1] not in (0, 1):
        assert found == ids[:limit]


def test_limits_beyond_the_model_are_refused(data):
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = toy_tokenizer()
    model = BartForConditionalGeneration(
        BartConfig(
            vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=24,
        )
    )  # fmt: skip
    with pytest.raises(ConfigError, match="24 positions"):
        prepare_rows(model, tokenizer, data, options("bart", max_source_length=25))
    rows = prepare_rows(model, tokenizer, data, options("bart"))
    assert rows.text_format.max_source_length == 24
    assert model.generation_config.max_new_tokens <= 23


def test_the_mark_with_which_bart_begins_every_target_is_forced_and_not_shown(data):
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = toy_tokenizer(template="bos_eos")
    torch.manual_seed(1)
    model = BartForConditionalGeneration(
        BartConfig(
            vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=40,
            pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, decoder_start_token_id=tokenizer.eos_token_id,
        )
    ).eval()  # fmt: skip
    model.generation_config.min_length = 30  # what a base was made for must not stay
    prepare_rows(model, tokenizer, data, options("bart"))
    assert model.generation_config.forced_bos_token_id == tokenizer.bos_token_id
    assert not model.generation_config.min_length
    found = Translator(model, tokenizer).translate(["the cat sees the dog"], num_beams=3, n_best=2)[0]
    for one in (found, *found.alternatives):
        assert one.target_tokens[0] == tokenizer.bos_token
        assert tokenizer.bos_token not in one.text


def mbart_tokenizer(code_first):
    from transformers import MBart50Tokenizer, MBartTokenizer

    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0)]
    pieces += [(f"▁{word}", -2.0) for pair in toy_pairs(20) for word in " ".join(pair).split()]
    vocabulary = list(dict(pieces).items())
    return (MBart50Tokenizer if code_first else MBartTokenizer)(vocab=vocabulary, src_lang="en_XX", tgt_lang="fr_XX")


@pytest.mark.parametrize("code_first", [True, False], ids=["mbart50", "mbart25"])
def test_language_codes_of_multilingual_models(code_first, tmp_path):
    from transformers import MBartConfig, MBartForConditionalGeneration

    tokenizer = mbart_tokenizer(code_first)
    french = tokenizer.convert_tokens_to_ids("fr_XX")
    torch.manual_seed(0)
    model = MBartForConditionalGeneration(
        MBartConfig(
            vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=40,
            decoder_start_token_id=2 if code_first else None, forced_eos_token_id=None,
        )
    ).eval()  # fmt: skip
    rows = [{"en": source, "fr": target} for source, target in toy_pairs(60)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pairs = load_parallel_text(str(tmp_path))
    encoded = prepare_rows(model, tokenizer, pairs, options("mbart"))
    assert (encoded.text_format.source_language, encoded.text_format.target_language) == ("en_XX", "fr_XX")
    assert not encoded.text_format.cut_long_sources  # translation loses nothing of a long text
    target = encoded.train.target[0].tolist()
    expected = tokenizer(text_target=pairs.splits["train"].target[0])["input_ids"]
    assert target == expected
    if code_first:
        assert model.generation_config.forced_bos_token_id == target[0] == french
        assert model.generation_config.decoder_start_token_id == 2
    else:
        assert target[-1] == french
        assert model.generation_config.decoder_start_token_id == french
    found = Translator(model, tokenizer, text_format=encoded.text_format).translate(["the cat sees the dog"])[0]
    assert "fr_XX" not in found.text
    assert "en_XX" in found.source_tokens


def test_an_unknown_language_names_those_that_there_are():
    tokenizer = mbart_tokenizer(True)
    assert language_code(toy_tokenizer(), "de") is None
    assert language_code(tokenizer, "de_DE") == "de_DE"
    assert language_code(tokenizer, "de") == "de_DE"
    with pytest.raises(ConfigError, match="--source_code and --target_code"):
        language_code(tokenizer, "mr_ref")


def test_a_tokenizer_without_an_end_mark_is_refused(base, data):
    translator = Translator.from_pretrained(base)
    translator.tokenizer.eos_token = None
    with pytest.raises(ModelError, match="where a text ends"):
        prepare_rows(translator.model, translator.tokenizer, data, options(base))


def test_the_prefixes_of_t5_are_proposed(base, data):
    translator = Translator.from_pretrained(base)
    translator.model.config.task_specific_params = {"summarization": {"prefix": "summarize: "}}
    plain = prepare_rows(translator.model, translator.tokenizer, data, options(base))
    assert any("'summarize: '" in note and "--task_prefix" in note for note in plain.notes)
    given_one = prepare_rows(translator.model, translator.tokenizer, data, options(base, task_prefix=PREFIX))
    assert not any("summarize" in note for note in given_one.notes)


# --- refusals before anything is written ---


def test_trap_training_8_t5_refuses_fp16_with_the_reason(base, data, tmp_path):
    with pytest.raises(ConfigError, match="fp16"):
        finetune_text_to_text(data, options(base, precision="fp16", output_dir=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_a_model_of_the_wrong_kind_is_refused(data, tmp_path):
    from helpers import tiny_bert_folder

    bert = tiny_bert_folder(tmp_path / "bert")
    with pytest.raises(ModelError, match="encoder"):
        finetune_text_to_text(data, options(bert, output_dir=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"select_best_on": "blue"}, "Did you mean 'bleu'"),
        ({"select_best_on": "bleu", "decoded_samples": 0}, "decoded_samples"),
        ({"max_source_length": 1}, "max_source_length"),
        ({"num_beams": 0}, "num_beams"),
    ],
)
def test_wrong_options_are_sentences(wrong, message):
    with pytest.raises(ConfigError, match=message):
        options("t5", **wrong)
