"""The reviews world: the same text everywhere, and ceilings that sampled text reaches."""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.data.worlds.grammar import Grammar, WordClass, is_rule, is_slot
from nlpladder.data.worlds.registry import WORLDS, build_world
from nlpladder.data.worlds.reviews import LABELS, LEXICON, ReviewsWorld
from nlpladder.errors import ConfigError

SAMPLES = 20_000


@pytest.fixture(scope="module")
def world() -> ReviewsWorld:
    return ReviewsWorld()


@pytest.fixture(scope="module")
def sample(world):
    return world.generate("test", SAMPLES, seed=11)


def four_standard_errors(accuracy):
    return 4 * math.sqrt(accuracy * (1 - accuracy) / SAMPLES)


def sentiment_by_rules(text, clauses):
    """Read the sentiment of a text off its punctuation and connectives, as a person would."""
    sentiments, conceded = [], []
    concede_next = False
    for part in text.replace(" .", " ,").split(" ,"):
        words = part.split()
        if not words or words[0] == "despite":
            continue
        if words[0] in {"granted", "true"} and len(words) == 1:
            concede_next = True
            continue
        if words[0] in {"although"}:
            concede_next, words = True, words[1:]
        if words[0] in {"but", "still", "even"}:
            conceded += sentiments
            sentiments = []
        if words[0] in {"but", "and"}:
            words = words[1:]
        polarity = clauses.get(" ".join(words))
        if polarity is not None:
            (conceded if concede_next else sentiments).append(polarity)
            concede_next = False
    assert len(set(sentiments)) == 1, text
    return sentiments[0]


# ---- the registry


def test_registry_builds_every_world():
    for name, entry in WORLDS.items():
        assert entry.description.endswith(".")
        assert callable(build_world(name).generate)


def test_registry_names_the_nearest_world_and_option():
    with pytest.raises(ConfigError, match="Did you mean 'reviews'"):
        build_world("review")
    with pytest.raises(ConfigError, match="Did you mean 'label_noise'"):
        build_world("reviews", label_nose=0.1)


@pytest.mark.parametrize("noise", [-0.1, 0.6, float("nan")])
def test_label_noise_must_be_a_probability_up_to_one_half(noise):
    with pytest.raises(ConfigError, match="label_noise"):
        build_world("reviews", label_noise=noise)


# ---- generation


def test_unknown_split_and_negative_size_are_refused(world):
    with pytest.raises(ConfigError, match="Did you mean 'validation'"):
        world.generate("valid", 1, 0)
    with pytest.raises(ConfigError, match="zero or more"):
        world.generate("train", -1, 0)


@settings(deadline=None, max_examples=20)
@given(
    split=st.sampled_from(["train", "validation", "test", "unlabeled"]),
    seed=st.integers(),
    small=st.integers(0, 20),
    more=st.integers(0, 20),
)
def test_first_reviews_do_not_depend_on_the_size(split, seed, small, more):
    world = ReviewsWorld()
    short, long = world.generate(split, small, seed), world.generate(split, small + more, seed)
    assert {name: column[:small] for name, column in long.items()} == short


def test_text_is_the_same_on_every_machine(world):
    text = "\n".join(world.generate("train", 500, seed=0)["text"])
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "a91e28423650bdd97a4cc78220c06e5b8ef3d5f13441b0681b13ed9ee5048785"


def test_splits_and_seeds_have_their_own_streams(world):
    streams = [
        set(world.generate(split, 300, seed)["text"])
        for split, seed in itertools.product(["train", "validation", "test", "unlabeled"], [0, 1])
    ]
    for one, other in itertools.combinations(streams, 2):
        assert len(one & other) < 10


def test_columns(world, sample):
    assert list(world.generate("unlabeled", 3, 0)) == ["text"]
    assert list(sample) == ["text", "label", "negated", "contrast", "intensified", "aspects"]
    assert {len(column) for column in sample.values()} == {SAMPLES}
    assert set(sample["label"]) == set(LABELS)
    assert set(sample["aspects"]) <= {1, 2}
    assert {type(value) for name in ("negated", "contrast", "intensified") for value in sample[name]} == {bool}


