"""Vector files: equal to gensim's reading, bit for bit through every format, and a sentence for every broken file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct

import numpy as np
import pytest
from gensim.models import FastText, KeyedVectors
from gensim.models.fasttext import load_facebook_vectors, save_facebook_model
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError, RunError
from nlpladder.models.vectors.files import text_vectors
from nlpladder.models.vectors.files.vector_files import read_vectors, write_vectors
from nlpladder.models.vectors.unseen_words import SubwordVectors
from nlpladder.models.vectors.vector_table import VectorTable
from nlpladder.models.vectors.word_vectors import WordVectors

WORDS = ["the", "Straße", "🙂", "no\u00a0break", "naïve", "don't", "\u2028line", "日本語", "</s>", "x" * 300]


def table(words=WORDS, dimensions=7, seed=0, **more):
    vectors = np.random.default_rng(seed).normal(size=(len(words), dimensions)).astype(np.float32)
    return VectorTable(list(words), vectors, **more)


def bits(vectors):
    return np.ascontiguousarray(vectors, np.float32).view(np.uint32)


@pytest.mark.parametrize("format", ["word2vec", "word2vec_binary", "glove", "fasttext"])
@pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".xz"])
def test_every_format_keeps_every_bit(format, ending, tmp_path):
    given_table = table()
    path = write_vectors(given_table, tmp_path / f"vectors.txt{ending}", format=format)
    found = read_vectors(path)
    assert found.words == WORDS
    assert np.array_equal(bits(found.vectors), bits(given_table.vectors))
    assert found.notes == []
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert read_vectors(path, limit=3).words == WORDS[:3]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.floats(width=32, allow_nan=False, allow_infinity=False),
            st.sampled_from([0.1, 1e-45, 1.17549435e-38, 3.4028235e38, -0.0, 16777217.0, 123456.79, 1e12, 1e-5]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_number_is_written_so_that_it_reads_back(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("numbers") / "v.txt"
    vectors = np.asarray([numbers], np.float32)
    write_vectors(VectorTable(["w"], vectors), path)
    assert np.array_equal(bits(read_vectors(path).vectors), bits(vectors))
    assert np.array_equal(bits(KeyedVectors.load_word2vec_format(path).vectors), bits(vectors))


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(
        st.floats(allow_nan=False, allow_infinity=False, min_value=-3e38, max_value=3e38).map(repr),
        st.from_regex(r"\A[+-]?[0-9]{1,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{1,2})?\Z").filter(
            lambda x: abs(float(x)) < 3e38
        ),
        st.integers(1, 2**24 - 1).map(
            lambda mantissa: str(mantissa * 2 + 1) + "0" * 5
        ),  # near the border of two floats
    )
)
def test_any_number_is_read_as_python_reads_it(tmp_path_factory, number):
    path = tmp_path_factory.mktemp("numbers") / "v.txt"
    path.write_text(f"w {number} 1\n")
    expected = np.float32(float(number))
    assert bits(read_vectors(path).vectors[0, :1])[0] == bits(np.asarray([expected]))[0]


def test_reading_equals_gensims(tmp_path):
    for binary in (False, True):
        reference = KeyedVectors(5)
        reference.add_vectors(WORDS, np.random.default_rng(1).normal(size=(len(WORDS), 5)).astype(np.float32))
        path = tmp_path / f"gensim{binary}"
        reference.save_word2vec_format(path, binary=binary)
        found = read_vectors(path)
        again = KeyedVectors.load_word2vec_format(path, binary=binary)
        assert found.words == again.index_to_key
        assert np.array_equal(bits(found.vectors), bits(again.vectors))
        written = write_vectors(
            table(dimensions=5), tmp_path / f"ours{binary}", format="word2vec_binary" if binary else None
        )
        theirs = KeyedVectors.load_word2vec_format(written, binary=binary)
        assert theirs.index_to_key == WORDS
        assert np.array_equal(bits(theirs.vectors), bits(table(dimensions=5).vectors))


def test_many_blocks_in_order_and_short_last_line(tmp_path, monkeypatch):
    monkeypatch.setattr(text_vectors, "_BLOCK_BYTES", 1000)
    words = [f"w{number}" for number in range(500)]
    expected = table(words)
    path = write_vectors(expected, tmp_path / "v.txt", format="glove")
    path.write_bytes(path.read_bytes().rstrip(b"\n").replace(b"\n", b" \r\n", 40))
    found = read_vectors(path)
    assert found.words == words
    assert np.array_equal(found.vectors, expected.vectors)
    lines = path.read_text().splitlines()
    lines[432] = lines[432] + "x"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"line 433: number 7 is .*x', which is no number"):
        read_vectors(path)


def test_old_word2vec_binaries_without_newlines(tmp_path):
    vectors = table(["a", "bb"]).vectors
    path = tmp_path / "v.bin"
    path.write_bytes(b"2 7\n" + b"a " + vectors[0].tobytes() + b"bb " + vectors[1].tobytes())
    assert read_vectors(path).words == ["a", "bb"]
    assert np.array_equal(read_vectors(path).vectors, vectors)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"just words here\n", "line 1: expected a word and its numbers"),
        (b"2 3\na 1 2 3\n", "announces 2 words in line 1 but ends after 1"),
        (b"1 3\na 1 2 3\nb 1 2 3\n", "line 3: the header announces 1 words, but more lines follow"),
        (b"2 3\na 1 2\nb 1 2 3\n", "line 2: 2 numbers where the header announces 3"),
        (b"2 3\na 1 2 3\nb 1 2\n", "line 3: 2 numbers where 3 are expected"),
        (b"a 1 2 3\n\nb 1 2 3 4\n", "line 3: 4 numbers where 3 are expected"),
        (b"a 1 2 3\nb 1 two 3\n", "line 2: number 2 is 'two', which is no number"),
        (b"a 1 2 3\nb 1 nan 3\n", "line 2: number 2 is nan"),
        (b"a 1 2 3\nb 1 1e39 3\n", "line 2: number 2 is inf"),
        (b"a 1 2 3\nb 1 2 -inf\n", "line 2: number 3 is -inf"),
        (b"3 0\na\nb\nc\n", "0 dimensions"),
        (b"0 3\n", "0 words"),
    ],
)
def test_a_broken_text_file_is_named_with_its_line(content, message, tmp_path):
    path = tmp_path / "broken.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_vectors(path)
    assert "broken.txt" in str(caught.value)
    packed = tmp_path / "broken.gz"
    packed.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=message):
        read_vectors(packed)


def test_truncated_files_of_every_kind(tmp_path):
    binary = write_vectors(table(), tmp_path / "v.bin").read_bytes()
    ngrams = SubwordVectors(np.ones((50, 7), np.float32), 3, 5, 50)
    fasttext = write_vectors(table(subwords=ngrams), tmp_path / "ft.bin").read_bytes()
    packed = gzip.compress(write_vectors(table(), tmp_path / "v.txt").read_bytes())
    path = tmp_path / "cut"
    half_output = len(fasttext) - len(WORDS) * 7 * 4 - 17
    for content, cuts in ((binary, (20, 60, 200)), (fasttext, (6, 40, 80, 130, half_output - 5)), (packed, (30, 100))):
        for cut in cuts:
            path.write_bytes(content[:cut])
            with pytest.raises(DataError, match="cut short|damaged"):
                read_vectors(path)


def test_counted_repairs(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"a 1 2 3\n. . . 4 5 6\na 7 8 9\nb\xff\xfe 1 1 1\nat x@y.z 2 2 2\n")
    found = read_vectors(path)
    assert found.words == ["a", ". . .", "b\ufffd\ufffd", "at x@y.z"]
    assert found.vectors[0].tolist() == [1, 2, 3]
    joined = " ".join(found.notes)
    assert "1 words occur more than once (such as 'a')" in joined
    assert "2 words hold blanks" in joined
    assert "1 words held bytes that are no UTF-8" in joined
    assert WordVectors.from_file(path).notes == found.notes


def test_a_wrong_header_takes_no_memory(tmp_path):
    for name, content in (("t", b"99999999999 300\n" + b"w" + b" 1" * 300), ("b", b"99999999999 300\nw \x00\x01\x02")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match="99,999,999,999 words"):
            read_vectors(path)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path):
    path = tmp_path / "v.txt"
    for word in ("two words", "line\nend", ""):
        for format in ("word2vec", "word2vec_binary", "fasttext_binary"):
            with pytest.raises(DataError, match="Cannot write"):
                write_vectors(table([word, "b"]), path, format=format)
    broken = table(["a"])
    broken.vectors[0, 3] = np.nan
    with pytest.raises(DataError, match="vector 1: number 4 is nan"):
        write_vectors(broken, path)
    assert list(tmp_path.iterdir()) == []
    write_vectors(table(["a"]), path)
    before = path.read_bytes()
    with pytest.raises(RunError, match="exists already"):
        write_vectors(table(["b"]), path)
    assert path.read_bytes() == before
    write_vectors(table(["b"]), path, overwrite=True)
    assert read_vectors(path).words == ["b"]
    with pytest.raises(ConfigError, match="Did you mean 'glove'"):
        write_vectors(table(["a"]), path, format="glov")
    with pytest.raises(DataError, match="There is no file"):
        read_vectors(tmp_path / "none")
    with pytest.raises(DataError, match="is a folder"):
        read_vectors(tmp_path)


def test_compression_is_told_by_content(tmp_path):
    plain = write_vectors(table(), tmp_path / "v.txt").read_bytes()
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        (tmp_path / "named.txt").write_bytes(pack(plain))
        assert read_vectors(tmp_path / "named.txt").words == WORDS


@pytest.fixture(scope="module")
def fasttext_model():
    corpus = [["grün", "blau", "grünlich", "🙂"], ["rot", "rötlich", "blau", "naïve"]] * 20
    return FastText(
        corpus, vector_size=9, window=2, min_count=1, epochs=2, bucket=200, min_n=2, max_n=4, workers=1, seed=3
    )


def test_fasttext_binaries_equal_gensims(fasttext_model, tmp_path):
    path = tmp_path / "model.bin"
    save_facebook_model(fasttext_model, str(path))
    vectors = WordVectors.from_file(path)
    unseen = ["grüner", "🙂🙂", "b", "Rotation", "zzz"]
    assert vectors.words == fasttext_model.wv.index_to_key
    np.testing.assert_allclose(vectors.vectors, fasttext_model.wv.vectors, atol=1e-6)
    np.testing.assert_allclose(vectors.embed(unseen), np.stack([fasttext_model.wv[word] for word in unseen]), atol=1e-6)
    assert vectors.counts.tolist() == [fasttext_model.wv.get_vecattr(word, "count") for word in vectors.words]
    again = vectors.export(tmp_path / "ours.bin")
    theirs = load_facebook_vectors(str(again))
    assert theirs.index_to_key == vectors.words
    np.testing.assert_allclose(theirs.vectors, vectors.vectors, atol=2e-6)
    np.testing.assert_allclose(np.stack([theirs[word] for word in unseen]), vectors.embed(unseen), atol=1e-6)
    np.testing.assert_allclose(WordVectors.from_file(again).vectors, vectors.vectors, atol=2e-6)


def test_compact_buckets_are_written_as_all_buckets(tmp_path):
    rows = np.asarray([3, 7, 40])
    ngrams = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    full = np.zeros((50, 7), np.float32)
    full[rows] = ngrams
    files = [
        write_vectors(table(subwords=subwords), tmp_path / name).read_bytes()
        for name, subwords in (
            ("a.bin", SubwordVectors(ngrams, 2, 4, 50, rows)),
            ("b.bin", SubwordVectors(full, 2, 4, 50)),
        )
    ]
    assert files[0] == files[1]


def test_classifiers_and_quantised_models_are_refused(fasttext_model, tmp_path):
    path = tmp_path / "model.bin"
    save_facebook_model(fasttext_model, str(path))
    content = bytearray(path.read_bytes())
    content[8 + 7 * 4 : 8 + 8 * 4] = struct.pack("<i", 3)
    path.write_bytes(content)
    with pytest.raises(DataError, match="classifier"):
        read_vectors(path)
    content[4:8] = struct.pack("<i", 99)
    path.write_bytes(content)
    with pytest.raises(DataError, match="version 99"):
        read_vectors(path)


@pytest.fixture(scope="module")
def valid_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valid")
    ngrams = SubwordVectors(np.ones((30, 3), np.float32), 2, 3, 30)
    small = table(["the", "Straße", "🙂"], 3, subwords=ngrams)
    formats = ("word2vec", "glove", "word2vec_binary", "fasttext_binary")
    return folder, [write_vectors(small, folder / format, format=format).read_bytes() for format in formats]


def test_a_binary_file_of_no_words_is_refused(tmp_path):
    (tmp_path / "none.bin").write_bytes(b"0 3\nabc " + bytes(12))
    with pytest.raises(DataError, match="announces 0 words"):
        read_vectors(tmp_path / "none.bin")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damage_gives_vectors_or_one_sentence(valid_files, data):
    folder, contents = valid_files
    content = bytearray(data.draw(st.sampled_from(contents) | st.binary(max_size=60)))
    for _ in range(data.draw(st.integers(0, 4))):
        if not content:
            break
        # Mostly in the header and the dictionary, where damage does most.
        place = data.draw(st.integers(0, min(len(content), 140) - 1) | st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "drop", "insert"])):
            case "flip":
                content[place] = data.draw(st.sampled_from([0, 9, 10, 32, 45, 48, 57, 127, 255]))
            case "drop":
                del content[place]
            case "insert":
                content[place:place] = data.draw(st.sampled_from([b"9", b" ", b"\n", b"\0", b"\xff", b"e9"]))
    path = folder / "damaged"
    path.write_bytes(content)
    try:
        found = read_vectors(path)
    except DataError:
        return
    assert len(found.words) == len(set(found.words)) == len(found.vectors) > 0
    assert np.isfinite(found.vectors).all()
    assert "" not in found.words


def test_long_lines_are_text(tmp_path):
    wide = table(["a", "b"], 9000)
    path = write_vectors(wide, tmp_path / "wide.txt")
    assert np.array_equal(read_vectors(path).vectors, wide.vectors)
