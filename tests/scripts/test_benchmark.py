from __future__ import annotations

import gzip
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def load_script(monkeypatch, name):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module(name)


@pytest.fixture
def benchmark(monkeypatch):
    return load_script(monkeypatch, "benchmark")


@pytest.fixture
def features(monkeypatch):
    return load_script(monkeypatch, "benchmark_suites.features")


def measurement(benchmark, seconds, peak, fingerprint):
    return benchmark.Measurement(seconds, peak, 10.0, fingerprint)


def test_features_runs_as_a_user_runs_it(benchmark, features, monkeypatch, capsys, tmp_path):
    dataset = tmp_path / "reviews.csv"
    rows = '"one good, small film",1\n"one bad\nfilm; naïve",0\n' * 20
    dataset.write_text("text,label\n" + rows, encoding="utf-8")
    monkeypatch.setattr(features, "CASES", {"tf-idf, fit_transform": features.CASES["tf-idf, fit_transform"]})
    monkeypatch.setattr(benchmark, "measure_compilation", lambda suite: 1.5)
    arguments = ["features", "--documents", "30", "--dataset", str(dataset), "--repeats", "1"]
    assert benchmark.main(arguments) == 0
    output = capsys.readouterr().out
    assert "30 documents" in output
    assert "50 % not ASCII" in output
    assert "once on a machine: 1.5 s" in output
    table = [line.split("|")[1:-1] for line in output.splitlines() if line.startswith("| tf-idf")]
    assert [row[1].strip() for row in table] == ["scikit-learn", "nlpladder"]
    assert [row[-1].strip() for row in table] == ["yes", "yes"]
    assert float(table[1][3]) == 1.0


@pytest.mark.parametrize("case", ["tf-idf, transform", "hashing, transform"])
def test_every_contender_gives_the_same_fingerprint(features, tmp_path, case):
    description = features.write_input({"dataset": None, "documents": 40}, tmp_path)
    assert description.startswith("40 documents")
    prints = set()
    for contender in features.CONTENDERS:
        run, fingerprint = features.prepare(case, contender, tmp_path)
        prints.add(fingerprint(run()))
    assert len(prints) == 1


def test_fingerprints_tell_matrices_apart(features, tmp_path):
    features.write_input({"dataset": None, "documents": 10}, tmp_path)
    run, fingerprint = features.prepare("hashing, transform", "nlpladder", tmp_path)
    matrix = run()
    before = fingerprint(matrix)
    matrix.data[0] = np.nextafter(matrix.data[0], 2)
    assert fingerprint(matrix) != before


def test_made_up_documents_are_always_the_same_and_partly_beyond_ascii(features):
    documents = list(features.made_up_documents(200))
    assert documents == list(features.made_up_documents(200))
    assert 0 < sum(not document.isascii() for document in documents) < 40


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.jsonl.gz", "a.txt", "a.txt.gz"])
def test_files_of_every_kind_are_read(features, tmp_path, name):
    texts = ["one, two", "naïve"]
    content = {
        "csv": 'sentence\n"one, two"\nnaïve\n',
        "jsonl": "".join(json.dumps({"text": text}) + "\n" for text in texts),
        "txt": "".join(text + "\n" for text in texts),
    }[name.split(".")[1]].encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert list(features.read_documents(tmp_path / name)) == texts


def test_a_file_that_cannot_be_read_is_refused(features, tmp_path):
    (tmp_path / "a.xml").write_text("")
    with pytest.raises(SystemExit, match=r"expected a \.csv"):
        list(features.read_documents(tmp_path / "a.xml"))
    (tmp_path / "a.jsonl").write_text('{"title": "x"}\n')
    with pytest.raises(SystemExit, match="row 1: expected a column `text` or `sentence`, found title"):
        list(features.read_documents(tmp_path / "a.jsonl"))


def test_contenders_that_are_not_installed_are_named_and_skipped(benchmark, features, monkeypatch, capsys):
    monkeypatch.setattr(features, "CONTENDERS", {"nowhere": "no_such_package", "nlpladder": "nlpladder"})
    assert benchmark.installed_contenders(features) == ["nlpladder"]
    assert "nowhere is not installed: skipped." in capsys.readouterr().err


def test_rows_hold_medians_and_ratios_to_ours(benchmark):
    def of(*values):
        return [measurement(benchmark, seconds, 100.0 * seconds, "same") for seconds in values]

    rows = benchmark.summarise({"case": {"peer": of(9.0, 4.0, 5.0), "ours": of(1.0, 3.0, 2.0)}})
    assert [row["seconds"] for row in rows] == [5.0, 2.0]
    assert [row["times_our_seconds"] for row in rows] == [2.5, 1.0]
    assert rows[0]["times_our_peak"] == 2.5
    assert [row["identical"] for row in rows] == [True, True]


