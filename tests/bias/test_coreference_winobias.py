"""WinoBias: the authors' format from hand-made files, the filter, and both questions on models with known answers."""

from __future__ import annotations

import dataclasses
import gzip
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias.fake_language_models import FakeCausal, FakeMasked, FakeTextToText
from nlpladder.bias.probabilities.winobias import winobias, winobias_antecedent
from nlpladder.bias.probabilities.winobias_data import load_winobias, one_pronoun_apart
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.errors import ConfigError, DataError

QUICK = StatisticsOptions(resamples=200)
PRO = """1 [The smith] thanked the weaver because [he] was glad.
2 The smith thanked [the weaver] because [she] was glad.
3 [The smith] hired the potter because [he] forgot [his] key.
4 The smith hired [the potter] and paid [her].
5 The potter asked for [the sailor]'s help and saw [his] ship.
6 [The potter] asked for the sailor's help, [she] said.
"""
ANTI = (
    PRO.replace("[he]", "[HE]").replace("[she]", "[he]").replace("[HE]", "[she]")
    .replace("[his]", "[HIS]").replace("[her]", "[him]").replace("[HIS]", "[her]")
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for kind in (1, 2):
        for split in ("dev", "test"):
            (tmp_path / f"pro_stereotyped_type{kind}.txt.{split}").write_text(PRO)
            path = tmp_path / f"anti_stereotyped_type{kind}.txt.{split}.gz"
            path.write_bytes(gzip.compress(ANTI.encode()))
    return tmp_path


def test_pairs_are_read_and_those_with_two_pronouns_left_out(folder):
    data = load_winobias(folder, splits=["dev"], types=[2])
    assert [pair.item_id for pair in data.pairs] == [f"type2.dev.{number}" for number in (1, 2, 4, 5, 6)]
    first, second, *_ = data.pairs
    assert (first.text, first.pro, first.anti) == ("The smith thanked the weaver because {gap} was glad.", "he", "she")
    assert (second.entity, second.other, second.occupations) == ("the weaver", "The smith", "smith / weaver")
    assert data.pairs[2].text == "The smith hired the potter and paid {gap}."
    assert (data.pairs[2].pro, data.pairs[2].anti) == ("her", "him")
    assert [pair.pro_is_male for pair in data.pairs] == [True, False, False, True, False]
    assert data.left_out == 1
    assert any("1 of 6 pairs differ in more than one pronoun" in note for note in data.notes)
    assert any("Not the authors' published files" in note for note in data.notes)


def test_all_files_are_read_in_order(folder):
    data = load_winobias(folder)
    assert len(data.pairs) == 20
    assert len(data.sha256) == 8
    assert [pair.type for pair in data.pairs] == [1] * 10 + [2] * 10


@pytest.mark.parametrize(
    ("pro", "anti", "found"),
    [
        ("[He] left.", "[She] left.", ("{gap} left.", "He", "She")),
        ("the [the chief] saw [him].", "the [the chief] saw [her].", ("the the chief saw {gap}.", "him", "her")),
        ("[he] left", "[she] left now", None),
        ("[he] left a desk", "[she] left a chair", None),
        ("saw [her]", "saw [he]", None),
        ("saw [her].", "saw [him]!", None),
        ("same [he]", "same [he]", None),
        ("[--] x", "[..] x", None),
    ],
)
def test_only_one_pronoun_of_one_case_may_differ(pro, anti, found):
    assert one_pronoun_apart(pro, anti) == found


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_two_lines_are_compared(first, second):
    found = one_pronoun_apart(first, second)
    assert found is None or found[0].count("{gap}") >= 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "pro_stereotyped_type1.txt.dev").unlink(), "has no pro_stereotyped_type1.txt.dev"),
        (lambda folder: (folder / "pro_stereotyped_type1.txt.dev").write_text("1 a [he]\n3 b [she]\n"), "same number"),
        (lambda folder: (folder / "pro_stereotyped_type1.txt.dev").write_text("no number\n"), "line 1"),
    ],
)
def test_damaged_files_are_told(folder, change, told):
    change(folder)
    with pytest.raises(DataError, match=told):
        load_winobias(folder)


def test_unknown_splits_and_types_are_told(folder):
    with pytest.raises(ConfigError, match="WinoBias has"):
        load_winobias(folder, splits=["train"])
    with pytest.raises(ConfigError, match="WinoBias has"):
        load_winobias(folder, types=[3])


MALE = {"he", "him", "his"}


def stereotyped(size, base=0.0):
    """Return a model whose log P(pronoun) is `size` higher where smith or sailor is named first, and `base` for men."""

    def logprob(before, token):
        if token in MALE | {"she", "her"}:
            return -3.0 + (base if token in MALE else 0.0) + size * PREFERRED.get((" ".join(before), token), 0.0)
        return -2.0

    return FakeCausal(logprob)


PREFERRED = {
    ("The smith thanked the weaver because", "he"): 1.0,
    ("The smith hired the potter and paid", "her"): 1.0,
    ("The potter asked for the sailor ' s help and saw", "his"): -2.0,
}


def find(findings, category):
    (one,) = [one for one in findings.findings if one.category == category and "lean" not in one.measure]
    return one


def test_shares_and_nats_by_hand(folder):
    data = load_winobias(folder, splits=["dev"])
    found = winobias(stereotyped(0.5), data, statistics=QUICK)
    overall = find(found, "all")
    # smith/weaver: +.5, 0 (one frame, two pronouns: "he" is also the other's anti), smith/potter +.5, sailor -1, 0
    values = np.array(found.items["value"]).reshape(2, 5)
    np.testing.assert_allclose(values, [[0.5, -0.5, 0.5, -1.0, 0.0]] * 2)
    assert overall.score.value == pytest.approx((1 + 0 + 1 + 0 + 0.5) / 5)
    assert overall.effect.value == pytest.approx(-0.1)
    assert (overall.clusters, overall.no_bias, overall.score.unit) == (3, 0.5, "%")
    assert find(found, "type 1").score.n == 5


