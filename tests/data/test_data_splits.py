"""Cutting and subsets: nothing lost, nothing twice, strata in proportion, copies together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.data.splits import cut, strata_of, subset
from nlpladder.errors import ConfigError

FEW = settings(deadline=None, max_examples=80)
STRATA = st.lists(st.integers(0, 4), min_size=6, max_size=200).map(np.array)


@FEW
@given(strata=STRATA, seed=st.integers(0, 100), every=st.booleans())
def test_cut_is_a_partition_in_order(strata, seed, every):
    copies = np.arange(len(strata))
    parts = cut(strata, copies, (0.1, 0.2), seed, every_stratum=every)
    assert sorted(np.concatenate(parts).tolist()) == copies.tolist()
    assert all(np.all(np.diff(part) > 0) for part in parts)
    again = cut(strata, copies, (0.1, 0.2), seed, every_stratum=every)
    assert all(np.array_equal(one, two) for one, two in zip(parts, again, strict=True))
    if every:
        for stratum, count in zip(*np.unique(strata, return_counts=True), strict=True):
            if count >= 3:
                assert all((strata[part] == stratum).any() for part in parts[:1])
    else:
        assert all(len(part) for part in parts)


@FEW
@given(strata=STRATA, seed=st.integers(0, 100))
def test_copies_stay_together_and_only_equality_matters(strata, seed):
    copies = np.arange(len(strata)) // 2
    parts = cut(strata, copies, (0.3,), seed, every_stratum=False)
    assert not set(copies[parts[0]]) & set(copies[parts[1]])
    renamed = cut(strata, (copies * 7919) % 100_003, (0.3,), seed, every_stratum=False)
    assert all(np.array_equal(one, two) for one, two in zip(parts, renamed, strict=True))


def test_proportions():
    strata = np.repeat([0, 1, 2], [700, 200, 100])
    train, validation, test = cut(strata, np.arange(1000), (0.1, 0.2), 0, every_stratum=True)
    assert np.bincount(strata[train]).tolist() == [490, 140, 70]
    assert np.bincount(strata[validation]).tolist() == [70, 20, 10]
    assert np.bincount(strata[test]).tolist() == [140, 40, 20]


@FEW
@given(strata=STRATA, size=st.integers(1, 250), seed=st.integers(0, 9))
def test_subset_has_its_size_and_every_stratum(strata, size, seed):
    rows = subset(strata, size, seed, at_least=1)
    assert len(rows) == min(size, len(strata))
    assert len(set(rows.tolist())) == len(rows)
    if size >= len(np.unique(strata)):
        assert set(strata[rows]) == set(strata)


def test_strata():
    assert strata_of(np.array([2, 0]), "single_label").tolist() == [2, 0]
    bins = strata_of(np.linspace(0, 1, 100), "regression")
    assert np.bincount(bins).tolist() == [10] * 10
    hot = np.array([[1, 0]] * 6 + [[0, 1]] * 6 + [[1, 1]], dtype=np.float32)
    assert len(set(strata_of(hot, "multi_label").tolist())) == 3
    assert strata_of(hot, "multi_label")[-1] == -1


def test_fractions_without_sense():
    with pytest.raises(ConfigError, match="between 0 and 1"):
        cut(np.zeros(5, dtype=np.int64), np.arange(5), (0.5, 0.6), 0, every_stratum=False)
