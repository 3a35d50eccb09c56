"""Scores of translations: equal to sacreBLEU's, intervals that cover, tests that find what is there and no more."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.evaluation.translation import (
    COLUMNS,
    METRICS,
    SentenceStatistics,
    bare_score,
    bleu,
    compare_translations,
    exact_matches,
    metric_values,
    score_translations,
    signatures,
)
from nlpladder.evaluation.translation_slices import bleu_by_length, score_by_group

WORDS = ("a", "man", "Woman", "in", "an", "orange", "hat", "dogs", "run", "over", "grass", "lush", "3.5", "U.S.")
HOSTILE = (
    "", " ", ".", "...", "$5,000.00-ish &amp; &quot;x&quot;", "<skipped>", "a-\nb\nc", "Ünïcode ÇA straße STRASSE İ",
    "日本語の文です。", "שלום עולם", "\u202eabc\u200b", "\x00 null", "\ud800 alone", "👩‍👩‍👧 family",
    "a" * 300, "the " * 60, "nan None",
)  # fmt: skip


def sentences(rng, count, shortest=1, longest=25):
    return [" ".join(rng.choice(WORDS, rng.integers(shortest, longest))) + "." for _ in range(count)]


def translated(rng, references, noise):
    """Replace a share of the words."""
    rows = []
    for text in references:
        words = [str(rng.choice(WORDS)) if rng.random() < noise else word for word in text.split()]
        rows.append(" ".join(words))
    return rows


def corpus_values(statistics):
    return {name: float(value) for name, value in metric_values(statistics.columns.sum(axis=0)).items()}


def assert_equal_to_sacrebleu(hypotheses, references):
    """Corpus scores of sacreBLEU's public functions; references by sentence, lists."""
    values = corpus_values(SentenceStatistics.of(hypotheses, references))
    streams = [list(stream) for stream in zip(*references, strict=True)]
    scored = sacrebleu.corpus_bleu(hypotheses, streams)
    assert values["bleu"] == pytest.approx(scored.score, abs=1e-9)
    assert values["length_ratio"] == pytest.approx(
        scored.sys_len / scored.ref_len if scored.ref_len else np.nan, nan_ok=True
    )
    lowered = sacrebleu.corpus_bleu(hypotheses, streams, lowercase=True).score
    assert values["bleu_lowercase"] == pytest.approx(lowered, abs=1e-9)
    assert values["chrf"] == pytest.approx(sacrebleu.corpus_chrf(hypotheses, streams).score, abs=1e-9)
    assert values["ter"] == pytest.approx(sacrebleu.corpus_ter(hypotheses, streams).score, abs=1e-9)
    assert bleu(hypotheses, references) == pytest.approx(scored.score, abs=1e-9)
    assert bleu(hypotheses, references, lowercase=True) == pytest.approx(lowered, abs=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5, 1.0])
def test_corpus_scores_equal_sacrebleu(noise):
    rng = np.random.default_rng(0)
    references = sentences(rng, 60)
    assert_equal_to_sacrebleu(translated(rng, references, noise), [[text] for text in references])


def test_every_hostile_pair_equals_sacrebleu():
    for text in HOSTILE:
        for right in HOSTILE:
            if right.strip():
                assert_equal_to_sacrebleu([text], [[right]])
    rng = np.random.default_rng(1)
    assert_equal_to_sacrebleu(list(HOSTILE), [[text] for text in sentences(rng, len(HOSTILE))])
    assert_equal_to_sacrebleu(sentences(rng, len(HOSTILE)), [[text] for text in HOSTILE])


