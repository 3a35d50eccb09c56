from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM

from helpers import review_rows
from nlpladder.errors import ConfigError, DataError
from nlpladder.pretrain_encoder import pretrain_encoder
from nlpladder.training.options import PretrainingOptions, TrainingOptions
from nlpladder.training.pretraining import MaskedPositionsBert, pretrain_bert

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


def test_pretraining_lowers_the_masked_loss_and_leaves_a_plain_checkpoint(tmp_path):
    record = pretrain_encoder(
        lambda: TEXTS,
        PretrainingOptions(vocab_size=120),
        TRAINING,
        data={"name": "toy"},
        output_dir=tmp_path / "e",
        seed=0,
    )
    losses = [entry["eval_loss"] for entry in record["history"] if "eval_loss" in entry]
    assert losses[-1] < losses[0]
    assert record["texts"] == 300
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "e")
    assert type(model) is BertForMaskedLM
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "e")
    assert tokenizer.decode(tokenizer("The FILM was good")["input_ids"]) == "[CLS] the film was good [SEP]"
    assert not (tmp_path / "e" / "checkpoints").exists()
    again = pretrain_encoder(
        lambda: pytest.fail("a finished run must not be trained again"),
        PretrainingOptions(vocab_size=120), TRAINING, data={"name": "toy"}, output_dir=tmp_path / "e", seed=0,
    )  # fmt: skip
    assert again == record


def test_the_same_seed_gives_the_same_encoder(tmp_path):
    weights = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pretrain_bert(
            TEXTS, PretrainingOptions(vocab_size=120), TRAINING, folder=tmp_path / name,
            checkpoints=tmp_path / f"checkpoints-{name}", seed=1,
        )  # fmt: skip
        weights.append(AutoModelForMaskedLM.from_pretrained(tmp_path / name).state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert np.isfinite(weights[0]["bert.embeddings.word_embeddings.weight"].numpy()).all()


def test_too_little_text_and_impossible_masks_are_refused(tmp_path):
    with pytest.raises(DataError, match="at least 100 texts"):
        pretrain_bert(TEXTS[:5], PretrainingOptions(), TRAINING, folder=tmp_path, checkpoints=tmp_path / "c", seed=0)
    with pytest.raises(ConfigError, match="mask_probability"):
        PretrainingOptions(mask_probability=1.5)
