"""Analogies answered as gensim answers them, neighbourhoods compared, words laid out on a plane."""

from __future__ import annotations

import gzip
from types import SimpleNamespace

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation import analogies
from nlpladder.evaluation.analogies import load_analogies, score_analogies
from nlpladder.evaluation.embedding_spaces import neighbour_overlap, project_2d
from nlpladder.evaluation.intervals import Score
from nlpladder.views.embedding_figures import benchmark_figure, word_map_figure
from nlpladder.views.figures import save_figure


def space(words, vectors):
    rows = {word: row for row, word in enumerate(words)}
    vectors = np.asarray(vectors, np.float32)
    return SimpleNamespace(
        words=list(words), vectors=vectors, embed=lambda asked: vectors[[rows[word] for word in asked]]
    )


def country_space(noise=0.3, seed=0, extra=300, dimensions=20):
    """Capitals are their country plus a direction, and noise."""
    generator = np.random.default_rng(seed)
    questions = dict(load_analogies())["capital-common-countries"]
    pairs = sorted({(a.lower(), b.lower()) for a, b, _, _ in questions})
    direction = generator.normal(size=dimensions) * 2
    words, vectors = [], []
    for capital, country in pairs:
        place = generator.normal(size=dimensions)
        words += [capital, country]
        vectors += [
            place + direction + noise * generator.normal(size=dimensions),
            place + noise * generator.normal(size=dimensions),
        ]
    words += [f"other{number}" for number in range(extra)]
    return space(words, [*vectors, *generator.normal(size=(extra, dimensions))])


def test_google_questions_are_whole():
    sections = load_analogies()
    assert sum(len(questions) for _, questions in sections) == 19_544
    assert len(sections) == 14


@pytest.mark.parametrize(("method", "function"), [("3cosadd", "most_similar"), ("3cosmul", "most_similar_cosmul")])
def test_answers_are_gensims(method, function, monkeypatch):
    monkeypatch.setattr(analogies, "_CANDIDATES", 50)  # several blocks
    vectors = country_space(noise=0.7)
    reference = KeyedVectors(20)
    reference.add_vectors(vectors.words, vectors.vectors)
    result = score_analogies(vectors, method=method)
    hits = asked = 0
    for a, b, c, d in {tuple(w.lower() for w in q) for _, questions in load_analogies() for q in questions}:
        if all(word in reference for word in (a, b, c, d)):
            asked += 1
            hits += getattr(reference, function)(positive=[b, c], negative=[a], topn=1)[0][0] == d
    first = result.sections[0]
    assert first.num_covered == first.num_questions == 506 == asked
    assert 0.1 < hits / asked < 0.95
    assert first.num_correct == hits
    assert result.total.num_correct >= hits
    assert result.sections[-1].num_covered == 0
    assert result.sections[-1].accuracy.value is None
    assert first.accuracy.low < first.accuracy.value < first.accuracy.high


def test_accuracy_is_gensims_evaluation():
    vectors = country_space(noise=0.6)
    reference = KeyedVectors(20)
    reference.add_vectors(vectors.words, vectors.vectors)
    theirs, sections = reference.evaluate_word_analogies(datapath("questions-words.txt"))
    ours = score_analogies(vectors)
    assert ours.total.accuracy.value == pytest.approx(theirs)
    assert ours.total.num_correct == len(sections[-1]["correct"])
    few = score_analogies(vectors, restrict_vocabulary=20)
    assert few.total.num_covered < ours.total.num_covered


def test_a_planted_analogy_is_solved():
    perfect = score_analogies(country_space(noise=0.0, dimensions=200))
    assert perfect.sections[0].accuracy.value > 0.95