def test_several_references_equal_sacrebleu():
    rng = np.random.default_rng(2)
    first = sentences(rng, 30)
    second, third = translated(rng, first, 0.4), sentences(rng, 30)
    hypotheses = translated(rng, first, 0.3)
    assert_equal_to_sacrebleu(hypotheses, list(map(list, zip(first, second, third, strict=True))))
    # Not all sentences need have as many.
    ragged = [[one, other] if row % 2 else [one] for row, (one, other) in enumerate(zip(first, second, strict=True))]
    padded = [other if row % 2 else None for row, other in enumerate(second)]
    found = corpus_values(SentenceStatistics.of(hypotheses, ragged))
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [first, padded]).score, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from((*WORDS, ".", "日", "\n", "&")), max_size=9),
            st.lists(st.sampled_from((*WORDS, ".", "日", "\n", "&")), min_size=1, max_size=9),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_random_corpora_equal_sacrebleu(pairs):
    references = [[" ".join(right)] for _, right in pairs]
    if any(right.strip() for [right] in references):
        assert_equal_to_sacrebleu([" ".join(words) for words, _ in pairs], references)


def test_metrics_by_hand():
    statistics = SentenceStatistics.of(["a b c d", "x"], ["a b c e", "x"])
    values = corpus_values(statistics)
    # Matched 4, 2, 1, 0 of 5, 3, 2, 1 n-grams: the order without a match counts as one half.
    assert values["bleu"] == pytest.approx(100 * (4 / 5 * 2 / 3 * 1 / 2 * 0.5 / 1) ** 0.25)
    assert values["ter"] == pytest.approx(100 * 1 / 5)
    assert values["exact_match"] == 0.5
    assert values["length_ratio"] == 1.0
    assert corpus_values(SentenceStatistics.of(["a b"], ["a b c d"]))["bleu"] == 0.0  # no 4-gram at all
    short = corpus_values(SentenceStatistics.of(["a b c d"], ["a b c d e f g h"]))
    assert short["bleu"] == pytest.approx(100 * np.exp(1 - 8 / 4))  # the brevity penalty alone
    cased = corpus_values(SentenceStatistics.of(["A B C D"], ["a b c d"]))
    assert (cased["bleu"], cased["bleu_lowercase"]) == (0.0, pytest.approx(100.0))


def test_bleu_is_computed_for_many_sums_at_once():
    rng = np.random.default_rng(3)
    references = sentences(rng, 12, 1, 6)
    columns = SentenceStatistics.of(translated(rng, references, 0.6), references).columns
    together = metric_values(columns)
    for row, counts in enumerate(columns):
        alone = metric_values(counts)
        assert all(together[name][row] == alone[name] for name in METRICS)
    assert metric_values(columns.reshape(3, 4, -1))["chrf"].shape == (3, 4)


def test_exact_match_ignores_spacing_and_composition_only():
    found = exact_matches(
        ["e\u0301t\u00e9  \n", "Hat.", "hat.", "", "b"], ["\u00e9t\u00e9", "hat.", "hat", "x", ["a", "b"]]
    )
    assert found.tolist() == [1, 0, 0, 0, 1]


def test_statistics_survive_a_table_and_a_selection():
    rng = np.random.default_rng(4)
    references = sentences(rng, 10)
    statistics = SentenceStatistics.of(translated(rng, references, 0.3), references)
    table = statistics.to_columns()
    assert list(table) == list(COLUMNS)
    again = SentenceStatistics.from_columns(table | {"id": np.arange(10)}, statistics.fingerprint)
    assert np.array_equal(again.columns, statistics.columns)
    part = statistics.select([1, 3])
    assert np.array_equal(part.columns, statistics.columns[[1, 3]])
    assert part.fingerprint not in ("", statistics.fingerprint)
    mask = np.isin(np.arange(10), [1, 3])
    assert statistics.select(mask).fingerprint == part.fingerprint
    del table["ter_edits"]
    with pytest.raises(DataError, match="lacks ter_edits"):
        SentenceStatistics.from_columns(table)


