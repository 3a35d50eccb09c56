"""The tab Preprocess: what its functions answer, and what they refuse."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.fakes import FakeStore
from nlpladder.errors import LadderError
from nlpladder.text.languages import LANGUAGES
from nlpladder.text.preprocessing import Preprocessor
from nlpladder.text.subwords import train_subword_tokenizer
from shell.limits import DemoError
from tabs import preprocess, preprocess_counts, preprocess_steps, preprocess_subwords
from tabs.preprocess_counts import WEIGHTS, weights_of
from tabs.preprocess_steps import NORMALISATIONS, STOP_WORDS, TOKENIZERS, USUAL, page_of, steps_of
from tabs.preprocess_subwords import SCHEMES, SIZES, SOURCES, splits_of
from tabs.preprocess_texts import EXAMPLES

TEXT = "The <b>films</b> weren't  BAD, they were running"
EVIL = "<img src=x onerror=alert(1)>"
EMPTY = FakeStore({})


def by_name(stages):
    return {stage.name: stage for stage in stages}


# ---- steps


def test_steps_are_those_of_the_preprocessor():
    stages = by_name(steps_of(TEXT))
    chain = [*(name for name in NORMALISATIONS if name in USUAL), "word_tokenize"]
    assert stages["tokens"].result == Preprocessor(chain)(TEXT)
    assert stages["without stop words"].result == Preprocessor([*chain, "remove_stop_words"])(TEXT)
    stem = {"name": "stem", "method": "snowball"}
    assert stages["stems"].result == Preprocessor([*chain, "remove_stop_words", stem])(TEXT)
    assert stages["lemmas"].result == Preprocessor([*chain, "remove_stop_words", "lemmatize"])(TEXT)
    assert stages["raw"].result == TEXT


def test_what_a_step_changed_is_counted_and_marked():
    stages = by_name(steps_of(TEXT))
    assert stages["lowercase"].changes == 2
    assert "<del" in stages["strip_html"].drawing
    assert stages["clean_whitespace"].changes == 1
    assert stages["without stop words"].changes == 4  # the, were, they, were
    assert "n&#x27;t" in stages["stems"].drawing
    assert "running → " in stages["stems"].drawing


def test_negations_stay_unless_asked_otherwise():
    for choice, left in zip(STOP_WORDS, ("films n't bad", "films bad", None), strict=True):
        stage = by_name(steps_of("films weren't bad", stop_words=choice))["without stop words"]
        assert stage.result == (left or "films were n't bad")


def test_every_language_gets_lemmas_and_says_what_it_lacks():
    assert {"German", "Welsh"} <= set(LANGUAGES)  # the dictionary of each takes seconds to read
    german, welsh = (by_name(steps_of("Die Filme gingen", name)) for name in ("German", "Welsh"))
    assert german["lemmas"].what.startswith("simplemma (German)")
    assert welsh["lemmas"].what.startswith("simplemma (Welsh)")
    assert german["lemmas"].result.split()[-1] == "gehen"
    assert german["stems"].result.split()[-1] == "ging"
    assert "no stemmer for Welsh" in welsh["stems"].what


def test_stop_words_that_are_not_here_are_said(monkeypatch):
    import nltk.data

    def find(name):
        raise LookupError(name)

    monkeypatch.setattr(nltk.data, "find", find)
    stage = by_name(steps_of("die Filme", "German"))["without stop words"]
    assert "nltk.downloader stopwords" in stage.what
    assert stage.result == "die filme"


def test_contractions_are_english():
    chosen = ["expand_contractions"]
    assert "will not" in by_name(steps_of("won't", "English", chosen))["tokens"].result
    assert "expand_contractions" not in by_name(steps_of("won't", "German", chosen))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_every_tokenizer_splits(tokenizer):
    assert "film" in by_name(steps_of("a film", tokenizer=tokenizer))["tokens"].result


def test_no_step_may_be_chosen_at_all():
    names = [stage.name for stage in steps_of(TEXT, normalisations=[])]
    assert names == ["raw", "tokens", "without stop words", "stems", "lemmas"]


def test_stages_are_a_table_and_an_escaped_page():
    stages = steps_of(EVIL + TEXT, normalisations=["lowercase"])
    assert list(preprocess_steps.table_of(stages).columns) == list(preprocess_steps.COLUMNS)
    assert len(preprocess_steps.table_of(stages)) == len(stages)
    assert "<img" not in page_of(stages)
    assert "1 change" in page_of(steps_of("Film", normalisations=["lowercase"]))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.sampled_from(sorted(TOKENIZERS)), st.sets(st.sampled_from(NORMALISATIONS)))
def test_any_text_goes_through_every_step(text, tokenizer, chosen):
    try:
        stages = steps_of(text, "English", list(chosen), tokenizer)
    except LadderError:
        return
    assert page_of(stages)
    tokens = stages[-4].result.split()
    assert len(stages[-2].result.split()) <= len(tokens)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=9), st.lists(st.text(max_size=3))), min_size=5))
def test_any_input_is_answered_or_refused_in_a_sentence(values):
    for function, arguments in (
        (steps_of, values[:5]),
        (weights_of, values[:3]),
        (splits_of, [EMPTY, values[0], ["words"], SOURCES[2], *values[1:3]]),
    ):
        with contextlib.suppress(LadderError):
            function(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [("",), ("a" * 5001,), (TEXT, "Klingon"), (TEXT, "English", ["stem"]), (TEXT, "English", [], "spaces"),
     (TEXT, "English", [], next(iter(TOKENIZERS)), "some"), (None,), (7,)],
)  # fmt: skip
def test_wrong_inputs_of_the_steps_are_refused(arguments):
    with pytest.raises(DemoError):
        steps_of(*arguments)


def test_a_hostile_text_is_compared_in_bounded_work():
    """Alternating words of two cases: as many single matches as there can be."""
    words = [f"w{row:x}" if row % 2 else f"W{row:x}" for row in range(1000)]
    stages = by_name(steps_of(" ".join(words), normalisations=["lowercase"]))
    assert stages["lowercase"].changes == 500


# ---- sub-words


def test_schemes_are_trained_as_the_library_does():
    texts = ["the cat sat on the mat", "the dog sat"]
    splits = splits_of(EMPTY, "\n".join(texts), list(SCHEMES), SOURCES[2], SIZES[1])
    for split in splits:
        if split.problem:
            continue
        same = train_subword_tokenizer(texts, scheme=SCHEMES[split.name], vocab_size=SIZES[1], min_frequency=1)
        encoded = same.backend_tokenizer.encode("\n".join(texts), add_special_tokens=False)
        assert len(split.tokens) == len(encoded.tokens)
        assert split.vocabulary == len(same)
    assert any(not split.problem for split in splits)


def test_unknown_words_are_shown_as_they_stand_and_counted():
    words, pieces = splits_of(EMPTY, "the zyzzyva sleeps", ["words", "byte-level BPE"], SOURCES[0], SIZES[1])
    assert words.tokens[1] == "zyzzyva"
    assert words.unknown == (False, True, *words.unknown[2:])
    assert not any(pieces.unknown)
    table = preprocess_subwords.table_of([words, pieces], "the zyzzyva sleeps")
    assert table["Tokens"].tolist() == [len(words.tokens), len(pieces.tokens)]
    assert table["Tokens a word"][0] == 1.0
    assert table["Unknown"][0] >= 1
    assert "? zyzzyva" in preprocess_subwords.page_of([words])


def test_built_in_text_teaches_sub_words_that_are_shorter_than_characters():
    splits = {split.name: split for split in splits_of(EMPTY, "The dog near the door barks .", list(SCHEMES))}
    assert not any(split.problem for split in splits.values())
    for name in ("BPE", "WordPiece", "Unigram"):
        assert len(splits["words"].tokens) <= len(splits[name].tokens) < len(splits["characters"].tokens)


def test_a_vocabulary_that_is_too_small_says_so_and_the_others_answer():
    text = "".join(chr(0x4E00 + number) for number in range(200))
    splits = splits_of(EMPTY, text, ["words", "BPE"], SOURCES[2], SIZES[0])
    assert "smallest possible vocab_size" in splits[1].problem
    assert not splits[0].problem
    assert "smallest possible" in preprocess_subwords.page_of(splits)
    assert len(preprocess_subwords.table_of(splits, text)) == 1


def test_a_models_own_tokenizer_is_used(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    train_subword_tokenizer(["the cat sat"] * 3, scheme="wordpiece", vocab_size=60).save_pretrained(tmp_path / "a")
    (tmp_path / "b" / "tokenizer.json").write_text("{}")
    store = FakeStore(
        {name: (None, {"classify"}) for name in "abc"}, folders={"a": tmp_path / "a", "b": tmp_path / "b"}
    )
    assert preprocess_subwords.tokenizer_names(store) == ["a", "b"]
    (split,) = splits_of(store, "The cat", [], models=["a"])
    assert split.tokens == ("the", "cat")
    with pytest.raises(DemoError, match="cannot be read"):
        splits_of(store, "The cat", [], models=["b"])
    for models in (["c"], ["../a"], ["a", "b", "c", "a"]):
        with pytest.raises(DemoError):
            splits_of(store, "The cat", [], models=models)


def test_splits_are_escaped():
    splits = splits_of(EMPTY, EVIL, ["words", "characters"], SOURCES[2])
    assert "<img" not in preprocess_subwords.page_of(splits)


@pytest.mark.parametrize(
    "arguments",
    [("",), ("a", ["morphemes"]), ("a", ["BPE"], "the web"), ("a", ["BPE"], SOURCES[0], 10_000_000),
     ("a", ["BPE"], SOURCES[0], 121), ("a", [])],
)  # fmt: skip
def test_wrong_inputs_of_sub_words_are_refused(arguments):
    with pytest.raises(DemoError):
        splits_of(EMPTY, *arguments)


# ---- counts


def test_weights_are_scikit_learns():
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    lines = ["the film is good good", "the film is dull", "the plot"]
    for weights, peer in zip(WEIGHTS, (CountVectorizer(), TfidfVectorizer()), strict=True):
        matrix = peer.fit_transform(lines).toarray()
        result = weights_of("\n".join(lines), weights)
        assert len(result.bars) == 3
        for row, bars in zip(matrix, result.bars, strict=True):
            columns = [peer.vocabulary_[term] for term in bars["Term"]]
            np.testing.assert_allclose(bars["Weight"], row[columns], atol=5e-4)
        assert result.top == pytest.approx(matrix.max(), abs=5e-4)
    assert result.table.set_index("Term").loc["the", "In lines"] == 3
    assert result.table.set_index("Term").loc["good", "Count 1"] == 2


def test_all_lines_show_the_same_terms_in_the_same_order():
    result = weights_of("one two three\nthree four five", terms="words and pairs")
    assert result.bars[0]["Term"].tolist() == result.bars[1]["Term"].tolist()
    assert "one two" in result.table["Term"].tolist()
    assert len(result.bars[0]) <= preprocess_counts.MOST_BARS


def test_lines_are_cards_of_bars_escaped():
    page = preprocess_counts.page_of(weights_of(f"{EVIL} film\nfilm plot"))
    assert "<img" not in page
    assert page.count('class="nw-card"') == 2
    assert page.count("<li>") == 2 * len(weights_of(f"{EVIL} film\nfilm plot").bars[0])


def test_one_line_and_lines_without_words_are_told_without_an_error():
    assert "2 to 5" in weights_of("one line").note
    assert "no term" in weights_of("?\n!").note
    assert weights_of("?\n!").bars == ()
    assert "no term" in preprocess_counts.page_of(weights_of("?\n!"))
    assert "first 5 of 7" in weights_of("\n".join(["some words"] * 7)).note


# ---- wiring


def test_the_endpoints_are_named_and_every_component_has_a_label():
    import gradio as gr

    from shell.demo import Demo
    from shell.options import DemoOptions

    with gr.Blocks(analytics_enabled=False) as page:
        demo = Demo(EMPTY, DemoOptions())
        switch = gr.Checkbox(False, label="Advanced")
        with gr.Tabs(), gr.Tab(preprocess.TITLE):
            preprocess.build(demo)
        demo.finish(page, switch)
    endpoints = page.get_api_info()["named_endpoints"]
    assert set(endpoints) == {"/preprocess", "/subwords", "/count_terms"}
    assert {"preprocess-go", "preprocess-result"} <= {block.elem_id for block in page.blocks.values()}
    for block in page.blocks.values():
        if isinstance(block, (gr.Textbox, gr.Dropdown, gr.Radio, gr.CheckboxGroup, gr.Dataframe, gr.HTML)):
            assert block.label, block
        if isinstance(block, gr.HTML):
            assert block.html_template == "${value}"


def test_every_example_goes_through_every_section():
    for (text,) in EXAMPLES:
        assert page_of(steps_of(text))
        assert not any(split.problem for split in splits_of(EMPTY, text))
        assert weights_of(text).bars