@pytest.mark.parametrize("prints, verdict", [(("a", "b"), False), (("a", "a"), True), ((None, "a"), None)])
def test_results_that_differ_are_said_to(benchmark, prints, verdict):
    by_contender = {
        name: [measurement(benchmark, 1.0, 1.0, fingerprint)]
        for name, fingerprint in zip(("peer", "ours"), prints, strict=True)
    }
    rows = benchmark.summarise({"case": by_contender})
    assert rows[0]["identical"] is verdict
    assert {True: "yes", False: "NO", None: "|  |"}[verdict] in benchmark.as_markdown(rows)


def test_a_child_that_fails_is_reported(benchmark):
    with pytest.raises(SystemExit, match="No module named 'benchmark_suites.nothing'"):
        benchmark.run_child({"do": "compile", "suite": "nothing"})


def test_repeats_below_one_are_refused(benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["features", "--repeats", "0"])
    assert "--repeats must be at least 1" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vectors", "glove", "ngram"])
def test_word_suites_run_as_a_user_runs_them(benchmark, name, monkeypatch, capsys):
    """Ours alone: peers need programs, or minutes."""
    suite = load_script(monkeypatch, f"benchmark_suites.{name}")
    monkeypatch.setattr(suite, "CONTENDERS", {"nlpladder": "nlpladder"})
    monkeypatch.setattr(benchmark, "measure_compilation", lambda suite: 1.5)
    case = next(iter(suite.CASES))
    assert benchmark.main([name, "--sentences", "600", "--repeats", "1", "--cases", case]) == 0
    output = capsys.readouterr().out
    assert "600 sentences" in output
    (row,) = [line.split("|")[1:-1] for line in output.splitlines() if line.startswith(f"| {case}")]
    assert row[1].strip() == "nlpladder"
    assert re.fullmatch(r"[\d,]+ (words|tokens|words x epochs)", row[4].strip())


def test_an_unknown_case_and_a_missing_program_are_named(benchmark, features, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="No case holds nothing"):
        benchmark.main(["features", "--cases", "nothing"])
    monkeypatch.setattr(features, "CONTENDERS", {"peer": "program:no_such_program", "nlpladder": "nlpladder"})
    assert benchmark.installed_contenders(features) == ["nlpladder"]
    assert "no program no_such_program on the PATH" in capsys.readouterr().err


@pytest.fixture
def finetuning(monkeypatch):
    suite = load_script(monkeypatch, "benchmark_suites.finetuning")
    peers = load_script(monkeypatch, "benchmark_suites.finetuning_peers")
    monkeypatch.setattr(suite, "BATCH", dict.fromkeys(suite.CASES, 8))
    return suite, peers


@pytest.mark.slow
def test_finetuning_makes_as_many_steps_with_every_contender(finetuning, monkeypatch, tmp_path):
    """The shape of the models does not matter here; the batches and switches do."""
    from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

    suite, peers = finetuning
    bert = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, num_labels=2)
    gpt = GPT2Config(
        vocab_size=8000, n_positions=256, n_embd=8, n_layer=1, n_head=1, pad_token_id=0, bos_token_id=3, eos_token_id=3
    )
    monkeypatch.setattr(peers, "classifier", lambda folder: BertForSequenceClassification(bert))
    monkeypatch.setattr(peers, "language_model", lambda: GPT2LMHeadModel(gpt))
    description = suite.write_input({"rows": 96, "threads": 1, "model": None, "dataset": None}, tmp_path)
    assert description.startswith("96 sentences of")
    for case in suite.CASES:
        taking_part = [contender for contender in suite.CONTENDERS if suite.skip(case, contender) is None]
        assert taking_part[-1] == "nlpladder"
        steps = {}
        for contender in taking_part:
            train, fingerprint = suite.prepare(case, contender, tmp_path)
            result = train()
            steps[contender] = result.global_step
            assert result.training_loss > 0
            assert fingerprint(result) is None
        wanted = 12 if case == suite.SENTENCES else 3
        assert all(abs(found - wanted) <= 1 for found in steps.values()), steps
        assert suite.amount(case, tmp_path)[0] > 0


def test_finetuning_finds_the_columns_of_a_file(finetuning, tmp_path):
    from helpers import tiny_bert_folder

    suite, _ = finetuning
    (tmp_path / "a.csv").write_text('id,sentence,label\n1,the film was good,1\n2,"bad, dull",0\n3,so so,1\n')
    options = {"dataset": str(tmp_path / "a.csv"), "model": str(tiny_bert_folder(tmp_path / "model")), "rows": 2}
    rows = suite.tokenized(options)
    assert [row["label"] for row in rows] == [1, 0]
    assert len(rows[0]["input_ids"]) == 4
    with pytest.raises(SystemExit, match="--model"):
        suite.tokenized({**options, "model": None})


def test_the_instructions_of_finetuning_have_the_lengths_of_instructions(finetuning):
    suite, _ = finetuning
    prompts, answers = suite.random_instructions(2000)
    total = np.array([len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True)])
    assert total.max() < suite.LONGEST[suite.INSTRUCTIONS]
    assert 50 < np.median(total) < 100
    assert np.median([len(row["input_ids"]) for row in suite.random_sentences(2000)]) == pytest.approx(11, abs=1)
