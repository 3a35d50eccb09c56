import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import DataError
from nlpladder.text.tokenization import WORD_REGEX, regex_tokenize, word_tokenizer

HOSTILE = st.text(alphabet=st.characters(exclude_categories=["Cs"])) | st.lists(
    st.sampled_from([*"aNn't’.s<>:_ 1,\u200d\u0301\u0939\u093f😀-", "n't", "'ll", "<url>", ":a_b:", "U.S.", " "]),
    max_size=25,
).map("".join)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It isn't well-known.", ["It", "is", "n't", "well", "-", "known", "."]),
        ("I can’t, they've, it's", ["I", "ca", "n’t", ",", "they", "'ve", ",", "it", "'s"]),
        ("WON'T 'quoted'", ["WO", "N'T", "'", "quoted", "'"]),
        ("$3.14, 1,000 and 10/10!!", ["$", "3.14", ",", "1,000", "and", "10", "/", "10", "!", "!"]),
        ("the U.S. ... <url> :grinning_face:", ["the", "U.S.", "...", "<url>", ":grinning_face:"]),
        ("cafe\u0301 हिन्दी 中文", ["cafe\u0301", "हिन्दी", "中文"]),
        ("\U0001f468\u200d\U0001f469 ok", ["\U0001f468\u200d\U0001f469", "ok"]),
        (" \n\t ", []),
        ("", []),
    ],
)
def test_words_clitics_numbers_and_marks(text, tokens):
    assert regex_tokenize(text) == tokens


@given(HOSTILE)
@settings(max_examples=300, deadline=None)
def test_tokenising_joined_tokens_gives_the_same_tokens(text):
    tokens = regex_tokenize(text)
    assert regex_tokenize(" ".join(tokens)) == tokens


@given(HOSTILE)
@settings(max_examples=200, deadline=None)
def test_nothing_but_white_space_is_lost(text):
    assert "".join(regex_tokenize(text)) == "".join(text.split())


@given(
    st.lists(
        st.sampled_from([*"aNnB't’.s<>:_ 1,é\u200d\u0301\u0939\u093f😀-\x1c\x85\u00a0²", "n't", "'LL"]), max_size=25
    ).map("".join)
)
@settings(max_examples=300, deadline=None)
def test_the_rust_pattern_splits_as_the_python_pattern(text):
    from tokenizers import Regex, pre_tokenizers

    rust = pre_tokenizers.Split(Regex(WORD_REGEX), "removed", invert=True)
    assert [token for token, _ in rust.pre_tokenize_str(text)] == regex_tokenize(text)


def test_nltk_tokenizers_are_nltks():
    from nltk.tokenize import TreebankWordTokenizer, TweetTokenizer

    text = "@you it isn't #great :-) http://a.com"
    assert word_tokenizer("treebank")(text) == TreebankWordTokenizer().tokenize(text)
    assert word_tokenizer("tweet")(text) == TweetTokenizer().tokenize(text)
    assert word_tokenizer("whitespace")(text) == text.split()


def test_a_long_run_of_white_space_takes_no_quadratic_time():
    assert regex_tokenize("a" + " " * 1_000_000) == ["a"]
    assert regex_tokenize(" " * 1_000_000 + "a") == ["a"]


def test_a_text_that_nltk_gives_up_on_is_named(monkeypatch):
    from nltk.tokenize import TweetTokenizer

    def give_up(self, text):
        raise TimeoutError("exceeded its time limit")

    monkeypatch.setattr(TweetTokenizer, "tokenize", give_up)
    with pytest.raises(DataError, match="3 characters that begins '111'"):
        word_tokenizer("tweet")("111")


@pytest.mark.parametrize("piece", [".", "!.", "a.", "1,", "n't", "<a", ":a", "\u0301", "\u200d", "a'", "A.", "\n "])
def test_time_grows_with_the_length_only(piece):
    text = piece * 100_000
    assert "".join(regex_tokenize(text)) == "".join(text.split())
