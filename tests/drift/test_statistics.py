"""PSI, Kolmogorov-Smirnov and bins: against literal transcriptions, and against simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nlpladder.drift.bins import Bins, merge_small
from nlpladder.drift.kolmogorov import kolmogorov_smirnov
from nlpladder.drift.stability import commonest_against_rest, population_stability

counts = st.lists(st.integers(0, 400), min_size=2, max_size=12)


@given(st.integers(2, 12).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 300), min_size=n, max_size=n)] * 2)))
def test_psi_is_the_sum_over_the_bins(samples):
    reference, window = samples
    found = population_stability(reference, window)
    if min(sum(reference), sum(window)) == 0:
        assert (found.psi, found.p_value) == (0.0, 1.0)
        return
    total, bins = 0.0, len(reference)
    for a, b in zip(reference, window, strict=True):
        p, q = (a + 0.5) / (sum(reference) + bins / 2), (b + 0.5) / (sum(window) + bins / 2)
        total += (p - q) * math.log(p / q)
    assert found.psi == pytest.approx(total, abs=1e-12)
    scale = 1 / sum(reference) + 1 / sum(window)
    assert found.p_value == pytest.approx(stats.chi2.sf(total / scale, bins - 1), abs=1e-9)
    assert 0 <= found.low <= found.high
    assert all(map(math.isfinite, (found.psi, found.low, found.high, found.p_value, found.expected)))
    swapped = population_stability(window, reference)
    assert (swapped.psi, swapped.low, swapped.high) == pytest.approx((found.psi, found.low, found.high))


def test_one_bin_compares_nothing():
    found = population_stability([500], [250])
    assert (found.psi, found.low, found.high, found.p_value, found.bins) == (0.0, 0.0, 0.0, 1.0, 1)


@given(st.integers(2, 5).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 40), min_size=n, max_size=n)] * 2)))
def test_the_commonest_bin_is_compared_exactly(samples):
    reference, window = map(np.array, samples)
    together = reference + window
    found = commonest_against_rest(reference, window)
    if min(reference.sum(), window.sum()) == 0 or together.max() == together.sum():
        assert (found.bins, found.psi, found.p_value) == (1, 0.0, 1.0)
        return
    place = int(together.argmax())
    pairs = [[sample[place], sample.sum() - sample[place]] for sample in (reference, window)]
    assert found.p_value == pytest.approx(stats.fisher_exact(pairs).pvalue, rel=1e-6)
    assert found.psi == population_stability(*pairs).psi


def test_the_exact_test_of_a_nearly_constant_feature_is_seldom_wrong():
    """Windows of the same distribution, of which one in fifty differs from the commonest value."""
    generator = np.random.default_rng(3)
    found = []
    for rest, seen in zip(generator.binomial(300, 0.02, 4000), generator.binomial(20, 0.02, 4000), strict=True):
        found.append(commonest_against_rest([300 - rest, rest], [20 - seen, seen]).p_value)
    assert np.mean(np.array(found) < 0.01) <= 0.01


@pytest.mark.parametrize("bins, rows, window", [(10, 1000, 250), (2, 872, 250), (5, 100, 250)])
def test_p_values_are_uniform_under_no_change(bins, rows, window):
    generator = np.random.default_rng(bins)
    shares = np.ones(bins) / bins
    pairs = zip(generator.multinomial(rows, shares, 4000), generator.multinomial(window, shares, 4000), strict=True)
    found = [population_stability(*pair) for pair in pairs]
    for level in (0.05, 0.01):
        below = sum(one.p_value < level for one in found)
        # By chance in one of a million runs.
        low, high = stats.binom.ppf([5e-7, 1 - 5e-7], len(found), level)
        assert low * 0.8 <= below <= high
    assert np.mean([one.psi for one in found]) == pytest.approx(found[0].expected, rel=0.08)
    assert sum(one.low > 0 for one in found) <= stats.binom.ppf(1 - 1e-6, len(found), 0.025)


@pytest.mark.parametrize("bins, window", [(10, 250), (10, 1000), (2, 250)])
@pytest.mark.parametrize("tilt", [0.3, 0.75, 1.2])
def test_the_interval_covers_the_index_of_the_populations(bins, window, tilt):
    generator = np.random.default_rng(7)
    p = np.ones(bins) / bins
    q = p * np.exp(tilt * np.linspace(-1, 1, bins))
    q /= q.sum()
    true = float(((p - q) * np.log(p / q)).sum())
    pairs = zip(generator.multinomial(1000, p, 1500), generator.multinomial(window, q, 1500), strict=True)
    found = [population_stability(*pair) for pair in pairs]
    assert np.mean([one.low <= true <= one.high for one in found]) >= 0.93
    # The lower end decides on an alarm: it lies above the truth at most as often as it says.
    assert np.mean([one.low > true for one in found]) <= 0.035


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_the_distance_is_the_largest_difference_of_the_distribution_functions(reference, window):
    found = kolmogorov_smirnov(np.sort(np.array(reference, float)), np.sort(np.array(window, float)))
    literal = max(
        abs(sum(x <= t for x in reference) / len(reference) - sum(x <= t for x in window) / len(window))
        for t in {*reference, *window}
    )
    assert found.distance == pytest.approx(literal)
    assert 0 <= found.low <= found.distance <= found.high <= 1


def test_the_distance_agrees_with_scipy():
    generator = np.random.default_rng(0)
    a, b = np.sort(generator.normal(size=900)), np.sort(generator.normal(0.12, size=250))
    ours, theirs = kolmogorov_smirnov(a, b), stats.ks_2samp(a, b, method="asymp")
    assert ours.distance == pytest.approx(theirs.statistic)
    assert ours.p_value == pytest.approx(stats.ks_2samp(a, b, method="exact").pvalue, rel=0.15)


def test_with_ties_the_p_value_is_never_too_small():
    """All ways to deal the same twelve counts: the share of distances as large is the exact p-value."""
    pooled = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3], dtype=float)
    distances = []
    for chosen in itertools.combinations(range(12), 5):
        window = np.zeros(12, dtype=bool)
        window[list(chosen)] = True
        distances.append(kolmogorov_smirnov(pooled[~window], pooled[window]))
    found = np.array([one.distance for one in distances])
    for one in distances:
        assert one.p_value >= (found >= one.distance - 1e-12).mean() - 1e-12


def test_no_sample_no_distance():
    found = kolmogorov_smirnov(np.zeros(0), np.ones(3))
    assert (found.distance, found.low, found.high, found.p_value) == (0.0, 0.0, 1.0, 1.0)


@given(st.lists(st.integers(-3, 9), min_size=1, max_size=200), st.lists(st.integers(-5, 12), max_size=50))
def test_bins_hold_every_value_once_and_keep_ties_together(reference, others):
    bins = Bins.of_numbers(np.array(reference, dtype=float))
    found = bins.counts(np.array([*reference, *others], dtype=float))
    assert found.sum() == len(reference) + len(others)
    own = bins.counts(np.array(reference, dtype=float))
    assert own[0] == own[-1] == 0  # the open ends are for what is new
    assert bins.counts(np.array([min(reference) - 1.0]))[0] == 1
    assert bins.counts(np.array([max(reference) + 0.5]))[-1] == 1


def test_deciles_hold_a_tenth_each():
    assert Bins.of_numbers(np.arange(1000.0)).counts(np.arange(1000.0)).tolist() == [0, *[100] * 10, 0]


def test_categories_and_what_is_none_of_them():
    assert Bins.of_categories(3).counts(np.array([0.0, 2.0, 2.0, 3.0, 9.0])).tolist() == [1, 0, 2, 2]


@settings(max_examples=300)
@given(counts, counts, st.booleans())
def test_merged_bins_keep_the_totals_and_hold_enough(reference, window, ordered):
    size = min(len(reference), len(window))
    before = np.array(reference[:size]), np.array(window[:size])
    after = merge_small(*before, ordered=ordered)
    assert [sample.sum() for sample in after] == [sample.sum() for sample in before]
    smaller, total = min(sample.sum() for sample in before), sum(sample.sum() for sample in before)
    if len(after[0]) > 1:
        assert all((a + b) * smaller / total >= 5 - 1e-9 for a, b in zip(*after, strict=True))


def test_a_bin_that_only_the_window_fills_stays():
    reference, window = merge_small(np.array([500, 500, 0]), np.array([60, 60, 130]), ordered=True)
    assert (reference.tolist(), window.tolist()) == ([500, 500, 0], [60, 60, 130])
    reference, window = merge_small(np.array([500, 500, 0]), np.array([124, 124, 2]), ordered=True)
    assert (reference.tolist(), window.tolist()) == ([500, 500], [124, 126])


def test_rare_classes_share_a_bin():
    reference, window = merge_small(np.array([400, 10, 300, 9, 8]), np.array([100, 2, 100, 3, 2]), ordered=False)
    assert (reference.tolist(), window.tolist()) == ([400, 300, 27], [100, 100, 7])
    reference, window = merge_small(np.array([400, 1, 300]), np.array([100, 1, 90]), ordered=False)
    assert (reference.tolist(), window.tolist()) == ([400, 301], [100, 91])
