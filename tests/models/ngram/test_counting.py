"""N-gram counts: against a Counter, for any vocabulary, blocks, threads, memory and shards."""

from __future__ import annotations

import itertools
import mmap
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError, ModelError, RunError
from nlpladder.models.ngram import counting, kneser_ney, pruning, refinement, smoothing, workspace
from nlpladder.models.ngram import estimate as estimate_module
from nlpladder.models.ngram.counting import count_ngrams
from nlpladder.models.ngram.estimate import estimate, estimate_from_counts
from nlpladder.models.ngram.options import NGramOptions
from nlpladder.models.ngram.sharding import (
    count_shard,
    estimate_sharded,
    load_counts,
    merge_shards,
    save_counts,
)
from nlpladder.models.ngram.workspace import GrowingArray, Workspace
from nlpladder.text.encoding import encode_corpus
from nlpladder.text.sentence_stream import SentenceStream

WORDS = ["the", "cat", "sat", "mat", "on", "a", "émile", "🎉"]
CORPORA = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9), min_size=1, max_size=12)


def zipf_sentences(count, seed=0, types=60):
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, types + 1)
    return [
        [f"w{word}" for word in rng.choice(types, rng.integers(1, 14), p=weights / weights.sum())] for _ in range(count)
    ]


def as_counter(counts, order):
    """Return {n-gram: count} and check that levels are sorted and distinct."""
    found, previous = {}, None
    for number, level in enumerate(counts.levels):
        if number == 0:
            keys = [(word,) for word in level.word.tolist()]
        else:
            keys = [
                (*previous[prefix], word)
                for prefix, word in zip(level.prefix.tolist(), level.word.tolist(), strict=True)
            ]
        assert keys == sorted(set(keys))
        found.update(zip(keys, level.count.tolist(), strict=True))
        previous = keys
    assert len(counts.levels) == order
    return {tuple(counts.words[word] for word in key): count for key, count in found.items() if count}


def expected_counts(sentences, order, marks=True):
    found = Counter()
    for sentence in sentences:
        words = ["<s>", *sentence, *["</s>"] * marks]
        for length in range(1, order + 1):
            found.update(tuple(words[i : i + length]) for i in range(len(words) - length + 1))
    return dict(found)


def assert_identical(one, other):
    assert one.words == other.words
    assert one.discounts == other.discounts
    assert one.counts == other.counts
    for level, same in zip(one.levels, other.levels, strict=True):
        for name in ("prefix", "word", "log10_probability", "log10_backoff"):
            mine, wanted = getattr(level, name), getattr(same, name)
            assert mine.dtype == wanted.dtype
            assert mine.tobytes() == wanted.tobytes()


@settings(max_examples=60, deadline=None)
@given(CORPORA, st.integers(1, 6), st.booleans())
def test_counts_are_those_of_a_counter(sentences, order, marks):
    counts = count_ngrams(encode_corpus(sentences), NGramOptions(order=order, sentence_marks=marks))
    assert as_counter(counts, order) == expected_counts(sentences, order, marks)
    assert counts.words == ["<unk>", "<s>", "</s>", *dict.fromkeys(word for line in sentences for word in line)]


def test_large_groups_take_the_radix_sort():
    sentences = zipf_sentences(600, types=700)  # more words than a byte holds, groups above the insertion sort's limit
    counts = count_ngrams(encode_corpus(sentences), NGramOptions(order=4))
    assert as_counter(counts, 4) == expected_counts(sentences, 4)


def test_an_n_gram_does_not_cross_sentences_and_a_long_order_leaves_empty_levels():
    counts = count_ngrams(encode_corpus([["a"], ["b"]]), NGramOptions(order=5))
    assert [len(level) for level in counts.levels] == [5, 4, 2, 0, 0]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("block", [1, 7, 100])
def test_blocks_and_threads_do_not_matter(monkeypatch, threads, block):
    corpus = encode_corpus(zipf_sentences(120))
    wanted = estimate(corpus, NGramOptions(order=4))
    monkeypatch.setattr(refinement, "_BLOCK", block)
    monkeypatch.setattr(counting, "_CHUNK", 50 * block)
    assert_identical(estimate(corpus, NGramOptions(order=4, num_threads=threads)), wanted)


