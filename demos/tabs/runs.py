"""The tab of run folders: what one run reached, how its loss fell, what it was told, made with, and its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from shell.demo import Demo
from tabs.runs_figures import figures, figures_html
from tabs.runs_reading import Run, damaged_runs, find_runs, newest_first, run_or_damage
from tabs.runs_tables import (
    LOSSES,
    METRIC_HEADER,
    argument_rows,
    card_text,
    facts,
    loss_curve,
    metric_rows,
    version_rows,
)

TITLE = "Runs"
_EMPTY = (
    "There is no run below `{folder}` yet. Every recipe leaves one, for example `accelerate launch "
    "recipes/train_text_classifier.py --dataset world:reviews --rung bilstm`; `python demos/tiny_ladder.py` leaves "
    "many in about two minutes. Then reload this page."
)
_NO_LOSS = "This run kept no loss curve: its rung is counted or solved, or its training has not come that far."
_HOW = """
A **run** is one training with everything that decides its result: `run.json` holds arguments, seed, a fingerprint of
the data, versions, hardware and the loss on the way; `metrics.json` every score with its interval; `README.md` the card
that would stand on the Hub. The loss is the mean negative log-likelihood of what had to be predicted,

$L = -\\frac{1}{N} \\sum_{i=1}^{N} \\ln p_\\theta(y_i \\mid x_i)$

in nats. Training text below validation text and falling while that rises is overfitting. An interval is from a
bootstrap over the test examples (Efron, *Bootstrap methods: another look at the jackknife*, 1979): it covers the choice
of test texts, not another seed. This tab only reads; nothing is trained or changed here.

Code: `src/nlpladder/training/run_folder.py`, `src/nlpladder/evaluation/intervals.py`, `src/nlpladder/hub/cards.py`.
"""


def run_choices(models_dir: Path) -> list[tuple[str, str]]:
    """Return what the picker of runs shows, and the names it stands for: finished runs first, newest first."""
    runs = sorted(newest_first(find_runs(models_dir)), key=lambda run: not run.finished)
    shown = [(f"{run.name}: {run.title}{'' if run.finished else ' (not finished)'}", run.name) for run in runs]
    return shown + [(f"{name} (damaged)", name) for name in damaged_runs(models_dir)]


def show_run(run: Run) -> dict[str, Any]:
    """Return what the tab shows of a run, by part: tables as data frames, texts, figures with captions."""
    return {
        "facts": pd.DataFrame(facts(run), columns=["fact", "value"]),
        "metrics": pd.DataFrame(metric_rows(run), columns=METRIC_HEADER),
        "losses": loss_curve(run),
        "arguments": pd.DataFrame(argument_rows(run), columns=["group", "option", "value"]),
        "versions": pd.DataFrame(version_rows(run), columns=["what", "version"]),
        "figures": figures_html(figures(run.folder)),
        "card": card_text(run.folder) or "This run has no card (README.md).",
    }


def build(demo: Demo) -> None:
    """Put the tab on the page."""
    models_dir = demo.store.models_dir
    choices = run_choices(models_dir)
    some = bool(choices)
    empty = gr.Markdown(_EMPTY.format(folder=models_dir.name), elem_id="runs-empty", visible=not some)
    picker = gr.Dropdown(
        choices, value=choices[0][1] if some else None, label="Run", info="A training and what it left behind.",
        interactive=True, visible=some, elem_id="runs-picker",
    )  # fmt: skip
    parts = show_run(run_or_damage(models_dir, choices[0][1])) if some else show_run(Run(".", models_dir / ".none", {}))
    with gr.Column(visible=some) as page:
        with gr.Row():
            with gr.Column(min_width=300, scale=2):
                about = _table(parts["facts"], "What it is", "runs-facts", ["35%", "65%"])
            with gr.Column(min_width=300, scale=3):
                metrics = _table(
                    parts["metrics"], "Scores on the test split", "runs-metrics",
                    ["110px", "110px", "150px", "70px", "80px", "180px"],
                )  # fmt: skip
        losses = gr.LinePlot(
            parts["losses"], x="step", y="loss", color="measured on", label="Loss in nats, by step", show_label=False,
            x_title="step", y_title="loss in nats", height=280, tooltip="all", colors_in_legend=list(LOSSES),
            elem_id="runs-losses", visible=not parts["losses"].empty,
        )  # fmt: skip
        no_losses = gr.Markdown(_NO_LOSS, visible=parts["losses"].empty)
        with gr.Accordion("Figures of the run", open=True, visible=bool(parts["figures"])) as gallery:
            pictures = gr.HTML(parts["figures"], label="Figures of the run", elem_id="runs-figures")
        with gr.Accordion("Arguments: what decided the result", open=False):
            arguments = _table(parts["arguments"], "Arguments", "runs-arguments", ["25%", "35%", "40%"])
        with gr.Accordion("Versions and hardware", open=False):
            versions = _table(parts["versions"], "Versions and hardware", "runs-versions", ["35%", "65%"])
        with gr.Accordion("The card", open=False):
            card = gr.Markdown(parts["card"], elem_id="runs-card")
    demo.how_it_works(_HOW)

    def updates(name: str | None) -> tuple[Any, ...]:
        parts = show_run(run_or_damage(models_dir, name))
        curve, drawn = parts["losses"], parts["figures"]
        return (
            parts["facts"],
            parts["metrics"],
            gr.update(value=curve, visible=not curve.empty),
            parts["arguments"],
            parts["versions"],
            parts["card"],
            gr.update(visible=curve.empty),
            drawn,
            gr.update(visible=bool(drawn)),
        )

    def run(run: str | None = None) -> tuple[Any, ...]:
        """Return what a run left behind.

        Args:
            run: Its name: its folder below the models folder; the newest if not given.

        Returns:
            Facts; scores with intervals; losses by step; arguments; versions; the card as Markdown; a remark where
            there is no loss; figures (HTML).
        """
        return updates(run)

    def look() -> list[Any]:
        found = run_choices(models_dir)
        if found == choices:
            return [gr.skip()] * (3 + len(shown))  # the page shows it already
        if not found:
            hidden = gr.update(visible=False)
            return [gr.update(visible=True), hidden, hidden, *[gr.update()] * len(shown)]
        picked = gr.update(choices=found, value=found[0][1], visible=True)
        return [gr.update(visible=False), picked, gr.update(visible=True), *updates(found[0][1])]

    shown = [about, metrics, losses, arguments, versions, card, no_losses, pictures, gallery]
    demo.action(picker.input, run, picker, shown, api_name="run")
    # On each load of the page: what has been trained since the demo was started is found.
    demo.plumbing(
        lambda *arguments, **options: gr.on(None, *arguments, **options), look, [], [empty, picker, page, *shown],
        show_progress="hidden",
    )  # fmt: skip


def _table(frame: pd.DataFrame, label: str, elem_id: str, widths: list[str]) -> gr.Dataframe:
    return gr.Dataframe(
        frame, label=label, interactive=False, wrap=True, max_height=640, elem_id=elem_id, column_widths=widths
    )
