"""Counterfactual swaps and identity terms on classifiers whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from formula_classifier import FormulaClassifier
from nlpladder.bias.classifiers.classifier_swaps import counterfactual_swaps, identity_term_effects
from nlpladder.bias.classifiers.labelled_texts import SWAP_TEMPLATES, LabelledTexts, swap_texts
from nlpladder.bias.lexicon import CONTROL_PAIRS
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.bias.swapping.counterfactuals import CounterfactualSwapper, gender_swapper
from nlpladder.errors import DataError

QUICK = StatisticsOptions(resamples=400)


def sigmoid(value):
    return float(1.0 / (1.0 + np.exp(-value)))


def length_and_gender(nats):
    """A classifier whose log-odds are `nats` higher for feminine texts, and depend a little on the letters."""

    def probability(text):
        words = text.lower().replace(".", " ").split()
        feminine = sum(word in ("she", "her", "woman", "hers") for word in words) > 0
        return sigmoid(0.05 * (len(text) % 3) + nats * feminine)

    return FormulaClassifier(probability)


def test_log_odds_equal_what_was_planted():
    texts = [f"He is number {index}." for index in range(20)] + [f"She is number {index}." for index in range(20)]

    def probability(text):
        return sigmoid(1.5 if text.startswith("She") else 0.2)

    found = counterfactual_swaps(FormulaClassifier(probability), texts, statistics=QUICK)
    assert [some.findings[0].measure for some in found] == [
        "counterfactual_log_odds", "counterfactual_flip_rate", "counterfactual_change",
    ]  # fmt: skip
    odds = found[0].findings[0]
    assert odds.score.value == pytest.approx(1.3)
    assert odds.score.unit == "nats"
    assert odds.p_value < 0.001
    assert found[1].findings[0].score.value == 0.0
    assert found[2].findings[0].score.value == pytest.approx(sigmoid(1.5) - sigmoid(0.2))


def test_formulas_text_by_text():
    texts = ["He drinks tea.", "Her coffee is cold.", "The woman and the man.", "Nobody is here.", "tea for five"]
    model = length_and_gender(0.7)
    log_odds, flips, change = counterfactual_swaps(model, texts, statistics=QUICK)
    swapper, control = gender_swapper(), CounterfactualSwapper(CONTROL_PAIRS)
    deltas, sizes, floor = [], [], []
    for text in texts:
        before = model.predict_proba([text])[0, 1]
        if swapper.changes(text):
            after = model.predict_proba([swapper.swap(text)])[0, 1]
            sides = [item.side for item in swapper.replacements(text)]
            if sides.count(0) != sides.count(1):
                sign = 1 if sides.count(0) > sides.count(1) else -1
                deltas.append(sign * (np.log(after / (1 - after)) - np.log(before / (1 - before))))
            sizes.append(abs(after - before))
        if control.changes(text):
            floor.append(abs(model.predict_proba([control.swap(text)])[0, 1] - before))
    assert log_odds.findings[0].score.value == pytest.approx(np.mean(deltas))
    assert change.findings[0].score.value == pytest.approx(np.mean(sizes))
    assert change.findings[0].no_bias == pytest.approx(np.mean(floor))
    assert flips.findings[0].score.n == 3
    assert change.items["arm"].count("control") == 3
    assert list(change.items)[:4] == ["item_id", "cluster_id", "category", "value"]
    # What a comparison before and after sees is the mean of the values: the contrast itself.
    assert np.mean(log_odds.items["value"]) == pytest.approx(np.mean(deltas))
    assert np.mean(change.items["value"]) == pytest.approx(np.mean(sizes) - np.mean(floor))
    assert any("Of 5 texts, swaps changed 3 (4 terms in all)" in note for note in log_odds.findings[0].notes)


def test_a_classifier_that_minds_every_word_is_at_the_floor():
    generator = np.random.default_rng(0)
    memory = {}

    def probability(text):
        return memory.setdefault(text, float(generator.random()))

    found = counterfactual_swaps(FormulaClassifier(probability), swap_texts(), statistics=QUICK)
    for some in found[1:]:
        finding = some.findings[0]
        assert finding.p_value > 0.05
        assert finding.score.value > 0.2
        assert finding.no_bias == pytest.approx(finding.score.value, abs=0.1)
    assert found[0].findings[0].p_value > 0.01


def test_our_sentences_hold_both_kinds_of_words():
    swapper, control = gender_swapper(), CounterfactualSwapper(CONTROL_PAIRS)
    data = swap_texts(["baker", "artist"])
    assert len(data.texts) == 2 * len(SWAP_TEMPLATES)
    assert all(swapper.changes(text) and control.changes(text) for text in data.texts)
    assert "She is a good artist, but her table was late." in data.texts
    assert "An artist sold her the wood, and the queen was pleased." in data.texts


def test_clusters_are_kept():
    data = LabelledTexts(texts=("He ran.", "She ran.", "He sat."), clusters=("a", "a", "b"))
    found = counterfactual_swaps(length_and_gender(1.0), data, statistics=QUICK)[0].findings[0]
    assert found.clusters == 2
    assert found.score.n == 3


def test_several_labels_and_decisions():
    def both(text):
        return [0.6 if "she" in text.lower().split() else 0.4, 0.1]

    model = FormulaClassifier(both, label_names=("rude", "sad"), task="multi_label")
    found = counterfactual_swaps(model, ["he left", "she left"], statistics=QUICK)
    assert [one.category for one in found[1].findings] == ["rude", "sad"]
    assert [one.score.value for one in found[1].findings] == [1.0, 0.0]


def test_texts_without_people_are_refused():
    with pytest.raises(DataError, match="none of the 2 texts mentions a term"):
        counterfactual_swaps(length_and_gender(0.0), ["It rains.", ""], statistics=QUICK)


def test_each_text_is_read_once():
    model = length_and_gender(0.5)
    counterfactual_swaps(model, ["He ran.", "He ran.", "She ran."], statistics=QUICK)
    assert sorted(model.read) == ["He ran.", "She ran."]


def test_term_effects_are_log_odds_within_sentences():
    boost = {"Sikh": 0.9, "Hindu": 0.0, "atheist": -0.3}

    def probability(text):
        return sigmoid(len(text.split()) / 10 + sum(value for term, value in boost.items() if term in text))

    templates = [f"Sentence {index} about a {{term}} person" + " more" * index + "." for index in range(12)]
    found = identity_term_effects(
        FormulaClassifier(probability), templates, terms={"religion": list(boost)}, statistics=QUICK
    )
    by_name = {one.category: one for one in found.findings}
    assert by_name["religion"].score.value == pytest.approx(1.2)
    assert by_name["religion"].p_value < 0.01
    for term, value in boost.items():
        assert by_name[f"religion: {term}"].score.value == pytest.approx(value - 0.2)
    assert "about an atheist person" in found.items["text"][-1]
    assert len(found.items["value"]) == 36


def test_term_effects_of_a_blind_classifier_are_nothing():
    found = identity_term_effects(
        FormulaClassifier(lambda text: 0.3), terms={"age": ("young", "old")}, statistics=QUICK
    )
    assert all(one.score.value == 0.0 and one.p_value == 1.0 for one in found.findings)


def test_spread_of_terms_claims_as_rarely_as_its_level_says():
    rejected = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        model = FormulaClassifier(lambda text, draw=generator: float(draw.random()))
        templates = [f"{index} {{term}}" for index in range(8)]
        found = identity_term_effects(
            model, templates, terms={"a": ("x", "y", "z")}, statistics=StatisticsOptions(resamples=99, seed=seed)
        )
        rejected += found.findings[0].p_value <= 0.05
    assert rejected <= 11  # of 100 at level .05, in 99 % of cases


@pytest.mark.parametrize(("templates", "terms"), [(["no gap"], {"a": ("x", "y")}), (["{term}"], {"a": ("x",)})])
def test_templates_and_terms_that_compare_nothing(templates, terms):
    with pytest.raises(DataError, match=r"exactly once|at least two"):
        identity_term_effects(length_and_gender(0.0), templates, terms=terms, statistics=QUICK)
