"""CrowS-Pairs: every estimator equals a literal transcription, counts and ties are the authors', no skill is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bias import crows_pairs_reference as reference
from bias.tiny_masked_models import KnownMaskedModel, tiny_masked_model
from nlpladder.bias.pairs.crows_pairs import crows_pairs
from nlpladder.bias.pairs.pair_scores import ESTIMATORS, score_pairs
from nlpladder.bias.pairs.sentence_pairs import PairData, SentencePair, clusters_of, frame_of, overlap, pieces_of_words
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.bias.text_scores import text_log_probabilities
from nlpladder.errors import ConfigError, DataError, ModelError

FAST = StatisticsOptions(resamples=500)
#: One piece for one, several for one, a word more, a word less, other order, the same twice, capitals, unknown signs.
SENTENCES = [
    ("The poor people can drive.", "The rich people can drive.", "gender", "stereo"),
    ("the doctor said that he was very kind", "the doctor said that she was very kind", "gender", "antistereo"),
    ("The rappers are not tall", "The farmers are not tall", "age", "stereo"),
    ("old people drive", "very young people drive", "age", "stereo"),
    ("the very old nurse can cook", "the nurse can cook", "age", "antistereo"),
    ("a nurse and a doctor", "a doctor and a nurse", "religion", "stereo"),
    ("people are people", "people are people", "religion", "antistereo"),
    ("THE POOR COOK!", "the kind, tall cook ☃", "race", "stereo"),
    ("farmers and coders aren't rich", "farmers and bankers aren't rich", "race", "stereo"),
    ("she is a driver", "he is a driver", "race", "antistereo"),
    ("x", "y", "race", "stereo"),
    ("old, young", "young, old", "race", "stereo"),
]


def made(rows, **fields):
    pairs = tuple(
        SentencePair(str(number), more, less, category, direction, **fields)
        for number, (more, less, category, direction) in enumerate(rows)
    )
    return PairData("made up", pairs)


DATA = made(SENTENCES)


@pytest.fixture(scope="module")
def bert():
    model = tiny_masked_model()
    model.model.set_attn_implementation("eager")  # the reference reads attention weights
    return model


@pytest.fixture(scope="module")
def wanted(bert):
    return [reference.crows_pll(bert, pair) for pair in DATA.pairs]


def test_crows_pll_is_the_authors_item_by_item(bert, wanted):
    found = crows_pairs(bert, DATA, statistics=FAST)
    np.testing.assert_allclose(
        np.column_stack([found.items["score_more"], found.items["score_less"]]), np.array(wanted), atol=1e-4
    )
    assert np.abs(found.items["value"]).max() > 0.1, "nothing depends on anything"
    assert found.items["tokens_more"] == found.items["tokens_less"], "shared tokens are as many on both sides"
    assert found.items["category"] == [pair.category for pair in DATA.pairs]


def test_counts_with_three_decimals_are_the_authors(bert, wanted):
    found = crows_pairs(bert, DATA, round_to=3, statistics=FAST)
    rows = [(*scores, pair.direction) for scores, pair in zip(wanted, DATA.pairs, strict=True)]
    hits, stereo, of_stereo, anti, of_anti = reference.evaluate(rows)
    by_name = {finding.category: finding for finding in found.findings}
    assert found.findings[0].category == "all"
    assert by_name["all"].score.value == pytest.approx(hits / len(rows))
    assert by_name["stereo"].score.value == pytest.approx(stereo / of_stereo)
    assert by_name["antistereo"].score.value == pytest.approx(anti / of_anti)
    assert (by_name["stereo"].score.n, by_name["antistereo"].score.n) == (of_stereo, of_anti)
    assert of_stereo + of_anti == len(rows) - 2, "the equal pair and x/y, which share nothing, are ties"
    assert any("2 ties after rounding to 3 decimals" in note for note in found.findings[0].notes)
    differences = [more - less for more, less in wanted]
    assert by_name["all"].effect.value == pytest.approx(np.mean(differences), abs=1e-3)
    assert by_name["all"].effect.unit == "nats"


@pytest.mark.parametrize("name", ["crows_diff_mean", "sss"])
def test_means_over_differing_tokens(bert, name):
    expected = [getattr(reference, name)(bert, pair) for pair in DATA.pairs]
    scores = score_pairs(bert, DATA.pairs, name)
    for row, both in enumerate(expected):
        assert scores.kept[row] == (both is not None)
        if both is not None:
            np.testing.assert_allclose((scores.more[row], scores.less[row]), both, atol=1e-4)
    assert sum(both is None for both in expected) == 2
    found = crows_pairs(bert, DATA, estimator=name, statistics=FAST)
    assert found.findings[0].score.n == len(DATA.pairs) - 2
    assert any("2 pairs are left out, as in bias-bench" in note for note in found.findings[0].notes)


@pytest.mark.parametrize(("name", "attention"), [("aul", False), ("aula", True)])
def test_aul_and_aula_are_kanekos(bert, name, attention):
    scores = score_pairs(bert, DATA.pairs, name)
    for row, pair in enumerate(DATA.pairs):
        assert scores.more[row] == pytest.approx(reference.unmasked(bert, pair.more, attention=attention), abs=1e-4)
        assert scores.less[row] == pytest.approx(reference.unmasked(bert, pair.less, attention=attention), abs=1e-4)


def test_pll_word_l2r_hides_the_rest_of_the_word(bert):
    scores = score_pairs(bert, DATA.pairs, "pll_word_l2r")
    for row, pair in enumerate(DATA.pairs):
        assert scores.more[row] == pytest.approx(reference.pll_word_l2r(bert, pair.more), abs=1e-4)
        assert scores.less[row] == pytest.approx(reference.pll_word_l2r(bert, pair.less), abs=1e-4)


def test_causal_estimators_begin_behind_the_begin_mark_and_leave_the_end_mark_out(tmp_path):
    from models.tiny_pretrained import tiny_checkpoint
    from nlpladder.models.neural_language_model import NeuralLanguageModel

    model = NeuralLanguageModel.from_pretrained(tiny_checkpoint("gpt2", tmp_path / "gpt2"))
    data = made(
        [("the film was good", "the film was bad and dull", "a", "stereo"), ("so good", "so so", "b", "stereo")]
    )
    begin = model.tokenizer.bos_token_id
    means, sums = (score_pairs(model, data.pairs, name) for name in ("crows_causal_ppl", "crows_causal_sum"))
    for row, pair in enumerate(data.pairs):
        for text, mean, total in ((pair.more, means.more, sums.more), (pair.less, means.less, sums.less)):
            tokens = model.tokenizer.encode(text)
            with torch.no_grad():
                logits = model.model(torch.tensor([[begin, *tokens]])).logits[0]
            probabilities = torch.softmax(logits.double(), dim=-1)
            joint = [probabilities[place, token].item() for place, token in enumerate(tokens)]
            # bias-bench: 2 to the mean of base-2 logarithms
            assert math.exp(mean[row]) == pytest.approx(2 ** (np.sum(np.log2(joint)) / len(joint)), rel=1e-4)
            assert total[row] == pytest.approx(np.sum(np.log(joint)), abs=1e-4)
    found = crows_pairs(model, data, estimator="crows_causal_sum", statistics=FAST)
    absolute = np.abs(sums.more - sums.less).mean()
    assert any(f"Mean absolute difference {absolute:.3f} nats" in note for note in found.findings[0].notes)
    assert "sentence told from its words shuffled" in found.findings[0].quality


def test_an_ngram_model_stands_in_the_same_table():
    from models.ngram.back_off_reference import WORDS, levels_of, normalised_model
    from nlpladder.models.ngram.model import NGramLanguageModel

    model = NGramLanguageModel.from_levels(levels_of(normalised_model(3, 1, WORDS), 3), WORDS)
    known = [word for word in WORDS if not word.startswith("<")]
    texts = [f"{known[0]} {known[1]}", known[0]]
    lengths = [len(found) for found in text_log_probabilities(model, texts)]
    assert lengths == [2, 1], "without </s>"
    data = made([(*texts, "a", "stereo"), (texts[1], texts[0], "a", "stereo")])
    found = crows_pairs(model, data, estimator="crows_causal_sum", statistics=FAST)
    assert found.items["value"][0] == pytest.approx(-found.items["value"][1])


def preference(words, place, word):
    """Know every sentence that begins with "the"; like "poor" by one nat at the other places of its sentence."""
    if "gap" in words:
        return -5.0
    return -1.0 - (0.0 if "poor" in words or word == "poor" else 0.25)


def test_a_planted_preference_is_found_in_nats():
    rows = [(f"the poor man {word} here", f"the rich man {word} here", "class", "stereo") for word in "abcdefgh"]
    found = crows_pairs(KnownMaskedModel(preference), made(rows), statistics=FAST)
    main = found.findings[0]
    assert main.score.value == 1.0
    assert main.effect.value == pytest.approx(4 * 0.25)
    assert main.p_value == pytest.approx(2 / 2**8, rel=0.01)
    assert main.ceiling == 1.0
    assert not main.graded
    assert main.score.low > 0.5


def test_a_model_that_knows_nothing_is_told(bert):
    who, what = ("doctor", "nurse", "people", "farm"), ("cook", "drive", "rap", "farm", "kind")
    rows = [(f"the poor {a} can {b}", f"the rich {a} can {b}", "class", "stereo") for a in who for b in what]
    ignorant = crows_pairs(KnownMaskedModel(lambda *_: -3.0), made(rows), statistics=FAST)
    quality = ignorant.findings[0].quality["hidden token told from another"]
    assert quality.value == 0.5, "ties count half"
    assert all(any("not evidence of fairness" in note for note in one.notes) for one in ignorant.findings)
    knows = {row[0] for row in rows}

    def knowing(words, place, word):
        filled = " ".join(word if number == place else str(one) for number, one in enumerate(words))
        return -0.1 if filled.removeprefix("<s> ").removesuffix(" </s>") in knows else -4.0

    found = crows_pairs(KnownMaskedModel(knowing), made(rows), statistics=FAST)
    assert found.findings[0].quality["hidden token told from another"].value > 0.6
    random = crows_pairs(bert, made(rows), statistics=FAST)
    assert any("not evidence of fairness" in note for note in random.findings[0].notes)


def test_writers_are_clusters_where_the_data_name_them():
    pairs = [SentencePair(str(n), "the old man", "the young man", "age", writer=f"a{n % 3}") for n in range(6)]
    assert clusters_of(pairs) == (["a0", "a1", "a2"] * 2, "writers")
    nameless = [
        SentencePair("0", "The old man!", "the young man!", "age"),
        SentencePair("1", "the RICH man!", "the poor man!", "x"),
    ]
    clusters, what = clusters_of(nameless)
    assert what == "sentence frames"
    assert clusters[0] == clusters[1] == frame_of(nameless[0]) == "the man !"


SOME_WORDS = st.lists(
    st.sampled_from(("the", "poor", "rich", "old", "people", "rappers", ",", "said")), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(SOME_WORDS, SOME_WORDS)
def test_shared_tokens_are_the_references_and_equal(first, second):
    model = tiny_masked_model()
    more, less = model.encode(" ".join(first)), model.encode(" ".join(second))
    found = overlap(more, less)
    template1, template2 = reference.spans(more.token_ids, less.token_ids, equal=True)
    assert (list(found.shared_more), list(found.shared_less)) == (template1[1:-1], template2[1:-1])
    assert [more.token_ids[one] for one in found.shared_more] == [less.token_ids[one] for one in found.shared_less]
    differing = reference.spans(more.token_ids, less.token_ids, equal=False)
    assert (list(found.differing_more), list(found.differing_less)) == differing


@settings(max_examples=40, deadline=None)
@given(st.text(st.sampled_from("ab ,.'-é1"), max_size=14))
def test_words_are_those_of_the_tokenizer(text):
    model = tiny_masked_model()
    encoding = model.tokenizer(text)
    expected = {}
    for place, word in enumerate(encoding.word_ids()):
        if word is not None:
            expected.setdefault(word, []).append(place)
    assert pieces_of_words(model.encode(text), text) == list(expected.values())


def test_swapping_the_sides_turns_every_value(bert):
    turned = made([(less, more, category, direction) for more, less, category, direction in SENTENCES[:5]])
    for name in ("crows_pll", "aul", "sss"):
        first, second = (score_pairs(bert, data.pairs, name) for data in (made(SENTENCES[:5]), turned))
        np.testing.assert_allclose(first.more - first.less, second.less - second.more, atol=1e-4)


def test_wrong_models_and_names_are_told(bert):
    with pytest.raises(ConfigError, match="Did you mean 'crows_pll'"):
        crows_pairs(bert, DATA, estimator="crows_pl")
    with pytest.raises(ModelError, match="crows_causal_sum needs a model that reads from left to right; MaskedLM"):
        crows_pairs(bert, DATA, estimator="crows_causal_sum")
    with pytest.raises(ModelError, match="aula needs a model that tells its attention"):
        crows_pairs(KnownMaskedModel(lambda *_: 0.0), DATA, estimator="aula")
    with pytest.raises(ConfigError, match="round_to is -1"):
        crows_pairs(bert, DATA, round_to=-1)
    with pytest.raises(DataError, match="score none of the 1 pairs"):
        crows_pairs(bert, made([("a doctor", "a doctor", "x", "stereo")]), estimator="sss")
    assert set(ESTIMATORS) == {
        "crows_pll", "crows_diff_mean", "aul", "aula", "sss", "pll_word_l2r", "crows_causal_ppl", "crows_causal_sum",
    }  # fmt: skip


@pytest.mark.network
def test_bert_base_uncased_prefers_912_of_1508():
    """Nangia et al. 2020 on today's libraries: 60.48, 61.09 of the stereo and 56.88 of the antistereo pairs."""
    import nlpladder
    from nlpladder.bias.pairs.crows_pairs_data import load_crows_pairs

    data = load_crows_pairs("nyu-mll/crows_pairs", revision="refs/convert/parquet")
    found = crows_pairs(nlpladder.load("google-bert/bert-base-uncased"), data, round_to=3)
    hits = {one.category: round(one.score.value * one.score.n) for one in found.findings}
    assert (len(data.pairs), hits["all"], hits["stereo"], hits["antistereo"]) == (1508, 912, 788, 124)


