"""The stories world: an unambiguous grammar, its entropy by sampling, and floors that n-gram models cannot pass."""

from __future__ import annotations

import hashlib
import itertools
import math
import random
import re
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.data.corpora import CorpusOptions, load_corpus
from nlpladder.data.worlds import stories_lexicon as lexicon
from nlpladder.data.worlds.automaton import END, Automaton
from nlpladder.data.worlds.stories import LEXICON, SPLITS, StoriesWorld, joined, rules
from nlpladder.errors import ConfigError
from nlpladder.text.tokenization import regex_tokenize

SAMPLES = 6000

#: A small language with agreement over a distance, a rule that ends early, and two derivations of one text.
TOY_RULES = {
    "start": [(1, "[subject_s] sings ."), (2, "[subject_p] sing ."), (1, "the <s> sings . [more]")],
    "subject_s": [(2, "the <s>"), (1, "the <s> near the [any]")],
    "subject_p": [(1, "the <p>"), (1, "the <p> near the [any]")],
    "any": [(1, "<s>"), (1, "<p>")],
    "more": [(3, ""), (1, "he sings .")],
}
TOY_LEXICON = {"s": ["dog", "cat"], "p": ["dogs", "cats", "birds"]}


def derivations(rules, lexicon, symbols):
    """Write out every derivation of a line with its probability; independent of the automaton."""
    if not symbols:
        yield (), 1.0
        return
    first, *rest = symbols
    if first[0] == "[":
        total = sum(weight for weight, _ in rules[first[1:-1]])
        heads = [
            (text, chance * weight / total)
            for weight, line in rules[first[1:-1]]
            for text, chance in derivations(rules, lexicon, line.split())
        ]
    elif first[0] == "<":
        words = lexicon[first[1:-1]]
        harmonic = sum(1 / rank for rank in range(1, len(words) + 1))
        heads = [((word,), 1 / rank / harmonic) for rank, word in enumerate(words, 1)]
    else:
        heads = [((first,), 1.0)]
    for (head, one), (tail, other) in itertools.product(heads, list(derivations(rules, lexicon, rest))):
        yield head + tail, one * other


@pytest.fixture(scope="module")
def toy():
    return Automaton(TOY_RULES, TOY_LEXICON, "start")


@pytest.fixture(scope="module")
def toy_texts():
    texts = Counter()
    for text, chance in derivations(TOY_RULES, TOY_LEXICON, ["[start]"]):
        texts[text] += chance
    return texts


@pytest.fixture(scope="module")
def world():
    return StoriesWorld()


@pytest.fixture(scope="module")
def sample(world):
    return world.generate("test", SAMPLES, seed=11)["text"]


def within_four_standard_errors(values, expected):
    mean = math.fsum(values) / len(values)
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return abs(mean - expected) < 4 * error


# ---- the automaton against brute force


def test_probability_of_every_text_adds_up_its_derivations(toy, toy_texts):
    assert sum(toy_texts.values()) == pytest.approx(1.0)
    number = sum(1 for _ in derivations(TOY_RULES, TOY_LEXICON, ["[start]"]))
    assert number > len(toy_texts)  # "the dog sings ." has two derivations
    for text, chance in toy_texts.items():
        assert math.exp(sum(toy.log_probabilities(text))) == pytest.approx(chance, rel=1e-12)


def test_entropy_and_counts_equal_brute_force(toy, toy_texts):
    visits = toy.visits()
    brute = -sum(chance * math.log(chance) for chance in toy_texts.values())
    assert toy.entropy(visits) == pytest.approx(brute, rel=1e-12)
    counts = Counter()
    for text, chance in toy_texts.items():
        for word in (*text, END):
            counts[toy.symbol_of.get(word, word)] += chance
    assert toy.expected_counts(visits) == pytest.approx(dict(counts), rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_ngram_floor_equals_brute_force_over_words(toy, toy_texts, order):
    counts = defaultdict(Counter)
    for text, chance in toy_texts.items():
        padded = ["<s>"] * (order - 1) + [*text, END]
        for position in range(order - 1, len(padded)):
            counts[tuple(padded[position - order + 1 : position])][padded[position]] += chance
    brute = -sum(count * math.log(count / sum(inner.values())) for inner in counts.values() for count in inner.values())
    assert toy.ngram_entropy(order, toy.visits()) == pytest.approx(brute, rel=1e-12)


def test_a_long_history_reaches_the_entropy(toy):
    visits = toy.visits()
    floors = [toy.ngram_entropy(order, visits) for order in range(1, 10)]
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(floors))
    assert floors[-1] == pytest.approx(toy.entropy(visits), rel=1e-12)