def test_own_files_and_broken_ones(tmp_path):
    path = tmp_path / "questions.gz"
    path.write_bytes(gzip.compress(b": one two\na b c d\n\n: empty\n"))
    assert load_analogies(path) == [("one two", [("a", "b", "c", "d")]), ("empty", [])]
    for content, message in (
        (b": x\na b c\n", "line 2: 3 words where four"),
        (b"a b c d\n", "line 1: a question before the first section"),
        (b": x\n", "holds no questions"),
        (b"\xff\xfe", "cannot be read as text"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            load_analogies(path)
    with pytest.raises(DataError, match="There is no file"):
        load_analogies(tmp_path / "none")
    with pytest.raises(DataError, match="None of the 19,544 questions"):
        score_analogies(space(["katze"], [[1.0]]))
    with pytest.raises(ConfigError, match="Did you mean '3cosmul'"):
        score_analogies(country_space(), method="3cosmull")


def test_overlap_of_neighbourhoods():
    generator = np.random.default_rng(0)
    words = [f"w{number}" for number in range(400)]
    vectors = generator.normal(size=(400, 10))
    rotation, _ = np.linalg.qr(generator.normal(size=(10, 10)))
    same = neighbour_overlap(space(words, vectors), space(words[::-1], (vectors @ rotation * 2)[::-1]), k=5)
    assert same.value > 0.995
    other = neighbour_overlap(space(words, vectors), space(words, generator.normal(size=(400, 7))), k=20, num_words=200)
    assert other.num_words == 200
    assert other.chance == pytest.approx(20 / 399)
    assert other.value == pytest.approx(other.chance, abs=0.015)
    with pytest.raises(DataError, match="share 2 words"):
        neighbour_overlap(space(words[:2], vectors[:2]), space(words, vectors))
    with pytest.raises(ConfigError, match="k is 0"):
        neighbour_overlap(space(words, vectors), space(words, vectors), k=0)


def test_overlap_is_the_literal_one():
    generator = np.random.default_rng(1)
    words = [f"w{number}" for number in range(40)]
    spaces = [space(words, generator.normal(size=(40, 6))) for _ in range(2)]
    found = neighbour_overlap(*spaces, k=4, num_words=None)
    for row, word in enumerate(words):
        near = []
        for one in spaces:
            unit = one.vectors / np.linalg.norm(one.vectors, axis=1, keepdims=True)
            order = [other for other in np.argsort(-(unit @ unit[row])) if other != row]
            near.append(set(order[:4]))
        assert found.per_word[found.words.index(word)] == len(near[0] & near[1]) / 4


def test_a_map_keeps_what_lies_in_a_plane():
    from sklearn.decomposition import PCA

    generator = np.random.default_rng(0)
    words = [f"w{number}" for number in range(50)]
    vectors = space(words, generator.normal(size=(50, 8)))
    found = project_2d(vectors, words)
    unit = vectors.vectors / np.linalg.norm(vectors.vectors, axis=1, keepdims=True)
    reference = PCA(2).fit(unit.astype(np.float64))
    expected = reference.transform(unit.astype(np.float64))
    np.testing.assert_allclose(np.abs(found.points), np.abs(expected), atol=1e-6)
    assert found.explained == pytest.approx(reference.explained_variance_ratio_.sum())
    clusters = np.repeat(np.eye(3) * 10, 10, axis=0) + generator.normal(size=(30, 3)) * 0.1
    map_ = project_2d(space(words[:30], clusters), words[:30], method="tsne")
    distances = np.linalg.norm(map_.points[:, None] - map_.points[None], axis=2)
    groups = np.repeat(np.arange(3), 10)
    nearest = np.argsort(distances, axis=1)[:, 1]
    assert (groups[nearest] == groups).all()
    with pytest.raises(DataError, match="2 words make no map"):
        project_2d(vectors, words[:2])
    with pytest.raises(ConfigError, match="Did you mean 'tsne'"):
        project_2d(vectors, words, method="tsnee")
    assert project_2d(space(words, np.ones((50, 1))), words).points.shape == (50, 2)


def test_figures_are_written(tmp_path):
    words = ["naïve", "$x$", "🙂", "日本語", "a\nb"]
    points = np.random.default_rng(0).normal(size=(5, 2))
    path = save_figure(
        word_map_figure(points, words, groups=["a", "b", "a", "b", "c"], title="map"), tmp_path / "map.svg"
    )
    assert "naïve" in path.read_text(encoding="utf-8") or path.stat().st_size > 2000
    again = save_figure(
        word_map_figure(points, words, groups=["a", "b", "a", "b", "c"], title="map"), tmp_path / "b.svg"
    )
    assert path.read_bytes() == again.read_bytes()
    scores = {
        "ours": {"WordSim-353": Score("spearman", 0.5, 0.4, 0.6, 300), "empty": Score("spearman", None, None, None, 0)},
        "theirs": {"WordSim-353": Score("spearman", 0.4, None, None, 300)},
    }
    assert save_figure(benchmark_figure(scores), tmp_path / "scores.png").stat().st_size > 2000
    with pytest.raises(DataError, match="shape"):
        word_map_figure(points, words[:3])
    with pytest.raises(DataError, match="'naïve' is not finite"):
        word_map_figure(points * np.nan, words)
    with pytest.raises(DataError, match="2 groups for 5 words"):
        word_map_figure(points, words, groups=["a", "b"])
    with pytest.raises(DataError, match="no scores"):
        benchmark_figure({})