@pytest.mark.parametrize("smoothing", ["modified_kneser_ney", "witten_bell"])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.1])
def test_a_bound_on_memory_does_not_matter(monkeypatch, tmp_path, share, smoothing):
    sentences = zipf_sentences(400)
    wanted = estimate(encode_corpus(sentences), NGramOptions(order=5, smoothing=smoothing))
    (tmp_path / "spill").mkdir()
    monkeypatch.setattr(workspace, "_SHARE", share)
    monkeypatch.setattr(workspace, "_GROWTH", 64)
    monkeypatch.setattr(refinement, "_BLOCK", 64)
    corpus = encode_corpus(sentences, spool=tmp_path / "ids")
    found = estimate(corpus, NGramOptions(order=5, memory=1, smoothing=smoothing), folder=tmp_path / "spill")
    assert_identical(found, wanted)
    assert list((tmp_path / "spill").iterdir()) == []


def mostly_one_word(count, seed=1):
    """Sentences in which nearly every word, and what follows it, is the same one."""
    rng = np.random.default_rng(seed)
    return [
        [
            f"w{word}" if rare else "the"
            for word, rare in zip(rng.integers(0, 9, size), rng.random(size) < 0.1, strict=True)
        ]
        for size in rng.integers(1, 30, count)
    ]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("smallest", [1, 5, 64])
@pytest.mark.parametrize("marks", [True, False])
def test_groups_too_large_for_the_bound_are_split(monkeypatch, tmp_path, threads, smallest, marks):
    sentences = mostly_one_word(150)
    corpus = encode_corpus(sentences)
    options = NGramOptions(order=5, num_threads=threads, sentence_marks=marks)
    wanted = estimate(corpus, options)
    splits = []

    def split(sequence, positions, length, *rest):
        splits.append(length)
        return whole_split(sequence, positions, length, *rest)

    whole_split = refinement._split
    monkeypatch.setattr(refinement, "_split", split)
    monkeypatch.setattr(refinement, "_SMALLEST_BLOCK", smallest)
    monkeypatch.setattr(workspace, "_SHARE", 0.0)  # nothing is free
    space = Workspace(1, tmp_path)
    counts = count_ngrams(corpus, options, workspace=space)
    assert set(splits) == {1, 2, 3, 4}  # also what shares all words but the last
    assert as_counter(counts, 5) == expected_counts(sentences, 5, marks)
    assert_identical(estimate_from_counts(counts, options, workspace=space), wanted)


def test_a_plan_stays_within_the_bound():
    for memory, threads, order, largest_group in itertools.product((16, 64, 512), (1, 2, 64), (2, 5, 8), (10, 10**9)):
        space = Workspace(memory)
        plan = refinement.plan_blocks(largest_group, order, threads, space)
        assert 1 <= plan.num_threads <= threads
        assert plan.held <= space.budget
        assert plan.largest >= refinement._SMALLEST_BLOCK
    few = refinement.plan_blocks(10**9, 5, 64, Workspace(8))
    assert few.num_threads < 64  # rather than blocks of a few words
    wide = refinement.plan_blocks(10**6, 5, 2, Workspace(1 << 14))
    assert wide.largest == 10**6  # a group that fits stays whole


def test_pruning_and_no_marks_within_a_bound(monkeypatch, tmp_path):
    sentences = zipf_sentences(300, types=8)
    options = {"order": 4, "prune": (0, 1, 1, 2), "sentence_marks": False, "smoothing": "kneser_ney"}
    wanted = estimate(encode_corpus(sentences), NGramOptions(**options))
    monkeypatch.setattr(workspace, "_SHARE", 0.0)
    for module in (estimate_module, pruning, kneser_ney, smoothing):
        monkeypatch.setattr(module, "_CHUNK", 7)
    found = estimate(encode_corpus(sentences), NGramOptions(**options, memory=1), folder=tmp_path)
    assert_identical(found, wanted)
    assert 0 < len(wanted.levels[3]) < wanted.counts[3]