@pytest.mark.parametrize(
    ("rules", "lexicon", "message"),
    [
        ({"start": [(1, "a <b>")]}, {"b": ["a"]}, "which is a word of"),
        ({"start": [(1, "<a> <b>")]}, {"a": ["x"], "b": ["x"]}, "two classes"),
        ({"start": [(1, "a [b]")]}, {}, "not defined"),
        ({"start": [(1, "a <b>")]}, {}, "not defined"),
        ({"start": [(1, "[start] a"), (1, "a")]}, {}, "calls itself"),
        ({}, {}, "not defined"),
    ],
)
def test_broken_grammars_are_refused(rules, lexicon, message):
    with pytest.raises(ValueError, match=message):
        Automaton(rules, lexicon, "start")


# ---- the grammar


def test_no_story_has_two_derivations():
    # The rules with one word a class, and at most one sentence between opening and ending.
    small = {name: list(lines) for name, lines in rules(("dog", "cat")).items()}
    for name in small:
        if name.startswith("rest_"):
            setting = name.removeprefix("rest_")
            small[name] = [(1, f"[sentence_{setting}] [ending_{setting}]"), (1, f"[ending_{setting}]")]
    words = {name: LEXICON[name][:1] for name in LEXICON}
    texts = Counter(text for text, _ in derivations(small, words, ["[story]"]))
    assert len(texts) > 1500
    assert max(texts.values()) == 1


def test_every_word_has_one_class_and_forms_stand_in_the_same_order():
    words = [word for names in LEXICON.values() for word in names]
    assert len(set(words)) == len(words)
    assert not set(words) & set(lexicon.PETS)
    assert all(word.isalpha() for word in words)
    for one, many in (
        (lexicon.SINGULAR_NOUNS, lexicon.PLURAL_NOUNS),
        (lexicon.SINGULAR_RELATION_VERBS, lexicon.PLURAL_RELATION_VERBS),
        (lexicon.SINGULAR_STATES, lexicon.PLURAL_STATES),
    ):
        assert len(one) == len(many)
        assert all(a[:2] == b[:2] for a, b in zip(one, many, strict=True) if a != "was")
    for name in ("pet_adjective", "home_adjective", "job", "object"):
        assert not [word for word in LEXICON[name] if word[0] in "aeiou"], name


def test_entropy_by_sampling(world, sample):
    losses = [-world.log_probability(text) for text in sample]
    assert all(map(math.isfinite, losses))
    assert within_four_standard_errors(losses, world.entropy())


def test_sizes_by_sampling(world, sample):
    assert within_four_standard_errors([len(text.encode()) for text in sample], world.expected_size("byte"))
    assert within_four_standard_errors([len(text.split()) for text in sample], world.expected_size("word"))
    tokens = [len(regex_tokenize(text)) + 1 for text in sample]
    assert within_four_standard_errors(tokens, world.expected_size("token"))


def test_unigram_floor_by_sampling(world, sample):
    visits = world.automaton.visits()
    counts = world.automaton.expected_counts(visits)
    total = sum(counts.values())

    def loss(word):
        symbol = world.automaton.symbol_of.get(word, word)
        return -math.log(counts[symbol] / total) - world.automaton.log_word.get(word, 0.0)

    losses = [sum(map(loss, (*regex_tokenize(text), END))) for text in sample]
    assert within_four_standard_errors(losses, world.entropy(1))


def test_ladder_of_floors_leaves_room_between_the_rungs(world):
    ceilings = world.ceilings()
    names = ("unigram", "bigram", "trigram", "five_gram")
    floors = [ceilings[f"best_{name}_perplexity_per_token"] for name in names]
    assert floors == sorted(floors, reverse=True)
    assert ceilings["perplexity_per_token"] * 1.05 < floors[-1] < floors[-2] / 1.05
    assert ceilings["nats_per_story"] == world.entropy()
    per_byte = ceilings["bits_per_byte"] * math.log(2) * world.expected_size("byte")
    assert per_byte == pytest.approx(world.entropy(), rel=1e-12)
    assert math.log(ceilings["perplexity_per_word"]) * world.expected_size("word") == pytest.approx(world.entropy())


def test_ngram_models_of_any_order_stay_above_the_entropy(world):
    assert world.entropy(6) > world.entropy() + 0.5


# ---- what is written


