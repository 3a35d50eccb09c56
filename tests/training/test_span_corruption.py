from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError
from nlpladder.training.batch_layout import BatchLayout
from nlpladder.training.span_corruption import (
    SpanCorruptedRows,
    SpanNoise,
    corrupt,
    random_segments,
    random_spans_mask,
    restore,
)
from nlpladder.training.token_batches import training_batches

EOS = 3
SENTINELS = tuple(range(104, 4, -1))  # <extra_id_0> has the highest id
NOISE = SpanNoise(sentinel_ids=SENTINELS, eos_id=EOS)


def test_the_example_of_the_paper():
    words = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "."]
    names = {word: 200 + number for number, word in enumerate(words)}
    cut = np.array([[word in ("for", "inviting", "last") for word in words]])
    inputs, targets = corrupt(np.array([[names[word] for word in words]]), cut, NOISE)
    shown = {number: word for word, number in names.items()} | {104: "<X>", 103: "<Y>", 102: "<Z>", EOS: "</s>"}
    assert " ".join(shown[token] for token in inputs[0]) == "Thank you <X> me to your party <Y> week . </s>"
    assert " ".join(shown[token] for token in targets[0]) == "<X> for inviting <Y> last <Z> </s>"


def test_lengths_are_those_of_the_released_code():
    # random_spans_helper(inputs_length=512, noise_density=0.15, mean_noise_span_length=3) gives 568 and 114; our
    # target has one sentinel more, that of the paper's figure.
    assert NOISE.tokens_for(512) == 568
    assert NOISE.lengths(568) == (512, 114 + 1)
    assert NOISE.counts(568) == (85, 28)


noises = st.builds(
    SpanNoise,
    sentinel_ids=st.just(SENTINELS),
    eos_id=st.just(EOS),
    density=st.floats(0.05, 0.6),
    mean_length=st.floats(1.0, 6.0),
)


@given(noise=noises, length=st.integers(2, 120), rows=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_the_text_can_be_rebuilt_and_share_and_lengths_are_as_planned(noise, length, rows, seed):
    generator = np.random.default_rng(seed)
    text = generator.integers(200, 1000, (rows, length))
    cut = random_spans_mask(length, rows, noise, generator)
    inputs, targets = corrupt(text, cut, noise)
    removed, spans = noise.counts(length)
    assert (cut.sum(axis=1) == removed).all()
    assert abs(removed - length * noise.density) <= 1
    assert not cut[:, 0].any(), "text that stays comes first"
    assert ((cut[:, 1:] & ~cut[:, :-1]).sum(axis=1) == spans).all()
    assert (inputs.shape[1], targets.shape[1]) == noise.lengths(length)
    assert (inputs[:, -1] == EOS).all()
    assert (targets[:, -1] == EOS).all()
    for row in range(rows):
        assert restore(inputs[row].tolist(), targets[row].tolist(), noise) == text[row].tolist()
        assert [token for token in targets[row] if token in SENTINELS] == list(SENTINELS[: spans + 1])
        assert [token for token in inputs[row] if token in SENTINELS] == list(SENTINELS[:spans])


@given(noise=noises, wanted=st.integers(4, 200))
def test_as_many_tokens_are_taken_as_fill_an_input(noise, wanted):
    try:
        tokens = noise.tokens_for(wanted)
    except ConfigError:
        return
    assert noise.lengths(tokens)[0] <= wanted < noise.lengths(tokens + 1)[0]


def test_mean_length_of_spans_over_many_draws():
    cut = random_spans_mask(500, 50, NOISE, np.random.default_rng(0))
    assert cut.sum() / (cut[:, 1:] & ~cut[:, :-1]).sum() == pytest.approx(3.0, abs=0.05)
    assert cut.mean() == pytest.approx(0.15, abs=0.001)
    assert cut.mean(axis=0)[50:450].std() < 0.08, "no place of a text is cut out much more often than another"


def test_every_division_into_segments_is_alike_probable():
    lengths = random_segments(6, 3, 6000, np.random.default_rng(0))
    assert (lengths.sum(axis=1) == 6).all()
    assert (lengths >= 1).all()
    found, counts = np.unique(lengths, axis=0, return_counts=True)
    assert len(found) == 10  # 5 choose 2
    assert (abs(counts - 600) < 4 * 600**0.5).all()
    assert random_segments(1, 1, 3, np.random.default_rng(0)).tolist() == [[1]] * 3


def rows_of(texts, **more):
    return SpanCorruptedRows(texts, noise=NOISE, input_length=more.pop("input_length", 32), seed=more.pop("seed", 0))


def contents(rows):
    return [(rows.source[index].tolist(), rows.target[index].tolist()) for index in range(len(rows))]


def test_running_text_gives_inputs_of_the_length_asked_for_and_loses_nothing():
    text = np.arange(200, 700)
    rows = rows_of(text)
    width = NOISE.tokens_for(32)
    assert (rows.source.lengths[:-1] == 32).all()
    assert (rows.target.lengths[:-1] == NOISE.lengths(width)[1]).all()
    for epoch in range(3):
        rows.set_epoch(epoch)
        restored = [token for source, target in contents(rows) for token in restore(source, target, NOISE)]
        first = restored.index(200)
        assert restored[first:] + restored[:first] == text.tolist(), "a ring that begins elsewhere"


def test_each_epoch_has_other_spans_of_the_same_lengths_and_can_be_drawn_again():
    generator = np.random.default_rng(1)
    texts = [generator.integers(200, 900, size) for size in (40, 7, 2, 7, 90, 1)]
    rows = rows_of(texts)
    first, lengths = contents(rows), rows.source.lengths.copy()
    assert len(rows) == 8, "a long text becomes several rows; nothing can be cut out of one token"
    rows.set_epoch(5)
    fifth = contents(rows)
    assert fifth != first
    assert (rows.source.lengths == lengths).all()
    rows.set_epoch(0)
    assert contents(rows) == first
    again = rows_of(texts)
    again.set_epoch(5)
    assert contents(again) == fifth, "a resumed run sees the spans of the uninterrupted one"
    assert contents(rows_of(texts, seed=1)) != first


def test_the_trainers_batches_draw_new_spans_and_two_processes_deal_those_of_one():
    text = np.random.default_rng(0).integers(200, 900, 2000)

    def batches(rank, world, accumulation):
        return training_batches(
            rows_of(text),
            BatchLayout(batch_size=2, world=world, rank=rank, accumulation=accumulation, pad_token_id=0),
        )

    def rows(parts, step, epoch):
        found = []
        for part in parts:
            part.set_epoch(epoch)
            for slot in range(part.layout.accumulation):
                batch = part[step * part.layout.accumulation + slot]
                found += [tuple(row) for row in batch["input_ids"].tolist()]
        return sorted(found)

    for epoch in (0, 1):
        one = rows([batches(0, 1, 2)], 3, epoch)
        assert rows([batches(0, 2, 1), batches(1, 2, 1)], 3, epoch) == one
    assert rows([batches(0, 1, 2)], 3, 0) != rows([batches(0, 1, 2)], 3, 1)
    assert len(batches(0, 2, 1)) == len(batches(0, 1, 2)) // 2


def test_what_cannot_be_corrupted_is_refused():
    with pytest.raises(ConfigError, match="max_length is 3"):
        NOISE.tokens_for(3)
    with pytest.raises(ConfigError, match="only 100 sentinels"):
        NOISE.tokens_for(2048)
    with pytest.raises(DataError, match="at least two tokens"):
        rows_of([[200], []])
