"""The parts of the trainer: alias table, Huffman tree, n-gram hashes, phrases, and saved states."""

from __future__ import annotations

import dataclasses
import heapq
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from gensim.models.fasttext_inner import compute_ngrams_bytes, ft_hash_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from nlpladder.errors import ConfigError, ModelError, RunError
from nlpladder.models.vectors.subwords import hash_ngrams, input_rows
from nlpladder.models.vectors.word2vec import phrases
from nlpladder.models.vectors.word2vec.hierarchical_softmax import HuffmanTree
from nlpladder.models.vectors.word2vec.kernels import draw_word, mix
from nlpladder.models.vectors.word2vec.negative_sampling import alias_table
from nlpladder.models.vectors.word2vec.options import Word2VecOptions
from nlpladder.models.vectors.word2vec.phrases import join_phrases
from nlpladder.models.vectors.word2vec.private_rows import BUSY_ROWS, PrivateRows
from nlpladder.models.vectors.word2vec.row_kernels import BLOCK, padded_rows
from nlpladder.models.vectors.word2vec.training import train_word2vec
from nlpladder.models.vectors.word2vec.training_state import STATE_NAME, TrainingState
from nlpladder.text.encoding import encode_corpus

SMALL = Word2VecOptions(vector_size=5, min_count=1, epochs=1, num_buckets=50, num_threads=1)


# --- Negative sampling -----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60), st.sampled_from([0.0, 0.75, 1.0]))
@settings(deadline=None)
def test_alias_table_holds_exactly_the_wanted_shares(counts, exponent):
    table = alias_table(np.array(counts), exponent)
    own = (table & np.uint64(2**32 - 1)).astype(np.float64) / 2**32
    alias = (table >> np.uint64(32)).astype(int)
    shares = own.copy()
    np.add.at(shares, alias, 1 - own)
    weights = np.array(counts, dtype=np.float64) ** exponent
    assert_allclose(shares / len(counts), weights / weights.sum(), atol=1e-6)


def test_drawn_frequencies():
    table = alias_table(np.array([1000, 100, 10, 1]), 0.75)
    draws = np.bincount([draw_word(table, np.uint64(mix(np.uint64(state)))) for state in range(1, 20_001)], minlength=4)
    weights = np.array([1000, 100, 10, 1]) ** 0.75
    expected = 20_000 * weights / weights.sum()
    assert ((draws - expected) ** 2 / expected).sum() < 16.3  # chi-squared, 3 degrees of freedom, p = 0.001


def test_an_exponent_that_overflows_is_refused():
    with pytest.raises(ConfigError, match="ns_exponent is 400"):
        alias_table(np.array([10, 20]), 400.0)


# --- Hierarchical softmax --------------------------------------------------------------------------------------------


def optimal_cost(counts):
    """Sum of the weights of all inner nodes, from a heap: what Huffman's codes reach."""
    heap = list(counts)
    heapq.heapify(heap)
    cost = 0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        cost += joined
        heapq.heappush(heap, joined)
    return cost


def probabilities(tree, hidden, outputs):
    starts, nodes, labels = tree.paths()
    result = []
    for word in range(tree.num_words):
        path = slice(starts[word], starts[word + 1])
        turns = 1 / (1 + np.exp(-outputs[nodes[path]] @ hidden))
        result.append(np.prod(np.where(labels[path] == 1, turns, 1 - turns)))
    return np.array(result)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=40), st.lists(st.integers(1, 1000), max_size=10))
@settings(deadline=None)
def test_huffman_codes_are_optimal_and_probabilities_sum_to_one(counts, more):
    tree = HuffmanTree.from_counts(np.array(counts, dtype=np.int64))
    starts, nodes, _ = tree.paths()
    assert (np.diff(starts) * counts).sum() == optimal_cost(counts)
    assert set(nodes.tolist()) == set(range(len(counts) - 1))
    generator = np.random.default_rng(0)
    hidden, outputs = generator.normal(size=4), generator.normal(size=(len(counts) + len(more), 4))
    before = probabilities(tree, hidden, outputs)
    assert_allclose(before.sum(), 1)
    larger = tree.extended(np.array(more, dtype=np.int64))
    after = probabilities(larger, hidden, outputs)
    assert_allclose(after.sum(), 1)
    # Old nodes kept their meaning: old words keep their probabilities relative to each other.
    assert_allclose(after[: len(counts)] / after[: len(counts)].sum(), before)


