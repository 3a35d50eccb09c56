"""The tab Translate: answers of several models, hypotheses, alignments and scores, with made-up translators."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from demos.fakes import FakeStore
from nlpladder.errors import LadderError, ModelError
from nlpladder.models.translation_result import Translation
from shell.limits import MAX_ATTENTION_TOKENS, MAX_NEW_TOKENS, DemoError
from tabs.translate_search import MOST_CHARACTERS, Answer, Search, Translations, direction_of, most_new_tokens
from tabs.translate_unknown import LETTERS_ONLY, NOTHING_KNOWN, unknown_text
from tabs.translate_view import (
    alignments_html,
    cards_html,
    directions_text,
    greedy_text,
    hypotheses_table,
    reference_scores,
    references_of,
)

EVIL = '<img src=x onerror="alert(1)">'


def translation(text, score, *, source=("ein", "hund", "</s>"), aligned=True, alternatives=()):
    target = (*text.split(), "</s>")
    weights = np.full((len(target), len(source)), 1.0 / len(source))
    return Translation(text, score, tuple(source), target, weights if aligned else None, tuple(alternatives))


class FakeTokenizer:
    """Knows every id as a word."""

    unk_token_id, all_special_ids = 1, (1, 2)

    def convert_ids_to_tokens(self, ids):
        return [{1: "<unk>", 2: "</s>"}.get(one, f"▁word{one}") for one in ids]

    def get_vocab(self):
        return {"<unk>": 1, "</s>": 2, "▁word0": 0}


@dataclass
class FakeTranslator:
    """Writes the source in capitals; further hypotheses get a number."""

    attends: bool = True
    maps: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    limit: int | None = None

    def __post_init__(self):
        self.tokenizer = FakeTokenizer()
        self.model = SimpleNamespace(generation_config=SimpleNamespace(max_new_tokens=self.limit))

    def source_ids(self, texts):
        return [[0] * (len(text.split()) + 1) for text in texts]

    def translate(self, texts, *, num_beams, n_best=1, coverage_penalty=0.0, **options):
        self.asked.append({"num_beams": num_beams, "n_best": n_best, "coverage_penalty": coverage_penalty, **options})
        if coverage_penalty and not self.attends:
            raise ModelError("This model has no attention, so there is no coverage to penalise.")
        found = []
        for text in texts:
            source = (*text.split(), "</s>")
            others = [
                translation(f"{text.upper()} {rank}", -0.5 - 0.1 * rank, source=source, aligned=self.attends)
                for rank in range(1, n_best)
            ]
            best = translation(text.upper(), -0.5, source=source, aligned=self.attends, alternatives=others)
            if num_beams == 1:
                best = translation(text.upper() + " GREEDILY", -0.7, source=source, aligned=self.attends)
            found.append(best)
        return found

    def attention_maps(self, text, translation):
        return self.maps


def store_of(**models):
    return FakeStore({name: (model, {"translate"}) for name, model in models.items()})


def maps(layers=2, heads=3, target=3, source=3):
    rng = np.random.default_rng(0)
    cross = rng.dirichlet(np.ones(source), (layers, heads, target))
    return {"cross": cross, "decoder": rng.dirichlet(np.ones(target), (layers, heads, target))}


def test_each_model_answers_with_its_hypotheses_and_greedy_search():
    one, two = FakeTranslator(), FakeTranslator()
    answers = Translations(store_of(one=one, two=two)).ask(
        "ein hund", ["two", "one"], Search(num_beams=3, greedy=True, length_penalty=0.5, coverage_penalty=0.2)
    )
    assert [answer.model for answer in answers] == ["two", "one"]
    assert [found.text for found in answers[0].hypotheses] == ["EIN HUND", "EIN HUND 1", "EIN HUND 2"]
    assert answers[0].greedy.text == "EIN HUND GREEDILY"
    assert one.asked[0] == {
        "num_beams": 3, "n_best": 3, "coverage_penalty": 0.2, "length_penalty": 0.5, "max_new_tokens": 16,
    }  # fmt: skip
    assert one.asked[1]["num_beams"] == 1
    table = hypotheses_table(answers)
    assert list(table.columns) == ["model", "search", "translation", "score", "tokens"]
    assert table["search"].tolist() == ["beam, rank 1", "beam, rank 2", "beam, rank 3", "greedy"] * 2
    assert table["score"].tolist()[:4] == [-0.5, -0.6, -0.7, -0.7]
    assert "lower score (-0.700 against -0.500)" in greedy_text(answers)


def test_greedy_search_that_found_the_same_is_said_so_and_none_says_nothing():
    best = translation("a dog", -0.5)
    same = Answer("m", "t", None, (best,), greedy=best)
    assert "the same translation" in greedy_text([same])
    assert greedy_text([Answer("m", "t", None, (best,))]) == ""
    better = Answer("m", "t", None, (best,), greedy=translation("a cat", -0.1))
    assert "higher score" in greedy_text([better])


def test_the_same_question_is_asked_once_and_another_search_anew():
    model = FakeTranslator()
    asked = Translations(store_of(m=model))
    first = asked.ask("ein hund", ["m"], Search())
    assert asked.ask("ein hund", ["m"], Search()) == first
    assert len(model.asked) == 1
    asked.ask("ein hund", ["m"], Search(num_beams=2))
    asked.ask("ein kind", ["m"], Search())
    assert len(model.asked) == 3


def test_a_model_that_cannot_answer_says_why_and_the_others_answer():
    asked = Translations(store_of(blind=FakeTranslator(attends=False), seeing=FakeTranslator()))
    blind, seeing = asked.ask("ein hund", ["blind", "seeing"], Search(coverage_penalty=0.5))
    assert blind.hypotheses == ()
    assert "no attention" in blind.problem
    assert seeing.hypotheses[0].text == "EIN HUND"
    shown = cards_html([blind, seeing])
    assert "No answer: This model has no attention" in shown
    assert len(hypotheses_table([blind, seeing])) == 5
    assert reference_scores([blind], ["a dog"])[0].empty
    # A failure is not remembered: the model may answer the next time.
    assert asked.ask("ein hund", ["blind"], Search(coverage_penalty=0.5))[0].problem
    with pytest.raises(DemoError, match="no attention"):
        asked.attention(
            "ein hund", "blind", Search(coverage_penalty=0.5), kind="translation on source", layer=1, head=0
        )


@pytest.mark.parametrize(
    "text, models, message",
    [
        ("", ["m"], "empty"),
        ("x" * (MOST_CHARACTERS + 1), ["m"], "at most 1,000"),
        (None, ["m"], "empty"),
        (["a"], ["m"], "expected a text"),
        ("a", [], "nothing is chosen"),
        ("a", ["n"], "no 'n' among Models"),
        ("a", ["m"] * 4, "at most 3"),
        ("a", None, "nothing is chosen"),
        ("a", [7], "expected a name"),
    ],
)
def test_what_a_browser_may_not_send_is_refused(text, models, message):
    with pytest.raises(DemoError, match=message):
        Translations(store_of(m=FakeTranslator())).ask(text, models, Search())


@pytest.mark.parametrize(
    "fields",
    [
        {"num_beams": 0}, {"num_beams": 11}, {"num_beams": 2.5}, {"num_beams": "5"}, {"num_beams": True},
        {"length_penalty": 9.0}, {"length_penalty": float("nan")}, {"coverage_penalty": -1}, {"greedy": "yes"},
        {"num_beams": None},
    ],
)  # fmt: skip
def test_a_search_is_checked(fields):
    with pytest.raises(DemoError):
        Search(**fields)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.lists(st.text()), st.booleans()), st.data())
def test_any_input_gives_an_answer_or_a_sentence(value, data):
    store = store_of(m=FakeTranslator(maps=maps()))
    other = data.draw(st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.lists(st.integers())))
    for call in (
        lambda: Translations(store).ask(value, other, Search()),
        lambda: Translations(store).ask("ein hund", value, Search()),
        lambda: Search(num_beams=value, length_penalty=other, coverage_penalty=value, greedy=other),
        lambda: Translations(store).attention("ein hund", "m", Search(), kind=value, layer=other, head=0),
        lambda: Translations(store).attention(
            "ein hund", value, Search(), kind="translation on source", layer=1, head=other
        ),
        lambda: references_of(value),
    ):
        with contextlib.suppress(LadderError):
            call()


def test_one_layer_and_head_is_what_the_model_has_there():
    weights = maps()
    asked = Translations(store_of(m=FakeTranslator(maps=weights)))
    found, rows, columns, caption = asked.attention(
        "ein hund", "m", Search(), kind="translation on source", layer=2, head=3
    )
    np.testing.assert_array_equal(found, weights["cross"][1, 2])
    assert (rows, columns) == (["EIN", "HUND", "</s>"], ["ein", "hund", "</s>"])
    assert "layer 2 of 2, head 3 of 3" in caption
    mean, rows, columns, caption = asked.attention(
        "ein hund", "m", Search(), kind="translation on itself", layer=1, head=0
    )
    np.testing.assert_allclose(mean, weights["decoder"][0].mean(axis=0))
    assert columns == ["(start)", "EIN", "HUND"]
    assert "mean of 3 heads" in caption


@pytest.mark.parametrize(
    "given_maps, kind, layer, head, message",
    [
        (maps(), "translation on source", 3, 0, "2 layers and 3 heads"),
        (maps(), "translation on source", 1, 4, "2 layers and 3 heads"),
        (maps(), "source on source", 1, 0, "It has: translation on source, translation on itself"),
        ({}, "translation on source", 1, 0, "It has none"),
        (maps(), "elsewhere", 1, 0, "no 'elsewhere'"),
        (maps(), "translation on source", 0, 0, "from 1"),
        (maps(), "translation on source", 1, -1, "from 0"),
    ],
)
def test_weights_that_are_not_there_are_refused(given_maps, kind, layer, head, message):
    asked = Translations(store_of(m=FakeTranslator(maps=given_maps)))
    with pytest.raises(DemoError, match=message):
        asked.attention("ein hund", "m", Search(), kind=kind, layer=layer, head=head)


def test_long_sentences_are_translated_but_not_drawn():
    text = " ".join(["wort"] * MAX_ATTENTION_TOKENS)
    asked = Translations(store_of(m=FakeTranslator(maps=maps())))
    answers = asked.ask(text, ["m"], Search())
    assert "at most 64" in alignments_html(answers)
    assert "<table" not in alignments_html(answers)
    with pytest.raises(DemoError, match="at most 64"):
        asked.attention(text, "m", Search(), kind="translation on source", layer=1, head=0)


@pytest.mark.parametrize(
    "own, words, wanted", [(None, 2, 16), (40, 2, 40), (10_000, 2, MAX_NEW_TOKENS), (None, 500, MAX_NEW_TOKENS)]
)
def test_translations_have_a_limit_that_the_model_chooses_and_the_demo_bounds(own, words, wanted):
    assert most_new_tokens(FakeTranslator(limit=own), "w " * words) == wanted


def test_what_models_and_people_write_is_text_on_the_page():
    best = Translation(EVIL, -0.1, (EVIL, "</s>"), (EVIL, "</s>"), np.eye(2), note=EVIL)
    answer = Answer(EVIL, EVIL, (EVIL, EVIL), (best,))
    for shown in (
        cards_html([answer]),
        alignments_html([answer]),
        cards_html([Answer(EVIL, EVIL, None, problem=EVIL)]),
    ):
        assert "<img" not in shown
        assert "&lt;img" in shown
    assert "<img" not in alignments_html([Answer(EVIL, "t", None, (translation("a", -1.0, aligned=False),))])


def alignment_of(answer):
    return np.asarray(answer.hypotheses[0].alignment)


def test_alignments_are_drawn_on_one_scale_and_missing_ones_are_explained():
    seeing = Answer("seeing", "t", None, (translation("a dog", -0.5),))
    blind = Answer("blind", "t", None, (translation("a dog", -0.5, aligned=False),))
    paler = Answer("paler", "t", None, (replace(seeing.hypotheses[0], alignment=0.5 * alignment_of(seeing)),))
    shown = alignments_html([seeing, paler, blind, Answer("mute", "t", None, problem="no")])
    assert shown.count("<table") == 2
    assert shown.count(f"darkest colour {alignment_of(seeing).max():.2f}.") == 2
    assert "blind has no attention" in shown
    assert "mute" not in shown
    empty = Answer("m", "t", None, (Translation("", 0.0, alignment=np.zeros((0, 0))),))
    assert alignments_html([empty]) == ""
    assert "empty translation" in cards_html([empty])


def test_scores_against_a_reference_are_sacrebleus():
    answer = Answer(
        "m", "t", None, (translation("a dog runs over the grass", -0.5),), greedy=translation("a dog", -0.6)
    )
    references = ["a dog runs across the grass", "one dog runs over grass"]
    table, told = reference_scores([answer], references)
    metric = BLEU(effective_order=True)
    assert table["search"].tolist() == ["beam, rank 1", "greedy"]
    for text, value in zip(["a dog runs over the grass", "a dog"], table["BLEU"], strict=True):
        assert value == round(metric.sentence_score(text, references).score, 1)
    assert table["references"].tolist() == [2, 2]
    assert "nrefs:2|case:mixed|eff:yes|tok:13a|smooth:exp" in told
    assert "no interval" in told
    assert "One sentence says little" in told
    perfect, _ = reference_scores([answer], ["a dog runs over the grass"])
    assert perfect["BLEU"][0] == pytest.approx(100.0)
    assert perfect["chrF"][0] == pytest.approx(100.0)
    none, nothing = reference_scores([answer], [])
    assert none.empty
    assert nothing == ""


def test_references_stand_one_a_line_and_few():
    assert references_of(" a dog \n\n the dog\n") == ["a dog", "the dog"]
    assert references_of("") == references_of(None) == []
    with pytest.raises(DemoError, match="at most 8"):
        references_of("a\n" * 9)
    with pytest.raises(DemoError, match="at most"):
        references_of("a" * 3_000)


@pytest.mark.parametrize(
    "content, wanted",
    [
        ({"identity": {"data": {"languages": ["de", "en"]}}}, ("de", "en")),
        ({"identity": {"data": {"languages": ["de"]}}}, None),
        ({"identity": {"data": {"languages": [1, 2]}}}, None),
        ({"identity": {"data": None}}, None),
        ({"identity": {}}, None),
        ([], None),
    ],
)
def test_the_direction_is_read_from_the_run(tmp_path, content, wanted):
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")
    assert direction_of(SimpleNamespace(folder=tmp_path)) == wanted


def test_a_run_without_a_direction_has_none(tmp_path):
    assert direction_of(SimpleNamespace(folder=tmp_path)) is None
    assert direction_of(SimpleNamespace(folder=None)) is None
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    assert direction_of(SimpleNamespace(folder=tmp_path)) is None
    (tmp_path / "run.json").write_bytes(b"\xff\xfe")
    assert direction_of(SimpleNamespace(folder=tmp_path)) is None


def test_models_of_different_languages_are_warned_about():
    assert "different languages" in directions_text({"a": ("de", "en"), "b": ("en", "de")})
    assert "read different" not in directions_text({"a": ("de", "en"), "b": ("de", "fr"), "c": None})
    assert "write different languages" in directions_text({"a": ("de", "en"), "b": ("de", "fr"), "c": None})
    assert "different" not in directions_text({"a": ("de", "en"), "b": ("de", "en"), "c": None})
    assert "languages not known" in directions_text({"c": None})
    assert "climb_ladder.py --task translation" in directions_text({})


# ---- wiring


def built(store):
    """Return the page with this tab alone, and what was asked of the visitor's browser."""
    gradio = pytest.importorskip("gradio")
    from shell.demo import Demo
    from shell.options import DemoOptions
    from tabs import translate

    with gradio.Blocks(analytics_enabled=False) as page:
        switch = gradio.Checkbox(label="Advanced")
        demo = Demo(store, DemoOptions())
        with gradio.Tab(translate.TITLE):
            translate.build(demo)
        demo.finish(page, switch)
    return page


