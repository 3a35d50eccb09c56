"""Co-occurrences: equal to two plain loops, on any number of threads, in memory or on disk; clear errors."""

from __future__ import annotations

import errno
from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError, ModelError, RunError
from nlpladder.models.vectors.glove import cooccurrence, cooccurrence_files
from nlpladder.models.vectors.glove.cooccurrence import count_cooccurrences
from nlpladder.models.vectors.glove.cooccurrence_records import Cooccurrences
from nlpladder.models.vectors.glove.options import GloveOptions
from nlpladder.text.encoding import encode_corpus

SENTENCES = st.lists(st.lists(st.sampled_from([*"abcdefghij", "naïve", "語", "-", "</s>"]), max_size=12), max_size=12)


def options(**changes):
    return GloveOptions(**{"min_count": 1, "num_threads": 2, **changes})


def count_by_loops(sentences, options):
    """What is counted, read literally: a dictionary {(word, context): exact count}."""
    frequency = Counter(word for sentence in sentences for word in sentence)
    kept = {word for word, count in frequency.items() if count >= options.min_count}
    counts = defaultdict(Fraction)
    for sentence in sentences:
        known = [word for word in sentence if word in kept]
        for place, word in enumerate(known):
            for distance in range(1, options.window + 1):
                if place + distance < len(known):
                    share = Fraction(1, distance) if options.distance_weighting else Fraction(1)
                    later = known[place + distance]
                    counts[word, later] += share
                    if options.symmetric:
                        counts[later, word] += share
    return counts


def as_dictionary(cooccurrences):
    words = cooccurrences.words
    found = {}
    for rows, columns, values in cooccurrences.records():
        for row, column, value in zip(rows.tolist(), columns.tolist(), values.tolist(), strict=True):
            assert (words[row], words[column]) not in found
            found[words[row], words[column]] = value
    return found


def random_sentences(size=60, words=30, seed=0):
    generator = np.random.default_rng(seed)
    ranks = generator.zipf(1.3, size=(size, 14)) % words
    return [[f"w{rank}" for rank in row[: generator.integers(2, 15)]] for row in ranks]


def assert_identical(left, right):
    assert left.words == right.words
    assert left.counts.tolist() == right.counts.tolist()
    for one, other in zip(left.segments, right.segments, strict=True):
        for name in ("rows", "columns", "values", "block_starts"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name


@settings(max_examples=60, deadline=None)
@given(SENTENCES, st.integers(1, 25), st.booleans(), st.booleans(), st.integers(1, 3))
def test_counts_are_those_of_two_plain_loops(sentences, window, symmetric, weighted, min_count):
    chosen = options(window=window, symmetric=symmetric, distance_weighting=weighted, min_count=min_count)
    expected = count_by_loops(sentences, chosen)
    try:
        found = as_dictionary(count_cooccurrences(encode_corpus(sentences), chosen))
    except DataError:
        assert len({word for pair in expected for word in pair}) < 2
        return
    assert found.keys() == expected.keys()
    for pair, value in expected.items():
        assert found[pair] == pytest.approx(float(value), rel=2e-7)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-4, 0.02), st.integers(1, 3))
def test_memory_and_threads_make_no_difference(tmp_path_factory, seed, memory, threads):
    corpus = encode_corpus(random_sentences(seed=seed))
    whole = count_cooccurrences(corpus, options(num_threads=1))
    folder = tmp_path_factory.mktemp("counts") / "made"
    assert_identical(count_cooccurrences(corpus, options(memory=memory, num_threads=threads), folder=folder), whole)


