"""Encoders without a head: the vectors of sentence-transformers, from its files, and a sentence for what is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nlpladder
from helpers import word_tokenizer
from loopback_hub import USER, LoopbackHub
from nlpladder.bias.encoders.contextual_associations import ceat
from nlpladder.bias.encoders.sentence_associations import seat
from nlpladder.bias.measures import offered_measures
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.bias.words.association_data import AssociationTest, WordList
from nlpladder.bias.words.input_embeddings import InputEmbeddings
from nlpladder.errors import ConfigError, DataError, ModelError
from nlpladder.hub.describing import describe_model
from nlpladder.models.attention_maps import attention_maps
from nlpladder.models.sentence_pooling import ENCODERS, POOLING_KEYS, Pooling, no_encoder, read_pooling
from nlpladder.models.text_encoder import SentenceEncoder
from nlpladder.protocols import LanguageModel, MaskedLanguageModel, TextClassifier, TextEncoder, WordEmbeddings

SIZES = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 40, "attn_implementation": "eager",
}  # fmt: skip
TEXTS = ["the film was good", "bad", "the plot was a bit dull and the acting really so poor", "bad", "good film"]


def marked_tokenizer():
    """The toy tokenizer, with a start and an end mark around every text."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = word_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def tiny_encoder(**pooling):
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    tokenizer = marked_tokenizer()
    model = BertModel(BertConfig(vocab_size=len(tokenizer), **SIZES)).eval()
    return SentenceEncoder(model, tokenizer, pooling=Pooling(**pooling))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("encoders") / "encoder"
    tiny_encoder(normalise=True).save_pretrained(place)
    return place


def reference(encoder, texts, *, modes, normalise=False, max_length=40, lower=False, prompt=""):
    """Transcribed from sentence-transformers 2.2: Transformer.tokenize and .forward, Pooling.forward, Normalize."""
    written = [str(prompt + text).strip() for text in texts]
    written = [text.lower() for text in written] if lower else written
    features = encoder.tokenizer(written, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
    with torch.no_grad():
        token_embeddings = encoder.model(
            input_ids=features["input_ids"], attention_mask=features["attention_mask"], return_dict=False
        )[0]
    attention_mask = features["attention_mask"]
    expanded = attention_mask.unsqueeze(-1).expand(token_embeddings.size()).float()
    vectors = []
    if "cls" in modes:
        vectors.append(token_embeddings[:, 0])
    if "max" in modes:
        copied = token_embeddings.clone()
        copied[expanded == 0] = -1e9
        vectors.append(torch.max(copied, 1)[0])
    if "mean" in modes or "mean_sqrt_len_tokens" in modes:
        total = torch.sum(token_embeddings * expanded, 1)
        count = torch.clamp(expanded.sum(1), min=1e-9)
        if "mean" in modes:
            vectors.append(total / count)
        if "mean_sqrt_len_tokens" in modes:
            vectors.append(total / torch.sqrt(count))
    if "weightedmean" in modes:
        weights = torch.arange(1, token_embeddings.shape[1] + 1).unsqueeze(0).unsqueeze(-1)
        weights = weights.expand(token_embeddings.size()).float() * expanded
        vectors.append(torch.sum(token_embeddings * weights, 1) / torch.clamp(weights.sum(1), min=1e-9))
    if "lasttoken" in modes:
        rows = [row[int(mask.sum()) - 1] for row, mask in zip(token_embeddings, attention_mask, strict=True)]
        vectors.append(torch.stack(rows))
    output = torch.cat(vectors, 1)
    return (torch.nn.functional.normalize(output, p=2, dim=1) if normalise else output).numpy()


@pytest.mark.parametrize("modes", [*((mode,) for mode in POOLING_KEYS), ("cls", "mean"), tuple(POOLING_KEYS)])
@pytest.mark.parametrize("normalise", [False, True])
def test_the_vectors_are_those_of_sentence_transformers(modes, normalise):
    encoder = tiny_encoder(modes=modes, normalise=normalise)
    found = encoder.encode_texts(TEXTS)
    assert found.shape == (len(TEXTS), encoder.vector_size) == (len(TEXTS), 16 * len(modes))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(encoder, TEXTS, modes=modes, normalise=normalise), atol=2e-6)


