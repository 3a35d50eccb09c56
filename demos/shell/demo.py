"""`Demo`: what a tab is built with. Pickers, endpoints, the Simple/Advanced switch, and what survives a reload."""

from __future__ import annotations

import functools
import html
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gradio as gr

from nlpladder.errors import LadderError
from shell.limits import MAX_MODELS
from shell.listing import alike
from shell.options import DemoOptions
from shell.store import ModelStore

#: Calls of one endpoint that are at work at the same time; the store lets one at a time to each model.
_AT_ONCE = 8
#: Models that a picker begins with.
_CHOSEN_AT_FIRST = 3


class Demo:
    """The parts that every tab shares. Made once by the app, before the tabs are built.

    Args:
        store: The models.
        options: What the app was told.

    Attributes:
        settings: The browser's own memory of settings, by key.
    """

    def __init__(self, store: ModelStore, options: DemoOptions) -> None:
        self.store, self.options = store, options
        # A name of our own, and a fixed secret: settings outlive the server, and are none.
        self.settings = gr.BrowserState({}, storage_key="nlpladder-settings", secret="nlpladder")
        self._remembered: dict[str, Any] = {}
        self._pickers: list[tuple[gr.Dropdown, str]] = []
        self._advanced: list[gr.Column] = []
        self._examples = 0

    # ---- what tabs put on the page

    def models(
        self, ability: str, *, key: str, label: str = "Models", multiple: bool = True, most: int = MAX_MODELS
    ) -> gr.Dropdown:
        """Return a picker of the models that have an ability.

        Args:
            ability: See `shell.listing.ModelEntry`.
            key: Under which the choice is remembered.
            label: Shown.
            multiple: Whether several can be chosen.
            most: How many.
        """
        names = self.store.names(ability)
        first: Any = self._first(ability, most) if multiple else (names[0] if names else None)
        picker = gr.Dropdown(
            names, value=first, label=label, multiselect=multiple, max_choices=most if multiple else None,
            interactive=True, filterable=True, elem_id=f"{key}-picker".replace(".", "-"),
        )  # fmt: skip
        self._pickers.append((picker, ability))
        self.remember(key, picker)
        return picker

    def remember(self, key: str, component: Any) -> None:
        """Keep a component's value over a reload, in the browser."""
        if key in self._remembered:
            raise ValueError(f"The setting {key!r} is remembered already.")
        self._remembered[key] = component

    @contextmanager
    def advanced(self) -> Iterator[gr.Column]:
        """Hold what shows in Advanced mode only."""
        with gr.Column(visible=False) as column:
            yield column
        self._advanced.append(column)

    def how_it_works(self, text: str) -> None:
        """Add the fold "How this works".

        Args:
            text: Markdown with the equation (``$…$``), the paper and the module.
        """
        with gr.Accordion("How this works", open=False):
            gr.Markdown(text, latex_delimiters=[{"left": "$", "right": "$", "display": False}])

    def examples(self, rows: list[list[Any]], inputs: list[Any]) -> None:
        """Add examples that fill the inputs when they are clicked; nothing is run."""
        self._examples += 1
        gr.Examples(rows, inputs, cache_examples=False, api_visibility="private", elem_id=f"examples-{self._examples}")

    # ---- what tabs react with

    def action(
        self, triggers: Any, function: Callable[..., Any], inputs: Any, outputs: Any, *, api_name: str, **options: Any
    ) -> Any:
        """Make an endpoint of a function: a click for people, a named call for programs.

        Args:
            triggers: One event such as ``button.click``, or several; the first one is the documented endpoint.
            function: Takes the inputs' values, returns the outputs'; its docstring and type hints are the endpoint's.
            inputs: Components.
            outputs: Components.
            api_name: Of the endpoint.
            options: Of the event, such as ``trigger_mode``.
        """
        told = telling(function)
        several = list(triggers) if isinstance(triggers, (list, tuple)) else [triggers]
        first = several[0](
            told, inputs, outputs, api_name=api_name,
            **{"concurrency_limit": _AT_ONCE, "concurrency_id": api_name, **options},
        )  # fmt: skip
        for trigger in several[1:]:
            self.plumbing(trigger, function, inputs, outputs, **{"concurrency_id": api_name, **options})
        return first

    def plumbing(self, trigger: Any, function: Callable[..., Any], inputs: Any, outputs: Any, **options: Any) -> Any:
        """React to an event without a documented endpoint. It can be called all the same, so `function` checks all."""
        return trigger(telling(function), inputs, outputs, **{"api_visibility": "private", **options})

    def changes_of_models(self) -> list[gr.Dropdown]:
        """Return what has to be shown anew when the list of models has changed; see `new_choices`."""
        return [picker for picker, _ in self._pickers]

    def new_choices(self, chosen: str | None = None) -> list[Any]:
        """Return an update for each picker: its choices now, and a new model chosen where it fits.

        Args:
            chosen: Name of the model that has come.
        """
        updates = []
        for picker, ability in self._pickers:
            names = self._offer(picker, ability)
            if chosen in names:
                value: Any = [chosen] if picker.multiselect else chosen
                updates.append(gr.update(choices=names, value=value))
            else:
                updates.append(gr.update(choices=names))
        return updates

    def _first(self, ability: str, most: int) -> list[str]:
        """Return the models that a picker of several begins with: the newest, and others of the same data."""
        entries = [entry for entry in self.store.entries() if ability in entry.abilities]
        return [entry.name for entry in alike(entries, min(most, _CHOSEN_AT_FIRST))]

    def _offer(self, picker: gr.Dropdown, ability: str) -> list[str]:
        """Return the models of a picker, which the server takes from now on, of callers without a page, too."""
        names = self.store.names(ability)
        picker.choices = [(name, name) for name in names]
        return names

    def finish(self, page: gr.Blocks, switch: gr.Checkbox) -> None:
        """Wire what all tabs share, after they were built.

        Args:
            page: The app.
            switch: Simple or Advanced.
        """
        self.remember("advanced", switch)
        if self._advanced:
            shown = len(self._advanced)
            switch.change(
                lambda on: [gr.update(visible=bool(on))] * shown if shown > 1 else gr.update(visible=bool(on)),
                switch, self._advanced, api_visibility="private", queue=False, show_progress="hidden",
            )  # fmt: skip
        keys = list(self._remembered)
        components = [self._remembered[key] for key in keys]
        for key, component in zip(keys, components, strict=True):
            # In the browser alone: no word of it goes to the server.
            component.change(
                None, [self.settings, component], self.settings, api_visibility="private",
                js=f"(settings, value) => ({{...(settings || {{}}), {key!r}: value}})",
            )  # fmt: skip
        page.load(
            functools.partial(self._restore, keys), self.settings, components, api_visibility="private",
            show_progress="hidden",
        )  # fmt: skip

    def _restore(self, keys: Sequence[str], settings: Any) -> list[Any]:
        """Return each remembered component as the browser remembers it, pickers with today's models."""
        self.store.refresh()
        kept = settings if isinstance(settings, dict) else {}
        abilities = {id(picker): ability for picker, ability in self._pickers}
        updates = []
        for key in keys:
            component = self._remembered[key]
            if id(component) in abilities:
                ability = abilities[id(component)]
                first = self._first(ability, component.max_choices or MAX_MODELS)
                updates.append(_picked(self._offer(component, ability), kept.get(key), component, first))
            elif key in kept and isinstance(kept[key], (str, int, float, bool)):
                updates.append(gr.update(value=kept[key]))
            else:
                updates.append(gr.update())
        return updates if len(updates) > 1 else updates[0]


def _picked(names: list[str], kept: Any, picker: gr.Dropdown, first: list[str]) -> Any:
    """Return a picker with the remembered choice as far as it is still there."""
    if picker.multiselect:
        still = [name for name in kept if name in names] if isinstance(kept, list) else []
        most = picker.max_choices or MAX_MODELS
        return gr.update(choices=names, value=still[:most] or first)
    value = kept if kept in names else (names[0] if names else None)
    return gr.update(choices=names, value=value)


def telling(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose errors, where they are meant for the user, are shown as a sentence without a trace."""

    def told(error: LadderError) -> gr.Error:
        # The message is shown as HTML: names of users and models in it are text.
        return gr.Error(html.escape(str(error)), print_exception=False, duration=10)

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def stream(*arguments: Any, **named: Any) -> Iterator[Any]:
            try:
                yield from function(*arguments, **named)
            except LadderError as error:
                raise told(error) from error

        return stream

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except LadderError as error:
            raise told(error) from error

    return call