def test_signatures_are_those_of_sacrebleu():
    expected = {
        "bleu": sacrebleu.BLEU(), "bleu_lowercase": sacrebleu.BLEU(lowercase=True),
        "chrf": sacrebleu.CHRF(), "ter": sacrebleu.TER(),
    }  # fmt: skip
    for metric in expected.values():
        metric.corpus_score(["a"], [["a"]])
    assert signatures() == {name: str(metric.get_signature()) for name, metric in expected.items()}
    assert signatures()["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert "nrefs:3" in signatures(num_references=3)["chrf"]


@pytest.mark.parametrize(
    "hypotheses, references, message",
    [
        (["a"], ["a", "b"], "1 translations and 2 references"),
        ([], [], "no translations"),
        (["a", None], ["a", "b"], "number 1 is None"),
        (["a", "b"], ["a", None], "number 1 is None"),
        (["a", "b"], ["a", []], "number 1 has no reference"),
        (["a"], [[None]], "number 0 is None"),
        (["a", "b"], ["", " \n"], "references of the 2 sentences are empty"),
        ("ab", ["a", "b"], "hypotheses are one string"),
        (["a", "b"], "ab", "references are one string"),
    ],
)
def test_what_cannot_be_scored_is_named(hypotheses, references, message):
    for function in (SentenceStatistics.of, bleu):
        with pytest.raises(DataError, match=message):
            function(hypotheses, references)


def test_ter_of_long_sentences_is_left_out_and_says_so():
    rng = np.random.default_rng(5)
    long = " ".join(rng.choice(WORDS, 3000))
    statistics = SentenceStatistics.of(["a man", long], ["a man", long[::-1]])
    scores = score_translations([statistics], resamples=50)
    assert scores["ter"].mean.value is None
    assert scores["ter"].mean.low is None
    assert "TER was not computed" in scores["ter"].mean.note
    assert scores["chrf"].mean.value > 0
    two = score_translations([statistics, statistics], resamples=50)["ter"]
    assert two.values == (None, None)
    with pytest.raises(DataError, match="a: ter is undefined. TER was not computed"):
        compare_translations({"a": [statistics], "b": [statistics]}, metric="ter")
    one_sided = SentenceStatistics.of(["a man", long], ["a man", "a short one"])  # quick, and common at first
    assert np.isfinite(one_sided.columns).all()
    assert np.isnan(SentenceStatistics.of(["a"], ["a"], translation_edit_rate=False).columns).sum() == 2


def test_a_score_is_that_of_all_sentences_and_repeatable():
    rng = np.random.default_rng(6)
    references = sentences(rng, 40)
    statistics = SentenceStatistics.of(translated(rng, references, 0.3), references)
    scores = score_translations([statistics], resamples=300, seed=3)
    assert set(scores) == set(METRICS)
    for name, value in corpus_values(statistics).items():
        mean = scores[name].mean
        assert mean.value == pytest.approx(value)
        assert mean.low <= mean.value <= mean.high
        assert (mean.unit, mean.higher_is_better) == METRICS[name]
        assert mean.n == 40
        assert SeedScore.from_dict(scores[name].to_dict()) == scores[name]
    assert score_translations([statistics], resamples=300, seed=3) == scores
    assert score_translations([statistics], resamples=300, seed=4) != scores


def test_the_interval_covers_the_score_of_all_sentences_in_most_samples():
    rng = np.random.default_rng(7)
    references = sentences(rng, 3000)
    hypotheses = translated(rng, references, 0.35)
    pool = SentenceStatistics.of(hypotheses, references, translation_edit_rate=False)
    truth = corpus_values(pool)
    inside = dict.fromkeys(("bleu", "chrf", "length_ratio"), 0)
    for _ in range(100):
        sample = pool.select(rng.integers(0, 3000, 100))
        scores = score_translations([sample], resamples=400)
        for name in inside:
            inside[name] += scores[name].mean.low <= truth[name] <= scores[name].mean.high
    assert all(count >= 87 for count in inside.values()), inside


def test_a_planted_difference_is_found_and_no_difference_is_not():
    rng = np.random.default_rng(8)
    references = sentences(rng, 300)
    first, same, better = (
        SentenceStatistics.of(translated(rng, references, noise), references, translation_edit_rate=False)
        for noise in (0.3, 0.3, 0.2)
    )
    systems = {"first": [first], "same": [same], "better": [better]}
    null, planted = compare_translations(systems, resamples=2000)
    assert null.better() is None
    assert planted.better() == "better"
    assert planted.low > 0
    assert planted.difference == pytest.approx(corpus_values(better)["bleu"] - corpus_values(same)["bleu"])
    assert planted.p_values["paired_bootstrap"] < 0.01
    assert planted.p_value == planted.p_values["approximate_randomization"] < 0.01
    pairs = compare_translations(systems, pairs="all", metric="chrf", resamples=500)
    assert [(pair.system_b, pair.system_a) for pair in pairs] == [
        ("first", "same"),
        ("first", "better"),
        ("same", "better"),
    ]
    itself = compare_translations({"first": [first], "again": [first]}, resamples=200)[0]
    assert (itself.difference, itself.p_value, itself.low, itself.high) == (0.0, 1.0, None, None)


def test_the_randomisation_test_equals_scoring_swapped_texts():
    """Two sentences have four assignments: their BLEU differences, by sacreBLEU on the texts themselves."""
    references = ["a man in an orange hat runs over grass", "dogs run over lush grass in the morning"]
    first = ["a man in a hat runs over grass", "dogs run over lush grass in the evening"]
    second = ["a woman in an orange hat runs on grass", "dogs run on lush grass"]

    def difference(ours, theirs):
        return sacrebleu.corpus_bleu(ours, [references]).score - sacrebleu.corpus_bleu(theirs, [references]).score

    observed = difference(first, second)
    every = [
        difference([(first, second)[coin][row] for row, coin in enumerate(coins)],
                   [(second, first)[coin][row] for row, coin in enumerate(coins)])
        for coins in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]  # fmt: skip
    exact = np.mean(np.abs(every) >= abs(observed) - 1e-9)
    systems = {
        "second": [SentenceStatistics.of(second, references)],
        "first": [SentenceStatistics.of(first, references)],
    }
    found = compare_translations(systems, resamples=4000)[0]
    assert found.difference == pytest.approx(observed)
    assert found.p_value == pytest.approx(exact, abs=0.03)


def test_under_the_null_small_p_values_are_rare():
    rng = np.random.default_rng(9)
    references = sentences(rng, 2000)
    pools = [
        SentenceStatistics.of(translated(rng, references, 0.3), references, translation_edit_rate=False)
        for _ in range(2)
    ]  # fmt: skip
    small = 0
    for _ in range(100):
        rows = rng.integers(0, 2000, 60)
        systems = {"a": [pools[0].select(rows)], "b": [pools[1].select(rows)]}
        small += compare_translations(systems, resamples=300)[0].p_value <= 0.05
    assert small <= 12


def test_seeds_widen_the_interval_and_the_test():
    rng = np.random.default_rng(10)
    references = sentences(rng, 80)
    base, other = (
        [
            SentenceStatistics.of(translated(rng, references, noise), references, translation_edit_rate=False)
            for noise in noises
        ]
        for noises in ((0.15, 0.3, 0.45), (0.2, 0.25, 0.3))
    )
    one, three = score_translations(base[1:2])["bleu"], score_translations(base)["bleu"]
    assert three.mean.value == pytest.approx(np.mean([corpus_values(seed)["bleu"] for seed in base]))
    assert three.mean.high - three.mean.low > 2 * (one.mean.high - one.mean.low)
    found = compare_translations({"base": base, "other": other}, resamples=500)[0]
    assert found.test == "seeds_and_examples"
    assert found.seeds == (3, 3)
    assert found.p_value > found.p_values["paired_bootstrap"]
    uneven = compare_translations({"base": base, "other": other[:1]}, resamples=200)[0]
    assert uneven.p_values["approximate_randomization"] is None
    assert "other has one seed" in uneven.note


def test_systems_of_other_sentences_are_refused():
    first = SentenceStatistics.of(["a b", "c"], ["a b", "c"])
    swapped = SentenceStatistics.of(["c", "a b"], ["c", "a b"])
    longer = SentenceStatistics.of(["a b", "c", "d"], ["a b", "c", "d"])
    with pytest.raises(DataError, match="other references"):
        compare_translations({"a": [first], "b": [swapped]})
    with pytest.raises(DataError, match="seed 1 translated 3 sentences and seed 0 2"):
        score_translations([first, longer])
    with pytest.raises(DataError, match="at least two"):
        compare_translations({"a": [first]})
    with pytest.raises(DataError, match="at least one seed"):
        score_translations([])
    with pytest.raises(DataError, match="at least two"):
        score_translations([first.select([0])])
    with pytest.raises(ConfigError, match="Did you mean 'bleu'"):
        compare_translations({"a": [first], "b": [first]}, metric="blue")
    with pytest.raises(ConfigError, match="best at 1"):
        compare_translations({"a": [first], "b": [first]}, metric="length_ratio")
    with pytest.raises(ConfigError, match="adjacent"):
        compare_translations({"a": [first], "b": [first]}, pairs="some")


def test_scores_fall_with_length_where_the_errors_are():
    rng = np.random.default_rng(11)
    references = sentences(rng, 400, 4, 40)
    lengths = [len(text.split()) for text in references]
    hypotheses = [translated(rng, [text], 0.01 * size)[0] for text, size in zip(references, lengths, strict=True)]
    statistics = SentenceStatistics.of(hypotheses, references, translation_edit_rate=False)
    bins = bleu_by_length([statistics], lengths, resamples=300)
    assert len(bins) == 5
    assert sum(one.sentences for one in bins) == 400
    assert all(before.longest < after.shortest for before, after in pairwise(bins))
    assert all(before.score.mean.value > after.score.mean.value for before, after in pairwise(bins))
    inside = [row for row, size in enumerate(lengths) if bins[2].shortest <= size <= bins[2].longest]
    by_hand = sacrebleu.corpus_bleu([hypotheses[row] for row in inside], [[references[row] for row in inside]]).score
    assert bins[2].score.mean.value == pytest.approx(by_hand)
    assert bins[2].mean_length == pytest.approx(np.mean([lengths[row] for row in inside]))
    fixed = bleu_by_length([statistics], lengths, bins=(10, 20, 30, 90), resamples=50, metric="chrf")
    assert [one.shortest for one in fixed] == [min(size for size in lengths if size > low) for low in (0, 10, 20, 30)]
    assert [one.longest for one in fixed][:3] == [10, 20, 30]
    with pytest.raises(DataError, match="one for each"):
        bleu_by_length([statistics], lengths[:-1])
    with pytest.raises(ConfigError, match="at least 1"):
        bleu_by_length([statistics], lengths, bins=0)


def test_groups_of_a_compositional_test():
    hypotheses = ["a red hat", "a blue hat", "a red dog", "a blue cat", "one"]
    references = ["a red hat", "a blue hat", "a blue dog", "a blue cat", "two"]
    statistics = SentenceStatistics.of(hypotheses, references)
    scores = score_by_group([statistics], ["seen", "seen", "new", "new", "lone"], metric="exact_match", resamples=100)
    assert {group: score.mean.value for group, score in scores.items()} == {"seen": 1.0, "new": 0.5, "lone": 0.0}
    assert scores["lone"].mean.low is None
    alone = SentenceStatistics.of(["a b c d"], ["a b c e"])
    assert bare_score([alone], "bleu").mean.value == pytest.approx(
        sacrebleu.corpus_bleu(["a b c d"], [["a b c e"]]).score
    )
    with pytest.raises(DataError, match="one for each"):
        score_by_group([statistics], ["seen"])


def test_the_sums_that_sacrebleu_keeps_are_still_those_of_its_private_method():
    """Trap: the counts per sentence come from a method of sacreBLEU with a leading underscore."""
    counts = sacrebleu.BLEU()._extract_corpus_statistics(["a b c"], [["a b d"]])
    assert [list(row) for row in counts] == [[3, 3, 2, 1, 0, 0, 3, 2, 1, 0]]
    assert [list(row) for row in sacrebleu.TER()._extract_corpus_statistics(["a b c"], [["a b d"]])] == [[1, 3.0]]
    assert len(sacrebleu.CHRF()._extract_corpus_statistics(["a b c"], [["a b d"]])[0]) == 18
