"""Sentence streams, text tokenizers and the encoded corpus."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nlpladder.text.sentence_stream as sentence_stream
from nlpladder.errors import ConfigError, DataError
from nlpladder.text.encoding import SENTENCE_END, UNKNOWN, EncodedCorpus, WordTable, encode_corpus
from nlpladder.text.sentence_stream import SentenceStream
from nlpladder.text.text_tokenizer import BLANK, TextTokenizer

HOSTILE = st.text(st.sampled_from(list("ab \n\t\r\0\x85\u00a0\u2028éß😀İ")) | st.characters(codec="utf-8"), max_size=60)


def literal(text: str) -> list[list[str]]:
    lines = [[token for token in re.split("[\0\t\r ]+", line) if token] for line in text.split("\n")]
    return [line for line in lines if line]


@settings(max_examples=150, deadline=None)
@given(st.lists(HOSTILE, max_size=4))
def test_encoding_gives_the_words_of_a_literal_reading(texts):
    corpus = encode_corpus(SentenceStream.from_texts(texts))
    expected = [line for text in texts for line in literal(text)]
    assert list(corpus.sentences()) == expected
    counts = Counter(word for line in expected for word in line)
    assert dict(zip(corpus.words, corpus.counts.tolist(), strict=True)) == counts
    assert list(counts) == corpus.words  # in order of first appearance
    assert (corpus.num_tokens, corpus.num_sentences) == (sum(counts.values()), len(expected))


def test_many_words_make_the_tables_grow():
    sentences = [[f"word{number}" for number in range(start, start + 500)] for start in range(0, 90_000, 250)]
    corpus = encode_corpus(sentences)
    assert len(corpus.words) == len(set(corpus.words)) == 90_250
    assert list(corpus.sentences()) == sentences


@pytest.mark.parametrize("opener", [open, gzip.open, bz2.open, lzma.open])
def test_files_are_read_in_small_blocks_without_cutting_words(tmp_path, monkeypatch, opener):
    monkeypatch.setattr(sentence_stream, "BLOCK_BYTES", 16)
    lines = ["a rather long first sentence ü", "", "x", "the last one has no newline"]
    with opener(tmp_path / "corpus.txt", "wb") as file:
        file.write("\n".join(lines).encode())
    stream = SentenceStream.from_files([tmp_path / "corpus.txt"])
    assert sum(1 for _ in stream.blocks()) > 3
    assert list(encode_corpus(stream).sentences()) == [line.split() for line in lines if line]


def test_a_byte_order_mark_is_no_word_and_every_file_ends_its_sentence(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone two".encode())
    (tmp_path / "b.txt").write_bytes(b"three\n")
    stream = SentenceStream.from_files([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert list(encode_corpus(stream).sentences()) == [["one", "two"], ["three"]]


def test_broken_utf8_is_replaced_and_counted(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"gut\n" + "für\n".encode("latin-1") + "süß\n".encode())
    corpus = encode_corpus(SentenceStream.from_files([tmp_path / "a.txt"]))
    assert corpus.words == ["gut", "f\ufffdr", "süß"]
    assert "1 lines are not UTF-8 (the first is line 2)" in corpus.notes[0]
    latin = encode_corpus(SentenceStream.from_files([tmp_path / "a.txt"], encoding="latin-1"))
    assert latin.words[1] == "für"
    assert latin.notes == ()


def test_missing_and_broken_files_are_sentences(tmp_path):
    (tmp_path / "corpus.txt").write_text("a b\n")
    with pytest.raises(DataError, match="There is no file .*corpsu.txt.*corpus.txt"):
        encode_corpus(SentenceStream.from_files([tmp_path / "corpsu.txt"]))
    whole = gzip.compress(b"a b c\n" * 5000)
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cut short or damaged"):
        encode_corpus(SentenceStream.from_files([tmp_path / "cut.gz"]))
    with pytest.raises(DataError, match="is a folder"):
        encode_corpus(SentenceStream.from_files([tmp_path]))


def test_a_closed_vocabulary_marks_unknown_words():
    corpus = encode_corpus([["a", "b", "c"], ["c"]], words=["c", "a"])
    assert corpus.ids.tolist() == [1, UNKNOWN, 0, SENTENCE_END, 0, SENTENCE_END]
    assert corpus.counts.tolist() == [2, 1]
    assert corpus.num_unknown == 1
    with pytest.raises(DataError, match="names 'a' twice"):
        WordTable(["a", "b", "a"])


def test_renaming_drops_or_keeps_a_place():
    corpus = encode_corpus([["a", "b", "a"], ["b"]], words=["a", "b"])
    assert corpus.remapped([-1, 5]).tolist() == [5, SENTENCE_END, 5, SENTENCE_END]
    assert corpus.remapped([-1, 5], drop=False).tolist() == [UNKNOWN, 5, UNKNOWN, SENTENCE_END, 5, SENTENCE_END]


def test_a_spool_file_holds_the_same_ids_and_is_never_half_written(tmp_path):
    sentences = [["a", "b"], ["c"]] * 10
    spooled = encode_corpus(sentences, spool=tmp_path / "ids.bin")
    assert isinstance(spooled.ids, np.memmap)
    assert np.array_equal(spooled.ids, encode_corpus(sentences).ids)
    with pytest.raises(DataError, match="exists already"):
        encode_corpus(sentences, spool=tmp_path / "ids.bin")
    with pytest.raises(DataError, match="holds white space"):
        encode_corpus([["fine"], ["not fine"]], spool=tmp_path / "other.bin")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ids.bin"]


def test_an_empty_stream_is_an_empty_corpus(tmp_path):
    corpus = encode_corpus(SentenceStream.from_texts(["", " \n "]), spool=tmp_path / "ids.bin")
    assert isinstance(corpus, EncodedCorpus)
    assert (corpus.ids.size, corpus.words, corpus.num_sentences) == (0, [], 0)


def test_a_generator_can_be_streamed_again():
    stream = SentenceStream.from_tokens(iter([["a", "b"], ["c"]]))
    assert b"".join(stream.blocks()) == b"".join(stream.blocks()) == b"a b\nc\n"
    assert stream.fingerprint() == SentenceStream.from_texts(["a b", "c"]).fingerprint()


def test_one_string_is_no_sentence():
    with pytest.raises(DataError, match="list of tokens"):
        encode_corpus(["a b c"])


@given(HOSTILE)
def test_tokens_of_every_method_survive_the_stream(text):
    for tokenizer in (TextTokenizer(), TextTokenizer("regex"), TextTokenizer("char"), TextTokenizer(lowercase=True)):
        lines = [tokenizer.tokenize(line) for line in text.split("\n")]
        corpus = encode_corpus(SentenceStream.from_texts([text], tokenizer=tokenizer))
        assert list(corpus.sentences()) == [line for line in lines if line]


def test_characters_go_back_to_text_and_settings_travel():
    tokenizer = TextTokenizer("char", lowercase=True)
    assert tokenizer.tokenize("A b") == ["a", BLANK, "b"]
    assert tokenizer.detokenize(["a", BLANK, "b"]) == "a b"
    again = TextTokenizer.from_config(tokenizer.to_config())
    assert (again.method, again.lowercase) == ("char", True)
    with pytest.raises(ConfigError, match=r"did you mean|Did you mean"):
        TextTokenizer("regexp")
    with pytest.raises(ConfigError, match="subword"):
        TextTokenizer("subword")


def test_a_subword_tokenizer_travels_whole():
    from nlpladder.text.subwords import train_subword_tokenizer

    subword = train_subword_tokenizer(["low lower lowest new newer newest"] * 5, scheme="bpe", vocab_size=40)
    tokenizer = TextTokenizer("subword", subword=subword)
    again = TextTokenizer.from_config(tokenizer.to_config())
    tokens = tokenizer.tokenize("lower newest")
    assert again.tokenize("lower newest") == tokens
    assert again.detokenize(tokens).strip() == "lower newest"
    assert not any(" " in token for token in tokens)
