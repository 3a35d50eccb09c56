import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import DataError
from nlpladder.text.statistics import CorpusStatistics, compare

DOCUMENTS = [list("aabac"), list("ad"), []]


def test_counts():
    statistics = CorpusStatistics.from_tokens(DOCUMENTS)
    assert statistics.types == ("a", "b", "c", "d")
    assert statistics.frequencies.tolist() == [4, 1, 1, 1]
    assert statistics.ranks.tolist() == [1, 2, 3, 4]
    assert statistics.lengths.tolist() == [5, 2, 0]
    assert (statistics.num_tokens, statistics.num_types, statistics.num_hapaxes) == (7, 4, 3)
    assert statistics.type_token_ratio == 4 / 7
    assert statistics.yules_k == pytest.approx(1e4 * (16 + 3 - 7) / 49)
    assert statistics.coverage(1) == 4 / 7
    assert statistics.coverage(100) == 1.0
    assert [statistics.types_for_coverage(share) for share in (0.5, 4 / 7, 0.6, 1.0)] == [1, 1, 2, 4]
    assert statistics.length_quantiles()["q50"] == 2.0


@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=8), max_size=6), st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_the_moving_average_equals_its_definition(documents, window):
    stream = [token for tokens in documents for token in tokens]
    statistics = CorpusStatistics.from_tokens(documents, window=window)
    if not stream:
        assert statistics.moving_average_ttr == 0.0
        return
    width = min(window, len(stream))
    windows = [stream[start : start + width] for start in range(len(stream) - width + 1)]
    assert statistics.moving_average_ttr == pytest.approx(np.mean([len(set(part)) / width for part in windows]))


@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.3])
def test_a_planted_zipf_exponent_is_recovered(exponent):
    counts = np.round(1e5 * np.arange(1, 301, dtype=float) ** -exponent).astype(int)
    documents = [[f"w{rank}"] * count for rank, count in enumerate(counts)]
    assert CorpusStatistics.from_tokens(documents).zipf_exponent() == pytest.approx(exponent, abs=0.005)


def test_robust_measures_do_not_fall_with_length_but_the_plain_ratio_does():
    generator = np.random.default_rng(0)
    probabilities = 1 / np.arange(1, 2001)
    tokens = generator.choice(2000, size=40_000, p=probabilities / probabilities.sum()).astype(str).tolist()
    short, long = CorpusStatistics.from_tokens([tokens[:4_000]]), CorpusStatistics.from_tokens([tokens])
    assert long.type_token_ratio < 0.5 * short.type_token_ratio
    assert long.moving_average_ttr == pytest.approx(short.moving_average_ttr, rel=0.03)
    assert long.yules_k == pytest.approx(short.yules_k, rel=0.1)


@pytest.mark.parametrize("documents", [[], [[]], [["one"]]])
def test_tiny_corpora_give_plain_json(documents):
    statistics = CorpusStatistics.from_tokens(documents)
    assert math.isnan(statistics.zipf_exponent())
    json.dumps(statistics.to_dict(), allow_nan=False)
    json.dumps(compare(documents, documents).to_dict(), allow_nan=False)


def test_comparison():
    comparison = compare([["The", "end", "The"], ["same"], []], [["the", "end", "the"], ["same"], []])
    assert comparison.vanished == (("The", 2),)
    assert comparison.appeared == (("the", 2),)
    assert comparison.change.tolist() == pytest.approx([2 / 3, 0, 0])
    assert comparison.most_changed() == [0]
    assert comparison.to_dict()["unchanged_texts"] == 2


def test_mistakes_are_explained():
    with pytest.raises(DataError, match="Document 1 is a string"):
        CorpusStatistics.from_tokens([["a"], "b"])
    with pytest.raises(DataError, match="2 texts before but 1 after"):
        compare([["a"], ["b"]], [["a"]])
