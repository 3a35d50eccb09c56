from __future__ import annotations

import bz2
import gzip
import lzma
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ngram.back_off_reference import (
    WORDS,
    arpa_text,
    levels_of,
    models,
    random_model,
    same_levels,
    score_literally,
)
from nlpladder.errors import DataError
from nlpladder.models.ngram import arpa_reading
from nlpladder.models.ngram.arpa import read_arpa, write_arpa
from nlpladder.models.ngram.model import NGramLanguageModel
from nlpladder.models.ngram.vocabulary import Vocabulary

LARGEST = float(np.finfo(np.float32).max)


def read_text(folder, text, name="model.arpa", **options):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_arpa(path, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arpa")


@settings(max_examples=25, deadline=None)
@given(models)
def test_any_order_of_lines_gives_the_model(folder, seed_and_order):
    seed, order = seed_and_order
    model = random_model(seed, order)
    read = read_text(folder, arpa_text(model, order, shuffle=random.Random(seed)))
    assert same_levels(read.tables.to_levels(), levels_of(model, order))
    assert list(read.vocabulary) == WORDS
    assert read.has_marks
    assert read.notes == ()


@settings(max_examples=25, deadline=None)
@given(models)
def test_written_and_read_back_bit_for_bit(folder, seed_and_order):
    seed, order = seed_and_order
    levels = levels_of(random_model(seed, order), order)
    write_arpa(folder / "round.arpa", levels, WORDS, overwrite=True, num_threads=2)
    assert same_levels(read_arpa(folder / "round.arpa").tables.to_levels(), levels)


@settings(max_examples=300, deadline=None)
@given(
    st.floats(width=32, allow_nan=False, allow_infinity=False, max_value=0.0),
    st.floats(-(2.0**100), 2.0**100, width=32),
)
def test_every_float_survives(probability, backoff):
    from nlpladder.models.ngram.arpa_kernels import parse_number, write_number

    out = np.empty(40, np.uint8)
    for number in (probability, backoff):
        size = write_number(out, 0, np.float32(number))
        text = bytes(out[:size]).decode()
        assert size <= 20
        assert np.float32(float(text)).tobytes() == np.float32(number).tobytes()  # as any other program reads it
        value, good = parse_number(out, 0, size)
        assert good
        assert np.float32(value).tobytes() == np.float32(number).tobytes()


@given(st.text(alphabet="0123456789+-.eE x", max_size=12))
def test_numbers_are_read_as_python_reads_them(text):
    from nlpladder.models.ngram.arpa_kernels import parse_number

    data = np.frombuffer(text.encode() + b"\n", np.uint8)
    value, good = parse_number(data, 0, len(text))
    try:
        expected = float(text) if " " not in text else None
    except ValueError:
        expected = None
    if expected is None or abs(expected) > LARGEST * (1 + 2**-25):
        assert not good
    else:
        assert good
        assert np.float32(value) == np.float32(expected)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_compressed_by_name(tmp_path, suffix):
    levels = levels_of(random_model(1, 3), 3)
    path = tmp_path / f"model.arpa{suffix}"
    write_arpa(path, levels, WORDS)
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}[suffix]
    write_arpa(tmp_path / "plain.arpa", levels, WORDS)
    assert opener(path, "rb").read() == (tmp_path / "plain.arpa").read_bytes()
    assert same_levels(read_arpa(path).tables.to_levels(), levels)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"cut short or damaged|holds|\\\\end"):
        read_arpa(path)


@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_blocks_and_threads_do_not_matter(folder, monkeypatch, num_threads):
    model = random_model(7, 4)
    text = arpa_text(model, 4, shuffle=random.Random(7))
    for block in (64, 1000, 1 << 20):
        monkeypatch.setattr(arpa_reading, "BLOCK_BYTES", block)
        read = read_text(folder, text, num_threads=num_threads)
        assert same_levels(read.tables.to_levels(), levels_of(model, 4))


