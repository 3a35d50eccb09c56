"""The models of the demo: listed, opened when asked for, one caller at a time, closed by age when memory is full.

Nothing but this module opens a model. What is opened comes from the listing that this program made, or from a Hub id
that was checked; `nlpladder.load` looks at every file before it reads it (safetensors and json only, no code).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlpladder.errors import LadderError, did_you_mean
from shell.limits import MAX_MODELS, DemoError, check_choice, check_choices
from shell.listing import ModelEntry, entry_of, find_models, skipped_links

#: Callers that may wait for a model.
MAX_WAITING = 40
#: What an open model holds beside its weights: vocabulary, buffers.
_OVERHEAD = 1.25


@dataclass
class _Place:
    """The lock of one model, how many wait for it, and the model while it is open."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0
    model: Any = None
    num_bytes: int = 0


class ModelStore:
    """Opens models and hands them out.

    Args:
        models_dir: Below it models are looked for.
        max_bytes: Of weights that are open at the same time, about.
        load: Opens a path; `nlpladder.load` if not given.

    Attributes:
        models_dir: As given, resolved.
        skipped: Links to folders, which are not looked into, by their path below the models folder.
    """

    def __init__(self, models_dir: Path, *, max_bytes: int, load: Callable[..., Any] | None = None) -> None:
        self.models_dir = models_dir.resolve()
        self.max_bytes = max_bytes
        self._load = load
        self._guard = threading.Lock()
        self._opening = threading.Lock()  # transformers changes global state while it opens a model
        self._places: OrderedDict[str, _Place] = OrderedDict()  # the longest unused first
        self.skipped: list[str] = []
        self._local: dict[str, ModelEntry] = {}
        self._remote: dict[str, ModelEntry] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look again which models there are."""
        found = {entry.name: entry for entry in find_models(self.models_dir)}
        links = skipped_links(self.models_dir)
        with self._guard:
            self._local, self.skipped = found, links

    def entries(self) -> list[ModelEntry]:
        """Return all models, those of this machine first."""
        with self._guard:
            return [*self._local.values(), *self._remote.values()]

    def names(self, ability: str) -> list[str]:
        """Return the names of the models that have an ability."""
        return [entry.name for entry in self.entries() if ability in entry.abilities]

    def entry(self, name: str) -> ModelEntry:
        """Return what is known of a model.

        Raises:
            DemoError: There is none of this name.
        """
        entries = {entry.name: entry for entry in self.entries()}
        if not isinstance(name, str) or name not in entries:
            shown = repr(name)[:80]
            hint = did_you_mean(name[:200], entries) if isinstance(name, str) else ""
            raise DemoError(f"There is no model {shown} here.{hint} Look again (Refresh), or load it in the side bar.")
        return entries[name]

    def add_from_hub(self, repo_id: str, *, revision: str | None, cached_only: bool) -> ModelEntry:
        """List a model of the Hub: its files are looked at, fetched if that is wished, and not yet opened.

        Args:
            repo_id: ``owner/name``.
            revision: Branch, tag or commit; None for the newest.
            cached_only: Ask nobody; take what was fetched before.

        Raises:
            DemoError: The id is none, or the model is too large or of a kind that the demo does not show.
            ModelError: It is not there, not reachable, or not safe to open.
        """
        from nlpladder.hub.loading import hub_id_like
        from nlpladder.models.safe_folders import open_folder

        if len(repo_id) > 200 or ".." in repo_id or not hub_id_like(repo_id):
            raise DemoError(
                f"{repo_id[:80]!r} is no id of the Hub; expected owner/name of letters, digits, - _ and dots."
            )
        folder = open_folder(
            repo_id, {"revision": revision or None, "local_files_only": cached_only}, max_bytes=self.max_bytes
        )
        entry = entry_of(folder, repo_id, local=False)
        if entry is None:
            raise DemoError(f"{repo_id} is a model of a kind that the demo does not show.")
        with self._guard:
            self._remote[entry.name] = entry
        return entry

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        """Give an open model to one caller; others wait their turn.

        Args:
            name: Of the model.

        Raises:
            DemoError: There is no such model, too many wait for it, or it is larger than the memory for models.
            ModelError: It cannot be opened.
        """
        entry = self.entry(name)
        with self._guard:
            place = self._places.setdefault(name, _Place())
            if place.waiting >= MAX_WAITING:
                raise DemoError(f"{place.waiting} others wait for {name} already. Try again in a moment.")
            place.waiting += 1
        try:
            with place.lock:
                if place.model is None:
                    self._make_room(entry)
                    try:
                        with self._opening:
                            place.model = self._open(entry)
                    except BaseException:
                        place.num_bytes = 0
                        raise
                with self._guard:
                    self._places.move_to_end(name)
                yield place.model
        except LadderError as error:
            # Where on this machine the models lie is nobody's business.
            if f"{self.models_dir}/" not in str(error):
                raise
            raise type(error)(str(error).replace(f"{self.models_dir}/", "")) from error
        finally:
            with self._guard:
                place.waiting -= 1

    def open_names(self) -> list[str]:
        """Return the models that are open, the longest unused first."""
        with self._guard:
            return [name for name, place in self._places.items() if place.model is not None]

    def _open(self, entry: ModelEntry) -> Any:
        if self._load is not None:
            return self._load(entry.path)
        import nlpladder
        from nlpladder.train_rung import quiet_libraries

        quiet_libraries()
        # What lies here is opened from here: nothing is asked of the Hub but by `add_from_hub`.
        return nlpladder.load(entry.path, local_files_only=True)

    def _make_room(self, entry: ModelEntry) -> None:
        """Close the longest unused models until another one fits."""
        needed = int(_OVERHEAD * entry.num_bytes)
        if needed > self.max_bytes:
            raise DemoError(
                f"{entry.name} needs about {needed / 2**30:.1f} GiB, more than the {self.max_bytes / 2**30:.1f} GiB "
                "that this demo has for models (--max_model_gb)."
            )
        with self._guard:
            open_bytes = sum(place.num_bytes for place in self._places.values())
            for other in list(self._places):
                if open_bytes + needed <= self.max_bytes:
                    break
                place = self._places[other]
                # Somebody who waits for it would only open it again.
                if place.model is not None and other != entry.name and not place.waiting:
                    place.model = None
                    open_bytes -= place.num_bytes
                    place.num_bytes = 0
            if open_bytes + needed > self.max_bytes:
                raise DemoError(f"There is no room for {entry.name} while other models answer. Try again in a moment.")
            self._places[entry.name].num_bytes = needed


def asked_models(store: Any, values: Any, ability: str, *, most: int = MAX_MODELS) -> list[str]:
    """Return the models that were asked for, each once; before a name is refused, the listing is made anew.

    A run that came after the start is known to a page that was loaded since, and to whoever calls from a program.

    Args:
        store: The models, such as a `ModelStore`.
        values: What came.
        ability: Which they must have.
        most: How many.

    Raises:
        DemoError: There are none or too many, or one is unknown.
    """
    if not known_to(store.names(ability), values):
        store.refresh()
    return check_choices(values, "Models", store.names(ability), most=most)


def asked_model(store: Any, value: Any, ability: str) -> str:
    """Return the one model that was asked for, as `asked_models` does.

    Args:
        store: The models.
        value: What came.
        ability: Which it must have.

    Raises:
        DemoError: There is no such model.
    """
    if not known_to(store.names(ability), value):
        store.refresh()
    return check_choice(value, "Models", store.names(ability))


def known_to(names: Sequence[str], values: Any) -> bool:
    """Tell whether all the texts among some values are names.

    Args:
        names: That are known.
        values: What came: a text, several, or nothing of the kind.
    """
    asked = [values] if isinstance(values, str) else values if isinstance(values, (list, tuple)) else []
    return all(one in names for one in asked if isinstance(one, str))
