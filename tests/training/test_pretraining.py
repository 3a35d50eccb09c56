from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from helpers import review_rows
from nlpladder.errors import ConfigError, DataError
from nlpladder.training.masking import HeldOutTexts, MaskedPositionsBert, MaskingCollator
from nlpladder.training.options import TrainingOptions
from nlpladder.training.pretraining import pretrain
from nlpladder.training.pretraining_models import build_causal_model, build_text_to_text_model
from nlpladder.training.pretraining_options import SIZES, PretrainingOptions
from nlpladder.training.pretraining_rows import causal_rows, masked_rows, span_corrupted_rows, train_tokenizer
from nlpladder.training.sequence_data import TargetRows, TokenBlocks
from nlpladder.training.span_corruption import SpanNoise, restore

TEXTS = [text for text, _ in review_rows(300)]
TRAINING = TrainingOptions(
    num_train_epochs=3, batch_size=32, max_length=24, select_best_on="none", precision="fp32", learning_rate=5e-3
)


def test_the_head_over_masked_positions_gives_the_logits_of_the_whole_head():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    sparse = MaskedPositionsBert(config).eval()
    whole = BertForMaskedLM(config).eval()
    whole.load_state_dict(sparse.state_dict())
    ids, mask = torch.randint(1, 40, (3, 7)), torch.ones(3, 7, dtype=torch.long)
    mask[1, 4:] = 0
    predicted = torch.rand(3, 7) < 0.4
    with torch.no_grad():
        logits = sparse(ids, mask, predicted).logits
        torch.testing.assert_close(logits, whole(ids, mask).logits[predicted], atol=1e-6, rtol=1e-5)


# Whole words

WORDS = ["unbelievably", "believable", "film", "films", "unfilmable", "the", "a", "lovely"]


def piece_tokenizer():
    """A vocabulary so small that most words have several pieces."""
    from nlpladder.text.subwords import train_subword_tokenizer

    return train_subword_tokenizer(WORDS * 3, scheme="wordpiece", vocab_size=50, min_frequency=50)


def masked_batch(tokenizer, *, whole_words, probability=0.3, copies=200):
    rows = [tokenizer(" ".join(WORDS))["input_ids"]] * copies
    collator = MaskingCollator(tokenizer, probability, 0, whole_words=whole_words)
    data = HeldOutTexts(rows)
    return collator([data[index] for index in range(copies)])


def word_numbers(tokenizer):
    """By the tokenizer's own account: the word of each token, -1 for marks."""
    encoded = tokenizer(" ".join(WORDS))
    return np.array([-1 if word is None else word for word in encoded.word_ids()])


def test_whole_words_are_masked_with_all_their_pieces_or_not_at_all():
    tokenizer = piece_tokenizer()
    words = word_numbers(tokenizer)
    assert (np.bincount(words[words >= 0]) > 1).sum() >= 4, "the test needs words of several pieces"
    predicted = masked_batch(tokenizer, whole_words=True)["predicted"].numpy()
    for word in range(words.max() + 1):
        pieces = predicted[:, words == word]
        assert (pieces.all(axis=1) | ~pieces.any(axis=1)).all()
        assert 0.15 < pieces[:, 0].mean() < 0.45
    assert not predicted[:, words == -1].any(), "marks are no words"
    assert predicted[:, words >= 0].mean() == pytest.approx(0.3, abs=0.05), "the share of masked tokens stays"
    single = masked_batch(tokenizer, whole_words=False)["predicted"].numpy()
    assert any(
        (single[:, words == word].any(axis=1) & ~single[:, words == word].all(axis=1)).any() for word in range(3)
    )


def test_pieces_of_a_masked_word_are_replaced_one_by_one():
    tokenizer = piece_tokenizer()
    batch = masked_batch(tokenizer, whole_words=True, copies=400)
    hidden = batch["predicted"]
    assert (batch["labels"][hidden] >= 0).all()
    assert (batch["labels"][~hidden] == -100).all()
    share = (batch["input_ids"][hidden] == tokenizer.mask_token_id).float().mean()
    assert float(share) == pytest.approx(0.8, abs=0.03)


# Models by size


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_causal_models_have_the_size_of_their_name_and_do_not_stop_at_20_tokens(architecture):
    """Trap: generate() stops at a default max_length of 20."""
    options = PretrainingOptions(objective="causal", size="tiny", architecture=architecture)
    model = build_causal_model(options, vocab_size=300, max_length=64, pad_token_id=0, eos_token_id=3)
    layers, width, heads, _ = SIZES["tiny"]
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (layers, width, heads)
    assert config.max_position_embeddings == 64
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    with torch.no_grad():
        model.get_output_embeddings().weight[3] = -10  # no end mark, whatever the state
        written = model.generate(torch.tensor([[3, 9, 10]]), do_sample=False, suppress_tokens=[3])
    assert written.shape[1] == 3 + 32
    hidden = sum(
        parameter.numel() for name, parameter in model.named_parameters() if "mlp" in name and "bias" not in name
    )
    assert hidden == pytest.approx(2 * 2 * 128 * 512, rel=0.05), "three matrices of a gated layer cost what two do"


