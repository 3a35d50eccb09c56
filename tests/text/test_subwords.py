import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from nlpladder.errors import ConfigError, DataError
from nlpladder.text.subwords import train_subword_tokenizer
from nlpladder.text.tokenization import regex_tokenize

SCHEMES = ["bpe", "wordpiece", "unigram", "byte_bpe", "word", "whitespace", "char"]
TEXTS = [
    "The movie isn't good, but the actors' acting was surprisingly good!",
    "It's a well-made film; I can't stop watching the lower and lowest lows.",
    "Café, naïve crème brûlée: 3.14 stars out of 10/10 😀",
    "the newest, widest and lowest of the newer movies — wider, lower, slower",
    "",
] * 6


def train(texts, scheme):
    return train_subword_tokenizer(texts, scheme=scheme, vocab_size={"byte_bpe": 320, "char": 100}.get(scheme, 160))


@pytest.fixture(scope="module")
def tokenizers():
    return {scheme: train(TEXTS, scheme) for scheme in SCHEMES}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_training_is_deterministic_and_independent_of_the_kind_of_source(scheme):
    sources = (TEXTS, (text for text in TEXTS), tuple(TEXTS), reversed(TEXTS))
    assert len({train(source, scheme).backend_tokenizer.to_str() for source in sources}) == 1


@pytest.mark.slow
def test_another_process_with_one_thread_learns_the_same():
    code = (
        "from nlpladder.text.subwords import train_subword_tokenizer as train; import hashlib\n"
        "texts = [f'{a}{b}{c} {c}{a} {b}{b}{a}!' for a in 'abcdefgh' for b in 'ijklmnop' for c in 'qrstuvwx']\n"
        "for scheme in ('wordpiece', 'unigram', 'bpe', 'word'):\n"
        "    state = train(texts, scheme=scheme, vocab_size=200).backend_tokenizer.to_str()\n"
        "    print(scheme, hashlib.sha256(state.encode()).hexdigest())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": parallel},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads, parallel in (("1", "false"), ("2", "true"), ("2", "true"))
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_special_tokens_and_reload_by_auto_tokenizer(scheme, tokenizers, tmp_path):
    tokenizer = tokenizers[scheme]
    names = ("pad", "unk", "bos", "eos", "mask")
    assert [getattr(tokenizer, f"{name}_token_id") for name in names] == [0, 1, 2, 3, 4]
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id) == (2, 3)
    tokenizer.save_pretrained(tmp_path)
    reloaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*TEXTS, "unseen ☃ wörds", "  two  spaces "]:
        assert reloaded(text).input_ids == tokenizer(text).input_ids
        assert reloaded.decode(reloaded(text).input_ids) == tokenizer.decode(tokenizer(text).input_ids)
    assert reloaded(["a", "the movie"], padding=True).input_ids == tokenizer(["a", "the movie"], padding=True).input_ids
    assert reloaded.special_tokens_map == tokenizer.special_tokens_map
    assert reloaded.model_max_length == tokenizer.model_max_length == 512


def test_wordpiece_has_berts_template(tokenizers):
    tokenizer = tokenizers["wordpiece"]
    encoded = tokenizer("the movie", "good", return_token_type_ids=True)
    assert tokenizer.convert_ids_to_tokens(encoded.input_ids) == ["[CLS]", "the", "movie", "[SEP]", "good", "[SEP]"]
    assert list(encoded.token_type_ids) == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("template", "start", "end"),
    [("bos_eos", ["<s>"], ["</s>"]), ("eos", [], ["</s>"]), ("none", [], []), (None, [], [])],
)
def test_templates(template, start, end):
    tokenizer = train_subword_tokenizer(TEXTS, scheme="word", vocab_size=50, template=template)
    assert tokenizer.convert_ids_to_tokens(tokenizer("the movie").input_ids) == [*start, "the", "movie", *end]


def test_the_word_scheme_is_the_regex_tokenizer_in_lower_case(tokenizers):
    for text in TEXTS:
        tokens = tokenizers["word"].tokenize(text)
        assert tokens == [token.lower() for token in regex_tokenize(text)]
    assert tokenizers["word"].tokenize("Isn’t IT?") == tokenizers["word"].tokenize("isn't it?")
    assert tokenizers["wordpiece"].backend_tokenizer.pre_tokenizer.pre_tokenize_str("isn't") == [
        ("is", (0, 2)),
        ("n't", (2, 5)),
    ]


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_byte_bpe_gives_any_text_back(tokenizers, text):
    tokenizer = tokenizers["byte_bpe"]
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_round_trips_of_the_other_schemes(tokenizers):
    text = "  The movie,  isn't\ngood!"
    decoded = {
        scheme: tokenizers[scheme].decode(tokenizers[scheme](text, add_special_tokens=False).input_ids)
        for scheme in SCHEMES
    }
    assert decoded["bpe"] == decoded["unigram"] == "The movie, isn't good!"
    assert decoded["word"] == decoded["wordpiece"] == "the movie , is n't good !"
    assert decoded["char"] == text.replace("\n", "<unk>")


def test_min_frequency_and_vocabulary_size(tokenizers):
    texts = ["rare " + "common " * 3]
    tokenizer = train_subword_tokenizer(texts, scheme="word", vocab_size=100, min_frequency=2)
    assert tokenizer.tokenize("common rare") == ["common", "<unk>"]
    assert all(len(tokenizer) <= {"byte_bpe": 320}.get(scheme, 160) for scheme, tokenizer in tokenizers.items())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_additional_special_tokens_stay_whole(scheme, tmp_path):
    tokenizer = train_subword_tokenizer(TEXTS, scheme=scheme, vocab_size=400, additional_special_tokens=["<url>"])
    ids = tokenizer("see <url> now", add_special_tokens=False).input_ids
    assert tokenizer.convert_tokens_to_ids("<url>") == 5
    assert ids.count(5) == 1
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)("see <url> now", add_special_tokens=False).input_ids == ids


