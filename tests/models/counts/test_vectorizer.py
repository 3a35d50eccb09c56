from __future__ import annotations

import contextlib
import re
import warnings
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.feature_extraction import text as sklearn_text

from nlpladder.errors import DataError
from nlpladder.models.counts import analysis, counting, vectorizer
from nlpladder.models.counts.vectorizer import CountVectorizer, TfidfVectorizer

REVIEWS = [
    "The plot is dull, but the acting is superb!",
    "Superb acting; a superb, superb film.",
    "",
    "Dull. Dull? DULL... and the café's naïve waiter said: 'ΟΔΟΣ ΟΔΟΣ'",
    "not good, not bad, not İstanbul 2024 x 𝒳𝒴 東京タワー",
]
NAMES = ["CountVectorizer", "TfidfVectorizer", "HashingVectorizer"]

words = [
    "bb",
    "the",
    "Not",
    "good",
    "film",
    "٣٤",
    "ΑΣ",
    "𝒳𝒴",
    "東京",
    "supercalifragilistic",
    "longword" * 40,
    "e\u0301",
]
characters = " a_-.'7²İıΣßﬁ™ℋé\x00\n\u0301\u0345\u200d\xa0\u3000\x1c\x85\ufeff\ud800\udc00\U0001f389\U00010400\uffff"
hostile_pieces = st.sampled_from([*words, *characters])
hostile_text = st.one_of(
    st.lists(hostile_pieces, max_size=12).map("".join),
    st.lists(hostile_pieces, max_size=12).map(" ".join),
    st.text(st.characters(exclude_categories=()), max_size=20),
    st.lists(st.sampled_from([" ", "  ", "\t\n", "a", "\xa0\x1c"]), max_size=9).map("".join),
)
corpora = st.lists(hostile_text, max_size=8)
analysis_settings = st.fixed_dictionaries(
    {
        "analyzer": st.sampled_from(["word", "word", "char", "char_wb"]),
        "ngram_range": st.tuples(st.integers(1, 3), st.integers(0, 3)).map(lambda pair: (pair[0], pair[0] + pair[1])),
        "lowercase": st.booleans(),
        "strip_accents": st.sampled_from([None, None, "unicode", "ascii"]),
        "stop_words": st.sampled_from([None, None, "english", ["good", "ß", "bb", "a b", "longword" * 40]]),
        "token_pattern": st.sampled_from([r"(?u)\b\w\w+\b", r"(?u)\b\w\w+\b", r"\b\w+\b", r"[^\s]+", r"(\w)\w*"]),
        "binary": st.booleans(),
    }
)
selection_settings = st.fixed_dictionaries(
    {
        "min_df": st.sampled_from([1, 1, 2, 0.0, 0.3]),
        "max_df": st.sampled_from([1.0, 1.0, 0.7, 3]),
        "max_features": st.sampled_from([None, None, 1, 4]),
    }
)
weighting_settings = st.fixed_dictionaries(
    {
        "norm": st.sampled_from(["l2", "l1", None]),
        "use_idf": st.booleans(),
        "smooth_idf": st.booleans(),
        "sublinear_tf": st.booleans(),
    }
)
small_chunks = st.sampled_from([1, 9, 1 << 18])
index_thresholds = st.sampled_from([0, 4])


def assert_identical(ours, theirs):
    """Check that two CSR matrices agree in every bit, in the order of their entries, and in their types."""
    assert type(ours) is type(theirs)
    assert ours.shape == theirs.shape
    for part in ("indptr", "indices", "data"):
        mine, wanted = getattr(ours, part), getattr(theirs, part)
        assert mine.dtype == wanted.dtype
        assert mine.tobytes() == wanted.tobytes()


