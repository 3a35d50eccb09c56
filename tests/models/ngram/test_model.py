from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nlpladder.hub.loading
from models.ngram.back_off_reference import (
    WORDS,
    arpa_text,
    levels_of,
    models,
    normalised_model,
    random_model,
    score_text_literally,
    spelled,
    texts_of_ids,
)
from nlpladder.errors import DataError, ModelError
from nlpladder.generation import GenerationOptions
from nlpladder.models.ngram import scoring
from nlpladder.models.ngram.model import NGramLanguageModel
from nlpladder.protocols import LanguageModel
from nlpladder.text.text_tokenizer import TextTokenizer


def build(seed, order, **settings_):
    return NGramLanguageModel.from_levels(levels_of(random_model(seed, order), order), WORDS, **settings_)


@pytest.fixture(scope="module")
def normalised():
    return NGramLanguageModel.from_levels(levels_of(normalised_model(), 3), WORDS)


@settings(max_examples=40, deadline=None)
@given(models, texts_of_ids, st.booleans())
def test_scores_are_those_of_the_literal_recursion(seed_and_order, texts, marks):
    seed, order = seed_and_order
    dictionary = random_model(seed, order)
    model = NGramLanguageModel.from_levels(levels_of(dictionary, order), WORDS, sentence_marks=marks)
    predicted = model.predict_tokens([spelled(ids) for ids in texts])
    for number, ids in enumerate(texts):
        span = slice(predicted.borders[number], predicted.borders[number + 1])
        expected = score_text_literally(dictionary, order, [*ids, 2] if marks else ids, begin_mark=marks)
        assert predicted.ids[span].tolist() == ([*ids, 2] if marks else ids)
        assert predicted.log10[span].tolist() == [float(score) for score, _ in expected]
        full = model.full_scores(spelled(ids))
        assert [(score, length) for score, length, _ in full] == [(float(score), length) for score, length in expected]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 100), texts_of_ids)
def test_batches_threads_and_neighbours_do_not_matter(seed, texts):
    model = build(seed, 4)
    spelled_texts = [spelled(ids) for ids in texts]
    alone = [model.log10_scores([text])[0] for text in spelled_texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "CHUNK_TEXTS", 3)
        for threads in (1, 2, 5):
            assert model.log10_scores(spelled_texts, num_threads=threads).tolist() == alone
        assert model.predict_tokens(spelled_texts).totals() == pytest.approx(alone)


HOSTILE = [
    "",
    " ",
    "a\nb",
    "a\r\n\tb \0 a",
    "<s> a </s>",
    "<unk>",
    "a\u00a0b",
    "nai\u0308ve naïve",
    "\ud800 a",
    "a" * 10**5,
    "a " * 5000,
]


def test_hostile_texts():
    model = build(3, 3)
    scores = model.score(HOSTILE)
    whole = model.log10_scores(HOSTILE)
    for text, score, total in zip(HOSTILE, scores, whole, strict=True):
        assert len(score.tokens) == score.logprobs.size == score.known.size
        assert score.tokens == (*TextTokenizer().tokenize(text), "</s>")
        assert score.logprobs.sum() == pytest.approx(total * math.log(10))
        assert score.num_bytes == len(text.encode("utf-8", "surrogatepass"))
    assert model.full_scores("a\nb") == model.full_scores("a b")
    # The marks are no words of a text: nobody can end a sentence by writing </s>.
    assert [known for *_, known in model.full_scores("<s> </s> <unk> b")] == [False, False, False, True, True]
    assert model.log10_scores([]).shape == (0,)
    assert model.score([]) == []
    with pytest.raises(ModelError, match="list of texts"):
        model.score("a b")


def test_perplexity_counts_unknown_words_and_bytes():
    model = build(1, 2)
    texts = ["a b", "zebra a", ""]
    found = model.perplexity(texts)
    full = [entry for text in texts for entry in model.full_scores(text)]
    assert (found.num_tokens, found.num_unknown, found.num_words, found.num_bytes) == (7, 1, 4, 10)
    assert found.including_unknown == pytest.approx(10 ** -np.mean([score for score, *_ in full]))
    assert found.excluding_unknown == pytest.approx(10 ** -np.mean([score for score, _, known in full if known]))
    total = sum(score for score, *_ in full)
    assert found.per_word == pytest.approx(10 ** (-total / 4))
    assert found.bits_per_byte == pytest.approx(-total * math.log2(10) / 10)
    with pytest.raises(DataError, match="nothing to predict"):
        model.with_sentence_marks(False).perplexity([""])