def test_special_tokens_can_be_renamed():
    tokenizer = train_subword_tokenizer(
        TEXTS, scheme="bpe", vocab_size=200, special_tokens={"bos": "<bos>", "cls": "<cls>"}
    )
    assert (tokenizer.bos_token, tokenizer.cls_token, tokenizer.eos_token) == ("<bos>", "<cls>", "</s>")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("texts", [[], ["", " \n"]])
def test_a_corpus_without_text_is_an_error(scheme, texts):
    with pytest.raises(DataError, match="without text"):
        train_subword_tokenizer(texts, scheme=scheme, vocab_size=400)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bad_entries_are_named(scheme):
    with pytest.raises(DataError, match="Text 1 is None"):
        train_subword_tokenizer(["a", None], scheme=scheme, vocab_size=400)
    with pytest.raises(DataError, match="Text 1 holds a lone surrogate"):
        train_subword_tokenizer(["a", "b\ud800"], scheme=scheme, vocab_size=400)
    with pytest.raises(DataError, match="not one text"):
        train_subword_tokenizer("a text", scheme=scheme)


@pytest.mark.parametrize("scheme", ["bpe", "wordpiece", "byte_bpe", "word", "char"])
def test_a_vocabulary_that_is_too_small_names_the_smallest_possible(scheme):
    with pytest.raises(ConfigError, match="smallest possible") as error:
        train_subword_tokenizer(TEXTS, scheme=scheme, vocab_size=5)
    message = str(error.value)
    for _ in range(3):  # the alphabet is known only after the first reading
        smallest = int(message.split("smallest possible vocab_size is ")[1].split(".")[0])
        try:
            assert len(train_subword_tokenizer(TEXTS, scheme=scheme, vocab_size=smallest)) == smallest
            break
        except ConfigError as again:
            message = str(again)
    else:
        pytest.fail("the named size did not work")


def test_limit_alphabet():
    for scheme in ("bpe", "wordpiece"):
        tokenizer = train_subword_tokenizer(TEXTS, scheme=scheme, vocab_size=60, limit_alphabet=20)
        assert len(tokenizer) <= 60
        assert tokenizer.unk_token_id in tokenizer("😀").input_ids


def test_unknown_names_are_explained():
    with pytest.raises(ConfigError, match="Did you mean 'wordpiece'"):
        train_subword_tokenizer(TEXTS, scheme="word_piece")
    with pytest.raises(ConfigError, match="Did you mean 'bos_eos'"):
        train_subword_tokenizer(TEXTS, vocab_size=300, template="bos-eos")
    with pytest.raises(ConfigError, match="Did you mean 'pad'"):
        train_subword_tokenizer(TEXTS, special_tokens={"padding": "x"})


WIKITEXT = [" = Title = ", "The <unk> 's 1 @,@ 000 cats @-@ like", "cats cats The", "caf\u00e9 na\u00efve"]


def test_whitespace_words_stay_as_they_are_written():
    tokenizer = train_subword_tokenizer(WIKITEXT, scheme="whitespace")
    text = "The  cats @-@ <unk> = Title\t1 @,@ 000 caf\u00e9\n"
    tokens = tokenizer.tokenize(text)
    assert tokens == text.split()
    assert tokenizer.decode(tokenizer(text).input_ids) == " ".join(text.split())
    assert tokenizer("the Cafe").input_ids == [1, 1]  # neither case nor accents are folded
    folded = train_subword_tokenizer(WIKITEXT, scheme="whitespace", lowercase=True)
    assert folded.tokenize("THE CATS") == ["the", "cats"]


def test_whitespace_words_are_sorted_by_frequency_and_the_unknown_of_the_text_is_the_unknown_token():
    tokenizer = train_subword_tokenizer(WIKITEXT, scheme="whitespace")
    entries = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    assert entries[:8] == ["<pad>", "<unk>", "<s>", "</s>", "<mask>", "cats", "=", "The"]
    assert set(entries[5:]) == set(" ".join(WIKITEXT).split()) - {"<unk>"}
    assert tokenizer("a <unk>").input_ids == [1, 1]
    assert len(train_subword_tokenizer(WIKITEXT, scheme="whitespace", vocab_size=7)) == 7
    twice = train_subword_tokenizer(WIKITEXT, scheme="whitespace", min_frequency=2)
    assert twice.convert_ids_to_tokens(list(range(5, len(twice)))) == ["cats", "=", "The"]


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_whitespace_counts_the_words_that_it_later_finds(text):
    if not text.strip():
        return
    tokenizer = train_subword_tokenizer([text], scheme="whitespace")
    assert 1 not in tokenizer(text).input_ids or "<unk>" in text


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_bytes_are_those_of_utf_8(text):
    tokenizer = train_subword_tokenizer([], scheme="byte", vocab_size=3)
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert len(tokenizer) == 261
    assert bytes(number - 5 for number in ids) == text.encode()
    assert tokenizer.decode(ids) == text


def test_bytes_reload_and_take_a_template(tmp_path):
    tokenizer = train_subword_tokenizer(["x"], scheme="byte", template="bos_eos", lowercase=True)
    tokenizer.save_pretrained(tmp_path)
    reloaded = AutoTokenizer.from_pretrained(tmp_path)
    assert reloaded("A\n\u20ac").input_ids == [2, *(byte + 5 for byte in "a\n\u20ac".encode()), 3]
    assert reloaded.decode([5 + 0xE2, 5 + 0x82]) == "\ufffd"
