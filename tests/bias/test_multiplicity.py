"""Corrections over a report, and the test across categories."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nlpladder.bias.findings import Finding
from nlpladder.bias.statistics.multiplicity import FEWEST_CLUSTERS, adjust, heterogeneity
from nlpladder.bias.statistics.power import LEVEL
from nlpladder.bias.statistics.sign_flips import smallest_p
from nlpladder.errors import DataError
from nlpladder.evaluation.intervals import Score


def finding(p_value):
    return Finding(measure="m", category="all", score=Score("m", 0.5, 0.4, 0.6, 10), p_value=p_value)


def test_findings_without_p_are_kept_and_count_for_nothing():
    found = adjust([finding(0.01), finding(None), finding(0.04), finding(0.03)])
    assert [one.p_holm for one in found] == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert [one.p_benjamini_hochberg for one in found] == [pytest.approx(0.03), None, 0.04, 0.04]
    assert adjust([]) == []


def literal_q(values, owners, kinds):
    """Cochran's Q with the variance of each mean over its clusters."""
    means, weights = [], []
    for kind in dict.fromkeys(kinds):
        inside = [i for i, other in enumerate(kinds) if other == kind]
        mean = np.mean([values[i] for i in inside])
        residuals = {}
        for i in inside:
            residuals[owners[i]] = residuals.get(owners[i], 0.0) + values[i] - mean
        count = len(residuals)
        variance = count / (count - 1) * sum(r * r for r in residuals.values()) / len(inside) ** 2
        means.append(mean)
        weights.append(1 / variance)
    middle = np.average(means, weights=weights)
    return sum(w * (m - middle) ** 2 for w, m in zip(weights, means, strict=True))


def made(generator, effect=0.0):
    owners = np.repeat(np.arange(30), generator.integers(1, 6, 30))
    kinds = [("race", "gender", "age")[owner % 3] for owner in owners]
    values = generator.normal(size=30)[owners] + generator.normal(size=len(owners)) * 0.5
    return values + effect * (owners % 3 == 1), owners.tolist(), kinds


def test_q_is_the_formula():
    values, owners, kinds = made(np.random.default_rng(0))
    found = heterogeneity(values, owners, kinds, resamples=200)
    assert found.statistic == pytest.approx(literal_q(values, owners, kinds))
    assert found.degrees == 2
    assert found.categories == ("race", "gender", "age")
    assert "permutations of 30 clusters" in found.method


def test_it_sees_a_difference_and_keeps_its_level():
    generator = np.random.default_rng(1)
    assert heterogeneity(*made(generator, effect=3.0), resamples=500).p_value < 0.01
    p_values = [heterogeneity(*made(generator), resamples=99).p_value for _ in range(200)]
    assert np.mean(np.asarray(p_values) <= 0.05) <= 0.09
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def crossed(generator, effect=0.0, clusters=20, categories=5):
    """Sentences with every group in each, as different as sentences are."""
    owners, kinds = np.repeat(np.arange(clusters), categories), np.tile(np.arange(categories), clusters)
    values = 5.0 * generator.normal(size=clusters)[owners] + generator.normal(size=len(owners)) + effect * (kinds == 1)
    return values, owners.tolist(), [str(kind) for kind in kinds]


def test_what_a_cluster_adds_to_all_its_categories_hides_no_difference():
    generator = np.random.default_rng(3)
    found = heterogeneity(*crossed(generator, effect=2.0), resamples=999)
    assert found.p_value == pytest.approx(1 / 1000)
    assert "inside each of 20 clusters" in found.method
    p_values = [heterogeneity(*crossed(generator), resamples=99).p_value for _ in range(200)]
    assert np.mean(np.asarray(p_values) <= 0.05) <= 0.09
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_the_level_of_a_cluster_does_not_matter_where_all_categories_share_it():
    values, owners, kinds = crossed(np.random.default_rng(4))
    found = heterogeneity(values, owners, kinds, resamples=200)
    moved = heterogeneity(values + 100.0 * np.sin(np.asarray(owners)), owners, kinds, resamples=200)
    assert moved.statistic == pytest.approx(found.statistic)
    assert moved.p_value == found.p_value
    means = {one: np.mean([v for v, o in zip(values, owners, strict=True) if o == one]) for one in set(owners)}
    centred = [value - means[owner] for value, owner in zip(values, owners, strict=True)]
    assert found.statistic == pytest.approx(literal_q(centred, owners, kinds))


def test_rounding_is_no_spread():
    values, owners, kinds = crossed(np.random.default_rng(5))
    noise = np.random.default_rng(6).normal(size=20) * 1e-17
    found = heterogeneity([*values, *noise], [*owners, *range(20)], [*kinds, *["silent"] * 20], resamples=50)
    assert found.left_out == ("silent",)
    assert found.statistic < 100


def test_clusters_of_which_some_reach_over_several_categories_use_the_chi_square():
    generator = np.random.default_rng(0)
    owners = [*np.tile(np.arange(20), 2), *range(100, 120)]
    found = heterogeneity(generator.normal(size=60), owners, ["a"] * 20 + ["b"] * 20 + ["c"] * 20)
    assert "20 of 40 clusters have items in several categories" in found.method
    assert "chi-square" in found.method
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 2))


def test_categories_that_can_not_be_weighed_are_named():
    values = [1.0, 2.0, 3.0, 1.5, 2.5, 9.0, 5.0, 5.0]
    kinds = ["a", "a", "a", "b", "b", "alone", "equal", "equal"]
    found = heterogeneity(values, None, kinds, fewest=2, resamples=50)
    assert found.categories == ("a", "b")
    assert (found.clusters, found.fewest) == ((3, 2), 2)
    assert found.left_out == ("alone", "equal")
    assert found.left_out_clusters == (1, 2)
    nothing = heterogeneity(values, None, kinds)
    assert (nothing.statistic, nothing.p_value, nothing.categories) == (None, None, ())
    assert nothing.left_out == ("a", "b", "alone", "equal")
    assert heterogeneity([1.0, 2.0], None, ["a", "a"]) is None
    assert heterogeneity([], None, []) is None


def test_a_category_needs_as_many_clusters_as_a_p_below_the_level():
    assert smallest_p(FEWEST_CLUSTERS) <= LEVEL < smallest_p(FEWEST_CLUSTERS - 1)


def test_lengths_must_fit():
    with pytest.raises(DataError, match="2 values, 1 clusters and 2 categories"):
        heterogeneity([1.0, 2.0], ["x"], ["a", "b"])
