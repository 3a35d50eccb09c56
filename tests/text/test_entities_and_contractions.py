import pytest

from nlpladder.text import entities
from nlpladder.text.contractions import expand_contractions


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Won't", "Will not"),
        ("WON'T", "WILL NOT"),
        ("I can’t", "I cannot"),
        ("it isn't, they've and we'll", "it is not, they have and we will"),
        ("You're sure I'm here", "You are sure I am here"),
        ("THEY'RE", "THEY ARE"),
        ("I'LL go", "I WILL go"),
        ("shouldn't've", "should not have"),
        ("it's John's, he'd say", "it's John's, he'd say"),
        ("Let's go, y'all", "Let us go, you all"),
        ("'Twas good", "It was good"),
        ("rock 'n' roll, the '90s", "rock 'n' roll, the '90s"),
        ("ain't shan't", "is not shall not"),
        ("no apostrophe", "no apostrophe"),
    ],
)
def test_contractions(source, expected):
    assert expand_contractions(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("see http://a.com/b?c=d, ok", "see <url> , ok"),
        ("(www.example.org)", "( <url> )"),
        ("at imdb.com/title today", "at <url> today"),
        ("mail me@site.com", "mail me@site.com"),
        ("end.Next sentence", "end.Next sentence"),
        ("https://x.io.", "<url> ."),
    ],
)
def test_urls(source, expected):
    assert entities.replace_urls(source) == expected


def test_emails_mentions_and_hashtags():
    assert entities.replace_emails("write to a.b+c@mail.example.com!") == "write to <email> !"
    assert entities.replace_mentions("hi @you, a@b.com") == "hi <user> , a@b.com"
    assert entities.replace_hashtags("#Great #1 day") == "<hashtag> #1 day"
    assert entities.replace_hashtags("#Great day", keep_word=True) == "Great day"
    assert entities.replace_hashtags("#Great#Film", keep_word=True) == "Great Film"
    assert entities.replace_mentions("@a@b") == "<user>"


def test_numbers():
    text = "1,000.50 for 10/10 at 12:30, 90% of the 3rd mp3 and 1990s"
    assert entities.replace_numbers(text) == "<num> for <num> at <num> , <num> of the <num> mp3 and <num>"


def test_emoji_sequences_are_one_emoji():
    family, thumb, flag, key = (
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f44d\U0001f3fd",
        "\U0001f1eb\U0001f1f7",
        "1\ufe0f\u20e3",
    )
    for emoji in (family, thumb, flag, key, "❤️", "😀"):
        assert entities.replace_emoji(f"a {emoji} b") == "a <emoji> b", emoji
    assert entities.replace_emoji("1 # © ™ 中") == "1 # © ™ 中"
    assert entities.demojize("good😀👍🏽") == "good :grinning_face: :thumbs_up_sign:"
    assert entities.demojize(flag) == ":flag_fr:"


def test_an_empty_token_removes_without_gluing():
    assert entities.replace_emoji("good😀bad", token="") == "good bad"
    assert entities.replace_emoji("good 😀 bad", token="") == "good  bad"
    assert entities.replace_urls("http://a.com/x", token="") == ""