def test_many_chunks_are_written_in_order(tmp_path, monkeypatch):
    from nlpladder.models.ngram import arpa

    levels = levels_of(random_model(9, 4), 4)
    write_arpa(tmp_path / "one.arpa", levels, Vocabulary.from_words(WORDS), num_threads=1)
    monkeypatch.setattr(arpa, "_CHUNK_BYTES", 1)
    write_arpa(tmp_path / "many.arpa", levels, WORDS, num_threads=3)
    assert (tmp_path / "one.arpa").read_bytes() == (tmp_path / "many.arpa").read_bytes()


SRILM = """a comment
\\data\\
ngram 1=4
ngram 2=2
ngram 3=1

\\1-grams:
-1.0 </s>
-99 <s> -0.5
-0.5\ta\t-0.25
-0.75 b

\\2-grams:
-0.3 a b -0.125
-0.2 <s> a

\\3-grams:
-0.1 <s> a b

\\end\\
"""


def test_what_other_toolkits_leave_out(folder):
    read = read_text(folder, SRILM)
    assert list(read.vocabulary) == ["<unk>", "<s>", "</s>", "a", "b"]
    assert read.notes == (f"{folder / 'model.arpa'} has no <unk>: unknown words get -100, as in KenLM.",)
    model = NGramLanguageModel(tables=read.tables, vocabulary=read.vocabulary)
    expected = [-0.2, -0.1, -0.125 - 1.0]
    assert [score for score, _, _ in model.full_scores("a b")] == pytest.approx(expected)
    assert model.full_scores("c")[0] == (-100.5, 1, False)
    assert same_levels(read_text(folder, SRILM.replace("\n", "\r\n")).tables.to_levels(), read.tables.to_levels())


def test_upper_case_unknown_and_no_marks(folder):
    text = "\\data\\\nngram 1=2\nngram 2=1\n\\1-grams:\n-1 <UNK>\n-0.5 a -1\n\\2-grams:\n-0.1 a <UNK>\n\\end\\\n"
    read = read_text(folder, text)
    assert list(read.vocabulary) == ["<unk>", "<s>", "</s>", "a"]
    assert not read.has_marks
    model = NGramLanguageModel.from_arpa(folder / "model.arpa")
    assert model.full_scores("a zzz") == [(-0.5, 1, True), (pytest.approx(-0.1), 2, False)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_missing_prefixes_change_no_score(folder, seed, order):
    model = random_model(seed, order)
    droppable = [ngram for ngram in model if 1 < len(ngram) < order]
    dropped = random.Random(seed).sample(droppable, len(droppable) // 2)
    pruned = {ngram: value for ngram, value in model.items() if ngram not in dropped}
    for ngram in list(pruned):  # what follows a context that is not listed: no back-off
        if len(ngram) < order and not any(longer[:-1] == ngram for longer in pruned):
            pruned[ngram] = (pruned[ngram][0], np.float32(0))
    read = read_text(folder, arpa_text(pruned, order))
    filled = NGramLanguageModel(tables=read.tables, vocabulary=read.vocabulary, sentence_marks=False)
    needed = {ngram[:-1] for ngram in pruned if len(ngram) > 1} - set(pruned)
    assert bool(read.notes) == bool(needed)
    generator = np.random.default_rng(seed)
    for _ in range(30):
        ids = [*generator.choice([3, 4, 5, 6, 7], size=6).tolist()]
        found = filled.full_scores(" ".join(WORDS[word] for word in ids))
        for place, (score, _, _) in enumerate(found):
            expected, _ = score_literally(pruned, order, tuple(ids[:place]), ids[place])
            assert score == pytest.approx(float(expected), abs=1e-5)


GOOD = arpa_text(random_model(2, 2), 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "data", "no line \\\\data\\\\"),
        ("ngram 1=", "ngram 2=", "line 2: expected the count of 1-grams"),
        ("ngram 1=11\nngram 2", "ngram 1=11\nngram 3", "line 3: expected the count of 2-grams"),
        ("ngram 1=11", "ngram 1=13", "promises 13 1-grams, but 11 are listed"),
        ("\\2-grams:", "\\3-grams:", "expected \\\\2-grams:, found"),
        ("\n\n\\end\\", "", "expected \\\\end\\\\, found the end of the file"),
        ("-99\t<s>", "abc\t<s>", "line 7: expected a log10 probability at the beginning of the line, found 'abc"),
        ("-99\t<s>", "nan\t<s>", "line 7: expected a log10 probability"),
        ("-99\t<s>", "0.5\t<s>", "line 7: a log10 probability must not be greater than 0"),
        ("-99\t<s>\t", "-99\t<s>\tx", "line 7: expected a log10 back-off after the words"),
        ("-99\t<s>\t", "-99\t<s>\t1 2 ", "line 7: expected the end of the line"),
        ("\ta\t", "\tb\t", "line 10: the word|'b' twice"),
    ],
)
def test_broken_files_are_named_by_line(folder, old, new, message):
    assert old in GOOD
    with pytest.raises(DataError, match=message):
        read_text(folder, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("bigrams", "line", "message"),
    [
        ("-1 a b\n-1 b zebra", 13, "a word is not among the 1-grams: '-1 b zebra'"),
        ("-1 a b\n-1 b", 13, "expected 2 words after the probability"),
        ("-1 a b\n-1 b a -0.5", 13, "at most one back-off \\(none at the highest order\\)"),
        ("-1 b a\n-1 a b\n-1 b a", 14, "the 2-gram 'b a' is listed twice"),
    ],
)
@pytest.mark.parametrize("num_threads", [1, 2])
def test_broken_ngrams_are_named_by_line(folder, bigrams, line, message, num_threads):
    count = bigrams.count("\n") + 1
    unigrams = "-1 <unk>\n-99 <s> 0\n-1 </s>\n-1 a 0\n-1 b -0.5"
    text = f"\\data\\\nngram 1=5\nngram 2={count}\n\n\\1-grams:\n{unigrams}\n\\2-grams:\n{bigrams}\n\n\\end\\\n"
    with pytest.raises(DataError, match=f"line {line}: .*{message}"):
        read_text(folder, text, num_threads=num_threads)


