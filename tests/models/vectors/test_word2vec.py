"""The trainer: updates against the equations, determinism, resuming, extending, and what it must be able to learn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from nlpladder.errors import ConfigError, DataError, ModelError, RunError
from nlpladder.models.vectors.subwords import hash_ngrams, input_rows
from nlpladder.models.vectors.word2vec import trainer
from nlpladder.models.vectors.word2vec.hierarchical_softmax import HuffmanTree
from nlpladder.models.vectors.word2vec.kernels import draw_word, mix, train_chunk
from nlpladder.models.vectors.word2vec.negative_sampling import sigmoid_table
from nlpladder.models.vectors.word2vec.options import Word2VecOptions
from nlpladder.models.vectors.word2vec.row_kernels import padded_rows
from nlpladder.models.vectors.word2vec.training import extend, train_word2vec
from nlpladder.models.vectors.word2vec.training_state import TrainingState
from nlpladder.text.encoding import encode_corpus

FAST = Word2VecOptions(vector_size=10, min_count=1, subsample=0.0, epochs=2, num_buckets=500, num_threads=1)
FRUITS = ["apple", "pear", "plum", "cherry", "grape"]
TOOLS = ["hammer", "saw", "drill", "wrench", "pliers"]
EVERY_KIND = [
    {"architecture": architecture, "loss": loss, "subwords": subwords}
    for architecture in ("skipgram", "cbow")
    for loss in ("negative_sampling", "hierarchical_softmax")
    for subwords in (False, True)
]


def name_of(kind):
    return "-".join(str(value) for value in kind.values())


def topical_sentences(seed=0, number=400):
    """Each sentence is about fruits or about tools, never both."""
    generator = np.random.default_rng(seed)
    return [generator.choice((FRUITS, TOOLS)[number % 2], 8).tolist() for number in range(number)]


@pytest.fixture(scope="module")
def corpus():
    return encode_corpus(topical_sentences())


def arrays_of(state):
    return state.inputs, state.outputs, state.counts, state.used_buckets


def assert_same(one, other):
    assert one.words == other.words
    for left, right in zip(arrays_of(one), arrays_of(other), strict=True):
        assert_array_equal(left, right)


# --- The updates, against a slow and literal reading of the equations ------------------------------------------------

GOLDEN = 0x9E3779B97F4A7C15


class Draws:
    """The kernel's random numbers, one by one."""

    def __init__(self, state):
        self.state = state

    def bits(self):
        self.state = (self.state + GOLDEN) % 2**64
        return np.uint64(mix(np.uint64(self.state)))


def tabulated_sigmoid(scores):
    """The logistic function at the middle of the cell: what is learnt must not depend on how it is looked up."""
    cells = np.floor((scores + 6) * 1024 / 12)
    values = 1 / (1 + np.exp(-((cells + 0.5) * 12 / 1024 - 6)))
    return np.where(scores >= 6, 1, np.where(scores < -6, 0, values))


def literal_training(sentences, inputs, outputs, rows_of, paths, table, settings, rate, state):
    """Train as the papers say, pair by pair, in float64; all scores of a pair are taken before it moves anything.

    A word's input vector is the mean of its rows, taken anew for each pair, and each row gets the whole gradient: what
    word2vec.c and fastText do.
    """
    skip_gram, window, negative = settings
    inputs, outputs = inputs.astype(np.float64), outputs.astype(np.float64)
    draws = Draws(state)
    upcoming = [] if paths else [draw_word(table, draws.bits()) for _ in range(negative)]
    for sentence in sentences:
        for _ in sentence:
            draws.bits()  # the decision to keep each word
        for centre in range(len(sentence)):
            reach = 1 + int((int(draws.bits()) >> 32) * window >> 32)
            neighbours = [
                place
                for place in range(max(centre - reach, 0), min(centre + reach + 1, len(sentence)))
                if place != centre
            ]
            if not neighbours:
                continue
            pairs = [([centre], place) for place in neighbours] if skip_gram else [(neighbours, centre)]
            for sources, target in pairs:
                rows = [row for source in sources for row in rows_of[sentence[source]]]
                hidden = inputs[rows].mean(axis=0)
                if paths:
                    targets, labels = paths[sentence[target]]
                else:
                    negatives = [drawn for drawn in upcoming if drawn != sentence[target]]
                    targets, labels = [sentence[target], *negatives], [1] + [0] * len(negatives)
                    upcoming = [draw_word(table, draws.bits()) for _ in range(negative)]
                scores = outputs[list(targets)] @ hidden
                gradients = rate * (np.array(labels) - tabulated_sigmoid(scores))
                move = np.zeros_like(hidden)
                for output, gradient in zip(targets, gradients, strict=True):
                    move += gradient * outputs[output]
                    outputs[output] += gradient * hidden
                for row in rows:
                    inputs[row] += move
    return inputs, outputs


