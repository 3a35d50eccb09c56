"""When a window of traffic differs, and when that is an alarm."""

from __future__ import annotations

from dataclasses import dataclass

from nlpladder.config import option
from nlpladder.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DriftOptions:
    """How windows are compared with the profile.

    A PSI below 0.1 is read as no shift, above 0.25 as a large one (Siddiqi 2006, *Credit Risk Scorecards*). These are
    conventions, made for large samples; the lower bound of the interval is held against the first of them.

    Raises:
        ConfigError: An option is out of its range.
    """

    window: int = option(250, help="texts of one window of traffic")
    alarm_after: int = option(2, help="windows in a row that differ before the alarm is raised")
    calm_after: int = option(3, help="windows in a row that do not differ before it is taken back")
    alpha: float = option(0.001, help="level of the tests of one window, all its features together (Holm)")
    floor: float = option(0.1, help="what the lower bound of a feature's PSI must be above")

    def __post_init__(self) -> None:
        for name, least in (("window", 50), ("alarm_after", 1), ("calm_after", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if not 0.0 < self.alpha < 1.0:
            raise ConfigError(f"alpha must lie between 0 and 1, got {self.alpha}.")
        if not 0.0 <= self.floor < float("inf"):
            raise ConfigError(f"floor must not be negative or infinite, got {self.floor}.")