def endpoints(page):
    return {fn.api_name: fn for fn in page.fns.values() if fn.api_visibility == "public"}


def texts_of(page):
    return " ".join(str(getattr(block, "value", "")) for block in page.blocks.values())


def test_the_tab_has_its_endpoints_labels_and_a_word_where_there_is_no_model():
    page = built(store_of(a=FakeTranslator(), b=FakeTranslator()))
    assert set(endpoints(page)) == {"translate", "translation_attention"}
    for block in page.blocks.values():
        if type(block).__name__ in {"Textbox", "Slider", "Dropdown", "Checkbox", "Radio", "HTML", "Dataframe"}:
            assert block.label, type(block).__name__
    assert "climb_ladder.py --task translation" not in texts_of(page)
    empty = built(store_of())
    assert "climb_ladder.py --task translation" in texts_of(empty)


def test_the_endpoints_answer_what_the_page_shows():
    page = built(store_of(a=FakeTranslator(maps=maps())))
    functions = endpoints(page)
    cards, table, greedy, drawn, scores, told = functions["translate"].fn(
        "ein hund", ["a"], "ein hund", 2, 1.0, 0.0, True
    )
    assert "EIN HUND" in cards
    assert len(table) == 3
    assert greedy.startswith("a: greedy")
    assert "<table" in drawn
    assert scores["visible"] is True
    assert "nrefs:1|" in told
    *_, scores, told = functions["translate"].fn("ein hund", ["a"])
    assert (scores["visible"], told) == (False, "")
    assert "layer 2 of 2" in functions["translation_attention"].fn("ein hund", "a", "translation on source", 2, 0)
    import gradio

    with pytest.raises(gradio.Error, match="at most 1,000"):
        functions["translate"].fn("x" * 2000, ["a"])


