"""The tab Next word: predictions, surprisal, back-off, and the page."""

from __future__ import annotations

import html
import math
import re

import gradio as gr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.fakes import FakeStore
from models.ngram.back_off_reference import levels_of, normalised_model
from models.tiny_language_models import make
from nlpladder.errors import ModelError
from nlpladder.models.ngram.model import NGramLanguageModel
from shell.limits import DemoError
from tabs import next_word
from tabs.next_word_predictions import appended, bars_html, predict, prediction_table, visible
from tabs.next_word_surprisal import surprises, surprises_html, totals_table, trace_table

HOSTILE = "<img src=x onerror=alert(1)>"
WORDS = ["<unk>", "<s>", "</s>", "a", "b", "naïve", "d,e", "ß", HOSTILE.replace(" ", "/"), "${alert(1)}", "\"'`"]


def page_of(tab):
    """Build the page of one tab, with no model."""
    from shell.demo import Demo
    from shell.options import DemoOptions

    with gr.Blocks() as page, gr.Tabs(), gr.Tab(tab.TITLE):
        tab.build(Demo(FakeStore({}), DemoOptions()))
    return page


class Broken:
    """A model that cannot answer."""

    def next_token_distribution(self, prefix):
        raise ModelError("This one is <broken>.")

    def score(self, texts):
        raise ModelError("This one is <broken>.")


@pytest.fixture(scope="module")
def store():
    ngram = NGramLanguageModel.from_levels(levels_of(normalised_model(words=WORDS), 3), WORDS)
    models = {"tri<gram>": ngram, "lstm": make("recurrent"), "gpt": make("gpt2", "whitespace"), "broken": Broken()}
    return FakeStore({name: (model, {"language_model"}) for name, model in models.items()} | {"bert": (None, {"tag"})})


def test_predictions_are_those_of_the_models(store):
    names = ["tri<gram>", "lstm", "gpt"]
    found = predict(store, "a b", names, bars=3)
    assert [one.model for one in found] == names
    for one in found:
        with store.use(one.model) as model:
            vocabulary, probabilities = model.next_token_distribution("a b")
        best = np.argsort(-probabilities, kind="stable")[:3]
        assert [token.name for token in one.found.tokens] == [vocabulary[number] for number in best]
        assert [token.probability for token in one.found.tokens] == probabilities[best].tolist()
    table = prediction_table(found)
    assert table["rank"].tolist() == [1, 2, 3] * 3
    first = found[0].found.tokens[0]
    assert table.iloc[0]["surprisal bits"] == pytest.approx(-math.log2(first.probability), abs=0.01)


def test_one_model_that_fails_hides_no_other(store):
    found = predict(store, "a", ["broken", "lstm"])
    assert (found[0].found, found[0].problem) == (None, "This one is <broken>.")
    drawn = bars_html(found)
    assert "&lt;broken&gt;" in drawn
    assert drawn.count("<section") == 2
    assert prediction_table(found)["model"].unique().tolist() == ["lstm"]
    both = surprises(store, "a", ["broken", "lstm"])
    assert "&lt;broken&gt;" in surprises_html(both)
    assert totals_table(both)["model"].tolist() == ["lstm"]


def test_bars_share_one_scale_and_bear_their_texts(store):
    found = predict(store, "a", ["tri<gram>", "lstm"], bars=11)
    drawn = bars_html(found)
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", drawn)]
    probabilities = [token.probability for one in found for token in one.found.tokens]
    assert max(widths) == 100.0
    assert widths == pytest.approx([100 * one / max(probabilities) for one in probabilities], abs=0.006)
    bearing = [html.unescape(text) for text in re.findall(r'data-text="([^"]*)"', drawn)]
    assert bearing == [token.text for one in found for token in one.found.tokens if token.text]
    assert " " + WORDS[8] in bearing
    assert drawn.count("<button") == len(bearing)
    assert "end of the text" in drawn
    # Nothing of a model or its name is markup, and no template is left to be filled in.
    assert "<img" not in drawn
    assert "tri<gram>" not in drawn
    assert set(re.findall(r"<(\w+)", drawn)) <= {"div", "section", "h3", "p", "ol", "li", "button", "span"}


