"""The tab Bias: a warning first, then associations, template pairs, counterfactual texts, finished reports."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import gradio as gr

from shell.store import asked_models
from tabs import bias_associations, bias_panels, bias_reports
from tabs.bias_inputs import WARNING, frame, listed, opened
from tabs.bias_intervals import intervals_html

if TYPE_CHECKING:
    import pandas as pd

    from shell.demo import Demo

TITLE = "Bias"

_HOW = r"""
**Associations** (WEAT; Caliskan, Bryson and Narayanan 2017, [arXiv 1608.07187](https://arxiv.org/abs/1608.07187)): with
$s(w) = \operatorname{mean}_{a \in A} \cos(w, a) - \operatorname{mean}_{b \in B} \cos(w, b)$ the effect size is
$d = (\bar s_X - \bar s_Y) / \operatorname{std}_{w \in X \cup Y} s(w)$
with a permutation test over the targets, and Holm's correction (1979) over all categories and models of the table.

**Template pairs**: $v(t) = \log \operatorname{mean}_a P(a \mid t) - \log \operatorname{mean}_b P(b \mid t)$ in nats,
for the words $a$ and $b$ of two groups in the sentence $t$; after Kurita et al. 2019
([arXiv 1906.07337](https://arxiv.org/abs/1906.07337)). The interval is over sentences. Neutral sentences take out how
frequent the words are at all.

**Counterfactual texts** (Garg et al. 2019, [arXiv 1809.10610](https://arxiv.org/abs/1809.10610)): terms are exchanged,
and $\log \frac{p}{1 - p}$ of the feminine version minus that of the masculine one is averaged over texts, whichever of
the two was given (of pairs of your own, what stands behind = minus what stands before it); of the terms of an identity
axis, each minus the mean of all. Control swaps of everyday words give the floor.

**Reports**: what the recipe below wrote in `bias.json`, shown as it stands there; nothing is measured anew. It measures
more than this page (subgroup AUC, Borkan et al. 2019, [arXiv 1903.04561](https://arxiv.org/abs/1903.04561), among
others), on more texts, and corrects over the whole report.

Intervals hold with 95 %, and treat words, sentences or texts as the independent units. Modules:
`src/nlpladder/bias/words/`, `src/nlpladder/bias/probabilities/`,
`src/nlpladder/bias/classifiers/classifier_swaps.py`, `src/nlpladder/bias/statistics/`. All of it, on a whole model:
`python recipes/evaluate_bias.py --model …`.
"""


def build(demo: Demo) -> None:
    """Put the tab on the page.

    Args:
        demo: What all tabs share.
    """
    gr.Markdown(WARNING, elem_id="bias-warning-text")
    tick = gr.Checkbox(False, label="I have read this. Show the lists and sentences.", elem_id="bias-warning")
    demo.remember("bias.warning", tick)
    with gr.Column(visible=False, elem_id="bias-parts") as parts:
        # Tabs inside a tab hide in a menu at the width of a phone; a choice of four does not.
        chosen = gr.Radio(list(_PARTS), value=next(iter(_PARTS)), label="What to look at", elem_id="bias-part")
        columns = []
        for number, put in enumerate(_PARTS.values()):
            with gr.Column(visible=number == 0) as column:
                put(demo)
            columns.append(column)
        demo.how_it_works(_HOW)
    demo.plumbing(
        tick.change, lambda on: gr.update(visible=on is True), [tick], [parts], queue=False, show_progress="hidden"
    )

    def turn(name: str) -> list[Any]:
        return [gr.update(visible=part == name) for part in _PARTS]

    demo.plumbing(chosen.change, turn, [chosen], columns, queue=False, show_progress="hidden")
    demo.remember("bias.part", chosen)


def _associations(demo: Demo) -> None:
    gr.Markdown(
        "Do two lists of words go with two other lists, in these vectors? All categories at once, and one correction "
        "over all of them: of twenty categories tested at .05 one shows something by chance alone."
    )
    demo.without_models(
        "No word vectors here. Make some: `accelerate launch recipes/train_word2vec.py --dataset my_corpus.txt`.",
        "vectors",
    )
    models = demo.models(
        "vectors", key="bias.vectors", label="Word vectors (at most 3)", most=bias_associations.MOST_MODELS
    )
    categories = gr.CheckboxGroup(
        list(bias_associations.CATEGORIES), value=list(bias_associations.CATEGORIES), label="Categories",
        elem_id="bias-categories",
    )  # fmt: skip
    with gr.Accordion("The lists, to read and to edit", open=False):
        gr.Markdown(
            "Choose a category to see its lists. What stands in the four boxes is measured as lists of your own."
        )
        with gr.Row():
            category = gr.Dropdown(
                list(bias_associations.CATEGORIES), value=None, label="Copy the lists of", interactive=True
            )
            clear = gr.Button("Empty the boxes", size="sm", min_width=120, scale=0)
        boxes = []
        for pair in (bias_associations.BOXES[:2], bias_associations.BOXES[2:]):
            with gr.Row():
                boxes += [gr.Textbox("", label=name, lines=2, max_lines=5, min_width=260) for name in pair]
    button = gr.Button("Measure", variant="primary", elem_id="bias-go")
    picture = gr.HTML(label="Effect sizes", elem_id="bias-result")
    table = gr.Dataframe(
        frame(bias_associations.HEADER), label="All categories", interactive=False, wrap=True, elem_id="bias-table",
        column_widths=list(bias_associations.WIDTHS),
    )  # fmt: skip
    notes = gr.Markdown(elem_id="bias-notes")
    gr.Markdown(f"{bias_associations.READING}\n\n{bias_associations.NOT_SHOWN}")

    def bias_associations_endpoint(
        models: list[str],
        categories: list[str],
        first_targets: str = "",
        second_targets: str = "",
        first_attributes: str = "",
        second_attributes: str = "",
    ) -> tuple[str, pd.DataFrame, str]:
        """Measure associations in word vectors (WEAT), with Holm's correction over all of them.

        Args:
            models: Names of up to 3 models with word vectors.
            categories: Names of built-in categories; may be empty where lists are given.
            first_targets: Words with commas between them; empty for the categories alone.
            second_targets: The same.
            first_attributes: The same.
            second_attributes: The same.

        Returns:
            Effect sizes with intervals (HTML), all numbers, and notes (Markdown).
        """
        names = asked_models(demo.store, models, "vectors", most=bias_associations.MOST_MODELS)
        tests = bias_associations.chosen_tests(
            categories, (first_targets, second_targets, first_attributes, second_attributes)
        )
        with closing(opened(demo.store, names)) as spaces:
            found, intervals, told = bias_associations.measure_associations(spaces, tests)
        drawn = intervals_html(
            intervals, caption="Effect size d of each category", unit="",
            below="the other way round", above="the first goes with the first, as the line names them",
        )  # fmt: skip
        return f"{bias_associations.known_html(names, tests, found)}{drawn}", found, listed(told)

    demo.action(
        button.click, bias_associations_endpoint, [models, categories, *boxes], [picture, table, notes],
        api_name="bias_associations",
    )  # fmt: skip
    demo.plumbing(category.input, bias_associations.lists_of, [category], boxes, show_progress="hidden")
    demo.plumbing(clear.click, lambda: [""] * 4, [], boxes, show_progress="hidden")


def _reports(demo: Demo) -> None:
    gr.Markdown(
        "What `recipes/evaluate_bias.py` measured on whole models, with every number that its `bias.json` holds."
    )
    there = list(bias_reports.find_reports(demo.store.models_dir))
    nothing = gr.Markdown("" if there else bias_reports.NONE)
    with gr.Row():
        name = gr.Dropdown(
            there, value=there[0] if there else None, label="Report", interactive=True, elem_id="bias-report"
        )
        look = gr.Button("Look again", size="sm", min_width=120, scale=0)
    button = gr.Button("Show", variant="primary", elem_id="bias-report-go")
    main = gr.Dataframe(
        frame(bias_reports.MAIN_HEADER), label="Measures", interactive=False, wrap=True, elem_id="bias-report-result",
        column_widths=bias_reports.widths(bias_reports.MAIN_HEADER),
    )  # fmt: skip
    with gr.Accordion("By category", open=False):
        parts = gr.Dataframe(
            frame(bias_reports.PARTS_HEADER), label="Categories", interactive=False, wrap=True,
            show_search="filter", column_widths=bias_reports.widths(bias_reports.PARTS_HEADER),
        )  # fmt: skip
    told = gr.Markdown(elem_id="bias-report-told")
    with gr.Accordion("Notes, and how it was measured", open=False):
        notes = gr.Markdown()

    def bias_report(report: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame, str, str]:
        """Show a finished bias report of this machine.

        Args:
            report: Its folder below the models folder; the first one if not given.

        Returns:
            The main findings, those of each category, what they do not show (Markdown), and notes (Markdown).
        """
        return bias_reports.report_tables(demo.store.models_dir, report)

    def refresh() -> tuple[Any, str]:
        found = list(bias_reports.find_reports(demo.store.models_dir))
        return gr.update(choices=found, value=found[0] if found else None), "" if found else bias_reports.NONE

    demo.action(button.click, bias_report, [name], [main, parts, told, notes], api_name="bias_report")
    demo.plumbing(look.click, refresh, [], [name, nothing], show_progress="hidden")


_PARTS = {
    "Associations": _associations,
    "Template pairs": bias_panels.templates,
    "Counterfactual texts": bias_panels.swaps,
    "Reports": _reports,
}
