"""What a check of a server found: figures beside what was asked for, and whether it holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        check: Name of the check.
        what: Was measured, and how.
        measured: The figures.
        asked: What they must be; empty for a figure that is only told.
        holds: Whether they are so.
    """

    check: str
    what: str
    measured: str
    asked: str = ""
    holds: bool = True


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not exceed (nearest rank).

    Args:
        values: In any order, one or more.
        share: Between 0 and 1; 0.95 for the 95th percentile.

    Raises:
        ValueError: There is no value, or `share` is out of its range.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError(f"A percentile wants values and a share between 0 and 1, not {len(values)} and {share}.")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def percentiles_in_words(seconds: Sequence[float]) -> str:
    """Return p50, p95, p99 and the longest in milliseconds.

    Args:
        seconds: Of all requests, failed ones too.
    """
    if not seconds:
        return "no request"
    shares = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"), (1.0, "longest"))
    return ", ".join(f"{name} {1000 * percentile(seconds, share):.1f} ms" for share, name in shares)


def counts_in_words(counts: dict[int, int]) -> str:
    """Return how often each status came; 0 stands for no answer at all.

    Args:
        counts: Of each status.
    """
    said = (f"{number:,} x {status or 'no answer'}" for status, number in sorted(counts.items()))
    return ", ".join(said) or "no request"


def to_markdown(findings: Sequence[Finding]) -> str:
    """Return the table.

    Args:
        findings: In the order in which they are shown.
    """
    lines = ["| check | what | measured | asked | holds |", "|---|---|---|---|---|"]
    for each in findings:
        cells = (each.check, each.what, each.measured, each.asked, ("yes" if each.holds else "**no**"))
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)
