from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nlpladder.hub.loading
from models.ngram.back_off_reference import WORDS, levels_of, normalised_model
from nlpladder.errors import ConfigError, DataError, ModelError
from nlpladder.generation import GenerationOptions
from nlpladder.models.ngram.cache import CacheLanguageModel
from nlpladder.models.ngram.interpolation import InterpolatedLanguageModel, em_weights
from nlpladder.models.ngram.model import NGramLanguageModel
from nlpladder.protocols import LanguageModel
from nlpladder.text.text_tokenizer import TextTokenizer

OTHER_WORDS = [*WORDS[:4], "new", "b", "newer"]


def build(seed, order=3, words=WORDS, **options):
    return NGramLanguageModel.from_levels(levels_of(normalised_model(order, seed, words), order), words, **options)


@pytest.fixture(scope="module")
def models():
    return [build(1), build(2, 2, OTHER_WORDS), build(3, 1)]


@pytest.fixture(scope="module")
def mixture(models):
    return InterpolatedLanguageModel(models=models, weights=[2, 1, 1])


TEXTS = ["a b naïve a", "", "new a newer zebra", "b b b b b", "zebra new"]


def test_a_token_gets_the_weighted_mean(models, mixture):
    assert mixture.weights.tolist() == [0.5, 0.25, 0.25]
    words = list(mixture.vocabulary_of_words)
    assert words == [*WORDS, "new", "newer"]
    for text in TEXTS:
        predicted = mixture.predict_tokens([text])
        parts = [model.full_scores(text) for model in models]
        for place, (token, log10) in enumerate(zip([*text.split(), "</s>"], predicted.log10, strict=True)):
            known_to_any = token == "</s>" or token in words
            expected = 0.0
            for weight, part in zip(mixture.weights, parts, strict=True):
                score, _, known = part[place]
                expected += weight * 10.0**score * (known or not known_to_any)
            assert 10.0**log10 == pytest.approx(expected, rel=1e-6)
            assert (predicted.ids[place] != 0) == known_to_any


@pytest.mark.parametrize("prefix", ["", "a new", "zebra b", "a b naïve"])
def test_mixtures_and_caches_sum_to_one_and_agree_with_scoring(mixture, prefix):
    cached = CacheLanguageModel(model=mixture, weight=0.4, decay=0.8)
    for model in (mixture, cached):
        tokens, probabilities = model.next_token_distribution(prefix)
        assert probabilities.sum() == pytest.approx(1, abs=1e-5)
        for token, probability in zip(tokens[2:], probabilities[2:], strict=True):
            logprob = model.score([f"{prefix} {token}"])[0].logprobs[-2]
            assert np.exp(logprob) == pytest.approx(probability, rel=1e-6)
        assert np.exp(model.score([prefix])[0].logprobs[-1]) == pytest.approx(
            probabilities[tokens.index("</s>")], rel=1e-6
        )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_em_never_makes_held_out_text_less_probable(seed, num_models):
    generator = np.random.default_rng(seed)
    probabilities = generator.random((200, num_models)) * (generator.random((200, num_models)) < 0.8)
    probabilities[~probabilities.any(axis=1), 0] = 0.1
    likelihoods = [
        np.log(probabilities @ em_weights(probabilities, max_iterations=steps)).sum() for steps in range(1, 30)
    ]
    assert all(later >= earlier - 1e-9 for earlier, later in itertools.pairwise(likelihoods))
    best = em_weights(probabilities, tolerance=1e-9, max_iterations=5000)
    assert best.sum() == pytest.approx(1)
    for _ in range(20):
        other = generator.dirichlet(np.ones(num_models))
        assert np.log(probabilities @ other).sum() <= np.log(probabilities @ best).sum() + 1e-3


def test_em_finds_a_planted_mixture():
    generator = np.random.default_rng(0)
    planted = np.array([0.6, 0.3, 0.1])
    components = generator.dirichlet(np.full(50, 0.3), size=3)
    words = generator.choice(50, size=60_000, p=planted @ components)
    assert em_weights(components[:, words].T) == pytest.approx(planted, abs=0.02)


def test_weights_tuned_on_generated_text_find_its_author(models):
    texts = models[0].generate([""] * 300, GenerationOptions(max_new_tokens=20))
    tuned = InterpolatedLanguageModel.tuned(models[::2], texts)
    assert tuned.weights[0] > 0.9
    assert tuned.perplexity(texts).including_unknown <= min(
        model.perplexity(texts).including_unknown for model in models[::2]
    ) * (1 + 1e-6)


