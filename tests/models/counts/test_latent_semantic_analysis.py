"""Latent semantic analysis: the matrix and its decomposition against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from nlpladder.errors import ConfigError, DataError
from nlpladder.models.counts.latent_semantic_analysis import LSAOptions, line_word_matrix, train_lsa
from nlpladder.text.encoding import encode_corpus


def sentences(count=300, seed=0):
    rng = np.random.default_rng(seed)
    topics = [["cat", "dog", "horse", "cow"], ["red", "green", "blue", "black"]]
    return [list(rng.choice(topics[rng.integers(2)], 5)) for _ in range(count)]


def test_the_matrix_is_scikit_learns():
    lines = sentences(40)
    corpus = encode_corpus(lines)
    order = np.argsort(-corpus.counts, kind="stable")
    found = line_word_matrix(corpus, order)
    vocabulary = {corpus.words[word]: column for column, word in enumerate(order)}
    expected = TfidfVectorizer(analyzer=lambda line: line, sublinear_tf=True, vocabulary=vocabulary)
    assert np.allclose(found.toarray(), expected.fit_transform(lines).toarray(), atol=1e-6)


def test_singular_values_are_those_of_the_full_decomposition():
    corpus = encode_corpus(sentences())
    found = train_lsa(corpus, LSAOptions(vector_size=3, min_count=1, singular_power=1.0))
    order = np.argsort(-corpus.counts, kind="stable")
    exact = np.linalg.svd(line_word_matrix(corpus, order).toarray(), compute_uv=False)[:3]
    assert np.allclose(np.linalg.norm(found.vectors, axis=0), exact, rtol=1e-4)
    even = train_lsa(corpus, LSAOptions(vector_size=3, min_count=1))
    assert np.allclose(even.vectors * exact, found.vectors, atol=1e-4)


def test_words_of_a_topic_lie_together_and_the_seed_decides():
    corpus = encode_corpus(sentences())
    found = train_lsa(corpus, LSAOptions(vector_size=2, min_count=1, seed=3))
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    row = dict(zip(found.words, unit, strict=True))
    assert row["cat"] @ row["cow"] > 0.9
    assert abs(row["cat"] @ row["red"]) < 0.5
    assert np.array_equal(found.vectors, train_lsa(corpus, LSAOptions(vector_size=2, min_count=1, seed=3)).vectors)
    assert found.counts.tolist() == sorted(found.counts.tolist(), reverse=True)


def test_too_little_text_is_a_sentence():
    with pytest.raises(DataError, match="too few for 100 dimensions"):
        train_lsa(encode_corpus([["a", "b"]]), LSAOptions())
    with pytest.raises(DataError, match="too few"):
        train_lsa(encode_corpus([]), LSAOptions(min_count=1))
    with pytest.raises(ConfigError, match="vector_size"):
        LSAOptions(vector_size=0)
