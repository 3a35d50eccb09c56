"""Checks of pairs of texts before any training: empty sides, odd lengths, copies within and between splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nlpladder.data.source_split import RowPlaces
from nlpladder.errors import DataError

#: A pair with one side so many times as long as the other is hardly a translation.
ODD_RATIO = 50.0
#: Pairs that hang together by common texts and are more than this share of all stay in train.
_LARGE_GROUP = 0.05


@dataclass(frozen=True)
class PairRows:
    """The pairs of one split as found; an absent text is empty."""

    source: list[str]
    target: list[str]
    places: RowPlaces


def checked_rows(
    split: str, rows: PairRows, *, drop_bad_rows: bool, max_length_ratio: float | None
) -> tuple[list[int], list[str]]:
    """Return the rows that have text on both sides and are not too unequal, and notes on those left out.

    Rows that are empty on both sides hold nothing and are always left out.

    Raises:
        DataError: A row lacks one side and may not be dropped, or no row is left.
    """
    has_source = [bool(text.strip()) for text in rows.source]
    has_target = [bool(text.strip()) for text in rows.target]
    both = zip(has_source, has_target, strict=True)
    kept = [row for row, (left, right) in enumerate(both) if left and right]
    lacking = (
        ("an empty source", [row for row, full in enumerate(has_source) if not full and has_target[row]]),
        ("an empty target", [row for row, full in enumerate(has_target) if not full and has_source[row]]),
    )
    problems = [
        f"{len(found)} {'pair' if len(found) == 1 else 'pairs'} with {what}: {rows.places.first(found)}"
        for what, found in lacking
        if found
    ]
    place = rows.places.name
    if problems and not drop_bad_rows:
        raise DataError(
            f"{place} ({split}, {len(rows.source):,} pairs) has {'; '.join(problems)}. Fill them in or remove both "
            "sides, or pass --drop_bad_rows true to leave them out. Many of them mean that the sides are not aligned."
        )
    notes = [f"Dropped from {split}: {problem}." for problem in problems]
    blank = len(rows.source) - len(kept) - sum(len(found) for _, found in lacking)
    if blank:
        notes.append(f"{blank} pairs of {split} are blank on both sides and are left out.")
    if max_length_ratio is not None:
        equal = [row for row in kept if _ratio(rows.source[row], rows.target[row]) <= max_length_ratio]
        if len(equal) < len(kept):
            notes.append(
                f"Left out of {split}: {len(kept) - len(equal)} pairs with one side more than {max_length_ratio:g} "
                "times as long as the other."
            )
        kept = equal
    if not kept:
        within = "" if max_length_ratio is None else f" and a length ratio of at most {max_length_ratio:g}"
        raise DataError(f"{place} ({split}, {len(rows.source):,} pairs) has no pair with text on both sides{within}.")
    return kept, notes


def shape_notes(split: str, source: Sequence[str], target: Sequence[str]) -> list[str]:
    """Count pairs that are the same on both sides, or of very unequal lengths."""
    notes = []
    same = sum(left == right for left, right in zip(source, target, strict=True))
    if same:
        notes.append(f"{same:,} of {len(source):,} {split} pairs are the same text on both sides.")
    odd = [row for row, pair in enumerate(zip(source, target, strict=True)) if _ratio(*pair) > ODD_RATIO]
    if odd:
        first = source[odd[0]][:40]
        notes.append(
            f"{len(odd):,} {split} pairs have one side more than {ODD_RATIO:g} times as long as the other (the first "
            f"begins {first!r}); --max_length_ratio leaves such pairs out of the training."
        )
    return notes


def copy_notes(splits: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> list[str]:
    """Count the pairs of the other splits whose pair, or source, stands in train too, and copies within train."""
    sources, targets = splits["train"]
    pairs = set(zip(sources, targets, strict=True))
    known = set(sources)
    notes = []
    for split, (left, right) in splits.items():
        if split == "train":
            continue
        copies = sum(pair in pairs for pair in zip(left, right, strict=True))
        seen = sum(text in known for text in left)
        if seen:
            notes.append(
                f"{seen:,} of {len(left):,} {split} sources stand in train too, {copies:,} of them with the same "
                "target."
            )
        else:
            notes.append(f"No {split} source stands in train too.")
    within = len(sources) - len(pairs)
    return [*notes, f"{within:,} training pairs are copies of another one."] if within else notes


def copy_groups(source: Sequence[str], target: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Group pairs that share a source or a target, directly or through others, so that no cut parts them.

    Returns:
        (pairs,) the number of each pair's group, and (pairs,) True where the group is a large share of all pairs. The
        groups are the same when source and target change places.
    """
    parent = list(range(len(source)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for side in (source, target):
        first: dict[str, int] = {}
        for row, text in enumerate(side):
            one, other = root(first.setdefault(text, row)), root(row)
            parent[max(one, other)] = min(one, other)
    groups = np.fromiter((root(row) for row in range(len(source))), dtype=np.int64, count=len(source))
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    large = (sizes > max(1.0, _LARGE_GROUP * len(source)))[inverse.reshape(-1)]
    return groups, large


def _ratio(source: str, target: str) -> float:
    """Return how many times as long the longer side is as the shorter one, in characters without outer space."""
    lengths = sorted((len(source.strip()), len(target.strip())))
    return lengths[1] / max(1, lengths[0])
