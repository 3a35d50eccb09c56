"""Groups of texts under shuffling: what gaps between groups look like where the groups mean nothing.

The largest difference among many groups is above 0 by noise alone, the more so the more and the smaller the groups. So
each gap is shown beside the mean gap of shuffled groups, and its p is the share of shuffles with a gap as large.

What is shuffled follows from the data. Without clusters, and with clusters that hold texts of several groups (the
sentences into which every identity term is put), the memberships of texts change places inside each stratum: texts of
one label, of one cluster. With clusters that lie inside groups (the texts of an author, the prompts of an entity) whole
clusters change places, which takes the clusters of all groups for alike, in what is true of them too. Memberships move
together, so that groups may overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]

#: Shuffles, where the options allow as many. Where none of them is as far out as what was seen, their p is the smallest
#: that so few can give, and may not survive a correction for many tests: then there are `most_shuffles`.
#: A p from the second, larger draw alone keeps its level, and so does the first where it is not the smallest.
SHUFFLES = 2000
#: Units that all shuffles together move, beyond the first 2,000 shuffles: 10,000 of 100,000 texts.
_MOST_MOVED = 1_000_000_000
#: Numbers in one block of shuffled rows (16 MiB).
_BLOCK_NUMBERS = 2_000_000
#: With more strata than this they are sorted apart at once rather than one by one.
_MANY_STRATA = 64


@dataclass(frozen=True)
class GroupDesign:
    """Which units change places.

    Attributes:
        unit_of: The unit of each text, (texts,): the text itself, or its cluster.
        members: Which groups a unit belongs to, (units, groups).
        strata: Units change places with others of their stratum only, (units,).
        nested: Whether units are clusters.
        within: What texts of one stratum share, in words.
    """

    unit_of: Int
    members: Bool
    strata: Int
    nested: bool
    within: str = ""

    @property
    def note(self) -> str:
        """What is shuffled, in a sentence."""
        if self.nested:
            return "p shuffles whole clusters between the groups."
        inside = f" among texts of the same {self.within}" if self.within else ""
        return f"p shuffles the groups of texts{inside}."

    def sums(self, columns: Float) -> Float:
        """Sum what texts add, (texts, columns), by unit: (units, columns)."""
        total = np.zeros((len(self.members), columns.shape[1]))
        np.add.at(total, self.unit_of, columns)
        return total


def group_design(
    members: Bool, clusters: Sequence[object] | None, labels: Bool | Int | None = None, *, within: str = "label"
) -> GroupDesign:
    """Find out what may be shuffled.

    Args:
        members: Which groups each text belongs to, (texts, groups).
        clusters: The cluster of each text; None: each stands for itself.
        labels: Texts change places only with those of the same label (or other number), (texts,); None where labels do
            not matter.
        within: What `labels` are, for the notes.

    Raises:
        DataError: If there is not one cluster per text.
    """
    texts = len(members)
    label_of = np.zeros(texts, dtype=np.intp) if labels is None else labels.astype(np.intp)
    shared = "" if labels is None else within
    if clusters is None:
        return GroupDesign(np.arange(texts), members, label_of, nested=False, within=shared)
    if len(clusters) != texts:
        raise DataError(f"{len(clusters)} clusters for {texts} texts: give the cluster of each text.")
    number: dict[object, int] = {}
    cluster_of = np.array([number.setdefault(one, len(number)) for one in clusters], dtype=np.intp)
    first = np.full(len(number), -1, dtype=np.intp)
    first[cluster_of[::-1]] = np.arange(texts)[::-1]
    if np.array_equal(members[first][cluster_of], members) and len(number) < texts:
        return GroupDesign(cluster_of, members[first], np.zeros(len(number), dtype=np.intp), nested=True)
    if len(number) == texts:
        return GroupDesign(np.arange(texts), members, label_of, nested=False, within=shared)
    strata = cluster_of * (int(label_of.max(initial=0)) + 1) + label_of
    return GroupDesign(
        np.arange(texts), members, strata, nested=False, within=f"cluster and {shared}" if shared else "cluster"
    )


def shuffled_units(strata: Int, *, shuffles: int, seed: int) -> Iterator[Int]:
    """Yield blocks of shuffled units, (rows, units): at place i stands the unit whose membership i receives.

    Args:
        strata: Units change places inside these, (units,).
        shuffles: How many rows in all.
        seed: Fixes them.
    """
    units = len(strata)
    generator = np.random.Generator(np.random.PCG64(seed))
    _, stratum = np.unique(strata, return_inverse=True)
    places = [np.flatnonzero(stratum == index) for index in range(min(int(stratum.max(initial=0)) + 1, _MANY_STRATA))]
    home = np.argsort(stratum, kind="stable")
    rows = max(1, _BLOCK_NUMBERS // max(1, units))
    for start in range(0, shuffles, rows):
        size = min(rows, shuffles - start)
        block = np.empty((size, units), dtype=np.intp)
        if stratum.max(initial=0) < _MANY_STRATA:
            for inside in places:
                block[:, inside] = generator.permuted(np.tile(inside, (size, 1)), axis=1)
        else:
            block[:, home] = np.argsort(stratum + generator.random((size, units)), axis=1)
        yield block


def group_sums(members: Bool, sums: Float) -> Float:
    """Sum the units of each group: (groups, columns)."""
    return members.astype(np.float64).T @ sums


def shuffled_group_sums(members: Bool, strata: Int, sums: Float, *, shuffles: int, seed: int) -> Float:
    """Return the sums of the groups in each shuffle, (shuffles, groups, columns).

    Args:
        members: (units, groups).
        strata: (units,).
        sums: What each unit adds, (units, columns).
        shuffles: How many.
        seed: Fixes them.
    """
    table = members.astype(np.float64)
    parts = []
    for block in shuffled_units(strata, shuffles=shuffles, seed=seed):
        parts.append(np.stack([column[block] @ table for column in sums.T], axis=2))
    return np.concatenate(parts)


def most_shuffles(resamples: int, units: int) -> int:
    """Return how many shuffles there may be: as many as resamples, or fewer where there are very many units.

    Args:
        resamples: What the options allow.
        units: That change places.
    """
    return min(resamples, max(SHUFFLES, _MOST_MOVED // max(1, units)))


def at_floor(p_values: Iterable[float | None], shuffles: int) -> bool:
    """Return whether any p is the smallest that so many shuffles can give.

    Args:
        p_values: From `shuffle_p`.
        shuffles: How many there were.
    """
    return any(p_value is not None and p_value <= (1.0 + 1e-9) / (1 + shuffles) for p_value in p_values)


def shuffle_p(observed: float, replicates: Float, *, two_sided: bool) -> float | None:
    """Return the share of shuffles that lie as far out as what was seen, which is counted with them.

    Args:
        observed: The value seen.
        replicates: Values of the shuffles, (shuffles,); NaN where undefined.
        two_sided: Distance from the mean of all; otherwise large values count.
    """
    valid = replicates[~np.isnan(replicates)]
    if np.isnan(observed) or not len(valid):
        return None
    everything = np.append(valid, observed)
    if two_sided:
        everything = np.abs(everything - everything.mean())
    limit = everything[-1] - 1e-12 * max(1.0, abs(float(everything[-1])))
    return float((everything >= limit).mean())
