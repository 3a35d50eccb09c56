"""Whether a server's memory stays as it is while it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serving_checks.client import Question
from serving_checks.load import closed_loop
from serving_checks.report import Finding

#: The share of requests after which memory must no longer grow: 2,000 of 10,000.
SETTLED = 0.2
#: What it may grow by from then on, if the slope does not include 0.
GROWTH = 0.02


@dataclass(frozen=True)
class Slope:
    """A straight line through sizes of memory.

    Attributes:
        low: Lower end of its 95 % interval, bytes a request.
        middle: Least-squares estimate.
        high: Upper end.
        growth: Last size over the first one, minus 1.
    """

    low: float
    middle: float
    high: float
    growth: float

    @property
    def flat(self) -> bool:
        """Whether the interval includes 0 (or is below it), or the growth is small."""
        return self.low <= 0 or self.growth < GROWTH


def slope_of(requests: Sequence[int], sizes: Sequence[int]) -> Slope:
    """Return the least-squares slope with Student's interval.

    Sizes of one process are not independent of each other, so that the true interval is wider than this one.

    Args:
        requests: Answered until then, at least three different numbers.
        sizes: Bytes at that time.

    Raises:
        ValueError: There are fewer than three sizes.
    """
    from scipy import stats

    if len(sizes) < 3 or len(requests) != len(sizes):
        raise ValueError(
            f"A slope with an interval wants three sizes or more, each with its requests, not {len(sizes)}."
        )
    fit = stats.linregress(np.asarray(requests, dtype=float), np.asarray(sizes, dtype=float))
    half = float(stats.t.ppf(0.975, len(sizes) - 2)) * float(fit.stderr)
    growth = sizes[-1] / sizes[0] - 1 if sizes[0] else 0.0
    return Slope(float(fit.slope) - half, float(fit.slope), float(fit.slope) + half, growth)


def check_memory(
    url: str, resident: Callable[[], Mapping[str, int]], questions: Sequence[Question], *,
    requests: int = 10_000, clients: int = 8, parts: int = 10,
) -> list[Finding]:  # fmt: skip
    """Measure the memory of front and workers in `parts` equal steps of `requests`, after a warm-up of one step.

    Args:
        url: Of the server.
        resident: Bytes of the ``front`` and the ``workers``.
        questions: Asked in turn.
        requests: All together, the warm-up not counted.
        clients: At the same time.
        parts: Sizes that are taken; five or more.
    """
    step = requests // parts
    failures = closed_loop(url, questions, clients=clients, requests=step).failures
    taken = []
    for _ in range(parts):
        failures += closed_loop(url, questions, clients=clients, requests=step).failures
        taken.append(dict(resident()))
    at = [step * (part + 1) for part in range(parts)]
    kept = [part for part in range(parts) if at[part] >= SETTLED * requests]
    findings = []
    for who in ("front", "workers"):
        sizes = [each.get(who, 0) for each in taken]
        slope = slope_of([at[part] for part in kept], [sizes[part] for part in kept])
        measured = (
            f"{', '.join(f'{size / 2**20:.1f}' for size in sizes)} MiB every {step:,} requests; "
            f"from {at[kept[0]]:,} on {100 * slope.growth:+.2f} %, "
            f"{1000 * slope.middle / 2**10:+.1f} KiB every 1,000 requests "
            f"(95 % interval {1000 * slope.low / 2**10:+.1f} to {1000 * slope.high / 2**10:+.1f}); {failures} failed"
        )
        asked = f"slope's interval includes 0, or growth < {100 * GROWTH:g} %; no failure"
        findings.append(Finding("memory", who, measured, asked, slope.flat and failures == 0 and min(sizes) > 0))
    return findings