@pytest.mark.parametrize("kind", EVERY_KIND, ids=name_of)
@pytest.mark.parametrize("negative", [5, 2, 13])
def test_updates_are_those_of_the_equations(kind, negative):
    generator = np.random.default_rng(1)
    words = ["red", "green", "blue", "café", "of"] + [f"w{number}" for number in range(35)]
    ids = generator.permutation(np.repeat(np.arange(40, dtype=np.int32), 2)).reshape(8, 10)
    counts = np.arange(40, 0, -1)
    size, rate = 12, np.float32(0.02)
    ngrams = hash_ngrams(words, min_n=3, max_n=4, num_buckets=100_000) if kind["subwords"] else None
    used = np.unique(ngrams[1]).astype(np.int64) if ngrams else np.empty(0, np.int64)
    starts, rows = input_rows(len(words), ngrams, used)
    inputs = padded_rows(40 + len(used), size)
    inputs[:, :size] = generator.normal(0, 0.3, (len(inputs), size))
    hierarchical = kind["loss"] == "hierarchical_softmax"
    outputs = padded_rows(39 if hierarchical else 40, size)
    outputs[:, :size] = generator.normal(0, 0.3, (len(outputs), size))
    table = np.zeros(0, np.uint64) if hierarchical else alias_of_all_words(40)
    path_starts, nodes, labels = (
        HuffmanTree.from_counts(counts).paths()
        if hierarchical
        else (np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    )
    paths = [
        (nodes[path_starts[word] : path_starts[word + 1]], labels[path_starts[word] : path_starts[word + 1]])
        for word in range(40 if hierarchical else 0)
    ]
    skip_gram = kind["architecture"] == "skipgram"
    expected = literal_training(
        ids.tolist(),
        inputs,
        outputs,
        [rows[starts[word] : starts[word + 1]] for word in range(40)],
        paths,
        table,
        (skip_gram, 3, negative),
        float(rate),
        7,
    )
    stream = np.column_stack([ids, np.full(8, -1, np.int32)]).ravel()
    random, done = np.array([7], np.uint64), np.zeros(8, np.int64)
    most_rows = max(negative + 1, int(np.diff(path_starts).max(initial=0)))
    train_chunk(
        stream,
        np.arange(40, dtype=np.int32),
        np.full(40, 1 << 32, np.uint64),
        inputs,
        starts,
        rows,
        outputs,
        table,
        path_starts,
        nodes,
        labels,
        sigmoid_table(),
        padded_rows(3, size),
        skip_gram,
        hierarchical,
        3,
        negative,
        1000,
        most_rows,
        float(rate),
        float(rate),
        random,
        done,
    )
    # A score that rounds into the neighbouring cell moves a gradient by 0.003 * rate.
    assert_allclose(inputs, expected[0], atol=1e-4)
    assert_allclose(outputs, expected[1], atol=1e-4)
    assert np.abs(inputs - expected[0]).mean() < 3e-6
    assert np.abs(expected[1][:, :size]).max() > 0.3
    assert not inputs[:, size:].any()
    assert not outputs[:, size:].any()
    assert done[0] == 80


def alias_of_all_words(number):
    from nlpladder.models.vectors.word2vec.negative_sampling import alias_table

    return alias_table(np.arange(number, 0, -1), 0.75)


def test_the_table_of_the_logistic_function():
    table = sigmoid_table()
    scores = np.linspace(-5.999, 5.999, 5000)
    cells = ((scores + 6) * 1024 / 12 + 1).astype(int)
    assert_allclose(table[cells], 1 / (1 + np.exp(-scores)), atol=0.0015)
    assert (table[0], table[-1]) == (0, 1)


# --- Determinism, resuming, extending --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY_KIND, ids=name_of)
def test_deterministic_whatever_the_number_of_threads(corpus, kind):
    options = dataclasses.replace(FAST, **kind, deterministic=True)
    one = train_word2vec(corpus, options)
    four = train_word2vec(corpus, dataclasses.replace(options, num_threads=4))
    assert_same(one, four)
    other_seed = train_word2vec(corpus, dataclasses.replace(options, seed=1))
    assert np.abs(one.inputs - other_seed.inputs).max() > 1e-3


@pytest.mark.parametrize("kind", EVERY_KIND, ids=name_of)
def test_resumed_from_disk_ends_bit_equal(corpus, kind, tmp_path):
    options = dataclasses.replace(FAST, **kind, epochs=4)
    whole = train_word2vec(corpus, options)

    class Killed(Exception):
        pass

    def save_and_die(state):
        state.save(tmp_path / "state")
        if state.finished_epochs == 2:
            raise Killed

    with pytest.raises(Killed):
        train_word2vec(corpus, options, checkpoint=save_and_die)
    loaded = TrainingState.load(tmp_path / "state")
    assert loaded.finished_epochs == 2
    assert loaded.words_trained == 2 * corpus.num_tokens
    resumed = train_word2vec(corpus, options, state=loaded)
    assert_same(whole, resumed)
    assert resumed.words_trained == whole.words_trained


def test_a_finished_training_is_left_alone(corpus):
    state = train_word2vec(corpus, FAST)
    before = state.inputs.copy()
    assert train_word2vec(corpus, FAST, state=state) is state
    assert_array_equal(state.inputs, before)


@pytest.mark.parametrize("kind", EVERY_KIND, ids=name_of)
def test_extend_adds_words_and_keeps_the_old(corpus, kind):
    options = dataclasses.replace(FAST, **kind, min_count=2)
    state = train_word2vec(corpus, options)
    before = [array.copy() for array in arrays_of(state)]
    new = encode_corpus([["apple", "mango", "kiwi"], ["mango", "pear", "kiwi", "once"]] * 1 + [["kiwi", "mango"]] * 5)
    larger = extend(state, new, options)
    for array, copy in zip(arrays_of(state), before, strict=True):
        assert_array_equal(array, copy)  # the old state is not changed
    assert larger.words[:10] == state.words
    assert sorted(larger.words[10:]) == ["kiwi", "mango"]  # `once` is too rare
    assert larger.counts[larger.words.index("apple")] == state.counts[state.words.index("apple")] + 1
    assert larger.counts[larger.words.index("kiwi")] == 7
    assert larger.words_trained == state.words_trained + 2 * new.num_tokens
    hammer = state.words.index("hammer")  # not in the new text: its own input vector stays as it was
    assert_array_equal(larger.input_vectors[hammer], state.input_vectors[hammer])
    apple = state.words.index("apple")
    assert np.abs(larger.input_vectors[apple] - state.input_vectors[apple]).max() > 0
    assert np.isfinite(larger.word_vectors()).all()


def test_an_interrupted_extension_goes_on_bit_equal(corpus, tmp_path):
    options = dataclasses.replace(FAST, epochs=3)
    state = train_word2vec(corpus, options)
    new = encode_corpus([*topical_sentences(seed=5, number=50), ["mango", "apple", "mango"]])
    whole = extend(state, new, options)

    def save_first(state):
        if state.finished_epochs == 1:
            state.save(tmp_path / "state")

    extend(state, new, options, checkpoint=save_first)
    assert_same(whole, train_word2vec(new, options, state=TrainingState.load(tmp_path / "state")))


# --- What it must be able to learn -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY_KIND, ids=name_of)
@pytest.mark.parametrize("num_threads", [1, 3])
def test_neighbours_come_from_the_same_topic(corpus, kind, num_threads):
    options = dataclasses.replace(FAST, **kind, epochs=30, learning_rate=0.05, num_threads=num_threads)
    state = train_word2vec(corpus, options)
    vectors = state.word_vectors()
    vectors = vectors - vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    topics = np.array([word in FRUITS for word in state.words])
    same = topics[:, None] == topics
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -1)
    assert_array_equal(topics[similar.argmax(axis=1)], topics)
    assert similar[same & (similar > -1)].mean() > similar[~same].mean() + 0.3


