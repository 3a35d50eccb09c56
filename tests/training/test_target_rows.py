"""Rows with targets: what is learnt of them, their batches, their validation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import DataError
from nlpladder.training.sequence_data import IGNORED, TargetRows
from nlpladder.training.token_batches import BatchLayout, training_batches, validation_batches

#: Tokens of each text, and how many of them at its end are targets.
SHAPES = st.lists(
    st.integers(1, 12).flatmap(lambda length: st.tuples(st.just(length), st.integers(0, length))),
    min_size=1, max_size=50,
).filter(lambda shapes: any(targets for _, targets in shapes))  # fmt: skip


def numbered(shapes):
    """Row i reads 1000 + i everywhere and predicts 2000 + i."""
    return TargetRows(
        [[1000 + row] * length for row, (length, _) in enumerate(shapes)],
        [[IGNORED] * (length - targets) + [2000 + row] * targets for row, (length, targets) in enumerate(shapes)],
    )


def steps_of(data, epoch=0, **layout):
    """Return all processes' micro-batches, grouped by step."""
    world, accumulation = layout.get("world", 1), layout.get("accumulation", 1)
    ranks = [training_batches(data, BatchLayout(rank=rank, **layout)) for rank in range(world)]
    for batches in ranks:
        batches.set_epoch(epoch)
    assert len({len(batches) for batches in ranks}) == 1, "every process must have equally many micro-batches"
    for step in range(ranks[0].steps):
        yield [batches[step * accumulation + slot] for slot in range(accumulation) for batches in ranks]


def targets_of(batch):
    targets = batch["targets"]
    return sorted(targets[targets != IGNORED].tolist())


@given(SHAPES, st.integers(0, 3), st.sampled_from([(1, 1), (3, 1), (1, 2), (2, 3)]), st.sampled_from([0, 16, 40]))
@settings(max_examples=60, deadline=None)
def test_every_target_stands_once_an_epoch_however_a_step_is_dealt(shapes, epoch, parts, budget):
    data, (accumulation, world) = numbered(shapes), parts
    layout = {"accumulation": accumulation, "world": world, "seed": 4, "batch_size": 3, "batch_tokens": budget}
    found = []
    for step in steps_of(data, epoch, **layout):
        assert {batch["step_targets"] for batch in step} == {sum(len(targets_of(batch)) for batch in step)}
        for batch in step:
            found += targets_of(batch)
            assert batch["input_ids"].shape == batch["targets"].shape
            learnt = batch["targets"] != IGNORED
            assert (batch["targets"] - batch["input_ids"])[learnt].eq(1000).all(), "targets stand where they are read"
    assert sorted(found) == sorted(2000 + row for row, (_, count) in enumerate(shapes) for _ in range(count))


def test_a_step_holds_the_same_rows_for_any_number_of_processes():
    generator = np.random.default_rng(0)
    data = numbered([(int(length), 1) for length in generator.integers(1, 30, 200)])
    whole = [sorted(targets_of(batch) for batch in step) for step in steps_of(data, 2, batch_tokens=240, seed=1)]
    for accumulation, world in ((2, 1), (1, 2), (2, 3)):
        parts = accumulation * world
        layout = {"accumulation": accumulation, "world": world, "batch_tokens": 240 // parts, "seed": 1}
        dealt = list(steps_of(data, 2, **layout))
        merged = [sorted(itertools.chain.from_iterable(map(targets_of, step))) for step in dealt]
        assert merged == [row[0] for row in whole]


def test_the_order_follows_from_seed_and_epoch():
    data = numbered([(3, 1)] * 40)

    def order(epoch, seed):
        return [targets_of(batch) for step in steps_of(data, epoch, batch_size=4, seed=seed) for batch in step]

    assert order(1, 5) == order(1, 5)
    assert order(1, 5) != order(2, 5)
    assert order(1, 5) != order(1, 6)


def test_texts_of_similar_length_share_a_batch_within_the_budget():
    generator = np.random.default_rng(0)
    data = numbered([(int(length), 1) for length in generator.integers(1, 60, 400)])
    real = padded = 0
    for step in steps_of(data, batch_tokens=256):
        assert step[0]["input_ids"].numel() <= 256
        real += len(targets_of(step[0])) and int((step[0]["input_ids"] != 0).sum())
        padded += step[0]["input_ids"].numel()
    assert real / padded > 0.9


@given(SHAPES, st.sampled_from([1, 2]), st.sampled_from([0, 20]))
@settings(max_examples=30, deadline=None)
def test_validation_reads_every_target_once(shapes, world, budget):
    found = []
    for rank in range(world):
        layout = BatchLayout(world=world, rank=rank, batch_size=4, batch_tokens=budget)
        for batch in validation_batches(numbered(shapes), layout):
            found += targets_of(batch)
    assert sorted(found) == sorted(2000 + row for row, (_, count) in enumerate(shapes) for _ in range(count))


def test_trap_7_the_end_mark_is_a_target_although_it_is_the_padding():
    """transformers' collators mask every id that is the padding's, so that such a model never learns to stop."""
    end = pad = 3
    data = TargetRows([[1, 5, 6], [1, 5]], [[IGNORED, 6, end], [5, end]])
    (batch,) = next(iter(steps_of(data, batch_size=2, pad_token_id=pad)))
    assert targets_of(batch) == [end, end, 5, 6]
    (batch,) = next(iter(steps_of(data, batch_size=2, pad_token_id=pad, pack=8)))
    assert targets_of(batch) == [end, end, 5, 6]


def test_texts_without_a_target_are_left_out():
    data = TargetRows([[1, 2], [3, 4], [5, 6]], [[IGNORED, 9], [IGNORED, IGNORED], [8, 7]])
    assert data.counts.tolist() == [1, 0, 2]
    assert data.num_targets == 3
    for pack in (0, 8):
        seen = {
            token
            for step in steps_of(data, batch_size=9, pack=pack)
            for token in step[0]["input_ids"].flatten().tolist()
        }
        assert not seen & {3, 4}


def test_rows_that_cannot_be_learnt_are_refused_with_their_number():
    with pytest.raises(DataError, match="2 input rows but 1 target rows"):
        TargetRows([[1], [2]], [[3]])
    with pytest.raises(DataError, match="no row"):
        TargetRows([], [])
    with pytest.raises(DataError, match="Row 1 has 2 input tokens but 1 targets"):
        TargetRows([[1], [2, 3]], [[2], [3]])
    with pytest.raises(DataError, match="Row 1 has no token"):
        TargetRows([[1], []], [[2], []])
    with pytest.raises(DataError, match="Row 2 has the target -1,"):
        TargetRows([[1], [1], [4, 5]], [[2], [2], [5, -1]])
    with pytest.raises(DataError, match="Every target of all 2 rows is -100"):
        TargetRows([[1], [2]], [[IGNORED], [IGNORED]])
