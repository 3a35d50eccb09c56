from __future__ import annotations

import re

import numpy as np
import pytest

from nlpladder.models.counts.unicode_tables import (
    N_CODE_POINTS,
    NEEDS_DECODING,
    NOT_A_WORD,
    folded_bytes,
    folded_word_bytes,
    white_space,
    word_characters,
)


@pytest.mark.parametrize("table, pattern", [(word_characters, r"\w"), (white_space, r"\s")])
def test_every_code_point_is_classified_as_in_re(table, pattern):
    everything = "".join(map(chr, range(N_CODE_POINTS)))
    matching = np.fromiter((match.start() for match in re.finditer(pattern, everything)), np.int64)
    np.testing.assert_array_equal(np.flatnonzero(table()), matching)


def test_white_space_is_what_split_removes():
    everything = "".join(map(chr, range(N_CODE_POINTS)))
    assert len("".join(everything.split())) == N_CODE_POINTS - np.count_nonzero(white_space())


@pytest.mark.parametrize("lower", [True, False])
def test_ascii_is_folded_as_by_str_lower(lower):
    for code_point in range(0x80):
        wanted = chr(code_point).lower() if lower else chr(code_point)
        assert chr(folded_bytes(lower)[code_point]) == wanted
        is_word = re.match(r"\w", chr(code_point)) is not None
        assert folded_word_bytes(lower)[code_point] == (ord(wanted) if is_word else NOT_A_WORD)
    assert (folded_word_bytes(lower)[0x80:] == NEEDS_DECODING).all()
    assert (folded_bytes(lower)[0x80:] == np.arange(0x80, 0x100)).all()
