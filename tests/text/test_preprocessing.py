import copy
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError
from nlpladder.text.preprocessing import Preprocessor
from nlpladder.text.steps import STEPS

PIECES = """
<b> <br/> &amp; < > won't I'LL ’s 😀 👍🏽 http://a.com/ www.b.org a@b.com @x #y 1,000 ... !!!!
ooooo İ ß Σ \u200b \u0301 \ud800 Mr. U.S. <url> # @ + : / . - com
"""
HOSTILE = st.text(alphabet=st.characters(categories=None)) | st.lists(
    st.sampled_from([*PIECES.split(), " ", "\n", "\x96"]), max_size=20
).map("".join)
# The trained tokenizer of `subword_tokenize` has its own test.
OFFLINE = [name for name in STEPS if name != "subword_tokenize"]
IDEMPOTENT = [name for name in OFFLINE if STEPS[name].idempotent]
PIPELINES = [
    [
        "unicode_nfkc",
        "clean_control_characters",
        "strip_html",
        "expand_contractions",
        "lowercase",
        "replace_urls",
        "replace_numbers",
    ],
    ["strip_html", "sentence_tokenize", "lowercase", "word_tokenize", "remove_stop_words", "stem"],
    ["word_tokenize", "remove_punctuation", "demojize", "strip_accents", "squeeze_repeats", "lemmatize"],
    [{"name": "word_tokenize", "method": "tweet"}, "replace_emoji", "filter_by_length"],
    [{"name": "word_tokenize", "method": "treebank"}, "lowercase", {"name": "stem", "method": "lancaster"}],
]


@pytest.mark.parametrize("name", OFFLINE)
@given(text=HOSTILE)
@settings(max_examples=40, deadline=None)
def test_no_step_crashes_on_hostile_text(name, text):
    assert isinstance(Preprocessor([name])(text), str)


@pytest.mark.parametrize("name", IDEMPOTENT)
@given(text=HOSTILE)
@settings(max_examples=60, deadline=None)
def test_idempotent_steps_are(name, text):
    preprocessor = Preprocessor([name])
    once = preprocessor(text)
    assert preprocessor(once) == once


@pytest.mark.parametrize("steps", PIPELINES)
@given(text=HOSTILE)
@settings(max_examples=40, deadline=None)
def test_text_is_the_tokens_joined(steps, text):
    preprocessor = Preprocessor(steps)
    result = preprocessor(text)
    assert preprocessor.batch([text, "x", text])[::2] == [result, result]
    assert result.split() == [part for token in preprocessor.tokenize(text) for part in token.split()]
    assert all(preprocessor.tokenize(text))


def test_an_example_end_to_end():
    preprocessor = Preprocessor(
        [
            "unicode_nfkc",
            "strip_html",
            "expand_contractions",
            "lowercase",
            {"name": "replace_urls", "token": "<link>"},
            "word_tokenize",
        ]
    )
    assert preprocessor("I <b>won’t</b> watch it!<br />See http://x.com/a.") == "i will not watch it ! see <link> ."


def test_sentences_stay_apart():
    preprocessor = Preprocessor(["sentence_tokenize", "lowercase", "word_tokenize", "remove_stop_words"])
    text = "Dr. Who came. He did not stay! The."
    assert preprocessor(text) == "dr . came .\ndid not stay !\n."
    assert len(preprocessor.tokenize_sentences(text)) == 3
    assert preprocessor.tokenize(text) == [
        token for sentence in preprocessor.tokenize_sentences(text) for token in sentence
    ]
    assert Preprocessor(["sentence_tokenize"])("One. Two.") == "One.\nTwo."


def test_steps_on_characters_apply_to_each_token():
    assert Preprocessor(["word_tokenize", "remove_punctuation"]).tokenize("Well, done!") == ["Well", "done"]
    assert Preprocessor(["word_tokenize", {"name": "remove_punctuation", "replacement": ""}])("a.b! c") == "a b c"


def test_token_steps_split_at_white_space_when_nothing_else_did():
    assert Preprocessor([{"name": "filter_by_length", "minimum": 3}])("a bcd,  ef ghi") == "bcd, ghi"
    assert Preprocessor([])("  as  it is ") == "  as  it is "
    assert Preprocessor([]).tokenize("  as  it is ") == ["as", "it", "is"]