def test_temperature_and_top_k_change_the_bars(store):
    plain, cold, narrow = (
        predict(store, "a", ["lstm"], bars=5, **given)[0].found for given in ({}, {"temperature": 0.5}, {"top_k": 2})
    )
    assert cold.entropy < plain.entropy
    assert cold.tokens[0].probability > plain.tokens[0].probability
    assert [token.probability > 0 for token in narrow.tokens] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"text": "x" * 1001}, "1,001 characters"),
        ({"text": 3}, "expected a text"),
        ({"models": []}, "nothing is chosen"),
        ({"models": ["lstn"]}, "Did you mean 'lstm'"),
        ({"models": ["bert"]}, "no 'bert'"),
        ({"models": ["lstm"] * 5}, "at most 4"),
        ({"bars": 21}, "from 1 to 20"),
        ({"bars": 2.5}, "whole number"),
        ({"temperature": 0.0}, "from 0.1 to 2"),
        ({"temperature": float("nan")}, "expected a number"),
        ({"top_k": -1}, "from 0 to 200"),
    ],
)
def test_every_input_is_checked(store, given, match):
    arguments = {"text": "a", "models": ["lstm"], **given}
    with pytest.raises(DemoError, match=match):
        predict(store, arguments.pop("text"), arguments.pop("models"), **arguments)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_answered_or_refused_in_a_sentence(text):
    tiny = _any_text_store()
    try:
        bars = bars_html(predict(tiny, text, ["tri<gram>", "lstm"]))
        found = surprises(tiny, text, ["tri<gram>", "lstm"])
        drawn = surprises_html(found)
    except DemoError:
        return
    for document in (bars, drawn):
        document.encode("utf-8")
        allowed = {"div", "section", "h2", "h3", "p", "ol", "li", "button", "span", "style", "ruby", "rt"}
        assert set(re.findall(r"<(\w+)", document)) <= allowed
    assert len(totals_table(found)) == len(found)


_STORES = []


def _any_text_store():
    if not _STORES:
        ngram = NGramLanguageModel.from_levels(levels_of(normalised_model(words=WORDS), 3), WORDS)
        models = {"tri<gram>": ngram, "lstm": make("recurrent")}
        _STORES.append(FakeStore({name: (model, {"language_model"}) for name, model in models.items()}))
    return _STORES[0]


def test_sums_compare_models_of_any_vocabulary(store):
    text = "a b zebra"
    found = surprises(store, text, ["tri<gram>", "lstm"])
    table = totals_table(found).set_index("model")
    for one in found:
        with store.use(one.model) as model:
            (score,) = model.score([text])
        assert table.loc[one.model, "bits"] == pytest.approx(-score.logprobs.sum() / math.log(2), abs=1e-3)
        assert table.loc[one.model, "tokens"] == len(score.tokens)
        assert table.loc[one.model, "bits/character"] == table.loc[one.model, "bits/byte"]  # all ASCII
    # The letters of a word that the n-gram model does not know are paid for: 6 bytes of 8 bits.
    assert table.loc["tri<gram>", "unknown tokens"] == 1
    ngram = table.loc["tri<gram>"]
    assert ngram["bits/byte"] * 9 == pytest.approx(ngram["bits"] + 6 * 8, abs=0.01)


def test_the_trace_names_the_n_gram_and_the_price(store):
    found = surprises(store, "a zebra b", ["tri<gram>", "lstm"])
    table = trace_table(found)
    assert table["model"].unique().tolist() == ["tri<gram>"]
    assert table["word"].tolist() == ["a", "<unk>", "b", "</s>"]
    assert table["n"].tolist() == [word.order for word in found[0].trace]
    for row, word in zip(table.itertuples(), found[0].trace, strict=True):
        assert row.bits == pytest.approx(-word.log10 * math.log2(10), abs=1e-3)
        assert (row[6] == "–") == (not word.steps)


def test_an_empty_text_has_no_surprisal_and_is_told_so(store):
    before = len(store.used)
    with pytest.raises(DemoError, match="The text is empty"):
        surprises(store, " ", ["lstm"])
    assert len(store.used) == before
    assert totals_table([]).empty
    assert trace_table([]).columns.tolist()[0] == "model"
    assert predict(store, "", ["lstm"])[0].found is not None


def test_a_clicked_token_is_appended():
    assert appended("a", " b") == "a b"
    assert appended("", "b") == "b"
    for text, token in (("a", None), (3, "a"), ("a", "x" * 201), ("a" * 995, " bcdefg")):
        if token is None:
            assert appended(text, token) == "a"
            continue
        with pytest.raises(DemoError):
            appended(text, token)
    assert next_word.without_last_word("a b ") == "a"
    assert next_word.without_last_word("a") == ""
    assert next_word.without_last_word("a  b\nc\t") == "a  b"
    assert next_word.without_last_word(" ") == ""
    assert next_word.without_last_word(None) == ""
    assert visible(" a\n\u202e") == "␣a⏎�"


def test_the_page_has_its_endpoints():
    page = page_of(next_word)
    named = page.get_api_info()["named_endpoints"]
    assert {"/next_word", "/surprisal"} <= set(named)
    assert [one["parameter_name"] for one in named["/next_word"]["parameters"]] == [
        "text", "models", "bars", "temperature", "top_k",
    ]  # fmt: skip
    assert "append_token" not in str(list(named))
    labelled = [block for block in page.blocks.values() if isinstance(block, (gr.Textbox, gr.HTML, gr.Dataframe))]
    assert all(block.label for block in labelled)
    shown = [block for block in page.blocks.values() if isinstance(block, gr.Markdown) and block.visible]
    assert any("train_ngram_lm.py" in str(block.value) for block in shown)