def test_a_workspace_keeps_to_its_bound_and_forgets_what_is_gone(tmp_path):
    space = Workspace(1, tmp_path)
    first = space.empty(space.budget - 8, np.uint8)
    assert space.spilled == 0
    second = space.full(100, 7, np.int32)
    assert space.spilled == 400
    assert second.tolist() == [7] * 100
    del first
    third = space.empty(1000, np.int32)
    assert space.spilled == 400
    space.close()
    assert second.tolist() == [7] * 100  # the mapping outlives the folder
    assert third.size == 1000


class StiffPages(mmap.mmap):
    """Pages of a system that cannot make a mapping larger or smaller where it stands."""

    def resize(self, *_):
        raise SystemError


@pytest.mark.parametrize("pages", [mmap.mmap, StiffPages])
def test_a_growing_array_moves_to_a_file_when_it_must(tmp_path, monkeypatch, pages):
    monkeypatch.setattr(workspace, "_GROWTH", 10)
    monkeypatch.setattr(workspace.mmap, "mmap", pages)
    space = Workspace(1, tmp_path)
    grown = GrowingArray(space, np.int32)
    parts = [np.arange(start, start + 999, dtype=np.int32) for start in range(0, 400_000, 999)]
    for part in parts:
        grown.append(part)
    assert grown.finish().tolist() == np.concatenate(parts).tolist()
    assert space.spilled > 0
    short = GrowingArray(Workspace(1, tmp_path), np.int32)
    for part in parts[:20]:
        short.append(part)
    assert short.finish().tolist() == np.concatenate(parts[:20]).tolist()
    empty = GrowingArray(space, np.int32).finish()
    assert empty.shape == (0,)


def test_a_closed_vocabulary():
    sentences = [["a", "b", "zebra"], ["b", "c"]]
    options = NGramOptions(order=2, vocabulary=("c", "b", "unheard"))
    counts = count_ngrams(encode_corpus(sentences), options)
    assert counts.words == ["<unk>", "<s>", "</s>", "c", "b", "unheard"]
    renamed = [["<unk>", "b", "<unk>"], ["b", "c"]]
    assert as_counter(counts, 2) == expected_counts(renamed, 2)
    assert counts.notes == ("2 of 5 tokens are outside the vocabulary and count as <unk>.",)
    closed = count_ngrams(encode_corpus(sentences, words=["c", "b", "unheard"]), NGramOptions(order=2))
    assert as_counter(closed, 2) == as_counter(counts, 2)
    with pytest.raises(DataError, match="'c' twice"):
        count_ngrams(encode_corpus(sentences), NGramOptions(vocabulary=("c", "b", "c")))


def test_special_words():
    sentences = [["a", "<unk>", "b"], ["<unk>"]]
    corpus = encode_corpus(sentences)
    counts = count_ngrams(corpus, NGramOptions(order=2))
    assert as_counter(counts, 2) == expected_counts(sentences, 2)
    assert counts.words == ["<unk>", "<s>", "</s>", "a", "b"]
    assert "2 times" in counts.notes[0]
    skipped = count_ngrams(corpus, NGramOptions(order=2, special_words="skip"))
    assert as_counter(skipped, 2) == expected_counts([["a", "b"], []], 2)  # as lmplz: the sentence stays, empty
    with pytest.raises(DataError, match="<unk> 2 times"):
        count_ngrams(corpus, NGramOptions(special_words="error"))
    marked = encode_corpus([["a", "</s>"], ["<s>", "b"]])
    with pytest.raises(DataError, match="<s> 1 times"):
        count_ngrams(marked, NGramOptions())
    skipped = count_ngrams(marked, NGramOptions(order=2, special_words="skip"))
    assert as_counter(skipped, 2) == expected_counts([["a"], ["b"]], 2)


