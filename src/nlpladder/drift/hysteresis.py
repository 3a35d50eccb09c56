"""An alarm that is not raised by one window, nor taken back by one."""

from __future__ import annotations

from typing import Literal

Change = Literal["raised", "calmed"]


class Hysteresis:
    """Counts windows in a row.

    Args:
        alarm_after: Windows in a row that differ before the alarm is raised.
        calm_after: Windows in a row that do not differ before it is taken back.
    """

    def __init__(self, *, alarm_after: int, calm_after: int) -> None:
        self.alarm = False
        self.in_a_row = 0
        self._needed = {False: alarm_after, True: calm_after}

    def add(self, differs: bool) -> Change | None:
        """Take note of a window; return what it changed.

        Args:
            differs: Whether it differs from the reference.
        """
        self.in_a_row = self.in_a_row + 1 if differs != self.alarm else 0
        if self.in_a_row < self._needed[self.alarm]:
            return None
        self.alarm, self.in_a_row = not self.alarm, 0
        return "raised" if self.alarm else "calmed"