def test_subsampling_skips_only_frequent_words():
    from nlpladder.models.vectors.word2vec.training_corpus import keep_thresholds

    counts = np.array([900_000, 99_000, 1000])
    shares = keep_thresholds(counts, 1e-3) / 2**32
    assert_allclose(shares, [np.sqrt(1e-3 / 0.9) + 1e-3 / 0.9, np.sqrt(1e-3 / 0.099) + 1e-3 / 0.099, 1], rtol=1e-6)
    assert (keep_thresholds(counts, 0) == 2**32).all()


# --- Bad input -------------------------------------------------------------------------------------------------------


def test_empty_corpora_and_tiny_vocabularies_are_explained():
    with pytest.raises(DataError, match="corpus is empty"):
        train_word2vec(encode_corpus([]), FAST)
    with pytest.raises(DataError, match="1 different word in 3 tokens"):
        train_word2vec(encode_corpus([["a", "a", "a"]]), FAST)
    with pytest.raises(DataError, match="most frequent word occurs 3 times, the second 2 times. Choose min_count 2"):
        train_word2vec(encode_corpus([["a", "a", "a", "b", "b"]]), dataclasses.replace(FAST, min_count=5))
    with pytest.raises(DataError, match="max_vocabulary is 1"):
        train_word2vec(encode_corpus([["a", "b"]]), dataclasses.replace(FAST, max_vocabulary=1))