def outcome(action):
    """Return what `action` returns, or the exception that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return action()
        except (ValueError, TypeError, AttributeError, StopIteration) as error:
            return error


def assert_same_outcome(mine, wanted):
    if isinstance(wanted, StopIteration):  # what scikit-learn's hashing raises for no documents
        assert isinstance(mine, DataError)
    elif isinstance(wanted, Exception):
        assert isinstance(mine, type(wanted))
        assert str(wanted) in str(mine)
    else:
        assert_identical(mine, wanted)


def check_against_sklearn(name, documents, other_documents, chunk_size, characters_per_term, **parameters):
    ours = getattr(vectorizer, name)(**parameters)
    theirs = getattr(sklearn_text, name)(**parameters)
    with (
        mock.patch.object(analysis, "CHUNK_CHARACTERS", chunk_size),
        mock.patch.object(counting, "CHUNK_CHARACTERS", chunk_size),
        mock.patch.object(vectorizer, "CHARACTERS_PER_TERM", characters_per_term),
    ):
        wanted = outcome(lambda: theirs.fit_transform(documents))
        assert_same_outcome(outcome(lambda: ours.fit_transform(documents)), wanted)
        if isinstance(wanted, Exception):
            return
        if name != "HashingVectorizer":
            assert list(ours.vocabulary_.items()) == list(theirs.vocabulary_.items())
        wanted = outcome(lambda: theirs.transform(other_documents))
        assert_same_outcome(outcome(lambda: ours.transform(iter(other_documents))), wanted)


@settings(deadline=None, max_examples=150)
@given(
    corpora,
    corpora,
    analysis_settings,
    selection_settings,
    st.sampled_from([np.int64, np.float32, np.int8]),
    small_chunks,
    index_thresholds,
)
def test_counts_are_those_of_sklearn(documents, others, reading, selection, dtype, chunk_size, threshold):
    check_against_sklearn(
        "CountVectorizer", documents, others, chunk_size, threshold, dtype=dtype, **reading, **selection
    )


@settings(deadline=None, max_examples=100)
@given(
    corpora,
    corpora,
    analysis_settings,
    selection_settings,
    weighting_settings,
    st.sampled_from([np.float64, np.float32]),
)
def test_weights_are_those_of_sklearn_to_the_last_bit(documents, others, reading, selection, weighting, dtype):
    check_against_sklearn(
        "TfidfVectorizer", documents, others, 1 << 18, 0, dtype=dtype, **reading, **selection, **weighting
    )


@settings(deadline=None, max_examples=100)
@given(
    corpora,
    corpora,
    analysis_settings,
    st.sampled_from([1, 7, 1 << 10, 2**31 - 1]),
    st.booleans(),
    st.sampled_from(["l2", "l1", None]),
    st.sampled_from([np.float64, np.float32, np.int64]),
    small_chunks,
)
def test_hashes_are_those_of_sklearn(documents, others, reading, n_features, sign, norm, dtype, chunk_size):
    own = {"n_features": n_features, "alternate_sign": sign, "norm": norm, "dtype": dtype}
    check_against_sklearn("HashingVectorizer", documents, others, chunk_size, 0, **reading, **own)


@settings(deadline=None, max_examples=60)
@given(
    corpora,
    analysis_settings,
    st.lists(hostile_text | st.sampled_from(["not good", "a  b"]), max_size=6, unique=True),
    index_thresholds,
)
def test_a_given_vocabulary_is_counted_as_in_sklearn(documents, reading, vocabulary, threshold):
    check_against_sklearn("CountVectorizer", documents, documents, 9, threshold, vocabulary=vocabulary, **reading)


@pytest.mark.parametrize("name", NAMES)
def test_many_documents_grow_the_table_over_many_chunks(name):
    generator = np.random.default_rng(0)
    words = [f"w{number}é" if number % 9 == 0 else f"word{number}" * (1 + number % 3) for number in range(3000)]
    documents = [" ".join(words[number] for number in generator.integers(0, 3000, 30)) for _ in range(600)]
    for ngram_range in ((1, 1), (1, 2), (3, 3)):
        check_against_sklearn(name, documents, documents[::-1], 4000, 0, ngram_range=ngram_range)


@pytest.mark.parametrize(
    "parameters",
    [
        {"tokenizer": str.split, "token_pattern": None},
        {"tokenizer": lambda text: re.split(r"\W", text), "token_pattern": None, "ngram_range": (1, 2)},
        {"preprocessor": lambda text: text.replace("dull", "bright plot")},
        {"strip_accents": lambda text: text.replace("é", "e")},
        {"analyzer": lambda text: [len(word) for word in text.split()]},
        {"ngram_range": (0, 2)},
        {"token_pattern": "superb|dull"},
    ],
    ids=["split", "joined", "preprocessor", "accents", "numbers", "zero", "pattern"],
)
@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer"])
def test_callables_and_unusual_settings_are_honoured(name, parameters):
    check_against_sklearn(name, REVIEWS, REVIEWS[::-1], 30, 0, **parameters)


def test_overridden_methods_are_honoured():
    class Stemming(CountVectorizer):
        def build_tokenizer(self):
            tokenize = super().build_tokenizer()
            return lambda text: [token[:3] for token in tokenize(text)]

    assert set(Stemming().fit(REVIEWS).vocabulary_) >= {"plo", "dul", "sup"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "documents", [[b"caf\xc3\xa9 noir", "caf\xe9"], [b"\xff bad"], [7], ["fine", None], [float("nan")]]
)
def test_bytes_and_what_is_not_text_end_as_in_sklearn(name, documents):
    check_against_sklearn(name, documents, documents, 1 << 18, 0)


def test_what_is_not_text_is_reported_with_its_place():
    with pytest.raises(AttributeError, match="Document 1 is of type float; expected str or bytes"):
        CountVectorizer().fit(["fine", 3.5])


def test_np_nan_is_refused():
    with pytest.raises(ValueError, match=r"np\.nan is an invalid document"):
        TfidfVectorizer().fit(["fine", np.nan])


@pytest.mark.parametrize("name", NAMES)
def test_files_are_read(name, tmp_path):
    paths = []
    for number, text in enumerate(REVIEWS):
        paths.append(str(tmp_path / f"{number}.txt"))
        (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
    check_against_sklearn(name, paths, paths, 1 << 18, 0, input="filename")
    check_against_sklearn(name, paths, paths, 1 << 18, 0, input="filename", analyzer="char")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform"])
def test_a_single_string_is_refused(name, method):
    own = getattr(vectorizer, name)()
    if method == "transform":
        own.fit(REVIEWS)
    with pytest.raises(ValueError, match="Iterable over raw text documents expected"):
        getattr(own, method)("one text")


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"ngram_range": (2, 1)}, "lower boundary larger than the upper boundary"),
        ({"analyzer": "syllable"}, "The 'analyzer' parameter"),
        ({"stop_words": ["the", "plot", "is", "dull"]}, "empty vocabulary"),
        ({"min_df": 2, "max_df": 2}, "After pruning, no terms remain"),
        ({"max_df": 1, "min_df": 3}, "max_df corresponds to < documents than min_df"),
    ],
)
def test_settings_that_cannot_work_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        CountVectorizer(**parameters).fit(["the plot", "is dull"])


@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer"])
def test_transform_before_fit_is_refused(name):
    with pytest.raises(sklearn.exceptions.NotFittedError):
        getattr(vectorizer, name)().transform(REVIEWS)


def test_a_generator_is_read_once_and_in_pieces():
    held = 0
    most_held = 0
    real_scan = analysis.FastAnalysis._scan

    def documents():
        nonlocal held, most_held
        for number in range(300):
            held += 1
            most_held = max(most_held, held)
            yield f"document number{number} " * 3

    def scan(self, pieces):
        nonlocal held
        held -= len(pieces)
        return real_scan(self, pieces)

    with mock.patch.object(analysis, "CHUNK_CHARACTERS", 500), mock.patch.object(analysis.FastAnalysis, "_scan", scan):
        matrix = CountVectorizer().fit_transform(documents())
    assert matrix.shape == (300, 301)
    assert held == 0
    assert most_held < 20


def test_columns_have_names_and_rows_can_be_inverted():
    ours = TfidfVectorizer().fit(REVIEWS)
    theirs = sklearn_text.TfidfVectorizer().fit(REVIEWS)
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    assert ours.idf_.tobytes() == theirs.idf_.tobytes()
    inverted = ours.inverse_transform(ours.transform(REVIEWS))
    for mine, wanted in zip(inverted, theirs.inverse_transform(theirs.transform(REVIEWS)), strict=True):
        assert mine.tolist() == wanted.tolist()


def test_final_sigma_does_not_see_the_next_document():
    assert set(CountVectorizer().fit(["ΟΔΟΣ", "ΑΒΓ"]).vocabulary_) == {"οδος", "αβγ"}


def test_upper_case_in_a_given_vocabulary_is_warned_about():
    with pytest.warns(UserWarning, match="Upper case characters found in vocabulary"):
        CountVectorizer(vocabulary=["Dull", "plot"]).fit(REVIEWS)


@pytest.mark.parametrize("interface", ["spmatrix", "sparray"])
def test_the_sparse_container_is_the_one_that_sklearn_is_set_to(interface):
    if "sparse_interface" not in sklearn.get_config():
        context = contextlib.nullcontext()
    else:
        context = sklearn.config_context(sparse_interface=interface)
    with context:
        for name in NAMES:
            check_against_sklearn(name, REVIEWS, REVIEWS, 1 << 18, 0)


def test_clone_and_pipeline_work():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(clone(TfidfVectorizer(ngram_range=(1, 2))), LogisticRegression())
    pipeline.fit(["good film", "bad film"] * 5, [1, 0] * 5)
    assert pipeline.predict(["a good one", "a bad one"]).tolist() == [1, 0]


def test_transform_of_no_document_keeps_the_columns():
    assert sp.issparse(matrix := CountVectorizer().fit(REVIEWS).transform([]))
    assert matrix.shape == (0, len(CountVectorizer().fit(REVIEWS).vocabulary_))
