"""The phrasebook world: correct French, one reference a sentence, and combinations that training never shows."""

from __future__ import annotations

import hashlib
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.data.parallel import load_parallel_text
from nlpladder.data.worlds import phrasebook_clauses as clauses
from nlpladder.data.worlds import phrasebook_lexicon as lexicon
from nlpladder.data.worlds.phrasebook import SPLITS, PhrasebookWorld, is_held_out, split_of
from nlpladder.data.worlds.phrasebook_french import (
    DE,
    LA,
    LE,
    LES,
    NE,
    conjugated,
    inverted,
    participle,
    spell,
)
from nlpladder.data.worlds.phrasebook_phrases import FIRST, THEY, THIRD, WE, Phrase
from nlpladder.errors import ConfigError

SAMPLES = 12_000


@pytest.fixture(scope="module")
def world():
    return PhrasebookWorld()


@pytest.fixture(scope="module")
def drawn(world):
    generator = random.Random(5)
    return [world.draw(generator) for _ in range(SAMPLES)]


# ---- French by hand


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ((LE, "homme"), "l'homme"),
        ((LE, "hibou"), "le hibou"),
        ((LE, "héros"), "le héros"),
        ((LA, "héroïne"), "l'héroïne"),
        ((LA, "hache"), "la hache"),
        ((LA, "huître"), "l'huître"),
        ((LE, "œuf"), "l'œuf"),
        ((LE, "âne"), "l'âne"),
        (("à", LE, "marché"), "au marché"),
        (("à", LES, "hôtels"), "aux hôtels"),
        (("à", LE, "hôtel"), "à l'hôtel"),
        (("à", LA, "gare"), "à la gare"),
        (("près", DE, LE, "musée"), "près du musée"),
        (("près", DE, LES, "écoles"), "près des écoles"),
        (("près", DE, LE, "aéroport"), "près de l'aéroport"),
        (("près", DE, LA, "église"), "près de l'église"),
        ((LE, "livre", DE, "Alice"), "le livre d'Alice"),
        ((LE, "livre", DE, "Paul"), "le livre de Paul"),
        (("à", LE, "hérisson"), "au hérisson"),
        (("à", LE, "beau|bel", "hôtel"), "au bel hôtel"),
        (("ce|cet", "homme"), "cet homme"),
        (("ce|cet", "vieux|vieil", "homme"), "ce vieil homme"),
        (("ce|cet", "vieux|vieil", "héros"), "ce vieux héros"),
        (("ma|mon", "histoire"), "mon histoire"),
        (("sa|son", "belle", "histoire"), "sa belle histoire"),
        (("un", "nouveau|nouvel", "ordinateur"), "un nouvel ordinateur"),
        (("je|j'", "ai"), "j'ai"),
        (("je|j'", NE, "ai", "pas"), "je n'ai pas"),
        ((NE, "le|l'", "a-t-elle", "pas", "vu"), "ne l'a-t-elle pas vu"),
        # The pronoun le never melts into à or de; only the article does.
        (("à", "le|l'", "voir"), "à le voir"),
    ],
)
def test_spelling(tokens, text):
    assert spell(tokens) == text


@pytest.mark.parametrize(
    ("verb", "tense", "forms"),
    [
        ("manger", "present", "mange mange mangeons mangent"),
        ("manger", "imparfait", "mangeais mangeait mangions mangeaient"),
        ("manger", "futur", "mangerai mangera mangerons mangeront"),
        ("finir", "present", "finis finit finissons finissent"),
        ("choisir", "imparfait", "choisissais choisissait choisissions choisissaient"),
        ("attendre", "present", "attends attend attendons attendent"),
        ("répondre", "futur", "répondrai répondra répondrons répondront"),
        ("voir", "futur", "verrai verra verrons verront"),
        ("envoyer", "futur", "enverrai enverra enverrons enverront"),
        ("nettoyer", "futur", "nettoierai nettoiera nettoierons nettoieront"),
        ("acheter", "present", "achète achète achetons achètent"),
        ("être", "imparfait", "étais était étions étaient"),
        ("peindre", "imparfait", "peignais peignait peignions peignaient"),
        ("remercier", "imparfait", "remerciais remerciait remerciions remerciaient"),
        ("courir", "futur", "courrai courra courrons courront"),
        ("revenir", "present", "reviens revient revenons reviennent"),
        ("connaître", "present", "connais connaît connaissons connaissent"),
    ],
)
def test_conjugation(verb, tense, forms):
    assert [conjugated(verb, tense, person) for person in (FIRST, THIRD, WE, THEY)] == forms.split()


