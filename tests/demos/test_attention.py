"""The tab Attention: the right map is chosen, described in words, and what does not fit is a sentence."""

from __future__ import annotations

import base64
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from demos.fakes import FakeStore
from helpers import tiny_bert_folder, word_tokenizer
from nlpladder.errors import DataError, LadderError
from nlpladder.models.classifiers.recurrent import RecurrentClassifierConfig, RecurrentForSequenceClassification
from nlpladder.models.masked_language_model import MaskedLM
from nlpladder.models.pretrained.loading import load_model
from nlpladder.models.sequence_classifier import SequenceClassifier
from nlpladder.models.translation import Translator
from shell.limits import DemoError
from tabs.attention import bounds, bounds_of
from tabs.attention_grid import clicked, grid_html
from tabs.attention_shape import shape_in_config, shape_of
from tabs.attention_view import MOST_HEADS, MOST_LAYERS, PARTS, attention_view, shape_in, shape_text
from tiny_text_to_text import tiny_t5_folder

TEXT = "the film was good"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("attention")
    torch.manual_seed(0)
    bert = MaskedLM(*load_model(str(tiny_bert_folder(root / "bert")), head="masked"))
    recurrent = RecurrentForSequenceClassification(
        RecurrentClassifierConfig(vocab_size=len(word_tokenizer()), hidden_size=8)
    )
    models = {
        "bert": (bert, {"attention"}),
        "bilstm": (SequenceClassifier(recurrent.eval(), word_tokenizer()), {"attention", "classify"}),
        "t5": (Translator.from_pretrained(str(tiny_t5_folder(root / "t5"))), {"attention", "translate"}),
        "floor": (object(), {"classify"}),
    }
    return FakeStore(models)


def numbers(shown):
    found = [float(one.replace("−", "-")) for one in re.findall(r'title="[^"]*?: ([−\d.]+)"', shown)]
    size = len(re.findall(r'<th scope="row">', shown))
    return np.array(found).reshape(size, -1)


def test_the_mean_of_all_is_shown_at_first(store):
    shown, told, _ = attention_view(store, "bert", TEXT)
    values = numbers(shown)
    np.testing.assert_allclose(values.sum(1), 1.0, atol=0.01)
    assert "mean over all layers and heads" in shown
    assert "It has 2 layers of 2 heads." in told
    assert "Most read" in told


def test_one_layer_and_one_head(store):
    mean = sum(numbers(attention_view(store, "bert", TEXT, layer=2, head=head)[0]) for head in (1, 2)) / 2
    np.testing.assert_allclose(numbers(attention_view(store, "bert", TEXT, layer=2)[0]), mean, atol=2e-3)
    assert "layer 2, mean over all heads" in attention_view(store, "bert", TEXT, layer=2)[0]
    with pytest.raises(DemoError, match="no layer 3: this model has 2"):
        attention_view(store, "bert", TEXT, layer=3)
    with pytest.raises(DemoError, match="no head 4"):
        attention_view(store, "bert", TEXT, head=4)


def test_special_tokens_are_hidden_on_wish(store):
    shown, told, _ = attention_view(store, "t5", "the cat sees the dog", hide_special=True, part="text on itself")
    assert "&lt;/s&gt;" not in shown
    assert "Hidden special tokens receive" in told
    assert (numbers(shown).sum(1) < 1.0).all()


def test_rollout_is_of_a_text_on_itself(store):
    shown, told, _ = attention_view(store, "bert", TEXT, way="rollout")
    np.testing.assert_allclose(numbers(shown).sum(1), 1.0, atol=0.01)
    assert "rollout of text on itself, all layers" in shown
    assert "if attention is followed" in told
    first = numbers(attention_view(store, "bert", TEXT, way="rollout", layer=1)[0])
    weights = numbers(attention_view(store, "bert", TEXT, layer=1)[0])
    np.testing.assert_allclose(first, 0.5 * weights + 0.5 * np.eye(len(first)), atol=2e-3)
    for options, wrong in (
        ({"head": 1}, "mean of the heads"),
        ({"model": "bilstm"}, "text on itself"),
        ({"model": "t5", "part": "translation on itself"}, "comes from the source"),
    ):
        with pytest.raises(DemoError, match=wrong):
            attention_view(store, **{"model": "bert", "text": "dog cat", "way": "rollout", **options})


def test_encoder_decoders_have_three_kinds(store):
    source = "the small cat sees the dog"
    for part in list(PARTS)[1:4]:
        shown, *_ = attention_view(store, "t5", source, "le chat voit", part=part)
        assert part in shown
    with pytest.raises(DemoError, match="It has: text on itself, translation on source, translation on itself"):
        attention_view(store, "t5", source, part="pooling into one vector")
    assert "pooling into one vector" in attention_view(store, "bilstm", TEXT)[0]


@pytest.mark.parametrize(
    "options, wrong",
    [
        ({"text": ""}, "The text is empty"),
        ({"text": None}, "The text is empty"),
        ({"model": "floor"}, "There is no 'floor'"),
        ({"model": ["bert"]}, "expected a name"),
        ({"part": "all"}, "Parts"),
        ({"way": "?"}, "Ways"),
        ({"layer": 1.5}, "whole number"),
        ({"layer": "1"}, "expected a number"),
        ({"head": -1}, "expected a number"),
        ({"second": 3}, "The second text"),
    ],
)
def test_wrong_inputs_are_sentences(store, options, wrong):
    with pytest.raises(DemoError, match=wrong):
        attention_view(store, **{"model": "bert", "text": TEXT, **options})


def test_long_texts_are_refused(store):
    with pytest.raises(DataError, match="at most 64 are shown"):
        attention_view(store, "bert", "good " * 70)