def test_classes_are_balanced(sample):
    share = sample["label"].count("positive") / SAMPLES
    assert abs(share - 0.5) < four_standard_errors(0.5)


def test_reviews_are_lower_case_words_split_by_single_spaces(sample):
    for text in sample["text"]:
        assert text == text.lower() == " ".join(text.split())
        assert text.endswith(" .")
    lengths = [len(text.split()) for text in sample["text"]]
    assert 12 < sum(lengths) / SAMPLES < 22
    assert max(lengths) < 45


# ---- what the ceilings rest on


def test_every_word_has_one_class_and_is_no_function_word(world):
    words = [word for words in LEXICON.values() for word in words]
    assert [word for word, count in Counter(words).items() if count > 1] == []
    assert set(words).isdisjoint(world.grammar.function_words())
    assert all(word.isalpha() and word.islower() for word in words)


def test_asides_share_no_word_with_the_rest_and_repeat_none(world):
    grammar = world.grammar
    inside = grammar.words_of("filler")
    outside = set().union(*(grammar.words_of(name) for name in ("review+", "review-", "clause+", "clause-")))
    assert inside.isdisjoint(outside)
    for variant in grammar.variants("filler"):
        assert len(set(variant.symbols)) == len(variant.symbols)


def test_no_word_of_a_class_occurs_twice_in_a_text(world, sample):
    for text in sample["text"][:2000]:
        words = [word for word in text.split() if word in world.grammar.class_of_word]
        assert len(set(words)) == len(words)


def test_no_clause_can_be_read_as_both_sentiments(world):
    positive, negative = ({variant.symbols for variant in world.grammar.variants(f"clause{s}")} for s in "+-")
    assert positive.isdisjoint(negative)
    assert not {symbol for clause in positive | negative for symbol in clause} & {",", "."}
    connectives = {"but", "although", "and", "still", "even", "granted", "true", "despite", "all", "besides"}
    assert not {clause[0] for clause in positive | negative} & connectives


def test_draws_within_a_class_are_distinct_and_exchangeable():
    generator = random.Random(0)
    drawn = Counter(tuple(WordClass("abc").draw_distinct(2, generator)) for _ in range(30_000))
    assert all(one != other for one, other in drawn)
    for one, other in itertools.combinations("abc", 2):
        difference = drawn[one, other] - drawn[other, one]
        assert abs(difference) < 4 * math.sqrt(drawn[one, other] + drawn[other, one])


# ---- the ceilings


def test_reading_the_grammar_reaches_the_bayes_accuracy(world, sample):
    clauses = {" ".join(v.symbols): sign for sign in "+-" for v in world.grammar.variants(f"clause{sign}")}
    expected = world.ceilings()["bayes_accuracy"]
    texts = [" ".join(world.grammar.symbols_of(text)) for text in sample["text"]]
    hits = [
        (sentiment_by_rules(text, clauses) == "+") == (label == "positive")
        for text, label in zip(texts, sample["label"], strict=True)
    ]
    assert abs(sum(hits) / SAMPLES - expected) < four_standard_errors(expected)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_best_function_of_the_bag_reaches_its_ceiling(world, sample, order):
    grammar = world.grammar
    negative, positive = (grammar.signature_probabilities(name, order) for name in ("review-", "review+"))
    assert sum(negative.values()) == pytest.approx(1.0, abs=1e-9)
    assert sum(positive.values()) == pytest.approx(1.0, abs=1e-9)
    hits = 0
    for text, label in zip(sample["text"], sample["label"], strict=True):
        bag = grammar.signature(grammar.symbols_of(text), order)
        assert bag in negative or bag in positive
        hits += (positive.get(bag, 0.0) > negative.get(bag, 0.0)) == (label == "positive")
    expected = world.ceilings()[f"best_{('uni', 'bi', 'tri')[order - 1]}gram_accuracy"]
    # Where both labels are equally likely the choice does not matter, so the plain error bar holds.
    assert abs(hits / SAMPLES - expected) < four_standard_errors(expected)


