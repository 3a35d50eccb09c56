"""The tab Word vectors: a map, neighbours, analogies and an association test; one model, or two side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from gradio.context import Context

from shell.bars import clicks
from shell.limits import check_text
from tabs import vectors_associations as weat_view
from tabs import vectors_map as map_view
from tabs import vectors_neighbours as near_view
from tabs.vectors_spaces import ABILITY, LONGEST_WORD, MAX_SPACES, NO_MODEL
from tabs.vectors_texts import ANALOGIES, HOW, LISTS, MAPS

if TYPE_CHECKING:
    from shell.demo import Demo

TITLE = "Word vectors"


def build(demo: Demo) -> None:
    """Put the tab on the page.

    Args:
        demo: What all tabs share.
    """
    tab = Context.block
    gr.Markdown("Words as points: which stand together, which are neighbours, and what directions between them mean.")
    missing = demo.without_models(NO_MODEL, ABILITY)
    models = demo.models(ABILITY, key="vectors.models", label="Models (one, or two side by side)", most=MAX_SPACES)
    opened = [tab.select] if isinstance(tab, gr.Tab) else []
    with gr.Tabs(elem_id="vectors-sections"):
        with gr.Tab("Map", id="map"):
            _build_map(demo, models, missing, opened)
        with gr.Tab("Neighbours", id="neighbours") as section:
            _build_neighbours(demo, models, section)
        with gr.Tab("Analogies", id="analogies") as section:
            _build_analogies(demo, models, section)
        with gr.Tab("WEAT", id="weat"):
            _build_associations(demo, models)
    demo.how_it_works(HOW)


def _build_map(demo: Demo, models: Any, missing: Any, opened: list[Any]) -> None:
    words = gr.Textbox(
        MAPS[0][0], label="Words, one group a line", info="A name before a colon names the group.", lines=3,
        max_lines=8, elem_id="vectors-words",
    )  # fmt: skip
    with demo.advanced(), gr.Row():
        neighbours = gr.Slider(
            0, map_view.MAX_NEIGHBOURS, 2, step=1, label="Neighbours of each", info="Drawn beside the words.",
            min_width=200,
        )  # fmt: skip
        axes = gr.Radio(
            list(map_view.AXES), value=map_view.AXES[0], label="Axes from",
            info="All words: places stay. The words shown: spreads them most.", min_width=260,
        )  # fmt: skip
    go = gr.Button("Draw the map", variant="primary", elem_id="vectors-go")
    result = gr.HTML(label="Map", elem_id="vectors-result")
    with gr.Accordion("The map as a table", open=False):
        table = gr.Dataframe(
            pd.DataFrame(columns=["Model", *map_view.COLUMNS]), label="Places on the map", interactive=False,
            elem_id="vectors-places",
        )  # fmt: skip
    demo.examples(MAPS, [words])
    for key, component in {"words": words, "map_neighbours": neighbours, "axes": axes}.items():
        demo.remember(f"vectors.{key}", component)

    def word_map(
        words: str, models: list[str], neighbours: int = 2, axes: str = map_view.AXES[0]
    ) -> tuple[str, pd.DataFrame, Any]:
        """Lay words out on the plane of most variance of their vectors.

        Args:
            words: Words with blanks or commas between them, a group a line, at most 60 words in 6 groups.
            models: Names of one or two models of word vectors.
            neighbours: How many nearest words are drawn beside each, 0 to 5.
            axes: "all words" or "the words shown": what the plane is fitted to.

        Returns:
            The maps (HTML with SVG), and a table: model, word, group, place, nearest word shown, cosine.
        """
        found = map_view.word_maps(demo.store, words, models, neighbours, axes)
        return map_view.page_of(found), map_view.table_of(found), gr.update(visible=False)

    inputs, outputs = [words, models, neighbours, axes], [result, table, missing]
    demo.action(
        [go.click, neighbours.release, axes.input], word_map, inputs, outputs, api_name="word_map",
        trigger_mode="always_last",
    )  # fmt: skip

    def shown_at_once(words: str, models: list[str], neighbours: int, axes: str) -> tuple[Any, Any, Any]:
        """Draw the map when the tab is opened or the models change, where there are any."""
        if not models or not demo.store.names(ABILITY):
            return gr.skip(), gr.skip(), gr.skip()
        return word_map(words, models, neighbours, axes)

    for trigger in (*opened, models.change):
        # With progress: the first answer opens the model, which takes seconds.
        demo.plumbing(trigger, shown_at_once, inputs, outputs, trigger_mode="always_last")


def _build_neighbours(demo: Demo, models: Any, section: Any) -> None:
    gr.Markdown("**Click a bar** to go on from its word.")
    with gr.Row(equal_height=True):
        word = gr.Textbox(
            "teacher", label="Word", max_lines=1, max_length=LONGEST_WORD, scale=4, min_width=200,
            elem_id="vectors-word",
        )  # fmt: skip
        topn = gr.Slider(1, near_view.MAX_NEIGHBOURS, 10, step=1, label="Neighbours", scale=2, min_width=200)
        go = gr.Button("Find neighbours", variant="primary", scale=1, min_width=140, elem_id="vectors-near-go")
    result = gr.HTML(label="Neighbours", elem_id="vectors-near", js_on_load=clicks(first=True))
    with gr.Accordion("The neighbours as a table", open=False):
        table = gr.Dataframe(
            pd.DataFrame(columns=["Model", *near_view.NEIGHBOUR_COLUMNS]), label="Neighbours", interactive=False
        )
    demo.examples([["teacher"], ["happy"], ["dog"], ["letters"], ["school"]], [word])
    demo.remember("vectors.word", word)
    demo.remember("vectors.topn", topn)

    def neighbours(word: str, models: list[str], topn: int = 10) -> tuple[str, pd.DataFrame]:
        """Return the words whose vectors have the largest cosine with that of a word.

        Args:
            word: One word.
            models: Names of one or two models of word vectors.
            topn: How many neighbours, 1 to 30.

        Returns:
            Bars (HTML), and a table: model, word, cosine, whether it is a neighbour in both models.
        """
        found = near_view.neighbours(demo.store, word, models, topn)
        return near_view.neighbours_page(found), near_view.table_of(found)

    def go_on(event: gr.SelectData) -> str:
        """Return the word of the bar that was clicked, checked."""
        return check_text(event.value, "Word", most=LONGEST_WORD)

    inputs, outputs = [word, models, topn], [result, table]
    demo.action(
        [go.click, word.submit, topn.release], neighbours, inputs, outputs, api_name="neighbours",
        trigger_mode="always_last",
    )  # fmt: skip

    def shown_at_once(word: str, models: list[str], topn: int) -> tuple[Any, Any]:
        """Answer when the section is opened, where there is something to ask."""
        return neighbours(word, models, topn) if models and str(word or "").strip() else (gr.skip(), gr.skip())

    for trigger in (section.select, models.input):
        demo.plumbing(trigger, shown_at_once, inputs, outputs, show_progress="hidden")
    clicked = demo.plumbing(result.select, go_on, None, word, show_progress="hidden")
    demo.plumbing(clicked.success, neighbours, inputs, outputs, show_progress="hidden")


def _build_analogies(demo: Demo, models: Any, section: Any) -> None:
    with gr.Row(equal_height=True):
        boxes = [
            gr.Textbox(
                value, label=label, max_lines=1, max_length=LONGEST_WORD, min_width=140, elem_id=f"vectors-{letter}"
            )
            for value, label, letter in zip(
                ANALOGIES[0], ("First word is to", "second word, as", "third word is to …?"), "abc", strict=True
            )
        ]
        go = gr.Button("Answer", variant="primary", min_width=120, elem_id="vectors-analogy-go")
    with demo.advanced(), gr.Row():
        method = gr.Radio(list(near_view.METHODS), value=near_view.ADD, label="Formula", min_width=260)
        topn = gr.Slider(1, near_view.MAX_NEIGHBOURS, 8, step=1, label="Answers", min_width=200)
    result = gr.HTML(label="Answers", elem_id="vectors-analogy")
    with gr.Accordion("The answers as a table", open=False):
        table = gr.Dataframe(
            pd.DataFrame(columns=["Model", *near_view.ANALOGY_COLUMNS]), label="Answers", interactive=False
        )
    demo.examples(ANALOGIES, boxes)
    for letter, box in zip("abc", boxes, strict=True):
        demo.remember(f"vectors.{letter}", box)

    def analogy(
        a: str, b: str, c: str, models: list[str], formula: str = near_view.ADD, topn: int = 8
    ) -> tuple[str, pd.DataFrame]:
        """Answer "a is to b as c is to …" from word vectors.

        The three given words are no answers; they are listed with the rank that they would have had.

        Args:
            a: A word.
            b: What a is to.
            c: What the answer is to.
            models: Names of one or two models of word vectors.
            formula: "add cosines (3CosAdd)" or "multiply cosines (3CosMul)".
            topn: How many answers, 1 to 30.

        Returns:
            Bars (HTML), and a table: model, rank among all words, word, score, whether it was given.
        """
        found = near_view.analogies(demo.store, a, b, c, models, formula, topn)
        return near_view.analogies_page(found), near_view.table_of(found)

    inputs, outputs = [*boxes, models, method, topn], [result, table]
    demo.action(
        [go.click, *(box.submit for box in boxes), method.input, topn.release], analogy, inputs, outputs,
        api_name="analogy", trigger_mode="always_last",
    )  # fmt: skip

    def shown_at_once(a: str, b: str, c: str, models: list[str], formula: str, topn: int) -> tuple[Any, Any]:
        """Answer when the section is opened, where there is something to ask."""
        asked = models and all(str(word or "").strip() for word in (a, b, c))
        return analogy(a, b, c, models, formula, topn) if asked else (gr.skip(), gr.skip())

    for trigger in (section.select, models.input):
        demo.plumbing(trigger, shown_at_once, inputs, outputs, show_progress="hidden")


def _build_associations(demo: Demo, models: Any) -> None:
    gr.Markdown(
        "Do the words **X** go with **A**, and **Y** with **B**? Some ready-made lists name groups of people or hold "
        "unpleasant words."
    )
    ready = gr.Dropdown(
        list(weat_view.READY), value=None, label="Ready-made lists", interactive=True,
        info="Fills the four boxes; you can change them.", elem_id="vectors-ready",
    )  # fmt: skip
    boxes = []
    for pair in (weat_view.BOXES[:2], weat_view.BOXES[2:]):
        with gr.Row():
            for label in pair:
                value = LISTS[0][weat_view.BOXES.index(label)]
                boxes.append(
                    gr.Textbox(
                        value, label=label, lines=2, max_lines=5, min_width=260, elem_id=f"vectors-list-{label[0]}"
                    )
                )
    go = gr.Button("Measure", variant="primary", elem_id="vectors-weat-go")
    result = gr.HTML(label="Association", elem_id="vectors-weat")
    with gr.Accordion("Which words were found", open=False):
        table = gr.Dataframe(
            pd.DataFrame(columns=["Model", *weat_view.LIST_COLUMNS]), label="Coverage of the lists", interactive=False,
            wrap=True,
        )  # fmt: skip
    demo.examples(LISTS, boxes)

    def association(x: str, y: str, a: str, b: str, models: list[str]) -> tuple[str, pd.DataFrame]:
        """Measure whether the words X go with A and Y with B in word vectors (WEAT).

        Args:
            x: First targets, 2 to 60 words.
            y: Second targets, 2 to 60 words.
            a: First attributes, 1 to 60 words.
            b: Second attributes, 1 to 60 words.
            models: Names of one or two models of word vectors.

        Returns:
            Effect size with interval and ceiling, p and what they do not show (HTML), and the coverage of the lists.
        """
        found = weat_view.associations(demo.store, x, y, a, b, models)
        return weat_view.page_of(found), weat_view.table_of(found)

    demo.action(go.click, association, [*boxes, models], [result, table], api_name="association")
    demo.plumbing(ready.input, weat_view.ready_lists, ready, boxes, show_progress="hidden")
