"""The watch of one served model: texts and answers in, windows compared, an alarm raised and taken back."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nlpladder.drift.comparison import Comparer, FeatureComparison, largest_difference
from nlpladder.drift.copies import effective_size, text_hash
from nlpladder.drift.features import SPACED_TASKS, TEXT_FEATURES, Float, answer_features, spaced, text_features
from nlpladder.drift.hysteresis import Change, Hysteresis
from nlpladder.drift.options import DriftOptions
from nlpladder.drift.profile import Profile
from nlpladder.errors import DataError

logger = logging.getLogger(__name__)

#: Windows that a report tells of.
HISTORY = 50
_NOTE = (
    "A window differs if a test of one of its features is significant at level alpha (Holm over all of them) and the "
    "lower bound of that feature's PSI is above the floor. Copies of a text count as one, as far as there are more of "
    "them than among the held-out texts: 'effective' is what a window is worth. Beyond that the tests take texts as "
    "independent: many texts of one user that are alike, and no copies, can look like drift."
)


@dataclass(frozen=True)
class DriftEvent:
    """The alarm was raised or taken back.

    Attributes:
        change: ``raised`` or ``calmed``.
        model: Name of the served model.
        time: In UTC, ISO 8601.
        window: Number of the window that decided, from 1.
        texts: Seen since the start.
        features: Those that differ in it, by name: PSI with its interval, medians or shares.
        sentence: For people.
    """

    change: Change
    model: str
    time: str
    window: int
    texts: int
    features: dict[str, dict[str, Any]]
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Return what the webhook sends; it holds no texts."""
        return asdict(self)


