from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from nlpladder.models.counts import kernels, terms
from nlpladder.models.counts.term_table import Chunk, NgramRange, TermTable, join_encoded

texts = st.lists(
    st.text(max_size=20) | st.sampled_from(["\0", "\0\0", "a\0", "12345678", "123456789", "x" * 99]), max_size=60
)


def as_chunk(pieces):
    data, offsets = join_encoded([piece.encode() for piece in pieces])
    spans = np.arange(offsets.size)
    return Chunk(data, offsets, spans, spans)


@settings(deadline=None, max_examples=60)
@given(texts, texts)
def test_numbers_are_those_of_a_dictionary(known, asked):
    table = TermTable(NgramRange(words=False, smallest=1, largest=1))
    dictionary: dict[str, int] = {}
    wanted = [dictionary.setdefault(text, len(dictionary)) for text in known]
    assert table.number_ngrams(as_chunk(known), grow=True)[0].tolist() == wanted if known else len(table) == 0
    assert len(table) == len(dictionary)
    if asked:
        found = table.number_ngrams(as_chunk(asked), grow=False)[0].tolist()
        assert found == [dictionary.get(text, terms.ABSENT) for text in asked]
    assert len(table) == len(dictionary)


def test_equal_hashes_do_not_make_equal_terms():
    # Every hash the same: only the comparison of the terms themselves tells them apart.
    pieces = ["b", "a", "long text one", "long text two", "a", "long text one", "a\0", "b"]
    chunk = as_chunk(pieces)
    firsts, seconds = np.empty(len(pieces), np.int64), np.empty(len(pieces), np.int64)
    hashes = np.empty(len(pieces), np.uint64)
    terms.pack_windows(chunk.buffer, chunk.starts, chunk.spans, 1, 0, False, firsts, seconds, hashes)
    assert len(set(hashes.tolist())) == len(set(pieces))
    hashes[:] = 7 << 32
    slots, records, arena = np.zeros(32, np.uint64), np.empty((16, 2), np.int64), np.empty(64, np.uint8)
    numbers = np.empty(len(pieces), np.int32)
    table = (slots, records, arena, np.zeros(2, np.int64))
    done = terms.number_terms(firsts, seconds, hashes, True, chunk.buffer, True, *table, 0, numbers)
    assert done == len(pieces)
    assert numbers.tolist() == [0, 1, 2, 3, 1, 2, 4, 0]


@pytest.mark.parametrize(
    "words, smallest, largest, whole_spans", [(True, 1, 3, False), (False, 2, 4, True), (False, 3, 9, False)]
)
def test_ngrams_are_counted_before_they_are_written(words, smallest, largest, whole_spans):
    lengths = [0, 1, 2, 3, 7] if not whole_spans else [3, 1, 4]
    spans = np.concatenate([[0], np.cumsum(lengths)])
    chunk = Chunk(np.empty(0, np.uint8), np.empty(0, np.int64), spans, np.arange(spans.size))
    wanted = sum(max(length - order + 1, 0) for length in lengths for order in range(smallest, largest + 1))
    wanted += sum(length < smallest for length in lengths) if whole_spans else 0
    assert NgramRange(words, smallest, largest, whole_spans).count(chunk) == wanted


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=1, max_size=40))
def test_murmur_hash_is_that_of_sklearn(text):
    assert kernels.murmur_hash(np.frombuffer(text, np.uint8), 0, len(text)) == murmurhash3_32(text, seed=0)