@pytest.mark.parametrize(
    ("tokens", "text", "wanted"),
    [
        (["<unk>", "<unk>", "</s>"], "привет мир", NOTHING_KNOWN),
        (["<unk>", "▁.", "</s>"], "привет .", NOTHING_KNOWN),
        (["▁word", "<unk>", "</s>"], "word мир", ""),
        (["▁", "п", "р", "и", "в", "е", "т", "</s>"], "привет", LETTERS_ONLY),
        (["▁word", "s", "</s>"], "words", ""),
        (["▁a", "</s>"], "a", ""),
        (["</s>"], "...", ""),
    ],
)
def test_a_text_of_which_a_model_knows_nothing_is_told(tokens, text, wanted):
    vocabulary = {"<unk>": 1, "</s>": 2, **{token: 3 + place for place, token in enumerate("привет▁.as")}}
    vocabulary |= {"▁word": 90, "▁.": 91, "▁a": 92}

    class Told(FakeTokenizer):
        def convert_ids_to_tokens(self, ids):
            return tokens

        def get_vocab(self):
            return vocabulary

    model = FakeTranslator()
    model.tokenizer = Told()
    model.source_ids = lambda texts: [[vocabulary[token] for token in tokens]]
    assert unknown_text(model, text) == wanted
    (answer,) = Translations(store_of(m=model)).ask(text, ["m"], Search(num_beams=1))
    assert answer.hint == wanted
    assert wanted in cards_html([answer])
    assert ("made up" in cards_html([answer])) == bool(wanted)


def test_a_model_of_letters_reads_every_text_so():
    model = FakeTranslator()
    model.tokenizer.get_vocab = lambda: {"<unk>": 1, "</s>": 2, **dict.fromkeys("word", 3)}
    model.tokenizer.convert_ids_to_tokens = lambda ids: [*"word", "</s>"]
    model.source_ids = lambda texts: [[3, 3, 3, 3, 2]]
    assert unknown_text(model, "word") == ""