def test_saved_mixtures_and_caches_answer_as_before(tmp_path, mixture):
    cached = CacheLanguageModel(model=mixture, weight=0.2, running=True)
    for name, model in (("mixture", mixture), ("cache", cached)):
        model.save_pretrained(tmp_path / name)
        opened = nlpladder.hub.loading.load(tmp_path / name)
        assert type(opened) is type(model)
        assert isinstance(opened, LanguageModel)
        assert opened.predict_tokens(TEXTS).log10.tolist() == model.predict_tokens(TEXTS).log10.tolist()
        assert opened.num_parameters() == model.num_parameters()
    (tmp_path / "mixture" / "model_1" / "config.json").unlink()
    with pytest.raises(ModelError, match="holds no config.json"):
        InterpolatedLanguageModel.from_pretrained(tmp_path / "mixture")


def test_mixtures_generate_what_a_part_could_say(mixture):
    texts = mixture.generate(["a new"] * 50, GenerationOptions(max_new_tokens=5))
    assert texts == mixture.generate(["a new"] * 50, GenerationOptions(max_new_tokens=5))
    assert {word for text in texts for word in text.split()} <= set(mixture.vocabulary_of_words)


def test_models_that_do_not_match_are_refused(models):
    with pytest.raises(ConfigError, match="two models or more"):
        InterpolatedLanguageModel(models=models[:1])
    with pytest.raises(ConfigError, match="splits texts differently"):
        InterpolatedLanguageModel(models=[models[0], build(1, tokenizer=TextTokenizer("char"))])
    with pytest.raises(ConfigError, match="sentence_marks"):
        InterpolatedLanguageModel(models=[models[0], models[1].with_sentence_marks(False)])
    for weights in ([1, 2], [1, 1, -1], [0, 0, 0], [1, 1, float("nan")]):
        with pytest.raises(ConfigError, match="expected 3 numbers"):
            InterpolatedLanguageModel(models=models, weights=weights)
    with pytest.raises(DataError, match="held-out token"):
        em_weights(np.zeros((0, 2)))
    for settings_ in ({"weight": 1.5}, {"decay": 0}, {"bigram_weight": -1}):
        with pytest.raises(ConfigError, match="expected a number from 0 to 1"):
            CacheLanguageModel(model=models[0], **settings_)


def cache_literally(texts, decay, bigram_weight, running):
    """Count again at every token."""
    results, history = [], []
    for text in texts:
        if not running:
            history = []
        context = "<s>"
        for word in text:
            if not history:
                results.append(-1.0)
            else:
                ages = [decay ** (len(history) - 1 - place) for place in range(len(history))]
                unigram = sum(age for age, (_, other) in zip(ages, history, strict=True) if other == word) / sum(ages)
                pairs = [(age, other) for age, (before, other) in zip(ages, history, strict=True) if before == context]
                total = sum(age for age, _ in pairs)
                if total:
                    bigram = sum(age for age, other in pairs if other == word) / total
                    unigram = bigram_weight * bigram + (1 - bigram_weight) * unigram
                results.append(unigram)
            history.append((context, word))
            context = word
    return results


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=8), max_size=6),
    st.floats(0.05, 1.0),
    st.floats(0.0, 1.0),
    st.booleans(),
)
def test_the_cache_counts_as_its_definition_says(texts, decay, bigram_weight, running):
    base = _cache_base()
    cached = CacheLanguageModel(model=base, decay=decay, bigram_weight=bigram_weight, running=running)
    ids, borders = base.encode([" ".join(text) for text in texts])
    found = cached._cache_probabilities(ids, borders)
    expected = cache_literally([[*text, "</s>"] for text in texts], decay, bigram_weight, running)
    assert found.tolist() == pytest.approx(expected)


def _cache_base():
    words = [*WORDS[:3], "a", "b", "c"]
    return NGramLanguageModel.from_levels(levels_of(normalised_model(2, 1, words), 2), words)


def test_a_cache_helps_where_words_repeat_and_tuning_says_how_much(models):
    generator = np.random.default_rng(0)
    repetitive = [" ".join(generator.choice(generator.choice(WORDS[3:8], 2), 40)) for _ in range(30)]
    tuned = CacheLanguageModel.tuned(models[0], repetitive)
    assert 0.3 < tuned.weight < 1
    assert tuned.perplexity(repetitive).including_unknown < 0.8 * models[0].perplexity(repetitive).including_unknown
    assert CacheLanguageModel.tuned(models[0], [" ".join(WORDS[3:8])] * 20).weight < 0.1
