"""Corpora without labels: streams, splits, and where they come from."""

from __future__ import annotations

import gzip

import pytest

from nlpladder.data.corpora import CorpusOptions, load_corpus, open_stream
from nlpladder.errors import ConfigError, DataError
from nlpladder.text.encoding import encode_corpus


def sentences(stream):
    return [" ".join(sentence) for sentence in encode_corpus(stream).sentences()]


def write(path, lines):
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_a_text_file_is_one_stream(tmp_path):
    file = write(tmp_path / "a.txt.gz", ["The cat.", "", "A dog!"])
    assert sentences(open_stream(CorpusOptions(dataset=str(file), lowercase=True))) == ["the cat .", "a dog !"]
    assert sentences(open_stream(CorpusOptions(dataset=str(file), tokenizer="whitespace"))) == ["The cat.", "A dog!"]
    assert sentences(open_stream(CorpusOptions(dataset=str(file), max_samples=1))) == ["The cat ."]


def test_a_folder_with_split_names_is_taken_as_it_is(tmp_path):
    for name, lines in (("train", ["a b", "c"]), ("validation", ["d"]), ("test", ["e", "", "f"])):
        write(tmp_path / f"{name}.txt", lines)
    corpus = load_corpus(CorpusOptions(dataset=str(tmp_path), tokenizer="whitespace"))
    assert sentences(corpus.train) == ["a b", "c"]
    assert (corpus.validation, corpus.test) == (["d"], ["e", "f"])


def test_a_single_file_is_cut_at_its_end_without_overlap(tmp_path):
    lines = [f"line {number}" for number in range(100)]
    file = write(tmp_path / "a.txt", lines)
    corpus = load_corpus(CorpusOptions(dataset=str(file), tokenizer="whitespace"), test_fraction=0.2)
    assert sentences(corpus.train) == lines[:75]
    assert [line.strip() for line in corpus.validation] == lines[75:80]
    assert [line.strip() for line in corpus.test] == lines[80:]
    again = load_corpus(CorpusOptions(dataset=str(file), tokenizer="whitespace"), test_fraction=0.2)
    assert again.fingerprint == corpus.fingerprint
    write(file, [*lines[:-1], "another end"])
    changed = load_corpus(CorpusOptions(dataset=str(file), tokenizer="whitespace"), test_fraction=0.2)
    assert changed.fingerprint != corpus.fingerprint


def test_labelled_data_gives_its_texts(tmp_path):
    (tmp_path / "train.csv").write_text('text,label\n"Good film.\nReally.",1\nBad film.,0\n' * 20)
    (tmp_path / "test.csv").write_text("text,label\nGood one.,1\nBad one.,0\n")
    options = CorpusOptions(dataset=str(tmp_path), lowercase=True)
    assert sentences(open_stream(options))[:3] == ["good film .", "really .", "bad film ."]
    corpus = load_corpus(options)
    assert corpus.test == ["Good one.", "Bad one."]
    assert "validation" in corpus.notes[-1]


def test_sentences_can_be_split(tmp_path):
    file = write(tmp_path / "a.txt", ["One is here. Two is there.", "Three?"])
    stream = open_stream(CorpusOptions(dataset=str(file), tokenizer="whitespace", split_sentences=True))
    assert sentences(stream) == ["One is here.", "Two is there.", "Three?"]


def test_splits_and_preprocessing_can_be_chosen(tmp_path):
    for name, line in (("train", "a<br />b"), ("unlabeled", "c"), ("test", "d")):
        write(tmp_path / f"{name}.txt", [line])
    options = {"dataset": str(tmp_path), "tokenizer": "whitespace", "preprocess": ("strip_html",)}
    assert sentences(open_stream(CorpusOptions(**options))) == ["a", "b", "c"]
    assert sentences(open_stream(CorpusOptions(**options, splits=("test", "train")))) == ["d", "a", "b"]
    with pytest.raises(DataError, match="no split 'tset'.*'test'"):
        open_stream(CorpusOptions(**options, splits=("tset",)))


def test_a_world_is_a_corpus():
    stream = open_stream(CorpusOptions(dataset="world:reviews?train=50", lowercase=True))
    assert encode_corpus(stream).num_sentences == 50


def test_mistakes_are_sentences(tmp_path):
    with pytest.raises(DataError, match="no file or folder"):
        open_stream(CorpusOptions(dataset=str(tmp_path / "nowhere.txt")))
    file = write(tmp_path / "a.txt", ["one", "two"])
    (tmp_path / "numbers.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(DataError, match="only numbers.*--text_column; there are: a, b"):
        open_stream(CorpusOptions(dataset=str(tmp_path / "numbers.csv")))
    with pytest.raises(DataError, match="too few to cut"):
        load_corpus(CorpusOptions(dataset=str(file)))
    with pytest.raises(ConfigError, match="Did you mean 'regex'"):
        open_stream(CorpusOptions(dataset=str(file), tokenizer="regx"))
    with pytest.raises(ConfigError, match="leave"):
        load_corpus(CorpusOptions(dataset=str(file)), validation_fraction=0.5, test_fraction=0.5)