def test_agreement_holds_in_every_story(sample):
    singular = {*lexicon.SINGULAR_STATES, "is"}
    plural = {*lexicon.PLURAL_STATES, "are"}
    for text in sample:
        first = text.split()[0]
        others = {"He", "he", "His", "himself"} if first in lexicon.WOMEN else {"She", "she", "Her", "herself"}
        assert (first in lexicon.WOMEN) != (first in lexicon.MEN)
        words = regex_tokenize(text)
        assert not others & set(words), text
        pet = next(word for word in words if word in lexicon.PETS)
        assert {word for word in words if word in lexicon.PETS} == {pet}
        assert not {w for kind, does in lexicon.PET_VERBS.items() if kind != pet for w in does} & set(words)
        for sentence in re.findall(r"The [^.]*\.", text):
            tokens = sentence[:-1].split()
            if tokens[1] == pet:
                continue
            subject = next(w for w in tokens if w in lexicon.SINGULAR_NOUNS or w in lexicon.PLURAL_NOUNS)
            verb = tokens[-2]
            assert verb in (singular if subject in lexicon.SINGULAR_NOUNS else plural), sentence


def test_a_wrong_number_gender_or_pet_has_no_probability(world):
    good = "Anna lives in a quiet village with a small dog. The keys near the door are lost. Now she lives alone and " \
        "the dog barks no more."  # fmt: skip
    assert math.isfinite(world.log_probability(good))
    for wrong, right in (
        ("door is", "door are"),
        ("he lives", "she lives"),
        ("cat barks", "dog barks"),
        (" purrs", " barks"),
    ):
        assert world.log_probability(good.replace(right, wrong)) == -math.inf
    for broken in (
        "",
        "Anna",
        good + " ",
        good.replace(".", " ."),
        good.lower(),
        good + "\n",
        good[:-1],
        good + " Anna",
    ):
        assert world.log_probability(broken) == -math.inf


def test_token_log_probabilities_stop_where_the_story_breaks(world, sample):
    tokens = regex_tokenize(sample[0])
    assert len(world.token_log_probabilities(sample[0])) == len(tokens) + 1
    broken = joined([*tokens[:4], "zebra", *tokens[4:]])
    logs = world.token_log_probabilities(broken)
    assert logs[:4] == world.token_log_probabilities(sample[0])[:4]
    assert set(logs[4:]) == {-math.inf}
    assert len(logs) == len(tokens) + 2


@settings(deadline=None, max_examples=100)
@given(text=st.text(max_size=40))
def test_hostile_text_has_no_probability(text):
    assert _WORLD.log_probability(text) == -math.inf


_WORLD = StoriesWorld()


@settings(deadline=None, max_examples=20)
@given(split=st.sampled_from(SPLITS), seed=st.integers(), small=st.integers(0, 15), more=st.integers(0, 15))
def test_first_stories_do_not_depend_on_the_size(split, seed, small, more):
    short, long = _WORLD.generate(split, small, seed), _WORLD.generate(split, small + more, seed)
    assert {name: column[:small] for name, column in long.items()} == short
    assert list(short) == ["text"]


def test_text_is_the_same_on_every_machine(world):
    text = "\n".join(world.generate("train", 300, seed=0)["text"])
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "840f50a57175f66747d7318c3c515c7d2f47b33ea24f88d70634acb9de3ab259"
    )


def test_splits_and_seeds_have_their_own_streams(world):
    streams = [world.generate(split, 30, seed)["text"] for split in SPLITS for seed in (0, 1)]
    assert len({tuple(stream) for stream in streams}) == len(streams)


def test_unknown_split_and_negative_size_are_refused(world):
    with pytest.raises(ConfigError, match="Did you mean 'validation'"):
        world.generate("valid", 1, 0)
    with pytest.raises(ConfigError, match="zero or more"):
        world.generate("train", -1, 0)


def test_loads_as_a_corpus_with_one_story_a_line():
    corpus = load_corpus(CorpusOptions(dataset="world:stories?train=50&validation=10&test=20&seed=4"))
    assert corpus.test == StoriesWorld().generate("test", 20, seed=4)["text"]
    assert len(corpus.validation) == 10


def test_sampling_follows_the_automaton(toy, toy_texts):
    generator = random.Random(0)
    drawn = Counter(tuple(toy.sample(generator)) for _ in range(20_000))
    assert drawn.keys() <= toy_texts.keys()
    for text, chance in toy_texts.items():
        assert abs(drawn[text] - 20_000 * chance) < 5 * math.sqrt(20_000 * chance) + 1
