"""Running text: lines and documents, cut at their ends, and the row of ids they become."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.data import running_text
from nlpladder.data.corpora import CorpusOptions, load_corpus
from nlpladder.data.running_text import encode_running_text, load_running_text
from nlpladder.errors import ConfigError, DataError
from nlpladder.text.subwords import train_subword_tokenizer


def load(path, unit="line", **arguments):
    names = {"preprocess", "max_samples", "encoding", "text_column"}
    given = {name: arguments.pop(name) for name in names & set(arguments)}
    return load_running_text(CorpusOptions(dataset=str(path), **given), unit=unit, **arguments)


@pytest.fixture
def lines_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join("" if n % 5 == 0 else f" line {n} ." for n in range(100)) + "\n")
    return path


def test_lines_are_those_of_the_counting_rungs(lines_file):
    corpus = load_corpus(CorpusOptions(dataset=str(lines_file)))
    text = load(lines_file)
    assert text.validation == corpus.validation
    assert text.test == corpus.test
    assert text.notes == corpus.notes
    train = list(text.train)
    assert train == list(text.train)  # it can be read again
    assert [*train, *text.validation, *text.test] == [f" line {n} ." for n in range(100) if n % 5]


def test_empty_lines_are_kept_on_demand(lines_file):
    text = load(lines_file, keep_empty_lines=True)
    whole = [*text.train, *text.validation, *text.test]
    assert whole == ["" if n % 5 == 0 else f" line {n} ." for n in range(100)]
    for name in ("train", "validation", "test"):
        (lines_file.parent / f"{name}.txt").write_text("a\n\nb\n\n")
    lines_file.unlink()
    found = load(lines_file.parent, keep_empty_lines=True)
    assert found.test == found.validation == list(found.train) == ["a", "", "b", ""]
    assert load(lines_file.parent).test == ["a", "b"]


def test_a_novel_is_one_text_whose_end_is_cut_off_in_whole_lines(tmp_path):
    novel = "".join(f"Chapter {n}\r\n\r\nIt was {'very ' * (n % 7)}dark.\n" for n in range(200))
    path = tmp_path / "my_novel.txt.gz"
    path.write_bytes(gzip.compress(novel.encode()))
    text = load(path, "document", validation_fraction=0.05, test_fraction=0.1)
    (train,), (validation,), (test,) = text.train, text.validation, text.test
    assert train + validation + test == novel  # as written, nothing lost
    assert train.endswith("\n")
    assert validation.endswith("\n")
    assert 0.09 * len(novel) < len(test) <= 0.1 * len(novel)
    assert 0.04 * len(novel) < len(validation) <= 0.05 * len(novel)
    assert text.fingerprint == load(path, "document", validation_fraction=0.05, test_fraction=0.1).fingerprint
    assert text.fingerprint != load(path, "document", validation_fraction=0.05, test_fraction=0.2).fingerprint
    assert text.fingerprint != load(path).fingerprint


def test_documents_of_several_files_and_rows(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(f"file {number}\nsecond line\n\nend")
    text = load(tmp_path, "document", validation_fraction=0.2, test_fraction=0.2)
    assert [*text.train, *text.validation, *text.test] == [f"file {n}\nsecond line\n\nend" for n in range(5)]
    table = tmp_path / "rows.csv"
    table.write_text("text\n" + "".join(f'"row {n}\nof two lines"\n' for n in range(10, 30)))
    rows = load(table, "document", validation_fraction=0.1, test_fraction=0.1)
    assert [*rows.train, *rows.validation, *rows.test] == [f"row {n}\nof two lines" for n in range(10, 30)]
    assert len(rows.test) == 2
    assert len(list(load(table, "document", max_samples=10, validation_fraction=0.1, test_fraction=0.1).train)) == 8


def test_limits_and_preprocessing(lines_file):
    text = load(lines_file, max_eval=2, max_samples=40)
    assert len(text.test) == len(text.validation) == 2
    assert sum(1 for _ in text.train) == 36
    document = load(lines_file, "document", max_eval=2, preprocess=("lowercase",))
    assert document.test[0].count("\n") == 2


@pytest.mark.parametrize("unit", ["line", "document"])
def test_what_cannot_be_cut_is_an_error(tmp_path, unit):
    path = tmp_path / "short.txt"
    path.write_text("only one line")
    with pytest.raises(DataError, match=r"too few to cut validation and test from"):
        load(path, unit)
    with pytest.raises(ConfigError, match="validation_fraction 0"):
        load(path, unit, validation_fraction=0.0)
    path.write_text("   \n\n")
    with pytest.raises(DataError):
        load(path, unit)
    path.write_text("")
    with pytest.raises(DataError, match="empty"):
        load(path, unit)


def test_an_empty_split_and_wrong_options_are_told(tmp_path):
    for name, content in (("train", "a\nb\n"), ("validation", "a\n"), ("test", "\n\n")):
        (tmp_path / f"{name}.txt").write_text(content)
    for unit in ("line", "document"):
        with pytest.raises(DataError, match="The test text of .* is empty"):
            load(tmp_path, unit)
    with pytest.raises(ConfigError, match="keep_empty_lines is about lines"):
        load(tmp_path, "document", keep_empty_lines=True)
    with pytest.raises(ConfigError, match="text unit"):
        load(tmp_path, "paragraph")


TEXTS = ["the cat sat on the mat .", "", "a dog\n\nran  away", "the cat ran", "naïve 😀 привет\n"] * 3


@pytest.mark.parametrize("scheme", ["bpe", "byte_bpe", "unigram", "wordpiece", "word", "whitespace", "char", "byte"])
def test_the_row_is_every_text_between_end_marks(scheme):
    size = 60 if scheme in ("unigram",) else 400
    tokenizer = train_subword_tokenizer(TEXTS, scheme=scheme, vocab_size=size, template="bos_eos")
    ids = encode_running_text(iter(TEXTS), tokenizer, 3)
    expected = [3]
    for text in TEXTS:
        expected += [*tokenizer(text, add_special_tokens=False)["input_ids"], 3]
    assert ids.dtype == np.int32
    assert ids.tolist() == expected


@pytest.mark.parametrize("scheme", ["bpe", "byte_bpe", "unigram", "wordpiece", "word", "whitespace", "char", "byte"])
def test_a_long_text_is_encoded_in_pieces_with_the_same_ids(scheme, monkeypatch):
    text = "".join(f"{TEXTS[n % 5]}\n{' ' * (n % 3)}{'x' * (n % 4)}\n" for n in range(60))
    tokenizer = train_subword_tokenizer([text], scheme=scheme, vocab_size=60 if scheme == "unigram" else 400)
    whole = encode_running_text([text, "end"], tokenizer, 3)
    monkeypatch.setattr(running_text, "_PIECE_CHARACTERS", 50)
    monkeypatch.setattr(running_text, "_BATCH_CHARACTERS", 300)
    pieces = list(running_text._pieces(iter([text]), tokenizer.backend_tokenizer))
    assert len(pieces) > 5
    assert "".join(piece for piece, _ in pieces) == text
    assert encode_running_text([text, "end"], tokenizer, 3).tolist() == whole.tolist()


def test_a_tokenizer_that_marks_the_beginning_of_a_piece_gets_the_text_whole(monkeypatch):
    from tokenizers import Tokenizer, models, normalizers
    from transformers import PreTrainedTokenizerFast

    letters = {letter: number for number, letter in enumerate(["<pad>", "<unk>", "_", "a", "\n", "</s>"])}
    backend = Tokenizer(models.BPE(vocab=letters, merges=[], unk_token="<unk>"))
    backend.normalizer = normalizers.Prepend("_")  # as Llama's tokenizer does
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>")
    monkeypatch.setattr(running_text, "_PIECE_CHARACTERS", 4)
    assert encode_running_text(["a\n" * 10], tokenizer, 5).tolist() == [5, 2, *[3, 4] * 10, 5]


def test_hostile_texts_are_encoded():
    tokenizer = train_subword_tokenizer(["a"], scheme="byte")
    found = encode_running_text(["\ud800", "\x00", "\u2028\n"], tokenizer, 3)
    assert bytes((found[(found > 4)] - 5).tolist()).decode() == "\ufffd\x00\u2028\n"
    assert encode_running_text([], tokenizer, 3).tolist() == [3]
    with pytest.raises(DataError, match="Text 1 .* not a string"):
        encode_running_text(["a", None], tokenizer, 3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(alphabet="ab \n\r\u2028é", max_size=30), max_size=6), st.integers(1, 60))
def test_cutting_the_end_loses_nothing(texts, characters):
    kept, cut = running_text._cut_end(texts, characters)
    assert "".join(kept) + "".join(cut) == "".join(texts)
    assert sum(map(len, cut)) <= characters
    if kept and cut and len(kept) + len(cut) > len(texts):
        assert kept[-1].endswith("\n")