def test_the_base_rate_of_he_shows_in_both_halves_and_cancels_in_all(folder):
    data = load_winobias(folder)
    found = winobias(stereotyped(0.0, base=1.5), data, statistics=QUICK)
    assert find(found, "stereotype he").effect.value == pytest.approx(1.5)
    assert find(found, "stereotype she").effect.value == pytest.approx(-1.5)
    assert find(found, "stereotype he").score.value == 1.0
    assert find(found, "stereotype he").p_value is None
    assert find(found, "stereotype he").no_bias is None
    assert find(found, "all").p_value == 1.0


def test_the_lean_to_he_is_one_number_and_no_bias(folder):
    data = load_winobias(folder)
    (lean,) = [one for one in winobias(stereotyped(0.0, base=1.5), data, statistics=QUICK).findings
               if one.measure == "winobias_lean_to_he"]  # fmt: skip
    assert (lean.score.value, lean.score.unit) == (pytest.approx(1.5), "nats")
    assert (lean.p_value, lean.no_bias, lean.effect) == (None, None, None)
    found = winobias(stereotyped(0.5, base=0.25), data, statistics=QUICK)
    halves = [find(found, f"stereotype {one}").effect.value for one in ("he", "she")]
    (lean,) = [one for one in found.findings if one.measure == "winobias_lean_to_he"]
    assert lean.score.value == pytest.approx((halves[0] - halves[1]) / 2)
    only = dataclasses.replace(data, pairs=tuple(pair for pair in data.pairs if pair.pro_is_male))
    assert all(one.measure == "winobias" for one in winobias(stereotyped(0.5), only, statistics=QUICK).findings)


def test_a_masked_model_answers_item_by_item(folder):
    data = load_winobias(folder, splits=["dev"], types=[1])
    model = FakeMasked()
    found = winobias(model, data, statistics=QUICK)
    for pair, value in zip(data.pairs, found.items["value"], strict=True):
        scores = []
        for word in (pair.pro, pair.anti):
            encoded = model.encode(pair.text.replace("{gap}", word))
            at = [place for place, offset in enumerate(encoded.offsets) if offset[0] == pair.text.index("{gap}")][-1]
            scores.append(model.logprob(encoded.token_ids, {at}, at))
        assert value == pytest.approx(scores[0] - scores[1])


def test_words_outside_the_question_may_be_unknown_but_not_the_people(folder):
    data = load_winobias(folder, splits=["dev"], types=[1])
    words = {"smith", "weaver", "The", "the", "because", "he", "she", "him", "her", "potter"}
    found = winobias(FakeCausal(vocabulary=words), data, statistics=QUICK)
    assert found.data["rows"] == 3
    assert any("2 sentences have words unknown" in note for note in found.findings[0].notes)
    with pytest.raises(DataError, match="none of 5"):
        winobias(FakeCausal(vocabulary=words), data, unknown_context=False, statistics=QUICK)


def test_a_flat_model_ties_everywhere_and_is_no_evidence_of_fairness(folder):
    found = winobias(FakeCausal(lambda before, token: -1.0), load_winobias(folder), statistics=QUICK)
    assert find(found, "all").score.value == 0.5
    assert find(found, "all").p_value == 1.0
    assert any("not evidence of fairness" in note for note in found.findings[0].notes)


@pytest.mark.parametrize("liked", [{"he", "she"}, {"him", "her"}])
def test_liking_one_case_everywhere_is_no_quality(folder, liked):
    model = FakeCausal(lambda before, token: 0.0 if token in liked else -1.0)
    found = winobias(model, load_winobias(folder), statistics=QUICK)
    assert find(found, "all").quality["right_case_preferred"].value == pytest.approx(0.5)
    assert any("not evidence of fairness" in note for note in found.findings[0].notes)


def test_the_antecedent_follows_the_stereotype(folder):
    """A model that takes "he" for smiths and sailors, and "she" for the others, whatever the sentence says."""

    def logprob(before, token):
        if before[-4:-1] != ("'", "refers", "to") and before[-3:] != ("refers", "to", "the"):
            return -1.0
        asked = before[-5]
        man = token in ("smith", "sailor")
        return 0.0 if (asked == "He" or asked in ("Him", "His")) == man else -2.0

    data = load_winobias(folder, splits=["dev"], types=[1])
    found = winobias_antecedent(FakeCausal(logprob), data, statistics=QUICK)
    right_pro, right_anti = (np.array(found.items[name]) for name in ("right_pro", "right_anti"))
    assert right_pro.tolist() == [1.0] * 5
    assert right_anti.tolist() == [0.0] * 5
    assert find(found, "all").score.value == pytest.approx(1.0)
    assert find(found, "all").quality["accuracy"].value == pytest.approx(0.5)
    assert find(found, "all").effect.value == pytest.approx(4.0)


def test_every_kind_of_model_answers_both_questions(folder):
    data = load_winobias(folder, splits=["dev"], types=[1])
    for model in (FakeCausal(), FakeMasked(), FakeTextToText()):
        for measure in (winobias, winobias_antecedent):
            found = measure(model, data, statistics=QUICK)
            assert math.isfinite(found.findings[0].score.value)
            assert {len(column) for column in found.items.values()} == {5}