def test_participles_and_inversion():
    assert [participle("voir", g, p) for g in "mf" for p in (False, True)] == ["vu", "vus", "vue", "vues"]
    assert participle("offrir", "f", True) == "offertes"
    assert participle("attendre") == "attendu"
    assert [inverted("mange", "elle"), inverted("a", "il"), inverted("finit", "il"), inverted("vend", "elle")] == [
        "mange-t-elle", "a-t-il", "finit-il", "vend-elle"
    ]  # fmt: skip
    assert inverted("mangeons", "nous") == "mangeons-nous"
    with pytest.raises(ValueError, match="ends neither"):
        conjugated("chat", "present", 0)


def verb(base, particle="", frame=None):
    return next(
        v for v in lexicon.VERBS if v.base == base and v.particle == particle and (frame is None or v.frame == frame)
    )


SHE = Phrase("she", ("elle",), THIRD, "f", "person", pronoun=True)
MARIE = Phrase("Marie", ("Marie",), THIRD, "f", "person")
GIRLS = Phrase("the girls", (LES, "filles"), THEY, "f", "person")
WE_ALL = Phrase("we", ("nous",), WE, "", "person", pronoun=True)
I_ALONE = Phrase("I", ("je|j'",), FIRST, "", "person", pronoun=True)
APPLES = clauses.Objects("the apples", (LES, "pommes"))
THEM = clauses.Objects("them", (), ("les",), ("f", True))
IT = clauses.Objects("it", (), ("la|l'",), ("f", False))
CALL_HER = clauses.Objects("her", (), ("lui",))
UP = clauses.Objects("up")
NOTHING = clauses.Objects()


@pytest.mark.parametrize(
    ("subject", "action", "tense", "polarity", "objects", "question", "english", "french"),
    [
        (SHE, verb("eat"), "present", "", APPLES, False, "she eats the apples", "elle mange les pommes"),
        (SHE, verb("eat"), "past", "", THEM, False, "she ate them", "elle les a mangées"),
        (SHE, verb("eat"), "past", "not", IT, False, "she did not eat it", "elle ne l'a pas mangée"),
        (GIRLS, verb("eat"), "progressive", "", APPLES, False, "the girls were eating the apples",
         "les filles mangeaient les pommes"),
        (GIRLS, verb("arrive"), "past", "", NOTHING, False, "the girls arrived", "les filles sont arrivées"),
        (GIRLS, verb("arrive"), "past", "", NOTHING, True, "did the girls arrive", "les filles sont-elles arrivées"),
        (MARIE, verb("get", "up"), "past", "", UP, False, "Marie got up", "Marie s'est levée"),
        (MARIE, verb("get", "up"), "past", "not", UP, True, "did Marie not get up", "Marie ne s'est-elle pas levée"),
        (WE_ALL, verb("get", "up"), "present", "never", UP, False, "we never get up", "nous ne nous levons jamais"),
        (I_ALONE, verb("rest", frame="reflexive"), "future", "", NOTHING, False, "I will rest", "je me reposerai"),
        (SHE, verb("call"), "past", "", CALL_HER, False, "she called her", "elle lui a téléphoné"),
        (SHE, verb("eat"), "present", "", APPLES, True, "does she eat the apples", "mange-t-elle les pommes"),
        (SHE, verb("eat"), "past", "not", IT, True, "did she not eat it", "ne l'a-t-elle pas mangée"),
        (MARIE, verb("love"), "past", "", IT, False, "Marie loved it", "Marie l'aimait"),
        (I_ALONE, verb("write"), "past", "never", NOTHING, False, "I never wrote", "je n'ai jamais écrit"),
        (WE_ALL, verb("see"), "future", "not", APPLES, True, "will we not see the apples",
         "ne verrons-nous pas les pommes"),
    ],
)  # fmt: skip
def test_clauses_in_both_languages(subject, action, tense, polarity, objects, question, english, french):
    assert clauses.english_clause(subject, action, tense, polarity, objects, question=question) == english
    tokens = clauses.french_clause(subject, action, tense, polarity, objects, question=question)
    assert spell(tokens) == french