@pytest.mark.parametrize("order", [1, 4])
def test_saved_is_trained_bit_for_bit(tmp_path, order):
    model = build(8, order, tokenizer=TextTokenizer("char", lowercase=True), sentence_marks=order == 4)
    model.save_pretrained(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir() if path.suffix != ".md") == [
        "config.json",
        "model.safetensors",
    ]
    for opened in (
        NGramLanguageModel.from_pretrained(tmp_path / "model"),
        nlpladder.hub.loading.load(tmp_path / "model"),
    ):
        for name, array in model.arrays().items():
            assert np.array_equal(array, opened.arrays()[name]), name
            assert array.dtype == opened.arrays()[name].dtype
        assert opened.to_config() == model.to_config()
        assert opened.full_scores("aB b") == model.full_scores("aB b")
        assert opened.num_parameters() == model.num_parameters()
    assert isinstance(opened, LanguageModel)
    from safetensors.numpy import load_file

    loaded = load_file(tmp_path / "model" / "model.safetensors")  # the file is what its name says
    assert {name: array.tolist() for name, array in loaded.items()} == {
        name: array.tolist() for name, array in model.arrays().items()
    }


def test_opened_models_are_memory_maps(tmp_path):
    build(8, 3).save_pretrained(tmp_path)
    opened = NGramLanguageModel.from_pretrained(tmp_path)

    def base_of(array):
        while getattr(array, "base", None) is not None and not isinstance(array, np.memmap):
            array = array.base
        return array

    for array in opened.arrays().values():
        assert isinstance(base_of(array), np.memmap) or "mmap" in type(base_of(array)).__name__
    assert opened.scorer.tables.slots.ctypes.data % 64 == 0


def test_damaged_folders_are_refused(tmp_path):
    build(8, 3).save_pretrained(tmp_path)
    arrays = tmp_path / "model.safetensors"
    whole = arrays.read_bytes()
    for damage in (whole[:-8], whole[:20], b"", b"\xff" * 64):
        arrays.write_bytes(damage)
        with pytest.raises(ModelError, match="damaged or cut short"):
            NGramLanguageModel.from_pretrained(tmp_path)
    arrays.write_bytes(whole)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "counts": [1, 2, 3]}))
    with pytest.raises(ModelError, match="do not fit"):
        NGramLanguageModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(ModelError, match="'bert', expected 'nlpladder_ngram'"):
        NGramLanguageModel.from_pretrained(tmp_path)
    arrays.unlink()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"holds no model\.safetensors"):
        NGramLanguageModel.from_pretrained(tmp_path)


def test_the_layout_of_saved_models_stays(tmp_path):
    """If this fails, saved models can no longer be read: raise LAYOUT and write the new digest."""
    import hashlib

    from nlpladder.models.ngram.model import LAYOUT

    model = build(8, 3)
    digest = hashlib.sha256(b"".join(array.tobytes() for _, array in sorted(model.arrays().items()))).hexdigest()
    assert (LAYOUT, digest[:16]) == (1, "dd86ca29d1ccc330")
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "layout": 99}))
    with pytest.raises(ModelError, match="saved with layout 99"):
        NGramLanguageModel.from_pretrained(tmp_path)


def test_saving_over_itself_while_mapped(tmp_path):
    build(8, 3).save_pretrained(tmp_path)
    opened = NGramLanguageModel.from_pretrained(tmp_path)
    before = opened.full_scores("a b")
    opened.save_pretrained(tmp_path)
    assert opened.full_scores("a b") == before == NGramLanguageModel.from_pretrained(tmp_path).full_scores("a b")


@pytest.mark.parametrize("prefix", ["", "a", "b a", "zebra", "a b d,e a b"])
def test_the_distribution_is_what_scoring_says(normalised, prefix):
    tokens, probabilities = normalised.next_token_distribution(prefix)
    assert tokens == [word for word in WORDS if word != "<s>"]
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    for token, probability in zip(tokens, probabilities, strict=True):
        if token == "</s>":
            score = normalised.full_scores(prefix)[-1][0]
        else:
            score = normalised.full_scores(f"{prefix} {token if token != '<unk>' else 'unheard-of'}")[-2][0]
        assert probability == pytest.approx(10.0**score, rel=1e-12)  # the last bit is pow's


@settings(max_examples=20, deadline=None)
@given(models, texts_of_ids)
def test_closed_models_skip_only_what_cannot_be(seed_and_order, texts):
    seed, order = seed_and_order
    dictionary = random_model(seed, order)
    for length in range(2, order + 1):
        for ngram in [ngram for ngram in dictionary if len(ngram) == length]:
            if ngram[1:] not in dictionary or ngram[:-1] not in dictionary:
                del dictionary[ngram]
    levels = levels_of(dictionary, order)
    plain = NGramLanguageModel.from_levels(levels, WORDS)
    closed = NGramLanguageModel.from_levels(levels, WORDS, suffix_closed=True)
    for ids in texts[:10]:
        prefix = np.array(ids, np.int32)
        assert np.array_equal(plain.next_probabilities(prefix), closed.next_probabilities(prefix))


def test_the_distribution_without_marks_has_none():
    tokens, probabilities = build(1, 3, sentence_marks=False).next_token_distribution("a")
    assert "</s>" not in tokens
    assert len(tokens) == probabilities.size == len(WORDS) - 2


