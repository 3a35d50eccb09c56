"""Measures of generated texts: equal to rouge-score, sacreBLEU and definitions; intervals, tests, hostile text."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation import language_modeling
from nlpladder.evaluation.answers import AnswerStatistics, token_f1
from nlpladder.evaluation.diversity import distinct, diversity
from nlpladder.evaluation.entities import EntityStatistics
from nlpladder.evaluation.example_statistics import bare_statistics_score, score_statistics
from nlpladder.evaluation.generation import (
    COLUMNS,
    MEASURES,
    GenerationStatistics,
    compare_generations,
    score_generations,
)
from nlpladder.evaluation.metrics import TEXT_METRICS, load_metric
from nlpladder.evaluation.rouge import ROUGE_TYPES, UnicodeWords, rouge_scores
from nlpladder.evaluation.seeds import SeedScore
from nlpladder.evaluation.sentence_statistics import SentenceStatistics
from nlpladder.evaluation.system_comparison import compare_systems
from nlpladder.protocols import TokenScores

WORDS = ("The", "running", "dogs", "runs", "in", "Orange", "hats", "3.5", "grass", "a", "happily", "\n", "cities")
HOSTILE = ("", " ", "...", "\n\n", "日本語の文", "\ud800 alone", "a" * 300, "the " * 60, "x\x00y", "👩‍👩‍👧 E\u0301")


def texts_of(rng, count, longest=25):
    return [" ".join(rng.choice(WORDS, rng.integers(1, longest))) for _ in range(count)]


def noisy(rng, texts, share):
    return [
        " ".join(str(rng.choice(WORDS)) if rng.random() < share else word for word in text.split(" ")) for text in texts
    ]


@pytest.mark.parametrize("stemmer", [False, True])
def test_rouge_is_that_of_the_package(stemmer):
    rng = np.random.default_rng(0)
    first = [*texts_of(rng, 30), *HOSTILE]
    references = [[text, *texts_of(rng, row % 3)] for row, text in enumerate(noisy(rng, first, 0.5))]
    found = rouge_scores(first, references, stemmer=stemmer)
    scorer = RougeScorer(list(ROUGE_TYPES), use_stemmer=stemmer)
    for row, (text, rights) in enumerate(zip(first, references, strict=True)):
        expected = scorer.score_multi(rights, text)
        assert found[row].tolist() == [expected[kind].fmeasure for kind in ROUGE_TYPES]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS[:-2]), max_size=12), st.lists(st.sampled_from(WORDS[:-2]), max_size=12))
def test_rouge_lsum_of_one_line_is_rouge_l(ours, theirs):
    """What `rouge_scores` saves half of its time by."""
    scores = RougeScorer(["rougeL", "rougeLsum"]).score(" ".join(theirs), " ".join(ours))
    assert scores["rougeL"].fmeasure == pytest.approx(scores["rougeLsum"].fmeasure, abs=1e-12)


def test_rouge_of_other_scripts_is_not_zero_when_asked(caplog):
    texts, references = ["今日は良い天気です", "Привет мир"], [["今日は悪い天気です"], ["привет, мир!"]]
    with caplog.at_level(logging.WARNING):
        blind = rouge_scores(texts, references)
    assert not blind.any()
    assert "words='unicode'" in caplog.text
    seeing = rouge_scores(texts, references, words="unicode")
    assert seeing[0, 0] == pytest.approx(8 / 9)
    assert seeing[1].tolist() == [1, 1, 1, 1]
    words = UnicodeWords().tokenize("Straße №1, ２０ हिन्दी ok日本!")
    assert words == ["strasse", "no1", "20", "हिन्दी", "ok", "日", "本"]
    with pytest.raises(ConfigError, match="English only"):
        rouge_scores(texts, references, words="unicode", stemmer=True)
    with pytest.raises(ConfigError, match="words is 'utf8'"):
        rouge_scores(texts, references, words="utf8")


def test_several_ragged_references_equal_sacrebleu_and_the_best_of_each():
    rng = np.random.default_rng(1)
    first = texts_of(rng, 30)
    second, third = noisy(rng, first, 0.4), texts_of(rng, 30)
    hypotheses = noisy(rng, first, 0.3)
    several = [
        [one, two, three][: 1 + row % 3] for row, (one, two, three) in enumerate(zip(first, second, third, strict=True))
    ]
    streams = [[rights[place] if place < len(rights) else None for rights in several] for place in range(3)]
    found = GenerationStatistics.of(hypotheses, several).corpus()
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(hypotheses, streams).score, abs=1e-9)
    lowered = sacrebleu.corpus_bleu(hypotheses, streams, lowercase=True).score
    assert found["bleu_lowercase"] == pytest.approx(lowered, abs=1e-9)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(hypotheses, streams).score, abs=1e-9)
    assert found["ter"] == pytest.approx(sacrebleu.corpus_ter(hypotheses, streams).score, abs=1e-9)
    best = [
        max(token_f1(text, right, version="2.0") for right in rights)
        for text, rights in zip(hypotheses, several, strict=True)
    ]
    assert found["token_f1"] == pytest.approx(np.mean(best))
    assert found["rougeL"] == pytest.approx(rouge_scores(hypotheses, several)[:, 2].mean())
    # More references never hurt what takes the best one.
    alone = GenerationStatistics.of(hypotheses, [rights[0] for rights in several]).corpus()
    assert all(found[name] >= alone[name] for name in ("rouge1", "rouge2", "rougeL", "rougeLsum", "token_f1"))


def test_hostile_texts_are_scored():
    for text in HOSTILE:
        statistics = GenerationStatistics.of([text, "a word"], ["a word", "a word"])
        assert np.isfinite(statistics.columns).all()
        assert all(np.isfinite(value) for value in statistics.corpus().values())
    assert np.isfinite(GenerationStatistics.of(["a"] * len(HOSTILE), list(HOSTILE)).columns).all()


def test_a_perfect_text_and_an_empty_one():
    perfect = GenerationStatistics.of(["the dogs run in the grass"] * 3, ["the dogs run in the grass"] * 3).corpus()
    assert {perfect[name] for name in ("exact_match", "token_f1", *ROUGE_TYPES)} == {1.0}
    assert perfect["bleu"] == pytest.approx(100.0)
    assert (perfect["ter"], perfect["length_ratio"]) == (0.0, 1.0)
    nothing = GenerationStatistics.of([""] * 3, ["the dogs run"] * 3).corpus()
    assert {nothing[name] for name in ("exact_match", "token_f1", "bleu", "chrf", *ROUGE_TYPES)} == {0.0}


def test_scores_have_intervals_and_survive_a_table():
    rng = np.random.default_rng(2)
    references = texts_of(rng, 50)
    statistics = GenerationStatistics.of(noisy(rng, references, 0.3), references)
    scores = score_generations([statistics], resamples=300)
    assert list(scores) == list(MEASURES)
    for name, value in statistics.corpus().items():
        mean = scores[name].mean
        assert mean.value == pytest.approx(value)
        assert mean.low <= mean.value <= mean.high
        assert (mean.n, mean.unit) == (50, MEASURES[name].unit)
        assert SeedScore.from_dict(scores[name].to_dict()) == scores[name]
    assert score_generations([statistics], resamples=300) == scores
    table = statistics.to_columns()
    assert list(table) == list(COLUMNS)
    again = GenerationStatistics.from_columns(table | {"id": np.arange(50)}, statistics.fingerprint)
    assert score_generations([again], resamples=300) == scores
    with pytest.raises(DataError, match="text statistics lacks rougeL"):
        GenerationStatistics.from_columns({name: values for name, values in table.items() if name != "rougeL"})
    three = score_generations([statistics, again, statistics], resamples=300)["rougeL"]
    assert (three.seeds, three.deviation) == (3, 0.0)
    one = bare_statistics_score([statistics.select([0])], "rouge1").mean
    assert (one.n, one.low) == (1, None)


def test_the_bootstrap_is_that_of_texts_drawn_one_by_one():
    """The replicates are those of scoring resampled texts, which the interval is a quantile of."""
    rng = np.random.default_rng(3)
    references = texts_of(rng, 40)
    statistics = GenerationStatistics.of(noisy(rng, references, 0.4), references, translation_edit_rate=False)
    drawn = [statistics.select(rng.integers(0, 40, 40)).corpus() for _ in range(1500)]
    scores = score_generations([statistics], resamples=4000)
    for name in ("rougeL", "bleu", "token_f1"):
        low, high = np.quantile([one[name] for one in drawn], [0.025, 0.975])
        width = high - low
        assert scores[name].mean.low == pytest.approx(low, abs=0.12 * width)
        assert scores[name].mean.high == pytest.approx(high, abs=0.12 * width)
    assert scores["ter"].mean.value is None
    assert "TER was not computed" in scores["ter"].mean.note


def test_a_planted_difference_is_found_and_no_difference_is_not():
    rng = np.random.default_rng(4)
    references = texts_of(rng, 200)
    first, same, better = (
        GenerationStatistics.of(noisy(rng, references, share), references, translation_edit_rate=False)
        for share in (0.4, 0.4, 0.25)
    )
    null, planted = compare_generations({"first": [first], "same": [same], "better": [better]}, resamples=1000)
    assert null.better() is None
    assert planted.better() == "better"
    assert planted.difference == pytest.approx(better.corpus()["rougeL"] - same.corpus()["rougeL"])
    assert planted.p_value == planted.p_values["approximate_randomization"] < 0.01
    itself = compare_generations({"a": [first], "b": [first]}, metric="exact_match", resamples=100)[0]
    assert (itself.difference, itself.p_value) == (0.0, 1.0)
    with pytest.raises(ConfigError, match="best at 1"):
        compare_generations({"a": [first], "b": [same]}, metric="length_ratio")
    with pytest.raises(ConfigError, match="Did you mean 'rougeL'"):
        compare_generations({"a": [first], "b": [same]}, metric="rouge_L")
    with pytest.raises(DataError, match="ter is undefined. TER was not computed"):
        compare_generations({"a": [first], "b": [same]}, metric="ter")


def test_other_words_or_other_texts_are_not_compared():
    plain, stemmed = (GenerationStatistics.of(["a b"] * 2, ["a b"] * 2, stemmer=stemmer) for stemmer in (False, True))
    with pytest.raises(DataError, match="other references"):
        compare_generations({"a": [plain], "b": [stemmed]})
    with pytest.raises(DataError, match="seed 1 wrote 1 texts and seed 0 2"):
        score_generations([plain, plain.select([0])])
    with pytest.raises(DataError, match="no outputs|no generated texts"):
        score_generations([])
    sentences = SentenceStatistics.of(["a b"] * 2, ["a b"] * 2)
    with pytest.raises(DataError, match="same counts"):
        compare_systems({"a": [plain], "b": [sentences]}, metric="bleu")


@pytest.mark.parametrize(
    "predictions, references, message",
    [
        (["a"], ["a", "b"], "1 generated texts and 2 references: each row"),
        ([], [], "no generated texts"),
        (["a", None], ["a", "b"], "Generated text number 1 is None"),
        (["a", "b"], ["a", []], "Row number 1 has no reference"),
        (["a", "b"], ["", " "], "references of the 2 rows are empty"),
    ],
)
def test_what_cannot_be_scored_is_named(predictions, references, message):
    with pytest.raises(DataError, match=message):
        GenerationStatistics.of(predictions, references)


def test_diversity_by_hand():
    found = diversity(["a b a b a b", "c", ""])
    assert found["distinct_1"] == 3 / 7
    assert found["distinct_2"] == 2 / 5
    assert found["distinct_3"] == 2 / 4
    assert found["repetition"] == pytest.approx(1 - 2 / 3)  # abab, baba, abab; the short texts have no 4-gram
    assert found["mean_length"] == pytest.approx(7 / 3)
    varied = diversity(["one two three four five", "six seven eight nine ten"])
    assert (varied["distinct_1"], varied["repetition"]) == (1.0, 0.0)
    assert np.isnan(diversity([""])["distinct_1"])
    assert np.isnan(diversity(["a b"])["repetition"])
    for wrong, message in (("abc", "one string"), ([], "no texts"), ([None], "number 0 is None")):
        with pytest.raises(DataError, match=message):
            diversity(wrong)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=8), min_size=1, max_size=5), st.integers(1, 4))
def test_distinct_is_a_share_that_more_of_the_same_lowers(rows, n):
    once, twice = distinct(rows, n), distinct([*rows, *rows], n)
    assert np.isnan(once) or (0 < once <= 1 and twice == pytest.approx(once / 2))


def test_resamples_in_bulk_equal_resamples_alone():
    """All scores are functions of sums, for any leading shape."""
    rng = np.random.default_rng(5)
    references = texts_of(rng, 12)
    statistics = GenerationStatistics.of(noisy(rng, references, 0.5), references)
    together = statistics.values(statistics.columns.reshape(3, 4, -1))
    for row in range(12):
        alone = statistics.select([row]).corpus()
        assert all(together[name][row // 4, row % 4] == alone[name] for name in MEASURES)


TEXTS = ["the dogs run", "in a hat", "x"]
REFERENCES = [["the dogs ran", "Dogs run"], ["in the hat"], ["x"]]


def test_hub_metrics_equal_the_plain_functions():
    statistics = GenerationStatistics.of(TEXTS, REFERENCES)
    plain = statistics.corpus()

    def computed(name, **more):
        return load_metric(name).compute(predictions=TEXTS, references=REFERENCES, **more)

    assert computed("rouge") == pytest.approx({kind: plain[kind] for kind in ROUGE_TYPES})
    stemmed = GenerationStatistics.of(TEXTS, REFERENCES, stemmer=True).corpus()
    assert computed("rouge", use_stemmer=True) == pytest.approx({kind: stemmed[kind] for kind in ROUGE_TYPES})
    bleu = computed("sacrebleu")
    reference = sacrebleu.corpus_bleu(TEXTS, [[r[0] for r in REFERENCES], ["Dogs run", None, None]])
    assert bleu["score"] == pytest.approx(plain["bleu"]) == pytest.approx(reference.score)
    assert (bleu["counts"], bleu["totals"]) == (reference.counts, reference.totals)
    assert (bleu["sys_len"], bleu["ref_len"]) == (reference.sys_len, reference.ref_len)
    assert computed("sacrebleu", lowercase=True)["score"] == pytest.approx(plain["bleu_lowercase"])
    assert computed("chrf") == {"score": pytest.approx(plain["chrf"])}
    assert computed("ter") == {"score": pytest.approx(plain["ter"])}
    assert computed("exact_match") == {"exact_match": pytest.approx(plain["exact_match"])}
    assert computed("token_f1") == {"token_f1": pytest.approx(plain["token_f1"])}
    one_each = load_metric("rouge").compute(predictions=TEXTS, references=["the dogs ran", "in the hat", "x"])
    assert one_each["rouge1"] <= plain["rouge1"]


def test_hub_metrics_of_answers_and_entities():
    answers = AnswerStatistics.of(TEXTS, REFERENCES, version="1.1").corpus()
    expected = {"exact_match": 100 * answers["exact_match"], "f1": 100 * answers["f1"]}
    assert load_metric("squad").compute(predictions=TEXTS, references=REFERENCES) == pytest.approx(expected)
    rows = [{"id": str(row), "prediction_text": text} for row, text in enumerate(TEXTS)]
    golds = [
        {"id": str(row), "answers": {"text": rights, "answer_start": [0] * len(rights)}}
        for row, rights in enumerate(REFERENCES)
    ]
    assert load_metric("squad").compute(predictions=rows[::-1], references=golds) == pytest.approx(expected)
    with pytest.raises(DataError, match="Question '2' has no prediction"):
        load_metric("squad").compute(predictions=[*rows[:2], rows[0]], references=golds)

    tags, gold = [["B-PER", "I-PER", "O"], ["B-LOC"]], [["B-PER", "I-PER", "B-ORG"], ["B-LOC"]]
    found = load_metric("seqeval").compute(predictions=tags, references=gold)
    plain = EntityStatistics.of(tags, gold).corpus()
    assert found["overall_f1"] == plain["entity_f1"]
    assert found["overall_accuracy"] == plain["token_accuracy"]
    assert found["ORG"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 1}
    assert load_metric("entity_f1").compute(predictions=tags, references=gold) == {"entity_f1": plain["entity_f1"]}
    assert load_metric("entity_f1").compute(predictions=[["O"]], references=[["O"]]) == {"entity_f1": 0.0}


def test_hub_metric_of_a_language_model():
    class Halves:
        def score(self, texts):
            return [
                TokenScores(tuple(words), np.log(np.full(len(words), 0.5)), np.ones(len(words), bool), len(words),
                            len(text.encode()))
                for text in texts for words in [text.split()]
            ]  # fmt: skip

    found = load_metric("perplexity").compute(predictions=["a b c", "d"], model=Halves())
    assert found["perplexity"] == pytest.approx(2.0)
    assert found["bits_per_byte"] == pytest.approx(4 / 6)
    losses = language_modeling.TextLosses.of(Halves().score(["a b c", "d"]))
    plain = language_modeling.metric_values(losses.columns.sum(axis=0))
    assert found == {name: pytest.approx(float(plain[name])) for name in found}
    with pytest.raises(DataError, match=r"nlpladder.load"):
        load_metric("perplexity").compute(predictions=["a"], model="gpt2")


def test_every_text_metric_is_there_and_a_misspelt_one_gets_the_nearest():
    assert all(load_metric(name).metric_name == name for name in TEXT_METRICS)
    with pytest.raises(ConfigError, match="Did you mean 'rouge'"):
        load_metric("rogue")


def test_any_statistics_have_the_same_scores():
    """`score_statistics` is one function for translations, texts, entities and answers."""
    sentences = SentenceStatistics.of(["a b c d", "x"], ["a b c e", "x"])
    texts = GenerationStatistics.of(["a b c d", "x"], ["a b c e", "x"])
    ours, theirs = (score_statistics([one], resamples=50) for one in (texts, sentences))
    for name in ("bleu", "chrf", "ter", "exact_match"):
        assert (ours[name].mean.value, ours[name].mean.low) == (theirs[name].mean.value, theirs[name].mean.low)
