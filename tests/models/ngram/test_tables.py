from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

from models.ngram.back_off_reference import WORDS, levels_of, models, random_model, same_levels
from nlpladder.errors import ModelError
from nlpladder.models.ngram import tables
from nlpladder.models.ngram.levels import NGramLevel
from nlpladder.models.ngram.tables import QueryTables, TableBuilder, geometry_of
from nlpladder.models.ngram.vocabulary import Vocabulary


@pytest.fixture
def crowded(monkeypatch):
    """Several regions already for a few n-grams, so that small tests see what large models do."""
    monkeypatch.setattr(tables, "SMALL", 64)
    monkeypatch.setattr(tables, "LOAD", 0.3)


@settings(max_examples=30, deadline=None)
@given(models)
def test_tables_hold_what_the_levels_say(seed_and_order):
    seed, order = seed_and_order
    model = random_model(seed, order)
    levels = levels_of(model, order)
    built = QueryTables.from_levels(levels)
    assert built.counts == tuple(len(level.word) for level in levels)
    assert same_levels(levels, built.to_levels())
    builder = TableBuilder(built.counts)
    for length, level in enumerate(levels[:-1], start=1):
        builder.add(level)
        ngrams = sorted(ngram for ngram in model if len(ngram) == length)
        absent = [ngram[::-1] for ngram in ngrams if ngram[::-1] not in model]
        rows = np.array([*ngrams, *absent], np.int32).reshape(-1, length)
        assert builder.ranks_of(rows).tolist() == [*range(len(ngrams)), *[-1] * len(absent)]


def test_bytes_do_not_depend_on_threads(crowded):
    levels = levels_of(random_model(3, 4, density=0.8), 4)
    assert geometry_of([level.word.size for level in levels])[-1, 2] == tables.REGIONS - 1
    one = QueryTables.from_levels(levels, num_threads=1)
    for threads in (2, 3, 8, 50):
        assert np.array_equal(one.slots, QueryTables.from_levels(levels, num_threads=threads).slots)
    assert same_levels(levels, one.to_levels())


def test_memory_mapped_and_read_only_levels_are_taken(tmp_path):
    levels = levels_of(random_model(5, 3), 3)
    expected = QueryTables.from_levels(levels)
    np.save(tmp_path / "word.npy", levels[1].word)
    mapped = np.load(tmp_path / "word.npy", mmap_mode="r")
    levels[1] = dataclasses.replace(levels[1], word=mapped)
    assert np.array_equal(expected.slots, QueryTables.from_levels(levels).slots)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"word": np.array([3, 999], np.int32)}, "2-grams name a word or a prefix that does not exist"),
        ({"prefix": np.array([0, -1], np.int32)}, "2-grams name a word or a prefix"),
        ({"log10_probability": np.array([-1, np.nan], np.float32)}, "2-grams have a probability .* not finite"),
        ({"log10_probability": np.zeros(3, np.float32)}, "arrays of the 2-grams differ in length"),
    ],
)
def test_levels_that_do_not_fit_are_refused(change, message):
    unigrams = levels_of(random_model(1, 2), 2)[0]
    bigrams = NGramLevel(
        np.array([3, 4], np.int32), np.array([4, 3], np.int32), np.zeros(2, np.float32), np.empty(0, np.float32)
    )
    with pytest.raises(ModelError, match=message):
        QueryTables.from_levels([unigrams, dataclasses.replace(bigrams, **change)])


def test_levels_need_the_special_words():
    with pytest.raises(ModelError, match="<unk>, <s> and </s>"):
        QueryTables.from_levels([])


def test_vocabulary_finds_words_and_only_those():
    vocabulary = Vocabulary.from_words(WORDS)
    assert list(vocabulary) == WORDS == vocabulary[:]
    assert [vocabulary.id_of(word) for word in WORDS] == [0, 0, 0, *range(3, len(WORDS))]
    assert vocabulary.id_of("A") == vocabulary.id_of("") == vocabulary.id_of("a ") == 0
    assert "naïve" in vocabulary
    assert "naive" not in vocabulary
    assert vocabulary[-1] == WORDS[-1]
    with pytest.raises(IndexError):
        vocabulary[len(WORDS)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b"], "first words must be <unk>, <s>, </s>"),
        ([*WORDS[:3], "a", "b", "a"], "'a' twice"),
        ([*WORDS[:3], "a b"], "must not be empty or hold white space"),
        ([*WORDS[:3], ""], "must not be empty"),
    ],
)
def test_broken_vocabularies_are_refused(words, message):
    with pytest.raises(ModelError, match=message):
        Vocabulary.from_words(words)


def test_modules_stay_light():
    code = (
        "import nlpladder.models.ngram.model, nlpladder.models.ngram.arpa, nlpladder.models.ngram.cache, sys;"
        "print([name for name in ('numba', 'torch', 'transformers', 'scipy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