def test_nothing_to_count():
    with pytest.raises(DataError, match="no words"):
        estimate(encode_corpus([]))
    with pytest.raises(DataError, match="No words are left"):
        options = NGramOptions(special_words="skip", sentence_marks=False, smoothing="witten_bell", order=1)
        estimate(encode_corpus([["<s>"]]), options)


@settings(max_examples=40, deadline=None)
@given(CORPORA, st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_merged_shards_are_one_run(sentences, order, num_shards, marks):
    options = NGramOptions(order=order, sentence_marks=marks)
    borders = [len(sentences) * number // num_shards for number in range(num_shards + 1)]
    pieces = [sentences[start:stop] for start, stop in itertools.pairwise(borders) if stop > start]
    merged = merge_shards([count_shard(encode_corpus(piece), options) for piece in pieces])
    whole = count_ngrams(encode_corpus(sentences), options)
    assert merged.words == whole.words
    for level, wanted in zip(merged.levels, whole.levels, strict=True):
        for name in ("prefix", "word", "count"):
            assert getattr(level, name).dtype == getattr(wanted, name).dtype
            assert getattr(level, name).tolist() == getattr(wanted, name).tolist()
    assert_identical(estimate_from_counts(merged, options), estimate(encode_corpus(sentences), options))


def test_counts_are_saved_and_loaded(tmp_path):
    counts = count_shard(encode_corpus([["émile", "a"], ["🎉", "a"]]), NGramOptions(order=3, sentence_marks=False))
    save_counts(counts, tmp_path / "counts.safetensors")
    loaded = load_counts(tmp_path / "counts.safetensors")
    assert (loaded.words, loaded.sentence_marks, loaded.notes) == (counts.words, False, counts.notes)
    for level, wanted in zip(loaded.levels, counts.levels, strict=True):
        assert level.prefix.tolist() == wanted.prefix.tolist()
        assert level.word.tolist() == wanted.word.tolist()
        assert level.count.tolist() == wanted.count.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["counts.safetensors"]
    with pytest.raises(RunError, match="exists already"):
        save_counts(counts, tmp_path / "counts.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "counts.safetensors").read_bytes()[:100])
    with pytest.raises(ModelError, match="damaged"):
        load_counts(tmp_path / "cut.safetensors")
    with pytest.raises(ModelError, match="no n-gram counts"):
        load_counts(tmp_path / "nowhere.safetensors")


def test_shards_that_do_not_fit():
    corpus = encode_corpus([["a", "b"]])
    with pytest.raises(ModelError, match="different options"):
        merge_shards([count_shard(corpus, NGramOptions(order=2)), count_shard(corpus, NGramOptions(order=3))])
    with pytest.raises(DataError, match="no shards"):
        merge_shards([])
    with pytest.raises(ModelError, match="reach order 2"):
        estimate_from_counts(count_shard(corpus, NGramOptions(order=2)), NGramOptions(order=3))
    with pytest.raises(ConfigError, match="num_shards"):
        estimate_sharded([], num_shards=0)


@pytest.mark.slow
def test_shards_counted_by_processes(tmp_path):
    sentences = zipf_sentences(300)
    text = tmp_path / "text.txt"
    text.write_text("".join(" ".join(line) + "\n" for line in sentences))
    options = NGramOptions(order=4, memory=64, num_threads=2)
    wanted = estimate(encode_corpus(SentenceStream.from_files([text])), options)
    found = estimate_sharded([text], options, num_shards=3, folder=tmp_path / "work")
    assert_identical(found, wanted)
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    "values, message",
    [
        ({"order": 0}, "order"),
        ({"prune": (0, 1, 0)}, "decrease"),
        ({"prune": (0, 0, 0), "order": 2}, "thresholds"),
        ({"discount_fallback": (0.5, 3.0, 1.5)}, "discount_fallback"),
        ({"discount": 1.0}, "discount"),
        ({"k": 0.0}, "k is"),
        ({"memory": 0}, "memory"),
        ({"num_threads": 0}, "num_threads"),
    ],
)
def test_options_that_make_no_sense(values, message):
    with pytest.raises(ConfigError, match=message):
        NGramOptions(**values)