def test_generation_repeats_with_a_seed_and_only_then(normalised):
    options = GenerationOptions(max_new_tokens=12, seed=7)
    prompts = ["a", "b a", "", "zebra"]
    first = normalised.generate(prompts, options)
    assert first == normalised.generate(prompts, options)
    assert first[:1] == normalised.generate(prompts[:1], options)
    assert first != normalised.generate(prompts, GenerationOptions(max_new_tokens=12, seed=8))
    assert normalised.generate(["a"] * 20, options).count(first[0]) < 20
    assert all("<unk>" not in text for text in first)
    assert all(len(text.split()) <= 12 for text in first)


def test_generation_draws_from_the_distribution(normalised):
    tokens, probabilities = normalised.next_token_distribution("a")
    drawn = normalised.generate(["a"] * 3000, GenerationOptions(max_new_tokens=1))
    known = 1 - probabilities[0]
    for token, probability in zip(tokens[1:], probabilities[1:], strict=True):
        share = drawn.count("" if token == "</s>" else token) / len(drawn)
        expected = probability / known
        assert abs(share - expected) < 5 * math.sqrt(expected / len(drawn)) + 1e-9


def test_greedy_takes_the_most_probable_and_top_k_nothing_else(normalised):
    text = ""
    expected = []
    for _ in range(6):
        tokens, probabilities = normalised.next_token_distribution(text)
        best = tokens[1 + int(np.argmax(probabilities[1:]))]
        if best == "</s>":
            break
        expected.append(best)
        text = " ".join(expected)
    assert normalised.generate([""], GenerationOptions(do_sample=False, max_new_tokens=6)) == [text]
    assert normalised.generate([""], GenerationOptions(top_k=1, max_new_tokens=6, seed=3)) == [text]
    tokens, probabilities = normalised.next_token_distribution("a")
    best_two = {tokens[1 + place] for place in np.argsort(-probabilities[1:])[:2]}
    drawn = normalised.generate(["a"] * 50, GenerationOptions(top_k=2, max_new_tokens=1))
    assert {text or "</s>" for text in drawn} == best_two


def test_generation_stops_at_a_stop_string(normalised):
    options = GenerationOptions(max_new_tokens=200, stop_strings=("b",))
    for text in normalised.generate(["a"] * 30, options):
        assert "b" not in text[:-1]
    with pytest.raises(ModelError, match="list of texts"):
        normalised.generate("a", options)


def test_characters_are_joined_again():
    words = ["<unk>", "<s>", "</s>", "x", "y", "▁"]
    levels = levels_of(random_model(2, 2, 6), 2)
    model = NGramLanguageModel.from_levels(levels, words, tokenizer=TextTokenizer("char"))
    assert [known for *_, known in model.full_scores("x yz")] == [True, True, True, False, True]
    text = model.generate(["x"], GenerationOptions(max_new_tokens=30, seed=1))[0]
    assert set(text) <= {"x", "y", " "}
    assert [score.num_words for score in model.score(["x yz"])] == [2]


def test_words_may_come_without_marks():
    levels = levels_of(random_model(2, 2), 2)
    assert list(NGramLanguageModel.from_levels(levels, WORDS[3:]).vocabulary_of_words) == WORDS
    with pytest.raises(ModelError, match="10 words, but 11 unigrams"):
        NGramLanguageModel.from_levels(levels, WORDS[:-1])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5), texts_of_ids)
def test_kenlm_agrees(tmp_path_factory, seed, order, texts):
    kenlm = pytest.importorskip("kenlm")
    dictionary = random_model(seed, order)
    # KenLM wants the suffixes of all n-grams, and back-offs only where something follows.
    for ngram in sorted((ngram for ngram in dictionary if len(ngram) > 1), key=len):
        if ngram[1:] not in dictionary:
            dictionary.pop(ngram)
    for ngram in sorted((ngram for ngram in dictionary if len(ngram) > 1), key=len):
        if ngram[:-1] not in dictionary:
            dictionary.pop(ngram)
    if not any(len(ngram) == order for ngram in dictionary):
        return
    path = tmp_path_factory.mktemp("kenlm") / "model.arpa"
    path.write_text(arpa_text(dictionary, order, shuffle=random.Random(seed)), encoding="utf-8")
    written = path.with_name("written.arpa")
    model = NGramLanguageModel.from_arpa(path)
    model.write_arpa(written)
    for name in (path, written):
        theirs = kenlm.Model(str(name))
        for ids in texts:
            text = spelled(ids)
            expected = list(theirs.full_scores(text))
            found = model.full_scores(text)
            assert [(length, not unknown) for _, length, unknown in expected] == [entry[1:] for entry in found]
            assert [entry[0] for entry in found] == pytest.approx([entry[0] for entry in expected], abs=2e-6)
            assert model.log10_scores([text])[0] == pytest.approx(theirs.score(text), abs=1e-4)