def test_large_counts_go_to_files_that_can_be_opened_again(tmp_path):
    corpus = encode_corpus(random_sentences(200), spool=tmp_path / "ids")
    spilled = count_cooccurrences(corpus, options(memory=0.001), folder=tmp_path / "counts")
    assert sorted(path.name for path in (tmp_path / "counts").iterdir()) == [
        "columns.bin", "cooccurrences.json", "index.safetensors", "rows.bin", "values.bin",
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts", "ids"]
    assert_identical(spilled, count_cooccurrences(corpus, options()))
    assert_identical(spilled, Cooccurrences.load(tmp_path / "counts"))


def test_small_counts_leave_no_files_and_can_be_saved(tmp_path):
    counted = count_cooccurrences(encode_corpus(random_sentences()), options(), folder=tmp_path / "counts")
    assert list(tmp_path.iterdir()) == []
    counted.save(tmp_path / "saved")
    assert_identical(counted, Cooccurrences.load(tmp_path / "saved"))
    with pytest.raises(RunError, match="holds something"):
        counted.save(tmp_path / "saved")


def test_records_are_shuffled_inside_their_blocks():
    counted = count_cooccurrences(encode_corpus(random_sentences(400, 100)), options())
    assert len(counted.segments) > 1
    for block, segment in enumerate(counted.segments):
        assert ((segment.rows >= counted.borders[block]) & (segment.rows < counted.borders[block + 1])).all()
        for column, (begin, end) in enumerate(zip(segment.block_starts, segment.block_starts[1:], strict=False)):
            columns = segment.columns[begin:end]
            assert ((columns >= counted.borders[column]) & (columns < counted.borders[column + 1])).all()
    orders = [np.diff(segment.rows[segment.block_starts[0] : segment.block_starts[1]]) for segment in counted.segments]
    assert not all((order >= 0).all() for order in orders)
    other = count_cooccurrences(encode_corpus(random_sentences(400, 100)), options(seed=1))
    assert as_dictionary(other) == as_dictionary(counted)
    assert not np.array_equal(other.segments[0].rows, counted.segments[0].rows)


def test_vocabulary_by_frequency_and_first_words():
    corpus = encode_corpus([list("ccbbbaaaad")] * 2)
    counted = count_cooccurrences(corpus, options(min_count=3))
    assert (counted.words, counted.counts.tolist()) == (["a", "b", "c"], [8, 6, 4])
    limited = count_cooccurrences(corpus, options(max_vocabulary=2))
    assert limited.words == ["a", "b"]
    first = count_cooccurrences(corpus, options(min_count=3), first_words=["new", "d"])
    assert (first.words, first.counts.tolist()) == (["new", "d", "a", "b", "c"], [0, 2, 8, 6, 4])
    with pytest.raises(DataError, match="twice"):
        count_cooccurrences(corpus, options(), first_words=["d", "d"])
    assert first.to_sparse()[2, 3] == as_dictionary(first)["a", "b"]


def test_unknown_tokens_are_left_out_before_windows_are_taken(tmp_path):
    sentences = [["a", "x", "b", "x"], ["x"], ["b", "a"]] * 30
    closed = encode_corpus(sentences, words=["a", "b"])
    expected = count_by_loops([[w for w in s if w != "x"] for s in sentences], options())
    assert as_dictionary(count_cooccurrences(closed, options())) == expected
    spilled = count_cooccurrences(closed, options(memory=1e-6), folder=tmp_path / "counts")
    assert as_dictionary(spilled) == expected


@pytest.mark.parametrize(
    ("sentences", "changes", "message"),
    [
        ([], {}, "The corpus holds no words"),
        ([["a", "a"]], {}, "leaves 1 of 1 words.*only this word"),
        ([["a", "b", "a"]], {"min_count": 5}, "leaves 0 of 2 words.*'a', occurs 2 times.*min_count=1 would keep two"),
        ([["a"], ["b"], ["a"]], {}, "No two of the 2 words occur together"),
    ],
)
def test_text_that_holds_nothing_to_count(sentences, changes, message):
    with pytest.raises(DataError, match=message):
        count_cooccurrences(encode_corpus(sentences), options(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"window": 0}, {"vector_size": 0}, {"min_count": 0}, {"x_max": 0.0}, {"alpha": float("nan")}, {"memory": 0.0},
        {"max_vocabulary": 1}, {"num_threads": 0}, {"optimizer": "adam"}, {"output": "all"}, {"epochs": -1},
        {"learning_rate": float("inf")}, {"gradient_clip": -1.0}, {"seed": -1},
    ],
)  # fmt: skip
def test_options_out_of_range_are_named(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        options(**changes)


def test_too_little_memory_without_a_folder_says_what_to_do():
    with pytest.raises(ConfigError, match="Give a folder, or more memory"):
        count_cooccurrences(encode_corpus(random_sentences()), options(memory=0.001))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        count_cooccurrences(encode_corpus(random_sentences()), options(memory=0.001), folder=tmp_path / "file" / "x")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "result").write_text("precious")
    with pytest.raises(RunError, match="holds something"):
        count_cooccurrences(encode_corpus(random_sentences()), options(memory=0.001), folder=tmp_path / "used")
    assert (tmp_path / "used" / "result").read_text() == "precious"


@pytest.mark.parametrize("module", [cooccurrence, cooccurrence_files])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, module):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if module is cooccurrence:
        monkeypatch.setattr(cooccurrence, "append_records", fail)
    else:
        monkeypatch.setattr(cooccurrence_files.RunFile, "add", fail)
    with pytest.raises(RunError, match="No space left on device"):
        count_cooccurrences(encode_corpus(random_sentences()), options(memory=0.001), folder=tmp_path / "counts")
    assert list(tmp_path.iterdir()) == []


def test_damaged_counts(tmp_path):
    count_cooccurrences(encode_corpus(random_sentences()), options()).save(tmp_path / "counts")
    with (tmp_path / "counts" / "values.bin").open("rb+") as file:
        file.truncate(10)
    with pytest.raises(ModelError, match="damaged"):
        Cooccurrences.load(tmp_path / "counts")
    (tmp_path / "counts" / "values.bin").unlink()
    with pytest.raises(ModelError, match=r"values\.bin is missing"):
        Cooccurrences.load(tmp_path / "counts")
