import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import DataError
from nlpladder.text.sentences import sentence_tokenizer, split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Who met Mr. Smith.", "They left."],
        ["It cost $3.14 in the U.S. last year.", "Really?", "Yes!"],
        ["He came at 5 p.m. and left.", "J. K. Rowling wrote it."],
        ['"Why?" he asked.', '"Because."', "Silence."],
        ["Well... maybe.", "So what...", "Nothing."],
        ["Actors, plot, etc. are fine.", "So am I.", "Then go."],
        ["See Fig. 3 for more.", "No.", "Never."],
        ["(It was bad.)", "It was not."],
        ["Wait?!", "What!!!", "End"],
    ],
)
def test_boundaries(sentences):
    assert split_sentences(" ".join(sentences)) == sentences


def test_blank_lines_and_cjk():
    assert split_sentences("A title\n\nThe text\ngoes on") == ["A title", "The text goes on"]
    assert split_sentences("这很好。那不好！") == ["这很好。", "那不好！"]
    assert split_sentences(" \n ") == []


def test_own_abbreviations():
    assert split_sentences("The Xyz. Corporation. Ends.") == ["The Xyz.", "Corporation.", "Ends."]
    assert split_sentences("The Xyz. Corporation. Ends.", ["xyz."]) == ["The Xyz. Corporation.", "Ends."]


@given(
    st.text()
    | st.lists(st.sampled_from(["Mr", ".", "!", "?", " ", '"', "A", "b", "\n", "…"]), max_size=30).map("".join)
)
@settings(max_examples=200, deadline=None)
def test_nothing_but_white_space_is_lost(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_punkt_without_its_data_names_the_command(monkeypatch):
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(DataError, match=r"python -m nltk\.downloader punkt_tab"):
        sentence_tokenizer("punkt")
