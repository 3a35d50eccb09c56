"""Document vectors: each method against a literal reading of its definition; the mean-vector rung on any vectors."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import review_rows
from nlpladder.errors import ConfigError, ModelError
from nlpladder.models.vectors.document_vectors import DocumentVectorizer, document_vectors
from nlpladder.models.vectors.mean_vectors import MeanVectorsClassifier
from nlpladder.models.vectors.unseen_words import SubwordVectors
from nlpladder.models.vectors.word_vectors import WordVectors
from nlpladder.text.text_tokenizer import TextTokenizer

WORDS = ["the", "film", "was", "good", "bad", "🙂", "plot"]
TEXTS = [
    "The film was good",
    "the the film, unknownword",
    "🙂 bad plot bad",
    "",
    "nothing known here",
    "good plot was the film",
]
COUNTS = np.asarray([500, 40, 300, 20, 20, 2, 10])


def vectors(**more):
    rows = np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)
    return WordVectors(WORDS, rows + 0.5, counts=COUNTS, **more)


def known(text, space):
    tokens = text.lower().replace(",", "").split()
    return [space.key_to_index[token] for token in tokens if token in space.key_to_index]


def test_means_are_means():
    space = vectors()
    found = document_vectors(space, TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        rows = known(text, space)
        expected = space.vectors[rows].mean(axis=0) if rows else np.zeros(5)
        np.testing.assert_allclose(vector, expected, atol=1e-6)
    assert found.dtype == np.float32


def test_idf_weights_are_literal():
    space = vectors()
    vectorizer = DocumentVectorizer(space, method="idf").fit(TEXTS)
    for text, vector in zip(TEXTS, vectorizer.transform(TEXTS), strict=True):
        total, weight = np.zeros(5), 0.0
        for row in known(text, space):
            frequency = sum(row in known(other, space) for other in TEXTS)
            idf = np.log((1 + len(TEXTS)) / (1 + frequency)) + 1
            total, weight = total + idf * space.vectors[row], weight + idf
        np.testing.assert_allclose(vector, total / weight if weight else total, atol=1e-6)


def test_sif_is_algorithm_1_of_the_paper():
    space = vectors()
    vectorizer = DocumentVectorizer(space, method="sif", sif_a=1e-2).fit(TEXTS)
    probability = COUNTS / COUNTS.sum()
    averaged = np.zeros((len(TEXTS), 5))
    for place, text in enumerate(TEXTS):
        rows = known(text, space)
        for row in rows:
            averaged[place] += 1e-2 / (1e-2 + probability[row]) * space.vectors[row] / len(rows)
    _, _, right = np.linalg.svd(averaged)
    component = right[0]
    np.testing.assert_allclose(
        vectorizer.transform(TEXTS), averaged - np.outer(averaged @ component, component), atol=1e-6
    )
    # New texts lose the direction of the fitted ones.
    new = vectorizer.transform(["good film", "plot"])
    np.testing.assert_allclose(new @ component, 0, atol=1e-6)
    without = WordVectors(WORDS, space.vectors)
    assert DocumentVectorizer(without, method="sif").fit(TEXTS).transform(TEXTS).shape == (6, 5)


def test_sub_words_and_tokenizers():
    ngrams = SubwordVectors(np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32), 2, 3, 50)
    space = vectors(subwords=ngrams)
    for method in ("mean", "idf", "sif"):
        found = DocumentVectorizer(space, method=method).fit(TEXTS).transform(["unknownword", "film unseen"])
        assert np.isfinite(found).all()
        assert found.any(axis=1).all()
    mean = document_vectors(space, ["film unseen"])
    np.testing.assert_allclose(mean[0], space.embed(["film", "unseen"]).mean(axis=0), atol=1e-6)
    cased = DocumentVectorizer(vectors(), tokenizer=TextTokenizer("whitespace"))
    assert not cased.transform(["The"]).any()


def test_mistakes_are_explained():
    with pytest.raises(ConfigError, match="Did you mean 'sif'"):
        DocumentVectorizer(vectors(), method="siff")
    with pytest.raises(ConfigError, match="sif_a is 0"):
        DocumentVectorizer(vectors(), sif_a=0)
    with pytest.raises(ModelError, match="call fit first"):
        DocumentVectorizer(vectors(), method="idf").transform(TEXTS)
    with pytest.raises(ModelError, match="None of the texts"):
        DocumentVectorizer(vectors(), method="idf").fit(["völlig unbekannt"])
    assert DocumentVectorizer(vectors()).transform([]).shape == (0, 5)


@pytest.mark.parametrize("source", ["object", "folder", "file"])
def test_the_mean_vector_rung_takes_any_vectors(source, tmp_path):
    rows = review_rows(60)
    words = sorted({word for text, _ in rows for word in text.lower().split()})
    space = WordVectors(words, np.random.default_rng(0).normal(size=(len(words), 12)))
    given = {"object": space, "folder": tmp_path / "v", "file": str(tmp_path / "v.bin")}[source]
    if source == "folder":
        space.save_pretrained(given)
    elif source == "file":
        space.export(given)
    model = MeanVectorsClassifier(label_names=("negative", "positive"), vectors=given)
    model.fit([text for text, _ in rows], [label for _, label in rows])
    model.save_pretrained(tmp_path / "model")
    again = MeanVectorsClassifier.from_pretrained(tmp_path / "model")
    texts = [text for text, _ in rows[:5]]
    assert np.array_equal(again.predict_proba(texts), model.predict_proba(texts))
    assert np.array_equal(again.embeddings_, space.vectors)


def test_the_mean_vector_rung_names_a_bad_file(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\nb 1 x\n")
    model = MeanVectorsClassifier(label_names=("a", "b"), vectors=str(tmp_path / "v.txt"))
    with pytest.raises(ModelError, match=r"v.txt.*line 2"):
        model.fit(["a", "b"], [0, 1])
