"""The landing tab: every climb as a table and a plot, each rung in a sentence, and the runs outside of climbs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from shell.bars import clicks
from shell.demo import Demo, telling
from shell.limits import check_choice
from tabs.ladder_notes import climb_notes
from tabs.ladder_plot import plot_html
from tabs.ladder_tables import (
    COSTS,
    KINDS,
    SINGLE_HEADER,
    climb_points,
    climb_table,
    climb_title,
    column_widths,
    row_of_title,
    rung_sentences,
    rung_text,
    single_runs,
)
from tabs.runs_reading import Climb, climb_named, find_climbs, find_runs

TITLE = "Ladder"
_EMPTY = (
    "There is no climb below `{folder}` yet. `make ladder` makes one in some minutes, `python demos/tiny_ladder.py` "
    "four tiny ones in about two; neither needs a network. Then reload this page."
)
_CLICK = "Choose a rung in the table or in the picture: its idea, its paper, and the command that trains it."
_HOW = """
A **climb** trains several models ("rungs") on the same texts and scores them on the same test texts, from the plainest
model up. The number in brackets is a 95 % interval: with other test texts of the same kind, the score would fall about
there. Whether a rung is better than the one below it is a paired test on the same texts, with Holm's correction over
the table, because many comparisons find a difference by chance:

$p_{(i)}^{\\text{Holm}} = \\max_{j \\le i} \\min\\{(m - j + 1)\\, p_{(j)}, 1\\}$

for the $m$ sorted values $p_{(1)} \\le \\dots \\le p_{(m)}$ (Holm, *A simple sequentially rejective multiple test
procedure*, 1979). "=" says that no difference was shown, not that there is none. **What the table does not show**: how
the models do on other texts, and, with one seed, how much another seed would change.

