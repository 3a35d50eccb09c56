"""Pairs of texts as they are scored: one example a source, with every target that the data give for it.

Data sets of generation come as pairs, yet many hold several right answers to one source: each of the 630 meaning
representations in the test set of the E2E challenge (Dušek et al. 2020) stands there with 1 to 15 texts that people
wrote for it. A model answers such a source once, and is compared with all of them. Training rows stay single.
"""

from __future__ import annotations

from dataclasses import dataclass

from nlpladder.data.parallel import ParallelSplit

#: Share of the rows whose source has several targets, from which on the rows of a source are one example. Below it (a
#: caption that happens to stand twice in a test set) rows are scored one by one, as everybody scores such a set.
GROUPED_FROM = 0.5


@dataclass(frozen=True)
class Examples:
    """What a model is tested on.

    Attributes:
        source: One text an example.
        references: The right answers to each, at least one.
    """

    source: list[str]
    references: list[list[str]]

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.source)

    @property
    def num_references(self) -> int:
        """References of all examples together."""
        return sum(map(len, self.references))

    @property
    def references_each(self) -> int:
        """References of every example, -1 where their number differs (sacreBLEU then signs ``nrefs:var``)."""
        counts = {len(rights) for rights in self.references}
        return counts.pop() if len(counts) == 1 else -1

    def first(self, count: int | None) -> Examples:
        """Return the first examples, all of them for None."""
        return self if count is None else Examples(self.source[:count], self.references[:count])

    def spread(self, count: int | None) -> Examples:
        """Return `count` examples spread evenly over all of them, in their order; all of them for None."""
        if count is None or count >= len(self):
            return self
        rows = [number * len(self) // count for number in range(count)]
        return Examples([self.source[row] for row in rows], [self.references[row] for row in rows])

    def describe(self, unit: str = "sentences") -> str:
        """Return how many there are: ``630 sentences with 4,693 references``."""
        many = f" with {self.num_references:,} references" if self.num_references > len(self) else ""
        return f"{len(self):,} {unit}{many}"


def examples_of(pairs: ParallelSplit) -> Examples:
    """Return the examples of a split, in the order in which their sources first appear.

    Rows with the same source become one example if at least half of all rows (`GROUPED_FROM`) have a source that
    stands with several different targets; otherwise each row is an example of its own.

    Args:
        pairs: The split.
    """
    targets: dict[str, list[str]] = {}
    for source, target in zip(pairs.source, pairs.target, strict=True):
        targets.setdefault(source, []).append(target)
    shared = sum(len(several) for several in targets.values() if len(set(several)) > 1)
    if not shared or shared < GROUPED_FROM * len(pairs):
        return Examples(list(pairs.source), [[target] for target in pairs.target])
    return Examples(list(targets), list(targets.values()))
