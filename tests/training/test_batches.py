from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import word_tokenizer
from nlpladder.training.batches import LengthGroupedSampler, PaddingCollator, TokenizedTexts, tokenize
from nlpladder.training.pretraining import HeldOutTexts, MaskingCollator


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 9), st.integers(0, 5), st.booleans())
def test_the_sampler_gives_every_row_once_and_the_same_order_for_the_same_seed_and_epoch(
    lengths, batch, epoch, grouped
):
    sampler = LengthGroupedSampler(np.array(lengths), batch, seed=3, grouped=grouped, batches_a_group=4)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert sorted(order) == list(range(len(lengths)))
    assert list(sampler) == order


def test_another_epoch_gives_another_order_and_batches_hold_similar_lengths():
    lengths = np.random.default_rng(0).integers(5, 100, 1000)
    sampler = LengthGroupedSampler(lengths, 10, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first

    def padding(order):
        batches = np.array(order).reshape(-1, 10)
        return sum(10 * lengths[batch].max() - lengths[batch].sum() for batch in batches)

    plain = list(LengthGroupedSampler(lengths, 10, seed=0, grouped=False))
    assert padding(first) < 0.2 * padding(plain)
    assert np.corrcoef(lengths[first][:-10], np.arange(990))[0, 1] == pytest.approx(0, abs=0.15)


def test_rows_lie_in_one_array_and_come_back_as_given():
    rows = [[1, 2, 3], [], [4]]
    data = TokenizedTexts(iter(rows), np.array([0, 1, 1]))
    assert len(data) == 3
    assert [data[index]["input_ids"].tolist() for index in range(3)] == rows
    assert data.flat.dtype == np.int32


def test_padding_follows_the_tokenizers_side():
    tokenizer = word_tokenizer()
    rows = [{"input_ids": [5, 6, 7], "labels": 1}, {"input_ids": [8], "labels": 0}]
    batch = PaddingCollator(tokenizer, multiple_of=4)(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 0], [8, 0, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert batch["labels"].tolist() == [1, 0]
    tokenizer.padding_side = "left"
    assert PaddingCollator(tokenizer)(rows)["input_ids"].tolist() == [[5, 6, 7], [0, 0, 8]]


def test_tokenizing_in_chunks_changes_nothing():
    tokenizer = word_tokenizer()
    texts = ["the film was good", "bad", "", "so so so"]
    assert tokenize(texts, tokenizer, 3, chunk=1) == tokenize(texts, tokenizer, 3)
    assert [len(row) for row in tokenize(texts, tokenizer, 3)] == [3, 1, 0, 3]


def test_masks_depend_on_seed_epoch_and_rows_only():
    tokenizer = word_tokenizer()
    data = TokenizedTexts([[2, 6, 7, 8, 9, 10, 11, 12, 3]] * 40)
    rows = [data[index] for index in range(40)]
    collator = MaskingCollator(tokenizer, 0.5, seed=1)
    torch.manual_seed(0)
    first = collator(rows)
    torch.manual_seed(99)
    again = collator(rows)
    assert torch.equal(first["input_ids"], again["input_ids"])
    collator.epoch = 1
    assert not torch.equal(first["labels"], collator(rows)["labels"])
    held_out = HeldOutTexts([[2, 6, 7, 8, 3]] * 4)
    masked = [collator([held_out[index] for index in range(4)])["labels"]]
    collator.epoch = 2
    assert torch.equal(masked[0], collator([held_out[index] for index in range(4)])["labels"])


def test_masking_follows_the_shares_of_the_paper():
    tokenizer = word_tokenizer()
    data = TokenizedTexts(np.random.default_rng(0).integers(5, 25, size=(400, 30)).tolist())
    batch = MaskingCollator(tokenizer, 0.2, seed=0)([data[index] for index in range(400)])
    original = torch.tensor(data.flat.reshape(400, 30)).long()
    chosen = batch["labels"].ne(-100)
    assert torch.equal(batch["labels"][chosen], original[chosen])
    assert torch.equal(batch["input_ids"][~chosen], original[~chosen])
    assert chosen.float().mean().item() == pytest.approx(0.2, abs=0.02)
    masked = batch["input_ids"][chosen].eq(tokenizer.mask_token_id).float().mean().item()
    kept = batch["input_ids"][chosen].eq(original[chosen]).float().mean().item()
    assert masked == pytest.approx(0.8, abs=0.03)
    assert kept == pytest.approx(0.1, abs=0.03)


def test_special_tokens_and_padding_are_never_masked():
    tokenizer = word_tokenizer()
    data = TokenizedTexts([[2, 6, 3], [2, 6, 7, 8, 3]])
    batch = MaskingCollator(tokenizer, 0.999, seed=0)([data[0], data[1]])
    assert batch["labels"][0].tolist() == [-100, 6, -100, -100, -100]
