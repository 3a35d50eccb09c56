"""One window of traffic against the profile: every feature, and whether the window differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nlpladder.drift.bins import Bins, merge_small
from nlpladder.drift.features import CATEGORIES, Float
from nlpladder.drift.kolmogorov import Distance, kolmogorov_smirnov
from nlpladder.drift.options import DriftOptions
from nlpladder.drift.profile import Profile
from nlpladder.drift.stability import Stability, commonest_against_rest, population_stability
from nlpladder.evaluation.multiple_testing import holm

#: Classes whose shares a report shows.
_SHOWN_CLASSES = 20


@dataclass(frozen=True)
class FeatureComparison:
    """One feature in the reference and in the window.

    Attributes:
        name: Of the feature.
        rows: Texts of the window that have it.
        stability: Of the bins.
        distance: Of the distribution functions; None for categories.
        p_holm: The smaller of the p-values of both, adjusted for all tests of the window.
        differs: Whether `p_holm` is below the level and the lower bound of the PSI above the floor.
        reference: Median, or the share of each class, of the reference.
        window: The same of the window; None where no text has the feature.
    """

    name: str
    rows: int
    stability: Stability
    distance: Distance | None
    p_holm: float
    differs: bool
    reference: Any
    window: Any

    @property
    def reason(self) -> str | None:
        """Why the bins could not be compared; None where they were."""
        if self.stability.bins > 1:
            return None
        if self.rows == 0:
            return "No text of the window has this feature."
        return "All values of the reference and of the window lie in one bin: nothing differs that could be measured."

    def to_dict(self) -> dict[str, Any]:
        """Return what a report shows; plain numbers, no NaN.

        Of a feature that could not be compared, index and p-values are None, and ``reason`` says why: a PSI of 0 would
        read as no change.
        """
        reason = self.reason
        numbers = asdict(self.stability)
        if reason is not None:
            numbers |= dict.fromkeys(("psi", "expected", "low", "high", "p_value"))
        return {
            **numbers,
            "compared": reason is None,
            "reason": reason,
            "rows": self.rows,
            "p_holm": self.p_holm,
            "differs": self.differs,
            "reference": self.reference,
            "window": self.window,
            "ks": None if self.distance is None else asdict(self.distance),
        }


@dataclass(frozen=True)
class _Reference:
    values: Float
    bins: Bins
    counts: Float


class Comparer:
    """Compares windows with a profile; sorts and bins the profile once.

    Args:
        profile: What was held out.
        options: Level and floor.
    """

    def __init__(self, profile: Profile, options: DriftOptions | None = None) -> None:
        self.profile = profile
        self.options = options or DriftOptions()
        self._references: dict[str, _Reference] = {}
        for name, column in profile.columns.items():
            values = np.sort(column[~np.isnan(column)])
            if len(values):
                categories = name in CATEGORIES
                bins = Bins.of_categories(len(profile.label_names)) if categories else Bins.of_numbers(values)
                self._references[name] = _Reference(values, bins, bins.counts(values))

    @property
    def features(self) -> tuple[str, ...]:
        """Features that the profile has values of, in the order in which a comparison lists them."""
        return tuple(self._references)

    def compare(self, columns: Mapping[str, Float], *, effective: float | None = None) -> list[FeatureComparison]:
        """Compare a window.

        Args:
            columns: Features of its texts, each (texts,), NaN where one is not defined.
            effective: How many independent texts it is worth, see `nlpladder.drift.copies`; all of them if not given.

        Returns:
            One comparison a feature that reference and window have.
        """
        texts = max((len(column) for column in columns.values()), default=0)
        weight = 1.0 if effective is None else effective / max(texts, 1)
        found = []
        for name, reference in self._references.items():
            if name in columns:
                column = np.asarray(columns[name], dtype=np.float64)
                values = np.sort(column[~np.isnan(column)])
                counts = weight * reference.bins.counts(values)
                merged = merge_small(reference.counts, counts, ordered=reference.bins.ordered)
                stability = population_stability(*merged)
                if stability.bins < 2:
                    stability = commonest_against_rest(reference.counts, counts)
                distance = None
                if name not in CATEGORIES:
                    distance = kolmogorov_smirnov(reference.values, values, effective=weight * len(values))
                found.append((name, reference, values, stability, distance))
        tests = [(row, test.p_value) for row, one in enumerate(found) for test in one[3:] if test is not None]
        adjusted = holm([p_value for _, p_value in tests]) if tests else np.zeros(0)
        smallest = np.ones(len(found))
        for (row, _), p_value in zip(tests, adjusted.tolist(), strict=True):
            smallest[row] = min(smallest[row], p_value)
        return [
            FeatureComparison(
                name, len(values), stability, distance, p_holm,
                differs=p_holm < self.options.alpha and stability.low > self.options.floor,
                reference=self._summary(name, reference.values), window=self._summary(name, values),
            )
            for (name, reference, values, stability, distance), p_holm in zip(found, smallest.tolist(), strict=True)
        ]  # fmt: skip

    def _summary(self, name: str, values: Float) -> Any:
        if len(values) == 0:
            return None
        if name not in CATEGORIES:
            return float(np.median(values))
        names = (*self.profile.label_names, "(another)")
        counts = np.bincount(values.astype(np.int64), minlength=len(names))
        largest = np.argsort(-counts, kind="stable")[:_SHOWN_CLASSES]
        return {names[place]: round(float(counts[place] / len(values)), 4) for place in largest if counts[place]}


def largest_difference(features: Sequence[FeatureComparison]) -> FeatureComparison | None:
    """Return the feature whose PSI has the highest lower bound, None where none was compared."""
    compared = [one for one in features if one.reason is None]
    return max(compared, key=lambda one: (one.stability.low, one.stability.psi), default=None)