def test_cut_small_letters_and_prompt_are_those_of_sentence_transformers():
    texts = ["The FILM was good", "  the plot was a bit dull and so boring  "]
    plain = tiny_encoder().encode_texts(texts)
    for pooling, told in (
        ({"max_length": 5}, {"max_length": 5}),
        ({"lower_case": True}, {"lower": True}),
        ({"prompt": "good film "}, {"prompt": "good film "}),
    ):
        encoder = tiny_encoder(**pooling)
        found = encoder.encode_texts(texts)
        np.testing.assert_allclose(found, reference(encoder, texts, modes=("mean",), **told), atol=2e-6)
        assert np.abs(found - plain).max() > 1e-3
    long = ["good " * 500]
    np.testing.assert_allclose(
        tiny_encoder().encode_texts(long), reference(tiny_encoder(), long, modes=("mean",)), atol=2e-6
    )


ENCODER = tiny_encoder(modes=("mean", "max"))


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from(["good", "bad", "film", "?", "é"]), max_size=8).map(" ".join), max_size=9),
    budget=st.integers(1, 60),
)
def test_a_vector_depends_on_no_other_text(texts, budget):
    several = SentenceEncoder(ENCODER.model, ENCODER.tokenizer, pooling=ENCODER.pooling, tokens_per_batch=budget)
    found = several.encode_texts(texts)
    assert found.shape == (len(texts), 32)
    for text, vector in zip(texts, found, strict=True):
        np.testing.assert_allclose(vector, ENCODER.encode_texts([text])[0], atol=2e-6)


def test_it_is_a_text_encoder_and_nothing_else():
    assert isinstance(ENCODER, TextEncoder)
    for other in (WordEmbeddings, MaskedLanguageModel, LanguageModel, TextClassifier):
        assert not isinstance(ENCODER, other)
    assert {one.name for one in offered_measures(ENCODER)} == {"seat", "ceat"}
    assert ENCODER.encode_texts([]).shape == (0, 32)
    assert not ENCODER.model.training
    ENCODER.model.train()
    ENCODER.encode_texts(["good"])
    assert ENCODER.model.training
    ENCODER.model.eval()
    assert "good" in InputEmbeddings.of(ENCODER).words
    assert attention_maps(ENCODER, "good film")["self"].weights.shape == (2, 2, 4, 4)


def test_what_is_no_text_is_told():
    with pytest.raises(DataError, match=r"write \[text\]"):
        ENCODER.encode_texts("good")
    with pytest.raises(DataError, match="Text 1 .* not a string"):
        ENCODER.encode_texts(["good", None])
    bare = SentenceEncoder(ENCODER.model, word_tokenizer())
    with pytest.raises(DataError, match="has no tokens, so it has no vector"):
        bare.encode_texts(["good", " "])
    with pytest.raises(ConfigError, match="at least 1"):
        SentenceEncoder(ENCODER.model, ENCODER.tokenizer, tokens_per_batch=0)
    assert ENCODER.encode_texts(["\ud800 good"]).shape == (1, 32), "half of a surrogate pair"


def test_a_word_in_its_text_is_the_mean_of_its_pieces():
    texts, spans = ["the film was good", "bad film", "the film was good"], [(4, 8), (0, 3), (0, 8)]
    found = ENCODER.encode_in_context(texts, spans)
    for text, places, vector in zip(texts, ([2], [1], [1, 2]), found, strict=True):
        with torch.no_grad():
            states = ENCODER.model(**ENCODER.tokenizer([text], return_tensors="pt"))[0][0]
        np.testing.assert_allclose(vector, states[places].mean(0), atol=2e-6)
    assert ENCODER.encode_in_context([], []).shape == (0, 16)
    with pytest.raises(DataError, match="2 texts but 1 spans"):
        ENCODER.encode_in_context(["good", "bad"], [(0, 3)])
    with pytest.raises(DataError, match="No token of the first 5"):
        tiny_encoder(max_length=5).encode_in_context(["good " * 9], [(40, 44)])


