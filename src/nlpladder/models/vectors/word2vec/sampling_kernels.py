"""Kernels that prepare the two losses: negative sampling's alias table and hierarchical softmax's Huffman tree."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

_WHOLE = 2.0**32


@nb.njit(cache=True, nogil=True)
def fill_alias_table(shares: Any, table: Any) -> None:
    """Give each word's cell to itself and one alias, so that all cells together hold `shares` (Vose 1991).

    Args:
        shares: The probability of each word times the number of words; float64, used up.
        table: Receives ``alias << 32 | own share * 2**32``; uint64.
    """
    small = np.empty(shares.size, np.int64)
    large = np.empty(shares.size, np.int64)
    num_small = num_large = 0
    for word in range(shares.size):
        if shares[word] < 1:
            small[num_small] = word
            num_small += 1
        else:
            large[num_large] = word
            num_large += 1
    while num_small > 0 and num_large > 0:
        num_small -= 1
        word = small[num_small]
        alias = large[num_large - 1]
        table[word] = np.uint64(alias) << np.uint64(32) | np.uint64(shares[word] * _WHOLE)
        shares[alias] -= 1 - shares[word]
        if shares[alias] < 1:
            num_large -= 1
            small[num_small] = alias
            num_small += 1
    # What is left has a share of 1 but for rounding; being its own alias, the word keeps its whole cell.
    for place in range(num_small):
        table[small[place]] = np.uint64(small[place]) << np.uint64(32)
    for place in range(num_large):
        table[large[place]] = np.uint64(large[place]) << np.uint64(32)


@nb.njit(cache=True, nogil=True)
def build_huffman_tree(counts: Any, parents: Any) -> None:
    """Join the two rarest nodes again and again (Huffman 1952), in linear time as the counts are sorted.

    Leaf w is node w; inner nodes follow in the order in which they are made, the root last. The first child of a node
    is the rarer one.

    Args:
        counts: Counts in descending order; int64, shape (words,).
        parents: Receives ``2 * parent + (1 for the second child)``, and -1 for the root; shape (2 words - 1,).
    """
    num_words = counts.size
    weights = np.empty(2 * num_words - 1, np.int64)
    weights[:num_words] = counts
    leaf = num_words - 1
    inner = num_words
    for node in range(num_words, 2 * num_words - 1):
        weight = 0
        for child in range(2):
            if leaf >= 0 and (inner == node or weights[leaf] < weights[inner]):
                joined = leaf
                leaf -= 1
            else:
                joined = inner
                inner += 1
            weight += weights[joined]
            parents[joined] = 2 * node + child
        weights[node] = weight
    parents[2 * num_words - 2] = -1


@nb.njit(cache=True, nogil=True)
def measure_paths(parents: Any, num_words: int, path_starts: Any) -> None:
    """Write where each word's path begins when all are laid one after the other; `path_starts` has words + 1 places."""
    path_starts[0] = 0
    for word in range(num_words):
        length = 0
        node = word
        while parents[node] >= 0:
            node = parents[node] >> 1
            length += 1
        path_starts[word + 1] = path_starts[word] + length


@nb.njit(cache=True, nogil=True)
def write_paths(parents: Any, num_words: int, path_starts: Any, path_nodes: Any, path_labels: Any) -> None:
    """Write the inner nodes from the root to each word, counted from 0, and 1 where it turns to the first child."""
    for word in range(num_words):
        node = word
        for place in range(path_starts[word + 1] - 1, path_starts[word] - 1, -1):
            turn = parents[node]
            node = turn >> 1
            path_nodes[place] = node - num_words
            path_labels[place] = 1 - (turn & 1)
