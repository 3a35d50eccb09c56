"""GloVe: the updates of the equations, the same bytes on any number of threads, resuming, and what can go wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nlpladder.errors import ModelError, RunError
from nlpladder.models.vectors.glove import training_state
from nlpladder.models.vectors.glove.cooccurrence import count_cooccurrences
from nlpladder.models.vectors.glove.cooccurrence_records import Cooccurrences, Segment
from nlpladder.models.vectors.glove.options import GloveOptions
from nlpladder.models.vectors.glove.training import extend_state, initial_state, rounds_of_epoch, train_glove
from nlpladder.models.vectors.glove.training_state import ARRAYS, GloveState
from nlpladder.text.encoding import encode_corpus

TOPICS = [[f"{kind}{number}" for number in range(8)] for kind in ("fish", "star", "cake")]
COMMON = ["the", "a", "of", "is"]


def options(**changes):
    return GloveOptions(**{"vector_size": 20, "min_count": 1, "num_threads": 2, "x_max": 10.0, **changes})


def topic_sentences(size=600, seed=0):
    """Sentences of one topic each, with some words of any topic: GloVe learns from pairs that occur, however rarely."""
    generator = np.random.default_rng(seed)
    anything = [*COMMON, *(word for topic in TOPICS for word in topic)]
    sentences = []
    for _ in range(size):
        topic = TOPICS[generator.integers(len(TOPICS))]
        sentences.append([str(generator.choice(topic if generator.random() < 0.6 else anything)) for _ in range(9)])
    return sentences


@pytest.fixture(scope="module")
def counted():
    return count_cooccurrences(encode_corpus(topic_sentences()), options())


def assert_equal_states(left, right):
    assert left.words == right.words
    for name in ARRAYS:
        assert getattr(left, name).tobytes() == getattr(right, name).tobytes(), name
    assert (left.finished_epochs, left.costs, left.num_skipped) == (
        right.finished_epochs, right.costs, right.num_skipped,
    )  # fmt: skip


def records_in_order(cooccurrences, seed, epoch):
    """Yield (word, context, count) in the order of an epoch."""
    for blocks in rounds_of_epoch(len(cooccurrences.segments), seed, epoch):
        for row, column in blocks:
            part = cooccurrences.segments[row]
            for record in range(part.block_starts[column], part.block_starts[column + 1]):
                yield (
                    cooccurrences.order[part.rows[record]],
                    cooccurrences.order[part.columns[record]],
                    float(part.values[record]),
                )


def train_by_the_equations(state, cooccurrences, options):
    """An epoch read literally from the paper, in float64; returns the arrays and the mean cost."""
    arrays = {name: getattr(state, name).astype(float) for name in ARRAYS}
    w, c, gw, gc, bw, bc = (arrays[name] for name in ARRAYS)
    rate, clip = options.learning_rate, options.gradient_clip
    cost = 0.0
    for i, j, count in records_in_order(cooccurrences, options.seed, state.finished_epochs):
        weight = min(1.0, (count / options.x_max) ** options.alpha)
        error = w[i] @ c[j] + bw[i, 0] + bc[j, 0] - np.log(count)
        cost += 0.5 * weight * error**2
        word_step = rate * np.clip(weight * error * c[j], -clip, clip)
        context_step = rate * np.clip(weight * error * w[i], -clip, clip)
        w[i] -= word_step / np.sqrt(gw[i])
        c[j] -= context_step / np.sqrt(gc[j])
        if options.optimizer == "adagrad":
            gw[i] += word_step**2
            gc[j] += context_step**2
        else:
            gw[i] += np.mean(word_step**2)
            gc[j] += np.mean(context_step**2)
        for bias, row in ((bw, i), (bc, j)):
            bias[row, 0] -= weight * error / np.sqrt(bias[row, 1])
            bias[row, 1] += (weight * error) ** 2
    return arrays, cost / cooccurrences.num_records


@pytest.mark.parametrize("changes", [
    {}, {"vector_size": 16}, {"optimizer": "row_adagrad"}, {"gradient_clip": 0.01, "learning_rate": 0.5},
])  # fmt: skip
def test_two_epochs_are_those_of_the_equations(counted, changes):
    chosen = options(epochs=2, **changes)
    state = train_glove(counted, replace(chosen, epochs=0))
    for epoch in (1, 2):
        arrays, cost = train_by_the_equations(state, counted, chosen)
        state = train_glove(counted, replace(chosen, epochs=epoch), state=state)
        for name in ARRAYS:
            assert np.allclose(getattr(state, name), arrays[name], rtol=1e-4, atol=1e-5), name
        assert state.costs[-1] == pytest.approx(cost, rel=1e-5)


def test_rounds_visit_every_block_once_and_never_share_rows_or_columns():
    for num_blocks in (1, 2, 5, 16):
        rounds = rounds_of_epoch(num_blocks, seed=3, epoch=1)
        visited = [block for blocks in rounds for block in blocks]
        assert sorted(visited) == [(row, column) for row in range(num_blocks) for column in range(num_blocks)]
        for blocks in rounds:
            assert len({row for row, _ in blocks}) == len({column for _, column in blocks}) == len(blocks)
    assert rounds_of_epoch(16, seed=3, epoch=2) != rounds_of_epoch(16, seed=3, epoch=1)


def test_threads_make_no_difference_and_seeds_do(counted):
    assert len(counted.segments) > 3
    one, *others = (train_glove(counted, options(epochs=3, num_threads=threads)) for threads in (1, 2, 4))
    for other in others:
        assert_equal_states(one, other)
    seeded = train_glove(counted, options(epochs=3, seed=1))
    assert not np.array_equal(seeded.vectors(), one.vectors())


def test_a_resumed_training_ends_where_the_uninterrupted_one_ends(counted, tmp_path):
    lines = []
    whole = train_glove(
        counted,
        options(epochs=4),
        checkpoint=lambda state: state.save(tmp_path / "state") if state.finished_epochs == 2 else None,
        progress=lambda progress: lines.append(str(progress)),
    )
    assert [line.rpartition(" ")[0] for line in lines] == [f"iter 00{epoch}, cost" for epoch in (1, 2, 3, 4)]
    assert lines[-1] == f"iter 004, cost {whole.costs[-1]:.6f}"
    loaded = GloveState.load(tmp_path / "state")
    assert loaded.finished_epochs == 2
    assert_equal_states(train_glove(counted, options(epochs=4), state=loaded), whole)


def test_planted_topics_are_learnt(counted):
    state = train_glove(counted, options(epochs=30))
    assert state.costs[-1] < state.costs[0] / 3
    vectors = {word: vector / np.linalg.norm(vector) for word, vector in zip(state.words, state.vectors(), strict=True)}
    for topic in TOPICS:
        for word in topic:
            others = [other for group in TOPICS for other in group if other != word]
            nearest = sorted(others, key=lambda other: -(vectors[word] @ vectors[other]))[:7]
            assert set(nearest) <= set(topic), word


def test_cost_goes_to_nothing_with_enough_dimensions():
    few = count_cooccurrences(encode_corpus(topic_sentences(40)), options())
    state = train_glove(few, options(vector_size=64, epochs=600, learning_rate=0.2, x_max=1.0))
    assert state.costs[0] > 0.1
    assert state.costs[-1] < 1e-4


def test_outputs():
    few = count_cooccurrences(encode_corpus([["a", "b", "c"]]), options())
    for output, width in (("sum", 20), ("word", 20), ("both", 40)):
        state = train_glove(few, options(epochs=1, output=output))
        vectors = state.vectors()
        assert (vectors.shape, vectors.dtype) == ((3, width), np.float32)
        assert np.array_equal(state.word_vectors + (output == "sum") * state.context_vectors, vectors[:, :20])
    assert not np.shares_memory(train_glove(few, options(epochs=1, output="word")).vectors(), state.word_vectors)


@pytest.mark.parametrize("optimizer", ["adagrad", "row_adagrad"])
def test_tiny_corpora_give_no_nan(optimizer):
    tiny = count_cooccurrences(encode_corpus([["a", "b"]]), options())
    state = train_glove(tiny, options(epochs=50, learning_rate=1.0, optimizer=optimizer))
    assert all(np.isfinite(getattr(state, name)).all() for name in ARRAYS)


def with_one_value(cooccurrences, value):
    """The same records, one of them with another count."""
    first = next(number for number, part in enumerate(cooccurrences.segments) if part.values.size)
    part = cooccurrences.segments[first]
    values = part.values.copy()
    values[0] = value
    segments = list(cooccurrences.segments)
    segments[first] = Segment(part.rows, part.columns, values, part.block_starts)
    return replace(cooccurrences, segments=tuple(segments))


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_record_without_a_finite_error_is_left_out_and_counted(counted, value):
    state = train_glove(with_one_value(counted, value), options(epochs=2))
    assert state.num_skipped == 2
    assert all(np.isfinite(getattr(state, name)).all() for name in ARRAYS)


@pytest.mark.parametrize("changes", [{"learning_rate": 1e6}, {"learning_rate": 1e20, "gradient_clip": 1e20}])
def test_divergence_is_a_sentence_and_never_nan(counted, changes):
    states = []
    with pytest.raises(ModelError, match=r"diverges: in epoch \d .* smaller learning_rate than 1"):
        train_glove(counted, options(epochs=3, **changes), checkpoint=states.append)
    assert all(np.isfinite(state.vectors()).all() for state in states)


def test_training_goes_on_with_new_text_and_new_words(counted):
    old = train_glove(counted, options(epochs=5))
    sentences = [["the", "fish0", "whale", "fish1"], ["whale", "of", "fish2"]] * 30
    chosen = options(min_count=5)
    with pytest.raises(ModelError, match="first_words=state.words"):
        extend_state(old, count_cooccurrences(encode_corpus(sentences), chosen), chosen)
    new = count_cooccurrences(encode_corpus(sentences), chosen, first_words=old.words)
    started = extend_state(old, new, chosen)
    assert started.words == [*old.words, "whale"]
    assert started.counts[started.words.index("fish0")] == old.counts[old.words.index("fish0")] + 30
    for name in ARRAYS:
        assert np.array_equal(getattr(started, name)[:-1], getattr(old, name))
    ended = train_glove(new, replace(chosen, epochs=20), state=started)
    vectors = dict(zip(ended.words, ended.vectors() / np.linalg.norm(ended.vectors(), axis=1)[:, None], strict=True))
    assert vectors["whale"] @ vectors["fish0"] > vectors["whale"] @ vectors["cake0"]
    untouched = old.words.index("cake0")
    assert np.array_equal(ended.word_vectors[untouched], old.word_vectors[untouched])


def test_states_that_do_not_fit_are_refused(counted):
    state = train_glove(counted, options(epochs=1))
    with pytest.raises(ModelError, match="vector_size=20; it cannot go on with vector_size=21"):
        train_glove(counted, options(vector_size=21), state=state)
    other = count_cooccurrences(encode_corpus(topic_sentences(seed=1)), options())
    with pytest.raises(ModelError, match="other co-occurrences"):
        train_glove(other, options(), state=state)


def test_a_saved_state_is_replaced_in_one_step(counted, tmp_path, monkeypatch):
    first = train_glove(counted, options(epochs=1))
    first.save(tmp_path)
    second = train_glove(counted, options(epochs=2))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training_state.Path, "replace", killed)  # what came before it is on disk: a kill at this moment
        with pytest.raises(KeyboardInterrupt):
            second.save(tmp_path)
    assert_equal_states(GloveState.load(tmp_path), first)
    second.save(tmp_path)
    assert_equal_states(GloveState.load(tmp_path), second)
    assert GloveState.load(tmp_path).options == second.options
    assert len(list(tmp_path.iterdir())) == 2


def test_states_that_cannot_be_read_or_written(counted, tmp_path):
    state = initial_state(counted, options())
    with pytest.raises(ModelError, match=r"glove_state\.json is missing"):
        GloveState.load(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        state.save(tmp_path / "file" / "state")
    state.save(tmp_path / "state")
    next((tmp_path / "state").glob("*.safetensors")).write_bytes(b"cut short")
    with pytest.raises(ModelError, match="damaged"):
        GloveState.load(tmp_path / "state")


def test_counts_on_disk_train_to_the_same_bytes(counted, tmp_path):
    spilled = count_cooccurrences(encode_corpus(topic_sentences()), options(memory=0.005), folder=tmp_path / "counts")
    assert_equal_states(train_glove(spilled, options(epochs=2)), train_glove(counted, options(epochs=2)))
    opened = Cooccurrences.load(tmp_path / "counts")
    assert_equal_states(train_glove(opened, options(epochs=2)), train_glove(counted, options(epochs=2)))
