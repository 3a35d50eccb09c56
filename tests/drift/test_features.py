"""What is measured of texts and answers."""

from __future__ import annotations

import json
import math
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpladder.drift.features import answer_features, bits_per_byte, classifier_columns, text_features
from nlpladder.drift.vocabulary import Vocabulary, words_of
from nlpladder.errors import DataError
from nlpladder.serving.jobs import ItemError, ItemResult
from nlpladder.text.tokenization import regex_tokenize

LABELS = {"no": 0, "yes": 1}
any_text = st.text(st.characters(), max_size=60)


def literal_features(text, vocabulary):
    words = [word.lower() for word in regex_tokenize(text.lower())]
    letters = [character for character in text if character.isalpha()]
    return (
        len(words),
        len(text),
        round(sum(word not in vocabulary for word in words) / len(words), 4) if words else math.nan,
        round(len(letters) / len(text), 4) if text else math.nan,
        round(sum(character.isupper() for character in letters) / len(letters), 4) if letters else math.nan,
    )


@given(any_text, st.lists(any_text, max_size=4))
def test_features_of_any_text_are_those_counted_one_by_one(text, train):
    words = {word for one in train for word in regex_tokenize(one.lower())}
    found = text_features(text, Vocabulary.of(train))
    np.testing.assert_allclose(found, literal_features(text, words), atol=1.01e-4)


def test_ascii_letters_are_counted_as_all_others():
    text = string.printable + string.ascii_uppercase
    letters = sum(map(str.isalpha, text))
    assert text_features(text, None)[3] == round(letters / len(text), 4)
    assert text_features(text, None)[4] == round(sum(map(str.isupper, text)) / letters, 4)


@pytest.mark.parametrize(
    "text", ["", "   \n\t", "!!! 123", "\ud800 half a pair", "\x00\x1c", "x" * 20_000, "é " * 9999]
)
def test_no_text_is_too_odd(text):
    found = text_features(text, Vocabulary.of(["some words"]))
    assert found[1] == len(text)
    assert all(math.isnan(share) or 0 <= share <= 1 for share in found[2:])


def test_shares_of_a_very_long_text_are_those_of_its_begin():
    text = "Ab " * 10_000 + "1" * 50_000
    words, characters, _, letters, capitals = text_features(text, None)
    assert (characters, capitals) == (80_000, 0.5)
    assert letters == pytest.approx(2 / 3, abs=1e-4)
    assert words == len(regex_tokenize(text[:20_000]))


def test_answers_of_each_kind():
    names = ("predicted_class", "confidence", "labels", "value", "bits_per_byte")
    single = answer_features(names, LABELS, {"label": "yes", "probabilities": {"no": 0.25, "yes": 0.75}})
    assert single[:2] == (1.0, 0.75)
    assert all(map(math.isnan, single[2:]))
    several = answer_features(names, LABELS, {"labels": [], "probabilities": {"no": 0.25, "yes": 0.125}})
    assert several[:3] == (0.0, 0.25, 0.0)
    assert answer_features(("value",), {}, {"value": -2.5}) == (-2.5,)
    assert answer_features(("bits_per_byte",), {}, ItemResult({"bits_per_byte": 1.23456})) == (1.2346,)


@pytest.mark.parametrize(
    "answer",
    [None, {}, ItemResult(None, ItemError("too_long", "too long")), {"bits_per_byte": None}, {"value": math.inf}, 3],
)
def test_an_item_without_an_answer_has_no_features(answer):
    found = answer_features(("predicted_class", "confidence", "labels", "value", "bits_per_byte"), LABELS, answer)
    assert len(found) == 5
    assert all(map(math.isnan, found))


def test_an_unknown_label_is_a_class_of_its_own():
    assert answer_features(("predicted_class",), LABELS, {"label": "perhaps", "probabilities": {"perhaps": 1.0}}) == (
        2,
    )


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3), st.sampled_from(["single_label", "multi_label", "regression"])
)
def test_training_and_serving_measure_answers_alike(row, task):
    names = ("a", "b", "c")
    if task == "regression":
        row, served = row[:1], {"value": row[0]}
    elif task == "multi_label":
        served = {"labels": [n for n, p in zip(names, row, strict=True) if p >= 0.5]}
        served["probabilities"] = dict(zip(names, row, strict=True))
    else:
        served = {"label": names[int(np.argmax(row))], "probabilities": dict(zip(names, row, strict=True))}
    columns = classifier_columns(np.array([row]), task)
    labels = {name: number for number, name in enumerate(names)}
    assert tuple(column[0] for column in columns.values()) == answer_features(tuple(columns), labels, served)


def test_bits_per_byte():
    assert bits_per_byte(-math.log(2.0) * 12, 4) == 3.0
    assert math.isnan(bits_per_byte(0.0, 0))
    assert math.isnan(bits_per_byte(-math.inf, 4))


def test_the_commonest_words_are_kept():
    found = Vocabulary.of(["a a a b b c", "d"], max_words=2)
    assert (len(found.hashes), found.words, found.texts, found.complete) == (2, 4, 2, True)
    assert found.unknown_share(["a", "b", "c", "d"]) == 0.5


def test_reading_ends_after_so_many_characters():
    found = Vocabulary.of(iter(["one two", "three four", "five"]), characters=12)
    assert (found.texts, found.complete) == (2, False)
    assert found.unknown_share(["three"]) == 0.0
    assert found.unknown_share(["five"]) == 1.0
    assert Vocabulary.of(["one two"], characters=7).complete


def test_one_long_document_is_read_whole():
    words = [f"word{number}" for number in range(60_000)]
    found = Vocabulary.of([" ".join(words)], max_words=100_000)
    assert found.words == 60_000
    assert found.unknown_share(words) == 0.0


def test_a_vocabulary_survives_json_and_says_when_it_is_damaged():
    found = Vocabulary.of(["some words, and some more"])
    content = json.loads(json.dumps(found.to_json()))
    assert Vocabulary.from_json(content) == found
    for damage in ({"kept": 3}, {"base64": "%"}, {"hash": "md5"}, {"words": None}, {"base64": "AAAA"}):
        with pytest.raises(DataError):
            Vocabulary.from_json({**content, **damage})
    assert words_of("SOME Words") == ["some", "words"]