@pytest.mark.parametrize(
    "pooling",
    [
        {},
        {"modes": ("cls",), "normalise": True},
        {"modes": ("cls", "max", "lasttoken"), "max_length": 7, "lower_case": True, "prompt": "good "},
    ],
)
def test_saved_and_loaded_it_answers_the_same(pooling, tmp_path):
    encoder = tiny_encoder(**pooling)
    encoder.save_pretrained(tmp_path / "saved")
    loaded = nlpladder.load(tmp_path / "saved")
    assert type(loaded) is SentenceEncoder
    assert loaded.pooling == encoder.pooling
    assert np.array_equal(loaded.encode_texts(TEXTS), encoder.encode_texts(TEXTS))
    described = describe_model(tmp_path / "saved")
    assert (described.kind, described.abilities) == ("encoder", {"embed", "attention"})
    assert described.parameters == loaded.num_parameters()
    other = SentenceEncoder.from_pretrained(tmp_path / "saved", pooling=Pooling(modes=("max",)))
    assert other.pooling.modes == ("max",)


def test_a_folder_of_transformers_alone_is_pooled_by_the_mean(folder, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(folder, plain)
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (plain / name).unlink()
    encoder = nlpladder.load(plain)
    assert encoder.pooling == Pooling()
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), reference(encoder, TEXTS, modes=("mean",)), atol=2e-6)


def rewrite(source: Path, target: Path, name: str, change) -> Path:
    shutil.copytree(source, target)
    file = target / name
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return target


def test_both_ways_to_write_the_pooling_are_read(folder, tmp_path):
    """Flags, as sentence-transformers wrote them first, and names."""

    def flags(content):
        content.clear()
        content.update({"word_embedding_dimension": 16, "pooling_mode_cls_token": True})

    assert read_pooling(rewrite(folder, tmp_path / "flags", "1_Pooling/config.json", flags)).modes == ("cls",)
    for number, (named, modes) in enumerate((("max", ("max",)), (["mean", "cls"], ("cls", "mean")))):

        def name(content, named=named):
            content.update(pooling_mode=named)

        place = rewrite(folder, tmp_path / str(number), "1_Pooling/config.json", name)
        assert read_pooling(place).modes == modes


def of_dense(content):
    content.insert(2, {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})


@pytest.mark.parametrize(
    "name, change, told",
    [
        ("modules.json", of_dense, "Transformer, Pooling, Dense, Normalize"),
        ("modules.json", list.clear, "names the modules none"),
        ("modules.json", lambda one: one.append(3), "expected a list of modules"),
        ("modules.json", lambda one: one[1].update(path="../elsewhere"), "outside its folder"),
        ("modules.json", lambda one: one[1].update(path="9_Pooling"), "9_Pooling/config.json, is missing"),
        ("modules.json", lambda one: one[0].update(path="0_Transformer"), "Move the files of that folder up"),
        ("1_Pooling/config.json", dict.clear, "pools by nothing"),
        ("1_Pooling/config.json", lambda one: one.update(pooling_mode_magic=True), "pools by pooling_mode_magic"),
        ("1_Pooling/config.json", lambda one: one.update(pooling_mode=["mean", "x"]), "pools by x"),
        ("sentence_bert_config.json", lambda one: one.update(max_seq_length=-3), "max_seq_length -3"),
        ("sentence_bert_config.json", lambda one: one.update(max_seq_length="9"), "max_seq_length 9"),
        ("config_sentence_transformers.json", lambda one: one.update(default_prompt_name="q"), "default prompt 'q'"),
    ],
)
def test_a_pooling_that_is_not_run_here_is_refused_before_anything_is_opened(name, change, told, folder, tmp_path):
    place = rewrite(folder, tmp_path / "other", name, change)
    for opened in (nlpladder.load, describe_model):
        with pytest.raises(ModelError, match=told):
            opened(place)


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    place = tmp_path / "linked"
    shutil.copytree(folder, place)
    (tmp_path / "stranger.json").write_text((place / "1_Pooling" / "config.json").read_text())
    (place / "1_Pooling" / "config.json").unlink()
    (place / "1_Pooling" / "config.json").symlink_to(tmp_path / "stranger.json")
    with pytest.raises(ModelError, match="link to a file outside"):
        nlpladder.load(place)


def test_an_encoder_without_the_layer_behind_its_first_state_opens_as_it_is(tmp_path):
    from transformers import BertConfig, BertModel

    torch.manual_seed(2)
    tokenizer = marked_tokenizer()
    config = BertConfig(vocab_size=len(tokenizer), **SIZES)
    bare = SentenceEncoder(BertModel(config, add_pooling_layer=False).eval(), tokenizer)
    bare.save_pretrained(tmp_path / "bare")
    loaded = nlpladder.load(tmp_path / "bare")
    assert np.array_equal(loaded.encode_texts(TEXTS), bare.encode_texts(TEXTS))
    assert loaded.num_parameters() == bare.num_parameters() == describe_model(tmp_path / "bare").parameters


