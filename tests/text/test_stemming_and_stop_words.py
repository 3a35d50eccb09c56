import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.stem import LancasterStemmer, PorterStemmer, SnowballStemmer

from nlpladder.errors import ConfigError, DataError
from nlpladder.text.preprocessing import Preprocessor
from nlpladder.text.stemming import Memo, lemmatizer, stemmer
from nlpladder.text.stop_words import is_negation, stop_words

TEXT = """
    the movies were surprisingly entertaining actors acting acted generously dying flies agreed hopping happily
    relational national nationality conditional Running RAN universities skies ties organization isn't <url> 1990s
    naïve oed a sensational disappointing terribly wonderfully loving lovely loved lover characters
    characterization saying said
"""
WORDS = TEXT.split()


@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({"method": "porter"}, PorterStemmer()),
        ({"method": "lancaster"}, LancasterStemmer()),
        ({"method": "snowball"}, SnowballStemmer("english")),
        ({"method": "snowball", "language": "german"}, SnowballStemmer("german")),
    ],
)
def test_stems_equal_nltk(options, reference):
    preprocessor = Preprocessor([{"name": "stem", **options}])
    assert preprocessor.tokenize(" ".join(WORDS * 2)) == [reference.stem(word) for word in WORDS * 2]


@pytest.mark.parametrize("method", ["porter", "snowball", "lancaster"])
@given(word=st.text(min_size=1))
@settings(max_examples=100, deadline=None)
def test_no_word_crashes_a_stemmer(method, word):
    assert isinstance(stemmer(method)(word), str)


def test_lemmas_equal_simplemma_on_every_occurrence():
    import simplemma

    lemmas = Preprocessor(["lemmatize"]).tokenize(" ".join(WORDS * 2))
    assert [lemma.lower() for lemma in lemmas] == [simplemma.lemmatize(word, lang="en").lower() for word in WORDS * 2]
    assert lemmatizer()("mr") == "mr"
    assert lemmatizer(language="de")("Häuser") == "Haus"


def test_a_memo_is_bounded_and_changes_nothing():
    calls = []
    memo = Memo(lambda word: calls.append(word) or word.upper(), maximum=3)
    words = list("abcabcdeabc")
    assert [memo[word] for word in words] == [word.upper() for word in words]
    assert len(memo) <= 3
    assert len(calls) < len(words)


def test_two_preprocessors_share_no_memo():
    first, second = Preprocessor(["stem"]), Preprocessor([{"name": "stem", "method": "lancaster"}])
    assert first("maximum") == PorterStemmer().stem("maximum")
    assert second("maximum") == LancasterStemmer().stem("maximum")


def test_stop_words_are_scikit_learns_and_negations_stay_by_default():
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    everything = stop_words(keep_negations=False)
    assert everything >= ENGLISH_STOP_WORDS
    kept = everything - stop_words()
    assert {"not", "never", "no", "nor", "cannot", "n't"} <= kept
    assert all(is_negation(word) for word in kept)
    assert stop_words("none", extra_words=["Film"]) == {"film"}
    text = "This movie is not the worst and it isn't bad"
    assert Preprocessor(["word_tokenize", "remove_stop_words"])(text) == "movie not worst n't bad"
    without = Preprocessor(["word_tokenize", {"name": "remove_stop_words", "keep_negations": False}])
    assert without(text) == "movie worst bad"


@pytest.mark.parametrize(
    ("step", "packages"),
    [
        ({"name": "lemmatize", "method": "wordnet"}, "wordnet omw-1.4"),
        ({"name": "remove_stop_words", "source": "nltk"}, "stopwords"),
    ],
)
def test_missing_nltk_data_names_the_command(monkeypatch, step, packages):
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(DataError, match=f"python -m nltk.downloader {packages} "):
        Preprocessor([step])


def test_nltk_stop_words_are_read_where_they_are(monkeypatch, tmp_path):
    import nltk.data
    from nltk.corpus import stopwords

    folder = tmp_path / "corpora" / "stopwords"
    folder.mkdir(parents=True)
    (folder / "english").write_text("the\nnot\nisn't\n")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    fresh = type(stopwords)("stopwords", stopwords._LazyCorpusLoader__reader_cls, r"(?!README|\.).*", encoding="utf8")
    monkeypatch.setattr("nltk.corpus.stopwords", fresh)
    assert stop_words("nltk") == {"the"}
    assert stop_words("nltk", keep_negations=False) == {"the", "not", "isn't"}
    with pytest.raises(ConfigError, match="Did you mean 'english'"):
        stop_words("nltk", language="englsh")


def test_unknown_languages_name_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'german'"):
        stemmer("snowball", "germany")
    with pytest.raises(ConfigError, match="simplemma has no dictionary for 'xx'"):
        lemmatizer(language="xx")
    with pytest.raises(ConfigError, match="are English"):
        stop_words(language="french")