@pytest.mark.parametrize(
    ("gender", "plural", "forms"),
    [
        ("m", False, "vieux nouveau beau marron cher heureux blanc"),
        ("f", False, "vieille nouvelle belle marron chère heureuse blanche"),
        ("m", True, "vieux nouveaux beaux marron chers heureux blancs"),
        ("f", True, "vieilles nouvelles belles marron chères heureuses blanches"),
    ],
)
def test_adjectives_agree(gender, plural, forms):
    words = ("old", "new", "beautiful", "brown", "expensive", "happy", "white")
    table = {adjective.english: adjective for adjective in lexicon.ADJECTIVES}
    assert [table[word].form(gender, plural) for word in words] == forms.split()


# ---- the lexicon


def test_each_english_word_has_one_french_word():
    for entries in (
        [(n.english, n.french) for n in lexicon.NOUNS] + [(n.english_plural, n.french_plural) for n in lexicon.NOUNS],
        [(a.english, a.forms) for a in lexicon.ADJECTIVES],
        [((v.base, v.particle, v.frame in ("direct", "indirect", "both")), v.french) for v in lexicon.VERBS],
    ):
        assert len({english for english, _ in entries}) == len(entries)


def test_english_tells_past_from_present_and_one_from_several():
    # "They read it" may be present or past, "the sheep ran" one or many: such words would have two references.
    assert all(v.past not in (v.base, v.third) for v in lexicon.VERBS)
    assert all(n.english != n.english_plural for n in lexicon.NOUNS)


def test_words_name_known_kinds_and_every_kind_can_be_described():
    for word in (*lexicon.ADJECTIVES, *lexicon.VERBS):
        assert set(word.kinds) <= set(lexicon.KINDS)
    for kind in lexicon.KINDS:
        for before in (True, False):
            assert any(kind in a.kinds and a.before == before for a in lexicon.ADJECTIVES)
    for action in lexicon.VERBS:
        assert len({conjugated(action.french, tense, THIRD) for tense in ("present", "imparfait", "futur")}) == 3


# ---- what is written


def test_every_english_sentence_has_one_reference(drawn):
    known: dict[str, str] = {}
    for english, french, _ in drawn:
        assert known.setdefault(english, french) == french


def test_spelling_of_all_sentences(drawn):
    vowel = "[aeiouâéèêîôœ]"
    for english, french, _ in drawn:
        assert english[0].isupper()
        assert french[0].isupper()
        assert english[-1] == french[-1]
        assert english[-1] in ".?"
        assert "  " not in french + english
        assert not re.search(r"[|_\[\]]", french)
        assert not re.search(rf"\b(le|la|ne|de|je|me|se|que|ma|sa|ce|beau|vieux|nouveau) {vowel}", french.lower()) or (
            # Plurals, and adjectives behind their noun or behind être, do not elide.
            re.search(rf"\b(vieux|beau|nouveau) {vowel}", french.lower())
        ), french
        assert not re.search(r"\b(de|à) (le|les) (?!\w*(er|ir|re|oir)\b)", french), french
        assert not re.search(r"\b[ldnjms]'(h(ibou|éros|ériss|arp|ach|omard)|[^aeiouhâéèêîôœAÉEIO])", french), french
        assert french.count(" ne ") + french.count("n'") + french.startswith("Ne ") <= 2


def test_questions_and_statements_have_their_marks(drawn):
    first = {"Does", "Do", "Did", "Will", "Was", "Were", "Is", "Are"}
    for english, french, _ in drawn:
        assert (english.split()[0] in first) == english.endswith("?")
        assert french.endswith(" ?") == english.endswith("?")
        if english.endswith("?"):
            assert re.search(r"-(il|elle|ils|elles|nous)\b", french), french


def test_negation_is_complete(drawn):
    for english, french, _ in drawn:
        negations = len(re.findall(r"\b(not|never|cannot)\b", english))
        assert len(re.findall(r"\b(pas|jamais)\b", french)) == negations, (english, french)
        assert len(re.findall(r"\b[Nn](?:e |')", french)) == negations, (english, french)


def test_pronouns_of_a_second_clause_agree_with_the_noun_before(drawn):
    genders = {noun.english: noun.gender for noun in lexicon.NOUNS}
    genders |= {noun.english_plural: noun.gender for noun in lexicon.NOUNS}
    seen = set()
    for english, french, _ in drawn:
        found = re.fullmatch(
            r"(?:The|My|Our|His|Her|This|These) (\w+) (?:is|was|are|were) \w+,? (?:but|because) .*", english
        )
        if found:
            pronoun = re.search(r"(?:mais |parce qu')(ils?|elles?)\b", french)
            assert pronoun
            assert (pronoun[1][0] == "e") == (genders[found[1]] == "f"), (english, french)
            seen.add(pronoun[1])
    assert seen == {"il", "elle", "ils", "elles"}