def test_words_in_another_encoding(tmp_path):
    latin = GOOD.replace("\ta\t", "\t\u00e4\t").encode("latin1", "replace")
    with pytest.raises(DataError, match="line 9: the word is not UTF-8"):
        read_text(tmp_path, latin)
    # Two broken words whose bytes lie side by side and make one good character.
    unigrams = b"-1 <unk>\n-1 a\n-1 b\xc3\n-1 \xa4c\n"
    with pytest.raises(DataError, match="line 8: the word is not UTF-8"):
        read_text(tmp_path, b"\\data\\\nngram 1=4\n\n\\1-grams:\n" + unigrams + b"\\end\\\n")


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        read_arpa(tmp_path / "model.arpa")
    with pytest.raises(DataError, match="is a folder"):
        read_arpa(tmp_path)
    with pytest.raises(DataError, match="no line"):
        read_text(tmp_path, b"")
    with pytest.raises(DataError, match="line 4: expected 'ngram 1=' and a count above 0"):
        read_text(tmp_path, "\\data\\\nngram 1=0\n\n\\1-grams:\n\n\\end\\\n")


def test_nothing_is_overwritten_unasked_or_left_half(tmp_path):
    levels = levels_of(random_model(1, 2), 2)
    path = tmp_path / "model.arpa"
    path.write_text("mine")
    with pytest.raises(DataError, match="exists already"):
        write_arpa(path, levels, WORDS)
    with pytest.raises(ZeroDivisionError):
        write_arpa(path, _Failing(levels), WORDS, overwrite=True)
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.arpa"]
    write_arpa(path, levels, WORDS, overwrite=True)
    assert same_levels(read_arpa(path).tables.to_levels(), levels)


class _Failing(list):
    """Levels that cannot be read to the end."""

    calls = 0

    def __iter__(self):
        self.calls += 1
        if self.calls == 1:
            return super().__iter__()
        return (1 // 0 for _ in range(1))
