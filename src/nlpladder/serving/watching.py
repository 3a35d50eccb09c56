"""Drift, seen from the server: answered texts are compared with the training profile by a thread of its own.

No request waits for it. When traffic is faster than the comparison, requests are left out, and their number is told.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nlpladder.errors import DataError
from nlpladder.serving.jobs import Item, ItemResult
from nlpladder.serving.logs import JsonLog
from nlpladder.serving.options import ServeOptions

if TYPE_CHECKING:
    from nlpladder.drift.alerts import Webhook
    from nlpladder.drift.monitor import DriftEvent
    from nlpladder.drift.profile import Profile

#: Requests that may wait to be compared.
_MOST_WAITING = 256
#: What ``/drift`` tells of a model whose profile cannot be read; why stands in the log, with a path of this machine.
_UNREADABLE = {
    "state": "unreadable",
    "message": "The profile of this model cannot be read, so its traffic is not watched; the server's log says why.",
}
#: Features that the line of an alarm tells of: those that differ most.
_MOST_FEATURES = 3
#: Seconds that the end of the server waits for an event that is being posted.
_WEBHOOK_SECONDS = 1.0


class Monitor(Protocol):
    """What is needed of `nlpladder.drift.DriftMonitor`."""

    @property
    def alarm(self) -> bool:
        """Whether the alarm is raised."""
        ...

    def observe(self, texts: Sequence[str], answers: Sequence[Any] | None = None, *, task: str | None = None) -> None:
        """Take texts that were asked about, and the answers to them."""
        ...

    def report(self) -> dict[str, Any]:
        """Return what ``/drift`` tells."""
        ...

    def psi(self) -> Mapping[str, float]:
        """Return the index of each feature in the last window."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that was answered.

    Attributes:
        model: That answered.
        task: What was asked.
        items: Of the request.
        results: One an item.
    """

    model: str
    task: str
    items: Sequence[Item]
    results: Sequence[ItemResult]


class DriftWatch:
    """Hands what was answered to the monitor of its model.

    Args:
        monitor: Makes the monitor of a model from its name and profile.
        failed: Is told of an exception in a monitor, or of a profile that cannot be read (`DataError`), with its
            model's name; the rest is watched.
        webhook: Gets the events, too; is closed at the end.

    Attributes:
        monitors: By model; those without a profile are not in it.
    """

    def __init__(
        self,
        monitor: Callable[[str, Profile], Monitor],
        failed: Callable[[str, Exception], None],
        *,
        webhook: Webhook | None = None,
    ) -> None:
        self.monitors: dict[str, Monitor] = {}
        self._monitor = monitor
        self._failed = failed
        self._webhook = webhook
        self._unreadable: set[str] = set()
        self._left_out = 0
        self._waiting: queue.Queue[Seen | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._watch, name="nlpladder-drift", daemon=True)
        self._thread.start()

    def add(self, model: str, folder: str | os.PathLike[str]) -> None:
        """Watch a model from now on, if its folder holds a profile; one that is damaged is told, and not needed."""
        from nlpladder.drift.profile import read_profile

        try:
            profile = read_profile(folder)
            if profile is not None:
                self.monitors[model] = self._monitor(model, profile)
        except DataError as error:  # the model itself is whole
            self._unreadable.add(model)
            self._failed(model, error)

    def add_cached(self, models: Mapping[str, str]) -> None:
        """Watch those models that came from the Hub with a profile; called once they were opened."""
        for model, place in models.items():
            if model not in self.monitors and not Path(place).is_dir():
                from huggingface_hub import try_to_load_from_cache

                from nlpladder.drift.profile import PROFILE_FILE

                found = try_to_load_from_cache(place, PROFILE_FILE)
                if isinstance(found, str):
                    self.add(model, Path(found).parent)

    def observe(self, seen: Seen) -> None:
        """Take what a model answered; returns at once."""
        if seen.model in self.monitors:
            try:
                self._waiting.put_nowait(seen)
            except queue.Full:
                self._left_out += 1

    def reports(self, models: Sequence[str]) -> dict[str, dict[str, Any] | None]:
        """Return the report of each model, None for one that is not watched."""
        found: dict[str, dict[str, Any] | None] = {}
        for model in models:
            monitor = self.monitors.get(model)
            if monitor is not None:
                found[model] = {**monitor.report(), "requests_left_out": self._left_out}
            else:
                found[model] = dict(_UNREADABLE) if model in self._unreadable else None
        return found

    def settle(self) -> None:
        """Wait until everything that was taken has been compared."""
        self._waiting.join()

    def close(self) -> None:
        """End the thread; what still waits is not compared."""
        try:
            while True:
                self._waiting.get_nowait()
                self._waiting.task_done()
        except queue.Empty:
            self._waiting.put_nowait(None)
        if self._webhook is not None:
            self._webhook.close(_WEBHOOK_SECONDS)

    def _watch(self) -> None:
        from nlpladder.drift.saving import question_text

        while True:
            seen = self._waiting.get()
            try:
                if seen is None:
                    return
                texts = [question_text(item.text, item.context) if item.context else item.text for item in seen.items]
                self.monitors[seen.model].observe(texts, seen.results, task=seen.task)
            except Exception as error:  # watching must never end serving
                self._failed(seen.model if seen else "", error)
            finally:
                self._waiting.task_done()


def open_watch(models: Mapping[str, str], options: ServeOptions, log: JsonLog) -> DriftWatch:
    """Return the watch of a server: each model whose folder holds a profile is watched.

    Args:
        models: Name to folder or Hub id.
        options: Windows, and where alarms are sent.
        log: Gets a line when an alarm is raised or taken back, when a monitor fails, and for a damaged profile.

    Raises:
        ConfigError: An option is out of its range.
    """
    from nlpladder.drift.alerts import Webhook
    from nlpladder.drift.monitor import DriftMonitor
    from nlpladder.drift.options import DriftOptions

    windows = DriftOptions(
        window=options.drift_window, alarm_after=options.drift_alarm_after, calm_after=options.drift_calm_after
    )
    webhook = None if options.drift_webhook is None else Webhook(options.drift_webhook)

    def alert(event: DriftEvent) -> None:
        log.write(
            f"drift_{event.change}", level="warning" if event.change == "raised" else "info", model=event.model,
            message=event.sentence, window=event.window, texts=event.texts, psi=_worst(event),
        )  # fmt: skip
        if webhook is not None:
            webhook(event)

    def failed(model: str, error: Exception) -> None:
        if isinstance(error, DataError):  # a sentence of ours, about a file
            log.write("drift_unreadable", level="error", model=model, message=str(error))
        else:
            log.failure("drift_failure", error, model=model)

    watch = DriftWatch(
        lambda model, profile: DriftMonitor(profile, windows, model=model, alert=alert),
        failed,
        webhook=webhook,
    )
    for model, place in models.items():
        if Path(place).is_dir():
            watch.add(model, place)
    return watch


def _worst(event: DriftEvent) -> dict[str, float]:
    """Return the index of those features that differ most; all of them stand in ``/drift`` and in the event."""
    known = {name: float(one["psi"]) for name, one in event.features.items() if one.get("psi") is not None}
    return {name: round(known[name], 3) for name in sorted(known, key=lambda one: -known[one])[:_MOST_FEATURES]}