Code: `src/nlpladder/climb.py`, `src/nlpladder/ladder/`, `src/nlpladder/evaluation/multiple_testing.py`.
"""


def climb_choices(models_dir: Path) -> list[tuple[str, str]]:
    """Return what the picker of climbs shows, and the names it stands for; the longest ladder first.

    Args:
        models_dir: Below it climbs are looked for.
    """
    climbs = sorted(find_climbs(models_dir), key=lambda climb: -len(climb.content["rows"]))
    return [(f"{climb.name}: {climb_title(climb)}", climb.name) for climb in climbs]


def show_climb(models_dir: Path, name: str | None, cost: str) -> tuple[pd.DataFrame, str, str]:
    """Return the table, its notes (Markdown) and the picture of score against cost (HTML).

    Args:
        models_dir: Below it climbs are looked for.
        name: Of the climb; None for the newest.
        cost: A key of `COSTS`.
    """
    climb = climb_named(models_dir, name)
    check_choice(cost, "Cost", COSTS)
    header, rows = climb_table(climb)
    points, cost_title, score_title = climb_points(climb, cost)
    drawn = plot_html(points, cost_title=cost_title, score_title=score_title, kinds=(*KINDS.values(), "other"))
    return pd.DataFrame(rows, columns=header), climb_notes(climb), drawn


def describe_rung(climb: Climb, title: Any) -> str:
    """Return what there is to say of the rung in a row of the table.

    Args:
        climb: The climb.
        title: Of the rung, as the table writes it, or its name.
    """
    row = row_of_title(climb, title)
    if row is None:
        by_name = {row["rung"]: row for row in climb.content["rows"]}
        row = by_name[check_choice(title, "the rungs of this climb", by_name)]
    return rung_text(climb, row)


def build(demo: Demo) -> None:
    """Put the tab on the page."""
    models_dir = demo.store.models_dir
    choices = climb_choices(models_dir)
    some, first_cost, built = bool(choices), next(iter(COSTS)), _state(models_dir)
    frame, text, drawn = pd.DataFrame(columns=["rung"]), "", ""
    if some:
        frame, text, drawn = show_climb(models_dir, choices[0][1], first_cost)
    empty = gr.Markdown(_empty(models_dir, choices), elem_id="ladder-empty", visible=not some)
    climb = gr.Dropdown(
        choices, value=choices[0][1] if some else None, label="Climb", interactive=True, visible=some,
        info="Several kinds of models (rungs), trained and tested on the same texts.", elem_id="ladder-climb",
    )  # fmt: skip
    table = gr.Dataframe(
        frame, label="The rungs, from the plainest up", interactive=False, visible=some, show_search="filter",
        elem_id="ladder-table", elem_classes=["scroll-box"], buttons=["fullscreen"], max_height=640,
        wrap=True, column_widths=column_widths(list(frame.columns)),
    )  # fmt: skip
    with gr.Row():
        with gr.Column(min_width=300, scale=3):
            cost = gr.Radio(
                list(COSTS), value=first_cost, label="Set the score against", visible=some, elem_id="ladder-cost"
            )
            plot = gr.HTML(
                drawn, label="Score against cost, a point a rung", visible=some, elem_id="ladder-plot",
                js_on_load=clicks(),
            )  # fmt: skip
        with gr.Column(min_width=300, scale=2):
            rung = gr.Markdown(_CLICK, elem_id="ladder-rung", visible=some, container=True)
    with gr.Accordion("How to read the table", open=False):
        notes = gr.Markdown(text, elem_id="ladder-notes")
    with gr.Accordion("Runs outside of climbs", open=not some):
        singles = gr.Dataframe(
            _frame(models_dir), label="Single runs, each with its main score", interactive=False, show_search="filter",
            wrap=True, elem_id="ladder-singles", max_height=360,
            column_widths=["24%", "18%", "13%", "25%", "10%", "10%"],
        )  # fmt: skip
    with gr.Accordion("Every rung in one sentence", open=False):
        gr.Dataframe(
            pd.DataFrame(rung_sentences(), columns=["task", "rung", "what it can do", "paper"]), interactive=False,
            label="The rungs of nlpladder", show_search="filter", wrap=True, max_height=420, elem_id="ladder-rungs",
        )  # fmt: skip
    demo.how_it_works(_HOW)
    demo.remember("ladder.cost", cost)

    def ladder(climb: str | None = None, cost: str = first_cost) -> tuple[Any, str, str]:
        """Return the table of a climb and its rungs' scores against what they cost.

        Args:
            climb: Name of the climb: its folder below the models folder; the newest if not given.
            cost: "training time", "parameters" or "speed of the trained model".

        Returns:
            The table; notes on how to read it; the picture (HTML).
        """
        return _updates(models_dir, climb, cost)

    def rung_of_climb(climb: str, rung: str) -> str:
        """Say what one rung of a climb is: idea, paper, scores, and the command that trains it.

        Args:
            climb: Name of the climb: its folder below the models folder.
            rung: Title of the rung in the table, or its name.

        Returns:
            Markdown.
        """
        return describe_rung(climb_named(models_dir, climb), rung)

    def clicked(climb: str, event: gr.SelectData) -> str:
        return describe_rung(climb_named(models_dir, climb), event.row_value[0])

    def pointed(climb: str, event: gr.SelectData) -> str:
        return describe_rung(climb_named(models_dir, climb), event.value)

    def look() -> list[Any]:
        found = climb_choices(models_dir)
        if _state(models_dir) == built:
            return [gr.skip()] * 7  # the page shows it already
        shown = gr.update(visible=bool(found))
        # What was chosen meanwhile stays chosen.
        value = {} if some and found else {"value": found[0][1] if found else None}
        picked = gr.update(choices=found, visible=bool(found), **value)
        told = gr.update(value=_empty(models_dir, found), visible=not found)
        return [told, picked, shown, shown, shown, shown, _frame(models_dir)]

    def ladder_if_any(climb: str | None, cost: str) -> tuple[Any, Any, Any]:
        return _updates(models_dir, climb, cost) if climb else (gr.skip(), gr.skip(), gr.skip())

    chosen = [climb, cost]
    demo.action(climb.input, ladder, chosen, [table, notes, plot], api_name="ladder")
    demo.plumbing(cost.change, ladder, chosen, [table, notes, plot], concurrency_id="ladder")
    demo.plumbing(climb.input, lambda: _CLICK, [], rung, queue=False)
    demo.plumbing(table.select, clicked, [climb], rung)
    demo.plumbing(plot.select, pointed, [climb], rung)
    gr.api(telling(rung_of_climb), api_name="rung")
    # On each load of the page: what has been trained since the demo was started is found.
    loaded = demo.plumbing(
        lambda *arguments, **options: gr.on(None, *arguments, **options), look, [],
        [empty, climb, cost, rung, table, plot, singles], show_progress="hidden",
    )  # fmt: skip
    demo.plumbing(loaded.then, ladder_if_any, chosen, [table, notes, plot], show_progress="hidden")


def _state(models_dir: Path) -> list[Any]:
    """Return what the tab shows at first, to see whether it has changed."""
    climbs = [(climb.name, climb.content) for climb in find_climbs(models_dir)]
    return [climbs, [(run.name, run.finished) for run in find_runs(models_dir)]]


def _updates(models_dir: Path, name: str | None, cost: str) -> tuple[Any, str, str]:
    """Return what shows a climb: the table, the notes, the picture."""
    frame, text, drawn = show_climb(models_dir, name, cost)
    return gr.update(value=frame, visible=True, column_widths=column_widths(list(frame.columns))), text, drawn


def _frame(models_dir: Path) -> pd.DataFrame:
    return pd.DataFrame(single_runs(find_runs(models_dir), find_climbs(models_dir)), columns=SINGLE_HEADER)


def _empty(models_dir: Path, choices: list[tuple[str, str]]) -> str:
    return "" if choices else _EMPTY.format(folder=models_dir.name)