class Counted:
    """Passes everything on to a masked language model, and counts the questions."""

    def __init__(self, model):
        self.model, self.asked = model, 0

    def encode(self, text):
        return self.model.encode(text)

    def query(self, queries):
        self.asked += len(queries)
        return self.model.query(queries)

    def attention_received(self, inputs):
        return self.model.attention_received(inputs)

    def num_parameters(self):
        return 0


def test_estimators_of_one_model_ask_nothing_twice(bert):
    alone, together = Counted(bert), Counted(bert)
    shared: dict = {}
    counts = []
    for name in ("crows_pll", "aul", "aula"):
        one = crows_pairs(alone, DATA, estimator=name, statistics=FAST)
        before = together.asked
        other = crows_pairs(together, DATA, estimator=name, shared=shared, statistics=FAST)
        counts.append(together.asked - before)
        assert one == other, name
    quality = alone.asked - sum(counts) - counts[1]  # aul and aula ask the same; the quality was asked three times
    assert counts[2] == 0
    assert quality > 0
    assert together.asked < alone.asked


def test_other_pairs_and_other_statistics_share_nothing(bert):
    shared: dict = {}
    first = crows_pairs(bert, DATA, estimator="aul", shared=shared, statistics=FAST)
    half = PairData("half", DATA.pairs[: len(DATA.pairs) // 2])
    assert crows_pairs(bert, half, estimator="aul", shared=shared, statistics=FAST) == crows_pairs(
        bert, half, estimator="aul", statistics=FAST
    )
    other = StatisticsOptions(resamples=500, seed=3)
    found = crows_pairs(bert, DATA, estimator="aul", shared=shared, statistics=other)
    assert found == crows_pairs(bert, DATA, estimator="aul", statistics=other)
    assert found.findings[0].quality != first.findings[0].quality


def test_a_causal_model_reads_the_sentences_once_for_both_estimators():
    from bias.fake_language_models import FakeCausal

    class Reader(FakeCausal):
        read = 0

        def score(self, texts):
            self.read += len(texts)
            return super().score(texts)

    model, shared = Reader(), {}
    crows_pairs(model, DATA, estimator="crows_causal_sum", shared=shared, statistics=FAST)
    before = model.read
    found = crows_pairs(model, DATA, estimator="crows_causal_ppl", shared=shared, statistics=FAST)
    assert model.read == before
    assert found == crows_pairs(Reader(), DATA, estimator="crows_causal_ppl", statistics=FAST)


def test_halves_on_opposite_sides_are_told():
    rows = [(f"the poor man {word} here", f"the rich man {word} here", "class", "stereo") for word in "abcd"]
    rows += [(f"the rich man {word} here", f"the poor man {word} here", "class", "antistereo") for word in "ef"]
    found = crows_pairs(KnownMaskedModel(preference), made(rows), statistics=FAST)
    (told,) = [note for note in found.findings[0].notes if "opposite sides" in note]
    assert "100.0 % and 0.0 %" in told
    assert "it is 50.0 %" in told
