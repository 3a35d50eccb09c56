"""`Demo`: what a tab is built with. Pickers, endpoints, the Simple/Advanced switch, and what survives a reload."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gradio as gr
import pandas as pd

from nlpladder.errors import LadderError
from shell.limits import MAX_MODELS
from shell.listing import alike
from shell.options import DemoOptions
from shell.store import ModelStore

#: Calls of one endpoint that are at work at the same time; the store lets one at a time to each model.
_AT_ONCE = 8
#: Models that a picker begins with.
_CHOSEN_AT_FIRST = 3
#: Inputs whose values handlers take as they come: `shell.limits` names the field and what was meant, where gradio 6.31
#: says "Value -5 is less than minimum value 1.", and it knows the models that have come since the page was made.
_CHECKED_BY_HANDLERS = (gr.Textbox, gr.Checkbox, gr.Slider, gr.Number, gr.Radio, gr.Dropdown, gr.CheckboxGroup)
#: Outputs that hold an answer.
_ANSWERS = (
    gr.HTML, gr.Markdown, gr.Dataframe, gr.Code, gr.File, gr.Gallery, gr.Image, gr.LinePlot, gr.ScatterPlot,
)  # fmt: skip
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


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
        self._notices: list[tuple[gr.Markdown, tuple[str, ...]]] = []
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
        # Handlers check names against the listing of now, gradio against that of the start where a call has files too.
        picker.preprocess = lambda payload: payload
        self._pickers.append((picker, ability))
        self.remember(key, picker)
        return picker

    def without_models(self, text: str, *abilities: str) -> gr.Markdown:
        """Say how a model is made, on the page as long as none has one of some abilities.

        Args:
            text: Markdown.
            abilities: See `shell.listing.ModelEntry`.
        """
        notice = gr.Markdown(text, visible=not any(self.store.names(ability) for ability in abilities))
        self._notices.append((notice, abilities))
        return notice

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
        self,
        triggers: Any,
        function: Callable[..., Any],
        inputs: Any,
        outputs: Any,
        *,
        api_name: str,
        keeps_answers: bool = False,
        **options: Any,
    ) -> Any:
        """Make an endpoint of a function: a click for people, a named call for programs.

        Args:
            triggers: One event such as ``button.click``, or several; the first one is the documented endpoint.
            function: Takes the inputs' values, returns the outputs'; its docstring and type hints are the endpoint's.
            inputs: Components.
            outputs: Components.
            api_name: Of the endpoint.
            keeps_answers: Whether what stood in the outputs stays there when the call fails; it goes otherwise, for it
                is no answer to what was asked. A stream keeps what it has written.
            options: Of the event, such as ``trigger_mode``.
        """
        told, taken = telling(function), _as_sent(inputs)
        several = list(triggers) if isinstance(triggers, (list, tuple)) else [triggers]
        first = several[0](
            told, inputs, outputs, api_name=api_name,
            **{"concurrency_limit": _AT_ONCE, "concurrency_id": api_name, **taken, **options},
        )  # fmt: skip
        events = [first]
        for trigger in several[1:]:
            events.append(self.plumbing(trigger, function, inputs, outputs, **{"concurrency_id": api_name, **options}))
        if not keeps_answers and not inspect.isgeneratorfunction(function):
            for event in events:
                self._clear_after(event, inputs, outputs)
        return first

    def plumbing(self, trigger: Any, function: Callable[..., Any], inputs: Any, outputs: Any, **options: Any) -> Any:
        """React to an event without a documented endpoint. It can be called all the same, so `function` checks all."""
        return trigger(
            telling(function), inputs, outputs, **{"api_visibility": "private", **_as_sent(inputs), **options}
        )

    def _clear_after(self, event: Any, inputs: Any, outputs: Any) -> None:
        """Empty the outputs of a call that failed: an old answer under a new question would be read as its own."""
        asked = _listed(inputs)
        answers = [each for each in _listed(outputs) if isinstance(each, _ANSWERS) and each not in asked]
        if answers:
            empty = [_empty(each) for each in answers]
            event.failure(
                lambda: empty if len(empty) > 1 else empty[0], None, answers, api_visibility="private", queue=False,
                show_progress="hidden",
            )  # fmt: skip

    def changes_of_models(self) -> list[Any]:
        """Return what has to be shown anew when the list of models has changed; see `new_choices`."""
        return [*(picker for picker, _ in self._pickers), *(notice for notice, _ in self._notices)]

    def new_choices(self, chosen: str | None = None) -> list[Any]:
        """Return an update for each picker, its choices now and a new model chosen where it fits, and each notice.

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
        return updates + self._seen_notices()

    def _seen_notices(self) -> list[Any]:
        """Return an update for each text of `without_models`: gone where there is a model now."""
        return [gr.update(visible=not any(map(self.store.names, abilities))) for _, abilities in self._notices]

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
        pickers = [key for key in keys if any(self._remembered[key] is picker for picker, _ in self._pickers)]
        for key, component in zip(keys, components, strict=True):
            # In the browser alone: no word of it goes to the server.
            # A picker that the server filled is no choice of the visitor's: it begins with the newest models again.
            changed = component.input if key in pickers else component.change
            changed(
                None, [self.settings, component], self.settings, api_visibility="private",
                js=f"(settings, value) => ({{...(settings || {{}}), {key!r}: value}})",
            )  # fmt: skip
        page.load(
            functools.partial(self._restore, keys), self.settings,
            [*components, *(notice for notice, _ in self._notices)], api_visibility="private", show_progress="hidden",
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
        updates += self._seen_notices()
        return updates if len(updates) > 1 else updates[0]


def _listed(components: Any) -> list[Any]:
    """Return what an event was given, a component, several or None, as a list."""
    if components is None:
        return []
    return list(components) if isinstance(components, (list, tuple)) else [components]


def _as_sent(inputs: Any) -> dict[str, Any]:
    """Return the option of an event that hands on its values as they were sent, where handlers check all of them."""
    return {"preprocess": False} if all(isinstance(each, _CHECKED_BY_HANDLERS) for each in _listed(inputs)) else {}


def _empty(component: Any) -> Any:
    """Return a component without the answer that it shows."""
    if isinstance(component, gr.Dataframe):
        return pd.DataFrame(columns=component.get_headers(component.value))
    return "" if isinstance(component, (gr.HTML, gr.Markdown)) else None


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
        # Pages show the message as HTML, programs as it is: a sign of no width keeps tags in it from being any.
        return gr.Error(_TAG.sub("<\u200b", str(error)), print_exception=False, duration=10)

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
