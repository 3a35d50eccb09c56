"""The tab Bias: log-odds of two groups in sentences with a gap."""

from __future__ import annotations

import numpy as np
import pytest

from demos.bias_fakes import FakeLanguageModel
from nlpladder.bias.probabilities.gap_filling import GAP
from shell.limits import DemoError
from tabs import bias_templates


def test_an_article_belongs_to_what_fills_the_gap():
    gap = bias_templates.gap_of("She is a {term} person.", ["American", "Mexican"], "of")
    assert gap.text == f"She is {GAP} person."
    assert gap.fillers == ("an American", "a Mexican", "of")
    start = bias_templates.gap_of("A {term} man left.", ["Arab", "Jewish"])
    assert start.fillers == ("An Arab", "A Jewish")
    plain = bias_templates.gap_of("{term} left.", ["he", "she"])
    assert plain.fillers == ("He", "She")
    assert bias_templates.gap_of("The {term} left.", ["man"]).fillers == ("man",)


def test_log_odds_are_those_of_the_mean_probabilities_of_both_groups():
    model = FakeLanguageModel({"he": 1.0, "man": 2.0, "she": 0.5})
    answers = bias_templates.ask_templates("m", model, ["I saw {term}."], ["It was {term}."], ["he", "man"], ["she"])
    expected = np.log((np.exp(1.0) + np.exp(2.0)) / 2) - 0.5
    np.testing.assert_allclose(answers.values, expected)
    np.testing.assert_allclose(answers.neutral, expected)
    assert answers.how == "probability of whole sentences"
    assert answers.fits[1] == 2


def test_the_difference_to_neutral_sentences_takes_out_how_frequent_words_are():
    class Topic(FakeLanguageModel):
        def score(self, texts):
            found = super().score(texts)
            for text, one in zip(texts, found, strict=True):
                if "engine" in text and "he" in text.lower().split():
                    one.logprobs[0] += 0.7
            return found

    model = Topic({"he": 3.0})
    sentences = [f"{{term}} mends engine {number}." for number in range(6)]
    neutral = [f"{{term}} goes home {number}." for number in range(6)]
    summary, rows, intervals, notes = bias_templates.measure_templates(
        [("m", model)], sentences, neutral, ["he"], ["she"]
    )
    assert summary["what"].tolist() == ["these sentences", "neutral sentences", "difference"]
    assert [round(one.value, 6) for one in intervals] == [3.7, 3.0, 0.7]
    assert [one.n for one in intervals] == ["n = 6 sentences", "n = 6 sentences", "n = 12 sentences"]
    assert len(rows) == 12
    assert rows["odds"][0] == "40.4 : 1"
    assert summary["p"].tolist()[:2] == ["–", "–"]
    assert summary["p (Holm)"].tolist() == summary["p"].tolist()  # one model, one test
    assert summary["what it shows"][2] == "the topic leans to the first group"
    assert notes == []
    assert summary["fitting words preferred"][0].endswith(" of 12 sentences (6 and 6 neutral)")


def test_differences_of_all_models_are_corrected_together_and_bad_models_show_nothing():
    class Topic(FakeLanguageModel):
        def score(self, texts):
            found = super().score(texts)
            for place, (text, one) in enumerate(zip(texts, found, strict=True)):
                if "engine" in text and "he" in text.lower().split():
                    one.logprobs[0] += 1.0 + 0.01 * (place % 3)
            return found

    fits = {"he": 3.0, "she": 3.0}
    strange = Topic({**fits, "mends": 9.0, "goes": 9.0, "engine": 9.0, "home": 9.0})
    models = [("leaning", Topic(fits)), ("even", FakeLanguageModel(fits)), ("strange", strange)]
    sentences = [f"{{term}} mends engine {number}." for number in range(6)]
    neutral = [f"{{term}} goes home {number}." for number in range(6)]
    summary, _, _, _ = bias_templates.measure_templates(models, sentences, neutral, ["he"], ["she"])
    shown = summary[summary["what"] == "difference"].set_index("model")
    assert shown.loc["leaning", "what it shows"] == "the topic leans to the first group"
    assert shown.loc["strange", "what it shows"] == "nothing: it does not prefer fitting words"
    assert shown.loc["even", "what it shows"] in {
        "no lean is shown, which is not the same as none", "nothing that can be tested",
    }  # fmt: skip


def test_words_that_a_model_does_not_know_are_named_and_left_out():
    model = FakeLanguageModel({"he": 1.0}, unknown=frozenset({"sir"}))
    answers = bias_templates.ask_templates("m", model, ["I saw {term}."], [], ["he", "sir"], ["she"])
    np.testing.assert_allclose(answers.values, 1.0)
    assert answers.notes == ("m does not know sir: left out.",)
    _, rows, _, notes = bias_templates.measure_templates(
        [("m", FakeLanguageModel(unknown=frozenset({"she"}))), ("n", model)], ["I saw {term}."], [], ["he"], ["she"]
    )
    assert notes == ["m: m knows no term of the second group: there is nothing to compare."]
    assert rows["model"].tolist() == ["n"]


def test_one_sentence_has_no_interval_and_groups_may_not_overlap():
    summary, _, intervals, _ = bias_templates.measure_templates(
        [("m", FakeLanguageModel({"he": 1.0}))], ["I saw {term}."], ["It was {term}."], ["he"], ["she"]
    )
    assert summary["what"].tolist() == ["these sentences", "neutral sentences"]
    assert "no interval" in summary["log-odds, nats [95 %]"][0]
    assert intervals[0].low is None
    with pytest.raises(DemoError, match="stands in both groups"):
        bias_templates.measure_templates([], ["{term}."], [], ["he"], ["He", "she"])


def test_a_model_that_is_no_language_model_says_so():
    _, rows, _, notes = bias_templates.measure_templates([("m", object())], ["I saw {term}."], [], ["he"], ["she"])
    assert rows.empty
    assert "gives words in a sentence no probabilities" in notes[0]
