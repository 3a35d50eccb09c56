"""Probes of what debiasing hides: against scikit-learn and by construction."""

from __future__ import annotations

import numpy as np
import pytest

from bias.association_words import Space, cosine, lists
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.bias.words.recoverability import (
    cluster_recoverability,
    cross_validated_smoother,
    linear_probe_recoverability,
    most_biased_words,
    neighbourhood_recoverability,
)
from nlpladder.errors import ConfigError, DataError

QUICK = StatisticsOptions(resamples=200)
PROBES = (neighbourhood_recoverability, cluster_recoverability, linear_probe_recoverability)
PAIRS = (("he", "she"), ("man", "woman"), ("king", "queen"))


def space_of(*, hidden, seed=0, size=30, dimensions=8):
    """Words that lean to either side of the first axis; `hidden` is how far apart they stand on the second."""
    generator = np.random.default_rng(seed)
    table = {}
    for first, second in PAIRS:
        middle = generator.normal(size=dimensions) * 0.1
        table[first], table[second] = (middle + side * np.eye(dimensions)[0] for side in (1, -1))
    for side, name in ((1, "f"), (-1, "s")):
        for number in range(size):
            rest = generator.normal(size=dimensions)
            rest[:2] = side * 2.0, side * hidden + 0.3 * rest[1]
            table[f"{name}{'abcdefghij'[number // 10]}{'abcdefghij'[number % 10]}"] = rest
    return Space(table)


def without_first_axis(space):
    return Space({word: vector * (np.arange(len(vector)) > 0) for word, vector in space.table.items()})


def test_the_most_biased_words_are_those_of_either_side():
    space = space_of(hidden=0.0)
    first, second = most_biased_words(space, PAIRS, count=30, names=("men", "women"))
    assert (first.name, second.name) == ("men", "women")
    assert {word[0] for word in first.words} == {"f"}
    assert {word[0] for word in second.words} == {"s"}
    few = most_biased_words(space, PAIRS, count=1, candidates=["faa", "saa", "he", "nowhere"])
    assert [one.words for one in few] == [("faa",), ("saa",)]
    with pytest.raises(DataError, match="has 60 words to choose from, 62 are needed"):
        most_biased_words(space, PAIRS, count=31)
    with pytest.raises(ConfigError, match="count is 0"):
        most_biased_words(space, PAIRS, count=0)


@pytest.mark.parametrize("probe", PROBES)
def test_what_is_hidden_is_recovered_and_what_is_gone_is_not(probe):
    hidden, gone = space_of(hidden=3.0), space_of(hidden=0.0)
    groups = most_biased_words(hidden, PAIRS, count=30)
    found = probe(without_first_axis(hidden), groups, statistics=QUICK)
    finding = found.findings[0]
    assert finding.score.value > 0.9
    assert finding.p_value == pytest.approx(1 / 201)
    assert "Shuffled labels give" in finding.notes[1]
    assert len(found.items["value"]) == 60
    finding = probe(without_first_axis(gone), groups, statistics=QUICK).findings[0]
    assert abs(finding.score.value - finding.no_bias) < 0.2
    assert finding.p_value > 0.01


@pytest.mark.parametrize("probe", PROBES)
def test_probes_keep_their_level(probe):
    p = []
    repetitions = 100 if probe is cluster_recoverability else 500
    for seed in range(repetitions):
        generator = np.random.default_rng(seed)
        words = {"f": [f"f{n}" for n in range(7)], "s": [f"s{n}" for n in range(8)]}
        space = Space({word: generator.normal(size=4) for part in words.values() for word in part})
        made = lists(**words)
        options = StatisticsOptions(resamples=99, seed=seed)
        more = {"starts": 1} if probe is cluster_recoverability else {}
        p.append(probe(space, (made["f"], made["s"]), statistics=options, **more).findings[0].p_value)
    limit = 0.07 if repetitions == 500 else 0.12
    assert np.mean(np.array(p) <= 0.05) <= limit


def test_neighbours_are_counted_one_by_one():
    space = space_of(hidden=1.0, size=6)
    groups = most_biased_words(space, PAIRS, count=6)
    words = [word for group in groups for word in group.words]
    shares = []
    for word in words:
        others = sorted((o for o in words if o != word), key=lambda o: -cosine(space.table[word], space.table[o]))
        shares.append(np.mean([other[0] == word[0] for other in others[:4]]))
    found = neighbourhood_recoverability(space, groups, neighbours=4, statistics=QUICK)
    np.testing.assert_allclose(found.items["value"], shares)
    assert found.findings[0].score.value == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("dimensions", [4, 40])
def test_the_smoother_is_ridge_regression_fold_by_fold(dimensions):
    from sklearn.linear_model import Ridge

    generator = np.random.default_rng(0)
    rows, labels = generator.normal(size=(20, dimensions)), np.where(generator.random(20) < 0.4, 1.0, -1.0)
    matrix = cross_validated_smoother(rows, folds=5, ridge=0.7, seed=3)
    fold_of = np.random.default_rng(3).permutation(20) % 5
    for fold in range(5):
        kept = fold_of != fold
        model = Ridge(alpha=0.7).fit(rows[kept], labels[kept])
        np.testing.assert_allclose((matrix @ labels)[~kept], model.predict(rows[~kept]))
        assert not matrix[np.ix_(~kept, ~kept)].any()


def test_options_that_mean_nothing_are_refused():
    space = space_of(hidden=0.0, size=6)
    groups = most_biased_words(space, PAIRS, count=6)
    with pytest.raises(ConfigError, match="neighbours is 0"):
        neighbourhood_recoverability(space, groups, neighbours=0)
    with pytest.raises(ConfigError, match="starts is 0"):
        cluster_recoverability(space, groups, starts=0)
    with pytest.raises(ConfigError, match="folds is 1"):
        linear_probe_recoverability(space, groups, folds=1)
    with pytest.raises(DataError, match="the measure wants 5 or more"):
        linear_probe_recoverability(space, most_biased_words(space, PAIRS, count=2))