def test_hostile_texts_stay_text(store):
    for text in ("<script>alert(1)</script>", "**good** `film`", "\u202egood", "\x00\x01 a", "🙂"):
        for model in ("bert", "bilstm", "t5"):
            try:
                shown, told, grid = attention_view(store, model, text)
            except LadderError:
                continue
            assert "<script" not in shown + told + grid


def pictures(grid):
    """Return the weights that the pictures hold, as shares of the largest: opacity is the square root."""
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', grid)
    opened = [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]
    return np.stack([(one[..., 3] / 255.0) ** 2 for one in opened])


def bears(grid):
    return re.findall(r'data-text="([^"]+)" aria-pressed="(true|false)"', grid)


def test_all_layers_then_all_heads_of_one_can_be_clicked(store):
    _, _, grid = attention_view(store, "bert", TEXT)
    assert bears(grid) == [("layer 0", "true"), ("layer 1", "false"), ("layer 2", "false")]
    layers = np.stack([numbers(attention_view(store, "bert", TEXT, layer=layer)[0]) for layer in (1, 2)])
    np.testing.assert_allclose(pictures(grid), layers / layers.max(), atol=0.02)
    _, _, grid = attention_view(store, "bert", TEXT, layer=2, head=1)
    assert bears(grid) == [("layer 0", "false"), ("head 0", "false"), ("head 1", "true"), ("head 2", "false")]
    heads = np.stack([numbers(attention_view(store, "bert", TEXT, layer=2, head=head)[0]) for head in (1, 2)])
    np.testing.assert_allclose(pictures(grid), heads / heads.max(), atol=0.02)
    assert "back to all layers" in grid


def test_a_rollout_has_layers_and_hidden_tokens_are_in_no_picture(store):
    _, _, grid = attention_view(store, "bert", TEXT, way="rollout")
    assert [name for name, _ in bears(grid)] == ["layer 0", "layer 1", "layer 2"]
    assert "through all layers" in grid
    options = {"model": "t5", "text": "the cat sees the dog", "part": "text on itself", "layer": 1}
    whole = pictures(attention_view(store, **options)[2]).shape
    shown, _, grid = attention_view(store, **options, hide_special=True)
    assert pictures(grid).shape[1:] == numbers(shown).shape == (whole[1] - 1, whole[2] - 1)


def test_one_layer_of_one_head_has_nothing_to_choose(store):
    assert attention_view(store, "bilstm", TEXT)[2] == ""


def test_a_click_names_a_layer_or_a_head():
    assert clicked("layer 3", 1, 5) == (3, 0)
    assert clicked("head 12", 1, 5) == (1, 12)
    for wrong in (None, 3, "head", "head -1", "head 1\n", "layer 1000", "<b>", ["head 1"]):
        with pytest.raises(DemoError, match="Click one"):
            clicked(wrong, 1, 1)


def test_a_picture_says_which_token_is_most_read():
    maps = np.array([[[0.9, 0.1], [0.7, 0.3]], [[0.0, 1.0], [0.4, 0.6]]])
    grid = grid_html(maps, ["<b>", "c"], unit="head", chosen=2, whole="mean of all heads")
    assert 'aria-label="Head 1, most read &lt;b&gt;, 80%"' in grid
    assert 'aria-label="Head 2, most read c, 80%"' in grid
    assert "<b>" not in grid
    np.testing.assert_allclose(pictures(grid), maps, atol=0.01)


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (1, 4), (12, 12)])
def test_the_sliders_end_where_the_model_ends(layers, heads):
    layer, head = bounds(f"In this map, rows read. {shape_text(layers, heads)} Most read: a 50%.")
    assert (layer["maximum"], head["maximum"]) == (layers, heads)


@pytest.mark.parametrize("told", ["", None, 3, "It has many layers.", {"a": 1}])
def test_sliders_stay_where_nothing_was_told(told):
    assert shape_in(told) is None
    assert all("maximum" not in update for update in bounds(told))


def test_a_page_that_lies_about_the_layers_moves_no_slider_far():
    assert shape_in("It has 9999 layers of 9999 heads.") == (MOST_LAYERS, MOST_HEADS)
    assert shape_in("It has 99999 layers of 1 head.") is None


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"num_hidden_layers": 5, "num_attention_heads": 8}, (5, 8)),
        ({"num_layers": 2, "num_decoder_layers": 3, "num_heads": 4}, (3, 4)),
        ({"num_hidden_layers": 2, "num_decoder_layers": 1, "num_attention_heads": 2}, (1, 2)),
        ({"n_layer": 12, "n_head": 500}, (12, MOST_HEADS)),
        ({"model_type": "nlpladder_seq2seq", "decoder_layers": 2}, (1, 1)),
        ({"num_hidden_layers": True, "num_attention_heads": 2}, None),
        ({"num_hidden_layers": "2", "num_attention_heads": 2}, None),
        ({}, None),
    ],
)
def test_the_config_says_where_the_sliders_end_before_a_model_is_opened(config, wanted, tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps(config))
    models = FakeStore({"m": (None, {"attention"})})
    monkeypatch.setattr(models, "entry", lambda name: SimpleNamespace(path=str(tmp_path / name)))
    assert shape_of(models, ".") == wanted
    layers, heads = bounds_of(models, ".")
    assert (layers.get("maximum"), heads.get("maximum")) == (wanted or (None, None))
    assert layers["value"] == heads["value"] == 0
    assert shape_of(models, "nowhere") is None
    assert shape_of(models, None) is None
    assert models.used == []


def test_the_config_and_the_maps_agree(store):
    config = store._models["bert"].model.config.to_dict()
    assert shape_in_config(config) == shape_in(attention_view(store, "bert", TEXT)[1])