class DriftMonitor:
    """Compares the traffic of one model, window by window, with the profile of its training.

    All methods may be called from any thread. What is kept does not grow: one window of numbers, and a few lines on
    each of the last windows.

    Args:
        profile: Of the model.
        options: Size of a window, and when it is an alarm.
        model: Name of the served model, for reports and events.
        alert: Called when the alarm is raised or taken back; what it raises is logged.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        profile: Profile,
        options: DriftOptions | None = None,
        *,
        model: str,
        alert: Callable[[DriftEvent], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.profile, self.options, self.model = profile, options or DriftOptions(), model
        self._comparer = Comparer(profile, self.options)
        self._alert, self._clock = alert, clock
        self._lock = threading.Lock()
        self._names = (*TEXT_FEATURES, *profile.answer_features)
        self._labels = {name: number for number, name in enumerate(profile.label_names)}
        self._rows = np.empty((self.options.window, len(self._names)))
        self._hashes = np.empty(self.options.window, dtype=np.uint32)
        self._filled = self._windows = self._texts = 0
        self._state = Hysteresis(alarm_after=self.options.alarm_after, calm_after=self.options.calm_after)
        self._since: str | None = None
        self._last: list[FeatureComparison] = []
        self._last_columns: dict[str, Float] = {}
        self._history: deque[dict[str, Any]] = deque(maxlen=HISTORY)

    @property
    def alarm(self) -> bool:
        """Whether the alarm is raised."""
        return self._state.alarm

    def observe(self, texts: Sequence[str], answers: Sequence[Any] | None = None, *, task: str | None = None) -> None:
        """Take note of texts that the model was asked about.

        Args:
            texts: As they came; of a question, see `nlpladder.drift.saving.question_text`.
            answers: What each got: the fields of its answer, an `ItemResult`, or None where it was refused.
            task: What was asked; texts for another task than the profile's are passed over, because a prompt is no
                text of the training data.

        Raises:
            DataError: Texts and answers are not equally many.
        """
        if answers is not None and len(answers) != len(texts):
            raise DataError(f"There are {len(texts)} texts and {len(answers)} answers; give one answer a text.")
        if task is not None and task != self.profile.task:
            return
        vocabulary, names = self.profile.vocabulary, self.profile.answer_features
        given = answers if answers is not None else (None,) * len(texts)
        hashes = [text_hash(text) for text in texts]
        if self.profile.task in SPACED_TASKS:
            texts = list(map(spaced, texts))
        rows = [
            (*text_features(text, vocabulary), *answer_features(names, self._labels, answer))
            for text, answer in zip(texts, given, strict=True)
        ]
        with self._lock:
            events = self._take(rows, hashes)
        for event in events:
            self._tell(event)

    def psi(self) -> dict[str, float]:
        """Return the PSI of each feature in the last whole window; empty before there is one."""
        with self._lock:
            return {one.name: one.stability.psi for one in self._last if one.stability.bins > 1}

    def last_window(self) -> dict[str, Float]:
        """Return the features of the texts of the last whole window, each (texts,); empty before there is one."""
        with self._lock:
            return dict(self._last_columns)

    def report(self) -> dict[str, Any]:
        """Return where the watch stands, in plain numbers and texts that JSON can hold."""
        with self._lock:
            collecting = self._windows == 0
            return {
                "model": self.model,
                "task": self.profile.task,
                "state": "alarm" if self._state.alarm else "collecting" if collecting else "calm",
                "alarm": self._state.alarm,
                "since": self._since,
                "texts": self._texts,
                "windows": self._windows,
                "window": {"size": self.options.window, "filled": self._filled},
                "in_a_row": self._state.in_a_row,
                "options": asdict(self.options),
                "reference": {
                    "split": self.profile.split,
                    "rows": self.profile.rows,
                    "rows_of": self.profile.rows_of,
                    "words": None if self.profile.vocabulary is None else len(self.profile.vocabulary.hashes),
                },
                "last": None if collecting else {
                    **self._history[-1],
                    "features": {one.name: one.to_dict() for one in self._last},
                },
                "history": list(self._history),
                "note": _NOTE,
            }  # fmt: skip

    def _take(self, rows: list[tuple[float, ...]], hashes: list[int]) -> list[DriftEvent]:
        """Put rows into the window, and close it each time it is full."""
        events, start = [], 0
        while start < len(rows):
            count = min(len(rows) - start, self.options.window - self._filled)
            place = slice(self._filled, self._filled + count)
            self._rows[place] = rows[start : start + count]
            self._hashes[place] = hashes[start : start + count]
            self._filled += count
            self._texts += count
            start += count
            if self._filled == self.options.window:
                event = self._close()
                if event is not None:
                    events.append(event)
        return events

    def _close(self) -> DriftEvent | None:
        rows = self._rows.copy()
        self._filled = 0
        self._windows += 1
        self._last_columns = {name: rows[:, place] for place, name in enumerate(self._names)}
        effective = effective_size(self._hashes, self.profile.copies)
        self._last = self._comparer.compare(self._last_columns, effective=effective)
        differing = [one for one in self._last if one.differs]
        change = self._state.add(bool(differing))
        now = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC).isoformat(timespec="seconds")
        if change is not None:
            self._since = now if change == "raised" else None
        largest = largest_difference(self._last)
        self._history.append(
            {
                "window": self._windows,
                "time": now,
                "texts": len(rows),
                "distinct": len(np.unique(self._hashes)),
                "effective": round(effective, 1),
                "differs": bool(differing),
                "differing": [one.name for one in differing],
                "largest": None if largest is None else {"feature": largest.name, "psi": largest.stability.psi},
                "alarm": self._state.alarm,
            }
        )
        if change is None:
            return None
        shown = differing if change == "raised" else self._last
        return DriftEvent(
            change, self.model, now, self._windows, self._texts, {one.name: one.to_dict() for one in shown},
            self._sentence(change, differing),
        )  # fmt: skip

    def _sentence(self, change: Change, differing: list[FeatureComparison]) -> str:
        if change == "calmed":
            return (
                f"Traffic of {self.model} is like the {self.profile.split} texts again: {self.options.calm_after} "
                f"windows of {self.options.window} texts in a row do not differ."
            )
        parts = ", ".join(
            f"{one.name} (PSI {one.stability.psi:.2f} [{one.stability.low:.2f}, {one.stability.high:.2f}])"
            for one in sorted(differing, key=lambda one: -one.stability.low)
        )
        return (
            f"Traffic of {self.model} differs from the {self.profile.split} texts: {self.options.alarm_after} windows "
            f"of {self.options.window} texts in a row; in the last, {parts}."
        )

    def _tell(self, event: DriftEvent) -> None:
        if self._alert is None:
            return
        try:
            self._alert(event)
        except Exception:
            logger.exception("The alert of %s failed.", self.model)