@pytest.mark.parametrize(
    "values, part",
    [
        ({"architecture": "skip-gram"}, "skipgram or cbow"),
        ({"vector_size": 0}, "vector_size is 0"),
        ({"negative": 0}, "hierarchical_softmax"),
        ({"negative": -1, "loss": "hierarchical_softmax"}, "negative is -1"),
        ({"min_n": 5, "max_n": 4}, "max_n must be at least min_n"),
        ({"learning_rate": float("nan")}, "positive number"),
        ({"learning_rate": 1e-5}, "above learning_rate"),
        ({"num_threads": 0}, "num_threads is 0"),
        ({"subsample": -1.0}, "must not be negative"),
    ],
)
def test_options_that_cannot_work_are_refused(values, part):
    with pytest.raises(ConfigError, match=part):
        Word2VecOptions(**values)


def test_a_diverging_learning_rate_is_a_sentence(corpus, tmp_path):
    options = dataclasses.replace(FAST, learning_rate=1e20, epochs=20, subwords=True, architecture="cbow")
    with pytest.raises(ModelError, match="learning rate 1e\\+20 is too high"):
        train_word2vec(corpus, options)


def test_resuming_on_another_text_or_model_is_refused(corpus):
    state = train_word2vec(corpus, FAST)
    with pytest.raises(RunError, match="another text"):
        train_word2vec(encode_corpus([["a", "b"]]), FAST, state=state)
    with pytest.raises(ConfigError, match="vector_size 10 and cannot go on with 20"):
        extend(state, corpus, dataclasses.replace(FAST, vector_size=20))


def test_extending_with_text_that_shares_no_word_is_explained(corpus):
    options = dataclasses.replace(FAST, min_count=5)
    state = train_word2vec(corpus, options)
    with pytest.raises(DataError, match="None of the 2 different words"):
        extend(state, encode_corpus([["Apfel", "Birne"]]), options)


def test_hostile_text_trains():
    rows = [["\ufeff", "naïve", "日本語", "😀", "a" * 5000, "<unk>", "</s>", "\u0301", "%s", "\x7f"], ["solo"]] * 20
    options = dataclasses.replace(FAST, subwords=True, min_n=1, max_sentence_length=4)
    state = train_word2vec(encode_corpus(rows), options)
    assert np.isfinite(state.word_vectors()).all()
    assert len(state.words) == 11


def test_max_vocabulary_keeps_the_most_frequent(corpus):
    state = train_word2vec(corpus, dataclasses.replace(FAST, max_vocabulary=3))
    order = sorted(range(10), key=lambda word: -corpus.counts[word])[:3]
    assert state.words == [corpus.words[word] for word in order]


def test_a_corpus_on_disk_gives_the_same_bytes(corpus, tmp_path):
    from nlpladder.models.vectors.word2vec.training_corpus import pieces

    spooled = encode_corpus(topical_sentences(), spool=tmp_path / "ids")
    assert_same(train_word2vec(corpus, FAST), train_word2vec(spooled, FAST))
    phrases = dataclasses.replace(FAST, phrases=1, phrase_threshold=1.0)
    assert_same(train_word2vec(corpus, phrases), train_word2vec(spooled, phrases))
    assert [path.name for path in tmp_path.iterdir()] == ["ids"]
    parts = list(pieces(spooled.ids, 0, spooled.ids.size, 100))
    assert_array_equal(np.concatenate([part for _, part in parts]), spooled.ids)
    assert all(part[-1] == -1 for _, part in parts)


def test_slices_begin_with_sentences(corpus):
    from nlpladder.models.vectors.word2vec.training_corpus import slice_borders

    for number in (1, 2, 7, 1000):
        borders = slice_borders(corpus.ids, number)
        assert borders == sorted(borders)
        assert (borders[0], borders[-1], len(borders)) == (0, corpus.ids.size, number + 1)
        assert all(corpus.ids[border - 1] == -1 for border in borders[1:])


def test_progress_counts_up_to_all_words(corpus, monkeypatch):
    monkeypatch.setattr(trainer, "_REPORT_EVERY", 1e-4)
    reports = []
    train_word2vec(corpus, dataclasses.replace(FAST, epochs=3, num_threads=2), progress=reports.append)
    assert reports[0].stage == "compiling"
    assert "first time" in str(reports[0])
    assert str(reports[-1]).startswith("epoch 3 of 3, 100.0 %")
    assert str(reports[-1]).endswith(" words/s, learning rate 0.00010, 0:00 left")
    assert reports[-1].words_done == reports[-1].words_total == 3 * corpus.num_tokens
    assert reports[-1].seconds_remaining == 0
    assert [report.words_done for report in reports] == sorted(report.words_done for report in reports)
    assert reports[-1].learning_rate == pytest.approx(1e-4)