def test_private_rows_are_averaged_and_the_others_shared():
    shared = padded_rows(BUSY_ROWS + 10, 5)
    shared[:] = np.arange(len(shared))[:, None]
    private = PrivateRows(shared, np.arange(len(shared), dtype=float), num_workers=2)
    assert_array_equal(private.rows[: len(shared)], shared)
    numbers = np.array([0, 9, 10, len(shared) - 1], dtype=np.int32)
    first, second = private.renumbered(numbers, 0), private.renumbered(numbers, 1)
    assert first[:2].tolist() == second[:2].tolist() == [0, 9]  # seldom used: written in place
    assert len({*first[2:], *second[2:]}) == 4
    for worker in (0, 1):
        private.fetch(worker)
    assert_array_equal(private.rows[first], shared[numbers])
    private.rows[first[2]] += 4
    private.rows[second[2]] += 2
    private.exchange(0)
    private.exchange(1)
    assert_array_equal(private.rows[10], shared[10] + 3)
    assert_array_equal(private.rows[second[2]], shared[10] + 3)
    private.exchange(0)
    assert_array_equal(private.rows[first[2]], shared[10] + 3)


# --- Sub-words -------------------------------------------------------------------------------------------------------


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(0, 3),
)
@settings(deadline=None)
def test_ngram_buckets_are_those_of_fasttext(word, min_n, more):
    starts, buckets = hash_ngrams(["ab", word], min_n=min_n, max_n=min_n + more, num_buckets=2_000_000)
    expected = [ft_hash_bytes(ngram) % 2_000_000 for ngram in compute_ngrams_bytes(word, min_n, min_n + more)]
    assert buckets[starts[1] : starts[2]].tolist() == expected


def test_a_word_that_is_an_ngram_itself_and_the_one_without():
    starts, buckets = hash_ngrams(["</s>", "the"], min_n=5, max_n=6, num_buckets=2**31 - 1)
    assert starts.tolist() == [0, 0, 1]
    assert buckets.tolist() == [ft_hash_bytes(b"<the>") % (2**31 - 1)]


def test_rows_of_words_and_ngrams():
    ngrams = hash_ngrams(["ab", "b"], min_n=3, max_n=3, num_buckets=1000)
    used = np.unique(ngrams[1]).astype(np.int64)
    starts, rows = input_rows(2, ngrams, used)
    assert starts.tolist() == [0, 3, 5]  # ab: itself, <ab, ab>; b: itself, <b>
    assert rows[0] == 0
    assert rows[3] == 1
    assert_array_equal(used[rows[[1, 2, 4]] - 2], ngrams[1])


def test_word_vectors_are_the_mean_of_their_rows():
    corpus = encode_corpus([["alpha", "beta", "gamma"]] * 5)
    state = train_word2vec(corpus, dataclasses.replace(SMALL, subwords=True))
    starts, rows = state.rows()
    for word, vector in enumerate(state.word_vectors()):
        assert_allclose(vector, state.inputs[rows[starts[word] : starts[word + 1]], :5].mean(axis=0), rtol=1e-5)


