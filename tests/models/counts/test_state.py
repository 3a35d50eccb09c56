from __future__ import annotations

import json

import numpy as np
import pytest
import sklearn

from nlpladder.errors import ConfigError, DataError
from nlpladder.models.counts import vectorizer
from nlpladder.models.counts.vectorizer import CountVectorizer, TfidfVectorizer

NAMES = ["CountVectorizer", "TfidfVectorizer", "HashingVectorizer"]
REVIEWS = [
    "The plot is dull, but the acting is superb!",
    "Superb acting; a superb, superb film.",
    "",
    "café ΟΔΟΣ \U0001f389",
]


def assert_same_entries(mine, wanted):
    assert mine.shape == wanted.shape
    for part in ("indptr", "indices", "data"):
        assert getattr(mine, part).tobytes() == getattr(wanted, part).tobytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "parameters",
    [{}, {"ngram_range": (1, 2), "stop_words": ["the"]}, {"analyzer": "char_wb", "ngram_range": (2, 3)}],
    ids=["defaults", "bigrams", "characters"],
)
def test_a_restored_vectorizer_answers_as_the_fitted_one(name, parameters):
    fitted = getattr(vectorizer, name)(dtype=np.float32, **parameters).fit(REVIEWS)
    config = json.loads(json.dumps(fitted.to_config()))
    vocabulary = None if name == "HashingVectorizer" else fitted.get_feature_names_out().tolist()
    restored = type(fitted).from_state(config, vocabulary, fitted.state_arrays())
    assert restored.get_params() == fitted.get_params()
    assert_same_entries(restored.transform(REVIEWS), fitted.transform(REVIEWS))


def test_a_restored_vectorizer_without_idf_answers_as_the_fitted_one():
    fitted = TfidfVectorizer(use_idf=False, vocabulary=["dull", "plot"]).fit(REVIEWS)
    assert fitted.state_arrays() == {}
    restored = TfidfVectorizer.from_state(fitted.to_config(), ["dull", "plot"], {})
    assert_same_entries(restored.transform(REVIEWS), fitted.transform(REVIEWS))
    assert_same_entries(restored.fit_transform(REVIEWS), fitted.fit_transform(REVIEWS))


@pytest.mark.parametrize("parameter", ["tokenizer", "preprocessor", "analyzer", "strip_accents"])
def test_functions_cannot_be_saved(parameter):
    with pytest.raises(ConfigError, match=f"vectoriser's {parameter} is .*json cannot hold"):
        CountVectorizer(**{parameter: str.split}).to_config()


def test_a_config_of_another_class_or_with_unknown_names_is_refused():
    config = CountVectorizer().to_config()
    with pytest.raises(ConfigError, match="of 'CountVectorizer', expected 'TfidfVectorizer'"):
        TfidfVectorizer.from_state(config, ["a"], {})
    with pytest.raises(ConfigError, match=r"'min_fd'.*Did you mean 'min_df'"):
        CountVectorizer.from_state({**config, "min_fd": 2}, ["a"], {})
    with pytest.raises(DataError, match="needs its vocabulary"):
        CountVectorizer.from_state(config, None, {})
    with pytest.raises(DataError, match=r"idf has shape \(3,\)"):
        TfidfVectorizer.from_state(TfidfVectorizer().to_config(), ["a"], {"idf": np.ones(3)})


def test_an_unfitted_vectorizer_has_no_state():
    with pytest.raises(sklearn.exceptions.NotFittedError, match="call fit"):
        TfidfVectorizer().state_arrays()