def test_weights_that_are_missing_are_told(folder, tmp_path):
    place = rewrite(folder, tmp_path / "deeper", "config.json", lambda one: one.update(num_hidden_layers=3))
    with pytest.raises(ModelError, match=r"no weights for encoder\.layer\.2.*would be random"):
        nlpladder.load(place)
    place = rewrite(folder, tmp_path / "wider", "config.json", lambda one: one.update(intermediate_size=32))
    with pytest.raises(ModelError, match="of another shape"):
        nlpladder.load(place)
    place = tmp_path / "mute"
    shutil.copytree(folder, place)
    for file in place.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="holds no tokenizer"):
        nlpladder.load(place)


def test_a_decoder_without_its_head_is_refused(tmp_path):
    from transformers import GPT2Config, GPT2Model, T5Config, T5Model

    tokenizer = marked_tokenizer()
    size = {"vocab_size": len(tokenizer)}
    torch.manual_seed(0)
    models = {
        "gpt2": GPT2Model(GPT2Config(**size, n_embd=8, n_layer=1, n_head=2, n_positions=16)),
        "t5": T5Model(T5Config(**size, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)),
    }
    for name, told in (
        ("gpt2", "none of the encoders .*GPT2Model.*GPT2LMHeadModel"),
        ("t5", "encoder-decoder.*T5Model"),
    ):
        models[name].save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        with pytest.raises(ModelError, match=told):
            nlpladder.load(tmp_path / name)
        described = describe_model(tmp_path / name)
        assert (described.kind, described.abilities) == ("encoder", set())
    assert no_encoder({"model_type": "bert", "is_decoder": True}) == "a decoder without its head"


def test_an_adapter_without_a_head_is_refused(folder, tmp_path):
    place = tmp_path / "adapter"
    place.mkdir()
    shutil.copy(folder / "config.json", place)
    shutil.copy(folder / "model.safetensors", place / "adapter_model.safetensors")
    (place / "adapter_config.json").write_text(
        json.dumps({"task_type": "FEATURE_EXTRACTION", "base_model_name_or_path": str(folder), "peft_type": "LORA"})
    )
    with pytest.raises(ModelError, match="adapter for the task FEATURE_EXTRACTION.*merge_and_unload"):
        nlpladder.load(place)
    assert describe_model(place).abilities == set()


def test_the_encoders_are_those_of_transformers():
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES as HEADLESS

    for model_type in ENCODERS:
        assert model_type in MASKED.keys() & HEADLESS.keys(), model_type
        assert not CONFIG_MAPPING[model_type]().is_encoder_decoder, model_type


def test_pushed_to_the_hub_and_loaded_from_there(folder, monkeypatch, tmp_path):
    with LoopbackHub() as hub, hub.patch(monkeypatch, tmp_path / "home"):
        encoder = nlpladder.load(folder)
        encoder.push_to_hub(f"{USER}/encoder")
        loaded = nlpladder.load(f"{USER}/encoder")
        assert loaded.pooling == encoder.pooling == Pooling(normalise=True)
        assert np.array_equal(loaded.encode_texts(TEXTS), encoder.encode_texts(TEXTS))
        again = SentenceEncoder.from_pretrained(f"{USER}/encoder")
        assert again.pooling == encoder.pooling


def test_seat_and_ceat_run_on_it():
    things = (("film", "plot", "acting"), ("bit", "a", "the"))
    sides = (("good", "great", "fine"), ("bad", "poor", "dull"))
    test = AssociationTest(
        name="toy",
        targets=tuple(WordList(name=words[0], words=words, kind="noun") for words in things),
        attributes=tuple(WordList(name=words[0], words=words, kind="adjective") for words in sides),
    )
    few = StatisticsOptions(resamples=50)
    encoder = tiny_encoder()
    (first, *_) = seat(encoder, test, statistics=few).findings
    assert first.score.value is not None
    texts = [f"the {one} was {other}" for one in ("film", "plot", "acting", "bit", "a") for other in ("good", "bad")]
    texts += ["great fine poor dull"]
    (second, *_) = ceat(encoder, test, texts=texts, samples=20, statistics=few).findings
    assert second.score.value is not None
    assert not any("whole text" in note for note in second.notes)