@given(st.integers(1, 5), st.integers(1, 70))
def test_padded_rows_are_aligned_zeros(num_rows, size):
    rows = padded_rows(num_rows, size)
    assert rows.shape == (num_rows, -(-size // BLOCK) * BLOCK)
    assert rows.ctypes.data % 64 == 0
    assert not rows.any()


# --- Phrases ---------------------------------------------------------------------------------------------------------


def literal_phrases(sentences, threshold, min_count):
    """One pass of word2phrase, word by word."""
    singles, pairs = {}, {}
    for sentence in sentences:
        for left, right in zip(sentence, [*sentence[1:], None], strict=True):
            singles[left] = singles.get(left, 0) + 1
            if right is not None:
                pairs[left, right] = pairs.get((left, right), 0) + 1
    total = sum(singles.values())

    def is_phrase(left, right):
        count = pairs[left, right]
        if count < min_count or min(singles[left], singles[right]) < min_count:
            return False
        return (count - min_count) / (singles[left] * singles[right]) * total > threshold

    result = []
    for sentence in sentences:
        joined, rest = [], list(sentence)
        while rest:
            if len(rest) > 1 and is_phrase(rest[0], rest[1]):
                joined.append(f"{rest[0]}_{rest[1]}")
                rest = rest[2:]
            else:
                joined.append(rest[0])
                rest = rest[1:]
        result.append(joined)
    return result


SENTENCES = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d", "a_b"]), min_size=1, max_size=12), min_size=1, max_size=12
)


@given(SENTENCES, st.sampled_from([0.1, 0.5, 1.0, 2.0]), st.integers(0, 3), st.integers(0, 2))
@settings(deadline=None)
def test_phrases_are_those_of_a_literal_reading(sentences, threshold, min_count, passes):
    options = dataclasses.replace(SMALL, phrases=passes, phrase_threshold=threshold, phrase_min_count=min_count)
    corpus = join_phrases(encode_corpus(sentences), options)
    for _ in range(passes):
        sentences = literal_phrases(sentences, threshold, min_count)
    assert list(corpus.sentences()) == sentences
    assert corpus.num_tokens == sum(map(len, sentences))
    assert_array_equal(corpus.counts, [sum(sentence.count(word) for sentence in sentences) for word in corpus.words])


def test_the_table_of_pairs_grows_and_forgets_only_the_rarest(monkeypatch):
    generator = np.random.default_rng(0)
    sentences = [[f"w{word}" for word in generator.integers(0, 60, 10)] for _ in range(300)] + [["new", "york"]] * 60
    options = dataclasses.replace(SMALL, phrases=1, phrase_threshold=5.0)
    corpus = encode_corpus(sentences)
    expected = join_phrases(corpus, options)
    assert "new_york" in expected.words
    monkeypatch.setattr(phrases, "_FIRST_SLOTS", 4)
    grown = join_phrases(corpus, options)
    assert grown.words == expected.words
    assert_array_equal(grown.ids, expected.ids)
    monkeypatch.setattr(phrases, "_MOST_SLOTS", 256)
    assert "new_york" in join_phrases(corpus, options).words


# --- Saved states ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state():
    return train_word2vec(encode_corpus([["a", "b", "naïve", "😀"]] * 3), SMALL)


def test_saving_again_replaces_only_the_same_training(state, tmp_path):
    state.save(tmp_path / "kept")
    state.save(tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 2
    other = dataclasses.replace(state, corpus="another text")
    with pytest.raises(RunError, match="another training"):
        other.save(tmp_path / "kept")
    assert TrainingState.load(tmp_path / "kept").corpus == state.corpus
    other.save(tmp_path / "kept", overwrite=True)
    assert TrainingState.load(tmp_path / "kept").corpus == "another text"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="other files"):
        state.save(tmp_path / "full")
    assert os.listdir(tmp_path / "full") == ["thesis.tex"]


def test_damaged_states_are_explained(state, tmp_path):
    with pytest.raises(ModelError, match="no training state"):
        TrainingState.load(tmp_path)
    state.save(tmp_path)
    header = json.loads((tmp_path / STATE_NAME).read_text())
    (tmp_path / STATE_NAME).write_text(json.dumps({**header, "words": ["a"]}))
    with pytest.raises(ModelError, match="names 1 words"):
        TrainingState.load(tmp_path)
    (tmp_path / STATE_NAME).write_text(json.dumps(header))
    arrays = tmp_path / header["arrays"]
    arrays.write_bytes(arrays.read_bytes()[:-10])
    with pytest.raises(ModelError, match="damaged"):
        TrainingState.load(tmp_path)
    (tmp_path / STATE_NAME).write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        TrainingState.load(tmp_path)


def test_a_full_disk_leaves_the_last_state_and_nothing_else(state, tmp_path, monkeypatch):
    import safetensors.numpy

    state.save(tmp_path)
    before = sorted(os.listdir(tmp_path))

    def full(arrays, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        state.save(tmp_path)
    assert sorted(os.listdir(tmp_path)) == before
    assert TrainingState.load(tmp_path).finished_epochs == 1


@pytest.mark.parametrize("moment", ["save_file", "replace", "unlink"])
def test_killed_while_saving_leaves_a_whole_state(state, tmp_path, moment):
    """The process kills itself inside `save`, before or after what is named."""
    state.save(tmp_path)
    code = f"""
import os, signal, sys
import safetensors.numpy, pathlib
from nlpladder.models.vectors.word2vec.training_state import TrainingState
def die(*arguments, **options): os.kill(os.getpid(), signal.SIGKILL)
def half_written(arrays, path): path.write_bytes(b"half"); die()
if "{moment}" == "save_file": safetensors.numpy.save_file = half_written
if "{moment}" == "replace": os.replace = die
if "{moment}" == "unlink": pathlib.Path.unlink = die
state = TrainingState.load(sys.argv[1])
state.finished_epochs = 7
state.save(sys.argv[1])
"""
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert child.returncode == -signal.SIGKILL
    survivor = TrainingState.load(tmp_path)
    assert survivor.finished_epochs == (7 if moment == "unlink" else 1)
    assert_array_equal(survivor.inputs, state.inputs)
    state.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2  # what the dead process left is gone