def test_a_t5_of_random_weights_has_logits_of_ordinary_size_and_writes_more_than_20_tokens():
    torch.manual_seed(0)
    options = PretrainingOptions(objective="span_corruption")
    model = build_text_to_text_model(options, vocab_size=300, max_length=64, pad_token_id=0, eos_token_id=3).eval()
    ids = torch.randint(5, 300, (4, 20))
    with torch.no_grad():
        logits = model(input_ids=ids, decoder_input_ids=ids).logits
        written = model.generate(ids, do_sample=False, suppress_tokens=[3])
    assert float(logits.std()) < 2, "a tied output layer that does not scale has a deviation of 11"
    assert written.shape[1] == 1 + 64
    assert model.config.num_decoder_layers == model.config.num_layers == 2


# Rows


def test_documents_are_joined_in_blocks_or_stand_alone_and_no_token_is_lost():
    options = PretrainingOptions(objective="causal", vocab_size=300, join_texts=False)
    tokenizer = train_tokenizer(TEXTS, options, max_length=8)
    eos = tokenizer.eos_token_id
    assert tokenizer.bos_token_id == eos
    rows = causal_rows(TEXTS[:40], tokenizer, options, max_length=8, seed=0)
    assert isinstance(rows, TargetRows)
    assert (rows.inputs.lengths <= 8).all()
    written = iter(range(len(rows)))
    for text in TEXTS[:40]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        inputs, targets = [], []
        while len(inputs) < len(ids) + 1:
            row = next(written)
            inputs += rows.inputs[row].tolist()
            targets += rows.targets[row].tolist()
        assert (inputs, targets) == ([eos, *ids], [*ids, eos])
    joined = causal_rows(TEXTS[:40], tokenizer, PretrainingOptions(objective="causal"), max_length=8, seed=0)
    assert isinstance(joined, TokenBlocks)
    assert joined.num_targets == rows.num_targets


def test_sentinels_in_a_text_are_letters_and_the_ids_fall():
    options = PretrainingOptions(objective="span_corruption", vocab_size=220, join_texts=False)
    tokenizer = train_tokenizer(TEXTS, options, max_length=24)
    sentinels = tokenizer.convert_tokens_to_ids([f"<extra_id_{number}>" for number in range(100)])
    assert sentinels == list(range(sentinels[0], sentinels[0] - 100, -1))
    assert tokenizer.pad_token_id == 0
    assert tokenizer("good film")["input_ids"][-1] == tokenizer.eos_token_id
    hostile = ["the </s> film <extra_id_3> was <pad> good", "<extra_id_0>", "good film", "e\u0301 \ud800 \u200b film"]
    rows = span_corrupted_rows(hostile, tokenizer, options, max_length=24, seed=0)
    noise = SpanNoise(sentinel_ids=tuple(sentinels), eos_id=tokenizer.eos_token_id)
    for index in range(len(rows)):
        text = restore(rows.source[index].tolist(), rows.target[index].tolist(), noise)
        assert not {tokenizer.eos_token_id, tokenizer.pad_token_id, *sentinels} & set(text)
    assert tokenizer("<extra_id_3>")["input_ids"][0] == sentinels[3], "the tokenizer is as it was"


def test_joined_texts_of_a_bert_fill_rows_with_marks_around():
    options = PretrainingOptions(vocab_size=120, join_texts=True)
    tokenizer = train_tokenizer(TEXTS, options, max_length=16)
    rows = masked_rows(TEXTS, tokenizer, options, 16)
    assert {len(row) for row in rows[:-1]} == {16}
    assert all((row[0], row[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id) for row in rows)
    words = [int(token) for row in rows for token in row[1:-1] if token != tokenizer.sep_token_id]
    alone = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    assert words == [token for text in alone for token in text]


# Training


def test_the_same_seed_gives_the_same_encoder(tmp_path):
    weights = []
    for name in ("a", "b"):
        trained = pretrain(TEXTS, PretrainingOptions(vocab_size=120), TRAINING, checkpoints=tmp_path / name, seed=1)
        weights.append(trained.model.state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert np.isfinite(weights[0]["bert.embeddings.word_embeddings.weight"].numpy()).all()


def test_too_little_text_and_impossible_options_are_refused(tmp_path):
    with pytest.raises(DataError, match="at least 100 texts"):
        pretrain(TEXTS[:5], PretrainingOptions(), TRAINING, checkpoints=tmp_path / "c", seed=0)
    with pytest.raises(ConfigError, match="max_length is 4"):
        short = dataclasses.replace(TRAINING, max_length=4)
        pretrain(TEXTS, PretrainingOptions(), short, checkpoints=tmp_path / "c", seed=0)
    with pytest.raises(DataError, match="0 to measure"):
        pretrain(TEXTS, PretrainingOptions(), TRAINING, checkpoints=tmp_path / "c", seed=0, held_out=[])
    for wrong in ({"mask_probability": 1.5}, {"noise_density": 0.0}, {"mean_span_length": 0.5}, {"dropout": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PretrainingOptions(**wrong)
    with pytest.raises(ConfigError, match="validation split"):
        PretrainingOptions(validation_share=0.9)
