import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError
from nlpladder.text.augmentation import EDA_OPERATIONS, OPERATIONS, Augmenter
from nlpladder.text.noise import NOISE_OPERATIONS

SYNONYMS = {"movie": ["film", "picture"], "good": ["great", "fine"], "the": ["ye"], "Actor": ["player"]}
TEXT = "The movie was good, and the actor of the Movie played a very convincing villain."


def augmenter(*operations, **options):
    return Augmenter(operations, **{"synonyms": SYNONYMS, "back_translation": (str.upper, str.lower), **options})


def test_synonym_replacement_keeps_marks_capitals_and_stop_words():
    (copy,) = augmenter("synonym_replacement", rate=1.0).copies_of(TEXT)
    words, before = copy.split(), TEXT.split()
    assert len(words) == len(before)
    changed = {old: new for old, new in zip(before, words, strict=True) if old != new}
    assert set(changed) == {"movie", "good,", "actor", "Movie"}
    assert changed["good,"] in ("great,", "fine,")
    assert changed["Movie"] in ("Film", "Picture")
    assert changed["actor"] == "player"


def test_rate_decides_how_many_words_change():
    text = "movie good actor one two three"
    for copy in augmenter("synonym_replacement", rate=0.01, copies=4).copies_of(text):
        assert sum(old != new for old, new in zip(text.split(), copy.split(), strict=True)) == 1


def test_insertion_swap_and_deletion():
    words = Counter(TEXT.split())
    (inserted,) = augmenter("random_insertion", rate=0.2).copies_of(TEXT)
    added = Counter(inserted.split()) - words
    assert added.total() == 3
    assert set(added) <= {"film", "picture", "great", "fine", "player"}
    (swapped,) = augmenter("random_swap", rate=0.2).copies_of(TEXT)
    assert Counter(swapped.split()) == words
    assert swapped != TEXT
    (deleted,) = augmenter("random_deletion", rate=0.5).copies_of(TEXT)
    assert Counter(deleted.split()) < words
    assert len(augmenter("random_deletion", rate=1.0).copies_of(TEXT)[0].split()) == 1


def test_deletion_rate_is_the_probability():
    text = " ".join(f"w{number}" for number in range(4000))
    (copy,) = augmenter("random_deletion", rate=0.3).copies_of(text)
    assert 0.67 < len(copy.split()) / 4000 < 0.73


@pytest.mark.parametrize("operation", NOISE_OPERATIONS)
def test_noise_changes_a_share_of_letters(operation):
    text = "the quick brown fox jumps over a lazy dog " * 20
    altered = NOISE_OPERATIONS[operation](text, 0.1, np.random.default_rng(0))
    assert altered != text
    difference = len(altered) - len(text)
    letters = sum(character.isalpha() for character in text)
    assert difference == {"character_drop": -round(0.1 * letters), "character_double": round(0.1 * letters)}.get(
        operation, 0
    )
    assert (altered.lower() == text) == (operation == "mixed_case")
    if operation == "transposition":
        assert Counter(altered) == Counter(text)


def test_a_typo_hits_a_neighbouring_key():
    typed = {NOISE_OPERATIONS["keyboard_typo"]("g", 1.0, np.random.default_rng(seed)) for seed in range(200)}
    assert typed == set("tyfhvb")


@pytest.mark.parametrize("operation", OPERATIONS)
@given(text=st.text())
@settings(max_examples=40, deadline=None)
def test_no_text_crashes_an_operation(operation, text):
    for copy in augmenter(operation, rate=0.5, copies=2).copies_of(text):
        assert copy.strip()
        assert copy != text


def test_results_do_not_depend_on_the_other_texts():
    texts = [f"{TEXT} number {number}" for number in range(8)]
    engine = augmenter(*EDA_OPERATIONS, copies=3, seed=5)
    everything, labels, sources = engine.augment(texts, list("abcdefgh"))
    assert [label for label, source in zip(labels, sources, strict=True) if label != "abcdefgh"[source]] == []
    for index, text in enumerate(texts):
        assert [text, *engine.copies_of(text, index)] == [
            t for t, source in zip(everything, sources, strict=True) if source == index
        ]
    assert engine.augment(texts, list("abcdefgh")) == (everything, labels, sources)
    assert augmenter(*EDA_OPERATIONS, copies=3, seed=6).augment(texts)[0] != everything


def test_copies_are_distinct_and_originals_can_be_left_out():
    texts, labels, sources = augmenter("random_swap", copies=5).augment(["a b", "one"], keep_originals=False)
    assert texts == ["b a"]
    assert labels == []
    assert sources == [0]


def test_back_translation_calls_there_and_back():
    engine = Augmenter(["back_translation"], back_translation=(lambda text: f"de({text})", lambda text: f"en({text})"))
    assert engine.copies_of("x") == ["en(de(x))"]
    assert Augmenter.from_config(engine.to_config(), back_translation=(str.upper, str.title)).copies_of("ab") == ["Ab"]


def test_config_and_synonym_file(tmp_path):
    path = tmp_path / "synonyms.json"
    path.write_text(json.dumps(SYNONYMS))
    from_file = Augmenter(["synonym_replacement"], synonyms=path, copies=2)
    from_mapping = Augmenter(["synonym_replacement"], synonyms=SYNONYMS, copies=2)
    assert from_file.copies_of(TEXT) == from_mapping.copies_of(TEXT)
    for engine in (from_file, from_mapping):
        config = json.loads(json.dumps(engine.to_config()))
        assert Augmenter.from_config(config).copies_of(TEXT) == engine.copies_of(TEXT)
    assert "4 words" in repr(from_mapping)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operations": ["random_swp"]}, "Did you mean 'random_swap'"),
        ({"operations": []}, "at least one"),
        ({"operations": ["random_swap"], "rate": 0.0}, "rate is 0.0"),
        ({"operations": ["random_swap"], "copies": 0}, "copies is 0"),
        ({"operations": ["random_swap"], "seed": -1}, "seed is -1"),
        ({"operations": ["random_insertion"]}, "needs synonyms"),
        ({"operations": ["back_translation"]}, "two functions"),
    ],
)
def test_mistakes_are_explained(arguments, message):
    with pytest.raises(ConfigError) as error:
        Augmenter(**arguments)
    assert message in str(error.value)


def test_bad_data_is_explained(tmp_path, monkeypatch):
    import nltk.data

    with pytest.raises(DataError, match="2 texts but 1 labels"):
        augmenter("random_swap").augment(["a", "b"], [1])
    with pytest.raises(DataError, match="no synonym file"):
        Augmenter(synonyms=str(tmp_path / "absent.json"))
    with pytest.raises(DataError, match="expected a list of words"):
        Augmenter(synonyms={"good": "great"})
    with pytest.raises(ConfigError, match="no option 'copy'"):
        Augmenter.from_config({"copy": 1})
    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(DataError, match=r"python -m nltk\.downloader wordnet omw-1\.4"):
        Augmenter(synonyms="wordnet")