def test_ceilings_are_ordered_and_leave_room_between_the_rungs(world):
    ceilings = world.ceilings()
    unigram, bigram, trigram = (ceilings[f"best_{name}_accuracy"] for name in ("unigram", "bigram", "trigram"))
    assert unigram + 0.04 < bigram < trigram <= ceilings["bayes_accuracy"] == pytest.approx(0.97)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_ceilings_that_are_shown_are_those_of_the_grammar(world, order):
    shown = world.ceilings()[f"best_{('uni', 'bi', 'tri')[order - 1]}gram_accuracy"]
    assert shown == pytest.approx(world.best_ngram_accuracy(order), abs=1e-9)


def test_label_noise_moves_every_ceiling():
    clean, coin = ReviewsWorld(label_noise=0.0), ReviewsWorld(label_noise=0.5)
    assert clean.ceilings()["bayes_accuracy"] == 1.0
    assert coin.best_ngram_accuracy(1) == pytest.approx(0.5)
    assert ReviewsWorld(0.1).best_ngram_accuracy(1) == pytest.approx(0.1 + 0.8 * clean.best_ngram_accuracy(1))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_signature_is_the_bag_of_word_ngrams_up_to_renaming(order):
    """On a toy language: brute force over word texts gives the same best accuracy as the class signature."""
    rules = {
        "yes": [(1, "[part] but [good]"), (2, "[good]"), (1, "[aside] . [good] but [part]")],
        "no": [(1, "[good] but [part]"), (1, "[part] . [part]"), (1, "[part] but [good] .")],
        "part": [(2, "the <x> is <y>"), (1, "the <x> is not <y>")],
        "good": [(1, "the <x> is <y>"), (1, "the <y> is not <x>")],
        "aside": [(1, "once upon <z>"), (1, "<z>")],
    }
    lexicon = {"x": ["a", "b", "c"], "y": ["d", "e", "f"], "z": ["g", "h"]}
    grammar = Grammar(rules, lexicon, pieces=("part", "good"), asides=("aside",))
    exact = {name: Counter() for name in ("yes", "no")}
    for name, total in exact.items():
        for symbols, probability in _all_texts(grammar, name):
            padded = ["|"] * (order - 1) + list(symbols) + ["|"] * (order - 1)
            bag = frozenset(Counter(zip(*(padded[start:] for start in range(order)), strict=False)).items())
            total[bag] += probability
    brute = sum(max(exact["yes"][bag], exact["no"][bag]) for bag in exact["yes"] | exact["no"])
    summed = {name: grammar.signature_probabilities(name, order) for name in ("yes", "no")}
    ours = sum(max(summed["yes"].get(bag, 0), summed["no"].get(bag, 0)) for bag in summed["yes"].keys() | summed["no"])
    assert ours == pytest.approx(brute, abs=1e-12)


def _all_texts(grammar, name):
    for plan in grammar.variants(name):
        closed = [grammar.variants(s[1:-1]) if is_rule(s) else [s] for s in plan.symbols]
        for choice in itertools.product(*closed):
            symbols = [s for part in choice for s in ([part] if isinstance(part, str) else part.symbols)]
            chance = plan.probability * math.prod(part.probability for part in choice if not isinstance(part, str))
            slots = Counter(symbol for symbol in symbols if is_slot(symbol))
            draws = [_distinct_draws(grammar.classes[slot], count) for slot, count in slots.items()]
            for draw in itertools.product(*draws):
                words = {slot: iter(picked) for slot, (picked, _) in zip(slots, draw, strict=True)}
                text = [next(words[symbol]) if symbol in words else symbol for symbol in symbols]
                yield text, chance * math.prod(weight for _, weight in draw)


def _distinct_draws(word_class, count):
    heights = [high - low for low, high in itertools.pairwise([0.0, *word_class._cumulative])]
    weights = dict(zip(word_class.words, heights, strict=True))
    draws = list(itertools.permutations(word_class.words, count))
    masses = [math.prod(weights[word] for word in draw) for draw in draws]
    return [(draw, mass / sum(masses)) for draw, mass in zip(draws, masses, strict=True)]
