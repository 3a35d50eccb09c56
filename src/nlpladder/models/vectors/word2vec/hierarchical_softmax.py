"""Hierarchical softmax: a word's probability as a product of turns in a Huffman tree (Morin and Bengio 2005)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class HuffmanTree:
    """A binary tree with a word at each leaf.

    Attributes:
        parents: ``2 * parent + (1 for the second child)`` for each node, -1 for the root; int64. Word w is node w, the
            inner nodes follow; shape (2 words - 1,).
        num_words: Number of leaves.
    """

    parents: npt.NDArray[np.int64]
    num_words: int

    @classmethod
    def from_counts(cls, counts: npt.NDArray[np.int64]) -> HuffmanTree:
        """Build the tree with the shortest mean path for counts in any order; at least one word."""
        from nlpladder.models.vectors.word2vec.sampling_kernels import build_huffman_tree

        num_words = len(counts)
        order = np.argsort(-counts, kind="stable")
        nodes = np.concatenate([order, np.arange(num_words, 2 * num_words - 1)])
        parents = np.empty(2 * num_words - 1, dtype=np.int64)
        build_huffman_tree(counts[order], parents)
        by_word = np.empty_like(parents)
        by_word[nodes] = parents
        return cls(by_word, num_words)

    def extended(self, counts: npt.NDArray[np.int64]) -> HuffmanTree:
        """Return a tree with more words; every inner node of this one keeps its number and its meaning.

        The new words get a tree of their own, and a new root has both trees as its children.

        Args:
            counts: Counts of the new words; shape (new words,).
        """
        old, new = self.num_words, len(counts)
        if new == 0:
            return self
        branch = HuffmanTree.from_counts(counts).parents
        # Nodes: old leaves, new leaves, old inner nodes, new inner nodes, the root.
        old_nodes = np.concatenate([np.arange(old), np.arange(old - 1) + old + new])
        new_nodes = np.concatenate([old + np.arange(new), np.arange(new - 1) + 2 * old - 1 + new])
        root = 2 * (old + new) - 2
        parents = np.full(root + 1, -1, dtype=np.int64)
        for nodes, own, turn in ((old_nodes, self.parents, 0), (new_nodes, branch, 1)):
            parents[nodes] = np.where(own < 0, 2 * root + turn, 2 * nodes[own >> 1] + (own & 1))
        return HuffmanTree(parents, old + new)

    def paths(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Return the paths from the root to the words, one after the other.

        Returns:
            Where each word's path begins, shape (words + 1,); the inner nodes, counted from 0; and for each the label 1
            where the path turns to the first child, else 0 (one minus word2vec.c's code).
        """
        from nlpladder.models.vectors.word2vec.sampling_kernels import measure_paths, write_paths

        starts = np.empty(self.num_words + 1, dtype=np.int64)
        measure_paths(self.parents, self.num_words, starts)
        nodes = np.empty(starts[-1], dtype=np.int32)
        labels = np.empty(starts[-1], dtype=np.float32)
        write_paths(self.parents, self.num_words, starts, nodes, labels)
        return starts, nodes, labels
