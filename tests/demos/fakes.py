"""Models and a store for the tests of the demo: nothing is read, nothing is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nlpladder.errors import did_you_mean


class FakeStore:
    """Hands out the models that it is given; see `shell.store.ModelStore`.

    Args:
        models: Name -> (model, abilities).
        models_dir: Below it reports and runs are looked for.
        folders: Name -> run folder, for models that have one.
    """

    def __init__(
        self,
        models: Mapping[str, tuple[Any, set[str]]],
        models_dir: Path = Path("nowhere"),
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        from shell.listing import ModelEntry

        self.models_dir = models_dir
        self.used: list[str] = []
        self.skipped: list[str] = []
        self._models = {name: model for name, (model, _) in models.items()}
        self._entries = {
            name: ModelEntry(name, f"path/{name}", frozenset(abilities), "fake", 7, 28, (folders or {}).get(name))
            for name, (_, abilities) in models.items()
        }

    def refresh(self) -> None:
        """Find nothing new."""

    def entries(self) -> list[Any]:
        return list(self._entries.values())

    def names(self, ability: str) -> list[str]:
        return [entry.name for entry in self.entries() if ability in entry.abilities]

    def entry(self, name: str) -> Any:
        from shell.limits import DemoError

        if name not in self._entries:
            raise DemoError(f"There is no model {name!r} here.{did_you_mean(str(name), self._entries)}")
        return self._entries[name]

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        self.entry(name)
        self.used.append(name)
        yield self._models[name]