@pytest.mark.parametrize("text", ["", "   ", "..."])
def test_empty_results_are_empty_texts(text):
    preprocessor = Preprocessor(["sentence_tokenize", "word_tokenize", "remove_punctuation"])
    assert preprocessor(text) == ""
    assert preprocessor.tokenize(text) == []
    assert preprocessor.tokenize_sentences(text) == [[]]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["lower_case"], "no preprocessing step 'lower_case'. Did you mean 'lowercase'"),
        ([{"name": "replace_urls", "tokn": "x"}], "no parameter 'tokn'. Did you mean 'token'"),
        ([{"name": "lowercase", "x": 1}], "It has none"),
        ([{"name": "squeeze_repeats", "maximum": "3"}], "expected a whole number"),
        ([{"name": "squeeze_repeats", "maximum": True}], "expected a whole number"),
        ([{"name": "squeeze_repeats", "maximum": 0}], "at least 1"),
        ([{"name": "word_tokenize", "method": "treebnk"}], "Did you mean 'treebank'"),
        ([{"name": "remove_stop_words", "extra_words": "film"}], "a list of strings"),
        (["word_tokenize", "strip_html"], "Step 2, 'strip_html', works on running text"),
        (["stem", "word_tokenize"], "but step 1, 'stem', has split"),
        ([{"method": "regex"}], "a name or a mapping"),
        ([3], "a name or a mapping"),
        ("lowercase", "must be a list"),
    ],
)
def test_mistakes_are_explained(steps, message):
    with pytest.raises(ConfigError) as error:
        Preprocessor(steps)
    assert message in str(error.value)


def test_wrong_input_is_explained():
    preprocessor = Preprocessor(["lowercase"])
    with pytest.raises(DataError, match="Text 1 is None"):
        preprocessor.batch(["a", None])
    with pytest.raises(DataError, match="list of texts"):
        preprocessor.batch("text")
    with pytest.raises(DataError, match="must be a string"):
        preprocessor(3)


@pytest.mark.parametrize("steps", [*PIPELINES, OFFLINE[:3], [{"name": "replace_urls", "token": "é|"}]])
def test_config_file_repr_copy_and_pickle_give_an_equal_preprocessor(steps, tmp_path):
    original = Preprocessor(steps)
    path = tmp_path / "folder" / "preprocessor.json"
    original.save(path)
    assert [file.name for file in path.parent.iterdir()] == ["preprocessor.json"]
    text = "Isn't <b>this</b> http://a.com GREAT?!  Dr. No."
    for other in (
        Preprocessor.load(path),
        Preprocessor.from_config(json.loads(json.dumps(original.to_config()))),
        eval(repr(original)),  # a readable repr is the call that builds it
        copy.deepcopy(original),
        pickle.loads(pickle.dumps(original)),
    ):
        assert other == original
        assert hash(other) == hash(original)
        assert other(text) == original(text)
    assert original != Preprocessor([*steps, "filter_by_length"])
    assert original != 3


def test_files_that_are_no_preprocessor_are_explained(tmp_path):
    with pytest.raises(DataError, match="no preprocessor file"):
        Preprocessor.load(tmp_path / "absent.json")
    path = tmp_path / "other.json"
    path.write_text("{")
    with pytest.raises(DataError, match="not a json file"):
        Preprocessor.load(path)
    path.write_text('{"format": "something"}')
    with pytest.raises(ConfigError, match="Not the config of a preprocessor"):
        Preprocessor.load(path)


def test_every_step_is_documented():
    for name, step in STEPS.items():
        assert step.name == name
        assert step.summary.endswith(".")
        assert all(parameter.help for parameter in step.parameters)


def test_subword_step_uses_a_trained_tokenizer(tmp_path):
    from nlpladder.text.subwords import train_subword_tokenizer

    tokenizer = train_subword_tokenizer(["the lower newest widest"] * 5, scheme="wordpiece", vocab_size=60)
    tokenizer.save_pretrained(tmp_path)
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        preprocessor = Preprocessor(["strip_html", {"name": "subword_tokenize", "tokenizer": str(path)}])
        assert preprocessor.tokenize("<b>the</b> newer") == tokenizer.tokenize("the newer")
    with pytest.raises(DataError, match="no tokenizer file"):
        Preprocessor(["subword_tokenize"])
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(DataError, match="is not a tokenizer"):
        Preprocessor([{"name": "subword_tokenize", "tokenizer": str(tmp_path / "bad.json")}])


def test_datasets_recognises_an_equal_preprocessor():
    from datasets.fingerprint import Hasher

    assert Hasher.hash(Preprocessor(["stem"])) == Hasher.hash(Preprocessor(["stem"]))
    assert Hasher.hash(Preprocessor(["stem"])) != Hasher.hash(Preprocessor(["lowercase"]))
