"""Word similarity: scipy's correlation, gensim's numbers, honest coverage, sound tests, broken files named."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath

from nlpladder.errors import DataError
from nlpladder.evaluation.word_pairs import WordPairs, load_word_pairs
from nlpladder.evaluation.word_similarity import compare_word_similarity, score_word_similarity, williams_test


def space(words, vectors):
    rows = {word: row for row, word in enumerate(words)}
    vectors = np.asarray(vectors, np.float32)
    return SimpleNamespace(words=words, vectors=vectors, embed=lambda asked: vectors[[rows[word] for word in asked]])


def benchmark_space(name="wordsim353", noise=1.0, dropped=0.2, seed=0, dimensions=12):
    """A space over the words of a benchmark that knows something about its scores."""
    pairs = load_word_pairs(name)
    generator = np.random.default_rng(seed)
    words = sorted({word.lower() for word in pairs.first + pairs.second})
    words = [word for word in words if generator.random() >= dropped]
    rows = {word: row for row, word in enumerate(words)}
    vectors = generator.normal(size=(len(words), dimensions))
    for first, second, score in zip(pairs.first, pairs.second, pairs.scores, strict=True):
        if first.lower() in rows and second.lower() in rows:
            vectors[rows[first.lower()]] += score / 10 / noise * vectors[rows[second.lower()]]
    return space(words, vectors)


def space_of_cosines(model, human):
    """A plane in which pair i has a cosine that grows with ``model[i]``."""
    n = len(model)
    angles = np.arccos(np.clip(model / 6, -1, 1))
    words = [f"a{i}" for i in range(n)] + [f"b{i}" for i in range(n)]
    vectors = np.vstack([np.tile([1.0, 0.0], (n, 1)), np.column_stack([np.cos(angles), np.sin(angles)])])
    return space(words, vectors), WordPairs("made up", tuple(words[:n]), tuple(words[n:]), human)


def test_the_built_in_benchmarks_are_whole():
    for name, size in (("wordsim353", 353), ("simlex999", 999)):
        pairs = load_word_pairs(name)
        assert len(pairs) == size
        assert 0 <= pairs.scores.min() < pairs.scores.max() <= 10
    assert load_word_pairs("wordsim353").first[1] == "tiger"


@pytest.mark.parametrize("name", ["wordsim353", "simlex999"])
def test_spearman_is_scipys_and_gensims(name):
    from scipy.stats import spearmanr

    vectors = benchmark_space(name)
    result = score_word_similarity(vectors, name, resamples=200)
    reference = KeyedVectors(12)
    reference.add_vectors(vectors.words, vectors.vectors)
    file = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}[name]
    _, (correlation, _), missed = reference.evaluate_word_pairs(datapath(file))
    assert result.spearman.value == pytest.approx(correlation, abs=1e-6)
    assert (1 - result.coverage) * 100 == pytest.approx(missed)
    pairs = load_word_pairs(name)
    known = set(vectors.words)
    cosines, human = [], []
    for first, second, score in zip(pairs.first, pairs.second, pairs.scores, strict=True):
        if first.lower() in known and second.lower() in known:
            a, b = vectors.embed([first.lower(), second.lower()]).astype(np.float64)
            # Rounded: a pair that comes twice, once turned round, must stay a tie.
            cosines.append(round(a @ b / np.linalg.norm(a) / np.linalg.norm(b), 12))
            human.append(score)
    assert result.num_covered == len(human)
    assert result.spearman.value == pytest.approx(spearmanr(cosines, human).statistic, abs=1e-9)
    assert result.spearman.low < result.spearman.value < result.spearman.high
    assert set(result.missing) == {w for w in pairs.first + pairs.second if w.lower() not in known}
    assert f"{len(human)} of {len(pairs)}" in result.spearman.note


def test_the_interval_holds_the_true_correlation_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    truth, hits = 0.5, 0
    rho = 6 / np.pi * np.arcsin(truth / 2)  # Spearman's of a normal pair
    for seed in range(60):
        human = generator.normal(size=120)
        model = truth * human + np.sqrt(1 - truth**2) * generator.normal(size=120)
        vectors, pairs = space_of_cosines(model, human)
        score = score_word_similarity(vectors, pairs, resamples=300, seed=seed).spearman
        hits += score.low <= rho <= score.high
    assert 50 <= hits <= 60


def test_comparison_sees_a_difference_and_none():
    generator = np.random.default_rng(0)
    human = generator.normal(size=150)
    good, pairs = space_of_cosines(human + 0.5 * generator.normal(size=150), human)
    poor, _ = space_of_cosines(human + 2.0 * generator.normal(size=150), human)
    result = compare_word_similarity(good, poor, pairs, resamples=1000)
    assert result.first > result.second
    assert result.bootstrap.difference == pytest.approx(result.first - result.second)
    assert result.bootstrap.p_value == pytest.approx(2 / 1001)
    assert result.williams.p_value < 0.001
    assert 0 < result.bootstrap.low < result.bootstrap.difference < result.bootstrap.high
    same = compare_word_similarity(good, good, pairs, resamples=500)
    assert same.bootstrap.p_value == same.williams.p_value == 1.0
    swapped = compare_word_similarity(poor, good, pairs, resamples=1000)
    assert swapped.williams.p_value == pytest.approx(result.williams.p_value)


def test_comparison_is_on_the_shared_pairs():
    one, other = benchmark_space(), benchmark_space(dropped=0.3, seed=1)
    result = compare_word_similarity(one, other, "wordsim353", resamples=100)
    shared = set(one.words) & set(other.words)
    pairs = load_word_pairs("wordsim353")
    assert result.num_pairs == sum(
        a.lower() in shared and b.lower() in shared for a, b in zip(pairs.first, pairs.second, strict=True)
    )


def test_williams_is_a_test():
    # By hand from Steiger (1980), equation 7: r12 .6, r13 .4, r23 .5, n 103.
    determinant = 1 - 0.36 - 0.16 - 0.25 + 2 * 0.6 * 0.4 * 0.5
    t = 0.2 * np.sqrt(102 * 1.5 / (2 * determinant * 102 / 100 + 0.25 * 0.125))
    from scipy.stats import t as student

    assert williams_test(0.6, 0.4, 0.5, 103).p_value == pytest.approx(2 * student.sf(t, 100))
    generator = np.random.default_rng(0)
    rejected = 0
    for _ in range(400):  # two systems that are equally good
        human = generator.normal(size=60)
        a, b = human + generator.normal(size=60), human + generator.normal(size=60)
        r = np.corrcoef([human, a, b])
        rejected += williams_test(r[0, 1], r[0, 2], r[1, 2], 60).p_value < 0.05
    assert 8 <= rejected <= 36


FORMATS = {
    "tabs": "# note\nWord 1\tWord 2\tHuman (mean)\nsun\tmoon\t7.5\ncat\tstone\t1\n",
    "blanks": "sun moon 7.5\ncat stone 1\n",
    "csv": 'Word 1,Word 2,Human (mean)\nsun,moon,7.5\n"cat",stone,1\n',
    "semicolons": "sun;moon;7.5\ncat;stone;1\n",
    "men": "sun-n moon-n 7.5\ncat-n stone-n 1\n",
    "rare words": "sun\tmoon\t7.5\t8\t7\t6\t9\ncat\tstone\t1\t0\t1\t1\t2\n",
    "simlex": "word1\tword2\tPOS\tSimLex999\tconc(w1)\nsun\tmoon\tN\t7.5\t3\ncat\tstone\tN\t1\t2\n",
    "bom": "\ufeffsun moon 7.5\r\ncat stone 1\r\n\r\n",
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_usual_formats_are_read(name, tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text(FORMATS[name], encoding="utf-8")
    pairs = load_word_pairs(path)
    assert pairs.first == ("sun", "cat")
    assert pairs.second == ("moon", "stone")
    assert pairs.scores.tolist() == [7.5, 1.0]
    assert pairs.name == "pairs"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("# only\n", "is empty"),
        ("a b 1\nc d\n", "line 2: 2 columns"),
        ("a b 1\n\nc d much\n", "line 3: 'much' is no number"),
        ("a b 1\nc d nan\n", "line 2: 'nan' is no number"),
        ("a\tb\t1\n\tb\t2\n", "line 2: a word is empty"),
        ("a b 1\n", "holds 1 word pairs"),
    ],
)
def test_broken_files_are_named_with_their_line(content, message, tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        load_word_pairs(path)


def test_too_little_to_say_anything():
    with pytest.raises(DataError, match="There is no file men.txt. Built in are wordsim353 and simlex999"):
        load_word_pairs("men.txt")
    with pytest.raises(DataError, match=r"0 of the 353 pairs.*'love'"):
        score_word_similarity(space(["katze", "hund"], np.eye(2)), "wordsim353")
    flat = WordPairs("flat", ("a",) * 4, ("b",) * 4, np.arange(4.0))
    result = score_word_similarity(space(["a", "b"], np.eye(2)), flat, resamples=50)
    assert result.spearman.value is None
    assert "equal" in result.spearman.note
    with pytest.raises(DataError, match="undefined"):
        compare_word_similarity(space(["a", "b"], np.eye(2)), space(["a", "b"], np.eye(2)), flat, resamples=50)