def test_there_are_more_than_ten_million_plain_statements():
    # Five definite determiners for the subject, six for the object, each noun in two numbers, three tenses.
    people = sum(noun.kind == "person" for noun in lexicon.NOUNS) * 2 * 5
    objects = sum(noun.kind in v.kinds for v in lexicon.VERBS if v.frame == "direct" for noun in lexicon.NOUNS) * 2 * 6
    assert people * objects * 3 > 10_000_000


# ---- splits


@settings(deadline=None, max_examples=15)
@given(split=st.sampled_from(SPLITS), seed=st.integers(), small=st.integers(0, 15), more=st.integers(0, 15))
def test_first_sentences_do_not_depend_on_the_size(split, seed, small, more):
    world = PhrasebookWorld()
    short, long = world.generate(split, small, seed), world.generate(split, small + more, seed)
    assert {name: column[:small] for name, column in long.items()} == short
    assert list(short) == ["en", "fr"]


def test_text_is_the_same_on_every_machine(world):
    columns = world.generate("train", 300, seed=0)
    digest = hashlib.sha256("\n".join(columns["en"] + columns["fr"]).encode()).hexdigest()
    assert digest == "c3265ddc5859bc0c7d24bb98465ce992832d9ebb7cc92093e42e6ca06c5eb36f"


def test_splits_share_no_sentence_whatever_the_seeds(world):
    parts = [set(world.generate(split, 1500, seed)["en"]) for seed, split in enumerate(SPLITS)]
    for number, one in enumerate(parts):
        for other in parts[number + 1 :]:
            assert not one & other


def test_combinations_of_the_compositional_split_never_occur_in_training(drawn):
    train = [pairs for english, _, pairs in drawn if split_of(english, pairs) == "train"]
    held = [pairs for english, _, pairs in drawn if split_of(english, pairs) == "compositional"]
    assert not any(is_held_out(pair) for pair in frozenset().union(*train))
    assert all(any(is_held_out(pair) for pair in pairs) for pairs in held)
    assert 0.1 < len(held) / len(drawn) < 0.35


def test_no_word_is_kept_out_of_training(world):
    train, held = world.generate("train", 12_000, 1), world.generate("compositional", 2000, 2)
    for language in ("en", "fr"):
        known = {word for text in train[language] for word in re.findall(r"\w+", text.lower())}
        rare = {word for text in held[language] for word in re.findall(r"\w+", text.lower())} - known
        # A rare form (« nous admirons ») may not have been drawn yet, in either split.
        assert len(rare) <= (2 if language == "en" else 30), rare


def test_every_adjective_and_verb_keeps_most_of_its_nouns():
    lists = [
        [f"{word.english} {noun.english}" for noun in lexicon.NOUNS if noun.kind in word.kinds]
        for word in lexicon.ADJECTIVES
    ]
    lists += [
        [
            f"{f'{word.base} {word.particle}'.strip()} + {noun.english}"
            for noun in lexicon.NOUNS
            if noun.kind in word.kinds
        ]
        for word in lexicon.VERBS
        if word.kinds
    ]
    held = [sum(map(is_held_out, pairs)) for pairs in lists]
    assert all(count < len(pairs) / 2 for count, pairs in zip(held, lists, strict=True))
    assert 0.07 < sum(held) / sum(map(len, lists)) < 0.13


def test_unknown_split_and_negative_size_are_refused(world):
    with pytest.raises(ConfigError, match="Did you mean 'validation'"):
        world.generate("valid", 1, 0)
    with pytest.raises(ConfigError, match="zero or more"):
        world.generate("train", -1, 0)


def test_loads_as_parallel_text_in_both_directions():
    loaded = load_parallel_text("world:phrasebook?train=60&validation=10&test=10&compositional=20&seed=3")
    assert loaded.languages == ("en", "fr")
    assert {split: len(pairs) for split, pairs in loaded.splits.items()} == {
        "train": 60, "validation": 10, "test": 10, "compositional": 20
    }  # fmt: skip
    assert loaded.ceilings == {"bayes_exact_match": 1.0}
    turned = load_parallel_text(
        "world:phrasebook?train=60&validation=10&test=10&compositional=20&seed=3",
        source_column="fr",
        target_column="en",
    )
    assert turned.splits["test"].source == loaded.splits["test"].target
    assert turned.languages == ("fr", "en")
